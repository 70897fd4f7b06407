//! A bounded ring of records in shared memory, with one writer and one reader.
//!
//! It is a sealed memfd: one header page and a power of two of data bytes. Both cursors count
//! bytes since the ring was made and never go back; a cursor modulo the capacity is a place in the
//! data. The writer publishes its cursor with Release after a record is whole; the reader loads it
//! with Acquire. In turn the reader publishes, by [`Reader::release`], up to where it needs
//! nothing any more, and only that makes room. So a record outlives the reader that did not
//! release it, and the next reader finds it again.
//!
//! The writer never waits. A record for which there is no room is shed and counted, and a
//! [`crate::Event::Shed`] with the interval goes ahead of the first record that fits again. Data
//! and the sign of life leave the last sixteenth of the ring to the records about connections.
//!
//! Neither side trusts the memory: a cursor or a record that cannot be is an error for the reader,
//! and the writer goes on with the last cursor that could be.
//!
//! | word of the header | meaning |
//! |---|---|
//! | 0, 1 | magic, version |
//! | 2, 3 | instance: a random number of 128 bits, low half first |
//! | 4 | capacity in bytes |
//! | 8 | write cursor |
//! | 16, 17 | read cursor; 1 while the reader waits for the eventfd |
//! | 24, 25 | records shed, bytes of data shed, since the ring was made |
//! | 32 | number of the hand-over that the present reader came by |

#[expect(unsafe_code, reason = "maps shared memory; the argument is in the module's text")]
mod map;
mod reader;
mod writer;

pub use reader::{Batch, Reader, Seek, Wait};
pub(crate) use writer::Left;
pub use writer::{Handle, Writer};

use crate::record::{HEAD, MAX_PAYLOAD};

/// The capacity that is used unless another is asked for: 16 MiB.
pub const DEFAULT_CAPACITY: usize = 16 << 20;
/// The smallest capacity: 64 KiB, four times the longest record.
pub const MIN_CAPACITY: usize = 64 << 10;
/// The largest capacity: 1 GiB.
pub const MAX_CAPACITY: usize = 1 << 30;

/// "FeedWire" in ASCII.
const MAGIC: u64 = u64::from_be_bytes(*b"FeedWire");
const VERSION: u64 = 1;
/// The header in bytes; a multiple of every page size in use on Linux x86_64 and aarch64.
const HEADER: usize = 64 << 10;
const MAX_RECORD: u64 = (HEAD + MAX_PAYLOAD) as u64;

/// Words of the header, as the table above has them.
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 1;
    pub(super) const INSTANCE: usize = 2;
    pub(super) const CAPACITY: usize = 4;
    pub(super) const WRITE: usize = 8;
    pub(super) const READ: usize = 16;
    pub(super) const WAITING: usize = 17;
    pub(super) const SHED_RECORDS: usize = 24;
    pub(super) const SHED_BYTES: usize = 25;
    pub(super) const READER: usize = 32;
}

/// A place in the stream of records that stays right when processes come and go: which ring, and
/// how many bytes of records came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The ring: a random number made with it.
    pub instance: u128,
    /// Bytes of records before this place.
    pub cursor: u64,
}

/// What can go wrong with a ring.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The capacity asked for is not possible.
    #[error(
        "a ring of {0} bytes is not possible: use a power of two from {MIN_CAPACITY} to {MAX_CAPACITY}"
    )]
    Capacity(usize),
    /// The header is not that of a ring of this version.
    #[error("this is no ring that can be read here: {0}; do the wire and this program match?")]
    Header(&'static str),
    /// The shared memory holds what no writer writes.
    #[error("the ring is corrupt at cursor {cursor}: {what}; restart the wire when it can be cut")]
    Corrupt {
        /// Where.
        cursor: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Another reader was handed the ring.
    #[error("another process has taken over the ring")]
    TakenOver,
    /// A cursor to release that this reader has not read up to.
    #[error("cursor {0} cannot be released: it is not between the released and the read one")]
    NotRead(u64),
    /// The operating system refused.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: rustix::io::Errno,
    },
}

impl RingError {
    fn system(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::System { what, source }
    }
}
