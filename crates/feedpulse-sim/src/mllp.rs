//! MLLP framing (HL7 "Transport Specification: MLLP, Release 1"): `0B … 1C 0D`.

/// Start of block.
pub(crate) const VT: u8 = 0x0b;
/// End of block.
pub(crate) const FS: u8 = 0x1c;
const CR: u8 = 0x0d;

/// The longest frame content a [`Deframer`] takes, in bytes.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// A frame grew past [`MAX_FRAME`]; the stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an MLLP frame is longer than {MAX_FRAME} bytes; is the other end speaking MLLP?")]
pub struct FrameTooLong;

/// `content` as one MLLP frame.
pub fn frame(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 3);
    out.push(VT);
    out.extend_from_slice(content);
    out.extend_from_slice(&[FS, CR]);
    out
}

/// Cuts a byte stream into frame contents, however it was cut on the way. Bytes outside frames are skipped
/// and counted.
#[derive(Default)]
pub struct Deframer {
    buffer: Vec<u8>,
    scanned: usize,
    /// Bytes skipped because they lay outside any frame.
    pub junk: u64,
}

impl std::fmt::Debug for Deframer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deframer {{ buffered: {} bytes, junk: {} }}", self.buffer.len(), self.junk)
    }
}

impl Deframer {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The content of the next whole frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameTooLong`] when a frame does not end within [`MAX_FRAME`] bytes.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameTooLong> {
        if self.scanned == 0 {
            let start = self.buffer.iter().position(|b| *b == VT).unwrap_or(self.buffer.len());
            self.junk += start as u64;
            self.buffer.drain(..start);
            if self.buffer.is_empty() {
                return Ok(None);
            }
            self.scanned = 1;
        }
        // The two bytes of the end may come apart, so the last byte is looked at again next time.
        let from = self.scanned;
        let end = self.buffer[from..].windows(2).position(|pair| pair == [FS, CR]);
        let Some(end) = end.map(|at| from + at) else {
            self.scanned = (self.buffer.len() - 1).max(1);
            return if self.buffer.len() > MAX_FRAME { Err(FrameTooLong) } else { Ok(None) };
        };
        let content = self.buffer[1..end].to_vec();
        self.buffer.drain(..end + 2);
        self.scanned = 0;
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_gives_the_same_frames() {
        let mut stream = b"\0\r\n".to_vec();
        for content in [&b"one"[..], b"", b"th\x1cree", b"fo\x1c\x1c"] {
            stream.extend_from_slice(&frame(content));
            stream.push(b'\n');
        }
        for step in 1..stream.len() {
            let mut deframer = Deframer::default();
            let mut got = Vec::new();
            for part in stream.chunks(step) {
                deframer.push(part);
                while let Some(content) = deframer.next_frame().unwrap() {
                    got.push(content);
                }
            }
            assert_eq!(got, [&b"one"[..], b"", b"th\x1cree", b"fo\x1c\x1c"], "step {step}");
            assert_eq!(deframer.junk, 7, "step {step}");
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut deframer = Deframer::default();
        deframer.push(&[VT]);
        deframer.push(&vec![b'x'; MAX_FRAME]);
        assert_eq!(deframer.next_frame(), Err(FrameTooLong));
        assert!(format!("{deframer:?}").len() < 80);
    }
}
