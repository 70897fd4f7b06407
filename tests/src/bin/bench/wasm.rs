//! One check as WebAssembly against the same rule in plain Rust, in batches and alone.

use crate::Result;
use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness, Measured};
use crate::hearts::{Heart, component};
use crate::input::{self, START_US};
use crate::native_rule::Rule;
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_sim::Kind;
use feedpulse_wasm::{Batch, Plugin, Row, Runtime, Settings, Worker};
use std::hint::black_box;

/// Its name.
pub(crate) const GROUP: &str = "wasm";

const CHECK: &str = "result-status-regression";
/// Its declared fields, in its manifest's order.
const FIELDS: [&str; 7] = ["OBR-3", "ORC-3", "OBR-25", "OBX-3.1", "OBX-4", "OBX-11", "@shape"];
/// Rows of a batch.
const BATCH: usize = 64;
/// Batches of one turn: more orders than the state holds, so that each is new as in life.
const BATCHES: usize = 32;
/// Milliseconds since the epoch.
const NOW_MS: u64 = START_US.unsigned_abs() / 1000;

const BY_64: &str = "check in batches of 64";
const BY_1: &str = "check in batches of 1";
const FIVE: &str = "five checks in batches of 64";
const NATIVE: &str = "the same rule in plain Rust";
const FIVE_NATIVE: &str = "five of the same rule in plain Rust";
const NATIVE_EMPTY: &str = "the same rule in plain Rust without an order";
const FIVE_NATIVE_EMPTY: &str = "five of the same rule in plain Rust without an order";
const EMPTY_64: &str = "check of rows without an order, batches of 64";
const EMPTY_FIVE: &str = "five checks of rows without an order";

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let runtime = Runtime::new(None)?;
    let heart = Heart::start(&runtime);
    let plugin = runtime.load(&component(CHECK)?.ok_or("the check is not built")?)?;
    if plugin.manifest().fields.len() != FIELDS.len() {
        return Err(format!("{CHECK} declares other fields than {FIELDS:?} now").into());
    }
    let (rows, empty) = (rows()?, without_order());
    same_findings(&plugin, &rows)?;
    let measured = compare(harness, &plugin, &rows, &empty)?;
    drop(plugin);
    drop(runtime);
    heart.stop()?;
    Ok(table(&measured))
}

fn table(measured: &Measured) -> Vec<Figure> {
    let ns = |figure: &str, names| measured.figure(GROUP, figure, names, None);
    let rate = |figure: &str, names| {
        measured.rate(GROUP, figure, names, Some(Target::OursAtLeast(1_200_000.0)))
    };
    vec![
        ns("check of a result, batches of 64, ns a message", (BY_64, NATIVE)),
        ns("check of a result, batches of 1, ns a message", (BY_1, NATIVE)),
        ns(
            "check of a message without an order, batches of 64, ns a message",
            (EMPTY_64, NATIVE_EMPTY),
        ),
        rate(
            "five checks of messages without an order, messages/s",
            (EMPTY_FIVE, FIVE_NATIVE_EMPTY),
        ),
        rate("five checks of results, messages/s", (FIVE, FIVE_NATIVE)),
    ]
}

