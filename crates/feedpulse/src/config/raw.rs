//! The configuration file as people write it. The doc comments are the manual: the JSON Schema
//! (`feedpulse validate --schema`) is generated from them.

use super::raw_access::RawProxy;
pub(crate) use super::raw_capture::RawCapture;
pub(crate) use super::raw_kubernetes::RawKubernetes;
pub(crate) use super::raw_mllp::RawMllp;
pub(crate) use super::raw_probes::{RawAllowed, RawExpect, RawHeartbeat, RawProbe};
use super::raw_sinks::{
    RawAlertmanager, RawChat, RawDeadMan, RawMail, RawOtlp, RawPager, RawWebhook,
};
pub(crate) use super::raw_times::{RawAlerts, RawDowntime, RawHolidays, RawNotify};
use feedpulse_core::sighting::AckCondition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The configuration of one Feedpulse.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    /// Name of the site, in every alert and trace. Default `site`.
    pub site: Option<String>,
    /// The site key of 32 hexadecimal digits, from which all keyed hashes are made. All processes of
    /// one site share it. Without it one is made and kept in the store's folder.
    pub key: Option<RawSecret>,
    /// IANA time zone of senders that state none, such as `Europe/Berlin`. Without it a time
    /// without a zone gives no source age.
    pub zone: Option<String>,
    /// Holidays: their traffic is that of a Sunday.
    pub holidays: RawHolidays,
    /// Planned downtimes: what is found in them is noted and nobody is told; what goes on behind one
    /// is told then.
    pub downtimes: Vec<RawDowntime>,
    /// When people are told, and when it is over.
    pub alerts: RawAlerts,
    /// Why messages are refused, in this site's words; added before the built-in dictionary.
    pub reasons: RawReasons,
    /// Field that names a message's facility, such as `PV1-3.4`, for a central record system that
    /// sends for many. Default, and where it is empty: MSH-4.1.
    pub facility: Option<String>,
    /// Types that count as critical here, such as `ADT^A40`, beyond critical results and STAT orders.
    pub urgent_types: Vec<String>,
    /// Where history and progress are kept.
    pub store: Option<RawStore>,
    /// Places where taps look.
    pub waypoints: Vec<RawWaypoint>,
    /// Ordered waypoints, from the sending application to the receiving one.
    pub routes: Vec<RawRoute>,
    /// How long a message may take from one waypoint to the next before its journey ends as expired,
    /// such as `15m` (default). Longer than the slowest batch on a route.
    pub expire_after: Option<String>,
    /// Declared feeds; others are tracked as they are seen, at note level.
    pub feeds: Vec<RawFeed>,
    /// Objectives of feeds that are not declared.
    pub defaults: Option<RawObjectives>,
    /// The MLLP proxy.
    pub mllp: Option<RawMllp>,
    /// Passive capture of packets.
    pub capture: Option<RawCapture>,
    /// Kafka taps.
    pub kafka: Vec<RawKafka>,
    /// HL7 and receipts over HTTP.
    pub http: Option<RawHttp>,
    /// Files and watched folders.
    pub files: Vec<RawFiles>,
    /// WASM checks.
    pub checks: Vec<RawCheck>,
    /// Registries that checks come from, where they need more than TLS and nobody's login.
    pub registries: Vec<RawRegistry>,
    /// Probes of what surrounds the stream.
    pub probes: Vec<RawProbe>,
    /// Jobs that must say each time that they ran.
    pub heartbeats: Vec<RawHeartbeat>,
    /// OpenTelemetry export.
    pub otlp: Option<RawOtlp>,
    /// Alertmanager.
    pub alertmanager: Option<RawAlertmanager>,
    /// Generic webhooks.
    pub webhooks: Vec<RawWebhook>,
    /// The own namespace of a Kubernetes cluster.
    pub kubernetes: Option<RawKubernetes>,
    /// Incoming webhooks of Slack, or of what takes the same.
    pub slack: Vec<RawChat>,
    /// Workflows webhooks of Microsoft Teams.
    pub teams: Vec<RawChat>,
    /// PagerDuty, or what takes its Events API v2.
    pub pagerduty: Vec<RawPager>,
    /// Mails.
    pub email: Vec<RawMail>,
    /// A heartbeat to an outside monitor.
    pub dead_man: Option<RawDeadMan>,
    /// Metrics and health.
    pub ops: Option<RawListener>,
    /// Pages and JSON API.
    pub ui: Option<RawListener>,
}

