//! What the listeners read: the engine's view, the registry's families, and a few facts.

use feedpulse_core::input::OperatorAction;
use feedpulse_core::metrics::Family;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;
use std::sync::Arc;

/// Where the pages and the metrics come from. Every method is called on the listener's own task:
/// it must return at once (clone an `Arc`, read atomics), never wait for the engine.
pub trait Source: Send + Sync + 'static {
    /// The latest picture of the engine, made each second.
    fn view(&self) -> Arc<View>;
    /// Every number, for `/metrics`.
    fn families(&self) -> Vec<Family>;
    /// Whether Feedpulse can do its work; the reason is shown on the ui, never on ops.
    ///
    /// # Errors
    /// One patient-free sentence that says why not.
    fn ready(&self) -> Result<(), String>;
    /// Whether the event loop turned within the last seconds.
    fn alive(&self) -> bool;
    /// Who answers.
    fn about(&self) -> About;
    /// Hands an operator's action to the engine as an input.
    ///
    /// # Errors
    /// [`OperatorError`] when the engine cannot take it.
    fn operator(&self, action: OperatorAction) -> Result<(), OperatorError>;
}

/// Facts about this process.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Feedpulse's version.
    pub version: String,
    /// The site's name as configured.
    pub site: String,
    /// When this process started.
    pub started: Timestamp,
    /// Hash of the configuration that is in force.
    pub config_hash: String,
    /// The clock, now.
    pub now: Timestamp,
}

/// Why an operator's action was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// No pending or open incident has that number.
    #[error("no pending or open incident has this number; it may have been resolved meanwhile")]
    NoSuchIncident,
    /// The engine's input queue is full.
    #[error("the engine is busy; try again in a moment")]
    Busy,
}
