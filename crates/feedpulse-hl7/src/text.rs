//! Values as text: escape sequences (HL7 v2.5.1 §2.7) and character sets (MSH-18, table 0211).

use crate::index::{Delimiters, Message, nth_opt};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, ISO_2022_JP, ISO_8859_2, ISO_8859_3, ISO_8859_4,
    ISO_8859_5, ISO_8859_6, ISO_8859_7, ISO_8859_8, SHIFT_JIS, UTF_8, WINDOWS_1252, WINDOWS_1254,
};
use memchr::memchr;
use std::borrow::Cow;

/// What MSH-18 says about the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Nothing: 7-bit ASCII by the standard; in the field anything.
    Undeclared,
    /// 7-bit ASCII.
    Ascii,
    /// A known set.
    Known(&'static Encoding),
    /// A name that is not known, or a set that MLLP cannot carry (UTF-16, UTF-32).
    Unknown,
}

impl Charset {
    /// From the raw MSH-18; its first repetition is the default of the message (v2.5.1 §2.15.9.18).
    #[must_use]
    pub fn of(message: &Message<'_>) -> Self {
        let field = message.header(18);
        if field.is_empty() {
            return Self::Undeclared;
        }
        Self::named(nth_opt(field, message.delimiters().repetition, 1))
    }

    /// From a name of table 0211 or one that occurs in the field.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        let name = name.trim_ascii();
        let known = match name {
            b"" | b"\"\"" => return Self::Undeclared,
            b"ASCII" | b"ascii" | b"US-ASCII" | b"ISO IR6" | b"ISO IR 6" => return Self::Ascii,
            b"UNICODE UTF-8" | b"UTF-8" | b"UTF8" | b"UNICODE" | b"utf-8" => UTF_8,
            b"8859/1" | b"8859/15" | b"ISO IR100" => WINDOWS_1252,
            b"8859/2" | b"ISO IR101" => ISO_8859_2,
            b"8859/3" => ISO_8859_3,
            b"8859/4" => ISO_8859_4,
            b"8859/5" => ISO_8859_5,
            b"8859/6" => ISO_8859_6,
            b"8859/7" => ISO_8859_7,
            b"8859/8" => ISO_8859_8,
            b"8859/9" => WINDOWS_1254,
            b"ISO IR87" | b"ISO IR159" | b"ISO IR14" => ISO_2022_JP,
            b"GB 18030-2000" | b"GB18030" => GB18030,
            b"KS X 1001" => EUC_KR,
            b"BIG-5" => BIG5,
            b"EUC-JP" => EUC_JP,
            b"SHIFT_JIS" | b"SJIS" => SHIFT_JIS,
            _ => match Encoding::for_label(name) {
                Some(found) if found.is_ascii_compatible() => found,
                _ => return Self::Unknown,
            },
        };
        Self::Known(known)
    }

    /// Its name in reports: the canonical one, never the raw field.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Undeclared => "",
            Self::Ascii => "ASCII",
            Self::Known(encoding) => encoding.name(),
            Self::Unknown => "unknown",
        }
    }

    /// Whether escape control bytes (1B) are part of it.
    #[must_use]
    pub fn uses_escape_bytes(self) -> bool {
        self == Self::Known(ISO_2022_JP)
    }

    /// The bytes as text. Bytes that the set does not know become U+FFFD; where no set is declared,
    /// valid UTF-8 is read as such and anything else as Windows-1252, which loses nothing.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        if bytes.is_ascii()
            && !self.uses_escape_bytes()
            && let Ok(text) = core::str::from_utf8(bytes)
        {
            return Cow::Borrowed(text);
        }
        match self {
            Self::Known(encoding) => encoding.decode_without_bom_handling(bytes).0,
            Self::Undeclared | Self::Ascii | Self::Unknown => match core::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
            },
        }
    }
}

/// A value without its escape sequences. Borrowed when it has none; else written to `scratch`.
/// What is no known sequence (`C:\temp`, an open `\`) stays as it stands.
pub fn unescape<'a>(raw: &'a [u8], by: &Delimiters, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(escape) = by.escape else { return raw };
    let Some(first) = memchr(escape, raw) else { return raw };
    scratch.clear();
    scratch.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let [_, after @ ..] = rest {
        let used = memchr(escape, after)
            .filter(|end| one(&after[..*end], by, scratch))
            .map_or(0, |end| end + 2);
        if used > 0 {
            rest = &rest[used..];
        } else {
            scratch.push(escape);
            rest = after;
        }
        let plain = memchr(escape, rest).unwrap_or(rest.len());
        scratch.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
    }
    scratch
}

/// Writes what one sequence stands for; false when it is none.
fn one(sequence: &[u8], by: &Delimiters, out: &mut Vec<u8>) -> bool {
    let delimiter = match sequence {
        b"F" => Some(by.field),
        b"S" => Some(by.component),
        b"T" => by.subcomponent,
        b"R" => by.repetition,
        b"E" => by.escape,
        b"P" => by.truncation,
        b"H" | b"N" => return true,
        b".br" | b".sp" => Some(b'\n'),
        [b'X', digits @ ..] => return hex(digits, out),
        _ => None,
    };
    out.extend(delimiter);
    delimiter.is_some()
}

fn hex(digits: &[u8], out: &mut Vec<u8>) -> bool {
    let value = |digit: u8| (digit as char).to_digit(16).and_then(|v| u8::try_from(v).ok());
    let (pairs, odd) = digits.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return false;
    }
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    out.extend(pairs.iter().filter_map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)));
    true
}
