//! What Feedpulse sees of a world, and what it says: the real decoder and engine, in simulated time.

use crate::plan::{DRAIN, FaultKind, LENGTH, Plan, SECOND, SILENCE};
use crate::text::EPOCH_SECS;
use crate::world::{Event, Passed, World};
use feedpulse_core::effect::{Effect, EffectId, Effects, IncidentChange, JourneyRecord};
use feedpulse_core::engine::Engine;
use feedpulse_core::finding::EVIDENCE_NAMES;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::{Blind, Input};
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::plan::{
    FeedPlan, Objectives, Plan as Watched, Route, RouteId, Silence, Waypoint,
};
use feedpulse_core::sighting::{LinkEvent, Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;
use feedpulse_hl7::decode::{DecodeConfig, Decoder, KeyRule};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// The tap of a [`FaultKind::TapLag`] is this much behind.
const LAG: i64 = 8 * SECOND;

/// What Feedpulse said.
#[derive(Debug)]
pub struct Report {
    /// Every journey that ended.
    pub journeys: Vec<JourneyRecord>,
    /// Every change of an incident.
    pub incidents: Vec<IncidentChange>,
    /// Journeys of which a late answer told more.
    pub amended: HashSet<MessageKey>,
    /// Messages that were shown to it.
    pub shown: u64,
    /// Its last picture.
    pub view: View,
    /// Inputs applied.
    pub inputs: usize,
}

/// A moment of the run.
#[must_use]
pub fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(EPOCH_SECS * SECOND + micros)
}

fn watched(plan: &Plan) -> Watched {
    let waypoint = |name: String| Waypoint {
        no_ack_after: Duration::from_secs(10),
        ack_time: Duration::from_secs(2),
        application_after: Duration::from_secs(60),
        ..Waypoint::new(&name)
    };
    let count = u16::try_from(plan.portals.len()).expect("three at most");
    let mut waypoints = vec![waypoint("engine-in".into())];
    waypoints.extend((1..=count).map(|n| waypoint(format!("portal-{n}-in"))));
    let all: Vec<WaypointId> = (0..=count).map(WaypointId).collect();
    let feed =
        |name: &str, kind: &str, route: u16, ends_at: Vec<WaypointId>, filters: &[&str]| FeedPlan {
            name: name.into(),
            route: RouteId(route),
            senders: Vec::new(),
            types: vec![kind.into()],
            objectives: Objectives {
                silence: Silence::After(Duration::from_micros(SILENCE.unsigned_abs())),
                ..Objectives::default()
            },
            ends_at,
            filters: filters.iter().map(|f| (*f).to_owned()).collect(),
        };
    let quiet = |feed: FeedPlan| FeedPlan {
        objectives: Objectives { silence: Silence::Off, ..feed.objectives.clone() },
        ..feed
    };
    Watched {
        routes: vec![
            Route { name: "results".into(), waypoints: all.clone() },
            Route { name: "others".into(), waypoints: all[..2].to_vec() },
        ],
        feeds: vec![
            feed("results", "ORU", 0, all[1..].to_vec(), &[]),
            quiet(feed("updates", "ADT", 1, vec![WaypointId(1)], &[])),
            quiet(feed("appointments", "SIU", 1, vec![WaypointId(1)], &["SIU"])),
        ],
        waypoints,
        journey_expiry: Duration::from_secs(900),
        rollup: Duration::from_secs(60),
        feeds_max: 100,
        series_max: 100,
        resolve_after: Duration::from_secs(10),
        ..Watched::default()
    }
}

/// All inputs in the order in which they reach the engine.
fn inputs(plan: &Plan, world: &World) -> (Vec<(Timestamp, Input)>, u64) {
    let mut config = DecodeConfig::new(SiteKey::new([9; 16]));
    config.key_rule = KeyRule::Preset;
    config.shapes = true;
    let mut decoder = Decoder::new(config);
    let (mut timed, mut shown): (Vec<(i64, u8, Input)>, u64) = (Vec::new(), 0);
    let (mut seen, mut read_to) = (Vec::new(), vec![0; plan.portals.len() + 1]);
    for event in &world.events {
        let portal = event.waypoint.wrapping_sub(1);
        if plan.holds(FaultKind::Blind, portal, event.at).is_some() {
            continue;
        }
        let lag = plan.holds(FaultKind::TapLag, portal, event.at).map_or(0, |_| LAG);
        // A tap shows things in their order, late or not.
        let read = &mut read_to[event.waypoint];
        *read = (*read).max(event.at + lag);
        let read = *read;
        sightings(&mut decoder, event, &mut seen);
        for sighting in seen.drain(..) {
            shown += u64::from(is_sending(&sighting));
            timed.push((read, 0, Input::Seen(sighting)));
        }
    }
    for second in 1..=(LENGTH + DRAIN) / SECOND {
        let at = second * SECOND;
        for waypoint in 0..=plan.portals.len() {
            let portal = waypoint.wrapping_sub(1);
            let lags = (0..=LAG / SECOND)
                .any(|n| plan.holds(FaultKind::TapLag, portal, at - n * SECOND).is_some());
            // A tap that is behind gives no sign of life: its own time is its last sighting's. Nor
            // does one that sees nothing.
            if !lags && plan.holds(FaultKind::Blind, portal, at).is_none() {
                let id = WaypointId(u16::try_from(waypoint).expect("four at most"));
                timed.push((at, 1, Input::Alive(id)));
            }
        }
        timed.push((at, 2, Input::Tick));
    }
    for fault in plan.faults.iter().filter(|f| f.kind == FaultKind::Blind) {
        let waypoint = Some(WaypointId(u16::try_from(fault.portal + 1).expect("three at most")));
        let (from, to) = (moment(fault.from), moment(fault.to));
        let blind = Blind { waypoint, from, to, records: 0, bytes: 0 };
        timed.push((fault.to, 0, Input::Blind(blind)));
    }
    timed.sort_by_key(|(at, order, _)| (*at, *order));
    let configure = (moment(0), Input::Configure(Arc::new(watched(plan))));
    let later = timed.into_iter().map(|(at, _, input)| (moment(at), input));
    (core::iter::once(configure).chain(later).collect(), shown)
}

