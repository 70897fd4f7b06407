//! Which feed a message belongs to, and the counts of each feed by interval.

use super::Engine;
use super::profile::Profile;
use super::state::{FeedState, Hurt, Interval, Recent};
use crate::codes::Code;
use crate::effect::{Effect, Effects, Rollup};
use crate::finding::{Finding, FindingState, Subject};
use crate::frame::WaypointId;
use crate::hist::Histogram;
use crate::label::Label;
use crate::lag::Withheld;
use crate::plan::{FeedId, FeedPlan, Objectives, Plan, covers};
use crate::sighting::MessageSeen;
use crate::time::Timestamp;
use crate::view::Totals;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Intervals kept in memory per feed.
const HISTORY: usize = 60;

impl FeedState {
    pub(super) fn new(
        name: String,
        route: String,
        waypoints: Vec<WaypointId>,
        o: Objectives,
    ) -> Self {
        Self {
            name,
            route,
            ends_at: vec![waypoints.last().copied().unwrap_or(WaypointId(0))],
            waypoints,
            declared: false,
            objectives: o,
            seen: 0,
            first_seen: None,
            totals: Totals::default(),
            last_seen: None,
            last_on: None,
            backlog: [0; 3],
            queue: VecDeque::new(),
            urgent: VecDeque::new(),
            filters: Vec::new(),
            learned: BTreeMap::new(),
            missing: Recent::default(),
            missing_critical: Recent::default(),
            partly: Recent::default(),
            withheld: [0; Withheld::ALL.len()],
            aged: super::aged::Aged::default(),
            late: Recent::default(),
            hurt: Hurt::default(),
            looks: VecDeque::new(),
            looked_at: Timestamp::EPOCH,
            dead_letters: Recent::default(),
            ack_time: Histogram::default(),
            transit: Histogram::default(),
            source_age: Histogram::default(),
            current: Interval::default(),
            history: VecDeque::new(),
            profile: Profile::default(),
            foreseen: 0,
            raised: BTreeSet::new(),
        }
    }

    pub(super) fn declared(plan: &Plan, feed: &FeedPlan) -> Self {
        let route = plan.routes.get(usize::from(feed.route.0));
        let mut state = Self::new(
            feed.name.clone(),
            route.map(|r| r.name.clone()).unwrap_or_default(),
            route.map(|r| r.waypoints.clone()).unwrap_or_default(),
            feed.objectives.clone(),
        );
        if !feed.ends_at.is_empty() {
            state.ends_at.clone_from(&feed.ends_at);
        }
        state.declared = true;
        state.filters.clone_from(&feed.filters);
        state
    }

    /// Takes over what a new plan says, keeps what was counted.
    pub(super) fn redeclare(&mut self, fresh: Self) {
        self.route = fresh.route;
        self.waypoints = fresh.waypoints;
        self.ends_at = fresh.ends_at;
        self.filters = fresh.filters;
        self.objectives = fresh.objectives;
    }

    /// Unfinished journeys of urgent messages (corrections and critical ones).
    pub(super) fn backlog_urgent(&self) -> u32 {
        let [_, corrections, critical] = self.backlog;
        corrections + critical
    }

    /// Unfinished journeys.
    pub(crate) fn backlog_total(&self) -> u32 {
        self.backlog.iter().sum()
    }
}

fn matches(plan: &FeedPlan, message: &MessageSeen) -> bool {
    let sender =
        plan.senders.is_empty() || plan.senders.iter().any(|s| s == message.sender.as_str());
    let covered = |stated: &String| covers(stated, message.code, message.trigger);
    let kind = plan.types.is_empty() || plan.types.iter().any(covered);
    sender && kind
}

impl Engine {
    /// The feed of a message that starts a journey at `waypoint`.
    pub(super) fn feed_of(
        &mut self,
        waypoint: WaypointId,
        message: &MessageSeen,
        kind: u32,
    ) -> FeedId {
        // Kind 0 stands for many.
        if kind == 0 {
            return self.find_feed(waypoint, message);
        }
        let cached = (waypoint, kind);
        if let Some(feed) = self.feed_cache.get(&cached) {
            return *feed;
        }
        let feed = self.find_feed(waypoint, message);
        if self.feed_cache.len() >= 65_536 {
            self.feed_cache.clear();
        }
        self.feed_cache.insert(cached, feed);
        feed
    }

