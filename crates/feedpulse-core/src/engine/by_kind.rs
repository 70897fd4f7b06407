//! Refusals of one type, of one sender at one facility, while others pass: what a link's whole share
//! hides.
//!
//! Each kind's last 32 answers are judged against its own usual share of refusals, by Chernoff's bound
//! on the binomial law: so many refusals come by chance less than once in a million answers.

use crate::sighting::ReasonClass;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Classes of reasons.
pub const REASONS: usize = ReasonClass::ALL.len();
/// Kinds that are followed at one link for each feed that passes it.
pub const KINDS_EACH: usize = 48;
/// And at most.
pub const KINDS_MAX: usize = 256;
/// So rare must it be by chance: the negative logarithm of one in a million.
const RARE: f32 = 13.8;
/// Fewer refusals than this say nothing; for a reason that is rare at the link, fewer do.
const LEAST: u32 = 5;
const LEAST_ODD: u32 = 4;
/// A reason that refuses a smaller share of a link's answers is rare there.
pub(super) const ODD: f32 = 0.005;
/// A kind's own share is known after so many answers; before, the link's is taken.
const KNOWN_AFTER: u32 = 100;
/// How slowly a kind's usual share changes, an answer.
const LASTS: f32 = 1.0 / 2_000.0;
/// What is told is no lesson before it has lasted so long, in µs: else what breaks every week would be
/// found later each time.
const LESSON_AFTER: i64 = 86_400_000_000;
/// Refusals longer ago than this are of another time, in µs.
const WINDOW: i64 = 3_600_000_000;
/// It is over after so many good answers in a row.
const GOOD: u32 = 10;

/// The answers to one kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KindAnswers {
    /// The last 32 answers, the latest lowest: 1 refuses.
    pub last: u32,
    /// Of these, refusals for a reason that is rare at this link.
    pub odd: u32,
    /// Answers, all.
    pub seen: u32,
    /// The usual share of refusals, by reason.
    pub usual: [f32; REASONS],
    /// The first refusal of those that go on.
    pub since: Timestamp,
    /// The latest refusal.
    pub at: Timestamp,
}

/// What is refused of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) since: Timestamp,
    pub(crate) refused: u32,
    pub(crate) answers: u32,
}

impl KindAnswers {
    fn take(&mut self, at: Timestamp, reason: Option<ReasonClass>, rare: bool) {
        let refuses = reason.is_some();
        if at.micros_since(self.at) > WINDOW && self.at > Timestamp::EPOCH {
            // What was refused an hour ago says nothing about now.
            (self.last, self.odd) = (0, 0);
        }
        if refuses {
            if self.last.count_ones() < 2 {
                self.since = at;
            }
            self.at = at;
        }
        self.last = (self.last << 1) | u32::from(refuses);
        let own = reason.and_then(|reason| self.usual.get(reason as usize).copied());
        let odd = own.is_some_and(|own| if self.seen < KNOWN_AFTER { rare } else { own < ODD });
        self.odd = (self.odd << 1) | u32::from(odd);
        self.seen = self.seen.saturating_add(1);
        #[expect(clippy::cast_precision_loss, reason = "early answers weigh more: a small count")]
        let weight = (1.0 / self.seen as f32).max(LASTS);
        let told = refuses && self.seen >= KNOWN_AFTER && self.refused(at, 0.01).is_some();
        if told && at.micros_since(self.since) < LESSON_AFTER {
            return;
        }
        for (class, share) in ReasonClass::ALL.iter().zip(&mut self.usual) {
            let hit = if reason == Some(*class) { 1.0 } else { 0.0 };
            *share += (hit - *share) * weight;
        }
    }

    /// The most surprising run-up of its last answers, if chance does not explain it.
    fn refused(&self, now: Timestamp, link: f32) -> Option<Refused> {
        if now.micros_since(self.at) > WINDOW || self.last.trailing_zeros() >= GOOD {
            return None;
        }
        let own = self.usual.iter().sum::<f32>() + 2.0 / self.seen.max(1) as f32;
        let usual = if self.seen >= KNOWN_AFTER { own } else { link };
        let usual = usual.clamp(0.005, 0.9);
        let usual = [(self.last, usual, LEAST), (self.odd, ODD, LEAST_ODD)];
        let windows = [5, 8, 12, 16, 24, 32].into_iter().filter(|n| *n <= self.seen);
        let found = windows.flat_map(|n| usual.map(|of| (n, of))).find_map(|(n, of)| {
            let (bits, usual, least) = of;
            let refused = (bits << (32 - n)).count_ones();
            let rare = n as f32 * surprise(refused, n, usual);
            (refused >= least && rare >= RARE).then_some((refused, n))
        });
        found.map(|(refused, answers)| Refused { since: self.since, refused, answers })
    }
}

/// The divergence of a share of `part` in `whole` from the usual one: 0 where it is not above it.
pub(super) fn surprise(part: u32, whole: u32, usual: f32) -> f32 {
    let share = part as f32 / whole.max(1) as f32;
    if share <= usual {
        return 0.0;
    }
    let rest = if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - usual)).ln() } else { 0.0 };
    share * (share / usual).ln() + rest
}

/// How many kinds are followed at a link that so many feeds pass.
pub(super) fn room(feeds: usize) -> usize {
    (KINDS_EACH * feeds.max(1)).min(KINDS_MAX)
}

