//! A real OpenTelemetry Collector: OTLP in by gRPC and HTTP, JSON lines out to a file.

use super::http::post;
use super::server::{Server, StartError, free_address, with_retries};
use super::{require, started};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A running collector. Traces, metrics and logs go to one file: each line is one export request
/// as OTLP JSON, told apart by its key `resourceSpans`, `resourceMetrics` or `resourceLogs`.
#[derive(Debug)]
pub struct Collector {
    server: Server,
    grpc: SocketAddr,
    http: SocketAddr,
    file: PathBuf,
}

impl Collector {
    /// Starts a collector that appends to `file`; None where no collector is on this machine.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    #[must_use]
    pub fn start(file: &Path) -> Option<Self> {
        let program = require("collector")?;
        Some(started(with_retries(|| Self::try_start(&program, file))))
    }

    fn try_start(program: &Path, file: &Path) -> Result<Self, StartError> {
        let mut server = Server::new("collector")?;
        let (grpc, http) = (free_address()?, free_address()?);
        let config = server.folder().join("config.yaml");
        fs::write(&config, configuration(grpc, http, file))?;
        let words = [program.display().to_string(), format!("--config={}", config.display())];
        server.set_command(words.to_vec());
        let mut collector = Self { server, grpc, http, file: file.to_path_buf() };
        collector.try_restart()?;
        Ok(collector)
    }

    fn try_restart(&mut self) -> Result<(), StartError> {
        let (grpc, http) = (self.grpc, self.http);
        self.server.start(|| {
            let empty = post(http, "/v1/traces", "application/json", b"{}");
            empty.is_ok_and(|r| r.is_success()) && std::net::TcpStream::connect(grpc).is_ok()
        })
    }

    /// The address of OTLP over gRPC.
    #[must_use]
    pub const fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The address of OTLP over HTTP.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Every whole line of its file so far; a line that is still being written is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Kills the collector, as a crash would.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again on the same ports and the same file.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub fn restart(&mut self) {
        started(self.try_restart());
    }

    /// The process id of the collector while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

fn configuration(grpc: SocketAddr, http: SocketAddr, file: &Path) -> String {
    let pipeline = "{receivers: [otlp], exporters: [file]}";
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: \"{grpc}\"}}\n      \
         http: {{endpoint: \"{http}\"}}\n\
         exporters:\n  file: {{path: \"{}\", append: true, flush_interval: 100ms}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
         traces: {pipeline}\n    metrics: {pipeline}\n    logs: {pipeline}\n",
        file.display()
    )
}
