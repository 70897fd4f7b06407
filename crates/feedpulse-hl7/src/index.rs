//! Where the segments and the header fields of one message are. Bytes only, nothing is copied.
//!
//! MSH is read by our own scanner: any delimiters, one to five encoding characters (HL7 v2.5.1
//! §2.5.4, v2.7 adds the fifth), any character set. The segment terminator is found per message: CR
//! when any CR stands before a segment name, else CR LF, else LF; a message is never split on two.

use feedpulse_core::defect::{Defect, DefectCode};
use memchr::{memchr, memchr_iter, memchr2_iter, memmem};

pub use crate::delimiters::Delimiters;

/// The most segments of one message that are looked at.
pub const MAX_SEGMENTS: usize = 65_536;
/// MSH fields that are indexed: MSH-3 to MSH-21.
const HEADER_FIELDS: usize = 22;

/// A segment name as a number, so that comparing is one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(u32);

impl Name {
    /// The name of a line that has none.
    pub const NONE: Self = Self(0);

    /// From three bytes.
    #[must_use]
    pub const fn new(name: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, name[0], name[1], name[2]]))
    }

    /// Its three bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }
}

/// MSH.
pub const MSH: Name = Name::new(*b"MSH");
pub(crate) const FHS: Name = Name::new(*b"FHS");
pub(crate) const BHS: Name = Name::new(*b"BHS");
pub(crate) const BTS: Name = Name::new(*b"BTS");
pub(crate) const FTS: Name = Name::new(*b"FTS");

/// A range of bytes of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Byte behind the last.
    pub end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self { start: narrow(start), end: narrow(end) }
    }

    /// The bytes of the frame that it covers.
    #[must_use]
    pub fn of(self, frame: &[u8]) -> &[u8] {
        frame.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name, [`Name::NONE`] when it has no valid one.
    pub name: Name,
    /// Where it is, without its terminator.
    pub span: Span,
}

/// How segments end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terminator {
    /// CR, the only one that HL7 knows (v2.5.1 §2.5.4).
    #[default]
    Cr,
    /// CR LF.
    CrLf,
    /// LF.
    Lf,
}

impl Terminator {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cr => "CR",
            Self::CrLf => "CRLF",
            Self::Lf => "LF",
        }
    }
}

/// Defects of one message: each kind once, at its first place.
#[derive(Debug, Default)]
pub struct Notes {
    seen: [u64; 4],
    list: Vec<Defect>,
}

impl Notes {
    /// Adds one, unless its kind was noted before.
    pub fn add(&mut self, code: DefectCode, offset: usize) {
        let number = code as usize;
        let Some(word) = self.seen.get_mut(number / 64) else { return };
        if *word & 1 << (number % 64) == 0 {
            *word |= 1 << (number % 64);
            self.list.push(Defect { code, offset: narrow(offset) });
        }
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.seen = [0; 4];
        self.list.clear();
    }

    /// What was noted.
    #[must_use]
    pub fn list(&self) -> &[Defect] {
        &self.list
    }
}

/// What kinds of bytes a frame holds; one pass, so that a clean message pays for nothing more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Any byte from 0x80 on.
    pub(crate) high: bool,
    /// Any control byte other than CR.
    pub(crate) control: bool,
}

impl Census {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (mut high, mut control) = (0_u8, 0_u8);
        for chunk in bytes.chunks(256) {
            for &byte in chunk {
                high |= byte;
                control |= u8::from(byte < 0x20) & u8::from(byte != b'\r');
            }
        }
        Self { high: high >= 0x80, control: control != 0 }
    }
}

/// The index of one message. Reuse one: once warm, reading a message allocates nothing.
#[derive(Debug, Default)]
pub struct Index {
    pub(crate) delimiters: Delimiters,
    pub(crate) terminator: Terminator,
    pub(crate) segments: Vec<Segment>,
    header: [Span; HEADER_FIELDS],
    pub(crate) span: Span,
}

impl Index {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the message whose MSH stands at `from`, up to the next MSH or batch segment. Says where
    /// that is.
    ///
    /// # Errors
    /// The defect that makes it unreadable.
    pub(crate) fn read(
        &mut self,
        frame: &[u8],
        from: usize,
        census: Census,
        notes: &mut Notes,
    ) -> Result<usize, Defect> {
        self.segments.clear();
        self.header = [Span::default(); HEADER_FIELDS];
        let head = &frame[from..];
        let line = &head[..memchr2_iter(b'\r', b'\n', head).next().unwrap_or(head.len())];
        self.delimiters = Delimiters::read(line, from, notes)?;
        let mut limit = frame.len();
        self.terminator = Terminator::Cr;
        if census.control {
            limit = next_boundary(frame, from).unwrap_or(limit);
            self.terminator = find_terminator(&frame[from..limit], self.delimiters.field);
            self.note_terminator(frame, from, limit, notes);
        }
        let end = self.read_segments(frame, from, limit, notes);
        self.span = Span::new(from, end);
        let Some(first) = self.segments.first().copied() else { return Ok(end) };
        self.read_header(frame, first.span);
        if self.segments.len() == 1 && self.header[9].end == 0 {
            notes.add(DefectCode::Truncated, first.span.end as usize);
        }
        Ok(end)
    }

