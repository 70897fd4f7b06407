//! When something is due by a site's clocks: a cron line as sets of numbers, and what has not come.
//!
//! The line itself is read at the edge. A time of day that the clocks skip in spring is not demanded:
//! some schedulers run such a job at once, others on the next day. One that comes twice in autumn is
//! demanded once, and the grace counts from its second coming.

use crate::calendar::Calendar;
use crate::time::Timestamp;
use core::time::Duration;

/// Microseconds of a minute and of a day.
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 86_400_000_000;
/// So many days are searched: 29 February on a given weekday comes within 40 years; within eight it
/// comes at all.
const DAYS_SEARCHED: i64 = 8 * 366;
/// What comes this much before its time counts as being in time: clocks differ.
const EARLY: Duration = Duration::from_secs(60);

/// The times of a cron line (five fields: minute, hour, day of month, month, day of week).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Bit n: minute n of the hour.
    pub minutes: u64,
    /// Bit n: hour n of the day.
    pub hours: u32,
    /// Bit n: day n of the month, from 1.
    pub days: u32,
    /// Bit n: month n, from 1.
    pub months: u16,
    /// Bit n: day n of the week, 0 = Monday.
    pub weekdays: u8,
    /// One of day of month and day of week is enough, as cron does where both are stated.
    pub either: bool,
}

/// What says when something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At these times.
    At(Schedule),
    /// So long after the last one.
    Every(Duration),
}

/// One time at which something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its time.
    pub at: Timestamp,
    /// Its second coming where the clocks went back, else the same.
    pub last: Timestamp,
}

impl Schedule {
    /// The first time after `after`; None when there is none within eight years.
    #[must_use]
    pub fn next(&self, calendar: &Calendar, after: Timestamp) -> Option<Due> {
        let local = calendar.local(after).div_euclid(MINUTE) * MINUTE;
        let today = local.div_euclid(DAY);
        for day in (today..today + DAYS_SEARCHED).filter(|day| self.is_day(*day)) {
            for hour in (0..24_i64).filter(|hour| self.hours & (1 << hour) != 0) {
                for minute in (0..60_i64).filter(|minute| self.minutes & (1 << minute) != 0) {
                    let due = day * DAY + (hour * 60 + minute) * MINUTE;
                    if due >= local
                        && let Some(due) = instants(calendar, due).filter(|due| due.at > after)
                    {
                        return Some(due);
                    }
                }
            }
        }
        None
    }

    fn is_day(&self, day: i64) -> bool {
        let (month, of_month) = date(day);
        // The epoch was a Thursday.
        let weekday = self.weekdays & (1 << (day + 3).rem_euclid(7)) != 0;
        let of_month = self.days & (1 << of_month) != 0;
        let fits = if self.either { weekday || of_month } else { weekday && of_month };
        fits && self.months & (1 << month) != 0
    }
}

/// Month and day of the month of a day since 1970-01-01, in the Gregorian calendar.
fn date(day: i64) -> (u32, u32) {
    // Years begin in March here, so that the odd day is the last one; 400 years are one cycle.
    let since = day + 719_468;
    let of_cycle = since.rem_euclid(146_097);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// When the site's clocks show a time: never, once, or twice.
fn instants(calendar: &Calendar, local: i64) -> Option<Due> {
    let zone =
        if calendar.offsets.is_empty() { &[(Timestamp::EPOCH, 0)][..] } else { &calendar.offsets };
    let mut found: Option<Due> = None;
    for (n, (_, offset)) in zone.iter().enumerate() {
        let at = Timestamp::from_micros(local.saturating_sub(i64::from(*offset) * 1_000_000));
        // By the zone's own rule, so that the first segment reaches back without end.
        let after = zone.partition_point(|(from, _)| *from <= at).saturating_sub(1);
        if after != n {
            continue;
        }
        found = Some(
            found.map_or(Due { at, last: at }, |first| Due { last: at.max(first.last), ..first }),
        );
    }
    found
}

/// Watches for something that must come: when it is due next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// What is due is due after this: the last one that came, or the time that nobody can tell about.
    pub since: Timestamp,
    /// The next.
    pub due: Option<Due>,
}

impl Watch {
    /// A watch that begins now.
    #[must_use]
    pub fn new(rule: &Rule, calendar: &Calendar, now: Timestamp) -> Self {
        let mut watch = Self { since: now, due: None };
        watch.reckon(rule, calendar);
        watch
    }

