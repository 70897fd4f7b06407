//! The operators' side of incidents: who took it, what was written and judged; which notices the
//! shadow of new feeds keeps back; when all that waited is through.

use super::Engine;
use super::incident::write_down;
use super::state::{FeedState, Incident, State};
use super::story::touched_feeds;
use crate::checks;
use crate::codes::{Code, Severity};
use crate::desk::{
    Judgement, NOTICES_MAX, REMARKS_MAX, REPEAT, Remark, Shadow, Taken, WOULD_BE_FEEDS,
    WOULD_BE_MAX, WouldBe,
};
use crate::effect::{Change, Effect, Effects, IncidentChange, IncidentState, MomentKind};
use crate::finding::Subject;
use crate::frame::WaypointId;
use crate::input::OperatorAction;
use crate::label::Label;
use crate::plan::{FeedId, Plan};
use crate::time::Timestamp;

/// Resolved incidents kept in memory.
const RESOLVED_KEPT: usize = 100;
/// Of these and of those that an operator may still judge together.
const JUDGED_KEPT: usize = 200;
/// The kind of a change of Feedpulse's own configuration.
pub(super) const OWN_CHANGE: &str = "feedpulse";

impl Engine {
    /// Applies what an operator did.
    pub(super) fn operator(&mut self, action: &OperatorAction, fx: &mut Effects) {
        if let OperatorAction::Changed(change) = action {
            self.changed(*change);
        }
        let Some(id) = action.incident() else { return };
        let open = self.s.incidents.iter().find(|(_, incident)| incident.id == id);
        match open.map(|(subject, _)| *subject) {
            Some(subject) => {
                if self.act(subject, action) {
                    self.tell(subject, fx);
                }
            }
            None => self.act_late(id, action, fx),
        }
    }

    /// On an incident that is not over; says whether that changed anything.
    fn act(&mut self, subject: Subject, action: &OperatorAction) -> bool {
        let now = self.s.now;
        let Some(incident) = self.s.incidents.get_mut(&subject) else { return false };
        let what = match action {
            OperatorAction::Claim { by, .. } => {
                incident.claimed_by = *by;
                MomentKind::Claimed(*by)
            }
            OperatorAction::Release { by, .. } if !incident.claimed_by.is_empty() => {
                incident.claimed_by = Label::EMPTY;
                MomentKind::Released(*by)
            }
            OperatorAction::Mute { until, .. } => {
                incident.muted_until = Some(*until);
                MomentKind::Muted(*until)
            }
            OperatorAction::Unmute { .. } if incident.muted_until.is_some() => {
                incident.muted_until = None;
                MomentKind::Unmuted
            }
            OperatorAction::Remark { incident: id, by, text } => {
                let remark = Remark { at: now, by: *by, text: text.clone() };
                if !remember(&mut self.s, *id, remark) {
                    return false;
                }
                MomentKind::Remarked(*by)
            }
            OperatorAction::Judge { incident: id, right, by } => {
                incident.verdict = Some(Judgement { right: *right, by: *by, at: now });
                judge_row(&mut self.s, *id, *right);
                MomentKind::Judged { right: *right, by: *by }
            }
            OperatorAction::Release { .. }
            | OperatorAction::Unmute { .. }
            | OperatorAction::Changed(_) => return false,
        };
        if let Some(incident) = self.s.incidents.get_mut(&subject) {
            incident.note(now, what);
        }
        true
    }

    /// On an incident that is over: remarks and judgements.
    fn act_late(&mut self, id: u64, action: &OperatorAction, fx: &mut Effects) {
        let now = self.s.now;
        let Some(place) = self.s.resolved.iter().position(|change| change.id == id) else { return };
        let (what, verdict) = match action {
            OperatorAction::Remark { by, text, .. } => {
                let remark = Remark { at: now, by: *by, text: text.clone() };
                if !remember(&mut self.s, id, remark) {
                    return;
                }
                (MomentKind::Remarked(*by), None)
            }
            OperatorAction::Judge { right, by, .. } => {
                judge_row(&mut self.s, id, *right);
                let verdict = Judgement { right: *right, by: *by, at: now };
                (MomentKind::Judged { right: *right, by: *by }, Some(verdict))
            }
            _ => return,
        };
        let Some(change) = self.s.resolved.get_mut(place) else { return };
        change.story.verdict = verdict.or(change.story.verdict);
        write_down(&mut change.story.timeline, now, what);
        fx.push(Effect::File(Box::new(change.clone())));
    }

