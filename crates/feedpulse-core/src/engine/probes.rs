//! What surrounds the stream: results of probes and heartbeats become findings, with hysteresis, so
//! that one lost packet is no incident.

use super::Engine;
use super::around::{Beating, Group, Part, ProbeState};
use super::grouping::system;
use super::state::State;
use crate::cause::Clue;
use crate::codes::{Code, Severity};
use crate::effect::{Change, Effects};
use crate::finding::{Evidence, Finding, FindingState, Subject};
use crate::frame::WaypointId;
use crate::label::Label;
use crate::plan::{FeedId, Plan};
use crate::probe::{About, Beat, HeartbeatPlan, Known, PARTS_MAX, ProbePlan, Probed, Reading, Saw};
use crate::schedule::Watch;
use crate::time::Timestamp;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A part that so many whole looks did not see is gone.
const ABSENT: u8 = 3;
/// No tick for longer than this: nobody could say anything to us in that time.
const AWAY: Duration = Duration::from_secs(5);

impl Engine {
    /// Takes a probe's result, or what a job said. Results of a probe that the plan has not are those
    /// of an earlier configuration.
    pub(super) fn probed(&mut self, probed: &Probed, fx: &mut Effects) {
        let plan = Arc::clone(&self.s.plan);
        if let Some(beat) = plan.heartbeats.iter().find(|h| h.name == probed.probe) {
            self.beat(beat, probed);
            return;
        }
        let Some(probe) = plan.probes.iter().find(|p| p.name == probed.probe) else { return };
        let state = self.s.around.probes.entry(probe.name).or_default();
        state.at = Some(probed.at);
        state.forget(&probed.readings);
        let changes: Vec<(Known, Label)> = probed
            .readings
            .iter()
            .take(PARTS_MAX * 4)
            .filter_map(|reading| state.read(probe, reading, probed.at))
            .collect();
        for (what, part) in changes {
            self.changed_around(probe, what, part, probed.at, fx);
        }
    }

    /// Something that stays the same was changed: a mark in the timeline, and a finding of its own.
    fn changed_around(
        &mut self,
        probe: &ProbePlan,
        what: Known,
        part: Label,
        at: Timestamp,
        fx: &mut Effects,
    ) {
        let (code, kind) = match what {
            Known::Certificate => (Code::CertificateChanged, "certificate"),
            Known::Address => (Code::MailMoved, "address"),
        };
        self.changed(Change { at, kind: Label::from(kind), what: probe.name });
        let subject = subject_of(&self.s, &probe.about, probe.name);
        let severity = probe.severity.unwrap_or(code.text().severity);
        let detail = detail(subject, probe.name, part, Label::EMPTY);
        let state = FindingState::Happened;
        let evidence = Vec::new();
        self.take(Finding { code, subject, severity, state, since: at, evidence, detail }, fx);
    }

    fn beat(&mut self, plan: &HeartbeatPlan, probed: &Probed) {
        let calendar = &self.s.plan.calendar;
        let said = probed.readings.iter().find_map(|reading| match reading.saw {
            Saw::Beat(beat) => Some(beat),
            _ => None,
        });
        let (Some(said), Some(state)) = (said, self.s.around.beats.get_mut(&plan.name)) else {
            return;
        };
        match said {
            Beat::Start => state.started = Some(probed.at),
            Beat::Ok | Beat::Fail => {
                state.started = None;
                state.last = Some(probed.at);
                state.failed = (said == Beat::Fail).then(|| state.failed.unwrap_or(probed.at));
                state.watch.came(&plan.rule, calendar, probed.at);
            }
        }
    }

    /// A new plan: what it has not is forgotten, what it has anew begins now.
    pub(super) fn configure_around(&mut self, plan: &Plan) {
        let now = self.s.now;
        let around = &mut self.s.around;
        around.probes.retain(|name, _| plan.probes.iter().any(|p| p.name == *name));
        around.beats.retain(|name, _| plan.heartbeats.iter().any(|h| h.name == *name));
        for beat in &plan.heartbeats {
            let fresh = || Beating {
                watch: Watch::new(&beat.rule, &plan.calendar, now),
                ..Beating::default()
            };
            let state = around.beats.entry(beat.name).or_insert_with(fresh);
            state.watch.reckon(&beat.rule, &plan.calendar);
        }
    }

