//! Turns attempts into the state of a part of Feedpulse: failing after two failed attempts in a row
//! or five seconds of failure, well again on the first success.

use crate::OwnReporter;
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::input::OwnState;
use feedpulse_core::label::Label;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Failed attempts in a row that make a failure.
const ATTEMPTS: u32 = 2;
/// Time since the start of the first failed attempt that makes a failure.
const AFTER: Duration = Duration::from_secs(5);
/// How often a lasting failure is said again, with the count of what was dropped.
const AGAIN: Duration = Duration::from_secs(30);

/// When a part counts as failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Any member fails: the signals of one collector.
    Any,
    /// All members fail: the replicas of one cluster.
    All,
}

#[derive(Clone, Copy, Default)]
struct Member {
    attempts: u32,
    since: Option<Instant>,
    failing: bool,
    dropped: u64,
}

struct State {
    members: Vec<Member>,
    failing: bool,
    detail: Label,
    said: Option<Instant>,
}

/// One part with one or more members that work or fail on their own.
#[derive(Clone)]
pub(crate) struct Health {
    part: Label,
    code: Code,
    rule: Rule,
    report: OwnReporter,
    state: Arc<Mutex<State>>,
}

impl core::fmt::Debug for Health {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Health").field("part", &self.part).finish_non_exhaustive()
    }
}

impl Health {
    pub(crate) fn new(
        part: &str,
        code: Code,
        members: usize,
        rule: Rule,
        report: OwnReporter,
    ) -> Self {
        let state = State {
            members: vec![Member::default(); members],
            failing: false,
            detail: Label::EMPTY,
            said: None,
        };
        Self { part: Label::from(part), code, rule, report, state: Arc::new(Mutex::new(state)) }
    }

    /// An attempt of a member worked.
    pub(crate) fn worked(&self, member: usize) {
        self.update(|state| {
            if let Some(member) = state.members.get_mut(member) {
                *member = Member { dropped: member.dropped, ..Member::default() };
            }
        });
    }

    /// An attempt of a member that began at `began` failed; `dropped` = all it dropped so far.
    pub(crate) fn failed(&self, member: usize, began: Instant, detail: Label, dropped: u64) {
        self.update(|state| {
            if let Some(member) = state.members.get_mut(member) {
                member.attempts = member.attempts.saturating_add(1);
                let since = *member.since.get_or_insert(began);
                member.failing |= member.attempts >= ATTEMPTS || since.elapsed() >= AFTER;
                member.dropped = dropped;
            }
            state.detail = detail;
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let failing = match self.rule {
            Rule::Any => state.members.iter().any(|m| m.failing),
            Rule::All => state.members.iter().all(|m| m.failing),
        };
        let again = failing && state.said.is_some_and(|said| said.elapsed() >= AGAIN);
        if failing == state.failing && !again {
            return;
        }
        state.failing = failing;
        state.said = Some(Instant::now());
        let own = OwnState {
            part: self.part,
            code: self.code,
            failing,
            detail: if failing { state.detail } else { Label::EMPTY },
            dropped: state.members.iter().map(|m| m.dropped).sum(),
        };
        drop(state);
        (self.report)(own);
    }
}
