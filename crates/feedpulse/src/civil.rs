//! Times as people write them: with an offset, by the site's clocks, or so long ago.

use crate::clock;
use feedpulse_core::time::Timestamp;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Unit};
use std::time::Duration;

/// A time, or so long ago; days have 24 hours.
///
/// # Errors
/// It is neither.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_micros(at.as_microsecond()));
    }
    let wrong = "neither so long ago such as 30d nor a time such as 2026-03-01T02:00:00Z";
    let ago: Span = text.parse().map_err(|_| wrong)?;
    let days = SpanRelativeTo::days_are_24_hours();
    let seconds = ago.abs().total((Unit::Second, days)).map_err(|_| wrong)?;
    Ok(clock::now().minus(Duration::try_from_secs_f64(seconds).map_err(|_| wrong)?))
}

/// A time with an offset, or by the clocks of a zone; HL7's form and seconds since 1970 are read as
/// well. Says whether it was by the clocks.
///
/// # Errors
/// It is no time.
pub(crate) fn read(text: &str, zone: &TimeZone) -> Result<(Timestamp, bool), &'static str> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok((Timestamp::from_micros(at.as_microsecond()), false));
    }
    let digits = text.len() >= 9 && text.bytes().all(|b| b.is_ascii_digit());
    let civil = match (digits, text.len()) {
        (true, 12) => jiff::civil::DateTime::strptime("%Y%m%d%H%M", text),
        (true, 14) => jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text),
        (true, 9 | 10 | 13) => {
            let number: i64 = text.parse().map_err(|_| "is out of range")?;
            let micros = if text.len() == 13 { number * 1_000 } else { number * 1_000_000 };
            return Ok((Timestamp::from_micros(micros), false));
        }
        // A day alone does not say at which hour.
        (false, _) if text.contains(':') => text.parse(),
        _ => return Err("is none: such as 2026-03-01T08:15:00+01:00 or 2026-03-01 08:15"),
    };
    let civil = civil.map_err(|_| "is no date and time: such as 2026-03-01 08:15")?;
    let zoned = civil.to_zoned(zone.clone()).map_err(|_| "is out of range")?;
    Ok((Timestamp::from_micros(zoned.timestamp().as_microsecond()), true))
}

#[cfg(test)]
mod tests {
    use super::{moment, read};
    use feedpulse_core::time::Timestamp;
    use jiff::tz::TimeZone;

    #[test]
    fn so_long_ago_is_read_in_days_and_weeks() {
        let ago = |text: &str| {
            let at = moment(text).unwrap();
            crate::clock::now().micros_since(at) / 3_600_000_000
        };
        assert_eq!((ago("30d"), ago("6w"), ago("36h")), (720, 1_008, 36));
        let at = moment("2026-03-01T00:00:00Z").unwrap();
        assert_eq!(at, Timestamp::from_secs(1_772_323_200));
        assert!(moment("lately").is_err());
    }

    #[test]
    fn a_moment_can_be_written_in_many_ways() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let at = Timestamp::from_secs(1_772_349_300);
        for (text, civil) in [
            ("2026-03-01T07:15:00Z", false),
            ("2026-03-01T08:15:00+01:00", false),
            ("2026-03-01 08:15", true),
            ("2026-03-01T08:15:00", true),
            ("202603010815", true),
            ("20260301081500", true),
            ("1772349300", false),
            ("1772349300000", false),
        ] {
            assert_eq!(read(text, &berlin), Ok((at, civil)), "{text}");
        }
        for text in ["", "yesterday", "2026-03-01", "20261301081500", "12:15"] {
            assert!(read(text, &berlin).is_err(), "{text}");
        }
    }
}
