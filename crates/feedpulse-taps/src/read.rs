//! Reads one file (or another byte source) piece by piece: each piece a message, a whole batch, or
//! bytes that are neither. Memory: one piece and what stands behind it, at most about 17 MiB.

use feedpulse_hl7::MAX_MESSAGE;
use feedpulse_hl7::split::{Next, next_piece};
use std::fmt;
use std::io::{self, Read};

/// Read at once, and the least that is read before the first piece is looked for.
const CHUNK: usize = 64 << 10;
/// A piece that does not end within so many bytes is handed over in parts: no message is so long,
/// and decoding names what is.
const LONGEST: usize = MAX_MESSAGE + CHUNK;

/// A byte source and where it stands.
pub(crate) struct PieceReader {
    source: Box<dyn Read + Send + Sync>,
    buffer: Vec<u8>,
    /// Start of what is unread in the buffer.
    at: usize,
    /// Offset in the source of the buffer's first byte.
    base: u64,
    ended: bool,
}

impl fmt::Debug for PieceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceReader(at {})", self.offset())
    }
}

impl PieceReader {
    /// `offset` is where the source stands.
    pub(crate) fn new(source: Box<dyn Read + Send + Sync>, offset: u64) -> Self {
        Self { source, buffer: Vec::new(), at: 0, base: offset, ended: false }
    }

    /// Everything before this was handed over (or is blank).
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next piece; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut want = CHUNK;
        loop {
            self.fill(want)?;
            let rest = &self.buffer[self.at..];
            match next_piece(rest, self.ended) {
                Next::Piece(piece) => {
                    let bytes = rest[piece.start..piece.end].to_vec();
                    self.at += piece.next.max(1).min(rest.len());
                    return Ok(Some(bytes));
                }
                Next::Blank(len) => {
                    self.at += len;
                    if self.ended {
                        return Ok(None);
                    }
                }
                Next::More if rest.len() >= LONGEST => {
                    let bytes = rest.to_vec();
                    self.at = self.buffer.len();
                    return Ok(Some(bytes));
                }
                // Doubling keeps the looking linear.
                Next::More => want = (rest.len() * 2).clamp(CHUNK, LONGEST),
            }
        }
    }

    /// Reads until `want` bytes are unread, or the source ends.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.buffer.len() - self.at >= want || self.ended {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let missing = (want - self.buffer.len()) as u64;
        let read = self.source.by_ref().take(missing).read_to_end(&mut self.buffer)?;
        self.ended = (read as u64) < missing;
        Ok(())
    }
}
