//! The analyser's end of the ring.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::map::Map;
use super::{
    HEADER, Handle, MAGIC, MAX_CAPACITY, MAX_RECORD, MIN_CAPACITY, Position, RingError, VERSION, at,
};
use crate::record::{HEAD, Record, length_in, padded, record_length};

/// Reads records, and releases them when they are needed no more.
#[derive(Debug)]
pub struct Reader {
    header: Map<true>,
    /// Not writable: a fault on this side cannot spoil a record.
    data: Map<false>,
    wake: OwnedFd,
    /// Held open by the wire for as long as it lives and this reader is the last one.
    wire: Option<UnixStream>,
    reader: u64,
    instance: u128,
    capacity: u64,
    cursor: u64,
    released: u64,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There is something to read.
    Ready,
    /// Nothing came in time.
    TimedOut,
    /// Nothing is left to read and the wire is gone, or another reader has taken over.
    Gone,
}

/// How a search for a known position ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// Reading goes on from the position; so many bytes of records were skipped.
    Resumed {
        /// Bytes of records that had been read before.
        skipped: u64,
    },
    /// The position is of another ring: the wire was started anew. Reading goes on from the first
    /// record that was not released.
    OtherInstance,
    /// The position is not within what the ring holds. Reading goes on as with `OtherInstance`.
    OutOfRange,
}

