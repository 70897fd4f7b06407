//! A drill reaches every notifier, whatever the routes and the severities say, and says what it is.

use super::servers::{Seen, http, ok};
use super::smtp::{Smtp, mail_config};
use super::{Running, at, incident, resolved};
use crate::Secret;
use crate::config::{
    AlertmanagerConfig, Chat, NotifierConfig, RouteConfig, Security, SinksConfig, Speech, Target,
};
use core::time::Duration;
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::IncidentChange;
use tokio::sync::mpsc;

/// The next post that holds an alert.
async fn alert(seen: &mut mpsc::Receiver<Seen>) -> serde_json::Value {
    loop {
        let posted = seen.recv().await.unwrap().json();
        if let Some(alert) = posted.get(0) {
            return alert.clone();
        }
    }
}

#[tokio::test]
async fn a_drill_reaches_all_that_the_routes_leave_out_and_says_what_it_is() {
    let mut smtp = Smtp::start(None).await;
    let (slack, mut slack_seen) = http(ok()).await;
    let (pager, mut pager_seen) = http(ok()).await;
    let (hook, mut hook_seen) = http(ok()).await;
    let (replica, mut replica_seen) = http(ok()).await;
    let mut alertmanager = AlertmanagerConfig::new(vec![Target::new(&replica)]);
    alertmanager.min_severity = Severity::Page;
    let mut chat = NotifierConfig::new("chat", Target::new(&slack), Speech::Chat(Chat::Slack));
    chat.min_severity = Severity::Page;
    let mut mail = mail_config(&smtp, Security::None);
    mail.min_severity = Severity::Page;
    let routing_key = Secret::new("k".repeat(32));
    let config = SinksConfig {
        alertmanagers: vec![alertmanager],
        notifiers: vec![
            chat,
            mail,
            // Takes pages, as it does by default.
            NotifierConfig::new("pager", Target::new(&pager), Speech::Pager { routing_key }),
            NotifierConfig::webhook("webhook", Target::new(&hook)),
        ],
        // Nobody hears of anything; and what is heard of waits.
        routes: vec![RouteConfig { wait: Duration::from_secs(600), ..RouteConfig::default() }],
        ..SinksConfig::default()
    };
    let mut running = Running::new(&config);
    let ticket = IncidentChange { severity: Severity::Ticket, ..incident(3) };
    let mut drill = IncidentChange { id: 4, ..ticket.clone() };
    drill.story.drill = true;
    running.incident(&ticket);
    running.incident(&drill);

    let said = slack_seen.recv().await.unwrap().json();
    assert!(said["text"].as_str().unwrap().starts_with("DRILL: TICKET"), "{said:#}");
    let head = &said["blocks"][0]["text"]["text"];
    assert!(head.as_str().unwrap().starts_with("DRILL: "), "{said:#}");
    let event = pager_seen.recv().await.unwrap().json();
    assert_eq!(event["event_action"], "trigger");
    let summary = event["payload"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("DRILL: "), "{event:#}");
    let open = smtp.mails.recv().await.unwrap();
    assert!(open.text.contains("Subject: DRILL: "), "{}", open.text);
    assert!(open.text.contains("DRILL: TICKET"), "the text too: {}", open.text);
    let notice = hook_seen.recv().await.unwrap().json();
    assert_eq!((&notice["id"], &notice["drill"]), (&4.into(), &true.into()), "{notice:#}");
    let told = alert(&mut replica_seen).await;
    assert_eq!(told["labels"]["incident"], "4");
    assert!(told["annotations"]["title"].as_str().unwrap().starts_with("DRILL: "), "{told:#}");

    running.incident(&resolved(&ticket, at(60_000)));
    running.incident(&resolved(&drill, at(60_000)));
    let said = slack_seen.recv().await.unwrap().json();
    assert!(said["text"].as_str().unwrap().starts_with("DRILL: RESOLVED"), "{said:#}");
    let end = pager_seen.recv().await.unwrap().json();
    assert_eq!((&end["event_action"], &end["dedup_key"]), (&"resolve".into(), &event["dedup_key"]));
    assert!(smtp.mails.recv().await.unwrap().text.contains("DRILL: RESOLVED"));
    assert_eq!(hook_seen.recv().await.unwrap().json()["event"], "resolved");
    running.stop().await;
    // Of the ticket nobody heard.
    assert!(slack_seen.try_recv().is_err() && pager_seen.try_recv().is_err());
    assert!(smtp.mails.try_recv().is_err() && hook_seen.try_recv().is_err());
}
