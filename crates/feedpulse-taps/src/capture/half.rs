//! One direction of a TCP connection: segments in any order become its bytes in order. Sequence
//! numbers wrap; bytes that were seen first win; what never comes is a gap, never a guess.

use std::collections::BTreeMap;

/// Bytes that one direction holds out of order; beyond this what is missing counts as lost.
pub(crate) const HELD_MAX: usize = 1 << 20;

/// What comes out of a direction, in order.
pub(crate) enum Piece<'a> {
    /// The next bytes, at this stream offset.
    Bytes(u64, &'a [u8]),
    /// So many bytes were not captured.
    Lost(u64),
}

/// Where a segment stands in its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It holds nothing.
    Empty,
    /// It asks for an ACK.
    Probe,
    /// It was sent before, or later ones overtook it.
    Again,
    /// Up to this offset, nothing was sent before.
    New(u64),
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Sequence number of the byte at stream offset `next`; None before the first.
    seq: Option<u32>,
    /// Offset of the next byte; everything before is done with.
    next: u64,
    /// What came too early, without overlaps.
    held: BTreeMap<u64, Vec<u8>>,
    held_bytes: usize,
    /// Offset behind the last byte that was sent, whatever is missing before it.
    top: u64,
    /// The other side has everything before this.
    acked: u64,
    /// Where it ends, once its FIN was seen.
    fin: Option<u64>,
    /// Since when (µs) the other side has bytes that are missing here.
    missing_since: Option<i64>,
}

impl Half {
    /// Says which sequence number stands at a stream offset; only the first time counts.
    pub(crate) fn begin(&mut self, seq: u32, offset: u64) {
        if self.seq.is_none() {
            (self.seq, self.next, self.acked, self.top) = (Some(seq), offset, offset, offset);
        }
    }

