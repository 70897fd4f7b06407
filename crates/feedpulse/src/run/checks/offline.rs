//! Checks over what was recorded: on the caller's thread and in the recording's own time, so that the
//! same recording gives the same findings. The same rows, the same host, the same limits as live.

use super::board::Board;
use super::offer::CheckRows;
use super::{CheckDesk, Next, Note, ends};
use crate::cli::Failure;
use crate::config::Config;
use crate::run::side::SideBox;
use crate::version::workshop::Workshop;
use feedpulse_core::input::Input;
use feedpulse_core::metrics::Registry;
use feedpulse_core::plan::Plan;
use feedpulse_core::time::Timestamp;

/// The checks of a configuration.
pub(crate) struct Offline {
    rows: CheckRows,
    desks: Vec<CheckDesk>,
    names: Vec<String>,
    side: SideBox,
    /// The first moment of the recording.
    first: Option<Timestamp>,
    _workshop: Workshop,
}

impl Offline {
    /// Loads them; None where there is none. `plan` is what the engine is given, whose first waypoints
    /// are those of the configuration.
    ///
    /// # Errors
    /// Every check that cannot run, and why.
    pub(crate) fn new(config: &Config, plan: &Plan) -> Result<Option<Self>, Failure> {
        if config.checks.is_empty() {
            return Ok(None);
        }
        let workshop = Workshop::new()?;
        let versions = workshop.versions(config)?;
        let waypoints: Vec<String> = plan.waypoints.iter().map(|w| w.name.clone()).collect();
        let (side, registry) = (SideBox::default(), Registry::default());
        let all = config.checks.iter().map(|c| (c.name.as_str(), c.plugin.as_str()));
        let board = Board::new(all, &side);
        let (mut feeds, mut desks) = (Vec::new(), Vec::new());
        for (number, (check, version)) in (0..).zip(config.checks.iter().zip(versions)) {
            let (mut feed, mut desk, next) =
                ends(number, check, &waypoints, &side, &board, &registry);
            // There is room for one.
            let _ = next.try_send(Next::new(check, version));
            feed.flush();
            desk.notes = Some(Vec::new());
            feeds.push(feed);
            desks.push(desk);
        }
        let rows = CheckRows::new(feeds, plan);
        let names = config.checks.iter().map(|check| check.name.clone()).collect();
        Ok(Some(Self { rows, desks, names, side, first: None, _workshop: workshop }))
    }

    /// Where rows are put.
    pub(crate) const fn rows(&mut self) -> &mut CheckRows {
        &mut self.rows
    }

    /// The name of a check.
    pub(crate) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("?", String::as_str)
    }

    /// Judges all that was put there; gives what was found, and before it the words for it.
    pub(crate) fn judge(&mut self, now: Timestamp) -> Vec<Input> {
        self.rows.flush();
        let first = *self.first.get_or_insert(now);
        let ms = u64::try_from(now.micros_since(first) / 1000).unwrap_or(0);
        for desk in &mut self.desks {
            desk.catch_up(ms);
        }
        let said = |input: &Input| matches!(input, Input::Found(_) | Input::Words(_));
        self.side.take().into_iter().filter(said).collect()
    }

    /// What was found since this was asked last, with the messages that it is about.
    pub(crate) fn notes(&mut self) -> Vec<Note> {
        self.desks
            .iter_mut()
            .filter_map(|desk| desk.notes.as_mut())
            .flat_map(std::mem::take)
            .collect()
    }
}
