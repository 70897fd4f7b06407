//! The picture of the engine that pages and metrics read.

use super::Engine;
use super::feeds::feed_id;
use super::story::change_of;
use crate::codes::Severity;
use crate::effect::{IncidentChange, IncidentState};
use crate::finding::Subject;
use crate::frame::WaypointId;
use crate::sighting::Urgency;
use crate::view::{FeedState as State, FeedView, SenderView, View, WaypointView};

impl Engine {
    /// A copy of what people may see. Costs a few µs per feed: made once a second.
    #[must_use]
    pub fn view(&mut self) -> View {
        let mut incidents: Vec<IncidentChange> = self
            .s
            .incidents
            .keys()
            .filter_map(|subject| change_of(&self.s, *subject, None))
            .collect();
        incidents.sort_by_key(|i| {
            (core::cmp::Reverse((i.state == IncidentState::Open, i.severity)), i.since)
        });
        let mut feeds: Vec<FeedView> = (0..self.s.feeds.len())
            .filter_map(|number| self.feed_view(number, &incidents))
            .collect();
        feeds.sort_by(|a, b| {
            b.state
                .cmp(&a.state)
                .then(b.backlog_urgent.cmp(&a.backlog_urgent))
                .then(a.name.cmp(&b.name))
        });
        incidents.extend(self.s.resolved.iter().rev().cloned());
        View {
            now: self.s.now,
            started: self.s.started,
            inputs: self.s.seq,
            feeds,
            waypoints: (0..self.s.waypoints.len()).filter_map(|n| self.waypoint_view(n)).collect(),
            incidents,
            senders: self.sender_views(),
            lags: self.s.series.sets.clone(),
            remarks: self.s.remarks.clone(),
            notices: self.s.notices.clone(),
            probes: super::watched::views(&self.s),
            would_be: self.s.would_be.iter().cloned().collect(),
            totals: self.s.totals,
            journeys_open: self.s.journeys.len() as u64,
            journeys_shed: self.s.journeys_shed,
            lessons: self.s.lessons.iter().map(|(_, id)| *id).collect(),
        }
    }

    fn sender_views(&self) -> Vec<SenderView> {
        let senders = self.s.clocks.senders.iter();
        senders
            .map(|((sender, facility), clock)| SenderView {
                sender: *sender,
                facility: *facility,
                skew: clock.skew,
                fault: clock.fault.map(super::skew::ClockFault::name),
            })
            .collect()
    }

    fn feed_view(&mut self, number: usize, incidents: &[IncidentChange]) -> Option<FeedView> {
        let now = self.feed_time(self.s.feeds.get(number)?);
        let lag = self.lag_of(number, now);
        let feed = self.s.feeds.get(number)?;
        let id = feed_id(number);
        // The worst incident on the feed itself, else on a waypoint that it passes.
        let worst = incidents
            .iter()
            .filter(|i| i.state == IncidentState::Open)
            .filter(|i| match i.subject {
                Subject::Feed(f) => f == id,
                Subject::Waypoint(w) => feed.waypoints.contains(&w),
                Subject::Check(_) | Subject::Own(_) | Subject::Probe(_) => false,
            })
            .max_by_key(|i| (i.severity, matches!(i.subject, Subject::Feed(_))));
        let mut history: Vec<_> = feed.history.iter().cloned().collect();
        if feed.current.start > crate::time::Timestamp::EPOCH {
            history.push(feed.rollup(id, lag));
        }
        let most_urgent = match feed.backlog {
            [_, _, critical] if critical > 0 => Urgency::Critical,
            [_, corrections, _] if corrections > 0 => Urgency::Correction,
            _ => Urgency::Routine,
        };
        Some(FeedView {
            id,
            name: feed.name.clone(),
            route: feed.route.clone(),
            declared: feed.declared,
            state: worst.map_or(State::Ok, |i| match i.severity {
                Severity::Note => State::Note,
                Severity::Ticket => State::Ticket,
                Severity::Page => State::Page,
            }),
            why: worst.map(|i| i.summary.clone()).unwrap_or_default(),
            since: worst.map(|i| i.since),
            shadow: feed.shadow(self.s.now),
            seen: feed.seen,
            totals: feed.totals,
            last_seen: feed.last_seen,
            backlog: feed.backlog_total(),
            backlog_urgent: feed.backlog_urgent(),
            most_urgent,
            lag,
            ack_time: feed.ack_time.clone(),
            transit: feed.transit.clone(),
            source_age: feed.source_age.clone(),
            withheld: feed.withheld,
            history,
        })
    }

    fn waypoint_view(&self, number: usize) -> Option<WaypointView> {
        let waypoint = self.s.waypoints.get(number)?;
        Some(WaypointView {
            id: WaypointId(u16::try_from(number).ok()?),
            name: self.s.plan.waypoints.get(number).map(|w| w.name.clone()).unwrap_or_default(),
            totals: waypoint.totals,
            connections: u32::try_from(waypoint.connections.len()).unwrap_or(u32::MAX),
            refused: waypoint.refused,
            resets: waypoint.resets,
            unreadable: waypoint.unreadable,
            alive_at: waypoint.alive_at,
            ack_time: waypoint.ack_time.clone(),
            classes: waypoint.classes,
            ack_mode: waypoint.habit.mode(),
            blind: waypoint.blind,
        })
    }
}
