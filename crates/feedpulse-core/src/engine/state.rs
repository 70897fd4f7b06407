//! Everything the engine remembers, as plain structs: a checkpoint is a copy of [`State`].

use super::slab::{Ref, Slab};
use crate::class::AckClasses;
use crate::codes::{Code, Severity};
use crate::effect::{IncidentFinding, IncidentState, Rollup, Sending};
use crate::finding::Subject;
use crate::frame::{ConnectionId, TraceParent, WaypointId};
use crate::hist::Histogram;
use crate::key::MessageKey;
use crate::label::{ControlId, Label};
use crate::plan::{FeedId, Objectives, Plan};
use crate::sighting::{FindKeys, Outcome, Urgency};
use crate::time::{EventTime, Timestamp};
use crate::view::Totals;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The whole state. Equal states and equal inputs give equal effects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What is watched.
    pub plan: Arc<Plan>,
    /// Inputs applied.
    pub seq: u64,
    /// Latest time given.
    pub now: Timestamp,
    /// Time of the first input.
    pub started: Timestamp,
    /// In plan order.
    pub waypoints: Vec<WaypointState>,
    /// Declared feeds in plan order, then those found.
    pub feeds: Vec<FeedState>,
    /// Journeys in flight.
    pub journeys: Slab<Journey>,
    /// When each journey in flight is looked at next.
    pub journey_timers: BTreeSet<(Timestamp, Ref)>,
    /// All sendings.
    pub totals: Totals,
    /// ACKs that matched nothing.
    pub stray_acks: u64,
    /// ACKs that matched a sending that had ended unanswered.
    pub late_acks: u64,
    /// Journeys dropped because the table was full.
    pub journeys_shed: u64,
    /// Incidents that are not over, by subject.
    pub incidents: BTreeMap<Subject, Incident>,
    /// The last resolved incidents, oldest first.
    pub resolved: VecDeque<crate::effect::IncidentChange>,
    /// Number of the next incident.
    pub next_incident: u64,
}

/// One waypoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaypointState {
    /// Latest time known here: of what was seen or of the tap's sign of life.
    pub time: Timestamp,
    /// Latest sign of life of the tap; None before the first.
    pub alive_at: Option<Timestamp>,
    /// Sendings that wait for their answer.
    pub entries: Slab<Entry>,
    /// Deadlines of `entries`, in order of arrival.
    pub deadlines: VecDeque<(Timestamp, Ref)>,
    /// Keys of sendings that ended unanswered within the last minutes, to know a late ACK.
    pub unanswered_keys: VecDeque<(Timestamp, MessageKey)>,
    /// Open connections.
    pub connections: BTreeMap<ConnectionId, Connection>,
    /// Sendings here.
    pub totals: Totals,
    /// The last answers, at most 64.
    pub answers: VecDeque<Answer>,
    /// Sendings that ended without an answer lately, at most 64.
    pub unanswered: Recent,
    /// Connections that broke with a sending open lately.
    pub lost: Recent,
    /// Unreadable frames lately.
    pub malformed: Recent,
    /// Refused or unreachable since no connection was accepted.
    pub down_since: Option<Timestamp>,
    /// How often since then.
    pub down_times: u32,
    /// Latest of them.
    pub down_last: Timestamp,
    /// Whether the latest was a refusal (else unreachable).
    pub down_refused: bool,
    /// Connections refused or unreachable, all.
    pub refused: u64,
    /// Connections reset, all.
    pub resets: u64,
    /// Frames that could not be read, all.
    pub unreadable: u64,
    /// Blind intervals, all.
    pub blind: u64,
    /// ACK times.
    pub ack_time: Histogram,
    /// Conditions that hold now.
    pub raised: BTreeSet<Code>,
}

/// A sending that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Order of arrival.
    pub seq: u64,
    /// What its ACK will name.
    pub key: MessageKey,
    /// When it was seen.
    pub at: Timestamp,
    /// On which connection.
    pub connection: ConnectionId,
    /// Of which feed.
    pub feed: FeedId,
    /// Its journey.
    pub journey: Option<Ref>,
    /// Its place in the journey's sendings.
    pub sending: u32,
    /// How urgent.
    pub urgency: Urgency,
    /// A commit ACK came; the application's may follow.
    pub committed: bool,
    /// An application ACK was asked for.
    pub wants_application: bool,
    /// Silence means success (the sender asked for answers on error only, or never).
    pub silence_accepts: bool,
    /// A blind interval lies between it and its answer.
    pub blind: bool,
    /// Next sending with the same key, younger.
    pub next: Option<Ref>,
}

/// One open connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connection {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Sendings on it that wait.
    pub open: u32,
    /// The latest sending on it.
    pub latest: Option<Ref>,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// When.
    pub at: Timestamp,
    /// Over the waypoint's objective.
    pub slow: bool,
    /// An error or reject.
    pub bad: bool,
}

