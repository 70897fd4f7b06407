//! What Feedpulse keeps on disk, in one folder that one process owns:
//!
//! ```text
//! LOCK              held exclusively while a process has the folder open; holds its process id
//! FORMAT            "feedpulse-store 1": a later version is refused without writing
//! log/*.seg         the inputs of the engine: append-only, checksummed, 64 MiB a segment
//! ledger/*.seg      what became of each message, by its end; read by others while it is written
//! snapshots/*.snap  whole states of the engine; the last two are kept
//! feedpulse.redb    incidents, roll-ups, positions, outbox
//! ```
//!
//! A restart is the newest snapshot plus the log behind it. The calls block: the binary gives the
//! store a thread of its own. How a caller goes on:
//!
//! 1. [`Store::open`]; restore the snapshot; apply every [`LogBlock`] of [`Recovered::tail`]
//!    (without its first `skip` inputs); for each [`Damage`] that lost inputs record a blind
//!    interval from the block before it to the block behind it.
//! 2. For each group of inputs [`Store::append`], then one [`Store::sync`] (group commit: a sync
//!    takes about 4 ms whatever its size), and only then the taps may commit their positions.
//! 3. Now and then [`Store::write_snapshot`]. Its bytes must hold the positions as of its input
//!    too, or they must have been committed to the tables before: it lets old segments go.
//! 4. When a call fails, [`Store::failing`] names the part; inputs behind [`Store::durable_seq`]
//!    are not recorded. The engine goes on; [`Store::try_recover`] every few seconds; once it
//!    succeeds write a snapshot, since the log has a gap, and append from there.
//!
//! Limits: a block has at most 16 MiB ([`BLOCK_MAX`]), a snapshot 1 GiB ([`SNAPSHOT_MAX`]), the log
//! 2 GiB, the ledger 4 GiB and 30 days, roll-ups 30 days and incidents 400 days after their end ([`Options`]); a read gives at
//! most 10,000 incidents and 100,000 roll-ups.
//!
//! What a crash may do: bytes that were not synced may be there, torn or missing, in 512-byte
//! sectors and in any order, and so may names whose folder was not synced. The end of the last
//! segment that is torn so is cut. Anything else that does not fit its checksum is [`Damage`]: it
//! costs the blocks that it hits and no other.
#![forbid(unsafe_code)]

mod disk;
mod error;
mod frame;
mod ledger;
mod log;
mod peek;
mod scan;
mod snapshot;
mod store;
mod tables;
mod tail;
#[cfg(test)]
mod tests;

pub use disk::{Disk, Locked, RealDisk};
pub use error::{Damage, DamageKind, Failing, FailureClass, OpenError, Part, StoreError};
pub use ledger::{LedgerBlock, LedgerReader};
pub use log::Torn;
pub use peek::{Peek, peek};
pub use snapshot::Snapshot;
pub use store::{Recovered, Store, Usage};
pub use tables::{OutboxChange, Rows};
pub use tail::{LogBlock, Tail};

use feedpulse_codec::Names;

/// Largest block in bytes.
pub const BLOCK_MAX: usize = 16 * 1024 * 1024;
/// Smallest limit of a segment in bytes.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
/// Largest snapshot in bytes.
pub const SNAPSHOT_MAX: usize = 1024 * 1024 * 1024;
/// Most incidents that one read gives.
pub const INCIDENTS_MAX: usize = 10_000;
/// Days that a row of the outbox is kept after it was written; rows of what is still open are written
/// anew each day.
pub const OUTBOX_DAYS: u32 = 7;
/// Most rows of the outbox that are read.
pub const OUTBOX_MAX: usize = 100_000;
/// Most roll-ups that one read gives.
pub const ROLLUPS_MAX: usize = 100_000;

/// Sizes and ages.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A segment is closed before it grows over this. 4 KiB to 1 GiB; default 64 MiB.
    pub segment_bytes: u64,
    /// Over this the oldest closed segments are removed, even if a restart would read them.
    /// Default 2 GiB.
    pub log_bytes_max: u64,
    /// The same for the ledger, whose segments are at most an eighth of it. Default 4 GiB.
    pub ledger_bytes_max: u64,
    /// Days that the ledger's segments are kept. Default 30.
    pub ledger_days: u32,
    /// Snapshots that are kept, at least 1. Default 2: the older one stands in for a damaged one.
    pub snapshots_kept: usize,
    /// Days that roll-ups are kept. Default 30.
    pub rollup_days: u32,
    /// Days that incidents are kept after they were resolved. Default 400.
    pub incident_days: u32,
    /// Evidence names that this build knows; others read back as `other`. Default: core's list.
    pub names: Names,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            log_bytes_max: 2 * 1024 * 1024 * 1024,
            ledger_bytes_max: 4 * 1024 * 1024 * 1024,
            ledger_days: 30,
            snapshots_kept: 2,
            rollup_days: 30,
            incident_days: 400,
            names: feedpulse_core::finding::EVIDENCE_NAMES,
        }
    }
}

impl Options {
    /// With every value inside its limits.
    #[must_use]
    fn clamped(self) -> Self {
        Self {
            segment_bytes: self.segment_bytes.clamp(SEGMENT_BYTES_MIN, 1024 * 1024 * 1024),
            snapshots_kept: self.snapshots_kept.max(1),
            ..self
        }
    }
}
