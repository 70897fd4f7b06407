//! Which of what would have been told was real: by operators' verdicts, and by a site's own list.

use super::run::Fired;
use crate::cli::{DATA, Failure};
use crate::{civil, files};
use anyhow::anyhow;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::time::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;
use std::time::Duration;

/// Two incidents are the same when they have one code and one subject and overlap, or are no further
/// apart than this: a tick while nothing goes on, and what waits for its cause.
pub(super) const TOLERANCE: Duration = Duration::from_secs(30);
/// Most labels.
const LABELS_MAX: usize = 100_000;

/// Whether an operator called an incident worth a notice. None: nobody said.
fn verdict_of(incident: &IncidentChange) -> Option<bool> {
    incident.story.verdict.as_ref().map(|judged| judged.right)
}

/// What the ledger and the tables can tell of; the others are about bytes, versions and parts of
/// Feedpulse that leave no row.
pub(super) const fn is_rebuilt(code: Code) -> bool {
    matches!(
        code,
        Code::AckSlow
            | Code::NoAck
            | Code::RejectedShare
            | Code::ReceiverDown
            | Code::TransitSlow
            | Code::Silence
            | Code::BacklogGrowing
            | Code::ConnectionLost
            | Code::DeadLetters
            | Code::Missing
            | Code::PartlyDelivered
            | Code::NewReason
            | Code::VolumeUnusual
            | Code::TooQuiet
            | Code::RetryStorm
            | Code::LateAck
            | Code::NackThenAccepted
            | Code::Retry
            | Code::IdReuse
            | Code::HeadOfLine
            | Code::Failover
    )
}

/// A line of a site's own list.
#[derive(Clone, Debug)]
pub(super) struct Label {
    from: Timestamp,
    to: Timestamp,
    /// `feed results`, `waypoint portal-in`, or a name alone; empty = any.
    subject: String,
    pub(super) real: bool,
}

/// An incident as it was recorded.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: u64,
    pub(super) code: Code,
    pub(super) subject: String,
    pub(super) severity: Severity,
    pub(super) opened: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) verdict: Option<bool>,
}

impl Told {
    /// Those that people were told of since a time, oldest first; with how many the ledger cannot
    /// tell of.
    pub(super) fn of(incidents: &[IncidentChange], since: Timestamp) -> (Vec<Self>, usize) {
        let opened = |i: &IncidentChange| i.story.opened_at.unwrap_or(i.since);
        let told = |i: &&IncidentChange| {
            i.state != IncidentState::Pending && i.severity > Severity::Note && opened(i) >= since
        };
        let all: Vec<&IncidentChange> = incidents.iter().filter(told).collect();
        let total = all.len();
        let mut kept: Vec<Self> = all
            .into_iter()
            .filter(|i| is_rebuilt(i.code))
            .map(|i| Self {
                id: i.id,
                code: i.code,
                subject: i.subject_name.clone(),
                severity: i.severity,
                opened: opened(i),
                ended: i.resolved_at,
                verdict: verdict_of(i),
            })
            .collect();
        kept.sort_by_key(|told| (told.opened, told.id));
        let beyond = total - kept.len();
        (kept, beyond)
    }

    /// Whether a replay told the same.
    pub(super) fn is(&self, fired: &Fired) -> bool {
        let near = self.opened.since(fired.opened).max(fired.opened.since(self.opened));
        self.code == fired.code
            && self.subject == fired.subject
            && (near <= TOLERANCE || overlap(self.opened, self.ended, fired.opened, fired.ended))
    }

    /// Whether a replay told of the same trouble, by whatever code.
    pub(super) fn is_found_by(&self, fired: &Fired) -> bool {
        self.subject == fired.subject
            && overlap(self.opened.minus(TOLERANCE), self.ended, fired.opened, fired.ended)
    }
}

fn overlap(
    from: Timestamp,
    to: Option<Timestamp>,
    other_from: Timestamp,
    other_to: Option<Timestamp>,
) -> bool {
    to.is_none_or(|to| other_from <= to) && other_to.is_none_or(|to| from <= to)
}

