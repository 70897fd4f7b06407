//! Places in a message as people write them: `OBR-25`, `PID-3.1`, `OBX-5[*]`, `PID-3[2].4.1`.

use crate::index::Name;
use core::fmt;
use core::str::FromStr;

/// Highest field, component or subcomponent number.
pub const MAX_NUMBER: u16 = 999;

/// Which repetitions of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repetition {
    /// Nothing was written: the first in a key rule, all in a check row.
    Unstated,
    /// This one, from 1.
    One(u16),
    /// `[*]`: all.
    All,
}

/// A place: segment, field, and optionally repetition, component and subcomponent. Segments that
/// occur several times: a key rule takes the first, a check row takes all.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// The segment's name.
    pub segment: Name,
    /// From 1.
    pub field: u16,
    /// Which repetitions.
    pub repetition: Repetition,
    /// From 1.
    pub component: Option<u16>,
    /// From 1.
    pub subcomponent: Option<u16>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The segment name is missing or odd.
    #[error("`{0}`: a path starts with a segment name of three capitals or digits, such as PID")]
    Segment(String),
    /// No field.
    #[error("`{0}`: a field number must follow the segment name, as in PID-3")]
    Field(String),
    /// A number out of range.
    #[error("`{text}`: the {what} must be a number from 1 to {MAX_NUMBER}")]
    Number {
        /// The whole path.
        text: String,
        /// Which number.
        what: &'static str,
    },
    /// Something else follows.
    #[error("`{0}`: nothing may follow SEG-field[repetition].component.subcomponent")]
    Tail(String),
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let bytes = text.as_bytes();
        let capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let (name, rest) = match bytes {
            [a, b, c, rest @ ..] if a.is_ascii_uppercase() && capital(b) && capital(c) => {
                (Name::new([*a, *b, *c]), rest)
            }
            _ => return Err(PathError::Segment(text.to_owned())),
        };
        let [b'-', rest @ ..] = rest else { return Err(PathError::Field(text.to_owned())) };
        let fail = |what| PathError::Number { text: text.to_owned(), what };
        let (field, mut rest) = number(rest).ok_or_else(|| fail("field"))?;
        let mut repetition = Repetition::Unstated;
        if let [b'[', b'*', b']', after @ ..] = rest {
            (repetition, rest) = (Repetition::All, after);
        } else if let [b'[', after @ ..] = rest {
            let (one, after) = number(after).ok_or_else(|| fail("repetition"))?;
            let [b']', after @ ..] = after else { return Err(fail("repetition")) };
            (repetition, rest) = (Repetition::One(one), after);
        }
        let mut parts = [None, None];
        for (part, what) in parts.iter_mut().zip(["component", "subcomponent"]) {
            if let [b'.', after @ ..] = rest {
                let (value, after) = number(after).ok_or_else(|| fail(what))?;
                (*part, rest) = (Some(value), after);
            }
        }
        if !rest.is_empty() {
            return Err(PathError::Tail(text.to_owned()));
        }
        let [component, subcomponent] = parts;
        Ok(Self { segment: name, field, repetition, component, subcomponent })
    }
}

fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    let value = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (1..=MAX_NUMBER).contains(&value).then_some((value, rest))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.segment.bytes() {
            write!(f, "{}", char::from(byte))?;
        }
        write!(f, "-{}", self.field)?;
        match self.repetition {
            Repetition::Unstated => {}
            Repetition::One(n) => write!(f, "[{n}]")?,
            Repetition::All => f.write_str("[*]")?,
        }
        if let Some(component) = self.component {
            write!(f, ".{component}")?;
        }
        if let Some(subcomponent) = self.subcomponent {
            write!(f, ".{subcomponent}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A message type, such as `ORU` (any trigger) or `ORU^R01`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeMatch {
    code: String,
    trigger: Option<String>,
}

/// Why a text is no message type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no message type: write three capitals or digits, optionally ^ and a trigger, as in ORU or ORU^R01"
)]
pub struct TypeError(String);

impl FromStr for TypeMatch {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let valid = |part: &str| {
            part.len() == 3 && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        let (code, trigger) = match text.split_once('^') {
            Some((code, "*")) => (code, None),
            Some((code, trigger)) => (code, Some(trigger)),
            None => (text, None),
        };
        if !valid(code) || trigger.is_some_and(|trigger| !valid(trigger)) {
            return Err(TypeError(text.to_owned()));
        }
        Ok(Self { code: code.to_owned(), trigger: trigger.map(ToOwned::to_owned) })
    }
}

impl TypeMatch {
    /// Whether MSH-9.1 and MSH-9.2 are of this type.
    #[must_use]
    pub fn matches(&self, code: &[u8], trigger: &[u8]) -> bool {
        self.code.as_bytes() == code
            && self.trigger.as_ref().is_none_or(|wanted| wanted.as_bytes() == trigger)
    }
}
