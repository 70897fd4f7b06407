//! A receiver that never answers, for long: memory stays within its bounds, and each message that
//! leaves it is told of, once.

use super::answers::NOTED_MAX;
use super::ends::{ENDED_MAX, LEARNED_MAX};
use super::kinds::KINDS_MAX;
use super::ledger::{HEADS_MAX, MEMORY_MAX};
use super::sequence::FOLLOWED_MAX;
use super::skew::SENDERS_MAX;
use super::state::State;
use super::tests::{ack, message};
use super::{CONNECTIONS_MAX, Engine, JOURNEYS_MAX, OPEN_MAX};
use crate::effect::{Effect, Effects, JourneyEnd};
use crate::frame::{ConnectionId, WaypointId};
use crate::input::Input;
use crate::key::MessageKey;
use crate::label::Label;
use crate::order::{PatientEvent, PatientMark, ResultMark, ResultStatus};
use crate::plan::{Plan, Route, Waypoint};
use crate::sighting::{AckCode, MessageSeen, Outcome, Seen, Sighting, Urgency};
use crate::time::Timestamp;
use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

/// Messages of a second.
const RATE: u64 = 1_000;
/// So that the tables of these tests are filled and turned over, as the real ones are by a day.
const SECONDS: u64 = 150;
/// What must have been full.
const FILLED: [&str; 10] = [
    "journeys",
    "ended",
    "kinds",
    "results",
    "patients",
    "clocks",
    "feeds",
    "entries",
    "memory",
    "connections",
];
/// Sending applications: more than are kept apart.
const SENDERS: u64 = 6_000;
const FEEDS_MAX: usize = 50;
const SERIES_MAX: usize = 40;
/// Connections that are opened and whose end is not seen, one after the other.
const CONNECTIONS: u64 = 3 * CONNECTIONS_MAX as u64;

/// One route with the default times of `feedpulse.yaml`.
fn plan() -> Plan {
    Plan {
        waypoints: vec![Waypoint::new("engine-in"), Waypoint::new("portal-in")],
        routes: vec![Route { name: "main".into(), waypoints: vec![WaypointId(0), WaypointId(1)] }],
        journey_expiry: Duration::from_secs(900),
        rollup: Duration::from_secs(60),
        feeds_max: FEEDS_MAX,
        series_max: SERIES_MAX,
        ..Plan::default()
    }
}

struct Day {
    engine: Engine,
    fx: Effects,
    now: Timestamp,
    told: HashSet<MessageKey>,
    unanswered: u64,
}

impl Day {
    fn new() -> Self {
        let mut day = Self {
            engine: Engine::new(),
            fx: Effects::default(),
            now: Timestamp::from_secs(1_000_000),
            told: HashSet::new(),
            unanswered: 0,
        };
        day.apply(Input::Configure(Arc::new(plan())));
        day
    }

    fn apply(&mut self, input: Input) {
        self.engine.apply(self.now, &input, &mut self.fx);
        for (_, effect) in self.fx.drain() {
            let Effect::Journey(record) = effect else { continue };
            assert!(self.told.insert(record.key), "told twice");
            let gone = [JourneyEnd::Unknown, JourneyEnd::Failed(Outcome::NoAck)];
            self.unanswered += u64::from(gone.contains(&record.end));
        }
    }

    fn see(&mut self, waypoint: u16, connection: u64, what: Seen) {
        let (waypoint, connection) = (WaypointId(waypoint), ConnectionId(connection));
        self.apply(Input::Seen(Sighting { at: self.now, waypoint, connection, what }));
    }

    fn second(&mut self) {
        self.apply(Input::Alive(WaypointId(0)));
        self.apply(Input::Alive(WaypointId(1)));
        self.apply(Input::Tick);
    }

    /// A message of which each thing that the engine follows differs from most others'.
    fn message(n: u64) -> MessageSeen {
        let id = format!("N{n}");
        let mut seen = message(&id, &id);
        seen.sender = Label::from(format!("S{}", n % SENDERS).as_str());
        seen.body = n;
        seen.made = None;
        seen.order.results[0] = Some(ResultMark { test: n, status: ResultStatus::Final });
        seen.order.patient = Some(PatientMark {
            patient: n,
            event: PatientEvent::Update,
            at: Some(Timestamp::EPOCH),
        });
        if n.is_multiple_of(3) {
            seen.urgency = Urgency::Critical;
        }
        seen
    }

    /// Accepted at the first waypoint, and seen at the second.
    fn passes(&mut self, n: u64) {
        let (id, connection) = (format!("N{n}"), n % CONNECTIONS);
        self.see(0, connection, Seen::Message(Self::message(n)));
        self.see(0, connection, Seen::Ack(ack(&id, AckCode::AA)));
        self.see(1, connection, Seen::Message(Self::message(n)));
    }

    fn within_bounds(&self) {
        for (what, held, most) in held(self.engine.checkpoint()) {
            assert!(held <= most, "{what}: {held} of {most}");
        }
    }
}

