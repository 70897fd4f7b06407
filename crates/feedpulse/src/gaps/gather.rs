//! From the ledger's rows to what is not accounted for: one row a message, closed when its business
//! key is later accepted, also under a new control id.

use crate::ledger::{Waypoints, name};
use feedpulse_codec::LedgerRow;
use feedpulse_core::class::AckClass;
use feedpulse_core::effect::{Amendment, JourneyEnd, JourneyRecord, Sending};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::MessageKey;
use feedpulse_core::sighting::{AckCode, Outcome, ReasonClass, Urgency};
use feedpulse_core::time::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Most rows that are listed; further messages are counted and not listed, nor closed.
pub(crate) const ROWS_MAX: usize = 1_000_000;

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// First seen at or after.
    pub from: Timestamp,
    /// First seen before.
    pub to: Timestamp,
    /// Of this feed only.
    pub feed: Option<String>,
}

impl Wanted {
    fn holds(&self, record: &JourneyRecord) -> bool {
        let mine = self.feed.as_ref().is_none_or(|feed| *feed == record.feed_name);
        mine && record.first_at >= self.from && record.first_at < self.to
    }
}

const fn is_accept(amendment: &Amendment) -> bool {
    matches!(amendment.ack, AckCode::AA | AckCode::CA)
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// Accepted, in time.
    Accepted,
    /// Accepted, later than promised, or answered after its time-out.
    AcceptedLate,
    /// Not sent on, as stated or learned.
    Filtered,
    /// AE, AR, CE, CR, or given up on a dead-letter topic.
    Refused,
    /// Sent, and no answer came.
    NeverAnswered,
    /// The receiver could not be reached with it.
    NeverReached,
    /// Accepted, and never seen at the next waypoint.
    NeverSeenNext,
    /// Some receivers have it, others do not.
    PartlyDelivered,
    /// Nobody can say: a blind interval, or dropped from memory.
    Unknown,
}

impl Class {
    pub(crate) const ALL: [Self; 9] = [
        Self::Accepted,
        Self::AcceptedLate,
        Self::Filtered,
        Self::Refused,
        Self::NeverAnswered,
        Self::NeverReached,
        Self::NeverSeenNext,
        Self::PartlyDelivered,
        Self::Unknown,
    ];

    /// For people.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AcceptedLate => "accepted late",
            Self::Filtered => "not sent on",
            Self::Refused => "refused",
            Self::NeverAnswered => "never answered",
            Self::NeverReached => "never reached",
            Self::NeverSeenNext => "never seen at the next waypoint",
            Self::PartlyDelivered => "partly delivered",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) const fn is_gap(self) -> bool {
        !matches!(self, Self::Accepted | Self::AcceptedLate | Self::Filtered)
    }

    fn of(record: &JourneyRecord) -> Self {
        let of_outcome = |outcome| match outcome {
            Outcome::Errored | Outcome::Rejected => Self::Refused,
            Outcome::Refused => Self::NeverReached,
            Outcome::Unknown => Self::Unknown,
            _ => Self::NeverAnswered,
        };
        match record.end {
            JourneyEnd::Delivered(_) => {
                let slow = record.sends.iter().any(|send| send.slow);
                let late = record.late || record.classes.has(AckClass::Late) || slow;
                if late { Self::AcceptedLate } else { Self::Accepted }
            }
            JourneyEnd::Failed(outcome) => of_outcome(outcome),
            JourneyEnd::Partly(_) => Self::PartlyDelivered,
            JourneyEnd::Filtered => Self::Filtered,
            JourneyEnd::Expired => Self::NeverSeenNext,
            JourneyEnd::Unknown => Self::Unknown,
        }
    }
}

/// One message that is not accounted for. No content: what is here is in the EHR's own log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    #[serde(skip)]
    pub at: Timestamp,
    /// First seen.
    pub first_seen: String,
    pub feed: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub facility: String,
    pub sender: String,
    #[serde(skip)]
    pub urgency: Urgency,
    #[serde(rename = "urgency")]
    pub urgency_name: &'static str,
    /// MSH-10 where it was first seen.
    pub control_id: String,
    /// MSH-10 where it failed, if an engine rewrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_id_there: Option<String>,
    pub class: Class,
    /// Where it failed, or where it never arrived.
    pub waypoint: String,
    /// The class of the refusal's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was sent to where it failed.
    pub tries: u32,
    /// When it was accepted after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Where it should have been seen next.
    #[serde(skip)]
    next: Option<String>,
}

impl Row {
    /// What its message is counted under.
    fn of(&self) -> (String, String, String) {
        (self.feed.clone(), self.kind.clone(), self.facility.clone())
    }
}

