//! What an operator can set, with defaults, units and limits; checked when the sinks are built.

mod notify;

use core::time::Duration;
use feedpulse_core::calendar::Calendar;
use feedpulse_http::AccessError;

pub use crate::target::Target;
pub use feedpulse_http::{Access, ClientCertificate, ProxyConfig};
pub use notify::{
    AlertmanagerConfig, Chat, DeadManConfig, Escalation, Mail, NotifierConfig, RouteConfig,
    Security, Speech,
};

/// A setting that cannot work: where, what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A server cannot be reached as stated.
    #[error("{place}: {error}")]
    Access {
        /// Which setting.
        place: String,
        /// What is wrong and what to do.
        error: AccessError,
    },
    /// A number is outside its limits.
    #[error("{place}: {what} is {got}, allowed is {allowed}")]
    Range {
        /// Which setting.
        place: String,
        /// Which number.
        what: &'static str,
        /// What it is.
        got: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A name cannot be used.
    #[error("{place}: the name {name:?} {what}")]
    Name {
        /// Which setting.
        place: String,
        /// The name.
        name: String,
        /// What is wrong and what to do.
        what: &'static str,
    },
    /// A mail address cannot be used.
    #[error("{place}: {text:?} is not a mail address; write it like Feedpulse <ops@example.org>")]
    Mail {
        /// Which setting.
        place: String,
        /// The address.
        text: String,
    },
    /// A webhook's body template does not make JSON.
    #[error("{place}: {what}")]
    Template {
        /// Which setting.
        place: String,
        /// Where in the template, what, and what to do.
        what: String,
    },
}

impl ConfigError {
    /// An address that is not usable.
    pub(crate) fn address(place: &str, what: &str, example: &'static str) -> Self {
        let error = AccessError::Address { what: what.to_owned(), example };
        Self::Access { place: place.to_owned(), error }
    }

    /// Which setting: `otlp`, a notifier's name, `route 3`, `dead-man`, `site`, and what is beside it
    /// behind a colon.
    #[must_use]
    pub fn place(&self) -> &str {
        match self {
            Self::Access { place, .. }
            | Self::Range { place, .. }
            | Self::Name { place, .. }
            | Self::Mail { place, .. }
            | Self::Template { place, .. } => place,
        }
    }
}

/// All sinks. Empty by default: nothing leaves the machine until it is configured.
#[derive(Clone, Debug, Default)]
pub struct SinksConfig {
    /// OTLP export; None = off.
    pub otlp: Option<OtlpConfig>,
    /// Alertmanager clusters.
    pub alertmanagers: Vec<AlertmanagerConfig>,
    /// Webhooks, chats, pagers, mail.
    pub notifiers: Vec<NotifierConfig>,
    /// Who is told of what, in order; at most 256. None = every notifier of everything.
    pub routes: Vec<RouteConfig>,
    /// Heartbeat to an outside monitor; None = off.
    pub dead_man: Option<DeadManConfig>,
    /// Name of this site: a label of its alerts and an attribute of its telemetry; empty = none.
    pub site: String,
    /// Base address of the runbooks; `/FP0104` is appended. Empty = no such link.
    pub runbook_base: String,
    /// Base address of the status page; `/incidents/7` is appended. Empty = no link.
    pub page_base: String,
    /// The site's civil time, for times in notices.
    pub calendar: Calendar,
}

impl SinksConfig {
    /// Names of all notifiers.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let alertmanagers = self.alertmanagers.iter().map(|a| a.name.as_str());
        alertmanagers.chain(self.notifiers.iter().map(|n| n.name.as_str())).collect()
    }
}

/// The carrier of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2; usual port 4317.
    #[default]
    Grpc,
    /// Protobuf bodies over HTTP/1.1 to `/v1/traces`, `/v1/metrics`, `/v1/logs`; usual port 4318.
    HttpProtobuf,
}

/// How a journey's trace joins a trace context that came with its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relation {
    /// The journey is part of the sender's trace: same trace id, parent set, and a link.
    #[default]
    Parent,
    /// The journey has a trace of its own that links to the sender's.
    Link,
}

