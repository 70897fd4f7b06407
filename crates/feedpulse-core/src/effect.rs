//! What a step asks for. Effects are data; shells carry them out. All are idempotent by their id.

pub use crate::cause::{CauseClass, Clue};
use crate::class::AckClasses;
use crate::codes::{Code, Severity};
use crate::desk::Judgement;
use crate::finding::{Evidence, Subject};
use crate::frame::{TraceParent, WaypointId};
use crate::key::MessageKey;
use crate::label::{ControlId, Label};
use crate::lag::Withheld;
use crate::plan::FeedId;
use crate::said::CheckCodes;
use crate::sighting::{AckCode, FindKeys, Outcome, ReasonClass, Urgency};
use crate::time::{EventTime, Timestamp};

/// Identity of an effect: the sequence number of the input that caused it, and its place among that
/// input's effects. A replay yields the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId {
    /// Sequence number of the input, from 1.
    pub input: u64,
    /// Index among the effects of that input.
    pub index: u32,
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A journey ended: export its trace if the sampler says so, count its times.
    Journey(Box<JourneyRecord>),
    /// An incident opened, changed or was resolved.
    Incident(Box<IncidentChange>),
    /// Something became known about a journey that had ended.
    Amend(Box<Amendment>),
    /// One interval of one feed is complete.
    Rollup(Box<Rollup>),
    /// What is known of an incident that is over changed: it is filed again, and nobody is told.
    File(Box<IncidentChange>),
}

/// Effects of one step, in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Sequence number of the input that is being applied.
    pub input: u64,
    list: Vec<(EffectId, Effect)>,
}

impl Effects {
    /// Adds one.
    pub fn push(&mut self, effect: Effect) {
        let index = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push((EffectId { input: self.input, index }, effect));
    }

    /// Takes them all, leaving it empty for the next step.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (EffectId, Effect)> {
        self.list.drain(..)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Everything about a journey that ended: one OpenTelemetry trace, each leg a span.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyRecord {
    /// Its key.
    pub key: MessageKey,
    /// Its feed.
    pub feed: FeedId,
    /// The feed's name.
    pub feed_name: String,
    /// MSH-9.1.
    pub code: Label,
    /// MSH-9.2.
    pub trigger: Label,
    /// MSH-3.1 at its first sighting.
    pub sender: Label,
    /// MSH-4.1 at its first sighting.
    pub facility: Label,
    /// MSH-10 at its first sighting.
    pub control_id: ControlId,
    /// What an analyst can look it up by.
    pub find: FindKeys,
    /// How urgent.
    pub urgency: Urgency,
    /// The sender's own time of the event.
    pub event_time: Option<EventTime>,
    /// Event to first tap, in µs; Err says why it is not known.
    pub source_age: Result<u64, Withheld>,
    /// First sighting.
    pub first_at: Timestamp,
    /// Every sending seen, in order; at most 16, then `sends_total` goes on counting.
    pub sends: Vec<Sending>,
    /// All sendings.
    pub sends_total: u32,
    /// How it ended.
    pub end: JourneyEnd,
    /// Where it was expected and never seen.
    pub missing: Vec<WaypointId>,
    /// What the ACK ledger noted about it.
    pub classes: AckClasses,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether it broke its transit objective.
    pub late: bool,
    /// Codes of WASM checks about it, at most 4.
    pub found: Vec<Label>,
    /// Trace context that came with it.
    pub trace: Option<TraceParent>,
}

/// How a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JourneyEnd {
    /// Every end of its route has it; the weakest of their outcomes.
    Delivered(Outcome),
    /// No end of its route has it; what the last try came to.
    Failed(Outcome),
    /// Some ends of its route have it; what another came to.
    Partly(Outcome),
    /// It was not sent on, as stated or as learned for its type.
    Filtered,
    /// Nothing more was seen of it in time, and its route says that it should have been.
    Expired,
    /// Nobody can say: a blind interval, or it was dropped from memory before its end.
    Unknown,
}

