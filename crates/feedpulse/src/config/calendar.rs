//! Resolving the site's civil time: the zone's changes of clocks and the holidays, as plain data.

use super::raw::RawDowntime;
use super::resolve::Resolver;
use feedpulse_core::calendar::Calendar;
use feedpulse_core::plan::{DownTimes, Downtime};
use feedpulse_core::time::Timestamp;
use icalendar::{Component as _, DatePerhapsTime};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Changes of clocks are listed from this year until that one.
const YEARS: (i16, i16) = (2020, 2045);
/// Most planned downtimes.
const DOWNTIMES_MAX: usize = 256;
const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);
/// Most holidays.
const HOLIDAYS_MAX: usize = 4_096;
/// Most days of one event.
const DAYS_MAX: i32 = 60;
/// Most bytes of a holiday file.
const FILE_MAX: u64 = 4 << 20;

impl Resolver<'_> {
    pub(super) fn calendar(&mut self) -> Calendar {
        let offsets = self.zone().map(|zone| offsets(&zone)).unwrap_or_default();
        let mut holidays = self.stated_days();
        holidays.extend(self.days_of_file());
        if holidays.len() > HOLIDAYS_MAX {
            self.wrong("holidays", format!("more than {HOLIDAYS_MAX} days"), "leave old ones out");
        }
        let mut holidays: Vec<i32> = holidays.into_iter().map(day_number).collect();
        holidays.sort_unstable();
        holidays.dedup();
        Calendar { offsets, holidays }
    }

    pub(super) fn downtimes(&mut self) -> Vec<Downtime> {
        let raw = self.raw;
        if raw.downtimes.len() > DOWNTIMES_MAX {
            self.wrong("downtimes", format!("more than {DOWNTIMES_MAX}"), "leave old ones out");
        }
        raw.downtimes.iter().enumerate().filter_map(|(n, down)| self.downtime(n, down)).collect()
    }

    fn downtime(&mut self, n: usize, raw: &RawDowntime) -> Option<Downtime> {
        let path = format!("downtimes/{n}");
        let listed = raw.waypoints.iter().enumerate();
        let waypoints =
            listed.map(|(i, w)| self.waypoint(&format!("{path}/waypoints/{i}"), w)).collect();
        let times = match (&raw.from, &raw.to, &raw.start, &raw.length) {
            (Some(from), Some(to), None, None) if raw.days.is_empty() => {
                let moment = |text: &str| {
                    let at = text.parse::<jiff::Timestamp>().ok()?;
                    Some(Timestamp::from_micros(at.as_microsecond()))
                };
                match moment(from).zip(moment(to)) {
                    Some((from, to)) if from < to => DownTimes::Once { from, to },
                    _ => {
                        let hint = "two times with an offset, such as 2026-12-01T22:00:00+01:00";
                        self.wrong(&path, "`from` is no time before `to`", hint);
                        return None;
                    }
                }
            }
            (None, None, Some(start), Some(_)) if !raw.days.is_empty() => {
                let length = self.time(&format!("{path}/length"), raw.length.as_ref(), HOUR);
                let Ok(start) = start.parse::<jiff::civil::Time>() else {
                    self.wrong(&format!("{path}/start"), "not a time of day", "such as 22:30");
                    return None;
                };
                let minutes = u16::try_from(length.as_secs() / 60).unwrap_or(u16::MAX).min(10_080);
                let start = u16::try_from(i32::from(start.hour()) * 60 + i32::from(start.minute()));
                let days = raw.days.iter().fold(0, |days, day| days | 1 << *day as u8);
                DownTimes::Weekly { days, start: start.unwrap_or(0), minutes }
            }
            _ => {
                let hint = "give `from` and `to`, or `days`, `start` and `length`";
                self.wrong(&path, "not clear when it is", hint);
                return None;
            }
        };
        Some(Downtime { name: raw.name.clone(), waypoints, times })
    }

    fn stated_days(&mut self) -> Vec<Date> {
        let raw = self.raw;
        let mut days = Vec::new();
        for (n, text) in raw.holidays.days.iter().enumerate() {
            match text.parse::<Date>() {
                Ok(day) => days.push(day),
                Err(_) => {
                    self.wrong(&format!("holidays/days/{n}"), "not a day", "such as 2026-12-24");
                }
            }
        }
        days
    }

    fn days_of_file(&mut self) -> Vec<Date> {
        let Some(path) = self.raw.holidays.file.as_ref() else { return Vec::new() };
        let size = std::fs::metadata(path).map(|meta| meta.len());
        if size.is_ok_and(|size| size > FILE_MAX) {
            self.wrong("holidays/file", "larger than 4 MiB", "a calendar of holidays only");
            return Vec::new();
        }
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let days = days_of(&text);
                if days.is_empty() {
                    self.wrong("holidays/file", "no VEVENT with a DTSTART", "an iCalendar file");
                }
                days
            }
            Err(error) => {
                self.wrong("holidays/file", format!("{path}: {error}"), "a readable file");
                Vec::new()
            }
        }
    }
}

