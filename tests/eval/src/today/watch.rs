//! Alerts of rules with levels: opened, made louder, closed.

use crate::alert::Alert;
use feedpulse_core::codes::Severity;
use std::collections::HashMap;

/// Alerts by what they are about.
#[derive(Debug)]
pub(super) struct Watch<K> {
    open: HashMap<K, usize>,
    alerts: Vec<Alert>,
}

impl<K> Default for Watch<K> {
    fn default() -> Self {
        Self { open: HashMap::new(), alerts: Vec::new() }
    }
}

impl<K: core::hash::Hash + Eq> Watch<K> {
    /// The level that holds now; None: all is well.
    pub(super) fn set(
        &mut self,
        key: K,
        level: Option<Severity>,
        now: i64,
        subject: impl Fn() -> String,
    ) {
        let known = self.open.get(&key).copied();
        match (known.and_then(|place| self.alerts.get_mut(place)), level) {
            (None, Some(level)) => {
                self.open.insert(key, self.alerts.len());
                self.alerts.push(Alert::plain(subject(), now, level));
            }
            (Some(alert), Some(level)) if level > alert.severity => {
                alert.severity = level;
                alert.notices += 1;
            }
            (Some(alert), None) => {
                alert.closed = Some(now);
                alert.notices += 1;
                self.open.remove(&key);
            }
            _ => {}
        }
    }

    pub(super) fn alerts(self) -> Vec<Alert> {
        self.alerts
    }
}

/// The level that a value reaches.
pub(super) fn level(value: i64, warning: i64, alarm: i64) -> Option<Severity> {
    if value >= alarm {
        Some(Severity::Page)
    } else if value >= warning {
        Some(Severity::Ticket)
    } else {
        None
    }
}
