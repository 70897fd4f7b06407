//! The resolved configuration as the engine needs it: waypoints, routes, feeds, objectives.

use crate::calendar::Calendar;
pub use crate::engine::known::PeerNet;
use crate::frame::WaypointId;
use crate::label::Label;
use crate::probe::{Expect, HeartbeatPlan, ProbePlan};
use crate::shape::Part;
use crate::sighting::{AckMode, ReasonClass};
use crate::time::Timestamp;
use core::time::Duration;

/// What the engine watches. A new plan is an input like any other.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Places where taps look; [`WaypointId`] is the index here.
    pub waypoints: Vec<Waypoint>,
    /// Ordered waypoints; [`RouteId`] is the index here.
    pub routes: Vec<Route>,
    /// Declared feeds, in matching order; undeclared ones are added as they are seen.
    pub feeds: Vec<FeedPlan>,
    /// Names of the WASM checks, for their own incidents.
    pub checks: Vec<String>,
    /// Objectives of feeds that declare none.
    pub defaults: Objectives,
    /// After this time without a sighting a journey expires. Default 15 min.
    pub journey_expiry: Duration,
    /// Width of one roll-up interval. Default 60 s.
    pub rollup: Duration,
    /// Most feeds that are kept apart; further ones share the feed `other`. Default 1,000.
    pub feeds_max: usize,
    /// The site's civil time, by which usual traffic is learned.
    pub calendar: Calendar,
    /// Downtimes that are planned: what is found in them is noted, and nobody is told; what goes on
    /// behind one is told then.
    pub downtimes: Vec<Downtime>,
    /// No finding for this long ends an incident. Default 5 min; one that came back needs three
    /// times as long.
    pub resolve_after: Duration,
    /// Nothing accepted for this long, though something was offered, gets somebody up. Default 5 min.
    pub page_after: Duration,
    /// The same where urgent messages flow. Default 2 min.
    pub page_after_urgent: Duration,
    /// Most sets of lag series (one per feed, type and facility); further ones share `other`.
    /// Default 500.
    pub series_max: usize,
    /// Whether that nothing gets through is told even about feeds in shadow. Default true.
    pub hard_down_told: bool,
    /// Fingerprint of the configuration that it comes from; a new one is a change like others.
    /// Empty = not known.
    pub config: Label,
    /// What is looked at around the stream; at most [`crate::probe::PROBES_MAX`].
    pub probes: Vec<ProbePlan>,
    /// Jobs that must say that they ran.
    pub heartbeats: Vec<HeartbeatPlan>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            waypoints: Vec::new(),
            routes: Vec::new(),
            feeds: Vec::new(),
            checks: Vec::new(),
            defaults: Objectives::default(),
            journey_expiry: Duration::from_secs(900),
            rollup: Duration::from_secs(60),
            feeds_max: 1_000,
            calendar: Calendar::default(),
            downtimes: Vec::new(),
            resolve_after: Duration::from_secs(300),
            page_after: Duration::from_secs(300),
            page_after_urgent: Duration::from_secs(120),
            series_max: 500,
            hard_down_told: true,
            config: Label::EMPTY,
            probes: Vec::new(),
            heartbeats: Vec::new(),
        }
    }
}

impl Plan {
    /// The waypoint that a standby stands in for; itself otherwise.
    #[must_use]
    pub fn primary(&self, waypoint: WaypointId) -> WaypointId {
        let here = self.waypoints.get(usize::from(waypoint.0));
        here.and_then(|w| w.standby_of).unwrap_or(waypoint)
    }
}

/// A planned downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// What it is called.
    pub name: String,
    /// The waypoints that are down; none = all.
    pub waypoints: Vec<WaypointId>,
    /// When.
    pub times: DownTimes,
}

