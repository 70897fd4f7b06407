//! The ledger: messages through the engine and their rows to the disk, beside the embedded database
//! that is given the same rows ready-made.

use crate::Result;
use crate::engine::{GROUP, IN_FLIGHT, turn};
use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness};
use crate::store;
use crate::traffic::{Timed, Traffic};
use feedpulse_codec::{LedgerRow, LedgerRows, encode};
use feedpulse_core::effect::{Effect, EffectId, Effects};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::WaypointId;
use feedpulse_store::{LedgerBlock, Options, Store};
use redb::{Database, TableDefinition};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

const OURS: &str = "engine, encode, append, sync";
const WRITE: &str = "encode, append, sync";
const PEER: &str = "redb: one transaction of the same rows, encoded before";
/// Rows of one group: what the recorder hands over at most, and one sync.
const ROWS: usize = 8_000;
/// Messages a second with all of it.
const RATE: f64 = 100_000.0;
/// The share of the database's own rate.
const SHARE: f64 = 0.5;

const TABLE: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("rows");

type Row = (EffectId, LedgerRow);

/// See the module.
pub(crate) fn figures(harness: &mut Harness, traffic: &Traffic) -> Result<Vec<Figure>> {
    let folder = store::folder()?;
    let names = names(&Traffic::engine());
    let [ours, write, peer] = std::array::from_fn(|_| RefCell::new(Source::new(traffic)));
    let ledger = |name: &str| Ledger::open(&folder.path().join(name), names.clone());
    let (mut with_engine, mut alone) = (ledger("ours")?, ledger("write")?);
    let database = Database::create(folder.path().join("rows.redb"))?;
    let measured = harness.compare(vec![
        Contender::new(OURS, || {
            let mut source = ours.borrow_mut();
            let inputs = source.inputs();
            timed(|| {
                let rows = source.rows(&inputs);
                with_engine.write(rows, source.engine.checkpoint().seq)
            })
        }),
        Contender::new(WRITE, || {
            let mut source = write.borrow_mut();
            let inputs = source.inputs();
            let rows = source.rows(&inputs);
            timed(|| alone.write(rows, source.engine.checkpoint().seq))
        }),
        Contender::new(PEER, || {
            let mut source = peer.borrow_mut();
            let inputs = source.inputs();
            let rows = source.rows(&inputs);
            let rows: Vec<_> = rows.iter().map(|(id, row)| (*id, encode(row))).collect();
            timed(|| insert(&database, &rows))
        }),
    ])?;
    let all = "messages through engine and ledger to disk, /s";
    let rows = "ledger rows of these messages to disk, /s";
    Ok(vec![
        measured.rate(GROUP, all, (OURS, PEER), Some(Target::OursAtLeast(RATE))),
        measured.rate(GROUP, rows, (WRITE, PEER), Some(Target::RatioAtLeast(SHARE))),
    ])
}

/// Nanoseconds on the wall for one row.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = Instant::now();
    work()?;
    Ok(before.elapsed().as_nanos() as f64 / ROWS as f64)
}

/// An engine in the middle of its traffic: each message that comes ends another.
struct Source<'a> {
    traffic: &'a Traffic,
    engine: Engine,
    effects: Effects,
    next: usize,
}

impl<'a> Source<'a> {
    fn new(traffic: &'a Traffic) -> Self {
        let (engine, effects) = (Traffic::engine(), Effects::default());
        let mut source = Self { traffic, engine, effects, next: 0 };
        while source.next < IN_FLIGHT {
            let inputs = source.inputs();
            source.rows(&inputs);
        }
        source
    }

    fn inputs(&mut self) -> Vec<Timed> {
        self.next += ROWS;
        turn(self.traffic, self.next - ROWS, ROWS)
    }

    fn rows(&mut self, inputs: &[Timed]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (at, input) in inputs {
            self.engine.apply(*at, input, &mut self.effects);
            rows.extend(self.effects.drain().filter_map(|(id, effect)| match effect {
                Effect::Journey(record) => Some((id, LedgerRow::Journey(record))),
                Effect::Amend(amendment) => Some((id, LedgerRow::Amend(*amendment))),
                Effect::Incident(_) | Effect::Rollup(_) | Effect::File(_) => None,
            }));
        }
        rows
    }
}

/// A store's ledger, and the first input of its next block.
struct Ledger {
    store: Store,
    names: Vec<(WaypointId, String)>,
    covered: u64,
}

impl Ledger {
    fn open(folder: &Path, names: Vec<(WaypointId, String)>) -> Result<Self> {
        let (store, _) = Store::open(folder, Options::default())?;
        Ok(Self { store, names, covered: 0 })
    }

    /// Writes rows as the recorder does.
    fn write(&mut self, rows: Vec<Row>, seq: u64) -> Result<()> {
        if rows.len() != ROWS {
            return Err(format!("{} rows, not {ROWS}", rows.len()).into());
        }
        let records = || {
            rows.iter().filter_map(|(_, row)| match row {
                LedgerRow::Journey(record) => Some(record),
                LedgerRow::Amend(_) | LedgerRow::Dropped { .. } => None,
            })
        };
        let from = records().map(|r| r.first_at).min().ok_or("no journey ended")?;
        let to = records().map(|r| r.ended_at).max().ok_or("no journey ended")?;
        let used: BTreeSet<WaypointId> =
            records().flat_map(|r| r.sends.iter().map(|send| send.waypoint)).collect();
        let waypoints = self.names.iter().filter(|(w, _)| used.contains(w)).cloned().collect();
        let bytes = encode(&LedgerRows { waypoints, rows });
        let count = u32::try_from(seq - self.covered)?;
        let block =
            LedgerBlock { first_seq: self.covered + 1, count, times: (from, to), bytes: &bytes };
        self.store.append_rows(&block)?;
        self.store.sync()?;
        self.covered = seq;
        Ok(())
    }
}

/// As bulk loads are done: one transaction, keys in order.
fn insert(database: &Database, rows: &[(EffectId, Vec<u8>)]) -> Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for (id, bytes) in rows {
            table.insert((id.input, id.index), bytes.as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

fn names(engine: &Engine) -> Vec<(WaypointId, String)> {
    let waypoints = &engine.checkpoint().plan.waypoints;
    (0..).map(WaypointId).zip(waypoints.iter().map(|w| w.name.clone())).collect()
}
