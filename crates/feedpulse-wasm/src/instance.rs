//! One instance of a check: its store, and calls into it that come back in any case.

use crate::backtrace;
use crate::finding::Kind;
use crate::host::bindings::feedpulse::check::types;
use crate::host::{Desk, Host, Meter, Space, clip};
use crate::limits::Settings;
use crate::runtime::Plugin;
use crate::served::{Findings, Guest};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Error, Store, Trap};

/// Longest error text that an author is shown, characters.
const REVEALED_CHARS: usize = 1000;

/// Longest text about settings that is passed on, characters: a sentence a line, for each thing that
/// is wrong.
const MAX_REFUSAL_CHARS: usize = 4000;

/// A live instance. After a failed call that [`Failure::fatal`] says so, it must be dropped.
pub(crate) struct Instance {
    store: Store<Host>,
    guest: Box<dyn Guest>,
    /// Calls that it still takes before a fresh one takes its place.
    calls_left: u64,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// Holds nothing that came out of a message.
    pub(crate) cause: Box<str>,
    /// Whether the instance can never be entered again.
    pub(crate) fatal: bool,
    /// Whether the check cannot run at all, whatever the rows.
    pub(crate) whole: bool,
}

impl Failure {
    /// With a fixed text.
    pub(crate) fn new(kind: Kind, cause: &str) -> Self {
        Self { kind, cause: cause.into(), fatal: kind != Kind::PluginError, whole: false }
    }
}

/// Why an instance did not start.
pub(crate) enum StartFailure {
    /// The check refused its settings, with this sentence. It was handed nothing else.
    Config(Box<str>),
    /// It did not get so far.
    Failed(Failure),
}

