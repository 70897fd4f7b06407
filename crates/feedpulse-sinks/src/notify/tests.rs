//! What is told when: the boards, without a network.

use super::alertmanager::{Board as AlertBoard, Style};
use super::notices::{Board, Rules};
use super::outbox::Outbox;
use super::routes::Terms;
use super::text;
use super::{Counts, INCIDENTS_MAX};
use crate::tests::{T0, at, incident, resolved};
use core::time::Duration;
use feedpulse_codec::Why;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::finding::Subject;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::Registry;
use std::sync::Arc;

fn counts() -> Counts {
    Counts::new(&Registry::default(), "test")
}

fn alerts() -> AlertBoard {
    let shared = text::Style {
        site: "north".to_owned(),
        runbook_base: "https://docs.example/codes/".to_owned(),
        page_base: "https://pulse.example".to_owned(),
        ..text::Style::default()
    };
    let style = Style {
        shared: Arc::new(shared),
        labels: vec![("team".to_owned(), "interfaces".to_owned())],
        resend: Duration::from_secs(60),
        min_severity: Some(Severity::Ticket),
    };
    AlertBoard::new(style, counts())
}

fn rules() -> Rules {
    Rules {
        place: "test".to_owned(),
        repeat: Duration::from_secs(4 * 3600),
        min_severity: Severity::Ticket,
        tells_claims: false,
    }
}

fn notices() -> Arc<Board> {
    Board::new(rules(), Outbox::default(), counts())
}

/// Told at once.
const NOW: Option<Terms> = Some(Terms { from: T0, updates: None, escalated: false });

fn with(change: IncidentChange, severity: Severity, code: Code) -> IncidentChange {
    IncidentChange { severity, code, ..change }
}

/// Takes everything that is due and says what it was.
fn told(board: &Board, millis: u64) -> Vec<Why> {
    let due = board.due(at(millis));
    due.iter().for_each(|notice| board.delivered(notice, at(millis)));
    due.into_iter().map(|notice| notice.why).collect()
}

#[test]
fn an_alert_is_golden() {
    let board = alerts();
    let mut change = incident(3);
    change.claimed_by = Label::from("ana");
    board.offer(&change, NOW, at(0), false);
    let shown = serde_json::to_value(&board.lock().batch(at(1_500)).alerts).unwrap();
    let text = Code::ReceiverDown.text();
    let expected = serde_json::json!([{
        "labels": {
            "alertname": "FP0104",
            "incident": "3",
            "severity": "page",
            "site": "north",
            "subject": "waypoint portal-in",
            "team": "interfaces",
            "waypoint": "portal-in",
        },
        "annotations": {
            "claimed_by": "ana",
            "description": text.means,
            "findings": "FP0104 The receiver cannot be reached (refused)",
            "remedy": text.remedy,
            "runbook_url": "https://docs.example/codes/FP0104",
            "summary": "portal-in cannot be reached since 14:13, 3 messages wait",
            "title": "The receiver cannot be reached",
            "urgent": "2",
        },
        "startsAt": "2026-09-21T14:13:20Z",
        "endsAt": "2026-09-21T14:17:21.500000Z",
        "generatorURL": "https://pulse.example/incidents/3",
    }]);
    assert_eq!(shown, expected);
}

#[test]
fn quiet_pending_and_muted_incidents_are_not_told() {
    let (alerts, notices) = (alerts(), notices());
    let pending = IncidentChange { state: IncidentState::Pending, ..incident(1) };
    let quiet = with(incident(2), Severity::Note, Code::UnknownFeed);
    let muted = IncidentChange { muted_until: Some(at(10_000)), ..incident(3) };
    for change in [&pending, &quiet, &muted, &resolved(&quiet, at(1)), &resolved(&pending, at(1))] {
        alerts.offer(change, NOW, at(0), false);
        notices.offer(change, NOW, at(0));
    }
    assert!(alerts.lock().batch(at(9_999)).alerts.is_empty());
    assert!(told(&notices, 9_999).is_empty());
    assert_eq!(alerts.lock().batch(at(10_000)).alerts.len(), 1, "the mute is over");
    assert_eq!(told(&notices, 10_000), [Why::Open]);
}

