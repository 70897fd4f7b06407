//! Who accepted a connection whose beginning was not captured: what goes over it tells.

use feedpulse_hl7::mllp::{FS, VT};

/// Bytes of one connection that wait until it is known who accepted it.
const UNDECIDED_MAX: usize = 64 << 10;
/// The segments that HL7 text can begin with (HL7 v2.5.1 §2.10.1).
const STARTS: [&[u8]; 3] = [b"MSH", b"FHS", b"BHS"];

/// Pieces in order of arrival: time in µs, which end sent it, stream offset, bytes.
#[derive(Debug, Default)]
pub(crate) struct Undecided {
    pieces: Vec<Held>,
    bytes: usize,
}

type Held = (i64, usize, u64, Vec<u8>);

/// Whether a start block and the start of HL7 text (or as much as is there) stand in some bytes.
pub(crate) fn starts_mllp(bytes: &[u8]) -> bool {
    let behind = |at: usize| bytes.get(at + 1..).unwrap_or_default();
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == VT);
    starts.any(|(at, _)| {
        let text = behind(at);
        let text = text.get(..3).unwrap_or(text);
        STARTS.iter().any(|start| start.starts_with(text))
    })
}

impl Undecided {
    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a piece. True when it is worth looking again.
    pub(crate) fn hold(&mut self, side: usize, offset: u64, bytes: &[u8], at_us: i64) -> bool {
        self.bytes += bytes.len();
        self.pieces.push((at_us, side, offset, bytes.to_vec()));
        bytes.contains(&FS) || self.bytes > UNDECIDED_MAX
    }

    /// The end that receives messages: the one that a whole message went to, or whose ACK was seen.
    pub(crate) fn receiver(&self) -> Option<usize> {
        let full = self.bytes > UNDECIDED_MAX;
        let by_content = (0..2).find_map(|side| {
            let of_side = self.pieces.iter().filter(|piece| piece.1 == side);
            let text: Vec<u8> = of_side.flat_map(|piece| piece.3.iter().copied()).collect();
            let start = text.windows(4).position(|w| w == b"\x0bMSH")?;
            let frame = text.get(start..)?;
            let end = frame.iter().position(|byte| *byte == FS);
            let frame = frame.get(..end.or(full.then_some(frame.len()))?)?;
            let is_ack = frame.windows(4).any(|w| w == b"\rMSA");
            Some(if is_ack { side } else { 1 - side })
        });
        // No HL7 in all of this: it does not matter, and must not be held on to.
        by_content.or(full.then_some(1))
    }

    pub(crate) fn into_pieces(self) -> Vec<Held> {
        self.pieces
    }
}