    /// Keeps an incident that is over. What is still to be judged stays longer.
    pub(super) fn keep_resolved(&mut self, change: IncidentChange) {
        let waits = |c: &IncidentChange| {
            c.story.shadow && c.story.verdict.is_none() && c.severity > Severity::Note
        };
        let kept = self.s.resolved.len();
        let first = self.s.resolved.iter().position(|c| !waits(c));
        let goes = match first {
            Some(place) if kept >= RESOLVED_KEPT => Some(place),
            _ if kept >= JUDGED_KEPT => Some(0),
            _ => None,
        };
        if let Some(gone) = goes.and_then(|place| self.s.resolved.remove(place)) {
            self.forget_desk(gone.id);
        }
        self.s.resolved.push_back(change);
    }

    /// An incident is known no more.
    pub(super) fn forget_desk(&mut self, id: u64) {
        self.s.remarks.remove(&id);
        self.s.notices.remove(&id);
    }

    /// Two incidents became one.
    pub(super) fn move_desk(&mut self, from: u64, to: u64) {
        for remark in self.s.remarks.remove(&from).unwrap_or_default() {
            remember(&mut self.s, to, remark);
        }
        for taken in self.s.notices.remove(&from).unwrap_or_default() {
            keep_taken(&mut self.s, Taken { incident: to, ..taken });
        }
    }

    /// A notifier's server took a notice. Those of drills and of what is forgotten are nobody's.
    pub(super) fn notice_taken(&mut self, taken: Taken) {
        let id = taken.incident;
        let open = self.s.incidents.values().any(|incident| incident.id == id);
        if open || self.s.resolved.iter().any(|change| change.id == id) {
            keep_taken(&mut self.s, taken);
        }
    }

    /// Writes down what an incident says now that it did not say before: to people, or, while all
    /// that it touches is in shadow, to the list of would-be notices.
    pub(super) fn note_told(&mut self, root: Subject) {
        let now = self.s.now;
        let Some(incident) = self.s.incidents.get(&root) else { return };
        if incident.state != IncidentState::Open {
            return;
        }
        // Who has heard of it hears how it goes on.
        let told = incident.said.is_some_and(|(_, shadow)| !shadow);
        let touched = touched_feeds(&self.s, root, incident);
        let shadow = !told && in_shadow(&self.s, root, incident, &touched);
        let says = (incident.severity, shadow);
        let fresh = incident.said != Some(says);
        let id = incident.id;
        if let Some(incident) = self.s.incidents.get_mut(&root)
            && fresh
        {
            incident.said = Some(says);
            let (severity, _) = says;
            incident.note(
                now,
                match shadow {
                    true => MomentKind::Shadowed(severity),
                    false => MomentKind::Told(severity),
                },
            );
        }
        if shadow {
            self.keep_would_be(id, says.0, &touched);
        } else if fresh {
            self.s.would_be.retain(|row| row.incident != id);
        }
    }

    /// A note is no notice; everything louder is a row, with all feeds that it touched in its time.
    fn keep_would_be(&mut self, id: u64, severity: Severity, touched: &[FeedId]) {
        if severity == Severity::Note {
            return;
        }
        if !self.s.would_be.iter().any(|row| row.incident == id) {
            if self.s.would_be.len() == WOULD_BE_MAX {
                self.s.would_be.pop_front();
            }
            let (at, feeds) = (self.s.now, Vec::new());
            self.s.would_be.push_back(WouldBe { incident: id, at, severity, feeds, right: None });
        }
        let Some(row) = self.s.would_be.iter_mut().rev().find(|row| row.incident == id) else {
            return;
        };
        row.severity = row.severity.max(severity);
        for feed in touched {
            if row.feeds.len() < WOULD_BE_FEEDS && !row.feeds.contains(feed) {
                row.feeds.push(*feed);
            }
        }
    }

    /// Whether people are to be told of an incident now that was in shadow until now.
    pub(super) fn leaves_shadow(&self, root: Subject) -> bool {
        let Some(incident) = self.s.incidents.get(&root) else { return false };
        incident.said.is_some_and(|(_, shadow)| shadow)
            && !in_shadow(&self.s, root, incident, &touched_feeds(&self.s, root, incident))
    }

    /// While something holds: whether messages wait because of it.
    pub(super) fn note_backlog(&mut self, root: Subject) {
        let Some(incident) = self.s.incidents.get(&root).filter(|i| !i.waits) else { return };
        let touched = touched_feeds(&self.s, root, incident);
        let waits = |feed: &FeedState| feed.backlog_total() > 0;
        let mut feeds = touched.iter().filter_map(|feed| self.s.feeds.get(feed.0 as usize));
        let waits = feeds.any(waits);
        if let Some(incident) = self.s.incidents.get_mut(&root) {
            incident.waits = waits;
        }
    }

