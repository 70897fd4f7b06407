//! Probes, heartbeats and the notices that were taken, on the pages and as JSON.

use super::fixture::{Fixture, trouble};
use super::{get, ui_of};
use feedpulse_core::view::View;
use serde_json::{Value, json};

async fn answer(view: View, path: &str) -> String {
    let (status, body) = get(&ui_of(Fixture::new(view), None), path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn each_probe_has_its_state_since_when_and_its_days_left() {
    let list: Value = serde_json::from_str(&answer(trouble(), "/api/v1/probes").await).unwrap();
    let (page, queue) = (&list[0], &list[1]);
    assert_eq!((&page["name"], &page["kind"]), (&json!("portal-web"), &json!("probe")));
    assert_eq!((&page["state"], &page["code"]), (&json!("page"), &json!("FP0601")));
    assert_eq!(page["about"], "waypoint portal-in");
    assert_eq!((&page["certificate_days_left"], &page["incident"]), (&41.into(), &48_213.into()));
    assert_eq!((&page["parts"], &page["parts_failing"]), (&4.into(), &1.into()));
    assert!(page["since"].is_string() && page["last_seen"].is_string(), "{page}");
    assert_eq!((&queue["state"], &queue["value"]), (&json!("ok"), &json!(14.0)));
    assert!(queue.get("about").is_none() && queue.get("certificate_days_left").is_none());
    let new = &list[3];
    assert_eq!((&new["kind"], &new["state"]), (&json!("heartbeat"), &json!("unknown")));
    assert!(new.get("since").is_none() && new["due"].is_string(), "{new}");

    let mut view = trouble();
    view.probes[0].ends = Some(super::fixture::NOW.minus(std::time::Duration::from_secs(5)));
    let list: Value = serde_json::from_str(&answer(view.clone(), "/api/v1/probes").await).unwrap();
    assert_eq!(list[0]["certificate_days_left"], -1);
    assert!(answer(view, "/probes").await.contains(">expired<"));
}

#[tokio::test]
async fn the_page_of_probes_says_what_is_wrong_and_where_to_look() {
    let body = answer(trouble(), "/probes").await;
    for text in [
        "41 days left",
        "1 of 4 parts",
        "&#60;10.0.0.7&#62;:443 http-503",
        "<a href=\"/incidents/48213\">",
        "probe of waypoint portal-in",
        "heartbeat",
        "Unknown",
        ">14<",
        "due 2026-",
        "8 min 42 s",
    ] {
        assert!(body.contains(text), "{text} is not in {body}");
    }
    assert!(!body.contains("<script") && !body.contains("style="));
    let overview = answer(trouble(), "/").await;
    assert!(overview.contains("4 in all, <strong>1 not well</strong>, 1 not heard of yet"));
    let none = View { probes: Vec::new(), ..trouble() };
    assert!(!answer(none.clone(), "/").await.contains("/probes"));
    assert!(answer(none, "/probes").await.contains("None is configured"));
}

#[tokio::test]
async fn an_incident_lists_the_notices_that_were_taken() {
    let story: Value =
        serde_json::from_str(&answer(trouble(), "/api/v1/incidents/48213").await).unwrap();
    let notices = story["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 3);
    assert_eq!((&notices[0]["notifier"], &notices[0]["why"]), (&json!("oncall"), &json!("open")));
    assert!(notices[2]["taken_at"].as_str().unwrap().ends_with('Z'), "{story}");
    let page = answer(trouble(), "/incidents/48213").await;
    assert!(page.contains("<strong>oncall</strong> was told that somebody took it"), "{page}");
    let other: Value =
        serde_json::from_str(&answer(trouble(), "/api/v1/incidents/47900").await).unwrap();
    assert_eq!(other["notices"], json!([]));
    assert!(!answer(trouble(), "/incidents/47900").await.contains("h-told"));
}
