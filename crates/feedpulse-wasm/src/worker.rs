//! One check at work: batches in, findings out, whatever the guest does.

use crate::batch::{Batch, ROW_SEPARATOR, Row};
use crate::breaker::{Breaker, Condition};
use crate::finding::{CheckFinding, Fault, Kind, LogLine};
use crate::host::Desk;
use crate::host::bindings::feedpulse::check::types;
use crate::instance::{Failure, Instance, StartFailure};
use crate::judge::{Judge, Objection};
use crate::limits::Settings;
use crate::manifest::Manifest;
use crate::runtime::Plugin;
use crate::state::States;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Why a check does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The check refused its settings; this is its own sentence.
    #[error("the check {name} refuses its settings: {said}")]
    Config {
        /// Which check.
        name: String,
        /// What it said.
        said: String,
    },
    /// It failed before that.
    #[error("the check {name} does not start: {} ({cause})", kind.name())]
    Failed {
        /// Which check.
        name: String,
        /// How.
        kind: Kind,
        /// Why.
        cause: String,
    },
}

/// Numbers of a worker since it started, and how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it runs.
    pub condition: Condition,
    /// Rows handed in. Each was checked or skipped.
    pub rows: u64,
    /// Rows that were not checked: the check was set aside, or failed on them.
    pub skipped: u64,
    /// Batches handed in.
    pub batches: u64,
    /// Calls into the guest, ticks and repeated halves included.
    pub calls: u64,
    /// Findings passed on.
    pub findings: u64,
    /// Valid findings dropped for their number.
    pub findings_dropped: u64,
    /// Free texts dropped for want of the grant.
    pub texts_dropped: u64,
    /// Faults by kind, in the order of [`Kind::ALL`]; of [`Kind::BadFinding`], the findings.
    pub faults: [u64; Kind::ALL.len()],
    /// Log lines written by the guest.
    pub log_lines: u64,
    /// Log lines dropped for their rate.
    pub log_dropped: u64,
    /// Log lines whose text was kept back for want of the grant.
    pub log_withheld: u64,
    /// Instances made.
    pub instances: u64,
    /// Instances that were replaced for their age or the memory that they held, without a fault.
    pub recycled: u64,
    /// State entries that made room for others.
    pub state_evicted: u64,
    /// Feeds whose state was forgotten to make room for others.
    pub feeds_forgotten: u64,
    /// Keys of state over all feeds.
    pub state_keys: usize,
    /// Bytes of state over all feeds.
    pub state_bytes: usize,
    /// Memory of the live instance, bytes; none when there is none.
    pub memory: Option<usize>,
    /// The most memory that an instance held after a call, bytes.
    pub memory_max: usize,
}

/// One check with its settings, owned by one thread. It keeps one instance and uses it again and
/// again; state lives beside it and outlives it.
pub struct Worker {
    plugin: Plugin,
    /// The plugin's own with what the settings declare.
    manifest: Manifest,
    settings: Settings,
    judge: Judge,
    live: Option<Instance>,
    /// What an instance borrows for a call; here between calls.
    desk: Option<Box<Desk>>,
    states: States,
    breaker: Breaker,
    numbers: Status,
    /// The record that is handed over, kept for its room.
    scratch: types::Batch,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("plugin", &self.plugin)
            .field("condition", &self.breaker.condition())
            .finish_non_exhaustive()
    }
}

/// What one batch or tick has led to so far.
#[derive(Default)]
struct Outcome {
    out: Vec<CheckFinding>,
    findings: usize,
    bad: Option<(Option<u64>, u32, Objection)>,
}

impl Worker {
    /// Starts the first instance.
    pub(crate) fn start(
        plugin: Plugin,
        settings: Settings,
        reveal: bool,
    ) -> Result<Self, StartError> {
        let config = &settings.config;
        let manifest = plugin.manifest().with_settings(config).map_err(|e| StartError::Config {
            name: plugin.manifest().name.clone(),
            said: e.to_string(),
        })?;
        let grants = manifest.granted(&settings.grants);
        let judge = Judge::new(&manifest, &grants, &settings.limits);
        let places = Arc::clone(plugin.places());
        let mut desk = Some(Box::new(Desk::new(grants, settings.limits.clone(), places, reveal)));
        let name = || plugin.manifest().name.clone();
        let calls = lifetime(&plugin, &settings, 0);
        let live = Instance::start(&plugin, &settings, &mut desk, calls).map_err(|e| match e {
            StartFailure::Config(said) => StartError::Config { name: name(), said: said.into() },
            StartFailure::Failed(Failure { kind, cause, .. }) => {
                StartError::Failed { name: name(), kind, cause: cause.into() }
            }
        })?;
        let breaker = Breaker::new(&settings.limits);
        let numbers = Status { instances: 1, ..Status::new(breaker.condition()) };
        let live = Some(live);
        Ok(Self {
            states: States::default(),
            plugin,
            manifest,
            settings,
            judge,
            live,
            desk,
            breaker,
            numbers,
            scratch: no_rows(),
        })
    }