/// When a downtime is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownTimes {
    /// Once.
    Once {
        /// From.
        from: Timestamp,
        /// Until.
        to: Timestamp,
    },
    /// On these days of each week, by the site's clocks.
    Weekly {
        /// Bit 0 is Monday.
        days: u8,
        /// Minutes after midnight at which it begins.
        start: u16,
        /// Minutes that it lasts, at most those of a week.
        minutes: u16,
    },
}

impl Downtime {
    /// Whether it holds for a waypoint at a time.
    #[must_use]
    pub fn holds(&self, calendar: &Calendar, waypoint: WaypointId, at: Timestamp) -> bool {
        if !self.waypoints.is_empty() && !self.waypoints.contains(&waypoint) {
            return false;
        }
        match self.times {
            DownTimes::Once { from, to } => from <= at && at < to,
            DownTimes::Weekly { .. } => self.minutes_left(calendar, at) > 0,
        }
    }

    /// When it ends, for a time at which it holds; a change of clocks until then is not reckoned.
    #[must_use]
    pub fn end(&self, calendar: &Calendar, at: Timestamp) -> Timestamp {
        match self.times {
            DownTimes::Once { to, .. } => to,
            DownTimes::Weekly { .. } => {
                let minute = Timestamp::from_secs(at.as_secs().div_euclid(60) * 60);
                minute.plus(Duration::from_secs(60) * self.minutes_left(calendar, at))
            }
        }
    }

    /// Whole minutes until a weekly downtime ends, from the one that holds `at`; 0 = it does not hold.
    fn minutes_left(&self, calendar: &Calendar, at: Timestamp) -> u32 {
        let DownTimes::Weekly { days, start, minutes } = self.times else { return 0 };
        let minute = calendar.minute_of_week(at);
        let begins = |day: u32| day * 1_440 + u32::from(start);
        let since = |day: u32| (minute + WEEK - begins(day) % WEEK) % WEEK;
        let left = |day: u32| u32::from(minutes).saturating_sub(since(day));
        (0..7).filter(|day| days & (1 << day) != 0).map(left).max().unwrap_or(0)
    }
}

/// Minutes of a week.
const WEEK: u32 = 7 * 1_440;

/// Index into [`Plan::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// Index of a feed: declared ones first, then those found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedId(pub u32);

/// A named place on a route where a tap looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Waypoint {
    /// Unique name: lower-case letters, digits, `-`.
    pub name: String,
    /// Whether and how messages are answered here.
    pub acks: Acks,
    /// After this the sending counts as unanswered. Default 30 s.
    pub no_ack_after: Duration,
    /// What an ACK should take at most. Default 2 s.
    pub ack_time: Duration,
    /// For dead-letter and retry topics and receipts.
    pub role: Role,
    /// What is agreed here instead of what MSH-15 and MSH-16 say; None = what the link shows.
    pub ack_mode: Option<AckMode>,
    /// Application ACKs are due behind commit ACKs, although none was seen yet.
    pub application_acks: bool,
    /// A committed message without its application ACK counts as committed only after this.
    /// Default 5 min.
    pub application_after: Duration,
    /// The waypoint that this one stands in for: their messages are one stream.
    pub standby_of: Option<WaypointId>,
    /// Reasons for which this link refuses all day: counted, and never a finding.
    pub expected_reasons: Vec<ReasonClass>,
    /// The receiving system behind it: links of one system fail together. Empty = not known.
    pub system: Label,
    /// Where its senders may connect from; none = learned.
    pub peers: Vec<PeerNet>,
}

impl Waypoint {
    /// A waypoint where every message is answered, with the default times.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            acks: Acks::Expected,
            no_ack_after: Duration::from_secs(30),
            ack_time: Duration::from_secs(2),
            role: Role::Message,
            ack_mode: None,
            application_acks: false,
            application_after: Duration::from_secs(300),
            standby_of: None,
            expected_reasons: Vec::new(),
            system: Label::EMPTY,
            peers: Vec::new(),
        }
    }
}

