//! How old messages are when they are first seen, against what their feed promises: by the sender's
//! clock, and so only where that can be trusted.

use super::state::Recent;
use crate::plan::Objectives;
use crate::sighting::Urgency;
use crate::time::Timestamp;

/// Late ones of the last 32 known ages that are a finding, and below which it is over.
const MANY: u32 = 7;
const FEW: u32 = 3;
/// Fewer known ages than this say nothing.
const LEAST: u32 = 5;
/// Urgent ones within ten minutes.
const URGENT: usize = 2;
/// What was late longer ago than this, in µs, is over.
const WINDOW: i64 = 600_000_000;

/// The last ages of a feed's messages, as far as they were known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aged {
    /// The last 32, the latest lowest: 1 was older than promised.
    pub last: u32,
    /// How many, at most 32.
    pub seen: u8,
    /// The latest that was older, and its age in µs.
    pub worst: (Timestamp, u64),
    /// Urgent ones that were older.
    pub urgent: Recent,
}

/// Whether a feed's messages come too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They do: how many of how many.
    Old(u32, u8),
    /// They do not.
    Fine,
    /// Neither: what was said stays.
    Between,
}

impl Aged {
    /// Takes a message's age in µs.
    pub(super) fn take(&mut self, at: Timestamp, age: u64, urgency: Urgency, o: &Objectives) {
        let urgent = urgency > Urgency::Routine;
        let promised = if urgent { o.urgent_source_age.or(o.source_age) } else { o.source_age };
        let Some(promised) = promised else { return };
        let late = u128::from(age) > promised.as_micros();
        self.last = (self.last << 1) | u32::from(late);
        self.seen = (self.seen + 1).min(32);
        if late {
            self.worst = (at, age);
        }
        if late && urgent {
            self.urgent.push(at);
        }
    }

    /// How it stands.
    pub(crate) fn judge(&self, now: Timestamp) -> Verdict {
        let seen = u32::from(self.seen);
        if seen < LEAST || now.micros_since(self.worst.0) > WINDOW {
            return Verdict::Fine;
        }
        let late = self.last.count_ones();
        let urgent = self.urgent.within(now, WINDOW / 1_000_000);
        // A fifth of them, of few as of many.
        if late >= LEAST.min(MANY) && late * 32 >= MANY * seen || urgent >= URGENT {
            Verdict::Old(late, self.seen)
        } else if late * 32 < FEW * seen {
            Verdict::Fine
        } else {
            Verdict::Between
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Aged, Verdict};
    use crate::plan::Objectives;
    use crate::sighting::Urgency;
    use crate::time::Timestamp;
    use core::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + second)
    }

    #[test]
    fn old_messages_are_a_finding_with_hysteresis() {
        let o = Objectives { source_age: Some(Duration::from_secs(60)), ..Objectives::default() };
        let mut aged = Aged::default();
        let mut take = |second: i64, age: u64| {
            aged.take(at(second), age * 1_000_000, Urgency::Routine, &o);
            aged.judge(at(second))
        };
        (0..40).for_each(|n| assert_eq!(take(n, 30), Verdict::Fine));
        let said: Vec<Verdict> = (40..47).map(|n| take(n, 90)).collect();
        assert_eq!(said.last(), Some(&Verdict::Old(7, 32)));
        assert!(said[..6].iter().all(|v| !matches!(v, Verdict::Old(..))), "{said:?}");
        let after: Vec<Verdict> = (47..80).map(|n| take(n, 30)).collect();
        assert_eq!(after.last(), Some(&Verdict::Fine));
        assert!(after.contains(&Verdict::Between), "it does not flap at the edge");
    }

    #[test]
    fn two_urgent_ones_are_enough_and_without_a_promise_nothing_is_late() {
        let o = Objectives {
            urgent_source_age: Some(Duration::from_secs(20)),
            ..Objectives::default()
        };
        let mut aged = Aged::default();
        for n in 0..20 {
            aged.take(at(n), 900_000_000, Urgency::Routine, &o);
        }
        assert_eq!((aged.seen, aged.judge(at(20))), (0, Verdict::Fine));
        for n in 20..25 {
            let age = if n > 22 { 30_000_000 } else { 5_000_000 };
            aged.take(at(n), age, Urgency::Critical, &o);
        }
        assert!(matches!(aged.judge(at(25)), Verdict::Old(2, 5)));
        assert_eq!(aged.judge(at(700)), Verdict::Fine, "ten minutes later");
    }
}
