//! Waits for one future on the tap's own thread, for as long as nobody says stop.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, Thread};
use tokio_util::sync::CancellationToken;

/// How soon a stop is noticed.
pub(crate) const NOTICE: Duration = Duration::from_millis(100);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The future's output; None when `stop` came first. Needs no runtime of its own.
pub(crate) fn wait<F: Future>(future: F, stop: &CancellationToken) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if stop.is_cancelled() {
            return None;
        }
        thread::park_timeout(NOTICE);
    }
}
