//! Compiles checks, and refuses what is not one.

use crate::cache::{Cache, CacheUse};
use crate::host::Host;
use crate::instance::Instance;
use crate::limits::Settings;
use crate::manifest::{Manifest, ManifestError};
use crate::packed::{MAX_COMPONENT, unpack};
use crate::places::Places;
use crate::served::{self, Guest, Prepared, Version};
use crate::ticker::{Gate, Ticker};
use crate::worker::{StartError, Worker};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Store};

/// Deepest stack of a guest, bytes. A worker's thread needs twice that.
const MAX_STACK: usize = 512 << 10;
/// Most functions of a guest that are looked at where a trap is told to an author.
const MAX_FRAMES: usize = 64;
/// Where a check may import from.
const OURS: &str = "feedpulse:check/";
/// The engine that all checks share.
#[derive(Clone)]
pub struct Runtime {
    engine: Engine,
    versions: Arc<Vec<Box<dyn Version>>>,
    gate: Arc<Gate>,
    cache: Option<Cache>,
    /// Whether calls are counted in instructions.
    counts: bool,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The machine or this build cannot run WebAssembly.
    #[error("WebAssembly cannot run here: {0}")]
    Engine(String),
    /// The folder for compiled checks cannot be used.
    #[error("the folder for compiled checks {} cannot be used: {source}", folder.display())]
    Cache {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a component is not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Longer than 64 MiB.
    #[error("the component has {0} bytes, more than 67108864")]
    TooLong(usize),
    /// No usable manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Not valid WebAssembly.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// It wants what no check gets.
    #[error("the component imports {}, which no check gets: a check has no WASI, no clock, no files and no network, only feedpulse:check. Build it for wasm32-unknown-unknown with `feedpulse check build`", .0.join(", "))]
    ForeignImports(Vec<String>),
    /// It is built for another version of the interface.
    #[error(
        "the component does not fit the version of feedpulse:check that its manifest names: {0}"
    )]
    Interface(String),
}

impl Runtime {
    /// Makes the engine. Compiled checks are kept in `cache`, a folder of the running user alone
    /// (mode 0700; made if missing); none = compile at each start.
    ///
    /// # Errors
    /// When this machine is not supported, or the folder is not private.
    pub fn new(cache: Option<&Path>) -> Result<Self, RuntimeError> {
        Self::build(cache, None, false)
    }

    /// For an author's own machine: a trap names the functions of the guest that led to it, where the
    /// component has their names, and with `counts` each call is counted in instructions, which makes it
    /// slower. Nothing is cached.
    ///
    /// # Errors
    /// When this machine is not supported.
    pub fn for_author(counts: bool) -> Result<Self, RuntimeError> {
        Self::build(None, NonZeroUsize::new(MAX_FRAMES), counts)
    }

    fn build(
        cache: Option<&Path>,
        frames: Option<NonZeroUsize>,
        counts: bool,
    ) -> Result<Self, RuntimeError> {
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .epoch_interruption(true)
            .wasm_backtrace_max_frames(frames)
            .consume_fuel(counts)
            .max_wasm_stack(MAX_STACK);
        let engine = Engine::new(&config).map_err(|e| RuntimeError::Engine(first_line(&e)))?;
        let versions = served::all(&engine).map_err(|e| RuntimeError::Engine(first_line(&e)))?;
        let cache = match cache {
            None => None,
            Some(folder) => Some(
                Cache::open(folder)
                    .map_err(|source| RuntimeError::Cache { folder: folder.to_owned(), source })?,
            ),
        };
        Ok(Self { engine, versions: Arc::new(versions), gate: Arc::default(), cache, counts })
    }

    /// The heartbeat, to be run at once on an OS thread of the caller. One is enough.
    #[must_use]
    pub fn ticker(&self) -> Ticker {
        Ticker::new(self.engine.weak(), Arc::clone(&self.gate))
    }

