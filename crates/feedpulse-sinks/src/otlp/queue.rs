//! A bounded queue towards one signal's exporter, and the accounts that always add up.

use core::time::Duration;
use feedpulse_core::metrics::{Counter, Registry};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The three kinds of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Its name in labels, task names and addresses (`/v1/{name}`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// What became of all items of one signal. At any moment
/// `offered = exported + queue_full + failed + rejected + queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Spans, points or records that were to be sent.
    pub offered: u64,
    /// Taken by the collector.
    pub exported: u64,
    /// Dropped since the queue was full.
    pub queue_full: u64,
    /// Dropped since the collector could not be reached or refused until the deadline.
    pub failed: u64,
    /// Dropped by the collector itself (partial success).
    pub rejected: u64,
    /// Waiting or on the way.
    pub queued: u64,
}

impl Accounts {
    /// All that was dropped.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.queue_full + self.failed + self.rejected
    }
}

/// The accounts of one signal, with their counters in the registry.
#[derive(Debug)]
pub(crate) struct Tally {
    accounts: Mutex<Accounts>,
    exported: Counter,
    queue_full: Counter,
    failed: Counter,
    rejected: Counter,
}

impl Tally {
    pub(crate) fn new(registry: &Registry, signal: Signal) -> Arc<Self> {
        let dropped = |reason| {
            registry.counter(
                "feedpulse_telemetry_dropped_total",
                "Spans, data points and log records that no collector got.",
                "{item}",
                &[("signal", signal.name()), ("reason", reason)],
            )
        };
        Arc::new(Self {
            accounts: Mutex::default(),
            exported: registry.counter(
                "feedpulse_telemetry_exported_total",
                "Spans, data points and log records that a collector took.",
                "{item}",
                &[("signal", signal.name())],
            ),
            queue_full: dropped("queue_full"),
            failed: dropped("failed"),
            rejected: dropped("rejected"),
        })
    }

    pub(crate) fn read(&self) -> Accounts {
        *self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `n` items in when they fit below `bound`, else counts them as dropped.
    pub(crate) fn admit(&self, n: usize, bound: usize) -> bool {
        let (n, bound) = (n as u64, bound as u64);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.offered += n;
        let fits = accounts.queued + n <= bound;
        if fits {
            accounts.queued += n;
        } else {
            accounts.queue_full += n;
            self.queue_full.add(n);
        }
        fits
    }

    /// `n` items were sent and `rejected` of them were not taken.
    pub(crate) fn sent(&self, n: usize, rejected: u64) {
        let n = n as u64;
        let rejected = rejected.min(n);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.queued -= n;
        accounts.exported += n - rejected;
        accounts.rejected += rejected;
        self.exported.add(n - rejected);
        self.rejected.add(rejected);
    }

    /// `n` items were given up.
    pub(crate) fn gave_up(&self, n: usize) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.queued -= n as u64;
        accounts.failed += n as u64;
        self.failed.add(n as u64);
    }

    /// Gives up everything that is left, at the end.
    pub(crate) fn abandon(&self) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = core::mem::take(&mut accounts.queued);
        accounts.failed += left;
        self.failed.add(left);
    }
}

/// Items that wait; the bound is kept by the tally and covers those on the way as well.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    arrived: Notify,
    bound: usize,
    pub(crate) tally: Arc<Tally>,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: usize, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { items: Mutex::default(), arrived: Notify::new(), bound, tally })
    }

    /// Offers `n` items that belong together: all or none. `make` must give exactly `n`; it runs
    /// only when they fit. Never waits.
    pub(crate) fn offer(&self, n: usize, make: impl FnOnce() -> Vec<T>) -> bool {
        if !self.tally.admit(n, self.bound) {
            return false;
        }
        let made = make();
        debug_assert_eq!(made.len(), n, "the count was promised");
        self.items.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        self.arrived.notify_one();
        true
    }

    fn len(&self) -> usize {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The next batch: as soon as `most` wait, or `linger` after the first; at once when stopping.
    /// Empty only when stopping and nothing waits.
    pub(crate) async fn batch(
        &self,
        most: usize,
        linger: Duration,
        stop: &CancellationToken,
    ) -> Vec<T> {
        while self.len() == 0 && !stop.is_cancelled() {
            tokio::select! {
                () = self.arrived.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        let full = async {
            while self.len() < most {
                self.arrived.notified().await;
            }
        };
        tokio::select! {
            () = full => {}
            () = tokio::time::sleep(linger) => {}
            () = stop.cancelled() => {}
        }
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let n = items.len().min(most);
        items.drain(..n).collect()
    }
}
