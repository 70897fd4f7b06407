//! The byte layouts of the log, of snapshots and of the relay.
//!
//! Core's types are not serialisable on purpose: what is written down has its own, versioned
//! layout, and all of it is listed in `types.rs`, one line a type. Numbers are little-endian;
//! unsigned ones of 16 to 64 bits and lengths are varints; times, keys and floats have a fixed
//! width; an enum is one tag byte that is never reused; a code is its stable number (`FP0101` is
//! 101). One value has one encoding.
//!
//! Decoding is total: any bytes give a value or a [`DecodeError`] that says what, where and why.
//! Memory is bounded by the input, since no length is believed that is larger than what is left.
//!
//! To add the layout of a plain struct, list its fields in `types.rs`
//! (`struct Name { a, b }` inside `layout!`); the compiler asks for every field. A changed list
//! raises [`LAYOUT_VERSION`], and a build reads only its own version.
#![forbid(unsafe_code)]

mod around;
mod basic;
mod block;
mod layout;
mod ledger;
mod outbox;
mod reader;
mod shape;
mod state;
#[cfg(test)]
mod tests;
mod types;

pub use block::{Block, decode_block, encode_block};
pub use ledger::{LedgerRow, LedgerRows};
pub use outbox::{OutboxRow, OwedNotice, Why};
pub use reader::{DecodeError, Fault, Names, OTHER_NAME, Reader, put_varint};

/// Version of all layouts together; the first two bytes of whatever [`encode`] or
/// [`encode_block`] gives.
pub const LAYOUT_VERSION: u16 = 10;

/// A value with a byte layout.
pub trait Wire: Sized {
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Wire::put`] does not write.
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// The layout version and the value's bytes.
#[must_use]
pub fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = LAYOUT_VERSION.to_le_bytes().to_vec();
    value.put(&mut out);
    out
}

/// The value that [`encode`] wrote. `names` are the evidence names that this build knows.
///
/// # Errors
/// [`DecodeError`] for another layout version, for bytes that are no `T`, and for bytes behind it.
pub fn decode<T: Wire>(bytes: &[u8], names: Names) -> Result<T, DecodeError> {
    let mut from = Reader::new(bytes, names);
    take_version(&mut from)?;
    let value = from.field("value")?;
    from.finish("value")?;
    Ok(value)
}

/// Reads the layout version and refuses any other.
fn take_version(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    let what = "layout version";
    let version = from.take_array().map_err(|error| DecodeError { what, ..error })?;
    match u16::from_le_bytes(version) {
        LAYOUT_VERSION => Ok(()),
        other => Err(DecodeError { what, offset: 0, fault: Fault::Version(other) }),
    }
}
