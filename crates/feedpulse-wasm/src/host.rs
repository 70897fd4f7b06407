//! What a guest can call, and the meters that watch it.

use crate::batch::MessageAccess;
use crate::finding::{Level, LogLine};
use crate::limits::Limits;
use crate::manifest::Grant;
use crate::path::Path;
use crate::places::Places;
use crate::state::FeedState;
use bindings::feedpulse::check::{log, message, state, types};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{ResourceLimiter, UpdateDeadline};

/// What wasmtime makes of `wit/`.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/check@0.1.0",
        world: "check",
    });
}

/// Most log bytes that wait to be fetched; beyond, lines are dropped.
const MAX_LOG_WAITING: usize = 64 << 10;
/// A call may take this many times its processor time on the wall, plus [`WALL_EXTRA_TICKS`]: a
/// busy machine must not make a good check look bad, but a batch must end. A thread that stands
/// behind the others ([`crate::Share`]) gets some 1.5 % of a contended core, and nothing but its own
/// check waits for it.
const WALL_FACTOR: u64 = 20;
/// See [`WALL_FACTOR`].
const WALL_EXTRA_TICKS: u64 = 10_000;

/// Begins the line by which the SDK tells why a check panicked. It may quote a message, so it passes
/// only under the grant `free-text`, or to the author.
const PANIC_MESSAGE: &str = "panic message: ";

/// What belongs to the worker and is lent to an instance for a call, so that it outlives the
/// instance.
pub(crate) struct Desk {
    /// State of the feed at hand.
    pub(crate) state: FeedState,
    /// Names of the rows at hand, by index.
    pub(crate) ids: Vec<u64>,
    /// Where granted reads go.
    pub(crate) access: Option<Arc<dyn MessageAccess>>,
    /// Lines to fetch.
    pub(crate) log: Log,
    /// Where the guest said that it panicked.
    pub(crate) panicked: Option<Box<str>>,
    /// False while the guest reads its settings: what it says then must come from them alone.
    pub(crate) readable: bool,
    /// On an author's own machine: what a check says when it fails goes into the cause.
    pub(crate) reveal: bool,
    pub(crate) grants: BTreeSet<Grant>,
    pub(crate) limits: Limits,
    /// Where the guest can panic.
    places: Arc<Places>,
}

impl Desk {
    /// For one worker.
    pub(crate) fn new(
        grants: BTreeSet<Grant>,
        limits: Limits,
        places: Arc<Places>,
        reveal: bool,
    ) -> Self {
        Self {
            reveal,
            state: FeedState::default(),
            ids: Vec::new(),
            access: None,
            log: Log::default(),
            panicked: None,
            readable: false,
            grants,
            limits,
            places,
        }
    }

    /// The name of a row at hand and where to read it, under a grant.
    fn reach(&self, row: u32, grant: Grant) -> Option<(u64, &dyn MessageAccess)> {
        if !self.readable || !self.grants.contains(&grant) {
            return None;
        }
        let id = *self.ids.get(usize::try_from(row).ok()?)?;
        Some((id, self.access.as_deref()?))
    }
}

/// Log lines of a worker.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// To be fetched.
    pub(crate) lines: Vec<LogLine>,
    waiting: usize,
    /// Bytes that may still be written now, and when that was reckoned.
    allowance: usize,
    reckoned_ms: Option<u64>,
    /// Lines written, passed on or not.
    pub(crate) written: u64,
    /// Lines dropped for their rate.
    pub(crate) dropped: u64,
    /// Lines whose text was kept back for want of a grant.
    pub(crate) withheld: u64,
}

impl Log {
    /// Gives the allowance of the time that went by.
    pub(crate) fn refill(&mut self, now_ms: u64, per_second: usize) {
        let gone_ms = self.reckoned_ms.map_or(1000, |then| now_ms.saturating_sub(then)).min(1000);
        let gained = per_second * usize::try_from(gone_ms).expect("at most 1000") / 1000;
        if gained > 0 || self.reckoned_ms.is_none() {
            self.allowance = (self.allowance + gained).min(per_second);
            self.reckoned_ms = Some(now_ms);
        }
    }

    /// Hands over what waits.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        self.waiting = 0;
        std::mem::take(&mut self.lines)
    }

    /// Goes on after another one: its counts and its lines, in the order of writing.
    pub(crate) fn go_on(&mut self, mut before: Self) {
        self.written += before.written;
        self.dropped += before.dropped;
        self.withheld += before.withheld;
        self.waiting += before.waiting;
        before.lines.append(&mut self.lines);
        self.lines = before.lines;
    }

    /// Takes a line, within the rate; one that may not pass is counted.
    fn write(&mut self, level: Level, text: &str, passes: bool, most_chars: usize) {
        self.written += 1;
        if !passes {
            self.withheld += 1;
            return;
        }
        let text = clip(text, most_chars);
        let cost = text.len() + 1;
        if cost > self.allowance || self.waiting + cost > MAX_LOG_WAITING {
            self.dropped += 1;
            return;
        }
        self.allowance -= cost;
        self.waiting += cost;
        self.lines.push(LogLine { level, text });
    }
}

/// A text without control characters and cut to a number of characters.
pub(crate) fn clip(text: &str, most_chars: usize) -> Box<str> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most_chars).collect()
}

/// The data of a store.
pub(crate) struct Host {
    /// Lent for the time of a call.
    pub(crate) desk: Option<Box<Desk>>,
    pub(crate) meter: Meter,
    pub(crate) space: Space,
}

/// Measures the time of a call.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Processor time of this thread when the call began.
    began: Duration,
    /// What it may use.
    budget: Duration,
    /// Ticks it may still take on the wall.
    wall_ticks: u64,
}

