//! Steps of a sender's clock: MSH-7 jumps against our clock by 30 s or more between neighbouring messages,
//! and stays there. A delay looks alike from one message on; it is told apart by what a delay cannot do:
//!
//! - *ahead*: messages from the future (MSH-7 later than they were seen);
//! - *back*: MSH-7 fell behind that of the message before, and the new offset holds for 30 s;
//! - *back again*: what was stepped before is taken back, to 10 s;
//! - *whole hours* (a zone, or daylight saving): the new offset lies within 30 s of them and holds for 5 min.
//!
//! Three messages in a row must agree to 5 s on the new offset; a backlog that drains slides, and ends where
//! it began. A step back that is shorter than the pause before it, and no whole hours, cannot be told from a
//! delay, and is not.

use crate::time::Timestamp;

/// A jump is at least this large, in µs.
pub(super) const STEP: i64 = 30 * SECOND;
/// Messages behind a jump agree to this, in µs.
const AGREE: i64 = 5 * SECOND;
/// So many must.
const TIMES: u8 = 3;
/// Our own clock may be off by so much, in µs.
const OURS: i64 = 2 * SECOND;
/// A step back is one when it holds for this long, in µs.
const HOLDS: i64 = 30 * SECOND;
/// Whole hours, when they hold for this long, in µs.
const HOLDS_HOURS: i64 = 300 * SECOND;
/// After this a new offset is what is usual, in µs.
const USUAL_AFTER: i64 = HOUR;
/// How near to whole hours, in µs.
const NEAR_HOUR: i64 = 30 * SECOND;
/// How near to what was stepped before, in µs.
const NEAR_BACK: i64 = 10 * SECOND;
const HOUR: i64 = 3_600 * SECOND;
const SECOND: i64 = 1_000_000;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The offset before it, in µs.
    pub from: i64,
    /// The offset of its first message, in µs.
    pub offset: i64,
    /// When that came.
    pub since: Timestamp,
    /// Messages that agree on it.
    pub times: u8,
    /// MSH-7 went back.
    pub back: bool,
}

/// How a sender's clock has jumped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jump {
    /// MSH-7 of the last message.
    pub made: Option<Timestamp>,
    /// A jump that is not sure.
    pub trial: Option<Trial>,
    /// The sum of the steps that were told, in µs; ahead is positive.
    pub told: i64,
}

/// A step of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How far, in µs; ahead is positive.
    pub by: i64,
    /// Messages that show it.
    pub messages: usize,
}

impl Step {
    /// The whole hours that it is.
    #[must_use]
    pub const fn hours(self) -> Option<i64> {
        whole_hours(self.by)
    }
}

const fn whole_hours(by: i64) -> Option<i64> {
    let hours = (by + HOUR / 2).div_euclid(HOUR);
    if hours != 0 && hours.abs() <= 26 && (by - hours * HOUR).abs() <= NEAR_HOUR {
        Some(hours)
    } else {
        None
    }
}

impl Jump {
    /// Takes a message: `offset` is (seen here - MSH-7) in µs, `usual` what it was before.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        made: Timestamp,
        usual: Option<i64>,
    ) -> Option<Step> {
        let offset = at.micros_since(made);
        let went_back = self.made.replace(made).is_some_and(|before| made < before);
        let fresh = |from: i64, back: bool| {
            let far = (offset - from).abs() >= STEP;
            far.then_some(Trial { from, offset, since: at, times: 1, back })
        };
        let Some(mut trial) = self.trial.take() else {
            self.trial = usual.and_then(|from| fresh(from, went_back));
            return None;
        };
        if (offset - trial.offset).abs() > AGREE {
            self.trial = fresh(trial.from, went_back);
            return None;
        }
        trial.times = trial.times.saturating_add(1);
        let by = trial.from - trial.offset;
        let held = at.micros_since(trial.since);
        if trial.times >= TIMES && self.is_proven(&trial, by, held) {
            self.told += by;
            if self.told.abs() < NEAR_BACK {
                self.told = 0;
            }
            return Some(Step { by, messages: usize::from(trial.times) });
        }
        self.trial = (held < USUAL_AFTER || trial.times < TIMES).then_some(trial);
        None
    }

    fn is_proven(&self, trial: &Trial, by: i64, held: i64) -> bool {
        let future = by > 0 && trial.offset < -OURS;
        let back = by < 0 && trial.back && held >= HOLDS;
        let again = self.told != 0 && (by + self.told).abs() <= NEAR_BACK;
        future || back || again || (whole_hours(by).is_some() && held >= HOLDS_HOURS)
    }
}