/// Whether messages are answered at a waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Every message is answered (MLLP, HTTP): silence is a fault.
    Expected,
    /// Nothing is answered here and what is seen is stored safely (a Kafka topic).
    Stored,
    /// Answers count where they are seen; silence says nothing and ends as unknown (files, HTTP).
    IfSeen,
}

/// What a waypoint's records mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Messages and their ACKs.
    Message,
    /// Only ACKs to messages seen at another waypoint.
    AckOf(WaypointId),
    /// Messages that were given up.
    DeadLetter,
    /// Messages that will be tried again.
    Retry,
    /// Receipts.
    Receipt,
}

/// Ordered waypoints from the sending application to the receiving one.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Unique name.
    pub name: String,
    /// In order; the gap between two neighbours is a leg.
    pub waypoints: Vec<WaypointId>,
}

/// A declared feed: a directed stream between two applications.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedPlan {
    /// Unique name.
    pub name: String,
    /// Its route.
    pub route: RouteId,
    /// MSH-3.1 must be one of these; empty = any.
    pub senders: Vec<String>,
    /// MSH-9.1 (`ORU`) or MSH-9.1^9.2 (`ORU^R01`) must be one of these; empty = any.
    pub types: Vec<String>,
    /// What is promised.
    pub objectives: Objectives,
    /// Where each of its messages is expected in the end (fan-out: several); empty = the route's last.
    pub ends_at: Vec<WaypointId>,
    /// Types (`ADT` or `ADT^A31`) that are stated not to be sent on behind the route's first waypoint.
    pub filters: Vec<String>,
}

/// What a feed promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Objectives {
    /// First tap to last tap, by our clock. Default 60 s.
    pub transit: Duration,
    /// The same for urgent messages (critical ones, corrections). Default 30 s.
    pub urgent_transit: Duration,
    /// Event to first tap, by the sender's clock; None: not promised.
    pub source_age: Option<Duration>,
    /// The same for urgent messages; None: as for all.
    pub urgent_source_age: Option<Duration>,
    /// Release embargoes: subtracted from the source age of a type, first match.
    pub embargoes: Vec<Embargo>,
    /// When it is silent.
    pub silence: Silence,
    /// When messages are expected, where statistics cannot tell.
    pub expect: Option<Expect>,
    /// Share of answers that may be errors or rejects, 0..=1. Default 0.05.
    pub rejected_share: f64,
    /// Backlog below this is never a finding. Default 20.
    pub backlog_min: u32,
    /// For so long after its first message nobody is told about the feed: what would have been is
    /// listed. Zero (default) = told from the start.
    pub shadow: Duration,
    /// Whether a new shape of its messages is a finding. Default true.
    pub schema_drift: bool,
    /// What may come and go in its messages, and is never a finding: a segment with its fields, a field
    /// with its codes.
    pub may_vary: Vec<Part>,
}

/// When a feed is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// As learned by the hour of the week.
    #[default]
    Learned,
    /// Nothing seen for this long.
    After(Duration),
    /// Never.
    Off,
}

/// A policy that holds a type back on purpose: no lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embargo {
    /// MSH-9.1 (`ORU`) or MSH-9.1^9.2.
    pub kind: String,
    /// For how long.
    pub by: Duration,
}

/// Whether a stated type (`ORU` or `ORU^R01`) covers a message's.
#[must_use]
pub fn covers(stated: &str, code: Label, trigger: Label) -> bool {
    match stated.split_once('^') {
        None => stated == code.as_str(),
        Some((c, t)) => c == code.as_str() && t == trigger.as_str(),
    }
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            transit: Duration::from_secs(60),
            urgent_transit: Duration::from_secs(30),
            source_age: None,
            urgent_source_age: None,
            embargoes: Vec::new(),
            silence: Silence::Learned,
            expect: None,
            rejected_share: 0.05,
            backlog_min: 20,
            shadow: Duration::ZERO,
            schema_drift: true,
            may_vary: Vec::new(),
        }
    }
}
