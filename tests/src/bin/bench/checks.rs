//! WebAssembly checks: the five-field check on an 885-byte admission, in batches of 64, with the host's
//! joining, in every language that is built; five checks; one message alone; memory; start; and what
//! hostile checks beside it cost.
//!
//! A guest is `<target>/plugins/five-fields.wasm`; the same check in another language lies beside it as
//! `five-fields-js.wasm`, `-python` or `-go`. One that is not there is printed as not built.

use crate::Result;
use crate::checks_input::{FIELDS, Joined, admission, batch, native};
use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness, Measured};
use crate::hearts::{Heart, component};
use feedpulse_wasm::{Limits, Plugin, Row, Runtime, Settings, Worker};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Its name.
pub(crate) const GROUP: &str = "checks";

/// Rows of a batch.
pub(crate) const BATCH: usize = 64;
/// Suffix of the file, what is printed, the bar in nanoseconds a message.
const LANGUAGES: [(&str, &str, f64); 3] =
    [("-js", "JavaScript", 3000.0), ("-python", "Python", 2500.0), ("-go", "Go", 600.0)];
/// Starts that are timed; the median counts.
const STARTS: usize = 15;

const RUST: &str = "the check in Rust, joining included";
const NATIVE: &str = "the same in native Rust behind a trait, joining included";
const JOIN: &str = "joining alone";
const ALONE: &str = "one message alone, joining included";
const NATIVE_ALONE: &str = "one message alone in native Rust";
const FIVE: &str = "five checks through the host";
const FIVE_NATIVE: &str = "five checks in native Rust";

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let runtime = Runtime::new(None)?;
    let heart = Heart::start(&runtime);
    let plugin = runtime.load(&component("five-fields")?.ok_or("five-fields is not built")?)?;
    if plugin.manifest().fields.iter().map(ToString::to_string).ne(FIELDS) {
        return Err(format!("five-fields declares other fields than {FIELDS:?} now").into());
    }
    let mut figures = speed(harness, &plugin)?;
    for (suffix, language, bar) in LANGUAGES {
        match component(&format!("five-fields{suffix}"))? {
            None => eprintln!("checks: five-fields in {language}: not built"),
            Some(wasm) => figures.extend(other(harness, &runtime.load(&wasm)?, language, bar)?),
        }
    }
    figures.extend(crate::checks_whole::figures(harness, &plugin)?);
    figures.extend(memory(&plugin, "Rust")?);
    figures.extend(start()?);
    figures.extend(crate::checks_hostile::figures(&runtime, &plugin)?);
    drop((plugin, runtime));
    heart.stop()?;
    Ok(figures)
}

pub(crate) fn workers(plugin: &Plugin, n: usize) -> Result<Vec<Worker>> {
    // a busy machine must not make a good check look bad while it is measured
    let limits = Limits { time_base: Duration::from_secs(1), ..Limits::default() };
    let settings = || Settings { limits: limits.clone(), ..Settings::default() };
    (0..n).map(|_| Ok(plugin.worker(settings())?)).collect()
}

/// Every worker checked every row and found nothing in a good admission.
pub(crate) fn sound(workers: &[Worker]) -> Result<()> {
    for status in workers.iter().map(Worker::status) {
        if status.skipped + status.findings + status.faults.iter().sum::<u64>() > 0 {
            return Err(format!("the check failed while it was measured: {status:?}").into());
        }
    }
    Ok(())
}

fn check(workers: &mut [Worker], rows: &[Row]) {
    for worker in workers {
        black_box(worker.check(&batch(rows)));
    }
}

