//! WASM checks: rows are joined where the frame is, judged on a thread per check, and come back as
//! inputs. A check that is slow sheds its own rows and stalls nobody.

use super::side::SideBox;
use crate::cli::{CONFIG, Failure, UNAVAILABLE};
use crate::config::resolve::Check;
use anyhow::anyhow;
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
    Batch, CheckFinding as Judged, Grant, Level, Limits, MessageAccess, OCCURRENCE_SEPARATOR,
    Path as GuestPath, Row, Runtime, Settings, Share, Worker,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Batches that wait for a check.
const QUEUE: usize = 256;
/// Rows of one batch.
const ROWS: usize = 64;
/// The longest value that a check with the grant `get` is given, bytes.
const LONGEST: usize = 3 << 20;

/// The checks that come with the binary.
const BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

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

/// Reads of a check beyond its declared fields, within one batch.
struct Granted(Vec<Phi<Vec<u8>>>);

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
    types: Vec<TypeMatch>,
    spec: RowSpec,
    keeps_messages: bool,
    pending: Vec<Job>,
    jobs: SyncSender<Job>,
    shed: Counter,
}

/// The guest's end of one check; [`CheckDesk::run`] goes on a thread of its own.
pub(crate) struct CheckDesk {
    number: u16,
    name: String,
    worker: Worker,
    jobs: Receiver<Job>,
    names: Vec<String>,
    side: SideBox,
    rows: Counter,
    skipped: Counter,
    found: Counter,
    faults: Counter,
}

