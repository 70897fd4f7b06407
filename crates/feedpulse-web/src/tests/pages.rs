//! What the pages and the JSON say.

use super::fixture::{Fixture, NOW, quiet, trouble};
use super::{get, ui_of};
use feedpulse_core::codes::Code;
use feedpulse_core::sighting::Outcome;
use feedpulse_core::view::View;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn page(view: View, path: &str) -> String {
    let (status, body) = get(&ui_of(Fixture::new(view), None), path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn overview_puts_the_worst_first_and_says_why() {
    let mut view = trouble();
    view.feeds.reverse();
    let body = page(view, "/").await;
    let place = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(place(">lab-results<") < place(">radiology-reports<"));
    assert!(place(">radiology-reports<") < place(">admissions<"));
    assert!(place("Open incidents") < place(">lab-results<"));
    for text in [
        "1 feed needs somebody now",
        "<meta http-equiv=\"refresh\" content=\"5\">",
        "The portal takes messages and answers none",
        "8 min 42 s",
        "3 urgent, up to critical",
        "Seen 219,900 = accounted 219,900",
        "documents &#60;MDM&#62;",
    ] {
        assert!(body.contains(text), "{text} is not in {body}");
    }
    assert!(!body.contains("<MDM>") && !body.contains("<script") && !body.contains("style="));
    assert!(page(quiet(), "/").await.contains("All feeds flow"));
    assert!(page(View::default(), "/").await.contains("No data yet"));
}

#[tokio::test]
async fn banners_say_what_not_to_trust() {
    let fresh = page(trouble(), "/").await;
    assert!(!fresh.contains("class=\"banner\""));
    let mut view = trouble();
    view.now = NOW.minus(Duration::from_secs(11));
    assert!(page(view, "/").await.contains("These numbers were made 11 s ago"));
    let mut view = trouble();
    view.incidents[0].findings[0].code = Code::Blind;
    assert!(page(view, "/feeds/1").await.contains("does not see everything"));
    let mut view = trouble();
    view.totals.seen += 1;
    let body = page(view, "/").await;
    assert!(body.contains("Seen 219,901 ≠ accounted 219,900"));
    let fixture = Fixture::new(trouble());
    fixture.well.store(false, Ordering::Relaxed);
    assert!(get(&ui_of(fixture, None), "/").await.1.contains("folder is full"));
}

#[tokio::test]
async fn details_explain() {
    let feed = page(trouble(), "/feeds/1").await;
    assert!(feed.matches("<svg").count() == 2 && feed.contains("Source age"), "{feed}");
    assert!(page(trouble(), "/feeds/5").await.contains("No interval is complete yet"));
    let incident = page(trouble(), "/incidents/48213").await;
    let text = Code::NoAck.text();
    for part in [
        text.means,
        text.remedy,
        "unanswered <strong>214</strong>",
        "oldest <strong>522.4 s</strong>",
        "slow <strong>62 %</strong>",
        "FP0101 cleared",
        "2 feeds (link): lab-results, radiology-reports",
        "software change (confidence high): software was changed shortly before",
        "third time in 30 days, same signature",
        "change: deploy portal 7.4.1",
        "taken by R. Meyer",
    ] {
        let part = part.replace('\'', "&#39;");
        assert!(incident.contains(&part), "{part} is not in {incident}");
    }
    assert!(page(trouble(), "/codes/fp0102").await.contains(text.remedy));
    let router = ui_of(Fixture::new(trouble()), None);
    for path in ["/feeds/99", "/feeds/x", "/incidents/1", "/codes/FP9999"] {
        let (status, body) = get(&router, path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("is not here"), "{path}");
    }
    assert_eq!(get(&router, "/api/v1/feeds/99").await.0, 404);
}

#[tokio::test]
async fn a_thousand_feeds_are_paged() {
    let mut view = trouble();
    let one = view.feeds[4].clone();
    view.feeds = vec![one; 1_000];
    let router = ui_of(Fixture::new(view), None);
    let (_, first) = get(&router, "/").await;
    assert_eq!(first.matches("data-label=\"Lag\"").count(), 100);
    assert!(first.contains("/?page=1") && first.len() < 600_000, "{} bytes", first.len());
    let (_, last) = get(&router, "/?page=9").await;
    assert!(last.contains("/?page=8") && !last.contains("/?page=10"));
    assert_eq!(get(&router, "/?page=18446744073709551615").await.0, 200);
    assert_eq!(get(&router, "/?page=x").await.0, 200);
}

#[tokio::test]
async fn json_is_complete_and_leaves_out_what_is_unknown() {
    let fixture = Fixture::new(trouble());
    let router = ui_of(Arc::clone(&fixture) as _, None);
    let json = async |path: &str| -> serde_json::Value {
        serde_json::from_str(&get(&router, path).await.1).unwrap()
    };
    let status = json("/api/v1/status").await;
    assert_eq!(status["now"], "2026-11-22T22:26:38.000Z");
    assert_eq!(status["totals"]["seen"], status["totals"]["accounted"]);
    assert_eq!(status["feeds"]["ticket"], 2);
    assert_eq!((&status["stale"], &status["ready"]), (&false.into(), &true.into()));
    assert!(status.get("not_ready_because").is_none());
    let feeds = json("/api/v1/feeds").await;
    assert_eq!(feeds.as_array().unwrap().len(), 5);
    assert!(feeds[0].get("history").is_none());
    assert_eq!(
        (&feeds[0]["state"], &feeds[0]["most_urgent"]),
        (&"page".into(), &"critical".into())
    );
    let found = json("/api/v1/feeds/5").await;
    for absent in ["source_age", "lag_s", "most_urgent"] {
        assert!(found.get(absent).is_none(), "{absent}");
    }
    let lab = json("/api/v1/feeds/1").await;
    assert_eq!(lab["history"].as_array().unwrap().len(), 60);
    assert_eq!(lab["totals"]["outcomes"].as_object().unwrap().len(), Outcome::ALL.len());
    let incidents = json("/api/v1/incidents").await;
    assert_eq!(incidents[3]["state"], "resolved");
    assert_eq!(json("/api/v1/incidents/48213").await["findings"][0]["evidence"]["oldest_s"], 522.4);
    assert_eq!(json("/api/v1/waypoints").await[2]["alive_at"], "2026-11-22T22:25:54.000Z");
}

#[tokio::test]
async fn an_incident_of_a_check_says_what_its_author_wrote() {
    let body = page(trouble(), "/incidents/48100").await;
    for text in [
        "<h1><span class=\"mark\" aria-hidden=\"true\">!</span> An admission has no &#60;room&#62;",
        "What the check found",
        "room-required/room-missing, by room-required 1.2.0",
        "&#60;script&#62;alert(1)",
        "at <strong>PV1-3.2</strong>",
        "minutes <strong>35</strong>",
        "12 ×",
        "And 4 × further codes",
        "bed-odd",
    ] {
        assert!(body.contains(text), "{text} is not in {body}");
    }
    assert!(!body.contains("<script"), "the author's words are text");
    let ours = Code::CheckFound.text().remedy;
    assert!(!body.contains(ours), "ours is not shown where the author's is known");
    assert!(!page(trouble(), "/incidents/48213").await.contains("What the check found"));
    let json: serde_json::Value =
        serde_json::from_str(&page(trouble(), "/api/v1/incidents/48100").await).unwrap();
    assert_eq!(json["title"], "An admission has no <room>");
    assert_eq!(json["remedy"], "Ask the ward's \"registration\" desk.");
    let code = &json["check_codes"][0];
    assert_eq!((&code["code"], &code["times"]), (&"room-required/room-missing".into(), &12.into()));
    assert_eq!((&code["at"], &code["attrs"]["minutes"]), (&"PV1-3.2".into(), &"35".into()));
    assert_eq!(
        (&json["other_codes"], &json["check_codes"][1]["by"]),
        (&4.into(), &serde_json::Value::Null)
    );
}
