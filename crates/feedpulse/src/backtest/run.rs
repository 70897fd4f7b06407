//! An engine that lives through the recorded time with some settings; nobody is told of what it finds.
//!
//! It ticks each second while something goes on, and each five seconds while nothing does (fifteen at a
//! site of more than fifty feeds), so what it says first may come so much later than it did.

use super::rebuild::{Event, What};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::defect::Verdict;
use feedpulse_core::effect::{
    Effect, Effects, IncidentChange, IncidentState, JourneyRecord, Sending,
};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::input::{Blind, Input};
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::order::OrderMarks;
use feedpulse_core::plan::{Plan, Role};
use feedpulse_core::sighting::{
    AckCode, AckCondition, AckMode, AckSeen, DeadLetterSeen, LinkEvent, MessageSeen, Outcome,
    Protocol, ReasonClass, ReceiptSeen, Seen, Sighting,
};
use feedpulse_core::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// From one tick to the next while nothing goes on: at a site of few feeds, and of many.
const CALM: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];
/// More feeds than this are many.
const MANY: usize = 50;
const LIVELY: Duration = Duration::from_secs(1);
/// So long after something went wrong it is lively.
const WAKES: Duration = Duration::from_secs(120);
/// Most incidents of one run.
const INCIDENTS_MAX: usize = 100_000;

/// An incident as a run would have told it.
#[derive(Clone, Debug)]
pub(super) struct Fired {
    pub(super) code: Code,
    pub(super) subject: String,
    pub(super) severity: Severity,
    pub(super) since: Timestamp,
    pub(super) opened: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) summary: String,
    pub(super) feeds: Vec<String>,
    /// Reasons of the refusals that led to it, the most frequent first.
    pub(super) reasons: Vec<ReasonClass>,
    /// The longest silence that it found, in seconds.
    pub(super) silent_s: f64,
}

/// A run under way. Cloned, it goes on by itself.
#[derive(Debug)]
pub(super) struct Run {
    engine: Engine,
    effects: Effects,
    plan: Arc<Plan>,
    tick: Timestamp,
    awake: Timestamp,
    /// Connections that wait for a message, by waypoint; and the next fresh one.
    free: BTreeMap<WaypointId, Vec<ConnectionId>>,
    fresh: u64,
    /// On which connection a sending waits.
    busy: HashMap<(MessageKey, WaypointId, Timestamp), ConnectionId>,
    fired: BTreeMap<u64, Fired>,
    started: bool,
}

