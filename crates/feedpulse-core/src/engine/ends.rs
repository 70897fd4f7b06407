//! How journeys end: delivered, failed, partly delivered, filtered, expired or unknown, and why.

use super::PER_TICK;
use super::journeys::{LINGER, all_ends};
use super::slab::Ref;
use super::state::{EndedJourney, FeedState, Journey, Kind, State};
use super::{Engine, feed_time};
use crate::effect::{Effect, Effects, JourneyEnd, JourneyRecord};
use crate::frame::WaypointId;
use crate::plan::covers;
use crate::sighting::{Outcome, Urgency};
use crate::time::Timestamp;

/// Journeys that are remembered after their end.
pub(super) const ENDED_MAX: usize = 65_536;
/// Types of a feed whose routes are learned.
pub(super) const LEARNED_MAX: usize = 256;
/// So many journeys make a route known.
const LEARN: u32 = 20;
/// Counts of a learned route are halved at this.
const FORGET_AT: u32 = 1_000;

impl FeedState {
    /// Notes where a journey of a type went.
    fn learn(&mut self, kind: &Kind, reached: impl Fn(WaypointId) -> bool) {
        let name = (kind.code, kind.trigger);
        if self.learned.len() >= LEARNED_MAX && !self.learned.contains_key(&name) {
            return;
        }
        let learned = self.learned.entry(name).or_default();
        learned.reached.resize(self.ends_at.len(), 0);
        learned.ended += 1;
        for (count, end) in learned.reached.iter_mut().zip(&self.ends_at) {
            *count += u32::from(reached(*end));
        }
        if learned.ended >= FORGET_AT {
            learned.ended /= 2;
            learned.reached.iter_mut().for_each(|n| *n /= 2);
        }
    }

    /// Whether messages of a kind are expected at an end: as stated, or as learned.
    fn expects(&self, kind: &Kind, end: usize) -> bool {
        let learned = self.learned.get(&(kind.code, kind.trigger)).filter(|l| l.ended >= LEARN);
        let share = learned.map(|l| (l.reached.get(end).copied().unwrap_or(0), l.ended));
        if !self.declared {
            // Only what nearly always came is missed.
            return share.is_some_and(|(reached, ended)| reached * 20 >= ended * 19);
        }
        if self.filters.iter().any(|stated| covers(stated, kind.code, kind.trigger)) {
            return false;
        }
        // Of a stated fan-out, an end that a type never goes to is learned as well.
        self.ends_at.len() == 1 || share.is_none_or(|(reached, ended)| reached * 20 >= ended)
    }
}

/// Whether a blind interval of a waypoint of the feed lies within a stretch of time.
fn was_blind(s: &State, feed: &FeedState, from: Timestamp, to: Timestamp) -> bool {
    let here = |w: &WaypointId| s.waypoints.get(usize::from(w.0));
    let touched = |blinds: &std::collections::VecDeque<(Timestamp, Timestamp)>| {
        blinds.iter().any(|(start, end)| *start <= to && *end >= from)
    };
    feed.waypoints.iter().filter_map(here).any(|w| touched(&w.blinds))
}

impl Engine {
    /// Whether a journey that has got this far is expected further on.
    pub(super) fn is_expected_further(&self, place: Ref) -> bool {
        let Some(journey) = self.s.journeys.get(place) else { return false };
        let Some(feed) = self.s.feeds.get(journey.feed.0 as usize) else { return false };
        let kind = self.kind(journey.kind);
        !journey.repeat && (0..feed.ends_at.len()).any(|end| feed.expects(&kind, end))
    }

    pub(super) fn expire_journeys(&mut self, fx: &mut Effects) {
        for (timer, place) in self.s.journey_timers.due(&self.s.journeys, self.s.now, PER_TICK) {
            let Some(journey) = self.s.journeys.get(place) else { continue };
            let feed = self.s.feeds.get(journey.feed.0 as usize);
            let time = feed.map_or(self.s.now, |f| feed_time(&self.s, f));
            let waiting = journey.open > 0 && journey.failed.is_none();
            if timer > time || (waiting && timer.plus(LINGER) > self.s.now) {
                // A waypoint is behind, or a sending is judged first; the others need not wait.
                let again = self.s.now.plus(core::time::Duration::from_secs(1));
                self.set_timer(place, if waiting { timer.plus(LINGER).max(again) } else { again });
                continue;
            }
            let end = self.end_at_timer(place, timer);
            self.end_journey(place, end, timer.min(self.s.now), fx);
        }
    }