    /// After it became calm: whether all messages of before have come to their end.
    pub(super) fn note_drained(&mut self, root: Subject, calm: Timestamp) {
        let Some(incident) = self.s.incidents.get(&root).filter(|i| i.waits) else { return };
        for feed in touched_feeds(&self.s, root, incident) {
            let oldest = checks::oldest(&mut self.s, feed.0 as usize, false);
            if oldest.is_some_and(|at| at <= calm) {
                return;
            }
        }
        let now = self.s.now;
        if let Some(incident) = self.s.incidents.get_mut(&root) {
            incident.waits = false;
            if incident.state == IncidentState::Open {
                incident.note(now, MomentKind::Drained);
            }
        }
    }

    /// Another configuration than before is a change like others.
    pub(super) fn note_configuration(&mut self, plan: &Plan) {
        let known = self.s.seq > 1;
        let other =
            plan.config != self.s.plan.config || (plan.config.is_empty() && *plan != *self.s.plan);
        if known && other {
            let what = format!("configuration {}", plan.config);
            let (kind, what) = (Label::from(OWN_CHANGE), Label::from(what.trim_end()));
            self.changed(Change { at: self.s.now, kind, what });
        }
    }
}

impl FeedState {
    /// Its time in shadow.
    pub(super) fn shadow(&self, now: Timestamp) -> Shadow {
        let lasts = self.objectives.shadow;
        let until = self.first_seen.map(|since| since.plus(lasts)).filter(|_| !lasts.is_zero());
        let holds = !lasts.is_zero() && until.is_none_or(|until| now < until);
        Shadow { since: self.first_seen, until, holds }
    }
}

/// Keeps a remark, if there is room.
fn remember(s: &mut State, id: u64, remark: Remark) -> bool {
    let remarks = s.remarks.entry(id).or_default();
    let room = remarks.len() < REMARKS_MAX;
    if room {
        remarks.push(remark);
    }
    room
}

/// Keeps a notice in order of time. The oldest that said nothing new makes room, else the oldest.
fn keep_taken(s: &mut State, taken: Taken) {
    let notices = s.notices.entry(taken.incident).or_default();
    if notices.len() >= NOTICES_MAX {
        let repeat = notices.iter().position(|taken| taken.why.as_str() == REPEAT);
        notices.remove(repeat.unwrap_or(0));
    }
    let place = notices.partition_point(|before| before.at <= taken.at);
    notices.insert(place, taken);
}

fn judge_row(s: &mut State, id: u64, right: bool) {
    for row in s.would_be.iter_mut().filter(|row| row.incident == id) {
        row.right = Some(right);
    }
}

/// Whether everything that an incident touches is in shadow, and nothing in it is told in spite of
/// that.
fn in_shadow(s: &State, root: Subject, incident: &Incident, touched: &[FeedId]) -> bool {
    // A probe and a heartbeat learn nothing: their limits are stated.
    let stated = matches!(root, Subject::Own(_) | Subject::Probe(_));
    if stated || (s.plan.hard_down_told && is_hard_down(s, incident)) {
        return false;
    }
    let new = |feed: &FeedState| feed.shadow(s.now).holds;
    let default = !s.plan.defaults.shadow.is_zero();
    if !touched.is_empty() {
        return touched.iter().filter_map(|feed| s.feeds.get(feed.0 as usize)).all(new);
    }
    // It touches no feed that has been seen: then those that it could touch.
    let could = |feed: &&FeedState| match root {
        Subject::Waypoint(w) => passes(s, feed, w),
        _ => true,
    };
    let mut feeds = s.feeds.iter().filter(could).peekable();
    if feeds.peek().is_none() { default } else { feeds.all(new) }
}

fn passes(s: &State, feed: &FeedState, waypoint: WaypointId) -> bool {
    feed.waypoints.contains(&s.plan.primary(waypoint))
}

/// Whether nothing gets through: the receiver is down, or nothing was accepted for the page delay;
/// or nothing is seen.
fn is_hard_down(s: &State, incident: &Incident) -> bool {
    let refuses = |code: Code| matches!(code, Code::NoAck | Code::RejectedShare | Code::HeadOfLine);
    let nothing_passes = |subject: Subject| match subject {
        Subject::Waypoint(w) => s
            .waypoints
            .get(usize::from(w.0))
            .is_some_and(|here| checks::is_all_refused(here, &s.plan, s.now)),
        _ => false,
    };
    let mut held = incident.members.iter().filter(|(_, holds)| **holds).map(|(member, _)| *member);
    held.any(|(subject, code)| refuses(code) && nothing_passes(subject))
        || incident.findings.values().any(|finding| match finding.code {
            Code::ReceiverDown => finding.severity > Severity::Note,
            code => code.text().code.starts_with("FP09"),
        })
}
