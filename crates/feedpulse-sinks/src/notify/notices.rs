//! Which notices a webhook owes: pure book-keeping, no I/O, no clock.

use crate::notify::{self, Counts, INCIDENTS_MAX};
use core::time::Duration;
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why a notice is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It opened.
    Open,
    /// Its severity rose.
    Rose,
    /// It is still open; the number of `repeat` intervals since it began.
    Still(i64),
    /// It is over.
    Over,
}

impl Why {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Rose => "update",
            Self::Still(_) => "repeat",
            Self::Over => "resolved",
        }
    }
}

/// One thing to say.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) why: Why,
    /// The incident as it is to be told.
    pub(crate) change: Arc<IncidentChange>,
    refusals: u8,
    /// Identity within the board.
    number: u64,
}

impl Notice {
    pub(crate) const fn new(why: Why, change: Arc<IncidentChange>) -> Self {
        Self { why, change, refusals: 0, number: 0 }
    }

    /// The same notice has the same key in every process: site, incident, state, and a number that
    /// follows from the incident alone (severity, or intervals since it began).
    pub(crate) fn key(&self, site: &str) -> String {
        let change = &self.change;
        let site = if site.is_empty() { "feedpulse" } else { site };
        let (id, began) = (change.id, change.since.as_secs());
        match self.why {
            Why::Open | Why::Rose => {
                format!("{site}-{id}-{began}-open-{}", change.severity as u8)
            }
            Why::Still(k) => format!("{site}-{id}-{began}-open-r{k}"),
            Why::Over => format!("{site}-{id}-{began}-resolved-0"),
        }
    }

    /// Whether it counts as a notice (reminders do not).
    pub(crate) const fn counts(&self) -> bool {
        !matches!(self.why, Why::Still(_))
    }
}

#[derive(Debug)]
struct Entry {
    change: Arc<IncidentChange>,
    /// Loudest severity that a notice was made for; None = nothing was made yet.
    said: Option<Severity>,
    /// Intervals since its begin at the last notice.
    intervals: i64,
    waiting: VecDeque<Notice>,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

/// The notices of one webhook.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    pub(crate) changed: Notify,
    repeat: Duration,
    min_severity: Severity,
    counts: Counts,
}

impl Board {
    pub(crate) fn new(repeat: Duration, min_severity: Severity, counts: Counts) -> Self {
        let state = State { entries: BTreeMap::new(), next: 0 };
        Self { state: Mutex::new(state), changed: Notify::new(), repeat, min_severity, counts }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a change in; never waits. `again` = an earlier process may have told it.
    pub(crate) fn offer(&self, change: &IncidentChange, now: Timestamp, again: bool) {
        if change.state == IncidentState::Pending {
            return;
        }
        let mut state = self.lock();
        let over = change.state == IncidentState::Resolved;
        if !state.entries.contains_key(&change.id) {
            let loud = change.severity >= self.min_severity;
            if !loud || (over && !again) || !self.make_room(&mut state) {
                return;
            }
            let entry = Entry {
                change: Arc::new(change.clone()),
                said: (over && again).then_some(change.severity),
                intervals: 0,
                waiting: VecDeque::new(),
            };
            state.entries.insert(change.id, entry);
        }
        let State { entries, next } = &mut *state;
        let Some(entry) = entries.get_mut(&change.id) else { return };
        entry.change = Arc::new(change.clone());
        if over {
            if entry.said.is_none() {
                entries.remove(&change.id);
                return;
            }
            // Reminders that were not delivered are no news any more, nor is a second end.
            entry.waiting.retain(|notice| matches!(notice.why, Why::Open | Why::Rose));
            entry.push(Why::Over, next);
        } else {
            entry.refresh();
            entry.look(now, self.repeat, next);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Drops the oldest ended incident for a new one; refuses when all are open.
    fn make_room(&self, state: &mut State) -> bool {
        if state.entries.len() < INCIDENTS_MAX {
            return true;
        }
        self.counts.dropped.add(1);
        let over = |entry: &Entry| entry.change.state == IncidentState::Resolved;
        let oldest = state.entries.iter().find(|(_, entry)| over(entry)).map(|(id, _)| *id);
        oldest.is_some_and(|id| state.entries.remove(&id).is_some())
    }

    /// What is owed at `now`, oldest first.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Notice> {
        let mut state = self.lock();
        let State { entries, next } = &mut *state;
        for entry in entries.values_mut() {
            entry.look(now, self.repeat, next);
        }
        let mut due: Vec<Notice> =
            entries.values().flat_map(|entry| entry.waiting.iter().cloned()).collect();
        due.sort_unstable_by_key(|notice| notice.number);
        due
    }

    /// A notice was taken.
    pub(crate) fn delivered(&self, notice: &Notice) {
        self.settle(notice);
    }

    fn settle(&self, notice: &Notice) {
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(&notice.change.id) else { return };
        entry.waiting.retain(|waiting| waiting.number != notice.number);
        if entry.waiting.is_empty() && entry.change.state == IncidentState::Resolved {
            state.entries.remove(&notice.change.id);
        }
    }

    /// A notice was refused for its content. True when it is given up now.
    pub(crate) fn refused(&self, notice: &Notice, most: u8) -> bool {
        let over = {
            let mut state = self.lock();
            let Some(entry) = state.entries.get_mut(&notice.change.id) else { return false };
            let waiting = entry.waiting.iter_mut().find(|w| w.number == notice.number);
            waiting.is_some_and(|waiting| {
                waiting.refusals += 1;
                waiting.refusals >= most
            })
        };
        if over {
            self.settle(notice);
        }
        over
    }
}

impl Entry {
    fn push(&mut self, why: Why, next: &mut u64) {
        *next += 1;
        let change = Arc::clone(&self.change);
        self.waiting.push_back(Notice { why, change, refusals: 0, number: *next });
    }

    /// What waits to be told of an open incident is told as it is now.
    fn refresh(&mut self) {
        for notice in &mut self.waiting {
            if notice.why != Why::Over && notice.change.severity == self.change.severity {
                notice.change = Arc::clone(&self.change);
            }
        }
    }

    /// Makes the notice that an open incident is due, if any.
    fn look(&mut self, now: Timestamp, repeat: Duration, next: &mut u64) {
        if self.change.state != IncidentState::Open || notify::muted(&self.change, now) {
            return;
        }
        let step = i64::try_from(repeat.as_micros()).unwrap_or(i64::MAX).max(1);
        let intervals = now.micros_since(self.change.since) / step;
        let why = match self.said {
            None => Why::Open,
            Some(said) if self.change.severity > said => Why::Rose,
            Some(_) if intervals > self.intervals => Why::Still(intervals),
            Some(_) => return,
        };
        self.said = Some(self.said.map_or(self.change.severity, |s| s.max(self.change.severity)));
        self.intervals = intervals;
        // One reminder is enough after a long outage.
        self.waiting.retain(|notice| !matches!(notice.why, Why::Still(_)));
        if !matches!(why, Why::Still(_)) || self.waiting.is_empty() {
            self.push(why, next);
        }
    }
}