    /// What a journey comes to when its time is over.
    pub(super) fn end_at_timer(&self, place: Ref, at: Timestamp) -> JourneyEnd {
        let Some(journey) = self.s.journeys.get(place) else { return JourneyEnd::Unknown };
        let Some(feed) = self.s.feeds.get(journey.feed.0 as usize) else {
            return JourneyEnd::Unknown;
        };
        let kind = self.kind(journey.kind);
        let ends = all_ends(feed);
        let outcome_at = |mask: u16| {
            let refused = |w: WaypointId| {
                let place = feed.ends_at.iter().position(|e| *e == self.primary(w));
                place.is_some_and(|n| mask & (1 << n.min(15)) != 0)
            };
            journey.sends.iter().rev().find(|s| refused(s.waypoint)).and_then(|s| s.outcome)
        };
        if journey.delivered == ends {
            return JourneyEnd::Delivered(journey.weakest);
        }
        if journey.delivered != 0 {
            let missing = (0..feed.ends_at.len())
                .filter(|n| journey.delivered & (1 << (*n).min(15)) == 0)
                .any(|n| feed.expects(&kind, n));
            return match outcome_at(journey.refused).filter(|_| journey.refused != 0) {
                Some(Outcome::Unknown) => JourneyEnd::Unknown,
                Some(outcome) => JourneyEnd::Partly(outcome),
                None if missing && was_blind(&self.s, feed, journey.first_at, at) => {
                    JourneyEnd::Unknown
                }
                None if missing => JourneyEnd::Partly(Outcome::NoAck),
                None => JourneyEnd::Delivered(journey.weakest),
            };
        }
        if let Some(outcome) = journey.failed {
            return match outcome {
                Outcome::Unknown => JourneyEnd::Unknown,
                outcome => JourneyEnd::Failed(outcome),
            };
        }
        if journey.open > 0 {
            return JourneyEnd::Unknown;
        }
        if !self.is_expected_further(place) {
            return JourneyEnd::Filtered;
        }
        let blind = was_blind(&self.s, feed, journey.first_at, at);
        if blind { JourneyEnd::Unknown } else { JourneyEnd::Expired }
    }

    /// Ends a journey: it leaves memory, and its record goes out.
    pub(super) fn end_journey(
        &mut self,
        place: Ref,
        end: JourneyEnd,
        at: Timestamp,
        fx: &mut Effects,
    ) {
        let late = self.is_late(place, end);
        if late || !end.is_well() {
            self.hurt(place);
        }
        self.out_of_backlog(place);
        self.s.journey_timers.remove(&mut self.s.journeys, place);
        let Some(journey) = self.s.journeys.remove(place) else { return };
        let ends = self.s.feeds.get(journey.feed.0 as usize).map_or(0, all_ends);
        self.journeys.remove(journey.key, place);
        let extra = journey.extra.as_deref().cloned().unwrap_or_default();
        let ended = EndedJourney {
            key: journey.key,
            feed: journey.feed,
            at: journey.sends.iter().map(|s| s.at).max().unwrap_or(at).max(at),
            delivered: match end {
                JourneyEnd::Delivered(_) => ends,
                _ => journey.delivered,
            },
            whole: matches!(end, JourneyEnd::Delivered(_)),
        };
        self.s.ended.push(&mut self.ended, ended, ENDED_MAX);
        let kind = self.kind(journey.kind);
        let missing = self.missing(&journey, end);
        self.lasting_refusals(&journey, end);
        self.count_ended(&journey, &kind, end, late, at);
        self.count_lags(&journey, &kind, self.transit(&journey, end));
        let feed = self.s.feeds.get(journey.feed.0 as usize);
        let first = journey.sends.iter().min_by_key(|s| s.at).map(|s| s.control_id);
        fx.push(Effect::Journey(Box::new(JourneyRecord {
            key: journey.key,
            feed: journey.feed,
            feed_name: feed.map(|f| f.name.clone()).unwrap_or_default(),
            code: kind.code,
            trigger: kind.trigger,
            sender: kind.sender,
            facility: kind.facility,
            control_id: first.unwrap_or_default(),
            find: journey.find,
            urgency: journey.urgency,
            event_time: journey.event_time,
            source_age: journey.source_age,
            first_at: journey.first_at,
            sends: journey.sends,
            sends_total: u32::from(journey.sends_total),
            end,
            missing,
            classes: journey.classes,
            ended_at: at,
            late,
            found: extra.found,
            trace: extra.trace,
        })));
    }

