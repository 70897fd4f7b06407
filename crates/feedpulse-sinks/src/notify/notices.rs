//! Which notices a notifier owes: pure book-keeping over incidents, with no I/O and no clock.
//!
//! What is owed, and what was told, is handed to the outbox before it is sent: a notice waits until
//! its row is durable, or until it is clear that it will not be (see [`Board::due`]).

use crate::notify::outbox::{Done, Keep, Outbox};
use crate::notify::routes::Terms;
use crate::notify::{self, Counts, INCIDENTS_MAX};
use core::time::Duration;
use feedpulse_codec::{OutboxRow, OwedNotice, Why};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// A notice waits so long for its row to be durable; then it is sent without: no disk may stand
/// between an outage and those who must hear of it.
const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// A row that could not be kept is offered again after this.
const KEEP_AGAIN: Duration = Duration::from_secs(15);
/// Rows of what is still open are written anew after this, since old rows are forgotten.
const REFRESH: Duration = Duration::from_secs(86_400);
/// A notice that nobody took for so long is given up.
pub(crate) const EXPIRY: Duration = Duration::from_secs(7 * 86_400);

/// The name of a reason in templates and counts.
pub(crate) const fn name(why: Why) -> &'static str {
    match why {
        Why::Open => "open",
        Why::Escalated => "escalated",
        Why::Rose => "update",
        Why::Claimed => "claimed",
        Why::Still(_) => "repeat",
        Why::Over => "resolved",
    }
}

/// One thing to say.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) why: Why,
    /// The incident as it is to be told.
    pub(crate) change: Arc<IncidentChange>,
    /// When the incident began, as its first notice had it.
    pub(crate) began: Timestamp,
    /// The code that it opened with.
    pub(crate) first: Code,
    made_at: Timestamp,
    refusals: u8,
    /// Identity within the board.
    number: u64,
    /// The row that holds it.
    revision: u64,
}

impl Notice {
    pub(crate) fn new(why: Why, change: Arc<IncidentChange>) -> Self {
        let (began, first) = (change.since, change.code);
        let (refusals, number, revision) = (0, 0, 0);
        Self { why, change, began, first, made_at: began, refusals, number, revision }
    }

    /// What all notices about one incident share, in every process.
    pub(crate) fn thread(&self, site: &str) -> String {
        let site = if site.is_empty() { "feedpulse" } else { site };
        format!("{site}-{}-{}", self.change.id, self.began.as_secs())
    }

    /// The same notice has the same key in every process: site, incident, state, and a number that
    /// follows from the incident and from what was told of it.
    pub(crate) fn key(&self, site: &str) -> String {
        let thread = self.thread(site);
        match self.why {
            Why::Open | Why::Escalated | Why::Rose => {
                format!("{thread}-open-{}", self.change.severity as u8)
            }
            Why::Claimed => format!("{thread}-claimed-0"),
            Why::Still(number) => format!("{thread}-open-r{number}"),
            Why::Over => format!("{thread}-resolved-0"),
        }
    }

    /// Whether it counts as a notice (updates by rhythm do not).
    pub(crate) const fn counts(&self) -> bool {
        !matches!(self.why, Why::Still(_))
    }
}

#[derive(Debug)]
struct Entry {
    change: Arc<IncidentChange>,
    began: Timestamp,
    first: Code,
    /// What the routes say now; None = they lead elsewhere.
    terms: Option<Terms>,
    /// Loudest severity that a notice was made for; None = nothing was made yet.
    said: Option<Severity>,
    told_at: Timestamp,
    updates: u32,
    claimed: bool,
    waiting: VecDeque<Notice>,
    /// Whether this process heard of it, or only the outbox.
    heard: bool,
    /// Counts the changes of the row; the latest that is durable; when the row was last handed over.
    revision: u64,
    kept: u64,
    asked_at: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    /// Rows to be removed, with the time when that was asked.
    gone: BTreeMap<u64, Timestamp>,
    /// For the outbox, in order; handed over once the lock is released.
    outgoing: Vec<Keep>,
    /// How many were handed over and not answered yet.
    pending: i64,
    next: u64,
}

/// How a board makes notices.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The notifier's name.
    pub(crate) place: String,
    /// Time between updates where the route says nothing.
    pub(crate) repeat: Duration,
    /// Quieter incidents are not told.
    pub(crate) min_severity: Severity,
    /// Whether it is told that somebody took an incident.
    pub(crate) tells_claims: bool,
}

