//! What the pages may see of the running process.

use super::checks::board::Board;
use super::pipeline::Shared;
use super::side::SideBox;
use crate::clock;
use feedpulse_core::desk::REMARKS_MAX;
use feedpulse_core::effect::IncidentState;
use feedpulse_core::input::{Input, OperatorAction};
use feedpulse_core::metrics::{Family, Registry};
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;
use feedpulse_web::{About, OperatorError, Source, VersionWire};
use std::sync::Arc;

/// The running process as the pages see it.
#[derive(Debug)]
pub(crate) struct Window {
    /// The engine's latest picture.
    pub shared: Shared,
    /// Numbers of the shells.
    pub registry: Registry,
    /// For operators' actions.
    pub side: SideBox,
    /// Versions of checks; None = there are no checks.
    pub board: Option<Board>,
    /// Name of the site.
    pub site: String,
    /// When this process started.
    pub started: Timestamp,
    /// Fingerprint of the configuration.
    pub config_hash: String,
}

impl Source for Window {
    fn view(&self) -> Arc<View> {
        self.shared.get()
    }

    fn families(&self) -> Vec<Family> {
        self.shared.families(&self.registry)
    }

    fn ready(&self) -> Result<(), String> {
        if self.shared.get().inputs == 0 {
            return Err("the engine has not started".to_owned());
        }
        Ok(())
    }

    fn alive(&self) -> bool {
        self.shared.is_alive(self.started)
    }

    fn about(&self) -> About {
        About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            site: self.site.clone(),
            started: self.started,
            config_hash: self.config_hash.clone(),
            now: clock::now(),
        }
    }

    fn versions(&self) -> Vec<VersionWire> {
        self.board.as_ref().map(Board::list).unwrap_or_default()
    }

    fn operator(&self, action: OperatorAction) -> Result<(), OperatorError> {
        let view = self.shared.get();
        let over = action.suits_resolved();
        let known = |id| {
            view.incidents
                .iter()
                .any(|i| i.id == id && (over || i.state != IncidentState::Resolved))
        };
        if !action.incident().is_none_or(known) {
            return Err(OperatorError::NoSuchIncident);
        }
        let full = |id| view.remarks.get(&id).is_some_and(|held| held.len() >= REMARKS_MAX);
        if let OperatorAction::Remark { incident, .. } = action
            && full(incident)
        {
            return Err(OperatorError::Full);
        }
        if self.side.put(Input::Operator(action)) { Ok(()) } else { Err(OperatorError::Busy) }
    }
}
