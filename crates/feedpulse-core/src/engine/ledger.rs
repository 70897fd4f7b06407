//! The ACK ledger, sending side: every sending of a message ends in exactly one outcome.

use super::index::Index;
use super::slab::{Ref, Slab};
use super::state::{Answer, Entry, EntryExtra, Head, Remembered, WaypointState};
use super::{Engine, OPEN_MAX, PER_TICK, by_kind, fifo, queue};
use crate::class::AckClass;
use crate::effect::Effects;
use crate::frame::{Direction, WaypointId};
use crate::key::MessageKey;
use crate::plan::{Acks, FeedId, Role, Waypoint};
use crate::sighting::{
    AckCode, AckCondition, AckMode, MessageSeen, Outcome, ReasonClass, Sighting,
};
use crate::time::Timestamp;
use crate::view::Totals;
use core::time::Duration;

/// Sendings that a waypoint remembers by control id.
pub(super) const MEMORY_MAX: usize = 32_768;
/// Feeds whose blocked message is followed.
pub(super) const HEADS_MAX: usize = 64;
/// Refusals in a row of one message that block the line.
pub(crate) const HEAD_TIMES: u32 = 3;

/// How an entry ends, and what is known of its answer.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) at: Timestamp,
    pub(super) ack: Option<AckCode>,
    pub(super) reason: ReasonClass,
}

impl End {
    /// Without an answer.
    pub(super) const fn unanswered(outcome: Outcome, at: Timestamp) -> Self {
        Self { outcome, at, ack: None, reason: ReasonClass::None }
    }
}

/// Rebuilds the key index of a waypoint after a restore: chains in order of arrival.
pub(super) fn index(entries: &mut Slab<Entry>) -> Index<Ref> {
    let mut order: Vec<(u64, Ref, MessageKey)> =
        entries.iter().map(|(at, e)| (e.seq, at, e.key)).collect();
    order.sort_unstable_by_key(|(seq, ..)| *seq);
    let mut index = Index::default();
    for (_, at, key) in order {
        if let Some(entry) = entries.get_mut(at) {
            entry.next = None;
        }
        chain(entries, &mut index, key, at);
    }
    index
}

fn chain(entries: &mut Slab<Entry>, index: &mut Index<Ref>, key: MessageKey, at: Ref) {
    let key_at = |place| entries.get(place).map(|e| e.key);
    let Some(head) = index.get(key, key_at) else {
        index.insert(key, at, key_at);
        return;
    };
    let mut last = head;
    while let Some(next) = entries.get(last).and_then(|e| e.next) {
        last = next;
    }
    if let Some(entry) = entries.get_mut(last) {
        entry.next = Some(at);
    }
}

impl WaypointState {
    /// Remembers a sending; says what it is to the one before with the same id, and whether that had
    /// been accepted.
    fn remember(
        &mut self,
        index: &mut fifo::Index,
        mut new: Remembered,
    ) -> (Option<AckClass>, bool) {
        let before = self.memory.get_mut(index, new.key).copied();
        let same = before.filter(|before| before.body == new.body);
        if let Some(before) = same {
            (new.sent, new.answers) = (before.sent.saturating_add(1), before.answers);
        }
        self.memory.push(index, new, MEMORY_MAX);
        let class =
            before.map(|_| if same.is_some() { AckClass::Retry } else { AckClass::IdReuse });
        let accepted = same.and_then(|before| before.outcome).is_some_and(Outcome::is_success);
        (class, accepted)
    }