    /// Where it was expected and never seen: the next waypoint behind the last that it reached, and
    /// the ends that it did not reach.
    fn missing(&self, journey: &Journey, end: JourneyEnd) -> Vec<WaypointId> {
        // What was not answered may have got through: then it is the next waypoint that lacks it.
        let silent = JourneyEnd::Failed(Outcome::NoAck);
        let lost = JourneyEnd::Failed(Outcome::ConnectionLost);
        if !matches!(end, JourneyEnd::Expired | JourneyEnd::Partly(_))
            && end != silent
            && end != lost
        {
            return Vec::new();
        }
        let Some(feed) = self.s.feeds.get(journey.feed.0 as usize) else { return Vec::new() };
        let reached = |n: usize| journey.reached & (1 << n.min(31)) != 0;
        let last = (0..feed.waypoints.len()).rev().find(|n| reached(*n));
        let next = last.map_or(0, |n| n + 1);
        // An end may have had it in an earlier journey of the same key.
        let has_it = |w: &WaypointId| {
            let end = feed.ends_at.iter().position(|e| e == w);
            end.is_some_and(|n| journey.delivered & (1 << n.min(15)) != 0)
        };
        let unreached = feed.waypoints.iter().enumerate().filter(|(n, w)| {
            !reached(*n) && !has_it(w) && (*n >= next || feed.ends_at.contains(w))
        });
        unreached.map(|(_, w)| *w).collect()
    }

    /// A refusal that no retry got past is about the content: the link's habit.
    fn lasting_refusals(&mut self, journey: &Journey, end: JourneyEnd) {
        let (JourneyEnd::Failed(outcome) | JourneyEnd::Partly(outcome)) = end else { return };
        let last = journey.sends.iter().rev().find(|s| s.outcome == Some(outcome));
        if let Some(here) = last.and_then(|s| self.s.waypoints.get_mut(usize::from(s.waypoint.0))) {
            here.habit.refusal(outcome, false);
        }
    }

    /// First sighting to the last one at an end of the feed, in µs, of a delivered journey.
    fn transit(&self, journey: &Journey, end: JourneyEnd) -> Option<u64> {
        let feed = self.s.feeds.get(journey.feed.0 as usize)?;
        if feed.waypoints.len() < 2 || !matches!(end, JourneyEnd::Delivered(_)) {
            return None;
        }
        let mut sends = journey.sends.iter().rev();
        let last = sends.find(|s| feed.ends_at.contains(&self.primary(s.waypoint)))?;
        u64::try_from(last.at.micros_since(journey.first_at)).ok()
    }

    /// Whether a journey that ends so broke its transit objective.
    fn is_late(&self, place: Ref, end: JourneyEnd) -> bool {
        let Some(journey) = self.s.journeys.get(place) else { return false };
        let Some(feed) = self.s.feeds.get(journey.feed.0 as usize) else { return false };
        let urgent = journey.urgency > Urgency::Routine;
        let o = &feed.objectives;
        let objective = if urgent { o.urgent_transit } else { o.transit };
        let took = self.transit(journey, end);
        end == JourneyEnd::Expired || took.is_some_and(|t| u128::from(t) > objective.as_micros())
    }

    /// Counts an ended journey on its feed.
    fn count_ended(
        &mut self,
        journey: &Journey,
        kind: &Kind,
        end: JourneyEnd,
        late: bool,
        at: Timestamp,
    ) {
        let plan = std::sync::Arc::clone(&self.s.plan);
        let transit = self.transit(journey, end);
        let Some(feed) = self.s.feeds.get_mut(journey.feed.0 as usize) else { return };
        let seen_at = |w: WaypointId| journey.sends.iter().any(|s| plan.primary(s.waypoint) == w);
        if !matches!(end, JourneyEnd::Failed(_) | JourneyEnd::Unknown) && !journey.repeat {
            feed.learn(kind, seen_at);
        }
        if let Some(micros) = transit {
            feed.transit.record(micros);
            let shown = u32::try_from(micros).unwrap_or(u32::MAX);
            feed.current.transit_max = feed.current.transit_max.max(Some(shown));
        }
        match end {
            JourneyEnd::Expired => {
                feed.missing.push(at);
                if journey.urgency == Urgency::Critical {
                    feed.missing_critical.push(at);
                }
            }
            JourneyEnd::Partly(_) => feed.partly.push(at),
            _ if late => feed.late.push(at),
            _ => {}
        }
    }
}
