//! The real product in tests: a wire and a `feedpulse run` as children on free loopback ports,
//! with everything that they keep and say in one temporary folder.

mod binary;

pub use binary::binary;

use crate::parts::{free_address, get, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take that the tests wait for, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A waypoint with its MLLP listener.
#[derive(Clone, Debug)]
pub struct Waypoint {
    /// Its name.
    pub name: &'static str,
    /// Where its messages go.
    pub forward: SocketAddr,
    /// Further settings in YAML's flow style, such as `ack_time: 500ms`; may be empty.
    pub settings: String,
}

impl Waypoint {
    /// One with default settings.
    #[must_use]
    pub fn new(name: &'static str, forward: SocketAddr) -> Self {
        Self { name, forward, settings: String::new() }
    }
}

/// What the product is to watch.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Waypoints with a listener each.
    pub waypoints: Vec<Waypoint>,
    /// Waypoints of other taps, each as YAML's flow mapping.
    pub others: Vec<String>,
    /// Size of the ring in KiB, a power of two.
    pub ring_kib: u64,
    /// Further top-level YAML.
    pub more: String,
    /// Where the store is; None = in the temporary folder.
    pub store: Option<PathBuf>,
    /// Further settings of the store in YAML's flow style, such as `ledger_mib: 1`; may be empty.
    pub store_settings: String,
}

impl Setup {
    /// These waypoints, with a ring of 16 MiB.
    #[must_use]
    pub fn new(waypoints: Vec<Waypoint>) -> Self {
        Self {
            waypoints,
            others: Vec::new(),
            ring_kib: 16 << 10,
            more: String::new(),
            store: None,
            store_settings: String::new(),
        }
    }
}

/// A wire and the process that analyses what it forwards; both end when this is dropped.
#[derive(Debug)]
pub struct Product {
    folder: TempDir,
    wire: Option<Child>,
    run: Option<Child>,
    listeners: Vec<SocketAddr>,
    ops: SocketAddr,
    ui: SocketAddr,
}

impl Product {
    /// Starts both and waits until they are ready.
    ///
    /// # Panics
    /// When one of them does not start, with what it said.
    #[must_use]
    pub fn start(setup: &Setup) -> Self {
        let mut product = Self::start_wire(setup);
        product.start_run();
        product
    }

    /// Writes the configuration and starts the wire alone.
    ///
    /// # Panics
    /// When it does not start, with what it said.
    #[must_use]
    pub fn start_wire(setup: &Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("feedpulse-product-").tempdir();
        let mut product = Self {
            folder: folder.expect("a temporary folder can be made"),
            wire: None,
            run: None,
            listeners: Vec::new(),
            ops: free_address().expect("loopback has a free port"),
            ui: free_address().expect("loopback has a free port"),
        };
        if !setup.waypoints.is_empty() {
            product.spawn_wire(setup);
        }
        let text = product.configuration(setup);
        fs::write(product.config(), text).expect("the temporary folder can be written");
        product
    }

    /// Starts another wire that takes over, and waits until the one before has ended.
    ///
    /// # Panics
    /// When it does not, with what was said.
    pub fn upgrade_wire(&mut self, setup: &Setup) {
        let mut before = self.wire.take().expect("a wire is running");
        let listeners = self.listeners.clone();
        self.spawn_wire_with(setup, &["--take-over"]);
        assert_eq!(self.listeners, listeners, "it listens where the one before did");
        let ended = before.wait().expect("our child can be waited for");
        assert!(ended.success(), "wire: {ended}: {}", self.said());
    }

    fn spawn_wire(&mut self, setup: &Setup) {
        self.spawn_wire_with(setup, &[]);
    }

