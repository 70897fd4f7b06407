//! Runs checks that are compiled to WebAssembly components, and keeps them inside their budget.
//!
//! A check sees the fields that its manifest declares, in batches, and gives back findings that
//! cannot carry patient data. It has no clock, no files, no network: the component model without
//! WASI. The contract with its author is `wit/README.md`.
//!
//! - [`Manifest::read`] says what a component is, without running it.
//! - [`Runtime`] compiles: one engine for all checks. [`Runtime::load`] gives a [`Plugin`].
//! - [`Plugin::worker`] makes a [`Worker`]: one instance, owned by one thread of the caller.
//! - [`Ticker`] is the heartbeat by which endless loops are stopped. It runs on an OS thread of the
//!   caller; without it workers refuse to run guests.
//!
//! Nothing here spawns, and nothing reads the time of day: a batch carries the time. (The processor
//! time that a guest used is measured, where a guest has to be stopped.) `unsafe` is confined to
//! one call in the private module `cache`.
#![deny(unsafe_code)]

mod about;
mod backtrace;
mod batch;
mod breaker;
mod cache;
mod cases;
mod declared;
mod finding;
mod handover;
mod host;
mod instance;
mod judge;
mod limits;
mod manifest;
mod packed;
mod path;
mod place;
mod places;
mod runtime;
mod section;
mod served;
mod share;
mod state;
mod ticker;
mod worker;

pub use about::{About, Pseudo};
pub use batch::{
    Batch, FIELD_SEPARATOR, MessageAccess, OCCURRENCE_SEPARATOR, REPETITION_SEPARATOR,
    ROW_SEPARATOR, Row, sanitize,
};
pub use breaker::Condition;
pub use cache::CacheUse;
pub use cases::{Case, CaseRow, CasesError, Expected};
pub use declared::{FromSettings, SettingsError};
pub use finding::{CheckFinding, Fault, Finding, Kind, Level, LogLine};
pub use handover::Handover;
pub use limits::{Limits, Settings};
pub use manifest::{Attr, Budget, Code, Grant, Manifest, ManifestError, Problem};
pub use packed::pack;
pub use path::{Field, Path, PathError};
pub use runtime::{LoadError, Plugin, Runtime, RuntimeError};
pub use section::custom_section;
pub use share::Share;
pub use ticker::Ticker;
pub use worker::{StartError, Status, Worker};
