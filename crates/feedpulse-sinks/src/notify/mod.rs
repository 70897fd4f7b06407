//! Tells people: Alertmanager, webhooks, mails, chats, pagers, and a heartbeat to an outside monitor.
//!
//! What is told about an incident: one notice when it opens, one when its severity rises, updates at
//! a stated rhythm, one when it is over. Nothing is told about pending, quiet or muted incidents, nor
//! that something is over that nobody was told of. Muting an incident that was told already stops
//! updates; Alertmanager is kept from ending it by itself, and its end is told. Whom it is told to is
//! up to the routes; whoever was told of its begin is told of its end.
//!
//! A notice is written to the outbox before it is sent, so that a crash neither forgets nor repeats
//! it. Alertmanager needs none: it gets the whole picture again and again.

pub mod alertmanager;
pub(crate) mod chat;
pub(crate) mod dead_man;
pub(crate) mod deliver;
pub(crate) mod mail;
pub(crate) mod notices;
pub mod outbox;
pub(crate) mod pager;
pub(crate) mod routes;
pub(crate) mod template;
pub(crate) mod text;
pub mod webhook;

use crate::config::ConfigError;
use crate::random::Backoff;
use core::time::Duration;
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::finding::Subject;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Counter, Gauge, Registry};
use feedpulse_core::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most incidents that one notifier keeps: open ones, and ended ones that are not delivered yet.
pub const INCIDENTS_MAX: usize = 1_000;

/// When a notifier tries: when something changed and at least once `every`; after a failure with
/// growing pauses instead, at most 30 s of pause and 30 s of attempt, so that people are told within
/// a minute of the server's return.
pub(crate) struct Pace {
    next: Instant,
    every: Duration,
    backoff: Backoff,
    failing: bool,
}

impl Pace {
    pub(crate) fn new(first: Instant, every: Duration, seed: u64) -> Self {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), seed);
        Self { next: first, every, backoff, failing: false }
    }

    /// Waits for the next attempt. False at `stop`: then the attempt is the last one, for what has
    /// just come in.
    pub(crate) async fn wait(&self, changed: &Notify, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(self.next) => true,
            () = changed.notified(), if !self.failing => true,
            () = stop.cancelled() => false,
        }
    }

    /// Notes how an attempt went.
    pub(crate) fn after(&mut self, worked: bool) {
        self.failing = !worked;
        self.next = if self.failing {
            Instant::now() + self.backoff.next()
        } else {
            self.backoff.reset();
            Instant::now() + self.every
        };
    }

    /// Leaves a server alone for so long, as it asked.
    pub(crate) fn not_before(&mut self, after: Duration) {
        self.next = self.next.max(Instant::now() + after);
    }

    /// Tries again within so long.
    pub(crate) fn no_later(&mut self, within: Duration) {
        self.next = self.next.min(Instant::now() + within);
    }
}

/// Counts of one notifier (one replica of a cluster).
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Notices that a server took for the first time.
    pub(crate) notices: Counter,
    pub(crate) failed: Counter,
    pub(crate) dropped: Counter,
    /// Notices that were sent before they were durable, and rows that could not be kept.
    pub(crate) unkept: Counter,
    /// Rows that are on their way to the outbox.
    pub(crate) pending: Gauge,
    /// µs from the opening of the latest incident that was told to its being told.
    pub(crate) took: Gauge,
    pub(crate) up: Gauge,
}

impl Counts {
    pub(crate) fn new(registry: &Registry, notifier: &str) -> Self {
        let labels = [("notifier", notifier)];
        Self {
            notices: registry.counter(
                "feedpulse_notices_total",
                "Notices about incidents that a notifier's server took; repeats do not count.",
                "{notice}",
                &labels,
            ),
            failed: registry.counter(
                "feedpulse_notify_failures_total",
                "Attempts of a notifier that failed.",
                "{attempt}",
                &labels,
            ),
            dropped: registry.counter(
                "feedpulse_notices_dropped_total",
                "Notices that were given up: too many incidents, or a body that its server refuses.",
                "{notice}",
                &labels,
            ),
            unkept: registry.counter(
                "feedpulse_outbox_failures_total",
                "Rows of a notifier that the outbox could not keep; its notices are sent all the same.",
                "{row}",
                &labels,
            ),
            pending: registry.gauge(
                "feedpulse_outbox_pending",
                "Rows of a notifier that are on their way to the disk.",
                "{row}",
                1.0,
                &labels,
            ),
            took: registry.gauge(
                "feedpulse_notify_seconds",
                "Time from an incident's opening to its notice's being taken, of the latest one.",
                "s",
                1e6,
                &labels,
            ),
            up: registry.gauge(
                "feedpulse_notifier_up",
                "Whether the notifier's last attempt worked.",
                "1",
                1.0,
                &labels,
            ),
        }
    }
}

/// Checks a notifier's name: it becomes a task, a label and an incident's subject.
pub(crate) fn check_name(place: &str, name: &str) -> Result<(), ConfigError> {
    let fine = (1..=24).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fine {
        return Ok(());
    }
    Err(ConfigError::Name {
        place: place.to_owned(),
        name: name.to_owned(),
        what: "must have 1 to 24 lower-case letters, digits or `-`",
    })
}

/// Whether nothing new may be said about it at `now`: it is muted, in shadow, or a note (planned, or
/// over by itself). The one place for what keeps an incident from people.
pub(crate) fn silent(change: &IncidentChange, now: Timestamp) -> bool {
    change.muted_until.is_some_and(|until| until > now)
        || change.story.shadow
        || change.severity == Severity::Note
}

/// Whether a notifier that is told from `least` on is told of it. A drill is for every notifier.
pub(crate) fn loud(change: &IncidentChange, least: Severity) -> bool {
    change.story.drill || change.severity >= least
}

/// When a resolved incident ended, never later than `now`: a peer whose clock is behind ours would
/// otherwise keep it firing.
pub(crate) fn ended_at(change: &IncidentChange, now: Timestamp) -> Timestamp {
    match change.state {
        IncidentState::Resolved => change.resolved_at.unwrap_or(now).min(now),
        IncidentState::Pending | IncidentState::Open => now,
    }
}

/// The subject as a label: `("waypoint", "portal-in")`.
pub(crate) fn subject_label(change: &IncidentChange) -> (&'static str, String) {
    let kind = match change.subject {
        Subject::Waypoint(_) => "waypoint",
        Subject::Feed(_) => "feed",
        Subject::Check(_) => "check",
        Subject::Own(_) => "part",
        Subject::Probe(_) => {
            let beat = change.subject_name.starts_with("heartbeat ");
            if beat { "heartbeat" } else { "probe" }
        }
    };
    let name = &change.subject_name;
    let name = name.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(name);
    (kind, name.to_owned())
}

/// Address of the runbook of a code; empty without a base.
pub(crate) fn runbook(base: &str, change: &IncidentChange) -> String {
    join(base, change.code.text().code)
}

/// Address of the incident's page; empty without a base.
pub(crate) fn page(base: &str, change: &IncidentChange) -> String {
    join(base, &format!("incidents/{}", change.id))
}

fn join(base: &str, rest: &str) -> String {
    if base.is_empty() { String::new() } else { format!("{}/{rest}", base.trim_end_matches('/')) }
}

/// Whether a failed attempt surely left no trace at the server.
pub(crate) fn never_arrived(class: Label) -> bool {
    let of_tls = ["tls", "untrusted", "expired", "not yet valid", "name"];
    matches!(class.as_str(), "refused" | "dns" | "unreachable") || of_tls.contains(&class.as_str())
}

#[cfg(test)]
mod tests;
