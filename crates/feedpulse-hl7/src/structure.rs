//! hl7-parser as the structural parser of one field, for whoever asks: repetitions, components,
//! subcomponents. Guarded: it reads only text up to a limit, must consume all of it, and a panic
//! inside it is caught. Its decoding and display of values are never used (they are wrong or panic
//! on non-ASCII text); values are decoded by [`crate::text`].

use crate::index::Delimiters;
use hl7_parser::message::{Field, Separators};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The longest field that is parsed. Longer ones are available as raw bytes only.
pub const MAX_FIELD: usize = 64 << 10;

/// Why a field has no structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// It is over [`MAX_FIELD`] bytes.
    #[error("the field is over 64 KiB")]
    TooLong,
    /// The parser stopped before its end.
    #[error("the field holds a character that ends it (a field separator or a line end)")]
    NotConsumed,
    /// The parser refused it.
    #[error("the field cannot be parsed")]
    Refused,
    /// The parser panicked. Not expected: please report it.
    #[error("the field parser failed")]
    Panicked,
}

/// The delimiters as hl7-parser wants them. A message without some of them gets characters of a
/// private-use area in their place, which no HL7 text holds.
#[must_use]
pub fn separators(by: &Delimiters) -> Separators {
    let or = |byte: Option<u8>, otherwise| byte.map_or(otherwise, char::from);
    Separators {
        field: char::from(by.field),
        component: char::from(by.component),
        subcomponent: or(by.subcomponent, '\u{F8F0}'),
        repetition: or(by.repetition, '\u{F8F1}'),
        escape: or(by.escape, '\u{F8F2}'),
        lenient_newlines: false,
    }
}

/// Parses one field.
///
/// # Errors
/// Why it has no structure; the raw bytes are good all the same.
pub fn structure<'a>(text: &'a str, by: &Delimiters) -> Result<Field<'a>, StructureError> {
    if text.len() > MAX_FIELD {
        return Err(StructureError::TooLong);
    }
    let separators = separators(by);
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        hl7_parser::parser::parse_field_with_separators(text, separators)
    }));
    match parsed {
        Ok(Ok(field)) if field.raw_value().len() == text.len() => Ok(field),
        Ok(Ok(_)) => Err(StructureError::NotConsumed),
        Ok(Err(_)) => Err(StructureError::Refused),
        Err(_) => Err(StructureError::Panicked),
    }
}

/// One subcomponent, component or repetition of a parsed field, raw; empty when absent. Numbers
/// count from 1.
#[must_use]
pub fn pick<'a>(
    field: &Field<'a>,
    repetition: u16,
    component: Option<u16>,
    subcomponent: Option<u16>,
) -> &'a str {
    let at = |n: u16| usize::from(n).wrapping_sub(1);
    let Some(repeat) = field.repeats.get(at(repetition)) else { return "" };
    let Some(component) = component else { return repeat.raw_value() };
    let Some(component) = repeat.components.get(at(component)) else { return "" };
    match subcomponent {
        None => component.raw_value(),
        Some(n) => component.subcomponents.get(at(n)).map_or("", |sub| sub.raw_value()),
    }
}
