//! From what people wrote to what the parts need: names become numbers, texts become times.

use super::document::{Document, Part, Problem};
use super::raw::{Raw, RawRole, RawSecret};
use super::schema::nearest;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::plan::Plan;
use feedpulse_hl7::decode::{DecodeConfig, ReasonRules};
use feedpulse_hl7::json::ReceiptFormat;
use feedpulse_hl7::keys::KeyRule;
use feedpulse_hl7::path::TypeMatch;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// Where facilities are told apart.
    pub facility: Option<feedpulse_hl7::facility::FacilityPath>,
    /// The site's own reasons of refusals.
    pub reasons: ReasonRules,
    /// Types that the site counts as critical.
    pub urgent_types: Vec<TypeMatch>,
    /// The store's folder.
    pub folder: PathBuf,
    /// Most bytes of the input log.
    pub log_bytes: u64,
    /// Most bytes of the ledger.
    pub ledger_bytes: u64,
    /// Days that the ledger is kept.
    pub ledger_days: u32,
    /// What the engine watches.
    pub plan: Plan,
    /// Key rule of each waypoint, in plan order.
    pub keys: Vec<KeyRule>,
    /// The MLLP proxy.
    pub mllp: Option<Mllp>,
    /// Passive capture.
    pub capture: Option<feedpulse_taps::capture::live::CaptureTapConfig>,
    /// Kafka taps.
    pub kafka: Vec<Kafka>,
    /// The HTTP tap.
    pub http: Option<Http>,
    /// Watched folders.
    pub files: Vec<(PathBuf, WaypointId)>,
    /// WASM checks, in the order of the plan's.
    pub checks: Vec<Check>,
    /// Registries that checks come from, by host.
    pub registries: BTreeMap<String, feedpulse_oci::Registry>,
    /// Probes.
    pub probes: Vec<feedpulse_probes::ProbeConfig>,
    /// Consumer groups that are looked at.
    pub groups: Vec<Group>,
    /// Heartbeats that may be posted.
    pub heartbeats: Vec<Heartbeat>,
    /// Where effects go.
    pub sinks: feedpulse_sinks::config::SinksConfig,
    /// The namespace that is watched for changes; None = none.
    pub namespace: Option<feedpulse_sinks::NamespaceConfig>,
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

/// A consumer group that is looked at and never joined.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Name of its probe.
    pub name: String,
    /// The Kafka tap whose options are used: index into [`Config::kafka`].
    pub tap: usize,
    /// The group.
    pub group: String,
    /// Its topics.
    pub topics: Vec<String>,
    /// How often.
    pub every: Duration,
    /// Longest time of one look.
    pub timeout: Duration,
}

/// A heartbeat that may be posted.
#[derive(Clone)]
pub(crate) struct Heartbeat {
    /// Its name.
    pub name: String,
    /// Its own token; None = that of the listener. Never printed.
    pub token: Option<String>,
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heartbeat").field("name", &self.name).finish_non_exhaustive()
    }
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Check {
    /// Its name.
    pub name: String,
    /// Path, `builtin:` name or `oci://` reference.
    pub plugin: String,
    /// Its settings, where the configuration states them.
    pub config: Option<Part>,
    /// The file with its settings, where the configuration names one.
    pub config_file: Option<PathBuf>,
    /// The fields that it may see; None = not stated.
    pub fields: Option<Vec<String>>,
    /// What it was granted.
    pub grants: Vec<String>,
    /// Waypoints whose messages it sees.
    pub waypoints: Vec<WaypointId>,
}

/// The store's folder where nothing else is said.
pub(crate) const FOLDER: &str = "feedpulse-data";

/// Resolves, collecting every problem.
///
/// # Errors
/// All that is wrong.
pub(crate) fn resolve(raw: &Raw, document: &Arc<Document>) -> Result<Config, Vec<Problem>> {
    let mut r = Resolver { raw, document, problems: Vec::new() };
    let mut plan = r.plan();
    let around = r.around();
    (plan.probes, plan.heartbeats) = (around.plans, around.beats);
    let key = r.key();
    let zone = r.zone();
    let facility = r.facility();
    let keys = r.keys();
    let (reasons, urgent_types) = (r.reasons(), r.urgent_types());
    let store = raw.store.clone().unwrap_or_default();
    let folder = PathBuf::from(store.folder.as_deref().unwrap_or(FOLDER));
    let mllp = r.mllp(&folder);
    let capture = r.capture();
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
    let registries = r.registries();
    let sinks = r.sinks(&plan.calendar);
    let namespace = r.namespace();
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
        facility,
        reasons,
        urgent_types,
        folder,
        log_bytes: store.log_mib.unwrap_or(2048) << 20,
        ledger_bytes: store.ledger_mib.unwrap_or(4096) << 20,
        ledger_days: store.ledger_days.unwrap_or(30),
        plan,
        keys,
        mllp,
        capture,
        kafka,
        http,
        files,
        checks,
        registries,
        probes: around.probes,
        groups: around.groups,
        heartbeats: around.heartbeats,
        sinks,
        namespace,
        ops,
        ui,
    })
}

pub(super) struct Resolver<'a> {
    /// What people wrote.
    pub(super) raw: &'a Raw,
    pub(super) document: &'a Arc<Document>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    pub(super) fn wrong(&mut self, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(self.document.problem(path, what, hint));
    }

    /// Whether nothing was found to be wrong so far.
    pub(super) fn is_right(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn unique<'n>(&mut self, list: &str, names: impl Iterator<Item = &'n String>) {
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
    pub(super) fn find(&mut self, path: &str, kind: &str, name: &str, known: &[String]) -> usize {
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

    fn some_tap(&mut self) {
        let raw = self.raw;
        let streams = raw.mllp.is_some() || raw.capture.is_some() || !raw.kafka.is_empty();
        if !streams && raw.http.is_none() && raw.files.is_empty() {
            self.wrong("", "no tap", "declare at least one of mllp, capture, kafka, http, files");
        }
    }
}

impl Config {
    /// How the frames of a waypoint are decoded.
    #[must_use]
    pub(crate) fn decoding(&self, key: SiteKey, waypoint: usize) -> DecodeConfig {
        let mut decode = DecodeConfig::new(key);
        decode.zone.clone_from(&self.zone);
        decode.facility = self.facility;
        decode.shapes = true;
        decode.reasons.clone_from(&self.reasons);
        decode.urgent_types.clone_from(&self.urgent_types);
        if let Some(rule) = self.keys.get(waypoint) {
            decode.key_rule = rule.clone();
        }
        decode
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
