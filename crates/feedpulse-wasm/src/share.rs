//! The processor that a check's thread may take from others.
//!
//! A check may use its budget on every batch and so keep a core busy without a fault. Its thread then
//! stands behind all others for the rest of its life: it is slower and sheds its own rows, and nobody
//! else is.

use crate::host::thread_time;
use std::time::Duration;

/// How long is measured at least, milliseconds.
const WINDOW_MS: u64 = 250;
/// The lowest priority.
const LAST: i32 = 19;

/// What one thread has used; made and asked on that thread.
#[derive(Debug, Default)]
pub struct Share {
    since_ms: u64,
    used: Duration,
    behind: bool,
}

impl Share {
    /// To be called after each batch with a clock that never goes back. True when the thread has used
    /// more than half of a core for a while, and so stands behind the others now.
    pub fn settle(&mut self, monotonic_ms: u64) -> bool {
        let gone = monotonic_ms.saturating_sub(self.since_ms);
        if self.behind || gone < WINDOW_MS {
            return self.behind;
        }
        let used = thread_time();
        let busy = used.saturating_sub(self.used) > Duration::from_millis(gone / 2);
        (self.since_ms, self.used) = (monotonic_ms, used);
        if busy {
            // of the calling thread alone, as Linux does it; a refusal changes nothing
            self.behind = rustix::process::setpriority_process(None, LAST).is_ok();
        }
        self.behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_busy_thread_stands_back() {
        std::thread::spawn(|| {
            let mut share = Share::default();
            assert!(!share.settle(1), "too early");
            assert!(!share.settle(3_600_000), "an hour went by, next to nothing was used");
            let began = thread_time();
            while thread_time().saturating_sub(began) < Duration::from_millis(200) {}
            assert!(share.settle(3_600_300));
            assert!(share.settle(7_200_000), "for good");
        })
        .join()
        .unwrap();
    }
}