fn compare(
    harness: &mut Harness,
    plugin: &Plugin,
    rows: &[Row],
    empty: &[Row],
) -> Result<Measured> {
    let workers = |n: usize| -> Result<Vec<Worker>> {
        (0..n).map(|_| Ok(plugin.worker(Settings::default())?)).collect()
    };
    let (mut by_64, mut by_1, mut five) = (workers(1)?, workers(1)?, workers(5)?);
    let (mut empty_64, mut empty_five) = (workers(1)?, workers(5)?);
    let (mut rule, mut rules) = (Rule::default(), [(); 5].map(|()| Rule::default()));
    let (mut idle, mut idle_five) = ([Rule::default()], [(); 5].map(|()| Rule::default()));
    let measured = harness.compare(vec![
        Contender::work(BY_64, rows.len(), || check(&mut by_64, rows, BATCH)),
        Contender::work(BY_1, rows.len(), || check(&mut by_1, rows, 1)),
        Contender::work(FIVE, rows.len(), || check(&mut five, rows, BATCH)),
        Contender::work(EMPTY_64, empty.len(), || check(&mut empty_64, empty, BATCH)),
        Contender::work(EMPTY_FIVE, empty.len(), || check(&mut empty_five, empty, BATCH)),
        Contender::work(NATIVE, rows.len(), || natively(std::slice::from_mut(&mut rule), rows)),
        Contender::work(FIVE_NATIVE, rows.len(), || natively(&mut rules, rows)),
        Contender::work(NATIVE_EMPTY, empty.len(), || natively(&mut idle[..1], empty)),
        Contender::work(FIVE_NATIVE_EMPTY, empty.len(), || natively(&mut idle_five, empty)),
    ])?;
    let faults = |workers: &[Worker]| -> u64 {
        workers.iter().flat_map(|worker| worker.status().faults).sum()
    };
    match [&by_64, &by_1, &five, &empty_64, &empty_five].map(|workers| faults(workers)) {
        [0, 0, 0, 0, 0] => Ok(measured),
        faults => Err(format!("the check failed while it was measured: {faults:?}").into()),
    }
}

fn batch(rows: &[Row]) -> Batch<'_> {
    Batch { feed: "lab", now_ms: NOW_MS, monotonic_ms: 1, rows, access: None }
}

fn check(workers: &mut [Worker], rows: &[Row], size: usize) {
    for rows in rows.chunks(size) {
        for worker in &mut *workers {
            black_box(worker.check(&batch(rows)));
        }
    }
}

fn natively(rules: &mut [Rule], rows: &[Row]) {
    for rows in rows.chunks(BATCH) {
        for rule in &mut *rules {
            for row in rows {
                black_box(rule.check(&row.fields));
            }
        }
    }
}

/// Results, one pair in each batch of which goes back from final to preliminary.
fn rows() -> Result<Vec<Row>> {
    let mut generator = input::generator(7)?;
    let mut messages = Vec::with_capacity(BATCH * BATCHES);
    for _ in 0..BATCHES {
        let plain = (2..BATCH).map(|_| input::message(&mut generator, Kind::OruR01).bytes);
        messages.extend(plain.collect::<Vec<_>>());
        let (before, after) = generator.regression(START_US);
        messages.extend([before.bytes, after.bytes]);
    }
    let mut spec = RowSpec::new(&FIELDS)?;
    let mut rows = Vec::with_capacity(messages.len());
    for (id, bytes) in (0..).zip(&messages) {
        let mut fields = String::new();
        if !spec.join_bytes(bytes, &RowMeta::default(), &mut fields) {
            return Err("a generated result has no row".into());
        }
        rows.push(Row { id, fields });
    }
    Ok(rows)
}

/// What an ADT would be to this check.
fn without_order() -> Vec<Row> {
    let fields = "\u{1f}".repeat(FIELDS.len() - 1);
    (0..(BATCH * BATCHES) as u64).map(|id| Row { id, fields: fields.clone() }).collect()
}

/// Whether both find the same, so that they do the same work.
fn same_findings(plugin: &Plugin, rows: &[Row]) -> Result<()> {
    let mut worker = plugin.worker(Settings::default())?;
    let wasm: usize = rows.chunks(BATCH).map(|rows| worker.check(&batch(rows)).len()).sum();
    let mut rule = Rule::default();
    let native: usize = rows.iter().map(|row| rule.check(&row.fields)).sum();
    if wasm == native && wasm >= BATCHES {
        Ok(())
    } else {
        Err(format!("the check finds {wasm}, the same rule in plain Rust {native}").into())
    }
}
