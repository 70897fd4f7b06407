//! The operators' side: stories, notes, the shadow and its precision, actions by page and by socket.

use super::fixture::{Fixture, trouble};
use super::{TOKEN, ask, get, request, ui_of};
use crate::serve::ServeLimits;
use axum::body::Body;
use axum::http::{StatusCode, header};
use feedpulse_core::label::Label;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

async fn json_of(path: &str) -> Value {
    let (status, body) = get(&ui_of(Fixture::new(trouble()), None), path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_story_has_its_timeline_and_its_notes() {
    let story = json_of("/api/v1/incidents/48213").await;
    let kinds: Vec<&str> =
        story["timeline"].as_array().unwrap().iter().map(|m| m["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["changed", "began", "found", "told", "told", "claimed"]);
    assert_eq!(story["timeline"][4]["what"], "people were told: page");
    assert_eq!(story["notes"][0]["by"], "R. Meyer");
    assert_eq!(story["notes"][0]["text"], "The portal's team <restarts> it at 23:00.");
    assert_eq!((&story["shadow"], &story["id"]), (&false.into(), &48_213.into()));
    let list = get(&ui_of(Fixture::new(trouble()), None), "/api/v1/incidents").await.1;
    assert!(!list.contains("restarts"), "notes stand in the story, not in the list");
    let page = get(&ui_of(Fixture::new(trouble()), None), "/incidents/48213").await.1;
    assert!(page.contains("The portal&#39;s team &#60;restarts&#62; it"), "{page}");
}

#[tokio::test]
async fn the_shadow_says_how_precise_it_was_or_why_that_is_not_known() {
    let shadow = json_of("/api/v1/shadow").await;
    let total = &shadow["total"];
    assert_eq!((&total["pages"], &total["tickets"]), (&2.into(), &1.into()));
    assert_eq!((&total["confirmed"], &total["open"]), (&1.into(), &1.into()));
    assert_eq!((&total["forgotten"], &total["precision"]), (&1.into(), &json!(1.0)));
    let ids: Vec<u64> =
        shadow["notices"].as_array().unwrap().iter().map(|n| n["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [41_118, 47_900], "pages first; what is no longer known is only counted");
    let feeds = shadow["feeds"].as_array().unwrap();
    assert_eq!(feeds.len(), 2, "only those in shadow: {feeds:?}");
    let quiet = feeds.iter().find(|f| f["tickets"] == 0).unwrap();
    assert!(quiet.get("precision").is_none());
    assert_eq!(quiet["no_precision_because"], "there was no would-be notice");
    assert!(quiet["until"].as_str().unwrap().starts_with("2026-12-05"));
    let router = ui_of(Fixture::new(trouble()), None);
    let page = get(&router, "/shadow").await.1;
    assert!(page.contains("100 %") && page.contains("in shadow"), "{page}");
    assert!(!page.contains("<form"), "without a token nobody can judge here");
    assert!(get(&router, "/").await.1.contains("2 feeds that nobody is told about yet"));
    assert!(get(&router, "/incidents/47900").await.1.contains("Nobody is told of it"));
}

#[tokio::test]
async fn every_action_becomes_an_input() {
    let fixture = Fixture::new(trouble());
    let act = async |path: &str, body: Value| {
        let request = request("POST", &format!("/api/v1/incidents/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        ask(&ui_of(fixture.clone(), Some(TOKEN)), request).await
    };
    for (path, body) in [
        ("48213/release", json!({"by": "Ann"})),
        ("48213/unmute", json!({})),
        ("48213/note", json!({"by": "Ann", "text": "see the vendor's ticket"})),
        ("41118/confirm", json!({"by": "Ann"})),
        ("41118/dismiss", json!({"by": "Bob", "why": "a test at night"})),
    ] {
        let (response, said) = act(path, body).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{path}: {said}");
    }
    let actions = format!("{:?}", fixture.actions.lock().unwrap());
    for part in [
        "Release { incident: 48213, by: \"Ann\" }",
        "Unmute { incident: 48213 }",
        "Remark { incident: 48213, by: \"Ann\", text: RemarkText(…) }",
        "Judge { incident: 41118, right: true, by: \"Ann\" }",
        "Judge { incident: 41118, right: false, by: \"Bob\" }, Remark { incident: 41118,",
    ] {
        assert!(actions.contains(part), "{part} is not in {actions}");
    }
    assert!(!actions.contains("vendor"), "no Debug shows a note");
    for (path, body) in [
        ("48213/note", json!({"by": "Ann", "text": "x".repeat(281)})),
        ("48213/note", json!({"by": "Ann", "text": " "})),
        ("48213/note", json!({"text": "who?"})),
        ("48213/confirm", json!({})),
    ] {
        assert_eq!(act(path, body).await.0.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(fixture.actions.lock().unwrap().len(), 6);
}

/// Takes the drill `silence`, as number 7.
struct OneDrill;

impl crate::DrillDesk for OneDrill {
    fn begin(&self, asked: serde_json::Value) -> Result<u64, String> {
        if asked["drill"] == "silence" { Ok(7) } else { Err("no such drill".to_owned()) }
    }

    fn answer(&self, number: u64) -> Option<serde_json::Value> {
        (number == 7).then(|| json!({"stage": "running"}))
    }
}

#[tokio::test]
async fn the_socket_knows_who_asks_and_needs_no_token() {
    let fixture = Fixture::new(trouble());
    let folder = std::env::temp_dir().join(format!("feedpulse-socket-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("admin.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let stop = CancellationToken::new();
    let own = owner_of(&path);
    let who = move |uid: u32| (uid == own).then(|| Label::from("ann"));
    let router = crate::local(Arc::clone(&fixture) as _, Arc::new(OneDrill));
    let served = crate::serve_local(listener, router, who, ServeLimits::default(), stop.clone());
    let asks = async {
        let (status, list) = crate::ask(&path, "/api/v1/incidents", None).await.unwrap();
        assert_eq!((status, list.as_array().unwrap().len()), (200, 5));
        let body = json!({});
        let claim = "/api/v1/incidents/48213/claim";
        assert_eq!(crate::ask(&path, claim, Some(&body)).await.unwrap().0, 202);
        let other = json!({"by": "the night shift"});
        assert_eq!(crate::ask(&path, claim, Some(&other)).await.unwrap().0, 202);
        let (status, said) =
            crate::ask(&path, "/api/v1/incidents/5/claim", Some(&body)).await.unwrap();
        assert_eq!(status, 404);
        assert!(said["error"].as_str().unwrap().contains("no such incident"), "{said}");
        assert_eq!(crate::ask(&path, "/", None).await.unwrap().0, 404, "no pages here");
        let drills = "/api/v1/drills";
        let begun = crate::ask(&path, drills, Some(&json!({"drill": "silence"}))).await.unwrap();
        assert_eq!(begun, (200, json!({"number": 7})));
        let refused = crate::ask(&path, drills, Some(&json!({"drill": "fire"}))).await.unwrap();
        assert_eq!((refused.0, &refused.1["error"]), (409, &json!("no such drill")));
        let answer = crate::ask(&path, "/api/v1/drills/7", None).await.unwrap();
        assert_eq!(answer, (200, json!({"stage": "running"})));
        assert_eq!(crate::ask(&path, "/api/v1/drills/8", None).await.unwrap().0, 404);
        stop.cancel();
    };
    tokio::join!(served, asks);
    let actions = format!("{:?}", fixture.actions.lock().unwrap());
    assert!(actions.contains("by: \"ann\"") && actions.contains("by: \"the night shift\""));
    let gone = crate::ask(&path, "/api/v1/status", None).await.unwrap_err();
    assert!(matches!(gone, crate::AskError::Nobody(_)), "{gone}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn who_may_not_come_in_is_not_answered() {
    let folder = std::env::temp_dir().join(format!("feedpulse-stranger-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("admin.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let stop = CancellationToken::new();
    let router = crate::local(Fixture::new(trouble()), Arc::new(OneDrill));
    let served =
        crate::serve_local(listener, router, |_| None, ServeLimits::default(), stop.clone());
    let asks = async {
        assert!(crate::ask(&path, "/api/v1/status", None).await.is_err());
        stop.cancel();
    };
    tokio::join!(served, asks);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The user who made a file: this process.
fn owner_of(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).unwrap().uid()
}
