//! Which version of each check runs, and which one was kept out and why: for the pages, the admin
//! socket and the engine.

use super::numbers::{self, Numbers, Shown};
use crate::clock;
use crate::run::side::SideBox;
use crate::version::{Facts, Refusal};
use feedpulse_core::codes::Code;
use feedpulse_core::effect::Change;
use feedpulse_core::input::{Input, OperatorAction, OwnState};
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Counter, Family};
use feedpulse_core::time::Timestamp;
use feedpulse_sinks::{Flag, SinkHandle};
use feedpulse_wasm::{Condition, Handover, Kind, Status};
use feedpulse_web::{CheckNumbers, KeptOutWire, VersionWire};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What is known of one check.
#[derive(Clone, Debug, Default)]
struct Standing {
    name: String,
    plugin: String,
    runs: Option<(Facts, Timestamp)>,
    state: Option<Handover>,
    kept_out: Option<(Refusal, Timestamp)>,
    reloads: u64,
    numbers: Numbers,
    shed: Option<Counter>,
}

/// What is known of all, shared.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    all: Arc<Mutex<Vec<Standing>>>,
    side: SideBox,
    /// Where traces are made, once that is known.
    traces: Arc<OnceLock<SinkHandle>>,
}

impl Board {
    /// Of checks by name and plugin, none of which runs yet.
    pub(crate) fn new<'a>(
        checks: impl Iterator<Item = (&'a str, &'a str)>,
        side: &SideBox,
    ) -> Self {
        let one = |(name, plugin): (&str, &str)| Standing {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            ..Standing::default()
        };
        let board = Self {
            all: Arc::new(Mutex::new(checks.map(one).collect())),
            side: side.clone(),
            traces: Arc::default(),
        };
        // What a process before this one found is over unless it is found again.
        for number in 0..u16::try_from(board.list().len()).unwrap_or(u16::MAX) {
            for code in [
                Code::CheckQuarantined,
                Code::CheckKeptOut,
                Code::CheckNotRunning,
                Code::CheckCacheForeign,
            ] {
                board.tell(number, code, None);
            }
        }
        board
    }

    fn with<T>(&self, number: u16, change: impl FnOnce(&mut Standing) -> T) -> Option<T> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(usize::from(number)).map(change)
    }

    /// A finding about a check begins, with a class, or ends.
    fn tell(&self, number: u16, code: Code, class: Option<&str>) {
        let part = self.with(number, |s| Label::distinct(&format!("check {}", s.name)));
        self.side.put(Input::Own(OwnState {
            part: part.unwrap_or(Label::EMPTY),
            code,
            failing: class.is_some(),
            detail: class.map_or(Label::EMPTY, Label::from),
            dropped: 0,
        }));
    }

    /// Findings go to the traces that are made here.
    pub(crate) fn trace_to(&self, sinks: SinkHandle) {
        sinks.expect_flags();
        let _ = self.traces.set(sinks);
    }

    /// A finding marks its message's trace.
    pub(super) fn flag(&self, key: MessageKey, flag: Flag) {
        if let Some(sinks) = self.traces.get() {
            sinks.flag(key, flag);
        }
    }

    /// A finding, by the check's own code.
    pub(super) fn found(&self, number: u16, code: Label) {
        let _ = self.with(number, |s| *s.numbers.found.entry(code).or_default() += 1);
    }

    /// Who counts the rows that a check did not get.
    pub(super) fn sheds(&self, number: u16, shed: Counter) {
        let _ = self.with(number, |s| s.shed = Some(shed));
    }

    /// A batch or a tick is done.
    pub(super) fn took(&self, number: u16, time: Duration, status: Status) {
        let quarantined = |s: &Numbers| numbers::state(true, s) == "quarantined";
        let turned = self.with(number, |standing| {
            let before = quarantined(&standing.numbers);
            standing.numbers.took(time, status);
            !before && quarantined(&standing.numbers)
        });
        if turned == Some(true) {
            tracing::error!(
                check = self.with(number, |s| s.name.clone()).unwrap_or_default(),
                "a check was set aside too often in a row; it runs no more until it is loaded again"
            );
            self.tell(number, Code::CheckQuarantined, Some("faults"));
        }
    }

    /// Every number, for metrics.
    pub(crate) fn families(&self) -> Vec<Family> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let shown: Vec<_> = all
            .iter()
            .map(|standing| Shown {
                check: &standing.name,
                runs: standing.runs.as_ref().map(|(f, _)| (f.version.as_str(), f.digest.as_str())),
                reloads: standing.reloads,
                numbers: &standing.numbers,
            })
            .collect();
        numbers::families(&shown)
    }

    /// A version runs from now on.
    pub(crate) fn runs(&self, number: u16, facts: &Facts, state: Option<Handover>) {
        let now = clock::now();
        let name = self.with(number, |standing| {
            standing.reloads += u64::from(standing.runs.is_some());
            standing.runs = Some((facts.clone(), now));
            standing.state = state;
            // The state of the one before says nothing of this one.
            standing.numbers.status = standing
                .numbers
                .status
                .map(|status| Status { condition: Condition::Ready, ..status });
            standing.name.clone()
        });
        let Some(check) = name else { return };
        tracing::info!(
            check,
            plugin = facts.name,
            version = facts.version,
            digest = facts.digest,
            cases = facts.cases,
            ms = u64::try_from(facts.took.as_millis()).unwrap_or(u64::MAX),
            "a version of a check runs{}",
            match state {
                None => "",
                Some(Handover::Kept { .. }) => "; it goes on with the state of the one before",
                Some(Handover::Dropped { .. }) =>
                    "; the state of the one before is dropped, since name or major version differ",
            }
        );
        self.tell(number, Code::CheckNotRunning, None);
        self.tell(number, Code::CheckQuarantined, None);
        if state.is_some() {
            let what = Label::distinct(&format!("{check} {}", facts.version));
            let change = Change { at: now, kind: Label::from("check"), what };
            self.side.put(Input::Operator(OperatorAction::Changed(change)));
        }
    }

    /// No version runs any more.
    pub(crate) fn stopped(&self, number: u16, class: &str) {
        let _ = self.with(number, |standing| (standing.runs, standing.state) = (None, None));
        self.tell(number, Code::CheckNotRunning, Some(class));
    }

    /// A version is not run. Where one before it runs, or is on its way, that is FP0306; where none
    /// does, the check does not run, which is FP0307 and says the more.
    pub(crate) fn kept_out(&self, number: u16, refusal: &Refusal, runs: bool) {
        let (at, kept) = (clock::now(), refusal.clone());
        let name = self.with(number, |standing| {
            standing.kept_out = Some((kept, at));
            standing.name.clone()
        });
        let Some(check) = name else { return };
        let goes_on = if runs { "the one before goes on" } else { "none runs" };
        tracing::error!(
            check,
            class = refusal.class,
            "a version is kept out; {goes_on}: {refusal}"
        );
        let class = Some(refusal.class);
        self.tell(number, Code::CheckKeptOut, class.filter(|_| runs));
        self.tell(number, Code::CheckNotRunning, class.filter(|_| !runs));
    }

    /// Nothing is kept out any more: what lies there is what runs.
    pub(crate) fn settled(&self, number: u16) {
        let before = self.with(number, |standing| standing.kept_out.take());
        if before.flatten().is_some() {
            self.tell(number, Code::CheckKeptOut, None);
        }
    }

    /// Compiled code that was not ours lay in the cache: it was not loaded. `begins` = now; else the
    /// notice is over.
    pub(crate) fn foreign_cache(&self, number: u16, begins: bool) {
        if begins {
            tracing::warn!(
                check = self.with(number, |s| s.name.clone()).unwrap_or_default(),
                "its compiled code in the cache was not written by this Feedpulse, or was changed; it \
                 was not loaded, the check was compiled anew"
            );
        }
        self.tell(number, Code::CheckCacheForeign, begins.then_some("replaced"));
    }

    /// Everything, for people.
    pub(crate) fn list(&self) -> Vec<VersionWire> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(wire).collect()
    }
}