    /// Indexes the first message of a frame that begins with its MSH. This is one step of
    /// [`crate::decode::Decoder::decode`], alone: for measuring it, and for those who want fields
    /// and no sighting. What is odd is added to `notes`.
    ///
    /// # Errors
    /// The defect that makes the message unreadable.
    pub fn first<'a>(
        &'a mut self,
        frame: &'a [u8],
        notes: &mut Notes,
    ) -> Result<Message<'a>, Defect> {
        self.read(frame, 0, Census::of(frame), notes)?;
        Ok(self.message(frame))
    }

    fn note_terminator(&self, frame: &[u8], from: usize, limit: usize, notes: &mut Notes) {
        let at = |byte| from + memchr(byte, &frame[from..limit]).unwrap_or(0);
        match self.terminator {
            Terminator::Cr => {}
            Terminator::CrLf => notes.add(DefectCode::CarriageReturnLineFeeds, at(b'\r')),
            Terminator::Lf => notes.add(DefectCode::LineFeeds, at(b'\n')),
        }
        if self.terminator == Terminator::Cr {
            let field = self.delimiters.field;
            let mixed = memchr_iter(b'\n', &frame[from..limit])
                .find(|&lf| is_segment(&frame[from + lf + 1..limit], field));
            if let Some(lf) = mixed {
                notes.add(DefectCode::MixedTerminators, from + lf);
            }
        }
    }

    fn read_segments(
        &mut self,
        frame: &[u8],
        from: usize,
        limit: usize,
        notes: &mut Notes,
    ) -> usize {
        let text = &frame[from..limit];
        let mut lines = Lines { start: from, blank: None, over: false };
        match self.terminator {
            Terminator::Cr => {
                for end in memchr_iter(b'\r', text) {
                    if let Some(stop) = self.line(frame, from + end, 1, &mut lines, notes) {
                        return stop;
                    }
                }
            }
            Terminator::Lf => {
                for end in memchr_iter(b'\n', text) {
                    if let Some(stop) = self.line(frame, from + end, 1, &mut lines, notes) {
                        return stop;
                    }
                }
            }
            Terminator::CrLf => {
                for end in memmem::find_iter(text, b"\r\n") {
                    if let Some(stop) = self.line(frame, from + end, 2, &mut lines, notes) {
                        return stop;
                    }
                }
            }
        }
        if lines.start < limit
            && let Some(stop) = self.line(frame, limit, 0, &mut lines, notes)
        {
            return stop;
        }
        if let Some(last) = self.segments.last()
            && last.name == Name::NONE
            && last.span.end - last.span.start < 3
        {
            notes.add(DefectCode::Truncated, last.span.start as usize);
        }
        limit
    }

    /// Takes the line that ends at `end`. Gives the place of a segment that begins another message
    /// or closes a batch.
    #[inline]
    fn line(
        &mut self,
        frame: &[u8],
        end: usize,
        width: usize,
        lines: &mut Lines,
        notes: &mut Notes,
    ) -> Option<usize> {
        let (mut start, mut stop) = (lines.start, end);
        lines.start = end + width;
        if frame[start..stop].first().is_none_or(|byte| *byte <= b' ') {
            start = self.trim(frame, start, stop, notes);
        }
        if stop > start && frame[stop - 1] == b'\r' && self.terminator == Terminator::Lf {
            notes.add(DefectCode::MixedTerminators, stop - 1);
            stop -= 1;
        }
        if start >= stop {
            lines.blank.get_or_insert(start);
            return None;
        }
        let line = &frame[start..stop];
        let name = name_of(line, self.delimiters.field);
        if !self.segments.is_empty() && matches!(name, MSH | FHS | BHS | BTS | FTS) {
            return Some(start);
        }
        if let Some(blank) = lines.blank.take() {
            notes.add(DefectCode::BlankSegment, blank);
        }
        if name == Name::NONE {
            notes.add(DefectCode::BadSegmentName, start);
        }
        if self.segments.len() < MAX_SEGMENTS {
            self.segments.push(Segment { name, span: Span::new(start, stop) });
        } else if !lines.over {
            lines.over = true;
            notes.add(DefectCode::TooManySegments, start);
        }
        None
    }

    #[cold]
    fn trim(&self, frame: &[u8], start: usize, stop: usize, notes: &mut Notes) -> usize {
        let line = &frame[start..stop];
        let blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | 0));
        let after = start + blanks.count();
        let lf = line.first() == Some(&b'\n');
        if lf && self.terminator == Terminator::Cr {
            notes.add(DefectCode::MixedTerminators, start);
        }
        if after < stop && after > start + usize::from(lf) {
            notes.add(DefectCode::LeadingBlank, start);
        }
        after
    }

    fn read_header(&mut self, frame: &[u8], msh: Span) {
        let text = msh.of(frame);
        let base = msh.start as usize;
        let (mut number, mut start) = (2, 4);
        for end in memchr_iter(self.delimiters.field, text).skip(1) {
            if let Some(slot) = self.header.get_mut(number) {
                *slot = Span::new(base + start, base + end);
            } else {
                return;
            }
            number += 1;
            start = end + 1;
        }
        if let Some(slot) = self.header.get_mut(number) {
            *slot = Span::new(base + start, base + text.len());
        }
    }

    /// The message on its frame.
    #[must_use]
    pub fn message<'a>(&'a self, frame: &'a [u8]) -> Message<'a> {
        Message { frame, index: self }
    }
}

