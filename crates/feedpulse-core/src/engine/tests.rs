//! The engine against hand-made streams: outcomes, sums, incidents, and exactness of checkpoints.

mod comers;
mod desk;
mod drift;
mod planned;
mod said;

use super::Engine;
use super::state::State;
use crate::class::AckClass;
use crate::codes::Code;
use crate::defect::Verdict;
use crate::effect::{Effect, EffectId, Effects, IncidentState, JourneyEnd};
use crate::frame::{ConnectionId, Direction, WaypointId};
use crate::input::{Blind, Input, OwnState};
use crate::key::{MessageKey, SiteKey};
use crate::label::{ControlId, Label};
use crate::lag::Withheld;
use crate::order::OrderMarks;
use crate::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Silence, Waypoint};
use crate::sighting::{
    AckCode, AckCondition, AckMode, AckSeen, FindKeys, LinkEvent, MessageSeen, Outcome, Protocol,
    ReasonClass, Seen, Sighting, Urgency,
};
use crate::time::Timestamp;
use core::time::Duration;
use std::sync::Arc;

const KEY: SiteKey = SiteKey::new([7; 16]);

fn plan() -> Plan {
    let waypoint = |name: &str| Waypoint {
        no_ack_after: Duration::from_secs(10),
        ack_time: Duration::from_secs(1),
        ..Waypoint::new(name)
    };
    Plan {
        waypoints: vec![waypoint("engine-in"), waypoint("portal-in")],
        routes: vec![Route { name: "main".into(), waypoints: vec![WaypointId(0), WaypointId(1)] }],
        feeds: vec![FeedPlan {
            name: "results".into(),
            route: RouteId(0),
            senders: vec!["LAB".into()],
            types: vec!["ORU".into()],
            objectives: Objectives {
                silence: Silence::After(Duration::from_secs(30)),
                transit: Duration::from_secs(5),
                ..Objectives::default()
            },
            ends_at: Vec::new(),
            filters: Vec::new(),
        }],
        checks: vec!["status".into()],
        defaults: Objectives::default(),
        journey_expiry: Duration::from_secs(900),
        rollup: Duration::from_secs(60),
        feeds_max: 100,
        series_max: 100,
        resolve_after: Duration::from_secs(10),
        page_after: Duration::from_secs(5),
        ..Plan::default()
    }
}

/// Drives an engine and keeps what it asked for.
struct Bench {
    engine: Engine,
    fx: Effects,
    all: Vec<(EffectId, Effect)>,
    inputs: Vec<(Timestamp, Input)>,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        Self::with(plan())
    }

    fn with(plan: Plan) -> Self {
        let mut bench = Self {
            engine: Engine::new(),
            fx: Effects::default(),
            all: Vec::new(),
            inputs: Vec::new(),
            now: Timestamp::from_secs(1_000_000),
        };
        bench.apply(Input::Configure(Arc::new(plan)));
        bench
    }

    fn apply(&mut self, input: Input) {
        self.engine.apply(self.now, &input, &mut self.fx);
        self.all.extend(self.fx.drain());
        self.inputs.push((self.now, input));
        assert!(self.engine.checkpoint().totals.adds_up());
    }

    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now = self.now.plus(Duration::from_secs(1));
            for w in 0..2 {
                self.apply(Input::Alive(WaypointId(w)));
            }
            self.apply(Input::Tick);
        }
    }

    fn see(&mut self, waypoint: u16, connection: u64, what: Seen) {
        self.apply(Input::Seen(Sighting {
            at: self.now,
            waypoint: WaypointId(waypoint),
            connection: ConnectionId(connection),
            what,
        }));
    }

    fn send(&mut self, waypoint: u16, connection: u64, id: &str, order: &str) {
        self.see(waypoint, connection, Seen::Message(message(id, order)));
    }

    fn answer(&mut self, waypoint: u16, connection: u64, id: &str, code: AckCode) {
        self.see(waypoint, connection, Seen::Ack(ack(id, code)));
    }

    fn outcome(&self, outcome: Outcome) -> u64 {
        self.engine.checkpoint().totals.outcomes[outcome as usize]
    }

    fn incidents(&self, code: Code) -> Vec<IncidentState> {
        let incidents = self.all.iter().filter_map(|(_, effect)| match effect {
            Effect::Incident(i) if i.findings.iter().any(|f| f.code == code) => Some(i.state),
            _ => None,
        });
        incidents.collect()
    }

    fn journeys(&self) -> Vec<(JourneyEnd, bool)> {
        let ended = self.all.iter().filter_map(|(_, effect)| match effect {
            Effect::Journey(journey) => Some((journey.end, journey.late)),
            _ => None,
        });
        ended.collect()
    }
}

