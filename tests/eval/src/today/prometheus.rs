//! Two alerting rules as people write them over counters, with Alertmanager's default `group_wait`.
//!
//! ```text
//! rate(nacks_total[5m]) / rate(answers_total[5m]) > 0.05   for: 5m
//! increase(messages_total[15m]) == 0
//! ```
//! Source: the shape of Prometheus' own examples ("alerting rules", "recording rules"); evaluated
//! every 30 s, told 30 s later (`group_wait`), ended when the expression is no longer true.

use super::scene::{Happening, Scene, What};
use super::watch::Watch;
use crate::alert::Alert;
use crate::civil::{MINUTE, SECOND};
use crate::history::History;
use feedpulse_core::codes::Severity;
use std::collections::VecDeque;

pub(super) const ABOUT: &str = "Prometheus and Alertmanager per link: NACK rate > 5 % of 5 min for \
    5 min; no message for 15 min; evaluated each 30 s, `group_wait` 30 s";

const EVALUATE: i64 = 30 * SECOND;
const GROUP_WAIT: i64 = 30 * SECOND;

/// Counts of one link in steps of [`EVALUATE`].
#[derive(Debug, Default)]
struct Counts {
    /// (answers, nacks) of the last five minutes.
    answers: VecDeque<(u32, u32)>,
    now: (u32, u32),
    nacks_since: Option<i64>,
    idle_since: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Prometheus {
    counts: Vec<Counts>,
    evaluated: i64,
    watch: Watch<(usize, bool)>,
}

impl Prometheus {
    pub(super) fn new(history: &History) -> Self {
        let counts = history.links.iter().map(|_| Counts::default()).collect();
        Self { counts, evaluated: history.start, watch: Watch::default() }
    }

    pub(super) fn see(&mut self, happening: Happening) {
        let Some(counts) = self.counts.get_mut(happening.link) else { return };
        if matches!(happening.what, What::Accepted | What::Refused) {
            counts.now.0 += 1;
            counts.now.1 += u32::from(happening.what == What::Refused);
        }
    }

    pub(super) fn look(&mut self, scene: &Scene, now: i64) {
        if now - self.evaluated < EVALUATE {
            return;
        }
        self.evaluated = now;
        for (number, counts) in self.counts.iter_mut().enumerate() {
            if counts.answers.len() == (5 * MINUTE / EVALUATE) as usize {
                counts.answers.pop_front();
            }
            counts.answers.push_back(core::mem::take(&mut counts.now));
            let all: u32 = counts.answers.iter().map(|(all, _)| all).sum();
            let bad: u32 = counts.answers.iter().map(|(_, bad)| bad).sum();
            let since = |held: &mut Option<i64>, holds: bool| {
                *held = if holds { held.or(Some(now)) } else { None };
                held.map_or(-1, |since| now - since)
            };
            let nacks = since(&mut counts.nacks_since, bad * 20 > all);
            let silent = now - scene.links[number].last_message > 15 * MINUTE;
            let idle = since(&mut counts.idle_since, silent);
            let subject = || format!("waypoint {}", scene.history.links[number].name);
            let level = |holds: bool| holds.then_some(Severity::Ticket);
            let told = 5 * MINUTE + GROUP_WAIT;
            self.watch.set((number, true), level(nacks >= told), now, subject);
            self.watch.set((number, false), level(idle >= GROUP_WAIT), now, subject);
        }
    }

    pub(super) fn alerts(self) -> Vec<Alert> {
        self.watch.alerts()
    }
}
