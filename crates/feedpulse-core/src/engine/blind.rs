//! What Feedpulse did not see: unknown, never lost, and no reason for an alert.

use super::Engine;
use super::slab::Ref;
use super::state::FeedState;
use crate::effect::Effects;
use crate::frame::WaypointId;
use crate::input::Blind;

/// Blind intervals that a waypoint remembers.
const BLINDS_KEPT: usize = 16;

impl Engine {
    /// Copies were lost at a waypoint, or at all: what waited there may have come through.
    pub(super) fn blind(&mut self, blind: &Blind, fx: &mut Effects) {
        for (number, waypoint) in self.s.waypoints.iter_mut().enumerate() {
            if blind.waypoint.is_some_and(|w| usize::from(w.0) != number) {
                continue;
            }
            waypoint.blind += 1;
            if waypoint.blinds.len() == BLINDS_KEPT {
                waypoint.blinds.pop_front();
            }
            waypoint.blinds.push_back((blind.from, blind.to));
            let touched: Vec<Ref> = waypoint
                .entries
                .iter()
                .filter(|(_, entry)| entry.at <= blind.to)
                .map(|(at, _)| at)
                .collect();
            for at in touched {
                if let Some(entry) = waypoint.entries.get_mut(at) {
                    entry.blind = true;
                }
            }
        }
        self.let_go(blind);
        self.pass_over(blind);
        self.happened_blind(blind, fx);
    }

    /// What was not seen where a feed begins is no gap in it, and teaches nothing.
    fn pass_over(&mut self, blind: &Blind) {
        let here = blind.waypoint.map(|w| self.primary(w));
        let begins = |feed: &FeedState| here.is_none_or(|w| feed.waypoints.first() == Some(&w));
        let touched: Vec<bool> = self.s.feeds.iter().map(begins).collect();
        let is_touched = |feed: usize| touched.get(feed).copied().unwrap_or(false);
        for (number, feed) in self.s.feeds.iter_mut().enumerate() {
            if is_touched(number) {
                feed.profile.skip(blind.to);
            }
        }
        for (key, profile) in &mut self.s.profiles {
            if is_touched(key.feed.0 as usize) {
                profile.skip(blind.to);
            }
        }
    }

    /// Journeys that may have gone on unseen are no backlog any more: the oldest ones, as many as
    /// copies were lost, or all where nobody counted. They end when their time is over, or are seen.
    fn let_go(&mut self, blind: &Blind) {
        let most = usize::try_from(blind.records).unwrap_or(usize::MAX);
        let most = if most == 0 { usize::MAX } else { most };
        let here = blind.waypoint.map(|w| self.primary(w));
        let mut gone: Vec<Ref> = Vec::new();
        for feed in &self.s.feeds {
            let onward = feed.waypoints.get(1..).unwrap_or_default();
            let touched = |w: WaypointId| onward.contains(&w);
            if !here.is_none_or(touched) {
                continue;
            }
            let waits = |place: &&Ref| {
                let journey = self.s.journeys.get(**place);
                journey.is_some_and(|j| j.in_backlog && j.first_at <= blind.to)
            };
            gone.extend(feed.queue.iter().filter(waits).take(most));
        }
        for place in gone {
            self.out_of_backlog(place);
        }
    }
}
