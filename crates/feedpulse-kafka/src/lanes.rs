//! One assigned partition: its next offset, what is missing before it, how far behind it is.

use crate::health::micros;
use crate::stats::Fetching;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::Blind;
use feedpulse_core::time::Timestamp;

/// Which topic (index into the configuration's) and which partition.
pub(crate) type LaneKey = (usize, i32);

/// The most jumps of one lane that wait for statistics; the oldest are then given up as harmless.
const MAX_JUMPS: usize = 64;

/// Offsets that were passed over: compacted, control records of transactions, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    from: i64,
    to: i64,
    since: Timestamp,
    until: Timestamp,
}

/// What a record's offset says about its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next one, or a jump that is no loss or that statistics will judge.
    Next,
    /// The lane's first record is not the expected one: ask where the log starts.
    Ask,
    /// Offsets have begun anew.
    Restarted,
}

/// How far behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lag {
    /// Offsets between the next and the end, when known.
    pub(crate) messages: Option<i64>,
    /// Age of the oldest unread record in µs, when known; 0 when there is none.
    pub(crate) micros: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    /// Number of the rebalance that gave it; marks of an earlier one do not count.
    pub(crate) assignment: u64,
    pub(crate) epoch: u128,
    /// Everything before this was handed over or is known to be gone.
    pub(crate) next: Option<i64>,
    fresh: bool,
    low: Option<i64>,
    high: Option<i64>,
    last: Option<Timestamp>,
    caught_up: Option<Timestamp>,
    at_end: bool,
    fetching: bool,
    jumps: Vec<Jump>,
}

impl Lane {
    pub(crate) const fn new(assignment: u64, epoch: u128, next: Option<i64>) -> Self {
        Self {
            assignment,
            epoch,
            next,
            fresh: true,
            low: None,
            high: None,
            last: None,
            caught_up: None,
            at_end: false,
            fetching: false,
            jumps: Vec::new(),
        }
    }

    /// A record was read.
    pub(crate) fn record(&mut self, offset: i64, at: Timestamp) -> Step {
        let expected = self.next.unwrap_or(offset);
        let since = self.last.unwrap_or(at);
        let fresh = core::mem::replace(&mut self.fresh, false);
        self.next = Some(offset.saturating_add(1));
        self.last = Some(at);
        self.at_end = false;
        self.fetching = true;
        if offset < expected {
            self.epoch = self.epoch.wrapping_add(1);
            self.jumps.clear();
            (self.low, self.high) = (None, None);
            return Step::Restarted;
        }
        if offset > expected {
            if self.jumps.len() == MAX_JUMPS {
                self.jumps.remove(0);
            }
            self.jumps.push(Jump { from: expected, to: offset, since, until: at });
            if fresh && self.low.is_none() {
                return Step::Ask;
            }
        }
        Step::Next
    }

    /// The first offset that exists; what is missing before it becomes blind intervals.
    pub(crate) fn starts_at(&mut self, low: i64, waypoint: WaypointId, out: &mut Vec<Blind>) {
        self.low = Some(low);
        for Jump { from, to, since, until } in self.jumps.drain(..) {
            let records = u64::try_from(low.min(to) - from).unwrap_or(0);
            if records > 0 {
                let (from, to) = (since.min(until), since.max(until));
                out.push(Blind { waypoint: Some(waypoint), from, to, records, bytes: 0 });
            }
        }
    }

    /// Statistics arrived, and everything that had been fetched before them was read (`drained`)
    /// or not. The partition is not fetched now when there are none for it.
    pub(crate) fn look(
        &mut self,
        now: Timestamp,
        found: Option<Fetching>,
        drained: bool,
        waypoint: WaypointId,
        out: &mut Vec<Blind>,
    ) {
        self.fetching = found.is_some();
        self.at_end = false;
        let Some(found) = found else { return };
        self.high = found.high;
        if let Some(low) = found.low {
            self.starts_at(low, waypoint, out);
            if let Some(next) = self.next
                && low > next
                && found.idle
                && drained
            {
                // Nothing came after what is gone, so no record will tell.
                let records = u64::try_from(low - next).unwrap_or(0);
                let from = self.last.or(self.caught_up).unwrap_or(now);
                let blind = Blind {
                    waypoint: Some(waypoint),
                    from: from.min(now),
                    to: now,
                    records,
                    bytes: 0,
                };
                out.push(blind);
                self.next = Some(low);
            }
        }
        // Control records at the end have offsets and are never handed over.
        let end = found.end.filter(|end| drained && found.high.is_some_and(|high| *end >= high));
        if let Some(end) = end {
            self.next = Some(self.next.map_or(end, |next| next.max(end)));
        }
        if drained && let (Some(next), Some(high)) = (self.next, self.high) {
            self.at_end = next >= high;
        }
        if self.at_end {
            self.caught_up = Some(now);
        }
    }

    /// The broker said that this is the end.
    pub(crate) const fn end_reached(&mut self, now: Timestamp) {
        self.at_end = true;
        self.caught_up = Some(now);
    }

    /// Everything up to now was read, as far as the last look could tell.
    pub(crate) const fn is_caught_up(&self) -> bool {
        self.at_end && self.fetching
    }

    pub(crate) const fn is_fetching(&self) -> bool {
        self.fetching
    }

    pub(crate) fn lag(&self, now: Timestamp) -> Lag {
        if self.at_end {
            return Lag { messages: Some(0), micros: Some(0) };
        }
        if !self.fetching {
            return Lag::default();
        }
        let messages = self.high.zip(self.next).map(|(high, next)| (high - next).max(0));
        // The oldest unread is no older than the last one read, nor than the last moment at which
        // nothing was unread. Exact while records flow; an upper bound while they stall.
        let oldest = self.last.max(self.caught_up);
        Lag { messages, micros: oldest.map(|then| micros(now, then)) }
    }
}
