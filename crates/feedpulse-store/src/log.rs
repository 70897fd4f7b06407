//! The append-only log: segments of checksummed blocks.
//!
//! A block is acknowledged when [`Log::sync`] has returned after it. After a failed write or sync
//! nothing is assumed about the segment behind its last good sync: it is closed there and a new one
//! begins, whose header says how much of the old one counts.

use crate::disk::Disk;
use crate::error::{Damage, DamageKind, OpenError, StoreError};
use crate::error::{Failing, FailureClass, Part};
use crate::frame::{HEAD_LEN, HEADER_LEN, Head, SegmentHeader};
use crate::scan::{Found, Scan};
use crate::{BLOCK_MAX, Options};
use crc32c::crc32c;
use std::collections::BTreeMap;
use std::io;

pub(crate) const DIR: &str = "log";

/// The name of segment `number` in a folder.
pub(crate) fn segment_name(dir: &str, number: u64) -> String {
    format!("{dir}/{number:010}.seg")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg").filter(|digits| digits.len() >= 10)?.parse().ok()
}

/// Which log it is: the inputs', or the ledger's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its folder.
    pub(crate) dir: &'static str,
    /// What fails when it fails.
    pub(crate) part: Part,
    /// Over this its oldest closed segments are removed.
    pub(crate) bytes_max: u64,
}

impl Place {
    /// The log of inputs.
    pub(crate) const fn inputs(options: &Options) -> Self {
        Self { dir: DIR, part: Part::Log, bytes_max: options.log_bytes_max }
    }
}

/// A segment that is no longer written.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The input that came next when it was begun; None when its header is damaged.
    pub(crate) first_seq: Option<u64>,
    /// Bytes of it that count.
    pub(crate) len: u64,
    /// Bytes that it takes on the disk.
    pub(crate) size: u64,
}

/// The segment that is written.
struct Active<F> {
    file: F,
    number: u64,
    first_seq: u64,
    /// Bytes written.
    len: u64,
    /// Bytes known to be on the disk.
    synced: u64,
}

/// What opening the log found.
pub(crate) struct LogFound<D: Disk> {
    pub(crate) log: Log<D>,
    pub(crate) torn: Option<Torn>,
    pub(crate) damage: Vec<Damage>,
}

/// The end of the last segment that a crash left half-written. None of it was ever acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Which file, relative to the folder.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// The log, open for appending.
pub(crate) struct Log<D: Disk> {
    disk: D,
    place: Place,
    segment_bytes: u64,
    sealed: Vec<Segment>,
    active: Option<Active<D::File>>,
    next_number: u64,
    next_seq: u64,
    /// `next_seq` as of the last sync.
    durable_next: u64,
    failed: Option<FailureClass>,
    buffer: Vec<u8>,
}

impl<D: Disk> Log<D> {
    /// Reads what is there and cuts a torn tail. Nothing is created.
    pub(crate) fn open(
        disk: D,
        place: Place,
        segment_bytes: u64,
    ) -> Result<LogFound<D>, OpenError> {
        let (mut segments, mut damage, headers) = read_headers(&disk, place.dir, true)?;
        let known = headers.iter().map(|header| header.first_seq).max().unwrap_or(1);
        let mut next_seq = known.max(1);
        count_acknowledged(&mut segments, &headers);
        let mut torn = None;
        if let Some(last) = segments.last_mut() {
            let tail = read_last(&disk, place.dir, last)?;
            next_seq = next_seq.max(tail.next_seq);
            if tail.cut < last.size {
                let file = segment_name(place.dir, last.number);
                disk.truncate(&file, tail.cut).map_err(io_error("cut", &file))?;
                let bytes = last.size - tail.cut;
                torn = Some(Torn { file, offset: tail.cut, bytes });
                (last.len, last.size) = (tail.cut, tail.cut);
            }
        }
        damage.sort_by(|a, b| a.file.cmp(&b.file));
        let next_number = segments.last().map_or(1, |last| last.number.saturating_add(1));
        let log = Self {
            disk,
            place,
            segment_bytes,
            sealed: segments,
            active: None,
            next_number,
            next_seq,
            durable_next: next_seq,
            failed: None,
            buffer: Vec::new(),
        };
        Ok(LogFound { log, torn, damage })
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.sealed
    }

    pub(crate) const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The last input that is on the disk; 0 = none.
    pub(crate) const fn durable_seq(&self) -> u64 {
        self.durable_next.saturating_sub(1)
    }

