//! Incidents: findings grouped on a subject, opened once, resolved once.

use super::Engine;
use super::state::{FeedState, Incident, State};
use crate::codes::{Code, Severity};
use crate::effect::{Effect, Effects, IncidentChange, IncidentFinding, IncidentState};
use crate::finding::{Evidence, Finding, FindingState, Subject};
use crate::input::{Blind, OperatorAction, OwnState};
use crate::label::Label;
use crate::time::Timestamp;
use core::time::Duration;
use std::collections::BTreeMap;

/// A ticket must hold this long before people are told; a page is told at once.
const SURE_AFTER: Duration = Duration::from_secs(3);
/// No finding for this long ends an incident.
const CALM_FOR: Duration = Duration::from_secs(10);
/// Something that only happened keeps its incident open this long.
const HAPPENED_FOR: Duration = Duration::from_secs(60);
/// Resolved incidents kept in memory.
const RESOLVED_KEPT: usize = 100;

impl Engine {
    /// Takes one finding into the incident of its subject.
    pub(super) fn take(&mut self, finding: Finding, fx: &mut Effects) {
        let now = self.s.now;
        if !self.s.incidents.contains_key(&finding.subject) {
            if finding.state == FindingState::Cleared {
                return;
            }
            self.s.next_incident += 1;
            let fresh = Incident {
                id: self.s.next_incident,
                state: IncidentState::Pending,
                severity: finding.severity,
                code: finding.code,
                since: finding.since,
                findings: BTreeMap::new(),
                lapses: BTreeMap::new(),
                calm_since: None,
                claimed_by: Label::EMPTY,
                muted_until: None,
            };
            self.s.incidents.insert(finding.subject, fresh);
        }
        let Some(incident) = self.s.incidents.get_mut(&finding.subject) else { return };
        let news = incident.add(&finding, now);
        let loud = incident.severity == Severity::Page || finding.state == FindingState::Happened;
        let opens = incident.state == IncidentState::Pending
            && incident.calm_since.is_none()
            && (loud || incident.is_sure(now));
        if opens {
            incident.state = IncidentState::Open;
        }
        if opens || (news && incident.state == IncidentState::Open) {
            self.tell(finding.subject, fx);
        }
    }

    /// Once a second, after the checks: what lapsed, what is over.
    pub(super) fn settle_incidents(&mut self, fx: &mut Effects) {
        let now = self.s.now;
        let subjects: Vec<Subject> = self.s.incidents.keys().copied().collect();
        for subject in subjects {
            let Some(incident) = self.s.incidents.get_mut(&subject) else { continue };
            incident.lapse(now);
            let Some(calm) = incident.calm_since else {
                // What was said once and never taken back holds as well.
                if incident.state == IncidentState::Pending && incident.is_sure(now) {
                    incident.state = IncidentState::Open;
                    self.tell(subject, fx);
                }
                continue;
            };
            if now.since(calm) < CALM_FOR {
                continue;
            }
            let was_open = incident.state == IncidentState::Open;
            incident.state = IncidentState::Resolved;
            let change = change_of(&self.s, subject, Some(calm));
            self.s.incidents.remove(&subject);
            // What never opened was noise: nobody was told, so nobody is told that it is over.
            if let Some(change) = change.filter(|_| was_open) {
                if self.s.resolved.len() == RESOLVED_KEPT {
                    self.s.resolved.pop_front();
                }
                self.s.resolved.push_back(change.clone());
                fx.push(Effect::Incident(Box::new(change)));
            }
        }
    }

    fn tell(&mut self, subject: Subject, fx: &mut Effects) {
        if let Some(change) = change_of(&self.s, subject, None) {
            fx.push(Effect::Incident(Box::new(change)));
        }
    }