/// The notices of one notifier.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// Held while rows are handed over, so that a later row never overtakes an earlier one.
    order: Mutex<()>,
    pub(crate) changed: Notify,
    rules: Rules,
    outbox: Outbox,
    counts: Counts,
    own: Weak<Self>,
}

impl Board {
    pub(crate) fn new(rules: Rules, outbox: Outbox, counts: Counts) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            state: Mutex::default(),
            order: Mutex::default(),
            changed: Notify::new(),
            rules,
            outbox,
            counts,
            own: Weak::clone(own),
        })
    }

    pub(crate) fn place(&self) -> &str {
        &self.rules.place
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock back and hands over what the outbox is to keep. A keeper that cannot take it
    /// answers at once, and its answer needs the lock.
    fn release(&self, state: MutexGuard<'_, State>) {
        drop(state);
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let outgoing = {
            let mut state = self.lock();
            let outgoing = std::mem::take(&mut state.outgoing);
            state.pending += i64::try_from(outgoing.len()).unwrap_or(i64::MAX);
            self.counts.pending.set(state.pending);
            outgoing
        };
        for keep in outgoing {
            self.outbox.keep(keep);
        }
    }

    /// Takes in what an earlier process had told and still owes.
    pub(crate) fn restore(&self, row: OutboxRow) {
        let mut state = self.lock();
        if state.entries.len() >= INCIDENTS_MAX {
            return;
        }
        let id = row.change.id;
        let mut entry = Entry {
            change: Arc::new(row.change),
            began: row.began,
            first: row.first,
            terms: None,
            said: row.said,
            told_at: row.told_at,
            updates: row.updates,
            claimed: row.claimed,
            waiting: VecDeque::new(),
            heard: false,
            revision: 0,
            kept: 0,
            asked_at: row.kept_at,
        };
        for owed in row.waiting {
            entry.push(owed.why, Arc::new(owed.change), owed.made_at, &mut state.next);
        }
        entry.kept = entry.revision;
        state.entries.insert(id, entry);
        drop(state);
        self.changed.notify_one();
    }

    /// After a restart, once all incidents that are known were offered: what is told as open and
    /// that nobody knows any more is ended, or it would stay open at the receiver for ever.
    pub(crate) fn recovered(&self, now: Timestamp) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let open = |e: &Entry| !e.heard && e.change.state != IncidentState::Resolved;
        let ids: Vec<u64> =
            state.entries.iter().filter(|(_, e)| open(e)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(entry) = state.entries.get_mut(&id) else { continue };
            let mut change = IncidentChange::clone(&entry.change);
            change.state = IncidentState::Resolved;
            change.resolved_at = Some(now);
            change.summary.push_str(" (forgotten in a restart; what goes on is told anew)");
            self.end(state, id, Arc::new(change), now);
        }
        self.release(guard);
    }

    /// Takes a change in; never waits. The end of an incident is owed only where its begin was.
    pub(crate) fn offer(&self, change: &IncidentChange, terms: Option<Terms>, now: Timestamp) {
        if change.state == IncidentState::Pending {
            return;
        }
        let mut guard = self.lock();
        let state = &mut *guard;
        let id = change.id;
        // After a crash that lost what was not durable, a number may stand for another incident.
        if state.entries.get(&id).is_some_and(|e| e.change.subject != change.subject) {
            self.forget(state, id, now);
        }
        let over = change.state == IncidentState::Resolved;
        let change = Arc::new(change.clone());
        if !state.entries.contains_key(&id) {
            let loud = notify::loud(&change, self.rules.min_severity);
            if over || !loud || terms.is_none() || !self.make_room(state, now) {
                self.release(guard);
                return;
            }
            state.entries.insert(id, Entry::new(Arc::clone(&change), now));
        }
        if over {
            self.end(state, id, change, now);
        } else if let Some(entry) = state.entries.get_mut(&id) {
            entry.heard = true;
            // What an earlier process knew of it is told as it is now, even in the first notice.
            entry.change = change;
            entry.terms = terms;
            entry.refresh();
            if entry.terms.is_none() && entry.said.is_none() {
                self.forget(state, id, now);
            } else if entry.look(now, &self.rules, &mut state.next) {
                self.keep(state, id, now);
            }
        }
        self.release(guard);
        self.changed.notify_one();
    }

    /// An incident is over: its end is owed where its begin was.
    fn end(&self, state: &mut State, id: u64, change: Arc<IncidentChange>, now: Timestamp) {
        let Some(entry) = state.entries.get_mut(&id) else { return };
        let owed = entry.waiting.iter().any(|notice| notice.why == Why::Over);
        entry.heard = true;
        entry.change = Arc::clone(&change);
        if entry.said.is_none() {
            self.forget(state, id, now);
            return;
        }
        if owed {
            return;
        }
        // Updates that were not delivered are no news any more.
        let first = |why| matches!(why, Why::Open | Why::Escalated | Why::Rose);
        entry.waiting.retain(|notice| first(notice.why));
        entry.push(Why::Over, change, now, &mut state.next);
        self.keep(state, id, now);
    }

    /// Drops the oldest ended incident for a new one; refuses when all are open.
    fn make_room(&self, state: &mut State, now: Timestamp) -> bool {
        if state.entries.len() < INCIDENTS_MAX {
            return true;
        }
        self.counts.dropped.add(1);
        let over = |entry: &Entry| entry.change.state == IncidentState::Resolved;
        let oldest = state.entries.iter().find(|(_, entry)| over(entry)).map(|(id, _)| *id);
        oldest.inspect(|id| self.forget(state, *id, now)).is_some()
    }

    /// Hands the row of an incident to the outbox.
    fn keep(&self, state: &mut State, id: u64, now: Timestamp) {
        let Some(entry) = state.entries.get_mut(&id) else { return };
        entry.asked_at = now;
        let revision = entry.revision;
        let row = entry.row(&self.rules.place, now);
        let own = Weak::clone(&self.own);
        let done = Done::new(move |durable| {
            let Some(board) = own.upgrade() else { return };
            board.kept(id, revision, durable);
        });
        state.gone.remove(&id);
        state.outgoing.push(Keep::put(row, done));
    }

    fn answered(&self, state: &mut State) {
        state.pending -= 1;
        self.counts.pending.set(state.pending);
    }

    /// The outbox has answered.
    fn kept(&self, id: u64, revision: u64, durable: bool) {
        if !durable {
            self.counts.unkept.add(1);
        }
        let mut state = self.lock();
        self.answered(&mut state);
        if let Some(entry) = state.entries.get_mut(&id) {
            if durable {
                entry.kept = entry.kept.max(revision);
            } else {
                // It is sent all the same, and its row offered again later.
                for notice in entry.waiting.iter_mut().filter(|n| n.revision <= revision) {
                    notice.revision = 0;
                }
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    fn forget(&self, state: &mut State, id: u64, now: Timestamp) {
        let Some(entry) = state.entries.remove(&id) else { return };
        if entry.revision == 0 && entry.said.is_none() {
            // Nothing was ever written down of it.
            return;
        }
        if state.gone.len() < INCIDENTS_MAX {
            state.gone.insert(id, now);
        }
        self.remove(state, id);
    }

    fn remove(&self, state: &mut State, id: u64) {
        let own = Weak::clone(&self.own);
        let done = Done::new(move |durable| {
            let Some(board) = own.upgrade() else { return };
            let mut state = board.lock();
            board.answered(&mut state);
            if durable {
                state.gone.remove(&id);
            }
        });
        state.outgoing.push(Keep::remove(&self.rules.place, id, done));
    }

    /// What is owed at `now` and may be sent, oldest first: notices whose rows are durable, or
    /// failed to be, or were asked for five seconds ago.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Notice> {
        self.tend(now);
        let ready = |entry: &Entry, notice: &Notice| {
            notice.revision <= entry.kept || now.since(notice.made_at) >= KEPT_WITHIN
        };
        let state = self.lock();
        let mut due: Vec<Notice> = Vec::new();
        for entry in state.entries.values() {
            // In order: what waits for the disk holds up what is behind it.
            due.extend(entry.waiting.iter().take_while(|notice| ready(entry, notice)).cloned());
        }
        drop(state);
        due.sort_unstable_by_key(|notice| notice.number);
        due
    }

    /// Makes what is due by the time, gives up what is too old, and hands over again what could not
    /// be kept.
    fn tend(&self, now: Timestamp) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let ids: Vec<u64> = state.entries.keys().copied().collect();
        for id in ids {
            let Some(entry) = state.entries.get_mut(&id) else { continue };
            let made = entry.look(now, &self.rules, &mut state.next);
            let expired = entry.expire(now);
            self.counts.dropped.add(expired);
            let again = entry.kept < entry.revision && now.since(entry.asked_at) >= KEEP_AGAIN;
            let old = now.since(entry.asked_at) >= REFRESH;
            if entry.waiting.is_empty() && entry.change.state == IncidentState::Resolved {
                self.forget(state, id, now);
            } else if made || again || old || expired > 0 {
                self.keep(state, id, now);
            }
        }
        let again: Vec<u64> = state
            .gone
            .iter()
            .filter(|(_, at)| now.since(**at) >= KEEP_AGAIN)
            .map(|g| *g.0)
            .collect();
        for id in again {
            state.gone.insert(id, now);
            self.remove(state, id);
        }
        self.release(guard);
    }

    /// Whether something waits for the disk.
    pub(crate) fn waits(&self) -> bool {
        let state = self.lock();
        state.entries.values().any(|e| e.waiting.iter().any(|notice| notice.revision > e.kept))
    }

    /// A notice was taken.
    pub(crate) fn delivered(&self, notice: &Notice, now: Timestamp) {
        self.settle(notice, now);
    }

    fn settle(&self, notice: &Notice, now: Timestamp) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let id = notice.change.id;
        let Some(entry) = state.entries.get_mut(&id) else { return };
        entry.waiting.retain(|waiting| waiting.number != notice.number);
        if entry.waiting.is_empty() && entry.change.state == IncidentState::Resolved {
            self.forget(state, id, now);
        } else {
            entry.revision += 1;
            self.keep(state, id, now);
        }
        self.release(guard);
    }

    /// A notice was refused for its content. True when it is given up now.
    pub(crate) fn refused(&self, notice: &Notice, most: u8, now: Timestamp) -> bool {
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
            self.settle(notice, now);
        }
        over
    }
}

