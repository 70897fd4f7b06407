//! Reloads under full load: every message is judged by one version or the other, none by both, none
//! by neither; and memory does not grow.
//!
//! `cargo xtask bench reload` runs it a thousand times over and prints what it saw.

use super::reload::{Parts, load};
use super::{CheckFeed, QUEUE, ROWS};
use crate::config::{self, Config};
use crate::run::side::SideBox;
use crate::section;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::Decoder;
use feedpulse_wasm::{CacheUse, Runtime, Settings};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the check is reloaded, where `FEEDPULSE_RELOADS` says nothing.
const RELOADS: u64 = 25;
/// Messages of one turn of the engine.
const TURN: u64 = 128;
/// How long the whole may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(540);
/// What memory may grow by, KiB, after the first tenth of many reloads.
const GROWTH_KIB: u64 = 8 << 10;

/// A version of the check that finds something in each message, which reads this second field.
fn version(number: u64) -> Vec<u8> {
    let wasm = crate::version::content::builtin("troublemaker").unwrap();
    let json = section::found(&wasm, "feedpulse:plugin").unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(json).unwrap();
    manifest["version"] = format!("1.{number}.0").into();
    let second = if number % 2 == 1 { "PID-3.1" } else { "PID-5" };
    manifest["fields"] = serde_json::json!(["MSH-10", second]);
    manifest["grants"] = serde_json::json!([]);
    section::replaced(&wasm, "feedpulse:plugin", manifest.to_string().as_bytes())
}

struct Bench {
    folder: tempfile::TempDir,
    config: Config,
    side: SideBox,
    registry: Registry,
    stop: Arc<AtomicBool>,
    ticker: Option<std::thread::JoinHandle<()>>,
    handle: tokio::runtime::Runtime,
    wasm: Runtime,
    decoder: Decoder,
    /// How often each message was judged, by the key that its finding names.
    judged: HashMap<MessageKey, u32>,
    sent: u64,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("check.wasm");
        std::fs::write(&file, version(0)).unwrap();
        let config = config::load(&format!(
            "waypoints: [{{name: in}}]\nhttp: {{listen: \"127.0.0.1:0\", waypoints: [in]}}\n\
             store: {{folder: {:?}}}\nchecks: [{{name: seen, plugin: {file:?}, fields: [\"*\"]}}]\n",
            folder.path().join("store")
        ))
        .unwrap();
        let wasm = Runtime::new(Some(&folder.path().join("store/compiled"))).unwrap();
        let (ticker, stop) = (wasm.ticker(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let ticker = std::thread::spawn(move || ticker.run(&stopped));
        let decoder = Decoder::new(config.decoding(SiteKey::new([7; 16]), 0));
        Self {
            folder,
            config,
            side: SideBox::new(Counter::default()),
            registry: Registry::default(),
            stop,
            ticker: Some(ticker),
            handle: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            wasm,
            decoder,
            judged: HashMap::new(),
            sent: 0,
        }
    }

    fn load(&self) -> Parts {
        let handle = self.handle.handle().clone();
        load(&self.config, None, &self.wasm, handle, &self.side, &self.registry).unwrap()
    }

    /// One turn of the engine: messages in, rows to the check, findings back.
    fn turn(&mut self, feed: &mut CheckFeed) {
        let mut sightings = Vec::new();
        for _ in 0..TURN {
            let text = format!(
                "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|SEEN{}|P|2.5\rPID|1||{0}^^^H||DOE^JANE\r",
                self.sent
            );
            let frame = Frame {
                bytes: Phi::new(text.into_bytes()),
                at: Timestamp::from_micros(1_700_000_000_000_000),
                waypoint: WaypointId(0),
                connection: ConnectionId(1),
                direction: Direction::ToReceiver,
                trace: None,
            };
            self.decoder.decode_with(&frame, &mut sightings, &mut |message, sighting| {
                feed.offer(message, sighting);
            });
            self.sent += 1;
        }
        feed.flush();
        self.gather();
    }

    fn gather(&mut self) {
        for input in self.side.take() {
            if let Input::Found(found) = input {
                assert!(!found.faulty, "the check failed: {found:?}");
                let key = found.journey_key.unwrap();
                *self.judged.entry(key).or_default() += 1;
            }
        }
    }

    fn total(&self) -> u64 {
        self.judged.values().map(|n| u64::from(*n)).sum()
    }

    fn metric(&self, name: &'static str) -> u64 {
        self.registry.counter(name, "", "{row}", &[("check", "seen")]).get()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.ticker.take().map(std::thread::JoinHandle::join);
    }
}

/// Resident memory of this process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// Puts a version in place at once, as a deployment does.
fn place(file: &Path, wasm: &[u8]) {
    let scratch = file.with_extension("new");
    std::fs::write(&scratch, wasm).unwrap();
    std::fs::rename(scratch, file).unwrap();
}

/// Places one version after the other, each once the one before runs; `look` is the thread's own.
fn deployer(
    file: PathBuf,
    mut reloader: super::reload::Reloader,
    reloads: u64,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let versions = [version(0), version(1)];
        let board = reloader.board();
        for number in 1..=reloads {
            place(&file, &versions[usize::from(number % 2 == 1)]);
            while board.list()[0].reloads < number && !stop.load(Ordering::Acquire) {
                reloader.look();
                std::thread::yield_now();
            }
        }
    })
}

