//! Reads a capture file packet by packet: pcap (µs and ns, both byte orders) and pcapng. Memory: one
//! block, at most [`BLOCK_MAX`], and what stands behind it.

use pcap_parser::pcapng::{Block, OptionCode, parse_block_be, parse_block_le};
use pcap_parser::{
    InterfaceDescriptionBlock, LegacyPcapBlock, PcapError, PcapHeader, nom::IResult,
    parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
    traits::PcapNGPacketBlock as _,
};
use std::io::{self, Read};

/// The longest block that is read, in bytes; no packet is so long, so a longer one is damage.
pub const BLOCK_MAX: usize = 16 << 20;
/// Read at once.
const CHUNK: usize = 256 << 10;
/// Interfaces of one section that are kept.
const INTERFACES_MAX: usize = 4_096;
/// A pcap file's head.
const PCAP_HEAD: usize = 24;
/// Type of a section header block, the same in both byte orders.
const SECTION: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];

type Parsed<'a> = IResult<&'a [u8], LegacyPcapBlock<'a>, PcapError<&'a [u8]>>;

/// Whether bytes are the start of a capture file.
#[must_use]
pub fn is_capture(head: &[u8]) -> bool {
    let Some(magic) = head.first_chunk::<4>() else { return false };
    *magic == SECTION || PcapMagic::of(*magic).is_some()
}

/// What the first four bytes of a pcap file say.
#[derive(Clone, Copy)]
struct PcapMagic {
    big: bool,
    nanos: bool,
    modified: bool,
}

impl PcapMagic {
    fn of(magic: [u8; 4]) -> Option<Self> {
        let (big, nanos, modified) = match u32::from_be_bytes(magic) {
            0xA1B2_C3D4 => (true, false, false),
            0xD4C3_B2A1 => (false, false, false),
            0xA1B2_3C4D => (true, true, false),
            0x4D3C_B2A1 => (false, true, false),
            0x34CD_B2A1 => (false, false, true),
            _ => return None,
        };
        Some(Self { big, nanos, modified })
    }
}

