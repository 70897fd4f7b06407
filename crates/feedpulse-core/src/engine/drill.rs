//! A drill: a fault on a stream of its own proves that an alert arrives, from the frame to the notifier.
//!
//! It runs in an engine of its own within this one, whose only waypoint and feed are called `drill`: the
//! same ledger, the same checks, the same grouping conclude the same finding; and nothing of it can
//! touch what is counted, learned, filed or shown of the site, since none of that is there. What
//! comes out is the incident, marked, under a number of this engine's.

use super::Engine;
use super::state::State;
use crate::codes::Severity;
use crate::effect::{Effect, Effects, IncidentChange, IncidentState};
use crate::finding::Subject;
use crate::frame::WaypointId;
use crate::input::{DrillKind, DrillStep, Input};
use crate::label::Label;
use crate::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Silence, Waypoint};
use crate::time::Timestamp;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A drill that nobody ends is over by then.
const LASTS: Duration = Duration::from_secs(600);
/// A message unanswered for so long gets no answer: shorter than elsewhere, so that nobody waits.
const NO_ACK: Duration = Duration::from_secs(3);
/// A drill's feed is silent after this.
const SILENT: Duration = Duration::from_secs(5);
/// Calm for so long ends its incident.
const CALM: Duration = Duration::from_secs(5);

/// A drill under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    /// Its number, as asked for.
    pub number: u64,
    /// What fails.
    pub kind: DrillKind,
    /// How loud its incident is said to be.
    pub severity: Severity,
    /// When it began.
    pub began: Timestamp,
    /// The engine within.
    pub within: Box<State>,
    /// The numbers of its incidents, within and here.
    pub incidents: BTreeMap<u64, u64>,
    /// What was told last of each that is not over.
    pub open: Vec<IncidentChange>,
}

impl DrillKind {
    fn plan(self) -> Plan {
        let silence = if self == Self::Silence { Silence::After(SILENT) } else { Silence::Off };
        Plan {
            waypoints: vec![Waypoint {
                no_ack_after: NO_ACK,
                ack_time: Duration::from_secs(1),
                ..Waypoint::new("drill")
            }],
            routes: vec![Route { name: "drill".into(), waypoints: vec![WaypointId(0)] }],
            feeds: vec![FeedPlan {
                name: "drill".into(),
                route: RouteId(0),
                senders: Vec::new(),
                types: Vec::new(),
                objectives: Objectives { silence, ..Objectives::default() },
                ends_at: Vec::new(),
                filters: Vec::new(),
            }],
            resolve_after: CALM,
            ..Plan::default()
        }
    }
}

impl Engine {
    /// A step of a drill.
    pub(super) fn drill(&mut self, step: &DrillStep, fx: &mut Effects) {
        match step {
            DrillStep::Open { number, kind, severity } => {
                self.open_drill(*number, *kind, *severity);
            }
            DrillStep::Seen { number, sighting } if self.is_drill(*number) => {
                self.within(&[Input::Seen(sighting.clone())], fx);
            }
            DrillStep::Close { number } if self.is_drill(*number) => self.close_drill(fx),
            DrillStep::Seen { .. } | DrillStep::Close { .. } => {}
        }
    }

    fn is_drill(&self, number: u64) -> bool {
        self.s.drill.as_ref().is_some_and(|drill| drill.number == number)
    }

    /// One at a time: another one waits until this is over.
    fn open_drill(&mut self, number: u64, kind: DrillKind, severity: Severity) {
        if self.s.drill.is_some() {
            return;
        }
        let now = self.s.now;
        let mut engine = Self::new();
        engine.apply(now, &Input::Configure(Arc::new(kind.plan())), &mut Effects::default());
        self.s.drill = Some(Box::new(Drill {
            number,
            kind,
            severity,
            began: now,
            within: Box::new(engine.s),
            incidents: BTreeMap::new(),
            open: Vec::new(),
        }));
    }

    /// Time passes in a drill as well.
    pub(super) fn tick_drill(&mut self, fx: &mut Effects) {
        let Some(drill) = &self.s.drill else { return };
        if self.s.now.since(drill.began) >= LASTS {
            self.close_drill(fx);
        } else {
            self.within(&[Input::Alive(WaypointId(0)), Input::Tick], fx);
        }
    }

