//! How often messages arrive behind younger ones, by what their sender wrote: MSH-7, or the number at the
//! end of MSH-10 where MSH-7 is not known to the second. Compared are neighbours of one sender on one
//! connection only: who sends on several at once has no order between them. And an older one
//! counts only if it took far longer than the one it came behind: a backlog that drains through several
//! threads is shuffled, and no news.

use crate::frame::ConnectionId;
use crate::label::Label;
use crate::sighting::MessageSeen;
use crate::time::{Precision, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Pairs of connection and sender that are followed; the oldest connection goes first.
const FOLLOWED: usize = 64;
/// So many messages make known what is usual.
const KNOWN_AFTER: u64 = 200;
/// How slowly the usual share follows: by this much a message.
const LASTS: f32 = 1.0 / 10_000.0;
/// Minutes that are judged.
const MINUTES: usize = 5;
const MINUTE: i64 = 60_000_000;
/// MSH-7 may be written to the second in one message and finer in the next, in µs.
const FINE: i64 = 1_000_000;
/// An older message took so many times as long from MSH-7 to here as the one that it came behind.
const LONGER: i64 = 4;
/// A number that falls by more was set anew.
const NEAR: u64 = 10_000;

/// What a sender wrote that tells the order of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// MSH-7.
    Made(Timestamp),
    /// MSH-10: a fingerprint of what stands before the number, and the number.
    Number(u32, u64),
}

/// The order of messages at a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disorder {
    /// The last mark on each connection, by sender, and when it was seen.
    pub last: BTreeMap<(ConnectionId, Label), (Mark, Timestamp)>,
    /// The last minutes: start, messages that have a neighbour, those that are older than it.
    pub minutes: VecDeque<(Timestamp, u32, u32)>,
    /// Messages that had a neighbour, all.
    pub seen: u64,
    /// The usual share of those that are older than it.
    pub share: f32,
    /// The first of those that came out of order in this run of them.
    pub since: Option<Timestamp>,
}

/// The mark of a message.
fn mark_of(message: &MessageSeen) -> Option<Mark> {
    if let Some(made) = message.made.filter(|made| made.precision >= Precision::Second) {
        return Some(Mark::Made(made.at));
    }
    let id = message.control_id.clear();
    let id = id.as_str();
    let digits = id.bytes().rev().take_while(u8::is_ascii_digit).count().min(18);
    let (before, number) = id.split_at(id.len() - digits);
    // FNV-1a: it tells counters of one sender apart, no more.
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    Some(Mark::Number(before.bytes().fold(0x811c_9dc5, fold), number.parse().ok()?))
}

/// Whether a mark is older than its neighbour; None: they cannot be compared.
fn is_older(before: Mark, now: Mark) -> Option<bool> {
    match (before, now) {
        (Mark::Made(before), Mark::Made(now)) => Some(before.micros_since(now) >= FINE),
        (Mark::Number(a, before), Mark::Number(b, now)) if a == b => {
            let fell = before.saturating_sub(now);
            (fell <= NEAR).then_some(fell > 0)
        }
        _ => None,
    }
}

