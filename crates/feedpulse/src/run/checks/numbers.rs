//! Numbers of each check: for `/metrics`, OTLP and the page. The check's thread writes them after each
//! batch; who reads them waits for nothing.

use feedpulse_core::hist::Histogram;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Family, Kind as Shape, Point, Value};
use feedpulse_wasm::{Condition, Kind, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// Numbers of one check since the start of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// Time of each batch, over all its calls.
    pub times: Histogram,
    /// Findings by the check's own code: those of a manifest, so few.
    pub found: BTreeMap<Label, u64>,
    /// What the worker says of itself.
    pub status: Option<Status>,
}

impl Numbers {
    /// After a batch or a tick.
    pub(super) fn took(&mut self, time: Duration, status: Status) {
        self.times.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.status = Some(status);
    }
}

/// What is shown of a check.
pub(super) struct Shown<'a> {
    pub(super) check: &'a str,
    /// Its own version and digest, while one runs.
    pub(super) runs: Option<(&'a str, &'a str)>,
    pub(super) reloads: u64,
    pub(super) numbers: &'a Numbers,
}

/// The states that a check can be in, in the order of `feedpulse_check_state`.
pub(super) const STATES: [&str; 5] =
    ["ready", "set_aside", "probation", "quarantined", "not_loaded"];

/// The state of a check.
pub(super) fn state(runs: bool, numbers: &Numbers) -> &'static str {
    let condition = numbers.status.map_or(Condition::Ready, |status| status.condition);
    if runs { condition.name() } else { "not_loaded" }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
const fn number(n: u64) -> Value {
    Value::Number(n as f64)
}

/// A number of the status: name, help, unit, kind, and where it is.
type Told = (&'static str, &'static str, &'static str, Shape, fn(&Status) -> Option<u64>);

/// Numbers of the worker that have no labels of their own.
const TOLD: [Told; 13] = [
    (
        "feedpulse_check_calls_total",
        "Calls into a check, ticks and repeated halves included.",
        "{call}",
        Shape::Counter,
        |s| Some(s.calls),
    ),
    (
        "feedpulse_check_batches_total",
        "Batches that a check was handed.",
        "{batch}",
        Shape::Counter,
        |s| Some(s.batches),
    ),
    (
        "feedpulse_check_instances_total",
        "Instances of a check that were made.",
        "{instance}",
        Shape::Counter,
        |s| Some(s.instances),
    ),
    (
        "feedpulse_check_recycled_total",
        "Instances of a check that were replaced for their age or memory.",
        "{instance}",
        Shape::Counter,
        |s| Some(s.recycled),
    ),
    (
        "feedpulse_check_findings_dropped_total",
        "Findings of a check beyond the limit of a batch.",
        "{finding}",
        Shape::Counter,
        |s| Some(s.findings_dropped),
    ),
    (
        "feedpulse_check_texts_dropped_total",
        "Free texts of findings dropped for want of the grant.",
        "{text}",
        Shape::Counter,
        |s| Some(s.texts_dropped),
    ),
    (
        "feedpulse_check_log_lines_total",
        "Log lines that a check wrote.",
        "{line}",
        Shape::Counter,
        |s| Some(s.log_lines),
    ),
    (
        "feedpulse_check_log_withheld_total",
        "Log lines of a check kept back for want of the grant.",
        "{line}",
        Shape::Counter,
        |s| Some(s.log_withheld),
    ),
    (
        "feedpulse_check_state_evicted_total",
        "Entries of a check's state that made room for others.",
        "{entry}",
        Shape::Counter,
        |s| Some(s.state_evicted),
    ),
    (
        "feedpulse_check_feeds_forgotten_total",
        "Feeds whose state made room for that of others.",
        "{feed}",
        Shape::Counter,
        |s| Some(s.feeds_forgotten),
    ),
    (
        "feedpulse_check_state_bytes",
        "Bytes of a check's state over all feeds.",
        "By",
        Shape::Gauge,
        |s| u64::try_from(s.state_bytes).ok(),
    ),
    (
        "feedpulse_check_memory_bytes",
        "Memory of a check's live instance.",
        "By",
        Shape::Gauge,
        |s| s.memory.and_then(|n| u64::try_from(n).ok()),
    ),
    (
        "feedpulse_check_memory_max_bytes",
        "The most memory that an instance of a check held after a call.",
        "By",
        Shape::Gauge,
        |s| u64::try_from(s.memory_max).ok(),
    ),
];

/// The families of all checks.
pub(super) fn families(all: &[Shown<'_>]) -> Vec<Family> {
    let label = |shown: &Shown<'_>| ("check", shown.check.to_owned());
    let family = |name, help, unit, kind| Family { name, help, unit, kind, points: Vec::new() };
    let mut out = Vec::new();
    for (name, help, unit, kind, of) in TOLD {
        let mut one = family(name, help, unit, kind);
        one.points.extend(all.iter().filter_map(|shown| {
            let value = number(of(shown.numbers.status.as_ref()?)?);
            Some(Point { labels: vec![label(shown)], value })
        }));
        out.push(one);
    }
    let mut times =
        family("feedpulse_check_seconds", "Time that a check took for a batch.", "s", Shape::Brief);
    let mut found = family(
        "feedpulse_check_findings_total",
        "Findings of a check, by its own code.",
        "{finding}",
        Shape::Counter,
    );
    let mut faults = family(
        "feedpulse_check_faults_total",
        "Faults of a check itself, by cause.",
        "{fault}",
        Shape::Counter,
    );
    let mut states = family(
        "feedpulse_check_state",
        "1 for the state that a check is in, 0 for the others.",
        "1",
        Shape::Gauge,
    );
    let mut info = family(
        "feedpulse_check_info",
        "The version of a check that runs; always 1.",
        "1",
        Shape::Gauge,
    );
    let mut reloads = family(
        "feedpulse_check_reloads_total",
        "Versions of a check that took the place of another one.",
        "{version}",
        Shape::Counter,
    );
    for shown in all {
        let with = |name: &'static str, value: &str| vec![label(shown), (name, value.to_owned())];
        let numbers = shown.numbers;
        let value = Value::Times(Box::new(numbers.times.clone()));
        times.points.push(Point { labels: vec![label(shown)], value });
        found.points.extend(
            numbers
                .found
                .iter()
                .map(|(code, n)| Point { labels: with("code", code.as_str()), value: number(*n) }),
        );
        for kind in Kind::ALL {
            let n = numbers.status.map_or(0, |status| status.faults_of(kind));
            faults.points.push(Point { labels: with("cause", kind.name()), value: number(n) });
        }
        let now = state(shown.runs.is_some(), numbers);
        for name in STATES {
            states
                .points
                .push(Point { labels: with("state", name), value: number(u64::from(name == now)) });
        }
        if let Some((version, digest)) = shown.runs {
            let labels =
                vec![label(shown), ("version", version.to_owned()), ("digest", digest.to_owned())];
            info.points.push(Point { labels, value: number(1) });
        }
        reloads.points.push(Point { labels: vec![label(shown)], value: number(shown.reloads) });
    }
    out.extend([times, found, faults, states, info, reloads]);
    out
}
