//! When a faulty check is set aside, and when it is tried again.

use crate::limits::Limits;
use std::collections::VecDeque;

/// Whether a check runs. Times are the caller's monotonic milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Ready,
    /// Too many faults: rows are counted as skipped until then.
    SetAside {
        /// When it is tried again.
        until_ms: u64,
        /// How long this pause is; the next one is twice as long, up to the limit.
        pause_ms: u64,
    },
    /// It runs again after a pause; the next fault sets it aside at once.
    Probation {
        /// Since when.
        since_ms: u64,
    },
    /// It ran into too many pauses in a row, and runs no more until it is loaded again.
    Quarantined {
        /// Since when.
        since_ms: u64,
    },
}

impl Condition {
    /// Its word in metrics, JSON and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::SetAside { .. } => "set_aside",
            Self::Probation { .. } => "probation",
            Self::Quarantined { .. } => "quarantined",
        }
    }
}

/// Counts faults and decides.
#[derive(Debug)]
pub(crate) struct Breaker {
    condition: Condition,
    /// Times of recent faults, at most as many as are allowed.
    faults: VecDeque<u64>,
    /// Length of the last pause; 0 = none yet, or long ago.
    last_pause_ms: u64,
    /// Pauses since it was calm.
    pauses: u32,
    most_pauses: u32,
    allowed: usize,
    window_ms: u64,
    first_ms: u64,
    longest_ms: u64,
}

impl Breaker {
    /// Closed, with the limits of a worker.
    pub(crate) fn new(limits: &Limits) -> Self {
        let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            condition: Condition::Ready,
            faults: VecDeque::new(),
            last_pause_ms: 0,
            pauses: 0,
            most_pauses: limits.pauses.max(1),
            allowed: limits.faults.max(1),
            window_ms: ms(limits.fault_window),
            first_ms: ms(limits.pause_first).max(1),
            longest_ms: ms(limits.pause_longest).max(1),
        }
    }

    /// Whether the check may run now. Ends a pause that is over, and a probation without faults.
    pub(crate) fn admits(&mut self, now_ms: u64) -> bool {
        match self.condition {
            Condition::Quarantined { .. } => return false,
            Condition::SetAside { until_ms, .. } if now_ms < until_ms => return false,
            Condition::SetAside { .. } => {
                self.condition = Condition::Probation { since_ms: now_ms };
            }
            Condition::Probation { since_ms }
                if now_ms.saturating_sub(since_ms) >= self.window_ms =>
            {
                self.condition = Condition::Ready;
                (self.last_pause_ms, self.pauses) = (0, 0);
                self.faults.clear();
            }
            Condition::Ready | Condition::Probation { .. } => {}
        }
        true
    }

    /// Counts a fault. True = the check is set aside now.
    pub(crate) fn fault(&mut self, now_ms: u64) -> bool {
        if matches!(self.condition, Condition::Probation { .. }) {
            self.set_aside(now_ms);
            return true;
        }
        self.faults.push_back(now_ms);
        while self.faults.front().is_some_and(|&t| now_ms.saturating_sub(t) >= self.window_ms) {
            self.faults.pop_front();
        }
        if self.faults.len() >= self.allowed {
            self.set_aside(now_ms);
            return true;
        }
        false
    }

    /// Sets the check aside whatever was before, for longer each time and in the end for good.
    pub(crate) fn set_aside(&mut self, now_ms: u64) {
        self.faults.clear();
        if self.pauses >= self.most_pauses {
            self.condition = Condition::Quarantined { since_ms: now_ms };
            return;
        }
        self.pauses += 1;
        let pause_ms = match self.last_pause_ms {
            0 => self.first_ms,
            last => last.saturating_mul(2),
        }
        .min(self.longest_ms);
        self.last_pause_ms = pause_ms;
        self.condition =
            Condition::SetAside { until_ms: now_ms.saturating_add(pause_ms), pause_ms };
    }

    /// As it is.
    pub(crate) fn condition(&self) -> Condition {
        self.condition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_faults_in_a_minute_set_aside() {
        let mut breaker = Breaker::new(&Limits::default());
        for t in [0, 20_000, 40_000, 59_000, 61_000] {
            assert!(!breaker.fault(t), "never five within a minute at {t}");
        }
        assert!(breaker.fault(62_000), "20, 40, 59, 61 and 62");
        let mut breaker = Breaker::new(&Limits::default());
        assert!((0..4).all(|t| !breaker.fault(t * 14_000)));
        assert!(breaker.fault(59_999));
        assert_eq!(breaker.condition(), Condition::SetAside { until_ms: 60_999, pause_ms: 1000 });
    }

    #[test]
    fn old_faults_do_not_count() {
        let mut breaker = Breaker::new(&Limits::default());
        assert!((0..100).all(|n| !breaker.fault(n * 15_000)), "four a minute is allowed");
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_a_calm_minute_resets() {
        let mut breaker = Breaker::new(&Limits::default());
        breaker.set_aside(0);
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..11 {
            let Condition::SetAside { until_ms, pause_ms } = breaker.condition() else {
                panic!("not set aside")
            };
            pauses.push(pause_ms / 1000);
            assert!(!breaker.admits(until_ms - 1));
            assert!(breaker.admits(until_ms));
            now = until_ms + 10;
            assert!(breaker.fault(now), "one fault in probation is enough");
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(breaker.admits(now + 300_000));
        assert!(breaker.admits(now + 360_000));
        assert_eq!(breaker.condition(), Condition::Ready);
        assert!(!breaker.fault(now + 360_001), "as at the start");
        breaker.set_aside(now);
        assert!(matches!(breaker.condition(), Condition::SetAside { pause_ms: 1000, .. }));
    }

    #[test]
    fn twelve_pauses_in_a_row_end_in_quarantine() {
        let mut breaker = Breaker::new(&Limits::default());
        breaker.set_aside(0);
        let mut pauses = 0;
        while let Condition::SetAside { until_ms, .. } = breaker.condition() {
            pauses += 1;
            assert!(breaker.admits(until_ms));
            assert!(breaker.fault(until_ms + 59_999), "just before it would count as calm");
        }
        assert_eq!(pauses, 12);
        assert_eq!(breaker.condition().name(), "quarantined");
        assert!(!breaker.admits(u64::MAX), "for good");
    }
}
