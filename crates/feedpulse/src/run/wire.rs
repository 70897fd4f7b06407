//! The wire as this binary starts it: `feedpulse wire`, a process of its own that outlives ours.

use super::holder;
use crate::cli::{Failure, UNAVAILABLE};
use anyhow::{Context as _, anyhow};
use feedpulse_wire::WireConfig;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// `feedpulse wire …`: forwards, and nothing else.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    feedpulse_wire::main(arguments)
}

/// How often a wire that we started is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to start it again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A wire that answers on its socket.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// The process, if we started it. Not ended with us: connections go on.
    pub child: Arc<Mutex<Option<Child>>>,
    /// Where it listens, in order of the configuration.
    pub listening: Vec<SocketAddr>,
}

/// Finds the wire of a configuration, or starts it.
///
/// # Errors
/// It cannot be started, or does not listen.
pub(crate) fn find_or_start(config: &WireConfig, start: bool) -> Result<Wire, Failure> {
    if feedpulse_wire::stats(&config.socket).is_ok() {
        tracing::info!(socket = %config.socket.display(), "the wire was already running; its listeners are kept");
        let listening = config.listeners.iter().map(|l| l.listen).collect();
        return Ok(Wire { child: Arc::default(), listening });
    }
    if !start {
        // A container of its own: it may come later; the tap goes on trying.
        tracing::warn!(socket = %config.socket.display(), "no wire answers yet");
        return Ok(Wire { child: Arc::default(), listening: Vec::new() });
    }
    spawn(config).map_err(|e| Failure::new(UNAVAILABLE, e))
}

impl Wire {
    /// Takes the process, to end it.
    pub(crate) fn take(&self) -> Option<Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the wire has ended: our child, or one that an earlier run left and that has not
    /// answered three times.
    async fn is_gone(&self, config: &WireConfig, silent: &mut u32) -> bool {
        let ours = {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            child.as_mut().map(|child| child.try_wait().ok().flatten().is_some())
        };
        if let Some(ended) = ours {
            return ended;
        }
        let socket = config.socket.clone();
        let answers = tokio::task::spawn_blocking(move || feedpulse_wire::stats(&socket).is_ok());
        *silent = if answers.await.unwrap_or(false) { 0 } else { *silent + 1 };
        *silent >= 3
    }

    /// Starts the wire again when it has ended, on the same addresses; until `stop`.
    pub(crate) async fn keep(self, mut config: WireConfig, stop: CancellationToken) {
        for (listener, address) in config.listeners.iter_mut().zip(&self.listening) {
            listener.listen = *address;
        }
        let (mut pause, mut silent) = (LOOK, 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if !self.is_gone(&config, &mut silent).await {
                continue;
            }
            tracing::error!("the wire has ended; starting it again");
            let again = config.clone();
            match tokio::task::spawn_blocking(move || spawn(&again)).await {
                Ok(Ok(fresh)) => {
                    let child = fresh.take();
                    *self.child.lock().unwrap_or_else(PoisonError::into_inner) = child;
                    pause = LOOK;
                }
                Ok(Err(error)) => {
                    tracing::error!("{error:#}");
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(_) => return,
            }
        }
    }
}

fn spawn(config: &WireConfig) -> anyhow::Result<Wire> {
    let program = std::env::current_exe().context("find the path of this program")?;
    let mut child = Command::new(program)
        .arg("wire")
        .args(config.to_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: an interrupt at our terminal must not cut the stream.
        .process_group(0)
        .spawn()
        .context("start the wire")?;
    let out = child.stdout.take().ok_or_else(|| anyhow!("the wire has no output"))?;
    let mut listening = Vec::new();
    for line in BufReader::new(out).lines().take(config.listeners.len()) {
        let line = line.context("read what the wire says")?;
        let address = line.rsplit(' ').next().and_then(|a| a.parse().ok());
        listening.push(address.ok_or_else(|| anyhow!("the wire said {line:?}"))?);
    }
    if listening.len() == config.listeners.len() {
        return Ok(Wire { child: Arc::new(Mutex::new(Some(child))), listening });
    }
    let said = child
        .stderr
        .take()
        .map(|e| BufReader::new(e).lines().map_while(Result::ok).collect::<Vec<_>>());
    let _ = child.wait();
    let said = said.unwrap_or_default().join("; ");
    // As the system's own answer has it in the wire's words.
    let in_use = format!("(os error {})", rustix::io::Errno::ADDRINUSE.raw_os_error());
    let hint =
        if said.contains(&in_use) { format!("; {}", holder::hint(config)) } else { String::new() };
    Err(anyhow!("the wire did not start: {said}{hint}"))
}