impl JourneyEnd {
    /// Its name in spans, JSON and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered(outcome) | Self::Failed(outcome) => outcome.name(),
            Self::Partly(_) => "partly_delivered",
            Self::Filtered => "filtered",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nobody needs to look at it.
    #[must_use]
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Delivered(_) | Self::Filtered)
    }
}

/// What became known about a message after its journey had ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amendment {
    /// The journey's key.
    pub key: MessageKey,
    /// MSA-2.
    pub control_id: ControlId,
    /// Where.
    pub waypoint: WaypointId,
    /// When.
    pub at: Timestamp,
    /// The ACK that came late.
    pub ack: AckCode,
    /// Its reason class.
    pub reason: ReasonClass,
}

/// One sending of a message at one waypoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sending {
    /// Where.
    pub waypoint: WaypointId,
    /// MSH-10 there.
    pub control_id: ControlId,
    /// When the message was seen.
    pub at: Timestamp,
    /// When its outcome was known.
    pub ended_at: Option<Timestamp>,
    /// Its outcome.
    pub outcome: Option<Outcome>,
    /// The ACK's code, if one came.
    pub ack: Option<AckCode>,
    /// The ACK's reason class.
    pub reason: ReasonClass,
    /// Whether the ACK broke the waypoint's objective.
    pub slow: bool,
    /// Bytes of the message.
    pub size: u32,
}

/// State of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncidentState {
    /// Findings have come; it waits to be sure.
    Pending,
    /// People are told.
    Open,
    /// Over.
    Resolved,
}

impl IncidentState {
    /// Its name in JSON and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// An incident as of now.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentChange {
    /// Its running number, from 1. Unique in a store.
    pub id: u64,
    /// About what.
    pub subject: Subject,
    /// The subject's name (`waypoint portal-in`, `feed lab-results`).
    pub subject_name: String,
    /// Its state.
    pub state: IncidentState,
    /// The loudest finding's severity so far.
    pub severity: Severity,
    /// The code that leads it: the loudest, then the earliest.
    pub code: Code,
    /// One sentence: what, since when, how many.
    pub summary: String,
    /// First finding.
    pub since: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Its findings, by code.
    pub findings: Vec<IncidentFinding>,
    /// Urgent messages that wait or failed because of it.
    pub urgent: u32,
    /// Who took it.
    pub claimed_by: Label,
    /// No notices until then.
    pub muted_until: Option<Timestamp>,
    /// What else is known.
    pub story: Story,
}

/// What is known about an incident beside its findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    /// When people were told; None before.
    pub opened_at: Option<Timestamp>,
    /// How far it reaches.
    pub scope: Scope,
    /// Names of the feeds that it touches, at most 1,000: routes look at all of them, texts show
    /// twenty.
    pub feeds: Vec<String>,
    /// How many feeds it touches.
    pub feeds_total: u32,
    /// Messages that wait or failed because of it.
    pub messages: u32,
    /// Seconds until a transit objective breaks at this pace; 0 where one is broken.
    pub breach_s: Option<u32>,
    /// Seconds until the backlog is empty at this pace.
    pub drained_s: Option<u32>,
    /// Why, probably.
    pub cause: Option<Cause>,
    /// Incidents with the same code on the same subject in the 30 days before.
    pub earlier: u32,
    /// The latest of them.
    pub earlier_at: Option<Timestamp>,
    /// How often it was calm and came back.
    pub flaps: u32,
    /// Nobody is told: all that it touches is in shadow.
    pub shadow: bool,
    /// Whether it was worth a notice, as an operator said last.
    pub verdict: Option<Judgement>,
    /// What happened to it, in order, at most 64.
    pub timeline: Vec<Moment>,
    /// The planned downtime in which it began and that should be over by now.
    pub overran: Option<Overran>,
    /// A fault of a drill, not of the stream: every notice says so.
    pub drill: bool,
    /// What is new in the messages, and what is gone (`ORU^R01: ZPD segment`), at most 48.
    pub news: Vec<Label>,
    /// What the check that it is about said.
    pub check_codes: CheckCodes,
}

