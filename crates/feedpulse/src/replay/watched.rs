//! What the engine watches in a capture: a waypoint for each endpoint that speaks HL7, routes as they
//! were learned, or the configuration's own where it knows the endpoint.

use super::survey::{Kind, Survey, Way};
use crate::config::Config;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Waypoint};
use feedpulse_hl7::decode::{DecodeConfig, Decoder, KeyRule};
use feedpulse_taps::capture::Endpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Most feeds that are declared; further kinds are found by the engine itself.
const FEEDS_MAX: usize = 1_000;

/// All of it.
pub(crate) struct Watched {
    pub(crate) plan: Plan,
    /// In plan order.
    pub(crate) decoders: Vec<Decoder>,
    pub(crate) endpoints: Vec<(SocketAddr, WaypointId)>,
    /// The other leg of a listener that is watched: its messages would count twice.
    pub(crate) twice: Vec<SocketAddr>,
}

/// How frames are read where no configuration says it: the key survives an engine that rewrites.
pub(crate) fn decoding(config: Option<&Config>) -> DecodeConfig {
    let key = SiteKey::new(config.and_then(|c| c.key).unwrap_or_default());
    let decode = config.map(|c| c.decoding(key, usize::MAX));
    let decode = decode.unwrap_or_else(|| DecodeConfig::new(key));
    DecodeConfig { key_rule: KeyRule::Preset, ..decode }
}

/// A waypoint's name: its address, in lower-case letters, digits and `-`.
fn name(address: SocketAddr) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    format!("{}-{}", address.ip(), address.port()).chars().map(plain).collect()
}

/// A waypoint that nobody declared, and the route that it is by itself.
fn add(plan: &mut Plan, address: SocketAddr) -> WaypointId {
    let id = WaypointId(u16::try_from(plan.waypoints.len()).unwrap_or(u16::MAX));
    let name = name(address);
    plan.waypoints.push(Waypoint::new(&name));
    plan.routes.push(Route { name, waypoints: vec![id] });
    id
}

impl Watched {
    /// From what a survey found.
    pub(crate) fn of(survey: &Survey, endpoints: &[Endpoint], config: Option<&Config>) -> Self {
        let numbered = (0..).map(WaypointId).zip(endpoints);
        let speak = |(number, _): &(WaypointId, &Endpoint)| {
            survey.spoken.get(number).is_some_and(|count| *count > 0)
        };
        let speaking: Vec<(WaypointId, &Endpoint)> = numbered.filter(speak).collect();
        match config {
            None => Self::learned(&survey.ways(), &speaking),
            Some(config) => Self::configured(config, &speaking),
        }
    }

    fn learned(ways: &[Way], speaking: &[(WaypointId, &Endpoint)]) -> Self {
        let mut plan = Plan {
            defaults: Objectives::default(),
            journey_expiry: Duration::from_secs(15 * 60),
            rollup: Duration::from_secs(60),
            feeds_max: 2 * FEEDS_MAX,
            series_max: 500,
            ..Plan::default()
        };
        let mut ids = BTreeMap::new();
        let mut endpoints = Vec::new();
        for (number, endpoint) in speaking {
            let id = add(&mut plan, endpoint.address);
            ids.insert(*number, id);
            endpoints.push((endpoint.address, id));
        }
        let places: BTreeMap<WaypointId, &Endpoint> =
            speaking.iter().filter_map(|(n, e)| Some((*ids.get(n)?, *e))).collect();
        for way in ways.iter().take(FEEDS_MAX) {
            let stops = std::iter::once(&way.from).chain(&way.then);
            let stops: Option<Vec<WaypointId>> = stops.map(|n| ids.get(n).copied()).collect();
            if let Some(stops) = stops.filter(|stops| stops.len() <= 16) {
                declare(&mut plan, way.kind, stops, &places);
            }
        }
        let decoders = plan.waypoints.iter().map(|_| Decoder::new(decoding(None))).collect();
        Self { plan, decoders, endpoints, twice: Vec::new() }
    }

