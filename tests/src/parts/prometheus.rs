//! A real Prometheus that scrapes the given addresses four times a second.

use super::http::{encoded, get};
use super::server::{Server, StartError, free_address, with_retries};
use super::{require, started};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes `/metrics` of the targets as job `feedpulse`; None where
    /// no Prometheus is on this machine.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    #[must_use]
    pub fn start(targets: &[SocketAddr]) -> Option<Self> {
        let program = require("prometheus")?;
        Some(started(with_retries(|| Self::try_start(&program, targets))))
    }

    fn try_start(program: &Path, targets: &[SocketAddr]) -> Result<Self, StartError> {
        let mut server = Server::new("prometheus")?;
        let address = free_address()?;
        let config = server.folder().join("prometheus.yml");
        fs::write(&config, configuration(targets))?;
        let data = server.folder().join("data");
        server.set_command(vec![
            program.display().to_string(),
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address={address}"),
        ]);
        server.start(|| get(address, "/-/ready").is_ok_and(|r| r.is_success()))?;
        Ok(Self { server, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The result of an instant query: `data.result` of Prometheus' answer.
    ///
    /// # Errors
    /// When the query is refused (with Prometheus' own words) or the server is gone.
    pub fn query(&self, promql: &str) -> io::Result<Vec<serde_json::Value>> {
        let answer = get(self.address, &format!("/api/v1/query?query={}", encoded(promql)))?;
        let mut json: serde_json::Value = serde_json::from_str(&answer.body)?;
        match json["data"]["result"].take() {
            serde_json::Value::Array(result) if json["status"] == "success" => Ok(result),
            _ => Err(io::Error::other(answer.body)),
        }
    }

    /// The process id of the server while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

fn configuration(targets: &[SocketAddr]) -> String {
    let targets: Vec<_> = targets.iter().map(|t| format!("\"{t}\"")).collect();
    format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\nscrape_configs:\n  \
         - job_name: feedpulse\n    static_configs: [{{targets: [{}]}}]\n",
        targets.join(", ")
    )
}