#[test]
fn reloads_under_full_load_lose_no_message_and_check_none_twice() {
    let reloads = std::env::var("FEEDPULSE_RELOADS").ok().and_then(|n| n.parse().ok());
    let reloads: u64 = reloads.unwrap_or(RELOADS);
    let mut bench = Bench::new();
    let Parts { mut feeds, desks, reloader } = bench.load();
    let threads: Vec<_> =
        desks.into_iter().map(|desk| std::thread::spawn(move || desk.run())).collect();
    let mut feed = feeds.pop().unwrap();
    let (board, stop) = (reloader.board(), Arc::new(AtomicBool::new(false)));
    let file = bench.folder.path().join("check.wasm");
    let (start, outstanding) = (Instant::now(), (QUEUE / 4 * ROWS) as u64);
    let deployer = deployer(file, reloader, reloads, Arc::clone(&stop));
    let (mut early, mut busy) = (0, 0_u64);
    // The check itself is the limit: its queue is never empty and never full.
    while board.list()[0].reloads < reloads && start.elapsed() < PATIENCE {
        if bench.sent - bench.total() < outstanding {
            bench.turn(&mut feed);
        } else {
            busy += 1;
            feed.flush();
            bench.gather();
            std::thread::yield_now();
        }
        if early == 0 && board.list()[0].reloads * 10 >= reloads {
            early = resident();
        }
    }
    let took = start.elapsed();
    stop.store(true, Ordering::Release);
    deployer.join().unwrap();
    for _ in 0..10 {
        bench.turn(&mut feed);
    }
    drop(feed);
    for thread in threads {
        thread.join().unwrap();
    }
    bench.gather();
    let done = board.list()[0].reloads;
    let twice = bench.judged.values().filter(|n| **n > 1).count();
    let never = bench.sent - bench.judged.len() as u64;
    let (late, sent) = (resident(), bench.sent);
    println!(
        "reloads {done} in {:.1} s; {sent} messages ({:.0}/s), {never} unchecked, {twice} checked twice; \
         {} shed, {} skipped; memory {early} KiB after a tenth, {late} KiB at the end; waited {busy} times",
        took.as_secs_f64(),
        sent as f64 / took.as_secs_f64(),
        bench.metric("feedpulse_check_shed_total"),
        bench.metric("feedpulse_check_skipped_total"),
    );
    println!("a check starts from the cache in {:.2} ms", start_from_cache(&bench));
    assert!(done >= reloads, "{done} of {reloads} reloads within {PATIENCE:?}");
    assert_eq!((never, twice), (0, 0));
    assert_eq!(bench.metric("feedpulse_check_rows_total"), sent);
    if reloads >= 500 {
        // The tables of this test itself grow with the messages: some 50 bytes each.
        let own = sent * 64 / 1024;
        assert!(late < early + own + GROWTH_KIB, "memory grew from {early} to {late} KiB");
    }
}

/// Best of some starts of a check whose compiled code is in the cache, ms: a component's bytes in, an
/// instance with its settings out.
fn start_from_cache(bench: &Bench) -> f64 {
    let wasm = crate::version::content::builtin("result-status-regression").unwrap();
    bench.wasm.load(&wasm).unwrap();
    let one = |_| {
        let start = Instant::now();
        let plugin = bench.wasm.load(&wasm).unwrap();
        let worker = plugin.worker(Settings::default()).unwrap();
        let took = start.elapsed().as_secs_f64() * 1000.0;
        assert_eq!(worker.plugin().cache_use(), CacheUse::Hit);
        took
    };
    (0..20).map(one).fold(f64::INFINITY, f64::min)
}

#[test]
fn a_full_queue_keeps_the_old_version_until_there_is_room() {
    let mut bench = Bench::new();
    let Parts { mut feeds, mut desks, mut reloader } = bench.load();
    let (mut feed, desk) = (feeds.pop().unwrap(), desks.pop().unwrap());
    // Nobody takes from the queue: the first version and rows fill it.
    while bench.metric("feedpulse_check_shed_total") == 0 {
        bench.turn(&mut feed);
    }
    place(&bench.folder.path().join("check.wasm"), &version(1));
    reloader.look();
    bench.turn(&mut feed);
    assert!(feed.held.is_some(), "the next version waits");
    let thread = std::thread::spawn(move || desk.run());
    let start = Instant::now();
    // What was found is taken away meanwhile: the box holds no more than the queue does.
    while feed.held.is_some() && start.elapsed() < PATIENCE {
        bench.turn(&mut feed);
        bench.gather();
    }
    let board = reloader.board();
    while board.list()[0].reloads == 0 && start.elapsed() < PATIENCE {
        feed.flush();
        bench.gather();
        std::thread::yield_now();
    }
    bench.turn(&mut feed);
    drop(feed);
    thread.join().unwrap();
    bench.gather();
    assert_eq!(board.list()[0].version.as_deref(), Some("1.1.0"));
    let shed = bench.metric("feedpulse_check_shed_total");
    assert!(bench.judged.values().all(|n| *n == 1));
    assert_eq!(bench.judged.len() as u64 + shed, bench.sent, "what was not judged was counted");
}
