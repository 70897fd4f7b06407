//! Resolving the parts at the edges: taps, checks, listeners.

use super::document::Part;
use super::raw::{RawListener, RawReceipt, RawRole, RawValue};
use super::resolve::{Check, Http, Kafka, Listener, Resolver, Topic};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::sighting::Outcome;
use feedpulse_hl7::json::{Pointer, ReceiptFormat};
use std::net::SocketAddr;

impl Resolver<'_> {
    pub(super) fn address(&mut self, path: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.wrong(path, "not an address and port", "such as 0.0.0.0:6661 or [::1]:8080");
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    pub(super) fn kafka(&mut self) -> Vec<Kafka> {
        let mut taps = Vec::new();
        for (n, tap) in self.raw.kafka.iter().enumerate() {
            let path = format!("kafka/{n}");
            if tap.brokers.is_empty() {
                self.wrong(&format!("{path}/brokers"), "no broker", "at least one host:port");
            }
            let mut options = tap.options.clone();
            for (name, secret) in &tap.secrets {
                if let Some(value) = self.secret(&format!("{path}/secrets/{name}"), secret) {
                    options.insert(name.clone(), value);
                }
            }
            options.insert("bootstrap.servers".into(), tap.brokers.join(","));
            options
                .insert("group.id".into(), tap.group.clone().unwrap_or_else(|| "feedpulse".into()));
            if tap.topics.is_empty() {
                self.wrong(&format!("{path}/topics"), "no topic", "add one: {topic, waypoint}");
            }
            let mut topics = Vec::new();
            for (i, topic) in tap.topics.iter().enumerate() {
                let here = format!("{path}/topics/{i}");
                if topic.role == RawRole::Ack && topic.answers.is_none() {
                    self.wrong(
                        &here,
                        "an ACK topic must say what it answers",
                        "add `answers: WAYPOINT`",
                    );
                }
                let pointer = topic.pointer.clone().unwrap_or_else(|| "/message".into());
                if !pointer.starts_with('/') {
                    self.wrong(
                        &format!("{here}/pointer"),
                        "not a JSON pointer",
                        "RFC 6901: such as /payload/hl7",
                    );
                }
                topics.push(Topic {
                    topic: topic.topic.clone(),
                    waypoint: self.waypoint(&format!("{here}/waypoint"), &topic.waypoint),
                    role: topic.role,
                    receipt: self.receipt(&format!("{here}/receipt"), topic.receipt.as_ref()),
                    json: (topic.value == RawValue::Json).then_some((pointer, topic.base64)),
                });
            }
            let name = tap.name.clone().unwrap_or_else(|| "kafka".into());
            taps.push(Kafka { name, options, topics });
        }
        let mut names: Vec<&String> = taps.iter().map(|t| &t.name).collect();
        names.sort();
        if names.windows(2).any(|two| matches!(two, [a, b] if a == b)) {
            self.wrong("kafka", "two Kafka taps have the same name", "give each a `name`");
        }
        taps
    }

    pub(super) fn http(&mut self) -> Option<Http> {
        let raw = self.raw.http.as_ref()?;
        let as_listener = RawListener { listen: raw.listen.clone(), token: raw.token.clone() };
        let listener = self.listener("http", Some(&as_listener))?;
        if raw.waypoints.is_empty() && self.raw.heartbeats.is_empty() {
            self.wrong(
                "http/waypoints",
                "nothing may be posted",
                "name waypoints, or add heartbeats",
            );
        }
        let names = raw.waypoints.iter().enumerate();
        let waypoints = names
            .map(|(n, w)| (w.clone(), self.waypoint(&format!("http/waypoints/{n}"), w)))
            .collect();
        let receipt = self.receipt("http/receipt", raw.receipt.as_ref());
        Some(Http { listener, waypoints, receipt })
    }

    fn receipt(&mut self, path: &str, raw: Option<&RawReceipt>) -> ReceiptFormat {
        let raw = raw.cloned().unwrap_or_default();
        let mut pointer = |name: &str, text: Option<String>, default: &str| {
            let text = text.unwrap_or_else(|| default.to_owned());
            text.parse::<Pointer>().unwrap_or_else(|error| {
                self.wrong(&format!("{path}/{name}"), error.to_string(), "such as /status");
                "/".parse().expect("a constant pointer is valid")
            })
        };
        let key = pointer("key", raw.key, "/key");
        let outcome = pointer("outcome", raw.outcome, "/outcome");
        let at = Some(pointer("at", raw.at, "/at"));
        let kind = raw.kind.map(|kind| pointer("kind", Some(kind), ""));
        let mut outcomes = Vec::new();
        for (word, name) in raw.outcomes {
            match Outcome::from_name(&name) {
                Some(outcome) => outcomes.push((word, outcome)),
                None => self.wrong(
                    &format!("{path}/outcomes/{word}"),
                    format!("no outcome is called {name:?}"),
                    format!("one of {}", Outcome::ALL.map(Outcome::name).join(", ")),
                ),
            }
        }
        ReceiptFormat { key, outcome, outcomes, at, kind }
    }

    pub(super) fn listener(&mut self, path: &str, raw: Option<&RawListener>) -> Option<Listener> {
        let raw = raw?;
        let listen = self.address(&format!("{path}/listen"), &raw.listen);
        let token = raw.token.as_ref().and_then(|t| self.secret(&format!("{path}/token"), t));
        // Only counts are on the ops listener: it may be open to Prometheus.
        if path != "ops" && !listen.ip().is_loopback() && raw.token.is_none() {
            self.wrong(
                &format!("{path}/listen"),
                "beyond loopback a token is needed",
                "add `token: {file: …}` or listen on 127.0.0.1",
            );
        }
        Some(Listener { listen, token })
    }

    pub(super) fn checks(&mut self) -> Vec<Check> {
        let raw = self.raw;
        let mut checks = Vec::new();
        for (n, check) in raw.checks.iter().enumerate() {
            let path = format!("checks/{n}");
            for (i, grant) in check.grants.iter().enumerate() {
                if !["get", "raw", "free-text"].contains(&grant.as_str()) {
                    self.wrong(
                        &format!("{path}/grants/{i}"),
                        "not a grant",
                        "one of get, raw, free-text",
                    );
                }
            }
            self.check_source(&path, check);
            let mut waypoints: Vec<WaypointId> = Vec::new();
            for (i, w) in check.waypoints.iter().enumerate() {
                waypoints.push(self.waypoint(&format!("{path}/waypoints/{i}"), w));
            }
            if check.waypoints.is_empty() {
                for route in &raw.routes {
                    if let Some(first) = route.waypoints.first() {
                        waypoints.push(self.waypoint("routes", first));
                    }
                }
                if raw.routes.is_empty() {
                    let all = u16::try_from(raw.waypoints.len()).unwrap_or(u16::MAX);
                    waypoints.extend((0..all).map(WaypointId));
                }
            }
            checks.push(Check {
                name: check.name.clone(),
                plugin: check.plugin.clone(),
                config: check
                    .config
                    .as_ref()
                    .map(|_| Part::of(self.document, &format!("{path}/config"))),
                config_file: check.config_file.as_ref().map(Into::into),
                fields: check.fields.clone(),
                grants: check.grants.clone(),
                waypoints,
            });
        }
        checks
    }
}
