//! What really happened: what each actor sent, got and answered, and every byte on every socket end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::generator::Kind;
use crate::hl7::AckCode;
use crate::identity::{ConnectionEnd, Identity, StreamEnd, StreamLog, compare};
use crate::stream_hash::StreamHash;

/// Records kept of each sort; later ones are counted in [`Ledger::dropped`].
pub(crate) const MAX_RECORDS: usize = 1_000_000;
/// Connection ends kept; later ones are counted in [`Truth::ends_dropped`].
const MAX_ENDS: usize = 10_000;

/// A stretch of the way of a message, between two actors, with or without a proxy in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// Sending application to integration engine.
    SenderToEngine,
    /// Integration engine to portal.
    EngineToPortal,
}

/// An acknowledgement as seen by one actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// MSA-1.
    pub code: AckCode,
    /// Unix microseconds.
    pub at_us: i64,
}

/// A message of a sending application.
#[derive(Debug, Clone, PartialEq)]
pub struct SentRecord {
    /// Name of the sender.
    pub sender: String,
    /// MSH-10.
    pub control_id: String,
    /// What it is.
    pub kind: Kind,
    /// It carries a critical value.
    pub critical: bool,
    /// OBR-3.1 of a result.
    pub order_filler: Option<String>,
    /// When the event happened, unix microseconds.
    pub event_us: i64,
    /// When it was first written to a socket.
    pub first_sent_us: Option<i64>,
    /// How often writing it was begun.
    pub attempts: u32,
    /// The answer that ended it, or the last reject.
    pub answer: Option<Answer>,
    /// The later application ACK of enhanced mode.
    pub application: Option<Answer>,
}

/// Where a message stands in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayState {
    /// Stored and not yet delivered.
    Queued,
    /// The portal accepted it.
    Accepted,
    /// The portal answered AE or CE: on the error list.
    Errored,
    /// Not stored, and the sender was told so: no header, unknown application, or queue full.
    NotStored,
}

/// A message as received by the engine (a resend is received, and forwarded, again).
#[derive(Debug, Clone, PartialEq)]
pub struct EngineRecord {
    /// Route, which is the name of the sender it belongs to; empty when unknown.
    pub route: String,
    /// MSH-10 as received.
    pub received_id: String,
    /// When, unix microseconds.
    pub received_us: i64,
    /// Its answer to the sender, once written.
    pub answer: Option<Answer>,
    /// MSH-10 as forwarded; empty until it was its turn.
    pub forwarded_id: String,
    /// When it was first written to the portal.
    pub first_forwarded_us: Option<i64>,
    /// How often writing it to the portal was begun.
    pub attempts: u32,
    /// The portal's last answer.
    pub portal_answer: Option<Answer>,
    /// Where it stands.
    pub state: RelayState,
}

/// A message as received by the portal.
#[derive(Debug, Clone, PartialEq)]
pub struct PortalRecord {
    /// MSH-10 as received.
    pub control_id: String,
    /// When, unix microseconds.
    pub received_us: i64,
    /// Name of the behaviour at that moment.
    pub mode: &'static str,
    /// The answer, once written to the socket (which does not prove that the engine read it).
    pub answer: Option<Answer>,
}

/// A final result followed by a preliminary one of the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regression {
    /// OBR-3.1 of both.
    pub order_filler: String,
    /// MSH-10 of the final one.
    pub final_id: String,
    /// MSH-10 of the preliminary one.
    pub preliminary_id: String,
}

/// What every actor did with messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// By the sending applications, in order of making.
    pub sent: Vec<SentRecord>,
    /// By the engine, in order of receipt.
    pub engine: Vec<EngineRecord>,
    /// By the portal, in order of receipt.
    pub portal: Vec<PortalRecord>,
    /// Regressions sent on purpose.
    pub regressions: Vec<Regression>,
    /// Answers that named no open message, at senders and engine.
    pub stray_answers: u64,
    /// Application ACKs that could not be handed to a sender since its connection was gone.
    pub application_acks_undelivered: u64,
    /// Events that a blocked sender gave up making messages for (more than 10,000 behind).
    pub events_skipped: u64,
    /// Records beyond the first 1,000,000 of a sort.
    pub dropped: u64,
}

