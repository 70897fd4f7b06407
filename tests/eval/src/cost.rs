//! What the detectors cost: a site of a thousand feeds at a thousand messages a second, on simulated
//! time, in seconds of a core and bytes of state.

use crate::world::key;
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use feedpulse_core::engine::profile::Profile;
use feedpulse_core::engine::shapes::{FreshPart, KnownPart};
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::order::OrderMarks;
use feedpulse_core::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Waypoint};
use feedpulse_core::shape::{Part, ShapeKey, ShapeSeen};
use feedpulse_core::sighting::{
    AckCode, AckMode, AckSeen, FindKeys, MessageSeen, Protocol, ReasonClass, Seen, Sighting,
    Urgency,
};
use feedpulse_core::time::Timestamp;
use std::sync::Arc;
use std::time::Instant;

/// Feeds, and messages a second.
const FEEDS: u64 = 1_000;
const RATE: u64 = 1_000;
/// Simulated seconds that are measured, behind as many that are not.
const SECONDS: u64 = 60;
/// Seconds between two shapes of a feed's messages.
const SHAPE_EVERY: u64 = 30;
/// Links; each carries the feeds whose number it leaves as a remainder.
const LINKS: u64 = 50;
/// The bars: share of a core, bytes.
const CORE: f64 = 0.02;
const BYTES: usize = 8 << 20;
const START: i64 = 1_772_409_600;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Share of a core that the checks of each second take.
    pub ticks: f64,
    /// Share of a core that learning from each message takes.
    pub learning: f64,
    /// Share of a core that the whole engine takes, detectors among it.
    pub engine: f64,
    /// Bytes that detectors keep for all feeds and links.
    pub bytes: usize,
}

impl Cost {
    /// Both bars, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let share = self.ticks + self.learning;
        let (met, small) = (share <= CORE, self.bytes <= BYTES);
        let yes = |met: bool| if met { "yes" } else { "NO" };
        format!(
            "{FEEDS} feeds at {RATE} messages/s\n\
             detectors: {:.2} % of a core (checks each second {:.2} %, learning {:.2} %); \
             bar 2 %, ratio {:.2}, met: {}\n\
             detectors: {:.2} MiB of state; bar 8 MiB, ratio {:.2}, met: {}\n\
             the whole engine, for comparison: {:.2} % of a core",
            share * 100.0,
            self.ticks * 100.0,
            self.learning * 100.0,
            share / CORE,
            yes(met),
            self.bytes as f64 / (1 << 20) as f64,
            self.bytes as f64 / BYTES as f64,
            yes(small),
            self.engine * 100.0,
        )
    }
}

fn name(feed: u64) -> String {
    format!("FEED{feed}")
}

fn plan() -> Plan {
    let link = |n: u64| WaypointId(u16::try_from(n).unwrap_or(0));
    let route =
        |n: u64| Route { name: format!("route-{n}"), waypoints: vec![link(n), link(LINKS + n)] };
    let feed = |n: u64| FeedPlan {
        name: name(n),
        route: RouteId(u16::try_from(n % LINKS).unwrap_or(0)),
        senders: vec![name(n)],
        types: Vec::new(),
        objectives: Objectives::default(),
        ends_at: Vec::new(),
        filters: Vec::new(),
    };
    Plan {
        waypoints: (0..2 * LINKS).map(|n| Waypoint::new(&format!("link-{n}"))).collect(),
        routes: (0..LINKS).map(route).collect(),
        feeds: (0..FEEDS).map(feed).collect(),
        feeds_max: 2_000,
        ..Plan::default()
    }
}

fn message(number: u64, feed: u64, hop: u64) -> MessageSeen {
    MessageSeen {
        direction: Direction::ToReceiver,
        code: "ORU".into(),
        trigger: "R01".into(),
        sender: name(feed).as_str().into(),
        sender_facility: "MAIN".into(),
        receiver: Label::EMPTY,
        receiver_facility: Label::EMPTY,
        version: "2.5".into(),
        processing: b'P',
        control_id: ControlId::from_bytes(format!("{number}").as_bytes()),
        ack_key: Some(key(number, hop)),
        journey_key: Some(key(number, u64::MAX)),
        also: Vec::new(),
        find: FindKeys::default(),
        batch: None,
        protocol: Protocol::default(),
        order: OrderMarks::default(),
        body: number,
        size: 600,
        ack_mode: AckMode::default(),
        event_time: None,
        withheld: None,
        made: None,
        urgency: Urgency::Routine,
        software: None,
        verdict: feedpulse_core::defect::Verdict::Readable,
        defects: Vec::new(),
        trace: None,
    }
}

/// What a tap tells of the shape of a feed's messages, twice a minute: a hundred parts of ten segments.
fn shape(feed: u64) -> ShapeSeen {
    let names = ["MSH", "PID", "PV1", "ORC", "OBR", "OBX", "NTE", "ZAA", "ZAB", "ZAC"];
    let parts = names.iter().flat_map(|name| {
        let segment = Part::segment(name.as_bytes());
        core::iter::once(segment).chain((1..10).map(move |n| segment.field(n)))
    });
    let mut parts: Vec<(Part, u32)> = parts.map(|part| (part, SHAPE_EVERY as u32)).collect();
    parts.sort_unstable();
    let sender = name(feed).as_str().into();
    let key = ShapeKey { sender, code: "ORU".into(), trigger: "R01".into() };
    ShapeSeen { key, messages: SHAPE_EVERY as u32, parts }
}

