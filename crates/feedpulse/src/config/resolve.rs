//! From what people wrote to what the parts need: names become numbers, texts become times.

use super::document::{Document, Problem};
use super::nearest;
use super::raw::{Raw, RawKey, RawObjectives, RawRole, RawSecret, RawSeverity};
use feedpulse_core::codes::Severity;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::plan::{
    Acks, Embargo, FeedPlan, Objectives, Plan, Role, Route, RouteId, Waypoint,
};
use feedpulse_core::sighting::AckMode;
use feedpulse_hl7::json::ReceiptFormat;
use feedpulse_hl7::keys::KeyRule;
use feedpulse_hl7::path::Path;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `run` needs.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Fingerprint of the file's text.
    pub hash: String,
    /// Name of the site.
    pub site: String,
    /// The site key, if the file names one.
    pub key: Option<[u8; 16]>,
    /// Zone of senders that state none.
    pub zone: Option<jiff::tz::TimeZone>,
    /// The store's folder.
    pub folder: PathBuf,
    /// Most bytes of the input log.
    pub log_bytes: u64,
    /// What the engine watches.
    pub plan: Plan,
    /// Key rule of each waypoint, in plan order.
    pub keys: Vec<KeyRule>,
    /// The MLLP proxy.
    pub mllp: Option<Mllp>,
    /// Kafka taps.
    pub kafka: Vec<Kafka>,
    /// The HTTP tap.
    pub http: Option<Http>,
    /// Watched folders.
    pub files: Vec<(PathBuf, WaypointId)>,
    /// WASM checks, in the order of the plan's.
    pub checks: Vec<Check>,
    /// Where effects go.
    pub sinks: feedpulse_sinks::config::SinksConfig,
    /// Metrics and health.
    pub ops: Option<Listener>,
    /// Pages and JSON.
    pub ui: Option<Listener>,
}

/// The MLLP proxy, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Mllp {
    /// What the wire is told.
    pub wire: feedpulse_wire::WireConfig,
    /// Whether `run` starts it.
    pub start: bool,
    /// Waypoint of each of its listeners.
    pub waypoints: Vec<WaypointId>,
}

/// A Kafka tap, resolved.
#[derive(Clone)]
pub(crate) struct Kafka {
    /// Its name.
    pub name: String,
    /// All librdkafka options, secrets included; never printed.
    pub options: BTreeMap<String, String>,
    /// Its topics.
    pub topics: Vec<Topic>,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("name", &self.name)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// One topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Its name.
    pub topic: String,
    /// Its waypoint.
    pub waypoint: WaypointId,
    /// What its records mean.
    pub role: RawRole,
    /// With a JSON value: pointer, and whether it is base64.
    pub json: Option<(String, bool)>,
    /// With receipts: where their parts are.
    pub receipt: ReceiptFormat,
}

/// The HTTP tap, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// Where it listens and who may.
    pub listener: Listener,
    /// Waypoints that may be posted to, by name.
    pub waypoints: Vec<(String, WaypointId)>,
    /// Where a receipt has its parts.
    pub receipt: ReceiptFormat,
}

/// A listener, resolved.
#[derive(Clone)]
pub(crate) struct Listener {
    /// Where.
    pub listen: SocketAddr,
    /// Bearer token; never printed.
    pub token: Option<String>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("listen", &self.listen)
            .field("token", &self.token.is_some())
            .finish()
    }
}

/// A check, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// Its name.
    pub name: String,
    /// Path or `builtin:` name.
    pub plugin: String,
    /// Its settings as JSON.
    pub config: String,
    /// What it was granted.
    pub grants: Vec<String>,
    /// Waypoints whose messages it sees.
    pub waypoints: Vec<WaypointId>,
}

