//! Everything the engine remembers, as plain structs: a checkpoint is a copy of [`State`].

use super::aged::Aged;
use super::comers::Comers;
use super::disorder::Disorder;
pub use super::incident::Incident;
use super::learned::Ways;
use super::profile::{PartKey, Profile};
use super::sequence::Sequence;
use super::series::Series;
use super::shapes::News;
use super::skew::Clocks;
use super::slab::{Ref, Slab};
use super::software::Heard;
use super::timers::Timers;
use super::usual::Usual;
use crate::class::{AckClasses, CLASSES};
use crate::codes::Code;
use crate::desk::{Remark, Taken, WouldBe};
use crate::effect::{Change, Rollup, Sending};
use crate::finding::Subject;
use crate::frame::{ConnectionId, TraceParent, WaypointId};
use crate::hist::Histogram;
use crate::key::MessageKey;
use crate::label::Label;
use crate::lag::Withheld;
use crate::plan::{FeedId, Objectives, Plan};
use crate::said::CodeWords;
use crate::sighting::{FindKeys, Outcome, ReasonClass, Urgency};
use crate::time::{EventTime, Timestamp};
use crate::view::Totals;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The whole state. Equal states and equal inputs give equal effects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What is watched.
    pub plan: Arc<Plan>,
    /// Senders' clocks.
    pub clocks: Clocks,
    /// Lags by feed, type and facility.
    pub series: Series,
    /// Orders and patients that are followed.
    pub sequence: Sequence,
    /// Inputs applied.
    pub seq: u64,
    /// Latest time given.
    pub now: Timestamp,
    /// Types, senders and facilities seen, at most 4,096; the first is the empty one, for the rest.
    pub kinds: Vec<Kind>,
    /// Journeys that ended lately, oldest first: to know late sightings and repeats.
    pub ended: Fifo<EndedJourney>,
    /// Time of the first input.
    pub started: Timestamp,
    /// In plan order.
    pub waypoints: Vec<WaypointState>,
    /// Declared feeds in plan order, then those found.
    pub feeds: Vec<FeedState>,
    /// Journeys in flight.
    pub journeys: Slab<Journey>,
    /// When each journey in flight is looked at next.
    pub journey_timers: Timers,
    /// All sendings.
    pub totals: Totals,
    /// Journeys dropped because the table was full.
    pub journeys_shed: u64,
    /// Incidents that are not over, by subject.
    pub incidents: BTreeMap<Subject, Incident>,
    /// The last resolved incidents, oldest first.
    pub resolved: VecDeque<crate::effect::IncidentChange>,
    /// Earlier incidents of the last 30 days, by what leads them and on what; the newest 1,024.
    pub signatures: BTreeMap<(Code, Subject), VecDeque<Timestamp>>,
    /// What changed lately around the stream, oldest first, at most 256.
    pub changes: VecDeque<Change>,
    /// Which software was heard on each link.
    pub heard: Heard,
    /// What operators wrote about incidents that are known, by their numbers.
    pub remarks: BTreeMap<u64, Vec<Remark>>,
    /// Notices that were taken about incidents that are known, by their numbers, oldest first; at
    /// most [`crate::desk::NOTICES_MAX`] each.
    pub notices: BTreeMap<u64, Vec<Taken>>,
    /// Notices that were not sent because of the shadow, oldest first.
    pub would_be: VecDeque<WouldBe>,
    /// What is usual for a feed's types and facilities, in order of their first message.
    pub profiles: Vec<(PartKey, Profile)>,
    /// What was learned elsewhere and taken over: when, and its number; the latest 16.
    pub lessons: VecDeque<(Timestamp, u64)>,
    /// The drill under way.
    pub drill: Option<Box<super::drill::Drill>>,
    /// Number of the next incident.
    pub next_incident: u64,
    /// Probes and heartbeats.
    pub around: super::around::Around,
    /// What each check can say, by its number: the words of its codes.
    pub words: BTreeMap<u16, BTreeMap<Label, Arc<CodeWords>>>,
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
    /// Those whose answer is due next, in order of arrival.
    pub deadlines: VecDeque<Ref>,
    /// Committed ones whose application ACK is due next, in order of arrival.
    pub application_deadlines: VecDeque<Ref>,
    /// The last sendings by control id: to know late and duplicate ACKs, retries and reused ids.
    pub memory: Fifo<Remembered>,
    /// Counts by [`AckClass`], in order.
    pub classes: [u64; CLASSES],
    /// How this link answers.
    pub habit: Habit,
    /// The message that each feed cannot get past, at most 64 feeds.
    pub heads: BTreeMap<FeedId, Head>,
    /// Urgent messages that went wrong here.
    pub hurt: Hurt,
    /// Commits whose application ACK never came.
    pub commit_only: Recent,
    /// What was said once per sender, at most 256.
    pub noted: BTreeSet<(Code, Label)>,
    /// Which of it and its standbys carries the messages, and since when.
    pub active: Option<(WaypointId, Timestamp)>,
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
    /// How the latest failed.
    pub down_how: Down,
    /// Connections refused or unreachable, all.
    pub refused: u64,
    /// Connections reset, all.
    pub resets: u64,
    /// Frames that could not be read, all.
    pub unreadable: u64,
    /// Blind intervals, all.
    pub blind: u64,
    /// The last of them, at most 16.
    pub blinds: VecDeque<(Timestamp, Timestamp)>,
    /// ACK times.
    pub ack_time: Histogram,
    /// What is usual here.
    pub usual: Usual,
    /// What is new in the messages here, and what is gone, as told lately; at most 48.
    pub drift: Vec<News>,
    /// The first offer, a message or a connection, since anything was accepted.
    pub refusing_since: Option<Timestamp>,
    /// The latest urgent message.
    pub urgent_at: Option<Timestamp>,
    /// Conditions that hold now.
    pub raised: BTreeSet<Code>,
    /// Who comes here.
    pub comers: Comers,
    /// In which order.
    pub disorder: Disorder,
    /// Connections whose receiver was gone without a word, while something waited on them.
    pub half_open: Recent,
}

