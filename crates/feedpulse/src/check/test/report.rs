//! What a case's outcome means, in words.

use super::super::cases::{self, Case};
use super::super::show;
use super::Outcome;
use feedpulse_wasm::{Expected, Fault};

/// How a case went.
pub(crate) enum Verdict {
    Passed,
    /// Each line says one thing that is not as expected.
    Failed(Vec<String>),
}

/// `1 case`, `2 cases`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Compares a case with what it gave.
pub(crate) fn judge(case: &Case, outcome: &Outcome, values: bool) -> Verdict {
    let mut lines = Vec::new();
    for fault in &outcome.faults {
        lines.extend(faulted(fault, outcome, values));
    }
    let Some(expected) = &case.expected else {
        lines.push(format!(
            "{} is not there; `feedpulse check test --accept` writes what is found now: {}",
            case.expected_at.display(),
            count(outcome.found.len(), "finding")
        ));
        return Verdict::Failed(lines);
    };
    match (&expected.refuses, &outcome.refused) {
        (Some(part), Some(said)) if said.contains(part.as_str()) => {}
        (Some(part), Some(said)) => {
            lines.push(format!("refused the settings with {said:?}, which does not hold {part:?}"));
        }
        (Some(_), None) => {
            lines.push("took the settings; expected that it refuses them".to_owned());
        }
        (None, Some(said)) => lines.extend(said.lines().map(str::to_owned)),
        (None, None) => {}
    }
    lines.extend(compare(&expected.findings, outcome, values));
    if outcome.unwanted > 0 && outcome.unwanted == outcome.messages.len() {
        let kinds: Vec<&str> = outcome.messages.iter().map(|m| m.kind.as_str()).take(3).collect();
        lines.push(format!(
            "no message of this case reaches the check: `message-types` in plugin.toml leaves out {}",
            kinds.join(", ")
        ));
    }
    if lines.is_empty() { Verdict::Passed } else { Verdict::Failed(lines) }
}

/// Pairs what was expected with what was found.
fn compare(expected: &[Expected], outcome: &Outcome, values: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<Expected> = outcome.found.iter().map(Expected::of).collect();
    let mut open: Vec<&Expected> = Vec::new();
    for e in expected {
        match rest.iter().position(|found| e.is_met_by(found)) {
            Some(n) => _ = rest.remove(n),
            None => open.push(e),
        }
    }
    let at = |e: &Expected| e.at.clone().unwrap_or_default();
    for e in open {
        if let Some(n) = rest.iter().position(|f| e.row == f.row && e.code == f.code) {
            let found = rest.remove(n);
            lines.push(format!("differs     {}", told(found.row, &e.code)));
            let differs = cases::differs(e, &found);
            lines.extend(differs.iter().map(|line| format!("            {line}")));
            lines.extend(place(outcome, found.row, &at(&found), values));
        } else {
            lines.push(format!("missing     {} {}", told(e.row, &e.code), at(e)));
            lines.extend(place(outcome, e.row, &at(e), values));
        }
    }
    for found in rest {
        let level = found.level.map(|level| format!("{level:?}")).unwrap_or_default();
        lines.push(format!(
            "unexpected  {} {level} {} attrs: {}",
            told(found.row, &found.code),
            at(&found),
            cases::words(&found)
        ));
        lines.extend(place(outcome, found.row, &at(&found), values));
    }
    lines
}

fn told(row: Option<u64>, code: &str) -> String {
    row.map_or_else(|| format!("{code} (feed)"), |row| format!("{code} (row {row})"))
}

/// The segment that is meant, with a mark.
fn place(outcome: &Outcome, row: Option<u64>, at: &str, values: bool) -> Vec<String> {
    let row = row.and_then(|row| usize::try_from(row).ok());
    let Some(row) = row else { return Vec::new() };
    let Some(message) = outcome.messages.get(row) else {
        let last = outcome.messages.len().saturating_sub(1);
        return vec![format!("            the case has rows 0 to {last}")];
    };
    let shown = show::lines(&message.bytes, at, values);
    shown.into_iter().map(|line| format!("            {line}")).collect()
}

/// A fault of the check, and what to do about it.
pub(crate) fn faulted(fault: &Fault, outcome: &Outcome, values: bool) -> Vec<String> {
    let row = fault.row.and_then(|row| usize::try_from(row).ok());
    let message = row.and_then(|row| outcome.messages.get(row));
    let whose = match (fault.row, message) {
        (Some(row), Some(message)) => format!(" on row {row} ({})", message.kind),
        (Some(row), None) => format!(" on row {row}"),
        (None, _) => String::new(),
    };
    let mut lines = vec![format!("{}{whose}: {}", fault.kind.name(), fault.cause)];
    lines.push(format!("            {}", advice(fault)));
    // which message: its header, without a mark, since no field is to blame
    if let Some(message) = message {
        let header = show::header(&message.bytes, values);
        lines.extend(header.map(|line| format!("            {line}")));
    }
    lines
}

/// What to do about a fault.
pub(crate) fn advice(fault: &Fault) -> &'static str {
    use feedpulse_wasm::Kind;
    match fault.kind {
        Kind::Trapped => {
            "the place in the source is above when the check is written in Rust; return an error instead of a panic"
        }
        Kind::TimedOut => {
            "5 ms and 200 µs a row is the limit; look for a loop that does not end, `feedpulse check bench` measures"
        }
        Kind::OutOfMemory => "32 MiB is the limit; remember less, and in the host's state",
        Kind::PluginError => "the check returned this error; in production its words are not shown",
        Kind::BadFinding => {
            "plugin.toml must declare the code, each attribute with its values, and a field of the segment in `at`"
        }
        Kind::RowTooLong => {
            "4 MiB is the limit of one row; declare components instead of whole fields"
        }
        Kind::Quarantined => "it failed again and again; the faults before this one say why",
        Kind::NoTicker => "this is a fault of Feedpulse; please report it",
    }
}

/// Says how a case went.
pub(crate) fn print(case: &Case, outcome: &Outcome, verdict: &Verdict) {
    let messages = count(outcome.messages.len(), "message");
    let found = count(outcome.found.len(), "finding");
    match verdict {
        Verdict::Passed => println!("  ok    {:<24} {messages}, {found}", case.name),
        Verdict::Failed(lines) => {
            println!("  FAIL  {:<24} {messages}, {found}", case.name);
            for line in lines {
                println!("        {line}");
            }
        }
    }
}
