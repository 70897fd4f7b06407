//! The built-in checks, judged once a second: each a small rule over the engine's state.
//!
//! A check says *raised* each second while its condition holds and *cleared* once when it is over;
//! raising and clearing use different thresholds, so that a value at the edge does not flap.

mod feed;
mod waypoint;

use crate::codes::{Code, Severity};
use crate::engine::state::State;
use crate::finding::{Evidence, Finding, FindingState, Subject};
use crate::label::Label;
use crate::time::Timestamp;
use std::collections::BTreeSet;

pub(crate) use feed::oldest;
pub(crate) use waypoint::is_all_refused;

/// What a rule says about its condition now.
pub(crate) struct Verdict {
    code: Code,
    severity: Severity,
    since: Timestamp,
    evidence: Vec<Evidence>,
    detail: &'static str,
    /// A detail that is no fixed word.
    label: Label,
}

/// How a rule reads its condition: holds, is over, or neither (stays as it was).
pub(crate) enum Condition {
    Holds(Verdict),
    Over,
    Undecided,
}

impl Verdict {
    fn new(code: Code, since: Timestamp, evidence: &[(&'static str, f64)]) -> Self {
        let evidence = evidence
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(name, value)| Evidence { name, value: *value })
            .collect();
        Self {
            code,
            severity: code.text().severity,
            since,
            evidence,
            detail: "",
            label: Label::EMPTY,
        }
    }
}

/// Runs every check.
pub(crate) fn run(s: &mut State) -> Vec<Finding> {
    let mut findings = Vec::new();
    for number in 0..s.waypoints.len() {
        waypoint::run(s, number, &mut findings);
    }
    let parts = feed::silent_parts(s);
    for number in 0..s.feeds.len() {
        feed::run(s, number, &parts, &mut findings);
    }
    crate::engine::probe_findings(s, &mut findings);
    if !s.totals.adds_up() {
        findings.push(Finding {
            code: Code::SumsDiffer,
            subject: Subject::Own(Label::from("sums")),
            severity: Severity::Page,
            state: FindingState::Happened,
            since: s.now,
            evidence: Vec::new(),
            detail: Label::EMPTY,
        });
    }
    findings
}

/// Turns a condition into a finding, and remembers what holds.
fn report(
    raised: &mut BTreeSet<Code>,
    subject: Subject,
    code: Code,
    condition: Condition,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    match condition {
        Condition::Holds(verdict) => {
            raised.insert(code);
            findings.push(Finding {
                code: verdict.code,
                subject,
                severity: verdict.severity,
                state: FindingState::Raised,
                since: verdict.since,
                evidence: verdict.evidence,
                detail: if verdict.label.is_empty() {
                    Label::from(verdict.detail)
                } else {
                    verdict.label
                },
            });
        }
        Condition::Over if raised.remove(&code) => findings.push(Finding {
            code,
            subject,
            severity: code.text().severity,
            state: FindingState::Cleared,
            since: now,
            evidence: Vec::new(),
            detail: Label::EMPTY,
        }),
        Condition::Over | Condition::Undecided => {}
    }
}

/// A count as evidence.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn number(n: usize) -> f64 {
    n as f64
}

/// Seconds from `from` to `to`, at least 0.
fn seconds(to: Timestamp, from: Timestamp) -> f64 {
    to.since(from).as_secs_f64()
}