fn journey_key(order: &str) -> Option<MessageKey> {
    let mut hasher = KEY.hasher(b'J');
    hasher.field(order.as_bytes());
    hasher.finish()
}

pub(super) fn message(id: &str, order: &str) -> MessageSeen {
    MessageSeen {
        direction: Direction::ToReceiver,
        code: Label::from("ORU"),
        trigger: Label::from("R01"),
        sender: Label::from("LAB"),
        sender_facility: Label::EMPTY,
        receiver: Label::from("PORTAL"),
        receiver_facility: Label::EMPTY,
        version: Label::from("2.5.1"),
        processing: b'P',
        control_id: ControlId::from_bytes(id.as_bytes()),
        ack_key: KEY.ack_key(id.as_bytes()),
        journey_key: journey_key(order),
        also: Vec::new(),
        find: FindKeys::default(),
        batch: None,
        protocol: Protocol::default(),
        order: OrderMarks::default(),
        body: 1,
        size: 500,
        ack_mode: AckMode::default(),
        event_time: None,
        withheld: Some(Withheld::NoTime),
        made: None,
        urgency: Urgency::Routine,
        verdict: Verdict::Readable,
        defects: Vec::new(),
        trace: None,
        software: None,
    }
}

pub(super) fn ack(id: &str, code: AckCode) -> AckSeen {
    AckSeen {
        direction: Direction::ToSender,
        code,
        ack_key: KEY.ack_key(id.as_bytes()),
        acked: ControlId::from_bytes(id.as_bytes()),
        reason: ReasonClass::None,
        error_code: Label::EMPTY,
        defects: Vec::new(),
        software: None,
    }
}

#[test]
fn a_message_through_both_waypoints_is_one_journey() {
    let mut b = Bench::new();
    b.send(0, 1, "A1", "F1");
    b.answer(0, 1, "A1", AckCode::AA);
    b.pass(1);
    b.send(1, 9, "X1", "F1");
    b.answer(1, 9, "X1", AckCode::AA);
    assert_eq!(b.journeys(), [(JourneyEnd::Delivered(Outcome::Accepted), false)]);
    assert_eq!(b.outcome(Outcome::Accepted), 2);
    let feed = &b.engine.checkpoint().feeds[0];
    assert_eq!((feed.seen, feed.backlog_total(), feed.transit.count()), (1, 0, 1));
}

#[test]
fn each_code_has_its_outcome() {
    for (code, outcome) in [
        (AckCode::AA, Outcome::Accepted),
        (AckCode::CA, Outcome::Committed),
        (AckCode::AE, Outcome::Errored),
        (AckCode::CE, Outcome::Errored),
        (AckCode::AR, Outcome::Rejected),
        (AckCode::CR, Outcome::Rejected),
    ] {
        let mut b = Bench::new();
        b.send(1, 1, "A1", "F1");
        b.answer(1, 1, "A1", code);
        assert_eq!(b.outcome(outcome), 1, "{code:?}");
    }
}

#[test]
fn a_commit_waits_for_the_application_ack_that_was_asked_for() {
    let mut b = Bench::new();
    let mut enhanced = message("A1", "F1");
    enhanced.ack_mode = AckMode { accept: AckCondition::Always, application: AckCondition::Always };
    b.see(1, 1, Seen::Message(enhanced));
    b.answer(1, 1, "A1", AckCode::CA);
    assert_eq!(b.engine.checkpoint().totals.open, 1);
    b.see(1, 1, Seen::Link(LinkEvent::Closed { bytes: 500 }));
    assert_eq!(b.engine.checkpoint().totals.open, 1, "the answer may come on another socket");
    b.answer(1, 2, "A1", AckCode::AA);
    assert_eq!(b.outcome(Outcome::Accepted), 1);
}

