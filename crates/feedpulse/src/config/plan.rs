//! Resolving what the engine watches: waypoints, routes, feeds and what they promise.

use super::raw::{RawObjectives, RawRole, RawWaypoint};
use super::resolve::Resolver;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::label::Label;
use feedpulse_core::plan::{
    Acks, Embargo, FeedPlan, Objectives, PeerNet, Plan, Role, Route, RouteId, Silence, Waypoint,
};
use feedpulse_core::shape::Part;
use feedpulse_core::sighting::AckMode;
use std::time::Duration;

/// Most entries of a waypoint's `peers`.
const PEERS_MAX: usize = 64;
/// Most parts in `may_vary`.
const VARY_MAX: usize = 64;

impl Resolver<'_> {
    pub(super) fn plan(&mut self) -> Plan {
        let raw = self.raw;
        self.unique("waypoints", raw.waypoints.iter().map(|w| &w.name));
        self.unique("routes", raw.routes.iter().map(|r| &r.name));
        self.unique("feeds", raw.feeds.iter().map(|f| &f.name));
        self.unique("checks", raw.checks.iter().map(|c| &c.name));
        if raw.waypoints.len() > 4096 || raw.feeds.len() > 10_000 || raw.checks.len() > 64 {
            self.wrong(
                "",
                "at most 4,096 waypoints, 10,000 feeds and 64 checks",
                "run several instances",
            );
        }
        let waypoints =
            raw.waypoints.iter().enumerate().map(|(n, _)| self.plan_waypoint(n)).collect();
        let mut routes: Vec<Route> = Vec::new();
        for (n, route) in raw.routes.iter().enumerate() {
            let path = format!("routes/{n}/waypoints");
            if route.waypoints.is_empty() || route.waypoints.len() > 16 {
                self.wrong(&path, "1 to 16 waypoints are needed", "");
            }
            let here = route.waypoints.iter().enumerate();
            let list = here.map(|(i, w)| self.waypoint(&format!("{path}/{i}"), w)).collect();
            routes.push(Route { name: route.name.clone(), waypoints: list });
        }
        // A waypoint that no route names is a route of its own, unless it stands in for another.
        for (n, waypoint) in raw.waypoints.iter().enumerate() {
            let id = WaypointId(u16::try_from(n).unwrap_or(u16::MAX));
            let stands_in = waypoint.standby_of.is_some();
            if !stands_in && !routes.iter().any(|r| r.waypoints.contains(&id)) {
                routes.push(Route { name: waypoint.name.clone(), waypoints: vec![id] });
            }
        }
        let mut defaults =
            self.objectives("defaults", raw.defaults.as_ref(), &Objectives::default());
        defaults.shadow = self.shadow();
        let feeds = (0..raw.feeds.len()).map(|n| self.feed(n, &defaults)).collect();
        Plan {
            waypoints,
            routes,
            feeds,
            checks: raw.checks.iter().map(|c| c.name.clone()).collect(),
            defaults,
            journey_expiry: self.time(
                "expire_after",
                raw.expire_after.as_ref(),
                Duration::from_secs(15 * 60),
            ),
            rollup: Duration::from_secs(60),
            feeds_max: raw.feeds.len() + 1_000,
            calendar: self.calendar(),
            downtimes: self.downtimes(),
            resolve_after: self.time(
                "alerts/resolve_after",
                raw.alerts.resolve_after.as_ref(),
                Duration::from_secs(300),
            ),
            page_after: self.time(
                "alerts/page_after",
                raw.alerts.page_after.as_ref(),
                Duration::from_secs(300),
            ),
            page_after_urgent: self.time(
                "alerts/page_after_urgent",
                raw.alerts.page_after_urgent.as_ref(),
                Duration::from_secs(120),
            ),
            series_max: 500,
            hard_down_told: self.hard_down_told(),
            config: Label::EMPTY,
            ..Plan::default()
        }
    }

    fn plan_waypoint(&mut self, n: usize) -> Waypoint {
        let raw = self.raw;
        let waypoint = &raw.waypoints[n];
        let path = format!("waypoints/{n}");
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !waypoint.name.chars().all(fits) {
            self.wrong(
                &format!("{path}/name"),
                "a waypoint's name has lower-case letters, digits and -",
                "",
            );
        }
        let topic = raw.kafka.iter().flat_map(|k| &k.topics).find(|t| t.waypoint == waypoint.name);
        let answered = raw
            .kafka
            .iter()
            .flat_map(|k| &k.topics)
            .any(|t| t.role == RawRole::Ack && t.answers.as_ref() == Some(&waypoint.name));
        let posted = raw.http.iter().any(|h| h.waypoints.contains(&waypoint.name));
        let copies = posted || raw.files.iter().any(|f| f.waypoint == waypoint.name);
        let role = match topic.map(|t| (t.role, &t.answers)) {
            Some((RawRole::Ack, Some(of))) => {
                Role::AckOf(self.waypoint(&format!("{path}/name"), of))
            }
            Some((RawRole::DeadLetter, _)) => Role::DeadLetter,
            Some((RawRole::Retry, _)) => Role::Retry,
            Some((RawRole::Receipt, _)) => Role::Receipt,
            _ => Role::Message,
        };
        let acks = match (topic.is_some(), copies) {
            (true, _) if answered => Acks::Expected,
            (true, _) => Acks::Stored,
            (_, true) => Acks::IfSeen,
            _ => Acks::Expected,
        };
        Waypoint {
            name: waypoint.name.clone(),
            acks,
            no_ack_after: self.time(
                &format!("{path}/no_ack_after"),
                waypoint.no_ack_after.as_ref(),
                Duration::from_secs(30),
            ),
            ack_time: self.time(
                &format!("{path}/ack_time"),
                waypoint.ack_time.as_ref(),
                Duration::from_secs(2),
            ),
            role,
            ack_mode: waypoint.ack_mode.as_ref().map(|mode| AckMode {
                accept: mode.accept.into(),
                application: mode.application.into(),
            }),
            application_acks: waypoint.application_acks,
            application_after: self.time(
                &format!("{path}/application_after"),
                waypoint.application_after.as_ref(),
                Duration::from_secs(300),
            ),
            standby_of: waypoint
                .standby_of
                .as_ref()
                .map(|of| self.waypoint(&format!("{path}/standby_of"), of)),
            expected_reasons: waypoint.expected_reasons.iter().map(|r| (*r).into()).collect(),
            system: Label::from(self.system(waypoint).as_str()),
            peers: self.peers(&format!("{path}/peers"), &waypoint.peers),
        }
    }

    pub(super) fn peers(&mut self, path: &str, stated: &[String]) -> Vec<PeerNet> {
        if stated.len() > PEERS_MAX {
            self.wrong(path, format!("more than {PEERS_MAX}"), "join them to larger blocks");
        }
        let mut nets = Vec::new();
        for (n, text) in stated.iter().enumerate().take(PEERS_MAX) {
            match PeerNet::parse(text) {
                Ok(net) => nets.push(net),
                Err(wrong) => self.wrong(
                    &format!("{path}/{n}"),
                    format!("{text:?}: {wrong}"),
                    "an address or a block of addresses, such as 10.1.0.0/16; names are not looked up",
                ),
            }
        }
        nets
    }

    /// The receiving system behind a waypoint: as stated, else the host that its listener forwards to.
    pub(super) fn system(&self, waypoint: &RawWaypoint) -> String {
        if let Some(stated) = &waypoint.system {
            return stated.clone();
        }
        let listeners = self.raw.mllp.iter().flat_map(|mllp| &mllp.listeners);
        let mut forwards = listeners.filter(|l| l.waypoint == waypoint.name).map(|l| &l.forward);
        let Some(forward) = forwards.next() else { return String::new() };
        let host = forward.rsplit_once(':').map_or(forward.as_str(), |(host, _)| host);
        let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        // On this machine each port may be another system.
        let name = if loopback || host == "localhost" { forward } else { host };
        name.to_owned()
    }

    fn feed(&mut self, n: usize, defaults: &Objectives) -> FeedPlan {
        let raw = self.raw;
        let feed = &raw.feeds[n];
        let path = format!("feeds/{n}");
        let mut known: Vec<String> = raw.routes.iter().map(|r| r.name.clone()).collect();
        let alone = raw
            .waypoints
            .iter()
            .map(|w| &w.name)
            .filter(|w| !raw.routes.iter().any(|r| r.waypoints.contains(w)));
        known.extend(alone.cloned());
        let route = self.find(&format!("{path}/route"), "route", &feed.route, &known);
        self.types(&format!("{path}/types"), &feed.types);
        let ends_at = feed
            .ends_at
            .iter()
            .enumerate()
            .map(|(i, w)| self.waypoint(&format!("{path}/ends_at/{i}"), w))
            .collect();
        self.types(&format!("{path}/filters"), &feed.filters);
        let objectives =
            self.objectives(&format!("{path}/objectives"), feed.objectives.as_ref(), defaults);
        let shadow = self.shadow_of(feed, defaults.shadow);
        FeedPlan {
            name: feed.name.clone(),
            route: RouteId(u16::try_from(route).unwrap_or(u16::MAX)),
            senders: feed.senders.clone(),
            types: feed.types.clone(),
            objectives: Objectives { shadow, ..objectives },
            ends_at,
            filters: feed.filters.clone(),
        }
    }

    fn types(&mut self, path: &str, types: &[String]) {
        for (i, kind) in types.iter().enumerate() {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '^' || c == '_';
            if kind.is_empty() || !kind.chars().all(fits) {
                self.wrong(&format!("{path}/{i}"), "not a message type", "such as ORU or ORU^R01");
            }
        }
    }

    /// Parts of messages.
    fn parts(&mut self, path: &str, texts: &[String]) -> Vec<Part> {
        if texts.len() > VARY_MAX {
            self.wrong(path, "too many", format!("at most {VARY_MAX}; or `schema_drift: false`"));
        }
        let parts = texts.iter().take(VARY_MAX).enumerate().map(|(i, text)| {
            let part = Part::parse(text);
            if part.is_none() {
                let hint = "such as ZPD, PID-40 or OBX-11 = X";
                self.wrong(&format!("{path}/{i}"), "no part of a message", hint);
            }
            part
        });
        parts.flatten().collect()
    }

    fn embargoes(
        &mut self,
        path: &str,
        raw: &RawObjectives,
        defaults: &Objectives,
    ) -> Vec<Embargo> {
        let Some(embargoes) = &raw.embargoes else { return defaults.embargoes.clone() };
        let kinds: Vec<String> = embargoes.keys().cloned().collect();
        self.types(&format!("{path}/embargoes"), &kinds);
        let mut all: Vec<Embargo> = embargoes
            .iter()
            .map(|(kind, by)| Embargo {
                kind: kind.clone(),
                by: self.time(&format!("{path}/embargoes/{kind}"), Some(by), Duration::ZERO),
            })
            .collect();
        // The more exact type first: the first match counts.
        all.sort_by_key(|e| core::cmp::Reverse(e.kind.contains('^')));
        all
    }

    fn objectives(
        &mut self,
        path: &str,
        raw: Option<&RawObjectives>,
        defaults: &Objectives,
    ) -> Objectives {
        let Some(raw) = raw else { return defaults.clone() };
        let silence = match raw.silence.as_deref() {
            None => defaults.silence,
            Some("learned") => Silence::Learned,
            Some("off") => Silence::Off,
            Some(_) => Silence::After(self.time(
                &format!("{path}/silence"),
                raw.silence.as_ref(),
                Duration::from_secs(600),
            )),
        };
        Objectives {
            transit: self.time(&format!("{path}/transit"), raw.transit.as_ref(), defaults.transit),
            urgent_transit: self.time(
                &format!("{path}/urgent_transit"),
                raw.urgent_transit.as_ref(),
                defaults.urgent_transit,
            ),
            source_age: self.promised(path, "source_age", &raw.source_age, defaults.source_age),
            urgent_source_age: self.promised(
                path,
                "urgent_source_age",
                &raw.urgent_source_age,
                defaults.urgent_source_age,
            ),
            embargoes: self.embargoes(path, raw, defaults),
            silence,
            expect: match &raw.expect {
                Some(expect) => self.expect(&format!("{path}/expect"), expect),
                None => defaults.expect,
            },
            rejected_share: raw.rejected_share.unwrap_or(defaults.rejected_share),
            backlog_min: raw.backlog_min.unwrap_or(defaults.backlog_min),
            shadow: defaults.shadow,
            schema_drift: raw.schema_drift.unwrap_or(defaults.schema_drift),
            may_vary: match &raw.may_vary {
                Some(parts) => self.parts(&format!("{path}/may_vary"), parts),
                None => defaults.may_vary.clone(),
            },
        }
    }

    /// A length of time that need not be promised.
    fn promised(
        &mut self,
        path: &str,
        name: &str,
        raw: &Option<String>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        let long = Duration::from_secs(3_600);
        raw.as_ref().map(|_| self.time(&format!("{path}/{name}"), raw.as_ref(), long)).or(default)
    }
}
