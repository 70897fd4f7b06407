//! The parts of the configuration file about what surrounds the stream: probes, heartbeats, and when a
//! quiet feed is expected.

use super::raw::RawSecret;
use super::raw_access::{RawAccess, RawProxy};
use super::raw_sinks::RawSeverity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A probe: exactly one of `tcp`, `tls`, `http`, `numeric`, `mail`, `mllp`, `smtp` and `kafka_group`
/// says what is looked at.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawProbe {
    /// Unique among probes and heartbeats: 1 to 31 lower-case letters, digits and `-`.
    pub name: String,
    /// What it concerns: its findings belong to that incident. Default: itself.
    pub about: RawAbout,
    /// How often, such as `30s` (default); `5m` for mail, `1h` for `tls`. At least `10s`.
    pub every: Option<String>,
    /// Longest time of one look, such as `5s` (default); `30s` for mail. At most `60s`.
    pub timeout: Option<String>,
    /// So many bad looks of the last `of` are a finding. Default 2.
    pub fails: Option<u8>,
    /// Default 3; at most 32.
    pub of: Option<u8>,
    /// So many good looks in a row end it. Default 2.
    pub recovers: Option<u8>,
    /// How loud its findings are. Default: as `feedpulse explain` says.
    pub severity: Option<RawSeverity>,
    /// Address and port of the DNS server that is asked, such as `10.0.0.53:53`. Default: the system's.
    pub resolver: Option<String>,
    /// Whether a port takes connections.
    pub tcp: Option<RawTcp>,
    /// A TLS handshake: trust, name, and when the certificates end.
    pub tls: Option<RawTls>,
    /// A web page.
    pub http: Option<RawWeb>,
    /// A number or a word that a server tells over HTTP.
    pub numeric: Option<RawNumeric>,
    /// The addresses that mail leaves from, as DNS tells of them.
    pub mail: Option<RawMail>,
    /// A receiver of HL7; only where its waypoint says `probe: allowed`.
    pub mllp: Option<RawMllpProbe>,
    /// A mail server's greeting.
    pub smtp: Option<RawSmtp>,
    /// The engine's own consumer group.
    pub kafka_group: Option<RawGroup>,
}

/// What something concerns: at most one of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAbout {
    /// Name of a waypoint.
    pub waypoint: Option<String>,
    /// Name of a declared feed.
    pub feed: Option<String>,
    /// The system behind waypoints, as they state it (`system`).
    pub system: Option<String>,
}

/// Whether a receiver may be probed over its HL7 port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawAllowed {
    /// It takes a second connection.
    Allowed,
}

/// A port.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTcp {
    /// Host and port.
    pub address: String,
    /// HTTP proxy that connects.
    #[serde(default)]
    pub proxy: Option<RawProxy>,
}

/// A TLS handshake.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTls {
    /// Host and port.
    pub address: String,
    /// The name that the certificate must have. Default: the host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// A certificate that ends within this is a ticket. Default `504h` (21 days).
    #[serde(default)]
    pub ticket_before: Option<String>,
    /// Within this a page. Default `72h` (3 days).
    #[serde(default)]
    pub page_before: Option<String>,
    /// Trust, own certificate, proxy.
    #[serde(default)]
    pub access: RawAccess,
}

/// A web page.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWeb {
    /// Address with `http://` or `https://`. Redirects are not followed.
    pub url: String,
    /// Statuses that are right, such as `200` or `200-299` (default).
    #[serde(default)]
    pub status: Option<String>,
    /// Text that its body must hold.
    #[serde(default)]
    pub contains: Option<String>,
    /// JSON pointer (RFC 6901) of a value that must be there.
    #[serde(default)]
    pub pointer: Option<String>,
    /// What that value must be.
    #[serde(default)]
    pub equals: Option<String>,
    /// How to get there.
    #[serde(default)]
    pub access: RawAccess,
}

