//! The ledger: what became of each message, in segments of their own, readable while they are written.
//!
//! A block covers a stretch of inputs: after a crash the log of inputs is replayed, and the rows of
//! the inputs behind the last block come again, no row twice. Each block starts with its earliest and
//! latest time (two i64, little-endian, µs), so that a reader may pass over it.

use crate::disk::{Disk, RealDisk};
use crate::error::{Damage, OpenError, Part, StoreError};
use crate::log::{self, Log, Place, segment_name};
use crate::scan::{Found, Scan};
use crate::tail::Tail;
use crate::{Options, SEGMENT_BYTES_MIN};
use core::time::Duration;
use feedpulse_core::time::Timestamp;
use std::path::Path;

pub(crate) const DIR: &str = "ledger";
/// Bytes of the times before each block.
const TIMES: usize = 16;

/// Where the ledger is, and how large it may grow.
pub(crate) const fn place(options: &Options) -> Place {
    Place { dir: DIR, part: Part::Ledger, bytes_max: options.ledger_bytes_max }
}

/// So many segments at least share the bytes of the ledger: what retention removes at a time is a
/// small part of it.
const SEGMENTS_MIN: u64 = 8;

/// How large a segment of the ledger may grow, in bytes.
pub(crate) fn segment_bytes(options: &Options) -> u64 {
    options.segment_bytes.min((options.ledger_bytes_max / SEGMENTS_MIN).max(SEGMENT_BYTES_MIN))
}

/// Rows on their way to the disk.
#[derive(Clone, Copy, Debug)]
pub struct LedgerBlock<'a> {
    /// The first input that it covers.
    pub first_seq: u64,
    /// How many inputs it covers, at least 1.
    pub count: u32,
    /// The earliest and the latest time of its rows.
    pub times: (Timestamp, Timestamp),
    /// The rows, as the caller writes them.
    pub bytes: &'a [u8],
}

impl LedgerBlock<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TIMES + self.bytes.len());
        for at in [self.times.0, self.times.1] {
            out.extend_from_slice(&at.as_micros().to_le_bytes());
        }
        out.extend_from_slice(self.bytes);
        out
    }
}

fn times_of(block: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let at = |from: usize| {
        let bytes = block.get(from..from + 8)?.try_into().ok()?;
        Some(Timestamp::from_micros(i64::from_le_bytes(bytes)))
    };
    Some((at(0)?, at(8)?))
}

/// Removes segments whose rows are all older than `days`: those before one that begins so.
pub(crate) fn prune<D: Disk>(
    rows: &mut Log<D>,
    disk: &D,
    now: Timestamp,
    days: u32,
) -> Result<(), StoreError> {
    let limit = now.minus(Duration::from_secs(u64::from(days) * 86_400));
    while let [_, next, ..] = rows.segments() {
        let mut scan = Scan::new(disk.clone(), segment_name(DIR, next.number), next.len);
        let begins = match scan.step() {
            Ok(Some(step)) if matches!(step.found, Found::Block(_)) => times_of(scan.body()),
            _ => None,
        };
        if begins.is_none_or(|(from, _)| from > limit) {
            return Ok(());
        }
        rows.remove_oldest()?;
    }
    Ok(())
}

/// Reads a folder's ledger, whether or not a process writes it.
pub struct LedgerReader {
    tail: Tail<RealDisk>,
    trimmed: bool,
}

impl core::fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LedgerReader({:?})", self.tail)
    }
}

/// One block as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBlock {
    /// The earliest and the latest time of its rows.
    pub times: (Timestamp, Timestamp),
    /// The rows.
    pub bytes: Vec<u8>,
}

impl LedgerReader {
    /// Opens the ledger of the store in `dir`; nothing is locked or written.
    ///
    /// # Errors
    /// The folder cannot be read, or a later release wrote it.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let disk = RealDisk::new(dir);
        let segments = log::survey(&disk, DIR)?;
        // What retention removed is no damage.
        let first = segments.first().and_then(|segment| segment.first_seq).unwrap_or(1);
        let trimmed = segments.first().is_some_and(|segment| segment.number > 1);
        Ok(Self { tail: Tail::new(disk, DIR, &segments, first.saturating_sub(1), 0), trimmed })
    }

    /// Whether retention has removed segments: what ended before the first block is not here.
    #[must_use]
    pub const fn is_trimmed(&self) -> bool {
        self.trimmed
    }
}

impl Iterator for LedgerReader {
    /// A block, or damage that lost some.
    type Item = Result<ReadBlock, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.tail.next()? {
                Ok(block) => {
                    if let Some(times) = times_of(&block.bytes) {
                        let bytes = block.bytes.get(TIMES..).unwrap_or_default().to_vec();
                        return Some(Ok(ReadBlock { times, bytes }));
                    }
                }
                // A block that is being written now ends the file: that is no loss.
                Err(damage) if damage.lost.is_none() => {}
                Err(damage) => return Some(Err(damage)),
            }
        }
    }
}
