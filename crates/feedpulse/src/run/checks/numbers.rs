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
    let mut out: Vec<Family> = TOLD
        .into_iter()
        .map(|(name, help, unit, kind, of)| {
            let told = |shown: &Shown<'_>| Some(number(of(shown.numbers.status.as_ref()?)?));
            let one = |shown: &Shown<'_>| Some(point(shown, &[], told(shown)?));
            family(name, help, unit, kind, all.iter().filter_map(one).collect())
        })
        .collect();
    out.extend([times(all), found(all), faults(all), states(all), info(all), reloads(all)]);
    out
}

fn family(
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    kind: Shape,
    points: Vec<Point>,
) -> Family {
    Family { name, help, unit, kind, points }
}

/// A point of a check, with further labels.
fn point(shown: &Shown<'_>, more: &[(&'static str, &str)], value: Value) -> Point {
    let own = std::iter::once(("check", shown.check));
    let labels = own.chain(more.iter().copied()).map(|(name, text)| (name, text.to_owned()));
    Point { labels: labels.collect(), value }
}

fn times(all: &[Shown<'_>]) -> Family {
    let one = |s: &Shown<'_>| point(s, &[], Value::Times(Box::new(s.numbers.times.clone())));
    let help = "Time that a check took for a batch.";
    family("feedpulse_check_seconds", help, "s", Shape::Brief, all.iter().map(one).collect())
}

fn found(all: &[Shown<'_>]) -> Family {
    let mut points = Vec::new();
    for shown in all {
        for (code, n) in &shown.numbers.found {
            points.push(point(shown, &[("code", code.as_str())], number(*n)));
        }
    }
    let help = "Findings of a check, by its own code.";
    family("feedpulse_check_findings_total", help, "{finding}", Shape::Counter, points)
}

fn faults(all: &[Shown<'_>]) -> Family {
    let mut points = Vec::new();
    for shown in all {
        for kind in Kind::ALL {
            let n = shown.numbers.status.map_or(0, |status| status.faults_of(kind));
            points.push(point(shown, &[("cause", kind.name())], number(n)));
        }
    }
    let help = "Faults of a check itself, by cause.";
    family("feedpulse_check_faults_total", help, "{fault}", Shape::Counter, points)
}

fn states(all: &[Shown<'_>]) -> Family {
    let mut points = Vec::new();
    for shown in all {
        let now = state(shown.runs.is_some(), shown.numbers);
        for name in STATES {
            points.push(point(shown, &[("state", name)], number(u64::from(name == now))));
        }
    }
    let help = "1 for the state that a check is in, 0 for the others.";
    family("feedpulse_check_state", help, "1", Shape::Gauge, points)
}

fn info(all: &[Shown<'_>]) -> Family {
    let one = |shown: &Shown<'_>| {
        let (version, digest) = shown.runs?;
        Some(point(shown, &[("version", version), ("digest", digest)], number(1)))
    };
    let help = "The version of a check that runs; always 1.";
    family("feedpulse_check_info", help, "1", Shape::Gauge, all.iter().filter_map(one).collect())
}

fn reloads(all: &[Shown<'_>]) -> Family {
    let points = all.iter().map(|shown| point(shown, &[], number(shown.reloads))).collect();
    let help = "Versions of a check that took the place of another one.";
    family("feedpulse_check_reloads_total", help, "{version}", Shape::Counter, points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_state_is_a_point_and_one_of_them_holds() {
        let numbers = Numbers::default();
        let one = |runs| Shown { check: "room", runs, reloads: 3, numbers: &numbers };
        let shown = [one(Some(("1.2.3", "abcd"))), one(None)];
        let families = families(&shown);
        let names: HashSet<_> = families.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), families.len(), "each name once");
        let states = families.iter().find(|f| f.name == "feedpulse_check_state").unwrap();
        let held: Vec<_> = states
            .points
            .iter()
            .filter(|point| matches!(point.value, Value::Number(n) if n > 0.5))
            .map(|point| point.labels[1].1.as_str())
            .collect();
        assert_eq!(held, ["ready", "not_loaded"]);
        assert_eq!(states.points.len(), 2 * STATES.len());
    }

    #[test]
    fn a_batch_is_a_time_and_a_status() {
        let mut numbers = Numbers::default();
        assert_eq!(state(true, &numbers), "ready");
        numbers.times.record(40);
        numbers.found.insert(Label::from("room-missing"), 2);
        let shown = [Shown { check: "room", runs: None, reloads: 0, numbers: &numbers }];
        let found = found(&shown);
        assert_eq!(found.points[0].labels[1], ("code", "room-missing".to_owned()));
        let Value::Times(times) = &times(&shown).points[0].value else { panic!("times") };
        assert_eq!(times.count(), 1);
    }
}
