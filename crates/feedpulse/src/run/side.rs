//! Where other threads put inputs for the engine: findings of checks, states of parts, operators'
//! actions. Bounded; never waits.

use feedpulse_core::input::Input;
use feedpulse_core::metrics::Counter;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Most inputs that wait; the engine empties it at each step, at least once a second.
const SIDE_MAX: usize = 16_384;

/// A shared, bounded box of inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct SideBox {
    queue: Arc<Mutex<VecDeque<Input>>>,
    shed: Counter,
}

impl SideBox {
    /// A box that counts what it cannot hold.
    pub(crate) fn new(shed: Counter) -> Self {
        Self { queue: Arc::default(), shed }
    }

    /// Puts one in; a full box sheds it and counts. Says whether it was taken.
    pub(crate) fn put(&self, input: Input) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let room = queue.len() < SIDE_MAX;
        if room {
            queue.push_back(input);
        } else {
            self.shed.add(1);
        }
        room
    }

    /// Takes everything.
    pub(crate) fn take(&self) -> VecDeque<Input> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