/// How a receiver was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Down {
    /// The host refused.
    #[default]
    Refused,
    /// No answer.
    Unreachable,
    /// It took the connection and dropped it before a message: a handshake that fails.
    Dropped,
}

impl Down {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped at once",
        }
    }
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
    pub sending: u8,
    /// What few have.
    pub extra: Option<Box<EntryExtra>>,
    /// Its type and sender: index into [`State::kinds`].
    pub kind: u32,
    /// How urgent.
    pub urgency: Urgency,
    /// A commit ACK came; the application's may follow.
    pub committed: bool,
    /// The commit ACK was slow.
    pub slow: bool,
    /// An application ACK may follow the commit.
    pub wants_application: bool,
    /// It is due: its absence is worth a word.
    pub application_due: bool,
    /// Silence means success (the sender asked for answers on error only, or never).
    pub silence_accepts: bool,
    /// A blind interval lies between it and its answer.
    pub blind: bool,
    /// Next sending with the same key, younger.
    pub next: Option<Ref>,
}

/// What few sendings have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryExtra {
    /// Further journeys of the same message, with its place in each.
    pub more: Vec<(Ref, u8)>,
    /// Keyed hash of its batch; 0 = none.
    pub batch: u64,
}

impl EntryExtra {
    /// None, when there is nothing to hold.
    pub(super) fn new(more: Vec<(Ref, u8)>, batch: u64) -> Option<Box<Self>> {
        (batch != 0 || !more.is_empty()).then(|| Box::new(Self { more, batch }))
    }
}

