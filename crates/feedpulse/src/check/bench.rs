//! `feedpulse check bench`: what a check costs, beside one that does nothing, in the same run.

use super::bed::{self, Bed, Clock, Message, NOW_MS};
use super::build::size;
use super::cases;
use super::named::Tried;
use crate::cli::{DATA, Failure, NO_INPUT};
use crate::files;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Batch, CheckFinding, Manifest, MessageAccess, Plugin, Row, Settings, Worker};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A check that does nothing: what a call costs at least.
const NOTHING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nothing.wasm"));
/// Rows of the large batch, as in production.
const BATCH: usize = 64;
/// Calls whose instructions are counted, and as many before them.
const COUNTED: usize = 64;
/// Rounds before it counts.
const WARM: usize = 200;

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// The check: its folder (built first), a .wasm file, builtin:NAME, or oci://….
    #[arg(default_value = ".")]
    check: String,
    #[command(flatten)]
    tried: Tried,
    /// Files and folders of messages, instead of the check's cases.
    #[arg(long, value_name = "PATH")]
    messages: Vec<PathBuf>,
    /// How long each measurement takes.
    #[arg(long = "for", value_name = "TIME", default_value = "1s")]
    time: jiff::SignedDuration,
}

/// Times of one way to call.
struct Times {
    /// Nanoseconds of the calls, in order of length.
    calls: Vec<u64>,
    rows: usize,
}

impl Times {
    fn at(&self, percent: usize) -> u64 {
        let last = self.calls.len().saturating_sub(1);
        self.calls.get(last * percent / 100).copied().unwrap_or(0)
    }

    /// Nanoseconds a message, of the median call.
    fn per_row(&self) -> u64 {
        self.at(50) / u64::try_from(self.rows.max(1)).unwrap_or(1)
    }
}

/// Runs the command; exit code 1 when the budget is exceeded.
pub(crate) fn main(args: &BenchArgs) -> Result<(), Failure> {
    let time = Duration::try_from(args.time).unwrap_or_default();
    if time < Duration::from_millis(10) || time > Duration::from_secs(60) {
        return Err(Failure::new(64, anyhow!("--for: give 10ms to 60s")));
    }
    let bed = Bed::of(&args.check)?;
    let none = Settings::default();
    let (mut own, settings) = bed.tried(&args.tried)?;
    let messages = messages(args, &bed, own.manifest())?;
    let mut nothing = bed
        .another(NOTHING)?
        .author_worker(none.clone())
        .map_err(|e| Failure::new(DATA, anyhow!("{e}")))?;
    let rows = Rows::of(own.manifest(), &messages)?;
    let manifest = bed.manifest();
    let messages_said = crate::noun::count(messages.len(), "message");
    println!("{} {}, {messages_said} in turn", manifest.name, manifest.version);
    println!(
        "{:<28} {:>10} {:>10} {:>12} {:>22}",
        "", "ns a call", "p99", "ns a message", "instructions a message"
    );
    let mut per_row = Vec::new();
    let mut memory = 0;
    let both = [
        ("nothing at all", &mut nothing, NOTHING, &none),
        (manifest.name.as_str(), &mut own, bed.named.wasm.as_slice(), &settings),
    ];
    for (name, worker, wasm, settings) in both {
        let counting = Bed::counting(wasm)?;
        for size in [1, BATCH] {
            let mut times = measure(worker, &rows.batches(size), time)?;
            times.calls.sort_unstable();
            let label = format!("{name}, {size} at a time");
            let (call, p99, row) = (times.at(50), times.at(99), times.per_row());
            let counted = count(&counting, settings, &rows.batches(size))?;
            let counted = counted.map_or_else(|| "-".to_owned(), |n| n.to_string());
            println!("{label:<28} {call:>10} {p99:>10} {row:>12} {counted:>22}");
            per_row.push(row);
        }
        memory = worker.status().memory.unwrap_or(0);
    }
    println!("memory {}, component {}", size(memory), size(bed.named.wasm.len()));
    println!("instructions are WebAssembly's, of the median call: the same on every machine");
    // the check's rows come last
    let ns = per_row.last().copied().unwrap_or(0);
    verdict(&bed, ns, memory)
}