/// Counts by class, in order of [`Class::ALL`].
pub(crate) type Counts = [u64; 9];

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    pub rows: Vec<Row>,
    keys: HashMap<MessageKey, usize>,
    /// Late ACKs to messages that are no gaps so far: their journeys end later, or had ended well.
    late: HashMap<MessageKey, Amendment>,
    /// Names of the waypoints of these.
    late_at: Waypoints,
    pub counts: BTreeMap<(String, String, String), Counts>,
    /// Gaps that are counted and not listed.
    pub beyond: u64,
    /// Stretches whose rows were dropped.
    pub dropped: Vec<(Timestamp, Timestamp, u64)>,
    /// The oldest message in the ledger, and the latest end.
    pub covers: Option<(Timestamp, Timestamp)>,
}

fn reason_name(reason: ReasonClass) -> Option<String> {
    reason.said().map(str::to_owned)
}

/// `ORU^R01`.
pub(crate) fn kind_of(record: &JourneyRecord) -> String {
    if record.trigger.is_empty() {
        record.code.to_string()
    } else {
        format!("{}^{}", record.code, record.trigger)
    }
}

fn row_of(names: &Waypoints, record: &JourneyRecord, class: Class) -> Row {
    let failed = record.sends.iter().rev().find(|s| s.outcome.is_none_or(|o| !o.is_success()));
    let place = record.missing.first().copied().filter(|_| class == Class::NeverSeenNext);
    let place = place.or(failed.map(|s| s.waypoint)).or(record.missing.first().copied());
    let there = failed.map(|s| s.control_id.clear().to_string());
    let control_id = record.control_id.clear().to_string();
    Row {
        at: record.first_at,
        first_seen: crate::clock::show(record.first_at),
        feed: record.feed_name.clone(),
        kind: kind_of(record),
        facility: record.facility.to_string(),
        sender: record.sender.to_string(),
        urgency: record.urgency,
        urgency_name: record.urgency.name(),
        control_id_there: there.filter(|id| *id != control_id),
        control_id,
        class,
        waypoint: place.map(|w| name(names, w)).unwrap_or_default(),
        reason: failed.and_then(|s| reason_name(s.reason)),
        tries: place.map_or(1, |waypoint| tries_at(record, waypoint)),
        closed: None,
        next: record.missing.first().map(|w| name(names, *w)),
    }
}

/// How often it was sent where it failed; 1 where it never arrived. Of a journey with more sendings
/// than it keeps, those that are not kept count too.
fn tries_at(record: &JourneyRecord, waypoint: WaypointId) -> u32 {
    let kept = u32::try_from(record.sends.len()).unwrap_or(u32::MAX);
    let here = record.sends.iter().filter(|send| send.waypoint == waypoint).count();
    let here = u32::try_from(here).unwrap_or(u32::MAX);
    here.saturating_add(record.sends_total.saturating_sub(kept)).max(1)
}

impl Gaps {
    /// Takes one row of the ledger.
    pub(crate) fn take(&mut self, wanted: &Wanted, names: &Waypoints, row: LedgerRow) {
        match row {
            LedgerRow::Journey(record) => self.journey(wanted, names, &record),
            LedgerRow::Amend(amendment) => self.amend(names, &amendment),
            LedgerRow::Dropped { from, to, rows } => self.dropped.push((from, to, rows)),
        }
    }

    fn journey(&mut self, wanted: &Wanted, names: &Waypoints, record: &JourneyRecord) {
        let (first, last) = self.covers.unwrap_or((record.first_at, record.ended_at));
        self.covers = Some((first.min(record.first_at), last.max(record.ended_at)));
        let class = Class::of(record);
        let known = self.keys.get(&record.key).and_then(|n| self.rows.get_mut(*n));
        if let Some(row) = known {
            let fresh = row_of(names, record, class);
            row.tries = row.tries.saturating_add(fresh.tries);
            if matches!(record.end, JourneyEnd::Delivered(_)) {
                row.closed.get_or_insert_with(|| crate::clock::show(record.ended_at));
            } else if class.is_gap() && row.closed.is_none() {
                // The latest try says what is wrong now.
                (row.class, row.waypoint, row.reason) = (class, fresh.waypoint, fresh.reason);
                row.next = fresh.next;
            }
            return;
        }
        if !wanted.holds(record) {
            return;
        }
        let row = row_of(names, record, class);
        self.count(row.of(), class, None);
        if class.is_gap() && self.list(record.key, row) {
            // An ACK that came after its time-out, while a retry was still waited for.
            let late = self.late.remove(&record.key);
            if let Some(amendment) = late.filter(|late| late.at >= record.first_at) {
                self.amend(names, &amendment);
            }
        }
    }