/// Whether control ids may leave the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlIds {
    /// Only the journey key, a keyed hash.
    #[default]
    Hashed,
    /// MSH-10 as it is.
    Clear,
}

/// OTLP export.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// The collector.
    pub target: Target,
    /// Its protocol. Default gRPC.
    pub protocol: Protocol,
    /// Whether traces are sent. Default true.
    pub traces: bool,
    /// Whether metrics are sent. Default true.
    pub metrics: bool,
    /// Whether logs are sent. Default true.
    pub logs: bool,
    /// Most spans that wait. Default 8,192; 512 to 1,048,576.
    pub queue_spans: usize,
    /// Most log records that wait. Default 2,048; 64 to 1,048,576.
    pub queue_logs: usize,
    /// Most spans, log records or points in one request. Default 512; 1 to 8,192.
    pub batch: usize,
    /// Longest wait for a full batch. Default 1 s; 10 ms to 60 s.
    pub linger: Duration,
    /// How often metrics are sent. Default 10 s; 1 s to 1 h.
    pub metrics_interval: Duration,
    /// How long a batch is tried before it is dropped and counted. Default 30 s; 1 s to 10 min.
    pub retry_for: Duration,
    /// Successful journeys kept for each feed and minute. Default 6; journeys with trouble are
    /// always kept.
    pub sample_per_minute: u32,
    /// Share of the other successful journeys that is kept too, 0..=1. Default 0.
    pub sample_ratio: f64,
    /// How traces join a trace context found beside a message. Default parent.
    pub relation: Relation,
    /// Whether control ids may leave. Default hashed.
    pub control_ids: ControlIds,
    /// `service.instance.id`; empty = not set.
    pub instance_id: String,
    /// Further resource attributes; at most 32.
    pub resource: Vec<(String, String)>,
}

impl OtlpConfig {
    /// Defaults towards a collector.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            protocol: Protocol::Grpc,
            traces: true,
            metrics: true,
            logs: true,
            queue_spans: 8_192,
            queue_logs: 2_048,
            batch: 512,
            linger: Duration::from_secs(1),
            metrics_interval: Duration::from_secs(10),
            retry_for: Duration::from_secs(30),
            sample_per_minute: 6,
            sample_ratio: 0.0,
            relation: Relation::Parent,
            control_ids: ControlIds::Hashed,
            instance_id: String::new(),
            resource: Vec::new(),
        }
    }

    /// Reports every number that is outside its limits.
    pub(crate) fn check(&self, errors: &mut Vec<ConfigError>) {
        let mut range = |ok: bool, what, got: String, allowed| {
            if !ok {
                errors.push(ConfigError::Range { place: "otlp".to_owned(), what, got, allowed });
            }
        };
        let size = |n: usize, low, high| (low..=high).contains(&n);
        range(
            size(self.queue_spans, 512, 1 << 20),
            "queue_spans",
            self.queue_spans.to_string(),
            "512 to 1,048,576",
        );
        range(
            size(self.queue_logs, 64, 1 << 20),
            "queue_logs",
            self.queue_logs.to_string(),
            "64 to 1,048,576",
        );
        range(size(self.batch, 1, 8_192), "batch", self.batch.to_string(), "1 to 8,192");
        let time = |t: Duration, low, high| {
            (Duration::from_millis(low)..=Duration::from_millis(high)).contains(&t)
        };
        range(
            time(self.linger, 10, 60_000),
            "linger",
            format!("{:?}", self.linger),
            "10 ms to 60 s",
        );
        range(
            time(self.metrics_interval, 1_000, 3_600_000),
            "metrics_interval",
            format!("{:?}", self.metrics_interval),
            "1 s to 1 h",
        );
        range(
            time(self.retry_for, 1_000, 600_000),
            "retry_for",
            format!("{:?}", self.retry_for),
            "1 s to 10 min",
        );
        range(
            (0.0..=1.0).contains(&self.sample_ratio),
            "sample_ratio",
            self.sample_ratio.to_string(),
            "0 to 1",
        );
        range(
            self.resource.len() <= 32,
            "the count of resource attributes",
            self.resource.len().to_string(),
            "0 to 32",
        );
    }
}
