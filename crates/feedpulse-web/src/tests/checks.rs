//! Checks on their page, on the overview and as JSON.

use super::fixture::{Fixture, checks, trouble};
use super::{get, ui_of};
use serde_json::{Value, json};
use std::sync::Arc;

async fn answer(fixture: Arc<Fixture>, path: &str) -> String {
    let (status, body) = get(&ui_of(fixture, None), path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn the_page_says_how_each_check_is_and_what_it_found() {
    let body = answer(Fixture::with_checks(trouble(), checks()), "/checks").await;
    for text in [
        "Quarantined",
        "<a href=\"/codes/FP0303\">FP0303</a>",
        "timed_out 4, trapped 61",
        "64 not checked",
        "Not loaded",
        "no version runs",
        "room-own 1.2.3 · 0123456789ab<",
        "7 shed",
        "42 µs / 180 µs",
        "1,152 KiB",
        "<code>room-missing</code> 9",
        "2 reloads",
    ] {
        assert!(body.contains(text), "{text} is not in {body}");
    }
    let place = |text: &str| body.find(text).unwrap();
    assert!(place("wild") < place("room-own"), "what is worst comes first");
    assert!(!body.contains("<script") && !body.contains("style="));
}

#[tokio::test]
async fn checks_are_counted_on_the_overview_and_told_as_json() {
    let overview = answer(Fixture::with_checks(trouble(), checks()), "/").await;
    assert!(
        overview.contains("<a href=\"/checks\">Checks</a>: 3 in all, <strong>2 not well</strong>")
    );
    let none = answer(Fixture::new(trouble()), "/").await;
    assert!(!none.contains("/checks"));
    assert!(answer(Fixture::new(trouble()), "/checks").await.contains("None is configured"));
    let list = answer(Fixture::with_checks(trouble(), checks()), "/api/v1/checks").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[1]["numbers"]["condition"], "quarantined");
    assert_eq!(list[1]["numbers"]["faults"], json!({"trapped": 61, "timed_out": 4}));
    assert_eq!(list[0]["numbers"]["findings"]["room-missing"], 9);
    assert!(list[1]["numbers"].get("memory_bytes").is_none(), "there is no instance");
}
