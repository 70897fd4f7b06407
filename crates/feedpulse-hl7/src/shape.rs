//! The shape of a message: its segments, valued fields, delimiters, character set and table codes, as
//! parts that hold nothing else of it. Few messages are looked at; all others pay a hash of two fields.

use crate::index::{MSH, Message, Name, Segment, valued};
use feedpulse_core::defect::DefectCode;
use feedpulse_core::shape::{CODED, Collector, FIELD_MAX, Part, ShapeKey, ShapeSeen};
use feedpulse_core::sighting::MessageSeen;
use feedpulse_core::time::Timestamp;
use memchr::memchr_iter;

/// Segments of one message that are looked at.
const SEGMENTS_MAX: usize = 512;
/// Bytes of one segment that are.
const SEGMENT_MAX: usize = 65_536;

/// The segments of one name within a message.
#[derive(Debug)]
struct Named {
    name: Name,
    part: Part,
    /// Which of its fields are valued in any of them, one bit each.
    fields: u128,
    /// Which of [`CODED`] it has, one bit each.
    coded: u64,
}

/// Looks at messages of one waypoint.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    collector: Collector,
    named: Vec<Named>,
    parts: Vec<Part>,
}

impl Shaper {
    /// Takes a message; says what was counted of its kind when it is time.
    pub(crate) fn take(
        &mut self,
        at: Timestamp,
        message: &Message<'_>,
        seen: &MessageSeen,
    ) -> Option<ShapeSeen> {
        let hash = fold(fold(0, message.header(3)), message.header(9));
        if !self.collector.wants(at, hash ^ hash >> 32) || is_torn(seen) {
            return None;
        }
        self.look(message);
        let key = ShapeKey { sender: seen.sender, code: seen.code, trigger: seen.trigger };
        self.collector.add(at, key, seen.body, &mut self.parts)
    }

    /// Fills the parts of a message.
    fn look(&mut self, message: &Message<'_>) {
        self.named.clear();
        self.parts.clear();
        self.parts.push(delimiters(message));
        self.parts.push(charset(message));
        for segment in message.segments().iter().take(SEGMENTS_MAX) {
            self.segment(message, *segment);
        }
        for named in &self.named {
            self.parts.push(named.part);
            let fields = (1..=FIELD_MAX).filter(|n| named.fields >> n & 1 == 1);
            self.parts.extend(fields.map(|n| named.part.field(n)));
        }
    }

    fn segment(&mut self, message: &Message<'_>, segment: Segment) {
        let known = self.named.iter().position(|named| named.name == segment.name);
        let place = known.unwrap_or_else(|| {
            self.named.push(Named::new(segment.name));
            self.named.len() - 1
        });
        let Some(named) = self.named.get_mut(place) else { return };
        let text = segment.span.of(message.frame);
        let text = text.get(..SEGMENT_MAX).unwrap_or(text);
        // What stands before the first separator is the name; in MSH that separator is a field.
        let before = u8::from(segment.name == MSH);
        let mut ends = memchr_iter(message.delimiters().field, text).peekable();
        let mut number = before;
        while let Some(start) = ends.next() {
            number += 1;
            if number > FIELD_MAX {
                break;
            }
            // MSH-2 is told as delimiters.
            if before == 1 && number == 2 {
                continue;
            }
            let field = text.get(start + 1..ends.peek().copied().unwrap_or(text.len()));
            if named.fields >> number & 1 == 0 && field.is_some_and(|f| says(message, f)) {
                named.fields |= 1 << number;
            }
        }
        let coded = CODED.iter().enumerate().filter(|(place, _)| named.coded >> place & 1 == 1);
        for (place, coded) in coded {
            let field = message.field_of(segment, usize::from(coded.field));
            let value = match coded.component {
                0 => message.first(field),
                n => message.component(field, usize::from(n)),
            };
            let part = Part::code(place, value.trim_ascii());
            if valued(value) && !self.parts.contains(&part) {
                self.parts.push(part);
            }
        }
    }
}

impl Named {
    fn new(name: Name) -> Self {
        let bytes = name.bytes();
        let of = |(place, coded): (usize, &feedpulse_core::shape::Coded)| {
            u64::from(coded.segment.as_bytes() == bytes) << place
        };
        let coded = CODED.iter().enumerate().map(of).fold(0, |all, one| all | one);
        Self { name, part: Part::segment(&bytes), fields: 0, coded }
    }
}

/// A message whose lines are not all segments may hold text where names are looked for.
fn is_torn(seen: &MessageSeen) -> bool {
    seen.defects.iter().any(|defect| {
        matches!(
            defect.code,
            DefectCode::BadSegmentName
                | DefectCode::MixedTerminators
                | DefectCode::Truncated
                | DefectCode::TooManySegments
        )
    })
}

/// Whether a field says anything: more than delimiters, blanks and the explicit null.
fn says(message: &Message<'_>, field: &[u8]) -> bool {
    let d = message.delimiters();
    field.iter().any(|byte| {
        let parts =
            *byte == d.component || Some(*byte) == d.repetition || Some(*byte) == d.subcomponent;
        !parts && !matches!(byte, b' ' | b'"')
    })
}

fn delimiters(message: &Message<'_>) -> Part {
    let (mut all, encoding) = ([message.delimiters().field; 6], message.header(2));
    let used = encoding.len().min(5) + 1;
    for (to, from) in all.iter_mut().skip(1).zip(encoding) {
        *to = *from;
    }
    Part::delimiters(all.get(..used).unwrap_or_default())
}

fn charset(message: &Message<'_>) -> Part {
    let repetition = message.delimiters().repetition;
    let mut all = message.header(18).split(|byte| Some(*byte) == repetition);
    Part::charset(all.find(|name| valued(name)).unwrap_or_default().trim_ascii())
}

/// Folds bytes into a hash, eight at a time: it parts kinds, no more.
fn fold(hash: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(hash, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

#[cfg(test)]
mod tests;