/// Compares with `[budget]`.
fn verdict(bed: &Bed, ns: u64, memory: usize) -> Result<(), Failure> {
    let budget = bed.manifest().budget;
    let mut over = Vec::new();
    if let Some(us) = budget.us_per_row {
        let used = ns.div_ceil(1000);
        println!("budget: {used} of {us} µs a row (rounded up, {BATCH} at a time)");
        if used > u64::from(us) {
            over.push(format!("us-per-row = {us} is exceeded: {used}"));
        }
    }
    if let Some(mib) = budget.memory_mib {
        let used = memory.div_ceil(1 << 20);
        println!("budget: {used} of {mib} MiB (rounded up)");
        if u32::try_from(used).unwrap_or(u32::MAX) > mib {
            over.push(format!("memory-mib = {mib} is exceeded: {used}"));
        }
    }
    match (over.is_empty(), budget.us_per_row.or(budget.memory_mib)) {
        (true, None) => println!("plugin.toml has no [budget] to compare with"),
        (true, Some(_)) => println!("within the budget"),
        (false, _) => {
            return Err(Failure::new(1, anyhow!("[budget] in plugin.toml: {}", over.join("; "))));
        }
    }
    Ok(())
}

/// The messages that are handed over in turn.
fn messages(args: &BenchArgs, bed: &Bed, manifest: &Manifest) -> Result<Vec<Message>, Failure> {
    let mut all = Vec::new();
    let clock = Clock::At(NOW_MS);
    if args.messages.is_empty() {
        for case in cases::of(&bed.named, None)? {
            for (_, bytes) in &case.files {
                all.extend(bed::tray(manifest, bytes, clock)?.messages);
            }
        }
    }
    for path in files::list(&args.messages)? {
        all.extend(bed::tray(manifest, &files::read(&path)?, clock)?.messages);
    }
    all.retain(|m| m.fields.is_some());
    if all.is_empty() {
        let error = anyhow!("no message that the check wants; give some with --messages FILE");
        return Err(Failure::new(NO_INPUT, error));
    }
    Ok(all)
}

/// Rows to hand over, as many as fill the largest batch.
struct Rows {
    rows: Vec<Row>,
    access: Arc<dyn MessageAccess>,
}

impl Rows {
    fn of(manifest: &Manifest, messages: &[Message]) -> Result<Self, Failure> {
        bed::rows(manifest)?;
        let turn: Vec<Message> =
            messages.iter().cycle().take(BATCH.max(messages.len())).cloned().collect();
        Ok(Self { rows: bed::wanted(&turn), access: bed::whole(&turn) })
    }

    /// Batches of a size, over all rows.
    fn batches(&self, size: usize) -> Vec<Batch<'_>> {
        let batch = |rows| Batch {
            feed: "bench",
            now_ms: NOW_MS,
            monotonic_ms: 0,
            rows,
            access: Some(Arc::clone(&self.access)),
        };
        self.rows.chunks_exact(size.min(self.rows.len())).map(batch).collect()
    }
}

/// Instructions a message, of the median of some calls after it is warm; none when they are not
/// counted. An interpreter that tidies up now and then does so outside of the median.
fn count(
    plugin: &Plugin,
    settings: &Settings,
    batches: &[Batch<'_>],
) -> Result<Option<u64>, Failure> {
    let started = plugin.author_worker(settings.clone());
    let mut worker = started.map_err(|e| Failure::new(DATA, anyhow!("{e}")))?;
    let rows = batches.first().map_or(1, |b| b.rows.len().max(1));
    let mut counts = Vec::with_capacity(COUNTED);
    for (n, batch) in batches.iter().cycle().take(2 * COUNTED).enumerate() {
        let before = worker.instructions();
        worker.check(batch);
        // an instance that was renewed in between counts from its start
        if let (Some(before), Some(after)) = (before, worker.instructions())
            && n >= COUNTED
        {
            counts.extend(after.checked_sub(before));
        }
    }
    counts.sort_unstable();
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    Ok(counts.get(counts.len() / 2).map(|n| n / rows))
}

/// Calls for some time, after it is warm.
fn measure(worker: &mut Worker, batches: &[Batch<'_>], time: Duration) -> Result<Times, Failure> {
    let rows = batches.first().map_or(1, |b| b.rows.len());
    let mut calls = Vec::with_capacity(1 << 16);
    let mut turn = batches.iter().cycle();
    let mut call = |worker: &mut Worker| -> Result<u64, Failure> {
        let Some(batch) = turn.next() else { return Ok(0) };
        let before = Instant::now();
        let judged = worker.check(batch);
        let took = u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let fault = judged.into_iter().find_map(|one| match one {
            CheckFinding::Faulty(fault) => Some(fault),
            CheckFinding::Found(_) => None,
        });
        match fault {
            Some(f) => Err(Failure::new(1, anyhow!("it fails: {}: {}", f.kind.name(), f.cause))),
            None => Ok(took),
        }
    };
    for _ in 0..WARM {
        call(worker)?;
    }
    let start = Instant::now();
    while start.elapsed() < time && calls.len() < calls.capacity() {
        calls.push(call(worker)?);
    }
    Ok(Times { calls, rows })
}