    /// What a segment is beside those before it; asked before [`Half::take`].
    pub(crate) fn place(&self, seq: u32, length: usize) -> Place {
        let start = self.offset_of(seq);
        let end = start.saturating_add_unsigned(length as u64);
        let top = self.top.cast_signed();
        // A probe repeats the last byte, or none, to be answered (RFC 9293 §3.8.4).
        if length <= 1 && start == top - 1 {
            return Place::Probe;
        }
        match length {
            0 => Place::Empty,
            _ if end <= top => Place::Again,
            _ => Place::New(end.cast_unsigned()),
        }
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.seq.is_some()
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The other side has everything before this.
    pub(crate) const fn acked(&self) -> u64 {
        self.acked
    }

    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The stream offset of a sequence number: the one nearest to what is expected.
    fn offset_of(&self, seq: u32) -> i64 {
        let ahead = seq.wrapping_sub(self.seq.unwrap_or(seq)).cast_signed();
        self.next.cast_signed() + i64::from(ahead)
    }

    /// Takes a segment of `length` bytes, of which `bytes` were kept. False when it holds nothing new.
    pub(crate) fn take(
        &mut self,
        seq: u32,
        bytes: &[u8],
        length: usize,
        out: &mut impl FnMut(Piece<'_>),
    ) -> bool {
        let start = self.offset_of(seq);
        let end = start.saturating_add_unsigned(length as u64);
        if end <= self.next.cast_signed() {
            return false;
        }
        self.top = self.top.max(end.cast_unsigned());
        let seen = usize::try_from(self.next.cast_signed() - start).unwrap_or(0);
        let from = start.max(self.next.cast_signed()).cast_unsigned();
        let kept = bytes.get(seen..).unwrap_or_default();
        self.put(from, kept, out);
        // The file holds only the head of the packet: the rest will not come.
        let cut = bytes.len() < length && self.next == from + kept.len() as u64;
        if cut {
            self.skip_to(end.cast_unsigned(), out);
        }
        while self.held_bytes > HELD_MAX {
            self.give_up(out);
        }
        true
    }

    fn put(&mut self, from: u64, bytes: &[u8], out: &mut impl FnMut(Piece<'_>)) {
        if from == self.next && self.held.is_empty() {
            self.pass(bytes, out);
            return;
        }
        let end = from + bytes.len() as u64;
        let mut at = from;
        while at < end {
            let before = self.held.range(..=at).next_back();
            let covered = before.map_or(0, |(start, held)| start + held.len() as u64);
            if covered > at {
                at = covered;
                continue;
            }
            let stop = self.held.range(at..).next().map_or(end, |(start, _)| end.min(*start));
            let piece = bytes.get(to_len(at - from)..to_len(stop - from)).unwrap_or_default();
            self.held_bytes += piece.len();
            self.held.insert(at, piece.to_vec());
            at = stop;
        }
        self.drain(out);
    }

    fn pass(&mut self, bytes: &[u8], out: &mut impl FnMut(Piece<'_>)) {
        if !bytes.is_empty() {
            out(Piece::Bytes(self.next, bytes));
            self.move_on(bytes.len() as u64);
        }
    }

    fn move_on(&mut self, by: u64) {
        self.next += by;
        self.top = self.top.max(self.next);
        // The remainder of 2^32 is what wraps.
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
        let by = by as u32;
        self.seq = self.seq.map(|seq| seq.wrapping_add(by));
    }

    /// Hands out what is now in order.
    fn drain(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        while let Some(entry) = self.held.first_entry().filter(|e| *e.key() <= self.next) {
            let bytes = entry.remove();
            self.held_bytes -= bytes.len();
            self.pass(&bytes, out);
        }
    }

    /// Everything up to an offset that is not held will not come.
    fn skip_to(&mut self, offset: u64, out: &mut impl FnMut(Piece<'_>)) {
        let to = self.held.first_key_value().map_or(offset, |(start, _)| offset.min(*start));
        if to > self.next {
            out(Piece::Lost(to - self.next));
            self.move_on(to - self.next);
        }
        self.drain(out);
    }

    /// What is missing before the next held piece (or before what the other side has) is lost.
    pub(crate) fn give_up(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        self.missing_since = None;
        if let Some(start) = self.held.first_key_value().map(|(start, _)| *start) {
            self.skip_to(start, out);
        } else if self.lacks_acked() {
            self.skip_to(self.acked, out);
        }
    }

    /// All that is missing is lost: the connection is over.
    pub(crate) fn finish(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        while !self.held.is_empty() {
            self.give_up(out);
        }
        if self.lacks_acked() || self.fin.is_some_and(|fin| fin > self.next) {
            self.skip_to(self.fin.unwrap_or(self.acked).max(self.acked), out);
        }
    }

    /// The other side has more than was captured. A single byte may be a FIN that was not.
    fn lacks_acked(&self) -> bool {
        let most = self.fin.map_or(self.acked, |fin| self.acked.min(fin));
        most > self.next + u64::from(self.held.is_empty() && self.fin.is_none())
    }

    /// Notes what the other side acknowledges, at a time in µs.
    pub(crate) fn acknowledged(&mut self, seq: u32, at_us: i64) {
        if !self.has_begun() {
            return;
        }
        let offset = u64::try_from(self.offset_of(seq)).unwrap_or(0);
        let offset = self.fin.map_or(offset, |fin| offset.min(fin));
        self.acked = self.acked.max(offset);
        self.look(at_us);
    }

    /// Since when the other side has bytes that are missing here.
    pub(crate) fn look(&mut self, at_us: i64) -> Option<i64> {
        if self.lacks_acked() {
            self.missing_since.get_or_insert(at_us);
        } else {
            self.missing_since = None;
        }
        self.missing_since
    }

    /// Notes its end: the sequence number behind its last byte.
    pub(crate) fn ends_at(&mut self, seq: u32) {
        let end = u64::try_from(self.offset_of(seq)).unwrap_or(self.next);
        self.fin.get_or_insert(end.max(self.next));
    }

    /// Whether everything up to its end was handed out.
    pub(crate) fn is_over(&self) -> bool {
        self.fin == Some(self.next)
    }
}

fn to_len(difference: u64) -> usize {
    usize::try_from(difference).unwrap_or(usize::MAX)
}