    /// Follows the message that a feed cannot get past; true when it has just become one.
    fn follow_head(&mut self, entry: &Entry, end: &End) -> bool {
        let (feed, key, on) = (entry.feed, entry.key, entry.connection);
        let refused =
            matches!(end.outcome, Outcome::Errored | Outcome::Rejected | Outcome::ConnectionLost);
        if !refused {
            // Another message got through, or the receiver is silent: that is no blocked line. What
            // passes on the same connection passes the same line, whichever feed it is of.
            self.heads.retain(|of, head| *of != feed && head.connection != on);
            return false;
        }
        let fresh = Head { key, connection: on, times: 1, since: end.at, last: end.at };
        match self.heads.get_mut(&feed) {
            Some(head) if head.key == key => {
                head.times = head.times.saturating_add(1);
                (head.last, head.connection) = (end.at, on);
                head.times == HEAD_TIMES
            }
            Some(head) => {
                *head = fresh;
                false
            }
            None => {
                if self.heads.len() < HEADS_MAX {
                    self.heads.insert(feed, fresh);
                }
                false
            }
        }
    }

    /// Waits for the answer to a sending.
    fn await_answer(&mut self, place: Ref) {
        let waits = |place: &Ref| self.entries.get(*place).is_some();
        queue::push(&mut self.deadlines, place, self.entries.len(), waits);
    }

    /// Waits for the application's answer to a sending that was committed.
    fn await_application(&mut self, place: Ref) {
        let waits = |place: &Ref| self.entries.get(*place).is_some();
        queue::push(&mut self.application_deadlines, place, self.entries.len(), waits);
    }

    /// What a sender and this link have agreed on for a message that asks for `asked`.
    fn agreed(&self, plan: &Waypoint, asked: AckMode) -> Agreed {
        let mode = plan.ack_mode.unwrap_or(asked);
        let quiet = |c: AckCondition| matches!(c, AckCondition::Never | AckCondition::OnError);
        let asks_quiet = !mode.is_original() && quiet(mode.accept) && quiet(mode.application);
        let loud = plan.ack_mode.is_none() && self.habit.always_answers();
        let follows = plan.application_acks || self.habit.application_after > 0;
        Agreed {
            silence_accepts: asks_quiet && !loud,
            wants_application: follows
                || matches!(
                    mode.application,
                    AckCondition::Always | AckCondition::OnError | AckCondition::OnSuccess
                ),
            // MSH-16 alone proves nothing: it is boilerplate at many senders.
            application_due: if plan.application_acks {
                mode.application != AckCondition::OnError
            } else {
                follows && !quiet(mode.application)
            },
        }
    }
}

struct Agreed {
    silence_accepts: bool,
    wants_application: bool,
    application_due: bool,
}

impl Engine {
    /// A message; one that comes back while its sender waits for an ACK is no answer to that.
    pub(super) fn message(&mut self, at: &Sighting, message: &MessageSeen, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let back = message.direction == Direction::ToSender;
        match self.waits_on(number, at.connection).filter(|_| back) {
            Some(journey) => {
                self.came_back(number, at, true);
                self.classify(at.waypoint, journey, AckClass::Garbage, at.at, fx);
            }
            None => self.sending(at, message, fx),
        }
    }