struct Lines {
    start: usize,
    blank: Option<usize>,
    over: bool,
}

/// The separator that was found last in a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// Whose.
    segment: Span,
    /// Separators before it in the segment.
    before: usize,
    /// Where it is in the segment.
    at: usize,
}

/// One indexed message: reads fields.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub(crate) frame: &'a [u8],
    pub(crate) index: &'a Index,
}

impl core::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Message({} segments)", self.index.segments.len())
    }
}

impl<'a> Message<'a> {
    /// Its delimiters.
    #[must_use]
    pub fn delimiters(&self) -> &'a Delimiters {
        &self.index.delimiters
    }

    /// Its terminator.
    #[must_use]
    pub fn terminator(&self) -> Terminator {
        self.index.terminator
    }

    /// Its segments in order.
    #[must_use]
    pub fn segments(&self) -> &'a [Segment] {
        &self.index.segments
    }

    /// All its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.index.span.of(self.frame)
    }

    /// The bytes that spans of segments count in.
    pub(crate) fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// MSH-`n`, from 2 to 21, raw; empty when absent.
    #[must_use]
    pub fn header(&self, n: usize) -> &'a [u8] {
        self.index.header.get(n).map_or(&[], |span| span.of(self.frame))
    }

    /// Where MSH-`n` starts, or the end of MSH.
    #[must_use]
    pub(crate) fn header_at(&self, n: usize) -> usize {
        match self.index.header.get(n) {
            Some(span) if span.end > 0 => span.start as usize,
            _ => self.index.segments.first().map_or(0, |msh| msh.span.end as usize),
        }
    }

    /// Field `n` of a segment, raw; empty when absent. `n` counts from 1; MSH-1 is the separator.
    #[must_use]
    pub fn field_of(&self, segment: Segment, n: usize) -> &'a [u8] {
        self.field_span(segment, n).of(self.frame)
    }

    /// As [`Message::field_of`]; goes on from the field that was read last when it is the same segment's.
    pub(crate) fn field_after(&self, cursor: &mut Cursor, segment: Segment, n: usize) -> &'a [u8] {
        self.find(cursor, segment, n).of(self.frame)
    }

    pub(crate) fn field_span(&self, segment: Segment, n: usize) -> Span {
        self.find(&mut Cursor::default(), segment, n)
    }

    fn find(&self, cursor: &mut Cursor, segment: Segment, n: usize) -> Span {
        let text = segment.span.of(self.frame);
        let base = segment.span.start as usize;
        let skip = if matches!(segment.name, MSH | FHS | BHS) { 1 } else { 0 };
        if skip == 1 && n == 1 {
            return Span::new(base + 3, base + 4);
        }
        let Some(before) = (n.max(1) - 1).checked_sub(skip) else { return Span::default() };
        let known = cursor.segment == segment.span && cursor.before <= before;
        let (from, passed) = if known { (cursor.at, cursor.before) } else { (0, 0) };
        let mut hits =
            memchr_iter(self.index.delimiters.field, &text[from..]).skip(before - passed);
        let Some(start) = hits.next() else { return Span::default() };
        let end = hits.next().map_or(text.len(), |end| from + end);
        let at = from + start;
        *cursor = Cursor { segment: segment.span, before, at };
        Span::new(base + at + 1, base + end)
    }

    /// The segments of one name.
    pub fn named(&self, name: Name) -> impl Iterator<Item = Segment> + use<'a> {
        self.index.segments.iter().copied().filter(move |segment| segment.name == name)
    }

    /// Field `n` of the `occurrence`th (from 0) segment of that name, raw; empty when absent.
    #[must_use]
    pub fn field(&self, name: Name, occurrence: usize, n: usize) -> &'a [u8] {
        self.named(name).nth(occurrence).map_or(&[], |segment| self.field_of(segment, n))
    }

    /// The first component of the first repetition of a field.
    #[must_use]
    pub fn first(&self, field: &'a [u8]) -> &'a [u8] {
        let d = &self.index.delimiters;
        let end = field.iter().position(|&byte| {
            byte == d.component || Some(byte) == d.repetition || Some(byte) == d.subcomponent
        });
        &field[..end.unwrap_or(field.len())]
    }

    /// Component `n` (from 1) of the first repetition of a field, raw.
    #[must_use]
    pub fn component(&self, field: &'a [u8], n: usize) -> &'a [u8] {
        nth(nth_opt(field, self.index.delimiters.repetition, 1), self.index.delimiters.component, n)
    }
}

/// Part `n` (from 1) of bytes parted by `by`.
pub(crate) fn nth(bytes: &[u8], by: u8, n: usize) -> &[u8] {
    let Some(skip) = n.checked_sub(1) else { return &[] };
    bytes.split(|byte| *byte == by).nth(skip).unwrap_or_default()
}

pub(crate) fn nth_opt(bytes: &[u8], by: Option<u8>, n: usize) -> &[u8] {
    match by {
        Some(by) => nth(bytes, by, n),
        None if n == 1 => bytes,
        None => &[],
    }
}

/// Whether a field is valued: neither empty nor the explicit null `""` (HL7 v2.5.1 §2.10.5).
pub(crate) fn valued(field: &[u8]) -> bool {
    let field = field.trim_ascii();
    !field.is_empty() && field != b"\"\""
}

#[inline]
pub(crate) fn name_of(line: &[u8], field: u8) -> Name {
    match *line {
        [a, b, c] | [a, b, c, ..]
            if line.get(3).is_none_or(|next| *next == field)
                && a.is_ascii_alphanumeric()
                && b.is_ascii_alphanumeric()
                && c.is_ascii_alphanumeric() =>
        {
            Name::new([a, b, c])
        }
        // A second header may have other delimiters.
        [b'M', b'S', b'H', next, ..] if next.is_ascii_punctuation() => MSH,
        [a @ (b'B' | b'F'), b @ (b'H' | b'T'), b'S', next, ..] if next.is_ascii_punctuation() => {
            Name::new([a, b, b'S'])
        }
        _ => Name::NONE,
    }
}

/// Whether a segment starts here: a capital, two capitals or digits, the field separator.
fn is_segment(text: &[u8], field: u8) -> bool {
    let capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    matches!(*text, [a, b, c, next, ..]
        if a.is_ascii_uppercase() && capital(b) && capital(c) && next == field)
}

fn find_terminator(text: &[u8], field: u8) -> Terminator {
    if memchr_iter(b'\r', text).any(|cr| is_segment(&text[cr + 1..], field)) {
        return Terminator::Cr;
    }
    if memmem::find_iter(text, b"\r\n").any(|cr| is_segment(&text[cr + 2..], field)) {
        return Terminator::CrLf;
    }
    if memchr_iter(b'\n', text).any(|lf| is_segment(&text[lf + 1..], field)) {
        return Terminator::Lf;
    }
    // One segment only: how that one ends.
    match text {
        [.., b'\r', b'\n'] => Terminator::CrLf,
        [.., b'\n'] => Terminator::Lf,
        _ => Terminator::Cr,
    }
}

/// Where the next header or batch segment after `from` starts, at the start of a line of any kind.
fn next_boundary(frame: &[u8], from: usize) -> Option<usize> {
    memchr2_iter(b'\r', b'\n', &frame[from..])
        .map(|end| from + end + 1)
        .find(|&line| is_boundary(&frame[line..]))
}

/// Whether MSH, BHS, FHS, BTS or FTS stands here, followed by a delimiter or a line's end.
pub(crate) fn is_boundary(text: &[u8]) -> bool {
    let named = matches!(text, [b'M', b'S', b'H', ..] | [b'B' | b'F', b'H' | b'T', b'S', ..]);
    let next = text.get(3);
    named && next.is_none_or(|byte| byte.is_ascii_punctuation() || matches!(byte, b'\r' | b'\n'))
}

pub(crate) fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
