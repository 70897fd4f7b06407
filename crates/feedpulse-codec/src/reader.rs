//! Reads a byte layout: bounds-checked, total, and exact about where it failed.

use crate::Wire;
use core::fmt;

/// Longest that one varint may be: 64 bits in groups of seven.
const VARINT_MAX: usize = 10;

/// Why bytes cannot be decoded: what was being read, where, and what is wrong with it. Holds no
/// decoded value, so that nothing of a message can get into a log through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode {what} at byte {offset}: {fault}")]
pub struct DecodeError {
    /// The type or field that was being read (`MessageSeen.code`).
    pub what: &'static str,
    /// Byte offset from the start of the decoded bytes.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end too early.
    Ended,
    /// A length is larger than what is left.
    TooLong,
    /// An enum's tag or a stable code that this version does not know.
    UnknownTag(u64),
    /// A value that its type cannot hold, or that no encoder writes.
    Invalid,
    /// Text that is not UTF-8.
    NotUtf8,
    /// Bytes are left behind the last field.
    Trailing,
    /// Written in a layout version that this build does not read.
    Version(u16),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the bytes end too early"),
            Self::TooLong => f.write_str("a length is larger than what is left"),
            Self::UnknownTag(tag) => write!(f, "unknown tag {tag}"),
            Self::Invalid => f.write_str("a value that this field cannot hold"),
            Self::NotUtf8 => f.write_str("text that is not UTF-8"),
            Self::Trailing => f.write_str("bytes are left behind the last field"),
            Self::Version(version) => write!(
                f,
                "layout version {version}, this build reads {}; use the release that wrote it",
                crate::LAYOUT_VERSION
            ),
        }
    }
}

/// Names that an [`Evidence`](feedpulse_core::finding::Evidence) may carry, so that a decoded name
/// is the static one. A name that is not listed decodes to [`OTHER_NAME`].
pub type Names = &'static [&'static str];

/// Stands for an evidence name that this build does not know.
pub const OTHER_NAME: &str = "other";

/// A cursor over bytes that are being decoded.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    names: Names,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} of {} bytes)", self.at, self.bytes.len())
    }
}

impl<'a> Reader<'a> {
    /// Over `bytes`; `names` are the evidence names that may appear.
    #[must_use]
    pub const fn new(bytes: &'a [u8], names: Names) -> Self {
        Self { bytes, at: 0, names }
    }

    /// Offset of the next byte.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// An error at the next byte. `what` is filled in by the nearest named field.
    #[must_use]
    pub const fn fail(&self, fault: Fault) -> DecodeError {
        DecodeError { what: "", offset: self.at, fault }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Fault::Ended`] when fewer are left.
    pub fn take_bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or_else(|| self.fail(Fault::Ended))?;
        self.at += len;
        Ok(bytes)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`Fault::Ended`] when fewer are left.
    pub fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take_bytes(N)?;
        Ok(bytes.try_into().expect("take_bytes gave N bytes"))
    }

    /// An unsigned number in groups of seven bits, low groups first. Only the shortest form is
    /// accepted, so that one value has one encoding.
    ///
    /// # Errors
    /// [`Fault::Ended`], or [`Fault::Invalid`] for more than 64 bits or a longer form.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let invalid = DecodeError { what: "", offset: start, fault: Fault::Invalid };
        let mut value = 0_u64;
        for group in 0..VARINT_MAX {
            let [byte] = self.take_array()?;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * group;
            if group == VARINT_MAX - 1 && bits > 1 {
                return Err(invalid);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if bits == 0 && group > 0 { Err(invalid) } else { Ok(value) };
            }
        }
        Err(invalid)
    }

    /// A length or count of items of at least one byte each: never more than the bytes left, so
    /// that memory is bounded by the input.
    ///
    /// # Errors
    /// [`Fault::TooLong`] when it is, or what [`Reader::varint`] says.
    pub fn length(&mut self) -> Result<usize, DecodeError> {
        let before = self.fail(Fault::TooLong);
        let length = self.varint()?;
        usize::try_from(length).ok().filter(|n| *n <= self.left()).ok_or(before)
    }

    /// A value of a field; an error that names nothing yet gets `what`.
    ///
    /// # Errors
    /// What the field's own layout says.
    pub fn field<T: Wire>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        T::take(self).map_err(|error| match error.what {
            "" => DecodeError { what, ..error },
            _ => error,
        })
    }

    /// The listed evidence name that equals `name`, else [`OTHER_NAME`].
    #[must_use]
    pub fn known_name(&self, name: &str) -> &'static str {
        self.names.iter().find(|known| **known == name).copied().unwrap_or(OTHER_NAME)
    }

    /// Says whether everything was read.
    ///
    /// # Errors
    /// [`Fault::Trailing`] when bytes are left.
    pub fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.left() == 0 {
            return Ok(());
        }
        Err(DecodeError { what, ..self.fail(Fault::Trailing) })
    }
}

/// Writes an unsigned number as [`Reader::varint`] reads it.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("below 0x80"));
}
