//! Journeys: all sightings of one key, from the first waypoint to the last.

use super::ledger::End;
use super::slab::Ref;
use super::state::Journey;
use super::{Engine, JOURNEYS_MAX};
use crate::class::AckClasses;
use crate::codes::Code;
use crate::effect::{Effect, Effects, JourneyEnd, JourneyRecord, Sending};
use crate::finding::{CheckFinding, Finding, FindingState, Subject};
use crate::frame::WaypointId;
use crate::key::MessageKey;
use crate::label::ControlId;
use crate::lag::Withheld;
use crate::plan::FeedId;
use crate::sighting::{
    DeadLetterSeen, MessageSeen, Outcome, ReasonClass, ReceiptSeen, Sighting, Urgency,
};
use crate::time::{Precision, Timestamp};
use core::time::Duration;

/// Sendings that a journey keeps; further ones are counted.
const SENDS_MAX: usize = 16;
/// How long a journey waits after a failed sending for the next try before it ends.
const LINGER: Duration = Duration::from_secs(60);
/// Codes of checks kept per journey.
const FOUND_MAX: usize = 4;

/// Where a message belongs.
pub(super) struct Placed {
    pub(super) feed: FeedId,
    pub(super) journey: Option<Ref>,
    /// Whether this sighting started the journey.
    pub(super) fresh: bool,
}

/// How a stated outcome ends a journey.
fn end_of(outcome: Outcome) -> JourneyEnd {
    if outcome.is_success() {
        JourneyEnd::Delivered(outcome)
    } else {
        JourneyEnd::Failed(outcome)
    }
}

impl Journey {
    /// Counts a sending, and keeps the first ones.
    fn add(&mut self, sending: Sending) {
        self.sends_total += 1;
        if self.sends.len() < SENDS_MAX {
            self.sends.push(sending);
        }
    }
}

