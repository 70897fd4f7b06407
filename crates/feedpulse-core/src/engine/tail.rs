//! The long gaps of a stream: how they thin out, and so how long one comes once in so many weeks.
//!
//! Gaps beyond a threshold are kept as counts and sums by size, and fade from week to week. Beyond a
//! high threshold gaps of nearly every stream thin out exponentially (the method of peaks over a
//! threshold, with the shape 0): with `n` a week beyond `u`, of mean excess `m`, one comes once in
//! `t` weeks that is longer than `u + m ln(n t)`.

/// Sizes that are kept apart.
pub const SIZES: usize = 20;
/// The shortest gap that is kept, in expected messages; each size is [`STEP`] times the one before.
pub(super) const FIRST: f32 = 2.0;
const STEP: f32 = 1.25;
/// Weeks fade by this, each.
const FADE: f32 = 0.85;
/// So many gaps beyond a threshold say how they thin out.
const ENOUGH: f32 = 24.0;
/// What is assumed of the mean excess before gaps say it, as if so many had.
const ASSUMED: (f32, f32) = (1.1, 4.0);

/// The long gaps of a stream; 164 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tail {
    /// How many of each size.
    pub counts: [f32; SIZES],
    /// Their sums.
    pub sums: [f32; SIZES],
    /// Weeks that they are of.
    pub weeks: f32,
}

/// The lower end of a size.
fn edge(size: usize) -> f32 {
    FIRST * STEP.powi(i32::try_from(size).unwrap_or(0))
}

impl Tail {
    /// Adds a gap.
    pub(super) fn add(&mut self, gap: f32) {
        if gap < FIRST {
            return;
        }
        let size = ((gap / FIRST).ln() / STEP.ln()) as usize;
        let size = size.min(SIZES - 1);
        if let (Some(count), Some(sum)) = (self.counts.get_mut(size), self.sums.get_mut(size)) {
            *count += 1.0;
            *sum += gap;
        }
    }

    /// A week is over.
    pub(super) fn week_over(&mut self) {
        self.weeks = (self.weeks + 1.0) * FADE;
        self.counts.iter_mut().chain(&mut self.sums).for_each(|value| *value *= FADE);
    }

    /// The gap that comes once in so many weeks; None before a week is over.
    pub(super) fn limit(&self, once_in: f32) -> Option<f32> {
        if self.weeks <= 0.0 {
            return None;
        }
        let (mut count, mut sum) = (0.0, 0.0);
        let mut size = SIZES;
        while size > 0 && count < ENOUGH {
            size -= 1;
            count += self.counts.get(size).copied().unwrap_or(0.0);
            sum += self.sums.get(size).copied().unwrap_or(0.0);
        }
        let threshold = edge(size);
        let (mean, weight) = ASSUMED;
        let excess = (sum - count * threshold + mean * weight) / (count + weight);
        Some(threshold + excess * (count.max(1.0) / self.weeks * once_in).max(1.0).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn the_gap_of_once_in_a_quarter_is_extrapolated_from_weeks() {
        for mean in [1.0_f32, 1.3, 8.0] {
            let mut tail = Tail::default();
            // Gaps of an exponential law at even ranks: a thousand a week, four weeks.
            for week in 0..4 {
                for n in 0..1_000_u16 {
                    let rank = (f32::from(n) + 0.5) / 1_000.0 + 0.000_1 * week as f32;
                    tail.add(-mean * rank.min(0.999_5).ln());
                }
                tail.week_over();
            }
            let truth = mean * (13_000.0_f32).ln();
            let limit = tail.limit(13.0).unwrap();
            assert!((limit / truth - 1.0).abs() < 0.1, "{limit} for {truth}");
        }
        assert_eq!(Tail::default().limit(13.0), None);
    }
}
