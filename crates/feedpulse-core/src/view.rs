//! What the pages and the metrics may see: a read-only picture of the engine, made each second.

use crate::class::{AckClass, CLASSES};
use crate::codes::Code;
use crate::desk::{Remark, Shadow, Taken, WouldBe};
use crate::effect::{IncidentChange, Rollup};
use crate::engine::series::Set;
use crate::frame::WaypointId;
use crate::hist::Histogram;
use crate::label::Label;
use crate::lag::Withheld;
use crate::plan::FeedId;
use crate::sighting::Urgency;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Counts of sendings: seen = the sum of all outcomes + open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages seen (each sending counts).
    pub seen: u64,
    /// Ended, by [`crate::sighting::Outcome`] in order of its `ALL`.
    pub outcomes: [u64; 9],
    /// Not ended yet.
    pub open: u64,
}

impl Totals {
    /// Whether the sums agree.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.outcomes.iter().sum::<u64>() + self.open == self.seen
    }
}

/// The engine at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The moment.
    pub now: Timestamp,
    /// When this engine started (its first input).
    pub started: Timestamp,
    /// Inputs applied.
    pub inputs: u64,
    /// Every feed: worst first.
    pub feeds: Vec<FeedView>,
    /// Every waypoint, in plan order.
    pub waypoints: Vec<WaypointView>,
    /// Incidents that are pending or open, worst first, then the last 100 resolved, newest first.
    pub incidents: Vec<IncidentChange>,
    /// Senders' clocks, by MSH-3 and MSH-4.
    pub senders: Vec<SenderView>,
    /// Lags by feed, type and facility.
    pub lags: Vec<Set>,
    /// What operators wrote about the incidents, by their numbers.
    pub remarks: BTreeMap<u64, Vec<Remark>>,
    /// Notices that were taken about the incidents, by their numbers, oldest first.
    pub notices: BTreeMap<u64, Vec<Taken>>,
    /// Every probe and heartbeat: the loudest first, then by name.
    pub probes: Vec<ProbeView>,
    /// Notices that were not sent because of the shadow, oldest first.
    pub would_be: Vec<WouldBe>,
    /// All sendings.
    pub totals: Totals,
    /// Journeys in flight.
    pub journeys_open: u64,
    /// Journeys dropped because the table was full.
    pub journeys_shed: u64,
    /// Numbers of the lessons that were taken over lately.
    pub lessons: Vec<u64>,
}

impl View {
    /// Counts of a class over all waypoints.
    #[must_use]
    pub fn class(&self, class: AckClass) -> u64 {
        self.waypoints.iter().filter_map(|w| w.classes.get(class as usize)).sum()
    }
}

/// One feed.
#[derive(Clone, Debug)]
pub struct FeedView {
    /// Its id.
    pub id: FeedId,
    /// Its name.
    pub name: String,
    /// Its route's name.
    pub route: String,
    /// Whether the configuration declares it.
    pub declared: bool,
    /// `ok`, `note`, `ticket` or `page`: the loudest open incident on it or on its waypoints.
    pub state: FeedState,
    /// Why, in one sentence; empty when all is well.
    pub why: String,
    /// Since when it has been so.
    pub since: Option<Timestamp>,
    /// Its time in shadow.
    pub shadow: Shadow,
    /// Messages seen at its first waypoint.
    pub seen: u64,
    /// Its sendings at all waypoints.
    pub totals: Totals,
    /// Last message seen.
    pub last_seen: Option<Timestamp>,
    /// Unfinished messages.
    pub backlog: u32,
    /// Unfinished messages that are urgent (correction or critical).
    pub backlog_urgent: u32,
    /// Of these, the most urgent.
    pub most_urgent: Urgency,
    /// Age of the oldest unfinished, in µs; 0 when none.
    pub lag: u64,
    /// ACK time at the feed's last waypoint.
    pub ack_time: Histogram,
    /// First tap to last tap.
    pub transit: Histogram,
    /// Event to first tap, where the sender's clock can be read to the second.
    pub source_age: Histogram,
    /// Source ages that were withheld, by [`Withheld`] in order.
    pub withheld: [u64; Withheld::ALL.len()],
    /// The last minutes, oldest first, at most 60.
    pub history: Vec<Rollup>,
}

/// One sender's clock.
#[derive(Clone, Debug)]
pub struct SenderView {
    /// MSH-3.1.
    pub sender: Label,
    /// MSH-4.1.
    pub facility: Label,
    /// Median of (seen here - MSH-7) in µs: negative is a fast clock. None until nine are known.
    pub skew: Option<i64>,
    /// `fast` or `zone`, when its clock is wrong.
    pub fault: Option<&'static str>,
}

/// How a feed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedState {
    /// Nothing is known against it.
    Ok,
    /// Something is noted.
    Note,
    /// Somebody should look.
    Ticket,
    /// Somebody should get up.
    Page,
}

impl FeedState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// One waypoint.
#[derive(Clone, Debug)]
pub struct WaypointView {
    /// Its id.
    pub id: WaypointId,
    /// Its name.
    pub name: String,
    /// Sendings here.
    pub totals: Totals,
    /// Open connections, for taps that have any.
    pub connections: u32,
    /// Connections refused or unreachable so far.
    pub refused: u64,
    /// Connections that were reset so far.
    pub resets: u64,
    /// Frames that could not be read.
    pub unreadable: u64,
    /// Last sign of life of its tap.
    pub alive_at: Option<Timestamp>,
    /// ACK time here.
    pub ack_time: Histogram,
    /// Counts by [`AckClass`](crate::class::AckClass), in order.
    pub classes: [u64; CLASSES],
    /// The acknowledgment mode in force as observed: `original`, `enhanced`, `commit only`, `silent`
    /// or `unknown`.
    pub ack_mode: &'static str,
    /// Blind intervals so far.
    pub blind: u64,
}

/// One probe or heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeView {
    /// Its name.
    pub name: Label,
    /// Whether it is a heartbeat, which says something itself; a probe is a look of ours.
    pub heartbeat: bool,
    /// What it is about, as people call it (`waypoint portal-in`); None = itself.
    pub about: Option<String>,
    /// How loud what holds of it is; None = nothing was heard of it yet.
    pub state: Option<FeedState>,
    /// The code of what holds; of several the loudest.
    pub code: Option<Code>,
    /// What is wrong, in a few words: the part and the class of the failure; may be empty.
    pub why: String,
    /// Since when its state is so.
    pub since: Option<Timestamp>,
    /// The latest look, or the latest word of a job.
    pub seen: Option<Timestamp>,
    /// Its latest number, of the part that is worst.
    pub value: Option<f64>,
    /// Records that a consumer group is behind, over all partitions.
    pub behind: Option<u64>,
    /// When its certificate ends; of several the first.
    pub ends: Option<Timestamp>,
    /// A job runs since.
    pub running: Option<Timestamp>,
    /// A job is due next.
    pub due: Option<Timestamp>,
    /// Parts that it tells apart, and those of which something holds.
    pub parts: (usize, usize),
    /// The open incident that its state is part of.
    pub incident: Option<u64>,
}
