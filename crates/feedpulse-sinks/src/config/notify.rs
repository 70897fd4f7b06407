//! What an operator can set about who is told of incidents, and how.

use super::Target;
use crate::notify::webhook::Method;
use core::time::Duration;
use feedpulse_core::codes::Severity;
use feedpulse_http::Secret;

/// One Alertmanager cluster: every replica gets every alert (they agree among themselves; a load
/// balancer in front would break that).
#[derive(Clone, Debug)]
pub struct AlertmanagerConfig {
    /// Unique name: lower-case letters, digits, `-`. Default `alertmanager`.
    pub name: String,
    /// Its replicas, each as base address (`http://host:9093`); 1 to 8.
    pub replicas: Vec<Target>,
    /// How often a firing alert is said again; it ends by itself after four of these without word
    /// from us. Default 60 s; 5 s to 10 min.
    pub resend: Duration,
    /// Quieter incidents are not sent. Default ticket.
    pub min_severity: Severity,
    /// Further labels; at most 16. Values must not change while the process lives.
    pub labels: Vec<(String, String)>,
}

impl AlertmanagerConfig {
    /// Defaults towards the given replicas.
    #[must_use]
    pub fn new(replicas: Vec<Target>) -> Self {
        Self {
            name: "alertmanager".to_owned(),
            replicas,
            resend: Duration::from_secs(60),
            min_severity: Severity::Ticket,
            labels: Vec::new(),
        }
    }
}

/// What tells people of incidents, one notice at a time.
#[derive(Clone, Debug)]
pub struct NotifierConfig {
    /// Unique name: 1 to 24 lower-case letters, digits, `-`.
    pub name: String,
    /// Where. Of a mail server's address only `host:port` is there, without a scheme; its bearer token
    /// and headers are not used.
    pub target: Target,
    /// How often an open incident is said again. Default 4 h; 1 min to 7 d.
    pub repeat: Duration,
    /// Quieter incidents are not sent. Default ticket; of a pager page: a ticket gets nobody up.
    pub min_severity: Severity,
    /// What it speaks.
    pub speech: Speech,
}

/// What a notifier speaks.
#[derive(Clone, Debug)]
pub enum Speech {
    /// JSON over HTTP, made by a template.
    Webhook {
        /// Default POST.
        method: Method,
        /// A minijinja template that makes JSON; None = [`crate::notify::webhook::DEFAULT_BODY`].
        template: Option<String>,
    },
    /// A chat's incoming webhook.
    Chat(Chat),
    /// PagerDuty's events (Events API v2).
    Pager {
        /// The integration's key.
        routing_key: Secret,
    },
    /// Mail.
    Mail(Mail),
}

/// What a chat understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chat {
    /// Incoming webhooks of Slack, and of those that take the same.
    Slack,
    /// A webhook of Microsoft Teams' Workflows: an Adaptive Card.
    Teams,
}

/// How a mail server's connection is secured. Stated, never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Plain text first, then STARTTLS or nothing (RFC 3207); usual port 587.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314); usual port 465.
    Tls,
    /// None; for a relay on this machine or in a closed network. Usual port 25.
    None,
}

/// Mails from whom to whom.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// How the connection is secured. Default STARTTLS.
    pub security: Security,
    /// Who logs in; None = nobody.
    pub user: Option<(String, Secret)>,
    /// The sender, such as `Feedpulse <feedpulse@example.org>`.
    pub from: String,
    /// The recipients, 1 to 50; one mail goes to all of them.
    pub to: Vec<String>,
}

impl NotifierConfig {
    /// Where PagerDuty takes events.
    pub const EVENTS: &'static str = "https://events.pagerduty.com/v2/enqueue";

    /// Defaults towards a target.
    #[must_use]
    pub fn new(name: impl Into<String>, target: Target, speech: Speech) -> Self {
        let min_severity = match speech {
            Speech::Pager { .. } => Severity::Page,
            Speech::Webhook { .. } | Speech::Chat(_) | Speech::Mail(_) => Severity::Ticket,
        };
        let repeat = Duration::from_secs(4 * 3600);
        Self { name: name.into(), target, repeat, min_severity, speech }
    }

    /// A webhook with the default body, posted.
    #[must_use]
    pub fn webhook(name: impl Into<String>, target: Target) -> Self {
        let (method, template) = (Method::Post, None);
        Self::new(name, target, Speech::Webhook { method, template })
    }
}

/// Who is told of what. A condition without names always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteConfig {
    /// Names of feeds, one of which it touches.
    pub feeds: Vec<String>,
    /// Names of waypoints, one of which it is about.
    pub waypoints: Vec<String>,
    /// Names of scopes ([`feedpulse_core::effect::Scope::name`]).
    pub scopes: Vec<String>,
    /// How loud it is.
    pub severities: Vec<Severity>,
    /// Beginnings of codes, such as `FP01` or `FP0104`.
    pub codes: Vec<String>,
    /// Names of the notifiers that are told; none = nobody.
    pub notifiers: Vec<String>,
    /// Time between updates; None = the notifier's own.
    pub updates: Option<Duration>,
    /// A ticket waits so long before it is told; what ends or becomes a page meanwhile is one notice
    /// less. Default 0.
    pub wait: Duration,
    /// Who else is told of a page that nobody takes.
    pub escalate: Option<Escalation>,
    /// Whether later routes are looked at as well.
    pub goes_on: bool,
}

/// Who else is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// How long a page may go unclaimed.
    pub after: Duration,
    /// Names of notifiers.
    pub to: Vec<String>,
}

/// A heartbeat to an outside monitor that tells when it stops.
#[derive(Clone, Debug)]
pub struct DeadManConfig {
    /// Where; pinged with an empty GET.
    pub target: Target,
    /// How often. Default 60 s; 10 s to 1 h.
    pub every: Duration,
}

impl DeadManConfig {
    /// Defaults towards a target.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, every: Duration::from_secs(60) }
    }
}
