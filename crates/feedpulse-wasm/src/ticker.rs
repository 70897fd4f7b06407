//! The heartbeat by which a guest that does not end is stopped.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use wasmtime::EngineWeak;

/// Length of a tick while a guest runs.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Ticks after the last guest ended before the ticker rests.
const LINGER: u32 = 50;
/// How long it rests before it looks for a stop, when no guest starts.
const REST: Duration = Duration::from_millis(250);

/// Who runs, shared by the workers and the ticker.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Guests that run now.
    busy: AtomicUsize,
    /// Whether a ticker lives.
    alive: AtomicBool,
    /// Whether the ticker rests; the condition variable wakes it.
    resting: Mutex<bool>,
    wake: Condvar,
}

/// Says that a guest runs, as long as it lives.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Gate);

impl Gate {
    /// Notes that a guest starts; none when no ticker lives, so that it could not be stopped.
    pub(crate) fn enter(&self) -> Option<Running<'_>> {
        if !self.alive.load(Ordering::Acquire) {
            return None;
        }
        if self.busy.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut *resting) {
                self.wake.notify_all();
            }
        }
        Some(Running(self))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The heartbeat. Made by [`crate::Runtime::ticker`]; the caller puts [`Ticker::run`] on an OS
/// thread of its own (an async runtime could be starved by the very guest that must be stopped).
pub struct Ticker {
    engine: EngineWeak,
    gate: Arc<Gate>,
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticker").finish_non_exhaustive()
    }
}

impl Ticker {
    /// From now on guests may run: the caller runs the ticker right away.
    pub(crate) fn new(engine: EngineWeak, gate: Arc<Gate>) -> Self {
        gate.alive.store(true, Ordering::Release);
        Self { engine, gate }
    }

    /// Ticks once a millisecond while a guest runs and rests otherwise. Returns when `stop` is true
    /// (it is looked at at least every 250 ms) or when the runtime and all its checks are gone.
    pub fn run(self, stop: &AtomicBool) {
        let mut idle = 0;
        while !stop.load(Ordering::Acquire) {
            idle = if self.gate.busy.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > LINGER {
                self.rest();
            } else {
                std::thread::sleep(TICK);
            }
            let Some(engine) = self.engine.upgrade() else { return };
            engine.increment_epoch();
        }
    }

    /// Waits for a guest to start, for a while.
    fn rest(&self) {
        let mut resting = self.gate.resting.lock().unwrap_or_else(PoisonError::into_inner);
        // a guest that starts after this look finds `resting` and wakes us: both are under the lock
        *resting = self.gate.busy.load(Ordering::SeqCst) == 0;
        let waited = self.gate.wake.wait_timeout_while(resting, REST, |resting| *resting);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.gate.alive.store(false, Ordering::Release);
    }
}
