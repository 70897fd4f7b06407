//! The page of checks: what the template shows of each.

use crate::rows::{Badge, Moment, badge};
use crate::text;
use crate::versions::VersionWire;
use feedpulse_core::codes::Code;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::FeedState;

/// A row of the page.
pub(crate) struct CheckRow {
    pub(crate) badge: Badge,
    pub(crate) name: String,
    /// Name and version that run, and the beginning of the digest; empty while none runs.
    pub(crate) version: String,
    pub(crate) digest: String,
    pub(crate) since: Option<Moment>,
    pub(crate) reloads: u64,
    /// Code and title of what is wrong with it.
    pub(crate) finding: Option<(&'static str, &'static str)>,
    /// `trapped 4, timed_out 1`; why a version is kept out.
    pub(crate) why: String,
    pub(crate) rows: String,
    /// Rows that it did not check, or that it was too slow for; empty when there is none.
    pub(crate) missed: String,
    /// `12 µs / 180 µs`; empty before the first batch.
    pub(crate) time: String,
    pub(crate) memory: String,
    /// Its own codes, with how often.
    pub(crate) found: Vec<(String, String)>,
}

impl CheckRow {
    /// All, what is worst first.
    pub(crate) fn all(checks: &[VersionWire], now: Timestamp) -> Vec<Self> {
        let mut checks: Vec<_> = checks.iter().collect();
        checks.sort_by_key(|check| std::cmp::Reverse(state(check)));
        checks.into_iter().map(|check| Self::new(check, now)).collect()
    }

    fn new(check: &VersionWire, now: Timestamp) -> Self {
        let numbers = &check.numbers;
        let faults = numbers.faults.iter().map(|(cause, n)| format!("{cause} {}", text::count(*n)));
        let kept_out = check.kept_out.as_ref().map(|kept| format!("kept out: {}", kept.class));
        let why: Vec<String> = kept_out.into_iter().chain(faults).collect();
        let micros = |us: u64| if us < 10_000 { format!("{us} µs") } else { text::duration(us) };
        let time = numbers.batch_p50_us.zip(numbers.batch_p99_us);
        let version = check.name.iter().zip(&check.version).map(|(n, v)| format!("{n} {v}"));
        Self {
            badge: look(check),
            name: check.check.clone(),
            version: version.collect(),
            digest: check
                .digest
                .as_deref()
                .map_or_else(String::new, |d| d.chars().take(12).collect()),
            since: check.since.map(|at| Moment::new(at, now)),
            reloads: check.reloads,
            finding: finding(check).map(|code| (code.text().code, code.text().title)),
            why: why.join(", "),
            rows: text::count(numbers.rows),
            missed: missed(numbers.not_checked, numbers.shed),
            time: time.map_or_else(String::new, |(p50, p99)| {
                format!("{} / {}", micros(p50), micros(p99))
            }),
            memory: numbers.memory_bytes.map_or_else(String::new, |n| {
                format!("{} KiB", text::count(u64::try_from(n / 1024).unwrap_or(u64::MAX)))
            }),
            found: numbers.findings.iter().map(|(c, n)| (c.clone(), text::count(*n))).collect(),
        }
    }
}

fn missed(not_checked: u64, shed: u64) -> String {
    match (not_checked, shed) {
        (0, 0) => String::new(),
        (n, 0) => format!("{} not checked", text::count(n)),
        (0, n) => format!("{} shed", text::count(n)),
        (n, m) => format!("{} not checked, {} shed", text::count(n), text::count(m)),
    }
}

/// How loud its state is.
fn state(check: &VersionWire) -> FeedState {
    match check.numbers.condition {
        "quarantined" | "not_loaded" | "set_aside" => FeedState::Ticket,
        "probation" => FeedState::Note,
        _ if check.kept_out.is_some() => FeedState::Ticket,
        _ => FeedState::Ok,
    }
}

/// Its badge: the state in a word.
fn look(check: &VersionWire) -> Badge {
    let (word, means) = match check.numbers.condition {
        "quarantined" => ("Quarantined", "it runs no more until it is loaded again"),
        "not_loaded" => ("Not loaded", "no version of it runs"),
        "set_aside" => ("Set aside", "it failed often and is tried again after a pause"),
        "probation" => ("Probation", "it runs again after a pause"),
        _ if check.kept_out.is_some() => ("Old version", "a newer version is kept out"),
        _ => ("OK", "it runs"),
    };
    Badge { word, means, ..badge(state(check)) }
}

/// What the engine says of it.
fn finding(check: &VersionWire) -> Option<Code> {
    match check.numbers.condition {
        "quarantined" => Some(Code::CheckQuarantined),
        "not_loaded" => Some(Code::CheckNotRunning),
        "set_aside" | "probation" => Some(Code::CheckFaulted),
        _ if check.kept_out.is_some() => Some(Code::CheckKeptOut),
        _ => None,
    }
}

/// How many there are, and how many of them are not well.
pub(crate) fn counts(checks: &[VersionWire]) -> (usize, usize) {
    (checks.len(), checks.iter().filter(|check| state(check) > FeedState::Ok).count())
}
