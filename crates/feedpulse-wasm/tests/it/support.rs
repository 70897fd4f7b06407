//! Builds the checks once, runs the heartbeat, and makes rows.

use crate::packaging;
use feedpulse_wasm::{
    Batch, CheckFinding, Fault, Finding, Limits, Plugin, Row, Runtime, Settings, Worker,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A wall clock for guests: 2023-11-14T22:13:20Z.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The checks of `plugins/` that are crates, by name. A new folder is found by itself.
pub(crate) fn checks() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("plugins")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let crates = folders.filter(|folder| folder.join("Cargo.toml").is_file());
    let mut names: Vec<String> =
        crates.map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// A check of `plugins/` as one file, built once per test run. Cargo keeps what it compiled, so a
/// second run only looks; all share one target folder.
pub(crate) fn component(name: &str) -> &'static [u8] {
    static BUILT: Mutex<BTreeMap<String, &'static [u8]>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(wasm) = built.get(name) {
        return wasm;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let folder = root().join("plugins").join(name);
    let wasm = packaging::component(&folder, &target).unwrap_or_else(|e| panic!("{e}"));
    let wasm: &'static [u8] = wasm.leak();
    built.insert(name.to_owned(), wasm);
    wasm
}

/// A check of `plugins/`, built and compiled once.
pub(crate) fn plugin(name: &str) -> Plugin {
    static COMPILED: Mutex<BTreeMap<String, Plugin>> = Mutex::new(BTreeMap::new());
    let wasm = component(name);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let load = || runtime().load(wasm).unwrap_or_else(|e| panic!("{name}: {e}"));
    compiled.entry(name.to_owned()).or_insert_with(load).clone()
}

/// The runtime that most tests share, with its heartbeat on a thread of its own.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static NEVER: AtomicBool = AtomicBool::new(false);
    RUNTIME.get_or_init(|| {
        let runtime = Runtime::new(None).unwrap();
        let ticker = runtime.ticker();
        std::thread::spawn(move || ticker.run(&NEVER));
        runtime
    })
}

/// The check that misbehaves on demand, compiled once.
pub(crate) fn troublemaker() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| runtime().load(component("troublemaker")).unwrap())
}

/// Budgets that a slow machine keeps; tests of a limit change the one that they mean.
pub(crate) fn roomy() -> Limits {
    Limits { time_base: Duration::from_secs(20), ..Limits::default() }
}

/// A worker of the troublemaker with these limits and no grants.
pub(crate) fn worker(limits: Limits) -> Worker {
    troublemaker().worker(Settings { limits, ..Settings::default() }).unwrap()
}

/// Rows for the troublemaker: what it shall do, and a patient's name that must not come out. The
/// id of row `n` is `100 + n`.
pub(crate) fn rows(deeds: &[&str]) -> Vec<Row> {
    (100..)
        .zip(deeds)
        .map(|(id, deed)| Row { id, fields: format!("{deed}\u{1f}{PATIENT}") })
        .collect()
}

/// The canary.
pub(crate) const PATIENT: &str = "CANARY^JANE";

/// One batch at a time.
pub(crate) fn at<'a>(rows: &'a [Row], monotonic_ms: u64) -> Batch<'a> {
    Batch { feed: "adt", now_ms: NOW_MS, monotonic_ms, rows, access: None }
}

/// Checks one batch at time zero.
pub(crate) fn check(worker: &mut Worker, deeds: &[&str]) -> Vec<CheckFinding> {
    worker.check(&at(&rows(deeds), 0))
}

/// The findings, apart from the faults.
pub(crate) fn split(all: Vec<CheckFinding>) -> (Vec<Finding>, Vec<Fault>) {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            CheckFinding::Found(finding) => found.push(finding),
            CheckFinding::Faulty(fault) => faults.push(fault),
        }
    }
    let told = format!("{found:?} {faults:?}");
    assert!(!told.contains("CANARY"), "a patient's name came out: {told}");
    (found, faults)
}

/// The rows that a finding names.
pub(crate) fn ids(found: &[Finding]) -> Vec<u64> {
    found.iter().filter_map(|f| f.row).collect()
}
