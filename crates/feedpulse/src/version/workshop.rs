//! Makes the checks of a configuration ready once, without a stream: to see whether they are right, or
//! to run them over what was recorded.

use super::content::{self, Remote};
use super::{Version, prepare};
use crate::cli::{CONFIG, Failure, UNAVAILABLE};
use crate::config::Config;
use anyhow::anyhow;
use feedpulse_oci::Shelf;
use feedpulse_wasm::Runtime;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// The engine that checks run on, with its heartbeat, for as long as it lives.
pub(crate) struct Workshop {
    wasm: Runtime,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Workshop {
    /// Opens one.
    ///
    /// # Errors
    /// WebAssembly cannot run here.
    pub(crate) fn new() -> Result<Self, Failure> {
        let wasm = Runtime::new(None).map_err(|e| Failure::new(UNAVAILABLE, e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ticker, stopped) = (wasm.ticker(), Arc::clone(&stop));
        let ticker = std::thread::Builder::new().spawn(move || ticker.run(&stopped));
        let ticker = Some(ticker.map_err(|e| Failure::new(UNAVAILABLE, e))?);
        Ok(Self { wasm, stop, ticker })
    }

    /// The versions of all checks, in order: each is held against its approval, its settings and its own
    /// cases.
    ///
    /// # Errors
    /// Every check that cannot run, and all that is wrong with its settings.
    pub(crate) fn versions(&self, config: &Config) -> Result<Vec<Version>, Failure> {
        // Kept until everything is read: registries are asked on its threads.
        let runtime = crate::run::runtime()?;
        let remote = Remote {
            shelf: Shelf::new(config.folder.join("checks").join("oci")),
            registries: config.registries.clone(),
            runtime: runtime.handle().clone(),
        };
        let (mut versions, mut problems) = (Vec::new(), Vec::new());
        for check in &config.checks {
            let made = content::read(check, &remote).and_then(|c| prepare(check, &c, &self.wasm));
            match made {
                Ok(version) => versions.push(version),
                Err(refusal) => problems.push(refusal.about(&check.name)),
            }
        }
        if problems.is_empty() {
            return Ok(versions);
        }
        Err(Failure::new(CONFIG, anyhow!("{}", problems.join("\n"))))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.ticker.take().map(JoinHandle::join);
    }
}
