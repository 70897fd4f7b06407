//! What captures hold, as JSON and as text: the capture's facts, waypoints and routes, the gap report,
//! what was still open, and incidents. Control ids and times only: nothing of a message's content.

use super::capture::{Found, Open};
use super::facts::Numbers;
use crate::clock;
use crate::gaps::kind_of;
use crate::gaps::report::{self, listing};
use crate::ledger::name;
use feedpulse_core::effect::IncidentChange;
use serde::Serialize;
use std::io::{self, Write};

/// Messages of a text; the others are in JSON.
const TEXT_ROWS: usize = 200;

/// All that JSON has.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    files: Vec<File<'a>>,
    #[serde(flatten)]
    numbers: Numbers,
    waypoints: Vec<Place>,
    /// The other leg of a configured listener, passed over.
    not_counted_twice: Vec<String>,
    routes: Vec<Way<'a>>,
    gaps: report::Report<'a>,
    acks_to_before: u64,
    open_at_end: u64,
    open_rows: Vec<Row>,
    incidents: Vec<Incident<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Place {
    name: String,
    endpoint: String,
}

#[derive(Serialize)]
struct Way<'a> {
    waypoints: Vec<String>,
    feeds: &'a [String],
}

#[derive(Serialize)]
struct Row {
    control_id: String,
    first_seen: String,
    feed: String,
    #[serde(rename = "type")]
    kind: String,
    urgency: &'static str,
    waits_for: &'static str,
    waypoint: String,
}

#[derive(Serialize)]
struct Incident<'a> {
    id: u64,
    subject: &'a str,
    code: &'static str,
    severity: &'static str,
    state: &'static str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
    summary: &'a str,
    urgent: u32,
}

impl<'a> From<&'a IncidentChange> for Incident<'a> {
    fn from(incident: &'a IncidentChange) -> Self {
        Self {
            id: incident.id,
            subject: &incident.subject_name,
            code: incident.code.text().code,
            severity: incident.severity.name(),
            state: incident.state.name(),
            since: clock::show(incident.since),
            resolved_at: incident.resolved_at.map(clock::show),
            summary: &incident.summary,
            urgent: incident.urgent,
        }
    }
}

fn row(found: &Found, open: &Open) -> Row {
    let record = &open.record;
    Row {
        control_id: record.control_id.clear().to_string(),
        first_seen: clock::show(record.first_at),
        feed: record.feed_name.clone(),
        kind: kind_of(record),
        urgency: record.urgency.name(),
        waits_for: open.waits_for,
        waypoint: open.waypoint.map(|w| name(&found.waypoints, w)).unwrap_or_default(),
    }
}

/// Everything.
pub(super) fn report(found: &Found) -> Report<'_> {
    let names = |list: &[_]| list.iter().map(|w| name(&found.waypoints, *w)).collect();
    let with_feeds =
        found.routes.iter().filter(|(stops, feeds)| stops.len() > 1 || !feeds.is_empty());
    Report {
        files: found
            .files
            .iter()
            .map(|(name, error)| File { name, error: error.as_ref().map(ToString::to_string) })
            .collect(),
        numbers: Numbers::from(&found.facts),
        waypoints: found
            .endpoints
            .iter()
            .map(|(endpoint, waypoint)| Place {
                name: name(&found.waypoints, *waypoint),
                endpoint: endpoint.to_string(),
            })
            .collect(),
        not_counted_twice: found.twice.iter().map(ToString::to_string).collect(),
        routes: with_feeds.map(|(stops, feeds)| Way { waypoints: names(stops), feeds }).collect(),
        gaps: report::report(&found.wanted, &found.gaps, report::Lacks::NOTHING, None),
        acks_to_before: found.to_before,
        open_at_end: found.open_total,
        open_rows: found.open.iter().map(|open| row(found, open)).collect(),
        incidents: found.incidents.values().map(Incident::from).collect(),
    }
}

/// For people.
pub(super) fn text(found: &Found, out: &mut impl Write) -> io::Result<()> {
    let report = report(found);
    writeln!(out)?;
    for File { name, error } in &report.files {
        if let Some(error) = error {
            writeln!(out, "{name}: {error}")?;
        }
    }
    report.numbers.text(out)?;
    for Place { name, endpoint } in &report.waypoints {
        writeln!(out, "waypoint {name} ({endpoint})")?;
    }
    for endpoint in &report.not_counted_twice {
        writeln!(out, "{endpoint} is the other leg of a listener, and is not counted twice")?;
    }
    for Way { waypoints, feeds } in report.routes.iter().filter(|way| way.waypoints.len() > 1) {
        writeln!(out, "route {}: {}", waypoints.join(" → "), feeds.join(", "))?;
    }
    writeln!(out)?;
    listing(out, &found.gaps)?;
    if found.to_before > 0 {
        writeln!(out, "\n{} ACKs to messages from before the capture", found.to_before)?;
    }
    if found.open_total > 0 {
        writeln!(out, "\n{} open at the end of the capture", found.open_total)?;
    }
    for row in report.open_rows.iter().take(TEXT_ROWS) {
        let Row { control_id, first_seen, feed, kind, waits_for, waypoint, .. } = row;
        writeln!(
            out,
            "  {first_seen} {control_id} {feed} {kind}: waits for {waits_for} at {waypoint}"
        )?;
    }
    if report.open_rows.len() > TEXT_ROWS {
        writeln!(out, "  … {} more: --json has all", report.open_rows.len() - TEXT_ROWS)?;
    }
    if !report.incidents.is_empty() {
        writeln!(out, "\nincidents")?;
    }
    for Incident { code, severity, since, resolved_at, summary, .. } in &report.incidents {
        let until = resolved_at.as_deref().unwrap_or("the end of the capture");
        writeln!(out, "  {since} to {until} {severity} {code}: {summary}")?;
    }
    Ok(())
}
