//! Where effects go, as people write it: telemetry, notifiers and the routes to them.

use super::raw::RawSecret;
use super::raw_access::{RawClientCertificate, RawProxy, Reach, reached};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An address: as text, or by reference where it holds a token.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawUrl {
    /// As text.
    Text(String),
    /// By reference.
    Secret(RawSecret),
}

impl Default for RawUrl {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Structs that have, beside what [`reached!`] gives them, a time limit.
macro_rules! timed {
    ($(
        $(#[$doc:meta])* struct $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }
    )*) => {
        reached! {$(
            $(#[$doc])*
            struct $name {
                $($(#[$about])* $field: $type,)*
                /// Longest time for one attempt, such as `10s` (default); 100 ms to 30 s.
                #[serde(default)]
                timeout: Option<String>,
            }
        )*}
    };
}

/// Structs that tell people: they have, beside what [`timed!`] gives them, a name, how often it is
/// said again and how loud it must be.
macro_rules! telling {
    ($(
        $(#[$doc:meta])* struct $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }
    )*) => {
        timed! {$(
            $(#[$doc])*
            struct $name {
                /// Unique name.
                name: String,
                $($(#[$about])* $field: $type,)*
                /// An open incident is said again after this. Default `4h`.
                #[serde(default)]
                repeat_every: Option<String>,
                /// Least severity. Default `ticket`; of a pager `page`.
                #[serde(default)]
                min_severity: Option<RawSeverity>,
            }
        )*}
        $(impl $name {
            /// What all of them have.
            pub(super) fn telling(&self) -> Telling<'_> {
                Telling {
                    name: &self.name,
                    reach: self.reach(),
                    timeout: self.timeout.as_ref(),
                    repeat_every: self.repeat_every.as_ref(),
                    min_severity: self.min_severity,
                }
            }
        })*
    };
}

/// What every notifier has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling<'a> {
    pub name: &'a str,
    pub reach: Reach<'a>,
    pub timeout: Option<&'a String>,
    pub repeat_every: Option<&'a String>,
    pub min_severity: Option<RawSeverity>,
}

timed! {
    /// OpenTelemetry export.
    struct RawOtlp {
        /// URL with scheme and port, such as `http://collector:4317`.
        endpoint: String,
        /// Default `grpc`.
        #[serde(default)]
        protocol: RawProtocol,
        /// Further headers, such as a tenant's.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Traces of healthy journeys kept per feed and minute. Default 6.
        #[serde(default)]
        healthy_per_minute: Option<u32>,
        /// Time between two metric exports, such as `10s` (default).
        #[serde(default)]
        metrics_every: Option<String>,
        /// Whether control ids leave in clear. Default false: they leave as keyed hashes.
        #[serde(default)]
        clear_control_ids: bool,
    }

    /// Alertmanager; its name in routes is `alertmanager`.
    struct RawAlertmanager {
        /// URLs of all replicas, such as `http://alertmanager:9093`.
        urls: Vec<String>,
        /// An open alert is sent again after this, such as `60s` (default).
        #[serde(default)]
        resend_every: Option<String>,
        /// Least severity: `ticket` (default) or `page`.
        #[serde(default)]
        min_severity: Option<RawSeverity>,
        /// Further labels of every alert.
        #[serde(default)]
        labels: BTreeMap<String, String>,
    }

    /// A heartbeat to an outside monitor that alarms when it stops. It stops when Feedpulse does, and
    /// when its engine stands still.
    struct RawDeadMan {
        /// Where to GET.
        url: RawUrl,
        /// How often, such as `60s` (default); 10 s to 1 h.
        #[serde(default)]
        every: Option<String>,
    }
}

telling! {
    /// A generic webhook.
    struct RawWebhook {
        /// Where to POST.
        url: RawUrl,
        /// Minijinja template of the JSON body; the default sends everything that is known.
        #[serde(default)]
        template: Option<String>,
    }

    /// A chat's incoming webhook.
    struct RawChat {
        /// The webhook's URL: whoever has it may post, so it is best a reference.
        url: RawUrl,
    }

    /// A pager that takes PagerDuty's Events API v2.
    struct RawPager {
        /// The integration's key.
        routing_key: RawSecret,
        /// Where events are posted. Default `https://events.pagerduty.com/v2/enqueue`.
        #[serde(default)]
        url: Option<RawUrl>,
    }

    /// Mail.
    struct RawMail {
        /// Host and port of the mail server, such as `smtp.example.org:587`.
        server: String,
        /// How the connection is secured. Default `starttls`.
        #[serde(default)]
        security: RawSecurity,
        /// Who logs in. Default nobody.
        #[serde(default)]
        user: Option<String>,
        /// The password.
        #[serde(default)]
        password: Option<RawSecret>,
        /// The sender, such as `Feedpulse <feedpulse@example.org>`.
        from: String,
        /// The recipients, 1 to 50.
        to: Vec<String>,
    }
}

/// OTLP transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawProtocol {
    /// gRPC.
    #[default]
    Grpc,
    /// HTTP with protobuf bodies.
    Http,
}

/// How loud. A note is never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawSeverity {
    /// Tickets and pages.
    Ticket,
    /// Pages only.
    Page,
}

/// How a mail server's connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawSecurity {
    /// STARTTLS, or no mail. Usual port 587.
    #[default]
    StartTls,
    /// TLS from the first byte. Usual port 465.
    Tls,
    /// None: a relay on this machine or in a closed network. Usual port 25.
    None,
}

/// Which way incidents go to people: one of them, never both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawPath {
    /// Feedpulse tells them itself.
    #[default]
    Direct,
    /// Rules in Prometheus do, over our metrics; Feedpulse sends nothing of incidents.
    Prometheus,
}

/// Who is told of what. Every condition that is stated must hold.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAlertRoute {
    /// Names of feeds, one of which the incident touches.
    #[serde(default)]
    pub feeds: Vec<String>,
    /// Names of waypoints, one of which it is about.
    #[serde(default)]
    pub waypoints: Vec<String>,
    /// Names of receiving systems, one of whose waypoints it is about.
    #[serde(default)]
    pub systems: Vec<String>,
    /// How far it reaches.
    #[serde(default)]
    pub scopes: Vec<RawScope>,
    /// How loud it is.
    #[serde(default)]
    pub severities: Vec<RawSeverity>,
    /// Codes or their beginnings, such as `FP0104` or `FP01`.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Names of the notifiers that are told; an empty list = nobody.
    pub notifiers: Vec<String>,
    /// Time between updates while it is open, such as `30m`. Default: the notifier's `repeat_every`.
    #[serde(default)]
    pub updates: Option<String>,
    /// A ticket waits so long before it is told, such as `2m`. Default: it does not wait.
    #[serde(default)]
    pub wait: Option<String>,
    /// Who else is told of a page that nobody takes.
    #[serde(default)]
    pub escalate: Option<RawEscalate>,
    /// Whether the routes below are looked at as well. Default false: the first match wins.
    #[serde(default, rename = "continue")]
    pub goes_on: bool,
}

/// Who else is told of a page that nobody takes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEscalate {
    /// How long it may go unclaimed, such as `15m`.
    pub after: String,
    /// Names of notifiers.
    pub to: Vec<String>,
}

/// How far an incident reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawScope {
    /// Feedpulse's own parts, or a check.
    Own,
    /// One feed.
    Feed,
    /// Several feeds.
    Feeds,
    /// One link.
    Link,
    /// Several links of one receiving system.
    System,
    /// Every link, or every feed.
    Everything,
}
