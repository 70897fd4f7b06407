//! Senders' clocks: how far MSH-7 is from our clock, and which source ages can be trusted.
//!
//! Skew is the median of (seen here - MSH-7) over a sender's last 63 messages that state MSH-7 to the
//! second and its zone. A clock is *fast* when that is below -2 s; it has a *zone* fault when it lies
//! within 90 s of a whole number of quarter hours (not 0) with little spread. Nine messages that
//! agree on another offset, 30 s away, are a *step*: what was known before is forgotten. A step that is
//! proven (`jump.rs`) is told, and forgets it at once.

use super::jump::{Jump, STEP, Step};
use crate::label::Label;
use crate::lag::Withheld;
use crate::time::{EventTime, Precision, Timestamp};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// Senders kept apart; further ones have no source ages (their clock is not known).
pub(super) const SENDERS_MAX: usize = 512;
/// Messages that make up a sender's skew.
const SAMPLES: usize = 63;
/// Fewer say nothing.
const SURE: usize = 9;
/// Medians are taken anew with every so many messages.
const EVERY: u32 = 8;
/// Our own clock may be off by so much, in µs.
const OURS: i64 = 2_000_000;
/// How near to a quarter hour is a zone fault, in µs.
const NEAR: i64 = 90_000_000;
const QUARTER: i64 = 900_000_000;
/// Before a sender's ages are known, one above this is no delay, in µs (7 days).
const WINDOW_AT_FIRST: u64 = 7 * 86_400_000_000;
/// The window is never narrower than this, in µs (24 h).
const WINDOW_LEAST: u64 = 86_400_000_000;

/// What is wrong with a sender's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// It is ahead of ours.
    Fast,
    /// It is off by whole quarter hours: a zone or daylight-saving fault.
    Zone,
}

impl ClockFault {
    /// Its name as evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Zone => "zone",
        }
    }
}

/// One sender's clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clock {
    /// The last offsets in µs (seen here - MSH-7), oldest first, at most 63.
    pub offsets: VecDeque<i64>,
    /// Their median, once nine are known.
    pub skew: Option<i64>,
    /// Median distance from it.
    pub spread: i64,
    /// What is wrong with it.
    pub fault: Option<ClockFault>,
    /// The last ages in µs, oldest first, at most 63: what is usual.
    pub ages: VecDeque<u64>,
    /// An age above this is no delay.
    pub window: u64,
    /// Messages so far: the medians are taken anew with every eighth.
    pub turn: u32,
    /// How it has jumped.
    pub jump: Jump,
}

/// All senders' clocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clocks {
    /// By MSH-3 and MSH-4.
    pub senders: BTreeMap<(Label, Label), Clock>,
}

/// What would be at `rank` of the values (at most [`SAMPLES`]) if they were sorted; 0 without any.
fn ranked<T: Copy + Default + Ord>(
    values: impl Iterator<Item = T>,
    rank: impl Fn(usize) -> usize,
) -> T {
    let mut held = [T::default(); SAMPLES];
    let mut count = 0;
    for (place, value) in held.iter_mut().zip(values) {
        *place = value;
        count += 1;
    }
    let (held, rank) = (held.get_mut(..count).unwrap_or_default(), rank(count));
    if rank < count { *held.select_nth_unstable(rank).1 } else { T::default() }
}

fn median(values: impl Iterator<Item = i64>) -> i64 {
    ranked(values, |count| count / 2)
}

/// Zones differ by this much at most, in µs: what is further off is no fault of a zone.
const ZONES: i64 = 26 * 3_600_000_000;

/// Whether an offset is near a whole number of quarter hours, and not near 0.
fn is_quarters(offset: i64) -> bool {
    if offset.abs() > ZONES {
        return false;
    }
    let past = offset.rem_euclid(QUARTER);
    (offset + QUARTER / 2).div_euclid(QUARTER) != 0 && past.min(QUARTER - past) < NEAR
}

impl Clock {
    fn sample(&mut self, offset: i64) {
        if self.offsets.len() == SAMPLES {
            self.offsets.pop_front();
        }
        self.offsets.push_back(offset);
        self.turn = self.turn.wrapping_add(1);
        let due = self.turn.is_multiple_of(EVERY) || self.skew.is_none();
        if self.offsets.len() < SURE || !due {
            return;
        }
        let latest = self.offsets.len() - SURE;
        let new = median(self.offsets.iter().skip(latest).copied());
        let agree = self.offsets.iter().skip(latest).all(|o| (o - new).abs() < STEP / 2);
        if agree && self.skew.is_some_and(|skew| (skew - new).abs() > STEP) {
            self.offsets.drain(..latest);
            self.ages.clear();
        }
        self.settle();
    }

    /// A proven step: only the messages behind it count from now on.
    fn stepped(&mut self, step: Step) {
        let before = self.offsets.len().saturating_sub(step.messages);
        self.offsets.drain(..before);
        self.ages.clear();
        self.settle();
    }

