//! MLLP framing (HL7 Transport Specification: MLLP, release 1 and 2): a byte stream becomes frames.
//!
//! A frame is `0B … 1C 0D`. Any cut of the stream is legal, and a stretch that was not seen is
//! survived: what was open is reported as a gap, and reading goes on at the next start block.

use crate::MAX_MESSAGE;
use core::fmt;
use memchr::{memchr, memchr2};

/// Start block.
pub const VT: u8 = 0x0B;
/// End block, first byte.
pub const FS: u8 = 0x1C;
/// End block, second byte.
pub const CR: u8 = 0x0D;
/// A buffer that grew beyond this for one frame is given back after it.
const KEEP: usize = 256 << 10;
/// So many bytes without a start block decide that a stream is not MLLP.
const JUDGE_AFTER: usize = 16;

/// What the framer found, in stream order. Offsets count the bytes of this direction from 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FrameEvent<'a> {
    /// A frame without its start and end block.
    Frame {
        /// What stood between the blocks. When the ending was not `1C 0D` the byte that ended it
        /// is kept as the last one (`0B` or `1C`), so that decoding names it as a defect.
        bytes: &'a [u8],
        /// Offset of its start block.
        start: u64,
        /// How it ended.
        ending: Ending,
    },
    /// A release 2 commit acknowledgment: a frame of the single byte 06 (ACK) or 15 (NAK).
    TransportAck {
        /// 06 or 15.
        code: u8,
        /// Offset of its start block.
        start: u64,
    },
    /// Bytes between frames, other than NUL, CR and LF.
    Junk {
        /// Offset of the first.
        start: u64,
        /// How many.
        len: u64,
    },
    /// A frame over [`MAX_MESSAGE`]; told when it crosses the limit, then skipped to its end.
    TooLarge {
        /// Offset of its start block.
        start: u64,
    },
    /// The end of a frame whose start was not seen.
    Tail {
        /// Offset behind its end block.
        end: u64,
    },
    /// Bytes of the stream were not seen.
    Gap {
        /// Offset of the first unseen byte.
        at: u64,
        /// How many were not seen.
        missed: u64,
        /// The frame that was open: offset of its start block, and its bytes seen so far.
        open: Option<(u64, u64)>,
    },
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `1C 0D`.
    Proper,
    /// `1C` and then something else than `0D` that no frame can hold (`0A`, `0B`, `1C`).
    NoReturn,
    /// A new start block: the frame was cut short.
    Overlap,
}

impl fmt::Debug for FrameEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { bytes, start, ending } => {
                write!(f, "Frame({} bytes at {start}, {ending:?})", bytes.len())
            }
            Self::TransportAck { code, start } => write!(f, "TransportAck({code:02x} at {start})"),
            Self::Junk { start, len } => write!(f, "Junk({len} bytes at {start})"),
            Self::TooLarge { start } => write!(f, "TooLarge(at {start})"),
            Self::Tail { end } => write!(f, "Tail(to {end})"),
            Self::Gap { at, missed, open } => write!(f, "Gap({missed} bytes at {at}, {open:?})"),
        }
    }
}

/// What flows on a connection, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// Too few bytes so far.
    Unknown,
    /// A start block came.
    Mllp,
    /// TLS records (RFC 8446 §5.1).
    Tls,
    /// HTTP.
    Http,
    /// HL7 text without MLLP framing.
    Unframed,
    /// Something else.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside any frame.
    Between,
    /// Inside a frame.
    Open { start: u64 },
    /// Inside a frame that is over the limit; `fs` when the last byte was `1C`.
    Skipping { start: u64, fs: bool },
    /// After unseen bytes: nothing means anything until the next start block, or until the end
    /// block of the frame whose start was not seen. `tail` says that such an end is to be told;
    /// `fs` that the last byte was `1C`.
    Lost { tail: bool, fs: bool },
}

/// Turns one direction of one connection into frames. Memory: nothing between frames that arrive
/// whole, else the bytes of the open frame, at most [`MAX_MESSAGE`]. Time is linear in the bytes.
pub struct Framer {
    state: State,
    /// Offset of the next byte.
    next: u64,
    /// The open frame's bytes from earlier feeds.
    held: Vec<u8>,
    looks: Looks,
    head: [u8; JUDGE_AFTER],
    head_len: usize,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Framer(next {}, {} bytes held)", self.next, self.held.len())
    }
}