/// Sums over a [`Ledger`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages made by senders and written at least once.
    pub sent: u64,
    /// Times that a sender wrote a message again.
    pub resent: u64,
    /// Messages that the sender saw accepted (AA or CA).
    pub sender_accepted: u64,
    /// Messages that the engine received.
    pub engine_received: u64,
    /// Of those, with a control id that the route had received before.
    pub engine_duplicates: u64,
    /// Not stored.
    pub engine_not_stored: u64,
    /// Stored and waiting.
    pub engine_queued: u64,
    /// Accepted by the portal, as the engine saw it.
    pub engine_accepted: u64,
    /// On the error list.
    pub engine_errored: u64,
    /// Times that the engine wrote a message again.
    pub engine_resent: u64,
    /// Messages that the portal received (resends included).
    pub portal_received: u64,
    /// Answered AA.
    pub portal_accepted: u64,
    /// Answered AE.
    pub portal_errored: u64,
    /// Answered AR.
    pub portal_rejected: u64,
    /// Never answered.
    pub portal_unanswered: u64,
}

impl Ledger {
    /// The sums. Linear in the number of records.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for record in self.sent.iter().filter(|r| r.attempts > 0) {
            counts.sent += 1;
            counts.resent += u64::from(record.attempts - 1);
            counts.sender_accepted += u64::from(record.answer.is_some_and(|a| a.code.is_accept()));
        }
        let mut seen = BTreeSet::new();
        for record in &self.engine {
            counts.engine_received += 1;
            let first = seen.insert((record.route.as_str(), record.received_id.as_str()));
            counts.engine_duplicates += u64::from(!first);
            counts.engine_resent += u64::from(record.attempts.saturating_sub(1));
            match record.state {
                RelayState::Queued => counts.engine_queued += 1,
                RelayState::Accepted => counts.engine_accepted += 1,
                RelayState::Errored => counts.engine_errored += 1,
                RelayState::NotStored => counts.engine_not_stored += 1,
            }
        }
        for record in &self.portal {
            counts.portal_received += 1;
            match record.answer.map(|a| a.code) {
                Some(code) if code.is_accept() => counts.portal_accepted += 1,
                Some(code) if code.is_reject() => counts.portal_rejected += 1,
                Some(_) => counts.portal_errored += 1,
                None => counts.portal_unanswered += 1,
            }
        }
        counts
    }

    /// Statements of one actor that another one denies; empty when nothing was lost or invented on the way.
    /// Each names control ids only.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let stored: BTreeSet<(&str, &str)> = self
            .engine
            .iter()
            .filter(|r| r.state != RelayState::NotStored)
            .map(|r| (r.route.as_str(), r.received_id.as_str()))
            .collect();
        for record in self.sent.iter().filter(|r| r.answer.is_some_and(|a| a.code.is_accept())) {
            if !stored.contains(&(record.sender.as_str(), record.control_id.as_str())) {
                let id = &record.control_id;
                found.push(format!(
                    "{id}: the sender saw it accepted, the engine has not stored it"
                ));
            }
        }
        let mut answered: BTreeMap<&str, Vec<AckCode>> = BTreeMap::new();
        for record in &self.portal {
            answered
                .entry(&record.control_id)
                .or_default()
                .extend(record.answer.map(|answer| answer.code));
        }
        for record in &self.engine {
            let id = record.forwarded_id.as_str();
            if let Some(answer) = record.portal_answer
                && !answered.get(id).is_some_and(|codes| codes.contains(&answer.code))
            {
                let code = answer.code.as_str();
                found.push(format!("{id}: the engine saw {code}, the portal has not answered so"));
            }
        }
        let known: BTreeSet<&str> = self.engine.iter().map(|r| r.forwarded_id.as_str()).collect();
        for id in answered.keys().filter(|id| !known.contains(*id)) {
            found.push(format!("{id}: the portal received it, the engine has not forwarded it"));
        }
        found
    }
}

