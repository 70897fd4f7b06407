//! Who comes to a link, how its connections die, and answers to tries that were given up.

use super::{Bench, ack, message, plan};
use crate::codes::{Code, Severity};
use crate::effect::{Effect, JourneyEnd};
use crate::frame::WaypointId;
use crate::input::Input;
use crate::label::Label;
use crate::plan::{PeerNet, Plan};
use crate::sighting::{AckCode, AckCondition, AckMode, LinkEvent, Outcome, Seen};
use core::net::IpAddr;
use core::time::Duration;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What was found under a code, each once: its detail, and how loud.
fn found(bench: &Bench, code: Code) -> Vec<(String, Severity)> {
    let mut all: Vec<(String, Severity)> = Vec::new();
    for (_, effect) in &bench.all {
        let Effect::Incident(change) = effect else { continue };
        for finding in change.findings.iter().filter(|f| f.code == code) {
            let said = (finding.detail.as_str().to_owned(), finding.severity);
            if !all.contains(&said) {
                all.push(said);
            }
        }
    }
    all
}

impl Bench {
    /// Much later: one look each quarter of an hour.
    fn later(&mut self, seconds: u64) {
        for _ in 0..seconds / 900 {
            self.now = self.now.plus(Duration::from_secs(900));
            for w in 0..2 {
                self.apply(Input::Alive(WaypointId(w)));
            }
            self.apply(Input::Tick);
        }
    }

    /// A connection from an address, and a message on it if that has an id.
    fn connect(&mut self, on: u64, from: &str, id: &str) {
        self.see(0, on, Seen::Link(LinkEvent::Opened));
        self.see(0, on, Seen::Link(LinkEvent::Peer(ip(from))));
        if !id.is_empty() {
            self.send(0, on, id, id);
            self.answer(0, on, id, AckCode::AA);
        }
        self.pass(2);
    }
}

#[test]
fn a_peer_is_noted_once_when_it_sends_and_was_never_seen() {
    let mut bench = Bench::new();
    bench.connect(1, "10.0.0.1", "A1");
    bench.connect(2, "::ffff:10.0.0.2", "A2");
    bench.later(8 * DAY);
    bench.connect(3, "10.0.0.2", "A3");
    bench.connect(4, "10.66.0.1", "");
    assert_eq!(found(&bench, Code::UnknownPeer), [], "known, and one that says nothing");
    bench.connect(5, "10.66.0.2", "A5");
    bench.connect(6, "10.66.0.2", "A6");
    assert_eq!(found(&bench, Code::UnknownPeer), [("10.66.0.2".to_owned(), Severity::Note)]);
    for n in 0..20 {
        bench.connect(100 + n, &format!("10.77.0.{n}"), &format!("B{n}"));
        bench.later(HOUR);
    }
    let said = found(&bench, Code::UnknownPeer);
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[2], ("they change here: state `peers`".to_owned(), Severity::Note));
}

#[test]
fn a_peer_outside_the_stated_ones_is_a_ticket_at_once() {
    let mut here = plan();
    here.waypoints[0].peers = vec![PeerNet::parse("10.0.0.0/24").unwrap()];
    let mut bench = Bench::with(here);
    bench.connect(1, "10.0.0.7", "A1");
    assert_eq!(found(&bench, Code::UnknownPeer), []);
    bench.connect(2, "10.0.1.7", "");
    assert_eq!(found(&bench, Code::UnknownPeer), [("10.0.1.7".to_owned(), Severity::Ticket)]);
}

/// Messages of any sender belong to the feed.
fn open_plan() -> Plan {
    let mut plan = plan();
    plan.feeds[0].senders.clear();
    plan
}

#[test]
fn an_application_is_told_once_when_it_was_never_seen() {
    let mut bench = Bench::with(open_plan());
    let mut number = 0;
    let mut send = |bench: &mut Bench, sender: &str, facility: &str, to: &str| {
        number += 1;
        let id = format!("A{number}");
        let mut sent = message(&id, &id);
        (sent.sender, sent.sender_facility) = (Label::from(sender), Label::from(facility));
        sent.receiver = Label::from(to);
        bench.see(0, 1, Seen::Message(sent));
        bench.answer(0, 1, &id, AckCode::AA);
        bench.pass(2);
    };
    for _ in 0..110 {
        send(&mut bench, "LAB", "NORTH", "PORTAL");
    }
    send(&mut bench, "RAD", "NORTH", "PORTAL");
    bench.later(8 * DAY);
    send(&mut bench, "RAD", "NORTH", "PORTAL");
    assert_eq!(found(&bench, Code::UnknownApplication), []);
    send(&mut bench, "LABTEST", "NORTH", "PORTAL");
    send(&mut bench, "LABTEST", "NORTH", "PORTAL");
    bench.later(HOUR);
    send(&mut bench, "LAB", "SOUTH", "PORTAL");
    bench.later(HOUR);
    send(&mut bench, "LAB", "NORTH", "PORTAL2");
    let said = [
        ("LABTEST".to_owned(), Severity::Ticket),
        ("LAB at SOUTH".to_owned(), Severity::Note),
        ("PORTAL2 at -".to_owned(), Severity::Note),
    ];
    assert_eq!(found(&bench, Code::UnknownApplication), said);
}

#[test]
fn an_application_of_an_undeclared_feed_is_told_as_that() {
    let mut bench = Bench::new();
    for n in 0..110 {
        bench.send(0, 1, &format!("A{n}"), &format!("A{n}"));
        bench.answer(0, 1, &format!("A{n}"), AckCode::AA);
        bench.pass(2);
    }
    bench.later(8 * DAY);
    let mut sent = message("B1", "B1");
    sent.sender = Label::from("ROGUE");
    bench.see(0, 1, Seen::Message(sent));
    bench.pass(2);
    assert_eq!(found(&bench, Code::UnknownApplication), []);
    assert_eq!(found(&bench, Code::UnknownFeed).len(), 1);
}

