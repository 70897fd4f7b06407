//! Variations of generated messages: terminators, encoding characters, charsets, shapes.

use crate::gen_kinds::Segment;
use crate::rng::Rng;

/// How segments end. Only CR is the standard's (HL7 v2.5.1 §2.5.4); the others exist in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Terminator {
    /// `0D`
    #[default]
    Cr,
    /// `0A`
    Lf,
    /// `0D 0A`
    CrLf,
}

/// The charset of a message; MSH-18 says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// ASCII only, MSH-18 empty.
    #[default]
    Ascii,
    /// UTF-8 with accents.
    Utf8,
    /// ISO-8859-1 with accents.
    Latin1,
}

/// What one transport unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// One message.
    #[default]
    Single,
    /// FHS, BHS, this many messages, BTS, FTS (HL7 v2.5.1 §2.10.3).
    Batch(u8),
    /// This many messages one after another, with no batch header.
    Several(u8),
    /// One message that stops in the middle of a segment after its header.
    Truncated,
    /// Bytes that are no HL7 at all.
    NotHl7,
}

impl Shape {
    pub(crate) fn messages(self) -> u8 {
        match self {
            Self::Batch(n) | Self::Several(n) => n.max(1),
            Self::Single | Self::Truncated | Self::NotHl7 => 1,
        }
    }
}

/// How a message differs from the plainest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variation {
    /// How segments end.
    pub terminator: Terminator,
    /// MSH-2 is `^~\&#` and the version 2.7 (else `^~\&`, 2.5.1).
    pub truncation_char: bool,
    /// The charset.
    pub charset: Charset,
    /// Escape sequences in texts (§2.7).
    pub escapes: bool,
    /// Optional fields and segments are missing now and then.
    pub sparse: bool,
    /// What the unit holds.
    pub shape: Shape,
}

impl Variation {
    /// A random variation of one whole, readable message (shape [`Shape::Single`]).
    pub fn single(rng: &mut Rng) -> Self {
        Self {
            terminator: *rng.pick(&[Terminator::Cr, Terminator::Lf, Terminator::CrLf]),
            truncation_char: rng.chance(0.3),
            charset: *rng.pick(&[Charset::Ascii, Charset::Utf8, Charset::Latin1]),
            escapes: rng.chance(0.3),
            sparse: rng.chance(0.3),
            shape: Shape::Single,
        }
    }

    /// A random variation of any shape.
    pub fn any(rng: &mut Rng) -> Self {
        let n = 2 + rng.below(4) as u8;
        let shapes =
            [Shape::Single, Shape::Batch(n), Shape::Several(n), Shape::Truncated, Shape::NotHl7];
        let shape = *rng.pick(&shapes);
        Self { shape, ..Self::single(rng) }
    }

    fn end(self) -> &'static [u8] {
        match self.terminator {
            Terminator::Cr => b"\r",
            Terminator::Lf => b"\n",
            Terminator::CrLf => b"\r\n",
        }
    }
}

/// Segments as bytes: each in the charset and with the terminator of `variation`.
pub(crate) fn encode(segments: &[Segment], variation: Variation) -> Vec<u8> {
    let mut out = Vec::new();
    for segment in segments {
        for c in segment.text().chars() {
            push_char(&mut out, c, variation.charset);
        }
        out.extend_from_slice(variation.end());
    }
    out
}

fn push_char(out: &mut Vec<u8>, c: char, charset: Charset) {
    match charset {
        Charset::Utf8 => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        // ISO-8859-1 is the first 256 code points; all our names are within.
        Charset::Latin1 => out.push(u8::try_from(u32::from(c)).unwrap_or(b'?')),
        Charset::Ascii => out.push(plain(c)),
    }
}

/// An ASCII letter that stands for an accented one of our names.
fn plain(c: char) -> u8 {
    match c {
        'é' | 'è' => b'e',
        'ü' => b'u',
        'ö' | 'ó' => b'o',
        'Ö' => b'O',
        'í' => b'i',
        'ë' => b'e',
        'ß' => b's',
        c if c.is_ascii() => c as u8,
        _ => b'?',
    }
}

/// Puts messages into the shape; false when nothing of it can be read as HL7.
pub(crate) fn shape(parts: Vec<Vec<u8>>, variation: Variation, rng: &mut Rng) -> (Vec<u8>, bool) {
    let end = variation.end();
    let count = parts.len();
    let mut body = parts.concat();
    match variation.shape {
        Shape::Single | Shape::Several(_) => (body, true),
        Shape::Batch(_) => {
            let trailer = format!("BTS|{count}");
            let mut out = Vec::with_capacity(body.len() + 80);
            for line in [&b"FHS|^~\\&|EHR|CENTRAL"[..], b"BHS|^~\\&|EHR|CENTRAL"] {
                out.extend_from_slice(line);
                out.extend_from_slice(end);
            }
            out.append(&mut body);
            for line in [trailer.as_bytes(), b"FTS|1"] {
                out.extend_from_slice(line);
                out.extend_from_slice(end);
            }
            (out, true)
        }
        Shape::Truncated => {
            let header = body.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(0) + 1;
            // Cut before the last segment's end, and in mid-segment, so that something is always missing.
            let room = body.len().saturating_sub(header + end.len() + 1);
            let mut cut = header + 1 + rng.index(room);
            while matches!(body.get(cut - 1), Some(b'\r' | b'\n')) {
                cut += 1;
            }
            body.truncate(cut);
            (body, true)
        }
        Shape::NotHl7 => {
            let samples: [&[u8]; 5] = [
                b"GET / HTTP/1.1\r\nHost: portal\r\n\r\n",
                b"{\"resourceType\":\"Patient\"}",
                b"<ClinicalDocument/>",
                b"MSG|^~\\&|EHR",
                b"\x00\x01\xff\xfe\x80",
            ];
            (rng.pick(&samples).to_vec(), false)
        }
    }
}