    /// Counts a message under a class, and no longer under another.
    fn count(&mut self, of: (String, String, String), class: Class, no_longer: Option<Class>) {
        let counts = self.counts.entry(of).or_default();
        if let Some(count) = no_longer.and_then(|old| counts.get_mut(old as usize)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = counts.get_mut(class as usize) {
            *count += 1;
        }
    }

    /// Lists a row; false when there is no room left.
    fn list(&mut self, key: MessageKey, row: Row) -> bool {
        if self.rows.len() >= ROWS_MAX {
            self.beyond += 1;
            return false;
        }
        self.keys.insert(key, self.rows.len());
        self.rows.push(row);
        true
    }

    /// An ACK that came after its time-out: it closes the row, or says why it stays open.
    fn amend(&mut self, names: &Waypoints, amendment: &Amendment) {
        let known = self.keys.get(&amendment.key).and_then(|n| self.rows.get_mut(*n));
        let Some(row) = known else {
            if self.late.len() < ROWS_MAX {
                self.late.insert(amendment.key, *amendment);
                self.late_at.insert(amendment.waypoint, name(names, amendment.waypoint));
            }
            return;
        };
        let (before, of) = (row.class, row.of());
        if !is_accept(amendment) {
            (row.class, row.reason) = (Class::Refused, reason_name(amendment.reason));
            row.waypoint = name(names, amendment.waypoint);
        } else if let Some(next) = row.next.clone() {
            // It got through here and was not seen further on.
            (row.class, row.waypoint, row.reason) = (Class::NeverSeenNext, next, None);
        } else if row.closed.is_none() {
            row.closed = Some(crate::clock::show(amendment.at));
            if matches!(before, Class::NeverAnswered | Class::Unknown) {
                row.class = Class::AcceptedLate;
            }
        }
        let class = row.class;
        self.count(of, class, Some(before));
    }

    /// Whether [`Gaps::take_again`] has something to look for: messages that counted as accepted
    /// (silence was agreed, or a commit) and were refused after all.
    pub(crate) fn wants_more(&mut self) -> bool {
        self.late.retain(|_, amendment| !is_accept(amendment));
        !self.late.is_empty()
    }

    /// Takes a row of the ledger a second time: what it is that was refused after all.
    pub(crate) fn take_again(&mut self, wanted: &Wanted, names: &Waypoints, row: &LedgerRow) {
        let LedgerRow::Journey(record) = row else { return };
        let Some(amendment) = self.late.get(&record.key).copied() else { return };
        // Of two sendings one was accepted: the message has arrived.
        let here = |s: &&Sending| s.waypoint == amendment.waypoint;
        let arrived = record.sends.iter().filter(here).any(|s| s.ack == Some(AckCode::AA));
        self.late.remove(&record.key);
        if arrived || !wanted.holds(record) {
            return;
        }
        let mut row = row_of(names, record, Class::Refused);
        row.waypoint = name(names, amendment.waypoint);
        row.reason = reason_name(amendment.reason);
        let there = record.sends.iter().find(here).map(|s| s.control_id.clear().to_string());
        row.control_id_there = there.filter(|id| *id != row.control_id);
        self.count(row.of(), Class::Refused, Some(Class::of(record)));
        self.list(record.key, row);
    }

    /// Lists the late refusals that are left: nothing else is known of their messages.
    pub(crate) fn nameless(&mut self, wanted: &Wanted) {
        let late = core::mem::take(&mut self.late);
        let asked = |at| wanted.feed.is_none() && at >= wanted.from && at < wanted.to;
        for amendment in late.into_values().filter(|late| !is_accept(late) && asked(late.at)) {
            let row = Row {
                at: amendment.at,
                first_seen: crate::clock::show(amendment.at),
                feed: String::new(),
                kind: String::new(),
                facility: String::new(),
                sender: String::new(),
                urgency: Urgency::Routine,
                urgency_name: Urgency::Routine.name(),
                control_id: amendment.control_id.clear().to_string(),
                control_id_there: None,
                class: Class::Refused,
                waypoint: name(&self.late_at, amendment.waypoint),
                reason: reason_name(amendment.reason),
                tries: 1,
                closed: None,
                next: None,
            };
            self.list(amendment.key, row);
        }
    }

    /// The listed rows in order: urgent ones first, then by time; with `open`, those not closed.
    pub(crate) fn ordered(&mut self, open: bool) {
        self.keys.clear();
        self.late.clear();
        if open {
            self.rows.retain(|row| row.closed.is_none());
        }
        self.rows.sort_by(|a, b| {
            b.urgency.cmp(&a.urgency).then(a.at.cmp(&b.at)).then(a.control_id.cmp(&b.control_id))
        });
    }

    /// How many listed rows are not closed, and how many of these are urgent.
    pub(crate) fn open(&self) -> (usize, usize) {
        let open = || self.rows.iter().filter(|row| row.closed.is_none());
        (open().count(), open().filter(|row| row.urgency > Urgency::Routine).count())
    }
}
