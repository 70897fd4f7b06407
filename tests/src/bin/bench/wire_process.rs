//! A wire as a process of its own, made of this very program.

use crate::Result;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The first argument that makes this program a wire; what follows are the wire's own.
pub(crate) const VERB: &str = "as-a-wire";

/// A running wire with one listener. Ended when dropped.
#[derive(Debug)]
pub(crate) struct WireProcess {
    child: Child,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Where its ring is had.
    pub(crate) socket: PathBuf,
}

impl WireProcess {
    /// Starts one that forwards to `to`; its socket is made in `folder`.
    ///
    /// # Errors
    /// When it does not start, or does not listen.
    pub(crate) fn start(folder: &Path, name: &str, to: SocketAddr) -> Result<Self> {
        let socket = folder.join(format!("{name}.sock"));
        let mut child = Command::new(std::env::current_exe()?)
            .arg(VERB)
            .arg("--socket")
            .arg(&socket)
            .args(["--listen", &format!("{name}=127.0.0.1:0,forward={to}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().map(first_line);
        let addr = said.as_deref().and_then(|line| line.rsplit(' ').next()?.parse().ok());
        let Some(addr) = addr else {
            child.kill()?;
            child.wait()?;
            return Err("the wire did not say where it listens".into());
        };
        Ok(Self { child, addr, socket })
    }
}

fn first_line(out: impl std::io::Read) -> String {
    BufReader::new(out).lines().map_while(std::io::Result::ok).next().unwrap_or_default()
}

impl Drop for WireProcess {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
