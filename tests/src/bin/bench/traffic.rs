//! Traffic for the engine: 100 feeds over ten routes of two waypoints, answered at both, with control
//! ids, orders and patients that differ, as sightings that a decoder would give.

use crate::Result;
use crate::input::{self, START_US};
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::order::PatientEvent;
use feedpulse_core::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Waypoint};
use feedpulse_core::sighting::{AckSeen, MessageSeen, Seen, Sighting};
use feedpulse_core::time::{EventTime, Precision, Timestamp};
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::keys::control_id_key;
use feedpulse_sim::{AckCode, Kind, make_ack, read_header};
use std::sync::Arc;
use std::time::Duration;

/// Feeds, one sending application each.
const FEEDS: usize = 100;
/// Routes that they share; the waypoints of route `r` are `2r` and `2r + 1`.
const ROUTES: usize = 10;
/// From one message to the next: 20,000 messages a second.
const STEP_US: i64 = 50;
/// Messages from one tick to the next: a second's.
const TICK: usize = 20_000;
/// Patients, and orders, of which the messages are.
const PATIENTS: u64 = 20_000;

/// Makes the sightings of message number `n`, which is of feed `n % FEEDS`.
pub(crate) struct Traffic {
    /// One message of each kind.
    messages: Vec<MessageSeen>,
    ack: AckSeen,
}

/// An input and its time.
pub(crate) type Timed = (Timestamp, Input);

impl Traffic {
    /// # Errors
    /// The generator or the decoder does not give what it should.
    pub(crate) fn new() -> Result<Self> {
        let mut generator = input::generator(4)?;
        let mut decoder = Decoder::new(DecodeConfig::new(input::site_key()));
        let (mut messages, mut sightings) = (Vec::new(), Vec::new());
        let mut header = None;
        for kind in [Kind::AdtA08, Kind::OruR01, Kind::MdmT02] {
            let message = input::message(&mut generator, kind);
            header = read_header(&message.bytes);
            decoder.decode(&input::as_frame(message.bytes), &mut sightings);
        }
        let header = header.ok_or("the generator made no header")?;
        let mut frame = input::as_frame(make_ack(&header, AckCode::Aa, "A1", START_US));
        frame.direction = Direction::ToSender;
        decoder.decode(&frame, &mut sightings);
        let mut ack = None;
        for sighting in sightings {
            match sighting.what {
                Seen::Message(message) => messages.push(message),
                Seen::Ack(seen) => ack = Some(seen),
                _ => {}
            }
        }
        let ack = ack.filter(|_| messages.len() == 3);
        Ok(Self { messages, ack: ack.ok_or("messages and their ACK were not decoded")? })
    }

    /// An engine that watches it.
    pub(crate) fn engine() -> Engine {
        let waypoint = |n: usize| Waypoint {
            no_ack_after: Duration::from_secs(60),
            ack_time: Duration::from_secs(30),
            ..Waypoint::new(&format!("place-{n}"))
        };
        let route = |n: usize| Route {
            name: format!("route-{n}"),
            waypoints: vec![place(2 * n), place(2 * n + 1)],
        };
        let feed = |n: usize| FeedPlan {
            name: format!("feed-{n}"),
            route: RouteId(u16::try_from(n % ROUTES).unwrap_or(0)),
            senders: vec![sender(n)],
            types: Vec::new(),
            objectives: Objectives::default(),
            ends_at: Vec::new(),
            filters: Vec::new(),
        };
        let plan = Plan {
            waypoints: (0..2 * ROUTES).map(waypoint).collect(),
            routes: (0..ROUTES).map(route).collect(),
            feeds: (0..FEEDS).map(feed).collect(),
            journey_expiry: Duration::from_secs(900),
            rollup: Duration::from_secs(60),
            feeds_max: 1000,
            series_max: 500,
            ..Plan::default()
        };
        let (mut engine, mut effects) = (Engine::new(), Effects::default());
        let start = Timestamp::from_micros(START_US);
        engine.apply(start, &Input::Configure(Arc::new(plan)), &mut effects);
        engine
    }

