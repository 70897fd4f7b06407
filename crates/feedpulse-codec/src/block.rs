//! A block of the log: consecutive inputs with their times, and how far the taps have come.

use crate::reader::{DecodeError, Fault, Names, Reader};
use crate::{LAYOUT_VERSION, Wire, take_version};
use feedpulse_core::input::Input;
use feedpulse_core::tap::Position;
use feedpulse_core::time::Timestamp;

/// What one block of the log holds. It is durable as a whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Sequence number of the first input; the others follow without a gap.
    pub first_seq: u64,
    /// The inputs, each with the time at which it was applied.
    pub inputs: Vec<(Timestamp, Input)>,
    /// Where each lane that these inputs came from stands after them.
    pub positions: Vec<Position>,
}

/// The bytes of a block.
#[must_use]
pub fn encode_block(
    first_seq: u64,
    inputs: &[(Timestamp, Input)],
    positions: &[Position],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + 192 * inputs.len());
    out.extend_from_slice(&LAYOUT_VERSION.to_le_bytes());
    first_seq.put(&mut out);
    inputs.len().put(&mut out);
    for (at, input) in inputs {
        at.put(&mut out);
        input.put(&mut out);
    }
    positions.len().put(&mut out);
    for position in positions {
        position.put(&mut out);
    }
    out
}

/// The block that [`encode_block`] wrote. `names` are the evidence names that this build knows.
///
/// # Errors
/// [`DecodeError`] for another layout version, for bytes that are no block, for bytes behind it,
/// and when its last sequence number would not fit 64 bits.
pub fn decode_block(bytes: &[u8], names: Names) -> Result<Block, DecodeError> {
    let mut from = Reader::new(bytes, names);
    take_version(&mut from)?;
    let first_seq: u64 = from.field("Block.first_seq")?;
    let overflow = DecodeError { what: "Block.inputs", ..from.fail(Fault::Invalid) };
    let inputs: Vec<(Timestamp, Input)> = from.field("Block.inputs")?;
    let count = u64::try_from(inputs.len()).map_err(|_| overflow)?;
    first_seq.checked_add(count).ok_or(overflow)?;
    let positions = from.field("Block.positions")?;
    from.finish("Block")?;
    Ok(Block { first_seq, inputs, positions })
}