impl Framer {
    /// At the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Between,
            next: 0,
            held: Vec::new(),
            looks: Looks::Unknown,
            head: [0; JUDGE_AFTER],
            head_len: 0,
        }
    }

    /// In a stream whose bytes before `offset` are done with. `between` says that a frame had just
    /// ended there; otherwise everything up to the next start or end block is passed over, and an
    /// end block is told as [`FrameEvent::Tail`].
    #[must_use]
    pub const fn resume(offset: u64, between: bool) -> Self {
        let mut this = Self::new();
        this.next = offset;
        if offset > 0 {
            this.looks = Looks::Mllp;
        }
        if !between {
            this.state = State::Lost { tail: true, fs: false };
        }
        this
    }

    /// Offset of the next byte that is expected.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        self.next
    }

    /// Offset of the start block of the frame that is open, if one is.
    #[must_use]
    pub const fn open_since(&self) -> Option<u64> {
        match self.state {
            State::Open { start } | State::Skipping { start, .. } => Some(start),
            State::Between | State::Lost { .. } => None,
        }
    }

    /// Bytes of the open frame that are held.
    #[must_use]
    pub fn open_len(&self) -> usize {
        self.held.len()
    }

    /// Up to where the stream is done with: the start of the open frame, else the next byte.
    #[must_use]
    pub const fn done(&self) -> u64 {
        match self.state {
            State::Open { start } => start,
            State::Between | State::Lost { .. } | State::Skipping { .. } => self.next,
        }
    }

    /// What flows here.
    #[must_use]
    pub const fn looks_like_mllp(&self) -> Looks {
        self.looks
    }

    /// Takes the next bytes of the stream; `offset` is the stream offset of the first. Bytes from
    /// before the expected offset were seen already and are passed over; a jump ahead is a gap.
    pub fn feed(&mut self, offset: u64, bytes: &[u8], sink: &mut impl FnMut(FrameEvent<'_>)) {
        let mut bytes = bytes;
        if offset < self.next {
            let seen = usize::try_from(self.next - offset).unwrap_or(usize::MAX).min(bytes.len());
            bytes = &bytes[seen..];
        } else if offset > self.next {
            self.gap(offset, sink);
        }
        if bytes.is_empty() {
            return;
        }
        if self.looks == Looks::Unknown {
            self.look(bytes);
        }
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Between => self.between(bytes, at, sink),
                State::Lost { tail, fs } => self.lost((tail, fs), bytes, at, sink),
                State::Open { start } => self.inside(start, bytes, at, sink),
                State::Skipping { start, fs } => self.skip(start, fs, bytes, at),
            };
        }
        self.next += bytes.len() as u64;
    }

    fn gap(&mut self, offset: u64, sink: &mut impl FnMut(FrameEvent<'_>)) {
        let open = self.open_since().map(|start| (start, self.held.len() as u64));
        sink(FrameEvent::Gap { at: self.next, missed: offset - self.next, open });
        self.drop_held();
        self.state = State::Lost { tail: open.is_none(), fs: false };
        self.next = offset;
        if self.looks == Looks::Unknown {
            // The beginning was not seen, so nobody can say that this is not MLLP.
            self.looks = Looks::Mllp;
        }
    }

    fn drop_held(&mut self) {
        self.held.clear();
        if self.held.capacity() > KEEP {
            self.held = Vec::new();
        }
    }

    /// Looks for a start block; what stands before it is junk unless it is only NUL, CR and LF.
    fn between(&mut self, bytes: &[u8], at: usize, sink: &mut impl FnMut(FrameEvent<'_>)) -> usize {
        let rest = &bytes[at..];
        let until = memchr(VT, rest).unwrap_or(rest.len());
        let junk = rest[..until].iter().filter(|byte| !matches!(**byte, 0 | b'\n' | CR)).count();
        if junk > 0 {
            sink(FrameEvent::Junk { start: self.next + at as u64, len: until as u64 });
        }
        if until < rest.len() {
            self.state = State::Open { start: self.next + (at + until) as u64 };
        }
        at + until + 1
    }

    fn lost(
        &mut self,
        (tail, fs): (bool, bool),
        bytes: &[u8],
        at: usize,
        sink: &mut impl FnMut(FrameEvent<'_>),
    ) -> usize {
        if fs && bytes[at] == CR {
            if tail {
                sink(FrameEvent::Tail { end: self.next + at as u64 + 1 });
            }
            self.state = State::Between;
            return at + 1;
        }
        self.seek(bytes, at, |fs| State::Lost { tail, fs })
    }

    fn skip(&mut self, start: u64, fs: bool, bytes: &[u8], at: usize) -> usize {
        if fs && bytes[at] == CR {
            self.state = State::Between;
            return at + 1;
        }
        self.seek(bytes, at, |fs| State::Skipping { start, fs })
    }

    /// Outside a readable frame: looks for a start block, or for an end block that a CR may follow.
    fn seek(&mut self, bytes: &[u8], at: usize, stay: impl Fn(bool) -> State) -> usize {
        match memchr2(FS, VT, &bytes[at..]) {
            Some(found) if bytes[at + found] == VT => {
                self.state = State::Open { start: self.next + (at + found) as u64 };
                at + found + 1
            }
            Some(found) => {
                self.state = stay(true);
                at + found + 1
            }
            None => {
                self.state = stay(false);
                bytes.len()
            }
        }
    }

    /// Looks for the end of the open frame from `at` on.
    fn inside(
        &mut self,
        start: u64,
        bytes: &[u8],
        at: usize,
        sink: &mut impl FnMut(FrameEvent<'_>),
    ) -> usize {
        // An end block that was cut between its two bytes.
        if self.held.last() == Some(&FS) {
            match bytes[at] {
                CR => {
                    let len = self.held.len() - 1;
                    self.emit_held(start, len, Ending::Proper, sink);
                    self.state = State::Between;
                    return at + 1;
                }
                b'\n' | VT | FS => {
                    let len = self.held.len();
                    self.emit_held(start, len, Ending::NoReturn, sink);
                    self.state = State::Between;
                    return at;
                }
                _ => {}
            }
        }
        let mut from = at;
        while let Some(found) = memchr2(FS, VT, &bytes[from..]) {
            let here = from + found;
            if bytes[here] == VT {
                self.emit(start, &bytes[at..=here], Ending::Overlap, sink);
                self.state = State::Between;
                return here;
            }
            match bytes.get(here + 1) {
                Some(&CR) => {
                    self.emit(start, &bytes[at..here], Ending::Proper, sink);
                    self.state = State::Between;
                    return here + 2;
                }
                Some(b'\n' | &VT | &FS) => {
                    self.emit(start, &bytes[at..=here], Ending::NoReturn, sink);
                    self.state = State::Between;
                    return here + 1;
                }
                Some(_) => from = here + 1,
                None => break,
            }
        }
        self.hold(start, &bytes[at..], sink);
        bytes.len()
    }

    fn hold(&mut self, start: u64, bytes: &[u8], sink: &mut impl FnMut(FrameEvent<'_>)) {
        if self.held.len() + bytes.len() > MAX_MESSAGE {
            sink(FrameEvent::TooLarge { start });
            self.drop_held();
            self.state = State::Skipping { start, fs: bytes.last() == Some(&FS) };
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Emits the held bytes and `tail`, borrowing when nothing is held.
    fn emit(
        &mut self,
        start: u64,
        tail: &[u8],
        ending: Ending,
        sink: &mut impl FnMut(FrameEvent<'_>),
    ) {
        if self.held.is_empty() {
            Self::frame(start, tail, ending, sink);
            return;
        }
        if self.held.len() + tail.len() > MAX_MESSAGE {
            sink(FrameEvent::TooLarge { start });
            self.drop_held();
            return;
        }
        self.held.extend_from_slice(tail);
        let len = self.held.len();
        self.emit_held(start, len, ending, sink);
    }

    fn emit_held(
        &mut self,
        start: u64,
        len: usize,
        ending: Ending,
        sink: &mut impl FnMut(FrameEvent<'_>),
    ) {
        Self::frame(start, &self.held[..len], ending, sink);
        self.drop_held();
    }

    fn frame(start: u64, bytes: &[u8], ending: Ending, sink: &mut impl FnMut(FrameEvent<'_>)) {
        match (bytes, ending) {
            ([code @ (0x06 | 0x15)], _) => sink(FrameEvent::TransportAck { code: *code, start }),
            // A doubled start block opens one frame, not an empty one and another.
            ([VT], Ending::Overlap) => sink(FrameEvent::Junk { start, len: 1 }),
            _ if bytes.len() > MAX_MESSAGE => sink(FrameEvent::TooLarge { start }),
            _ => sink(FrameEvent::Frame { bytes, start, ending }),
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        let mut first = bytes;
        if self.head_len == 0 {
            let skip = bytes.iter().take_while(|byte| matches!(**byte, 0 | b'\n' | CR)).count();
            first = &bytes[skip..];
        }
        let take = first.len().min(JUDGE_AFTER - self.head_len);
        self.head[self.head_len..self.head_len + take].copy_from_slice(&first[..take]);
        self.head_len += take;
        self.looks = judge(&self.head[..self.head_len]);
    }
}

fn judge(head: &[u8]) -> Looks {
    const HTTP: [&[u8]; 8] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"PRI * ", b"HTTP/"];
    if memchr(VT, head).is_some() {
        Looks::Mllp
    } else if head.len() >= 3 && head[0] == 0x16 && head[1] == 3 {
        Looks::Tls
    } else if HTTP.iter().any(|verb| head.starts_with(verb)) {
        Looks::Http
    } else if [&b"MSH"[..], b"FHS", b"BHS"].iter().any(|name| head.starts_with(name)) {
        Looks::Unframed
    } else if head.len() >= JUDGE_AFTER {
        Looks::Other
    } else {
        Looks::Unknown
    }
}
