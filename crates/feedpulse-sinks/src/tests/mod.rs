//! Fixtures of this crate's tests, and the tests that go over real sockets.

mod build;
mod drill;
mod kinds;
mod namespace;
mod notify;
mod otlp;
mod outbox;
mod proxy;
mod said;
mod servers;
mod smtp;
mod tls;

use crate::config::SinksConfig;
use crate::otlp::traces::{Names, System, WaypointName};
use crate::{Deps, SinkHandle, Task, build};
use core::time::Duration;
use feedpulse_core::class::AckClasses;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{
    Effect, EffectId, IncidentChange, IncidentFinding, IncidentState, JourneyEnd, JourneyRecord,
    Sending,
};
use feedpulse_core::finding::{Evidence, Subject};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::OwnState;
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::lag::Withheld;
use feedpulse_core::metrics::Registry;
use feedpulse_core::plan::FeedId;
use feedpulse_core::sighting::{AckCode, FindKeys, Outcome, ReasonClass, Urgency};
use feedpulse_core::time::Timestamp;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A moment: 2026-09-21T14:13:20Z.
pub(crate) const T0: Timestamp = Timestamp::from_secs(1_790_000_000);

pub(crate) fn at(millis: u64) -> Timestamp {
    T0.plus(Duration::from_millis(millis))
}

pub(crate) fn id(input: u64) -> EffectId {
    EffectId { input, index: 0 }
}

pub(crate) fn sending(waypoint: u16, from: u64, to: u64, outcome: Outcome) -> Sending {
    let ack = match outcome {
        Outcome::Accepted => Some(AckCode::AA),
        Outcome::Errored => Some(AckCode::AE),
        Outcome::Rejected => Some(AckCode::AR),
        _ => None,
    };
    Sending {
        waypoint: WaypointId(waypoint),
        control_id: ControlId::from_bytes(b"MSG00042"),
        at: at(from),
        ended_at: Some(at(to)),
        outcome: Some(outcome),
        ack,
        reason: ReasonClass::None,
        slow: false,
        size: 812,
    }
}

/// An accepted journey over two waypoints, in 250 ms.
pub(crate) fn journey(key: u128) -> JourneyRecord {
    JourneyRecord {
        key: MessageKey::from_u128(key),
        feed: FeedId(0),
        feed_name: "lab-results".to_owned(),
        code: Label::from("ORU"),
        trigger: Label::from("R01"),
        sender: Label::from("LAB"),
        facility: Label::EMPTY,
        control_id: ControlId::from_bytes(b"MSG00042"),
        find: FindKeys::default(),
        urgency: Urgency::Routine,
        event_time: None,
        source_age: Err(Withheld::NoTime),
        first_at: at(0),
        sends: vec![sending(0, 0, 40, Outcome::Accepted), sending(1, 200, 250, Outcome::Accepted)],
        sends_total: 2,
        end: JourneyEnd::Delivered(Outcome::Accepted),
        missing: Vec::new(),
        classes: AckClasses::default(),
        ended_at: at(250),
        late: false,
        found: Vec::new(),
        trace: None,
    }
}

/// A journey that the last waypoint refused: always kept.
pub(crate) fn refused_journey(key: u128) -> JourneyRecord {
    let mut journey = journey(key);
    journey.sends[1] = sending(1, 200, 250, Outcome::Errored);
    journey.sends[1].reason = ReasonClass::UnknownKey;
    journey.end = JourneyEnd::Failed(Outcome::Errored);
    journey
}

pub(crate) fn incident(number: u64) -> IncidentChange {
    IncidentChange {
        id: number,
        subject: Subject::Waypoint(WaypointId(1)),
        subject_name: "waypoint portal-in".to_owned(),
        state: IncidentState::Open,
        severity: Severity::Page,
        code: Code::ReceiverDown,
        summary: "portal-in cannot be reached since 14:13, 3 messages wait".to_owned(),
        since: T0,
        resolved_at: None,
        findings: vec![IncidentFinding {
            code: Code::ReceiverDown,
            severity: Severity::Page,
            since: T0,
            cleared_at: None,
            evidence: vec![Evidence { name: "refused_total", value: 3.0 }],
            detail: Label::from("refused"),
            times: 3,
        }],
        urgent: 2,
        claimed_by: Label::EMPTY,
        muted_until: None,
        story: feedpulse_core::effect::Story::default(),
    }
}

pub(crate) fn resolved(change: &IncidentChange, when: Timestamp) -> IncidentChange {
    IncidentChange { state: IncidentState::Resolved, resolved_at: Some(when), ..change.clone() }
}

/// What control ids are hashed with.
pub(crate) const SITE_KEY: SiteKey = SiteKey::new([7; 16]);

pub(crate) fn names() -> Names {
    let name = |name: &str, system| WaypointName { name: name.to_owned(), system };
    Names {
        waypoints: vec![name("engine-out", System::Kafka), name("portal-in", System::Mllp)],
        key: Some(SITE_KEY),
        ..Names::default()
    }
}

/// Sinks that run on the test's runtime, whose clock starts at [`T0`].
pub(crate) struct Running {
    pub(crate) sinks: SinkHandle,
    pub(crate) own: mpsc::Receiver<OwnState>,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

/// Everything that tests need; states of Feedpulse itself arrive at the receiver.
pub(crate) fn deps() -> (Deps, mpsc::Receiver<OwnState>) {
    let (tell, own) = mpsc::channel(256);
    let began = tokio::time::Instant::now();
    let registry = Registry::default();
    let families = registry.clone();
    let deps = Deps {
        registry,
        clock: Arc::new(move || T0.plus(began.elapsed())),
        families: Arc::new(move || families.families()),
        own: Arc::new(move |state| tell.try_send(state).expect("tests read the states")),
        names: names(),
        version: "1.2.3".to_owned(),
        started: T0,
        outbox: None,
        told: Arc::new(|_| {}),
        alive: Arc::new(|| true),
        seed: 42,
    };
    (deps, own)
}

impl Running {
    pub(crate) fn new(config: &SinksConfig) -> Self {
        Self::with(config, |_| {})
    }

    /// The same with other parts of the outside.
    pub(crate) fn with(config: &SinksConfig, change: impl FnOnce(&mut Deps)) -> Self {
        let (mut deps, own) = deps();
        change(&mut deps);
        let (sinks, tasks) = build(config, &deps).expect("a good configuration");
        let stop = CancellationToken::new();
        let mut set = tokio::task::JoinSet::new();
        for task in tasks {
            set.spawn(Task::run(task, stop.clone()));
        }
        Self { sinks, own, registry: deps.registry, stop, tasks: set }
    }

    pub(crate) fn journey(&self, journey: JourneyRecord) {
        self.sinks.offer(id(1), &Effect::Journey(Box::new(journey)));
    }

    pub(crate) fn incident(&self, change: &IncidentChange) {
        self.sinks.offer(id(2), &Effect::Incident(Box::new(change.clone())));
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task panics");
        }
    }

    /// The shown value of a counter or gauge.
    pub(crate) fn number(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let families = self.registry.families();
        let family = families.iter().find(|family| family.name == name)?;
        let point = family.points.iter().find(|point| {
            labels
                .iter()
                .all(|(k, v)| point.labels.iter().any(|(key, value)| key == k && value == v))
        })?;
        match point.value {
            feedpulse_core::metrics::Value::Number(n) => Some(n),
            feedpulse_core::metrics::Value::Times(_) => None,
        }
    }
}