/// A number or a word: `metric` of a Prometheus page, or `pointer` into JSON.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNumeric {
    /// Address with `http://` or `https://`.
    pub url: String,
    /// Name of a metric in Prometheus' text format.
    #[serde(default)]
    pub metric: Option<String>,
    /// Labels that its points must have.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// JSON pointer (RFC 6901) of the value; with `each` from the part.
    #[serde(default)]
    pub pointer: Option<String>,
    /// JSON pointer of a list or an object whose elements are parts, each with a value of its own.
    #[serde(default)]
    pub each: Option<String>,
    /// What tells parts apart: the name of a label, or a JSON pointer from the part. At most 64.
    #[serde(default)]
    pub part: Option<String>,
    /// Above this it is a finding.
    #[serde(default)]
    pub over: Option<f64>,
    /// Below this it is a finding.
    #[serde(default)]
    pub under: Option<f64>,
    /// The limit of what can wait: told before it is reached.
    #[serde(default)]
    pub breach: Option<f64>,
    /// How far is looked ahead. Default `60m`.
    #[serde(default)]
    pub horizon: Option<String>,
    /// The number only grows (a counter of errors): what counts is its growth a minute.
    #[serde(default)]
    pub growth: bool,
    /// The value is a word and must be one of these, such as `[STARTED]`.
    #[serde(default)]
    pub state: Vec<String>,
    /// How to get there.
    #[serde(default)]
    pub access: RawAccess,
}

/// Addresses that mail leaves from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawMail {
    /// Those that are known.
    pub addresses: Vec<String>,
    /// A name that leads to them; a change of what it leads to is told.
    pub host: Option<String>,
    /// Zones of DNS block lists, such as `zen.spamhaus.org`: each has terms of use.
    pub block_lists: Vec<String>,
    /// Domains that mail is sent for: their SPF policies must let the addresses send.
    pub domains: Vec<String>,
    /// Whether each address needs a PTR entry that leads back to it. Default true.
    pub ptr: Option<bool>,
}

/// A receiver of HL7.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawMllpProbe {
    /// Host and port. Default: where the waypoint's listener forwards to.
    pub address: Option<String>,
    /// File of a test message, one segment a line. Default: connect only. It must hold no patient.
    pub message_file: Option<String>,
    /// MSA-1 codes that are right. Default `[AA, CA]`.
    pub accept: Vec<String>,
}

/// A mail server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSmtp {
    /// Host and port.
    pub address: String,
    /// What we call ourselves. Default `feedpulse.invalid`.
    #[serde(default)]
    pub helo: Option<String>,
    /// Whether STARTTLS must be offered and its certificate be good. Default true.
    #[serde(default)]
    pub starttls: Option<bool>,
    /// The name that the certificate must have. Default: the host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Trust, own certificate, proxy.
    #[serde(default)]
    pub access: RawAccess,
}

/// A consumer group that is looked at and never joined.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGroup {
    /// Name of the Kafka tap whose brokers and options are used.
    pub tap: String,
    /// The group.
    pub group: String,
    /// Its topics.
    pub topics: Vec<String>,
    /// Records that it may be behind. Default 0.
    #[serde(default)]
    pub allowed_lag: Option<u64>,
    /// How old the record at its committed offset may be, such as `5m` (default), or `off`.
    #[serde(default)]
    pub behind: Option<String>,
}

/// A job that must say each time that it ran: `POST /api/v1/heartbeats/NAME` on the `http` listener,
/// optionally with `?state=start`, `ok` or `fail`. Exactly one of `schedule` and `every`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawHeartbeat {
    /// Unique among probes and heartbeats: 1 to 31 lower-case letters, digits and `-`.
    pub name: String,
    /// What it concerns. Default: itself.
    pub about: RawAbout,
    /// A cron line of five fields by the site's clocks, such as `30 2 * * *`.
    pub schedule: Option<String>,
    /// It comes at least this often, such as `1h`.
    pub every: Option<String>,
    /// So much later is in time, such as `30m`. Default `5m`.
    pub grace: Option<String>,
    /// What said `start` must say that it ended within this. Default: the grace.
    pub longest: Option<String>,
    /// How loud its findings are. Default `ticket`.
    pub severity: Option<RawSeverity>,
    /// Token of this job alone. Default: that of the `http` listener.
    pub token: Option<RawSecret>,
}

/// When a message of a feed is expected that is too quiet for statistics.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExpect {
    /// A cron line of five fields by the site's clocks, such as `0 6 * * 1-5`.
    pub schedule: String,
    /// Within this a message comes. Default `20m`.
    #[serde(default)]
    pub grace: Option<String>,
}