    fn configured(config: &Config, speaking: &[(WaypointId, &Endpoint)]) -> Self {
        let mut plan = config.plan.clone();
        let site_key = SiteKey::new(config.key.unwrap_or_default());
        let declared = plan.waypoints.len();
        let matched: Vec<_> =
            speaking.iter().map(|(_, e)| (e.address, listener(config, e.address))).collect();
        let mut best: BTreeMap<WaypointId, u8> = BTreeMap::new();
        for (rank, waypoint) in matched.iter().filter_map(|(_, found)| *found) {
            let known = best.entry(waypoint).or_insert(rank);
            *known = rank.min(*known);
        }
        let (mut endpoints, mut twice) = (Vec::new(), Vec::new());
        for (address, found) in matched {
            match found {
                None => endpoints.push((address, add(&mut plan, address))),
                Some((rank, waypoint)) if best.get(&waypoint) == Some(&rank) => {
                    endpoints.push((address, waypoint));
                }
                Some(_) => twice.push(address),
            }
        }
        let decode = |number: usize| match number < declared {
            true => config.decoding(site_key, number),
            false => decoding(Some(config)),
        };
        let decoders = (0..plan.waypoints.len()).map(|n| Decoder::new(decode(n))).collect();
        Self { plan, decoders, endpoints, twice }
    }
}

/// Declares a feed on its route, so that what is missing at its end is missed.
fn declare(
    plan: &mut Plan,
    kind: Kind,
    stops: Vec<WaypointId>,
    places: &BTreeMap<WaypointId, &Endpoint>,
) {
    let named = plan.routes.iter().position(|route| route.waypoints == stops);
    let number = named.unwrap_or_else(|| {
        let names = stops.iter().filter_map(|id| plan.waypoints.get(usize::from(id.0)));
        let names: Vec<&str> = names.map(|w| w.name.as_str()).collect();
        plan.routes.push(Route { name: names.join("-to-"), waypoints: stops.clone() });
        plan.routes.len() - 1
    });
    let Ok(route) = u16::try_from(number).map(RouteId) else { return };
    let types = format!("{}^{}", kind.code, kind.trigger);
    let shown = if kind.trigger.is_empty() { kind.code.to_string() } else { types.clone() };
    let sender = if kind.sender.is_empty() { "-" } else { kind.sender.as_str() };
    let mut name = format!("{sender} {shown}");
    if plan.feeds.iter().any(|feed| feed.name == name) {
        let first = stops.first().and_then(|id| plan.waypoints.get(usize::from(id.0)));
        name = format!("{name} at {}", first.map(|w| w.name.as_str()).unwrap_or_default());
    }
    plan.feeds.push(FeedPlan {
        name,
        route,
        senders: vec![kind.sender.to_string()],
        types: vec![types],
        objectives: Objectives::default(),
        ends_at: ends(&stops, places),
        filters: Vec::new(),
    });
}

/// Where messages are expected in the end: each stop from whose host no later stop is reached. So an
/// engine that sends to two receivers has two ends, and a chain has one.
fn ends(stops: &[WaypointId], places: &BTreeMap<WaypointId, &Endpoint>) -> Vec<WaypointId> {
    let clients = |stop: &WaypointId| places.get(stop).map(|e| &e.clients);
    let none = BTreeSet::new();
    let goes_on = |number: usize, stop: &WaypointId| {
        let host: Option<IpAddr> = places.get(stop).map(|e| e.address.ip());
        let mut later = stops.iter().skip(number + 1);
        host.is_some_and(|host| later.any(|l| clients(l).unwrap_or(&none).contains(&host)))
    };
    let behind_first = stops.iter().enumerate().skip(1);
    let found: Vec<WaypointId> =
        behind_first.filter(|(n, stop)| !goes_on(*n, stop)).map(|(_, stop)| *stop).collect();
    if found.is_empty() { stops.last().copied().into_iter().collect() } else { found }
}

/// The configured waypoint of an endpoint; a smaller rank is a better reason.
fn listener(config: &Config, address: SocketAddr) -> Option<(u8, WaypointId)> {
    let captured = config.capture.iter().flat_map(|capture| &capture.endpoints);
    let captured = captured.filter(|(ends, _)| ends.contain(address)).map(|(_, w)| (0, *w)).next();
    let Some(mllp) = config.mllp.as_ref() else { return captured };
    let rank = |listener: &feedpulse_wire::ListenerConfig| {
        let (host, port) = listener.forward.rsplit_once(':')?;
        let same_port = port.parse() == Ok(address.port());
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(ip) if same_port && ip == address.ip() => return Some(0),
            // A name is not looked up: what it means now says nothing of then.
            Err(_) if same_port => return Some(1),
            Ok(_) | Err(_) => {}
        }
        let listen = listener.listen;
        let same_host = listen.ip().is_unspecified() || listen.ip() == address.ip();
        (same_host && listen.port() == address.port()).then_some(2)
    };
    let listeners = mllp.wire.listeners.iter().zip(&mllp.waypoints);
    let listeners = listeners.filter_map(|(l, waypoint)| Some((rank(l)?, *waypoint)));
    captured.into_iter().chain(listeners).min()
}
