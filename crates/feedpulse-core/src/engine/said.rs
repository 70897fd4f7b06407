//! What checks say: the words that their versions brought, and which of them an incident holds.

use super::Engine;
use super::incident::Incident;
use super::state::State;
use crate::codes::{Code, Severity};
use crate::effect::{Effects, MomentKind};
use crate::finding::{CheckFinding, Finding, FindingState, Subject};
use crate::plan::Plan;
use crate::said::{
    ATTRS_MAX, CODES_MAX, CheckCode, CheckWords, CodeWords, Line, SHORT_MAX, WORDS_MAX,
};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// Takes over what a version of a check can say. Open incidents go on with the words that they have
    /// until a code is found again.
    pub(super) fn take_words(&mut self, words: &CheckWords) {
        if usize::from(words.check) >= self.s.plan.checks.len() {
            return;
        }
        let codes = words.codes.iter().take(WORDS_MAX);
        let codes = codes.map(|(code, words)| (*code, Arc::clone(words))).collect();
        self.s.words.insert(words.check, codes);
    }

    /// A finding of a check: it marks the journey, so that its trace is kept.
    pub(super) fn found(&mut self, found: &CheckFinding, fx: &mut Effects) {
        if let Some(key) = found.journey_key
            && let Some(place) = self.journey_of(key)
            && let Some(journey) = self.s.journeys.get_mut(place)
            && !found.faulty
        {
            journey.find(found.code);
        }
        let finding = Finding {
            code: if found.faulty { Code::CheckFaulted } else { Code::CheckFound },
            subject: Subject::Check(found.check),
            severity: found.severity,
            state: FindingState::Happened,
            since: found.at,
            evidence: Vec::new(),
            detail: found.code,
        };
        let said = (!found.faulty).then_some(found);
        self.take_said(finding, said, fx);
    }

    /// Writes down in an incident what its check said; says whether that is news.
    pub(super) fn say(&mut self, root: Subject, found: &CheckFinding) -> bool {
        let s = &mut self.s;
        let words = s.words.get(&found.check).and_then(|codes| codes.get(&found.code)).cloned();
        let waypoint = s.plan.waypoints.get(usize::from(found.waypoint.0));
        let waypoint = waypoint.map_or("", |waypoint| waypoint.name.as_str());
        let now = s.now;
        s.incidents.get_mut(&root).is_some_and(|i| i.say(found, words, waypoint, now))
    }

    /// Checks are known by their place in the plan: what is held of them moves along with their names.
    /// The incident of one that is gone is over, with the name and the words that it has.
    pub(super) fn move_checks(&mut self, plan: &Plan, fx: &mut Effects) {
        let old = Arc::clone(&self.s.plan);
        if old.checks == plan.checks {
            return;
        }
        let place = |number: u16| {
            let name = old.checks.get(usize::from(number))?;
            u16::try_from(plan.checks.iter().position(|new| new == name)?).ok()
        };
        let gone: Vec<Subject> = self.s.incidents.keys().copied().collect();
        for subject in gone {
            if matches!(subject, Subject::Check(number) if place(number).is_none()) {
                self.end(subject, self.s.now, fx);
            }
        }
        let moved = |subject: Subject| match subject {
            Subject::Check(number) => place(number).map(Subject::Check),
            other => Some(other),
        };
        renumber(&mut self.s, &place, &moved);
    }
}

/// Moves everything that is held by a check's number.
fn renumber(
    s: &mut State,
    place: &impl Fn(u16) -> Option<u16>,
    moved: &impl Fn(Subject) -> Option<Subject>,
) {
    let words = std::mem::take(&mut s.words).into_iter();
    s.words = words.filter_map(|(number, codes)| Some((place(number)?, codes))).collect();
    let signatures = std::mem::take(&mut s.signatures).into_iter();
    s.signatures = signatures
        .filter_map(|((code, subject), opens)| Some(((code, moved(subject)?), opens)))
        .collect();
    let incidents = std::mem::take(&mut s.incidents).into_iter();
    s.incidents = incidents
        .filter_map(|(subject, mut incident)| {
            let member = |(subject, code)| Some((moved(subject)?, code));
            incident.members = kept(incident.members, member);
            incident.lapses = kept(incident.lapses, member);
            Some((moved(subject)?, incident))
        })
        .collect();
}

type Member = (Subject, Code);

fn kept<T>(
    map: BTreeMap<Member, T>,
    member: impl Fn(Member) -> Option<Member>,
) -> BTreeMap<Member, T> {
    map.into_iter().filter_map(|(key, value)| Some((member(key)?, value))).collect()
}

impl Incident {
    /// Adds what its check said; says whether people should hear of it (a code that is new here).
    fn say(
        &mut self,
        found: &CheckFinding,
        words: Option<Arc<CodeWords>>,
        waypoint: &str,
        now: Timestamp,
    ) -> bool {
        let known = self.check_codes.codes.iter().position(|said| said.code == found.code);
        if known.is_none() && self.check_codes.codes.len() >= CODES_MAX {
            self.check_codes.others = self.check_codes.others.saturating_add(1);
            return false;
        }
        let place = known.unwrap_or_else(|| {
            self.check_codes.codes.push(CheckCode {
                code: found.code,
                words: None,
                severity: Severity::Note,
                times: 0,
                first: found.at,
                last: found.at,
                waypoint: Line::default(),
                place: Line::default(),
                attrs: Vec::new(),
            });
            self.note(now, MomentKind::CheckFound(found.code));
            self.check_codes.codes.len() - 1
        });
        let Some(said) = self.check_codes.codes.get_mut(place) else { return false };
        said.words = words.or_else(|| said.words.take());
        said.severity = said.severity.max(found.severity);
        said.times = said.times.saturating_add(1);
        said.first = said.first.min(found.at);
        // Findings of several waypoints may come out of order.
        if found.at >= said.last {
            said.last = found.at;
            said.place = found.place.clone();
            said.attrs = found.attrs.iter().take(ATTRS_MAX).cloned().collect();
            if said.waypoint.as_str() != waypoint {
                said.waypoint = Line::new(waypoint, SHORT_MAX);
            }
        }
        known.is_none()
    }
}