    /// Reckons anew, after a change of the rule or of the calendar.
    pub fn reckon(&mut self, rule: &Rule, calendar: &Calendar) {
        self.due = match rule {
            Rule::Every(every) => Some(self.since.plus(*every)).map(|at| Due { at, last: at }),
            Rule::At(schedule) => schedule.next(calendar, self.since),
        };
    }

    /// It came.
    pub fn came(&mut self, rule: &Rule, calendar: &Calendar, at: Timestamp) {
        let counts = match rule {
            Rule::Every(_) => at,
            Rule::At(_) => at.plus(EARLY),
        };
        if counts <= self.since {
            return;
        }
        let before = self.due.is_some_and(|due| counts < due.at) && matches!(rule, Rule::At(_));
        self.since = counts;
        // The next time is the same as before.
        if !before {
            self.reckon(rule, calendar);
        }
    }

    /// Nobody looked in this time: what was due and may have come in it is not demanded.
    pub fn blind(
        &mut self,
        rule: &Rule,
        calendar: &Calendar,
        (from, to): (Timestamp, Timestamp),
        grace: Duration,
    ) {
        let met = |due: &Due| due.at.minus(EARLY) <= to && from <= due.last.plus(grace);
        let Some(due) = self.due.filter(met) else { return };
        // What is due at intervals begins anew; of fixed times the next one is demanded.
        self.since = match rule {
            Rule::Every(_) => to.max(due.at),
            Rule::At(_) => to.plus(EARLY).max(due.last),
        };
        self.reckon(rule, calendar);
    }

    /// What was due and has not come within its grace.
    #[must_use]
    pub fn missed(&self, now: Timestamp, grace: Duration) -> Option<Due> {
        self.due.filter(|due| now > due.last.plus(grace))
    }
}

#[cfg(test)]
mod tests {
    use super::{Calendar, DAY, Due, Duration, Rule, Schedule, Timestamp, Watch, date};

    const ALL: Schedule = Schedule {
        minutes: (1 << 60) - 1,
        hours: (1 << 24) - 1,
        days: u32::MAX - 1,
        months: 0x1ffe,
        weekdays: 0x7f,
        either: false,
    };

    fn at(hour: u32, minute: u64) -> Schedule {
        Schedule { minutes: 1 << minute, hours: 1 << hour, ..ALL }
    }

    /// Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
    fn berlin() -> Calendar {
        Calendar {
            offsets: vec![
                (Timestamp::EPOCH, 3_600),
                (Timestamp::from_secs(1_774_746_000), 7_200),
                (Timestamp::from_secs(1_792_890_000), 3_600),
            ],
            holidays: Vec::new(),
        }
    }

    fn secs(schedule: Schedule, calendar: &Calendar, after: i64) -> Option<(i64, i64)> {
        let due = schedule.next(calendar, Timestamp::from_secs(after))?;
        Some((due.at.as_secs(), due.last.as_secs()))
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (day, expected) in [
            (0, (1, 1)),
            (58, (2, 28)),
            (59, (3, 1)),
            (-1, (12, 31)),
            (11_016, (2, 29)), // 2000
            (20_546, (4, 3)),  // 2026
        ] {
            assert_eq!(date(day), expected, "{day}");
        }
    }

    #[test]
    fn the_next_time_is_found_by_minute_weekday_and_day_of_month() {
        let utc = Calendar::default();
        let monday = 1_772_409_600; // 2 March 2026, 00:00 UTC
        assert_eq!(secs(at(2, 30), &utc, monday), Some((monday + 9_000, monday + 9_000)));
        assert_eq!(secs(at(2, 30), &utc, monday + 9_000), Some((monday + 95_400, monday + 95_400)));
        assert_eq!(secs(at(2, 30), &utc, monday + 8_999), Some((monday + 9_000, monday + 9_000)));
        let friday = Schedule { weekdays: 1 << 4, ..at(6, 0) };
        assert_eq!(secs(friday, &utc, monday).unwrap().0, monday + 4 * 86_400 + 6 * 3_600);
        let leap = Schedule { days: 1 << 29, months: 1 << 2, ..at(0, 0) };
        assert_eq!(secs(leap, &utc, monday).unwrap().0, 1_835_395_200); // 29 February 2028
        let either = Schedule { days: 1 << 4, weekdays: 1 << 2, either: true, ..at(0, 0) };
        assert_eq!(secs(either, &utc, monday).unwrap().0, monday + 2 * 86_400, "Wednesday the 4th");
        let never = Schedule { days: 1 << 31, months: 1 << 2, ..at(0, 0) };
        assert_eq!(secs(never, &utc, monday), None);
    }

