//! Whether the bytes written by one end of a hop are the bytes read by the other, with a proxy in between.
//!
//! Every socket end keeps a hash of what it wrote and of what it read. A proxy makes two connections of one,
//! so the ends are matched by content: an accepting end fits a dialling end when both directions fit. A
//! direction fits
//! - exactly, when it ended in order (the writer shut it down and saw the other's end, the reader saw the end);
//! - else (reset, time-out, still open) when what was read is a prefix of what was written: bytes in flight at a
//!   reset are gone and cannot be compared.
//!
//! The hop is identical when every end that read something can be given a partner of its own. Ends that read
//! nothing may stay alone (a dial that nobody answered).

use std::collections::VecDeque;

use crate::stream_hash::StreamHash;
use crate::truth::Hop;

/// How much of the end of a written stream is kept, so that the hash of a prefix can be worked out. Our
/// clients wait for each answer, so less than one message is unread at a reset.
const WINDOW: usize = 256 * 1024;

/// A written stream: its hash, and its last bytes.
#[derive(Clone, Default)]
pub struct StreamLog {
    hash: StreamHash,
    /// Hash of everything before `window`.
    base: StreamHash,
    window: VecDeque<u8>,
}

impl std::fmt::Debug for StreamLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamLog").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl StreamLog {
    /// Adds written bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.window.extend(bytes);
        let extra = self.window.len().saturating_sub(WINDOW);
        if extra > 0 {
            let old: Vec<u8> = self.window.drain(..extra).collect();
            self.base.update(&old);
        }
    }

    /// The hash of all of it.
    pub fn hash(&self) -> StreamHash {
        self.hash
    }

    /// The hash of the first `len` bytes; `None` when that is longer than the stream, or so short that the
    /// bytes needed are no longer kept (more than 256 KiB before the end).
    pub fn prefix(&self, len: u64) -> Option<StreamHash> {
        if len == self.hash.len() {
            return Some(self.hash);
        }
        if len == 0 {
            return Some(StreamHash::new());
        }
        let rest = usize::try_from(len.checked_sub(self.base.len())?).ok()?;
        if rest > self.window.len() {
            return None;
        }
        let mut hash = self.base;
        let (front, back) = self.window.as_slices();
        hash.update(&front[..rest.min(front.len())]);
        hash.update(&back[..rest.saturating_sub(front.len())]);
        Some(hash)
    }
}

/// How reading from a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamEnd {
    /// It has not.
    #[default]
    Open,
    /// The other end shut down in order.
    Eof,
    /// A read or a write failed, mostly by a reset.
    Failed,
    /// We dropped the connection without waiting for the other end (time-out, reset on purpose, stop).
    Dropped,
}

/// One socket end and what passed through it.
#[derive(Debug, Clone)]
pub struct ConnectionEnd {
    /// Which hop it belongs to.
    pub hop: Hop,
    /// True for the end that dialled.
    pub dialled: bool,
    /// When it was opened, unix microseconds.
    pub opened_us: i64,
    /// When it was closed.
    pub closed_us: Option<i64>,
    /// What it wrote (what the kernel took).
    pub written: StreamLog,
    /// What it read.
    pub read: StreamHash,
    /// It shut its writing side down in order.
    pub finished: bool,
    /// How its reading side ended.
    pub ended: StreamEnd,
}

impl ConnectionEnd {
    fn orderly(&self) -> bool {
        self.finished && self.ended == StreamEnd::Eof
    }
}

/// The result for one hop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Dialling ends.
    pub dialled: usize,
    /// Accepting ends.
    pub accepted: usize,
    /// Pairs whose two directions are equal to the last byte.
    pub exact: usize,
    /// Ends that read something and have no partner whose bytes fit: 0 when the hop is identical.
    pub unexplained: usize,
    /// Ends that were not recorded, since there were too many; the hop is not called identical then.
    pub unrecorded: u64,
}

impl Identity {
    /// True when everything read on this hop was written on it, in order and unchanged.
    pub fn holds(&self) -> bool {
        self.unexplained == 0 && self.unrecorded == 0
    }
}

fn direction_fits(writer: &ConnectionEnd, reader: &ConnectionEnd) -> bool {
    if writer.orderly() && reader.ended == StreamEnd::Eof {
        return writer.written.hash() == reader.read;
    }
    writer.written.prefix(reader.read.len()) == Some(reader.read)
}

fn fits(a: &ConnectionEnd, b: &ConnectionEnd) -> bool {
    direction_fits(a, b) && direction_fits(b, a)
}

fn equal(a: &ConnectionEnd, b: &ConnectionEnd) -> bool {
    a.written.hash() == b.read && b.written.hash() == a.read
}

/// Compares the two sides of a hop.
pub(crate) fn compare(dialled: &[&ConnectionEnd], accepted: &[&ConnectionEnd]) -> Identity {
    let mut result =
        Identity { dialled: dialled.len(), accepted: accepted.len(), ..Identity::default() };
    // First the plain case, so that the search below sees only what was cut.
    let mut open: Vec<&ConnectionEnd> = accepted.to_vec();
    let mut left = Vec::new();
    for end in dialled {
        match open.iter().position(|other| equal(end, other)) {
            Some(at) => {
                open.remove(at);
                result.exact += 1;
            }
            None => left.push(*end),
        }
    }
    // A matching that covers the needy of both sides exists exactly when each side alone can be covered
    // (Mendelsohn and Dulmage, 1958), so the two searches are independent.
    result.unexplained = uncovered(&left, &open) + uncovered(&open, &left);
    result
}