    /// Applies inputs to the engine within, and tells of its incidents.
    fn within(&mut self, inputs: &[Input], fx: &mut Effects) {
        let now = self.s.now;
        let Some(mut drill) = self.s.drill.take() else { return };
        let mut engine = Self::restore(core::mem::take(&mut *drill.within));
        let mut effects = Effects::default();
        for input in inputs {
            engine.apply(now, input, &mut effects);
        }
        *drill.within = engine.s;
        for (_, effect) in effects.drain() {
            // Its journeys and intervals are nobody's.
            if let Effect::Incident(change) = effect {
                let number = *drill.incidents.entry(change.id).or_insert_with(|| {
                    self.s.next_incident += 1;
                    self.s.next_incident
                });
                let change = drill.told(*change, number);
                fx.push(Effect::Incident(Box::new(change)));
            }
        }
        self.s.drill = Some(drill);
    }

    /// The drill is over, and so is what it told.
    fn close_drill(&mut self, fx: &mut Effects) {
        let Some(drill) = self.s.drill.take() else { return };
        for mut change in drill.open {
            (change.state, change.resolved_at) = (IncidentState::Resolved, Some(self.s.now));
            fx.push(Effect::Incident(Box::new(change)));
        }
    }
}

impl Drill {
    /// An incident of the engine within, as this one tells it.
    fn told(&mut self, change: IncidentChange, number: u64) -> IncidentChange {
        let mut told = IncidentChange {
            id: number,
            subject: Subject::Own(Label::from("drill")),
            subject_name: format!("drill {}", self.kind.name()),
            severity: self.severity,
            ..change
        };
        told.story.drill = true;
        told.story.shadow = false;
        told.story.earlier = 0;
        told.story.earlier_at = None;
        self.open.retain(|open| open.id != number);
        if told.state != IncidentState::Resolved {
            self.open.push(told.clone());
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use crate::codes::{Code, Severity};
    use crate::defect::Verdict;
    use crate::effect::{Effect, Effects, IncidentChange, IncidentState};
    use crate::engine::Engine;
    use crate::frame::{ConnectionId, Direction, WaypointId};
    use crate::input::{DrillKind, DrillStep, Input};
    use crate::key::SiteKey;
    use crate::label::{ControlId, Label};
    use crate::plan::{Plan, Route, Waypoint};
    use crate::sighting::{
        AckCode, AckMode, AckSeen, FindKeys, LinkEvent, MessageSeen, Protocol, ReasonClass, Seen,
        Sighting, Urgency,
    };
    use crate::time::Timestamp;
    use core::time::Duration;
    use std::sync::Arc;

    fn message(n: u64) -> MessageSeen {
        let id = format!("DRILL{n}");
        let key = SiteKey::new([3; 16]).ack_key(id.as_bytes());
        MessageSeen {
            direction: Direction::ToReceiver,
            code: "ORU".into(),
            trigger: "R01".into(),
            sender: "FEEDPULSE".into(),
            sender_facility: "DRILL".into(),
            receiver: Label::EMPTY,
            receiver_facility: Label::EMPTY,
            version: "2.5.1".into(),
            software: None,
            processing: b'T',
            control_id: ControlId::from_bytes(id.as_bytes()),
            ack_key: key,
            journey_key: key,
            also: Vec::new(),
            find: FindKeys::default(),
            batch: None,
            protocol: Protocol::default(),
            order: crate::order::OrderMarks::default(),
            body: n,
            size: 200,
            ack_mode: AckMode::default(),
            event_time: None,
            withheld: Some(crate::lag::Withheld::NoTime),
            made: None,
            urgency: Urgency::Routine,
            verdict: Verdict::Readable,
            defects: Vec::new(),
            trace: None,
        }
    }

    fn ack(n: u64, code: AckCode) -> AckSeen {
        let message = message(n);
        AckSeen {
            direction: Direction::ToSender,
            code,
            ack_key: message.ack_key,
            acked: message.control_id,
            software: None,
            reason: ReasonClass::None,
            error_code: Label::EMPTY,
            defects: Vec::new(),
        }
    }

    struct Bench {
        engine: Engine,
        now: Timestamp,
        told: Vec<(Timestamp, IncidentChange)>,
        others: usize,
    }

    impl Bench {
        fn new() -> Self {
            let plan = Plan {
                waypoints: vec![Waypoint::new("portal-in")],
                routes: vec![Route { name: "main".into(), waypoints: vec![WaypointId(0)] }],
                ..Plan::default()
            };
            let now = Timestamp::from_secs(1_000_000);
            let mut bench = Self { engine: Engine::new(), now, told: Vec::new(), others: 0 };
            bench.apply(&Input::Configure(Arc::new(plan)));
            bench
        }

        fn apply(&mut self, input: &Input) {
            let mut fx = Effects::default();
            self.engine.apply(self.now, input, &mut fx);
            for (_, effect) in fx.drain() {
                match effect {
                    Effect::Incident(change) => self.told.push((self.now, *change)),
                    _ => self.others += 1,
                }
            }
        }

        fn step(&mut self, what: Seen) {
            let at = self.now;
            let (waypoint, connection) = (WaypointId(0), ConnectionId(1));
            let sighting = Sighting { at, waypoint, connection, what };
            self.apply(&Input::Drill(Box::new(DrillStep::Seen { number: 5, sighting })));
        }

        fn pass(&mut self, seconds: u32) {
            for _ in 0..seconds {
                self.now = self.now.plus(Duration::from_secs(1));
                self.apply(&Input::Alive(WaypointId(0)));
                self.apply(&Input::Tick);
                // As a restart would.
                self.engine = Engine::restore(self.engine.checkpoint().clone());
            }
        }

        fn open(&mut self, kind: DrillKind, severity: Severity) {
            let step = DrillStep::Open { number: 5, kind, severity };
            self.apply(&Input::Drill(Box::new(step)));
        }

        fn fault(&mut self, kind: DrillKind) {
            match kind {
                DrillKind::ReceiverDown => {
                    (0..2).for_each(|_| self.step(Seen::Link(LinkEvent::Refused)));
                }
                DrillKind::NackBurst => (0..8).for_each(|n| {
                    self.step(Seen::Message(message(n)));
                    self.step(Seen::Ack(ack(n, AckCode::AE)));
                }),
                DrillKind::Silence => self.step(Seen::Message(message(1))),
                DrillKind::NoAck => (0..4).for_each(|n| self.step(Seen::Message(message(n)))),
            }
        }

        fn recover(&mut self, kind: DrillKind) {
            if kind == DrillKind::ReceiverDown {
                self.step(Seen::Link(LinkEvent::Opened));
            }
            for n in 100..120 {
                self.step(Seen::Message(message(n)));
                self.step(Seen::Ack(ack(n, AckCode::AA)));
            }
        }
    }

    #[test]
    fn each_drill_is_told_by_the_real_rule_and_ends() {
        for (kind, code) in [
            (DrillKind::ReceiverDown, Code::ReceiverDown),
            (DrillKind::NackBurst, Code::RejectedShare),
            (DrillKind::Silence, Code::Silence),
            (DrillKind::NoAck, Code::NoAck),
        ] {
            let mut bench = Bench::new();
            bench.open(kind, Severity::Page);
            bench.fault(kind);
            let began = bench.now;
            bench.pass(20);
            let (at, open) = bench.told.first().cloned().unwrap_or_else(|| panic!("{kind:?}"));
            assert_eq!(
                (open.code, open.state, open.severity),
                (code, IncidentState::Open, Severity::Page)
            );
            assert!(open.story.drill && open.subject_name == format!("drill {}", kind.name()));
            assert!(at.since(began) <= Duration::from_secs(15), "{kind:?} {:?}", at.since(began));
            if kind == DrillKind::Silence {
                // Its feed speaks again, and goes on.
                for _ in 0..12 {
                    bench.recover(kind);
                    bench.pass(1);
                }
            } else {
                bench.recover(kind);
                bench.pass(80);
            }
            let (_, last) = bench.told.last().unwrap();
            assert_eq!((last.state, last.id), (IncidentState::Resolved, open.id), "{kind:?}");
            bench.apply(&Input::Drill(Box::new(DrillStep::Close { number: 5 })));
            // Nothing of it is left, and nothing was counted, learned or filed.
            let state = bench.engine.checkpoint();
            assert!(state.drill.is_none() && state.feeds.is_empty() && state.resolved.is_empty());
            assert!(state.signatures.is_empty() && state.profiles.is_empty());
            assert_eq!(state.totals, crate::view::Totals::default());
            assert_eq!(bench.others, 0, "no journey, no interval");
            assert!(bench.engine.view().incidents.is_empty());
        }
    }

    #[test]
    fn a_drill_that_nobody_ends_is_over_by_itself_and_one_runs_at_a_time() {
        let mut bench = Bench::new();
        bench.open(DrillKind::ReceiverDown, Severity::Ticket);
        bench.fault(DrillKind::ReceiverDown);
        bench.pass(10);
        let step = DrillStep::Open { number: 6, kind: DrillKind::NoAck, severity: Severity::Page };
        bench.apply(&Input::Drill(Box::new(step)));
        assert_eq!(bench.engine.checkpoint().drill.as_ref().map(|d| d.number), Some(5));
        // A step of another one is none of this.
        bench.apply(&Input::Drill(Box::new(DrillStep::Close { number: 6 })));
        assert!(bench.engine.checkpoint().drill.is_some());
        bench.pass(600);
        assert!(bench.engine.checkpoint().drill.is_none());
        let (_, last) = bench.told.last().unwrap();
        assert_eq!((last.state, last.severity), (IncidentState::Resolved, Severity::Ticket));
    }
}
