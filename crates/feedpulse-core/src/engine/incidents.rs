//! Incidents: findings grouped by their cause, opened once, resolved once.

use super::Engine;
use super::state::{Incident, State};
use super::story::{self, NEAR, change_of};
use crate::codes::{Code, Severity};
use crate::effect::{Change, Effect, Effects, IncidentState, MomentKind};
use crate::finding::{CheckFinding, Evidence, Finding, FindingState, Subject};
use crate::frame::WaypointId;
use crate::input::{Blind, OwnState};
use crate::label::Label;
use crate::plan::Downtime;
use crate::time::Timestamp;
use core::time::Duration;

/// Changes kept.
const CHANGES_KEPT: usize = 256;
/// Signatures kept, and the opens of each.
const SIGNATURES_KEPT: usize = 1_024;
const OPENS_KEPT: usize = 16;
/// An incident that came back this often is flapping.
const FLAPPING: u32 = 2;
/// A planned downtime may end so much later before it is overrun.
pub(super) const COME_BACK: Duration = Duration::from_secs(120);
/// What a feed has suffered since a planned downtime began is part of it for so long.
const PASS_ON: Duration = Duration::from_secs(1_800);
/// One that opened twice within this flaps as well.
const HOUR: Duration = Duration::from_secs(3_600);
/// Earlier incidents count for so long.
const EARLIER: Duration = Duration::from_secs(30 * 86_400);

impl Engine {
    /// Takes one finding into the incident that it belongs to.
    pub(super) fn take(&mut self, finding: Finding, fx: &mut Effects) {
        self.take_said(finding, None, fx);
    }

    /// As [`Engine::take`], with what a check said.
    pub(super) fn take_said(
        &mut self,
        mut finding: Finding,
        said: Option<&CheckFinding>,
        fx: &mut Effects,
    ) {
        let now = self.s.now;
        if is_planned(&self.s, &finding) {
            // It is noted; what goes on behind the downtime is said again with its own severity.
            finding.severity = Severity::Note;
        }
        let Some(root) = self.home_of(&finding) else { return };
        if !self.s.incidents.contains_key(&root) {
            self.s.next_incident += 1;
            let fresh = Incident::new(self.s.next_incident, &finding, now);
            self.s.incidents.insert(root, fresh);
        }
        let Some(incident) = self.s.incidents.get_mut(&root) else { return };
        let flaps = incident.flaps;
        let mut news = incident.add(root, &finding, now);
        let returned = incident.flaps != flaps;
        if let Some(said) = said {
            news |= self.say(root, said);
        }
        if finding.state != FindingState::Cleared {
            self.absorb(root);
        }
        self.open_if_sure(root, &finding, news || returned, fx);
    }

    fn open_if_sure(&mut self, root: Subject, finding: &Finding, news: bool, fx: &mut Effects) {
        let (now, calm_for) = (self.s.now, self.s.plan.resolve_after);
        let Some(incident) = self.s.incidents.get_mut(&root) else { return };
        // What checks find comes in batches: it is told together, with the next tick.
        let happened = finding.state == FindingState::Happened && !is_of_check(root);
        let opens = incident.state == IncidentState::Pending
            && incident.calm_since.is_none()
            && (happened || incident.is_sure(now, calm_for));
        if opens {
            self.open(root, fx);
        } else if news && incident.state == IncidentState::Open {
            self.tell(root, fx);
        }
    }

    fn open(&mut self, root: Subject, fx: &mut Effects) {
        let now = self.s.now;
        let Some(incident) = self.s.incidents.get_mut(&root) else { return };
        incident.state = IncidentState::Open;
        incident.opened_at = Some(now);
        let began = incident.since.minus(NEAR);
        for change in self.s.changes.iter().filter(|c| c.at >= began) {
            incident.note(change.at, MomentKind::Changed(*change));
        }
        self.tell(root, fx);
        self.remember(root);
    }

    /// Keeps the signature: the same one may come again.
    fn remember(&mut self, root: Subject) {
        let Some(incident) = self.s.incidents.get(&root) else { return };
        let signature = (incident.code, root);
        if self.s.signatures.len() >= SIGNATURES_KEPT && !self.s.signatures.contains_key(&signature)
        {
            let latest = |opens: &std::collections::VecDeque<Timestamp>| opens.back().copied();
            let oldest = self.s.signatures.iter().min_by_key(|(_, opens)| latest(opens));
            if let Some(oldest) = oldest.map(|(signature, _)| *signature) {
                self.s.signatures.remove(&oldest);
            }
        }
        let opens = self.s.signatures.entry(signature).or_default();
        if opens.len() == OPENS_KEPT {
            opens.pop_front();
        }
        opens.push_back(self.s.now);
        let limit = self.s.now.minus(EARLIER);
        while opens.front().is_some_and(|at| *at < limit) {
            opens.pop_front();
        }
    }