impl Entry {
    fn new(change: Arc<IncidentChange>, now: Timestamp) -> Self {
        Self {
            began: change.since,
            first: change.code,
            change,
            terms: None,
            said: None,
            told_at: now,
            updates: 0,
            claimed: false,
            waiting: VecDeque::new(),
            heard: true,
            revision: 0,
            kept: 0,
            asked_at: now,
        }
    }

    fn push(&mut self, why: Why, change: Arc<IncidentChange>, now: Timestamp, next: &mut u64) {
        *next += 1;
        self.revision += 1;
        let (began, first, revision) = (self.began, self.first, self.revision);
        let (number, refusals) = (*next, 0);
        let notice = Notice { why, change, began, first, made_at: now, refusals, number, revision };
        self.waiting.push_back(notice);
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
    fn look(&mut self, now: Timestamp, rules: &Rules, next: &mut u64) -> bool {
        if !self.heard
            || self.change.state != IncidentState::Open
            || notify::silent(&self.change, now)
        {
            return false;
        }
        let every = self.terms.and_then(|terms| terms.updates).unwrap_or(rules.repeat);
        let taken = !self.change.claimed_by.is_empty();
        let why = match (self.said, self.terms) {
            (None, None) => return false,
            (None, Some(terms)) if terms.from > now => return false,
            (None, Some(terms)) if terms.escalated => Why::Escalated,
            (None, Some(_)) => Why::Open,
            (Some(said), _) if self.change.severity > said => Why::Rose,
            (Some(_), _) if rules.tells_claims && taken && !self.claimed => Why::Claimed,
            (Some(_), _) if now.since(self.told_at) >= every => Why::Still(self.updates + 1),
            (Some(_), _) => return false,
        };
        if self.said.is_none() {
            (self.began, self.first) = (self.change.since, self.change.code);
        }
        self.said = Some(self.said.map_or(self.change.severity, |s| s.max(self.change.severity)));
        self.told_at = now;
        self.claimed |= why == Why::Claimed;
        // One update is enough after a long outage.
        let still = |why| matches!(why, Why::Still(_));
        self.waiting.retain(|notice| !still(notice.why));
        self.updates += u32::from(still(why));
        if !still(why) || self.waiting.is_empty() {
            self.push(why, Arc::clone(&self.change), now, next);
            return true;
        }
        false
    }

    /// Gives up what nobody took for too long; gives how many.
    fn expire(&mut self, now: Timestamp) -> u64 {
        let before = self.waiting.len();
        self.waiting.retain(|notice| now.since(notice.made_at) < EXPIRY);
        let expired = (before - self.waiting.len()) as u64;
        self.revision += u64::from(expired > 0);
        expired
    }

    fn row(&self, place: &str, now: Timestamp) -> OutboxRow {
        let owed = |notice: &Notice| OwedNotice {
            why: notice.why,
            made_at: notice.made_at,
            change: IncidentChange::clone(&notice.change),
        };
        OutboxRow {
            place: place.to_owned(),
            kept_at: now,
            began: self.began,
            first: self.first,
            said: self.said,
            told_at: self.told_at,
            updates: self.updates,
            claimed: self.claimed,
            change: IncidentChange::clone(&self.change),
            waiting: self.waiting.iter().map(owed).collect(),
        }
    }
}