impl Meter {
    /// Starts a call; gives the ticks until the first look.
    pub(crate) fn start(&mut self, budget: Duration) -> u64 {
        let ticks = ticks(budget);
        *self = Self {
            began: thread_time(),
            budget,
            wall_ticks: ticks.saturating_mul(WALL_FACTOR).saturating_add(WALL_EXTRA_TICKS),
        };
        ticks
    }

    /// A deadline was reached: ends the call, or gives it the rest of its processor time.
    pub(crate) fn judge(&mut self) -> UpdateDeadline {
        let left = self.budget.saturating_sub(thread_time().saturating_sub(self.began));
        let ticks = ticks(left);
        if left.is_zero() || self.wall_ticks < ticks {
            return UpdateDeadline::Interrupt;
        }
        self.wall_ticks -= ticks;
        UpdateDeadline::Continue(ticks)
    }
}

/// Ticks that surely last as long as a time: the first may be half over.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX).saturating_add(1)
}

/// Processor time that this thread has used. The one thing that is read from the system: a guest's
/// budget is its own time, not that of whoever else the processor was given to.
pub(crate) fn thread_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// Bounds the memory and tables of an instance.
#[derive(Debug)]
pub(crate) struct Space {
    /// Bytes in use, over all memories.
    pub(crate) used: usize,
    /// Whether the guest was refused more since the flag was cleared.
    pub(crate) refused: bool,
    elements: usize,
    most: usize,
    most_elements: usize,
}

impl Space {
    /// With the limits of a worker.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            used: 0,
            refused: false,
            elements: 0,
            most: limits.memory,
            most_elements: limits.table_elements,
        }
    }
}

/// Adds a growth, if there is room for it.
fn grow(used: &mut usize, current: usize, desired: usize, most: usize) -> bool {
    let after = used.saturating_add(desired.saturating_sub(current));
    if after > most {
        return false;
    }
    *used = after;
    true
}

impl ResourceLimiter for Space {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = maximum.is_none_or(|most| desired <= most)
            && grow(&mut self.used, current, desired, self.most);
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.elements, current, desired, self.most_elements))
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        8
    }
}

impl types::Host for Host {}

impl message::Host for Host {
    fn get(&mut self, row: u32, path: String) -> Option<String> {
        let path = Path::parse(&path).ok()?;
        let (id, access) = self.desk.as_ref()?.reach(row, Grant::Get)?;
        access.get(id, &path)
    }

    fn raw(&mut self, row: u32) -> Option<String> {
        let (id, access) = self.desk.as_ref()?.reach(row, Grant::Raw)?;
        access.raw(id)
    }
}

impl state::Host for Host {
    fn get(&mut self, key: String) -> Option<String> {
        let desk = self.desk.as_ref().filter(|desk| desk.readable)?;
        desk.state.get(&key).map(str::to_owned)
    }

    fn set(&mut self, key: String, value: String) -> Result<(), String> {
        match &mut self.desk {
            Some(desk) if desk.readable => desk.state.set(&key, &value, &desk.limits),
            _ => Err("there is no state while the settings are read".to_owned()),
        }
    }

    fn remove(&mut self, key: String) {
        if let Some(desk) = self.desk.as_mut().filter(|desk| desk.readable) {
            desk.state.remove(&key);
        }
    }
}

impl log::Host for Host {
    fn write(&mut self, level: types::Level, text: String) {
        let Some(desk) = &mut self.desk else { return };
        let place = desk.places.holds(&text);
        if place {
            desk.panicked = Some(text.as_str().into());
        } else if let Some(said) = text.strip_prefix(PANIC_MESSAGE).filter(|_| desk.reveal) {
            let place = desk.panicked.take().unwrap_or_default();
            let said = clip(said, desk.limits.text_chars);
            desk.panicked = Some(format!("{place}: {said}").into());
        }
        let passes = place || desk.grants.contains(&Grant::FreeText);
        desk.log.write(level.into(), &text, passes, desk.limits.text_chars);
    }
}

impl From<types::Level> for Level {
    fn from(level: types::Level) -> Self {
        match level {
            types::Level::Info => Self::Info,
            types::Level::Warning => Self::Warning,
            types::Level::Error => Self::Error,
            types::Level::Critical => Self::Critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_bounded_by_the_second() {
        let mut log = Log::default();
        log.refill(5000, 100);
        for _ in 0..5 {
            log.write(Level::Info, &"x".repeat(300), true, 39);
        }
        assert_eq!((log.lines.len(), log.written, log.dropped), (2, 5, 3));
        log.refill(5100, 100);
        log.write(Level::Info, &"x".repeat(29), true, 200);
        assert_eq!(log.take().len(), 3, "20 bytes were left and 10 came");
        log.refill(900_000, 100);
        assert_eq!(log.allowance, 100, "a quiet time gives one second's worth, not more");
    }

    #[test]
    fn without_the_grant_text_is_counted_only() {
        let mut log = Log::default();
        log.refill(0, 1000);
        log.write(Level::Info, "DOE", false, 200);
        log.write(Level::Info, "panicked at src/lib.rs:1:1", true, 200);
        assert_eq!((log.lines.len(), log.withheld), (1, 1));
    }

    #[test]
    fn memory_is_bounded_over_all_memories() {
        let mut space = Space::new(&Limits { memory: 100, ..Limits::default() });
        assert!(space.memory_growing(0, 60, None).unwrap());
        assert!(!space.memory_growing(0, 60, None).unwrap());
        assert!(space.refused);
        assert!(space.memory_growing(60, 100, None).unwrap());
        assert_eq!(space.used, 100);
    }
}
