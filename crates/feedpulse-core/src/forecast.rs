//! Where a backlog is going: the median of all slopes between its last looks (Theil and Sen), which a
//! burst does not move.

use crate::engine::state::FeedState;

/// Looks below which nothing is foreseen: two minutes.
const LEAST: usize = 8;
/// A breach further away than this, in seconds, is not foreseen.
const HORIZON: f32 = 3_600.0;
/// Seconds from look to look.
const STEP: f32 = 15.0;

/// What the last looks say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forecast {
    /// Messages a second that it grows by.
    pub growth: f32,
    /// Seconds until the transit objective breaks, 0 where it is broken; None when it will not.
    pub breach: Option<f32>,
    /// Seconds until it is empty; None while it grows.
    pub drained: Option<f32>,
}

impl Forecast {
    /// Whether the objective breaks within the horizon.
    pub(crate) fn breaks(&self) -> bool {
        self.growth > 0.0 && self.breach.is_some_and(|seconds| seconds <= HORIZON)
    }
}

/// Reads a feed's looks; None while they are too few.
pub(crate) fn of(feed: &FeedState) -> Option<Forecast> {
    if feed.looks.len() < LEAST {
        return None;
    }
    let (backlog, age) = *feed.looks.back()?;
    let backlog = backlog as f32;
    // A burst that has begun to drain grows no more, whatever came before.
    let late = feed.looks.len() - LEAST;
    let growth = slope(feed.looks.iter().map(|(backlog, _)| *backlog as f32))
        .min(slope(feed.looks.iter().skip(late).map(|(backlog, _)| *backlog as f32)));
    let ageing = slope(feed.looks.iter().map(|(_, age)| *age));
    let left = feed.objectives.transit.as_secs_f32() - age;
    let breach = match left {
        ..=0.0 => Some(0.0),
        _ if ageing > 0.01 => Some(left / ageing),
        _ => None,
    };
    let drained = (growth < 0.0 && backlog > 0.0).then(|| backlog / -growth);
    Some(Forecast { growth, breach, drained })
}

/// The median slope a second.
fn slope(looks: impl Iterator<Item = f32>) -> f32 {
    let looks: Vec<(f32, f32)> = looks.enumerate().map(|(n, y)| (n as f32 * STEP, y)).collect();
    slope_of(&looks)
}

/// The median slope of numbers at given times, in order; 0 while there are fewer than two.
pub(crate) fn slope_of(looks: &[(f32, f32)]) -> f32 {
    let pairs = looks.iter().enumerate().flat_map(|(n, a)| {
        looks.iter().skip(n + 1).filter(|b| b.0 > a.0).map(move |b| (b.1 - a.1) / (b.0 - a.0))
    });
    let mut slopes: Vec<f32> = pairs.collect();
    slopes.sort_by(f32::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_burst_does_not_move_the_slope_and_a_ramp_is_one() {
        let ramp = (0..24).map(|n| n as f32 * 30.0);
        assert!((slope(ramp) - 2.0).abs() < 0.001);
        let burst = (0..24).map(|n| if n == 12 { 5_000.0 } else { 10.0 });
        assert_eq!(slope(burst), 0.0);
        let draining = (0..24).map(|n| if n < 3 { 10.0 } else { 900.0 - n as f32 * 30.0 });
        assert!(slope(draining) < 0.0);
    }
}