/// Times of the last 64 events of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// Oldest first.
    pub at: VecDeque<Timestamp>,
}

impl Recent {
    /// Adds one.
    pub fn push(&mut self, at: Timestamp) {
        if self.at.len() == 64 {
            self.at.pop_front();
        }
        self.at.push_back(at);
    }

    /// How many are not older than `seconds` at `now`, up to 64.
    #[must_use]
    pub fn within(&self, now: Timestamp, seconds: i64) -> usize {
        self.at.iter().filter(|at| now.micros_since(**at) <= seconds * 1_000_000).count()
    }

    /// The latest.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.at.back().copied()
    }
}

/// One feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedState {
    /// Its name.
    pub name: String,
    /// Its route's name.
    pub route: String,
    /// Its waypoints in order.
    pub waypoints: Vec<WaypointId>,
    /// Where each message is expected in the end; never empty.
    pub ends_at: Vec<WaypointId>,
    /// Whether the plan declares it.
    pub declared: bool,
    /// What it promises.
    pub objectives: Objectives,
    /// Messages seen at its first waypoint.
    pub seen: u64,
    /// Its sendings, all waypoints.
    pub totals: Totals,
    /// Last message at its first waypoint.
    pub last_seen: Option<Timestamp>,
    /// Unfinished journeys by urgency (routine, correction, critical).
    pub backlog: [u32; 3],
    /// Journeys by first sighting; finished ones are dropped when they come to the front.
    pub queue: VecDeque<(Timestamp, Ref)>,
    /// Critical ones of `queue`.
    pub critical: VecDeque<(Timestamp, Ref)>,
    /// Journeys that finished late.
    pub late: Recent,
    /// Urgent messages that failed or were late since the feed was last well.
    pub urgent_hurt: u32,
    /// Backlog at the last looks, every five seconds, newest last, at most 4.
    pub looks: VecDeque<u32>,
    /// When the last look was.
    pub looked_at: Timestamp,
    /// Records on its dead-letter topic lately.
    pub dead_letters: Recent,
    /// ACK times at `ends_at`.
    pub ack_time: Histogram,
    /// First tap to last tap.
    pub transit: Histogram,
    /// Event to first tap.
    pub source_age: Histogram,
    /// Interval being filled.
    pub current: Interval,
    /// The last intervals, oldest first, at most 60.
    pub history: VecDeque<Rollup>,
    /// Conditions that hold now.
    pub raised: BTreeSet<Code>,
}

/// Counts of the interval being filled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// Its start.
    pub start: Timestamp,
    /// Messages seen at the first waypoint.
    pub seen: u32,
    /// Sendings that ended.
    pub outcomes: [u32; 9],
    /// ACK times.
    pub ack_time: Histogram,
    /// Longest transit in µs.
    pub transit_max: Option<u32>,
}

/// A journey in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    /// Its key.
    pub key: MessageKey,
    /// Its feed.
    pub feed: FeedId,
    /// MSH-9.1.
    pub code: Label,
    /// MSH-9.2.
    pub trigger: Label,
    /// MSH-3.1 at the first sighting.
    pub sender: Label,
    /// MSH-4.1 at the first sighting.
    pub facility: Label,
    /// What an analyst can look it up by.
    pub find: FindKeys,
    /// What the ACK ledger noted about it.
    pub classes: AckClasses,
    /// MSH-10 at the first sighting.
    pub control_id: ControlId,
    /// How urgent.
    pub urgency: Urgency,
    /// The sender's time of the event.
    pub event_time: Option<EventTime>,
    /// Trace context that came with it.
    pub trace: Option<TraceParent>,
    /// First sighting.
    pub first_at: Timestamp,
    /// Sendings, at most 16.
    pub sends: Vec<Sending>,
    /// All sendings.
    pub sends_total: u32,
    /// Sendings that wait.
    pub open: u32,
    /// Whether it counts as backlog.
    pub in_backlog: bool,
    /// When it is looked at next (its key in the timers).
    pub timer: Timestamp,
    /// How it will end at the timer unless something is seen: None = expired.
    pub pending_end: Option<Outcome>,
    /// Codes of checks about it, at most 4.
    pub found: Vec<Label>,
}

/// An incident that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its number.
    pub id: u64,
    /// Pending or open.
    pub state: IncidentState,
    /// Loudest so far.
    pub severity: Severity,
    /// The code that leads it.
    pub code: Code,
    /// First finding.
    pub since: Timestamp,
    /// Its findings.
    pub findings: BTreeMap<Code, IncidentFinding>,
    /// When each finding that only happened stops counting.
    pub lapses: BTreeMap<Code, Timestamp>,
    /// Since when no finding holds.
    pub calm_since: Option<Timestamp>,
    /// Who took it.
    pub claimed_by: Label,
    /// No notices until then.
    pub muted_until: Option<Timestamp>,
}