/// Everything that is known, at one moment or after the end.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Messages.
    pub ledger: Ledger,
    /// Socket ends.
    pub ends: Vec<ConnectionEnd>,
    /// Socket ends per hop that were not kept (beyond 10,000 in all).
    pub ends_dropped: BTreeMap<Hop, u64>,
}

impl Truth {
    /// Compares the two sides of a hop. Meaningful after [`Hospital::stop`](crate::Hospital::stop): a snapshot
    /// of running connections may hold a read whose write is not yet noted.
    pub fn identity(&self, hop: Hop) -> Identity {
        let side = |dialled: bool| -> Vec<&ConnectionEnd> {
            self.ends.iter().filter(|e| e.hop == hop && e.dialled == dialled).collect()
        };
        let unrecorded = self.ends_dropped.get(&hop).copied().unwrap_or(0);
        Identity { unrecorded, ..compare(&side(true), &side(false)) }
    }

    /// True when, on both hops and in both directions, the bytes read are the bytes written.
    pub fn identical(&self) -> bool {
        [Hop::SenderToEngine, Hop::EngineToPortal].iter().all(|hop| self.identity(*hop).holds())
    }

    /// Bytes written and bytes read on a hop, both directions together.
    pub fn bytes(&self, hop: Hop) -> (u64, u64) {
        let ends = self.ends.iter().filter(|e| e.hop == hop);
        ends.fold((0, 0), |(w, r), end| (w + end.written.hash().len(), r + end.read.len()))
    }
}

/// An end that its socket still writes to.
pub(crate) type SharedEnd = Arc<Mutex<ConnectionEnd>>;

/// Where the actors write the truth down.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) clock: Clock,
    ledger: Mutex<Ledger>,
    ends: Mutex<(Vec<SharedEnd>, BTreeMap<Hop, u64>)>,
    changed: watch::Sender<u64>,
}

/// A poisoned lock means that a test assertion failed inside it; the record itself is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            ledger: Mutex::default(),
            ends: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// Changes the ledger and wakes who waits for a change.
    pub(crate) fn edit<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let result = change(&mut lock(&self.ledger));
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
        result
    }

    pub(crate) fn look<R>(&self, read: impl FnOnce(&Ledger) -> R) -> R {
        read(&lock(&self.ledger))
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A new end; beyond the limit it is counted and not kept.
    pub(crate) fn open_end(&self, hop: Hop, dialled: bool) -> SharedEnd {
        let end = Arc::new(Mutex::new(ConnectionEnd {
            hop,
            dialled,
            opened_us: self.clock.now_us(),
            closed_us: None,
            written: StreamLog::default(),
            read: StreamHash::new(),
            finished: false,
            ended: StreamEnd::Open,
        }));
        let mut ends = lock(&self.ends);
        if ends.0.len() < MAX_ENDS {
            ends.0.push(Arc::clone(&end));
        } else {
            *ends.1.entry(hop).or_default() += 1;
        }
        end
    }

    pub(crate) fn snapshot(&self) -> Truth {
        let ledger = lock(&self.ledger).clone();
        let (ends, ends_dropped) = {
            let kept = lock(&self.ends);
            (kept.0.clone(), kept.1.clone())
        };
        let ends = ends.iter().map(|end| lock(end).clone()).collect();
        Truth { ledger, ends, ends_dropped }
    }
}

/// Adds a record below the limit; its index, or `None` when it was only counted.
pub(crate) fn push<T>(records: &mut Vec<T>, dropped: &mut u64, record: T) -> Option<usize> {
    if records.len() >= MAX_RECORDS {
        *dropped += 1;
        return None;
    }
    records.push(record);
    Some(records.len() - 1)
}