fn speed(harness: &mut Harness, plugin: &Plugin) -> Result<Vec<Figure>> {
    let message = admission();
    let (mut one, mut five, mut alone) =
        (workers(plugin, 1)?, workers(plugin, 5)?, workers(plugin, 1)?);
    let (mut join, mut join_five, mut join_alone) =
        (Joined::new()?, Joined::new()?, Joined::new()?);
    let (mut only, mut by_native, mut by_five) = (Joined::new()?, Joined::new()?, Joined::new()?);
    let mut by_one = Joined::new()?;
    let mut rule = native();
    let measured = harness.compare(vec![
        Contender::work(RUST, BATCH, || check(&mut one, join.rows(&message, BATCH))),
        Contender::work(JOIN, BATCH, || _ = black_box(only.rows(&message, BATCH))),
        Contender::work(NATIVE, BATCH, || {
            for row in by_native.rows(&message, BATCH) {
                black_box(rule.check(&row.fields));
            }
        }),
        Contender::work(ALONE, 1, || check(&mut alone, join_alone.rows(&message, 1))),
        Contender::work(NATIVE_ALONE, 1, || {
            for row in by_one.rows(&message, 1) {
                black_box(native().check(&row.fields));
            }
        }),
        Contender::work(FIVE, BATCH, || check(&mut five, join_five.rows(&message, BATCH))),
        Contender::work(FIVE_NATIVE, BATCH, || {
            let mut rule = native();
            for row in by_five.rows(&message, BATCH) {
                for _ in 0..5 {
                    black_box(rule.check(black_box(&row.fields)));
                }
            }
        }),
    ])?;
    [&one, &five, &alone].into_iter().try_for_each(|workers| sound(workers))?;
    Ok(table(&measured))
}

fn table(measured: &Measured) -> Vec<Figure> {
    let most = |ns| Some(Target::OursAtMost(ns));
    let ns = |figure: &str, names, target| measured.figure(GROUP, figure, names, target);
    vec![
        ns("five fields, Rust, batches of 64, ns a message", (RUST, NATIVE), most(300.0)),
        ns("the same against native Rust", (RUST, NATIVE), Some(Target::RatioAtMost(3.0))),
        ns("of which joining, ns a message", (JOIN, NATIVE), None),
        ns("a message alone, ns", (ALONE, NATIVE_ALONE), most(2000.0)),
        measured.rate(
            GROUP,
            "five checks through the host alone, messages/s a core",
            (FIVE, FIVE_NATIVE),
            Some(Target::OursAtLeast(2_000_000.0)),
        ),
    ]
}

/// The same check in another language.
fn other(harness: &mut Harness, plugin: &Plugin, language: &str, bar: f64) -> Result<Vec<Figure>> {
    let message = admission();
    let (mut one, mut join, mut by_native) = (workers(plugin, 1)?, Joined::new()?, Joined::new()?);
    let mut rule = native();
    let measured = harness.compare(vec![
        Contender::work(RUST, BATCH, || check(&mut one, join.rows(&message, BATCH))),
        Contender::work(NATIVE, BATCH, || {
            for row in by_native.rows(&message, BATCH) {
                black_box(rule.check(&row.fields));
            }
        }),
    ])?;
    sound(&one)?;
    let figure = format!("five fields, {language}, batches of 64, ns a message");
    let mut figures =
        vec![measured.figure(GROUP, &figure, (RUST, NATIVE), Some(Target::OursAtMost(bar)))];
    figures.extend(memory(plugin, language)?);
    Ok(figures)
}

/// Memory of an instance that has worked; the bar is for Rust and JavaScript.
fn memory(plugin: &Plugin, language: &str) -> Result<[Figure; 1]> {
    let (mut one, mut join, message) = (workers(plugin, 1)?, Joined::new()?, admission());
    for _ in 0..100 {
        check(&mut one, join.rows(&message, BATCH));
    }
    let bytes = one.first().and_then(|worker| worker.status().memory).unwrap_or(0);
    let target = ["Rust", "JavaScript"].contains(&language).then_some(Target::OursAtMost(2.0));
    let figure = format!("memory of an instance, {language}, MiB");
    Ok([Figure::alone(GROUP, &figure, bytes as f64 / f64::from(1 << 20), target)])
}

/// From a component in memory to a check that is ready, with its compiled form in the cache.
fn start() -> Result<[Figure; 1]> {
    let folder = tempfile::tempdir()?;
    let wasm = component("five-fields")?.ok_or("five-fields is not built")?;
    let runtime = Runtime::new(Some(&folder.path().join("compiled")))?;
    let heart = Heart::start(&runtime);
    runtime.load(&wasm)?;
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let began = Instant::now();
        black_box(runtime.load(&wasm)?.worker(Settings::default())?);
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    drop(runtime);
    heart.stop()?;
    let median = crate::harness::median(times);
    Ok([Figure::alone(GROUP, "start from the cache, ms", median, Some(Target::OursAtMost(5.0)))])
}
