//! What the listeners read: the engine's view, the registry's families, and a few facts.

use crate::versions::VersionWire;
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
    /// The versions of the checks, in the plan's order.
    fn versions(&self) -> Vec<VersionWire> {
        Vec::new()
    }
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
    /// No incident has that number that such an action can be about: one that is over takes only
    /// notes and verdicts.
    #[error("no such incident is pending or open; one that is over takes only notes and verdicts")]
    NoSuchIncident,
    /// It holds as many notes as an incident can.
    #[error("this incident holds as many notes as it can: 20")]
    Full,
    /// The engine's input queue is full.
    #[error("the engine is busy; try again in a moment")]
    Busy,
}
