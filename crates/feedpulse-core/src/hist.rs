//! A small log-linear histogram of times in microseconds: fixed size, mergeable, ≤ 6.3 % error.

/// Linear steps per octave.
const STEPS: usize = 16;
/// Octaves from 16 µs up to 2^40 µs (12 days); the last bucket holds all that is longer.
const OCTAVES: usize = 36;
/// Buckets: values below 16 µs have one each, then 16 for each octave.
const BUCKETS: usize = STEPS * (OCTAVES + 1);

/// Counts of times. Buckets are allocated on the first record.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: Vec<u32>,
    count: u64,
    sum: u64,
    max: u64,
}

/// Equal counts are equal, whether or not the buckets were ever allocated.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum, self.max) == (other.count, other.sum, other.max)
            && self.parts().eq(other.parts())
    }
}

impl Eq for Histogram {}

fn index(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return usize::try_from(micros).expect("below 16");
    }
    let octave = 63 - micros.leading_zeros() as usize; // ≥ 4
    let step = (micros >> (octave - 4)) as usize & (STEPS - 1);
    (STEPS * (octave - 3) + step).min(BUCKETS - 1)
}

fn upper(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let octave = index / STEPS + 3;
    let step = (index % STEPS) as u64;
    ((STEPS as u64 + step + 1) << (octave - 4)) - 1
}

impl Histogram {
    /// Adds one time in µs.
    pub fn record(&mut self, micros: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        if let Some(bucket) = self.buckets.get_mut(index(micros)) {
            *bucket = bucket.saturating_add(1);
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
        self.max = self.max.max(micros);
    }

    /// How many were recorded.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in µs.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// The longest in µs; None when nothing was recorded.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The `q` quantile (0..=1) in µs, at most 6.3 % too high; None when nothing was recorded.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank within the count"
        )]
        let rank = ((self.count as f64) * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += u64::from(*n);
            if seen >= rank {
                return Some(upper(i).min(self.max));
            }
        }
        Some(self.max)
    }

    /// How many were at most `micros`, up to the bucket that holds it.
    #[must_use]
    pub fn at_most(&self, micros: u64) -> u64 {
        self.buckets.iter().take(index(micros) + 1).map(|n| u64::from(*n)).sum()
    }

    /// Adds all that another one holds; bucket by bucket, so nothing is lost by merging.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        for (to, from) in self.buckets.iter_mut().zip(&other.buckets) {
            *to = to.saturating_add(*from);
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.sum, self.max) = (0, 0, 0);
    }

    /// Non-empty buckets as (index, count): its stored form with [`Histogram::restore`].
    pub fn parts(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..).zip(&self.buckets).filter(|(_, n)| **n > 0).map(|(i, n)| (i, *n))
    }

    /// From its stored form; unknown indices are dropped.
    #[must_use]
    pub fn restore(parts: &[(u32, u32)], sum: u64, max: u64) -> Self {
        let mut all = Self { buckets: vec![0; BUCKETS], count: 0, sum, max };
        for (i, n) in parts {
            if let Some(bucket) = all.buckets.get_mut(*i as usize) {
                *bucket = *n;
                all.count += u64::from(*n);
            }
        }
        all
    }
}
