//! A small seeded generator (SplitMix64) for back-off jitter, and the mixing step for span ids.

/// Mixes 64 bits so that near inputs give far outputs (the finalizer of SplitMix64).
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Same seed, same numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        let out = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        out
    }

    /// A duration between half of `longest` and all of it.
    pub(crate) fn jitter(&mut self, longest: core::time::Duration) -> core::time::Duration {
        let per_mille = 500 + u32::try_from(self.next() % 501).expect("at most 500");
        longest * per_mille / 1000
    }
}

/// Pauses between attempts: `first`, doubled each time up to `most`, each shortened by jitter to
/// between a half and all of itself.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: core::time::Duration,
    most: core::time::Duration,
    failures: u32,
    random: Random,
}

impl Backoff {
    pub(crate) const fn new(
        first: core::time::Duration,
        most: core::time::Duration,
        seed: u64,
    ) -> Self {
        Self { first, most, failures: 0, random: Random::new(seed) }
    }

    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn next(&mut self) -> core::time::Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(16)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        self.random.jitter(whole)
    }
}
