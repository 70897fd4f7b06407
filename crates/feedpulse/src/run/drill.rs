//! Drills of the running process: takes the question from the admin socket, makes the fault with real frames through the real
//! decoder, follows the incident and the notices, and lets it recover.

use super::side::SideBox;
use crate::clock;
use crate::drill::{Answer, Ask, Notified, Stage};
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::{Effect, IncidentChange, IncidentState, MomentKind};
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::{DrillKind, DrillStep, Input, OwnState};
use feedpulse_core::key::SiteKey;
use feedpulse_core::sighting::{LinkEvent, Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_sinks::Delivered;
use feedpulse_web::DrillDesk;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often a drill that is under way is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A fault is found by then, or never.
const FOUND: Duration = Duration::from_secs(45);
/// Its end is told by then.
const ENDED: Duration = Duration::from_secs(60);

/// What is known of the drill under way; shared with the engine's thread and the sinks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drills(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    notifiers: Vec<String>,
    /// Of the drill under way, or of the last one.
    answer: Option<Answer>,
}

impl Drills {
    fn with<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn update(&self, tell: impl FnOnce(&mut Answer)) {
        self.with(|board| board.answer.as_mut().map(tell));
    }

    /// The tasks of the sinks; those that tell people are the notifiers.
    pub(super) fn tell<'t>(&self, tasks: impl Iterator<Item = &'t str>) {
        let people = |name: &&str| !name.starts_with("otlp-") && *name != "dead-man";
        let names = tasks.filter(people).map(ToOwned::to_owned).collect();
        self.with(|board| board.notifiers = names);
    }

    /// An effect of the engine.
    pub(super) fn saw(&self, effect: &Effect) {
        let Effect::Incident(change) = effect else { return };
        if change.story.drill {
            self.with(|board| board.incident(change));
        }
    }

    /// A notice was taken.
    pub(super) fn taken(&self, told: &Delivered) {
        self.with(|board| board.taken(told));
    }

    /// A part of Feedpulse says whether it works.
    pub(super) fn part(&self, state: &OwnState) {
        self.with(|board| {
            let part = state.part.as_str();
            let of = |name: &str| {
                let replica = name.strip_prefix(part).and_then(|rest| rest.strip_prefix('-'));
                name == part || replica.is_some_and(|n| n.parse::<u8>().is_ok())
            };
            let Some(answer) = &mut board.answer else { return };
            for notifier in answer.notifiers.iter_mut().filter(|n| of(&n.name)) {
                notifier.failing = state.failing.then(|| state.detail.as_str().to_owned());
            }
        });
    }
}

impl Board {
    fn incident(&mut self, change: &IncidentChange) {
        let Some(answer) = &mut self.answer else { return };
        if answer.incident.is_some_and(|id| id != change.id) {
            return;
        }
        answer.incident = Some(change.id);
        answer.code = Some(change.code.text().code.to_owned());
        let moments = change.story.timeline.iter();
        let found = moments.clone().find(|m| matches!(m.what, MomentKind::Found(_)));
        answer.found_at = answer.found_at.or(found.map(|m| m.at.as_micros()));
        answer.opened_at = change.story.opened_at.map(Timestamp::as_micros);
        if change.state == IncidentState::Resolved {
            answer.resolved_at = Some(clock::now().as_micros());
        }
    }

    fn taken(&mut self, told: &Delivered) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.incident == Some(told.incident))
        else {
            return;
        };
        let at = Some(told.at.as_micros());
        for notifier in answer.notifiers.iter_mut().filter(|n| n.name == told.notifier) {
            if told.why == "resolved" {
                notifier.end_taken_at = notifier.end_taken_at.or(at);
            } else {
                notifier.taken_at = notifier.taken_at.or(at);
            }
        }
    }
}

/// A drill that is asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    number: u64,
    kind: DrillKind,
    severity: Severity,
    timeout: Duration,
}

/// The way in: one drill at a time.
pub(super) struct Counter {
    wanted: mpsc::Sender<Wanted>,
    drills: Drills,
}

impl DrillDesk for Counter {
    fn begin(&self, asked: Value) -> Result<u64, String> {
        let ask: Ask = serde_json::from_value(asked).map_err(|e| format!("not a drill: {e}"))?;
        let (Some(kind), Some(severity)) = (ask.kind(), ask.loud()) else {
            return Err(format!("no such drill: {} as a {}", ask.drill, ask.severity));
        };
        let number = clock::now().as_micros().unsigned_abs();
        let timeout = Duration::from_secs(ask.timeout_s.clamp(5, 300));
        self.drills.with(|board| {
            if board.answer.as_ref().is_some_and(|answer| answer.stage == Stage::Running) {
                return Err("a drill is under way; wait for its end".to_owned());
            }
            let stops = |_| "feedpulse is about to stop".to_owned();
            self.wanted.try_send(Wanted { number, kind, severity, timeout }).map_err(stops)?;
            let names = board.notifiers.iter().cloned();
            board.answer = Some(Answer {
                number,
                drill: ask.drill,
                notifiers: names.map(|name| Notified { name, ..Notified::default() }).collect(),
                ..Answer::default()
            });
            Ok(number)
        })
    }

    fn answer(&self, number: u64) -> Option<Value> {
        let answer = self.drills.with(|board| board.answer.clone())?;
        (answer.number == number).then(|| serde_json::to_value(answer).ok())?
    }
}

/// Makes the drills.
pub(super) struct Desk {
    wanted: mpsc::Receiver<Wanted>,
    decoder: Decoder,
    side: SideBox,
    drills: Drills,
    /// Messages of the drill so far.
    sent: u32,
}