#[test]
fn silence_that_was_agreed_is_success() {
    let mut b = Bench::new();
    let mut quiet = message("A1", "F1");
    quiet.ack_mode = AckMode { accept: AckCondition::Never, application: AckCondition::OnError };
    b.see(1, 1, Seen::Message(quiet));
    b.pass(12);
    assert_eq!((b.outcome(Outcome::Accepted), b.outcome(Outcome::NoAck)), (1, 0));
}

#[test]
fn no_ack_is_judged_by_the_waypoints_own_time() {
    let mut b = Bench::new();
    b.send(1, 1, "A1", "F1");
    for _ in 0..60 {
        // Our clock passes, the tap is behind: its ACK may still be on its way to us.
        b.now = b.now.plus(Duration::from_secs(1));
        b.apply(Input::Tick);
    }
    assert_eq!(b.outcome(Outcome::NoAck), 0);
    b.apply(Input::Alive(WaypointId(1)));
    b.apply(Input::Tick);
    assert_eq!(b.outcome(Outcome::NoAck), 1);
    b.answer(1, 1, "A1", AckCode::AA);
    assert_eq!(b.engine.view().class(AckClass::Late), 1);
}

#[test]
fn a_lost_connection_ends_what_was_open_on_it() {
    let mut b = Bench::new();
    b.see(1, 1, Seen::Link(LinkEvent::Opened));
    b.send(1, 1, "A1", "F1");
    b.send(1, 2, "A2", "F2");
    b.see(1, 1, Seen::Link(LinkEvent::Reset { by_receiver: true }));
    assert_eq!((b.outcome(Outcome::ConnectionLost), b.engine.checkpoint().totals.open), (1, 1));
}

#[test]
fn what_fell_into_a_blind_interval_is_unknown_never_lost() {
    let mut b = Bench::new();
    b.send(1, 1, "A1", "F1");
    b.apply(Input::Blind(Blind {
        waypoint: Some(WaypointId(1)),
        from: b.now,
        to: b.now.plus(Duration::from_secs(2)),
        records: 3,
        bytes: 900,
    }));
    b.pass(12);
    assert_eq!((b.outcome(Outcome::Unknown), b.outcome(Outcome::NoAck)), (1, 0));
    assert_eq!(b.incidents(Code::Blind)[0], IncidentState::Open);
}

#[test]
fn same_id_twice_is_matched_on_its_own_connection() {
    let mut b = Bench::new();
    b.send(1, 1, "A1", "F1");
    let mut other = message("A1", "F2");
    other.body = 2;
    b.see(1, 2, Seen::Message(other));
    b.answer(1, 2, "A1", AckCode::AA);
    let waypoint = &b.engine.checkpoint().waypoints[1];
    let left: Vec<_> = waypoint.entries.iter().map(|(_, e)| e.connection.0).collect();
    assert_eq!(left, [1]);
}

#[test]
fn an_ack_without_an_id_answers_the_only_open_one() {
    let mut b = Bench::new();
    b.send(1, 1, "A1", "F1");
    let mut nameless = ack("", AckCode::AA);
    nameless.ack_key = None;
    b.see(1, 1, Seen::Ack(nameless.clone()));
    assert_eq!(b.outcome(Outcome::Accepted), 1);
    b.see(1, 1, Seen::Ack(nameless));
    assert_eq!(b.engine.view().class(AckClass::WithoutId), 2);
}

/// How often a note was said, after so many messages that ask for a mode and get AA.
fn noted(accept: AckCondition, application: AckCondition, messages: u32, code: Code) -> u32 {
    let mut b = Bench::new();
    for n in 0..messages {
        let mut sent = message(&n.to_string(), &n.to_string());
        sent.ack_mode = AckMode { accept, application };
        b.see(1, 1, Seen::Message(sent));
        b.answer(1, 1, &n.to_string(), AckCode::AA);
        b.pass(1);
    }
    let incidents = b.engine.view().incidents;
    let findings = incidents.iter().flat_map(|i| &i.findings).filter(|f| f.code == code);
    findings.map(|f| f.times).sum()
}

#[test]
fn a_link_that_answers_otherwise_than_asked_is_noted_once_per_sender() {
    use AckCondition::{Always, Empty, Never};
    for (accept, application, messages, code, times) in [
        (Always, Never, 30, Code::AckModeDiffers, 1),
        (Never, Never, 30, Code::AckModeDiffers, 1),
        (Always, Never, 10, Code::AckModeDiffers, 0),
        (Empty, Empty, 30, Code::AckModeDiffers, 0),
        (Empty, Always, 5, Code::AckModeHalf, 1),
        (Always, Empty, 5, Code::AckModeHalf, 1),
        (Empty, Empty, 5, Code::AckModeHalf, 0),
        (Always, Always, 5, Code::AckModeHalf, 0),
    ] {
        assert_eq!(noted(accept, application, messages, code), times, "{accept:?} {application:?}");
    }
}