    /// Checks a batch. Blocks for as long as the guest's budget allows, at most.
    ///
    /// A call that fails is repeated in halves until the row to blame stands alone; that row is
    /// reported as a [`Fault`] and the others are checked.
    pub fn check(&mut self, batch: &Batch<'_>) -> Vec<CheckFinding> {
        let mut outcome = Outcome::default();
        self.numbers.batches += 1;
        self.numbers.rows += wide(batch.rows.len());
        self.open(batch.feed, batch.monotonic_ms);
        if let Some(desk) = &mut self.desk {
            desk.access.clone_from(&batch.access);
        }
        for part in self.parts(batch.rows) {
            match part {
                Part::Call(range) => self.halve(batch, range, &mut outcome),
                Part::TooLong(row) => {
                    self.numbers.skipped += 1;
                    let id = batch.rows[row].id;
                    let cause = "a row is longer than the limit";
                    self.report(Failure::new(Kind::RowTooLong, cause), Some(id), 1, &mut outcome);
                }
            }
        }
        self.close(batch.feed, outcome)
    }

    /// Gives a check that asked for it the time, about once a second per feed.
    pub fn tick(&mut self, feed: &str, now_ms: u64, monotonic_ms: u64) -> Vec<CheckFinding> {
        let mut outcome = Outcome::default();
        if !self.plugin.ticks() {
            return outcome.out;
        }
        self.open(feed, monotonic_ms);
        if let Some(desk) = &mut self.desk {
            (desk.access, desk.ids) = (None, Vec::new());
        }
        if self.breaker.admits(monotonic_ms) {
            let budget = self.settings.limits.time_base;
            let called =
                self.enter(|plugin, desk, live| live.tick(plugin, desk, budget, feed, now_ms));
            match called {
                Ok(found) => self.pass(found, &[], &mut outcome),
                Err(e) => self.blame(e, None, 0, monotonic_ms, &mut outcome),
            }
        }
        self.close(feed, outcome)
    }

    /// Numbers since the start, and how the check is.
    #[must_use]
    pub fn status(&self) -> Status {
        let log = self.desk.as_ref().map(|desk| &desk.log);
        let (state_keys, state_bytes) = self.states.size();
        Status {
            condition: self.breaker.condition(),
            log_lines: log.map_or(0, |log| log.written),
            log_dropped: log.map_or(0, |log| log.dropped),
            log_withheld: log.map_or(0, |log| log.withheld),
            state_keys,
            state_bytes,
            memory: self.live.as_ref().map(Instance::memory),
            ..self.numbers
        }
    }

    /// Instructions that the live instance has run since it was made; none when there is none, or when
    /// they are not counted ([`crate::Runtime::for_author`]).
    #[must_use]
    pub fn instructions(&self) -> Option<u64> {
        self.live.as_ref().and_then(Instance::instructions)
    }