/// A message on its way to a receiver; what comes back is an answer, of whatever kind.
fn is_sending(sighting: &Sighting) -> bool {
    matches!(&sighting.what, Seen::Message(m) if m.direction == Direction::ToReceiver)
}

fn sightings(decoder: &mut Decoder, event: &Event, out: &mut Vec<Sighting>) {
    let waypoint = WaypointId(u16::try_from(event.waypoint).expect("four at most"));
    let connection = ConnectionId(event.connection);
    let at = moment(event.at);
    let link = |what| Sighting { at, waypoint, connection, what: Seen::Link(what) };
    match &event.what {
        Passed::Frame(direction, bytes) => {
            let bytes = Phi::new(bytes.clone());
            let direction = *direction;
            let frame = Frame { bytes, at, waypoint, connection, direction, trace: None };
            decoder.decode(&frame, out);
        }
        Passed::Opened => out.push(link(LinkEvent::Opened)),
        Passed::Refused => out.push(link(LinkEvent::Refused)),
        Passed::Reset => out.push(link(LinkEvent::Reset { by_receiver: true })),
    }
}

type Said = Vec<(EffectId, Effect)>;

fn apply(engine: &mut Engine, inputs: &[(Timestamp, Input)], said: &mut Said) {
    let mut effects = Effects::default();
    for (now, input) in inputs {
        engine.apply(*now, input, &mut effects);
        said.extend(effects.drain());
    }
}

/// Killed at a point: a new process goes on from the snapshot and the inputs, as they are written.
fn reborn(engine: &Engine) -> Engine {
    let bytes = feedpulse_codec::encode(engine.checkpoint());
    let state = feedpulse_codec::decode(&bytes, EVIDENCE_NAMES).expect("what was written is read");
    Engine::restore(state)
}

/// What is said in all when Feedpulse is killed: its last snapshot is at a share of the inputs, and of
/// the effects behind that a share was written. It goes on from the snapshot, reads the same inputs
/// again, and passes over effects that were written.
fn crashed(inputs: &[(Timestamp, Input)], said: &Said, snapshot: u64, written: u64) -> Said {
    let share = |len: usize, of: u64| usize::try_from(len as u64 * of / 1_000).expect("an index");
    let cut = share(inputs.len(), snapshot);
    let (mut first, mut again) = (Engine::new(), Said::new());
    apply(&mut first, &inputs[..cut], &mut again);
    let mut second = reborn(&first);
    drop(first);
    let behind = &said[again.len().min(said.len())..];
    again.extend_from_slice(&behind[..share(behind.len(), written)]);
    let last = again.last().map(|(id, _)| *id);
    let mut anew = Said::new();
    apply(&mut second, &inputs[cut..], &mut anew);
    again.extend(anew.into_iter().filter(|(id, _)| Some(*id) > last));
    again
}

/// Shows a world to Feedpulse.
///
/// # Errors
/// A process that was killed says something else than one that was not.
pub fn run(plan: &Plan, world: &World) -> Result<Report, String> {
    let (inputs, shown) = inputs(plan, world);
    let (mut engine, mut said) = (Engine::new(), Said::new());
    apply(&mut engine, &inputs, &mut said);
    for (snapshot, written) in &plan.crashes {
        let again = crashed(&inputs, &said, *snapshot, *written);
        if again != said {
            return Err(format!("killed behind {snapshot}, {written} ‰ it says something else"));
        }
    }
    let (mut journeys, mut incidents, mut amended) = (Vec::new(), Vec::new(), HashSet::new());
    for (_, effect) in said {
        match effect {
            Effect::Journey(journey) => journeys.push(*journey),
            Effect::Incident(change) => incidents.push(*change),
            Effect::Amend(amendment) => {
                amended.insert(amendment.key);
            }
            Effect::Rollup(_) | Effect::File(_) => {}
        }
    }
    let view = engine.view();
    Ok(Report { journeys, incidents, amended, shown, view, inputs: inputs.len() })
}
