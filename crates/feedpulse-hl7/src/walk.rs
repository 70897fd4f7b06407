//! One frame, every message in it: strips what stands around, follows batches (HL7 v2.5.1 §2.10.3),
//! and accounts for each header. Whatever is no message becomes an unreadable stretch with a place.

use crate::MAX_MESSAGE;
use crate::index::{
    BHS, BTS, Census, FHS, FTS, Index, MSH, Message, Name, Notes, Terminator, is_boundary, nth,
};
use crate::mllp::{CR, FS, VT};
use crate::text::Charset;
use feedpulse_core::defect::{Defect, DefectCode};
use memchr::memchr2_iter;

/// One part of a frame.
pub(crate) enum Unit<'a> {
    /// A message, and what is odd about it so far.
    /// The last part is BHS-11 of the batch that it is in; empty without one.
    Message(Message<'a>, &'a mut Notes, &'a [u8]),
    /// A stretch that cannot be read; the first note says why.
    Unreadable { start: usize, end: usize, notes: &'a Notes },
    /// A batch or file header (BHS or FHS).
    Batch,
    /// The end of a batch, or of a file that has no batches.
    BatchEnd(BatchEnd<'a>),
}

/// What a batch's header and trailer say, raw.
#[derive(Clone, Copy, Default)]
pub(crate) struct BatchEnd<'a> {
    /// BHS-11.
    pub(crate) id: &'a [u8],
    /// BHS-12: the batch that it answers.
    pub(crate) answers: &'a [u8],
    /// BTS-1.
    pub(crate) declared: Option<u32>,
}

#[derive(Clone, Copy, Default)]
struct Batch {
    open: bool,
    separator: u8,
    messages: u32,
    batches: u32,
    at: usize,
}

struct Walk<'a> {
    frame: &'a [u8],
    end: usize,
    file: Batch,
    batch: Batch,
    messages: u32,
    /// Trailers read, to be told behind the message before them.
    ended: [Option<BatchEnd<'a>>; 2],
}

/// Visits every part of the frame in order.
pub(crate) fn walk(
    frame: &[u8],
    index: &mut Index,
    notes: &mut Notes,
    each: &mut impl FnMut(Unit<'_>),
) {
    notes.clear();
    if let Some(code) = whole(frame) {
        notes.add(code, 0);
        each(Unit::Unreadable { start: 0, end: frame.len(), notes });
        return;
    }
    let end = trailing(frame, notes);
    let mut at = leading(&frame[..end], notes);
    let text = &frame[..end];
    let census = Census::of(&text[at..]);
    let nothing = Batch::default();
    let mut walk =
        Walk { frame: text, end, file: nothing, batch: nothing, messages: 0, ended: [None; 2] };
    if at >= end {
        notes.add(DefectCode::Empty, at);
        each(Unit::Unreadable { start: 0, end: frame.len(), notes });
        return;
    }
    while at < end {
        at = walk.unit(at, census, index, notes, each);
        at = walk.blanks(at);
    }
    walk.finish(notes, each);
}

/// A fault of the frame as a whole.
fn whole(frame: &[u8]) -> Option<DefectCode> {
    let start = frame.trim_ascii_start();
    match frame {
        [] => Some(DefectCode::Empty),
        _ if frame.len() > MAX_MESSAGE => Some(DefectCode::TooLarge),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'M', 0, b'S' | 0, ..] => {
            Some(DefectCode::Encoding16)
        }
        [0, b'M', 0, b'S', ..] | [0, 0, 0, b'M', ..] | [0, 0, 0xFE, 0xFF, ..] => {
            Some(DefectCode::Encoding16)
        }
        _ => match start {
            [b'<', b'?' | b'A'..=b'Z' | b'a'..=b'z' | b'!', ..] => Some(DefectCode::XmlEncoded),
            _ => None,
        },
    }
}

fn trailing(frame: &[u8], notes: &mut Notes) -> usize {
    let mut end = frame.len();
    loop {
        let code = match &frame[..end] {
            [.., FS, CR] => {
                end -= 1;
                DefectCode::FramingInside
            }
            [.., VT] => DefectCode::FrameOverlap,
            [.., FS] => DefectCode::FramingInside,
            [.., 0] => DefectCode::ControlBytes,
            _ => return end,
        };
        end -= 1;
        notes.add(code, end);
    }
}

fn leading(text: &[u8], notes: &mut Notes) -> usize {
    let mut at = 0;
    loop {
        at += match &text[at..] {
            [0xEF, 0xBB, 0xBF, ..] => {
                notes.add(DefectCode::ByteOrderMark, at);
                3
            }
            [VT, ..] => {
                notes.add(DefectCode::FramingInside, at);
                1
            }
            [b' ' | b'\t' | CR | b'\n' | 0, ..] => {
                notes.add(DefectCode::LeadingBytes, at);
                1
            }
            _ => return at,
        };
    }
}

impl<'a> Walk<'a> {
    fn unit(
        &mut self,
        at: usize,
        census: Census,
        index: &mut Index,
        notes: &mut Notes,
        each: &mut impl FnMut(Unit<'_>),
    ) -> usize {
        match envelope_name(&self.frame[at..]) {
            Some(MSH) => match index.read(self.frame, at, census, notes) {
                Ok(end) => {
                    self.count(at, notes);
                    content(&index.message(self.frame), census, notes);
                    let batch = self.header_field(self.within(), 11);
                    let next = self.trailers(self.blanks(end), notes);
                    each(Unit::Message(index.message(self.frame), notes, batch));
                    notes.clear();
                    self.tell_ended(each);
                    next
                }
                Err(defect) => {
                    self.count(at, notes);
                    self.unreadable(at, defect, notes, each)
                }
            },
            Some(name @ (BHS | FHS)) => {
                let separator = self.frame.get(at + 3).copied().unwrap_or(b'|');
                let opened = Batch { open: true, separator, at, ..Batch::default() };
                if name == BHS {
                    self.file.batches += 1;
                    self.batch = opened;
                } else {
                    self.file = opened;
                }
                each(Unit::Batch);
                self.line_end(at)
            }
            Some(_) => {
                if !self.batch.open && !self.file.open && self.messages == 0 {
                    notes.add(DefectCode::NoHeader, at);
                }
                let next = self.trailers(at, notes);
                self.report(at, notes, each);
                self.tell_ended(each);
                next
            }
            None => {
                let defect =
                    Defect { code: DefectCode::NoHeader, offset: crate::index::narrow(at) };
                self.unreadable(at, defect, notes, each)
            }
        }
    }

    fn count(&mut self, at: usize, notes: &mut Notes) {
        if self.messages > 0 && !self.batch.open && !self.file.open {
            notes.add(DefectCode::ManyMessages, at);
        }
        self.messages += 1;
        self.batch.messages += 1;
        self.file.messages += 1;
    }

    fn unreadable(
        &self,
        at: usize,
        defect: Defect,
        notes: &mut Notes,
        each: &mut impl FnMut(Unit<'_>),
    ) -> usize {
        let rest = &self.frame[at..];
        let end = memchr2_iter(CR, b'\n', rest)
            .map(|line| at + line + 1)
            .find(|&line| is_boundary(&self.frame[line..]))
            .unwrap_or(self.end);
        notes.add(defect.code, defect.offset as usize);
        each(Unit::Unreadable { start: at, end, notes });
        notes.clear();
        end
    }

    /// Takes BTS and FTS segments that follow; their faults are noted on the message before them.
    fn trailers(&mut self, mut at: usize, notes: &mut Notes) -> usize {
        loop {
            let is_file = match envelope_name(&self.frame[at.min(self.end)..]) {
                Some(BTS) => false,
                Some(FTS) => true,
                _ => break,
            };
            let batch = if is_file { &mut self.file } else { &mut self.batch };
            let line_end = memchr2_iter(CR, b'\n', &self.frame[at..]).next();
            let line = &self.frame[at..line_end.map_or(self.end, |end| at + end)];
            let stated = nth(line, batch.separator.max(1), 2);
            let stated: Option<u32> =
                core::str::from_utf8(stated).ok().and_then(|text| text.trim().parse().ok());
            let (open, header) = (batch.open, *batch);
            if open {
                let differs = |n: u32| n != batch.messages && (n != batch.batches || n == 0);
                if stated.is_some_and(differs) {
                    notes.add(DefectCode::BatchCount, at);
                }
            }
            batch.open = false;
            if open && (!is_file || header.batches == 0) {
                self.end_batch(header, stated);
            }
            at = self.blanks(self.line_end(at));
        }
        if at >= self.end && (self.batch.open || self.file.open) && self.messages > 0 {
            notes.add(DefectCode::BatchOpen, self.open_at());
            self.end_batch(self.within(), None);
            self.batch.open = false;
            self.file.open = false;
        }
        at
    }

    /// The batch that is open, else the file.
    fn within(&self) -> Batch {
        if self.batch.open { self.batch } else { self.file }
    }

    /// BHS-`n` or FHS-`n` of an open batch; empty without one. Field 1 is the separator itself.
    fn header_field(&self, batch: Batch, n: usize) -> &'a [u8] {
        if !batch.open {
            return &[];
        }
        let line = &self.frame[batch.at..self.line_end(batch.at).min(self.end)];
        nth(line.trim_ascii_end(), batch.separator, n)
    }

    fn end_batch(&mut self, batch: Batch, declared: Option<u32>) {
        let end = BatchEnd {
            id: self.header_field(batch, 11),
            answers: self.header_field(batch, 12),
            declared,
        };
        if let Some(place) = self.ended.iter_mut().find(|place| place.is_none()) {
            *place = Some(end);
        }
    }

    fn tell_ended(&mut self, each: &mut impl FnMut(Unit<'_>)) {
        for end in self.ended.iter_mut().filter_map(Option::take) {
            each(Unit::BatchEnd(end));
        }
    }

    fn open_at(&self) -> usize {
        if self.batch.open { self.batch.at } else { self.file.at }
    }

    /// A fault of an envelope without a message to carry it.
    fn report(&self, at: usize, notes: &mut Notes, each: &mut impl FnMut(Unit<'_>)) {
        if !notes.list().is_empty() {
            each(Unit::Unreadable { start: at, end: self.end, notes });
            notes.clear();
        }
    }

    fn finish(&mut self, notes: &mut Notes, each: &mut impl FnMut(Unit<'_>)) {
        if self.batch.open || self.file.open {
            notes.add(DefectCode::BatchOpen, self.open_at());
            self.report(self.open_at(), notes, each);
            self.end_batch(self.within(), None);
        }
        self.tell_ended(each);
    }

    fn line_end(&self, at: usize) -> usize {
        let end = memchr2_iter(CR, b'\n', &self.frame[at..]).next();
        end.map_or(self.end, |end| at + end + 1)
    }

    fn blanks(&self, at: usize) -> usize {
        let rest = self.frame.get(at..).unwrap_or_default();
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0);
        at + rest.iter().take_while(blank).count()
    }
}

fn envelope_name(text: &[u8]) -> Option<Name> {
    if !is_boundary(text) {
        return None;
    }
    match text {
        [a, b, c, ..] => Some(Name::new([*a, *b, *c])),
        _ => None,
    }
}

/// Character set and control bytes of one message; nothing to do for a clean one.
fn content(message: &Message<'_>, census: Census, notes: &mut Notes) {
    let declared = !message.header(18).is_empty();
    if !declared && !census.high && !census.control {
        return;
    }
    let charset = Charset::of(message);
    if charset == Charset::Unknown {
        notes.add(DefectCode::UnknownCharset, message.header_at(18));
    }
    let base = message.index.span.start as usize;
    let bytes = message.bytes();
    if census.high
        && let Some(first) = bytes.iter().position(|byte| *byte >= 0x80)
    {
        match charset {
            Charset::Undeclared | Charset::Ascii => {
                notes.add(DefectCode::UndeclaredCharset, base + first);
            }
            Charset::Known(encoding) if encoding == encoding_rs::UTF_8 => {
                if let Err(error) = core::str::from_utf8(bytes) {
                    notes.add(DefectCode::NotUtf8, base + error.valid_up_to());
                }
            }
            Charset::Known(_) | Charset::Unknown => {}
        }
    }
    if census.control {
        control(message, charset, base, notes);
    }
}

fn control(message: &Message<'_>, charset: Charset, base: usize, notes: &mut Notes) {
    let bytes = message.bytes();
    let mut before = 0_u8;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte < 0x20 {
            let code = match byte {
                CR => None,
                // The terminator, or the rest of a CR LF that `MixedTerminators` names.
                b'\n' if before == CR || message.terminator() == Terminator::Lf => None,
                0x1B if charset.uses_escape_bytes() => None,
                VT | FS => Some(DefectCode::FramingInside),
                _ => Some(DefectCode::ControlBytes),
            };
            if let Some(code) = code {
                notes.add(code, base + at);
            }
        }
        before = byte;
    }
}