fn wire(standing: &Standing) -> VersionWire {
    let facts = standing.runs.as_ref().map(|(facts, _)| facts);
    VersionWire {
        check: standing.name.clone(),
        plugin: standing.plugin.clone(),
        name: facts.map(|f| f.name.clone()),
        version: facts.map(|f| f.version.clone()),
        digest: facts.map(|f| f.digest.clone()),
        cases: facts.map(|f| f.cases),
        since: standing.runs.as_ref().map(|(_, since)| *since),
        reloads: standing.reloads,
        numbers: shown(standing),
        state: standing.state.map(|state| match state {
            Handover::Kept { .. } => "kept",
            Handover::Dropped { .. } => "dropped",
        }),
        kept_out: standing.kept_out.as_ref().map(|(refusal, at)| KeptOutWire {
            class: refusal.class,
            why: refusal.why.clone(),
            at: *at,
        }),
    }
}

fn shown(standing: &Standing) -> CheckNumbers {
    let numbers = &standing.numbers;
    let Some(status) = numbers.status else {
        return CheckNumbers {
            condition: numbers::state(standing.runs.is_some(), numbers),
            ..CheckNumbers::default()
        };
    };
    let faults = Kind::ALL.into_iter().map(|kind| (kind.name(), status.faults_of(kind)));
    CheckNumbers {
        condition: numbers::state(standing.runs.is_some(), numbers),
        rows: status.rows,
        not_checked: status.skipped,
        shed: standing.shed.as_ref().map_or(0, Counter::get),
        calls: status.calls,
        batch_p50_us: numbers.times.quantile(0.5),
        batch_p99_us: numbers.times.quantile(0.99),
        findings: numbers.found.iter().map(|(code, n)| (code.to_string(), *n)).collect(),
        faults: faults.filter(|(_, n)| *n > 0).collect(),
        memory_bytes: status.memory,
        memory_max_bytes: status.memory_max,
        state_bytes: status.state_bytes,
    }
}