    /// Makes a check ready: unpacks it if it is packed with gzip, reads its manifest, compiles it,
    /// and sees that it fits. Runs nothing of it. Takes from 20 ms for a small check to seconds for one that carries an interpreter.
    ///
    /// # Errors
    /// A sentence that says why this is not a check that can run here.
    pub fn load(&self, wasm: &[u8]) -> Result<Plugin, LoadError> {
        if wasm.len() > MAX_COMPONENT {
            return Err(LoadError::TooLong(wasm.len()));
        }
        let unpacked = unpack(wasm)?;
        let wasm = &*unpacked;
        let manifest = Arc::new(Manifest::read(wasm)?);
        let compiled = match &self.cache {
            Some(cache) => cache.compile(&self.engine, wasm),
            None => Component::new(&self.engine, wasm).map(|c| (c, CacheUse::Off)),
        };
        let (component, cache_use) = compiled.map_err(|e| LoadError::Compile(first_line(&e)))?;
        let kind = component.component_type();
        let foreign: Vec<String> = kind
            .imports(&self.engine)
            .filter(|(name, _)| !name.starts_with(OURS))
            .map(|(name, _)| name.to_owned())
            .collect();
        if !foreign.is_empty() {
            return Err(LoadError::ForeignImports(foreign));
        }
        let version = served::place(&manifest.wit).and_then(|place| self.versions.get(place));
        let Some(version) = version else {
            return Err(LoadError::Interface(served::SPOKEN.to_owned()));
        };
        let prepared =
            version.prepare(&component).map_err(|e| LoadError::Interface(first_line(&e)))?;
        let places = Arc::new(Places::of(wasm));
        let runtime = self.clone();
        let inner = Inner { manifest, prepared, places, cache_use, runtime };
        Ok(Plugin { inner: Arc::new(inner) })
    }
}

/// A check that is ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

/// What the clones of a plugin share.
struct Inner {
    manifest: Arc<Manifest>,
    prepared: Box<dyn Prepared>,
    places: Arc<Places>,
    cache_use: CacheUse,
    runtime: Runtime,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.inner.manifest.name).finish_non_exhaustive()
    }
}

impl Plugin {
    /// What the check says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Whether it wants to be called about once a second, [`Worker::tick`].
    #[must_use]
    pub fn ticks(&self) -> bool {
        self.inner.prepared.ticks()
    }

    /// What the cache did for it.
    #[must_use]
    pub fn cache_use(&self) -> CacheUse {
        self.inner.cache_use
    }

    /// Starts an instance with the operator's settings, so that wrong ones show now. Needs a
    /// running [`Ticker`].
    ///
    /// # Errors
    /// The check's own sentence about its settings, or how it failed.
    pub fn worker(&self, settings: Settings) -> Result<Worker, StartError> {
        Worker::start(self.clone(), settings, false)
    }

    /// As [`Plugin::worker`], for the author's own machine: what the check says when it panics or
    /// returns an error goes into the cause of the fault. It may quote the message at hand, so this
    /// is for commands that somebody runs on messages of her own, never beside a stream.
    ///
    /// # Errors
    /// As [`Plugin::worker`].
    pub fn author_worker(&self, settings: Settings) -> Result<Worker, StartError> {
        Worker::start(self.clone(), settings, true)
    }

    /// What the check itself says against settings, whatever its manifest makes of them; none when it
    /// takes them or does not start. Needs a running [`Ticker`].
    #[must_use]
    pub fn said_of(&self, settings: &Settings) -> Option<String> {
        Instance::said_of(self, settings)
    }

    /// The shared engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.runtime.engine
    }

    /// Whether its calls are counted in instructions.
    pub(crate) fn counts(&self) -> bool {
        self.inner.runtime.counts
    }

    /// Who runs.
    pub(crate) fn gate(&self) -> &Gate {
        &self.inner.runtime.gate
    }

    /// Where it can panic.
    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.inner.places
    }

    /// A fresh instance in a store.
    pub(crate) fn instantiate(&self, store: &mut Store<Host>) -> wasmtime::Result<Box<dyn Guest>> {
        self.inner.prepared.instantiate(store)
    }
}

/// The first line of an error with its causes: wasmtime's backtraces are for its authors.
fn first_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}
