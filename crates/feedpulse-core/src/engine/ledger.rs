//! The ACK ledger: every sending of a message ends in exactly one outcome.

use super::slab::Ref;
use super::state::{Answer, Entry, WaypointState};
use super::{Engine, KeyMap, OPEN_MAX};
use crate::effect::Effects;
use crate::frame::WaypointId;
use crate::key::MessageKey;
use crate::plan::{Acks, FeedId, Role};
use crate::sighting::{
    AckCode, AckCondition, AckSeen, MessageSeen, Outcome, ReasonClass, Sighting,
};
use crate::time::Timestamp;
use crate::view::Totals;
use core::time::Duration;

/// How long the key of an unanswered sending is remembered, to name a late ACK.
const LATE_ACK_MEMORY: Duration = Duration::from_secs(600);
/// Most such keys per waypoint.
const LATE_ACK_KEYS: usize = 4_096;

/// How an entry ends, and what is known of its answer.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) at: Timestamp,
    pub(super) ack: Option<AckCode>,
    pub(super) reason: ReasonClass,
}

/// Rebuilds the key index of a waypoint after a restore: chains in order of arrival.
pub(super) fn index(waypoint: &mut WaypointState) -> KeyMap {
    let mut order: Vec<(u64, Ref, MessageKey)> =
        waypoint.entries.iter().map(|(at, e)| (e.seq, at, e.key)).collect();
    order.sort_unstable_by_key(|(seq, ..)| *seq);
    let mut map = KeyMap::default();
    for (_, at, key) in order {
        if let Some(entry) = waypoint.entries.get_mut(at) {
            entry.next = None;
        }
        chain(waypoint, &mut map, key, at);
    }
    map
}

fn chain(waypoint: &mut WaypointState, map: &mut KeyMap, key: MessageKey, at: Ref) {
    let Some(head) = map.get(&key).copied() else {
        map.insert(key, at);
        return;
    };
    let mut last = head;
    while let Some(next) = waypoint.entries.get(last).and_then(|e| e.next) {
        last = next;
    }
    if let Some(entry) = waypoint.entries.get_mut(last) {
        entry.next = Some(at);
    }
}

impl Engine {
    pub(super) fn message(&mut self, at: &Sighting, message: &MessageSeen, fx: &mut Effects) {
        let journey_key = message.journey_key.or(message.ack_key);
        let super::journeys::Placed { feed, journey, fresh } = self.place(at, message, journey_key);
        if fresh {
            self.note_unknown(feed, at.at, fx);
        }
        self.count_seen(at.waypoint, feed);
        let sending = self.add_sending(journey, at, message);
        let number = usize::from(at.waypoint.0);
        let Some(plan) = self.s.plan.waypoints.get(number) else { return };
        let (acks, role) = (plan.acks, plan.role);
        if acks == Acks::Stored || role == Role::Retry {
            let outcome = if role == Role::Retry { Outcome::Errored } else { Outcome::Committed };
            let end = End { outcome, at: at.at, ack: None, reason: ReasonClass::None };
            self.count_end(at.waypoint, feed, &end, None);
            self.sending_ended(journey, sending, at.waypoint, &end, false, fx);
            return;
        }
        let deadline = at.at.plus(plan.no_ack_after);
        let mode = message.ack_mode;
        let quiet = |c: AckCondition| matches!(c, AckCondition::Never | AckCondition::OnError);
        let entry = Entry {
            seq: self.s.seq,
            // Without MSH-10 nothing can name it; a key of its own keeps the sums right.
            key: message.ack_key.unwrap_or(MessageKey::from_u128(u128::from(self.s.seq))),
            at: at.at,
            connection: at.connection,
            feed,
            journey,
            sending,
            urgency: message.urgency,
            committed: false,
            wants_application: matches!(
                mode.application,
                AckCondition::Always | AckCondition::OnError | AckCondition::OnSuccess
            ),
            silence_accepts: !mode.is_original() && quiet(mode.accept) && quiet(mode.application),
            blind: false,
            next: None,
        };
        self.open_entry(at.waypoint, entry, deadline, fx);
    }

    fn open_entry(&mut self, at: WaypointId, entry: Entry, deadline: Timestamp, fx: &mut Effects) {
        let number = usize::from(at.0);
        if self.s.waypoints.get(number).is_some_and(|w| w.entries.len() >= OPEN_MAX) {
            self.end_oldest(number, fx);
        }
        let (Some(waypoint), Some(map)) =
            (self.s.waypoints.get_mut(number), self.entries.get_mut(number))
        else {
            return;
        };
        let (key, connection) = (entry.key, entry.connection);
        let place = waypoint.entries.insert(entry);
        chain(waypoint, map, key, place);
        waypoint.deadlines.push_back((deadline, place));
        let connection = waypoint.connections.entry(connection).or_default();
        connection.open += 1;
        connection.latest = Some(place);
    }

