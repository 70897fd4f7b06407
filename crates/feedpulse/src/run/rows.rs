//! Rows of the ledger on their way to the store: what became of each message, by the input that ended
//! it, so that a restart fills in exactly those that are missing.

use feedpulse_codec as codec;
use feedpulse_codec::{LedgerRow, LedgerRows};
use feedpulse_core::effect::{Effect, EffectId};
use feedpulse_core::engine::state::State;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::time::Timestamp;
use std::collections::BTreeSet;

/// Rows that wait while the store fails; further ones are dropped, and the ledger says so.
const WAITING_MAX: usize = 50_000;

/// Rows that make a block before the next tick does.
const BLOCK_ROWS: usize = 8_192;

/// A block that is ready to be written.
pub(crate) struct RowBlock {
    /// The first input that it covers.
    pub first_seq: u64,
    /// How many inputs.
    pub count: u32,
    /// The earliest and latest time in it.
    pub times: (Timestamp, Timestamp),
    /// The rows.
    pub bytes: Vec<u8>,
    /// How many.
    pub rows: u64,
}

/// Rows that wait.
#[derive(Debug, Default)]
pub(crate) struct RowBuffer {
    rows: Vec<(EffectId, LedgerRow)>,
    /// The last input whose rows were handed over.
    covered: u64,
    dropped: Option<(Timestamp, Timestamp, u64)>,
}

impl RowBuffer {
    /// Goes on behind input `covered`.
    pub(crate) fn after(covered: u64) -> Self {
        Self { covered, ..Self::default() }
    }

    /// Keeps what an effect says of a message, unless the ledger has it; gives other effects back.
    pub(crate) fn take(&mut self, id: EffectId, effect: Effect) -> Option<Effect> {
        let row = match effect {
            Effect::Journey(record) => LedgerRow::Journey(record),
            Effect::Amend(amendment) => LedgerRow::Amend(*amendment),
            Effect::Incident(_) | Effect::Rollup(_) | Effect::File(_) => return Some(effect),
        };
        if id.input <= self.covered {
            return None;
        }
        if self.rows.len() < WAITING_MAX {
            self.rows.push((id, row));
        } else {
            self.drop_rows(times(&row), 1);
        }
        None
    }

    fn drop_rows(&mut self, (from, to): (Timestamp, Timestamp), rows: u64) {
        let (first, last, count) = self.dropped.unwrap_or((from, to, 0));
        self.dropped = Some((first.min(from), last.max(to), count + rows));
    }

    /// A block could not be handed over: the next one says that its rows are missing.
    pub(crate) fn lost(&mut self, block: &RowBlock) {
        self.drop_rows(block.times, block.rows);
    }

    /// Whether a block is due between two ticks.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() >= BLOCK_ROWS
    }

    /// All that waits, as a block that covers the inputs up to the state's.
    pub(crate) fn block(&mut self, state: &State) -> Option<RowBlock> {
        let last = self.rows.last().map(|(id, _)| *id)?;
        if let Some((from, to, rows)) = self.dropped.take() {
            self.rows.push((last, LedgerRow::Dropped { from, to, rows }));
        }
        let rows = std::mem::take(&mut self.rows);
        let from = rows.iter().map(|(_, row)| times(row).0).min()?;
        let to = rows.iter().map(|(_, row)| times(row).1).max()?;
        let used: BTreeSet<WaypointId> = rows.iter().flat_map(|(_, row)| waypoints(row)).collect();
        let name = |w: &WaypointId| {
            let plan = state.plan.waypoints.get(usize::from(w.0));
            plan.map_or_else(|| format!("waypoint-{}", w.0), |plan| plan.name.clone())
        };
        let held = rows.len() as u64;
        let waypoints = used.iter().map(|w| (*w, name(w))).collect();
        let first_seq = self.covered + 1;
        let count = u32::try_from(state.seq.saturating_sub(self.covered)).unwrap_or(u32::MAX);
        self.covered = state.seq;
        let bytes = codec::encode(&LedgerRows { waypoints, rows });
        Some(RowBlock { first_seq, count: count.max(1), times: (from, to), bytes, rows: held })
    }
}

fn times(row: &LedgerRow) -> (Timestamp, Timestamp) {
    match row {
        LedgerRow::Journey(record) => (record.first_at.min(record.ended_at), record.ended_at),
        LedgerRow::Amend(amendment) => (amendment.at, amendment.at),
        LedgerRow::Dropped { from, to, .. } => (*from, *to),
    }
}

fn waypoints(row: &LedgerRow) -> Vec<WaypointId> {
    match row {
        LedgerRow::Journey(record) => {
            record.sends.iter().map(|s| s.waypoint).chain(record.missing.iter().copied()).collect()
        }
        LedgerRow::Amend(amendment) => vec![amendment.waypoint],
        LedgerRow::Dropped { .. } => Vec::new(),
    }
}
