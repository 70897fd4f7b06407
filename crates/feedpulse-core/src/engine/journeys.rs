//! Journeys: all sightings of one key, from the first waypoint to the last.

use super::ledger::End;
use super::slab::Ref;
use super::state::{FeedState, Journey, JourneyExtra};
use super::{Engine, JOURNEYS_MAX, queue};
use crate::class::{AckClass, AckClasses};
use crate::effect::{Effects, JourneyEnd, Sending};
use crate::frame::{TraceParent, WaypointId};
use crate::key::MessageKey;
use crate::label::{ControlId, Label};
use crate::lag::Withheld;
use crate::plan::FeedId;
use crate::sighting::{
    DeadLetterSeen, MessageSeen, Outcome, ReasonClass, ReceiptSeen, Sighting, Urgency,
};
use crate::time::Timestamp;
use core::time::Duration;

/// Sendings that a journey keeps; further ones are counted.
const SENDS_MAX: usize = 16;
/// Of these so many take exactly the memory that they need.
const SENDS_EXACT: usize = 4;
/// How long a journey waits after a failed sending for the next try before it ends.
pub(super) const LINGER: Duration = Duration::from_secs(60);
/// Codes of checks kept per journey.
const FOUND_MAX: usize = 4;

/// Where a message belongs.
pub(super) struct Placed {
    pub(super) feed: FeedId,
    /// None: its journey had ended when it was seen, and it was sent before that.
    pub(super) journey: Option<Ref>,
    /// Whether this sighting started the journey.
    pub(super) fresh: bool,
    /// A journey of the same key had ended before.
    pub(super) again: bool,
}

/// How a stated outcome ends a journey.
fn end_of(outcome: Outcome) -> JourneyEnd {
    match outcome {
        Outcome::Unknown => JourneyEnd::Unknown,
        _ if outcome.is_success() => JourneyEnd::Delivered(outcome),
        _ => JourneyEnd::Failed(outcome),
    }
}

/// The weaker of two successes: filed is more than accepted, accepted more than committed.
const fn weaker(a: Outcome, b: Outcome) -> Outcome {
    match (a, b) {
        (Outcome::Committed, _) | (_, Outcome::Committed) => Outcome::Committed,
        (Outcome::Filed, other) => other,
        (other, _) => other,
    }
}

impl Journey {
    /// Counts a sending, and keeps the first ones.
    fn add(&mut self, sending: Sending) {
        self.sends_total = self.sends_total.saturating_add(1);
        if self.sends.len() < SENDS_MAX {
            // Most have one for each waypoint of a short route.
            if self.sends.len() < SENDS_EXACT {
                self.sends.reserve_exact(1);
            }
            self.sends.push(sending);
        }
    }

    /// Notes how one of its sendings ended.
    fn note(&mut self, sending: u8, end: &End, slow: bool) {
        self.open = self.open.saturating_sub(1);
        if let Some(send) = self.sends.get_mut(usize::from(sending)) {
            send.ended_at = Some(end.at);
            send.outcome = Some(end.outcome);
            send.ack = end.ack;
            send.reason = end.reason;
            send.slow = slow;
        }
    }

    /// Marks it with what a check found.
    pub(super) fn find(&mut self, code: Label) {
        let extra = self.extra.get_or_insert_default();
        if extra.found.len() < FOUND_MAX {
            extra.found.push(code);
        }
    }

    /// What was refused at a waypoint before it was accepted there.
    fn refused_before(&self, waypoint: WaypointId) -> Option<Outcome> {
        let refused = |s: &&Sending| {
            s.waypoint == waypoint
                && matches!(s.outcome, Some(Outcome::Errored | Outcome::Rejected))
        };
        self.sends.iter().rev().find(refused).and_then(|s| s.outcome)
    }
}

/// The bit of a place in a list; beyond the mask's width the last bit is shared.
fn bit(place: usize, width: u32) -> u32 {
    1 << u32::try_from(place).unwrap_or(u32::MAX).min(width - 1)
}

/// The bits of all ends of a feed.
pub(super) fn all_ends(feed: &FeedState) -> u16 {
    let bits = (0..feed.ends_at.len()).fold(0, |bits, place| bits | bit(place, 16));
    u16::try_from(bits).unwrap_or(u16::MAX)
}