fn offsets(zone: &TimeZone) -> Vec<(Timestamp, i32)> {
    let start = jiff::civil::date(YEARS.0, 1, 1).to_zoned(TimeZone::UTC).map(|z| z.timestamp());
    let end = jiff::civil::date(YEARS.1, 1, 1).to_zoned(TimeZone::UTC).map(|z| z.timestamp());
    let (Ok(start), Ok(end)) = (start, end) else { return Vec::new() };
    let first = (Timestamp::from_micros(start.as_microsecond()), zone.to_offset(start).seconds());
    let changes =
        zone.following(start).take_while(|change| change.timestamp() < end).map(|change| {
            let at = Timestamp::from_micros(change.timestamp().as_microsecond());
            (at, change.offset().seconds())
        });
    core::iter::once(first).chain(changes).collect()
}

fn day_number(day: Date) -> i32 {
    let since = day.since(Date::constant(1970, 1, 1));
    since.map_or(0, |span| span.get_days())
}

/// The days of the events of an iCalendar text (RFC 5545 §3.6.1): DTSTART up to DTEND, which is
/// not included. A rule that repeats an event each year on its day is followed; other rules are not,
/// since holidays that move are listed year by year.
fn days_of(text: &str) -> Vec<Date> {
    let Ok(file) = text.parse::<icalendar::Calendar>() else { return Vec::new() };
    file.components
        .iter()
        .filter_map(icalendar::CalendarComponent::as_event)
        .flat_map(days_of_event)
        .collect()
}

fn days_of_event(event: &icalendar::Event) -> Vec<Date> {
    let civil = |at: DatePerhapsTime| at.date_naive().to_string().parse::<Date>().ok();
    let Some(start) = event.get_start().and_then(civil) else { return Vec::new() };
    let end = event.get_end().and_then(civil);
    let length = end.map_or(1, |end| day_number(end) - day_number(start)).clamp(1, DAYS_MAX);
    let yearly = event.property_value("RRULE").is_some_and(|rule| rule.contains("FREQ=YEARLY"));
    let last = if yearly { YEARS.1 } else { start.year() };
    // 29 February is not in every year.
    let starts = (start.year()..=last).filter_map(|year| start.with().year(year).build().ok());
    let days = |first: Date| {
        first.series(jiff::Span::new().days(1)).take(usize::try_from(length).unwrap_or(1))
    };
    starts.flat_map(days).collect()
}

#[cfg(test)]
mod tests {
    use super::{day_number, days_of, offsets};
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    #[test]
    fn events_of_a_calendar_are_days() {
        let text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260403\r\nDTEND;VALUE=DATE:20260404\r\n\
            SUMMARY:Good Friday\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\n\
            DTEND;VALUE=D\r\n ATE:20261227\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:no day\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let expected =
            [date(2026, 4, 3), date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 26)];
        assert_eq!(days_of(text), expected);
        let yearly =
            days_of("BEGIN:VEVENT\nDTSTART:20240101T000000Z\nRRULE:FREQ=YEARLY\nEND:VEVENT");
        assert!(yearly.contains(&date(2031, 1, 1)) && yearly.len() > 20);
        assert!(days_of("nothing").is_empty());
    }

    #[test]
    fn a_zone_has_its_changes() {
        let berlin = offsets(&TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(berlin[0].1, 3_600);
        let summer = berlin.iter().find(|(at, _)| at.as_secs() == 1_774_746_000);
        assert_eq!(summer.map(|(_, offset)| *offset), Some(7_200));
        assert_eq!(offsets(&TimeZone::UTC).len(), 1);
        assert_eq!(day_number(date(2026, 4, 3)), 20_546);
    }
}