    /// The log goes on behind `seq`, which a snapshot covers.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq.saturating_add(1));
        self.durable_next = self.durable_next.max(self.next_seq);
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.size).sum();
        sealed + self.active.as_ref().map_or(0, |active| active.len)
    }

    pub(crate) fn segment_count(&self) -> usize {
        self.sealed.len() + usize::from(self.active.is_some())
    }

    pub(crate) fn failing(&self) -> Option<Failing> {
        self.failed.map(|class| Failing { part: self.place.part, class })
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.failed {
            Some(class) => Err(StoreError::Failing { part: self.place.part, class }),
            None => Ok(()),
        }
    }

    /// Closes the segment at its last good sync; nothing is written until recovery.
    fn fail(&mut self, doing: &'static str, source: io::Error) -> StoreError {
        self.failed = Some(FailureClass::of(&source));
        if let Some(active) = self.active.take() {
            self.sealed.push(Segment {
                number: active.number,
                first_seq: Some(active.first_seq),
                len: active.synced,
                size: active.len,
            });
        }
        self.next_seq = self.durable_next;
        StoreError::Write { part: self.place.part, doing, source }
    }

    pub(crate) fn append(
        &mut self,
        first_seq: u64,
        count: u32,
        block: &[u8],
    ) -> Result<(), StoreError> {
        self.check()?;
        if block.is_empty() || block.len() > BLOCK_MAX || count == 0 {
            return Err(StoreError::Size { what: "block", bytes: block.len(), max: BLOCK_MAX });
        }
        if first_seq < self.next_seq {
            return Err(StoreError::Sequence { expected: self.next_seq, got: first_seq });
        }
        let size = HEAD_LEN as u64 + block.len() as u64;
        let full = self.active.as_ref().is_some_and(|active| {
            active.len > HEADER_LEN && active.len + size > self.segment_bytes
        });
        if full {
            self.roll()?;
        }
        if self.active.is_none() {
            self.begin()?;
        }
        let Some(active) = &mut self.active else { return self.check() };
        let head = Head {
            len: u32::try_from(block.len()).expect("at most BLOCK_MAX"),
            first_seq,
            count,
            synced: u32::try_from(active.synced).expect("a segment is below 4 GiB"),
            sum: crc32c(block),
        };
        self.buffer.clear();
        head.put(&mut self.buffer);
        self.buffer.extend_from_slice(block);
        if let Err(error) = self.disk.append(&mut active.file, &self.buffer) {
            return Err(self.fail("append to", error));
        }
        active.len += size;
        self.next_seq = head.end_seq();
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<u64, StoreError> {
        self.check()?;
        if let Some(active) = &mut self.active
            && active.synced < active.len
        {
            if let Err(error) = self.disk.sync(&mut active.file) {
                return Err(self.fail("sync", error));
            }
            active.synced = active.len;
        }
        self.durable_next = self.next_seq;
        Ok(self.durable_seq())
    }

    /// Closes the full segment, all of it on the disk, and keeps the log under its size.
    fn roll(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        if let Some(active) = self.active.take() {
            self.sealed.push(Segment {
                number: active.number,
                first_seq: Some(active.first_seq),
                len: active.len,
                size: active.len,
            });
        }
        while self.bytes() > self.place.bytes_max && !self.sealed.is_empty() {
            self.remove_oldest()?;
        }
        Ok(())
    }

    /// Begins a new segment; its header and its name are on the disk before any block is.
    fn begin(&mut self) -> Result<(), StoreError> {
        let number = self.next_number;
        let name = segment_name(self.place.dir, number);
        let prev = self.sealed.last();
        let header = SegmentHeader {
            number,
            first_seq: self.next_seq,
            prev_number: prev.map_or(0, |prev| prev.number),
            prev_len: prev.map_or(0, |prev| prev.len),
        };
        self.next_number += 1;
        let made = self.disk.create(&name).and_then(|mut file| {
            self.disk.append(&mut file, &header.encode())?;
            self.disk.sync(&mut file)?;
            self.disk.sync_dir(self.place.dir)?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                let (len, synced) = (HEADER_LEN, HEADER_LEN);
                let first_seq = header.first_seq;
                self.active = Some(Active { file, number, first_seq, len, synced });
                Ok(())
            }
            Err(error) => {
                // Best effort: an empty segment that stays is skipped when the log is opened.
                let _ = self.disk.unlink(&name);
                Err(self.fail("begin a segment of", error))
            }
        }
    }

    pub(crate) fn remove_oldest(&mut self) -> Result<(), StoreError> {
        let Some(oldest) = self.sealed.first() else { return Ok(()) };
        let removed = match self.disk.unlink(&segment_name(self.place.dir, oldest.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk.sync_dir(self.place.dir),
        };
        if let Err(error) = removed {
            return Err(self.fail("remove a segment of", error));
        }
        self.sealed.remove(0);
        Ok(())
    }

    /// Removes the segments whose inputs are all at most `seq`, oldest first.
    pub(crate) fn retire(&mut self, seq: u64) -> Result<(), StoreError> {
        self.check()?;
        let firsts = self.sealed.iter().map(|segment| segment.first_seq);
        let active = self.active.as_ref().map(|active| active.first_seq);
        let keep = firsts
            .chain([active])
            .rposition_of(|first| first.is_some_and(|first| first <= seq.saturating_add(1)));
        for _ in 0..keep {
            self.remove_oldest()?;
        }
        Ok(())
    }

    /// Goes on in a new segment.
    pub(crate) fn recover(&mut self) -> Result<(), StoreError> {
        if self.failed.is_none() {
            return Ok(());
        }
        self.begin()?;
        self.failed = None;
        Ok(())
    }
}

/// The index of the last item for which something holds.
trait LastIndex: Iterator + Sized {
    /// That index, 0 when there is none.
    fn rposition_of(self, holds: impl Fn(&Self::Item) -> bool) -> usize {
        self.enumerate().filter(|(_, item)| holds(item)).last().map_or(0, |(index, _)| index)
    }
}

impl<I: Iterator> LastIndex for I {}

fn io_error<'a>(doing: &'static str, file: &'a str) -> impl Fn(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { doing, file: file.to_owned(), source }
}

