//! WASM checks: rows are joined where the frame is, judged on a thread per check, and come back as
//! inputs. A check that is slow sheds its own rows and stalls nobody.
//!
//! A new version travels in the same queue as the rows: what was joined before it is judged by the
//! old one, what is joined after it by the new one, and so each row exactly once. Where versions
//! come from is in [`reload`]; how they are told in [`board`].

pub(crate) mod board;
pub(crate) mod reload;
#[cfg(test)]
mod tests;
mod watch;

use super::side::SideBox;
use crate::config::resolve::Check;
use crate::version::{Facts, Reading, Version};
use board::Board;
use feedpulse_core::codes::Severity;
use feedpulse_core::finding::CheckFinding;
use feedpulse_core::frame::{Phi, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_core::sighting::{Seen, Sighting, Urgency};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::index::Message;
use feedpulse_hl7::path::TypeMatch;
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_wasm::{
    Batch, CheckFinding as Judged, Level, MessageAccess, Path as GuestPath, Row, Worker,
};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Batches that wait for a check.
const QUEUE: usize = 256;
/// Rows of one batch.
const ROWS: usize = 64;

/// What a row's message was, to make a finding of the guest's answer.
struct About {
    at: Timestamp,
    key: Option<MessageKey>,
    urgency: Urgency,
}

struct Job {
    waypoint: WaypointId,
    rows: Vec<Row>,
    about: Vec<About>,
    /// The messages themselves, only for a check that was granted more than its rows.
    messages: Vec<Phi<Vec<u8>>>,
}

impl Job {
    const fn new(waypoint: WaypointId) -> Self {
        Self { waypoint, rows: Vec::new(), about: Vec::new(), messages: Vec::new() }
    }
}

/// What waits for a check's thread.
enum Work {
    /// Rows, joined as the version wants them that runs when they are reached.
    Judge(Job),
    /// The next version; None = there is none, and the check rests.
    Swap(Option<Box<Swap>>),
}

/// A version on its way to the check's thread.
struct Swap {
    worker: Worker,
    facts: Facts,
}

/// A version on its way to the engine's end of its check.
pub(super) struct Next {
    waypoints: Vec<WaypointId>,
    reading: Option<Reading>,
    swap: Option<Box<Swap>>,
}

impl Next {
    /// Of a version, for a check as it is configured now.
    pub(super) fn new(check: &Check, version: Version) -> Self {
        let Version { worker, reading, facts } = version;
        let swap = Some(Box::new(Swap { worker, facts }));
        Self { waypoints: check.waypoints.clone(), reading: Some(reading), swap }
    }

    /// No version: the check rests.
    pub(super) fn stop(check: &Check) -> Self {
        Self { waypoints: check.waypoints.clone(), reading: None, swap: None }
    }
}

/// Reads of a check beyond its declared fields, within one batch.
pub(crate) struct Granted(pub(crate) Vec<Phi<Vec<u8>>>);

impl MessageAccess for Granted {
    fn get(&self, row: u64, path: &GuestPath) -> Option<String> {
        let bytes = self.0.get(usize::try_from(row).ok()?)?.expose();
        let mut spec = RowSpec::new(&[path.to_string()]).ok()?;
        let mut out = String::new();
        spec.join_bytes(bytes, &RowMeta::default(), &mut out).then_some(out)
    }

    fn raw(&self, row: u64) -> Option<String> {
        let bytes = self.0.get(usize::try_from(row).ok()?)?.expose();
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The engine's end of one check.
pub(crate) struct CheckFeed {
    waypoints: Vec<WaypointId>,
    /// How rows are made for the version that runs; None = none runs yet.
    reading: Option<Reading>,
    pending: Vec<Job>,
    jobs: SyncSender<Work>,
    shed: Counter,
    /// Rows of no version.
    skipped: Counter,
    /// Where the next version comes from.
    nexts: Receiver<Next>,
    /// The next version, while the check's queue is full.
    held: Option<Next>,
}

/// The guest's end of one check; [`CheckDesk::run`] goes on a thread of its own.
pub(crate) struct CheckDesk {
    number: u16,
    name: String,
    /// None until the first version comes.
    worker: Option<Worker>,
    jobs: Receiver<Work>,
    names: Vec<String>,
    side: SideBox,
    board: Board,
    rows: Counter,
    skipped: Counter,
    found: Counter,
    faults: Counter,
    /// What was told of the worker's rows and skipped rows.
    told: (u64, u64),
}

impl CheckFeed {
    /// Takes a message's row, if the check wants it.
    pub(crate) fn offer(&mut self, message: &Message<'_>, sighting: &Sighting) {
        let Seen::Message(seen) = &sighting.what else { return };
        if !self.waypoints.contains(&sighting.waypoint) {
            return;
        }
        if (self.held.is_some() || self.reading.is_none()) && self.pending.is_empty() {
            self.change();
        }
        let Some(reading) = &mut self.reading else { return self.skipped.add(1) };
        let (code, trigger) = (seen.code.as_str(), seen.trigger.as_str());
        let wants = |t: &TypeMatch| t.matches(code.as_bytes(), trigger.as_bytes());
        if !reading.types.is_empty() && !reading.types.iter().any(wants) {
            return;
        }
        let open = self
            .pending
            .last()
            .is_some_and(|j| j.waypoint == sighting.waypoint && j.rows.len() < ROWS);
        if !open {
            let job = Job::new(sighting.waypoint);
            self.pending.push(job);
        }
        let Some(job) = self.pending.last_mut() else { return };
        let mut fields = String::with_capacity(128);
        reading.spec.join(message, &RowMeta::of(sighting.at, seen), &mut fields);
        if reading.keeps_messages {
            job.messages.push(Phi::new(message.bytes().to_vec()));
        }
        job.rows.push(Row { id: job.rows.len() as u64, fields });
        job.about.push(About { at: sighting.at, key: seen.journey_key, urgency: seen.urgency });
    }

    /// Hands over what was gathered in this step; what does not fit is shed and counted. Then takes
    /// up the next version, if there is one.
    pub(crate) fn flush(&mut self) {
        for job in self.pending.drain(..) {
            let rows = job.rows.len() as u64;
            if self.jobs.try_send(Work::Judge(job)).is_err() {
                self.shed.add(rows);
            }
        }
        self.change();
    }

    /// Puts the next version into the queue, behind the rows of the one before, and makes rows for
    /// it from then on. Where the queue is full it waits: the old version goes on.
    fn change(&mut self) {
        debug_assert!(self.pending.is_empty(), "rows of the old version go first");
        let Some(next) = self.held.take().or_else(|| self.nexts.try_recv().ok()) else { return };
        let Next { waypoints, reading, swap } = next;
        match self.jobs.try_send(Work::Swap(swap)) {
            Ok(()) => (self.waypoints, self.reading) = (waypoints, reading),
            Err(TrySendError::Full(Work::Swap(swap))) => {
                self.held = Some(Next { waypoints, reading, swap });
            }
            // The process ends.
            Err(_) => {}
        }
    }
}

impl CheckDesk {
    /// Judges until the engine's end is gone.
    pub(crate) fn run(mut self) {
        let started = std::time::Instant::now();
        while let Ok(work) = self.jobs.recv() {
            let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            match work {
                Work::Judge(job) => self.judge(job, now_ms),
                Work::Swap(Some(swap)) => self.swap(*swap),
                Work::Swap(None) => self.worker = None,
            }
        }
    }

    fn judge(&mut self, mut job: Job, monotonic_ms: u64) {
        let Some(worker) = &mut self.worker else { return };
        let messages = std::mem::take(&mut job.messages);
        let now = job.about.last().map_or(Timestamp::EPOCH, |a| a.at);
        let feed = self.names.get(usize::from(job.waypoint.0)).map_or("?", String::as_str);
        let judged = worker.check(&Batch {
            feed,
            now_ms: u64::try_from(now.as_micros() / 1000).unwrap_or(0),
            monotonic_ms,
            rows: &job.rows,
            access: (!messages.is_empty())
                .then(|| Arc::new(Granted(messages)) as Arc<dyn MessageAccess>),
        });
        for line in worker.take_log() {
            tracing::debug!(check = self.name, "{}", line.text);
        }
        let status = worker.status();
        self.rows.add(status.rows - self.told.0);
        self.skipped.add(status.skipped - self.told.1);
        self.told = (status.rows, status.skipped);
        for one in judged {
            self.tell(&job, now, one);
        }
    }

    /// Runs the next version from now on.
    fn swap(&mut self, swap: Swap) {
        let Swap { mut worker, facts } = swap;
        let handover = self.worker.take().map(|old| worker.take_over(old));
        if handover.is_none() {
            self.told = (0, 0);
        }
        self.worker = Some(worker);
        self.board.runs(self.number, &facts, handover);
    }

    fn tell(&self, job: &Job, now: Timestamp, judged: Judged) {
        let (row, faulty, code, severity) = match &judged {
            Judged::Found(found) => {
                self.found.add(1);
                // The subject names the check; its own code is the part behind the slash.
                let code = found.code.rsplit('/').next().unwrap_or_default();
                (found.row, false, Label::from(code), severity(found.level))
            }
            Judged::Faulty(fault) => {
                self.faults.add(1);
                (fault.row, true, Label::from(fault.kind.name()), Severity::Ticket)
            }
        };
        let about = row.and_then(|row| job.about.get(usize::try_from(row).ok()?));
        self.side.put(Input::Found(CheckFinding {
            at: about.map_or(now, |a| a.at),
            check: self.number,
            waypoint: job.waypoint,
            faulty,
            code,
            severity,
            journey_key: about.and_then(|a| a.key),
            urgency: about.map_or(Urgency::Routine, |a| a.urgency),
        }));
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::Info => Severity::Note,
        Level::Warning | Level::Error => Severity::Ticket,
        Level::Critical => Severity::Page,
    }
}

/// Both ends of a check that runs no version yet, and where its versions are put.
pub(super) fn ends(
    number: u16,
    check: &Check,
    names: &[String],
    side: &SideBox,
    board: &Board,
    registry: &Registry,
) -> (CheckFeed, CheckDesk, SyncSender<Next>) {
    let (jobs, receiver) = sync_channel(QUEUE);
    let (versions, nexts) = sync_channel(1);
    let labels = [("check", check.name.as_str())];
    let counter = |name, help| registry.counter(name, help, "{row}", &labels);
    let skipped = counter(
        "feedpulse_check_skipped_total",
        "Rows that a check did not judge because it was faulty, set aside or not loaded.",
    );
    let feed = CheckFeed {
        waypoints: check.waypoints.clone(),
        reading: None,
        pending: Vec::new(),
        jobs,
        shed: counter("feedpulse_check_shed_total", "Rows that a slow check did not get."),
        skipped: skipped.clone(),
        nexts,
        held: None,
    };
    let desk = CheckDesk {
        number,
        name: check.name.clone(),
        worker: None,
        jobs: receiver,
        names: names.to_vec(),
        side: side.clone(),
        board: board.clone(),
        rows: counter("feedpulse_check_rows_total", "Rows that a check judged."),
        skipped,
        found: counter("feedpulse_check_findings_total", "Findings of a check."),
        faults: counter("feedpulse_check_faults_total", "Faults of a check itself."),
        told: (0, 0),
    };
    (feed, desk, versions)
}
