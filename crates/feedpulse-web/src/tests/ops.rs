//! `ops` shows counts and yes or no, and nothing else.

use super::fixture::{Fixture, trouble};
use super::{ask, get, request};
use axum::body::Body;
use feedpulse_core::label::Label;
use feedpulse_core::view::View;
use std::sync::atomic::Ordering;

/// A view whose every free text is a canary, but for the feeds' names.
fn canaries() -> View {
    let mut view = trouble();
    for incident in &mut view.incidents {
        incident.summary = "canary-summary".to_owned();
        incident.subject_name = "canary-subject".to_owned();
        incident.claimed_by = Label::from("canary-claimed");
        for finding in &mut incident.findings {
            finding.detail = Label::from("canary-detail");
        }
    }
    for feed in &mut view.feeds {
        feed.why = "canary-why".to_owned();
        feed.route = "canary-route".to_owned();
    }
    view
}

#[tokio::test]
async fn shows_counts_only() {
    let fixture = Fixture::new(canaries());
    fixture.well.store(false, Ordering::Relaxed);
    let router = crate::ops(fixture.clone());
    for (path, want) in [("/metrics", 200), ("/healthz", 503), ("/readyz", 503), ("/", 404)] {
        let (status, body) = get(&router, path).await;
        assert_eq!(status, want, "{path}");
        assert!(!body.contains("canary"), "{path}: {body}");
    }
    let (_, metrics) = get(&router, "/metrics").await;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let labels = line.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
        let feed = labels.strip_prefix("feed=\"").unwrap().split('"').next().unwrap();
        assert!(fixture.view.feeds.iter().any(|f| f.name == feed), "{line}");
    }
    // The same canaries are on the pages: the test can fail.
    let (_, page) = get(&super::ui_of(fixture, None), "/").await;
    for canary in ["summary", "subject", "claimed", "why", "route", ": the store"] {
        assert!(
            page.contains(&format!(
                "canary{}",
                if canary.starts_with(':') { canary.to_owned() } else { format!("-{canary}") }
            )),
            "{canary}"
        );
    }
}

#[tokio::test]
async fn answers_get_and_head_and_follows_health() {
    let fixture = Fixture::new(trouble());
    let router = crate::ops(fixture.clone());
    assert_eq!(get(&router, "/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(get(&router, "/readyz").await, (200, "ready\n".to_owned()));
    for (method, want) in [("HEAD", 200), ("POST", 405), ("DELETE", 405), ("OPTIONS", 405)] {
        let request = request(method, "/metrics").body(Body::empty()).unwrap();
        let (response, body) = ask(&router, request).await;
        assert_eq!(response.status(), want, "{method}");
        if method == "HEAD" {
            assert_eq!(body, "");
            assert_eq!(
                response.headers()["content-type"],
                "text/plain; version=0.0.4; charset=utf-8"
            );
        }
    }
}
