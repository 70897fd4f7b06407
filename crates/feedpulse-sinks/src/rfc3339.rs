//! Timestamps as RFC 3339 text in UTC.

use feedpulse_core::calendar::Calendar;
use feedpulse_core::time::Timestamp;

/// `2026-11-22 23:14:03 +01:00`: what the site's clocks show, to the second.
pub(crate) fn local(calendar: &Calendar, at: Timestamp) -> String {
    let shown = calendar.local(at);
    let offset = (shown - at.as_micros()) / 60_000_000;
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    let text = format(Timestamp::from_micros(shown - shown.rem_euclid(1_000_000)));
    let text = text.trim_end_matches('Z').replace('T', " ");
    format!("{text} {sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// `2026-11-22T22:14:03.000250Z`; the fraction only when there is one, in µs.
pub(crate) fn format(at: Timestamp) -> String {
    let secs = at.as_secs();
    let micros = at.as_micros().rem_euclid(1_000_000);
    let (days, of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    if micros == 0 {
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{micros:06}Z")
    }
}

/// Year, month and day in the proleptic Gregorian calendar from days since 1970-01-01. Counts from
/// 1 March of year 0, so that the leap day is the last of its year.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

/// Reads what Kubernetes writes: `2026-11-22T22:14:03Z`, with or without a fraction, in UTC. None for
/// anything else.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str, digits: usize| {
        let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse::<i64>().ok()).flatten()
    };
    let mut date = date.splitn(3, '-');
    let (year, month, day) =
        (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':');
    let (h, m, s) = (number(time.next()?, 2)?, number(time.next()?, 2)?, number(time.next()?, 2)?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && h < 24 && m < 60 && s < 61;
    if !fits || !(1..=9).contains(&fraction.len()) {
        return None;
    }
    let micros = number(format!("{fraction:0<6}").get(..6)?, 6)?;
    // Counted from March, as in `civil`.
    let (y, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let secs = days * 86_400 + h * 3_600 + m * 60 + s;
    Some(Timestamp::from_micros(secs * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_have_their_offset() {
        let calendar =
            |offset| Calendar { offsets: vec![(Timestamp::EPOCH, offset)], ..Calendar::default() };
        let at = Timestamp::from_micros(1_795_385_643_000_250);
        assert_eq!(local(&Calendar::default(), at), "2026-11-22 22:14:03 +00:00");
        assert_eq!(local(&calendar(7_200), at), "2026-11-23 00:14:03 +02:00");
        assert_eq!(local(&calendar(-12_600), at), "2026-11-22 18:44:03 -03:30");
    }

    #[test]
    fn known_instants_are_written_in_utc() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_000_001, "2024-02-29T23:59:59.000001Z"),
            (1_795_385_643_000_250, "2026-11-22T22:14:03.000250Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(format(Timestamp::from_micros(micros)), text);
            assert_eq!(parse(text), Some(Timestamp::from_micros(micros)), "{text}");
        }
        assert_eq!(parse("2026-11-22T22:14:03.00025Z"), parse("2026-11-22T22:14:03.000250Z"));
        for wrong in ["", "Z", "2026-11-22", "2026-13-22T22:14:03Z", "2026-11-22T22:14:03+01:00"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
