//! The layout of shapes: there may be one in each half minute of each kind, so that it is a short one.

use crate::Wire;
use crate::reader::{DecodeError, Fault, Reader};
use feedpulse_core::shape::{PARTS_MAX, Part, ShapeSeen};

/// The key, how many messages, how many parts; then for each part, ascending, by how much it is more
/// than the one before, and how many of the messages lack it.
impl Wire for ShapeSeen {
    fn put(&self, out: &mut Vec<u8>) {
        self.key.put(out);
        self.messages.put(out);
        self.parts.len().put(out);
        let mut before = 0;
        for (part, count) in &self.parts {
            part.0.wrapping_sub(before).put(out);
            self.messages.saturating_sub(*count).put(out);
            before = part.0;
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = from.field("ShapeSeen.key")?;
        let invalid = from.fail(Fault::Invalid);
        let messages: u32 = from.field("ShapeSeen.messages")?;
        let len = from.length()?;
        if messages == 0 || len > PARTS_MAX {
            return Err(invalid);
        }
        let mut parts: Vec<(Part, u32)> = Vec::with_capacity(len);
        for _ in 0..len {
            let invalid = from.fail(Fault::Invalid);
            let more: u64 = from.field("ShapeSeen.parts")?;
            let lack: u32 = from.field("ShapeSeen.parts")?;
            let before = parts.last().map(|(part, _)| part.0);
            let part = before.unwrap_or(0).checked_add(more).filter(|part| Some(*part) > before);
            match part.zip(messages.checked_sub(lack).filter(|count| *count > 0)) {
                Some((part, count)) => parts.push((Part(part), count)),
                None => return Err(invalid),
            }
        }
        Ok(Self { key, messages, parts })
    }
}