#[test]
fn what_nobody_saw_is_no_silence_as_learned() {
    let mut learned = plan();
    learned.feeds[0].objectives.silence = Silence::Learned;
    let mut b = Bench::with(learned);
    // Three weeks of a message a minute; ticks each minute will do.
    let minute = |b: &mut Bench, n: u32, sends: bool| {
        b.now = b.now.plus(Duration::from_secs(60));
        if sends {
            let id = n.to_string();
            b.send(0, 1, &id, &id);
            b.answer(0, 1, &id, AckCode::AA);
            b.send(1, 2, &id, &id);
            b.answer(1, 2, &id, AckCode::AA);
        }
        for w in 0..2 {
            b.apply(Input::Alive(WaypointId(w)));
        }
        b.apply(Input::Tick);
        b.inputs.clear();
    };
    let weeks = 3 * 7 * 1_440;
    (0..weeks).for_each(|n| minute(&mut b, n, true));
    assert!(b.incidents(Code::Silence).is_empty());
    // Four hours of which nothing was seen, and after them ten minutes.
    let from = b.now;
    b.now = b.now.plus(Duration::from_secs(4 * 3_600));
    let to = b.now;
    b.apply(Input::Blind(Blind { waypoint: None, from, to, records: 0, bytes: 0 }));
    (0..10).for_each(|n| minute(&mut b, n, false));
    assert!(b.incidents(Code::Silence).is_empty());
    // And then it is silence.
    (0..60).for_each(|n| minute(&mut b, n, false));
    assert!(!b.incidents(Code::Silence).is_empty());
}

/// A portal that takes a message each eight seconds of one each six: when FP0107 came, in seconds.
fn ramp(burst: bool) -> Option<u32> {
    let mut plan = plan();
    plan.feeds[0].objectives.transit = Duration::from_secs(600);
    plan.feeds[0].objectives.urgent_transit = Duration::from_secs(600);
    let mut b = Bench::with(plan);
    let (mut sent, mut passed) = (0, 0);
    for second in 0..2_400 {
        let due = if burst { if second < 60 { second * 4 } else { 240 } } else { second / 6 };
        while sent < due {
            let id = sent.to_string();
            b.send(0, 1, &id, &id);
            b.answer(0, 1, &id, AckCode::AA);
            sent += 1;
        }
        while passed < sent.min(if burst { second } else { second / 8 }) {
            let id = passed.to_string();
            b.send(1, 2, &format!("P{id}"), &id);
            b.answer(1, 2, &format!("P{id}"), AckCode::AA);
            passed += 1;
        }
        b.pass(1);
        if !b.incidents(Code::BacklogGrowing).is_empty() {
            return Some(second);
        }
    }
    None
}

#[test]
fn a_ramp_is_told_a_quarter_of_an_hour_before_it_breaks_and_a_burst_is_not() {
    // The oldest waits for 600 s after 2,400 s.
    let told = ramp(false).expect("a ramp");
    assert!((480..900).contains(&told), "{told}");
    assert_eq!(ramp(true), None);
}

#[test]
fn refusals_open_one_page_and_resolve_once() {
    let mut b = Bench::new();
    for _ in 0..8 {
        b.see(1, 1, Seen::Link(LinkEvent::Refused));
        b.pass(1);
    }
    b.see(1, 2, Seen::Link(LinkEvent::Opened));
    b.pass(15);
    // A ticket, louder when nothing was accepted for the page delay, over.
    let states = [IncidentState::Open, IncidentState::Open, IncidentState::Resolved];
    assert_eq!(b.incidents(Code::ReceiverDown), states);
}

#[test]
fn rejections_over_the_share_are_found_and_end_with_good_answers() {
    let mut b = Bench::new();
    for n in 0..10 {
        let id = format!("A{n}");
        b.send(1, 1, &id, &id);
        b.answer(1, 1, &id, AckCode::AE);
        b.pass(1);
    }
    for n in 20..35 {
        let id = format!("A{n}");
        b.send(1, 1, &id, &id);
        b.answer(1, 1, &id, AckCode::AA);
        b.pass(1);
    }
    b.pass(15);
    assert_eq!(b.incidents(Code::RejectedShare).last(), Some(&IncidentState::Resolved));
}

