//! A caller of the store that remembers what was acknowledged, and a judge of what came back.

use super::crash_disk::{CrashDisk, Rng};
use crate::{LedgerBlock, Options, Recovered, Rows, Store, StoreError};
use feedpulse_core::tap::Position;
use feedpulse_core::time::Timestamp;

/// Small, so that segments roll over and retire within a short test.
pub(super) const SMALL: Options = Options {
    segment_bytes: 4096,
    log_bytes_max: 1 << 20,
    ledger_bytes_max: 1 << 20,
    ledger_days: 30,
    snapshots_kept: 2,
    rollup_days: 30,
    incident_days: 400,
    names: &["open_total"],
};

/// The bytes of the block that starts with input `seq`.
pub(super) fn block(seq: u64) -> (u32, Vec<u8>) {
    let mut rng = Rng(seq);
    let count = u32::try_from(1 + rng.below(3)).unwrap();
    let len = 40 + rng.below(1400);
    (count, (0..len).map(|_| rng.next().to_le_bytes()[0]).collect())
}

/// The bytes of the snapshot after input `seq`.
pub(super) fn snapshot(seq: u64) -> Vec<u8> {
    let mut rng = Rng(!seq);
    (0..700 + rng.below(900)).map(|_| rng.next().to_le_bytes()[0]).collect()
}

/// The ledger block of inputs `first` to `last`.
pub(super) fn rows(first: u64, last: u64) -> LedgerBlock<'static> {
    let at = |seq: u64| Timestamp::from_secs(i64::try_from(seq).unwrap());
    let count = u32::try_from(last + 1 - first).unwrap();
    LedgerBlock { first_seq: first, count, times: (at(first), at(last)), bytes: &[7; 300] }
}

pub(super) fn position(offset: u64) -> Position {
    Position { tap: "kafka".into(), lane: "adt/0".into(), epoch: 7, offset }
}

/// What the store has promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Promised {
    /// Last input that was synced.
    pub(super) seq: u64,
    /// Last input that a written snapshot covers.
    pub(super) snapshot: u64,
    /// Last input whose ledger rows were synced.
    pub(super) ledger: u64,
    /// Offset in the tables.
    pub(super) position: u64,
    /// Last input that was handed over, promised or not.
    pub(super) handed: u64,
}

/// Records `rounds` groups; stops at the first error.
pub(super) fn work(
    store: &mut Store<CrashDisk>,
    rounds: u64,
    promised: &mut Promised,
) -> Result<(), StoreError> {
    for round in 1..=rounds {
        for _ in 0..=round % 2 {
            let first = store.next_seq();
            let (count, bytes) = block(first);
            promised.handed = promised.handed.max(first + u64::from(count) - 1);
            store.append(first, count, &bytes)?;
        }
        promised.seq = store.sync()?;
        assert_eq!(promised.seq + 1, store.next_seq());
        promised.ledger = store.ledger_seq();
        if round % 3 > 0 && promised.seq > promised.ledger {
            // Rows of inputs that are on the disk.
            store.append_rows(&rows(promised.ledger + 1, promised.seq))?;
        }
        if round % 5 == 0 {
            let offset = promised.seq;
            store.commit(&Rows { positions: &[position(offset)], ..Rows::default() })?;
            promised.position = offset;
        }
        if round % 4 == 0 {
            store.write_snapshot(promised.seq, &snapshot(promised.seq))?;
            promised.snapshot = promised.seq;
        }
    }
    Ok(())
}

/// Whether all that was promised came back, whole and in order; says what did not.
pub(super) fn judge(recovered: Recovered<CrashDisk>, promised: &Promised) -> Result<(), String> {
    if !recovered.damage.is_empty() {
        return Err(format!("a crash is no damage: {:?}", recovered.damage));
    }
    let mut seq = 0;
    if let Some(found) = recovered.snapshot {
        if found.bytes != snapshot(found.seq) {
            return Err(format!("snapshot {} differs", found.seq));
        }
        seq = found.seq;
    }
    if seq < promised.snapshot {
        return Err(format!("snapshot {seq} is older than {}", promised.snapshot));
    }
    for item in recovered.tail {
        let found = item.map_err(|damage| format!("a crash is no damage: {damage}"))?;
        let from = found.first_seq + u64::from(found.skip);
        if from != seq + 1 || found.skip >= found.count {
            return Err(format!("input {from} follows {seq}"));
        }
        if (found.count, &found.bytes) != (block(found.first_seq).0, &block(found.first_seq).1) {
            return Err(format!("block {} differs", found.first_seq));
        }
        seq = found.first_seq + u64::from(found.count) - 1;
    }
    if seq < promised.seq || seq > promised.handed || recovered.next_seq != seq + 1 {
        return Err(format!("ends at {seq}, next {}, {promised:?}", recovered.next_seq));
    }
    let offset = recovered.positions.first().map_or(0, |position| position.offset);
    if offset < promised.position || offset > promised.handed {
        return Err(format!("position {offset}, {promised:?}"));
    }
    Ok(())
}
