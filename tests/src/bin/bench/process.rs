//! Start-up and idle memory of the product: the analysing process and its wire.

use crate::Result;
use crate::figure::{Figure, Missing, Target};
use crate::harness::{Contender, Harness, median};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Its name.
pub(crate) const GROUP: &str = "process";

const RUN: &str = "feedpulse run until /readyz answers 200";
const HELP: &str = "feedpulse --version";
/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// From ready to when memory is read: ticks, snapshots and exports have come by then.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two looks at something that another process does.
const LOOK: Duration = Duration::from_millis(2);

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let program = program()?;
    let memory = RefCell::new(Memory::default());
    let rounds = harness.rounds();
    let measured = harness.compare(vec![
        Contender::new(RUN, || {
            // Memory needs a while to settle, so it is read in a third of the rounds.
            let settle = memory.borrow().looks % 3 == 0;
            memory.borrow_mut().looks += 1;
            start(&program, settle.then_some(&memory))
        }),
        Contender::new(HELP, || {
            let before = Instant::now();
            let status = Command::new(&program).arg("--version").stdout(Stdio::null()).status()?;
            let took = before.elapsed();
            status
                .success()
                .then_some(took.as_secs_f64() * 1e3)
                .ok_or_else(|| status.to_string().into())
        }),
    ])?;
    let Memory { analyser, wire, .. } = memory.into_inner();
    debug_assert!(analyser.len() <= rounds + 1, "one reading in a round at most");
    let within = |most| Some(Target::OursAtMost(most));
    let rss = |what: &str, values: Vec<f64>, target| {
        Figure::alone(GROUP, &format!("{what}, idle VmRSS, MB"), median(values), target)
    };
    Ok(vec![
        measured.figure(GROUP, "start to ready, ms", (RUN, HELP), within(1000.0)),
        rss("analysing process", analyser, within(40.0)),
        rss("wire process, 16 MiB ring", wire, None),
    ])
}

#[derive(Debug, Default)]
struct Memory {
    looks: usize,
    analyser: Vec<f64>,
    wire: Vec<f64>,
}

/// The product beside this program.
pub(crate) fn program() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("feedpulse");
    if program.is_file() {
        return Ok(program);
    }
    let text = format!("there is no {}; run `cargo build --release` first", program.display());
    Err(Box::new(Missing(text)))
}

/// One start in a fresh folder, milliseconds until ready. Ends what it started.
fn start(program: &Path, memory: Option<&RefCell<Memory>>) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let ops = free_port()?;
    let config = config(folder.path(), ops, free_port()?, free_port()?);
    let file = folder.path().join("feedpulse.yaml");
    fs::write(&file, config)?;
    let log = fs::File::create(folder.path().join("log"))?;
    let before = Instant::now();
    let mut running = Running {
        child: Command::new(program)
            .args(["run", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?,
    };
    let ready = until(|| running.ready(ops));
    let took = before.elapsed();
    if !ready {
        let said = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        return Err(format!("it was not ready: {}", last.join(" | ")).into());
    }
    if let Some(memory) = memory {
        std::thread::sleep(SETTLE);
        let mut memory = memory.borrow_mut();
        memory.analyser.extend(rss_mb(running.child.id()));
        memory.wire.extend(running.wires().into_iter().filter_map(rss_mb));
    }
    Ok(took.as_secs_f64() * 1e3)
}

/// A configuration with every part that needs no other server.
fn config(folder: &Path, ops: SocketAddr, listen: SocketAddr, forward: SocketAddr) -> String {
    let store = folder.join("store");
    format!(
        "site: bench\n\
         store: {{folder: '{}'}}\n\
         waypoints: [{{name: ehr-out}}]\n\
         routes: [{{name: ehr, waypoints: [ehr-out]}}]\n\
         mllp: {{listeners: [{{waypoint: ehr-out, listen: '{listen}', forward: '{forward}'}}]}}\n\
         checks: [{{name: regression, plugin: 'builtin:result-status-regression'}}]\n\
         ops: {{listen: '{ops}'}}\n",
        store.display()
    )
}

/// A port that was free a moment ago: a configuration file has to name one.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn until(mut good: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if good() {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

/// `feedpulse run`, and the wire that it started. Both are ended when it is dropped.
struct Running {
    child: Child,
}

impl Running {
    /// Whether `/readyz` says yes.
    fn ready(&mut self, ops: SocketAddr) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(ops)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream
                .write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.starts_with("HTTP/1.1 200"))
        };
        ask().unwrap_or(false)
    }

    /// Processes that it started.
    fn wires(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let children = tasks
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<String> = children.collect();
        children.iter().flat_map(|c| c.split_whitespace()).filter_map(|c| c.parse().ok()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let wires = self.wires();
        end(self.child.id());
        // The wire outlives the analysing process on purpose.
        wires.iter().copied().for_each(end);
        let gone = until(|| matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)));
        if !gone {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        until(|| wires.iter().all(|wire| !is_alive(*wire)));
    }
}

fn end(process: u32) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended already.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Whether a process runs; one that only waits to be reaped by others does not.
fn is_alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// Resident memory in MB (10^6 bytes).
fn rss_mb(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
