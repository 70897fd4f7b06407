//! What a check concluded, about what.

use crate::codes::{Code, Severity};
use crate::frame::WaypointId;
use crate::label::Label;
use crate::plan::FeedId;
use crate::said::Line;
use crate::sighting::Urgency;
use crate::time::Timestamp;

/// What a finding, and so an incident, is about. One incident per subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The link behind a waypoint.
    Waypoint(WaypointId),
    /// A feed.
    Feed(FeedId),
    /// A WASM check: index into [`crate::plan::Plan::checks`].
    Check(u16),
    /// A part of Feedpulse itself (`store`, `otlp`, `alertmanager`, `webhook`, `kafka`, `wire`).
    Own(Label),
    /// A probe or a heartbeat that concerns no waypoint and no feed, by its name.
    Probe(Label),
}

/// One conclusion of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it says.
    pub code: Code,
    /// About what.
    pub subject: Subject,
    /// How loud.
    pub severity: Severity,
    /// Its state: a condition that holds and ends, or something that happened once.
    pub state: FindingState,
    /// Since when.
    pub since: Timestamp,
    /// Numbers that support it.
    pub evidence: Vec<Evidence>,
    /// A further code: a plugin's own code, a reason class. Sanitised.
    pub detail: Label,
}

/// Whether a finding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingState {
    /// The condition holds (and is said again while it does, with new evidence).
    Raised,
    /// The condition is over.
    Cleared,
    /// It happened once; it keeps its incident open for a minute.
    Happened,
}

/// One number with its name and unit in the name (`_s`, `_share`, `_total`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Name, from a closed set in code.
    pub name: &'static str,
    /// Value; always finite.
    pub value: f64,
}

/// Every name that evidence can have; stored evidence is read back through this table.
pub const EVIDENCE_NAMES: &[&str] = &[
    "answers_total",
    "attempts_total",
    "backlog_total",
    "behind_total",
    "blind_s",
    "blocked_s",
    "breach_s",
    "bytes_shed_total",
    "commit_only_total",
    "copies_shed_total",
    "critical_total",
    "damaged_total",
    "days_left_total",
    "dead_letters_total",
    "down_s",
    "drain_s",
    "dropped_total",
    "expected_total",
    "failing_total",
    "gone_total",
    "growth_per_s",
    "half_open_total",
    "late_s",
    "late_total",
    "limit",
    "limit_s",
    "limit_total",
    "lost_total",
    "messages_total",
    "missing_total",
    "new_reason_total",
    "new_total",
    "objective_s",
    "oldest_open_s",
    "oldest_s",
    "open_total",
    "out_of_order_total",
    "partly_total",
    "refused_share",
    "refused_total",
    "repeats_total",
    "sendings_total",
    "silent_s",
    "slow_total",
    "step_s",
    "times_share",
    "unanswered_total",
    "unreadable_total",
    "urgent_total",
    "value",
];

/// A finding of a WASM check about one message, on its way into the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckFinding {
    /// When.
    pub at: Timestamp,
    /// Which check: index into [`crate::plan::Plan::checks`].
    pub check: u16,
    /// Where its message was seen.
    pub waypoint: WaypointId,
    /// True when the check itself is faulty (it trapped, ran over its budget, …).
    pub faulty: bool,
    /// The plugin's own code, or the kind of its fault.
    pub code: Label,
    /// How loud its manifest says.
    pub severity: Severity,
    /// Key of the message, when it had one, so that its trace is kept.
    pub journey_key: Option<crate::key::MessageKey>,
    /// The message's urgency.
    pub urgency: Urgency,
    /// HL7 path that it names; may be empty.
    pub place: Line,
    /// Names and values that its manifest lists, at most [`crate::said::ATTRS_MAX`].
    pub attrs: Vec<(Line, Line)>,
}
