//! The engine: time of a message with its ACK, and memory of messages that wait for theirs.

use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness};
use crate::input::{self, START_US};
use crate::{Result, count};
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{Direction, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::label::ControlId;
use feedpulse_core::plan::{Objectives, Plan, Route, Waypoint};
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::keys::control_id_key;
use feedpulse_sim::{AckCode, Kind, make_ack, read_header};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Its name.
pub(crate) const GROUP: &str = "engine";

const PAIR: &str = "message and ACK";
const MAP: &str = "HashMap insert and remove of the same keys";
/// Message and ACK pairs of one turn: a second's worth, with the tick that a second has.
const PAIRS: usize = 1000;
/// Messages that wait for an ACK when memory is counted.
const OPEN: usize = 100_000;
/// From one message to the next, microseconds.
const STEP_US: i64 = 1000;

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let maker = Maker::new()?;
    let mut engine = engine();
    let mut effects = Effects::default();
    let (mut next, mut map_next) = (0, 0);
    let mut map: HashMap<u128, i64> = HashMap::new();
    let measured = harness.compare(vec![
        Contender::fed(
            PAIR,
            PAIRS,
            || {
                next += PAIRS;
                maker.pairs(next - PAIRS)
            },
            |inputs| apply(&mut engine, &inputs, &mut effects),
        ),
        Contender::fed(
            MAP,
            PAIRS,
            || {
                map_next += PAIRS;
                (map_next - PAIRS..map_next).map(|n| maker.key(n)).collect::<Vec<_>>()
            },
            |keys| {
                for key in keys {
                    map.insert(key, START_US);
                    black_box(map.remove(&key));
                }
            },
        ),
    ])?;
    let totals = engine.view().totals;
    if totals.seen == 0 || totals.open != 0 {
        return Err(format!(
            "{} seen and {} open: not what was measured",
            totals.seen, totals.open
        )
        .into());
    }
    Ok(vec![
        measured.figure(GROUP, "message and its ACK, ns a pair", (PAIR, MAP), None),
        measured.rate(GROUP, "messages with ACK on one core, pairs/s", (PAIR, MAP), None),
        memory(&maker)?,
        allocations(&maker),
    ])
}

fn apply(engine: &mut Engine, inputs: &[(Timestamp, Input)], effects: &mut Effects) {
    for (at, input) in inputs {
        engine.apply(*at, input, effects);
        black_box(effects.drain().count());
    }
}

/// Requested bytes, with the room that growing tables have in reserve.
fn memory(maker: &Maker) -> Result<Figure> {
    let inputs: Vec<_> = (0..OPEN).map(|n| maker.message(n)).collect();
    let (counted, mut engine) = count::during(|| {
        let (mut engine, mut effects) = (engine(), Effects::default());
        apply(&mut engine, &inputs, &mut effects);
        engine
    });
    let open = engine.view().totals.open;
    if open != OPEN as u64 {
        return Err(format!("{open} messages in flight, not {OPEN}").into());
    }
    let (bare, map) =
        count::during(|| (0..OPEN).map(|n| (maker.key(n), START_US)).collect::<HashMap<_, _>>());
    drop(map);
    let each = |counted: count::Counted| counted.bytes as f64 / OPEN as f64;
    let figure = "memory of a message in flight at 100,000 open, bytes";
    Ok(Figure::alone(GROUP, figure, each(counted), None)
        .beside("HashMap of their keys", each(bare)))
}

/// Allocations of a pair once the engine is warm.
fn allocations(maker: &Maker) -> Figure {
    let (mut engine, mut effects) = (engine(), Effects::default());
    for turn in 0..4 {
        apply(&mut engine, &maker.pairs(turn * PAIRS), &mut effects);
    }
    let inputs = maker.pairs(4 * PAIRS);
    let (counted, ()) = count::during(|| apply(&mut engine, &inputs, &mut effects));
    let each = counted.allocations as f64 / PAIRS as f64;
    Figure::alone(GROUP, "message and its ACK once warm, allocations a pair", each, None::<Target>)
}