    /// The log lines that were written since the last time.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        self.desk.as_mut().map(|desk| desk.log.take()).unwrap_or_default()
    }

    /// The check that runs here.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// What the check declares, together with its settings: the fields of its rows, the words of its
    /// codes.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Goes on from the version before: with its numbers, and with its state if that fits. Gives
    /// the size of the old state, keys and bytes.
    pub(crate) fn inherit(&mut self, old: Self, state: bool) -> (usize, usize) {
        let size = old.states.size();
        let instances = self.numbers.instances + old.numbers.instances;
        self.numbers = Status { instances, ..old.numbers };
        if let (Some(desk), Some(before)) = (&mut self.desk, old.desk) {
            desk.log.go_on(before.log);
        }
        if state {
            self.states = old.states;
        }
        size
    }

    /// Puts the feed's state on the desk.
    fn open(&mut self, feed: &str, monotonic_ms: u64) {
        let state = self.states.take(feed);
        if let Some(desk) = &mut self.desk {
            desk.state = state;
            desk.log.refill(monotonic_ms, self.settings.limits.log_bytes_per_second);
        }
    }

    /// Puts the feed's state away and ends a batch or tick.
    fn close(&mut self, feed: &str, mut outcome: Outcome) -> Vec<CheckFinding> {
        if let Some(desk) = &mut self.desk {
            desk.access = None;
            let state = std::mem::take(&mut desk.state);
            let most = self.settings.limits.state_feeds;
            self.numbers.feeds_forgotten += self.states.put(feed, state, most);
        }
        if let Some((row, count, objection)) = outcome.bad.take() {
            let failure = Failure::new(Kind::BadFinding, objection);
            self.report(failure, row, count, &mut outcome);
        }
        outcome.out
    }

    /// Splits rows to calls within the limits.
    fn parts(&self, rows: &[Row]) -> Vec<Part> {
        let limits = &self.settings.limits;
        let (mut parts, mut start, mut bytes) = (Vec::with_capacity(1), 0, 0);
        for (n, row) in rows.iter().enumerate() {
            let size = row.fields.len() + 1;
            let too_long = row.fields.len() > limits.row_bytes;
            let full = n - start >= limits.rows_per_call || bytes + size > limits.bytes_per_call;
            if n > start && (too_long || full) {
                parts.push(Part::Call(start..n));
                (start, bytes) = (n, 0);
            }
            if too_long {
                parts.push(Part::TooLong(n));
                start = n + 1;
            } else {
                bytes += size;
            }
        }
        if start < rows.len() {
            parts.push(Part::Call(start..rows.len()));
        }
        parts
    }

    /// Checks a range of rows, in halves where it fails.
    fn halve(&mut self, batch: &Batch<'_>, whole: Range<usize>, outcome: &mut Outcome) {
        let mut todo = vec![whole.clone()];
        // why a longer range failed, until a row is blamed for it
        let mut unexplained: Option<Failure> = None;
        while let Some(range) = todo.pop() {
            if !self.breaker.admits(batch.monotonic_ms) {
                self.numbers.skipped += wide(range.len());
                continue;
            }
            self.lay_out(batch, range.clone());
            let budget = self.budget(range.len());
            let rows = std::mem::replace(&mut self.scratch, no_rows());
            let called = self.enter(|plugin, desk, live| live.check(plugin, desk, budget, &rows));
            self.scratch = rows;
            match called {
                Ok(found) => self.pass(found, &batch.rows[range], outcome),
                Err(e) if range.len() > 1 && !e.whole => {
                    let middle = range.start + range.len() / 2;
                    todo.extend([middle..range.end, range.start..middle]);
                    unexplained.get_or_insert(e);
                }
                Err(e) => {
                    unexplained = None;
                    self.numbers.skipped += wide(range.len());
                    let row = (range.len() == 1 && !e.whole).then(|| batch.rows[range.start].id);
                    self.blame(e, row, range.len(), batch.monotonic_ms, outcome);
                }
            }
        }
        if let Some(failure) = unexplained {
            // each half went well, so the rows were checked; the call as a whole was too much
            self.blame(failure, None, whole.len(), batch.monotonic_ms, outcome);
        }
    }

    /// Fills the record that is handed over, and names its rows.
    fn lay_out(&mut self, batch: &Batch<'_>, range: Range<usize>) {
        let scratch = &mut self.scratch;
        if scratch.feed != batch.feed {
            batch.feed.clone_into(&mut scratch.feed);
        }
        scratch.now_ms = batch.now_ms;
        scratch.count = u32::try_from(range.len()).unwrap_or(u32::MAX);
        scratch.rows.clear();
        let rows = &batch.rows[range];
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                scratch.rows.push(ROW_SEPARATOR);
            }
            scratch.rows.push_str(&row.fields);
        }
        if let Some(desk) = &mut self.desk {
            desk.ids.clear();
            desk.ids.extend(rows.iter().map(|row| row.id));
        }
    }

    /// Calls into the instance, made anew if there is none, and settles state and instance after.
    fn enter<T>(
        &mut self,
        call: impl FnOnce(&Plugin, &mut Option<Box<Desk>>, &mut Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.live.is_none() {
            self.numbers.instances += 1;
            let calls = lifetime(&self.plugin, &self.settings, self.numbers.instances);
            let started = Instance::start(&self.plugin, &self.settings, &mut self.desk, calls);
            let failed = |e| match e {
                StartFailure::Failed(failure) => Failure { whole: true, ..failure },
                StartFailure::Config(_) => {
                    let cause = "it refused settings that it had accepted before";
                    Failure { whole: true, ..Failure::new(Kind::PluginError, cause) }
                }
            };
            self.live = Some(started.map_err(failed)?);
        }
        let Some(live) = &mut self.live else {
            return Err(Failure::new(Kind::Trapped, "there is no instance"));
        };
        self.numbers.calls += 1;
        let called = call(&self.plugin, &mut self.desk, live);
        let memory = live.memory();
        self.numbers.memory_max = self.numbers.memory_max.max(memory);
        let worn = memory / 3 > self.settings.limits.memory / 4 || live.is_old();
        let broken = called.as_ref().is_err_and(|e| e.fatal);
        if worn || broken {
            self.live = None;
            self.numbers.recycled += u64::from(!broken);
        }
        if let Some(desk) = &mut self.desk {
            if called.is_ok() {
                self.numbers.state_evicted += desk.state.commit();
            } else {
                desk.state.roll_back();
            }
        }
        called
    }

    /// Processor time for a call with so many rows.
    fn budget(&self, rows: usize) -> Duration {
        let limits = &self.settings.limits;
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        limits.time_base.saturating_add(limits.time_per_row.saturating_mul(rows))
    }

    /// Passes on what the manifest allows.
    fn pass(&mut self, found: Vec<types::Finding>, rows: &[Row], outcome: &mut Outcome) {
        for finding in found {
            let index = finding.row.and_then(|row| usize::try_from(row).ok());
            match self.judge.pass(finding, rows) {
                Ok((finding, text_dropped)) => {
                    self.numbers.texts_dropped += u64::from(text_dropped);
                    if outcome.findings >= self.settings.limits.findings {
                        self.numbers.findings_dropped += 1;
                        continue;
                    }
                    outcome.findings += 1;
                    self.numbers.findings += 1;
                    outcome.out.push(CheckFinding::Found(finding));
                }
                Err(objection) => {
                    let row = index.and_then(|index| rows.get(index)).map(|row| row.id);
                    let (_, count, _) = outcome.bad.get_or_insert((row, 0, objection));
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// Reports a failed call and counts it against the check.
    fn blame(
        &mut self,
        e: Failure,
        row: Option<u64>,
        rows: usize,
        now_ms: u64,
        outcome: &mut Outcome,
    ) {
        let over =
            |worker: &Self| matches!(worker.breaker.condition(), Condition::Quarantined { .. });
        let was_over = over(self);
        if e.kind != Kind::NoTicker && !was_over {
            if e.whole {
                self.breaker.set_aside(now_ms);
            } else {
                self.breaker.fault(now_ms);
            }
        }
        if over(self) && !was_over {
            self.live = None;
            let cause =
                "it was set aside too often in a row; it runs no more until it is loaded again";
            self.report(Failure::new(Kind::Quarantined, cause), None, 1, outcome);
        }
        self.report(e, row, u32::try_from(rows).unwrap_or(u32::MAX), outcome);
    }

    /// Reports a fault.
    fn report(&mut self, e: Failure, row: Option<u64>, count: u32, outcome: &mut Outcome) {
        if let Some(n) = Kind::ALL.iter().position(|kind| *kind == e.kind) {
            self.numbers.faults[n] += if e.kind == Kind::BadFinding { count.into() } else { 1 };
        }
        outcome.out.push(CheckFinding::Faulty(Fault { kind: e.kind, row, count, cause: e.cause }));
    }
}

/// A piece of a batch.
enum Part {
    /// Rows for one call.
    Call(Range<usize>),
    /// A row that is not handed over.
    TooLong(usize),
}

impl Status {
    /// All zero.
    fn new(condition: Condition) -> Self {
        Self {
            condition,
            rows: 0,
            skipped: 0,
            batches: 0,
            calls: 0,
            findings: 0,
            findings_dropped: 0,
            texts_dropped: 0,
            faults: [0; Kind::ALL.len()],
            log_lines: 0,
            log_dropped: 0,
            log_withheld: 0,
            instances: 0,
            recycled: 0,
            state_evicted: 0,
            feeds_forgotten: 0,
            state_keys: 0,
            state_bytes: 0,
            memory: None,
            memory_max: 0,
        }
    }

    /// Faults of one kind; of [`Kind::BadFinding`], the findings.
    #[must_use]
    pub fn faults_of(&self, kind: Kind) -> u64 {
        Kind::ALL.iter().zip(self.faults).find(|(k, _)| **k == kind).map_or(0, |(_, n)| n)
    }
}

/// Calls that an instance takes: as the limits say, give or take a quarter. The spread comes from
/// the check's name and the number of the instance, so that a replay is the same.
fn lifetime(plugin: &Plugin, settings: &Settings, instance: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&plugin.manifest().name, instance).hash(&mut hasher);
    let calls = settings.limits.recycle_calls.max(1);
    let quarter = calls / 4;
    calls - quarter + hasher.finish() % (2 * quarter + 1)
}

/// A record without rows.
fn no_rows() -> types::Batch {
    types::Batch { feed: String::new(), now_ms: 0, count: 0, rows: String::new() }
}

/// A count.
fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
