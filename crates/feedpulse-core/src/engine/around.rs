//! What is remembered of probes, heartbeats and consumer groups; plain data with its own small rules.

use super::probes::Held;
use crate::codes::Code;
use crate::finding::Subject;
use crate::forecast;
use crate::label::Label;
use crate::plan::FeedId;
use crate::probe::{Known, Offsets, ProbePlan};
use crate::schedule::Watch;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Numbers that are kept of a part.
const LOOKS: usize = 24;
/// Below so many nothing is foreseen.
const LEAST: usize = 8;
/// Of so many evaluations so many must foresee a breach.
const FORESEEN: (u8, u8) = (3, 4);
/// Commits and looks by which a consumer group is judged, as Burrow does.
const WINDOW: usize = 10;
/// A group without members is stopped after so many looks with records to read.
const ABANDONED: usize = 3;

/// What surrounds the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    /// Probes by name.
    pub probes: BTreeMap<Label, ProbeState>,
    /// Heartbeats by name.
    pub beats: BTreeMap<Label, Beating>,
    /// When a message of a feed is due, where the plan says so.
    pub feeds: BTreeMap<FeedId, Watch>,
    /// What holds.
    pub raised: BTreeSet<(Subject, Code)>,
    /// The latest tick.
    pub ticked: Option<Timestamp>,
}

/// One probe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeState {
    /// The latest result.
    pub at: Option<Timestamp>,
    /// Its parts, at most [`crate::probe::PARTS_MAX`].
    pub parts: BTreeMap<Label, Part>,
    /// Since when nothing holds of it; None while something does, and before the first result.
    pub well: Option<Timestamp>,
}

/// One part of a probe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// What was checked.
    pub checks: BTreeMap<Code, History>,
    /// The latest number, as it is judged.
    pub value: Option<f64>,
    /// The latest number as it was read, of those that only grow.
    pub raw: Option<(Timestamp, f64)>,
    /// The last numbers.
    pub looks: VecDeque<(Timestamp, f64)>,
    /// Seconds until the number reaches `breach`, as last reckoned.
    pub breach_s: Option<f32>,
    /// When its certificate ends.
    pub ends: Option<Timestamp>,
    /// What stays the same until somebody changes it.
    pub known: BTreeMap<Known, Label>,
    /// A consumer group.
    pub group: Option<Group>,
    /// Whole looks in a row that did not see it: what was removed is forgotten.
    pub absent: u8,
}

/// The last results of one check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Newest in bit 0; 1 = bad.
    pub bits: u32,
    /// The first bad one of those that count.
    pub since: Option<Timestamp>,
    /// It is a finding.
    pub holds: bool,
    /// Class of the latest failure.
    pub class: Label,
}

impl History {
    /// Adds a result: `fails` of the last so many bad ones begin it, so many good ones in a row end it.
    pub(super) fn note(
        &mut self,
        fails: (u8, u8),
        recovers: u8,
        at: Timestamp,
        failed: Option<Label>,
    ) {
        let newest =
            |n: u8| u32::MAX.checked_shr(32 - u32::from(n.clamp(1, 32))).unwrap_or(u32::MAX);
        self.bits = self.bits << 1 | u32::from(failed.is_some());
        let counted = self.bits & newest(fails.1);
        if let Some(class) = failed {
            self.since = self.since.or(Some(at));
            self.class = class;
        }
        self.holds |= counted.count_ones() >= u32::from(fails.0.max(1));
        if self.bits & newest(recovers) == 0 {
            self.holds = false;
        }
        if !self.holds && counted == 0 {
            self.since = None;
        }
    }
}

impl Part {
    /// Takes a number: its limits, and where it goes.
    pub(super) fn number(&mut self, plan: &ProbePlan, at: Timestamp, read: f64) {
        let before = self.raw.replace((at, read));
        self.value = match (plan.growth, before) {
            (false, _) => Some(read),
            // One that was set back begins anew.
            (true, Some((then, was))) if at > then && read >= was => {
                Some((read - was) * 60.0 / at.since(then).as_secs_f64())
            }
            (true, _) => None,
        };
        let Some(value) = self.value else { return };
        if plan.over.or(plan.under).is_some() {
            let class = match () {
                () if plan.over.is_some_and(|limit| value > limit) => Some("over"),
                () if plan.under.is_some_and(|limit| value < limit) => Some("under"),
                () => None,
            };
            let bad = self.checks.entry(Code::NumberBad).or_default();
            bad.note(plan.fails, plan.recovers, at, class.map(Label::from));
        }
        if let Some(limit) = plan.breach {
            if self.looks.len() == LOOKS {
                self.looks.pop_front();
            }
            self.looks.push_back((at, value));
            self.breach_s = self.reaches(limit);
            let soon = self.breach_s.is_some_and(|s| s <= plan.horizon.as_secs_f32());
            let growing = self.checks.entry(Code::NumberGrowing).or_default();
            growing.note(FORESEEN, 2, at, soon.then(|| Label::from("grows")));
        }
    }