/// One open connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connection {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Since when, and how often, the receiver had not been reached when it was.
    pub down_before: Option<(Timestamp, u32)>,
    /// Sendings on it that wait.
    pub open: u32,
    /// The latest sending on it.
    pub latest: Option<Ref>,
    /// When that was.
    pub latest_at: Timestamp,
    /// What the ACK of the sending before it names.
    pub previous: Option<MessageKey>,
    /// An answer came since the latest sending, whatever it named.
    pub answered: bool,
    /// Sendings on it minus answers, as far as both were seen.
    pub owed: u32,
    /// One that refuses, and names nothing that waits.
    pub unmatched: bool,
    /// What an ACK to the latest one names.
    pub latest_key: Option<MessageKey>,
    /// It sends ahead without waiting.
    pub pipelines: bool,
    /// It sent on after waiting in vain.
    pub slipped: bool,
    /// ACKs in a row that named the sending before the latest.
    pub off_run: u32,
    /// Who connected, until the first message.
    pub peer: Option<core::net::IpAddr>,
    /// A side of it is gone without a word.
    pub half_open: bool,
}

/// A bounded list whose oldest goes first; its owner keeps an index of it by key.
#[derive(Clone, Debug, PartialEq)]
pub struct Fifo<T> {
    /// Oldest first.
    pub list: VecDeque<T>,
    /// Number of the oldest: numbers only rise.
    pub first: u64,
}

/// One sending as remembered after it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remembered {
    /// What its ACK names.
    pub key: MessageKey,
    /// Of which journey.
    pub journey: MessageKey,
    /// Fingerprint of its body.
    pub body: u64,
    /// How it ended; None = it waits.
    pub outcome: Option<Outcome>,
    /// How often it was sent.
    pub sent: u8,
    /// How many answers it got.
    pub answers: u8,
}

impl Remembered {
    /// Sent for the first time.
    pub(super) const fn new(key: MessageKey, journey: MessageKey, body: u64) -> Self {
        Self { key, journey, body, outcome: None, sent: 1, answers: 0 }
    }
}

/// One journey as remembered after it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndedJourney {
    /// Its key.
    pub key: MessageKey,
    /// Its feed.
    pub feed: FeedId,
    /// When it ended.
    pub at: Timestamp,
    /// The ends of its feed that have it, by their places.
    pub delivered: u16,
    /// Whether it was delivered as far as it was meant.
    pub whole: bool,
}

/// What messages are, interned: most of them are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kind {
    /// MSH-9.1.
    pub code: Label,
    /// MSH-9.2.
    pub trigger: Label,
    /// MSH-3.1.
    pub sender: Label,
    /// MSH-4.1.
    pub facility: Label,
}

/// How a link answers, as observed; counts are halved when one reaches 1,000, so that it can change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Habit {
    /// First answers that were application ACKs (AA, AE, AR).
    pub application_first: u32,
    /// First answers that were commit ACKs (CA, CE, CR).
    pub commit_first: u32,
    /// Application ACKs behind a commit ACK.
    pub application_after: u32,
    /// Sendings whose silence was agreed.
    pub silent: u32,
    /// Refusals that a retry got past, by AE and CE, AR and CR.
    pub retried: [u32; 2],
    /// Refusals that were final.
    pub lasting: [u32; 2],
}

/// A message that is refused again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Its ack key.
    pub key: MessageKey,
    /// On which connection it was refused last.
    pub connection: ConnectionId,
    /// Refusals in a row.
    pub times: u32,
    /// The first.
    pub since: Timestamp,
    /// The latest.
    pub last: Timestamp,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// When.
    pub at: Timestamp,
    /// Over the waypoint's objective; None for an application ACK behind a commit: nobody waited.
    pub slow: Option<bool>,
    /// An error or reject; None for a commit that the application's word follows, and for a refusal
    /// whose reason is expected here.
    pub bad: Option<bool>,
    /// Why it refuses.
    pub reason: ReasonClass,
    /// The message's type and sender: index into [`State::kinds`].
    pub kind: u32,
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