    fn sending(&mut self, at: &Sighting, message: &MessageSeen, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let plan = std::sync::Arc::clone(&self.s.plan);
        let Some(here) = plan.waypoints.get(number) else { return };
        let kind = self.kind_of(message);
        // Without MSH-10 nothing can name it; a key of its own keeps the sums right.
        let own = MessageKey::from_u128(u128::from(self.s.seq));
        let ack_key = message.ack_key.unwrap_or(own);
        let journey_key = message.journey_key.or(message.ack_key).unwrap_or(own);
        let placed = self.place(at, message, kind, journey_key, fx);
        self.seen_first(&placed, at, message, fx);
        self.follow_standby(at, placed.feed, fx);
        self.count_seen(at.waypoint, placed.feed);
        let sending = self.add_sending(placed.journey, at, message);
        let more = self.place_more(at, message, kind, fx);
        self.notes(at, message, fx);
        self.note_comers(at, message, placed.feed, fx);
        if here.acks == Acks::Stored || here.role == Role::Retry {
            let retry = here.role == Role::Retry;
            let outcome = if retry { Outcome::Errored } else { Outcome::Committed };
            let end = End::unanswered(outcome, at.at);
            self.count_end(at.waypoint, placed.feed, &end);
            self.follow_order(&placed, at, message, None, fx);
            self.sending_ended(placed.journey, sending, at.waypoint, &end, false, fx);
            for (journey, sending) in more {
                self.sending_ended(Some(journey), sending, at.waypoint, &end, false, fx);
            }
            return;
        }
        let remembered = Remembered::new(ack_key, journey_key, message.body);
        let (Some(waypoint), Some(lookup)) =
            (self.s.waypoints.get_mut(number), self.lookups.get_mut(number))
        else {
            return;
        };
        let agreed = waypoint.agreed(here, message.ack_mode);
        let (class, accepted) = waypoint.remember(&mut lookup.memory, remembered);
        let again = class == Some(AckClass::Retry);
        let key_at = |place| waypoint.entries.get(place).map(|e| e.key);
        let given_up = if again { lookup.entries.get(ack_key, key_at) } else { None };
        if let Some(place) = given_up {
            self.give_up(number, place, at.at, fx);
        }
        let entry = Entry {
            seq: self.s.seq,
            key: ack_key,
            at: at.at,
            connection: at.connection,
            feed: placed.feed,
            journey: placed.journey,
            sending,
            extra: EntryExtra::new(more, message.batch.unwrap_or(0)),
            kind,
            urgency: message.urgency,
            committed: false,
            slow: false,
            wants_application: agreed.wants_application,
            application_due: agreed.application_due,
            silence_accepts: agreed.silence_accepts,
            blind: false,
            next: None,
        };
        self.open_entry(at.waypoint, entry, fx);
        self.follow_order(&placed, at, message, class, fx);
        if let Some(class) = class {
            self.classify(at.waypoint, placed.journey, class, at.at, fx);
        }
        self.note_usual(at, message, (again, accepted), fx);
        self.judge_mode(at, message, fx);
    }

    /// The same message is sent again while it waits: its sender has given up the sending before.
    fn give_up(&mut self, number: usize, place: Ref, at: Timestamp, fx: &mut Effects) {
        let acks = self.s.plan.waypoints.get(number).map_or(Acks::IfSeen, |w| w.acks);
        let silent = if acks == Acks::IfSeen { Outcome::Unknown } else { Outcome::NoAck };
        let entry = self.s.waypoints.get(number).and_then(|w| w.entries.get(place));
        let Some(outcome) = entry.map(|entry| unanswered_outcome(entry, silent)) else { return };
        self.end_entry(number, place, &End::unanswered(outcome, at), fx);
    }

    fn open_entry(&mut self, at: WaypointId, entry: Entry, fx: &mut Effects) {
        let number = usize::from(at.0);
        if self.s.waypoints.get(number).is_some_and(|w| w.entries.len() >= OPEN_MAX) {
            self.end_oldest(number, fx);
        }
        let slip = self.s.plan.waypoints.get(number).map_or(Duration::MAX, |w| w.ack_time);
        let (Some(waypoint), Some(lookup)) =
            (self.s.waypoints.get_mut(number), self.lookups.get_mut(number))
        else {
            return;
        };
        let (key, connection, sent) = (entry.key, entry.connection, entry.at);
        let place = waypoint.entries.insert(entry);
        chain(&mut waypoint.entries, &mut lookup.entries, key, place);
        waypoint.await_answer(place);
        let before = waypoint.connections.get(&connection).and_then(|c| c.latest);
        let before = before.and_then(|place| waypoint.entries.get(place));
        let waits = before.map(|entry| !entry.committed && !entry.silence_accepts);
        let connection = waypoint.connection(connection);
        connection.sends(place, key, sent, waits, slip);
    }

    /// The table is full: the oldest sending ends as unknown rather than growing without bound.
    fn end_oldest(&mut self, number: usize, fx: &mut Effects) {
        let after = self.s.plan.waypoints.get(number).map_or(Duration::ZERO, |w| w.no_ack_after);
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        while let Some(place) = waypoint.deadlines.pop_front() {
            if let Some(entry) = waypoint.entries.get(place) {
                let at = entry.at.plus(after).min(waypoint.time);
                self.end_entry(number, place, &End::unanswered(Outcome::Unknown, at), fx);
                return;
            }
        }
    }