/// The last header that speaks about a segment is the one that was acknowledged.
fn count_acknowledged(segments: &mut [Segment], headers: &[SegmentHeader]) {
    let counted: BTreeMap<u64, u64> =
        headers.iter().map(|header| (header.prev_number, header.prev_len)).collect();
    for segment in segments {
        segment.len = *counted.get(&segment.number).unwrap_or(&segment.size);
    }
}

/// The segments of a log that another process may be writing, without touching anything.
pub(crate) fn survey<D: Disk>(disk: &D, dir: &str) -> Result<Vec<Segment>, OpenError> {
    let (mut segments, _, headers) = read_headers(disk, dir, false)?;
    count_acknowledged(&mut segments, &headers);
    Ok(segments)
}

type Headers = (Vec<Segment>, Vec<Damage>, Vec<SegmentHeader>);

/// The segments in order, with damage to their headers. A file that never got past its header is
/// removed: no block was ever written to it.
fn read_headers<D: Disk>(disk: &D, dir: &str, clean: bool) -> Result<Headers, OpenError> {
    let mut files: Vec<(u64, u64)> = disk
        .list(dir)
        .map_err(io_error("list", dir))?
        .into_iter()
        .filter_map(|(name, size)| Some((segment_number(&name)?, size)))
        .collect();
    files.sort_unstable();
    let (mut segments, mut damage, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for (number, size) in files {
        let file = segment_name(dir, number);
        let mut bytes = [0; HEADER_LEN as usize];
        let read = disk.read_at(&file, 0, &mut bytes).map_err(io_error("read", &file))?;
        let header = SegmentHeader::decode(bytes.get(..read).unwrap_or_default(), &file)?
            .filter(|header| header.number == number);
        if header.is_none() && size <= HEADER_LEN {
            if clean {
                disk.unlink(&file).map_err(io_error("remove", &file))?;
                disk.sync_dir(dir).map_err(io_error("sync", dir))?;
            }
            continue;
        }
        match header {
            Some(header) => headers.push(header),
            None => damage.push(Damage {
                file,
                offset: 0,
                bytes: HEADER_LEN,
                kind: DamageKind::Header,
                lost: None,
            }),
        }
        let first_seq = header.map(|header| header.first_seq);
        segments.push(Segment { number, first_seq, len: size, size });
    }
    Ok((segments, damage, headers))
}

/// What the last segment holds.
struct Last {
    next_seq: u64,
    /// Where its torn tail begins; its size when it has none.
    cut: u64,
}

/// Finds the torn tail: the first bad place behind all that is known to have been on the disk.
/// What is bad before that is damage, which the tail reports when it gets there.
fn read_last<D: Disk>(disk: &D, dir: &str, last: &Segment) -> Result<Last, OpenError> {
    let file = segment_name(dir, last.number);
    let mut scan = Scan::new(disk.clone(), file.clone(), last.size);
    let mut durable = HEADER_LEN;
    let mut next_seq = 0;
    // Each bad place, with the input that came next before it.
    let mut bad = Vec::new();
    while let Some(step) = scan.step().map_err(io_error("read", &file))? {
        if !matches!(step.found, Found::Block(_)) {
            bad.push((step, next_seq));
        }
        if let Found::Block(head) | Found::BadBody(head) = step.found {
            durable = durable.max(head.synced.into());
            next_seq = next_seq.max(head.end_seq());
        }
    }
    let torn = bad.iter().find(|(step, _)| step.end > durable);
    Ok(torn.map_or(Last { next_seq, cut: last.size.max(HEADER_LEN) }, |(step, next_seq)| Last {
        next_seq: *next_seq,
        cut: step.offset.max(durable),
    }))
}
