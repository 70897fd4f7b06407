//! Active and standby: several waypoints that are one stream. A failover is an event, no outage.

use super::Engine;
use crate::codes::Code;
use crate::effect::Effects;
use crate::finding::Subject;
use crate::frame::WaypointId;
use crate::label::Label;
use crate::plan::FeedId;
use crate::sighting::Sighting;
use core::time::Duration;

/// Two that both carried messages within this are active both: no failover.
const BOTH_WITHIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Notes which waypoints belong to a group, and how many kinds are followed at each.
    pub(super) fn group(&mut self) {
        let whole = &self.s.plan;
        let plan = &whole.waypoints;
        for (number, lookup) in (0_u16..).zip(&mut self.lookups) {
            let own = plan.get(usize::from(number)).is_some_and(|w| w.standby_of.is_some());
            let has = plan.iter().any(|w| w.standby_of == Some(WaypointId(number)));
            lookup.grouped = own || has;
            let here = WaypointId(number);
            let route = |r: crate::plan::RouteId| whole.routes.get(usize::from(r.0));
            let passes = |f: &&crate::plan::FeedPlan| {
                route(f.route).is_some_and(|route| route.waypoints.contains(&here))
            };
            lookup.kinds = super::by_kind::room(whole.feeds.iter().filter(passes).count());
        }
    }

    /// The waypoint that a standby stands in for; itself otherwise.
    pub(super) fn primary(&self, waypoint: WaypointId) -> WaypointId {
        self.s.plan.primary(waypoint)
    }

    /// Says when a feed's messages move from one of a group to another.
    pub(super) fn follow_standby(&mut self, at: &Sighting, feed: FeedId, fx: &mut Effects) {
        let here = usize::from(at.waypoint.0);
        if !self.lookups.get(here).is_some_and(|lookup| lookup.grouped) {
            return;
        }
        let primary = usize::from(self.primary(at.waypoint).0);
        let Some(group) = self.s.waypoints.get_mut(primary) else { return };
        let before = group.active.replace((at.waypoint, at.at));
        let moved = before.is_some_and(|(carrier, last)| {
            carrier != at.waypoint && at.at.since(last) > BOTH_WITHIN
        });
        if moved {
            let name = self.s.plan.waypoints.get(here).map(|w| Label::from(w.name.as_str()));
            let detail = name.unwrap_or_default();
            self.happened(Subject::Feed(feed), Code::Failover, at.at, detail, fx);
        }
    }
}
