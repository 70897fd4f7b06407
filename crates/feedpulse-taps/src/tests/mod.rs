//! Tests of the taps on loopback sockets, temporary folders and hand-made records.

mod file;
mod mllp;
mod streams;

use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Keeps everything that a tap hands over; makes it durable (calls `done`) when told to.
#[derive(Clone, Default)]
pub(super) struct Kept {
    inner: Arc<Mutex<Inner>>,
    more: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    items: Vec<Tapped>,
    positions: Vec<Position>,
    durable: bool,
    batches: usize,
}

impl Kept {
    pub(super) fn durable() -> Self {
        let kept = Self::default();
        kept.inner.lock().unwrap().durable = true;
        kept
    }

    /// The texts of all frames so far.
    pub(super) fn frames(&self) -> Vec<String> {
        self.pick(|item| match item {
            Tapped::Frame(frame) => {
                Some(String::from_utf8_lossy(frame.bytes.expose()).into_owned())
            }
            _ => None,
        })
    }

    pub(super) fn pick<T>(&self, pick: impl Fn(&Tapped) -> Option<T>) -> Vec<T> {
        self.inner.lock().unwrap().items.iter().filter_map(pick).collect()
    }

    /// How many batches were handed over.
    pub(super) fn batches(&self) -> usize {
        self.inner.lock().unwrap().batches
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.inner.lock().unwrap().positions.clone()
    }

    /// Waits until the test is true of what was handed over.
    pub(super) async fn until(&self, test: impl Fn(&Self) -> bool) {
        loop {
            let more = self.more.notified();
            if test(self) {
                return;
            }
            more.await;
        }
    }
}

impl Intake for Kept {
    async fn put(&mut self, batch: TapBatch) -> Result<(), IntakeClosed> {
        let done = {
            let mut inner = self.inner.lock().unwrap();
            inner.batches += 1;
            inner.items.extend(batch.items);
            for position in batch.positions {
                inner.positions.retain(|old| old.lane != position.lane);
                inner.positions.push(position);
            }
            batch.done.filter(|_| inner.durable)
        };
        if let Some(done) = done {
            done();
        }
        self.more.notify_one();
        Ok(())
    }
}
