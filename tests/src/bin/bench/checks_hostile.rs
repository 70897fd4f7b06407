//! What hostile checks cost the others: the same check on the wall clock beside eight that loop, trap, take
//! memory, recurse and flood on threads of their own, fed as the product feeds them; and beside eight
//! threads that are fed alike and throw away what they get.

use crate::Result;
use crate::checks::GROUP;
use crate::checks_input::{Joined, admission, batch};
use crate::figure::{Figure, Target};
use crate::harness::median;
use crate::hearts::component;
use feedpulse_wasm::{Batch, Plugin, Row, Runtime, Settings, Share, Worker};
use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

/// What the hostile ones are asked to do; see `plugins/troublemaker`.
const DEEDS: [&str; 8] = ["LOOP", "TRAP", "BOMB", "STACK", "FLOOD", "LOG", "KEYS", "ERROR"];
/// Rows of a batch.
const BATCH: usize = 64;
/// Batches of one sample: about 50 ms.
const BATCHES: usize = 4000;
/// Samples with and without.
const ROUNDS: usize = 9;
/// Batches that wait for a hostile check, as in the product; beyond, they are shed.
const QUEUE: usize = 256;

/// Throughput of a good check with the hostile ones beside it, and without.
pub(crate) fn figures(runtime: &Runtime, good: &Plugin) -> Result<[Figure; 1]> {
    let wasm = component("troublemaker")?.ok_or("troublemaker is not built")?;
    let trouble = runtime.load(&wasm)?;
    let mut worker = good.worker(Settings::default())?;
    let (mut join, message) = (Joined::new()?, admission());
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    std::thread::scope(|scope| -> Result<()> {
        let started: Result<Vec<_>> = DEEDS
            .iter()
            .map(|deed| Ok(hostile(scope, trouble.worker(Settings::default())?, deed)))
            .collect();
        let (feeds, desks): (Vec<_>, Vec<_>) = started?.into_iter().unzip();
        let idle: Vec<_> = DEEDS.iter().map(|_| idle(scope)).collect();
        // as in life, they have been there for a while
        sample(&mut worker, &mut join, &message, &feeds);
        for _ in 0..ROUNDS {
            let alone = sample(&mut worker, &mut join, &message, &idle);
            let beside = sample(&mut worker, &mut join, &message, &feeds);
            ratios.push(beside / alone);
            with.push(beside);
            without.push(alone);
        }
        drop((feeds, idle));
        for desk in desks {
            desk.join().map_err(|_| "a hostile check broke its thread")?;
        }
        Ok(())
    })?;
    let status = worker.status();
    if status.skipped > 0 || status.rows != ((2 * ROUNDS + 1) * BATCHES * BATCH) as u64 {
        return Err(format!("rows went unchecked beside hostile checks: {status:?}").into());
    }
    let figure = "messages/s of a good check beside eight hostile ones, on the wall";
    let mut one = Figure::alone(GROUP, figure, median(with), Some(Target::RatioAtLeast(0.9)))
        .beside("beside eight idle ones", median(without));
    one.ratio = Some(median(ratios));
    Ok([one])
}

/// Messages a second of the good check, each batch offered to the others first.
fn sample(worker: &mut Worker, join: &mut Joined, message: &[u8], feeds: &[SyncSender<()>]) -> f64 {
    let began = Instant::now();
    for _ in 0..BATCHES {
        for feed in feeds {
            // full = shed, as in the product
            let _ = feed.try_send(());
        }
        black_box(worker.check(&batch(join.rows(message, BATCH))));
    }
    (BATCHES * BATCH) as f64 / began.elapsed().as_secs_f64()
}

/// A thread that takes what it is fed.
fn idle<'scope>(scope: &'scope Scope<'scope, '_>) -> SyncSender<()> {
    let (feed, batches) = sync_channel(QUEUE);
    scope.spawn(move || while let Ok(()) = batches.recv() {});
    feed
}

/// A hostile check on a thread of its own.
fn hostile<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut worker: Worker,
    deed: &'static str,
) -> (SyncSender<()>, ScopedJoinHandle<'scope, ()>) {
    let (feed, batches): (SyncSender<()>, Receiver<()>) = sync_channel(QUEUE);
    let desk = scope.spawn(move || {
        let (began, mut share) = (Instant::now(), Share::default());
        let rows: Vec<Row> = (0..BATCH as u64)
            .map(|id| Row { id, fields: format!("{deed}\u{1f}DOE^JANE") })
            .collect();
        while let Ok(()) = batches.recv() {
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let batch =
                Batch { feed: "adt", now_ms: ms, monotonic_ms: ms, rows: &rows, access: None };
            black_box(worker.check(&batch));
            worker.take_log();
            share.settle(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
    });
    (feed, desk)
}