impl Run {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        Self {
            engine: Engine::new(),
            effects: Effects::default(),
            plan,
            tick: Timestamp::EPOCH,
            awake: Timestamp::EPOCH,
            free: BTreeMap::new(),
            fresh: 0,
            busy: HashMap::new(),
            fired: BTreeMap::new(),
            started: false,
        }
    }

    /// The same run, going on with other settings.
    pub(super) fn with(&self, plan: Arc<Plan>, at: Timestamp) -> Self {
        let mut run = Self {
            engine: Engine::restore(self.engine.checkpoint().clone()),
            effects: Effects::default(),
            plan: Arc::clone(&plan),
            tick: self.tick,
            awake: at.plus(WAKES),
            free: self.free.clone(),
            fresh: self.fresh,
            busy: self.busy.clone(),
            fired: BTreeMap::new(),
            started: true,
        };
        run.apply(at, &Input::Configure(plan));
        run
    }

    /// Begins, with lessons from before.
    pub(super) fn begin(&mut self, at: Timestamp, lessons: &[Input]) {
        self.started = true;
        self.tick = at;
        let configure = Input::Configure(Arc::clone(&self.plan));
        self.apply(at, &configure);
        for lesson in lessons {
            self.apply(at, lesson);
        }
    }

    fn apply(&mut self, at: Timestamp, input: &Input) {
        self.engine.apply(at, input, &mut self.effects);
        for (_, effect) in self.effects.drain() {
            if let Effect::Incident(change) = effect {
                let reasons = || reasons(&self.engine, &change);
                note(&mut self.fired, &change, reasons);
            }
        }
    }

    /// Time passes up to a moment.
    pub(super) fn pass(&mut self, to: Timestamp) {
        loop {
            let busy = !self.engine.checkpoint().incidents.is_empty() || self.tick < self.awake;
            let many = self.engine.checkpoint().feeds.len() > MANY;
            let next = self.tick.plus(if busy { LIVELY } else { CALM[usize::from(many)] });
            if next > to {
                return;
            }
            self.tick = next;
            for number in 0..self.plan.waypoints.len() {
                self.apply(next, &Input::Alive(crate::run::waypoint(number)));
            }
            self.apply(next, &Input::Tick);
        }
    }

    /// Takes an event.
    pub(super) fn take(&mut self, event: &Event) {
        if !self.started {
            self.begin(event.at, &[]);
        }
        if let What::Blind(from, everywhere) = &event.what {
            self.blind(event, *from, *everywhere);
            return;
        }
        self.pass(event.at);
        let (at, waypoint) = (event.at, event.waypoint);
        match &event.what {
            What::Sent(record, send) => self.sent(at, waypoint, record, send),
            What::Ended(record, send) => self.ended(at, waypoint, record, send),
            What::Late(late) => {
                let ack = answer(late.control_id, late.key, late.ack, late.reason);
                self.see(at, waypoint, ConnectionId(0), Seen::Ack(ack));
            }
            What::Down => {
                self.awake = at.plus(WAKES);
                self.see(at, waypoint, ConnectionId(0), Seen::Link(LinkEvent::Refused));
            }
            What::Up => {
                self.see(at, waypoint, ConnectionId(0), Seen::Link(LinkEvent::Opened));
                self.see(at, waypoint, ConnectionId(0), Seen::Link(LinkEvent::Closed { bytes: 1 }));
            }
            What::Blind(..) => {}
        }
    }

    /// Nobody watched: no second of it ticks.
    fn blind(&mut self, event: &Event, from: Timestamp, everywhere: bool) {
        self.pass(from.min(event.at));
        self.tick = self.tick.max(event.at);
        let waypoint = (!everywhere).then_some(event.waypoint);
        let blind = Blind { waypoint, from, to: event.at, records: 0, bytes: 0 };
        self.apply(event.at, &Input::Blind(blind));
    }

    fn see(&mut self, at: Timestamp, waypoint: WaypointId, connection: ConnectionId, what: Seen) {
        self.apply(at, &Input::Seen(Sighting { at, waypoint, connection, what }));
    }

    fn sent(
        &mut self,
        at: Timestamp,
        waypoint: WaypointId,
        record: &JourneyRecord,
        send: &Sending,
    ) {
        let role = self.plan.waypoints.get(usize::from(waypoint.0)).map(|w| w.role);
        let what = match role {
            Some(Role::DeadLetter) => Seen::DeadLetter(DeadLetterSeen {
                journey_key: Some(record.key),
                reason: send.reason,
                code: record.code,
                sender: record.sender,
                urgency: record.urgency,
            }),
            Some(Role::Receipt) => Seen::Receipt(ReceiptSeen {
                journey_key: record.key,
                outcome: send.outcome.unwrap_or(Outcome::Filed),
                stated_at: None,
            }),
            _ => Seen::Message(message(record, send)),
        };
        let connection = self.free.entry(waypoint).or_default().pop().unwrap_or_else(|| {
            self.fresh += 1;
            ConnectionId(self.fresh)
        });
        if send.ack.is_some() {
            self.busy.insert((record.key, waypoint, send.at), connection);
        }
        if send.outcome.is_none_or(|outcome| !outcome.is_success()) || send.slow {
            self.awake = at.plus(WAKES);
        }
        self.see(at, waypoint, connection, what);
    }

    fn ended(
        &mut self,
        at: Timestamp,
        waypoint: WaypointId,
        record: &JourneyRecord,
        send: &Sending,
    ) {
        let connection = self.busy.remove(&(record.key, waypoint, send.at));
        let connection = connection.unwrap_or(ConnectionId(self.fresh));
        match send.ack {
            Some(code) => {
                let ack = answer(send.control_id, record.key, code, send.reason);
                self.see(at, waypoint, connection, Seen::Ack(ack));
                self.free.entry(waypoint).or_default().push(connection);
            }
            None => self.see(at, waypoint, connection, Seen::Link(LinkEvent::Closed { bytes: 1 })),
        }
        if send.slow || send.outcome.is_some_and(|outcome| !outcome.is_success()) {
            self.awake = at.plus(WAKES);
        }
    }

    /// All that it would have told, in order.
    pub(super) fn fired(&self) -> Vec<Fired> {
        let mut fired: Vec<Fired> = self.fired.values().cloned().collect();
        fired.sort_by_key(|fired| fired.opened);
        fired
    }

    /// Whether seven days were watched of any feed.
    pub(super) fn is_warm(&self) -> bool {
        let feeds = &self.engine.checkpoint().feeds;
        feeds.iter().any(|feed| feed.profile.weeks() >= 0.9)
    }
}