/// A planned downtime that goes on longer than planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overran {
    /// What it is called.
    pub name: String,
    /// When it should have ended.
    pub since: Timestamp,
}

/// How far an incident reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Feedpulse's own parts, or a check.
    #[default]
    Own,
    /// One feed.
    Feed,
    /// Several feeds.
    Feeds,
    /// One link, with the feeds behind it.
    Link,
    /// Several links of one receiving system.
    System,
    /// Every link, or every feed.
    Everything,
    /// Something around the stream that a probe or a heartbeat watches.
    Around,
}

impl Scope {
    /// Its name in JSON and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Feed => "feed",
            Self::Feeds => "feeds",
            Self::Link => "link",
            Self::System => "system",
            Self::Everything => "everything",
            Self::Around => "around",
        }
    }
}

/// Something in the course of an incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: MomentKind,
}

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MomentKind {
    /// The first bad message, as far as is known.
    Began,
    /// A finding was said for the first time.
    Found(Code),
    /// People were told.
    Told(Severity),
    /// Something changed around the stream.
    Changed(Change),
    /// Somebody took it.
    Claimed(Label),
    /// Notices were stopped until then.
    Muted(Timestamp),
    /// No finding holds any more.
    Calm,
    /// It came back.
    Returned,
    /// It is over.
    Resolved,
    /// People would have been told, but for the shadow.
    Shadowed(Severity),
    /// Somebody gave it back.
    Released(Label),
    /// Notices go out again.
    Unmuted,
    /// Somebody wrote something down.
    Remarked(Label),
    /// Somebody said whether it is worth a notice.
    Judged {
        /// It is.
        right: bool,
        /// Who said so.
        by: Label,
    },
    /// All that waited when it became calm has come to its end.
    Drained,
    /// A check's own code was found for the first time.
    CheckFound(Label),
}

/// Something that changed around the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What kind: `deploy`, `config`, `certificate`, `version`, …
    pub kind: Label,
    /// What changed.
    pub what: Label,
}

/// Why an incident is, probably.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The class.
    pub class: CauseClass,
    /// How sure.
    pub confidence: Confidence,
    /// What speaks for it.
    pub clues: Vec<Clue>,
    /// What speaks against it.
    pub against: Vec<Clue>,
}

/// How sure a cause hint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// One sign, others are possible.
    Low,
    /// Several signs, or one that has few other reasons.
    Medium,
    /// The sign names it.
    High,
}

impl Confidence {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One finding within an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentFinding {
    /// What it says.
    pub code: Code,
    /// How loud.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// When it cleared.
    pub cleared_at: Option<Timestamp>,
    /// Latest numbers.
    pub evidence: Vec<Evidence>,
    /// A further code.
    pub detail: Label,
    /// How often it was said.
    pub times: u32,
}

/// One interval (a minute unless the plan says otherwise) of one feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollup {
    /// The feed.
    pub feed: FeedId,
    /// Its name.
    pub feed_name: String,
    /// Start of the interval.
    pub minute: Timestamp,
    /// Messages seen at the feed's first waypoint.
    pub seen: u32,
    /// Sendings that ended, by [`Outcome`] in order of [`Outcome::ALL`].
    pub outcomes: [u32; 9],
    /// Median ACK time in µs at the last waypoint; None when there was none.
    pub ack_p50: Option<u32>,
    /// 99th percentile of it.
    pub ack_p99: Option<u32>,
    /// Longest transit in µs.
    pub transit_max: Option<u32>,
    /// Unfinished at the end of the interval.
    pub backlog: u32,
    /// Age of the oldest unfinished at the end of the interval, in µs.
    pub lag: u64,
}
