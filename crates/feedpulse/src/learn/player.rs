//! Plays sightings through an engine on their own time; nobody is told of what it finds.

use crate::config::Config;
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use feedpulse_core::engine::learned::Learned;
use feedpulse_core::frame::{Frame, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::SiteKey;
use feedpulse_core::plan::Plan;
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::tap::Tapped;
#[cfg(feature = "kafka")]
use feedpulse_core::time::Precision;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::Decoder;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// From one tick to the next: what is learned does not depend on it, only how long answers are waited for.
const TICK: Duration = Duration::from_secs(60);

/// A message of each stretch of a file, of a record or of a packet, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) acks: u64,
    pub(super) unreadable: u64,
}

/// An engine that is being taught.
pub(super) struct Player {
    engine: Engine,
    effects: Effects,
    decoders: Vec<Decoder>,
    plan: Arc<Plan>,
    /// The first and the latest time of what was played.
    times: Option<(Timestamp, Timestamp)>,
    tick: Timestamp,
    /// Waypoints at which anything was seen.
    alive: BTreeSet<WaypointId>,
    sightings: Vec<Sighting>,
    pub(super) counts: Counts,
}

impl Player {
    pub(super) fn new(plan: Plan, decoders: Vec<Decoder>) -> Self {
        Self {
            engine: Engine::new(),
            effects: Effects::default(),
            decoders,
            plan: Arc::new(plan),
            times: None,
            tick: Timestamp::EPOCH,
            alive: BTreeSet::new(),
            sightings: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// With the plan and the decoders of a configuration.
    pub(super) fn of(config: &Config, key: SiteKey) -> Self {
        let waypoints = 0..config.plan.waypoints.len();
        let decoders = waypoints.map(|n| Decoder::new(config.decoding(key, n))).collect();
        Self::new(config.plan.clone(), decoders)
    }

    /// Lets time pass up to a moment; never back.
    fn pass(&mut self, to: Timestamp) {
        let Some((first, last)) = self.times else {
            self.times = Some((to, to));
            self.tick = to;
            let configure = Input::Configure(Arc::clone(&self.plan));
            self.step(to, &configure);
            return;
        };
        self.times = Some((first, last.max(to)));
        while self.tick.plus(TICK) <= to {
            self.tick = self.tick.plus(TICK);
            for waypoint in self.alive.clone() {
                self.step(self.tick, &Input::Alive(waypoint));
            }
            self.step(self.tick, &Input::Tick);
        }
    }

    fn step(&mut self, at: Timestamp, input: &Input) {
        self.engine.apply(at, input, &mut self.effects);
        self.effects.drain();
    }

    /// What a tap would have handed over at a time.
    pub(super) fn take(&mut self, at: Timestamp, item: Tapped) {
        match item {
            Tapped::Frame(frame) => self.frame(at, &frame),
            Tapped::Sighting(sighting) => self.see(at, sighting),
            Tapped::Blind(blind) => {
                self.pass(at);
                self.step(at, &Input::Blind(blind));
            }
            // Its own ticks say that time passes.
            Tapped::Alive(_) | Tapped::Own(_) | Tapped::Probed(_) => {}
        }
    }

    /// A message whose carrier has no time, at its own (MSH-7); says whether it has one.
    #[cfg(feature = "kafka")]
    pub(super) fn take_by_itself(&mut self, item: &Tapped, bounds: super::Bounds) -> bool {
        let Tapped::Frame(frame) = item else { return false };
        let Some(decoder) = self.decoders.get_mut(usize::from(frame.waypoint.0)) else {
            return false;
        };
        let mut sightings = Vec::new();
        decoder.decode(frame, &mut sightings);
        let made = sightings.iter().find_map(|sighting| match &sighting.what {
            Seen::Message(message) => message.made,
            _ => None,
        });
        let made = made.filter(|made| made.precision != Precision::Day && bounds.hold(made.at));
        let Some(made) = made else { return false };
        let frame = Frame { at: made.at, ..frame.clone() };
        self.frame(made.at, &frame);
        true
    }

    /// A frame, whose time is when it was seen.
    pub(super) fn frame(&mut self, at: Timestamp, frame: &Frame) {
        let Some(decoder) = self.decoders.get_mut(usize::from(frame.waypoint.0)) else { return };
        let mut sightings = std::mem::take(&mut self.sightings);
        let decoded = decoder.decode(frame, &mut sightings);
        self.counts.messages += u64::from(decoded.messages);
        self.counts.acks += u64::from(decoded.acks);
        self.counts.unreadable += u64::from(decoded.unreadable);
        for sighting in sightings.drain(..) {
            self.see(at, sighting);
        }
        self.sightings = sightings;
    }

    fn see(&mut self, at: Timestamp, sighting: Sighting) {
        self.pass(at);
        if matches!(sighting.what, Seen::Message(_)) {
            self.alive.insert(sighting.waypoint);
        }
        self.step(at, &Input::Seen(sighting));
    }

    /// What it learned.
    pub(super) fn learned(mut self) -> Learned {
        let Some((first, last)) = self.times else { return Learned::default() };
        for waypoint in self.alive.clone() {
            self.step(last, &Input::Alive(waypoint));
        }
        self.step(last, &Input::Tick);
        self.engine.follow_time(last);
        Learned { from: first, to: last, ..self.engine.learned() }
    }
}