    /// Once a second: what came while nobody ran is not known.
    pub(super) fn watch_around(&mut self) {
        let (now, plan) = (self.s.now, Arc::clone(&self.s.plan));
        let around = &mut self.s.around;
        if let Some(before) = around.ticked.replace(now)
            && now.since(before) > AWAY
        {
            for beat in &plan.heartbeats {
                let Some(state) = around.beats.get_mut(&beat.name) else { continue };
                if state.watch.missed(before, beat.grace).is_none() {
                    state.watch.blind(&beat.rule, &plan.calendar, (before, now), beat.grace);
                }
                // That it ended may have been said as well.
                state.started = state.started.filter(|at| before.since(*at) > beat.longest);
            }
        }
    }
}

/// What a finding of a probe is about.
pub(super) fn subject_of(s: &State, about: &About, name: Label) -> Subject {
    let number = |n: usize| WaypointId(u16::try_from(n).unwrap_or(u16::MAX));
    let found = match about {
        About::Itself => None,
        About::Waypoint(waypoint) => Some(Subject::Waypoint(*waypoint)),
        About::Feed(feed) => {
            let place = s.feeds.iter().position(|f| f.name == *feed);
            place.map(|n| Subject::Feed(FeedId(u32::try_from(n).unwrap_or(u32::MAX))))
        }
        About::System(name) => {
            let mut places = (0..s.plan.waypoints.len()).map(number);
            places.find(|w| system(s, *w) == Some(*name)).map(Subject::Waypoint)
        }
    };
    found.unwrap_or(Subject::Probe(name))
}

/// `probe part: class`, without the name where it is the subject's own.
fn detail(subject: Subject, probe: Label, part: Label, class: Label) -> Label {
    let name = if matches!(subject, Subject::Probe(_)) { "" } else { probe.as_str() };
    let words: Vec<&str> =
        [name, part.as_str(), class.as_str()].into_iter().filter(|word| !word.is_empty()).collect();
    Label::from(words.join(" ").as_str())
}

/// A condition of one part that holds.
pub(super) struct Held {
    pub(super) code: Code,
    pub(super) severity: Severity,
    pub(super) since: Timestamp,
    evidence: Vec<(&'static str, f64)>,
    pub(super) class: Label,
}

impl Held {
    pub(super) fn new(code: Code, since: Timestamp, class: Label) -> Self {
        Self { code, severity: code.text().severity, since, evidence: Vec::new(), class }
    }

    pub(super) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.evidence.push((name, value));
        self
    }

