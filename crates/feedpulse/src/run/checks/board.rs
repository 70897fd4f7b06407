//! Which version of each check runs, and which one was kept out and why: for the pages, the admin
//! socket and the engine.

use crate::clock;
use crate::run::side::SideBox;
use crate::version::{Facts, Refusal};
use feedpulse_core::codes::Code;
use feedpulse_core::effect::Change;
use feedpulse_core::input::{Input, OperatorAction, OwnState};
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_wasm::Handover;
use feedpulse_web::{KeptOutWire, VersionWire};
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of one check.
#[derive(Clone, Debug, Default)]
struct Standing {
    name: String,
    plugin: String,
    runs: Option<(Facts, Timestamp)>,
    state: Option<Handover>,
    kept_out: Option<(Refusal, Timestamp)>,
    reloads: u64,
}

/// What is known of all, shared.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    all: Arc<Mutex<Vec<Standing>>>,
    side: SideBox,
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
        let board =
            Self { all: Arc::new(Mutex::new(checks.map(one).collect())), side: side.clone() };
        // What a process before this one found is over unless it is found again.
        for number in 0..u16::try_from(board.list().len()).unwrap_or(u16::MAX) {
            for code in [Code::CheckKeptOut, Code::CheckNotRunning, Code::CheckCacheForeign] {
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

    /// A version runs from now on.
    pub(crate) fn runs(&self, number: u16, facts: &Facts, state: Option<Handover>) {
        let now = clock::now();
        let name = self.with(number, |standing| {
            standing.reloads += u64::from(standing.runs.is_some());
            standing.runs = Some((facts.clone(), now));
            standing.state = state;
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

    /// A version is not run.
    pub(crate) fn kept_out(&self, number: u16, refusal: &Refusal) {
        let (at, kept) = (clock::now(), refusal.clone());
        let runs = self.with(number, |standing| {
            standing.kept_out = Some((kept, at));
            (standing.name.clone(), standing.runs.is_some())
        });
        let Some((check, runs)) = runs else { return };
        let goes_on = if runs { "the one before goes on" } else { "none runs" };
        tracing::error!(
            check,
            class = refusal.class,
            "a version is kept out; {goes_on}: {refusal}"
        );
        self.tell(number, Code::CheckKeptOut, Some(refusal.class));
        if !runs {
            self.tell(number, Code::CheckNotRunning, Some(refusal.class));
        }
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
