//! Times as HL7 writes them (v2.5.1 §2.A.22 DTM): `YYYY[MM[DD[HH[MM[SS[.S+]]]]]][+/-ZZZZ]`.
//!
//! Precision is data: a time of day precision cannot give minutes of lag. Tolerated beyond the
//! standard, since they occur: `Z`, `+hh:mm`, `+hh`, a `T` before the hour, any number of fraction
//! digits. Not tolerated: a month 13, a day 31 of June, anything behind the zone.

use feedpulse_core::time::{EventTime, Precision, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;

/// A time as it was stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtm {
    /// Seconds since the epoch, as if the civil time were UTC.
    civil_secs: i64,
    /// Microseconds of the second.
    micros: i32,
    /// How exactly it was stated.
    pub precision: Precision,
    /// Stated offset from UTC in seconds, east positive.
    pub offset_secs: Option<i32>,
}

/// Why a time cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DtmError {
    /// Fewer than four digits, or an odd number of them.
    #[error("a time needs YYYY and then two digits each for month, day, hour, minute, second")]
    Digits,
    /// A part out of its range.
    #[error("the {0} is out of its range")]
    Range(&'static str),
    /// Something that is no fraction and no zone follows.
    #[error("what follows the digits is neither a fraction nor a zone")]
    Tail,
}

impl Dtm {
    /// Reads one; `raw` is the first component of the field.
    ///
    /// # Errors
    /// What is wrong with it. Empty and `""` are not times either: ask before.
    pub fn read(raw: &[u8]) -> Result<Self, DtmError> {
        let raw = raw.trim_ascii();
        let mut digits = [0_u8; 14];
        let (mut count, mut at) = (0, 0);
        while let Some(&byte) = raw.get(at) {
            match byte {
                b'0'..=b'9' if count < 14 => digits[count] = byte - b'0',
                b'T' if count == 8 => {
                    at += 1;
                    continue;
                }
                _ => break,
            }
            count += 1;
            at += 1;
        }
        if count < 4 || count % 2 == 1 {
            return Err(DtmError::Digits);
        }
        let two = |index: usize| i64::from(digits[index]) * 10 + i64::from(digits[index + 1]);
        let part = |index: usize, empty| if count > index { two(index) } else { empty };
        let civil_secs = civil_seconds(
            two(0) * 100 + two(2),
            [part(4, 1), part(6, 1), part(8, 0), part(10, 0), part(12, 0)],
        )?;
        let mut rest = &raw[at..];
        let mut micros = 0;
        let mut precision = match count {
            4..=8 => Precision::Day,
            10 | 12 => Precision::Minute,
            _ => Precision::Second,
        };
        if let [b'.', fraction @ ..] = rest {
            let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if count < 14 || len == 0 {
                return Err(DtmError::Tail);
            }
            let places = fraction[..len].iter().chain(core::iter::repeat(&b'0')).take(6);
            micros = places.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
            precision = Precision::Fraction;
            rest = &fraction[len..];
        }
        Ok(Self { civil_secs, micros, precision, offset_secs: zone(rest)? })
    }

    /// The instant: by its own zone, else by the message's (MSH-7), else by the configured one.
    #[must_use]
    pub fn event_time(
        &self,
        message_offset: Option<i32>,
        site: Option<&TimeZone>,
    ) -> Option<EventTime> {
        let stated = self.offset_secs.or(message_offset);
        let offset = match stated {
            Some(offset) => offset,
            None => self.site_offset(site?)?,
        };
        let secs = self.civil_secs - i64::from(offset);
        let at = Timestamp::from_micros(secs * 1_000_000 + i64::from(self.micros));
        Some(EventTime { at, precision: self.precision, zone_stated: stated.is_some() })
    }

    /// Offset of the site's zone at this civil time; None in the hours that occur twice or not at
    /// all when clocks change: a guess would make a lag wrong by an hour.
    fn site_offset(&self, site: &TimeZone) -> Option<i32> {
        if let Ok(fixed) = site.to_fixed_offset() {
            return Some(fixed.seconds());
        }
        let utc = jiff::Timestamp::from_second(self.civil_secs).ok()?;
        let civil: civil::DateTime = TimeZone::UTC.to_datetime(utc);
        let instant = site.to_ambiguous_timestamp(civil).unambiguous().ok()?;
        i32::try_from(self.civil_secs - instant.as_second()).ok()
    }
}

fn civil_seconds(year: i64, parts: [i64; 5]) -> Result<i64, DtmError> {
    let [month, day, hour, minute, second] = parts;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Err(DtmError::Range("month")),
    };
    if year == 0 {
        return Err(DtmError::Range("year"));
    }
    if !(1..=days).contains(&day) {
        return Err(DtmError::Range("day"));
    }
    if hour > 23 {
        return Err(DtmError::Range("hour"));
    }
    if minute > 59 {
        return Err(DtmError::Range("minute"));
    }
    // 60 is a leap second (it is read as the next second).
    if second > 60 {
        return Err(DtmError::Range("second"));
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
            - 719_469;
    Ok(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Offset in seconds of `+ZZZZ`, `-ZZ:ZZ`, `+ZZ` or `Z`; none when nothing follows.
fn zone(rest: &[u8]) -> Result<Option<i32>, DtmError> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
    let pair = |a: &u8, b: &u8| Some(digit(a)? * 10 + digit(b)?);
    let (sign, hours, minutes) = match rest {
        [] => return Ok(None),
        [b'Z' | b'z'] => return Ok(Some(0)),
        [sign @ (b'+' | b'-'), a, b, c, d] | [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            (sign, pair(a, b), pair(c, d))
        }
        [sign @ (b'+' | b'-'), a, b] => (sign, pair(a, b), Some(0)),
        _ => return Err(DtmError::Tail),
    };
    let (Some(hours), Some(minutes)) = (hours, minutes) else { return Err(DtmError::Tail) };
    if hours > 14 || minutes > 59 {
        return Err(DtmError::Range("zone"));
    }
    let seconds = (hours * 60 + minutes) * 60;
    Ok(Some(if *sign == b'-' { -seconds } else { seconds }))
}
