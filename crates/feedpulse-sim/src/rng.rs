//! A small seeded pseudo-random generator (SplitMix64), so that a seed names a whole hospital.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator whose whole future is fixed by `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator for a part of the simulation, independent of how much the others draw.
    pub fn fork(seed: u64, part: &str) -> Self {
        let mut hash = crate::StreamHash::new();
        hash.update(part.as_bytes());
        Self::new(seed ^ hash.low64())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 when `n` is 0. The bias of the multiplication is below 2^-32 for small `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// An index into a slice of length `len`; 0 when `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p` (0 and below: never; 1 and above: always).
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One item of a slice.
    ///
    /// # Panics
    /// When `items` is empty, which is a mistake in the caller.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// An exponentially distributed gap with the given mean: the gap between two events of a Poisson process.
    pub fn gap(&mut self, mean: Duration) -> Duration {
        let factor = -(1.0 - self.unit()).ln();
        mean.mul_f64(factor.clamp(0.0, 20.0))
    }

    /// A duration in `[low, high]`; `low` when `high` is not above it.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_future_and_the_reference_values_hold() {
        // Reference output of SplitMix64 for seed 1234567 (Vigna's test vector).
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
        let a: Vec<u64> = (0..9).map(|_| Rng::fork(7, "lab").next_u64()).collect();
        assert!(a.iter().all(|v| *v == a[0]));
        assert_ne!(Rng::fork(7, "lab").next_u64(), Rng::fork(7, "ehr").next_u64());
        assert_ne!(Rng::fork(7, "lab").next_u64(), Rng::fork(8, "lab").next_u64());
    }

    #[test]
    fn draws_stay_in_range_and_gaps_have_their_mean() {
        let mut rng = Rng::new(3);
        assert!((0..1000).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
        assert!((0..100).all(|_| !rng.chance(0.0)) && (0..100).all(|_| rng.chance(1.0)));
        let mean = Duration::from_millis(50);
        let sum: Duration = (0..20_000).map(|_| rng.gap(mean)).sum();
        let measured = sum.as_secs_f64() / 20_000.0;
        assert!((0.047..0.053).contains(&measured), "mean gap {measured}");
        let d = rng.between(mean, mean * 2);
        assert!(d >= mean && d <= mean * 2);
        assert_eq!(rng.between(mean, Duration::ZERO), mean);
    }
}
