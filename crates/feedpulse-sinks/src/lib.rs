//! Effects to the outside: OTLP traces, metrics and logs; Alertmanager, webhooks, mails, chats,
//! pagers, a dead-man ping.
//!
//! [`build`] checks a [`config::SinksConfig`] and returns a [`SinkHandle`], into which effects are
//! offered without waiting, and one [`Task`] for each thing that talks to the network. Nothing here
//! spawns: the caller runs each task. Every task fails alone: a dead collector stops no alert, a
//! dead Alertmanager no trace, and a dead metrics endpoint neither of them.
//!
//! What leaves is made from types that hold no patient data, and span attributes have their names
//! from one closed list, [`otlp::semconv::Key`].
#![forbid(unsafe_code)]

pub mod config;
mod handle;
mod health;
mod namespace;
pub mod notify;
pub mod otlp;
mod random;
mod rfc3339;
mod target;
mod task;

pub use feedpulse_http::Secret;
pub use handle::{SinkHandle, build, check};
pub use namespace::{ACCOUNT, ChangeReporter, NamespaceConfig, NamespaceTask};
pub use otlp::flags::Flag;
pub use task::{Delivered, Deps, Task, Told};

use feedpulse_core::input::OwnState;
use feedpulse_core::metrics::Family;
use feedpulse_core::time::Timestamp;
use std::sync::Arc;

/// Tells the time; given by the binary.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Makes all families of numbers, from the registry and the engine's view. Called on the metrics
/// task once an interval; must not block for long.
pub type FamilySource = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

/// Takes the state of a part of Feedpulse itself. Must not block; called a few times a minute.
pub type OwnReporter = Arc<dyn Fn(OwnState) + Send + Sync>;

/// Tells whether the engine goes on: its thread has taken a tick lately. Must not block.
pub type Alive = Arc<dyn Fn() -> bool + Send + Sync>;

#[cfg(test)]
pub(crate) mod tests;