#[test]
fn a_silent_feed_is_found_and_found_well_again() {
    let mut b = Bench::new();
    b.send(0, 1, "A1", "F1");
    b.pass(50);
    assert_eq!(b.incidents(Code::Silence), [IncidentState::Open]);
    b.send(0, 1, "A2", "F2");
    b.pass(12);
    // The first message never reached the portal, so the feed is still too slow: one incident.
    assert!(!b.engine.checkpoint().feeds[0].raised.contains(&Code::Silence));
}

#[test]
fn a_part_that_fails_and_says_so_once_is_told_and_well_again() {
    let own = |failing| {
        Input::Own(OwnState {
            part: "store".into(),
            code: Code::StoreDown,
            failing,
            detail: "no-space".into(),
            dropped: 0,
        })
    };
    let mut bench = Bench::new();
    bench.apply(own(true));
    bench.pass(1);
    assert_eq!(bench.incidents(Code::StoreDown), [], "it could be over at once");
    bench.pass(5);
    assert_eq!(bench.incidents(Code::StoreDown), [IncidentState::Open]);
    bench.pass(60);
    bench.apply(own(false));
    bench.pass(15);
    let states = bench.incidents(Code::StoreDown);
    assert_eq!(states, [IncidentState::Open, IncidentState::Resolved]);
}

#[test]
fn nothing_is_found_in_a_calm_hour() {
    let mut b = Bench::new();
    for n in 0..3_600 {
        let (id, other) = (format!("A{n}"), format!("X{n}"));
        b.send(0, 1, &id, &id);
        b.answer(0, 1, &id, AckCode::AA);
        b.send(1, 9, &other, &id);
        b.answer(1, 9, &other, AckCode::AA);
        b.pass(1);
    }
    let told = b.all.iter().filter(|(_, e)| matches!(e, Effect::Incident(_))).count();
    assert_eq!((told, b.journeys().len()), (0, 3_600));
    assert_eq!(b.all.iter().filter(|(_, e)| matches!(e, Effect::Rollup(_))).count(), 60);
}

/// A stream with a bit of everything, for the exactness of checkpoints.
fn stormy() -> Vec<(Timestamp, Input)> {
    let mut b = Bench::new();
    let mut seed = 1u64;
    for n in 0..600 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, connection) = (format!("A{}", n % 90), seed >> 62);
        b.send(u16::from(seed & 1 == 1), connection, &id, &format!("F{n}"));
        match (seed >> 33) % 9 {
            0 => b.answer(1, connection, &id, AckCode::AE),
            1 => b.see(1, connection, Seen::Link(LinkEvent::Reset { by_receiver: false })),
            2 => b.see(1, connection, Seen::Link(LinkEvent::Refused)),
            3 => b.see(0, connection, Seen::Link(LinkEvent::Opened)),
            4 => {}
            _ => b.answer(u16::from(seed & 1 == 1), connection, &id, AckCode::AA),
        }
        b.pass(1);
    }
    b.inputs
}

fn run(engine: &mut Engine, inputs: &[(Timestamp, Input)]) -> Vec<(EffectId, Effect)> {
    let (mut fx, mut all) = (Effects::default(), Vec::new());
    for (now, input) in inputs {
        engine.apply(*now, input, &mut fx);
        all.extend(fx.drain());
    }
    all
}

#[test]
fn killed_at_twenty_points_it_goes_on_exactly() {
    let inputs = stormy();
    let mut whole = Engine::new();
    let expected = run(&mut whole, &inputs);
    assert!(expected.len() > 100);
    for point in 1..=20 {
        let cut = inputs.len() * point / 21;
        let mut before = Engine::new();
        let mut effects = run(&mut before, &inputs[..cut]);
        let state: State = before.checkpoint().clone();
        let mut after = Engine::restore(state);
        effects.extend(run(&mut after, &inputs[cut..]));
        assert!(effects == expected, "effects differ after a stop at input {cut}");
        assert!(after.checkpoint() == whole.checkpoint(), "states differ after {cut}");
    }
}