impl Engine {
    /// Finds or starts the journey of a message, and its feed.
    pub(super) fn place(
        &mut self,
        at: &Sighting,
        message: &MessageSeen,
        key: Option<MessageKey>,
    ) -> Placed {
        if let Some(key) = key
            && let Some(place) = self.journeys.get(&key).copied()
            && let Some(journey) = self.s.journeys.get_mut(place)
        {
            journey.urgency = journey.urgency.max(message.urgency);
            // Two waypoints on different lanes may be read out of order.
            journey.first_at = journey.first_at.min(at.at);
            return Placed { feed: journey.feed, journey: Some(place), fresh: false };
        }
        let feed = self.feed_of(at.waypoint, message);
        self.first_sighting(feed, at, message);
        let Some(key) = key else { return Placed { feed, journey: None, fresh: true } };
        if self.s.journeys.len() >= JOURNEYS_MAX {
            self.shed_oldest();
        }
        let timer = at.at.plus(self.s.plan.journey_expiry);
        let journey = Journey {
            key,
            feed,
            code: message.code,
            trigger: message.trigger,
            sender: message.sender,
            facility: message.sender_facility,
            find: message.find,
            classes: AckClasses::default(),
            control_id: message.control_id,
            urgency: message.urgency,
            event_time: message.event_time,
            trace: message.trace,
            first_at: at.at,
            sends: Vec::with_capacity(2),
            sends_total: 0,
            open: 0,
            in_backlog: true,
            timer,
            pending_end: None,
            found: Vec::new(),
        };
        let place = self.s.journeys.insert(journey);
        self.journeys.insert(key, place);
        self.s.journey_timers.insert((timer, place));
        if let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) {
            feed.backlog[message.urgency as usize] += 1;
            feed.queue.push_back((at.at, place));
            if message.urgency == Urgency::Critical {
                feed.critical.push_back((at.at, place));
            }
        }
        Placed { feed, journey: Some(place), fresh: true }
    }

    fn first_sighting(&mut self, feed: FeedId, at: &Sighting, message: &MessageSeen) {
        let Some(state) = self.s.feeds.get_mut(feed.0 as usize) else { return };
        state.seen += 1;
        state.current.seen += 1;
        state.last_seen = state.last_seen.max(Some(at.at));
        if let Some(event) = message.event_time
            && event.precision >= Precision::Second
            && at.at >= event.at
        {
            let age = u64::try_from(at.at.micros_since(event.at)).unwrap_or(0);
            state.source_age.record(age);
        }
    }

    fn shed_oldest(&mut self) {
        if let Some((timer, place)) = self.s.journey_timers.pop_first() {
            self.s.journeys_shed += 1;
            if let Some(journey) = self.s.journeys.remove(place) {
                debug_assert_eq!(journey.timer, timer);
                self.journeys.remove(&journey.key);
                self.leave_backlog(&journey);
            }
        }
    }

    /// Adds a sending to its journey; says its place there.
    pub(super) fn add_sending(&mut self, journey: Option<Ref>, at: &Sighting, message: &MessageSeen) -> u32 {
        if let Some(place) = journey
            && let Some(journey) = self.s.journeys.get_mut(place)
        {
            journey.open += 1;
            journey.pending_end = None;
            journey.add(Sending {
                waypoint: at.waypoint,
                control_id: message.control_id,
                at: at.at,
                ended_at: None,
                outcome: None,
                ack: None,
                reason: ReasonClass::None,
                slow: false,
                size: message.size,
            });
            let number = journey.sends_total - 1;
            let timer = at.at.plus(self.s.plan.journey_expiry);
            self.set_timer(place, timer);
            return number;
        }
        0
    }

    fn set_timer(&mut self, place: Ref, timer: Timestamp) {
        if let Some(journey) = self.s.journeys.get_mut(place) {
            self.s.journey_timers.remove(&(journey.timer, place));
            journey.timer = timer;
            self.s.journey_timers.insert((timer, place));
        }
    }

    /// A sending of a journey ended: the journey ends with it, waits for a retry, or goes on.
    pub(super) fn sending_ended(
        &mut self,
        journey: Option<Ref>,
        sending: u32,
        waypoint: WaypointId,
        end: &End,
        slow: bool,
        fx: &mut Effects,
    ) {
        let Some(place) = journey else { return };
        let Some(journey) = self.s.journeys.get_mut(place) else { return };
        journey.open = journey.open.saturating_sub(1);
        if let Some(send) = journey.sends.get_mut(sending as usize) {
            send.ended_at = Some(end.at);
            send.outcome = Some(end.outcome);
            send.ack = end.ack;
            send.reason = end.reason;
            send.slow = slow;
        }
        let last = self.s.feeds.get(journey.feed.0 as usize).is_some_and(|f| f.ends_at.contains(&waypoint));
        if end.outcome.is_success() {
            if last {
                self.end_journey(place, JourneyEnd::Delivered(end.outcome), end.at, fx);
            }
            return;
        }
        if journey.open > 0 {
            return;
        }
        journey.pending_end = Some(end.outcome);
        // An error is about the content and will not be tried again: it is no backlog.
        if end.outcome == Outcome::Errored && journey.in_backlog {
            journey.in_backlog = false;
            let (feed, urgency) = (journey.feed, journey.urgency);
            self.count_out_of_backlog(feed, urgency);
        }
        self.set_timer(place, end.at.plus(LINGER));
    }

    fn count_out_of_backlog(&mut self, feed: FeedId, urgency: Urgency) {
        if let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) {
            // Urgency may have risen after it was counted: take it from where it was.
            let mut place = urgency as usize;
            while feed.backlog[place] == 0 && place > 0 {
                place -= 1;
            }
            feed.backlog[place] = feed.backlog[place].saturating_sub(1);
        }
    }

    fn leave_backlog(&mut self, journey: &Journey) {
        if journey.in_backlog {
            self.count_out_of_backlog(journey.feed, journey.urgency);
        }
    }

    fn end_journey(&mut self, place: Ref, end: JourneyEnd, at: Timestamp, fx: &mut Effects) {
        let Some(journey) = self.s.journeys.remove(place) else { return };
        self.journeys.remove(&journey.key);
        self.s.journey_timers.remove(&(journey.timer, place));
        self.leave_backlog(&journey);
        let mut late = false;
        let mut name = String::new();
        if let Some(feed) = self.s.feeds.get_mut(journey.feed.0 as usize) {
            let last = journey.sends.iter().rev().find(|s| feed.ends_at.contains(&s.waypoint));
            if feed.waypoints.len() > 1
                && let Some(last) =
                    last.filter(|_| matches!(end, JourneyEnd::Delivered(_)))
            {
                let micros = u64::try_from(last.at.micros_since(journey.first_at)).unwrap_or(0);
                feed.transit.record(micros);
                let shown = u32::try_from(micros).unwrap_or(u32::MAX);
                feed.current.transit_max = feed.current.transit_max.max(Some(shown));
                late = u128::from(micros) > feed.objectives.transit.as_micros();
            }
            late |= end == JourneyEnd::Expired && feed.waypoints.len() > 1;
            if late {
                feed.late.push(at);
                if journey.urgency > Urgency::Routine {
                    feed.urgent_hurt = feed.urgent_hurt.saturating_add(1);
                }
            }
            name.clone_from(&feed.name);
        }
        fx.push(Effect::Journey(Box::new(JourneyRecord {
            key: journey.key,
            feed: journey.feed,
            feed_name: name,
            code: journey.code,
            trigger: journey.trigger,
            sender: journey.sender,
            facility: journey.facility,
            control_id: journey.control_id,
            find: journey.find,
            urgency: journey.urgency,
            event_time: journey.event_time,
            source_age: Err(Withheld::NoTime),
            first_at: journey.first_at,
            sends: journey.sends,
            sends_total: journey.sends_total,
            end,
            missing: Vec::new(),
            classes: journey.classes,
            ended_at: at,
            late,
            found: journey.found,
            trace: journey.trace,
        })));
    }

    pub(super) fn expire_journeys(&mut self, fx: &mut Effects) {
        while let Some((timer, place)) = self.s.journey_timers.first().copied() {
            let Some(journey) = self.s.journeys.get(place) else {
                self.s.journey_timers.pop_first();
                continue;
            };
            let feed = self.s.feeds.get(journey.feed.0 as usize);
            if timer > feed.map_or(self.s.now, |f| self.feed_time(f)).min(self.s.now) {
                return;
            }
            let waiting = journey.open > 0;
            if waiting && journey.pending_end.is_none() && timer.plus(LINGER) > self.s.now {
                // Its sending is judged first; look again in a minute.
                self.set_timer(place, timer.plus(LINGER));
                continue;
            }
            let end = journey.pending_end.map_or(JourneyEnd::Expired, JourneyEnd::Failed);
            self.end_journey(place, end, timer, fx);
        }
    }

    /// A receipt ends the journey it names: only here something is *filed*.
    pub(super) fn receipt(&mut self, at: &Sighting, receipt: &ReceiptSeen, fx: &mut Effects) {
        let Some(place) = self.journeys.get(&receipt.journey_key).copied() else {
            self.s.stray_acks += 1;
            return;
        };
        self.stated(at, place, receipt.outcome, ReasonClass::None, fx);
    }

    /// Somebody states how a message ended: that is a sending of its own, and the journey's end.
    fn stated(
        &mut self,
        at: &Sighting,
        place: Ref,
        outcome: Outcome,
        reason: ReasonClass,
        fx: &mut Effects,
    ) {
        let feed = self.s.journeys.get_mut(place).map(|journey| {
            journey.add(Sending {
                waypoint: at.waypoint,
                control_id: ControlId::default(),
                at: at.at,
                ended_at: Some(at.at),
                outcome: Some(outcome),
                ack: None,
                reason,
                slow: false,
                size: 0,
            });
            journey.feed
        });
        self.count_stated(at.waypoint, feed, outcome);
        self.end_journey(place, end_of(outcome), at.at, fx);
    }

    fn count_stated(&mut self, waypoint: WaypointId, feed: Option<FeedId>, outcome: Outcome) {
        for totals in self.totals(waypoint, feed) {
            totals.seen += 1;
            totals.outcomes[outcome as usize] += 1;
        }
    }

    /// A dead-letter record: the message was given up.
    pub(super) fn dead_letter(&mut self, at: &Sighting, dead: &DeadLetterSeen, fx: &mut Effects) {
        let place = dead.journey_key.and_then(|key| self.journeys.get(&key).copied());
        let feed = match place.and_then(|p| self.s.journeys.get(p)) {
            Some(journey) => Some(journey.feed),
            None => self
                .s
                .feeds
                .iter()
                .position(|f| f.waypoints.contains(&at.waypoint))
                .map(super::feeds::feed_id),
        };
        if let Some(feed) = feed.and_then(|f| self.s.feeds.get_mut(f.0 as usize)) {
            feed.dead_letters.push(at.at);
            feed.current.outcomes[Outcome::Errored as usize] += 1;
            if dead.urgency > Urgency::Routine {
                feed.urgent_hurt = feed.urgent_hurt.saturating_add(1);
            }
        }
        match place {
            Some(place) => self.stated(at, place, Outcome::Errored, dead.reason, fx),
            None => self.count_stated(at.waypoint, None, Outcome::Errored),
        }
    }

    /// A finding of a WASM check: it marks the journey, so that its trace is kept.
    pub(super) fn found(&mut self, found: &CheckFinding, fx: &mut Effects) {
        if let Some(key) = found.journey_key
            && let Some(place) = self.journeys.get(&key).copied()
            && let Some(journey) = self.s.journeys.get_mut(place)
            && journey.found.len() < FOUND_MAX
            && !found.faulty
        {
            journey.found.push(found.code);
        }
        let finding = Finding {
            code: if found.faulty { Code::CheckFaulted } else { Code::CheckFound },
            subject: Subject::Check(found.check),
            severity: found.severity,
            state: FindingState::Happened,
            since: found.at,
            evidence: Vec::new(),
            detail: found.code,
        };
        self.take(finding, fx);
    }

    /// Age of a feed's oldest unfinished journey in µs at `now`; finished ones leave the queue.
    pub(super) fn lag_of(&mut self, feed: usize, now: Timestamp) -> u64 {
        crate::checks::oldest(&mut self.s, feed, false)
            .map_or(0, |at| u64::try_from(now.micros_since(at)).unwrap_or(0))
    }
}
