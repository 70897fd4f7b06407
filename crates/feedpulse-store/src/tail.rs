//! What the log holds behind a snapshot, block by block, with what is missing named in its place.

use crate::disk::Disk;
use crate::error::{Damage, DamageKind};
use crate::log::{Segment, segment_name};
use crate::scan::{Found, Scan};
use core::fmt;
use std::collections::VecDeque;

/// One block of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct LogBlock {
    /// Sequence number of its first input.
    pub first_seq: u64,
    /// How many inputs it holds.
    pub count: u32,
    /// How many of its first inputs the snapshot or an earlier block covers: they are not applied
    /// again.
    pub skip: u32,
    /// As it was appended.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for LogBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogBlock({}+{}, {} bytes)", self.first_seq, self.count, self.bytes.len())
    }
}

/// Iterates over the blocks behind the snapshot in order, reading as it goes: at most one block and
/// one window of 256 KiB are in memory. [`Damage`] stands where inputs are missing; the blocks
/// behind it follow. Read it before anything is appended or a snapshot is written: these may remove
/// segments.
pub struct Tail<D: Disk> {
    disk: D,
    dir: &'static str,
    segments: VecDeque<Segment>,
    scan: Option<Scan<D>>,
    /// The input that comes next.
    expected: u64,
    /// The log's end: inputs before it that do not come are lost.
    end: u64,
    /// Damage that was passed since the last block.
    passed: Option<Damage>,
    /// A block that waits behind damage.
    ready: VecDeque<Result<LogBlock, Damage>>,
}

impl<D: Disk> fmt::Debug for Tail<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tail(from input {} to {})", self.expected, self.end)
    }
}

impl<D: Disk> Tail<D> {
    /// The blocks of `segments` behind input `snapshot` (0 = none), up to before input `end`.
    pub(crate) fn new(
        disk: D,
        dir: &'static str,
        segments: &[Segment],
        snapshot: u64,
        end: u64,
    ) -> Self {
        let expected = snapshot.saturating_add(1);
        // The last segment that begins at or before the first input that is wanted.
        let first = segments
            .iter()
            .rposition(|segment| segment.first_seq.is_some_and(|first| first <= expected))
            .unwrap_or(0);
        let segments = segments.iter().skip(first).cloned().collect();
        Self {
            disk,
            dir,
            segments,
            scan: None,
            expected,
            end,
            passed: None,
            ready: VecDeque::new(),
        }
    }

    fn pass(&mut self, file: &str, offset: u64, bytes: u64, kind: DamageKind) {
        let damage = Damage { file: file.to_owned(), offset, bytes, kind, lost: None };
        self.passed.get_or_insert(damage);
    }

    /// Queues what was passed, and what is missing before input `next`.
    fn settle(&mut self, next: u64, file: &str, offset: u64) {
        let lost = (self.expected < next).then(|| (self.expected, next - 1));
        if let Some(damage) = self.passed.take() {
            self.ready.push_back(Err(Damage { lost, ..damage }));
        } else if lost.is_some() {
            let (file, kind) = (file.to_owned(), DamageKind::Gap);
            self.ready.push_back(Err(Damage { file, offset, bytes: 0, kind, lost }));
        }
        self.expected = self.expected.max(next);
    }

    /// Takes one step in the current segment; false when it is at its end.
    fn step(&mut self, scan: &mut Scan<D>) -> bool {
        let step = match scan.step() {
            Ok(Some(step)) => step,
            Ok(None) => return false,
            Err(_) => {
                let (at, bytes) = (scan.at(), scan.limit().saturating_sub(scan.at()));
                self.pass(scan.name(), at, bytes, DamageKind::Unreadable);
                return false;
            }
        };
        let size = step.end - step.offset;
        match step.found {
            Found::Block(head) if head.end_seq() <= self.expected => {}
            Found::Block(head) => {
                self.settle(head.first_seq, scan.name(), step.offset);
                let skip = self.expected.saturating_sub(head.first_seq);
                self.ready.push_back(Ok(LogBlock {
                    first_seq: head.first_seq,
                    count: head.count,
                    skip: u32::try_from(skip).unwrap_or(head.count),
                    bytes: scan.body().to_vec(),
                }));
                self.expected = head.end_seq();
            }
            Found::BadBody(head) if head.end_seq() <= self.expected => {}
            Found::BadBody(_) | Found::BadHead => {
                self.pass(scan.name(), step.offset, size, DamageKind::Block);
            }
        }
        true
    }
}

impl<D: Disk> Iterator for Tail<D> {
    type Item = Result<LogBlock, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if let Some(mut scan) = self.scan.take() {
                if self.step(&mut scan) {
                    self.scan = Some(scan);
                }
            } else if let Some(segment) = self.segments.pop_front() {
                let name = segment_name(self.dir, segment.number);
                self.scan = Some(Scan::new(self.disk.clone(), name, segment.len));
            } else {
                self.settle(self.end, self.dir, 0);
                return self.ready.pop_front();
            }
        }
    }
}
