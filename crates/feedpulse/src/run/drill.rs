//! Drills of the running process: takes the question, makes the fault with real frames through the real
//! decoder, follows the incident and the notices, and lets it recover.

use super::side::SideBox;
use crate::clock;
use crate::drill::{ANSWER, ASK, Answer, Ask, Notified, Stage, get, is_stale, put};
use feedpulse_core::effect::{Effect, IncidentChange, IncidentState, MomentKind};
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::{DrillKind, DrillStep, Input, OwnState};
use feedpulse_core::key::SiteKey;
use feedpulse_core::sighting::{LinkEvent, Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_sinks::Delivered;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the folder is looked at, and a drill that is under way.
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
    answer: Option<Answer>,
}

impl Drills {
    fn with<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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

/// Takes questions.
pub(super) struct Desk {
    folder: PathBuf,
    decoder: Decoder,
    side: SideBox,
    drills: Drills,
    /// Messages of the drill so far.
    sent: u32,
}

impl Desk {
    pub(super) fn new(folder: &Path, key: SiteKey, side: SideBox, drills: Drills) -> Self {
        let decoder = Decoder::new(DecodeConfig::new(key));
        Self { folder: folder.to_owned(), decoder, side, drills, sent: 0 }
    }

    /// Takes questions until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let path = self.folder.join(ASK);
            let asked = tokio::task::spawn_blocking(move || {
                let ask = get::<Ask>(&path);
                // Whatever it is, it is looked at once.
                let _ = std::fs::remove_file(&path);
                ask
            });
            let Some(ask) = asked.await.ok().flatten() else { continue };
            if is_stale(&ask, clock::now()) {
                tracing::warn!("an old question for a drill is passed over");
                continue;
            }
            self.drill(&ask, &stop).await;
        }
    }

    async fn drill(&mut self, ask: &Ask, stop: &CancellationToken) {
        let number = ask.number;
        let (Some(kind), Some(severity)) = (ask.kind(), ask.loud()) else {
            let why = Some("no such drill".to_owned());
            let drill = ask.drill.clone();
            let refused = Answer { number, drill, stage: Stage::Refused, why, ..Answer::default() };
            return self.answer(&refused).await;
        };
        tracing::info!(drill = kind.name(), "a drill begins");
        let timeout = Duration::from_secs(ask.timeout_s.clamp(5, 300));
        self.drills.with(|board| {
            let names = board.notifiers.iter().cloned();
            board.answer = Some(Answer {
                number,
                drill: ask.drill.clone(),
                fault_at: Some(clock::now().as_micros()),
                notifiers: names.map(|name| Notified { name, ..Notified::default() }).collect(),
                ..Answer::default()
            });
        });
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
        let answer = self.drills.with(|board| board.answer.take());
        if let Some(mut answer) = answer {
            answer.stage = Stage::Done;
            tracing::info!(drill = kind.name(), "a drill is over");
            self.answer(&answer).await;
        }
    }

    /// Waits for something to be known; says whether it is. The answer so far is there meanwhile.
    async fn until(
        &self,
        longest: Duration,
        stop: &CancellationToken,
        known: impl Fn(&Answer) -> bool,
    ) -> bool {
        let end = tokio::time::Instant::now() + longest;
        loop {
            let Some(answer) = self.drills.with(|board| board.answer.clone()) else { return false };
            self.answer(&answer).await;
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

    async fn answer(&self, answer: &Answer) {
        let (folder, answer) = (self.folder.clone(), answer.clone());
        let put = tokio::task::spawn_blocking(move || put(&folder, ANSWER, &answer));
        if let Ok(Err(error)) = put.await {
            tracing::warn!("the answer to a drill cannot be written: {error}");
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
