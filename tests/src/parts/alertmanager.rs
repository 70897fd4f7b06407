//! A real Alertmanager that keeps alerts and tells nobody.

use super::http::get;
use super::server::{Server, StartError, free_address, with_retries};
use super::{require, started};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

const CONFIGURATION: &str = "route: {receiver: none}\nreceivers: [{name: none}]\n";

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    server: Server,
    address: SocketAddr,
}

impl Alertmanager {
    /// Starts an Alertmanager without alerts; None where none is on this machine.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = require("alertmanager")?;
        Some(started(with_retries(|| Self::try_start(&program))))
    }

    fn try_start(program: &Path) -> Result<Self, StartError> {
        let mut server = Server::new("alertmanager")?;
        let address = free_address()?;
        let config = server.folder().join("alertmanager.yml");
        fs::write(&config, CONFIGURATION)?;
        let data = server.folder().join("data");
        server.set_command(vec![
            program.display().to_string(),
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", data.display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(), // Alone: no gossip port.
        ]);
        let mut alertmanager = Self { server, address };
        alertmanager.try_restart()?;
        Ok(alertmanager)
    }

    fn try_restart(&mut self) -> Result<(), StartError> {
        let address = self.address;
        self.server.start(|| get(address, "/-/ready").is_ok_and(|r| r.is_success()))
    }

    /// Where it listens; its API is below `/api/v2`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The alerts that are firing now, as its API gives them; one that ended is not among them.
    ///
    /// # Errors
    /// When the server is gone or answers with an error.
    pub fn alerts(&self) -> io::Result<Vec<serde_json::Value>> {
        let answer = get(self.address, "/api/v2/alerts")?;
        if !answer.is_success() {
            return Err(io::Error::other(answer.body));
        }
        Ok(serde_json::from_str(&answer.body)?)
    }

    /// Kills it, as a crash would.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub fn restart(&mut self) {
        started(self.try_restart());
    }

    /// The process id of the server while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}