/// An engine that watches one waypoint.
fn engine() -> Engine {
    let waypoint = Waypoint {
        // Longer than a run, so that open messages stay open.
        no_ack_after: Duration::from_secs(24 * 3600),
        ..Waypoint::new("ehr-out")
    };
    let plan = Plan {
        waypoints: vec![waypoint],
        routes: vec![Route { name: "ehr".to_owned(), waypoints: vec![WaypointId(0)] }],
        feeds: Vec::new(),
        checks: Vec::new(),
        defaults: Objectives::default(),
        journey_expiry: Duration::from_secs(48 * 3600),
        rollup: Duration::from_secs(60),
        feeds_max: 1000,
        series_max: 500,
    };
    let (mut engine, mut effects) = (Engine::new(), Effects::default());
    let start = Timestamp::from_micros(START_US);
    engine.apply(start, &Input::Configure(Arc::new(plan)), &mut effects);
    effects.drain();
    engine
}

/// Makes sightings of an ADT and of its ACK, each pair with a control id of its own.
struct Maker {
    message: Sighting,
    ack: Sighting,
}

impl Maker {
    fn new() -> Result<Self> {
        let message = input::message(&mut input::generator(4)?, Kind::AdtA08);
        let header = read_header(&message.bytes).ok_or("the generator made no header")?;
        let ack = make_ack(&header, AckCode::Aa, "A1", START_US);
        let mut decoder = Decoder::new(DecodeConfig::new(input::site_key()));
        let mut sightings = Vec::new();
        decoder.decode(&input::as_frame(message.bytes), &mut sightings);
        let mut frame = input::as_frame(ack);
        frame.direction = Direction::ToSender;
        decoder.decode(&frame, &mut sightings);
        match <[Sighting; 2]>::try_from(sightings) {
            Ok([message, ack]) => Ok(Self { message, ack }),
            Err(_) => Err("a message and its ACK are not two sightings".into()),
        }
    }

    fn id(number: usize) -> String {
        format!("B{number:012}")
    }

    fn at(number: usize) -> Timestamp {
        Timestamp::from_micros(START_US + number as i64 * STEP_US)
    }

    fn key(&self, number: usize) -> u128 {
        let key = input::site_key().ack_key(Self::id(number).as_bytes());
        key.map_or(0, feedpulse_core::key::MessageKey::as_u128)
    }

    fn message(&self, number: usize) -> (Timestamp, Input) {
        let (id, at) = (Self::id(number), Self::at(number));
        let mut sighting = Sighting { at, ..self.message.clone() };
        if let Seen::Message(seen) = &mut sighting.what {
            seen.control_id = ControlId::from_bytes(id.as_bytes());
            seen.ack_key = input::site_key().ack_key(id.as_bytes());
            seen.journey_key = control_id_key(&input::site_key(), id.as_bytes());
        }
        (at, Input::Seen(sighting))
    }

    fn ack(&self, number: usize) -> (Timestamp, Input) {
        let (id, at) = (Self::id(number), Self::at(number).plus(Duration::from_micros(500)));
        let mut sighting = Sighting { at, ..self.ack.clone() };
        if let Seen::Ack(seen) = &mut sighting.what {
            seen.acked = ControlId::from_bytes(id.as_bytes());
            seen.ack_key = input::site_key().ack_key(id.as_bytes());
        }
        (at, Input::Seen(sighting))
    }

    /// A second of traffic from a number on, and the tick behind it.
    fn pairs(&self, from: usize) -> Vec<(Timestamp, Input)> {
        let pairs = (from..from + PAIRS).flat_map(|n| [self.message(n), self.ack(n)]);
        pairs.chain([(Self::at(from + PAIRS), Input::Tick)]).collect()
    }
}