#[cfg(test)]
mod tests {
    use super::{HOUR, Jump, SECOND, Step};
    use crate::time::Timestamp;

    const START: i64 = 1_800_000_000;

    /// Messages as (second seen, second of MSH-7); the usual offset is a second. What was told, in seconds.
    fn told(jump: &mut Jump, messages: impl IntoIterator<Item = (i64, i64)>) -> Vec<i64> {
        let at = |secs: i64| Timestamp::from_secs(START + secs);
        let mut usual = SECOND;
        let mut said = Vec::new();
        for (seen, made) in messages {
            if let Some(step) = jump.take(at(seen), at(made), Some(usual)) {
                usual -= step.by;
                said.push(step.by / SECOND);
            }
        }
        said
    }

    /// One message each ten seconds; the clock is `ahead` seconds ahead.
    fn steady(from: i64, to: i64, ahead: i64) -> impl Iterator<Item = (i64, i64)> {
        (from..to).map(move |n| (n * 10, n * 10 - 1 + ahead))
    }

    #[test]
    fn steps_are_told_once_with_their_size_and_direction() {
        for ahead in [-86_000, -7_200, -3_600, -45, 45, 300, 3_600] {
            let mut jump = Jump::default();
            let run = steady(0, 50, 0).chain(steady(50, 150, ahead)).chain(steady(150, 250, 0));
            assert_eq!(told(&mut jump, run), [ahead, -ahead], "{ahead}");
            assert_eq!(jump.told, 0);
        }
        assert_eq!(told(&mut Jump::default(), steady(0, 50, 0).chain(steady(50, 99, 20))), [0; 0]);
    }

    #[test]
    fn whole_hours_are_told_where_the_feed_is_too_quiet_for_more() {
        let quiet = |from: i64, to: i64, ahead: i64| {
            (from..to).map(move |n| (n * 7_000, n * 7_000 - 1 + ahead))
        };
        let run = quiet(0, 10, 0).chain(quiet(10, 20, -3_600));
        assert_eq!(told(&mut Jump::default(), run), [-3_600]);
        let run = quiet(0, 10, 0).chain(quiet(10, 20, -600));
        assert_eq!(told(&mut Jump::default(), run), [0; 0], "that may be a delay");
    }

    #[test]
    fn delays_are_no_steps() {
        // An hour is held back, and drains ten times as fast as it came.
        let held = (100..460).map(|n| (4_600 + (n - 100), n * 10));
        let run = steady(0, 100, 0).chain(held).chain(steady(500, 700, 0));
        assert_eq!(told(&mut Jump::default(), run), [0; 0], "a backlog");
        // Each message is a minute late for half an hour.
        let late = (100..280).map(|n| (n * 10 + 60, n * 10));
        let run = steady(0, 100, 0).chain(late).chain(steady(300, 400, 0));
        assert_eq!(told(&mut Jump::default(), run), [0; 0], "a constant delay");
        // Old ones come between the live ones.
        let replay = (100..300).map(|n| (n * 10, n * 10 - 1 - 3_600 * (n % 2)));
        let run = steady(0, 100, 0).chain(replay).chain(steady(300, 400, 0));
        assert_eq!(told(&mut Jump::default(), run), [0; 0], "a replay");
        // A burst of old ones, at once.
        let burst = (0..20).map(|n| (1_001, 500 + n / 10));
        let run = steady(0, 100, 0).chain(burst).chain(steady(101, 200, 0));
        assert_eq!(told(&mut Jump::default(), run), [0; 0], "a burst of old ones");
    }

    #[test]
    fn hours_are_named() {
        for (by, hours) in [(HOUR, Some(1)), (-HOUR - 9 * SECOND, Some(-1)), (2 * HOUR, Some(2))] {
            assert_eq!(Step { by, messages: 3 }.hours(), hours);
        }
        for by in [0, 40 * SECOND, HOUR / 2, 27 * HOUR, HOUR + 60 * SECOND] {
            assert_eq!(Step { by, messages: 3 }.hours(), None, "{by}");
        }
    }
}
