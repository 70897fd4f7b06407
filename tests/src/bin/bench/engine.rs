//! The engine: time of a sighting, and memory of a message in flight, with 100,000 of them.

use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness};
use crate::input::START_US;
use crate::traffic::{Timed, Traffic};
use crate::{Result, count, ledger};
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use std::collections::HashMap;
use std::hint::black_box;

/// Its name.
pub(crate) const GROUP: &str = "engine";

const SIGHTINGS: &str = "sightings";
const MAP: &str = "HashMap insert and remove of the same keys";
/// Messages in flight.
pub(crate) const IN_FLIGHT: usize = 100_000;
/// Messages of one turn: few, as a step of the pipeline has, so that inputs are still in the cache.
const TURN: usize = 100;
/// Sightings of a message: it and its ACK at two waypoints.
const EACH: usize = 4;
/// Messages that have ended before: more than any memory of them holds.
const REMEMBERED: usize = 700_000;
/// Sightings a second that one core is to take.
const RATE: f64 = 1e6;
/// Bytes that a message in flight may take.
const BYTES: f64 = 400.0;

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let traffic = Traffic::new()?;
    let mut figures = time(harness, &traffic)?;
    figures.extend(memory(&traffic, "first", |n| vec![traffic.comes(n)])?);
    figures.extend(memory(&traffic, "second", |n| {
        [traffic.comes(n)].into_iter().chain(traffic.goes_on(n)).collect()
    })?);
    figures.push(allocations(&traffic));
    figures.extend(ledger::figures(harness, &traffic)?);
    Ok(figures)
}

/// Each message comes and goes on at once, and arrives when 100,000 have come after it.
pub(crate) fn turn(traffic: &Traffic, from: usize, messages: usize) -> Vec<Timed> {
    let mut inputs = Vec::with_capacity(messages * EACH + 64);
    for n in from..from + messages {
        inputs.extend(Traffic::second(n));
        inputs.push(traffic.comes(n));
        inputs.extend(traffic.goes_on(n));
        inputs.extend(n.checked_sub(IN_FLIGHT).map(|first| traffic.arrives(first, n)));
    }
    inputs
}

fn time(harness: &mut Harness, traffic: &Traffic) -> Result<Vec<Figure>> {
    let (mut engine, mut effects) = (Traffic::engine(), Effects::default());
    let mut map: HashMap<u128, i64> = (0..IN_FLIGHT).map(|n| (Traffic::key(n), START_US)).collect();
    let (mut next, mut map_next) = (0, IN_FLIGHT);
    // Twice as many as are in flight: all tables have been used before.
    while next < 2 * IN_FLIGHT {
        apply(&mut engine, turn(traffic, next, TURN), &mut effects);
        next += TURN;
    }
    let measured = harness.compare(vec![
        Contender::fed(
            SIGHTINGS,
            TURN * EACH,
            || {
                next += TURN;
                turn(traffic, next - TURN, TURN)
            },
            |inputs| apply(&mut engine, inputs, &mut effects),
        ),
        Contender::fed(
            MAP,
            TURN * EACH,
            || {
                map_next += TURN;
                let keys = map_next - TURN..map_next;
                keys.map(|n| (Traffic::key(n), Traffic::key(n - IN_FLIGHT))).collect::<Vec<_>>()
            },
            |keys| {
                for (comes, goes) in keys {
                    map.insert(comes, START_US);
                    black_box(map.remove(&goes));
                }
            },
        ),
    ])?;
    let view = engine.view();
    let (open, accepted) = (view.journeys_open, view.totals.outcomes[0]);
    if open != IN_FLIGHT as u64 || accepted != view.totals.seen - open {
        return Err(format!("{open} in flight and {accepted} accepted: not what was meant").into());
    }
    let names = (SIGHTINGS, MAP);
    let target = Some(Target::OursAtLeast(RATE));
    let rate = "sightings on one core, 100 feeds, 100,000 in flight, /s";
    Ok(vec![
        measured.figure(GROUP, "sighting, 100 feeds, 100,000 in flight, ns", names, None),
        measured.rate(GROUP, rate, names, target),
    ])
}

/// Applies inputs and lets the effects go.
fn apply(engine: &mut Engine, inputs: Vec<Timed>, effects: &mut Effects) {
    for (at, input) in &inputs {
        engine.apply(*at, input, effects);
        black_box(effects.drain().count());
    }
}

/// Requested bytes, with the room that growing tables have in reserve: what 100,000 messages in flight
/// add to an engine whose memories of what ended are full (their bounds are fixed), and all that such
/// an engine holds.
fn memory(traffic: &Traffic, place: &str, of: impl Fn(usize) -> Vec<Timed>) -> Result<[Figure; 2]> {
    let mut effects = Effects::default();
    let (fixed, mut engine) = count::during(|| {
        let mut engine = Traffic::engine();
        for n in 0..REMEMBERED {
            let message = [traffic.comes(n)].into_iter().chain(traffic.goes_on(n));
            let message = Traffic::second(n).chain(message).chain([traffic.arrives(n, n)]);
            apply(&mut engine, message.collect(), &mut effects);
        }
        engine
    });
    let (added, ()) = count::during(|| {
        for n in REMEMBERED..REMEMBERED + IN_FLIGHT {
            apply(&mut engine, of(n), &mut effects);
        }
    });
    let view = engine.view();
    let (journeys, open) = (view.journeys_open, view.totals.open);
    if [journeys, open] != [IN_FLIGHT as u64; 2] {
        return Err(format!("{journeys} in flight and {open} open, not {IN_FLIGHT}").into());
    }
    let (bare, map) = count::during(|| {
        (0..IN_FLIGHT).map(|n| (Traffic::key(n), START_US)).collect::<HashMap<_, _>>()
    });
    drop(map);
    let each = |bytes: i64| bytes as f64 / IN_FLIGHT as f64;
    let figure = format!("message that waits at its {place} waypoint, 100,000 of them, bytes");
    let whole =
        format!("the same with all that the engine remembers of {REMEMBERED} others, bytes");
    let peer = "HashMap of their keys";
    Ok([
        Figure::alone(GROUP, &figure, each(added.bytes), Some(Target::OursAtMost(BYTES)))
            .beside(peer, each(bare.bytes)),
        Figure::alone(GROUP, &whole, each(fixed.bytes + added.bytes), None)
            .beside(peer, each(bare.bytes)),
    ])
}

/// Allocations of a message once the engine is warm.
fn allocations(traffic: &Traffic) -> Figure {
    let (mut engine, mut effects) = (Traffic::engine(), Effects::default());
    let mut next = 0;
    while next < IN_FLIGHT + 2 * TURN {
        apply(&mut engine, turn(traffic, next, TURN), &mut effects);
        next += TURN;
    }
    let inputs = turn(traffic, next, TURN);
    let (counted, ()) = count::during(|| apply(&mut engine, inputs, &mut effects));
    let each = counted.allocations as f64 / TURN as f64;
    Figure::alone(GROUP, "message with its four sightings, allocations", each, None)
}
