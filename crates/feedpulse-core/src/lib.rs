//! The vocabulary and the pure engine of Feedpulse: sightings in, effects out.
//!
//! Nothing here reads a clock, does I/O or spawns. Read the modules in this order: [`time`],
//! [`label`], [`key`], [`frame`], [`defect`], [`lag`], [`order`], [`sighting`], [`plan`], [`input`],
//! [`codes`], [`class`], [`finding`], [`effect`], [`hist`], [`view`], [`metrics`], then the engine.
//!
//! # The life of a message
//! ```
//! use feedpulse_core::{effect::{Effect, Effects}, engine::Engine, input::Input, key::SiteKey};
//! use feedpulse_core::{frame::*, label::*, lag::*, order::*, plan::*, sighting::*, time::Timestamp};
//! use std::{sync::Arc, time::Duration};
//!
//! // What is watched: one waypoint, where every message is answered.
//! let waypoint = Waypoint::new("portal-in");
//! let route = Route { name: "results".into(), waypoints: vec![WaypointId(0)] };
//! let plan = Plan { waypoints: vec![waypoint], routes: vec![route], feeds_max: 10,
//!     journey_expiry: Duration::from_secs(900), ..Plan::default() };
//!
//! let (mut engine, mut effects) = (Engine::new(), Effects::default());
//! let now = Timestamp::from_secs(1_800_000_000);
//! engine.apply(now, &Input::Configure(Arc::new(plan)), &mut effects);
//!
//! // A tap saw a frame, the decoder made a sighting of it: no patient data, only a keyed hash.
//! let key = SiteKey::new([1; 16]).ack_key(b"MSG00001");
//! let message = MessageSeen {
//!     direction: Direction::ToReceiver, code: "ORU".into(), trigger: "R01".into(),
//!     sender: "LAB".into(), sender_facility: Label::EMPTY, receiver: "PORTAL".into(),
//!     receiver_facility: Label::EMPTY, version: "2.5.1".into(), processing: b'P',
//!     control_id: ControlId::from_bytes(b"MSG00001"), ack_key: key, journey_key: key,
//!     also: vec![], find: FindKeys::default(), batch: None, protocol: Protocol::default(),
//!     order: OrderMarks::default(), body: 0, size: 640, ack_mode: AckMode::default(),
//!     event_time: None, withheld: Some(Withheld::NoTime), made: None, urgency: Urgency::Critical,
//!     verdict: feedpulse_core::defect::Verdict::Readable, defects: vec![], trace: None,
//!     software: None,
//! };
//! let seen = |at, what| Input::Seen(Sighting {
//!     at, waypoint: WaypointId(0), connection: ConnectionId(1), what });
//! engine.apply(now, &seen(now, Seen::Message(message)), &mut effects);
//!
//! // Its ACK, 40 ms later: the journey ends and asks to be exported as a trace.
//! let later = now.plus(Duration::from_millis(40));
//! let ack = AckSeen { direction: Direction::ToSender, code: AckCode::AA, ack_key: key,
//!     acked: ControlId::from_bytes(b"MSG00001"), reason: ReasonClass::None,
//!     error_code: Label::EMPTY, defects: vec![], software: None };
//! engine.apply(later, &seen(later, Seen::Ack(ack)), &mut effects);
//! let journey = effects.drain().find_map(|(_, effect)| match effect {
//!     Effect::Journey(journey) => Some(journey),
//!     _ => None,
//! });
//! assert_eq!(journey.unwrap().sends[0].outcome, Some(Outcome::Accepted));
//! assert!(engine.view().totals.adds_up());
//! ```
#![forbid(unsafe_code)]

pub mod calendar;
pub mod cause;
mod checks;
pub mod class;
pub mod codes;
pub mod defect;
pub mod desk;
pub mod effect;
pub mod engine;
pub mod families;
pub mod finding;
mod forecast;
pub mod frame;
pub mod hist;
pub mod input;
pub mod key;
pub mod label;
pub mod lag;
pub mod metrics;
pub mod order;
pub mod plan;
pub mod probe;
pub mod said;
pub mod schedule;
pub mod shape;
pub mod sighting;
pub mod tap;
pub mod time;
pub mod view;
pub mod words;
