//! What an operator can set about who is told of incidents, and how.

use super::Target;
use crate::notify::webhook::Method;
use core::time::Duration;
use feedpulse_core::codes::Severity;
use feedpulse_http::Secret;

/// Four hours: how often an open incident is said again where nothing is stated.
const REPEAT: Duration = Duration::from_secs(4 * 3600);

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

/// A webhook.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Unique name: lower-case letters, digits, `-`. Default `webhook`.
    pub name: String,
    /// Where.
    pub target: Target,
    /// Default POST.
    pub method: Method,
    /// Body as a minijinja template that makes JSON; None = [`crate::notify::webhook::DEFAULT_BODY`].
    pub template: Option<String>,
    /// How often an open incident is said again. Default 4 h; 1 min to 7 d.
    pub repeat: Duration,
    /// Quieter incidents are not sent. Default ticket.
    pub min_severity: Severity,
}

impl WebhookConfig {
    /// Defaults towards a target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            name: "webhook".to_owned(),
            target,
            method: Method::Post,
            template: None,
            repeat: REPEAT,
            min_severity: Severity::Ticket,
        }
    }
}

/// What a chat understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chat {
    /// Incoming webhooks of Slack, and of those that take the same.
    Slack,
    /// A webhook of Microsoft Teams' Workflows: an Adaptive Card.
    Teams,
}

/// A chat.
#[derive(Clone, Debug)]
pub struct ChatConfig {
    /// Unique name.
    pub name: String,
    /// Its webhook.
    pub target: Target,
    /// What it understands.
    pub chat: Chat,
    /// How often an open incident is said again. Default 4 h; 1 min to 7 d.
    pub repeat: Duration,
    /// Quieter incidents are not sent. Default ticket.
    pub min_severity: Severity,
}

impl ChatConfig {
    /// Defaults towards a target.
    #[must_use]
    pub fn new(name: impl Into<String>, chat: Chat, target: Target) -> Self {
        let (repeat, min_severity) = (REPEAT, Severity::Ticket);
        Self { name: name.into(), target, chat, repeat, min_severity }
    }
}

/// A pager that takes PagerDuty's events (Events API v2).
#[derive(Clone, Debug)]
pub struct PagerConfig {
    /// Unique name.
    pub name: String,
    /// Where events are posted. Default `https://events.pagerduty.com/v2/enqueue`.
    pub target: Target,
    /// The integration's key.
    pub routing_key: Secret,
    /// How often an open incident is said again, under the same key. Default 4 h; 1 min to 7 d.
    pub repeat: Duration,
    /// Quieter incidents are not sent. Default page: a ticket gets nobody up.
    pub min_severity: Severity,
}

impl PagerConfig {
    /// Where PagerDuty takes events.
    pub const EVENTS: &'static str = "https://events.pagerduty.com/v2/enqueue";

    /// Defaults towards a target.
    #[must_use]
    pub fn new(name: impl Into<String>, target: Target, routing_key: Secret) -> Self {
        let (repeat, min_severity) = (REPEAT, Severity::Page);
        Self { name: name.into(), target, routing_key, repeat, min_severity }
    }
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

/// Mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// Unique name.
    pub name: String,
    /// The mail server: of its address only `host:port` is there, without a scheme. Its bearer token
    /// and headers are not used.
    pub target: Target,
    /// How the connection is secured. Default STARTTLS.
    pub security: Security,
    /// Who logs in; None = nobody.
    pub user: Option<(String, Secret)>,
    /// The sender, such as `Feedpulse <feedpulse@example.org>`.
    pub from: String,
    /// The recipients, 1 to 50; one mail goes to all of them.
    pub to: Vec<String>,
    /// How often an open incident is said again. Default 4 h; 1 min to 7 d.
    pub repeat: Duration,
    /// Quieter incidents are not sent. Default ticket.
    pub min_severity: Severity,
}

impl MailConfig {
    /// Defaults towards a server (`host:port`).
    #[must_use]
    pub fn new(name: impl Into<String>, server: Target, from: &str, to: Vec<String>) -> Self {
        Self {
            name: name.into(),
            target: server,
            security: Security::StartTls,
            user: None,
            from: from.to_owned(),
            to,
            repeat: REPEAT,
            min_severity: Severity::Ticket,
        }
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
