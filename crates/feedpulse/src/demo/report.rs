//! What the demo injected and what Feedpulse found, for people as it happens and for scripts at
//! the end.

use feedpulse_core::codes::Code;
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::sighting::Outcome;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::Totals;
use serde::Serialize;
use std::collections::BTreeMap;

/// The object that `demo --json` ends with.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Trouble that was made.
    pub injected: Vec<Injected>,
    /// Findings that were told.
    pub detected: Vec<Detected>,
    /// Sendings at both waypoints, by outcome.
    pub messages: BTreeMap<&'static str, u64>,
    /// Copies that the wire had to shed.
    pub shed: u64,
    /// The proxied streams.
    pub bytes: Bytes,
    /// Notices that arrived at the webhook.
    pub notices: u64,
    /// Spans that the collector took.
    pub spans_exported: u64,
}

/// Trouble that was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Injected {
    /// Its name.
    pub fault: String,
    /// Seconds after the start.
    pub at_s: f64,
    /// Seconds after the start.
    pub until_s: f64,
}

/// A finding that was told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Detected {
    /// Its code.
    pub code: &'static str,
    /// About what.
    pub subject: String,
    /// When it was told, in seconds after the start.
    pub at_s: f64,
    /// When its incident was over.
    pub resolved_s: Option<f64>,
    /// The trouble that explains it.
    pub fault: Option<String>,
}

/// The proxied streams.
#[derive(Debug, Serialize)]
pub(crate) struct Bytes {
    /// Written by the senders of both hops.
    pub r#in: u64,
    /// Read by their receivers.
    pub out: u64,
    /// Whether both ends of every connection saw the same bytes.
    pub identical: bool,
}

/// Collects findings as they are told.
#[derive(Debug, Default)]
pub(crate) struct Detections {
    found: BTreeMap<(u64, Code), Detected>,
}

impl Detections {
    /// Takes a change of an incident; says which findings are new.
    pub(crate) fn add(
        &mut self,
        change: &IncidentChange,
        started: Timestamp,
        now: Timestamp,
        injected: &[Injected],
    ) -> Vec<Code> {
        let at_s = seconds(now, started);
        let mut fresh = Vec::new();
        for finding in &change.findings {
            let key = (change.id, finding.code);
            if change.state == IncidentState::Open && !self.found.contains_key(&key) {
                let code = finding.code;
                let fault = explain(code, at_s, injected);
                let found = Detected {
                    code: code.text().code,
                    subject: change.subject_name.clone(),
                    at_s,
                    resolved_s: None,
                    fault,
                };
                self.found.insert(key, found);
                fresh.push(code);
            }
            if change.state == IncidentState::Resolved
                && let Some(found) = self.found.get_mut(&key)
            {
                found.resolved_s = Some(at_s);
            }
        }
        fresh
    }

    /// All, in order of time.
    pub(crate) fn list(&self) -> Vec<Detected> {
        let mut all: Vec<Detected> = self.found.values().cloned().collect();
        all.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        all
    }
}

/// Seconds with one decimal.
pub(crate) fn seconds(at: Timestamp, from: Timestamp) -> f64 {
    (at.since(from).as_secs_f64() * 10.0).round() / 10.0
}

/// The latest trouble before `at_s` whose symptom a code is.
fn explain(code: Code, at_s: f64, injected: &[Injected]) -> Option<String> {
    let causes: &[&str] = match code {
        Code::AckSlow => &["portal_slow", "hang_without_ack"],
        Code::RejectedShare => &["nack_burst"],
        Code::NoAck => &["hang_without_ack"],
        Code::ConnectionLost => &["hang_without_ack", "refusal"],
        Code::ReceiverDown => &["refusal"],
        Code::TransitSlow | Code::BacklogGrowing => &["portal_slow", "hang_without_ack", "refusal"],
        Code::Silence => &["feed_silent"],
        Code::CheckFound => &["result_regression"],
        _ => &[],
    };
    let before = injected.iter().filter(|i| i.at_s <= at_s && causes.contains(&i.fault.as_str()));
    before.max_by(|a, b| a.at_s.total_cmp(&b.at_s)).map(|i| i.fault.clone())
}

/// Counts by name.
pub(crate) fn messages(totals: &Totals) -> BTreeMap<&'static str, u64> {
    let mut messages: BTreeMap<&'static str, u64> =
        Outcome::ALL.into_iter().map(Outcome::name).zip(totals.outcomes).collect();
    messages.insert("seen", totals.seen);
    messages.insert("open", totals.open);
    messages
}