    /// Median, spread and fault anew.
    fn settle(&mut self) {
        let skew = median(self.offsets.iter().copied());
        self.spread = median(self.offsets.iter().map(|o| (o - skew).abs()));
        self.skew = Some(skew);
        self.fault = if is_quarters(skew) && self.spread < NEAR {
            Some(ClockFault::Zone)
        } else if skew < -OURS {
            Some(ClockFault::Fast)
        } else {
            None
        };
    }

    /// Whether a message's own offset says that the clock cannot be trusted: it is ahead, far below
    /// what the clock is known for (it may be stepping), or whole quarter hours off all at once.
    fn is_odd(&self, offset: i64) -> bool {
        let usual = self.spread.saturating_mul(8).max(STEP);
        // Later than ever by whole quarter hours: a zone that was changed, or a queue. Nobody knows yet.
        let zone = |offset: i64| is_quarters(offset) && offset > 0;
        let steps = |skew: i64| (offset - skew).abs() > usual && (offset < skew || zone(offset));
        offset < -OURS || self.skew.map_or(is_quarters(offset), steps)
    }

    fn judge(&mut self, age: u64) -> Result<u64, Withheld> {
        let known = self.ages.len() >= SAMPLES / 2;
        let window = if known { self.window } else { WINDOW_AT_FIRST };
        if age > window {
            return Err(Withheld::OutOfWindow);
        }
        if self.ages.len() == SAMPLES {
            self.ages.pop_front();
        }
        self.ages.push_back(age);
        if !self.turn.is_multiple_of(EVERY) && self.window > 0 {
            return Ok(age);
        }
        let p95 = ranked(self.ages.iter().copied(), |count| count * 95 / 100);
        self.window = p95.saturating_mul(20).max(WINDOW_LEAST);
        Ok(age)
    }
}

/// One message's times, as the sender states them.
#[derive(Clone, Copy, Debug)]
pub struct Stated {
    /// MSH-3 and MSH-4.
    pub sender: (Label, Label),
    /// MSH-7.
    pub made: Option<EventTime>,
    /// The best statement of its event.
    pub event: Option<EventTime>,
    /// Why there is none.
    pub withheld: Option<Withheld>,
    /// What is held back on purpose.
    pub embargo: Duration,
}

/// What is new about a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockNews {
    /// A fault that has just begun.
    pub fault: Option<ClockFault>,
    /// A step.
    pub step: Option<Step>,
}

impl Clocks {
    /// The source age of a message seen at `at`, in µs, and what is new about its clock.
    ///
    /// # Errors
    /// Why it is withheld.
    pub fn age(&mut self, at: Timestamp, stated: &Stated) -> (Result<u64, Withheld>, ClockNews) {
        let exact = |t: EventTime| t.precision >= Precision::Second;
        let offset = stated.made.filter(|t| exact(*t)).map(|t| at.micros_since(t.at));
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(&stated.sender) {
            return (Err(Withheld::SenderClock), ClockNews::default());
        }
        let clock = self.senders.entry(stated.sender).or_default();
        let before = clock.fault;
        let usual = clock.skew;
        let mut odd = offset.is_some_and(|offset| clock.is_odd(offset));
        let mut step = None;
        if let (Some(offset), Some(made)) = (offset, stated.made) {
            clock.sample(offset);
            step = clock.jump.take(at, made.at, usual);
            if let Some(step) = step {
                clock.stepped(step);
                odd = clock.is_odd(offset);
            }
        }
        let news = ClockNews { fault: clock.fault.filter(|fault| before != Some(*fault)), step };
        let Some(event) = stated.event else {
            return (Err(stated.withheld.unwrap_or(Withheld::NoTime)), news);
        };
        if !exact(event) {
            return (Err(Withheld::Coarse), news);
        }
        if clock.fault.is_some() || odd {
            return (Err(Withheld::SenderClock), news);
        }
        let age = at.micros_since(event.at);
        if age < -OURS {
            return (Err(Withheld::Future), news);
        }
        // Within our own clock's tolerance an event of just now has no age.
        let age = u64::try_from(age).unwrap_or(0);
        let embargo = u64::try_from(stated.embargo.as_micros()).unwrap_or(u64::MAX);
        (clock.judge(age).map(|age| age.saturating_sub(embargo)), news)
    }
}

#[cfg(test)]
mod tests {
    use super::{ClockFault, ClockNews, Clocks, Stated};
    use crate::label::Label;
    use crate::lag::Withheld;
    use crate::time::{EventTime, Precision, Timestamp};
    use core::time::Duration;

    const START: i64 = 1_800_000_000;

    fn time(secs: i64, precision: Precision) -> Option<EventTime> {
        Some(EventTime { at: Timestamp::from_secs(secs), precision, zone_stated: true })
    }

    /// The sender's clock is `ahead` seconds ahead; its events are 60 s old, seen 1 s after MSH-7.
    fn message(
        clocks: &mut Clocks,
        n: i64,
        ahead: i64,
    ) -> (Result<u64, Withheld>, Option<ClockFault>) {
        let (age, news) = seen(clocks, n, ahead);
        (age, news.fault)
    }

