//! The loop that empties one signal's queue into the collector.

use crate::health::Health;
use crate::otlp::queue::{Queue, Tally};
use crate::otlp::transport::{Payload, Transport, Way};
use crate::random::Backoff;
use core::time::Duration;
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a task goes on delivering after it was told to stop.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a signal that failed waits for traffic before it asks with an empty request.
const PROBE: Duration = Duration::from_secs(30);

/// Sends payloads with retries, and keeps accounts and health.
#[derive(Debug)]
pub(crate) struct Shipper {
    pub(crate) resource: Resource,
    pub(crate) tally: Arc<Tally>,
    pub(crate) health: Health,
    pub(crate) member: usize,
    pub(crate) retry_for: Duration,
    pub(crate) seed: u64,
}

impl Shipper {
    /// Sends `n` admitted items until they are taken or the deadline passes. Returns when the
    /// accounts say which: true when they were taken.
    pub(crate) async fn ship(&self, transport: &Transport, payload: &Payload, n: usize) -> bool {
        let deadline = Instant::now() + self.retry_for;
        let mut backoff =
            Backoff::new(Duration::from_millis(500), Duration::from_secs(5), self.seed);
        loop {
            let began = Instant::now();
            match transport.send(payload).await {
                Ok(rejected) => {
                    self.tally.sent(n, rejected);
                    self.health.worked(self.member);
                    return true;
                }
                Err(error) => {
                    // A wish for no pause at all is not granted.
                    let own = backoff.next();
                    let pause = error.after.map_or(own, |wish| wish.max(own));
                    let over = !error.retry || Instant::now() + pause >= deadline;
                    if over {
                        self.tally.gave_up(n);
                    }
                    let dropped = self.tally.read().dropped();
                    self.health.failed(self.member, began, error.class, dropped);
                    if over {
                        return false;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// Empties a queue of spans or log records.
#[derive(Debug)]
pub(crate) struct QueueTask<T> {
    pub(crate) queue: Arc<Queue<T>>,
    pub(crate) way: Way,
    pub(crate) shipper: Shipper,
    pub(crate) wrap: fn(&Resource, Vec<T>) -> Payload,
    pub(crate) batch: usize,
    pub(crate) linger: Duration,
}

impl<T> QueueTask<T> {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { queue, way, shipper, wrap, batch, linger } = self;
        let transport = way.open();
        let working = async {
            let mut well = true;
            loop {
                let next = queue.batch(batch, linger, &stop);
                // Without traffic a failed signal would stay failed: an empty request asks.
                let items = if well {
                    next.await
                } else {
                    tokio::time::timeout(PROBE, next).await.unwrap_or_default()
                };
                if items.is_empty() && stop.is_cancelled() {
                    return;
                }
                let n = items.len();
                well = shipper.ship(&transport, &wrap(&shipper.resource, items), n).await;
            }
        };
        until_stopped(working, &stop).await;
        shipper.tally.abandon();
    }
}

/// Runs until it is done, or for [`LAST_WORDS`] after `stop`.
pub(crate) async fn until_stopped(working: impl Future<Output = ()>, stop: &CancellationToken) {
    tokio::select! {
        () = working => {}
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        } => {}
    }
}