    fn spawn_wire_with(&mut self, setup: &Setup, more: &[&str]) {
        let mut wire = Command::new(binary());
        wire.arg("wire").arg("--socket").arg(self.socket()).args(more);
        wire.arg("--ring-bytes").arg(format!("{}KiB", setup.ring_kib));
        for waypoint in &setup.waypoints {
            let Waypoint { name, forward, .. } = waypoint;
            wire.arg("--listen").arg(format!("{name}=127.0.0.1:0,forward={forward}"));
        }
        wire.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.log("wire.err"));
        let mut child = wire.spawn().expect("the wire can be started");
        let said = child.stdout.take().expect("its output is piped");
        let lines = BufReader::new(said).lines().take(setup.waypoints.len()).map_while(Result::ok);
        self.listeners = lines.filter_map(|l| l.rsplit(' ').next()?.parse().ok()).collect();
        self.wire = Some(child);
        assert_eq!(self.listeners.len(), setup.waypoints.len(), "wire: {}", self.said());
    }

    fn configuration(&self, setup: &Setup) -> String {
        let store = setup.store.clone().unwrap_or_else(|| self.store());
        let settings = &setup.store_settings;
        let comma = if settings.is_empty() { "" } else { ", " };
        let mut text = format!(
            "site: test\nzone: UTC\nalerts: {{notify: live, resolve_after: 10s, page_after: 20s}}\n\
             store: {{folder: {store:?}{comma}{settings}}}\nwaypoints:\n"
        );
        for waypoint in &setup.waypoints {
            let comma = if waypoint.settings.is_empty() { "" } else { ", " };
            let _ = writeln!(text, "  - {{name: {}{comma}{}}}", waypoint.name, waypoint.settings);
        }
        for other in &setup.others {
            let _ = writeln!(text, "  - {other}");
        }
        if !setup.waypoints.is_empty() {
            let (socket, ring) = (self.socket(), setup.ring_kib);
            let _ = writeln!(text, "mllp:\n  socket: {socket:?}\n  start_wire: false");
            let _ = writeln!(text, "  ring_kib: {ring}\n  listeners:");
        }
        for (waypoint, listen) in setup.waypoints.iter().zip(&self.listeners) {
            let Waypoint { name, forward, .. } = waypoint;
            let _ = writeln!(
                text,
                "    - {{waypoint: {name}, listen: \"{listen}\", forward: \"{forward}\"}}"
            );
        }
        let (ops, ui) = (self.ops, self.ui);
        let _ = writeln!(text, "ops: {{listen: \"{ops}\"}}\nui: {{listen: \"{ui}\"}}");
        text + &setup.more
    }

    /// Starts the analysing process (again) and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start, with what it said.
    pub fn start_run(&mut self) {
        self.spawn_run();
        self.wait("ready", |product| {
            let ended = product.run.as_mut().and_then(|run| run.try_wait().ok().flatten());
            assert!(ended.is_none(), "run ended with {ended:?}: {}", product.said());
            get(product.ops, "/readyz").is_ok_and(|r| r.is_success()).then_some(())
        });
    }

    /// Starts the analysing process without waiting.
    ///
    /// # Panics
    /// When it is running already.
    pub fn spawn_run(&mut self) {
        assert!(self.run.is_none(), "one run at a time");
        let mut run = Command::new(binary());
        run.arg("run").arg("--config").arg(self.config());
        run.stdin(Stdio::null()).stdout(self.log("run.out")).stderr(self.log("run.err"));
        self.run = Some(run.spawn().expect("run can be started"));
    }

    /// Waits until `ask` has an answer.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`], with the last status and the end of the logs.
    #[expect(clippy::panic, reason = "a test that waited in vain has failed")]
    pub fn wait<T>(&mut self, what: &str, mut ask: impl FnMut(&mut Self) -> Option<T>) -> T {
        match wait_until(PATIENCE, || ask(self)) {
            Some(answer) => answer,
            None => {
                let status = self.json("/api/v1/status");
                panic!("not within {PATIENCE:?}: {what}\n{status:?}\n{}", self.said())
            }
        }
    }

    fn log(&self, name: &str) -> File {
        let file = File::options().create(true).append(true).open(self.folder.path().join(name));
        file.expect("the temporary folder can be written")
    }

    /// Everything that its processes have printed so far.
    #[must_use]
    pub fn said(&self) -> String {
        let read = |name| fs::read(self.folder.path().join(name)).unwrap_or_default();
        let all = ["run.out", "run.err", "wire.err"].map(read).concat();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Its temporary folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("feedpulse.yaml")
    }

    /// Its store, when the setup names no other.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The wire's socket, in a folder of its own: the store's may be on a disk that fills up.
    fn socket(&self) -> PathBuf {
        self.folder.path().join("wire").join("wire.sock")
    }

    /// Where senders connect, in order of the waypoints.
    #[must_use]
    pub fn listener(&self, number: usize) -> SocketAddr {
        self.listeners[number]
    }

    /// Where `/metrics` is.
    #[must_use]
    pub const fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// Where the pages are.
    #[must_use]
    pub const fn ui(&self) -> SocketAddr {
        self.ui
    }

    /// The JSON at a path of the `ui` listener; None when it does not answer with 200.
    #[must_use]
    pub fn json(&self, path: &str) -> Option<Value> {
        let answer = get(self.ui, path).ok().filter(|answer| answer.status == 200)?;
        serde_json::from_str(&answer.body).ok()
    }

    /// `/api/v1/status`; None while it is not there.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        self.json("/api/v1/status")
    }

    /// `/api/v1/incidents`; empty while it is not there.
    #[must_use]
    pub fn incidents(&self) -> Vec<Value> {
        match self.json("/api/v1/incidents") {
            Some(Value::Array(incidents)) => incidents,
            _ => Vec::new(),
        }
    }

    /// The newest incident that has a finding of this code.
    #[must_use]
    pub fn incident(&self, code: &str) -> Option<Value> {
        let has = |i: &Value| {
            i["findings"].as_array().is_some_and(|f| f.iter().any(|f| f["code"] == code))
        };
        self.incidents().into_iter().filter(has).max_by_key(|i| i["id"].as_u64())
    }

    /// Messages seen so far; None while it does not answer.
    #[must_use]
    pub fn seen(&self) -> Option<u64> {
        self.status()?["totals"]["seen"].as_u64()
    }

    /// `/metrics`, or nothing while it does not answer.
    #[must_use]
    pub fn metrics(&self) -> String {
        get(self.ops, "/metrics").map(|answer| answer.body).unwrap_or_default()
    }

    /// The sum of all points of a family in `/metrics`; None when it has none.
    #[must_use]
    pub fn metric(&self, family: &str) -> Option<f64> {
        let metrics = self.metrics();
        let points = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix(family)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        let points: Vec<f64> = points.collect();
        (!points.is_empty()).then(|| points.iter().sum())
    }

    /// A number of the wire's statistics; None while it does not answer.
    #[must_use]
    pub fn wire(&self, key: &str) -> Option<u64> {
        let stats = feedpulse_wire::stats(&self.socket()).ok()?;
        let field = |pair: &str| pair.strip_prefix(key)?.strip_prefix('=')?.parse().ok();
        stats.split_whitespace().find_map(field)
    }

    /// Sends the analysing process a signal.
    ///
    /// # Panics
    /// When it is not running.
    pub fn signal(&self, signal: Signal) {
        let run = self.run.as_ref().expect("run is running");
        send(run, signal);
    }

    /// Kills the analysing process as a crash would, and waits for its end.
    pub fn kill9(&mut self) {
        if let Some(mut run) = self.run.take() {
            let _ = run.kill();
            let _ = run.wait();
        }
    }

    /// Ends the analysing process in order and says how it ended.
    ///
    /// # Panics
    /// When it is not running, or does not end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut run = self.run.take().expect("run is running");
        send(&run, Signal::TERM);
        let ended = wait_until(PATIENCE, || run.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = run.kill();
            let _ = run.wait();
        }
        ended.expect("run ends after SIGTERM")
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a child has a process id"), signal)
        .expect("our child can be signalled");
}

impl Drop for Product {
    fn drop(&mut self) {
        for child in [&mut self.run, &mut self.wire].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a command of the binary to its end, with this on its standard input.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn command_with(arguments: &[&str], input: &str) -> std::process::Output {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary can be started");
    // One that refuses its arguments reads nothing.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    child.wait_with_output().expect("its output is piped")
}

/// Runs a command of the binary to its end.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn command(arguments: &[&str]) -> std::process::Output {
    let done = Command::new(binary()).args(arguments).stdin(Stdio::null()).output();
    done.expect("the binary can be started")
}