    #[test]
    fn a_skipped_time_is_not_demanded_and_a_double_one_is_once() {
        let berlin = berlin();
        let spring = 1_774_746_000; // 29 March, 02:00 there becomes 03:00
        // 02:30 on the 28th, then on the 30th: on the 29th the clocks never show it.
        let before = secs(at(2, 30), &berlin, spring - 86_400).unwrap().0;
        assert_eq!(before, spring - 86_400 + 1_800);
        assert_eq!(secs(at(2, 30), &berlin, before).unwrap().0, spring + 86_400 - 3_600 + 1_800);
        let autumn = 1_792_890_000; // 25 October, 03:00 there becomes 02:00
        let double = secs(at(2, 30), &berlin, autumn - 7_200).unwrap();
        assert_eq!(double, (autumn - 1_800, autumn + 1_800));
        assert_eq!(secs(at(2, 30), &berlin, autumn).unwrap().0, autumn + 86_400 + 1_800);
        // A day there has 23, 24 or 25 hours, and each one midnight.
        let mut now = Timestamp::from_secs(spring - 10 * 86_400);
        for _ in 0..300 {
            let due = at(0, 0).next(&berlin, now).unwrap();
            assert_eq!(berlin.local(due.at) % DAY, 0);
            assert!(due.at.since(now) <= Duration::from_secs(25 * 3_600));
            now = due.at;
        }
    }

    #[test]
    fn what_does_not_come_within_its_grace_is_missed() {
        let utc = Calendar::default();
        let monday = Timestamp::from_secs(1_772_409_600);
        let later = |seconds| monday.plus(Duration::from_secs(seconds));
        let grace = Duration::from_secs(1_800);
        let rule = Rule::At(at(2, 30));
        let mut watch = Watch::new(&rule, &utc, monday);
        assert_eq!(watch.missed(later(9_000 + 1_800), grace), None);
        assert!(watch.missed(later(9_000 + 1_801), grace).is_some());
        // A moment before its time is in time; an hour before it is that of another day.
        watch.came(&rule, &utc, later(9_000 - 3_600));
        assert_eq!(watch.due.unwrap().at, later(9_000));
        watch.came(&rule, &utc, later(9_000 - 30));
        assert_eq!(watch.due.unwrap().at, later(9_000 + 86_400));
        let rule = Rule::Every(Duration::from_secs(3_600));
        let mut watch = Watch::new(&rule, &utc, monday);
        watch.came(&rule, &utc, later(600));
        assert_eq!(watch.due, Some(Due { at: later(4_200), last: later(4_200) }));
    }

    #[test]
    fn what_may_have_come_while_nobody_looked_is_not_demanded() {
        let utc = Calendar::default();
        let monday = Timestamp::from_secs(1_772_409_600);
        let later = |seconds| monday.plus(Duration::from_secs(seconds));
        let grace = Duration::from_secs(1_800);
        let rule = Rule::At(at(2, 30));
        let fresh = Watch::new(&rule, &utc, monday);
        for (from, to, due) in [
            (100, 200, 9_000),                     // long before
            (9_100, 9_200, 9_000 + 86_400),        // within its grace
            (8_000, 20_000, 9_000 + 86_400),       // around it
            (100, 2 * 86_400, 9_000 + 2 * 86_400), // two nights
            (9_000 + 1_900, 9_000 + 2_000, 9_000), // behind it: it was missed before
        ] {
            let mut watch = fresh;
            watch.blind(&rule, &utc, (later(from), later(to)), grace);
            assert_eq!(watch.due.unwrap().at, later(due), "{from} {to}");
        }
        let rule = Rule::Every(Duration::from_secs(3_600));
        let mut watch = Watch::new(&rule, &utc, monday);
        watch.blind(&rule, &utc, (later(3_000), later(40_000)), grace);
        assert_eq!(watch.due.unwrap().at, later(43_600));
    }
}
