//! The wire's end of the ring.

use std::fmt;
use std::num::ParseIntError;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::event::EventfdFlags;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::rand::GetRandomFlags;

use super::map::Map;
use super::{HEADER, MAGIC, MAX_CAPACITY, MAX_RECORD, MIN_CAPACITY, RingError, VERSION, at};
use crate::record::{Encoded, Event, HEAD, Record};

/// What a reader is given: the ring's memory, its wake-up, and the number of the hand-over.
#[derive(Debug)]
pub struct Handle {
    /// The sealed memfd.
    pub memory: OwnedFd,
    /// The eventfd that the writer signals when the reader says that it waits.
    pub wake: OwnedFd,
    /// The number of this hand-over: the reader with the highest one owns the read cursor.
    pub reader: u64,
}

/// Offers records, and never waits.
#[derive(Debug)]
pub struct Writer {
    header: Map<true>,
    data: Map<true>,
    memory: OwnedFd,
    wake: OwnedFd,
    instance: u128,
    capacity: u64,
    write: u64,
    /// The last read cursor that could be true.
    read: u64,
    readers: u64,
    gap: Option<Gap>,
    shed_records: u64,
    shed_bytes: u64,
}

/// What a ring's memory does not say of its writer: what was shed and not yet told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left(Option<Gap>);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some(Gap { from_us, to_us, records, bytes }) => {
                write!(f, "{from_us},{to_us},{records},{bytes}")
            }
        }
    }
}

impl FromStr for Left {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        if text == "-" {
            return Ok(Self(None));
        }
        let mut parts = text.split(',');
        let mut next = || parts.next().unwrap_or_default();
        Ok(Self(Some(Gap {
            from_us: next().parse()?,
            to_us: next().parse()?,
            records: next().parse()?,
            bytes: next().parse()?,
        })))
    }
}

/// What has been shed since the last record that went in.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from_us: i64,
    to_us: i64,
    records: u64,
    bytes: u64,
}

