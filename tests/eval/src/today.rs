//! The rules that people use today, on the same stream, each with what such a tool can see.

mod burrow;
mod idle;
mod mirth;
mod prometheus;
mod rhapsody;
mod scene;
mod watch;

use crate::alert::Alert;
use crate::civil::SECOND;
use crate::event::Event;
use crate::history::History;
use scene::Scene;

/// How often such tools look, µs.
const LOOK: i64 = 10 * SECOND;

/// Their names and what they do, for the table.
pub const RULES: [(&str, &str); 5] = [
    ("rhapsody", rhapsody::ABOUT),
    ("idle 30 min", idle::ABOUT),
    ("mirth error", mirth::ABOUT),
    ("prometheus", prometheus::ABOUT),
    ("burrow", burrow::ABOUT),
];

/// All of them over one history.
#[derive(Debug)]
pub struct Rules<'h> {
    scene: Scene<'h>,
    rhapsody: rhapsody::Rhapsody,
    idle: idle::Idle,
    mirth: mirth::Mirth,
    prometheus: prometheus::Prometheus,
    burrow: burrow::Burrow,
    looked: i64,
}

/// All rules at the start of a history.
#[must_use]
pub fn all(history: &History) -> Rules<'_> {
    Rules {
        scene: Scene::new(history),
        rhapsody: rhapsody::Rhapsody::default(),
        idle: idle::Idle::default(),
        mirth: mirth::Mirth::default(),
        prometheus: prometheus::Prometheus::new(history),
        burrow: burrow::Burrow::new(history),
        looked: history.start,
    }
}

impl Rules<'_> {
    /// Something passed.
    pub fn see(&mut self, event: &Event) {
        let happening = self.scene.see(event);
        if let Some(happening) = happening {
            self.mirth.see(&self.scene, happening);
            self.prometheus.see(happening);
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: i64) {
        if now - self.looked < LOOK {
            return;
        }
        self.looked = now;
        self.scene.settle(now);
        self.rhapsody.look(&self.scene, now);
        self.idle.look(&self.scene, now);
        self.prometheus.look(&self.scene, now);
        self.burrow.look(&self.scene, now);
    }

    /// What each said, in the order of [`RULES`].
    #[must_use]
    pub fn said(self) -> Vec<(&'static str, Vec<Alert>)> {
        let said = [
            self.rhapsody.alerts(),
            self.idle.alerts(),
            self.mirth.alerts(),
            self.prometheus.alerts(),
            self.burrow.alerts(),
        ];
        RULES.iter().map(|(name, _)| *name).zip(said).collect()
    }
}