#[test]
fn a_mute_stops_updates_but_neither_ends_the_alert_nor_hides_its_end() {
    let (alerts, notices) = (alerts(), notices());
    let ticket = with(incident(3), Severity::Ticket, Code::AckSlow);
    alerts.offer(&ticket, NOW, at(0), false);
    notices.offer(&ticket, NOW, at(0));
    let batch = alerts.lock().batch(at(0));
    alerts.lock().taken(&batch);
    assert_eq!(told(&notices, 0), [Why::Open]);
    let muted = IncidentChange { muted_until: Some(at(100_000_000)), ..ticket };
    alerts.offer(&muted, NOW, at(1), false);
    notices.offer(&with(muted.clone(), Severity::Page, Code::AckSlow), NOW, at(1));
    assert_eq!(alerts.lock().batch(at(2)).alerts.len(), 1, "else it would be declared over");
    assert!(told(&notices, 20_000_000).is_empty());
    notices.offer(&resolved(&muted, at(20_000_000)), NOW, at(20_000_000));
    assert_eq!(told(&notices, 20_000_000), [Why::Over]);
}

#[test]
fn an_end_is_only_told_of_what_was_told() {
    let (alerts, notices) = (alerts(), notices());
    alerts.offer(&resolved(&incident(1), at(0)), NOW, at(0), false);
    notices.offer(&resolved(&incident(1), at(0)), NOW, at(0));
    // Lost on its way: as if never told.
    alerts.offer(&incident(2), NOW, at(0), false);
    let batch = alerts.lock().batch(at(0));
    alerts.lock().lost(&batch);
    alerts.offer(&resolved(&incident(2), at(1)), NOW, at(1), false);
    assert!(alerts.lock().batch(at(2)).alerts.is_empty());
    // Over while the post was on its way: if it arrived, so must the end.
    alerts.offer(&incident(3), NOW, at(0), false);
    let batch = alerts.lock().batch(at(0));
    alerts.offer(&resolved(&incident(3), at(1)), NOW, at(1), false);
    alerts.lock().taken(&batch);
    assert_eq!(alerts.lock().batch(at(2)).alerts.len(), 1);
    assert!(told(&notices, 0).is_empty());
    // A webhook hears of both when it comes back.
    notices.offer(&incident(4), NOW, at(0));
    notices.offer(&resolved(&incident(4), at(1)), NOW, at(1));
    assert_eq!(told(&notices, 2), [Why::Open, Why::Over]);
    assert!(told(&notices, 100_000_000).is_empty());
}

#[test]
fn a_new_identity_ends_the_former_alert() {
    let board = alerts();
    let slow = with(incident(3), Severity::Ticket, Code::AckSlow);
    board.offer(&slow, NOW, at(0), false);
    let batch = board.lock().batch(at(0));
    board.lock().taken(&batch);
    board.offer(&incident(3), NOW, at(5_000), false);
    for round in 0..3 {
        let batch = board.lock().batch(at(6_000 + round));
        let shown: Vec<_> = batch
            .alerts
            .iter()
            .map(|a| (a.labels["alertname"].as_str(), a.ends_at.get(..19).unwrap_or_default()))
            .collect();
        assert_eq!(shown[0], ("FP0101", "2026-09-21T14:13:25"), "ended when it changed");
        assert_eq!(shown[1], ("FP0104", "2026-09-21T14:17:26"), "fires");
        board.lock().taken(&batch);
    }
    assert_eq!(board.lock().batch(at(7_000)).alerts.len(), 1, "the former end was said thrice");
}