    /// The table is full: the oldest sending ends as unknown rather than growing without bound.
    fn end_oldest(&mut self, number: usize, fx: &mut Effects) {
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        while let Some((deadline, place)) = waypoint.deadlines.pop_front() {
            if waypoint.entries.get(place).is_some() {
                let end = End {
                    outcome: Outcome::Unknown,
                    at: deadline.min(waypoint.time),
                    ack: None,
                    reason: ReasonClass::None,
                };
                self.end_entry(number, place, &end, fx);
                return;
            }
        }
    }

    pub(super) fn ack(&mut self, at: &Sighting, ack: &AckSeen, fx: &mut Effects) {
        let mut number = usize::from(at.waypoint.0);
        if let Some(Role::AckOf(of)) = self.s.plan.waypoints.get(number).map(|w| w.role) {
            number = usize::from(of.0);
        }
        let Some(place) = self.find_entry(number, at, ack.ack_key) else {
            self.unmatched(number, ack.ack_key);
            return;
        };
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        let Some(entry) = waypoint.entries.get_mut(place) else { return };
        if ack.code == AckCode::CA && entry.wants_application {
            entry.committed = true;
            self.answered(number, entry_times(at.at, self.entry_at(number, place)), false);
            return;
        }
        let outcome = match ack.code {
            AckCode::AA => Outcome::Accepted,
            AckCode::CA => Outcome::Committed,
            AckCode::AE | AckCode::CE | AckCode::Other => Outcome::Errored,
            AckCode::AR | AckCode::CR => Outcome::Rejected,
        };
        let end = End { outcome, at: at.at, ack: Some(ack.code), reason: ack.reason };
        self.end_entry(number, place, &end, fx);
    }

    fn entry_at(&self, number: usize, place: Ref) -> Timestamp {
        self.s.waypoints.get(number).and_then(|w| w.entries.get(place)).map_or(self.s.now, |e| e.at)
    }

    /// The sending that an ACK answers: same key, the same connection first, else the oldest. An ACK
    /// that names nothing answers the only sending that waits on its connection.
    fn find_entry(&self, number: usize, at: &Sighting, key: Option<MessageKey>) -> Option<Ref> {
        let waypoint = self.s.waypoints.get(number)?;
        let Some(key) = key else {
            let connection = waypoint.connections.get(&at.connection)?;
            let latest = connection.latest.filter(|_| connection.open == 1)?;
            return waypoint.entries.get(latest).map(|_| latest);
        };
        let head = *self.entries.get(number)?.get(&key)?;
        let mut place = Some(head);
        while let Some(here) = place {
            let entry = waypoint.entries.get(here)?;
            if entry.connection == at.connection {
                return Some(here);
            }
            place = entry.next;
        }
        Some(head)
    }

    fn unmatched(&mut self, number: usize, key: Option<MessageKey>) {
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        let late = key.and_then(|key| waypoint.unanswered_keys.iter().position(|k| k.1 == key));
        if let Some(position) = late {
            waypoint.unanswered_keys.remove(position);
            self.s.late_acks += 1;
        } else {
            self.s.stray_acks += 1;
        }
    }

    /// Ends one sending, and tells its journey.
    pub(super) fn end_entry(&mut self, number: usize, place: Ref, end: &End, fx: &mut Effects) {
        let Some(entry) = self.unlink(number, place) else { return };
        let waypoint_id = WaypointId(u16::try_from(number).unwrap_or(u16::MAX));
        let mut slow = false;
        if end.ack.is_some() {
            let bad = matches!(end.outcome, Outcome::Errored | Outcome::Rejected);
            slow = self.answered(number, entry_times(end.at, entry.at), bad);
        } else if let Some(waypoint) = self.s.waypoints.get_mut(number) {
            match end.outcome {
                Outcome::NoAck => waypoint.unanswered.push(end.at),
                Outcome::ConnectionLost => {
                    waypoint.unanswered.push(end.at);
                    waypoint.lost.push(end.at);
                }
                _ => {}
            }
            if matches!(end.outcome, Outcome::NoAck | Outcome::ConnectionLost | Outcome::Unknown) {
                while waypoint.unanswered_keys.len() >= LATE_ACK_KEYS
                    || waypoint
                        .unanswered_keys
                        .front()
                        .is_some_and(|(at, _)| end.at.since(*at) > LATE_ACK_MEMORY)
                {
                    waypoint.unanswered_keys.pop_front();
                }
                waypoint.unanswered_keys.push_back((end.at, entry.key));
            }
        }
        let took = end.ack.map(|_| end.at.since(entry.at));
        self.count_end(waypoint_id, entry.feed, end, took);
        if !end.outcome.is_success()
            && entry.urgency > crate::sighting::Urgency::Routine
            && let Some(feed) = self.s.feeds.get_mut(entry.feed.0 as usize)
        {
            feed.urgent_hurt = feed.urgent_hurt.saturating_add(1);
        }
        self.sending_ended(entry.journey, entry.sending, waypoint_id, end, slow, fx);
    }