/// A secret, never text in the file: exactly one of `env` and `file`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSecret {
    /// Name of an environment variable.
    pub env: Option<String>,
    /// Path of a file; one final line end is cut.
    pub file: Option<String>,
}

/// What error codes and texts of ACKs mean here. Only the class ever leaves, never the text.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawReasons {
    /// Codes, compared whole with ERR-3.1, ERR-5.1, ERR-1.4.1 and MSA-6.1.
    pub codes: BTreeMap<String, RawReason>,
    /// Words, found anywhere in the texts, whatever their case.
    pub words: BTreeMap<String, RawReason>,
}

/// A class of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawReason {
    /// Structure: segment sequence, required field.
    Structure,
    /// Type, event, processing id or version not supported.
    Unsupported,
    /// Patient, visit or order not known.
    UnknownKey,
    /// A duplicate.
    DuplicateKey,
    /// A record is locked.
    Locked,
    /// Internal error, database, disk, time-out.
    Internal,
    /// The receiver is not available.
    Unavailable,
    /// Anything else.
    Other,
}

/// Where history and progress are kept.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawStore {
    /// A folder of its own, made with mode 0700. Default `feedpulse-data`.
    pub folder: Option<String>,
    /// Most MiB of the input log. Default 2048.
    pub log_mib: Option<u64>,
    /// Most MiB of the ledger of messages. Default 4096.
    pub ledger_mib: Option<u64>,
    /// Days that the ledger is kept. Default 30.
    pub ledger_days: Option<u32>,
}

/// A place where a tap looks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWaypoint {
    /// Unique: lower-case letters, digits and `-`.
    pub name: String,
    /// What joins a message here to its sightings elsewhere: `control_id` (default), `preset`
    /// (by message type: order, document, appointment or visit numbers), `each_order`, or `fields`.
    #[serde(default)]
    pub key: RawKey,
    /// With `key: fields`: HL7 paths such as `ORC-3`, hashed together.
    #[serde(default)]
    pub key_fields: Vec<String>,
    /// What an ACK should take at most, such as `2s` (default).
    #[serde(default)]
    pub ack_time: Option<String>,
    /// After this a message counts as unanswered, such as `30s` (default).
    #[serde(default)]
    pub no_ack_after: Option<String>,
    /// What is agreed here, whatever MSH-15 and MSH-16 say. Default: what the link is seen to do,
    /// and MSH-15 and MSH-16 until that is known.
    #[serde(default)]
    pub ack_mode: Option<RawAckMode>,
    /// Whether an application ACK is due behind each commit ACK. Default false: only once one was
    /// seen here.
    #[serde(default)]
    pub application_acks: bool,
    /// How long it may take, such as `5m` (default).
    #[serde(default)]
    pub application_after: Option<String>,
    /// Name of the waypoint that this one stands in for (active and standby): one stream.
    #[serde(default)]
    pub standby_of: Option<String>,
    /// The receiving system behind it, such as `engine`: links of one system fail together and make
    /// one incident. Default: the host that its MLLP listener forwards to.
    #[serde(default)]
    pub system: Option<String>,
    /// Reasons for which this link refuses all day, such as `[unknown_key]` for patients who never
    /// enrolled: counted, and never a finding.
    #[serde(default)]
    pub expected_reasons: Vec<RawReason>,
    /// Addresses or blocks from which its senders connect, such as `[10.1.0.0/16, 10.2.3.4]`: a
    /// ticket tells of any other. At most 64. Default: learned in a week, and noted only.
    #[serde(default)]
    pub peers: Vec<String>,
    /// `allowed` where its receiver takes a second connection, so that a probe may make one.
    #[serde(default)]
    pub probe: Option<RawAllowed>,
}

/// MSH-15 and MSH-16 as agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAckMode {
    /// Commit ACKs (MSH-15). Default `none`: original mode, if both are.
    pub accept: RawCondition,
    /// Application ACKs (MSH-16).
    pub application: RawCondition,
}

/// When an ACK is due (HL7 table 0155).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) enum RawCondition {
    /// Not valued.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Always.
    #[serde(rename = "AL")]
    Always,
    /// Never.
    #[serde(rename = "NE")]
    Never,
    /// On error or reject only.
    #[serde(rename = "ER")]
    OnError,
    /// On success only.
    #[serde(rename = "SU")]
    OnSuccess,
}