impl Reader {
    /// Opens a ring that was handed over.
    ///
    /// # Errors
    /// The memory is not a sealed ring of this version, or cannot be mapped.
    pub fn open(handle: Handle) -> Result<Self, RingError> {
        let Handle { memory, wake, reader } = handle;
        let header = Map::<true>::new(memory.as_fd(), 0, HEADER)
            .map_err(RingError::system("map the ring's header"))?;
        let word = |index: usize| header.load(index);
        if word(at::MAGIC) != MAGIC {
            return Err(RingError::Header("its magic number is missing"));
        }
        if word(at::VERSION) != VERSION {
            return Err(RingError::Header("it has another version"));
        }
        let capacity = usize::try_from(word(at::CAPACITY)).unwrap_or(0);
        if !capacity.is_power_of_two() || !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
            return Err(RingError::Header("its capacity is not possible"));
        }
        let data = Map::<false>::new(memory.as_fd(), HEADER as u64, capacity)
            .map_err(RingError::system("map the ring's data"))?;
        let instance = u128::from(word(at::INSTANCE)) | u128::from(word(at::INSTANCE + 1)) << 64;
        let cursor = header.words()[at::READ].load(Ordering::Acquire);
        let capacity = capacity as u64;
        let (released, wire) = (cursor, None);
        let this = Self { header, data, wake, wire, reader, instance, capacity, cursor, released };
        this.unread()?;
        Ok(this)
    }

    /// Lets the reader notice that the wire is gone.
    pub(crate) fn with_wire(mut self, wire: UnixStream) -> Self {
        self.wire = Some(wire);
        self
    }

    /// Where the next read starts.
    pub fn position(&self) -> Position {
        Position { instance: self.instance, cursor: self.cursor }
    }

    /// Up to where the writer has written.
    ///
    /// # Errors
    /// The write cursor cannot be true.
    pub fn newest(&self) -> Result<Position, RingError> {
        let cursor = self.cursor + self.unread()?;
        Ok(Position { instance: self.instance, cursor })
    }

    /// Records and bytes of data shed since the ring was made.
    pub fn shed(&self) -> (u64, u64) {
        (self.header.load(at::SHED_RECORDS), self.header.load(at::SHED_BYTES))
    }

    /// Goes on from a position that was stored. Never goes back to released records.
    ///
    /// # Errors
    /// The write cursor cannot be true.
    pub fn seek(&mut self, to: Position) -> Result<Seek, RingError> {
        let newest = self.newest()?.cursor;
        self.cursor = self.released;
        if to.instance != self.instance {
            return Ok(Seek::OtherInstance);
        }
        if !(self.released..=newest).contains(&to.cursor) || !to.cursor.is_multiple_of(8) {
            return Ok(Seek::OutOfRange);
        }
        self.cursor = to.cursor;
        Ok(Seek::Resumed { skipped: to.cursor - self.released })
    }

    /// Appends to the batch what there is, until it holds `max_bytes` or more of records (so at
    /// most one record beyond it), and says how many records that were. Does not release them.
    ///
    /// # Errors
    /// Another reader took over, or the memory is corrupt; records before the fault are in the
    /// batch. After a fault the same error comes again: [`Reader::seek`] to
    /// [`Reader::newest`] goes on behind it, with everything between counted as not seen.
    pub fn read(&mut self, batch: &mut Batch, max_bytes: usize) -> Result<usize, RingError> {
        self.check_owner()?;
        let mut unread = self.unread()?;
        let before = batch.ends.len();
        while unread > 0 && batch.bytes.len() < max_bytes {
            let taken = self.read_one(batch, unread)?;
            unread -= taken;
        }
        Ok(batch.ends.len() - before)
    }

    fn read_one(&mut self, batch: &mut Batch, unread: u64) -> Result<u64, RingError> {
        let cursor = self.cursor;
        let corrupt = |what| RingError::Corrupt { cursor, what };
        let words = (self.capacity / 8) as usize;
        let start = (self.cursor / 8) as usize & (words - 1);
        let length = length_in(self.data.load(start));
        if !(HEAD as u64..=MAX_RECORD).contains(&length) {
            return Err(corrupt("a record of an impossible length"));
        }
        let size = padded(length as usize);
        if size > unread {
            return Err(corrupt("a record beyond the write cursor"));
        }
        let count = (size / 8) as usize;
        let from = batch.bytes.len();
        self.data.copy_out(start..words.min(start + count), &mut batch.bytes);
        self.data.copy_out(0..(start + count).saturating_sub(words), &mut batch.bytes);
        // The copy is judged, not the shared memory, so that nobody can change it in between.
        let end = from + length as usize;
        let judged = match batch.bytes.get(from..end) {
            Some(copy) if record_length(copy) == Some(length) => Record::decode(copy),
            _ => Err("a record that changes while it is read"),
        };
        if let Err(what) = judged {
            batch.bytes.truncate(from);
            return Err(corrupt(what));
        }
        self.cursor += size;
        batch.ends.push(End { from, end, cursor: self.cursor });
        Ok(size)
    }

    /// Tells the writer that nothing before `cursor` (from [`Batch::records`]) is needed any more.
    /// To be called when what was made of these records is durable.
    ///
    /// # Errors
    /// Another reader took over, or the cursor was not read up to.
    pub fn release(&mut self, cursor: u64) -> Result<(), RingError> {
        self.check_owner()?;
        if !(self.released..=self.cursor).contains(&cursor) || !cursor.is_multiple_of(8) {
            return Err(RingError::NotRead(cursor));
        }
        self.released = cursor;
        self.word(at::READ).store(cursor, Ordering::Release);
        Ok(())
    }

    /// Waits until there is something to read, for at most that long.
    ///
    /// # Errors
    /// The write cursor cannot be true, or the system cannot wait.
    pub fn wait(&self, timeout: Duration) -> Result<Wait, RingError> {
        let start = Instant::now();
        loop {
            if self.arm()? {
                return Ok(Wait::Ready);
            }
            let left = timeout.saturating_sub(start.elapsed());
            let gone = self.poll(left);
            self.disarm();
            match (self.unread()?, gone?) {
                (0, true) => return Ok(Wait::Gone),
                (0, false) if left.is_zero() => return Ok(Wait::TimedOut),
                // A late answer to an earlier wait.
                (0, false) => {}
                _ => return Ok(Wait::Ready),
            }
        }
    }

    /// Sleeps until a signal of the writer or the end of the wire; whether it was the latter.
    fn poll(&self, timeout: Duration) -> Result<bool, RingError> {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        if let Some(wire) = &self.wire {
            fds.push(PollFd::new(wire, PollFlags::IN | PollFlags::RDHUP));
        }
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let timeout = Timespec { tv_sec: seconds, tv_nsec: timeout.subsec_nanos().into() };
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) => Ok(fds.get(1).is_some_and(|wire| !wire.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(source) => Err(RingError::System { what: "wait for the ring", source }),
        }
    }

    /// For a wait of one's own (an `AsyncFd` on [`Reader::as_fd`]): asks the writer for a signal,
    /// and says whether there is something to read at once, in which case none is asked for.
    ///
    /// # Errors
    /// The write cursor cannot be true.
    pub fn arm(&self) -> Result<bool, RingError> {
        let waiting = self.word(at::WAITING);
        waiting.store(1, Ordering::Relaxed);
        // Orders the flag's store before the cursor's load; see the writer.
        fence(Ordering::SeqCst);
        let ready = self.unread()? > 0;
        if ready {
            waiting.store(0, Ordering::Relaxed);
        }
        Ok(ready)
    }

    /// Takes the request and the signal back; to be called after each wait of one's own.
    pub fn disarm(&self) {
        self.word(at::WAITING).store(0, Ordering::Relaxed);
        // Fails only when there is no signal.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// The socket that becomes readable (end of file) when the wire is gone or another reader took
    /// over; none when the ring was not opened by [`crate::connect`].
    pub fn wire_fd(&self) -> Option<BorrowedFd<'_>> {
        self.wire.as_ref().map(AsFd::as_fd)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.header.words()[index]
    }

    /// Bytes of records after this reader's cursor.
    fn unread(&self) -> Result<u64, RingError> {
        let write = self.word(at::WRITE).load(Ordering::Acquire);
        let corrupt = |what| RingError::Corrupt { cursor: self.cursor, what };
        if !write.is_multiple_of(8) || !self.cursor.is_multiple_of(8) {
            return Err(corrupt("a cursor that is not at a word"));
        }
        match write.checked_sub(self.cursor) {
            Some(unread) if unread <= self.capacity => Ok(unread),
            Some(_) => Err(corrupt("a write cursor further ahead than the ring is long")),
            None => Err(corrupt("a write cursor behind the read cursor")),
        }
    }

    fn check_owner(&self) -> Result<(), RingError> {
        if self.word(at::READER).load(Ordering::Acquire) == self.reader {
            Ok(())
        } else {
            Err(RingError::TakenOver)
        }
    }
}

/// The eventfd: readable when the writer has signalled.
impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Records that were copied out of the ring. Reuse one: once warm, reading allocates nothing.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<End>,
}

struct End {
    from: usize,
    end: usize,
    cursor: u64,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The records, each with the cursor behind it: what to release when it is durable.
    pub fn records(&self) -> impl Iterator<Item = (u64, Record<'_>)> {
        self.ends.iter().map(|end| {
            let record = Record::decode(&self.bytes[end.from..end.end]);
            (end.cursor, record.expect("the same copy was decoded when it was read"))
        })
    }
}

/// Shows no byte of a message.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} records, {} bytes)", self.ends.len(), self.bytes.len())
    }
}