    /// The journey key of a message: what a peer is given to hold.
    pub(crate) fn key(n: usize) -> u128 {
        let key = control_id_key(&input::site_key(), id('B', n).as_bytes());
        key.map_or(0, MessageKey::as_u128)
    }

    /// It is seen at the first waypoint of its route.
    pub(crate) fn comes(&self, n: usize) -> Timed {
        self.message(n, 0)
    }

    /// It is accepted there, and seen at the second under another control id.
    pub(crate) fn goes_on(&self, n: usize) -> [Timed; 2] {
        [self.ack(n, 0, at(n, 10)), self.message(n, 1)]
    }

    /// It is accepted there as well while message `now` is seen: its journey ends.
    pub(crate) fn arrives(&self, n: usize, now: usize) -> Timed {
        self.ack(n, 1, at(now, 30))
    }

    /// The end of a second, when message `n` is the first of the next; else nothing.
    pub(crate) fn second(n: usize) -> impl Iterator<Item = Timed> {
        let alive = (0..2 * ROUTES).map(|n| Input::Alive(place(n)));
        let due = alive.chain([Input::Tick]).map(move |input| (at(n, 0), input));
        due.filter(move |_| n.is_multiple_of(TICK))
    }

    fn message(&self, n: usize, hop: usize) -> Timed {
        let time = |before: i64| {
            let at = at(n, 0).minus(Duration::from_secs(before.unsigned_abs()));
            Some(EventTime { at, precision: Precision::Second, zone_stated: true })
        };
        let feed = n % FEEDS;
        let mut seen = self.messages[feed % self.messages.len()].clone();
        let id_here = id(['B', 'E'][hop], n);
        seen.sender = Label::from(sender(feed).as_str());
        seen.control_id = ControlId::from_bytes(id_here.as_bytes());
        seen.ack_key = input::site_key().ack_key(id_here.as_bytes());
        seen.journey_key = control_id_key(&input::site_key(), id('B', n).as_bytes());
        seen.body = n as u64;
        (seen.made, seen.event_time) = (time(1), time(60));
        let patient = (n as u64 * 7919 % PATIENTS).to_le_bytes();
        let patient = input::site_key().short(b'P', &[&patient]);
        for mark in seen.order.results.iter_mut().flatten() {
            mark.test = patient;
        }
        if let Some(mark) = &mut seen.order.patient {
            (mark.patient, mark.event) = (patient, PatientEvent::Update);
        }
        let at = at(n, 20 * i64::from(hop == 1));
        (at, seen_at(n, hop, at, Seen::Message(seen)))
    }

    fn ack(&self, n: usize, hop: usize, at: Timestamp) -> Timed {
        let id = id(['B', 'E'][hop], n);
        let acked = ControlId::from_bytes(id.as_bytes());
        let ack_key = input::site_key().ack_key(id.as_bytes());
        let seen = AckSeen { acked, ack_key, ..self.ack.clone() };
        (at, seen_at(n, hop, at, Seen::Ack(seen)))
    }
}

fn seen_at(n: usize, hop: usize, at: Timestamp, what: Seen) -> Input {
    let feed = n % FEEDS;
    let waypoint = place(2 * (feed % ROUTES) + hop);
    Input::Seen(Sighting { at, waypoint, connection: ConnectionId(feed as u64), what })
}

fn place(n: usize) -> WaypointId {
    WaypointId(u16::try_from(n).unwrap_or(0))
}

fn sender(feed: usize) -> String {
    format!("SENDER-{feed:02}")
}

fn id(letter: char, n: usize) -> String {
    format!("{letter}{n:012}")
}

fn at(n: usize, micros: i64) -> Timestamp {
    Timestamp::from_micros(START_US + n as i64 * STEP_US + micros)
}
