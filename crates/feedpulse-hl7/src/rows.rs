//! Check rows: the fields that a check declared, as one flat string. A check sees only these.
//!
//! Declared fields are parted by U+001F, occurrences of a segment by U+001C, repetitions by U+001D;
//! these and U+001E (which parts rows) are replaced by U+FFFD inside values. Delimiters inside a
//! value are always `^` and `&`, whatever the message uses. A value without parts has its escape
//! sequences resolved; one that still has components keeps them, so that it can be taken apart.
//! Absent is empty; the explicit null `""` stays `""`. `@shape` holds no value: one part for each
//! segment in message order, its name and the numbers of its filled fields as repetitions. A value over [`MAX_VALUE`] bytes is cut.

use crate::index::{Cursor, Delimiters, Index, MSH, Message, Name, Notes, Segment, nth, nth_opt};
use crate::keys::at_path;
use crate::path::{Path, PathError, Repetition};
use crate::structure::{pick, structure};
use crate::text::{Charset, unescape};
use crate::walk::{Unit, walk};
use memchr::memchr3;
use std::fmt::Write as _;

mod told;

pub use crate::path::{TypeError, TypeMatch};
use told::Pseudo;
pub use told::{About, RowMeta, Told};

/// Parts declared fields.
pub const FIELD: char = '\u{1F}';
/// Parts repetitions of a field.
pub const REPETITION: char = '\u{1D}';
/// Parts occurrences of a segment.
pub const OCCURRENCE: char = '\u{1C}';
/// The most declared fields.
pub const MAX_FIELDS: usize = 64;
/// The longest value in bytes; longer ones are cut and end in `…`.
pub const MAX_VALUE: usize = 64 << 10;
/// The most occurrences of one segment; the most segments of `@shape`.
pub const MAX_OCCURRENCES: usize = 1024;
/// The most fields of one segment in `@shape`.
const MAX_SHAPE_FIELDS: usize = 255;

