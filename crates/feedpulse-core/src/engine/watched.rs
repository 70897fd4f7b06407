//! The picture of probes and heartbeats: how each is, since when, and what it last said.

use super::around::{Beating, ProbeState};
use super::probes::{Held, subject_of};
use super::state::State;
use super::story;
use crate::codes::Severity;
use crate::effect::IncidentState;
use crate::finding::Subject;
use crate::label::Label;
use crate::probe::{About, HeartbeatPlan, ProbePlan};
use crate::view::{FeedState, ProbeView};
use core::cmp::Reverse;

/// All of them: the loudest first, then by name.
pub(super) fn views(s: &State) -> Vec<ProbeView> {
    let nothing = (ProbeState::default(), Beating::default());
    let probes = s.plan.probes.iter().map(|plan| {
        let state = s.around.probes.get(&plan.name).unwrap_or(&nothing.0);
        probe(s, plan, state)
    });
    let beats = s.plan.heartbeats.iter().map(|plan| {
        let state = s.around.beats.get(&plan.name).unwrap_or(&nothing.1);
        beat(s, plan, state)
    });
    let mut views: Vec<ProbeView> = probes.chain(beats).collect();
    views.sort_by_key(|view| (Reverse(view.state), view.name));
    views
}

fn blank(s: &State, name: Label, about: &About) -> ProbeView {
    let subject = subject_of(s, about, name);
    let itself = matches!(subject, Subject::Probe(_));
    ProbeView {
        name,
        heartbeat: false,
        about: (!itself).then(|| story::name_of(s, subject)),
        state: None,
        code: None,
        why: String::new(),
        since: None,
        seen: None,
        value: None,
        behind: None,
        ends: None,
        running: None,
        due: None,
        parts: (0, 0),
        incident: None,
    }
}

/// What holds of it, the loudest leading; of equal ones the first. Else that all is well.
fn lead<'h>(
    s: &State,
    view: &mut ProbeView,
    (about, severity): (&About, Option<Severity>),
    held: impl Iterator<Item = &'h (Label, Held)>,
) {
    let loud = |held: &Held| severity.unwrap_or(held.severity);
    let Some((part, led)) = held.min_by_key(|(_, held)| (Reverse(loud(held)), held.since)) else {
        view.state = view.seen.map(|_| FeedState::Ok);
        return;
    };
    view.state = Some(match loud(led) {
        Severity::Note => FeedState::Note,
        Severity::Ticket => FeedState::Ticket,
        Severity::Page => FeedState::Page,
    });
    view.code = Some(led.code);
    view.since = Some(led.since);
    let words = [part.as_str(), led.class.as_str()].into_iter().filter(|word| !word.is_empty());
    view.why = words.collect::<Vec<_>>().join(" ");
    let key = (subject_of(s, about, view.name), led.code);
    let of = |i: &&super::state::Incident| {
        i.state == IncidentState::Open && i.members.contains_key(&key)
    };
    view.incident = s.incidents.values().find(of).map(|incident| incident.id);
}

fn probe(s: &State, plan: &ProbePlan, state: &ProbeState) -> ProbeView {
    let mut view = blank(s, plan.name, &plan.about);
    let parts = || state.parts.iter();
    (view.seen, view.since) = (state.at, state.well);
    let held: Vec<(Label, Held)> = parts()
        .flat_map(|(name, part)| part.holds(plan, s.now).into_iter().map(|h| (*name, h)))
        .collect();
    let failing = parts().filter(|(name, _)| held.iter().any(|(part, _)| part == *name)).count();
    view.parts = (state.parts.len(), failing);
    view.ends = parts().filter_map(|(_, part)| part.ends).min();
    let behind = parts().filter_map(|(_, part)| part.group.as_ref());
    view.behind = behind.map(super::around::Group::behind).reduce(u64::saturating_add);
    // The number of what is wrong, else the first one.
    let wrong = held.iter().filter_map(|(name, _)| state.parts.get(name)?.value);
    view.value = wrong.chain(parts().filter_map(|(_, part)| part.value)).next();
    lead(s, &mut view, (&plan.about, plan.severity), held.iter());
    view
}

fn beat(s: &State, plan: &HeartbeatPlan, state: &Beating) -> ProbeView {
    let mut view = blank(s, plan.name, &plan.about);
    view.heartbeat = true;
    (view.seen, view.since) = (state.heard(), state.well);
    (view.running, view.due) = (state.started, state.watch.due.map(|due| due.at));
    let held: Vec<(Label, Held)> =
        state.holds(plan, s.now).into_iter().map(|held| (Label::EMPTY, held)).collect();
    view.parts = (1, usize::from(!held.is_empty()));
    lead(s, &mut view, (&plan.about, plan.severity), held.iter());
    view
}