/// Everything that grows with messages: how many it holds and may hold.
fn held(s: &State) -> Vec<(&'static str, usize, usize)> {
    let timers = s.journey_timers.seconds.values().map(Vec::len).sum();
    let mut held = vec![
        ("journeys", s.journeys.slots.len(), JOURNEYS_MAX),
        ("free journeys", s.journeys.free.len(), JOURNEYS_MAX),
        ("timers", timers, s.journeys.len()),
        ("ended", s.ended.list.len(), ENDED_MAX),
        ("kinds", s.kinds.len(), KINDS_MAX),
        ("results", s.sequence.results.len(), FOLLOWED_MAX),
        ("patients", s.sequence.patients.len(), FOLLOWED_MAX),
        ("clocks", s.clocks.senders.len(), SENDERS_MAX),
        // One more each for the rest.
        ("feeds", s.feeds.len(), FEEDS_MAX + 1),
        ("series", s.series.sets.len(), SERIES_MAX + FEEDS_MAX + 1),
        ("incidents", s.incidents.len(), FEEDS_MAX + 3),
        ("resolved", s.resolved.len(), 100),
        ("signatures", s.signatures.len(), 1_024),
        ("changes", s.changes.len(), 256),
        ("heard", s.heard.len(), 256),
        ("remarks", s.remarks.len(), FEEDS_MAX + 203),
        ("notices", s.notices.len(), FEEDS_MAX + 203),
        ("would-be notices", s.would_be.len(), 1_024),
        ("profiles", s.profiles.len(), 2_000),
    ];
    for w in &s.waypoints {
        held.extend([
            ("entries", w.entries.slots.len(), OPEN_MAX),
            ("deadlines", w.deadlines.len(), 2 * OPEN_MAX + 65),
            ("application deadlines", w.application_deadlines.len(), 2 * OPEN_MAX + 65),
            ("memory", w.memory.list.len(), MEMORY_MAX),
            ("heads", w.heads.len(), HEADS_MAX),
            ("noted", w.noted.len(), NOTED_MAX + 1),
            ("connections", w.connections.len(), CONNECTIONS_MAX),
            ("answers", w.answers.len(), 64),
            ("minutes", w.usual.minutes.len(), 60),
            ("versions", w.usual.versions.len(), 256),
            ("shapes", w.usual.shapes.len(), 128),
            ("news of shapes", w.drift.len(), 48),
            ("kinds answered", w.usual.kinds.len(), 256),
            ("unanswered", w.unanswered.at.len(), 64),
        ]);
    }
    for f in &s.feeds {
        held.extend([
            ("queue", f.queue.len(), 2 * JOURNEYS_MAX + 65),
            ("urgent", f.urgent.len(), 2 * JOURNEYS_MAX + 65),
            ("learned", f.learned.len(), LEARNED_MAX),
            ("looks", f.looks.len(), 24),
            ("urgent ages", f.aged.urgent.at.len(), 64),
            ("history", f.history.len(), 60),
        ]);
    }
    held
}

/// What is bounded, and was full at some time: the test went beyond it.
fn full(s: &State) -> Vec<&'static str> {
    let full = held(s).into_iter().filter(|(_, held, most)| held == most && *most > 0);
    full.map(|(what, ..)| what).collect()
}

#[test]
fn a_receiver_that_never_answers_fills_no_memory_and_hides_no_message() {
    let (mut day, mut reached) = (Day::new(), HashSet::new());
    let mut sent = 0;
    for _ in 0..SECONDS {
        for _ in 0..RATE {
            day.passes(sent);
            sent += 1;
        }
        day.now = day.now.plus(Duration::from_secs(1));
        day.second();
        day.within_bounds();
        reached.extend(full(day.engine.checkpoint()));
    }
    for what in FILLED {
        assert!(reached.contains(what), "{what} was never full");
    }
    let state = day.engine.checkpoint();
    assert!(state.journeys_shed > 0 && state.totals.adds_up());
    assert_eq!(day.told.len() as u64 + state.journeys.len() as u64, sent, "in flight or told");
    assert_eq!(day.unanswered, day.told.len() as u64, "none is called delivered");
    let ended: u64 = state.totals.outcomes.iter().sum();
    assert_eq!(ended + state.totals.open, 2 * sent);
    // Then nothing more comes: all that was in flight is told of.
    for _ in 0..1_000 {
        day.now = day.now.plus(Duration::from_secs(1));
        day.second();
    }
    let state = day.engine.checkpoint();
    assert_eq!((day.told.len() as u64, state.totals.open), (sent, 0));
    assert!(state.journeys.is_empty() && state.journey_timers.seconds.is_empty());
}

#[test]
fn one_that_waits_does_not_hold_up_the_queues() {
    let mut day = Day::new();
    day.passes(0);
    for n in 1..10_000 {
        day.passes(n);
        day.see(1, n % CONNECTIONS, Seen::Ack(ack(&format!("N{n}"), AckCode::AA)));
    }
    let state = day.engine.checkpoint();
    assert_eq!((day.told.len(), state.journeys.len()), (9_999, 1));
    assert!(state.waypoints.iter().all(|w| w.deadlines.len() <= 70));
    assert!(state.feeds.iter().all(|f| f.queue.len() <= 70 && f.urgent.len() <= 70));
}