/// Why a capture cannot be read (further). What came before counts.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Nothing is in it.
    #[error("the file is empty")]
    Empty,
    /// It begins with something else.
    #[error("neither a pcap nor a pcapng file: it does not begin with the magic of one")]
    NotCapture,
    /// It ends within a packet or block.
    #[error("cut off: a {what} begins at byte {at} and {missing} bytes of it are missing")]
    Truncated {
        /// What.
        what: &'static str,
        /// Offset in the file.
        at: u64,
        /// Bytes that would have to follow.
        missing: u64,
    },
    /// Something that cannot be.
    #[error("damaged at byte {at}: {what}; what stands behind it was not read")]
    Damaged {
        /// Offset in the file.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The operating system could not read it.
    #[error("cannot be read behind byte {at}: {source}")]
    Io {
        /// Offset in the file.
        at: u64,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// One packet as captured.
#[derive(Clone, Copy)]
pub(crate) struct Captured<'a> {
    /// µs since the epoch.
    pub(crate) at_us: i64,
    /// Link type (tcpdump.org/linktypes.html).
    pub(crate) link: i32,
    /// The bytes that were kept.
    pub(crate) bytes: &'a [u8],
    /// Bytes that it had on the wire.
    pub(crate) original: usize,
    /// Where it stands in the file.
    pub(crate) offset: u64,
}

/// Clock and link of one pcapng interface.
#[derive(Clone, Copy)]
struct Interface {
    link: i32,
    snaplen: usize,
    /// Ticks a second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
}

enum Format {
    Pcap { magic: PcapMagic, link: i32 },
    Ng { big: bool, interfaces: Vec<Interface> },
}

/// A byte source that is a capture, and where it stands.
pub(crate) struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
    /// Start of what is unread in the buffer.
    at: usize,
    /// Offset in the source of the buffer's first byte.
    base: u64,
    format: Format,
    /// Of the packet before: simple packet blocks have no time of their own.
    last_us: i64,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    pub(crate) fn new(source: R) -> Result<Self, CaptureError> {
        let format = Format::Ng { big: false, interfaces: Vec::new() };
        let mut this = Self { source, buffer: Vec::new(), at: 0, base: 0, format, last_us: 0 };
        let have = this.fill(4)?;
        let Some(first) = this.buffer.first_chunk::<4>().copied() else {
            return Err(if have == 0 { CaptureError::Empty } else { CaptureError::NotCapture });
        };
        if let Some(magic) = PcapMagic::of(first) {
            this.need(PCAP_HEAD, "file header")?;
            // The parser knows the magic as a little-endian number: both orders, as in the file.
            let Ok((_, head)) = parse_pcap_header(&this.buffer) else {
                return Err(this.damaged("its header cannot be read"));
            };
            this.format = Format::Pcap { magic, link: link_of(&head) };
            this.at = PCAP_HEAD;
        } else if first != SECTION {
            return Err(CaptureError::NotCapture);
        }
        Ok(this)
    }

    /// The next packet; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        match self.format {
            Format::Pcap { magic, link } => self.pcap(magic, link),
            Format::Ng { .. } => self.ng(),
        }
    }

    fn pcap(&mut self, magic: PcapMagic, link: i32) -> Result<Option<Captured<'_>>, CaptureError> {
        let head = if magic.modified { 24 } else { 16 };
        if self.fill(head)? == 0 {
            return Ok(None);
        }
        self.need(head, "packet")?;
        let kept = self.word(8, magic.big);
        if kept > BLOCK_MAX {
            return Err(self.damaged("a packet of over 16 MiB"));
        }
        self.need(head + kept, "packet")?;
        let offset = self.offset();
        let start = self.at;
        self.at += head + kept;
        let parse: fn(&[u8]) -> Parsed<'_> = match (magic.modified, magic.big) {
            (true, _) => parse_pcap_frame_modified,
            (false, true) => parse_pcap_frame_be,
            (false, false) => parse_pcap_frame,
        };
        let Some(Ok((_, block))) = self.buffer.get(start..self.at).map(parse) else {
            return Err(CaptureError::Damaged { at: offset, what: "a packet cannot be read" });
        };
        let fraction = if magic.nanos { block.ts_usec / 1_000 } else { block.ts_usec };
        let at_us = i64::from(block.ts_sec) * 1_000_000 + i64::from(fraction);
        self.last_us = at_us;
        let original = (block.origlen as usize).max(block.data.len());
        Ok(Some(Captured { at_us, link, bytes: block.data, original, offset }))
    }

    fn ng(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        loop {
            let Some((offset, start)) = self.block()? else { return Ok(None) };
            let bytes = self.buffer.get(start..self.at).unwrap_or_default();
            let big = matches!(self.format, Format::Ng { big: true, .. });
            let parsed = if big { parse_block_be(bytes) } else { parse_block_le(bytes) };
            let Ok((_, block)) = parsed else {
                let what = "a pcapng block cannot be read";
                return Err(CaptureError::Damaged { at: offset, what });
            };
            let Format::Ng { interfaces, big } = &mut self.format else { return Ok(None) };
            let found = match block {
                Block::SectionHeader(_) => {
                    interfaces.clear();
                    None
                }
                Block::InterfaceDescription(description) => {
                    if interfaces.len() < INTERFACES_MAX {
                        interfaces.push(interface(&description, *big));
                    }
                    None
                }
                Block::EnhancedPacket(packet) => {
                    let number = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                    let Some(interface) = interfaces.get(number) else {
                        let what = "a packet of an interface that the file does not describe";
                        return Err(CaptureError::Damaged { at: offset, what });
                    };
                    self.last_us = interface.time(packet.ts_high, packet.ts_low);
                    Some((interface.link, packet.packet_data().len(), 28, packet.origlen))
                }
                Block::SimplePacket(packet) => {
                    let Some(interface) = interfaces.first() else {
                        let what = "a packet before any interface";
                        return Err(CaptureError::Damaged { at: offset, what });
                    };
                    let kept = packet.packet_data().len().min(interface.snaplen);
                    Some((interface.link, kept, 12, packet.origlen))
                }
                _ => None,
            };
            let Some((link, kept, head, original)) = found else { continue };
            let at_us = self.last_us;
            let bytes = self.buffer.get(start + head..start + head + kept).unwrap_or_default();
            let original = (original as usize).max(kept);
            return Ok(Some(Captured { at_us, link, bytes, original, offset }));
        }
    }

    /// Makes the next block whole in the buffer and steps over it: its offset in the file, and its
    /// start in the buffer. None at the end.
    fn block(&mut self) -> Result<Option<(u64, usize)>, CaptureError> {
        const HEAD: usize = 12;
        if self.fill(HEAD)? == 0 {
            return Ok(None);
        }
        self.need(HEAD, "pcapng block")?;
        if self.buffer.get(self.at..self.at + 4) == Some(&SECTION) {
            let order = self.buffer.get(self.at + 8..self.at + 12);
            let big = order == Some(&[0x1A, 0x2B, 0x3C, 0x4D]);
            if !big && order != Some(&[0x4D, 0x3C, 0x2B, 0x1A]) {
                return Err(self.damaged("a section without its byte order"));
            }
            if let Format::Ng { big: known, .. } = &mut self.format {
                *known = big;
            }
        }
        let big = matches!(self.format, Format::Ng { big: true, .. });
        let length = self.word(4, big);
        if length < HEAD || !length.is_multiple_of(4) {
            return Err(self.damaged("a pcapng block with an impossible length"));
        }
        if length > BLOCK_MAX {
            return Err(self.damaged("a pcapng block of over 16 MiB"));
        }
        self.need(length, "pcapng block")?;
        let found = (self.offset(), self.at);
        self.at += length;
        Ok(Some(found))
    }

    /// Where the next byte stands in the source.
    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    fn damaged(&self, what: &'static str) -> CaptureError {
        CaptureError::Damaged { at: self.offset(), what }
    }

    /// The number of 32 bits so far behind the next byte.
    fn word(&self, behind: usize, big: bool) -> usize {
        let bytes = self.buffer.get(self.at + behind..).and_then(<[u8]>::first_chunk::<4>);
        let read = if big { u32::from_be_bytes } else { u32::from_le_bytes };
        bytes.map_or(0, |bytes| read(*bytes) as usize)
    }

    /// Tries to have so many unread bytes; gives how many there are.
    fn fill(&mut self, want: usize) -> Result<usize, CaptureError> {
        let have = self.buffer.len() - self.at;
        if have >= want {
            return Ok(have);
        }
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let most = (want.max(CHUNK) - have) as u64;
        let read = self.source.by_ref().take(most).read_to_end(&mut self.buffer);
        read.map_err(|source| CaptureError::Io { at: self.base + have as u64, source })?;
        Ok(self.buffer.len())
    }

    fn need(&mut self, want: usize, what: &'static str) -> Result<(), CaptureError> {
        let have = self.fill(want)?;
        if have >= want {
            return Ok(());
        }
        let (at, missing) = (self.offset(), (want - have) as u64);
        Err(CaptureError::Truncated { what, at, missing })
    }
}

