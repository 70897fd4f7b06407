//! From the ledger's rows to what is not accounted for: one row a message, closed when its business
//! key is later accepted, also under a new control id.

use crate::ledger::{Waypoints, name};
use feedpulse_codec::LedgerRow;
use feedpulse_core::class::AckClass;
use feedpulse_core::effect::{Amendment, JourneyEnd, JourneyRecord};
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
    /// How often it was tried.
    pub tries: u32,
    /// When it was accepted after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
}

/// Counts by class, in order of [`Class::ALL`].
pub(crate) type Counts = [u64; 9];

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    pub rows: Vec<Row>,
    keys: HashMap<MessageKey, usize>,
    /// Accepted late, before the row came: a journey that waits for a retry ends after its late ACK.
    late: HashMap<MessageKey, Timestamp>,
    pub counts: BTreeMap<(String, String, String), Counts>,
    /// Gaps that are counted and not listed.
    pub beyond: u64,
    /// Stretches whose rows were dropped.
    pub dropped: Vec<(Timestamp, Timestamp, u64)>,
    /// The oldest message in the ledger, and the latest end.
    pub covers: Option<(Timestamp, Timestamp)>,
}

fn reason_name(reason: ReasonClass) -> Option<String> {
    let name = match reason {
        ReasonClass::None => return None,
        ReasonClass::Structure => "structure",
        ReasonClass::Unsupported => "unsupported",
        ReasonClass::UnknownKey => "unknown_key",
        ReasonClass::DuplicateKey => "duplicate_key",
        ReasonClass::Locked => "locked",
        ReasonClass::Internal => "internal",
        ReasonClass::Unavailable => "unavailable",
        ReasonClass::Other => "other",
    };
    Some(name.to_owned())
}

pub(crate) const fn urgency_name(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Routine => "routine",
        Urgency::Correction => "correction",
        Urgency::Critical => "critical",
    }
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
        urgency_name: urgency_name(record.urgency),
        control_id_there: there.filter(|id| *id != control_id),
        control_id,
        class,
        waypoint: place.map(|w| name(names, w)).unwrap_or_default(),
        reason: failed.and_then(|s| reason_name(s.reason)),
        tries: record.sends_total,
        closed: None,
    }
}

impl Gaps {
    /// Takes one row of the ledger.
    pub(crate) fn take(&mut self, wanted: &Wanted, names: &Waypoints, row: LedgerRow) {
        match row {
            LedgerRow::Journey(record) => self.journey(wanted, names, &record),
            LedgerRow::Amend(amendment) => self.amend(wanted, names, &amendment),
            LedgerRow::Dropped { from, to, rows } => self.dropped.push((from, to, rows)),
        }
    }

    fn journey(&mut self, wanted: &Wanted, names: &Waypoints, record: &JourneyRecord) {
        let (first, last) = self.covers.unwrap_or((record.first_at, record.ended_at));
        self.covers = Some((first.min(record.first_at), last.max(record.ended_at)));
        let class = Class::of(record);
        let known = self.keys.get(&record.key).and_then(|n| self.rows.get_mut(*n));
        if let Some(row) = known {
            row.tries = row.tries.saturating_add(record.sends_total);
            if matches!(record.end, JourneyEnd::Delivered(_)) {
                row.closed.get_or_insert_with(|| crate::clock::show(record.ended_at));
            } else if class.is_gap() && row.closed.is_none() {
                // The latest try says what is wrong now.
                let fresh = row_of(names, record, class);
                (row.class, row.waypoint, row.reason) = (class, fresh.waypoint, fresh.reason);
            }
            return;
        }
        let mine = wanted.feed.as_ref().is_none_or(|feed| *feed == record.feed_name);
        if !mine || record.first_at < wanted.from || record.first_at >= wanted.to {
            return;
        }
        let of = (record.feed_name.clone(), kind_of(record), record.facility.to_string());
        let counts = self.counts.entry(of).or_default();
        if let Some(count) = counts.get_mut(class as usize) {
            *count += 1;
        }
        if class.is_gap() {
            let mut row = row_of(names, record, class);
            let late = self.late.remove(&record.key).filter(|at| *at >= record.first_at);
            row.closed = late.map(crate::clock::show);
            self.list(record.key, row);
        }
    }

    fn list(&mut self, key: MessageKey, row: Row) {
        if self.rows.len() >= ROWS_MAX {
            self.beyond += 1;
            return;
        }
        self.keys.insert(key, self.rows.len());
        self.rows.push(row);
    }

    /// An ACK that came after the end: it closes the row, or says why it stays open.
    fn amend(&mut self, wanted: &Wanted, names: &Waypoints, amendment: &Amendment) {
        let accepted = matches!(amendment.ack, AckCode::AA | AckCode::CA);
        let known = self.keys.get(&amendment.key).and_then(|n| self.rows.get_mut(*n));
        match known {
            Some(row) if accepted => {
                row.closed.get_or_insert_with(|| crate::clock::show(amendment.at));
            }
            Some(row) => {
                row.class = Class::Refused;
                row.reason = reason_name(amendment.reason);
            }
            // It counted as accepted (silence was agreed, or a commit), and is refused after all.
            None if !accepted && amendment.at >= wanted.from && amendment.at < wanted.to => {
                let row = Row {
                    at: amendment.at,
                    first_seen: crate::clock::show(amendment.at),
                    feed: String::new(),
                    kind: String::new(),
                    facility: String::new(),
                    sender: String::new(),
                    urgency: Urgency::Routine,
                    urgency_name: urgency_name(Urgency::Routine),
                    control_id: amendment.control_id.clear().to_string(),
                    control_id_there: None,
                    class: Class::Refused,
                    waypoint: name(names, amendment.waypoint),
                    reason: reason_name(amendment.reason),
                    tries: 1,
                    closed: None,
                };
                self.list(amendment.key, row);
            }
            None if accepted && self.late.len() < ROWS_MAX => {
                self.late.insert(amendment.key, amendment.at);
            }
            None => {}
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
