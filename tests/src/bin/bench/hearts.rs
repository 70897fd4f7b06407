//! What running guests takes: the components, and the heartbeat by which they are stopped.

use crate::Result;
use feedpulse_wasm::Runtime;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// A component as `cargo xtask plugins` builds it, which is done once for each run; none when no such
/// check is built here.
pub(crate) fn component(name: &str) -> Result<Option<Vec<u8>>> {
    static BUILT: Once = Once::new();
    let mut built = Ok(());
    BUILT.call_once(|| built = xtask::plugins::build());
    built?;
    let program = std::env::current_exe()?;
    // <target>/<profile>/bench
    let target = program.ancestors().nth(2).ok_or("this program is in no target folder")?;
    let file: PathBuf = target.join("plugins").join(format!("{name}.wasm"));
    if !file.is_file() {
        return Ok(None);
    }
    Ok(Some(std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?))
}

/// The heartbeat without which no guest runs.
pub(crate) struct Heart {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Heart {
    pub(crate) fn start(runtime: &Runtime) -> Self {
        let (ticker, stop) = (runtime.ticker(), Arc::new(AtomicBool::new(false)));
        let thread = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || ticker.run(&stop))
        };
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        Ok(self.thread.join().map_err(|_| "the ticker panicked")?)
    }
}