    /// Ends one sending, and tells its journeys.
    pub(super) fn end_entry(&mut self, number: usize, place: Ref, end: &End, fx: &mut Effects) {
        let Some(entry) = self.unlink(number, place) else { return };
        let id = WaypointId(u16::try_from(number).unwrap_or(u16::MAX));
        let mut slow = entry.slow;
        if end.ack.is_some() {
            let answer = self.answer_of(number, &entry, end);
            if entry.committed {
                self.note_answer(number, answer);
            } else {
                slow = self.answered_first(id, entry.feed, entry.at, answer);
            }
        }
        let mut blocked = false;
        if let (Some(waypoint), Some(lookup)) =
            (self.s.waypoints.get_mut(number), self.lookups.get(number))
        {
            if matches!(end.outcome, Outcome::NoAck | Outcome::ConnectionLost) {
                waypoint.unanswered.push(end.at);
            }
            let lost = end.outcome == Outcome::ConnectionLost;
            if lost {
                waypoint.lost.push(end.at);
            }
            waypoint.usual.ended(lost);
            if end.outcome.is_success() {
                // With or without an answer.
                waypoint.refusing_since = None;
                let kinds = &mut waypoint.usual.kinds;
                by_kind::take(kinds, end.at, entry.kind, None, false, lookup.kinds);
            }
            if let Some(remembered) = waypoint.memory.get_mut(&lookup.memory, entry.key) {
                remembered.outcome = Some(end.outcome);
                remembered.answers = remembered.answers.saturating_add(end.ack.is_some().into());
            }
            blocked = waypoint.follow_head(&entry, end);
        }
        self.count_end(id, entry.feed, end);
        if blocked {
            self.classify(id, entry.journey, AckClass::HeadOfLine, end.at, fx);
        }
        self.sending_ended(entry.journey, entry.sending, id, end, slow, fx);
        for (journey, sending) in entry.extra.iter().flat_map(|extra| &extra.more) {
            self.sending_ended(Some(*journey), *sending, id, end, slow, fx);
        }
    }

    /// Takes an entry out of the table, its chain and its connection.
    fn unlink(&mut self, number: usize, place: Ref) -> Option<Entry> {
        let waypoint = self.s.waypoints.get_mut(number)?;
        let entry = waypoint.entries.remove(place)?;
        let index = &mut self.lookups.get_mut(number)?.entries;
        let was_head = match entry.next {
            Some(next) => index.replace(entry.key, place, next),
            None => index.remove(entry.key, place),
        };
        let key_at = |place| waypoint.entries.get(place).map(|e| e.key);
        if !was_head && let Some(mut before) = index.get(entry.key, key_at) {
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
            connection.slipped &= connection.open > 0;
        }
        Some(entry)
    }

    /// Notes the first answer to a sending, which its sender waited for: that is the ACK time. Says
    /// whether it was slow.
    pub(super) fn answered_first(
        &mut self,
        here: WaypointId,
        feed: FeedId,
        sent: Timestamp,
        answer: Answer,
    ) -> bool {
        let number = usize::from(here.0);
        let at = answer.at;
        let objective = self.s.plan.waypoints.get(number).map_or(Duration::MAX, |w| w.ack_time);
        let took = at.since(sent);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let slow = took > objective;
        self.note_answer(number, Answer { slow: Some(slow), ..answer });
        if let Some(waypoint) = self.s.waypoints.get_mut(number) {
            waypoint.ack_time.record(micros);
        }
        let primary = self.primary(here);
        if let Some(feed) = self.s.feeds.get_mut(feed.0 as usize)
            && feed.ends_at.contains(&primary)
        {
            feed.ack_time.record(micros);
            feed.current.ack_time.record(micros);
        }
        slow
    }