/// Resolves, collecting every problem.
///
/// # Errors
/// All that is wrong.
pub(crate) fn resolve(raw: &Raw, document: &Document) -> Result<Config, Vec<Problem>> {
    let mut r = Resolver { raw, document, problems: Vec::new() };
    let plan = r.plan();
    let key = r.key();
    let zone = r.zone();
    let keys = r.keys();
    let store = raw.store.clone().unwrap_or_default();
    let folder = PathBuf::from(store.folder.unwrap_or_else(|| "feedpulse-data".into()));
    let mllp = r.mllp(&folder);
    let kafka = r.kafka();
    let http = r.http();
    let files = raw
        .files
        .iter()
        .enumerate()
        .map(|(n, f)| {
            (PathBuf::from(&f.watch), r.waypoint(&format!("files/{n}/waypoint"), &f.waypoint))
        })
        .collect();
    let checks = r.checks();
    let sinks = r.sinks();
    let ops = r.listener("ops", raw.ops.as_ref());
    let ui = r.listener("ui", raw.ui.as_ref());
    r.some_tap();
    if !r.problems.is_empty() {
        return Err(r.problems);
    }
    Ok(Config {
        hash: String::new(),
        site: raw.site.clone().unwrap_or_else(|| "site".into()),
        key,
        zone,
        folder,
        log_bytes: store.log_mib.unwrap_or(2048) << 20,
        plan,
        keys,
        mllp,
        kafka,
        http,
        files,
        checks,
        sinks,
        ops,
        ui,
    })
}