#[test]
fn connections_that_die_without_a_word_are_named() {
    let mut bench = Bench::new();
    for n in 0..3 {
        bench.see(1, n, Seen::Link(LinkEvent::Opened));
        bench.send(1, n, &format!("A{n}"), &format!("A{n}"));
        bench.pass(12);
        bench.see(1, n, Seen::Link(LinkEvent::HalfOpen { receiver: true }));
        // The sender gives up and connects anew: that works.
        bench.see(1, 50 + n, Seen::Link(LinkEvent::Opened));
        bench.send(1, 50 + n, &format!("A{n}"), &format!("A{n}"));
        bench.answer(1, 50 + n, &format!("A{n}"), AckCode::AA);
        bench.pass(600);
        bench.see(1, n, Seen::Link(LinkEvent::TimedOut { receiver: true }));
    }
    let said = found(&bench, Code::ConnectionLost);
    assert_eq!(said, [("half-open".to_owned(), Severity::Ticket)]);
    let clue = |effect: &Effect| match effect {
        Effect::Incident(change) => {
            let cause = change.story.cause.as_ref();
            cause.is_some_and(|cause| cause.clues.contains(&crate::cause::Clue::HalfOpen))
        }
        _ => false,
    };
    assert!(bench.all.iter().any(|(_, effect)| clue(effect)), "its cause is the network");
    assert_eq!(bench.engine.checkpoint().waypoints[1].half_open.at.len(), 3, "each once");
}

#[test]
fn idle_connections_that_die_lose_nothing_and_are_no_finding() {
    let mut bench = Bench::new();
    for n in 0..10 {
        bench.see(1, n, Seen::Link(LinkEvent::Opened));
        bench.see(1, n, Seen::Link(LinkEvent::HalfOpen { receiver: n % 2 == 0 }));
        bench.pass(60);
        bench.see(1, n, Seen::Link(LinkEvent::TimedOut { receiver: n % 2 == 0 }));
    }
    assert_eq!(found(&bench, Code::ConnectionLost), []);
    assert!(bench.engine.checkpoint().waypoints[1].connections.is_empty());
}

#[test]
fn a_host_that_vanished_says_so() {
    let mut bench = Bench::new();
    bench.see(1, 1, Seen::Link(LinkEvent::Opened));
    bench.send(1, 1, "A1", "A1");
    bench.pass(8);
    bench.see(1, 1, Seen::Link(LinkEvent::HalfOpen { receiver: true }));
    for n in 2..6 {
        bench.see(1, n, Seen::Link(LinkEvent::Unreachable));
        bench.pass(5);
    }
    let said = found(&bench, Code::ReceiverDown);
    assert!(said.iter().all(|(detail, _)| detail == "unreachable, half-open"), "{said:?}");
    assert!(!said.is_empty());
}

#[test]
fn a_late_refusal_of_a_try_that_was_given_up_is_not_the_latest_ones() {
    let mut bench = Bench::new();
    let mut sent = message("A1", "F1");
    sent.ack_mode = AckMode { accept: AckCondition::Always, application: AckCondition::Always };
    for _ in 0..2 {
        bench.see(1, 1, Seen::Message(sent.clone()));
        bench.pass(4);
    }
    bench.answer(1, 1, "A1", AckCode::CA);
    bench.answer(1, 1, "A1", AckCode::CR);
    bench.pass(1);
    bench.answer(1, 1, "A1", AckCode::AA);
    bench.pass(5);
    assert_eq!(bench.outcome(Outcome::Rejected), 0);
    assert_eq!((bench.outcome(Outcome::NoAck), bench.outcome(Outcome::Accepted)), (1, 1));
    assert_eq!(bench.engine.view().class(crate::class::AckClass::Late), 1);
    assert!(matches!(bench.journeys()[..], [(JourneyEnd::Delivered(_), _)]));
    // The only try is committed and refused: its receiver takes that back.
    let mut bench = Bench::new();
    bench.see(1, 1, Seen::Message(sent));
    bench.answer(1, 1, "A1", AckCode::CA);
    bench.see(1, 1, Seen::Ack(ack("A1", AckCode::CR)));
    assert_eq!(bench.outcome(Outcome::Rejected), 1);
}

#[test]
fn no_answer_on_a_half_open_connection_is_no_hanging_program() {
    let mut bench = Bench::new();
    bench.see(1, 1, Seen::Link(LinkEvent::Opened));
    for n in 0..4 {
        bench.send(1, 1, &format!("A{n}"), &format!("A{n}"));
        bench.pass(1);
    }
    bench.pass(6);
    bench.see(1, 1, Seen::Link(LinkEvent::HalfOpen { receiver: true }));
    bench.pass(20);
    let said = found(&bench, Code::NoAck);
    assert!(!said.is_empty() && said.iter().all(|(d, _)| d == "half-open"), "{said:?}");
    let causes = bench.all.iter().filter_map(|(_, effect)| match effect {
        Effect::Incident(change) => change.story.cause.clone(),
        _ => None,
    });
    let clues: Vec<_> = causes.flat_map(|cause| cause.clues).collect();
    assert!(!clues.contains(&crate::cause::Clue::TakesAndIsSilent), "{clues:?}");
    assert!(clues.contains(&crate::cause::Clue::Vanished), "{clues:?}");
}