    fn seen(clocks: &mut Clocks, n: i64, ahead: i64) -> (Result<u64, Withheld>, ClockNews) {
        let at = START + n * 10;
        let stated = Stated {
            sender: (Label::from("LAB"), Label::EMPTY),
            made: time(at - 1 + ahead, Precision::Second),
            event: time(at - 60 + ahead, Precision::Second),
            withheld: None,
            embargo: Duration::ZERO,
        };
        clocks.age(Timestamp::from_secs(at), &stated)
    }

    #[test]
    fn a_good_clock_gives_ages() {
        let mut clocks = Clocks::default();
        for n in 0..100 {
            assert_eq!(message(&mut clocks, n, 0), (Ok(60_000_000), None));
        }
    }

    #[test]
    fn a_wrong_clock_is_named_once_and_gives_none() {
        for (ahead, fault) in [
            (10, ClockFault::Fast),
            (300, ClockFault::Fast),
            (3_600, ClockFault::Zone),
            (-3_600, ClockFault::Zone),
            (-7_200, ClockFault::Zone),
            (5_400 + 20, ClockFault::Zone),
        ] {
            let mut clocks = Clocks::default();
            let said: Vec<_> = (0..50).map(|n| message(&mut clocks, n, ahead)).collect();
            let news: Vec<_> = said.iter().filter_map(|(_, news)| *news).collect();
            assert_eq!(news, [fault], "{ahead}");
            assert!(
                said[20..].iter().all(|(age, _)| *age == Err(Withheld::SenderClock)),
                "{ahead}"
            );
        }
    }

    #[test]
    fn zones_are_at_most_a_day_apart() {
        let hour = 3_600_000_000;
        assert!(super::is_quarters(hour) && super::is_quarters(-14 * hour));
        assert!(!super::is_quarters(720 * hour) && !super::is_quarters(0));
    }

    #[test]
    fn a_step_is_forgotten_once_it_is_over() {
        let mut clocks = Clocks::default();
        for (from, ahead) in [(0, 0), (100, 600), (200, 0)] {
            for n in from..from + 100 {
                let (age, _) = message(&mut clocks, n, ahead);
                let near = age.is_err() || age == Ok(60_000_000);
                assert!(near, "message {n} with {ahead}: {age:?}");
                if n >= from + 30 {
                    assert_eq!(age.is_ok(), ahead == 0, "message {n}");
                }
            }
        }
    }

    #[test]
    fn a_step_is_told_and_lags_are_right_again_at_once() {
        let mut clocks = Clocks::default();
        let mut steps = Vec::new();
        for (from, ahead) in [(0, 0), (50, 3_600), (150, 0)] {
            for n in from..from + if from == 0 { 50 } else { 100 } {
                let (age, news) = seen(&mut clocks, n, ahead);
                steps.extend(news.step.map(|step| (n, step.by / 1_000_000)));
                if from == 150 && n >= 153 {
                    assert_eq!(age, Ok(60_000_000), "message {n}");
                }
                if from == 50 {
                    assert_eq!(age, Err(Withheld::SenderClock), "message {n}");
                }
            }
        }
        assert_eq!(steps, [(52, 3_600), (152, -3_600)]);
    }

    #[test]
    fn what_cannot_be_known_is_withheld_with_its_reason() {
        let sender = (Label::from("LAB"), Label::EMPTY);
        let none =
            Stated { sender, made: None, event: None, withheld: None, embargo: Duration::ZERO };
        let at = Timestamp::from_secs(START);
        let age = |stated: Stated| Clocks::default().age(at, &stated).0;
        assert_eq!(age(none), Err(Withheld::NoTime));
        assert_eq!(age(Stated { withheld: Some(Withheld::NoZone), ..none }), Err(Withheld::NoZone));
        let event = |secs| time(START - secs, Precision::Second);
        assert_eq!(
            age(Stated { event: time(START - 60, Precision::Minute), ..none }),
            Err(Withheld::Coarse)
        );
        assert_eq!(age(Stated { event: event(-3), ..none }), Err(Withheld::Future));
        assert_eq!(age(Stated { event: event(-1), ..none }), Ok(0));
        assert_eq!(age(Stated { event: event(8 * 86_400), ..none }), Err(Withheld::OutOfWindow));
        let held = Stated { event: event(4_000), embargo: Duration::from_secs(3_600), ..none };
        assert_eq!(age(held), Ok(400_000_000));
    }

    #[test]
    fn a_late_entry_is_no_delay_once_ages_are_known() {
        let mut clocks = Clocks::default();
        for n in 0..50 {
            let _ = message(&mut clocks, n, 0);
        }
        let at = START + 1_000;
        let stated = Stated {
            sender: (Label::from("LAB"), Label::EMPTY),
            made: time(at, Precision::Second),
            event: time(at - 2 * 86_400, Precision::Second),
            withheld: None,
            embargo: Duration::ZERO,
        };
        let (age, _) = clocks.age(Timestamp::from_secs(at), &stated);
        assert_eq!(age, Err(Withheld::OutOfWindow));
    }
}
