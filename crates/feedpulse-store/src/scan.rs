//! Walks the blocks of one segment, whatever its bytes are.

use crate::disk::Disk;
use crate::frame::{HEAD_LEN, HEAD_MAGIC, HEADER_LEN, Head};
use crc32c::crc32c;
use std::io;

/// Bytes read at a time.
const WINDOW: usize = 256 * 1024;

/// What stands at one place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole block; its bytes are [`Scan::body`].
    Block(Head),
    /// A sound head whose block is damaged or cut.
    BadBody(Head),
    /// No sound head; what follows it was found by searching.
    BadHead,
}

/// One step of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Where it starts.
    pub(crate) offset: u64,
    /// Where the next one starts.
    pub(crate) end: u64,
    /// What it is.
    pub(crate) found: Found,
}

/// A walk over `[HEADER_LEN, limit)` of one segment.
#[derive(Debug)]
pub(crate) struct Scan<D> {
    disk: D,
    name: String,
    at: u64,
    limit: u64,
    window: Vec<u8>,
    window_at: u64,
    body: (u64, usize),
}

impl<D: Disk> Scan<D> {
    pub(crate) fn new(disk: D, name: String, limit: u64) -> Self {
        Self { disk, name, at: HEADER_LEN, limit, window: Vec::new(), window_at: 0, body: (0, 0) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the next step starts.
    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    /// Where the walk ends.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes of the block that was found last.
    pub(crate) fn body(&self) -> &[u8] {
        let (at, len) = self.body;
        at.checked_sub(self.window_at)
            .and_then(|start| usize::try_from(start).ok())
            .and_then(|start| self.window.get(start..start.checked_add(len)?))
            .unwrap_or_default()
    }

    /// Up to `len` bytes at `at`; fewer where the file or the walk ends.
    fn fill(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let held = at
            .checked_sub(self.window_at)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| start.checked_add(len).is_some_and(|end| end <= self.window.len()));
        let start = if let Some(start) = held {
            start
        } else {
            self.window.clear();
            self.window.resize(len.max(WINDOW).min(left), 0);
            let read = self.disk.read_at(&self.name, at, &mut self.window);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            self.window_at = at;
            read?;
            0
        };
        let end = (start + len).min(self.window.len());
        Ok(self.window.get(start..end).unwrap_or_default())
    }

    /// The next step; None at the end.
    ///
    /// # Errors
    /// What the disk says. The walk cannot go on then.
    pub(crate) fn step(&mut self) -> io::Result<Option<Step>> {
        let offset = self.at;
        if offset >= self.limit {
            return Ok(None);
        }
        let Some(head) = Head::decode(self.fill(offset, HEAD_LEN)?) else {
            self.at = self.search(offset + 1)?;
            return Ok(Some(Step { offset, end: self.at, found: Found::BadHead }));
        };
        let body_at = offset + HEAD_LEN as u64;
        let end = body_at + u64::from(head.len);
        self.at = end.min(self.limit);
        let len = usize::try_from(head.len).unwrap_or(usize::MAX);
        // A sound head is ours, so its length is at most the largest block; a cut one is not read.
        let whole = end <= self.limit && {
            let body = self.fill(body_at, len)?;
            body.len() == len && crc32c(body) == head.sum
        };
        self.body = (body_at, if whole { len } else { 0 });
        let found = if whole { Found::Block(head) } else { Found::BadBody(head) };
        Ok(Some(Step { offset, end: self.at, found }))
    }

    /// The first place from `from` on that holds a sound head, else the end.
    fn search(&mut self, mut from: u64) -> io::Result<u64> {
        while from < self.limit {
            let chunk = self.fill(from, WINDOW)?;
            let read = chunk.len();
            let hits: Vec<usize> = chunk
                .windows(HEAD_MAGIC.len())
                .enumerate()
                .filter(|(_, bytes)| *bytes == HEAD_MAGIC)
                .map(|(index, _)| index)
                .collect();
            for hit in hits {
                let at = from + hit as u64;
                if Head::decode(self.fill(at, HEAD_LEN)?).is_some() {
                    return Ok(at);
                }
            }
            if read < HEAD_LEN {
                break;
            }
            from += (read - (HEAD_MAGIC.len() - 1)) as u64;
        }
        Ok(self.limit)
    }
}