impl From<RawCondition> for AckCondition {
    fn from(raw: RawCondition) -> Self {
        match raw {
            RawCondition::None => Self::Empty,
            RawCondition::Always => Self::Always,
            RawCondition::Never => Self::Never,
            RawCondition::OnError => Self::OnError,
            RawCondition::OnSuccess => Self::OnSuccess,
        }
    }
}

/// How messages are keyed at a waypoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawKey {
    /// MSH-10.
    #[default]
    ControlId,
    /// Business numbers by message type.
    Preset,
    /// As `preset`, but every order group of a message is a journey of its own: for engines that
    /// split messages or join them.
    EachOrder,
    /// The paths of `key_fields`.
    Fields,
}

/// Ordered waypoints.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRoute {
    /// Unique name.
    pub name: String,
    /// Names of waypoints, in order.
    pub waypoints: Vec<String>,
}

/// A declared feed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFeed {
    /// Unique name.
    pub name: String,
    /// Name of its route.
    pub route: String,
    /// MSH-3.1 is one of these; empty = any.
    #[serde(default)]
    pub senders: Vec<String>,
    /// MSH-9 is one of these: `ORU` or `ORU^R01`; empty = any.
    #[serde(default)]
    pub types: Vec<String>,
    /// Names of the waypoints where each of its messages is expected in the end; several for a
    /// fan-out. Default: the route's last.
    #[serde(default)]
    pub ends_at: Vec<String>,
    /// Types that are not sent on behind the route's first waypoint, such as `ADT^A31`: their
    /// absence is no loss.
    #[serde(default)]
    pub filters: Vec<String>,
    /// What it promises.
    #[serde(default)]
    pub objectives: Option<RawObjectives>,
    /// Whether people are told about it from the start. Default: as `alerts.notify` says.
    #[serde(default)]
    pub notify: Option<RawNotify>,
}

/// What a feed promises.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawObjectives {
    /// First tap to last tap, such as `60s` (default).
    pub transit: Option<String>,
    /// The same for critical results, STAT orders and corrections. Default `30s`.
    pub urgent_transit: Option<String>,
    /// Event to first tap by the sender's clock, where it can be trusted, such as `10m`. Default: none.
    pub source_age: Option<String>,
    /// The same for urgent messages. Default: as for all.
    pub urgent_source_age: Option<String>,
    /// How long a type is held back on purpose, such as `ORU: 4h`: subtracted from its source age.
    pub embargoes: Option<BTreeMap<String, String>>,
    /// Nothing seen for this long is silence, such as `10m`; `learned` (default) by what is usual at
    /// this hour of the week, after seven days; or `off`.
    pub silence: Option<String>,
    /// When messages are expected, for a feed that is too quiet for statistics.
    pub expect: Option<RawExpect>,
    /// Share of answers that may be errors or rejects, 0 to 1. Default 0.05. A link's answers are judged
    /// together: by the greatest share of its feeds.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rejected_share: Option<f64>,
    /// A backlog below this is never a finding. Default 20.
    pub backlog_min: Option<u32>,
    /// Whether new or vanished segments, fields and codes, a new character set or new delimiters in its
    /// messages are a finding (FP0208), after seven days. Default true.
    pub schema_drift: Option<bool>,
    /// What may come and go in its messages, and is never a finding: segments with their fields (`ZPD`),
    /// fields with their codes (`PID-40`), codes (`OBX-11 = X`).
    pub may_vary: Option<Vec<String>>,
}

/// A Kafka tap.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKafka {
    /// Unique name of the tap. Default `kafka`.
    #[serde(default)]
    pub name: Option<String>,
    /// `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// Consumer group. Default `feedpulse`.
    #[serde(default)]
    pub group: Option<String>,
    /// Any librdkafka option in clear, such as `security.protocol: SASL_SSL`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Any librdkafka option that is secret, such as `sasl.password: {file: /run/secrets/kafka}`.
    #[serde(default)]
    pub secrets: BTreeMap<String, RawSecret>,
    /// Topics.
    pub topics: Vec<RawTopic>,
}