impl Writer {
    /// Makes a ring of that many bytes for records (a power of two within
    /// [`MIN_CAPACITY`]..=[`MAX_CAPACITY`]).
    ///
    /// # Errors
    /// The capacity is not possible, or the system has no memory file, mapping or eventfd to give.
    pub fn new(capacity: usize) -> Result<Self, RingError> {
        if !capacity.is_power_of_two() || !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
            return Err(RingError::Capacity(capacity));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = rustix::fs::memfd_create("feedpulse-wire", flags)
            .map_err(RingError::system("make a memory file"))?;
        rustix::fs::ftruncate(&memory, (HEADER + capacity) as u64)
            .map_err(RingError::system("size the ring's memory file"))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&memory, seals)
            .map_err(RingError::system("seal the ring's memory file"))?;
        let map = |offset, bytes| {
            Map::new(memory.as_fd(), offset, bytes).map_err(RingError::system("map the ring"))
        };
        let (header, data) = (map(0, HEADER)?, map(HEADER as u64, capacity)?);
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(RingError::system("make an eventfd"))?;
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())
            .map_err(RingError::system("draw a random number"))?;
        let instance = u128::from_ne_bytes(random);
        let capacity = capacity as u64;
        for (index, value) in [
            (at::MAGIC, MAGIC),
            (at::VERSION, VERSION),
            (at::INSTANCE, instance as u64),
            (at::INSTANCE + 1, (instance >> 64) as u64),
            (at::CAPACITY, capacity),
        ] {
            header.words()[index].store(value, Ordering::Relaxed);
        }
        let (write, read, readers, shed_records, shed_bytes) = (0, 0, 0, 0, 0);
        Ok(Self {
            header,
            data,
            memory,
            wake,
            instance,
            capacity,
            write,
            read,
            readers,
            gap: None,
            shed_records,
            shed_bytes,
        })
    }

    /// Goes on with a ring that another process wrote until now.
    ///
    /// # Errors
    /// It is not a ring of this version, or cannot be mapped.
    pub(crate) fn adopt(memory: OwnedFd, wake: OwnedFd, left: Left) -> Result<Self, RingError> {
        let map = |offset, bytes| {
            Map::new(memory.as_fd(), offset, bytes).map_err(RingError::system("map the ring"))
        };
        let header = map(0, HEADER)?;
        let word = |index: usize| header.load(index);
        if word(at::MAGIC) != MAGIC || word(at::VERSION) != VERSION {
            return Err(RingError::Header("it has another version"));
        }
        let capacity = usize::try_from(word(at::CAPACITY)).unwrap_or(0);
        if !capacity.is_power_of_two() || !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
            return Err(RingError::Header("its capacity is not possible"));
        }
        let data = map(HEADER as u64, capacity)?;
        let (write, read) = (word(at::WRITE), word(at::READ));
        let capacity = capacity as u64;
        if !write.is_multiple_of(8) {
            return Err(RingError::Header("its write cursor is not at a word"));
        }
        // A read cursor that cannot be is the reader's fault; all is unread then.
        let believed = read.is_multiple_of(8)
            && write.checked_sub(read).is_some_and(|unread| unread <= capacity);
        Ok(Self {
            instance: u128::from(word(at::INSTANCE)) | u128::from(word(at::INSTANCE + 1)) << 64,
            readers: word(at::READER),
            shed_records: word(at::SHED_RECORDS),
            shed_bytes: word(at::SHED_BYTES),
            read: if believed { read } else { write.saturating_sub(capacity) },
            header,
            data,
            memory,
            wake,
            capacity,
            write,
            gap: left.0,
        })
    }

    /// What [`Writer::adopt`] needs: the memory, the wake-up, and what the memory does not say.
    pub(crate) fn parts(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>, Left) {
        (self.memory.as_fd(), self.wake.as_fd(), Left(self.gap))
    }

    /// Bytes that the ring has for records.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The ring's random number.
    pub fn instance(&self) -> u128 {
        self.instance
    }

    /// Bytes that are not released, and bytes there are.
    pub fn usage(&mut self) -> (u64, u64) {
        self.learn_read();
        (self.write - self.read, self.capacity)
    }

    /// Records and bytes of data shed since the ring was made.
    pub fn shed(&self) -> (u64, u64) {
        (self.shed_records, self.shed_bytes)
    }

    /// Hands the ring to a reader; the one before, if any, is out from now on.
    ///
    /// # Errors
    /// The system has no file descriptor left.
    pub fn hand_over(&mut self) -> Result<Handle, RingError> {
        let copy = |fd: &OwnedFd| {
            rustix::io::fcntl_dupfd_cloexec(fd, 0).map_err(RingError::system("copy a descriptor"))
        };
        let (memory, wake) = (copy(&self.memory)?, copy(&self.wake)?);
        self.readers += 1;
        self.word(at::READER).store(self.readers, Ordering::Release);
        // The reader before may have left nonsense; the next one starts from what is true.
        self.learn_read();
        self.word(at::READ).store(self.read, Ordering::Release);
        Ok(Handle { memory, wake, reader: self.readers })
    }

    /// Offers a record, and says whether it went in. Never waits: without room the record is shed
    /// and counted, and the reader learns of it by a `Shed` record as soon as there is room.
    /// A record with more than [`crate::MAX_PAYLOAD`] bytes is shed too.
    pub fn offer(&mut self, record: &Record<'_>) -> bool {
        let encoded = record.encode();
        let told = self.gap.map(|gap| gap.record(record.at_us).encode());
        let need = encoded.size() + told.as_ref().map_or(0, Encoded::size);
        let may_wait = matches!(record.event, Event::Data { .. } | Event::Alive { .. });
        let keep_free = if may_wait { self.capacity / 16 } else { 0 };
        if encoded.size() > MAX_RECORD || !self.has_room(need + keep_free) {
            self.shed_one(record);
            return false;
        }
        if let Some(told) = told {
            self.put(&told);
            self.gap = None;
        }
        self.put(&encoded);
        self.word(at::WRITE).store(self.write, Ordering::Release);
        self.wake_reader();
        true
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.header.words()[index]
    }

    /// Believes the shared read cursor only where it may be.
    fn learn_read(&mut self) {
        let read = self.word(at::READ).load(Ordering::Acquire);
        if (self.read..=self.write).contains(&read) && read.is_multiple_of(8) {
            self.read = read;
        }
    }

    fn has_room(&mut self, need: u64) -> bool {
        if self.capacity - (self.write - self.read) < need {
            self.learn_read();
        }
        self.capacity - (self.write - self.read) >= need
    }

    fn shed_one(&mut self, record: &Record<'_>) {
        let now = record.at_us;
        let gap = self.gap.get_or_insert(Gap { from_us: now, to_us: now, records: 0, bytes: 0 });
        gap.to_us = now;
        gap.records += 1;
        gap.bytes += record.data_len();
        self.shed_records += 1;
        self.shed_bytes += record.data_len();
        self.word(at::SHED_RECORDS).store(self.shed_records, Ordering::Relaxed);
        self.word(at::SHED_BYTES).store(self.shed_bytes, Ordering::Relaxed);
    }

    /// Writes a record for which there is room; the reader does not see it yet.
    fn put(&mut self, record: &Encoded<'_>) {
        let words = self.data.words();
        let mask = words.len() - 1;
        let start = (self.write / 8) as usize;
        for (index, &value) in record.head.iter().chain(record.fields()).enumerate() {
            words[(start + index) & mask].store(value, Ordering::Relaxed);
        }
        if !record.bytes.is_empty() {
            let from = (start + HEAD / 8) & mask;
            let (whole, rest) = record.bytes.as_chunks::<8>();
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            let values = whole.iter().chain((!rest.is_empty()).then_some(&last));
            // From here to the end of the data, and then from its beginning.
            let places = words[from..].iter().chain(words);
            for (place, value) in places.zip(values) {
                place.store(u64::from_ne_bytes(*value), Ordering::Relaxed);
            }
        }
        self.write += record.size();
    }

    /// One signal for all that the reader has not yet seen, and none unless it waits.
    fn wake_reader(&self) {
        // Orders the cursor's store before the flag's load; the reader does the reverse, so one
        // of the two sees the other.
        fence(Ordering::SeqCst);
        let waiting = self.word(at::WAITING);
        if waiting.load(Ordering::Relaxed) != 0 {
            waiting.store(0, Ordering::Relaxed);
            // Fails only when the counter is full, and then the reader is awake already.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }
}

impl Gap {
    fn record(self, at_us: i64) -> Record<'static> {
        let Self { from_us, to_us, records, bytes } = self;
        let event = Event::Shed { from_us, to_us, records, bytes };
        Record { listener: 0, connection: 0, at_us, event }
    }
}
