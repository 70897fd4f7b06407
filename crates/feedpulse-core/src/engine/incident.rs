//! One incident's own state: whose findings hold, what leads, when it is calm.

use super::incidents::is_symptom;
use super::shapes::{NEWS_MAX, News};
use crate::codes::{Code, Severity};
use crate::desk::Judgement;
use crate::effect::{Cause, IncidentFinding, IncidentState, Moment, MomentKind};
use crate::finding::{Finding, FindingState, Subject};
use crate::label::Label;
use crate::said::CheckCodes;
use crate::time::Timestamp;
use core::time::Duration;
use std::collections::BTreeMap;

/// A ticket must hold this long before people are told; a page is told at once.
const SURE_AFTER: Duration = Duration::from_secs(3);
/// A feed's suffering waits so long for a finding that explains it.
const SYMPTOM_SURE_AFTER: Duration = Duration::from_secs(15);
/// What was over for longer than this explains nothing that begins now.
const RECENT: Duration = Duration::from_secs(60);
/// Something that only happened keeps its incident open this long.
const HAPPENED_FOR: Duration = Duration::from_secs(60);
/// Moments kept: the first half stays, the rest are the latest.
const MOMENTS_KEPT: usize = 64;

/// An incident that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its number.
    pub id: u64,
    /// Pending or open.
    pub state: IncidentState,
    /// Loudest so far.
    pub severity: Severity,
    /// The code that leads it.
    pub code: Code,
    /// First finding.
    pub since: Timestamp,
    /// When its first finding was said.
    pub begun: Timestamp,
    /// When people were told.
    pub opened_at: Option<Timestamp>,
    /// Its findings, over all subjects.
    pub findings: BTreeMap<Code, IncidentFinding>,
    /// Whose findings they are, and whether each holds.
    pub members: BTreeMap<(Subject, Code), bool>,
    /// When each finding that only happened stops counting.
    pub lapses: BTreeMap<(Subject, Code), Timestamp>,
    /// Since when no finding holds.
    pub calm_since: Option<Timestamp>,
    /// How often it was calm and came back.
    pub flaps: u32,
    /// What happened to it, in order.
    pub timeline: Vec<Moment>,
    /// Why, as far as the surest hint so far.
    pub cause: Option<Cause>,
    /// Who took it.
    pub claimed_by: Label,
    /// No notices until then.
    pub muted_until: Option<Timestamp>,
    /// The severity that was said last, and whether in shadow only; None before it opened.
    pub said: Option<(Severity, bool)>,
    /// Whether it was worth a notice, as an operator said last.
    pub verdict: Option<Judgement>,
    /// Messages waited because of it, and not all of them have come to their end.
    pub waits: bool,
    /// What is new in messages or gone, at most 48.
    pub news: Vec<News>,
    /// What its check said.
    pub check_codes: CheckCodes,
    /// Findings of its check when it was told last: it is told again when they are twice as many.
    pub told_codes: u32,
}

/// Writes something into a timeline, in order of time.
pub(super) fn write_down(timeline: &mut Vec<Moment>, at: Timestamp, what: MomentKind) {
    if timeline.len() == MOMENTS_KEPT {
        timeline.remove(MOMENTS_KEPT / 2);
    }
    let place = timeline.partition_point(|moment| moment.at <= at);
    timeline.insert(place, Moment { at, what });
}

impl Incident {
    pub(super) fn new(id: u64, finding: &Finding, now: Timestamp) -> Self {
        let mut fresh = Self {
            id,
            state: IncidentState::Pending,
            severity: finding.severity,
            code: finding.code,
            since: finding.since,
            begun: now,
            opened_at: None,
            findings: BTreeMap::new(),
            members: BTreeMap::new(),
            lapses: BTreeMap::new(),
            calm_since: None,
            flaps: 0,
            timeline: Vec::new(),
            cause: None,
            claimed_by: Label::EMPTY,
            muted_until: None,
            said: None,
            verdict: None,
            waits: false,
            news: Vec::new(),
            check_codes: CheckCodes::default(),
            told_codes: 0,
        };
        fresh.note(finding.since, MomentKind::Began);
        fresh
    }

    /// Writes something down, in order of time.
    pub(super) fn note(&mut self, at: Timestamp, what: MomentKind) {
        write_down(&mut self.timeline, at, what);
    }

    /// It began earlier than was known.
    fn begin_at(&mut self, since: Timestamp) {
        if since < self.since {
            self.since = since;
            self.timeline.retain(|moment| moment.what != MomentKind::Began);
            self.note(since, MomentKind::Began);
        }
    }