impl Disorder {
    /// Takes a message that is no repeat; `told`: its order was told by a rule of its own.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        on: ConnectionId,
        message: &MessageSeen,
        told: bool,
    ) {
        let Some(mark) = mark_of(message) else { return };
        let key = (on, message.sender);
        if self.last.len() >= FOLLOWED && !self.last.contains_key(&key) {
            self.last.pop_first();
        }
        let Some((before, seen)) = self.last.insert(key, (mark, at)) else { return };
        let Some(older) = is_older(before, mark) else { return };
        let longer = match (before, mark) {
            (Mark::Made(before), Mark::Made(now)) => {
                at.micros_since(now) >= LONGER * seen.micros_since(before).max(0)
            }
            _ => true,
        };
        let older = older && longer && !told;
        self.seen += 1;
        #[expect(clippy::cast_precision_loss, reason = "early ones weigh more: a small count")]
        let weight = (1.0 / self.seen as f32).max(LASTS);
        self.share += (if older { 1.0 } else { 0.0 } - self.share) * weight;
        let start = Timestamp::from_micros(at.as_micros().div_euclid(MINUTE) * MINUTE);
        if self.minutes.back().is_none_or(|(last, ..)| *last < start) {
            if self.minutes.len() == MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back((start, 0, 0));
        }
        if let Some((_, seen, late)) = self.minutes.back_mut() {
            *seen = seen.saturating_add(1);
            *late = late.saturating_add(u32::from(older));
        }
        if older {
            self.since.get_or_insert(at);
        }
    }

    /// A connection is over.
    pub(super) fn over(&mut self, on: ConnectionId) {
        if !self.last.is_empty() {
            self.last.retain(|(known, _), _| *known != on);
        }
    }

    /// Messages of the last five minutes, and those of them that came out of order.
    fn lately(&self, now: Timestamp) -> (u32, u32) {
        let within = |(start, ..): &&(Timestamp, u32, u32)| {
            now.micros_since(*start) < MINUTE * i64::try_from(MINUTES).unwrap_or(5)
        };
        let sum = |(seen, late): (u32, u32), (_, s, l): &(Timestamp, u32, u32)| {
            (seen.saturating_add(*s), late.saturating_add(*l))
        };
        self.minutes.iter().filter(within).fold((0, 0), sum)
    }

    /// Far more come out of order than usually do: since when, how many, of how many. `Err(true)`: over.
    pub(crate) fn judge(&mut self, now: Timestamp) -> Result<(Timestamp, u32, u32), bool> {
        let (seen, late) = self.lately(now);
        if late < 3 {
            if late == 0 {
                self.since = None;
            }
            return Err(true);
        }
        let (late_so, seen_so) = (f64::from(late), f64::from(seen));
        let usual = f64::from(self.share) * seen_so;
        // Chance alone brings more than four times a small number now and then.
        let chance = usual + 4.0 + 4.0 * usual.sqrt();
        let many = late >= 5 && late_so >= 0.05 * seen_so;
        let unusual = late_so >= 4.0 * usual && late_so >= chance;
        match self.since.filter(|_| many && unusual && self.seen > KNOWN_AFTER) {
            Some(since) => Ok((since, late, seen)),
            None => Err(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disorder, FOLLOWED, Mark, is_older};
    use crate::frame::ConnectionId;
    use crate::sighting::MessageSeen;
    use crate::time::{EventTime, Precision, Timestamp};

    fn message(made: Option<i64>, id: &str) -> MessageSeen {
        let at = |secs| EventTime {
            at: Timestamp::from_secs(secs),
            precision: Precision::Second,
            zone_stated: true,
        };
        MessageSeen { made: made.map(at), ..crate::engine::tests::message(id, "") }
    }

    const START: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(START + second)
    }

    /// A second each; every `nth` from `from` on is a minute old.
    fn play(disorder: &mut Disorder, from: i64, to: i64, nth: i64) {
        for n in from..to {
            let old = if nth > 0 && n % nth == 0 { 60 } else { 0 };
            disorder.take(at(n), ConnectionId(1), &message(Some(START + n - old), ""), false);
        }
    }

    #[test]
    fn old_ones_between_new_ones_are_found_and_end() {
        let mut disorder = Disorder::default();
        play(&mut disorder, 0, 2_000, 0);
        assert_eq!(disorder.judge(at(2_000)), Err(true));
        play(&mut disorder, 2_000, 2_100, 5);
        let (since, late, seen) = disorder.judge(at(2_100)).expect("found");
        assert_eq!((since, late), (at(2_000), 20));
        assert!((240..=400).contains(&seen), "{seen}");
        play(&mut disorder, 2_100, 2_600, 0);
        assert_eq!(disorder.judge(at(2_600)), Err(true));
        assert_eq!(disorder.since, None);
    }

    #[test]
    fn what_is_usual_is_no_news() {
        let mut disorder = Disorder::default();
        play(&mut disorder, 0, 2_000, 8);
        assert!(disorder.judge(at(2_000)).is_err(), "{}", disorder.share);
        let mut young = Disorder::default();
        play(&mut young, 0, 150, 5);
        assert!(young.judge(at(150)).is_err(), "nothing is known yet");
    }

    #[test]
    fn several_connections_have_no_order_between_them() {
        let mut disorder = Disorder::default();
        for n in 0..3_000 {
            let on = ConnectionId(u64::try_from(n % 3).unwrap());
            disorder.take(at(n), on, &message(Some(START + n - 40 * (n % 3)), ""), false);
        }
        assert_eq!((disorder.judge(at(3_000)), disorder.share), (Err(true), 0.0));
        for n in 0..300 {
            disorder.take(at(3_000), ConnectionId(n), &message(Some(1), ""), false);
        }
        assert_eq!(disorder.last.len(), FOLLOWED);
        disorder.over(ConnectionId(299));
        assert_eq!(disorder.last.len(), FOLLOWED - 1);
    }

    #[test]
    fn a_clock_that_is_set_back_is_one_step_and_what_was_told_is_not_told_again() {
        let mut disorder = Disorder::default();
        play(&mut disorder, 0, 1_000, 0);
        for n in 1_000..1_200 {
            disorder.take(at(n), ConnectionId(1), &message(Some(START + n - 3_600), ""), false);
        }
        assert_eq!(disorder.judge(at(1_200)), Err(true), "one, and no more");
        for n in 1_200..1_300 {
            let old = 4_000 * (n % 2);
            disorder.take(at(n), ConnectionId(1), &message(Some(START + n - old), ""), true);
        }
        assert_eq!(disorder.judge(at(1_300)), Err(true));
    }

    #[test]
    fn a_shuffled_backlog_is_no_news() {
        let mut disorder = Disorder::default();
        play(&mut disorder, 0, 1_000, 0);
        for n in 0..600 {
            // An hour's messages, ten a second, each with its neighbour.
            let made = START + 1_000 + (n ^ 1) * 6;
            disorder.take(at(4_600 + n / 10), ConnectionId(1), &message(Some(made), ""), false);
        }
        assert!(disorder.judge(at(4_660)).is_err(), "{disorder:?}");
    }

    #[test]
    fn marks_are_compared_where_they_can_be() {
        let made = |n| Mark::Made(Timestamp::from_micros(n));
        for (before, now, older) in [
            (made(5_900_000), made(5_000_000), Some(false)),
            (made(6_000_000), made(5_000_000), Some(true)),
            (Mark::Number(1, 8), Mark::Number(1, 7), Some(true)),
            (Mark::Number(1, 7), Mark::Number(1, 8), Some(false)),
            (Mark::Number(1, 99_999), Mark::Number(1, 0), None),
            (Mark::Number(1, 8), Mark::Number(2, 7), None),
            (made(1), Mark::Number(2, 7), None),
        ] {
            assert_eq!(is_older(before, now), older, "{before:?} {now:?}");
        }
        let mark = |id: &str| super::mark_of(&message(None, id));
        assert_eq!(mark("MSG"), None);
        assert!(matches!(mark("MSG00042"), Some(Mark::Number(_, 42))));
        assert!(matches!(mark("12345678901234567890"), Some(Mark::Number(..))));
    }
}