    pub(super) fn happened_blind(&mut self, blind: &Blind, fx: &mut Effects) {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let evidence = vec![
            Evidence { name: "blind_s", value: blind.to.since(blind.from).as_secs_f64() },
            Evidence { name: "copies_shed_total", value: blind.records as f64 },
            Evidence { name: "bytes_shed_total", value: blind.bytes as f64 },
        ];
        let finding = Finding {
            code: Code::Blind,
            subject: Subject::Own(Label::from("wire")),
            severity: Code::Blind.text().severity,
            state: FindingState::Happened,
            since: blind.from,
            evidence,
            detail: Label::EMPTY,
        };
        self.take(finding, fx);
    }

    pub(super) fn own(&mut self, own: &OwnState, fx: &mut Effects) {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let dropped = own.dropped as f64;
        let finding = Finding {
            code: own.code,
            subject: Subject::Own(own.part),
            severity: own.code.text().severity,
            state: if own.failing { FindingState::Raised } else { FindingState::Cleared },
            since: self.s.now,
            evidence: vec![Evidence { name: "dropped_total", value: dropped }],
            detail: own.detail,
        };
        self.take(finding, fx);
    }

    pub(super) fn operator(&mut self, action: &OperatorAction, fx: &mut Effects) {
        let (id, subject) = {
            let id = match action {
                OperatorAction::Claim { incident, .. } | OperatorAction::Mute { incident, .. } => {
                    *incident
                }
            };
            let found = self.s.incidents.iter().find(|(_, incident)| incident.id == id);
            let Some((subject, _)) = found else { return };
            (id, *subject)
        };
        let Some(incident) = self.s.incidents.get_mut(&subject) else { return };
        debug_assert_eq!(incident.id, id);
        match action {
            OperatorAction::Claim { by, .. } => incident.claimed_by = *by,
            OperatorAction::Mute { until, .. } => incident.muted_until = Some(*until),
        }
        self.tell(subject, fx);
    }
}

impl Incident {
    /// Whether it has held for long enough that people are told of a ticket.
    fn is_sure(&self, now: Timestamp) -> bool {
        now.since(self.since.min(now)) >= SURE_AFTER
    }

    /// Adds a finding; says whether people should hear of it (new code, or louder).
    fn add(&mut self, finding: &Finding, now: Timestamp) -> bool {
        if finding.state == FindingState::Cleared {
            if let Some(held) = self.findings.get_mut(&finding.code) {
                held.cleared_at = Some(now);
            }
            self.reckon_calm(now);
            let before = self.code;
            self.lead();
            return self.code != before;
        }
        let fresh = !self.findings.contains_key(&finding.code);
        let held = self.findings.entry(finding.code).or_insert_with(|| IncidentFinding {
            code: finding.code,
            severity: finding.severity,
            since: finding.since,
            cleared_at: None,
            evidence: Vec::new(),
            detail: finding.detail,
            times: 0,
        });
        held.severity = held.severity.max(finding.severity);
        held.evidence.clone_from(&finding.evidence);
        held.detail = finding.detail;
        held.times = held.times.saturating_add(1);
        held.cleared_at = None;
        if finding.state == FindingState::Happened {
            self.lapses.insert(finding.code, now.plus(HAPPENED_FOR));
        }
        self.calm_since = None;
        self.since = self.since.min(finding.since);
        let louder = finding.severity > self.severity;
        self.severity = self.severity.max(finding.severity);
        self.lead();
        fresh || louder
    }

    /// The code that leads: of what holds now the loudest, then the earliest; it changes only when
    /// its own finding is over or a louder one came, so that an alert keeps its name.
    fn lead(&mut self) {
        let holding = |f: &&IncidentFinding| f.cleared_at.is_none();
        let loudest = self.findings.values().filter(holding).map(|f| f.severity).max();
        let current = self.findings.get(&self.code).filter(holding);
        if current.is_some_and(|f| Some(f.severity) == loudest) {
            return;
        }
        let candidates =
            self.findings.values().filter(holding).filter(|f| Some(f.severity) == loudest);
        if let Some(lead) = candidates.min_by_key(|f| (f.since, f.code)) {
            self.code = lead.code;
        }
    }