/// What cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Not a path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A pseudo-field that does not exist.
    #[error("`{0}` is no pseudo-field; wit/README.md lists those that each kind of row has")]
    Pseudo(String),
    /// None or too many.
    #[error("{0} fields are declared: from 1 to {MAX_FIELDS} are possible")]
    Count(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Field {
    At(Path),
    ReceivedMs,
    Key,
    Type,
    Urgency,
    Pseudo(Pseudo),
    Shape,
}

/// A list of declared fields; keeps its buffers.
#[derive(Clone, Debug)]
pub struct RowSpec {
    fields: Vec<Field>,
    room: Room,
}

/// Where values are resolved, and how long one may be.
#[derive(Clone, Debug)]
struct Room {
    scratch: Vec<u8>,
    longest: usize,
    /// In the message at hand.
    cursor: Cursor,
}

impl RowSpec {
    /// From field texts: `PID-3.1`, `OBX-5`, `@received-ms`, …
    ///
    /// # Errors
    /// The first text that is none, or how many there are.
    pub fn new<S: AsRef<str>>(fields: &[S]) -> Result<Self, RowError> {
        if !(1..=MAX_FIELDS).contains(&fields.len()) {
            return Err(RowError::Count(fields.len()));
        }
        let one = |text: &S| match text.as_ref() {
            "@received-ms" => Ok(Field::ReceivedMs),
            "@key" => Ok(Field::Key),
            "@type" => Ok(Field::Type),
            "@urgency" => Ok(Field::Urgency),
            "@shape" => Ok(Field::Shape),
            text if text.starts_with('@') => Pseudo::named(text)
                .map(Field::Pseudo)
                .ok_or_else(|| RowError::Pseudo(text.to_owned())),
            text => Ok(Field::At(text.parse()?)),
        };
        let fields = fields.iter().map(one).collect::<Result<_, RowError>>()?;
        Ok(Self {
            fields,
            room: Room { scratch: Vec::new(), longest: MAX_VALUE, cursor: Cursor::default() },
        })
    }

    /// With another longest value than [`MAX_VALUE`], bytes.
    #[must_use]
    pub const fn longest(mut self, bytes: usize) -> Self {
        self.room.longest = bytes;
        self
    }

    /// Whether two checks can share their rows.
    #[must_use]
    pub fn same_fields(&self, other: &Self) -> bool {
        self.fields == other.fields
    }

    /// Appends the row of a message, or of an ACK.
    pub fn join(&mut self, message: &Message<'_>, meta: &RowMeta<'_>, out: &mut String) {
        self.write(Some(message), meta, out);
    }

    /// Appends a row that no message is at hand for: its HL7 fields are empty.
    pub fn join_told(&mut self, meta: &RowMeta<'_>, out: &mut String) {
        self.write(None, meta, out);
    }

    fn write(&mut self, message: Option<&Message<'_>>, meta: &RowMeta<'_>, out: &mut String) {
        for (number, field) in self.fields.iter().enumerate() {
            if number > 0 {
                out.push(FIELD);
            }
            let written = match field {
                Field::At(path) => {
                    if let Some(message) = message {
                        value(message, path, &mut self.room, out);
                    }
                    Ok(())
                }
                Field::ReceivedMs => write!(out, "{}", meta.received_ms),
                Field::Key => meta.key.map_or(Ok(()), |key| write!(out, "{key:?}")),
                Field::Type => match (message, meta.about) {
                    (Some(message), _) => {
                        push(&Charset::of(message).decode(message.header(9)), message, out);
                        Ok(())
                    }
                    (None, About::Outcome(Told { kind: (code, trigger), .. })) => {
                        told_type(code.as_str(), trigger.as_str(), out);
                        Ok(())
                    }
                    (None, _) => Ok(()),
                },
                Field::Urgency => {
                    if matches!(meta.about, About::Message | About::Outcome(_)) {
                        out.push_str(meta.urgency.name());
                    }
                    Ok(())
                }
                Field::Pseudo(pseudo) => pseudo.write(meta, out),
                Field::Shape => message.map_or(Ok(()), |message| shape(message, out)),
            };
            written.expect("writing to a String cannot fail");
        }
    }

    /// Appends the row of the first message in bytes that are not indexed yet; false when there is
    /// none.
    pub fn join_bytes(&mut self, bytes: &[u8], meta: &RowMeta<'_>, out: &mut String) -> bool {
        let (mut index, mut notes, mut found) = (Index::new(), Notes::default(), false);
        walk(bytes, &mut index, &mut notes, &mut |unit| {
            if let Unit::Message(message, ..) = unit
                && !found
            {
                found = true;
                self.join(&message, meta, out);
            }
        });
        found
    }
}

/// A type as MSH-9 has it.
fn told_type(code: &str, trigger: &str, out: &mut String) {
    clean(code, out);
    if !trigger.is_empty() {
        out.push('^');
        clean(trigger, out);
    }
}

/// A name of the configuration.
fn told_name(name: &str, out: &mut String) -> std::fmt::Result {
    clean(name, out);
    Ok(())
}

/// Writes which segments a message has, in order, and which of their fields are filled: names and
/// numbers only. A line without a segment name is `???`, since it may be anything.
fn shape(message: &Message<'_>, out: &mut String) -> std::fmt::Result {
    let field = message.delimiters().field;
    for (place, segment) in message.segments().iter().take(MAX_OCCURRENCES).enumerate() {
        if place > 0 {
            out.push(OCCURRENCE);
        }
        let name = segment.name.bytes();
        let name = core::str::from_utf8(&name).ok().filter(|_| segment.name != Name::NONE);
        out.push_str(name.unwrap_or("???"));
        // MSH-1 is the separator itself.
        let first = usize::from(segment.name == MSH);
        let text = segment.span.of(message.frame());
        let parts = text.split(|byte| *byte == field).skip(1).take(MAX_SHAPE_FIELDS);
        for (number, part) in (first + 1..).zip(parts) {
            if !part.is_empty() {
                write!(out, "{REPETITION}{number}")?;
            }
        }
    }
    Ok(())
}

fn value(message: &Message<'_>, path: &Path, room: &mut Room, out: &mut String) {
    for (number, segment) in message.named(path.segment).take(MAX_OCCURRENCES).enumerate() {
        if number > 0 {
            out.push(OCCURRENCE);
        }
        occurrence(message, segment, path, room, out);
    }
}

fn occurrence(
    message: &Message<'_>,
    segment: Segment,
    path: &Path,
    room: &mut Room,
    out: &mut String,
) {
    let number = usize::from(path.field);
    // The fields of the header were found when the message was indexed.
    let raw = if segment.name == MSH && (3..=21).contains(&number) {
        message.header(number)
    } else {
        message.field_after(&mut room.cursor, segment, number)
    };
    if segment.name == MSH && path.field <= 2 {
        leaf(raw, Charset::of(message), message, room, out, false);
        return;
    }
    let d = message.delimiters();
    if path.component.is_none() && is_plain(raw, d) && raw.len() <= room.longest {
        // Nothing in it has to be resolved or replaced.
        plain(core::str::from_utf8(raw).unwrap_or_default(), path.repetition, d, out);
        return;
    }
    let charset = Charset::of(message);
    let parts = |byte: &u8| {
        *byte == d.component || Some(*byte) == d.repetition || Some(*byte) == d.subcomponent
    };
    if !raw.iter().any(parts) {
        let first = |n: Option<u16>| n.is_none_or(|n| n == 1);
        let there = !matches!(path.repetition, Repetition::One(n) if n > 1);
        if there && first(path.component) && first(path.subcomponent) {
            leaf(raw, charset, message, room, out, true);
        }
        return;
    }
    // Bytes beyond ASCII may be anything in a set of several bytes, so those are decoded first.
    if raw.is_ascii() && !charset.uses_escape_bytes() {
        for (number, part) in parts_of(raw, d, path).enumerate() {
            if number > 0 {
                out.push(REPETITION);
            }
            leaf(part, Charset::Undeclared, message, room, out, true);
        }
        return;
    }
    let text = charset.decode(raw);
    let parsed = structure(&text, d).ok();
    let count = match (path.repetition, d.repetition) {
        (Repetition::One(_), _) | (_, None) => 1,
        (_, Some(by)) => memchr::memchr_iter(by, raw).count() + 1,
    };
    for n in 1..=count {
        if n > 1 {
            out.push(REPETITION);
        }
        let repetition = match path.repetition {
            Repetition::One(one) => one,
            Repetition::Unstated | Repetition::All => u16::try_from(n).unwrap_or(u16::MAX),
        };
        match &parsed {
            Some(field) => {
                let part = pick(field, repetition, path.component, path.subcomponent);
                leaf(part.as_bytes(), Charset::Undeclared, message, room, out, true);
            }
            None => {
                // Too long or odd for the parser: our own splitting of the raw bytes.
                let one = Path { repetition: Repetition::One(repetition), ..*path };
                let part = at_path(message, segment, &one);
                leaf(part, charset, message, room, out, true);
            }
        }
    }
}

/// Writes the repetitions of a plain field that a path names.
fn plain(field: &str, repetition: Repetition, d: &Delimiters, out: &mut String) {
    let Some(by) = d.repetition.filter(|by| memchr::memchr(*by, field.as_bytes()).is_some()) else {
        if !matches!(repetition, Repetition::One(n) if n > 1) {
            out.push_str(field);
        }
        return;
    };
    let mut parts = field.split(char::from(by));
    if let Repetition::One(n) = repetition {
        out.push_str(parts.nth(usize::from(n).saturating_sub(1)).unwrap_or_default());
        return;
    }
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push(REPETITION);
        out.push_str(part);
    }
}

