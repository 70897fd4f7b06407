//! Days of the week that are alike, taken together: where Tuesdays run as Mondays do, five of them tell in
//! a week what one alone tells in five.
//!
//! Two days are alike if their hours differ by no more than chance and the usual unrest of a day explain
//! (the mean of chi-squared over the hours); their volumes are taken as one where those differ no more
//! either, and are scaled to each other where they do: a Monday may be busier all day.

use crate::calendar::HOURS;

const DAY: usize = 24;
const DAYS: usize = HOURS / DAY;
/// Alike are days whose chi-squared is below so many times its mean.
const ALIKE: f32 = 2.0;
/// With fewer hours to compare than this, chance is larger than that.
const HOURS_LEAST: f32 = 4.0;
/// Of the same volume are days whose logarithms differ by less than the root of so many variances.
const SAME: f32 = 2.0;
/// An hour that was learned often is as sure as one that was so many times: it forgets.
const SURE: u8 = 9;

/// What was learned of one stream: messages of each hour of the week, how often each was learned, and how
/// much hours differ beyond chance (variance over the mean's square).
#[derive(Clone, Copy, Debug)]
pub(super) struct Week<'w> {
    pub(super) rates: &'w [f32],
    pub(super) learned: &'w [u8],
    pub(super) spread: f32,
}

impl Week<'_> {
    /// Messages in an hour of the week, as all days say that are alike; 0 for an hour that is not known.
    pub(super) fn rate(self, hour: usize) -> f32 {
        let (day, of_day) = (hour % HOURS / DAY, hour % DAY);
        let (mut sum, mut weight) = (0.0, 0.0);
        for other in (0..DAYS).filter(|other| self.times(*other, of_day) > 0.0) {
            if let Some(scale) = self.scale(day, other) {
                // A busier day knows its hours better.
                let knows = self.times(other, of_day) / scale;
                sum += knows * scale * self.at(other, of_day);
                weight += knows;
            }
        }
        if weight > 0.0 && self.times(day, of_day) > 0.0 { sum / weight } else { 0.0 }
    }

    fn at(self, day: usize, of_day: usize) -> f32 {
        self.rates.get(day * DAY + of_day).copied().unwrap_or(0.0)
    }

    fn times(self, day: usize, of_day: usize) -> f32 {
        f32::from(self.learned.get(day * DAY + of_day).copied().unwrap_or(0).min(SURE))
    }

    /// By what another day's hours are multiplied to be those of this day; None: they are not alike.
    fn scale(self, day: usize, other: usize) -> Option<f32> {
        if day == other {
            return Some(1.0);
        }
        let both = |k: &usize| self.times(day, *k) > 0.0 && self.times(other, *k) > 0.0;
        let volume = |day: usize| (0..DAY).filter(both).map(|k| self.at(day, k)).sum::<f32>();
        let (mine, theirs) = (volume(day), volume(other));
        if mine <= 0.0 || theirs <= 0.0 {
            return None;
        }
        let (scale, mut far, mut hours, mut least) = (mine / theirs, 0.0, 0.0, f32::from(SURE));
        for k in (0..DAY).filter(both) {
            let (own, their) = (self.times(day, k), self.times(other, k));
            let (a, b) = (self.at(day, k), self.at(other, k) * scale);
            // Messages that were counted say how sure a mean is.
            let mean = (a * own + b * their / scale) / (own + their / scale);
            let chance = mean * (1.0 / own + scale / their);
            let unrest = self.spread * mean * mean * (1.0 / own + 1.0 / their);
            if mean > 0.0 {
                far += (a - b) * (a - b) / (chance + unrest);
                hours += 1.0;
                least = least.min(own).min(their);
            }
        }
        if far > ALIKE * f32::max(hours, HOURS_LEAST) {
            return None;
        }
        let variance = (2.0 * self.spread + 1.0 / mine + 1.0 / theirs) / least;
        Some(if scale.ln().powi(2) < SAME * variance { 1.0 } else { scale })
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, Week};
    use crate::calendar::HOURS;

    /// A week in which each hour was learned four times; `of` a day and an hour of it.
    fn rates(of: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..HOURS).map(|hour| of(hour / DAY, hour % DAY)).collect()
    }

    fn week<'w>(rates: &'w [f32], learned: &'w [u8]) -> Week<'w> {
        Week { rates, learned, spread: 0.04 }
    }

    #[test]
    fn an_hour_that_chance_made_odd_is_mended_by_the_other_days() {
        let learned = vec![4; HOURS];
        let noisy = rates(|day, k| if (day, k) == (1, 10) { 14.0 } else { 10.0 });
        let rate = week(&noisy, &learned).rate(DAY + 10);
        assert!((10.0..11.0).contains(&rate), "{rate}");
        assert_eq!(week(&noisy, &[0; HOURS]).rate(DAY + 10), 0.0, "nothing is known");
        assert_eq!(week(&[], &[]).rate(3), 0.0);
    }

    #[test]
    fn a_day_of_other_hours_stands_alone_and_a_busier_one_is_scaled() {
        let learned = vec![8; HOURS];
        let shop = |k: usize| if (8..18).contains(&k) { 60.0 } else { 0.5 };
        let site = rates(|day, k| match day {
            0 => 2.0 * shop(k),
            5 | 6 => 4.0,
            _ => shop(k),
        });
        let week = week(&site, &learned);
        assert!((week.rate(10) - 120.0).abs() < 3.0, "Monday: {}", week.rate(10));
        assert!((week.rate(DAY + 10) - 60.0).abs() < 1.5, "Tuesday: {}", week.rate(DAY + 10));
        assert!((week.rate(5 * DAY + 10) - 4.0).abs() < 0.1, "Saturday: {}", week.rate(130));
    }
}
