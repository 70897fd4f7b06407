//! How times, durations and counts are written: RFC 3339 for machines, short words for people.

use feedpulse_core::time::Timestamp;

/// A moment's civil parts in UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

/// Days since the epoch to the proleptic Gregorian calendar. A year is counted from March, so that
/// the leap day is its last; 400 years have 146,097 days.
fn civil(at: Timestamp) -> Civil {
    let secs = at.as_secs();
    let of_day = secs.rem_euclid(86_400);
    let from_march_0 = secs.div_euclid(86_400) + 719_468;
    let era = from_march_0.div_euclid(146_097);
    let day_of_era = from_march_0.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = (month_from_march + 2) % 12 + 1;
    Civil {
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        hour: of_day / 3_600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        milli: at.as_micros().rem_euclid(1_000_000) / 1_000,
    }
}

/// `2026-11-22T22:26:38.123Z` (RFC 3339 §5.6).
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let Civil { year, month, day, hour, minute, second, milli } = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// `2026-11-22 22:26:38 UTC`.
pub(crate) fn full(at: Timestamp) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = civil(at);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `22:26`, for the axes.
pub(crate) fn clock(at: Timestamp) -> String {
    let Civil { hour, minute, .. } = civil(at);
    format!("{hour:02}:{minute:02}")
}

/// A duration in µs as people say it, with at most two units: `40 µs`, `850 ms`, `3 min 20 s`.
pub(crate) fn duration(micros: u64) -> String {
    let secs = micros / 1_000_000;
    match micros {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..10_000_000 => format!("{}.{} s", secs, micros / 100_000 % 10),
        10_000_000..60_000_000 => format!("{secs} s"),
        60_000_000..3_600_000_000 => two(secs / 60, "min", secs % 60, "s"),
        3_600_000_000..86_400_000_000 => two(secs / 3_600, "h", secs / 60 % 60, "min"),
        _ => two(secs / 86_400, "d", secs / 3_600 % 24, "h"),
    }
}

fn two(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{big} {big_unit}")
    } else {
        format!("{big} {big_unit} {small} {small_unit}")
    }
}

/// How long ago, to the second: `12 s ago`; a moment of the future is `now`.
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> String {
    let micros = u64::try_from(now.micros_since(at)).unwrap_or(0) / 1_000_000 * 1_000_000;
    match micros {
        0 => "now".to_owned(),
        1..10_000_000 => format!("{} s ago", micros / 1_000_000),
        _ => format!("{} ago", duration(micros)),
    }
}

/// `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A finite number without needless digits.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{ago, count, duration, full, number, rfc3339};
    use feedpulse_core::time::Timestamp;

    #[test]
    fn civil_time_matches_known_moments() {
        for (secs, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
            (1_795_386_398, "2026-11-22T22:26:38.000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_secs(secs)), want);
        }
        assert_eq!(rfc3339(Timestamp::from_micros(1_500)), "1970-01-01T00:00:00.001Z");
        assert_eq!(full(Timestamp::from_secs(61)), "1970-01-01 00:01:01 UTC");
    }

    #[test]
    fn durations_and_counts_read_well() {
        for (micros, want) in [
            (0, "0 s"),
            (40, "40 µs"),
            (850_000, "850 ms"),
            (2_340_000, "2.3 s"),
            (59_999_999, "59 s"),
            (200_000_000, "3 min 20 s"),
            (7_500_000_000, "2 h 5 min"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(micros), want);
        }
        assert_eq!(ago(Timestamp::from_secs(9), Timestamp::from_secs(4)), "5 s ago");
        assert_eq!(ago(Timestamp::from_secs(4), Timestamp::from_secs(9)), "now");
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!((number(0.25), number(12.0)), ("0.25".into(), "12".into()));
    }
}
