//! Civil time as histories write it: durations, moments, offsets, dates; and the site's wall clock.
//!
//! The zone is a list of offsets with the moment from which each holds, so that no zone database is
//! needed and a history says by itself what it means.

use serde::{Deserialize, Deserializer, de};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 3_600 * SECOND;
/// Microseconds in a day.
pub const DAY: i64 = 86_400 * SECOND;

/// A length of time in µs, written `40ms`, `90s`, `5m`, `2h30m`, `8w` or `1d12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub i64);

/// A moment: a length after the history's start (`2h30m`), or a time (`2026-03-02T06:00`, in the
/// site's local time; with `Z` at its end, UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// µs after the start.
    After(i64),
    /// µs since the epoch, as if the local clock were UTC.
    Local(i64),
    /// µs since the epoch.
    Utc(i64),
}

/// An offset from UTC in µs, written `-05:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub i64);

/// A day, as days since the epoch, written `2026-07-03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub i64);

/// Days since the epoch of a civil date (proleptic Gregorian).
#[must_use]
pub const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn number(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn span(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1_000,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => 7 * DAY,
            _ => return None,
        };
        let value: f64 = value.parse().ok()?;
        let micros = value * unit as f64;
        if !micros.is_finite() || micros > 1e17 {
            return None;
        }
        total = total.checked_add(micros as i64)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

fn date(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let good = parts.next().is_none() && (1..=12).contains(&month) && (1..=31).contains(&day);
    good.then(|| days(year, month, day))
}

fn clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let good = hour < 24 && minute < 60 && (0.0..60.0).contains(&second);
    good.then(|| hour * HOUR + minute * MINUTE + (second * SECOND as f64) as i64)
}

fn date_time(text: &str) -> Option<i64> {
    let (day, time) = text.split_once('T')?;
    Some(date(day)? * DAY + clock(time)?)
}

/// A moment from text; None when it is none.
#[must_use]
pub fn when(text: &str) -> Option<When> {
    if !text.contains('T') {
        return span(text).map(When::After);
    }
    match text.strip_suffix('Z') {
        Some(utc) => date_time(utc).map(When::Utc),
        None => date_time(text).map(When::Local),
    }
}

fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    Some(sign * clock(rest)?)
}

macro_rules! from_text {
    ($name:ident, $read:expr, $hint:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                let wrong = || de::Error::custom(format!(concat!("`{}` is not ", $hint), text));
                $read(&text).ok_or_else(wrong)
            }
        }
    };
}

from_text!(Span, |t: &str| span(t).map(Span), "a length of time: write 40ms, 90s, 5m, 2h30m, 8w");
from_text!(
    When,
    when,
    "a moment: write 2h30m (after the start), 2026-03-02T06:00 (local) or 2026-03-02T11:00Z"
);
from_text!(Offset, |t: &str| offset(t).map(Offset), "an offset from UTC: write -05:00");
from_text!(Date, |t: &str| date(t).map(Date), "a date: write 2026-07-03");

/// The site's clock and calendar.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// From when (UTC, µs) which offset holds; in order.
    pub offsets: Vec<(i64, i64)>,
    /// Holidays, as days since the epoch.
    pub holidays: Vec<i64>,
}

/// A moment on the site's wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Days since the epoch.
    pub day: i64,
    /// 0 = Monday.
    pub weekday: i64,
    /// µs since midnight.
    pub of_day: i64,
}

impl Calendar {
    /// The offset in force at a moment.
    #[must_use]
    pub fn offset(&self, utc: i64) -> i64 {
        let held = self.offsets.iter().rev().find(|(from, _)| *from <= utc);
        held.or(self.offsets.first()).map_or(0, |(_, offset)| *offset)
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self, utc: i64) -> Wall {
        let local = utc + self.offset(utc);
        let day = local.div_euclid(DAY);
        Wall { day, weekday: (day + 3).rem_euclid(7), of_day: local.rem_euclid(DAY) }
    }

    /// The moment at which the wall clock shows `local`.
    #[must_use]
    pub fn utc(&self, local: i64) -> i64 {
        let guess = local - self.offset(local);
        local - self.offset(guess)
    }

    /// Whether a day is a holiday.
    #[must_use]
    pub fn is_holiday(&self, day: i64) -> bool {
        self.holidays.contains(&day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_moments_are_read() {
        assert_eq!(span("2h30m"), Some(150 * MINUTE));
        assert_eq!(span("40ms"), Some(40_000));
        assert_eq!(span("1.5h"), Some(90 * MINUTE));
        for bad in ["", "5", "5x", "h", "-5m", "1.2.3s"] {
            assert_eq!(span(bad), None, "{bad}");
        }
        assert_eq!(when("1970-01-02T00:00Z"), Some(When::Utc(DAY)));
        assert_eq!(when("1970-01-01T01:00:30"), Some(When::Local(HOUR + 30 * SECOND)));
        assert_eq!(offset("-05:00"), Some(-5 * HOUR));
        assert_eq!(date("2026-13-01"), None);
    }

    #[test]
    fn the_wall_clock_follows_daylight_saving() {
        let spring = days(2026, 3, 8) * DAY + 7 * HOUR;
        let site = Calendar {
            offsets: vec![(0, -5 * HOUR), (spring, -4 * HOUR)],
            holidays: vec![days(2026, 7, 3)],
        };
        assert_eq!(site.wall(spring - 1).of_day, 2 * HOUR - 1);
        assert_eq!(site.wall(spring).of_day, 3 * HOUR);
        assert_eq!(site.wall(days(2026, 3, 2) * DAY + 12 * HOUR).weekday, 0, "a Monday");
        let noon = days(2026, 7, 1) * DAY + 12 * HOUR;
        assert_eq!(site.utc(noon), noon + 4 * HOUR);
        assert!(site.is_holiday(days(2026, 7, 3)));
    }
}