    fn find_feed(&mut self, waypoint: WaypointId, message: &MessageSeen) -> FeedId {
        let plan = std::sync::Arc::clone(&self.s.plan);
        let on_route = |f: &&FeedPlan| {
            plan.routes.get(usize::from(f.route.0)).is_some_and(|r| r.waypoints.contains(&waypoint))
        };
        let declared = plan.feeds.iter().filter(on_route).find(|f| matches(f, message));
        let route = plan.routes.iter().find(|r| r.waypoints.contains(&waypoint));
        let route_name = route.map(|r| r.name.clone()).unwrap_or_default();
        let name = match declared {
            Some(feed) => feed.name.clone(),
            None => format!("{} {}", or_dash(message.sender), or_dash(message.code)),
        };
        let same = |f: &FeedState| f.name == name && (f.declared || f.route == route_name);
        if let Some(known) = self.s.feeds.iter().position(same) {
            return feed_id(known);
        }
        let full = self.s.feeds.len() >= plan.feeds_max.max(1);
        if full && let Some(other) = self.s.feeds.iter().position(|f| f.name == "other") {
            return feed_id(other);
        }
        let waypoints = route.map_or_else(|| vec![waypoint], |r| r.waypoints.clone());
        let name = if full { "other".to_owned() } else { name };
        self.s.feeds.push(FeedState::new(name, route_name, waypoints, plan.defaults.clone()));
        feed_id(self.s.feeds.len() - 1)
    }

    /// Says once that an undeclared feed appeared (when its first message was counted).
    pub(super) fn note_unknown(&mut self, feed: FeedId, at: Timestamp, fx: &mut Effects) {
        let Some(state) = self.s.feeds.get(feed.0 as usize) else { return };
        if state.declared || state.seen != 1 {
            return;
        }
        let finding = Finding {
            code: Code::UnknownFeed,
            subject: Subject::Feed(feed),
            severity: Code::UnknownFeed.text().severity,
            state: FindingState::Happened,
            since: at,
            evidence: Vec::new(),
            detail: Label::EMPTY,
        };
        self.take(finding, fx);
    }

    /// Closes the interval of every feed whose time has passed its end.
    pub(super) fn roll_up(&mut self, fx: &mut Effects) {
        let width = self.s.plan.rollup.max(Duration::from_secs(1));
        let micros = i64::try_from(width.as_micros()).unwrap_or(i64::MAX);
        for number in 0..self.s.feeds.len() {
            let Some(feed) = self.s.feeds.get(number) else { continue };
            let now = self.feed_time(feed);
            let start = Timestamp::from_micros(now.as_micros().div_euclid(micros) * micros);
            let lag = self.lag_of(number, now);
            let Some(feed) = self.s.feeds.get_mut(number) else { continue };
            if start <= feed.current.start {
                continue;
            }
            if feed.current.start > Timestamp::EPOCH && !feed.is_quiet() {
                let rollup = feed.rollup(feed_id(number), lag);
                if feed.history.len() == HISTORY {
                    feed.history.pop_front();
                }
                feed.history.push_back(rollup.clone());
                fx.push(Effect::Rollup(Box::new(rollup)));
            }
            let mut ack_time = core::mem::take(&mut feed.current.ack_time);
            ack_time.clear();
            feed.current = Interval { start, ack_time, ..Interval::default() };
        }
    }
}

impl FeedState {
    /// Nothing ever happened on it: no interval is worth a row.
    fn is_quiet(&self) -> bool {
        self.seen == 0 && self.totals.seen == 0
    }

    /// The interval being filled, as a roll-up.
    pub(super) fn rollup(&self, feed: FeedId, lag: u64) -> Rollup {
        let part =
            |q| self.current.ack_time.quantile(q).map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        Rollup {
            feed,
            feed_name: self.name.clone(),
            minute: self.current.start,
            seen: self.current.seen,
            outcomes: self.current.outcomes,
            ack_p50: part(0.5),
            ack_p99: part(0.99),
            transit_max: self.current.transit_max,
            backlog: self.backlog_total(),
            lag,
        }
    }
}

pub(super) fn feed_id(number: usize) -> FeedId {
    FeedId(u32::try_from(number).unwrap_or(u32::MAX))
}

fn or_dash(label: Label) -> Label {
    if label.is_empty() { Label::from("-") } else { label }
}
