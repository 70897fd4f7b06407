//! Time of the simulation: unix microseconds from a given start, and HL7 timestamps written from them.

use tokio::time::Instant;

/// Microseconds in one second.
pub(crate) const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// Turns monotonic time into unix microseconds. The start is given by the caller: this crate reads no wall
/// clock. Under tokio's paused time the clock is virtual.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch_us: i64,
    started: Instant,
}

impl Clock {
    /// A clock that shows `epoch_us` (unix microseconds) now.
    pub fn starting_at(epoch_us: i64) -> Self {
        Self { epoch_us, started: Instant::now() }
    }

    /// Unix microseconds now.
    pub fn now_us(&self) -> i64 {
        self.at_us(Instant::now())
    }

    /// Unix microseconds at `instant`; an instant before the start counts as the start.
    pub fn at_us(&self, instant: Instant) -> i64 {
        let elapsed = instant.saturating_duration_since(self.started).as_micros();
        self.epoch_us.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    /// Seconds since the start.
    pub fn elapsed_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// `us` (unix microseconds) as an HL7 DTM with four digits of a second and an explicit zone:
/// `YYYYMMDDHHMMSS.ffff+0000` (HL7 v2.5.1 §2.A.22). Years outside 1..=9999 are clamped to its ends.
pub fn dtm(us: i64) -> String {
    let (year, month, day) = civil(us.div_euclid(DAY_US));
    let within = us.rem_euclid(DAY_US);
    let seconds = within / SECOND_US;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = within % SECOND_US / 100;
    format!("{:04}{month:02}{day:02}{h:02}{m:02}{s:02}.{fraction:04}+0000", year.clamp(1, 9999))
}

/// `us` as a date only: `YYYYMMDD`.
pub(crate) fn date(us: i64) -> String {
    let (year, month, day) = civil(us.div_euclid(DAY_US));
    format!("{:04}{month:02}{day:02}", year.clamp(1, 9999))
}

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar. Works on 400-year eras that begin on
/// 1 March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_right_at_the_edges_of_the_calendar() {
        assert_eq!(dtm(0), "19700101000000.0000+0000");
        assert_eq!(dtm(951_782_400 * SECOND_US), "20000229000000.0000+0000");
        assert_eq!(dtm(1_709_251_199 * SECOND_US + 999_999), "20240229235959.9999+0000");
        assert_eq!(dtm(1_709_251_200 * SECOND_US), "20240301000000.0000+0000");
        assert_eq!(dtm(4_107_542_399 * SECOND_US), "21000228235959.0000+0000");
        assert_eq!(dtm(4_107_542_400 * SECOND_US), "21000301000000.0000+0000");
        assert_eq!(dtm(-1), "19691231235959.9999+0000");
        assert_eq!(date(0), "19700101");
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_follows_tokio_time() {
        let clock = Clock::starting_at(5);
        tokio::time::advance(std::time::Duration::from_millis(1500)).await;
        assert_eq!(clock.now_us(), 1_500_005);
        assert!((clock.elapsed_s() - 1.5).abs() < 1e-9);
    }
}