    /// Whether it has held for long enough that people are told. Where incidents end sooner than a
    /// feed's suffering waits for its cause, it waits so long only.
    pub(super) fn is_sure(&self, now: Timestamp, calm_for: Duration) -> bool {
        if self.severity == Severity::Page {
            return true;
        }
        if is_symptom(self.code) {
            return now.since(self.begun) >= SYMPTOM_SURE_AFTER.min(calm_for);
        }
        now.since(self.since.min(now)) >= SURE_AFTER
    }

    /// Whether a finding of a code holds, or did a minute ago.
    pub(super) fn has(&self, wanted: impl Fn(Code) -> bool, now: Timestamp) -> bool {
        let recent = |cleared: Timestamp| now.since(cleared) <= RECENT;
        self.findings.values().any(|f| wanted(f.code) && f.cleared_at.is_none_or(recent))
    }

    /// Adds a finding; says whether people should hear of it (new code, or louder).
    pub(super) fn add(&mut self, root: Subject, finding: &Finding, now: Timestamp) -> bool {
        let member = (finding.subject, finding.code);
        if finding.state == FindingState::Cleared {
            self.clear(member, now);
            return false;
        }
        if self.calm_since.take().is_some() && self.state == IncidentState::Open {
            self.flaps = self.flaps.saturating_add(1);
            self.note(now, MomentKind::Returned);
        }
        self.members.insert(member, true);
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
        held.since = held.since.min(finding.since);
        // The numbers are those of the incident's own subject, where it has such a finding.
        if finding.subject == root || !self.members.contains_key(&(root, finding.code)) {
            held.evidence.clone_from(&finding.evidence);
            held.detail = finding.detail;
        }
        held.times = held.times.saturating_add(1);
        held.cleared_at = None;
        if finding.state == FindingState::Happened {
            self.lapses.insert(member, now.plus(HAPPENED_FOR));
        }
        self.begin_at(finding.since);
        let louder = finding.severity > self.severity;
        self.severity = self.severity.max(finding.severity);
        self.lead();
        // A check's own codes are written down each.
        if fresh && finding.code != Code::CheckFound {
            self.note(now, MomentKind::Found(finding.code));
        }
        fresh || louder
    }

    /// Remembers what is new in messages, once.
    pub(super) fn add_news(&mut self, news: News) {
        let known =
            |held: &News| (held.key, held.part, held.gone) == (news.key, news.part, news.gone);
        if self.news.len() < NEWS_MAX && !self.news.iter().any(known) {
            self.news.push(news);
        }
    }

    fn clear(&mut self, member: (Subject, Code), now: Timestamp) {
        let Some(holds) = self.members.get_mut(&member) else { return };
        *holds = false;
        let still = self.members.iter().any(|((_, code), holds)| *code == member.1 && *holds);
        if !still && let Some(held) = self.findings.get_mut(&member.1) {
            held.cleared_at = Some(now);
        }
        self.reckon_calm(now);
    }

    /// The code that leads: the first of the loudest. It changes only for a louder one, so that an
    /// alert keeps its name while what goes on under it changes.
    fn lead(&mut self) {
        let current = self.findings.get(&self.code);
        if current.is_some_and(|f| f.severity == self.severity) {
            return;
        }
        let loudest = self.findings.values().filter(|f| f.severity == self.severity);
        if let Some(lead) = loudest.min_by_key(|f| (f.since, f.code)) {
            self.code = lead.code;
        }
    }

    /// Lets what only happened lapse.
    pub(super) fn lapse(&mut self, now: Timestamp) {
        while let Some(member) = self.lapses.iter().find(|(_, at)| **at <= now).map(|(m, _)| *m) {
            self.lapses.remove(&member);
            self.clear(member, now);
        }
        self.reckon_calm(now);
    }

    fn reckon_calm(&mut self, now: Timestamp) {
        let holds = self.members.values().any(|holds| *holds);
        if !holds && self.calm_since.is_none() && self.state == IncidentState::Open {
            self.note(now, MomentKind::Calm);
        }
        self.calm_since = if holds { None } else { self.calm_since.or(Some(now)) };
    }

    /// Takes over what another incident has found: it has the same cause.
    pub(super) fn absorb(&mut self, other: Self) {
        self.begin_at(other.since);
        self.members.extend(other.members);
        self.lapses.extend(other.lapses);
        for (code, finding) in other.findings {
            self.findings.entry(code).or_insert(finding);
        }
        self.severity = self.severity.max(other.severity);
        self.calm_since = None;
        if self.claimed_by.is_empty() {
            self.claimed_by = other.claimed_by;
        }
        self.verdict = self.verdict.or(other.verdict);
        other.news.into_iter().for_each(|news| self.add_news(news));
        for moment in other.timeline {
            let began = moment.what == MomentKind::Began;
            if !began && !self.timeline.contains(&moment) {
                self.note(moment.at, moment.what);
            }
        }
    }
}
