//! A site's civil time as plain data, so that the core needs no zone database: made at the edge,
//! an input like the rest of the plan.

use crate::time::Timestamp;

/// Hours of a week; hour 0 is Monday from midnight, by the site's clocks.
pub const HOURS: usize = 168;
/// Microseconds of an hour.
pub const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// Holidays run by the profile of a Sunday.
const SUNDAY: usize = 6;

/// Offsets and holidays of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// From each time on, how far the site's clocks are ahead of UTC, in seconds; in order. Before the
    /// first one the first holds; without any, UTC does.
    pub offsets: Vec<(Timestamp, i32)>,
    /// Holidays, as days since 1970-01-01 by the site's clocks; in order.
    pub holidays: Vec<i32>,
}

impl Calendar {
    /// What the site's clocks show, as µs since 1970-01-01 there.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> i64 {
        let after = self.offsets.partition_point(|(from, _)| *from <= at);
        let offset = self.offsets.get(after.saturating_sub(1)).map_or(0, |(_, offset)| *offset);
        at.as_micros().saturating_add(i64::from(offset) * 1_000_000)
    }

    /// The day there, counted from 1970-01-01.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> i32 {
        i32::try_from(self.local(at).div_euclid(DAY)).unwrap_or(i32::MAX)
    }

    /// Whether it is a holiday there.
    #[must_use]
    pub fn is_holiday(&self, at: Timestamp) -> bool {
        self.holidays.binary_search(&self.day(at)).is_ok()
    }

    /// The hour of the week, below [`HOURS`]; a holiday has those of a Sunday.
    #[must_use]
    pub fn hour(&self, at: Timestamp) -> usize {
        let local = self.local(at);
        // The epoch was a Thursday.
        let day = usize::try_from((local.div_euclid(DAY) + 3).rem_euclid(7)).unwrap_or(0);
        let day = if self.is_holiday(at) { SUNDAY } else { day };
        day * 24 + usize::try_from(local.rem_euclid(DAY) / HOUR).unwrap_or(0)
    }

    /// The minute of the week, from Monday at midnight; holidays are days as others here.
    #[must_use]
    pub fn minute_of_week(&self, at: Timestamp) -> u32 {
        let minutes = self.local(at).div_euclid(HOUR / 60) + 3 * 1_440;
        u32::try_from(minutes.rem_euclid(7 * 1_440)).unwrap_or(0)
    }

    /// When the hour that holds at a time ends: the next full hour there, or a change of the clocks.
    #[must_use]
    pub fn hour_ends(&self, at: Timestamp) -> Timestamp {
        let left = HOUR - self.local(at).rem_euclid(HOUR);
        let end = Timestamp::from_micros(at.as_micros().saturating_add(left));
        let next = self.offsets.get(self.offsets.partition_point(|(from, _)| *from <= at));
        next.map_or(end, |(change, _)| end.min(*change))
    }
}

#[cfg(test)]
mod tests {
    use super::{Calendar, HOUR};
    use crate::frame::WaypointId;
    use crate::plan::{DownTimes, Downtime};
    use crate::time::Timestamp;

    /// Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
    fn berlin() -> Calendar {
        Calendar {
            offsets: vec![
                (Timestamp::EPOCH, 3_600),
                (Timestamp::from_secs(1_774_746_000), 7_200),
                (Timestamp::from_secs(1_792_890_000), 3_600),
            ],
            // Good Friday, 3 April 2026.
            holidays: vec![20_546],
        }
    }

    #[test]
    fn hours_of_the_week_follow_the_sites_clocks() {
        let utc = Calendar::default();
        let monday = Timestamp::from_secs(1_772_409_600); // 2 March 2026, 00:00 UTC
        assert_eq!(utc.hour(monday), 0);
        assert_eq!(berlin().hour(monday), 1);
        let sunday = monday.minus(core::time::Duration::from_secs(1));
        assert_eq!(utc.hour(sunday), 167);
        // The same wall clock hour before and behind the change.
        let noon = Timestamp::from_secs(1_774_609_200); // Friday 27 March, 11:00 UTC = 12:00
        let later = Timestamp::from_secs(1_775_210_400 + 7 * 86_400); // Friday 10 April, 10:00 UTC
        assert_eq!(berlin().hour(noon), 4 * 24 + 12);
        assert_eq!(berlin().hour(later), 4 * 24 + 12);
    }

    #[test]
    fn a_downtime_holds_on_its_days_and_over_midnight() {
        let weekly = Downtime {
            name: "patch night".into(),
            waypoints: vec![WaypointId(1)],
            // Sunday 23:00 for two hours.
            times: DownTimes::Weekly { days: 1 << 6, start: 23 * 60, minutes: 120 },
        };
        let utc = Calendar::default();
        let monday = 1_772_409_600; // 2 March 2026, 00:00 UTC
        for (second, holds) in [
            (-3_601, false),
            (-3_600, true),
            (0, true),
            (3_599, true),
            (3_600, false),
            (86_400, false),
        ] {
            let at = Timestamp::from_secs(monday + second);
            assert_eq!(weekly.holds(&utc, WaypointId(1), at), holds, "{second}");
            assert!(!weekly.holds(&utc, WaypointId(0), at));
        }
        let at = Timestamp::from_secs(monday - 7_200);
        assert!(weekly.holds(&berlin(), WaypointId(1), at), "an hour earlier in UTC");
    }

    #[test]
    fn a_holiday_is_a_sunday() {
        let noon = Timestamp::from_secs(1_775_210_400); // Friday 3 April, 10:00 UTC
        assert!(berlin().is_holiday(noon));
        assert_eq!(berlin().hour(noon), 6 * 24 + 12);
        assert!(!Calendar::default().is_holiday(noon));
    }

    #[test]
    fn an_hour_ends_on_the_hour_and_at_a_change_of_the_clocks() {
        let berlin = berlin();
        let change = berlin.offsets[1].0;
        for before in [1, 10, 3_599] {
            let at = Timestamp::from_secs(change.as_secs() - before);
            assert_eq!(berlin.hour_ends(at), change);
        }
        let mut at = Timestamp::from_secs(change.as_secs() - 86_400);
        let mut hours = 0;
        while at < Timestamp::from_secs(change.as_secs() + 86_400) {
            let next = berlin.hour_ends(at);
            assert!(next > at && next.micros_since(at) <= HOUR);
            (at, hours) = (next, hours + 1);
        }
        assert_eq!(hours, 48);
    }
}
