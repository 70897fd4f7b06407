//! WASM checks: rows are joined where the frame is, judged on a thread per check, and come back as
//! inputs. A check that is slow sheds its own rows and stalls nobody.
//!
//! A new version travels in the same queue as the rows: what was joined before it is judged by the
//! old one, what is joined after it by the new one, and so each row exactly once. Where versions
//! come from is in [`reload`]; how they are told in [`board`].

pub(crate) mod board;
pub(crate) mod numbers;
pub(crate) mod offer;
pub(crate) mod offline;
mod pairs;
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
use feedpulse_core::said::{CheckWords, Line, SHORT_MAX};
use feedpulse_core::sighting::Urgency;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_sinks::Flag;
use feedpulse_wasm::{
    About as Kind, Batch, CheckFinding as Judged, Finding, Level, MessageAccess,
    OCCURRENCE_SEPARATOR, Path as GuestPath, Row, Share, Worker,
};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Batches that wait for a check.
const QUEUE: usize = 256;
/// Rows of one batch.
const ROWS: usize = 64;
/// The longest value that a check with the grant `get` is given, bytes.
const LONGEST: usize = 3 << 20;

/// What a row's message was, to make a finding of the guest's answer.
struct About {
    at: Timestamp,
    key: Option<MessageKey>,
    urgency: Urgency,
    /// What its row is about.
    kind: Kind,
}

/// Rows of one waypoint, in order; each call of the check gets those of one kind.
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
    /// A second has passed, at these waypoints.
    Tick(Timestamp, Vec<WaypointId>),
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
        // A row's path takes all occurrences; one of them is picked from what it gives.
        let all = GuestPath { occurrence: None, ..*path };
        let mut spec = RowSpec::new(&[all.to_string()]).ok()?.longest(LONGEST);
        let mut out = String::new();
        if !spec.join_bytes(bytes, &RowMeta::default(), &mut out) {
            return None;
        }
        let Some(n) = path.occurrence else { return Some(out) };
        out.split(OCCURRENCE_SEPARATOR).nth(usize::from(n) - 1).map(str::to_owned)
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
    /// What was told of the worker's rows and skipped rows.
    told: (u64, u64),
    /// What the version can say, until the engine has it.
    words: Option<CheckWords>,
}

