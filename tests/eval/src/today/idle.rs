//! "Nothing for 30 minutes": the one inactivity rule that every engine has, set once for each feed.
//!
//! Source: InterSystems' Inactivity Timeout, Iguana's and Cloverleaf's inactivity alerts, the Mirth
//! communities' advice: a constant, usually 30 minutes.

use super::scene::Scene;
use super::watch::{Watch, level};
use crate::alert::Alert;
use crate::civil::MINUTE;

pub(super) const ABOUT: &str = "no message of a feed for 30 minutes, at all hours";

#[derive(Debug, Default)]
pub(super) struct Idle(Watch<usize>);

impl Idle {
    pub(super) fn look(&mut self, scene: &Scene, now: i64) {
        for (number, feed) in scene.feeds.iter().enumerate() {
            let level = level(now - feed.last_message, 30 * MINUTE, i64::MAX);
            let subject = || format!("feed {}", scene.history.feeds[number].name);
            self.0.set(number, level, now, subject);
        }
    }

    pub(super) fn alerts(self) -> Vec<Alert> {
        self.0.alerts()
    }
}