    pub(super) const fn at_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// Everything that holds now, each as one finding for its subject; and the end of what did.
pub(crate) fn findings(s: &mut State, out: &mut Vec<Finding>) {
    let (plan, now) = (Arc::clone(&s.plan), s.now);
    let mut all: BTreeMap<(Subject, Code), (Finding, u32)> = BTreeMap::new();
    for probe in &plan.probes {
        let Some(state) = s.around.probes.get_mut(&probe.name) else { continue };
        let good = state.parts.values().all(|part| part.holds(probe, now).is_empty());
        state.well = state.well.or(state.at).filter(|_| good);
        let Some(state) = s.around.probes.get(&probe.name) else { continue };
        let subject = subject_of(s, &probe.about, probe.name);
        for (part, held) in state.parts.iter().flat_map(|(name, part)| {
            part.holds(probe, now).into_iter().map(move |held| (*name, held))
        }) {
            join(&mut all, subject, (probe.name, probe.severity), part, held);
        }
    }
    for beat in &plan.heartbeats {
        let Some(state) = s.around.beats.get_mut(&beat.name) else { continue };
        let good = state.holds(beat, now).is_empty();
        state.well = state.well.or(state.heard()).filter(|_| good);
        let Some(state) = s.around.beats.get(&beat.name) else { continue };
        let subject = subject_of(s, &beat.about, beat.name);
        for held in state.holds(beat, now) {
            join(&mut all, subject, (beat.name, beat.severity), Label::EMPTY, held);
        }
    }
    let over: Vec<(Subject, Code)> =
        s.around.raised.iter().filter(|key| !all.contains_key(key)).copied().collect();
    for (subject, code) in over {
        s.around.raised.remove(&(subject, code));
        out.push(Finding {
            code,
            subject,
            severity: code.text().severity,
            state: FindingState::Cleared,
            since: now,
            evidence: Vec::new(),
            detail: Label::EMPTY,
        });
    }
    s.around.raised.extend(all.keys().copied());
    out.extend(all.into_values().map(|(mut finding, parts)| {
        if parts > 1 {
            finding.evidence.push(Evidence { name: "failing_total", value: f64::from(parts) });
        }
        finding
    }));
}

/// The loudest of what one subject has of one code leads; of equal ones the first.
fn join(
    all: &mut BTreeMap<(Subject, Code), (Finding, u32)>,
    subject: Subject,
    (name, severity): (Label, Option<Severity>),
    part: Label,
    held: Held,
) {
    let evidence = held.evidence.iter().filter(|(_, value)| value.is_finite());
    let finding = Finding {
        code: held.code,
        subject,
        severity: severity.unwrap_or(held.severity),
        state: FindingState::Raised,
        since: held.since,
        evidence: evidence.map(|(name, value)| Evidence { name, value: *value }).collect(),
        detail: detail(subject, name, part, held.class),
    };
    match all.get_mut(&(subject, held.code)) {
        None => {
            all.insert((subject, held.code), (finding, 1));
        }
        Some((led, parts)) => {
            *parts += 1;
            if (finding.severity, led.since) > (led.severity, finding.since) {
                *led = finding;
            }
        }
    }
}

impl Beating {
    /// Its latest word.
    pub(super) fn heard(&self) -> Option<Timestamp> {
        self.last.max(self.started)
    }

    pub(super) fn holds(&self, plan: &HeartbeatPlan, now: Timestamp) -> Vec<Held> {
        let mut held = Vec::new();
        match self.started {
            // What runs is not missing.
            Some(at) if now.since(at) > plan.longest => held.push(
                Held::new(Code::BeatLong, at, Label::EMPTY)
                    .with("limit_s", plan.longest.as_secs_f64()),
            ),
            Some(_) => {}
            None => {
                if let Some(due) = self.watch.missed(now, plan.grace) {
                    let silent = self.last.map_or(f64::NAN, |at| now.since(at).as_secs_f64());
                    held.push(
                        Held::new(Code::BeatMissing, due.at, Label::EMPTY)
                            .with("late_s", now.since(due.at).as_secs_f64())
                            .with("silent_s", silent),
                    );
                }
            }
        }
        if let Some(at) = self.failed {
            held.push(Held::new(Code::BeatFailed, at, Label::EMPTY));
        }
        held
    }
}

/// The signs that probes of an incident's subjects show.
pub(super) fn clues(s: &State, subjects: &[Subject]) -> Vec<Clue> {
    let mut clues = Vec::new();
    for probe in &s.plan.probes {
        let Some(state) = s.around.probes.get(&probe.name) else { continue };
        if !subjects.contains(&subject_of(s, &probe.about, probe.name)) {
            continue;
        }
        for held in state.parts.values().flat_map(|part| part.holds(probe, s.now)) {
            if let Some(clue) = clue(&held)
                && !clues.contains(&clue)
            {
                clues.push(clue);
            }
        }
    }
    clues
}

fn clue(held: &Held) -> Option<Clue> {
    Some(match held.code {
        Code::ProbeFailed => match held.class.as_str() {
            "refused" => Clue::ProbeRefused,
            "timeout" | "unreachable" => Clue::ProbeUnanswered,
            "dns" => Clue::NameUnknown,
            "expired" => Clue::CertificateOver,
            "tls" | "untrusted" | "name" | "not yet valid" => Clue::CertificateRefused,
            class if class.starts_with("http-5") => Clue::ServerErrors,
            _ => return None,
        },
        Code::CertificateExpires if held.class.as_str() == "expired" => Clue::CertificateOver,
        Code::NumberGrowing | Code::NumberBad => Clue::QueueFull,
        Code::PartStopped => Clue::PartStopped,
        Code::GroupStopped => Clue::ReaderStopped,
        Code::GroupBehind => Clue::ReaderBehind,
        _ => return None,
    })
}

impl ProbeState {
    /// Forgets parts that are gone: three looks that saw all there is did not see them.
    fn forget(&mut self, readings: &[Reading]) {
        let whole = |r: &Reading| match r.saw {
            Saw::Check { code: Code::ProbeFailed | Code::ProbeBlind, failed } => {
                Some(failed.is_none())
            }
            _ => None,
        };
        let mut whole = readings.iter().filter_map(whole).peekable();
        if whole.peek().is_none() || !whole.all(|good| good) {
            return;
        }
        self.parts.retain(|name, part| {
            let seen = readings.iter().any(|r| r.part == *name);
            part.absent = if seen { 0 } else { part.absent.saturating_add(1) };
            part.absent < ABSENT
        });
    }

