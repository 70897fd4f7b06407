//! The versions of the interface that are served, each behind the same two traits, so that a new
//! one stands beside the old ones and nothing else of the host knows which a check is built for.
//!
//! The host's own form of batches and findings is that of 0.1; a later version converts.

use crate::host::{Host, bindings};
use bindings::feedpulse::check::types;
use wasmtime::component::{
    Component, ComponentExportIndex, HasSelf, InstancePre, Linker, TypedFunc,
};
use wasmtime::{Engine, Result, Store};

/// What a check's functions give: findings, or an error text that is never passed on.
pub(crate) type Findings = std::result::Result<Vec<types::Finding>, String>;

/// A version of the interface.
pub(crate) trait Version: Send + Sync {
    /// Makes a component ready.
    ///
    /// # Errors
    /// When it does not fit this version.
    fn prepare(&self, component: &Component) -> Result<Box<dyn Prepared>>;
}

/// A component that fits a version.
pub(crate) trait Prepared: Send + Sync {
    /// Whether it wants ticks.
    fn ticks(&self) -> bool;

    /// A fresh instance in a store.
    ///
    /// # Errors
    /// When the guest's start traps or its limits do not suffice.
    fn instantiate(&self, store: &mut Store<Host>) -> Result<Box<dyn Guest>>;
}

/// The functions of an instance. The outer error is a trap, the inner one the guest's own.
pub(crate) trait Guest: Send {
    /// Hands over the settings.
    fn init(
        &self,
        store: &mut Store<Host>,
        config: &str,
    ) -> Result<std::result::Result<(), String>>;

    /// Checks a batch.
    fn check(&self, store: &mut Store<Host>, batch: &types::Batch) -> Result<Findings>;

    /// Ticks; no findings where it does not want to.
    fn tick(&self, store: &mut Store<Host>, feed: &str, now_ms: u64) -> Result<Findings>;
}

/// Makes a version for an engine.
type Make = fn(&Engine) -> Result<Box<dyn Version>>;

/// Every version, by what a manifest's `wit` begins with: any patch number of it fits, and a
/// function that is newer than this host is refused by its name when the component is linked.
const SERVED: &[(&str, Make)] = &[
    ("feedpulse:check@0.1.", |engine| Ok(Box::new(V01::new(engine)?))),
    #[cfg(test)]
    ("feedpulse:check@9.9.", |engine| Ok(Box::new(tests::V99::new(engine)?))),
];

/// What a manifest is told that names none of them.
pub(crate) const SPOKEN: &str = "this Feedpulse speaks feedpulse:check@0.1.0";

/// The place of the version that a manifest's `wit` names.
pub(crate) fn place(wit: &str) -> Option<usize> {
    SERVED.iter().position(|(name, _)| {
        wit.strip_prefix(name).is_some_and(|patch| patch.parse::<u16>().is_ok())
    })
}

/// All versions, in their places.
pub(crate) fn all(engine: &Engine) -> Result<Vec<Box<dyn Version>>> {
    SERVED.iter().map(|(_, make)| make(engine)).collect()
}

/// Version 0.1.
struct V01(Linker<Host>);

/// The optional export of 0.1.
const TICKER: &str = "feedpulse:check/ticker@0.1.0";

impl V01 {
    fn new(engine: &Engine) -> Result<Self> {
        let mut linker = Linker::new(engine);
        bindings::Check::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        Ok(Self(linker))
    }
}

impl Version for V01 {
    fn prepare(&self, component: &Component) -> Result<Box<dyn Prepared>> {
        let pre = self.0.instantiate_pre(component)?;
        let indices = bindings::CheckIndices::new(&pre)?;
        let tick = component
            .get_export_index(None, TICKER)
            .and_then(|ticker| component.get_export_index(Some(&ticker), "tick"));
        Ok(Box::new(Prepared01 { pre, indices, tick }))
    }
}

/// A component of 0.1.
struct Prepared01 {
    pre: InstancePre<Host>,
    indices: bindings::CheckIndices,
    tick: Option<ComponentExportIndex>,
}

impl Prepared for Prepared01 {
    fn ticks(&self) -> bool {
        self.tick.is_some()
    }

    fn instantiate(&self, store: &mut Store<Host>) -> Result<Box<dyn Guest>> {
        let instance = self.pre.instantiate(&mut *store)?;
        let check = self.indices.load(&mut *store, &instance)?;
        let tick = match &self.tick {
            Some(index) => Some(instance.get_typed_func(&mut *store, index)?),
            None => None,
        };
        Ok(Box::new(Guest01 { check, tick }))
    }
}

/// An instance of 0.1.
struct Guest01 {
    check: bindings::Check,
    tick: Option<TypedFunc<(String, u64), (Findings,)>>,
}

impl Guest for Guest01 {
    fn init(
        &self,
        store: &mut Store<Host>,
        config: &str,
    ) -> Result<std::result::Result<(), String>> {
        self.check.feedpulse_check_checker().call_init(store, config)
    }

    fn check(&self, store: &mut Store<Host>, batch: &types::Batch) -> Result<Findings> {
        self.check.feedpulse_check_checker().call_check(store, batch)
    }

    fn tick(&self, store: &mut Store<Host>, feed: &str, now_ms: u64) -> Result<Findings> {
        match self.tick {
            Some(tick) => Ok(tick.call(store, (feed.to_owned(), now_ms))?.0),
            None => Ok(Ok(Vec::new())),
        }
    }
}

#[cfg(test)]
#[path = "served/tests.rs"]
mod tests;
