//! MSH-1 and MSH-2: the delimiters of a message (HL7 v2.5.1 §2.5.4), per message, of any kind.

use crate::index::{Notes, narrow};
use feedpulse_core::defect::{Defect, DefectCode};
use memchr::memchr;

/// MSH-1 and MSH-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiters {
    /// MSH-1, `|` as a rule.
    pub field: u8,
    /// `^` as a rule.
    pub component: u8,
    /// `~` as a rule.
    pub repetition: Option<u8>,
    /// `\` as a rule.
    pub escape: Option<u8>,
    /// `&` as a rule.
    pub subcomponent: Option<u8>,
    /// `#` as a rule; since v2.7.
    pub truncation: Option<u8>,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self {
            field: b'|',
            component: b'^',
            repetition: Some(b'~'),
            escape: Some(b'\\'),
            subcomponent: Some(b'&'),
            truncation: None,
        }
    }
}

impl Delimiters {
    /// Reads them from an MSH, BHS or FHS segment.
    pub(crate) fn read(segment: &[u8], at: usize, notes: &mut Notes) -> Result<Self, Defect> {
        let bad = |code, offset: usize| Err(Defect { code, offset: narrow(at + offset) });
        let Some(&field) = segment.get(3) else {
            return bad(DefectCode::HeaderShort, segment.len());
        };
        if !may_delimit(field) {
            return bad(DefectCode::BadDelimiters, 3);
        }
        let rest = &segment[4..];
        let encoding = &rest[..memchr(field, rest).unwrap_or(rest.len())];
        let Some(&component) = encoding.first() else {
            return bad(DefectCode::HeaderShort, 4);
        };
        let fault = encoding.iter().take(8).position(|byte| !may_delimit(*byte));
        if let Some(offset) = fault {
            return bad(DefectCode::BadDelimiters, 4 + offset);
        }
        if memchr(component, &encoding[1..]).is_some() || encoding.len() > 8 {
            return bad(DefectCode::BadDelimiters, 4);
        }
        if !matches!(encoding.len(), 4 | 5) {
            notes.add(DefectCode::Msh2Length, at + 4);
        }
        let repeated = |index: usize| encoding[..index].contains(&encoding[index]);
        if (2..encoding.len()).any(repeated) {
            notes.add(DefectCode::RepeatedDelimiter, at + 4);
        }
        let get = |index: usize| encoding.get(index).copied().filter(|_| !repeated(index));
        Ok(Self {
            field,
            component,
            repetition: get(1),
            escape: get(2),
            subcomponent: get(3),
            truncation: get(4),
        })
    }
}

fn may_delimit(byte: u8) -> bool {
    byte.is_ascii_punctuation() || byte == b' '
}
