//! The engine: one synchronous state machine. `apply` is the only way in, effects the only way out.
//!
//! It owns all state, reads no clock and does no I/O. Time is what it is given: `now` with each
//! input, and per waypoint the time of what was seen there, so that a tap which lags behind never
//! makes an answered message look unanswered.

mod acks;
pub mod aged;
mod alike;
mod answers;
pub mod around;
mod batches;
mod blind;
pub mod by_kind;
pub mod comers;
mod desk;
pub mod disorder;
mod drift;
pub mod drill;
#[cfg(test)]
mod endless;
mod ends;
mod feeds;
mod fifo;
mod grouping;
mod incident;
mod incidents;
mod index;
mod journeys;
pub mod jump;
mod kinds;
pub mod known;
mod lags;
pub mod learned;
mod ledger;
mod links;
mod picture;
mod probes;
pub mod profile;
mod queue;
mod room;
mod said;
pub mod sequence;
pub mod series;
pub mod shapes;
pub mod skew;
pub mod slab;
pub mod software;
mod standby;
pub mod state;
mod story;
#[cfg(test)]
mod surroundings;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod timers;
#[cfg(test)]
mod truth;
pub mod usual;
mod usually;
mod watched;

use crate::checks;
use crate::effect::Effects;
use crate::frame::WaypointId;
use crate::input::Input;
use crate::label::Label;
use crate::plan::{FeedId, Plan};
use crate::sighting::{Seen, Sighting};
use crate::time::Timestamp;
pub(crate) use drift::name as news_name;
use hashbrown::HashMap;
pub(crate) use ledger::HEAD_TIMES;
pub(crate) use probes::findings as probe_findings;
use slab::Ref;
use state::{FeedState, Kind, State, WaypointState};
use std::sync::Arc;

/// Most journeys in flight; above it the one whose time is over first ends, and is counted. Smaller in
/// this crate's own tests, so that they get there.
pub const JOURNEYS_MAX: usize = if cfg!(test) { 16_384 } else { 1_000_000 };
/// Most sendings that wait for an answer at one waypoint. Smaller in this crate's own tests.
pub const OPEN_MAX: usize = if cfg!(test) { 4_096 } else { 262_144 };

/// Most sendings of a waypoint, and most journeys, that one tick ends: after a long outage the others
/// follow with the next ones, and no tick takes long or fills the ledger's queue.
pub(crate) const PER_TICK: usize = 16_384;
/// Most connections that are followed at one waypoint; above it the one with the lowest number, which
/// was opened first, is forgotten.
pub const CONNECTIONS_MAX: usize = if cfg!(test) { 1_024 } else { 65_536 };

/// What is found quickly at one waypoint; rebuilt from its state.
#[derive(Debug, Default)]
struct Lookup {
    /// Sendings that wait, by what their ACK names: the oldest of each key.
    entries: index::Index<Ref>,
    /// Sendings remembered.
    memory: fifo::Index,
    /// It is a standby, or has one.
    grouped: bool,
    /// How many kinds are followed there.
    kinds: usize,
}

/// The stepper.
#[derive(Debug, Default)]
pub struct Engine {
    s: State,
    journeys: index::Index<Ref>,
    ended: fifo::Index,
    lookups: Vec<Lookup>,
    kinds: HashMap<Kind, u32>,
    series: series::Index,
    profiles: HashMap<profile::PartKey, usize>,
    sequence: sequence::Index,
    feed_cache: HashMap<(WaypointId, u32), FeedId>,
}

impl Engine {
    /// An engine that knows nothing; its first input is [`Input::Configure`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a checkpoint, exactly.
    #[must_use]
    pub fn restore(state: State) -> Self {
        let mut engine = Self { s: state, ..Self::default() };
        let key_at = |place| engine.s.journeys.get(place).map(|j| j.key);
        for (at, journey) in engine.s.journeys.iter() {
            engine.journeys.insert(journey.key, at, key_at);
        }
        for waypoint in &mut engine.s.waypoints {
            let entries = ledger::index(&mut waypoint.entries);
            engine.lookups.push(Lookup {
                entries,
                memory: waypoint.memory.index(),
                grouped: false,
                kinds: 0,
            });
        }
        engine.group();
        engine.ended = engine.s.ended.index();
        engine.series = engine.s.series.index();
        engine.profiles = usually::index(&engine.s.profiles);
        engine.sequence = engine.s.sequence.index();
        engine.kinds = (0..).zip(&engine.s.kinds).map(|(number, kind)| (*kind, number)).collect();
        engine
    }

    /// The state as of the last input.
    #[must_use]
    pub const fn checkpoint(&self) -> &State {
        &self.s
    }