impl Desk {
    /// The desk, and the way in.
    pub(super) fn new(key: SiteKey, side: SideBox, drills: Drills) -> (Self, Counter) {
        let decoder = Decoder::new(DecodeConfig::new(key));
        let (sender, wanted) = mpsc::channel(1);
        let counter = Counter { wanted: sender, drills: drills.clone() };
        (Self { wanted, decoder, side, drills, sent: 0 }, counter)
    }

    /// Makes drills until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(wanted) = self.wanted.recv() => self.drill(wanted, &stop).await,
            }
        }
    }

    async fn drill(&mut self, wanted: Wanted, stop: &CancellationToken) {
        let Wanted { number, kind, severity, timeout } = wanted;
        tracing::info!(drill = kind.name(), "a drill begins");
        self.drills.update(|answer| answer.fault_at = Some(clock::now().as_micros()));
        self.sent = 0;
        self.step(DrillStep::Open { number, kind, severity });
        self.fault(number, kind);
        let found = self.until(FOUND, stop, |answer| answer.opened_at.is_some()).await;
        if found {
            let all = |answer: &Answer| answer.notifiers.iter().all(|n| n.taken_at.is_some());
            self.until(timeout, stop, all).await;
        }
        self.recover(number, kind, stop).await;
        self.step(DrillStep::Close { number });
        let ended = |answer: &Answer| {
            let mut took = answer.notifiers.iter().filter(|n| n.taken_at.is_some());
            answer.resolved_at.is_some() && took.all(|n| n.end_taken_at.is_some())
        };
        if found {
            self.until(ENDED, stop, ended).await;
        }
        self.drills.update(|answer| answer.stage = Stage::Done);
        tracing::info!(drill = kind.name(), "a drill is over");
    }

    /// Waits for something to be known; says whether it is.
    async fn until(
        &self,
        longest: Duration,
        stop: &CancellationToken,
        known: impl Fn(&Answer) -> bool,
    ) -> bool {
        let end = tokio::time::Instant::now() + longest;
        loop {
            let Some(answer) = self.drills.with(|board| board.answer.clone()) else { return false };
            if known(&answer) {
                return true;
            }
            if tokio::time::Instant::now() >= end {
                return false;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn step(&self, step: DrillStep) {
        self.side.put(Input::Drill(Box::new(step)));
    }

    fn fault(&mut self, number: u64, kind: DrillKind) {
        match kind {
            DrillKind::ReceiverDown => {
                self.message(number);
                for _ in 0..3 {
                    self.link(number, LinkEvent::Refused);
                }
            }
            DrillKind::NackBurst => {
                for _ in 0..8 {
                    let id = self.message(number);
                    self.ack(number, &id, "AE", "ERR|||207^Application internal error^HL70357|E\r");
                }
            }
            DrillKind::Silence => {
                let id = self.message(number);
                self.ack(number, &id, "AA", "");
            }
            DrillKind::NoAck => {
                for _ in 0..4 {
                    self.message(number);
                }
            }
        }
    }

    /// All is well again, and stays so until the incident is over.
    async fn recover(&mut self, number: u64, kind: DrillKind, stop: &CancellationToken) {
        if kind == DrillKind::ReceiverDown {
            self.link(number, LinkEvent::Opened);
        }
        for round in 0..30 {
            let messages = if round == 0 { 20 } else { 1 };
            for _ in 0..messages {
                let id = self.message(number);
                self.ack(number, &id, "AA", "");
            }
            let pause = Duration::from_secs(1);
            if self.until(pause, stop, |answer| answer.resolved_at.is_some()).await {
                return;
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    fn link(&self, number: u64, event: LinkEvent) {
        let sighting = Sighting {
            at: clock::now(),
            waypoint: WaypointId(0),
            connection: ConnectionId(1),
            what: Seen::Link(event),
        };
        self.step(DrillStep::Seen { number, sighting });
    }

    /// Sends a message on the drill's own stream; gives its control id.
    fn message(&mut self, number: u64) -> String {
        self.sent += 1;
        let id = format!("DRILL-{}-{}", number % 1_000_000_000, self.sent);
        let at = hl7_time(clock::now());
        let text = format!(
            "MSH|^~\\&|FEEDPULSE|DRILL|DRILL|DRILL|{at}||ORU^R01^ORU_R01|{id}|T|2.5.1\r\
             PID|1||DRILL||DRILL^NOBODY\rOBR|1|{id}|{id}|DRILL^A drill, no patient's result\r\
             OBX|1|ST|DRILL||DRILL||||||F\r"
        );
        self.frame(number, text, Direction::ToReceiver);
        id
    }

    fn ack(&mut self, number: u64, id: &str, code: &str, error: &str) {
        let at = hl7_time(clock::now());
        let text = format!(
            "MSH|^~\\&|DRILL|DRILL|FEEDPULSE|DRILL|{at}||ACK^R01^ACK|A{id}|T|2.5.1\rMSA|{code}|{id}\r{error}"
        );
        self.frame(number, text, Direction::ToSender);
    }

    /// A frame as a tap hands it over, through the decoder.
    fn frame(&mut self, number: u64, text: String, direction: Direction) {
        let frame = Frame {
            bytes: Phi::new(text.into_bytes()),
            at: clock::now(),
            waypoint: WaypointId(0),
            connection: ConnectionId(1),
            direction,
            trace: None,
        };
        let mut sightings = Vec::new();
        self.decoder.decode(&frame, &mut sightings);
        for sighting in sightings {
            self.step(DrillStep::Seen { number, sighting });
        }
    }
}

fn hl7_time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.as_secs()).unwrap_or_default();
    at.strftime("%Y%m%d%H%M%S+0000").to_string()
}
