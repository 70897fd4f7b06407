//! The one registry of numbers: shells count here with atomics; /metrics and OTLP read the same
//! families, made from this registry and the engine's [`View`](crate::view::View).

use crate::hist::Histogram;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times, in seconds when shown.
    Histogram,
    /// Times far below a second: as a histogram, with bounds from 10 µs to 1 s.
    Brief,
}

impl Kind {
    /// Upper bounds of the buckets that are shown, µs; none of numbers.
    #[must_use]
    pub const fn bounds(self) -> &'static [u64] {
        match self {
            Self::Counter | Self::Gauge => &[],
            Self::Histogram => BOUNDS_MICROS,
            Self::Brief => BRIEF_MICROS,
        }
    }
}

/// A family of numbers with one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// `feedpulse_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// UCUM unit for OTLP (`s`, `By`, `{message}`).
    pub unit: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its points; label values come from configuration, closed sets or bounded tables.
    pub points: Vec<Point>,
}

/// One point of a family.
#[derive(Clone, Debug)]
pub struct Point {
    /// Labels in order.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Counter or gauge. Always finite: an unknown number is an absent point.
    Number(f64),
    /// A histogram of µs.
    Times(Box<Histogram>),
}

/// Upper bounds of the shown histogram buckets in µs: 5 ms to 24 h.
pub const BOUNDS_MICROS: &[u64] = &[
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    14_400_000_000,
    86_400_000_000,
];

/// As [`BOUNDS_MICROS`], of what takes far less than a second: 10 µs to 1 s.
pub const BRIEF_MICROS: &[u64] = &[
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    1_000_000,
];

/// A counter that a shell holds.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets, for numbers that another process counts.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Reads.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A gauge that a shell holds. Unknown until first set.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<AtomicI64>);

impl Default for Gauge {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MIN)))
    }
}

impl Gauge {
    /// Sets.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Makes it unknown: the point disappears.
    pub fn unknown(&self) {
        self.0.store(i64::MIN, Ordering::Relaxed);
    }

    /// Reads; None while unknown.
    #[must_use]
    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|n| *n != i64::MIN)
    }
}

enum Held {
    Counter(Counter),
    /// With the number to divide by when shown (1e6 for µs shown as seconds).
    Gauge(Gauge, f64),
}

struct Entry {
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    labels: Vec<(&'static str, String)>,
    held: Held,
}

/// Holds every counter and gauge of the shells. Registration locks; counting does not.
#[derive(Clone, Default)]
pub struct Registry {
    entries: Arc<Mutex<Vec<Entry>>>,
    sources: Arc<Mutex<Vec<Families>>>,
}

/// Makes families of numbers that are held elsewhere.
type Families = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

impl core::fmt::Debug for Registry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Registry(…)")
    }
}

impl Registry {
    /// Registers a counter; the same name and labels give the same counter.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        unit: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Counter {
        let labels = own(labels);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.iter() {
            if let Held::Counter(counter) = &entry.held
                && entry.name == name
                && entry.labels == labels
            {
                return counter.clone();
            }
        }
        let counter = Counter::default();
        entries.push(Entry { name, help, unit, labels, held: Held::Counter(counter.clone()) });
        counter
    }

    /// Registers a gauge; shown as its value divided by `scale`.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        unit: &'static str,
        scale: f64,
        labels: &[(&'static str, &str)],
    ) -> Gauge {
        let labels = own(labels);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.iter() {
            if let Held::Gauge(gauge, _) = &entry.held
                && entry.name == name
                && entry.labels == labels
            {
                return gauge.clone();
            }
        }
        let gauge = Gauge::default();
        entries.push(Entry { name, help, unit, labels, held: Held::Gauge(gauge.clone(), scale) });
        gauge
    }

    /// Registers what makes families of numbers that it holds itself. It is called by whoever reads the
    /// numbers, so it must return at once.
    pub fn source(&self, families: impl Fn() -> Vec<Family> + Send + Sync + 'static) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(families));
    }

    /// Every registered number as families, in order of registration, then those of the sources.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.own_families();
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        families.extend(sources.iter().flat_map(|source| source()));
        families
    }

    fn own_families(&self) -> Vec<Family> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut families: Vec<Family> = Vec::new();
        for entry in entries.iter() {
            let (kind, value) = match &entry.held {
                #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
                Held::Counter(counter) => (Kind::Counter, Some(counter.get() as f64)),
                #[expect(clippy::cast_precision_loss, reason = "gauges far below 2^53")]
                Held::Gauge(gauge, scale) => (Kind::Gauge, gauge.get().map(|n| n as f64 / scale)),
            };
            let position =
                families.iter().position(|f| f.name == entry.name).unwrap_or_else(|| {
                    families.push(Family {
                        name: entry.name,
                        help: entry.help,
                        unit: entry.unit,
                        kind,
                        points: Vec::new(),
                    });
                    families.len() - 1
                });
            if let (Some(value), Some(family)) = (value, families.get_mut(position)) {
                family
                    .points
                    .push(Point { labels: entry.labels.clone(), value: Value::Number(value) });
            }
        }
        families
    }
}

fn own(labels: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()
}