impl Label {
    /// Whether it is about an incident.
    pub(super) fn is_about(&self, fired: &Fired) -> bool {
        let name = fired.subject.split_once(' ').map_or(fired.subject.as_str(), |(_, name)| name);
        let plain = self.subject.strip_prefix("feed ").unwrap_or(&self.subject);
        let subject = self.subject.is_empty()
            || self.subject == fired.subject
            || self.subject == name
            || fired.feeds.iter().any(|feed| feed == plain);
        subject && overlap(self.from, Some(self.to.plus(TOLERANCE)), fired.opened, fired.ended)
    }

    /// As people would call it.
    pub(super) fn shown(&self) -> String {
        let subject = if self.subject.is_empty() { "anything" } else { &self.subject };
        format!("{subject} from {}", crate::clock::show(self.from))
    }

    pub(super) const fn begins(&self) -> Timestamp {
        self.from
    }
}

/// Reads a site's list: CSV with the columns `from`, `to`, `subject` (or `feed`) and `verdict` (`real` or
/// `noise`). Every line must be right: a verdict that is passed over would make the figures wrong.
pub(super) fn labels(path: &Path, zone: &TimeZone) -> Result<Vec<Label>, Failure> {
    let wrong =
        |line: u64, what: &str| Failure::new(DATA, anyhow!("{}:{line}: {what}", path.display()));
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(files::open(path)?);
    let header = reader.headers().map_err(|e| wrong(1, &e.to_string()))?.clone();
    let find = |names: &[&str]| {
        header.iter().position(|held| names.iter().any(|name| held.eq_ignore_ascii_case(name)))
    };
    let columns = (find(&["from"]), find(&["to"]), find(&["verdict"]));
    let (Some(from), Some(to), Some(verdict)) = columns else {
        return Err(wrong(1, "the first line names the columns from, to, subject and verdict"));
    };
    let subject = find(&["subject", "feed", "feed/subject"]);
    let mut all = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| wrong(0, &e.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |n: usize| record.get(n).unwrap_or_default();
        let time = |n: usize| civil::read(field(n), zone).map(|(at, _)| at);
        let (Ok(from), Ok(to)) = (time(from), time(to)) else {
            return Err(wrong(line, "`from` and `to` are times such as 2026-03-01 08:15"));
        };
        let real = match field(verdict) {
            "real" => true,
            "noise" => false,
            _ => return Err(wrong(line, "`verdict` is `real` or `noise`")),
        };
        if to < from {
            return Err(wrong(line, "`to` is before `from`"));
        }
        let subject = subject.map(field).unwrap_or_default().to_owned();
        all.push(Label { from, to, subject, real });
        if all.len() > LABELS_MAX {
            return Err(wrong(line, "more than 100,000 lines"));
        }
    }
    Ok(all)
}

/// What is known of the truth.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) labels: Vec<Label>,
    pub(super) told: Vec<Told>,
}

impl Truth {
    /// Whether an incident was real. None: nobody said. The site's list wins.
    pub(super) fn of(&self, fired: &Fired) -> Option<bool> {
        let label = self.labels.iter().find(|label| label.is_about(fired)).map(|label| label.real);
        label.or_else(|| self.told.iter().find(|told| told.is(fired)).and_then(|told| told.verdict))
    }

    /// The confirmed ones: found, and those that were missed.
    pub(super) fn confirmed(&self, fired: &[Fired], since: Timestamp) -> (usize, Vec<String>) {
        let (mut found, mut missed) = (0, Vec::new());
        for label in self.labels.iter().filter(|label| label.real && label.begins() >= since) {
            match fired.iter().any(|fired| label.is_about(fired)) {
                true => found += 1,
                false => missed.push(label.shown()),
            }
        }
        for told in self.told.iter().filter(|told| told.verdict == Some(true)) {
            match fired.iter().any(|fired| told.is_found_by(fired)) {
                true => found += 1,
                false => missed.push(format!(
                    "{} {} from {}",
                    told.code.text().code,
                    told.subject,
                    crate::clock::show(told.opened)
                )),
            }
        }
        (found, missed)
    }
}
