//! Chats and pagers over real sockets: what their servers' answers mean, and who hears of a delivery.

use super::servers::{Script, http, ok};
use super::{Running, at, incident, resolved};
use crate::Delivered;
use crate::Secret;
use crate::config::{Chat, Escalation, NotifierConfig, RouteConfig, SinksConfig, Speech, Target};
use core::sync::atomic::{AtomicU16, Ordering};
use core::time::Duration;
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::label::Label;
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

fn pager(address: &str) -> SinksConfig {
    let target = Target::new(format!("{address}/v2/enqueue"));
    let routing_key = Secret::new("0123456789abcdef0123456789abcdef");
    let pager = NotifierConfig::new("pager", target, Speech::Pager { routing_key });
    SinksConfig { notifiers: vec![pager], site: "north".to_owned(), ..SinksConfig::default() }
}

fn chat(address: &str, chat: Chat) -> SinksConfig {
    let chat = NotifierConfig::new("chat", Target::new(address), Speech::Chat(chat));
    SinksConfig { notifiers: vec![chat], ..SinksConfig::default() }
}

fn accepted() -> Script {
    Arc::new(|_| (202, String::new(), br#"{"status":"success"}"#.to_vec()))
}

#[tokio::test]
async fn a_pager_hears_trigger_acknowledge_and_resolve_under_one_key() {
    let (address, mut seen) = http(accepted()).await;
    let mut running = Running::new(&pager(&address));
    running.incident(&incident(3));
    let mut events = vec![seen.recv().await.unwrap().json()];
    let claimed = IncidentChange { claimed_by: Label::from("ana"), ..incident(3) };
    running.incident(&claimed);
    events.push(seen.recv().await.unwrap().json());
    running.incident(&resolved(&claimed, at(60_000)));
    events.push(seen.recv().await.unwrap().json());
    running.stop().await;
    let actions: Vec<_> = events.iter().map(|e| e["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"]);
    assert!(events.iter().all(|e| e["dedup_key"] == events[0]["dedup_key"]));
    assert!(seen.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_pause_gets_it() {
    let status = Arc::new(AtomicU16::new(429));
    let now = Arc::clone(&status);
    let script: Script = Arc::new(move |_| {
        (now.load(Ordering::Relaxed), "retry-after: 90\r\n".to_owned(), Vec::new())
    });
    let (address, mut seen) = http(script).await;
    let mut running = Running::new(&chat(&address, Chat::Slack));
    running.incident(&incident(3));
    seen.recv().await.unwrap();
    let began = Instant::now();
    seen.recv().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(90), "{:?}", began.elapsed());
    status.store(200, Ordering::Relaxed);
    seen.recv().await.unwrap();
    running.stop().await;
    assert_eq!(running.sinks.notices(), 1);
}

#[tokio::test]
async fn a_failure_behind_a_good_status_is_no_delivery() {
    let text = "Webhook message delivery failed with error: Microsoft Teams endpoint returned \
                HTTP error 429 with ContextId x";
    let (address, mut seen) = http(Arc::new(move |_| (200, String::new(), text.into()))).await;
    let mut running = Running::new(&chat(&address, Chat::Teams));
    running.incident(&incident(3));
    assert_eq!(running.own.recv().await.unwrap().detail.as_str(), "http-429");
    assert_eq!(seen.recv().await.unwrap().json()["type"], "message");
    running.stop().await;
    assert_eq!(running.sinks.notices(), 0);
}

#[tokio::test(start_paused = true)]
async fn routes_lead_to_their_notifiers_and_further_when_nobody_takes_it() {
    let (first, mut first_seen) = http(ok()).await;
    let (second, mut second_seen) = http(ok()).await;
    let hook = |name: &str, address: &str| NotifierConfig::webhook(name, Target::new(address));
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let route = RouteConfig {
        notifiers: vec!["team".to_owned()],
        updates: Some(minutes(30)),
        escalate: Some(Escalation { after: minutes(15), to: vec!["boss".to_owned()] }),
        ..RouteConfig::default()
    };
    let config = SinksConfig {
        notifiers: vec![hook("team", &first), hook("boss", &second)],
        routes: vec![route],
        ..SinksConfig::default()
    };
    let told: Arc<Mutex<Vec<Delivered>>> = Arc::default();
    let hear = Arc::clone(&told);
    let mut running = Running::with(&config, |deps| {
        deps.told = Arc::new(move |one| hear.lock().unwrap().push(one.clone()));
    });
    let began = Instant::now();
    running.incident(&incident(3));
    assert_eq!(first_seen.recv().await.unwrap().json()["event"], "open");
    assert_eq!(second_seen.recv().await.unwrap().json()["event"], "escalated");
    let waited = began.elapsed().as_secs();
    assert!((900..930).contains(&waited), "{waited}");
    assert_eq!(first_seen.recv().await.unwrap().json()["event"], "repeat");
    let waited = began.elapsed().as_secs();
    assert!((1_800..1_830).contains(&waited), "{waited}");
    running.incident(&resolved(&incident(3), at(1_900_000)));
    assert_eq!(first_seen.recv().await.unwrap().json()["event"], "resolved");
    assert_eq!(second_seen.recv().await.unwrap().json()["event"], "resolved");
    running.stop().await;
    let told = told.lock().unwrap();
    let whys: Vec<_> = told.iter().map(|t| (t.notifier.as_str(), t.why)).collect();
    assert_eq!(whys[..2], [("team", "open"), ("boss", "escalated")]);
    assert!(told.iter().all(|one| one.incident == 3) && told.len() == 5, "{told:?}");
    assert!(running.number("feedpulse_notify_seconds", &[("notifier", "team")]).is_some());
}