    /// An entry's answer, as far as it says something about the link.
    fn answer_of(&self, number: usize, entry: &Entry, end: &End) -> Answer {
        let refuses = matches!(end.outcome, Outcome::Errored | Outcome::Rejected);
        let plan = self.s.plan.waypoints.get(number);
        let expected = refuses && plan.is_some_and(|w| w.expected_reasons.contains(&end.reason));
        let bad = (!expected).then_some(refuses);
        Answer { at: end.at, slow: None, bad, reason: end.reason, kind: entry.kind }
    }

    fn note_answer(&mut self, number: usize, answer: Answer) {
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        let refuses = answer.bad == Some(true);
        if refuses {
            let (reason, rare) = (Some(answer.reason), waypoint.usual.is_rare(answer.reason));
            let room = self.lookups.get(number).map_or(0, |lookup| lookup.kinds);
            let kinds = &mut waypoint.usual.kinds;
            by_kind::take(kinds, answer.at, answer.kind, reason, rare, room);
        }
        waypoint.usual.answered(answer.at, refuses.then_some(answer.reason));
        if let Some(minute) = waypoint.usual.minute(answer.at) {
            minute.answers += 1;
            minute.bad += u32::from(refuses);
        }
        // A refusal for an expected reason, and a commit, are a receiver that works.
        if !refuses {
            waypoint.refusing_since = None;
        }
        if waypoint.answers.len() == 64 {
            waypoint.answers.pop_front();
        }
        waypoint.answers.push_back(answer);
    }

    /// Judges the sendings whose time is over, by the waypoint's own time.
    pub(super) fn expire_entries(&mut self, number: usize, fx: &mut Effects) {
        let plan = std::sync::Arc::clone(&self.s.plan);
        let Some(here) = plan.waypoints.get(number) else { return };
        // Where answers are only looked at if they come, silence says nothing.
        let silent = if here.acks == Acks::IfSeen { Outcome::Unknown } else { Outcome::NoAck };
        for _ in 0..PER_TICK {
            let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
            let Some(place) = waypoint.deadlines.front().copied() else { break };
            let Some(entry) = waypoint.entries.get(place) else {
                waypoint.deadlines.pop_front();
                continue;
            };
            let deadline = entry.at.plus(here.no_ack_after);
            if deadline > waypoint.time {
                break;
            }
            waypoint.deadlines.pop_front();
            if entry.committed {
                // The commit came in time; the application has longer.
                waypoint.await_application(place);
                continue;
            }
            let outcome = unanswered_outcome(entry, silent);
            if entry.silence_accepts {
                waypoint.habit.silent = waypoint.habit.silent.saturating_add(1);
            }
            self.end_entry(number, place, &End::unanswered(outcome, deadline), fx);
        }
        self.expire_commits(number, here.application_after.max(here.no_ack_after), fx);
    }

    fn expire_commits(&mut self, number: usize, longer: Duration, fx: &mut Effects) {
        let id = WaypointId(u16::try_from(number).unwrap_or(u16::MAX));
        for _ in 0..PER_TICK {
            let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
            let Some(place) = waypoint.application_deadlines.front().copied() else { return };
            let Some(entry) = waypoint.entries.get(place) else {
                waypoint.application_deadlines.pop_front();
                continue;
            };
            let deadline = entry.at.plus(longer);
            if deadline > waypoint.time {
                return;
            }
            waypoint.application_deadlines.pop_front();
            let (due, journey) = (entry.application_due && !entry.blind, entry.journey);
            if due {
                waypoint.commit_only.push(deadline);
                self.classify(id, journey, AckClass::CommitOnly, deadline, fx);
            }
            let end = End::unanswered(Outcome::Committed, deadline);
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

    fn count_end(&mut self, at: WaypointId, feed: FeedId, end: &End) {
        let place = end.outcome as usize;
        for totals in self.totals(at, Some(feed)) {
            totals.open = totals.open.saturating_sub(1);
            totals.outcomes[place] += 1;
        }
        let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) else { return };
        if let Some(count) = feed.current.outcomes.get_mut(place) {
            *count += 1;
        }
    }
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
