//! Probes and heartbeats as the engine knows them: what is watched around the stream, and what was
//! seen of it. Who looks, and how, is the edge's business.

use crate::codes::{Code, Severity};
use crate::frame::WaypointId;
use crate::label::Label;
use crate::schedule::{Rule, Schedule};
use crate::time::Timestamp;
use core::time::Duration;

/// Most probes and heartbeats of a plan.
pub const PROBES_MAX: usize = 256;
/// Most parts that a probe tells apart (partitions, channels, addresses).
pub const PARTS_MAX: usize = 64;

/// What a probe or a heartbeat is about: where its findings belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// Itself.
    #[default]
    Itself,
    /// The link behind a waypoint.
    Waypoint(WaypointId),
    /// A feed, by its name.
    Feed(String),
    /// The receiving system of that name, as waypoints state it.
    System(Label),
}

/// How the results of one probe are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePlan {
    /// Unique among probes and heartbeats.
    pub name: Label,
    /// What it is about.
    pub about: About,
    /// How loud its findings are; None = as their codes say.
    pub severity: Option<Severity>,
    /// So many of the last so many results must be bad. Default 2 of 3; at most 32.
    pub fails: (u8, u8),
    /// So many good ones in a row end it. Default 2.
    pub recovers: u8,
    /// Certificates that end within this are a ticket. Default 21 days: an authority that renews by
    /// itself does so 30 days before.
    pub ticket_before: Duration,
    /// Within this a page. Default 3 days: a ticket may lie that long over a weekend.
    pub page_before: Duration,
    /// A number over this is bad.
    pub over: Option<f64>,
    /// A number under this is bad.
    pub under: Option<f64>,
    /// A number that will reach this within [`ProbePlan::horizon`] is told before it does.
    pub breach: Option<f64>,
    /// How far is looked ahead. Default 60 min.
    pub horizon: Duration,
    /// The number only grows: what counts is its growth a minute.
    pub growth: bool,
    /// Records that a consumer group may be behind. Default 0.
    pub allowed_lag: u64,
    /// How old the record at the committed offset may be. Default 5 min; None = any age.
    pub behind: Option<Duration>,
}

impl ProbePlan {
    /// One with default thresholds, about itself.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: Label::from(name),
            about: About::Itself,
            severity: None,
            fails: (2, 3),
            recovers: 2,
            ticket_before: Duration::from_secs(21 * 86_400),
            page_before: Duration::from_secs(3 * 86_400),
            over: None,
            under: None,
            breach: None,
            horizon: Duration::from_secs(3_600),
            growth: false,
            allowed_lag: 0,
            behind: Some(Duration::from_secs(300)),
        }
    }
}

/// A job that must say each time that it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatPlan {
    /// Unique among probes and heartbeats.
    pub name: Label,
    /// What it is about.
    pub about: About,
    /// How loud its findings are; None = as their codes say.
    pub severity: Option<Severity>,
    /// When it is due.
    pub rule: Rule,
    /// So much later is in time.
    pub grace: Duration,
    /// What has said `start` must say that it ended within this.
    pub longest: Duration,
}

/// When a feed's messages are expected, where it is too quiet for statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// After each of these times a message comes.
    pub schedule: Schedule,
    /// Within this.
    pub grace: Duration,
}

/// What a probe saw, or that a heartbeat came.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// Its name.
    pub probe: Label,
    /// When it was seen, by our clock.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
    /// What was seen: at most [`PARTS_MAX`] parts count.
    pub readings: Vec<Reading>,
}

/// One thing that a probe saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Of which part (a partition, a channel, an address); empty = the whole.
    pub part: Label,
    /// What.
    pub saw: Saw,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Saw {
    /// Whether something is as it should be. What was not looked at is not told.
    Check {
        /// What is found where it is not; a code of probes.
        code: Code,
        /// The class of its failure; None = all is well.
        failed: Option<Label>,
    },
    /// A number.
    Number(f64),
    /// When the certificate ends.
    Ends(Timestamp),
    /// What stays the same until somebody changes it.
    Known {
        /// What it is.
        what: Known,
        /// Its short name: a fingerprint, an address.
        value: Label,
    },
    /// How far a consumer group is.
    Group(Offsets),
    /// A job said something.
    Beat(Beat),
}

/// What stays the same until somebody changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// The certificate that a server shows.
    Certificate,
    /// The address that mail leaves from.
    Address,
}

/// A consumer group at one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// What it has committed; None = nothing.
    pub committed: Option<i64>,
    /// The first offset that exists.
    pub low: i64,
    /// One behind the last.
    pub end: i64,
    /// Age of the record at the committed offset; None = not known; zero when caught up.
    pub age: Option<Duration>,
    /// Members of the group; None = not known.
    pub members: Option<u32>,
}

/// What a job said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It begins.
    Start,
    /// It ended well.
    Ok,
    /// It failed.
    Fail,
}