/// How many ends of `needy` that read something cannot be given a partner of their own in `partners`.
fn uncovered(needy: &[&ConnectionEnd], partners: &[&ConnectionEnd]) -> usize {
    let edges: Vec<Vec<usize>> = needy
        .iter()
        .map(|end| (0..partners.len()).filter(|at| fits(end, partners[*at])).collect())
        .collect();
    let mut owner: Vec<Option<usize>> = vec![None; partners.len()];
    let mut missing = 0;
    for (at, end) in needy.iter().enumerate() {
        if end.read.is_empty() {
            continue;
        }
        let mut tried = vec![false; partners.len()];
        missing += usize::from(!augment(at, &edges, &mut owner, &mut tried));
    }
    missing
}

/// One step of Kuhn's algorithm: gives `at` a partner, moving the owners of others when needed.
fn augment(
    at: usize,
    edges: &[Vec<usize>],
    owner: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for &partner in &edges[at] {
        if std::mem::replace(&mut tried[partner], true) {
            continue;
        }
        if owner[partner].is_none_or(|other| augment(other, edges, owner, tried)) {
            owner[partner] = Some(at);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(dialled: bool, written: &[u8], read: &[u8], clean: bool) -> ConnectionEnd {
        let mut log = StreamLog::default();
        log.update(written);
        let mut hash = StreamHash::new();
        hash.update(read);
        ConnectionEnd {
            hop: Hop::SenderToEngine,
            dialled,
            opened_us: 0,
            closed_us: None,
            written: log,
            read: hash,
            finished: clean,
            ended: if clean { StreamEnd::Eof } else { StreamEnd::Failed },
        }
    }

    fn holds(dialled: &[ConnectionEnd], accepted: &[ConnectionEnd]) -> bool {
        let (d, a): (Vec<_>, Vec<_>) = (dialled.iter().collect(), accepted.iter().collect());
        compare(&d, &a).holds()
    }

    #[test]
    fn orderly_connections_must_be_equal_and_cut_ones_a_prefix() {
        let dial = |w: &[u8], r: &[u8], clean| end(true, w, r, clean);
        let acc = |w: &[u8], r: &[u8], clean| end(false, w, r, clean);
        assert!(holds(&[dial(b"abc", b"xy", true)], &[acc(b"xy", b"abc", true)]));
        assert!(!holds(&[dial(b"abc", b"xy", true)], &[acc(b"xy", b"ab", true)]));
        assert!(!holds(&[dial(b"abc", b"xy", true)], &[acc(b"xy", b"abd", true)]));
        assert!(!holds(&[dial(b"abc", b"x", true)], &[acc(b"xy", b"abc", true)]));
        // Cut: less may have arrived, other bytes may not.
        assert!(holds(&[dial(b"abc", b"", false)], &[acc(b"xy", b"ab", false)]));
        assert!(!holds(&[dial(b"abc", b"", false)], &[acc(b"xy", b"ac", false)]));
        assert!(!holds(&[dial(b"abc", b"z", false)], &[acc(b"xy", b"ab", false)]));
        assert!(!holds(&[dial(b"abc", b"", false)], &[acc(b"xy", b"abcd", false)]));
    }

    #[test]
    fn matching_is_by_content_and_finds_a_partner_for_each() {
        // The first dial was answered by nobody; the second resent the same bytes and was answered.
        let dialled = [
            end(true, b"M1", b"", false),
            end(true, b"M1M2", b"A1", false),
            end(true, b"M1", b"A", false),
        ];
        let accepted = [end(false, b"A1", b"M1", false), end(false, b"A1A2", b"M1M2", false)];
        assert!(holds(&dialled, &accepted));
        // One end too many that read something.
        let more = [accepted[0].clone(), accepted[1].clone(), end(false, b"", b"M1M", false)];
        assert!(!holds(&dialled, &more));
        assert!(!holds(&[], &[end(false, b"", b"M1", false)]));
        assert!(holds(&[end(true, b"M1", b"", false)], &[]));
    }

    #[test]
    fn prefixes_are_known_within_the_window_only() {
        let mut log = StreamLog::default();
        let bytes: Vec<u8> = (0..WINDOW + 5000).map(|n| (n * 7 % 251) as u8).collect();
        for part in bytes.chunks(1000) {
            log.update(part);
        }
        for len in [0, 5000, 5001, WINDOW, bytes.len()] {
            let mut hash = StreamHash::new();
            hash.update(&bytes[..len]);
            assert_eq!(log.prefix(len as u64), Some(hash), "{len}");
        }
        assert_eq!(log.prefix(4999), None);
        assert_eq!(log.prefix(bytes.len() as u64 + 1), None);
        assert!(format!("{log:?}").len() < 200);
    }
}
