//! Checks over what was recorded: on the caller's thread and in the recording's own time, so that the
//! same recording gives the same findings. The same rows, the same host, the same limits as live.

use super::board::Board;
use super::offer::CheckRows;
use super::{CheckDesk, Next, ends};
use crate::cli::{CONFIG, Failure, UNAVAILABLE};
use crate::config::Config;
use crate::run::side::SideBox;
use crate::version::content::{self, Remote};
use crate::version::prepare;
use anyhow::anyhow;
use feedpulse_core::input::Input;
use feedpulse_core::metrics::Registry;
use feedpulse_core::plan::Plan;
use feedpulse_core::time::Timestamp;
use feedpulse_oci::Shelf;
use feedpulse_wasm::Runtime;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// The checks of a configuration.
pub(crate) struct Offline {
    rows: CheckRows,
    desks: Vec<CheckDesk>,
    names: Vec<String>,
    side: SideBox,
    /// The first moment of the recording.
    first: Option<Timestamp>,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
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
        let wasm = Runtime::new(None).map_err(|e| Failure::new(UNAVAILABLE, e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ticker, stopped) = (wasm.ticker(), Arc::clone(&stop));
        let ticker = std::thread::Builder::new().spawn(move || ticker.run(&stopped));
        let ticker = Some(ticker.map_err(|e| Failure::new(UNAVAILABLE, e))?);
        let names: Vec<String> = plan.waypoints.iter().map(|w| w.name.clone()).collect();
        let (side, registry) = (SideBox::default(), Registry::default());
        let all = config.checks.iter().map(|c| (c.name.as_str(), c.plugin.as_str()));
        let board = Board::new(all, &side);
        // Kept until everything is read: registries are asked on its threads.
        let runtime = crate::run::runtime()?;
        let remote = Remote {
            shelf: Shelf::new(config.folder.join("checks").join("oci")),
            registries: config.registries.clone(),
            runtime: runtime.handle().clone(),
        };
        let (mut feeds, mut desks, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (number, check) in (0..).zip(&config.checks) {
            let version = content::read(check, &remote).and_then(|c| prepare(check, &c, &wasm));
            let version = match version {
                Ok(version) => version,
                Err(refusal) => {
                    problems.push(format!("check {}: {refusal}", check.name));
                    continue;
                }
            };
            let (mut feed, desk, versions) = ends(number, check, &names, &side, &board, &registry);
            // There is room for one.
            let _ = versions.try_send(Next::new(check, version));
            feed.flush();
            feeds.push(feed);
            desks.push(desk);
        }
        if !problems.is_empty() {
            stop.store(true, Ordering::Release);
            return Err(Failure::new(CONFIG, anyhow!("{}", problems.join("\n"))));
        }
        let rows = CheckRows::new(feeds, plan);
        let names = config.checks.iter().map(|check| check.name.clone()).collect();
        Ok(Some(Self { rows, desks, names, side, first: None, stop, ticker }))
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
}

impl Drop for Offline {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.ticker.take().map(JoinHandle::join);
    }
}