    /// Lets what only happened lapse.
    fn lapse(&mut self, now: Timestamp) {
        while let Some(code) = self.lapses.iter().find(|(_, at)| **at <= now).map(|(code, _)| *code)
        {
            self.lapses.remove(&code);
            if let Some(held) = self.findings.get_mut(&code) {
                held.cleared_at = Some(now);
            }
        }
        self.reckon_calm(now);
    }

    fn reckon_calm(&mut self, now: Timestamp) {
        let holds = self.findings.values().any(|held| held.cleared_at.is_none());
        self.calm_since = if holds { None } else { self.calm_since.or(Some(now)) };
    }
}

/// An incident as people see it.
pub(super) fn change_of(
    s: &State,
    subject: Subject,
    resolved_at: Option<Timestamp>,
) -> Option<IncidentChange> {
    let incident = s.incidents.get(&subject)?;
    let subject_name = name_of(s, subject);
    let urgent = match subject {
        Subject::Feed(feed) => {
            s.feeds.get(feed.0 as usize).map_or(0, |f| f.backlog_urgent() + f.hurt.messages)
        }
        Subject::Waypoint(waypoint) => {
            let passing = s.feeds.iter().filter(|f| f.waypoints.contains(&waypoint));
            let waiting: u32 = passing.map(FeedState::backlog_urgent).sum();
            waiting + s.waypoints.get(usize::from(waypoint.0)).map_or(0, |w| w.hurt.messages)
        }
        Subject::Check(_) | Subject::Own(_) => 0,
    };
    Some(IncidentChange {
        id: incident.id,
        subject,
        summary: summary(incident, &subject_name, urgent),
        subject_name,
        state: incident.state,
        severity: incident.severity,
        code: incident.code,
        since: incident.since,
        resolved_at,
        findings: incident.findings.values().cloned().collect(),
        urgent,
        claimed_by: incident.claimed_by,
        muted_until: incident.muted_until,
    })
}

/// The subject as people call it.
pub(super) fn name_of(s: &State, subject: Subject) -> String {
    match subject {
        Subject::Waypoint(w) => {
            let name = s.plan.waypoints.get(usize::from(w.0)).map_or("?", |w| w.name.as_str());
            format!("waypoint {name}")
        }
        Subject::Feed(f) => {
            let name = s.feeds.get(f.0 as usize).map_or("?", |f| f.name.as_str());
            format!("feed {name}")
        }
        Subject::Check(c) => {
            format!("check {}", s.plan.checks.get(usize::from(c)).map_or("?", String::as_str))
        }
        Subject::Own(part) => format!("feedpulse {part}"),
    }
}

/// One sentence: what, where, the leading finding's numbers, how many urgent.
fn summary(incident: &Incident, subject: &str, urgent: u32) -> String {
    use core::fmt::Write as _;
    let mut text = format!("{} ({subject})", incident.code.text().title);
    if let Some(lead) = incident.findings.get(&incident.code) {
        if !lead.detail.is_empty() {
            let _ = write!(text, ": {}", lead.detail);
        }
        let mut separator = "; ";
        for evidence in &lead.evidence {
            let value = evidence.value;
            let name = evidence.name;
            let _ = match name.rsplit_once('_') {
                Some((what, "total")) => {
                    write!(text, "{separator}{value:.0} {}", what.replace('_', " "))
                }
                Some((what, "s")) => {
                    write!(text, "{separator}{} {value:.1} s", what.replace('_', " "))
                }
                Some((what, "share")) => {
                    write!(text, "{separator}{} {:.0} %", what.replace('_', " "), value * 100.0)
                }
                _ => write!(text, "{separator}{} {value:.1}", name.replace('_', " ")),
            };
            separator = ", ";
        }
    }
    match subject.split_once(' ') {
        Some(("feed" | "waypoint", _)) if urgent == 0 => text.push_str("; none urgent"),
        Some(("feed" | "waypoint", _)) => {
            let _ = write!(text, "; {urgent} urgent");
        }
        _ => {}
    }
    text
}
