//! Alerts and webhooks over real sockets, under paused time.

use super::servers::{Seen, closed_port, http, ok, serve};
use super::{Running, T0, at, incident, resolved};
use crate::config::{AlertmanagerConfig, DeadManConfig, NotifierConfig, SinksConfig, Target};
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use core::time::Duration;
use feedpulse_core::codes::Code;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

fn alertmanager(addresses: &[&str]) -> SinksConfig {
    let replicas = addresses.iter().map(|address| Target::new(*address)).collect();
    let config = AlertmanagerConfig::new(replicas);
    SinksConfig {
        alertmanagers: vec![config],
        site: "north".to_owned(),
        runbook_base: "https://docs.example/codes/".to_owned(),
        ..SinksConfig::default()
    }
}

fn webhook(address: &str) -> SinksConfig {
    let hook = NotifierConfig::webhook("webhook", Target::new(format!("{address}/hook")));
    SinksConfig { notifiers: vec![hook], site: "north".to_owned(), ..SinksConfig::default() }
}

/// The next post that holds alerts.
async fn alerts(seen: &mut mpsc::Receiver<Seen>) -> Vec<serde_json::Value> {
    loop {
        let request = seen.recv().await.unwrap();
        assert_eq!(request.line, "POST /api/v2/alerts HTTP/1.1");
        if let serde_json::Value::Array(list) = request.json()
            && !list.is_empty()
        {
            return list;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_said_again_each_minute_and_its_end_three_times() {
    let (address, mut seen) = http(ok()).await;
    let mut running = Running::new(&alertmanager(&[&address]));
    running.incident(&incident(3));
    let began = Instant::now();
    let first = alerts(&mut seen).await;
    assert_eq!(first[0]["startsAt"], "2026-09-21T14:13:20Z");
    let again = alerts(&mut seen).await;
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(again[0]["labels"], first[0]["labels"]);
    assert_eq!(again[0]["endsAt"].as_str().unwrap().get(..19), Some("2026-09-21T14:18:20"));
    let over = resolved(&incident(3), at(61_000));
    running.incident(&over);
    for _ in 0..3 {
        let end = alerts(&mut seen).await;
        assert_eq!((end.len(), &end[0]["labels"]), (1, &first[0]["labels"]));
        // The given end, or the clock where that is earlier.
        assert!(end[0]["endsAt"].as_str().unwrap() <= "2026-09-21T14:14:21Z", "{end:?}");
    }
    assert_eq!(began.elapsed().as_secs(), 60 + 120);
    let empty = seen.recv().await.unwrap();
    assert_eq!(empty.json(), serde_json::json!([]), "then only the empty picture");
    running.stop().await;
    assert_eq!(running.sinks.notices(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_alertmanager_is_reported_and_told_within_a_minute_of_its_return() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    drop(listener);
    let mut running = Running::new(&alertmanager(&[&format!("http://{place}")]));
    running.incident(&incident(3));
    let failing = running.own.recv().await.unwrap();
    assert_eq!((failing.part.as_str(), failing.code), ("alertmanager", Code::NotifierDown));
    assert_eq!((failing.failing, failing.detail.as_str()), (true, "refused"));
    // Over before anybody was told: nothing is to be said about it.
    running.incident(&incident(4));
    running.incident(&resolved(&incident(4), at(1)));
    tokio::time::sleep(Duration::from_secs(600)).await;
    let mut seen = serve(TcpListener::bind(place).await.unwrap(), ok());
    let back = Instant::now();
    let list = alerts(&mut seen).await;
    assert!(back.elapsed() <= Duration::from_secs(60), "{:?}", back.elapsed());
    assert_eq!((list.len(), &list[0]["labels"]["incident"]), (1, &"3".into()));
    loop {
        if !running.own.recv().await.unwrap().failing {
            break;
        }
    }
    running.stop().await;
    let up = running.number("feedpulse_notifier_up", &[("notifier", "alertmanager")]);
    assert_eq!(up, Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn every_replica_is_told_and_one_dead_replica_is_no_outage() {
    let (first, mut seen_first) = http(ok()).await;
    let dead = closed_port().await;
    let (third, mut seen_third) = http(ok()).await;
    let mut running = Running::new(&alertmanager(&[&first, &dead, &third]));
    running.incident(&incident(3));
    assert_eq!(alerts(&mut seen_first).await, alerts(&mut seen_third).await);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(running.own.try_recv().is_err(), "two of three replicas hear everything");
    let up = |name| running.number("feedpulse_notifier_up", &[("notifier", name)]);
    assert_eq!((up("alertmanager-1"), up("alertmanager-2")), (Some(1.0), Some(0.0)));
    assert_eq!(running.sinks.notices(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_gets_one_open_one_reminder_in_four_hours_and_one_end() {
    let (address, mut seen) = http(ok()).await;
    let mut running = Running::new(&webhook(&address));
    let began = Instant::now();
    running.incident(&incident(3));
    running.incident(&incident(3));
    let open = seen.recv().await.unwrap();
    assert_eq!(open.line, "POST /hook HTTP/1.1");
    let key = format!("north-3-{}-open-2", T0.as_secs());
    assert_eq!(open.header("idempotency-key"), Some(key.as_str()));
    assert_eq!(open.header("content-type"), Some("application/json"));
    assert_eq!((&open.json()["event"], &open.json()["code"]), (&"open".into(), &"FP0104".into()));
    let reminder = seen.recv().await.unwrap();
    assert_eq!(reminder.json()["event"], "repeat");
    let waited = began.elapsed();
    assert!((14_400..14_430).contains(&waited.as_secs()), "{waited:?}");
    running.incident(&resolved(&incident(3), at(20_000_000)));
    let end = seen.recv().await.unwrap();
    assert_eq!(end.json()["event"], "resolved");
    assert_eq!(end.json()["resolved_at"], "2026-09-21T19:46:40Z");
    tokio::time::sleep(Duration::from_secs(30_000)).await;
    assert!(seen.try_recv().is_err(), "nothing more is said");
    running.stop().await;
    assert_eq!(running.sinks.notices(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_fails_keeps_its_notices_in_order() {
    let status = Arc::new(AtomicU16::new(302));
    let now = Arc::clone(&status);
    let (address, mut seen) = http(Arc::new(move |_| {
        (now.load(Ordering::Relaxed), "location: /elsewhere\r\n".to_owned(), Vec::new())
    }))
    .await;
    let mut running = Running::new(&webhook(&address));
    running.incident(&incident(3));
    let failing = running.own.recv().await.unwrap();
    assert_eq!((failing.part.as_str(), failing.detail.as_str()), ("webhook", "http-302"));
    running.incident(&resolved(&incident(3), at(500)));
    tokio::time::sleep(Duration::from_secs(300)).await;
    status.store(204, Ordering::Relaxed);
    while running.own.recv().await.unwrap().failing {}
    running.stop().await;
    let mut events = Vec::new();
    while let Ok(request) = seen.try_recv() {
        assert_eq!(request.line, "POST /hook HTTP/1.1", "redirects are not followed");
        events.push(request.json()["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(events.pop().as_deref(), Some("resolved"));
    assert!(events.iter().all(|event| event == "open") && events.len() > 5, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_does_not_hold_up_the_others() {
    let (address, mut seen) = http(Arc::new(|seen| {
        let refused = seen.json()["id"] == 3;
        (if refused { 422 } else { 200 }, String::new(), Vec::new())
    }))
    .await;
    let mut running = Running::new(&webhook(&address));
    running.incident(&incident(3));
    running.incident(&incident(4));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    running.stop().await;
    let mut ids = Vec::new();
    while let Ok(request) = seen.try_recv() {
        ids.push(request.json()["id"].as_u64().unwrap());
    }
    assert_eq!(ids.iter().filter(|id| **id == 4).count(), 1);
    assert_eq!(ids.iter().filter(|id| **id == 3).count(), 10, "then it is given up");
    let dropped = running.number("feedpulse_notices_dropped_total", &[("notifier", "webhook")]);
    assert_eq!(dropped, Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_comes_each_minute() {
    let (address, mut seen) = http(ok()).await;
    let dead_man = DeadManConfig::new(Target::new(format!("{address}/ping/s3cret")));
    let config = SinksConfig { dead_man: Some(dead_man), ..SinksConfig::default() };
    let mut running = Running::new(&config);
    let began = Instant::now();
    for minute in 0..3 {
        assert_eq!(seen.recv().await.unwrap().line, "GET /ping/s3cret HTTP/1.1");
        assert_eq!(began.elapsed().as_secs(), minute * 60);
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_stops_when_the_engine_stands_still() {
    let (address, mut seen) = http(ok()).await;
    let dead_man = DeadManConfig::new(Target::new(format!("{address}/ping")));
    let config = SinksConfig { dead_man: Some(dead_man), ..SinksConfig::default() };
    let goes_on = Arc::new(AtomicBool::new(true));
    let alive = Arc::clone(&goes_on);
    let mut running = Running::with(&config, |deps| {
        deps.alive = Arc::new(move || alive.load(Ordering::Relaxed));
    });
    seen.recv().await.unwrap();
    goes_on.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(seen.try_recv().is_err(), "the task lives, and says nothing");
    assert_eq!(running.number("feedpulse_notifier_up", &[("notifier", "dead-man")]), Some(0.0));
    goes_on.store(true, Ordering::Relaxed);
    seen.recv().await.unwrap();
    running.stop().await;
}
