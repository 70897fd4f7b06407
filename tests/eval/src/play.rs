//! Plays a history: one stream of events, to the engine and to every rule of today.

use crate::alert::Alert;
use crate::civil::SECOND;
use crate::csv::Events;
use crate::event::Event;
use crate::history::History;
use crate::ours::Ours;
use crate::today;
use crate::world::World;

/// The name of the engine among the rules.
pub const OURS: &str = "feedpulse";

/// What came of it.
#[derive(Debug)]
pub struct Played {
    /// Everything that each rule said, the engine first.
    pub said: Vec<(&'static str, Vec<Alert>)>,
    /// When each fault first touched something.
    pub effects: Vec<Option<i64>>,
    /// How many things passed.
    pub events: u64,
}

enum Source<'h> {
    World(World<'h>),
    File(Events<'h>),
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Event>, String> {
        match self {
            Self::World(world) => Ok(world.next()),
            Self::File(events) => events.read(),
        }
    }
}

/// Plays one history to its end.
///
/// # Errors
/// Its file of events cannot be read.
pub fn play(history: &History) -> Result<Played, String> {
    let mut source = match &history.events {
        Some(path) => Source::File(Events::open(history, path)?),
        None => Source::World(World::new(history)),
    };
    let mut ours = Ours::new(history);
    let mut rules = today::all(history);
    let step = i64::from(history.tick) * SECOND;
    let (mut next, mut events) = (history.start + step, 0);
    loop {
        let event = source.next()?;
        let until = event.as_ref().map_or(history.end, |e| e.sighting.at.as_micros());
        while next <= until.min(history.end) {
            ours.tick(next);
            rules.tick(next);
            next += step;
        }
        let Some(event) = event.filter(|_| until < history.end) else { break };
        events += 1;
        rules.see(&event);
        ours.see(event);
    }
    let effects = match &source {
        Source::World(world) => world.effects().to_vec(),
        Source::File(_) => Vec::new(),
    };
    let mut said = vec![(OURS, ours.alerts())];
    said.extend(rules.said());
    Ok(Played { said, effects, events })
}