impl JourneyExtra {
    /// None, when there is nothing to hold.
    fn new(trace: Option<TraceParent>) -> Option<Box<Self>> {
        trace.map(|trace| Box::new(Self { trace: Some(trace), found: Vec::new() }))
    }
}

impl Engine {
    /// The journey in flight of a key.
    pub(super) fn journey_of(&self, key: MessageKey) -> Option<Ref> {
        self.journeys.get(key, |place| self.s.journeys.get(place).map(|j| j.key))
    }

    /// Finds or starts the journey of a message, and its feed.
    pub(super) fn place(
        &mut self,
        at: &Sighting,
        message: &MessageSeen,
        kind: u32,
        key: MessageKey,
        fx: &mut Effects,
    ) -> Placed {
        if let Some(place) = self.journey_of(key)
            && let Some(journey) = self.s.journeys.get_mut(place)
        {
            journey.urgency = journey.urgency.max(message.urgency);
            // Two waypoints on different lanes may be read out of order.
            journey.first_at = journey.first_at.min(at.at);
            return Placed { feed: journey.feed, journey: Some(place), fresh: false, again: false };
        }
        let before = self.s.ended.get_mut(&self.ended, key).copied();
        if let Some(ended) = before.filter(|ended| at.at < ended.at) {
            return Placed { feed: ended.feed, journey: None, fresh: false, again: true };
        }
        let here = self.primary(at.waypoint);
        let feed = self.feed_of(here, message, kind);
        if self.s.journeys.len() >= JOURNEYS_MAX {
            self.shed_oldest(fx);
        }
        let timer = at.at.plus(self.s.plan.journey_expiry);
        let journey = Journey {
            key,
            feed,
            kind,
            find: message.find,
            event_time: message.event_time,
            source_age: Err(Withheld::NoTime),
            extra: JourneyExtra::new(message.trace),
            first_at: at.at,
            sends: Vec::new(),
            sends_total: 0,
            open: 0,
            timer,
            timer_place: 0,
            failed: None,
            reached: 0,
            // A retry after its journey ended owes only what did not have it then.
            delivered: before.filter(|ended| !ended.whole).map_or(0, |ended| ended.delivered),
            refused: 0,
            weakest: Outcome::Filed,
            urgency: message.urgency,
            classes: AckClasses::default(),
            in_backlog: true,
            repeat: before.is_some_and(|ended| ended.whole),
        };
        let place = self.s.journeys.insert(journey);
        self.journeys.insert(key, place, |p| self.s.journeys.get(p).map(|j| j.key));
        self.s.journey_timers.add(&mut self.s.journeys, place);
        if let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) {
            let waits = |place: &Ref| self.s.journeys.get(*place).is_some_and(|j| j.in_backlog);
            let all = feed.backlog_total() as usize;
            queue::push(&mut feed.queue, place, all, waits);
            if message.urgency > Urgency::Routine {
                let urgent = feed.backlog_urgent() as usize;
                queue::push(&mut feed.urgent, place, urgent, waits);
            }
            feed.backlog[message.urgency as usize] += 1;
        }
        Placed { feed, journey: Some(place), fresh: true, again: before.is_some() }
    }

    /// Further journeys of a message whose order groups are journeys of their own.
    pub(super) fn place_more(
        &mut self,
        at: &Sighting,
        message: &MessageSeen,
        kind: u32,
        fx: &mut Effects,
    ) -> Vec<(Ref, u8)> {
        let mut more = Vec::new();
        for key in &message.also {
            if let Some(journey) = self.place(at, message, kind, *key, fx).journey {
                more.push((journey, self.add_sending(Some(journey), at, message)));
            }
        }
        more
    }

    /// Counts the first sighting of a message on its feed.
    pub(super) fn seen_first(
        &mut self,
        placed: &Placed,
        at: &Sighting,
        message: &MessageSeen,
        fx: &mut Effects,
    ) {
        if !placed.fresh {
            return;
        }
        if let Some(feed) = self.s.feeds.get_mut(placed.feed.0 as usize) {
            feed.seen += 1;
            feed.first_seen.get_or_insert(self.s.now);
            feed.current.seen += 1;
            feed.last_seen = feed.last_seen.max(Some(at.at));
            feed.last_on = Some(at.connection);
        }
        self.learn(placed.feed, at, message);
        self.source_age(placed, at, message, fx);
        self.note_unknown(placed.feed, at.at, fx);
    }

    fn shed_oldest(&mut self, fx: &mut Effects) {
        let Some(place) = self.s.journey_timers.first() else { return };
        self.s.journeys_shed += 1;
        // One that only waits for a retry has come to something; of the others nobody can say.
        let failed = self.s.journeys.get(place).is_some_and(|j| j.failed.is_some() && j.open == 0);
        let now = self.s.now;
        let end = if failed { self.end_at_timer(place, now) } else { JourneyEnd::Unknown };
        self.end_journey(place, end, now, fx);
    }

    /// Adds a sending to its journey; says its place there.
    pub(super) fn add_sending(
        &mut self,
        journey: Option<Ref>,
        at: &Sighting,
        message: &MessageSeen,
    ) -> u8 {
        let here = self.primary(at.waypoint);
        let expiry = self.s.plan.journey_expiry;
        let Some(place) = journey else { return 0 };
        let Some(journey) = self.s.journeys.get_mut(place) else { return 0 };
        let feed = self.s.feeds.get(journey.feed.0 as usize);
        if let Some(on_route) = feed.and_then(|f| f.waypoints.iter().position(|w| *w == here)) {
            journey.reached |= bit(on_route, 32);
        }
        journey.open = journey.open.saturating_add(1);
        journey.failed = None;
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
        // Those that are not kept have no place.
        let number = u8::try_from(journey.sends_total - 1).unwrap_or(u8::MAX);
        self.set_timer(place, at.at.plus(expiry));
        number
    }

    pub(super) fn set_timer(&mut self, place: Ref, timer: Timestamp) {
        self.s.journey_timers.set(&mut self.s.journeys, place, timer);
    }

    /// A sending of a journey ended: the journey ends with it, waits for a retry, or goes on.
    pub(super) fn sending_ended(
        &mut self,
        journey: Option<Ref>,
        sending: u8,
        waypoint: WaypointId,
        end: &End,
        slow: bool,
        fx: &mut Effects,
    ) {
        let here = self.primary(waypoint);
        let Some(place) = journey else { return };
        let Some(journey) = self.s.journeys.get_mut(place) else { return };
        journey.note(sending, end, slow);
        let feed = self.s.feeds.get(journey.feed.0 as usize);
        let at_end = feed.and_then(|f| f.ends_at.iter().position(|w| *w == here));
        let mark = at_end.map_or(0, |n| u16::try_from(bit(n, 16)).unwrap_or(0));
        if end.outcome.is_success() {
            journey.failed = None;
            journey.refused &= !mark;
            journey.delivered |= mark;
            if mark != 0 {
                journey.weakest = weaker(journey.weakest, end.outcome);
            }
            let refused = journey.refused_before(waypoint);
            self.got_through(place, waypoint, refused, end.at, fx);
            if !self.complete(place, end, fx) {
                self.succeeded(place);
            }
            return;
        }
        journey.refused |= mark & !journey.delivered;
        if journey.open > 0 || self.complete(place, end, fx) {
            return;
        }
        if let Some(journey) = self.s.journeys.get_mut(place) {
            journey.failed = Some(end.outcome);
        }
        self.failed(place, waypoint, end);
    }

    /// Whether every end has it; then the journey ends, as soon as nothing of it is under way.
    fn complete(&mut self, place: Ref, end: &End, fx: &mut Effects) -> bool {
        let Some(journey) = self.s.journeys.get(place) else { return true };
        let Some(feed) = self.s.feeds.get(journey.feed.0 as usize) else { return false };
        if journey.delivered != all_ends(feed) {
            return false;
        }
        if journey.open > 0 {
            self.out_of_backlog(place);
            return true;
        }
        // An earlier waypoint may be read later: its sighting belongs to this journey.
        let before = u32::MAX >> journey.reached.leading_zeros().min(31);
        if journey.reached == before || journey.reached == 0 {
            let delivered = JourneyEnd::Delivered(journey.weakest);
            self.end_journey(place, delivered, end.at, fx);
        } else {
            self.out_of_backlog(place);
            self.set_timer(place, end.at);
        }
        true
    }

    /// A message was accepted that was refused before: the refusal was about the moment.
    fn got_through(
        &mut self,
        place: Ref,
        waypoint: WaypointId,
        refused: Option<Outcome>,
        at: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(refused) = refused else { return };
        if let Some(here) = self.s.waypoints.get_mut(usize::from(waypoint.0)) {
            here.habit.refusal(refused, true);
        }
        self.classify(waypoint, Some(place), AckClass::NackThenAccepted, at, fx);
    }

    /// After a success on the way: where nothing says that it goes on, it is no backlog.
    fn succeeded(&mut self, place: Ref) {
        let Some(journey) = self.s.journeys.get(place) else { return };
        if journey.open == 0 && journey.delivered == 0 && !self.is_expected_further(place) {
            self.out_of_backlog(place);
        }
    }

    /// After a failure with nothing else under way: a retry may come.
    fn failed(&mut self, place: Ref, waypoint: WaypointId, end: &End) {
        let habit = self.s.waypoints.get(usize::from(waypoint.0)).map(|w| w.habit);
        let refused = matches!(end.outcome, Outcome::Errored | Outcome::Rejected);
        if refused && !habit.unwrap_or_default().is_retryable(end.outcome) {
            // About the content: it will not be tried again, so it is no backlog.
            self.hurt(place);
            self.out_of_backlog(place);
        }
        let Some(journey) = self.s.journeys.get(place) else { return };
        let Some(feed) = self.s.feeds.get(journey.feed.0 as usize) else { return };
        let waiting = all_ends(feed) & !(journey.delivered | journey.refused);
        if waiting == 0 || journey.refused == 0 {
            self.set_timer(place, end.at.plus(LINGER));
        }
    }

    /// Counts an urgent message that went wrong: once, as it leaves the backlog.
    pub(super) fn hurt(&mut self, place: Ref) {
        let Some(journey) = self.s.journeys.get(place) else { return };
        if !journey.in_backlog || journey.urgency == Urgency::Routine {
            return;
        }
        let failed = |s: &&Sending| s.outcome.is_some_and(|o| !o.is_success());
        let place = journey.sends.iter().rev().find(failed).map(|s| s.waypoint);
        if let Some(here) = place.and_then(|w| self.s.waypoints.get_mut(usize::from(w.0))) {
            here.hurt.add(self.s.now);
        }
        if let Some(feed) = self.s.feeds.get_mut(journey.feed.0 as usize) {
            feed.hurt.add(self.s.now);
        }
    }

    pub(super) fn out_of_backlog(&mut self, place: Ref) {
        if let Some(journey) = self.s.journeys.get_mut(place)
            && core::mem::replace(&mut journey.in_backlog, false)
        {
            let (feed, urgency) = (journey.feed, journey.urgency);
            self.count_out_of_backlog(feed, urgency);
        }
    }

    pub(super) fn count_out_of_backlog(&mut self, feed: FeedId, urgency: Urgency) {
        if let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) {
            // Urgency may have risen after it was counted: take it from where it was.
            let mut place = urgency as usize;
            while feed.backlog[place] == 0 && place > 0 {
                place -= 1;
            }
            feed.backlog[place] = feed.backlog[place].saturating_sub(1);
        }
    }

    /// A receipt ends the journey it names: only here something is *filed*.
    pub(super) fn receipt(&mut self, at: &Sighting, receipt: &ReceiptSeen, fx: &mut Effects) {
        let Some(place) = self.journey_of(receipt.journey_key) else {
            self.classify(at.waypoint, None, AckClass::Stray, at.at, fx);
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
        let place = dead.journey_key.and_then(|key| self.journey_of(key));
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
                feed.hurt.add(at.at);
            }
        }
        match place {
            Some(place) => self.stated(at, place, Outcome::Errored, dead.reason, fx),
            None => self.count_stated(at.waypoint, None, Outcome::Errored),
        }
    }

    /// Age of a feed's oldest unfinished journey in µs at `now`; finished ones leave the queue.
    pub(super) fn lag_of(&mut self, feed: usize, now: Timestamp) -> u64 {
        crate::checks::oldest(&mut self.s, feed, false)
            .map_or(0, |at| u64::try_from(now.micros_since(at)).unwrap_or(0))
    }
}