#[test]
fn severity_that_rises_is_told_once() {
    let board = notices();
    let ticket = with(incident(3), Severity::Ticket, Code::AckSlow);
    board.offer(&ticket, NOW, at(0));
    assert_eq!(told(&board, 0), [Why::Open]);
    board.offer(&IncidentChange { urgent: 9, ..ticket.clone() }, NOW, at(1));
    assert!(told(&board, 1).is_empty(), "a new number is no notice");
    board.offer(&incident(3), NOW, at(2));
    board.offer(&ticket, NOW, at(3));
    board.offer(&incident(3), NOW, at(4));
    assert_eq!(told(&board, 4), [Why::Rose]);
    assert!(told(&board, 5).is_empty());
    assert!(told(&board, 14_400_000).is_empty(), "four hours after the latest word, not before");
    assert_eq!(told(&board, 14_400_004), [Why::Still(1)]);
    assert_eq!(told(&board, 50_000_000), [Why::Still(2)], "one for a long outage");
}

#[test]
fn keys_follow_from_the_incident() {
    let keys = |board: &Board, millis| -> Vec<String> {
        board.due(at(millis)).iter().map(|notice| notice.key("north")).collect()
    };
    let (first, second) = (notices(), notices());
    first.offer(&incident(3), NOW, at(0));
    second.offer(&incident(3), NOW, at(3_600_000));
    assert_eq!(keys(&first, 0), keys(&second, 3_600_000));
    assert_eq!(told(&second, 3_600_000), [Why::Open]);
    // That its begin becomes known better changes no key.
    let earlier = IncidentChange { since: T0.minus(Duration::from_secs(60)), ..incident(3) };
    second.offer(&resolved(&earlier, at(3_700_000)), NOW, at(3_700_000));
    assert_eq!(keys(&second, 3_700_000), [format!("north-3-{}-resolved-0", T0.as_secs())]);
}

#[test]
fn boards_are_bounded_and_drop_what_is_over_first() {
    let (alerts, notices) = (alerts(), notices());
    let last = INCIDENTS_MAX as u64;
    for number in 1..=last {
        alerts.offer(&incident(number), NOW, at(0), false);
        notices.offer(&incident(number), NOW, at(0));
    }
    alerts.offer(&incident(last + 1), NOW, at(0), false);
    notices.offer(&incident(last + 1), NOW, at(0));
    assert_eq!(alerts.lock().batch(at(0)).alerts.len(), INCIDENTS_MAX, "all are open");
    assert_eq!(notices.due(at(0)).len(), INCIDENTS_MAX);
    alerts.offer(&resolved(&incident(9), at(1)), NOW, at(1), false);
    notices.offer(&resolved(&incident(9), at(1)), NOW, at(1));
    alerts.offer(&incident(last + 1), NOW, at(2), false);
    notices.offer(&incident(last + 1), NOW, at(2));
    let batch = alerts.lock().batch(at(2));
    let numbers: Vec<_> = batch.alerts.iter().map(|a| a.labels["incident"].as_str()).collect();
    assert!(numbers.len() == INCIDENTS_MAX && !numbers.contains(&"9"));
    assert!(notices.due(at(2)).iter().all(|notice| notice.change.id != 9));
}

#[test]
fn subjects_become_labels_of_their_kind() {
    let label = |subject, name: &str| {
        super::subject_label(&IncidentChange {
            subject,
            subject_name: name.to_owned(),
            ..incident(1)
        })
    };
    let own = Subject::Own(Label::from("otlp"));
    assert_eq!(label(own, "otlp"), ("part", "otlp".to_owned()));
    let feed = Subject::Feed(feedpulse_core::plan::FeedId(0));
    assert_eq!(label(feed, "feed adt from EPIC"), ("feed", "adt from EPIC".to_owned()));
    assert_eq!(label(feed, "feedback"), ("feed", "feedback".to_owned()));
}

/// The same terms, from a later time on.
fn from(millis: u64, escalated: bool) -> Option<Terms> {
    Some(Terms { from: at(millis), updates: Some(Duration::from_secs(1_800)), escalated })
}