    /// Takes one reading; says what has changed that stays the same.
    fn read(
        &mut self,
        plan: &ProbePlan,
        reading: &Reading,
        at: Timestamp,
    ) -> Option<(Known, Label)> {
        if !self.parts.contains_key(&reading.part) && self.parts.len() >= PARTS_MAX {
            return None;
        }
        let part = self.parts.entry(reading.part).or_default();
        match reading.saw {
            Saw::Check { code, failed } if is_checked(code) => {
                part.checks.entry(code).or_default().note(plan.fails, plan.recovers, at, failed);
            }
            Saw::Check { .. } | Saw::Beat(_) => {}
            Saw::Number(value) if value.is_finite() => part.number(plan, at, value),
            Saw::Number(_) => {}
            Saw::Ends(end) => part.ends = Some(end),
            Saw::Known { what, value } => {
                let before = part.known.insert(what, value);
                if before.is_some_and(|before| before != value) {
                    return Some((what, reading.part));
                }
            }
            Saw::Group(offsets) => {
                let group = part.group.get_or_insert_with(Group::default);
                group.look(plan, at, offsets);
                let old = offsets.age.zip(plan.behind).is_some_and(|(age, limit)| age > limit);
                let failed = old.then(|| Label::from("old"));
                let behind = part.checks.entry(Code::GroupBehind).or_default();
                behind.note(plan.fails, plan.recovers, at, failed);
            }
        }
        None
    }
}

/// What a check of a probe may find.
const fn is_checked(code: Code) -> bool {
    matches!(
        code,
        Code::ProbeFailed
            | Code::ProbeBlind
            | Code::MailBlocked
            | Code::MailNames
            | Code::PartStopped
    )
}

impl Part {
    /// What holds of this part.
    pub(super) fn holds(&self, plan: &ProbePlan, now: Timestamp) -> Vec<Held> {
        let mut held: Vec<Held> = Vec::new();
        for (code, history) in self.checks.iter().filter(|(_, history)| history.holds) {
            let mut one = Held::new(*code, history.since.unwrap_or(now), history.class);
            if matches!(code, Code::NumberBad | Code::NumberGrowing) {
                one = one.with("value", self.value.unwrap_or(f64::NAN));
                one = one.with("limit", plan.over.or(plan.under).unwrap_or(f64::NAN));
            }
            if *code == Code::NumberGrowing {
                one = one.with("breach_s", self.breach_s.map_or(f64::NAN, f64::from));
            }
            if let Some(group) = self.group.as_ref().filter(|_| *code == Code::GroupBehind) {
                one = group.told(one);
            }
            held.push(one);
        }
        if let Some(end) = self.ends
            && end.since(now) <= plan.ticket_before
        {
            let over = end <= now;
            let class = Label::from(if over { "expired" } else { "" });
            let loud =
                if end.since(now) <= plan.page_before { Severity::Page } else { Severity::Ticket };
            let since = end.minus(plan.ticket_before);
            held.push(
                Held::new(Code::CertificateExpires, since, class)
                    .at_severity(loud)
                    .with("days_left_total", (end.since(now).as_secs_f64() / 86_400.0).floor()),
            );
        }
        held.extend(self.group.as_ref().and_then(Group::holds));
        held
    }
}

/// The names of what is watched, for pages.
pub(super) fn name_of(s: &State, name: Label) -> String {
    let is_beat = s.plan.heartbeats.iter().any(|h| h.name == name);
    format!("{} {name}", if is_beat { "heartbeat" } else { "probe" })
}