/// The sightings of one simulated second: each message at two links, each answered.
fn second(at: u64) -> Vec<(Timestamp, Input)> {
    let mut inputs = Vec::new();
    for n in 0..RATE {
        let number = at * RATE + n;
        let feed = number % FEEDS;
        for hop in 0..2 {
            let here = WaypointId(u16::try_from(hop * LINKS + feed % LINKS).unwrap_or(0));
            let micros = START * 1_000_000
                + i64::try_from(at * 1_000_000 + n * 1_000 + hop * 400).unwrap_or(0);
            let mut add = |offset: i64, what: Seen| {
                let at = Timestamp::from_micros(micros + offset);
                let connection = ConnectionId(feed + 1);
                inputs.push((at, Input::Seen(Sighting { at, waypoint: here, connection, what })));
            };
            add(0, Seen::Message(message(number, feed, hop)));
            if (at + feed).is_multiple_of(SHAPE_EVERY) {
                add(0, Seen::Shape(Box::new(shape(feed))));
            }
            add(
                200,
                Seen::Ack(AckSeen {
                    direction: Direction::ToSender,
                    code: AckCode::AA,
                    ack_key: Some(key(number, hop)),
                    acked: ControlId::from_bytes(format!("{number}").as_bytes()),
                    reason: ReasonClass::None,
                    software: None,
                    error_code: Label::EMPTY,
                    defects: Vec::new(),
                }),
            );
        }
    }
    inputs
}

/// Plays and measures.
#[must_use]
pub fn measure() -> Cost {
    let (mut engine, mut effects) = (Engine::new(), Effects::default());
    let start = Timestamp::from_secs(START);
    engine.apply(start, &Input::Configure(Arc::new(plan())), &mut effects);
    let (mut ticks, mut all, mut shapes) = (0.0, 0.0, 0.0);
    for at in 0..2 * SECONDS {
        let inputs = second(at);
        let measured = at >= SECONDS;
        let begun = Instant::now();
        for (now, input) in &inputs {
            let shape = matches!(input, Input::Seen(seen) if matches!(seen.what, Seen::Shape(_)));
            let took = shape.then(Instant::now);
            engine.apply(*now, input, &mut effects);
            effects.drain().for_each(drop);
            if measured && let Some(took) = took {
                shapes += took.elapsed().as_secs_f64();
            }
        }
        let end = start.plus(std::time::Duration::from_secs(at + 1));
        for link in 0..2 * LINKS {
            let alive = Input::Alive(WaypointId(u16::try_from(link).unwrap_or(0)));
            engine.apply(end, &alive, &mut effects);
        }
        let looked = Instant::now();
        engine.apply(end, &Input::Tick, &mut effects);
        effects.drain().for_each(drop);
        if measured {
            ticks += looked.elapsed().as_secs_f64();
            all += begun.elapsed().as_secs_f64();
        }
    }
    let seconds = SECONDS as f64;
    Cost {
        ticks: ticks / seconds,
        learning: learning(&engine) + shapes / seconds,
        engine: all / seconds,
        bytes: bytes(&engine),
    }
}

/// Learning: each message counts for its feed, its type and its facility.
fn learning(engine: &Engine) -> f64 {
    let state = engine.checkpoint();
    let calendar = &state.plan.calendar;
    let mut profiles: Vec<Profile> = state.feeds.iter().map(|f| f.profile.clone()).collect();
    profiles.extend(state.profiles.iter().map(|(_, profile)| profile.clone()));
    let count = profiles.len();
    let begun = Instant::now();
    for at in 0..SECONDS * RATE * 3 {
        let place = usize::try_from(at * 7_919).unwrap_or(0) % count.max(1);
        let now = state.now.plus(std::time::Duration::from_micros(at * 333));
        if let Some(profile) = profiles.get_mut(place) {
            profile.saw(calendar, now);
        }
    }
    begun.elapsed().as_secs_f64() / SECONDS as f64
}

/// What detectors keep beside the ledger and the journeys: profiles, looks, recent events, what is
/// usual at links.
fn bytes(engine: &Engine) -> usize {
    let state = engine.checkpoint();
    let profile = |p: &Profile| {
        size_of::<Profile>() + p.rates.capacity() * size_of::<f32>() + p.learned.capacity()
    };
    let feeds: usize = state
        .feeds
        .iter()
        .map(|f| {
            let recent = [&f.missing, &f.missing_critical, &f.partly, &f.late, &f.dead_letters];
            let recent: usize = recent.iter().map(|r| r.at.capacity() * 8).sum();
            profile(&f.profile) + f.looks.capacity() * 8 + recent
        })
        .sum();
    let parts: usize = state.profiles.iter().map(|(key, p)| size_of_val(key) + profile(p)).sum();
    let links: usize = state
        .waypoints
        .iter()
        .map(|w| {
            let usual = &w.usual;
            let kinds =
                usual.kinds.len() * (4 + size_of::<feedpulse_core::engine::by_kind::KindAnswers>());
            let shapes = usual.shapes.iter().map(|(key, of)| {
                let known = of.known.capacity() * size_of::<KnownPart>();
                let fresh = of.fresh.capacity() * size_of::<FreshPart>();
                size_of_val(key) + size_of_val(of) + known + fresh
            });
            let recent = [&w.unanswered, &w.lost, &w.malformed, &w.commit_only, &usual.damaged];
            size_of_val(usual)
                + kinds
                + shapes.sum::<usize>()
                + usual.minutes.capacity() * size_of::<feedpulse_core::engine::usual::Minute>()
                + usual.bursts.capacity() * size_of::<feedpulse_core::engine::usual::Burst>()
                + usual.versions.len() * 4 * size_of::<Label>()
                + w.answers.capacity() * size_of::<feedpulse_core::engine::state::Answer>()
                + recent.iter().map(|r| r.at.capacity() * 8).sum::<usize>()
        })
        .sum();
    feeds + parts + links
}