#[test]
fn a_ticket_that_waits_and_becomes_a_page_is_one_notice() {
    let board = notices();
    let ticket = with(incident(3), Severity::Ticket, Code::AckSlow);
    board.offer(&ticket, from(120_000, false), at(0));
    assert!(told(&board, 119_000).is_empty());
    board.offer(&incident(3), from(0, false), at(119_500));
    assert_eq!(told(&board, 119_500), [Why::Open]);
    assert!(told(&board, 1_919_000).is_empty());
    assert_eq!(told(&board, 1_919_500), [Why::Still(1)], "at the route's rhythm");
    // Over while it waits: nobody hears of it.
    board.offer(&IncidentChange { id: 4, ..ticket.clone() }, from(120_000, false), at(0));
    board.offer(&resolved(&IncidentChange { id: 4, ..ticket }, at(1)), None, at(60_000));
    assert!(told(&board, 1_920_000).is_empty());
}

#[test]
fn a_claim_stops_an_escalation_and_is_told_once_where_that_is_wanted() {
    let board = notices();
    let claimed = IncidentChange { claimed_by: Label::from("ana"), ..incident(3) };
    board.offer(&incident(3), from(900_000, true), at(0));
    board.offer(&claimed, None, at(800_000));
    assert!(told(&board, 1_000_000).is_empty(), "somebody took it in time");
    board.offer(&IncidentChange { id: 4, ..incident(3) }, from(900_000, true), at(0));
    assert_eq!(told(&board, 900_000), [Why::Escalated]);
    board.offer(&resolved(&IncidentChange { id: 4, ..claimed.clone() }, at(1)), None, at(950_000));
    assert_eq!(told(&board, 950_000), [Why::Over], "whoever was told of the begin");
    let pager = Board::new(Rules { tells_claims: true, ..rules() }, Outbox::default(), counts());
    pager.offer(&incident(3), NOW, at(0));
    assert_eq!(told(&pager, 0), [Why::Open]);
    pager.offer(&claimed, NOW, at(1_000));
    assert_eq!(told(&pager, 1_000), [Why::Claimed]);
    pager.offer(&IncidentChange { claimed_by: Label::from("bo"), ..claimed }, NOW, at(2_000));
    assert!(told(&pager, 2_000).is_empty());
}

#[test]
fn the_end_of_a_route_does_not_hide_the_end_of_an_incident() {
    let board = notices();
    board.offer(&with(incident(3), Severity::Ticket, Code::AckSlow), NOW, at(0));
    assert_eq!(told(&board, 0), [Why::Open]);
    board.offer(&incident(3), None, at(1));
    assert_eq!(told(&board, 1), [Why::Rose], "it became a page, which others are told of now");
    board.offer(&resolved(&incident(3), at(2)), None, at(2));
    assert_eq!(told(&board, 2), [Why::Over]);
}

#[test]
fn an_alert_too_is_told_where_and_when_the_routes_say() {
    let board = alerts();
    board.offer(&incident(3), None, at(0), false);
    assert!(board.lock().batch(at(1)).alerts.is_empty(), "it is told elsewhere");
    board.offer(&incident(3), from(60_000, true), at(2), false);
    assert!(board.lock().batch(at(59_999)).alerts.is_empty(), "it is not time yet");
    let batch = board.lock().batch(at(60_000));
    assert_eq!(batch.alerts.len(), 1);
    assert_eq!(board.lock().taken(&batch)[0].1, "open");
    board.offer(&incident(3), None, at(70_000), false);
    assert_eq!(board.lock().batch(at(70_000)).alerts.len(), 1, "what fires goes on to its end");
    let mut drill = incident(4);
    drill.story.drill = true;
    board.offer(&drill, NOW, at(80_000), false);
    let alerts = board.lock().batch(at(80_000)).alerts;
    let title = &alerts.iter().find(|a| a.labels["incident"] == "4").unwrap().annotations["title"];
    assert!(title.starts_with("DRILL: "), "{title}");
}