/// What the last refusals at an incident's link were for, the most frequent first.
fn reasons(engine: &Engine, change: &IncidentChange) -> Vec<ReasonClass> {
    let feedpulse_core::finding::Subject::Waypoint(w) = change.subject else { return Vec::new() };
    let Some(here) = engine.checkpoint().waypoints.get(usize::from(w.0)) else { return Vec::new() };
    let mut counts: BTreeMap<ReasonClass, usize> = BTreeMap::new();
    for answer in here.answers.iter().filter(|answer| answer.bad == Some(true)) {
        *counts.entry(answer.reason).or_default() += 1;
    }
    let mut reasons: Vec<(usize, ReasonClass)> = counts.into_iter().map(|(r, n)| (n, r)).collect();
    reasons.sort_by(|a, b| b.cmp(a));
    reasons.into_iter().map(|(_, reason)| reason).collect()
}

fn note(
    fired: &mut BTreeMap<u64, Fired>,
    change: &IncidentChange,
    reasons: impl Fn() -> Vec<ReasonClass>,
) {
    if change.state == IncidentState::Pending
        || fired.len() >= INCIDENTS_MAX && !fired.contains_key(&change.id)
    {
        return;
    }
    let silent = change.findings.iter().flat_map(|f| &f.evidence).filter(|e| e.name == "silent_s");
    let silent = silent.map(|e| e.value).fold(0.0, f64::max);
    let one = fired.entry(change.id).or_insert_with(|| Fired {
        code: change.code,
        subject: change.subject_name.clone(),
        severity: change.severity,
        since: change.since,
        opened: change.story.opened_at.unwrap_or(change.since),
        ended: None,
        summary: String::new(),
        feeds: Vec::new(),
        reasons: reasons(),
        silent_s: 0.0,
    });
    (one.code, one.severity, one.ended) = (change.code, change.severity, change.resolved_at);
    one.summary.clone_from(&change.summary);
    one.feeds.clone_from(&change.story.feeds);
    let length = change.resolved_at.map_or(0.0, |at| at.since(one.since).as_secs_f64());
    one.silent_s = one.silent_s.max(silent).max(length);
}

/// What an ACK names: the same for all that have one control id, as at the tap.
fn ack_key(id: ControlId, journey: MessageKey) -> MessageKey {
    let key = SiteKey::new([0; 16]).ack_key(id.clear().as_str().as_bytes());
    key.unwrap_or_else(|| MessageKey::from_u128(!journey.as_u128()))
}

fn answer(id: ControlId, journey: MessageKey, code: AckCode, reason: ReasonClass) -> AckSeen {
    AckSeen {
        direction: Direction::ToSender,
        code,
        ack_key: Some(ack_key(id, journey)),
        acked: id,
        software: None,
        reason,
        error_code: Label::EMPTY,
        defects: Vec::new(),
    }
}

fn message(record: &JourneyRecord, send: &Sending) -> MessageSeen {
    // Silence that was agreed to mean success was asked for in the message.
    let silent = send.ack.is_none() && send.outcome == Some(Outcome::Accepted);
    let quiet = AckMode { accept: AckCondition::Never, application: AckCondition::Never };
    let [_, body] = [record.key.as_u128() >> 64, record.key.as_u128() & u128::from(u64::MAX)];
    MessageSeen {
        direction: Direction::ToReceiver,
        code: record.code,
        trigger: record.trigger,
        sender: record.sender,
        sender_facility: record.facility,
        receiver: Label::EMPTY,
        receiver_facility: Label::EMPTY,
        version: Label::EMPTY,
        software: None,
        processing: 0,
        control_id: send.control_id,
        ack_key: Some(ack_key(send.control_id, record.key)),
        journey_key: Some(record.key),
        also: Vec::new(),
        find: record.find,
        batch: None,
        protocol: Protocol::default(),
        order: OrderMarks::default(),
        body: u64::try_from(body).unwrap_or(0),
        size: send.size,
        ack_mode: if silent { quiet } else { AckMode::default() },
        event_time: record.event_time,
        withheld: record.source_age.err(),
        made: None,
        urgency: record.urgency,
        verdict: Verdict::Readable,
        defects: Vec::new(),
        trace: None,
    }
}
