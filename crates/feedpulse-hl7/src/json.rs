//! Values of records and HTTP bodies: raw or framed HL7, HL7 inside a JSON document, and receipts.

use crate::MAX_MESSAGE;
use crate::dtm::Dtm;
use crate::keys::control_id_key;
use crate::mllp::{FrameEvent, Framer, VT};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use feedpulse_core::defect::{Defect, DefectCode};
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{Outcome, ReceiptSeen};
use feedpulse_core::time::Timestamp;
use serde_json::Value;

/// The largest JSON document in bytes: a message of the largest size in base64, and some room.
pub const MAX_JSON: usize = MAX_MESSAGE / 3 * 4 + (1 << 20);
/// The most receipts in one document.
pub const MAX_RECEIPTS: usize = 10_000;

/// What a JSON pointer must look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no JSON pointer (RFC 6901): write it as /name/0/name")]
pub struct PointerError(pub String);

/// A valid JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

impl core::str::FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() || text.starts_with('/') {
            Ok(Self(text.to_owned()))
        } else {
            Err(PointerError(text.to_owned()))
        }
    }
}

/// How HL7 text stands at the pointer of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As a JSON string.
    Text,
    /// In base64 (RFC 4648 §4 or §5, with or without padding).
    Base64,
}

/// How a value holds its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ValueFormat {
    /// HL7 text, or MLLP frames when it starts with a start block.
    #[default]
    Hl7,
    /// HL7 text inside a JSON document.
    Envelope {
        /// Where.
        pointer: Pointer,
        /// How.
        encoding: Encoding,
    },
}

impl ValueFormat {
    /// Calls `each` with the bytes of every frame in the value. What cannot be read is handed over
    /// as it is, since decoding names the fault of anything that is no HL7.
    ///
    /// # Errors
    /// The document is no JSON, too large, or has nothing at the pointer.
    pub fn frames(&self, value: &[u8], each: &mut impl FnMut(&[u8])) -> Result<(), Defect> {
        match self {
            Self::Hl7 => unframe(value, each),
            Self::Envelope { pointer, encoding } => {
                let document = parse(value)?;
                let missing = || unreadable(0);
                let text =
                    document.pointer(&pointer.0).and_then(Value::as_str).ok_or_else(missing)?;
                match encoding {
                    Encoding::Text => unframe(text.as_bytes(), each),
                    Encoding::Base64 => unframe(&base64(text).ok_or_else(missing)?, each),
                }
            }
        }
        Ok(())
    }
}

fn unframe(value: &[u8], each: &mut impl FnMut(&[u8])) {
    if value.first() != Some(&VT) {
        each(value);
        return;
    }
    let mut framer = Framer::new();
    let mut any = false;
    framer.feed(0, value, &mut |event| {
        if let FrameEvent::Frame { bytes, .. } = event {
            any = true;
            each(bytes);
        }
    });
    // A frame without its end, or nothing but one: decoding says what is odd.
    let open = framer.open_since().and_then(|start| value.get(usize::try_from(start).ok()?..));
    if let Some(open) = open {
        each(open);
    } else if !any {
        each(value);
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
        .into_iter()
        .find_map(|engine| engine.decode(&compact).ok())
}

fn unreadable(offset: usize) -> Defect {
    Defect { code: DefectCode::JsonUnreadable, offset: crate::index::narrow(offset) }
}

fn parse(value: &[u8]) -> Result<Value, Defect> {
    if value.len() > MAX_JSON {
        return Err(Defect { code: DefectCode::TooLarge, offset: 0 });
    }
    serde_json::from_slice(value).map_err(|error| {
        let before: usize = value
            .split_inclusive(|byte| *byte == b'\n')
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum();
        unreadable(before + error.column().saturating_sub(1))
    })
}

/// Where a receipt has its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptFormat {
    /// The control id that it is about: a string or a number.
    pub key: Pointer,
    /// What it says.
    pub outcome: Pointer,
    /// Names that stand for an outcome here, beside [`Outcome::name`]'s own.
    pub outcomes: Vec<(String, Outcome)>,
    /// When: RFC 3339, an HL7 time with a zone, or a number since the epoch (seconds, milliseconds
    /// or microseconds, told by its size).
    pub at: Option<Pointer>,
    /// Which kind of document it is, for those who tell several apart.
    pub kind: Option<Pointer>,
}

/// One receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the engine gets.
    pub seen: ReceiptSeen,
    /// What stands at the `kind` pointer.
    pub kind: Label,
}

impl ReceiptFormat {
    /// Reads one receipt, or an array of them. The key joins with the control id rule.
    ///
    /// # Errors
    /// The document is no JSON or too large, or one of its receipts has no key or no known outcome;
    /// then none of them counts.
    pub fn read(&self, site: &SiteKey, value: &[u8]) -> Result<Vec<Receipt>, Defect> {
        let document = parse(value)?;
        let list = match &document {
            Value::Array(list) if list.len() > MAX_RECEIPTS => {
                return Err(Defect { code: DefectCode::TooLarge, offset: 0 });
            }
            Value::Array(list) => list.as_slice(),
            one => core::slice::from_ref(one),
        };
        list.iter().map(|one| self.one(site, one).ok_or_else(|| unreadable(0))).collect()
    }

    fn one(&self, site: &SiteKey, document: &Value) -> Option<Receipt> {
        let key = match document.pointer(&self.key.0)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let stated = document.pointer(&self.outcome.0)?.as_str()?;
        let named = self.outcomes.iter().find(|(name, _)| name.eq_ignore_ascii_case(stated));
        let outcome = match named {
            Some((_, outcome)) => *outcome,
            None => Outcome::from_name(stated)?,
        };
        let at = |pointer: &Pointer| time(document.pointer(&pointer.0)?);
        let kind = |pointer: &Pointer| document.pointer(&pointer.0)?.as_str().map(Label::from);
        Some(Receipt {
            seen: ReceiptSeen {
                journey_key: control_id_key(site, key.as_bytes())?,
                outcome,
                stated_at: self.at.as_ref().and_then(at),
            },
            kind: self.kind.as_ref().and_then(kind).unwrap_or_default(),
        })
    }
}

/// A time of a JSON document; none when it cannot be read or states no zone.
fn time(value: &Value) -> Option<Timestamp> {
    if let Some(number) = value.as_i64() {
        let micros = match number.unsigned_abs() {
            0..100_000_000_000 => number.checked_mul(1_000_000)?,
            100_000_000_000..100_000_000_000_000 => number.checked_mul(1000)?,
            _ => number,
        };
        return Some(Timestamp::from_micros(micros));
    }
    let text = value.as_str()?;
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_micros(instant.as_microsecond()));
    }
    Some(Dtm::read(text.as_bytes()).ok()?.event_time(None, None)?.at)
}
