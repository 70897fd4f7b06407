//! Probes and heartbeats, and the notices that were taken: their JSON, and what the templates show.

use crate::rows::{Badge, Moment, badge};
use crate::text::{self, rfc3339};
use feedpulse_core::desk::Taken;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::{FeedState, ProbeView, View};
use serde::Serialize;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// One of `GET /api/v1/probes`.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeWire {
    /// Its name.
    pub name: String,
    /// `probe` (a look of ours) or `heartbeat` (a job that says that it ran).
    pub kind: &'static str,
    /// What it is about; absent where it is about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// `page`, `ticket`, `note`, `ok`; `unknown` until something was heard of it.
    pub state: &'static str,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The finding that its state is, and its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Title of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'static str>,
    /// The part and the class of the failure, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The open incident that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// The latest look, or the latest word of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Its latest number, of the part that is worst; of one that only grows its growth a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Records that a consumer group is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// When its certificate ends; of several the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_ends: Option<String>,
    /// Whole days until then; below zero once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_days_left: Option<i64>,
    /// A job runs since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_since: Option<String>,
    /// A job is due next; in the past it is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Parts that it tells apart: partitions, channels, addresses.
    pub parts: usize,
    /// Those of which something holds.
    pub parts_failing: usize,
}

const fn kind(probe: &ProbeView) -> &'static str {
    if probe.heartbeat { "heartbeat" } else { "probe" }
}

/// Whole days from `now` to `end`, rounded down.
const fn days(end: Timestamp, now: Timestamp) -> i64 {
    end.micros_since(now).div_euclid(DAY)
}

/// A probe or a heartbeat.
#[must_use]
pub fn probe_wire(probe: &ProbeView, now: Timestamp) -> ProbeWire {
    ProbeWire {
        name: probe.name.to_string(),
        kind: kind(probe),
        about: probe.about.clone(),
        state: probe.state.map_or("unknown", FeedState::name),
        since: probe.since.map(rfc3339),
        code: probe.code.map(|code| code.text().code),
        title: probe.code.map(|code| code.text().title),
        why: Some(probe.why.clone()).filter(|why| !why.is_empty()),
        incident: probe.incident,
        last_seen: probe.seen.map(rfc3339),
        value: probe.value.filter(|value| value.is_finite()),
        behind: probe.behind,
        certificate_ends: probe.ends.map(rfc3339),
        certificate_days_left: probe.ends.map(|end| days(end, now)),
        running_since: probe.running.map(rfc3339),
        due: probe.due.map(rfc3339),
        parts: probe.parts.0,
        parts_failing: probe.parts.1,
    }
}

/// A row of the page of probes.
pub(crate) struct ProbeRow {
    pub(crate) badge: Badge,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) about: String,
    /// Code and title of what holds.
    pub(crate) finding: Option<(&'static str, &'static str)>,
    pub(crate) why: String,
    pub(crate) incident: Option<u64>,
    pub(crate) since: Option<Moment>,
    pub(crate) seen: Option<Moment>,
    /// Number, records behind, or what a job does; may be empty.
    pub(crate) value: String,
    /// `41 days left`; empty without a certificate.
    pub(crate) certificate: String,
    /// `3 of 12 parts`; empty where there is one.
    pub(crate) parts: String,
}

/// What nothing was heard of yet looks like.
const UNKNOWN: Badge =
    Badge { class: "note", symbol: "?", word: "Unknown", means: "nothing was heard of it yet" };

impl ProbeRow {
    /// All of a view, in its order.
    pub(crate) fn all(view: &View, now: Timestamp) -> Vec<Self> {
        view.probes.iter().map(|probe| Self::new(probe, now)).collect()
    }

    fn new(probe: &ProbeView, now: Timestamp) -> Self {
        let (parts, failing) = probe.parts;
        let of_parts = match (parts, failing) {
            (0 | 1, _) => String::new(),
            (parts, 0) => format!("{parts} parts"),
            (parts, failing) => format!("{failing} of {parts} parts"),
        };
        Self {
            badge: probe.state.map_or(UNKNOWN, badge),
            name: probe.name.to_string(),
            kind: kind(probe),
            about: probe.about.clone().unwrap_or_default(),
            finding: probe.code.map(|code| (code.text().code, code.text().title)),
            why: probe.why.clone(),
            incident: probe.incident,
            since: probe.since.map(|at| Moment::new(at, now)),
            seen: probe.seen.map(|at| Moment::new(at, now)),
            value: value(probe, now),
            certificate: probe.ends.map_or_else(String::new, |end| match days(end, now) {
                left if left < 0 => "expired".to_owned(),
                1 => "1 day left".to_owned(),
                left => format!("{left} days left"),
            }),
            parts: of_parts,
        }
    }
}

fn value(probe: &ProbeView, now: Timestamp) -> String {
    if let Some(since) = probe.running {
        return format!("runs since {}", text::clock(since));
    }
    match (probe.behind, probe.value, probe.due) {
        (Some(behind), ..) => format!("{} behind", text::count(behind)),
        (None, Some(value), _) => text::number(value),
        (None, None, Some(due)) if due > now => format!("due {}", text::full(due)),
        (None, None, Some(due)) => format!("was due {}", text::full(due)),
        (None, None, None) => String::new(),
    }
}

/// How many there are, and how many of them are loud or unknown.
pub(crate) fn counts(view: &View) -> (usize, usize, usize) {
    let loud = |probe: &&ProbeView| probe.state.is_some_and(|state| state > FeedState::Ok);
    let unknown = view.probes.iter().filter(|probe| probe.state.is_none());
    (view.probes.len(), view.probes.iter().filter(loud).count(), unknown.count())
}

/// A notice about an incident that a notifier's server has taken.
#[derive(Clone, Debug, Serialize)]
pub struct TakenWire {
    /// The notifier's name.
    pub notifier: String,
    /// Why: `open`, `escalated`, `update`, `claimed`, `repeat` or `resolved`.
    pub why: String,
    /// When it was taken.
    pub taken_at: String,
}

impl TakenWire {
    pub(crate) fn new(taken: &Taken) -> Self {
        Self {
            notifier: taken.notifier.to_string(),
            why: taken.why.to_string(),
            taken_at: rfc3339(taken.at),
        }
    }
}

/// The same on the incident's page.
pub(crate) struct TakenRow {
    pub(crate) at: Moment,
    pub(crate) notifier: String,
    pub(crate) why: &'static str,
}

impl TakenRow {
    /// All notices about an incident, oldest first.
    pub(crate) fn all(view: &View, incident: u64, now: Timestamp) -> Vec<Self> {
        let taken = view.notices.get(&incident).into_iter().flatten();
        let row = |taken: &Taken| Self {
            at: Moment::new(taken.at, now),
            notifier: taken.notifier.to_string(),
            why: words(taken.why.as_str()),
        };
        taken.map(row).collect()
    }
}

/// Why, as people say it.
fn words(why: &str) -> &'static str {
    match why {
        "open" => "that it is open",
        "escalated" => "that nobody has taken it",
        "update" => "that it has become worse",
        "claimed" => "that somebody took it",
        "repeat" => "that it goes on",
        "resolved" => "that it is over",
        _ => "how it is",
    }
}