    /// Seconds until the number reaches a limit; 0 when it has; None when it does not grow.
    fn reaches(&self, limit: f64) -> Option<f32> {
        let (first, (_, value)) = (self.looks.front()?.0, *self.looks.back()?);
        if value >= limit {
            return Some(0.0);
        }
        if self.looks.len() < LEAST {
            return None;
        }
        let points: Vec<(f32, f32)> =
            self.looks.iter().map(|(at, v)| (at.since(first).as_secs_f32(), *v as f32)).collect();
        // What has begun to drain grows no more, whatever came before.
        let lately = points.get(points.len() - LEAST..).unwrap_or_default();
        let growth = forecast::slope_of(&points).min(forecast::slope_of(lately));
        (growth > 0.0).then(|| (limit - value) as f32 / growth)
    }
}

/// One heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beating {
    /// When it is due.
    pub watch: Watch,
    /// The latest that ended, well or not.
    pub last: Option<Timestamp>,
    /// It runs since.
    pub started: Option<Timestamp>,
    /// It fails since.
    pub failed: Option<Timestamp>,
    /// Since when nothing holds of it; None while something does, and before its first word.
    pub well: Option<Timestamp>,
}

/// A consumer group at one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The last looks: committed offset, and records behind.
    pub looks: VecDeque<(Timestamp, i64, i64)>,
    /// The last commits that moved it.
    pub commits: VecDeque<(Timestamp, i64)>,
    /// How it is.
    pub status: GroupStatus,
    /// Since when.
    pub since: Timestamp,
    /// Age of the record at the committed offset in µs, if known.
    pub age: Option<u64>,
}

/// How a consumer group is; names and order of the rules as in linkedin/Burrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupStatus {
    /// It reads, or has nothing to read.
    #[default]
    Ok,
    /// It reads, never caught up, and falls behind.
    Warning,
    /// It has members and goes nowhere.
    Stalled,
    /// It commits no more.
    Stopped,
    /// A committed offset fell.
    Rewind,
}

impl GroupStatus {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "falls behind",
            Self::Stalled => "stalled",
            Self::Stopped => "stopped",
            Self::Rewind => "rewind",
        }
    }
}

impl Group {
    /// Records behind, at the last look.
    pub(super) fn behind(&self) -> u64 {
        self.looks.back().map_or(0, |(_, _, lag)| u64::try_from(*lag).unwrap_or(0))
    }

    /// Takes a look and judges.
    pub(super) fn look(&mut self, plan: &ProbePlan, at: Timestamp, offsets: Offsets) {
        let committed = offsets.committed.unwrap_or(offsets.low);
        let lag = offsets.end.saturating_sub(committed.max(offsets.low)).max(0);
        self.age = offsets.age.and_then(|age| u64::try_from(age.as_micros()).ok());
        let moved = self.looks.back().is_some_and(|(_, before, _)| *before != committed);
        if moved {
            push(&mut self.commits, (at, committed));
        }
        push(&mut self.looks, (at, committed, lag));
        let status =
            self.judge(i64::try_from(plan.allowed_lag).unwrap_or(i64::MAX), at, offsets.members);
        if status != self.status {
            (self.status, self.since) = (status, at);
        }
    }

    fn judge(&self, allowed: i64, now: Timestamp, members: Option<u32>) -> GroupStatus {
        let Some((_, committed, lag)) = self.looks.back().copied() else { return GroupStatus::Ok };
        if lag <= allowed {
            return GroupStatus::Ok;
        }
        let waits = |look: &&(Timestamp, i64, i64)| look.1 == committed && look.2 > allowed;
        let still = self.looks.iter().rev().take_while(waits).count();
        let known = self.commits.front().zip(self.commits.back());
        let quiet = known
            .filter(|_| self.commits.len() > 1)
            .map(|(first, last)| now.since(last.0) > last.0.since(first.0));
        // Of one that was never seen to commit, a whole window must have passed.
        let quiet = quiet.unwrap_or(still >= WINDOW) && still >= ABANDONED;
        let abandoned = members == Some(0) && still >= ABANDONED;
        if abandoned || quiet {
            let runs = members.is_some_and(|members| members > 0);
            return if runs { GroupStatus::Stalled } else { GroupStatus::Stopped };
        }
        let top = self.commits.iter().map(|(_, offset)| *offset).max();
        if top.is_some_and(|top| committed < top) {
            return GroupStatus::Rewind;
        }
        let whole = self.looks.len() == WINDOW && self.looks.iter().all(|look| look.2 > allowed);
        let pairs = || self.looks.iter().zip(self.looks.iter().skip(1));
        let falls = pairs().all(|(a, b)| b.2 >= a.2) && pairs().any(|(a, b)| b.2 > a.2);
        if whole && falls { GroupStatus::Warning } else { GroupStatus::Ok }
    }

    /// Its finding.
    pub(super) fn holds(&self) -> Option<Held> {
        let code = match self.status {
            GroupStatus::Ok => return None,
            GroupStatus::Warning => Code::GroupBehind,
            GroupStatus::Stalled | GroupStatus::Stopped | GroupStatus::Rewind => Code::GroupStopped,
        };
        Some(self.told(Held::new(code, self.since, Label::from(self.status.name()))))
    }

    /// With its numbers.
    pub(super) fn told(&self, held: Held) -> Held {
        let lag = self.looks.back().map_or(0, |look| look.2);
        let age = self.age.map_or(f64::NAN, |micros| micros as f64 / 1e6);
        held.with("behind_total", lag as f64).with("oldest_s", age)
    }
}

/// The oldest of a whole window goes.
fn push<T>(window: &mut VecDeque<T>, one: T) {
    if window.len() == WINDOW {
        window.pop_front();
    }
    window.push_back(one);
}