/// Takes the answer to a message of a kind: the reason of a refusal, and whether that is rare at the
/// whole link; `room`: how many kinds are followed.
pub(super) fn take(
    kinds: &mut BTreeMap<u32, KindAnswers>,
    at: Timestamp,
    kind: u32,
    reason: Option<ReasonClass>,
    rare: bool,
    room: usize,
) {
    if let Some(answers) = kinds.get_mut(&kind) {
        answers.take(at, reason, rare);
    } else if kinds.len() < room {
        kinds.entry(kind).or_default().take(at, reason, rare);
    }
}

/// The kind that is refused most, against what is usual for it; `link`: the whole link's usual share.
pub(crate) fn refused(
    kinds: &BTreeMap<u32, KindAnswers>,
    now: Timestamp,
    link: f32,
) -> Option<Refused> {
    let all = kinds.values().filter_map(|answers| answers.refused(now, link));
    all.max_by_key(|found| found.refused)
}

#[cfg(test)]
mod tests {
    use super::refused;
    use crate::sighting::ReasonClass;
    use crate::time::Timestamp;
    use std::collections::BTreeMap;

    fn take(kinds: &mut BTreeMap<u32, super::KindAnswers>, at: Timestamp, kind: u32, bad: bool) {
        super::take(kinds, at, kind, bad.then_some(ReasonClass::UnknownKey), false, 9);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + second)
    }

    #[test]
    fn half_of_a_kind_refused_is_found_and_a_third_all_day_is_not() {
        let mut kinds = BTreeMap::new();
        for second in 0..3_000 {
            take(&mut kinds, at(second), 1, second % 50 == 0);
            take(&mut kinds, at(second), 2, second % 3 == 0);
            assert_eq!(refused(&kinds, at(second), 0.2), None, "{second}");
        }
        let mut after = None;
        for second in 3_000..3_060 {
            take(&mut kinds, at(second), 1, second % 2 == 0);
            take(&mut kinds, at(second), 2, second % 3 == 0);
            if after.is_none() && refused(&kinds, at(second), 0.2).is_some() {
                after = Some(second - 3_000);
            }
        }
        assert!(after.is_some_and(|n| n <= 16), "found after {after:?} answers");
        for second in 3_060..3_080 {
            take(&mut kinds, at(second), 1, false);
        }
        assert_eq!(refused(&kinds, at(3_080), 0.2), None, "it is over");
    }

    #[test]
    fn four_refusals_of_eight_are_enough_where_the_reason_is_rare() {
        for (reason, found) in [(ReasonClass::Structure, true), (ReasonClass::UnknownKey, false)] {
            let mut kinds = BTreeMap::new();
            (0..1_000).for_each(|n| take(&mut kinds, at(n), 1, n % 10 == 0));
            for n in 1_000..1_008 {
                super::take(&mut kinds, at(n), 1, (n % 2 == 0).then_some(reason), false, 9);
            }
            assert_eq!(refused(&kinds, at(1_008), 0.1).is_some(), found, "{reason:?}");
        }
    }

    #[test]
    fn what_breaks_again_and_again_is_found_as_soon_and_a_new_normal_is_learned_in_two_days() {
        let (mut kinds, mut now) = (BTreeMap::new(), 0);
        let mut give = |reason: Option<ReasonClass>, now: &mut i64| {
            *now += 18;
            super::take(&mut kinds, at(*now), 1, reason, true, 9);
            refused(&kinds, at(*now), 0.01)
        };
        for episode in 0..6 {
            for _ in 0..2_000 {
                give(None, &mut now);
            }
            let odd = |n: u32| n.is_multiple_of(2).then_some(ReasonClass::Structure);
            let found = (0..200_u32).position(|n| give(odd(n), &mut now).is_some());
            assert!(found.is_some_and(|n| n < 8), "episode {episode}: after {found:?}");
            for n in 0..200 {
                give(odd(n), &mut now);
            }
            for _ in 0..10 {
                give(None, &mut now);
            }
            assert_eq!(give(None, &mut now), None, "episode {episode} is over");
        }
        // A third for good: told for a day, and no longer two days later.
        let third = |n: u32| n.is_multiple_of(3).then_some(ReasonClass::UnknownKey);
        let mut told = |n: u32| give(third(n), &mut now).is_some();
        assert!((0..500).any(&mut told));
        for n in 0..14_400 {
            told(n);
        }
        assert!(!(0..500).any(&mut told), "three days later");
    }

    #[test]
    fn the_kinds_of_a_feed_take_no_more_than_eight_kilobytes() {
        for (feeds, most) in [(0, 48), (1, 48), (3, 144), (50, 256)] {
            let mut kinds = BTreeMap::new();
            for kind in 0..1_000 {
                super::take(&mut kinds, at(0), kind, None, false, super::room(feeds));
            }
            assert_eq!(kinds.len(), most, "{feeds} feeds");
            // A node of the map may be half empty.
            let bytes = 2 * kinds.len() * size_of::<(u32, super::KindAnswers)>();
            assert!(bytes <= 8_192 * feeds.max(1), "{bytes} bytes for {feeds} feeds");
        }
    }

    #[test]
    fn a_new_kind_is_judged_by_its_link() {
        for (link, found) in [(0.01, true), (0.5, false)] {
            let mut kinds = BTreeMap::new();
            (0..6).for_each(|second| take(&mut kinds, at(second), 9, true));
            assert_eq!(refused(&kinds, at(6), link).is_some(), found, "{link}");
            assert_eq!(refused(&kinds, at(6 + 3_700), link), None, "an hour later");
        }
    }
}