pub(super) struct Resolver<'a> {
    /// What people wrote.
    pub(super) raw: &'a Raw,
    document: &'a Document,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    pub(super) fn wrong(&mut self, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(self.document.problem(path, what, hint));
    }

    fn unique<'n>(&mut self, list: &str, names: impl Iterator<Item = &'n String>) {
        let mut seen = std::collections::BTreeSet::new();
        for (n, name) in names.enumerate() {
            let path = format!("{list}/{n}/name");
            if name.is_empty() || name.len() > 63 {
                self.wrong(&path, "a name of 1 to 63 characters is needed", "");
            }
            if !seen.insert(name) {
                self.wrong(&path, format!("{name:?} is there twice"), "names are unique");
            }
        }
    }

    /// Finds a name in a list, with a hint at the nearest one.
    fn find(&mut self, path: &str, kind: &str, name: &str, known: &[String]) -> usize {
        if let Some(found) = known.iter().position(|k| k == name) {
            return found;
        }
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => format!("no {kind} is declared"),
            None => format!("declared: {}", known.join(", ")),
        };
        self.wrong(path, format!("no {kind} is called {name:?}"), hint);
        0
    }

    pub(super) fn waypoint(&mut self, path: &str, name: &str) -> WaypointId {
        let known: Vec<String> = self.raw.waypoints.iter().map(|w| w.name.clone()).collect();
        let found = self.find(path, "waypoint", name, &known);
        WaypointId(u16::try_from(found).unwrap_or(u16::MAX))
    }

    pub(super) fn time(
        &mut self,
        path: &str,
        text: Option<&String>,
        default: Duration,
    ) -> Duration {
        let Some(text) = text else { return default };
        let parsed =
            text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
        match parsed {
            Some(time) if time > Duration::ZERO && time <= Duration::from_secs(31 * 86_400) => time,
            _ => {
                self.wrong(
                    path,
                    "not a time",
                    "write a number and a unit, such as 500ms, 2s, 10m, 1h 30m; at most 31 days",
                );
                default
            }
        }
    }

    pub(super) fn secret(&mut self, path: &str, secret: &RawSecret) -> Option<String> {
        match (&secret.env, &secret.file) {
            (Some(name), None) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => return Some(value),
                _ => self.wrong(path, format!("the environment variable {name} is not set"), ""),
            },
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(value) => {
                    return Some(
                        value
                            .strip_suffix('\n')
                            .unwrap_or(&value)
                            .trim_end_matches('\r')
                            .to_owned(),
                    );
                }
                Err(error) => self.wrong(
                    path,
                    format!("{file}: {}", error.kind()),
                    "the file of a secret must be readable",
                ),
            },
            _ => self.wrong(
                path,
                "exactly one of env and file is needed",
                "such as {env: NAME} or {file: /run/secrets/name}",
            ),
        }
        None
    }

    fn key(&mut self) -> Option<[u8; 16]> {
        let text = self.raw.key.clone().and_then(|s| self.secret("key", &s))?;
        let key = parse_key(&text);
        if key.is_none() {
            self.wrong("key", "not 32 hexadecimal digits", "make one with `openssl rand -hex 16`");
        }
        key
    }

    fn zone(&mut self) -> Option<jiff::tz::TimeZone> {
        let name = self.raw.zone.as_ref()?;
        match jiff::tz::TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => {
                self.wrong(
                    "zone",
                    format!("no time zone is called {name:?}"),
                    "an IANA name such as Europe/Berlin",
                );
                None
            }
        }
    }

    fn keys(&mut self) -> Vec<KeyRule> {
        let raw = self.raw;
        let mut keys = Vec::new();
        for (n, waypoint) in raw.waypoints.iter().enumerate() {
            let path = format!("waypoints/{n}/key_fields");
            keys.push(match waypoint.key {
                RawKey::ControlId => KeyRule::ControlId,
                RawKey::Preset => KeyRule::Preset,
                RawKey::Fields => {
                    let mut fields = Vec::new();
                    for (i, text) in waypoint.key_fields.iter().enumerate() {
                        match text.parse::<Path>() {
                            Ok(field) => fields.push(field),
                            Err(error) => self.wrong(
                                &format!("{path}/{i}"),
                                error.to_string(),
                                "such as ORC-3 or PID-3.1",
                            ),
                        }
                    }
                    if fields.is_empty() {
                        self.wrong(&path, "no field", "name at least one, such as ORC-3");
                    }
                    KeyRule::Fields(fields)
                }
            });
            if waypoint.key != RawKey::Fields && !waypoint.key_fields.is_empty() {
                self.wrong(
                    &path,
                    "only used with `key: fields`",
                    "set `key: fields`, or remove it",
                );
            }
        }
        keys
    }

    fn plan(&mut self) -> Plan {
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
        // A waypoint that no route names is a route of its own.
        for (n, waypoint) in raw.waypoints.iter().enumerate() {
            let id = WaypointId(u16::try_from(n).unwrap_or(u16::MAX));
            if !routes.iter().any(|r| r.waypoints.contains(&id)) {
                routes.push(Route { name: waypoint.name.clone(), waypoints: vec![id] });
            }
        }
        let defaults = self.objectives("defaults", raw.defaults.as_ref(), &Objectives::default());
        let feeds = (0..raw.feeds.len()).map(|n| self.feed(n, &defaults)).collect();
        Plan {
            waypoints,
            routes,
            feeds,
            checks: raw.checks.iter().map(|c| c.name.clone()).collect(),
            defaults,
            journey_expiry: Duration::from_secs(15 * 60),
            rollup: Duration::from_secs(60),
            feeds_max: raw.feeds.len() + 1_000,
            series_max: 500,
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
        }
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
        FeedPlan {
            name: feed.name.clone(),
            route: RouteId(u16::try_from(route).unwrap_or(u16::MAX)),
            senders: feed.senders.clone(),
            types: feed.types.clone(),
            objectives: self.objectives(
                &format!("{path}/objectives"),
                feed.objectives.as_ref(),
                defaults,
            ),
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
        let silence = raw.silence.as_ref().map(|_| {
            self.time(&format!("{path}/silence"), raw.silence.as_ref(), Duration::from_secs(600))
        });
        Objectives {
            transit: self.time(&format!("{path}/transit"), raw.transit.as_ref(), defaults.transit),
            urgent_transit: self.time(
                &format!("{path}/urgent_transit"),
                raw.urgent_transit.as_ref(),
                defaults.urgent_transit,
            ),
            embargoes: self.embargoes(path, raw, defaults),
            silence: silence.or(defaults.silence),
            rejected_share: raw.rejected_share.unwrap_or(defaults.rejected_share),
            backlog_min: raw.backlog_min.unwrap_or(defaults.backlog_min),
        }
    }

    fn some_tap(&mut self) {
        let raw = self.raw;
        if raw.mllp.is_none() && raw.kafka.is_empty() && raw.http.is_none() && raw.files.is_empty()
        {
            self.wrong("", "no tap", "declare at least one of mllp, kafka, http, files");
        }
    }
}

/// The site key from its text.
#[must_use]
pub(crate) fn parse_key(text: &str) -> Option<[u8; 16]> {
    let text = text.trim().as_bytes();
    let mut key = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

pub(super) fn severity(raw: Option<RawSeverity>) -> Severity {
    match raw.unwrap_or(RawSeverity::Ticket) {
        RawSeverity::Note => Severity::Note,
        RawSeverity::Ticket => Severity::Ticket,
        RawSeverity::Page => Severity::Page,
    }
}
