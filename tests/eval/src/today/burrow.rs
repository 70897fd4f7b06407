//! Burrow's rule, as if each feed were a partition between the engine's first and last link.
//!
//! Source: linkedin/Burrow, `core/internal/evaluator/caching.go`: over a window of ten commits, a
//! group is ERR (STALL) when its offset did not move and the lag never was 0, WARN when the lag never
//! was 0 and never fell. Here a commit is made every 10 s, the broker's offset is read every 30 s, and
//! WARN and ERR are told, as the sample configuration does with `threshold=2`.

use super::scene::Scene;
use super::watch::Watch;
use crate::alert::Alert;
use crate::civil::SECOND;
use crate::history::History;
use feedpulse_core::codes::Severity;
use std::collections::VecDeque;

pub(super) const ABOUT: &str = "Burrow's status of each feed as if it were a partition: ten commits \
    without a lag of 0 that stalled (ERR) or whose lag never fell (WARN)";

const WINDOW: usize = 10;
/// Ticks of today's rules come every 10 s: every look is a commit, every third reads the broker.
const BROKER: i64 = 30 * SECOND;

#[derive(Debug, Default)]
struct Partition {
    /// (committed, lag), oldest first.
    commits: VecDeque<(u64, u64)>,
    end: u64,
}

impl Partition {
    fn status(&self) -> Option<Severity> {
        let pairs = || self.commits.iter().zip(self.commits.iter().skip(1));
        let whole = self.commits.len() == WINDOW;
        if !whole || self.commits.iter().any(|(_, lag)| *lag == 0) {
            return None;
        }
        let first = self.commits.front().map(|(offset, _)| offset);
        if first == self.commits.back().map(|(offset, _)| offset) {
            return Some(Severity::Page);
        }
        pairs().all(|((_, a), (_, b))| b >= a).then_some(Severity::Ticket)
    }
}

#[derive(Debug)]
pub(super) struct Burrow {
    partitions: Vec<Partition>,
    read: i64,
    watch: Watch<usize>,
}

impl Burrow {
    pub(super) fn new(history: &History) -> Self {
        let partitions = history.feeds.iter().map(|_| Partition::default()).collect();
        Self { partitions, read: history.start, watch: Watch::default() }
    }

    pub(super) fn look(&mut self, scene: &Scene, now: i64) {
        let reads = now - self.read >= BROKER;
        for (number, (partition, feed)) in self.partitions.iter_mut().zip(&scene.feeds).enumerate()
        {
            if reads {
                partition.end = feed.offered;
            }
            let committed = feed.offered - feed.waiting.len() as u64;
            if partition.commits.len() == WINDOW {
                partition.commits.pop_front();
            }
            partition.commits.push_back((committed, partition.end.saturating_sub(committed)));
            if reads {
                let subject = || format!("feed {}", scene.history.feeds[number].name);
                self.watch.set(number, partition.status(), now, subject);
            }
        }
        if reads {
            self.read = now;
        }
    }

    pub(super) fn alerts(self) -> Vec<Alert> {
        self.watch.alerts()
    }
}
