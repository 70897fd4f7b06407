//! Cron lines: read by croner, kept as plain sets of numbers for the engine.

use super::raw_probes::RawExpect;
use super::resolve::Resolver;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use feedpulse_core::calendar::Calendar;
use feedpulse_core::probe::Expect;
use feedpulse_core::schedule::Schedule;
use feedpulse_core::time::Timestamp;
use std::time::Duration;

impl Resolver<'_> {
    pub(super) fn schedule(&mut self, path: &str, text: &str) -> Option<Schedule> {
        match read(text) {
            Ok(schedule) => Some(schedule),
            Err(what) => {
                self.wrong(
                    path,
                    what,
                    "five fields: minute, hour, day, month, weekday; such as 30 2 * * 1-5",
                );
                None
            }
        }
    }

    pub(super) fn expect(&mut self, path: &str, raw: &RawExpect) -> Option<Expect> {
        let schedule = self.schedule(&format!("{path}/schedule"), &raw.schedule)?;
        let grace =
            self.time(&format!("{path}/grace"), raw.grace.as_ref(), Duration::from_secs(20 * 60));
        Some(Expect { schedule, grace })
    }
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
fn read(text: &str) -> Result<Schedule, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron: Cron = parser.parse(text).map_err(|error| format!("not a cron line: {error}"))?;
    let pattern = &cron.pattern;
    let all =
        [&pattern.minutes, &pattern.hours, &pattern.days, &pattern.months, &pattern.days_of_week];
    if all.iter().any(|component| component.has_modifiers()) {
        return Err("L, W and # are not known here".to_owned());
    }
    let bits = |values: Vec<u16>| {
        values.into_iter().filter(|n| *n < 64).fold(0_u64, |bits, n| bits | 1 << n)
    };
    // Cron's Sunday is 0 (and 7), ours is 6.
    let sunday_first = bits(pattern.days_of_week.values());
    let weekdays = (0..7).filter(|day| {
        let theirs = (day + 1) % 7;
        sunday_first & (1 << theirs) != 0 || (theirs == 0 && sunday_first & (1 << 7) != 0)
    });
    let small = |bits: u64| u32::try_from(bits).unwrap_or(u32::MAX);
    let schedule = Schedule {
        minutes: bits(pattern.minutes.values()),
        hours: small(bits(pattern.hours.values())),
        days: small(bits(pattern.days.values())),
        months: u16::try_from(bits(pattern.months.values())).unwrap_or(u16::MAX),
        weekdays: weekdays.fold(0, |bits, day| bits | 1 << day),
        either: !pattern.is_dom_wildcard()
            && !pattern.is_dow_wildcard()
            && !pattern.matches_dom_and_dow(),
    };
    let some = schedule.next(&Calendar::default(), Timestamp::from_secs(1_767_225_600));
    some.map(|_| schedule).ok_or_else(|| "it never comes: no such day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::read;
    use croner::Cron;
    use feedpulse_core::calendar::Calendar;
    use feedpulse_core::time::Timestamp;
    use std::str::FromStr as _;

    /// Against the library's own reckoning, over three months, in UTC.
    #[test]
    fn lines_mean_what_cron_says() {
        for line in [
            "30 2 * * *",
            "0 6 * * 1-5",
            "*/15 8-17 * * MON-FRI",
            "0 0 1 * *",
            "5 4 * * 0",
            "5 4 * * 7",
            "0 12 13 * 5",
            "0 0 29 2 *",
            "@daily",
            "0 0 1,15 * *",
            "59 23 31 12 *",
        ] {
            let ours = read(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let theirs = Cron::from_str(line).unwrap();
            let mut at: jiff::Zoned = "2026-02-20T11:07:00+00:00[UTC]".parse().unwrap();
            for _ in 0..60 {
                let now = Timestamp::from_micros(at.timestamp().as_microsecond());
                let next = theirs.find_next_occurrence(&at, false).unwrap();
                let mine =
                    ours.next(&Calendar::default(), now).unwrap_or_else(|| panic!("{line}: none"));
                assert_eq!(mine.at.as_secs(), next.timestamp().as_second(), "{line} after {at}");
                at = next;
                if at.year() > 2032 {
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_no_line_is_said() {
        for (line, part) in [
            ("30 2 * *", "not a cron line"),
            ("61 2 * * *", "not a cron line"),
            ("0 30 2 * * *", "not a cron line"),
            ("0 0 L * *", "not known here"),
            ("0 0 31 2 *", "never comes"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