    /// Once a second, after the checks: what lapsed, what is over.
    pub(super) fn settle_incidents(&mut self, fx: &mut Effects) {
        let now = self.s.now;
        let calm_for = self.s.plan.resolve_after;
        let subjects: Vec<Subject> = self.s.incidents.keys().copied().collect();
        for subject in subjects {
            let Some(incident) = self.s.incidents.get_mut(&subject) else { continue };
            incident.lapse(now);
            let Some(calm) = incident.calm_since else {
                // What was said once and never taken back holds as well.
                let sure = is_of_check(subject) || incident.is_sure(now, calm_for);
                let more = incident.check_codes.total() / 2 >= incident.told_codes.max(1);
                if incident.state == IncidentState::Pending && sure {
                    self.open(subject, fx);
                } else if (incident.state == IncidentState::Open && more)
                    || self.leaves_shadow(subject)
                {
                    self.tell(subject, fx);
                }
                self.note_backlog(subject);
                self.note_news(subject);
                continue;
            };
            self.note_drained(subject, calm);
            let Some(incident) = self.s.incidents.get_mut(&subject) else { continue };
            // What never opened and is calm was noise: nobody was told.
            let pending = incident.state == IncidentState::Pending;
            let opens = self.s.signatures.get(&(incident.code, subject));
            let lately = opens.into_iter().flatten().filter(|at| now.since(**at) < HOUR).count();
            let flaps = incident.flaps >= FLAPPING || lately > 1;
            let long = if flaps { calm_for * 3 } else { calm_for };
            if !pending && now.since(calm) < long {
                continue;
            }
            self.end(subject, calm, fx);
        }
    }

    /// An incident is over, as of `at`. What never opened was noise: nobody hears of it.
    pub(super) fn end(&mut self, subject: Subject, at: Timestamp, fx: &mut Effects) {
        let now = self.s.now;
        let Some(incident) = self.s.incidents.get_mut(&subject) else { return };
        let pending = incident.state == IncidentState::Pending;
        incident.state = IncidentState::Resolved;
        incident.note(now, MomentKind::Resolved);
        let change = change_of(&self.s, subject, Some(at));
        let gone = self.s.incidents.remove(&subject);
        if let Some(change) = change.filter(|_| !pending) {
            self.keep_resolved(change.clone());
            fx.push(Effect::Incident(Box::new(change)));
        } else if let Some(gone) = gone {
            self.forget_desk(gone.id);
        }
    }

    /// Says an incident as it is now.
    pub(super) fn tell(&mut self, subject: Subject, fx: &mut Effects) {
        self.note_told(subject);
        self.note_news(subject);
        // While something holds; a hint stays until a surer one comes.
        let fresh = story::cause_of(&self.s, subject);
        if let Some(incident) = self.s.incidents.get_mut(&subject) {
            incident.told_codes = incident.check_codes.total();
        }
        if let Some(incident) = self.s.incidents.get_mut(&subject)
            && incident.calm_since.is_none()
            && let Some(fresh) = fresh
            && incident.cause.as_ref().is_none_or(|held| fresh.confidence >= held.confidence)
        {
            incident.cause = Some(fresh);
        }
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

    /// Something changed around the stream: it may be the cause of what comes, or of what is.
    pub(super) fn changed(&mut self, change: Change) {
        // Who watches for changes tells them again after a restart.
        if self.s.changes.contains(&change) {
            return;
        }
        if self.s.changes.len() == CHANGES_KEPT {
            self.s.changes.pop_front();
        }
        self.s.changes.push_back(change);
        for incident in self.s.incidents.values_mut() {
            let near = change.at >= incident.since.minus(NEAR);
            if near && incident.state == IncidentState::Open {
                incident.note(change.at, MomentKind::Changed(change));
            }
        }
    }
}

const fn is_of_check(subject: Subject) -> bool {
    matches!(subject, Subject::Check(_))
}

/// Whether a planned downtime holds for a finding's subject now, or explains what a feed suffers since.
fn is_planned(s: &State, finding: &Finding) -> bool {
    // What was kept meanwhile takes longer to pass.
    let began = Some(finding.since)
        .filter(|since| is_symptom(finding.code) && s.now.since(*since) <= PASS_ON);
    // Who was sent away needs a moment to come back; a short downtime lies within that moment.
    let moments = |n: u32| {
        [Some(s.now), began].into_iter().flatten().map(move |at| at.minus(COME_BACK / 8 * n))
    };
    let holds =
        |d: &Downtime, w| (0..=8).flat_map(moments).any(|at| d.holds(&s.plan.calendar, w, at));
    if matches!(finding.subject, Subject::Probe(_)) {
        // What stands beside the links is down with all of them.
        let all = |d: &&Downtime| d.waypoints.is_empty();
        return s.plan.downtimes.iter().filter(all).any(|d| holds(d, WaypointId(0)));
    }
    let down = |w: WaypointId| s.plan.downtimes.iter().any(|d| holds(d, w));
    planned_links(s, finding.subject).iter().any(|w| down(*w))
}

/// The waypoints whose planned downtimes cover a subject.
pub(super) fn planned_links(s: &State, subject: Subject) -> Vec<WaypointId> {
    match subject {
        Subject::Waypoint(w) => vec![w],
        Subject::Feed(f) => {
            s.feeds.get(f.0 as usize).map(|f| f.waypoints.clone()).unwrap_or_default()
        }
        Subject::Check(_) | Subject::Own(_) | Subject::Probe(_) => Vec::new(),
    }
}

/// Findings that describe the suffering of a feed: where a link explains them, they join it.
pub(super) const fn is_symptom(code: Code) -> bool {
    matches!(
        code,
        Code::TransitSlow
            | Code::BacklogGrowing
            | Code::Silence
            | Code::VolumeUnusual
            | Code::Missing
    )
}