/// Whether the repetitions of a field stand in a row as they stand in the message: ASCII without escape
/// sequences and control characters, in a message with the standard delimiters.
fn is_plain(raw: &[u8], d: &Delimiters) -> bool {
    let escape = d.escape.unwrap_or(b'\\');
    let odd = |b: u8| !(0x20..0x80).contains(&b) | (b == escape);
    d.component == b'^'
        && d.subcomponent == Some(b'&')
        && !raw.iter().fold(false, |any, b| any | odd(*b))
}

/// The part of each repetition that a path names, of bytes that are all delimiters or ASCII.
fn parts_of<'a>(
    raw: &'a [u8],
    d: &'a Delimiters,
    path: &'a Path,
) -> impl Iterator<Item = &'a [u8]> {
    let (skip, take) = match path.repetition {
        Repetition::One(n) => (usize::from(n).saturating_sub(1), 1),
        Repetition::Unstated | Repetition::All => (0, usize::MAX),
    };
    let mut repetitions = raw.split(|byte| Some(*byte) == d.repetition).skip(skip).peekable();
    // A repetition that is not there is an empty one.
    let absent = repetitions.peek().is_none().then_some(&raw[..0]);
    repetitions.chain(absent).take(take).map(move |repetition| {
        let Some(n) = path.component else { return repetition };
        let component = nth(repetition, d.component, usize::from(n));
        path.subcomponent.map_or(component, |n| nth_opt(component, d.subcomponent, usize::from(n)))
    })
}