impl CheckFeed {
    /// Takes a message's row, if the check wants it.
    pub(crate) fn offer(&mut self, message: &Message<'_>, sighting: &Sighting) {
        let Seen::Message(seen) = &sighting.what else { return };
        if !self.waypoints.contains(&sighting.waypoint) {
            return;
        }
        let (code, trigger) = (seen.code.as_str(), seen.trigger.as_str());
        if !self.types.is_empty()
            && !self.types.iter().any(|t| t.matches(code.as_bytes(), trigger.as_bytes()))
        {
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
        self.spec.join(message, &RowMeta::of(sighting.at, seen), &mut fields);
        if self.keeps_messages {
            job.messages.push(Phi::new(message.bytes().to_vec()));
        }
        job.rows.push(Row { id: job.rows.len() as u64, fields });
        job.about.push(About { at: sighting.at, key: seen.journey_key, urgency: seen.urgency });
    }

    /// Hands over what was gathered in this step; what does not fit is shed and counted.
    pub(crate) fn flush(&mut self) {
        for job in self.pending.drain(..) {
            let rows = job.rows.len() as u64;
            if self.jobs.try_send(job).is_err() {
                self.shed.add(rows);
            }
        }
    }
}

impl CheckDesk {
    /// Judges until the engine's end is gone.
    pub(crate) fn run(mut self) {
        let started = std::time::Instant::now();
        let mut share = Share::default();
        while let Ok(mut job) = self.jobs.recv() {
            let messages = std::mem::take(&mut job.messages);
            let now = job.about.last().map_or(Timestamp::EPOCH, |a| a.at);
            let feed = self.names.get(usize::from(job.waypoint.0)).map_or("?", String::as_str);
            let judged = self.worker.check(&Batch {
                feed,
                now_ms: u64::try_from(now.as_micros() / 1000).unwrap_or(0),
                monotonic_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                rows: &job.rows,
                access: (!messages.is_empty())
                    .then(|| Arc::new(Granted(messages)) as Arc<dyn MessageAccess>),
            });
            for one in judged {
                self.tell(&job, now, one);
            }
            for line in self.worker.take_log() {
                tracing::debug!(check = self.name, "{}", line.text);
            }
            share.settle(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
            let status = self.worker.status();
            self.rows.set(status.rows);
            self.skipped.set(status.skipped);
        }
    }

    fn tell(&self, job: &Job, now: Timestamp, judged: Judged) {
        let (row, faulty, code, severity) = match &judged {
            Judged::Found(found) => {
                self.found.add(1);
                // The subject names the check; its own code is the part behind the slash.
                let code = found.code.rsplit('/').next().unwrap_or_default();
                (found.row, false, Label::distinct(code), severity(found.level))
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

/// Loads every check. The runtime's ticker must run already.
///
/// # Errors
/// Which check cannot be used, and why.
pub(crate) fn load(
    checks: &[Check],
    runtime: &Runtime,
    names: &[String],
    side: &SideBox,
    registry: &Registry,
) -> Result<Vec<(CheckFeed, CheckDesk)>, Failure> {
    let mut loaded = Vec::new();
    for (number, check) in (0..).zip(checks) {
        let one = load_one(number, check, runtime, names, side, registry);
        loaded.push(
            one.map_err(|e| Failure::new(CONFIG, e.context(format!("check {}", check.name))))?,
        );
    }
    Ok(loaded)
}

/// Starts every check as a run would, to see whether it could: what is wrong with a component, its
/// declarations or its settings. Nothing is handed to it.
///
/// # Errors
/// All checks that do not start, each with its reason and what to do.
pub(crate) fn rehearse(checks: &[Check]) -> Result<(), Failure> {
    let runtime = Runtime::new(None).map_err(|e| Failure::new(UNAVAILABLE, e))?;
    let (ticker, stop) = (runtime.ticker(), AtomicBool::new(false));
    let problems: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(|| ticker.run(&stop));
        let tried = checks.iter().map(|check| (check, start(check, &runtime)));
        let failed = tried.filter_map(|(check, tried)| Some((check, tried.err()?)));
        let problems = failed.map(|(check, e)| format!("check {}: {e:#}", check.name)).collect();
        stop.store(true, Ordering::Release);
        problems
    });
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new(CONFIG, anyhow!("{}", problems.join("\n"))))
}

/// Compiles a check and starts it with its settings.
fn start(check: &Check, runtime: &Runtime) -> anyhow::Result<Worker> {
    let bytes = match check.plugin.strip_prefix("builtin:") {
        Some(name) => {
            let found = BUILTIN.iter().find(|(known, _)| *known == name);
            found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| {
                let names: Vec<_> = BUILTIN.iter().map(|(known, _)| *known).collect();
                anyhow!("no built-in check is called {name:?}; there are {}", names.join(", "))
            })?
        }
        None => std::fs::read(&check.plugin)?,
    };
    let plugin = runtime.load(&bytes)?;
    let grants = check.grants.iter().filter_map(|g| match g.as_str() {
        "get" => Some(Grant::Get),
        "raw" => Some(Grant::Raw),
        "free-text" => Some(Grant::FreeText),
        _ => None,
    });
    let (config, grants) = (check.config.clone(), grants.collect());
    Ok(plugin.worker(Settings { config, grants, limits: Limits::default() })?)
}

fn load_one(
    number: u16,
    check: &Check,
    runtime: &Runtime,
    names: &[String],
    side: &SideBox,
    registry: &Registry,
) -> anyhow::Result<(CheckFeed, CheckDesk)> {
    let worker = start(check, runtime)?;
    let manifest = worker.manifest();
    let fields: Vec<String> = manifest.fields.iter().map(ToString::to_string).collect();
    let spec = RowSpec::new(&fields)?;
    let types =
        manifest.message_types.iter().map(|t| t.parse()).collect::<Result<Vec<TypeMatch>, _>>()?;
    let reads_more = |name: &&String| match name.as_str() {
        "get" => manifest.grants.contains(&Grant::Get),
        "raw" => manifest.grants.contains(&Grant::Raw),
        _ => false,
    };
    let keeps_messages = check.grants.iter().any(|name| reads_more(&name));
    let (jobs, receiver) = sync_channel(QUEUE);
    let labels = [("check", check.name.as_str())];
    let counter = |name, help| registry.counter(name, help, "{row}", &labels);
    let feed = CheckFeed {
        waypoints: check.waypoints.clone(),
        types,
        spec,
        keeps_messages,
        pending: Vec::new(),
        jobs,
        shed: counter("feedpulse_check_shed_total", "Rows that a slow check did not get."),
    };
    let desk = CheckDesk {
        number,
        name: check.name.clone(),
        worker,
        jobs: receiver,
        names: names.to_vec(),
        side: side.clone(),
        rows: counter("feedpulse_check_rows_total", "Rows that a check judged."),
        skipped: counter(
            "feedpulse_check_skipped_total",
            "Rows that a check did not judge because it was faulty or set aside.",
        ),
        found: counter("feedpulse_check_findings_total", "Findings of a check."),
        faults: counter("feedpulse_check_faults_total", "Faults of a check itself."),
    };
    Ok((feed, desk))
}
