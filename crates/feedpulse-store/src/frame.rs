//! The bytes around what the log and the snapshots hold: segment headers, block heads, checksums.

use crate::error::OpenError;
use crc32c::crc32c;

/// Format version of the folder, its segments and its snapshots.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Bytes of a segment's header.
pub(crate) const HEADER_LEN: u64 = 48;
/// Bytes of a block's head.
pub(crate) const HEAD_LEN: usize = 32;
/// Bytes of a snapshot's header.
pub(crate) const SNAPSHOT_HEADER_LEN: usize = 36;
/// Starts every block's head, so that the next block is found behind a damaged one.
pub(crate) const HEAD_MAGIC: [u8; 4] = [0xF5, 0xB1, 0x0C, 0x9E];

const SEGMENT_MAGIC: [u8; 8] = *b"FPULSLOG";
const SNAPSHOT_MAGIC: [u8; 8] = *b"FPULSNAP";

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Appends the checksum of all that is there.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32c(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// Whether the first `len` bytes end in the checksum of those before.
fn is_sealed(bytes: &[u8], len: usize) -> bool {
    let body = len - 4;
    bytes.get(..body).is_some_and(|body_bytes| u32_at(bytes, body) == Some(crc32c(body_bytes)))
}

/// First bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Number of the segment, as in its name.
    pub(crate) number: u64,
    /// The input that comes next when the segment is begun.
    pub(crate) first_seq: u64,
    /// Number of the segment before it; 0 = none.
    pub(crate) prev_number: u64,
    /// Bytes of that one that count: what follows was never acknowledged.
    pub(crate) prev_len: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = SEGMENT_MAGIC.to_vec();
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        for number in [self.number, self.first_seq, self.prev_number, self.prev_len] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        seal(out)
    }

    /// None when damaged.
    ///
    /// # Errors
    /// [`OpenError::Newer`] for a sound header of a later version.
    pub(crate) fn decode(bytes: &[u8], file: &str) -> Result<Option<Self>, OpenError> {
        if !is_sealed(bytes, 48) || !bytes.starts_with(&SEGMENT_MAGIC) {
            return Ok(None);
        }
        check_version(u32_at(bytes, 8), file)?;
        let read = || {
            Some(Self {
                number: u64_at(bytes, 12)?,
                first_seq: u64_at(bytes, 20)?,
                prev_number: u64_at(bytes, 28)?,
                prev_len: u64_at(bytes, 36)?,
            })
        };
        Ok(read())
    }
}

fn check_version(found: Option<u32>, file: &str) -> Result<(), OpenError> {
    match found {
        Some(found) if found > FORMAT_VERSION => Err(OpenError::Newer {
            file: file.to_owned(),
            found: found.into(),
            known: FORMAT_VERSION.into(),
        }),
        _ => Ok(()),
    }
}

/// What stands before every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the block.
    pub(crate) len: u32,
    /// Its first input.
    pub(crate) first_seq: u64,
    /// How many inputs.
    pub(crate) count: u32,
    /// The segment was durable up to this byte when the block was written: damage before it is
    /// damage to acknowledged blocks, and not a torn tail.
    pub(crate) synced: u32,
    /// Checksum of the block.
    pub(crate) sum: u32,
}

impl Head {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let mut head = HEAD_MAGIC.to_vec();
        head.extend_from_slice(&self.len.to_le_bytes());
        head.extend_from_slice(&self.first_seq.to_le_bytes());
        for number in [self.count, self.synced, self.sum] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&seal(head));
    }

    /// None when damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(&HEAD_MAGIC) || !is_sealed(bytes, HEAD_LEN) {
            return None;
        }
        Some(Self {
            len: u32_at(bytes, 4)?,
            first_seq: u64_at(bytes, 8)?,
            count: u32_at(bytes, 16)?,
            synced: u32_at(bytes, 20)?,
            sum: u32_at(bytes, 24)?,
        })
    }

    /// The input after its last.
    pub(crate) fn end_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.count.into())
    }
}

/// The header of a snapshot of `bytes` after input `seq`.
pub(crate) fn snapshot_header(seq: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = SNAPSHOT_MAGIC.to_vec();
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c(bytes).to_le_bytes());
    seal(out)
}

/// Whether `header` and `bytes` are a whole snapshot after input `seq`.
///
/// # Errors
/// [`OpenError::Newer`] for a sound header of a later version.
pub(crate) fn is_snapshot(
    header: &[u8],
    seq: u64,
    bytes: &[u8],
    file: &str,
) -> Result<bool, OpenError> {
    if !is_sealed(header, SNAPSHOT_HEADER_LEN) || !header.starts_with(&SNAPSHOT_MAGIC) {
        return Ok(false);
    }
    check_version(u32_at(header, 8), file)?;
    Ok(u64_at(header, 12) == Some(seq)
        && u64_at(header, 20) == Some(bytes.len() as u64)
        && u32_at(header, 28) == Some(crc32c(bytes)))
}