/// Writes one value: resolved when it has no parts.
fn leaf(
    raw: &[u8],
    charset: Charset,
    message: &Message<'_>,
    room: &mut Room,
    out: &mut String,
    resolve: bool,
) {
    let d = message.delimiters();
    let cut = raw.len() > room.longest;
    let raw = &raw[..raw.len().min(room.longest)];
    let has_parts = raw.contains(&d.component) || !nth_opt(raw, d.subcomponent, 2).is_empty();
    if resolve && !has_parts {
        clean(&charset.decode(unescape(raw, d, &mut room.scratch)), out);
    } else if resolve {
        push(&charset.decode(raw), message, out);
    } else {
        clean(&charset.decode(raw), out);
    }
    if cut {
        out.push('…');
    }
}

/// Writes a value that has parts, with the standard delimiters.
fn push(text: &str, message: &Message<'_>, out: &mut String) {
    let d = message.delimiters();
    if d.component == b'^' && d.subcomponent.is_none_or(|byte| byte == b'&') {
        clean(text, out);
        return;
    }
    let (component, subcomponent) = (char::from(d.component), d.subcomponent.map(char::from));
    let standard = |c: char| match c {
        _ if c == component => '^',
        _ if Some(c) == subcomponent => '&',
        _ => c,
    };
    clean(&text.chars().map(standard).collect::<String>(), out);
}

/// Writes a value without the characters that part rows.
fn clean(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    if memchr3(0x1C, 0x1D, 0x1E, bytes).is_none() && !bytes.contains(&0x1F) {
        out.push_str(text);
    } else {
        let odd = |c: char| matches!(c, '\u{1C}'..='\u{1F}');
        out.extend(text.chars().map(|c| if odd(c) { '\u{FFFD}' } else { c }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fast way and the parser's agree on everything that the parser takes.
    #[test]
    fn splitting_gives_what_the_parser_gives() {
        let by = Delimiters::default();
        let mut seed = 1_u32;
        let mut next = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        let mut compared = 0;
        for _ in 0..20_000 {
            let length = next(14);
            let raw: String =
                (0..length).map(|_| char::from(b"ab^^~&&\\ \""[next(10) as usize])).collect();
            let Ok(field) = structure(&raw, &by) else { continue };
            let number = |n: u32| u16::try_from(n).unwrap();
            let repetition = number(1 + next(3));
            let component = (next(3) > 0).then(|| number(1 + next(3)));
            let subcomponent = component.and_then(|_| (next(2) > 0).then(|| number(1 + next(3))));
            let path = Path {
                segment: MSH,
                field: 3,
                repetition: Repetition::One(repetition),
                component,
                subcomponent,
            };
            let fast: Vec<&[u8]> = parts_of(raw.as_bytes(), &by, &path).collect();
            let slow = pick(&field, repetition, component, subcomponent);
            assert_eq!(fast, [slow.as_bytes()], "{raw} {path:?}");
            compared += 1;
        }
        assert!(compared > 10_000);
    }
}