/// The link type without the bits about frame check sequences above it.
fn link_of(head: &PcapHeader) -> i32 {
    head.network.0 & 0xFFFF
}

/// Its clock is read here: the parser takes powers of two and big-endian offsets wrongly.
fn interface(description: &InterfaceDescriptionBlock<'_>, big: bool) -> Interface {
    let of = |code| description.options.iter().find(|option| option.code == code);
    let exponent = of(OptionCode::IfTsresol).and_then(|o| o.value.first().copied()).unwrap_or(6);
    let power = u32::from(exponent & 0x7F);
    let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
    let offset = of(OptionCode::IfTsoffset).and_then(|o| o.value.first_chunk::<8>().copied());
    let read = if big { i64::from_be_bytes } else { i64::from_le_bytes };
    let snaplen = description.snaplen as usize;
    Interface {
        link: description.linktype.0,
        snaplen: if snaplen == 0 { usize::MAX } else { snaplen },
        resolution: base.checked_pow(power).unwrap_or(u64::MAX),
        offset: offset.map_or(0, read),
    }
}

impl Interface {
    /// µs since the epoch.
    fn time(&self, high: u32, low: u32) -> i64 {
        let ticks = u128::from(u64::from(high) << 32 | u64::from(low));
        let micros = ticks * 1_000_000 / u128::from(self.resolution.max(1));
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        micros.saturating_add(self.offset.saturating_mul(1_000_000))
    }
}
