//! Rhapsody 6.5's communication-point notifications with the thresholds that it ships with.
//!
//! Source: Rhapsody 6.5 manual, "Configuring Notification Thresholds": warning and alarm pairs: idle
//! 10/30 min, queue size 25/100, unconnected 10/30 min, slow processing 10/30 s over 5 min, stuck
//! while sending 10/20 min. A warning is taken as a ticket, an alarm as a page. Its queue is that of
//! an outbound point; "slow" is measured when a message has left.

use super::scene::Scene;
use super::watch::{Watch, level};
use crate::alert::Alert;
use crate::civil::{MINUTE, SECOND};

pub(super) const ABOUT: &str = "Rhapsody 6.5's default warning/alarm thresholds per link: idle \
    10/30 min, queue 25/100, unconnected 10/30 min, slow 10/30 s over 5 min, stuck 10/20 min";

#[derive(Debug, Default)]
pub(super) struct Rhapsody(Watch<(usize, u8)>);

impl Rhapsody {
    pub(super) fn look(&mut self, scene: &Scene, now: i64) {
        for (number, link) in scene.links.iter().enumerate() {
            let mean = |sum: i64| sum / i64::try_from(link.took.len().max(1)).unwrap_or(i64::MAX);
            let slow = mean(link.took.iter().map(|(_, took)| took).sum());
            let queue = i64::try_from(scene.queue(number)).unwrap_or(i64::MAX);
            let since = |at: Option<i64>| at.map_or(0, |at| now - at);
            let levels = [
                level(now - link.last_message, 10 * MINUTE, 30 * MINUTE),
                level(queue, 25, 100),
                level(since(link.down_since), 10 * MINUTE, 30 * MINUTE),
                level(slow, 10 * SECOND, 30 * SECOND),
                level(since(link.oldest()), 10 * MINUTE, 20 * MINUTE),
            ];
            let subject = || format!("waypoint {}", scene.history.links[number].name);
            for (kind, level) in (0..).zip(levels) {
                self.0.set((number, kind), level, now, subject);
            }
        }
    }

    pub(super) fn alerts(self) -> Vec<Alert> {
        self.0.alerts()
    }
}