    /// Takes an entry out of the table, its chain and its connection.
    fn unlink(&mut self, number: usize, place: Ref) -> Option<Entry> {
        let waypoint = self.s.waypoints.get_mut(number)?;
        let entry = waypoint.entries.remove(place)?;
        let map = self.entries.get_mut(number)?;
        let head = map.get(&entry.key).copied();
        if head == Some(place) {
            match entry.next {
                Some(next) => {
                    map.insert(entry.key, next);
                }
                None => {
                    map.remove(&entry.key);
                }
            }
        } else if let Some(mut before) = head {
            while let Some(next) = waypoint.entries.get(before).and_then(|e| e.next) {
                if next == place {
                    if let Some(previous) = waypoint.entries.get_mut(before) {
                        previous.next = entry.next;
                    }
                    break;
                }
                before = next;
            }
        }
        if let Some(connection) = waypoint.connections.get_mut(&entry.connection) {
            connection.open = connection.open.saturating_sub(1);
        }
        Some(entry)
    }

    /// Notes an answer and says whether it was slow.
    fn answered(&mut self, number: usize, (at, took): (Timestamp, Duration), bad: bool) -> bool {
        let objective = self.s.plan.waypoints.get(number).map_or(Duration::MAX, |w| w.ack_time);
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return false };
        let slow = took > objective;
        if waypoint.answers.len() == 64 {
            waypoint.answers.pop_front();
        }
        waypoint.answers.push_back(Answer { at, slow, bad });
        waypoint.ack_time.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        slow
    }

    /// Judges the sendings whose time is over, by the waypoint's own time.
    pub(super) fn expire_entries(&mut self, number: usize, fx: &mut Effects) {
        loop {
            let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
            let Some((deadline, place)) = waypoint.deadlines.front().copied() else { return };
            let acks = self.s.plan.waypoints.get(number).map_or(Acks::IfSeen, |w| w.acks);
            let Some(entry) = waypoint.entries.get(place) else {
                waypoint.deadlines.pop_front();
                continue;
            };
            if deadline > waypoint.time {
                return;
            }
            // Where answers are only looked at if they come, silence says nothing.
            let silent = if acks == Acks::IfSeen { Outcome::Unknown } else { Outcome::NoAck };
            let outcome = unanswered_outcome(entry, silent);
            waypoint.deadlines.pop_front();
            let end = End { outcome, at: deadline, ack: None, reason: ReasonClass::None };
            self.end_entry(number, place, &end, fx);
        }
    }

    /// The counts that a sending at a waypoint belongs to: all, the waypoint's, its feed's.
    pub(super) fn totals(
        &mut self,
        waypoint: WaypointId,
        feed: Option<FeedId>,
    ) -> impl Iterator<Item = &mut Totals> {
        let here = self.s.waypoints.get_mut(usize::from(waypoint.0)).map(|w| &mut w.totals);
        let feed = feed.and_then(|f| self.s.feeds.get_mut(f.0 as usize)).map(|f| &mut f.totals);
        [Some(&mut self.s.totals), here, feed].into_iter().flatten()
    }

    fn count_seen(&mut self, waypoint: WaypointId, feed: FeedId) {
        for totals in self.totals(waypoint, Some(feed)) {
            totals.seen += 1;
            totals.open += 1;
        }
    }

    fn count_end(&mut self, at: WaypointId, feed: FeedId, end: &End, took: Option<Duration>) {
        let place = end.outcome as usize;
        for totals in self.totals(at, Some(feed)) {
            totals.open = totals.open.saturating_sub(1);
            totals.outcomes[place] += 1;
        }
        let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) else { return };
        if let Some(count) = feed.current.outcomes.get_mut(place) {
            *count += 1;
        }
        if let Some(took) = took.filter(|_| feed.ends_at.contains(&at)) {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            feed.ack_time.record(micros);
            feed.current.ack_time.record(micros);
        }
    }
}

fn entry_times(at: Timestamp, sent: Timestamp) -> (Timestamp, Duration) {
    (at, at.since(sent))
}

/// What an entry that got no (further) answer ended as; `otherwise` if nothing speaks for it.
pub(super) fn unanswered_outcome(entry: &Entry, otherwise: Outcome) -> Outcome {
    if entry.committed {
        Outcome::Committed
    } else if entry.blind {
        Outcome::Unknown
    } else if entry.silence_accepts {
        Outcome::Accepted
    } else {
        otherwise
    }
}