impl Instance {
    /// Makes an instance and hands it its settings.
    pub(crate) fn start(
        plugin: &Plugin,
        settings: &Settings,
        desk: &mut Option<Box<Desk>>,
        calls_left: u64,
    ) -> Result<Self, StartFailure> {
        let limits = &settings.limits;
        let Some(_running) = plugin.gate().enter() else {
            return Err(StartFailure::Failed(no_ticker()));
        };
        let data = Host { desk: desk.take(), meter: Meter::default(), space: Space::new(limits) };
        let mut store = Store::new(plugin.engine(), data);
        store.limiter(|host| &mut host.space);
        store.set_hostcall_fuel(limits.transfer);
        if plugin.counts() {
            // never runs out: time is the limit
            let _ = store.set_fuel(u64::MAX);
        }
        let ticks = store.data_mut().meter.start(limits.time_init);
        store.set_epoch_deadline(ticks);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().meter.judge()));
        if let Some(desk) = &mut store.data_mut().desk {
            desk.readable = false;
            desk.panicked = None;
        }
        let started = plugin.instantiate(&mut store).and_then(|guest| {
            let said = guest.init(&mut store, &settings.config)?;
            Ok((guest, said))
        });
        let failure = started.as_ref().err().map(|e| failure(e, store.data()));
        *desk = store.data_mut().desk.take();
        match (started, failure) {
            (Ok((guest, Ok(()))), _) => Ok(Self { store, guest, calls_left }),
            (Ok((_, Err(said))), _) => Err(StartFailure::Config(refusal(&said))),
            (Err(_), failure) => {
                let unknown = || Failure::new(Kind::Trapped, "it cannot be instantiated");
                Err(StartFailure::Failed(failure.unwrap_or_else(unknown)))
            }
        }
    }

    /// What a fresh instance says against settings, if it does.
    pub(crate) fn said_of(plugin: &Plugin, settings: &Settings) -> Option<String> {
        let places = Arc::clone(plugin.places());
        let limits = settings.limits.clone();
        let mut desk = Some(Box::new(Desk::new(BTreeSet::new(), limits, places, false)));
        match Self::start(plugin, settings, &mut desk, 1) {
            Err(StartFailure::Config(said)) => Some(said.into()),
            Ok(_) | Err(StartFailure::Failed(_)) => None,
        }
    }

    /// Checks a batch.
    pub(crate) fn check(
        &mut self,
        plugin: &Plugin,
        desk: &mut Option<Box<Desk>>,
        budget: Duration,
        batch: &types::Batch,
    ) -> Result<Vec<types::Finding>, Failure> {
        self.call(plugin, desk, budget, |instance| instance.guest.check(&mut instance.store, batch))
    }

    /// Ticks; none when the check has no ticker.
    pub(crate) fn tick(
        &mut self,
        plugin: &Plugin,
        desk: &mut Option<Box<Desk>>,
        budget: Duration,
        feed: &str,
        now_ms: u64,
    ) -> Result<Vec<types::Finding>, Failure> {
        self.call(plugin, desk, budget, |instance| {
            instance.guest.tick(&mut instance.store, feed, now_ms)
        })
    }

    /// Bytes of memory that the guest holds.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().space.used
    }

    /// Instructions that were run since it was made; none when they are not counted.
    pub(crate) fn instructions(&self) -> Option<u64> {
        self.store.get_fuel().ok().map(|left| u64::MAX - left)
    }

    /// Whether it has taken as many calls as it should.
    pub(crate) fn is_old(&self) -> bool {
        self.calls_left == 0
    }

    /// Lends the desk to the guest for one call, within a budget.
    fn call(
        &mut self,
        plugin: &Plugin,
        desk: &mut Option<Box<Desk>>,
        budget: Duration,
        run: impl FnOnce(&mut Self) -> wasmtime::Result<Findings>,
    ) -> Result<Vec<types::Finding>, Failure> {
        let Some(_running) = plugin.gate().enter() else { return Err(no_ticker()) };
        self.calls_left = self.calls_left.saturating_sub(1);
        let host = self.store.data_mut();
        host.desk = desk.take();
        host.space.refused = false;
        if let Some(desk) = &mut host.desk {
            desk.readable = true;
            desk.panicked = None;
        }
        let ticks = host.meter.start(budget);
        self.store.set_epoch_deadline(ticks);
        let outcome = run(self);
        let result = match outcome {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(said)) => {
                let reveal = self.store.data().desk.as_ref().is_some_and(|desk| desk.reveal);
                let cause = if reveal { said.as_str() } else { "it returned an error" };
                Err(Failure::new(Kind::PluginError, &clip(cause, REVEALED_CHARS)))
            }
            Err(e) => Err(failure(&e, self.store.data())),
        };
        *desk = self.store.data_mut().desk.take();
        result
    }
}

/// What a check says of its settings: lines, without other control characters.
fn refusal(said: &str) -> Box<str> {
    let lines: Vec<_> = said.lines().map(|line| clip(line, MAX_REFUSAL_CHARS)).collect();
    lines.join("\n").chars().take(MAX_REFUSAL_CHARS).collect()
}

/// Nothing may run when it could not be stopped.
fn no_ticker() -> Failure {
    let cause = "the ticker does not run, so a guest could not be stopped";
    Failure { fatal: false, whole: true, ..Failure::new(Kind::NoTicker, cause) }
}

/// Tells the kinds of trap apart. Only fixed texts and places in a source file go into the cause.
fn failure(error: &Error, host: &Host) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    let kind = match trap {
        Some(Trap::Interrupt) => Kind::TimedOut,
        _ if host.space.refused => Kind::OutOfMemory,
        _ => Kind::Trapped,
    };
    let mut cause = match (kind, trap) {
        (Kind::TimedOut, _) => "it used more time than its budget".to_owned(),
        (Kind::OutOfMemory, _) => "it wanted more memory than its limit".to_owned(),
        (_, Some(trap)) => trap.to_string(),
        (_, None) => "what it handed over is not valid, or more than its limit".to_owned(),
    };
    if let Some(place) = host.desk.as_ref().and_then(|desk| desk.panicked.as_deref()) {
        cause.push_str("; ");
        cause.push_str(place);
    }
    if host.desk.as_ref().is_some_and(|desk| desk.reveal) {
        cause.push_str(&backtrace::told(error));
    }
    Failure::new(kind, &cause)
}