/// One topic.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTopic {
    /// Its name.
    pub topic: String,
    /// Name of the waypoint that it is.
    pub waypoint: String,
    /// What its records mean. Default `message`.
    #[serde(default)]
    pub role: RawRole,
    /// With `role: ack`: name of the waypoint whose messages it answers.
    #[serde(default)]
    pub answers: Option<String>,
    /// What a value is. Default `hl7`.
    #[serde(default)]
    pub value: RawValue,
    /// With `value: json`: JSON pointer (RFC 6901) of the HL7 text. Default `/message`.
    #[serde(default)]
    pub pointer: Option<String>,
    /// With `value: json`: whether the text at the pointer is base64. Default false.
    #[serde(default)]
    pub base64: bool,
    /// With `role: receipt`: where a receipt has its parts.
    #[serde(default)]
    pub receipt: Option<RawReceipt>,
}

/// Where a JSON document (a receipt, a FHIR resource) has its parts: JSON pointers (RFC 6901).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawReceipt {
    /// The control id that it is about. Default `/key`.
    pub key: Option<String>,
    /// What it says. Default `/outcome`.
    pub outcome: Option<String>,
    /// When: RFC 3339, an HL7 time with a zone, or a number since the epoch. Default `/at`.
    pub at: Option<String>,
    /// Its type, for those who tell several apart. Default: none.
    pub kind: Option<String>,
    /// Words that stand for an outcome here, such as `final: filed`.
    pub outcomes: BTreeMap<String, String>,
}

/// What the records of a topic mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawRole {
    /// Messages (and their ACKs, if they are in the same topic).
    #[default]
    Message,
    /// ACKs only.
    Ack,
    /// Messages that were given up.
    DeadLetter,
    /// Messages that will be tried again.
    Retry,
    /// Receipts `{key, outcome, at}`.
    Receipt,
}

/// What a record's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawValue {
    /// HL7 v2 text, with or without MLLP framing.
    #[default]
    Hl7,
    /// A JSON document that holds it.
    Json,
}

/// HL7 and receipts over HTTP.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHttp {
    /// Address and port. Beyond loopback a token is needed.
    pub listen: String,
    /// Bearer token.
    #[serde(default)]
    pub token: Option<RawSecret>,
    /// Names of the waypoints that may be posted to; none where only heartbeats come.
    #[serde(default)]
    pub waypoints: Vec<String>,
    /// Where a receipt has its parts.
    #[serde(default)]
    pub receipt: Option<RawReceipt>,
}

/// Files and watched folders.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFiles {
    /// A folder; new files in it are read once.
    pub watch: String,
    /// Name of the waypoint that it is.
    pub waypoint: String,
}

/// A WASM check.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCheck {
    /// Unique name.
    pub name: String,
    /// Path of a component, of a folder that holds one, a built-in check such as `builtin:rules`,
    /// or an OCI artifact such as `oci://registry.example/checks/room@sha256:…`.
    pub plugin: String,
    /// The check's own settings, as its README says.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
    /// A file with the check's own settings, YAML or JSON, instead of `config`.
    #[serde(default)]
    pub config_file: Option<String>,
    /// The fields that it may see, such as `[PID-3, OBX-5]`; `feedpulse check approve FILE.wasm`
    /// prints them. `PID-3` covers its components; `*` any field. Needed but for `builtin:` ones.
    #[serde(default)]
    pub fields: Option<Vec<String>>,
    /// What it may do beyond its declared fields: `get`, `raw`, `free-text`.
    #[serde(default)]
    pub grants: Vec<String>,
    /// Names of the waypoints whose messages it sees; empty = the first of each route.
    #[serde(default)]
    pub waypoints: Vec<String>,
}

/// A registry that checks come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRegistry {
    /// Its host as the artifacts' names have it: `registry.example` or `registry.example:5000`.
    pub host: String,
    /// User of basic authentication.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<RawSecret>,
    /// A Docker `config.json` with who logs in, instead of `user` and `password`.
    #[serde(default)]
    pub docker_config: Option<String>,
    /// File of the CA certificates to trust, PEM. Default: those of the system.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// HTTP proxy on the way, such as `http://proxy:3128`. Default none; the environment is not
    /// asked.
    #[serde(default)]
    pub proxy: Option<RawProxy>,
    /// Speak HTTP without TLS. Digests are verified all the same; logins are not protected.
    #[serde(default)]
    pub plain_http: bool,
}

/// A listener for people or Prometheus.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawListener {
    /// Address and port.
    pub listen: String,
    /// Bearer token; needed by `ui` beyond loopback.
    #[serde(default)]
    pub token: Option<RawSecret>,
}