impl CheckFeed {
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
        let mut share = Share::default();
        while let Ok(work) = self.jobs.recv() {
            let now_ms = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.take(work, now_ms());
            share.settle(now_ms());
        }
    }

    /// Judges what waits, and returns.
    fn catch_up(&mut self, monotonic_ms: u64) {
        while let Ok(work) = self.jobs.try_recv() {
            self.take(work, monotonic_ms);
        }
    }

    fn take(&mut self, work: Work, monotonic_ms: u64) {
        match work {
            Work::Judge(job) => self.judge(job, monotonic_ms),
            Work::Tick(at, waypoints) => self.tick(at, waypoints, monotonic_ms),
            Work::Swap(Some(swap)) => self.swap(*swap),
            Work::Swap(None) => self.worker = None,
        }
    }

    fn judge(&mut self, mut job: Job, monotonic_ms: u64) {
        let messages = std::mem::take(&mut job.messages);
        let access =
            (!messages.is_empty()).then(|| Arc::new(Granted(messages)) as Arc<dyn MessageAccess>);
        let mut rows = job.rows.as_slice();
        for about in job.about.chunk_by(|a, b| a.kind == b.kind) {
            let (now, rest) = rows.split_at(about.len().min(rows.len()));
            rows = rest;
            let at = about.last().map_or(Timestamp::EPOCH, |a| a.at);
            self.work(&job, at, |worker, feed| {
                worker.check(&Batch {
                    feed,
                    now_ms: millis(at),
                    monotonic_ms,
                    rows: now,
                    access: access.clone(),
                })
            });
        }
    }

    fn tick(&mut self, at: Timestamp, waypoints: Vec<WaypointId>, monotonic_ms: u64) {
        for waypoint in waypoints {
            let none = Job::new(waypoint);
            self.work(&none, at, |worker, feed| worker.tick(feed, millis(at), monotonic_ms));
        }
    }

    /// One call of the worker, and what is told of it.
    fn work(
        &mut self,
        job: &Job,
        now: Timestamp,
        call: impl FnOnce(&mut Worker, &str) -> Vec<Judged>,
    ) {
        self.say_words();
        let Some(worker) = &mut self.worker else { return };
        let feed = self.names.get(usize::from(job.waypoint.0)).map_or("?", String::as_str);
        let began = std::time::Instant::now();
        let judged = call(worker, feed);
        let took = began.elapsed();
        for line in worker.take_log() {
            tracing::debug!(check = self.name, "{}", line.text);
        }
        let status = worker.status();
        self.rows.add(status.rows - self.told.0);
        self.skipped.add(status.skipped - self.told.1);
        self.told = (status.rows, status.skipped);
        for one in judged {
            self.tell(job, now, one);
        }
        self.board.took(self.number, took, status);
    }

    /// Runs the next version from now on.
    fn swap(&mut self, swap: Swap) {
        let Swap { mut worker, facts } = swap;
        let handover = self.worker.take().map(|old| worker.take_over(old));
        if handover.is_none() {
            self.told = (0, 0);
        }
        self.worker = Some(worker);
        self.words = Some(CheckWords { check: self.number, codes: facts.words.clone() });
        self.say_words();
        self.board.runs(self.number, &facts, handover);
    }

    /// Tells the engine what the version can say, before the version says anything. A full box takes
    /// it later.
    fn say_words(&mut self) {
        let Some(words) = self.words.take() else { return };
        if !self.side.put(Input::Words(Box::new(words.clone()))) {
            self.words = Some(words);
        }
    }

    fn tell(&self, job: &Job, now: Timestamp, judged: Judged) {
        let row = match &judged {
            Judged::Found(found) => found.row,
            Judged::Faulty(fault) => fault.row,
        };
        let about = row.and_then(|row| job.about.get(usize::try_from(row).ok()?));
        let (at, key) = (about.map_or(now, |a| a.at), about.and_then(|a| a.key));
        let (mut place, mut attrs) = (Line::default(), Vec::new());
        let (faulty, code, severity) = match judged {
            Judged::Found(found) => {
                // The subject names the check; its own code is the part behind the slash.
                let code = found.code.rsplit('/').next().unwrap_or_default();
                let code = Label::distinct(code);
                let severity = severity(found.level);
                self.board.found(self.number, code);
                let short = |text: &str| Line::new(text, SHORT_MAX);
                place = short(&found.at);
                attrs = found.attrs.iter().map(|(n, v)| (short(n), short(v))).collect();
                if let Some(key) = key {
                    self.board.flag(key, flag(&self.name, at, found));
                }
                (false, code, severity)
            }
            Judged::Faulty(fault) => {
                let cause = fault.kind.name();
                tracing::debug!(check = self.name, cause, rows = fault.count, "{}", fault.cause);
                (true, Label::from(cause), Severity::Ticket)
            }
        };
        self.side.put(Input::Found(CheckFinding {
            at,
            check: self.number,
            waypoint: job.waypoint,
            faulty,
            code,
            severity,
            journey_key: key,
            urgency: about.map_or(Urgency::Routine, |a| a.urgency),
            place,
            attrs,
        }));
    }
}

/// A finding as its journey's trace shows it: nothing but what the manifest declares. Free text stays
/// out, whatever was granted: traces are read by more people than the grant was given for.
fn flag(check: &str, at: Timestamp, found: Finding) -> Flag {
    Flag {
        at,
        check: check.to_owned(),
        code: found.code.to_string(),
        level: match found.level {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Critical => "critical",
        },
        place: found.at.into(),
        attrs: found.attrs.iter().map(|(name, value)| format!("{name}={value}")).collect(),
    }
}

/// Milliseconds since 1970.
fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros() / 1000).unwrap_or(0)
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
    let shed = counter("feedpulse_check_shed_total", "Rows that a slow check did not get.");
    board.sheds(number, shed.clone());
    let feed = CheckFeed {
        waypoints: check.waypoints.clone(),
        reading: None,
        pending: Vec::new(),
        jobs,
        shed,
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
        told: (0, 0),
        words: None,
    };
    (feed, desk, versions)
}