/// Urgent messages that went wrong since all was well.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hurt {
    /// How many.
    pub messages: u32,
    /// The latest.
    pub last: Timestamp,
}

impl Hurt {
    /// Counts one.
    pub fn add(&mut self, at: Timestamp) {
        self.messages = self.messages.saturating_add(1);
        self.last = self.last.max(at);
    }

    /// Forgets them when all is well for a minute: what led to a finding comes before it.
    pub fn settle(&mut self, well: bool, now: Timestamp) {
        if well && now.micros_since(self.last) > 60_000_000 {
            self.messages = 0;
        }
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
    /// When the first was, by our clock.
    pub first_seen: Option<Timestamp>,
    /// Its sendings, all waypoints.
    pub totals: Totals,
    /// Last message at its first waypoint.
    pub last_seen: Option<Timestamp>,
    /// On which connection that was.
    pub last_on: Option<ConnectionId>,
    /// Unfinished journeys by urgency (routine, correction, critical).
    pub backlog: [u32; 3],
    /// Unfinished journeys by first sighting, and finished ones that have not left yet.
    pub queue: VecDeque<Ref>,
    /// Urgent ones of `queue`: critical ones and corrections.
    pub urgent: VecDeque<Ref>,
    /// Types that are stated not to be sent on.
    pub filters: Vec<String>,
    /// What was learned of where its types go, at most 256 types.
    pub learned: BTreeMap<(Label, Label), Ways>,
    /// Journeys that were expected further on and did not come.
    pub missing: Recent,
    /// Critical ones of them.
    pub missing_critical: Recent,
    /// Journeys that reached some of their ends.
    pub partly: Recent,
    /// Source ages that were withheld, by [`Withheld`] in order.
    pub withheld: [u64; Withheld::ALL.len()],
    /// How old its messages are when they are first seen.
    pub aged: Aged,
    /// Journeys that finished late.
    pub late: Recent,
    /// Urgent messages that failed or were late.
    pub hurt: Hurt,
    /// Every fifteen seconds of the feed's time: backlog, and age of the oldest in seconds; 24 kept.
    pub looks: VecDeque<(u32, f32)>,
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
    /// What is usual for it.
    pub profile: Profile,
    /// Looks in a row, within the last four, that foresaw a broken objective.
    pub foreseen: u8,
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
    /// Its type and sender: index into [`State::kinds`].
    pub kind: u32,
    /// What an analyst can look it up by.
    pub find: FindKeys,
    /// The sender's time of the event.
    pub event_time: Option<EventTime>,
    /// Event to first tap in µs, or why it is not known.
    pub source_age: Result<u64, Withheld>,
    /// What few have.
    pub extra: Option<Box<JourneyExtra>>,
    /// First sighting.
    pub first_at: Timestamp,
    /// Sendings, at most 16.
    pub sends: Vec<Sending>,
    /// All sendings; no more than this can count.
    pub sends_total: u16,
    /// Sendings that wait.
    pub open: u16,
    /// When it is looked at next.
    pub timer: Timestamp,
    /// Its place in that second of the timers.
    pub timer_place: u32,
    /// What the latest failed sending came to; None after a success.
    pub failed: Option<Outcome>,
    /// Waypoints of its route where it was seen, one bit each in the route's order.
    pub reached: u32,
    /// Ends of its feed that have it, one bit each in order.
    pub delivered: u16,
    /// Ends that refused it last.
    pub refused: u16,
    /// The weakest outcome of the ends that have it.
    pub weakest: Outcome,
    /// How urgent.
    pub urgency: Urgency,
    /// What the ACK ledger noted about it.
    pub classes: AckClasses,
    /// Whether it counts as backlog.
    pub in_backlog: bool,
    /// A message of its key was delivered before: this one need not go on.
    pub repeat: bool,
}

/// What few journeys have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JourneyExtra {
    /// Trace context that came with it.
    pub trace: Option<TraceParent>,
    /// Codes of checks about it, at most 4.
    pub found: Vec<Label>,
}
