//! Files of messages: finds where each starts and ends, however the file was written (MLLP-framed,
//! batches, one after another, any line end, a byte order mark). Every byte is accounted for: it is
//! in a piece, or it is a blank or a framing byte between two.

use crate::MAX_MESSAGE;
use crate::index::is_boundary;
use crate::mllp::{CR, FS, VT};
use memchr::{memchr2, memchr3};

/// A byte order mark, as UTF-8.
const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];

/// One piece of a file: a message, a whole batch, or bytes that are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte.
    pub start: usize,
    /// Byte behind its last; trailing line ends are left out.
    pub end: usize,
    /// Where to go on.
    pub next: usize,
}

/// What stands at the beginning of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole piece.
    Piece(Piece),
    /// The piece does not end within the buffer: give more, from the same start.
    More,
    /// Only blanks are left, up to here.
    Blank(usize),
}

/// Finds the first piece of a buffer; `last` says that nothing comes behind the buffer. A caller
/// that doubles its buffer at each [`Next::More`] spends linear time.
#[must_use]
pub fn next_piece(buffer: &[u8], last: bool) -> Next {
    let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | CR | 0);
    let mut start = buffer.iter().take_while(blank).count();
    if buffer[start..].starts_with(b"M\0S") && start > 0 && buffer[start - 1] == 0 {
        // The first byte of UTF-16 text, which decoding names.
        start -= 1;
    }
    let rest = &buffer[start..];
    if rest.is_empty() {
        return Next::Blank(start);
    }
    if rest.len() < 8 && !last {
        return Next::More;
    }
    if rest[0] == VT {
        return framed(buffer, start, last);
    }
    let text = rest.strip_prefix(BOM).unwrap_or(rest);
    let skip = rest.len() - text.len();
    let end = match text {
        [b'F', b'H', b'S', ..] if is_boundary(text) => batch(rest, skip, *b"FTS", last),
        [b'B', b'H', b'S', ..] if is_boundary(text) => batch(rest, skip, *b"BTS", last),
        _ => boundary(rest, skip + 1, last, |_| true),
    };
    let Some(end) = end else { return Next::More };
    let end = start + end;
    Next::Piece(Piece { start, end: trimmed(buffer, start, end), next: end })
}

fn trimmed(buffer: &[u8], start: usize, end: usize) -> usize {
    // UTF-16 and UTF-32 text ends in NULs that belong to it; decoding refuses it whole.
    let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | CR);
    end - buffer[start..end].iter().rev().take_while(blank).count()
}

/// A piece between `0B` and `1C`. Without its end it reaches to the next `0B`.
fn framed(buffer: &[u8], vt: usize, last: bool) -> Next {
    let start = vt + 1;
    let mut from = start;
    while let Some(found) = memchr2(FS, VT, &buffer[from..]) {
        let end = from + found;
        match (buffer[end], buffer.get(end + 1)) {
            (VT, _) => return Next::Piece(Piece { start, end, next: end }),
            (_, Some(&CR)) => return Next::Piece(Piece { start, end, next: end + 2 }),
            (_, Some(b'\n' | &VT | &FS)) => {
                return Next::Piece(Piece { start, end, next: end + 1 });
            }
            (_, None) if last => return Next::Piece(Piece { start, end, next: end + 1 }),
            (_, None) => return Next::More,
            (_, Some(_)) => from = end + 1,
        }
    }
    let end = buffer.len();
    if last { Next::Piece(Piece { start, end, next: end }) } else { Next::More }
}

/// The next place from `from` on where a line is a header or batch segment that `wanted` takes, or
/// where an MLLP frame starts; the end of the buffer when it is the last.
fn boundary(text: &[u8], from: usize, last: bool, wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut at = from;
    while let Some(found) = text.get(at..).and_then(|rest| memchr3(CR, b'\n', VT, rest)) {
        let here = at + found;
        let line = here + 1;
        let next = &text[line..];
        if next.len() < 8 && !last {
            return None;
        }
        let header = next.strip_prefix(BOM).unwrap_or(next);
        if text[here] == VT {
            if is_boundary(header) {
                return Some(here);
            }
        } else if next.first() == Some(&VT) || (is_boundary(header) && wanted(header)) {
            return Some(line);
        }
        at = line;
    }
    last.then_some(text.len())
}

/// The end of a batch: behind its trailer, or where the next one begins. A batch over the size limit
/// is cut into messages.
fn batch(text: &[u8], skip: usize, trailer: [u8; 3], last: bool) -> Option<usize> {
    let opener = [trailer[0], b'H', b'S'];
    let over = |end: Option<usize>| end.is_none_or(|end| end > MAX_MESSAGE);
    let end = boundary(text, skip + 1, last, |line| {
        line.starts_with(&trailer) || line.starts_with(&opener)
    });
    let end = match end {
        Some(line) if text[line..].starts_with(&trailer) => {
            match memchr2(CR, b'\n', &text[line..]) {
                Some(length) => Some(line + length + 1),
                None if last => Some(text.len()),
                None => None,
            }
        }
        other => other,
    };
    if over(end) && text.len() > MAX_MESSAGE {
        // The envelope goes with its first message.
        let first = boundary(text, skip + 1, last, |line| line.starts_with(b"MSH"))?;
        return boundary(text, first + 1, last, |_| true);
    }
    end
}

/// Every piece of a file that is in memory.
pub fn split_file(bytes: &[u8]) -> impl Iterator<Item = Piece> + '_ {
    let mut at = 0;
    core::iter::from_fn(move || match next_piece(&bytes[at..], true) {
        Next::Piece(piece) => {
            let found =
                Piece { start: at + piece.start, end: at + piece.end, next: at + piece.next };
            at = found.next.max(at + 1).min(bytes.len());
            Some(found)
        }
        Next::More | Next::Blank(_) => None,
    })
}
