//! All probes, again and again: each at its own pace with some jitter, so that they do not march in
//! step, and at most [`IN_FLIGHT`] at once. One future, run by the supervisor.

use crate::probe::{Look, Probe};
use core::time::Duration;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Gauge, Registry};
use feedpulse_core::probe::{PARTS_MAX, Probed, Saw};
use feedpulse_core::time::Timestamp;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Probes that look at the same time.
pub const IN_FLIGHT: usize = 16;
/// After a start each probe looks within this for the first time.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// Values are shown with so many thousandths.
const MILLI: f64 = 1_000.0;

/// The clock, given from outside.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Where results go; must return at once.
pub type Put = Arc<dyn Fn(Probed) + Send + Sync>;

/// Everything that looks.
pub struct Runner {
    probes: Vec<Probe>,
    clock: Clock,
    put: Put,
    numbers: Vec<Numbers>,
    random: u64,
}

impl core::fmt::Debug for Runner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Runner").field("probes", &self.probes.len()).finish_non_exhaustive()
    }
}

impl Runner {
    /// `seed` spreads the probes over time.
    #[must_use]
    pub fn new(probes: Vec<Probe>, clock: Clock, put: Put, registry: &Registry, seed: u64) -> Self {
        let numbers = probes.iter().map(|probe| Numbers::new(registry, probe.name())).collect();
        Self { probes, clock, put, numbers, random: seed }
    }

    /// Looks until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let probes = Arc::new(core::mem::take(&mut self.probes));
        let mut due: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
        for (n, probe) in probes.iter().enumerate() {
            let first = self.part_of(FIRST_WITHIN.min(probe.every()));
            due.push(Reverse((Instant::now() + first, n)));
        }
        let mut flying = FuturesUnordered::new();
        loop {
            let next = due.peek().map(|Reverse((at, _))| *at).filter(|_| flying.len() < IN_FLIGHT);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(next) => {
                    let Some(Reverse((_, n))) = due.pop() else { continue };
                    let all = Arc::clone(&probes);
                    flying.push(async move {
                        let started = Instant::now();
                        let look = match all.get(n) {
                            Some(probe) => probe.look().await,
                            None => Look::default(),
                        };
                        (n, started, look)
                    });
                }
                Some((n, started, look)) = flying.next(), if !flying.is_empty() => {
                    let Some(probe) = probes.get(n) else { continue };
                    let elapsed = started.elapsed();
                    if let Some(numbers) = self.numbers.get_mut(n) {
                        numbers.show(&look, elapsed);
                    }
                    (self.put)(probe.told(&look, (self.clock)(), elapsed));
                    // From nine to eleven tenths of its pace.
                    let pace = probe.every() * 9 / 10 + self.part_of(probe.every() / 5);
                    due.push(Reverse(((started + pace).max(Instant::now()), n)));
                }
            }
        }
    }

    /// A random part of a time (splitmix64).
    fn part_of(&mut self, time: Duration) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        time.mul_f64(f64::from((z >> 32) as u32) / f64::from(u32::MAX))
    }
}

/// Without a time it sleeps for good.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => core::future::pending().await,
    }
}

/// The numbers of one probe: at most one value for each of [`PARTS_MAX`] parts.
#[derive(Debug)]
pub struct Numbers {
    registry: Registry,
    name: Label,
    up: Gauge,
    seconds: Gauge,
    ends: Option<Gauge>,
    values: BTreeMap<Label, Gauge>,
}

impl Numbers {
    /// Registers them.
    #[must_use]
    pub fn new(registry: &Registry, name: Label) -> Self {
        let labels = [("probe", name.as_str())];
        let up = registry.gauge(
            "feedpulse_probe_up",
            "1 when all that a probe checked was as it should be, else 0.",
            "1",
            1.0,
            &labels,
        );
        let seconds = registry.gauge(
            "feedpulse_probe_seconds",
            "How long a probe's last look took.",
            "s",
            1e6,
            &labels,
        );
        Self { registry: registry.clone(), name, up, seconds, ends: None, values: BTreeMap::new() }
    }

    /// Shows what a look saw. A value that was not seen this time is not known.
    pub fn show(&mut self, look: &Look, elapsed: Duration) {
        self.up.set(i64::from(!look.is_bad()));
        self.seconds.set(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX));
        self.values.values().for_each(Gauge::unknown);
        for reading in &look.readings {
            match reading.saw {
                Saw::Number(value) => self.value(reading.part, value),
                Saw::Group(offsets) => {
                    let committed = offsets.committed.unwrap_or(offsets.low).max(offsets.low);
                    self.value(reading.part, offsets.end.saturating_sub(committed).max(0) as f64);
                }
                Saw::Ends(at) => self.ends(at),
                Saw::Check { .. } | Saw::Known { .. } | Saw::Beat(_) => {}
            }
        }
    }

    fn value(&mut self, part: Label, value: f64) {
        if !self.values.contains_key(&part) && self.values.len() >= PARTS_MAX {
            return;
        }
        let (registry, name) = (&self.registry, self.name);
        let gauge = self.values.entry(part).or_insert_with(|| {
            registry.gauge(
                "feedpulse_probe_value",
                "The number that a probe read; of a consumer group the records that it is behind.",
                "1",
                MILLI,
                &[("probe", name.as_str()), ("part", part.as_str())],
            )
        });
        gauge.set((value * MILLI).round() as i64);
    }

    fn ends(&mut self, at: Timestamp) {
        let (registry, name) = (&self.registry, self.name);
        let gauge = self.ends.get_or_insert_with(|| {
            registry.gauge(
                "feedpulse_certificate_not_after_seconds",
                "When the first certificate of the chain ends, in Unix time.",
                "s",
                1.0,
                &[("probe", name.as_str())],
            )
        });
        gauge.set(at.as_secs());
    }
}