    /// Applies one input at time `now` (our clock; never goes back inside the engine).
    pub fn apply(&mut self, now: Timestamp, input: &Input, fx: &mut Effects) {
        self.s.seq += 1;
        fx.input = self.s.seq;
        if self.s.seq == 1 {
            self.s.started = now;
        }
        self.s.now = self.s.now.max(now);
        match input {
            Input::Configure(plan) => self.configure(plan, fx),
            Input::Seen(sighting) => self.seen(sighting, fx),
            Input::Found(found) => self.found(found, fx),
            Input::Blind(blind) => self.blind(blind, fx),
            Input::Own(own) => self.own(own, fx),
            Input::Alive(waypoint) => self.alive(*waypoint, now),
            Input::Tick => self.tick(fx),
            Input::Operator(action) => self.operator(action, fx),
            Input::Probed(probed) => self.probed(probed, fx),
            Input::Learned(learned) => self.take_over(learned),
            Input::Drill(step) => self.drill(step, fx),
            Input::Taken(taken) => self.notice_taken(*taken),
            Input::Words(words) => self.take_words(words),
        }
        debug_assert!(self.s.totals.adds_up(), "seen = sum of outcomes + open");
    }

    fn configure(&mut self, plan: &Arc<Plan>, fx: &mut Effects) {
        self.note_configuration(plan);
        self.move_checks(plan, fx);
        self.s.plan = Arc::clone(plan);
        self.configure_around(plan);
        self.s.waypoints.resize_with(plan.waypoints.len(), WaypointState::default);
        self.lookups.resize_with(plan.waypoints.len(), Lookup::default);
        self.feed_cache.clear();
        self.group();
        if self.s.feeds.is_empty() {
            self.s.feeds = plan.feeds.iter().map(|f| FeedState::declared(plan, f)).collect();
            return;
        }
        // A feed keeps its number while the process lives: declared ones are matched by name.
        for declared in &plan.feeds {
            let fresh = FeedState::declared(plan, declared);
            match self.s.feeds.iter_mut().find(|f| f.name == declared.name) {
                Some(feed) => feed.redeclare(fresh),
                None => self.s.feeds.push(fresh),
            }
        }
        for feed in &mut self.s.feeds {
            feed.declared = plan.feeds.iter().any(|f| f.name == feed.name);
            if !feed.declared {
                feed.objectives.clone_from(&plan.defaults);
            }
        }
    }

    fn seen(&mut self, sighting: &Sighting, fx: &mut Effects) {
        let Some(waypoint) = self.s.waypoints.get_mut(usize::from(sighting.waypoint.0)) else {
            return;
        };
        waypoint.time = waypoint.time.max(sighting.at);
        match &sighting.what {
            Seen::Message(message) => {
                self.hear(sighting, message.sender, message.software.as_deref());
                self.message(sighting, message, fx);
            }
            Seen::Ack(ack) => {
                self.hear(sighting, Label::EMPTY, ack.software.as_deref());
                self.ack(sighting, ack, fx);
            }
            Seen::Batch(batch) => self.batch(sighting, batch, fx),
            Seen::Unreadable(unreadable) => self.unreadable(sighting, unreadable, fx),
            Seen::Link(event) => self.link(sighting, *event, fx),
            Seen::Receipt(receipt) => self.receipt(sighting, receipt, fx),
            Seen::DeadLetter(dead) => self.dead_letter(sighting, dead, fx),
            Seen::Shape(shape) => self.shape(sighting, shape),
        }
    }

    fn alive(&mut self, waypoint: WaypointId, at: Timestamp) {
        if let Some(waypoint) = self.s.waypoints.get_mut(usize::from(waypoint.0)) {
            waypoint.time = waypoint.time.max(at);
            waypoint.alive_at = Some(waypoint.alive_at.map_or(at, |old| old.max(at)));
        }
    }

    /// Once a second: deadlines, then checks, then incidents, then the interval counts.
    fn tick(&mut self, fx: &mut Effects) {
        for number in 0..self.s.waypoints.len() {
            self.expire_entries(number, fx);
        }
        self.expire_journeys(fx);
        self.watch_around();
        let findings = checks::run(&mut self.s);
        for finding in findings {
            self.take(finding, fx);
        }
        self.settle_incidents(fx);
        self.roll_up(fx);
        self.tick_drill(fx);
    }

    /// The latest time that every waypoint of a feed which has shown life has reached.
    fn feed_time(&self, feed: &FeedState) -> Timestamp {
        feed_time(&self.s, feed)
    }
}

/// See [`Engine::feed_time`]; for the checks.
pub(crate) fn feed_time(s: &State, feed: &FeedState) -> Timestamp {
    let time = |w: &WaypointId| {
        let standbys = (0..).zip(&s.plan.waypoints).filter(|(_, p)| p.standby_of == Some(*w));
        let places = core::iter::once(w.0).chain(standbys.map(|(number, _)| number));
        places.filter_map(|n| s.waypoints.get(usize::from(n))).map(|w| w.time).max()
    };
    let known = feed.waypoints.iter().filter_map(time).filter(|t| *t > Timestamp::EPOCH);
    known.min().unwrap_or(s.now)
}
