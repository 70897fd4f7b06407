//! ACKs: MSA-1, MSA-2 and the reason, reduced to a class. The texts are read here and never leave.

use crate::decode::DecodeConfig;
use crate::facts;
use crate::index::{Message, Name, Notes, Segment, nth_opt, valued};
use crate::text::unescape;
use feedpulse_core::defect::DefectCode;
use feedpulse_core::frame::Direction;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::sighting::{AckCode, AckSeen, ReasonClass};

pub(crate) const MSA: Name = Name::new(*b"MSA");
const ERR: Name = Name::new(*b"ERR");

/// Reads the ACK.
pub(crate) fn read(
    message: &Message<'_>,
    direction: Direction,
    config: &DecodeConfig,
    notes: &mut Notes,
    scratch: &mut Vec<u8>,
) -> AckSeen {
    let at = message
        .named(MSA)
        .next()
        .map_or_else(|| message.header_at(9), |segment| segment.span.start as usize);
    let code = code_of(message.field(MSA, 0, 1).trim_ascii());
    if code == AckCode::Other {
        notes.add(DefectCode::AckCodeUnknown, at);
    }
    let raw = message.field(MSA, 0, 2).trim_ascii();
    let acked = if valued(raw) { unescape(raw, message.delimiters(), scratch) } else { &[] };
    if acked.is_empty() {
        notes.add(DefectCode::AckWithoutId, at);
    }
    let (ack_key, acked) = (config.site_key.ack_key(acked), ControlId::from_bytes(acked));
    let positive = matches!(code, AckCode::AA | AckCode::CA);
    AckSeen {
        direction,
        code,
        ack_key,
        acked,
        reason: if positive { ReasonClass::None } else { reason(message, &config.reasons) },
        error_code: if positive { Label::EMPTY } else { error_code(message) },
        defects: notes.list().to_vec(),
        software: facts::software(message),
    }
}

fn code_of(code: &[u8]) -> AckCode {
    match code {
        b"AA" => AckCode::AA,
        b"AE" => AckCode::AE,
        b"AR" => AckCode::AR,
        b"CA" => AckCode::CA,
        b"CE" => AckCode::CE,
        b"CR" => AckCode::CR,
        _ => AckCode::Other,
    }
}

/// Most rules that a site may add, and the most bytes of each.
const RULES_MAX: usize = 256;
const RULE_BYTES: usize = 64;

/// What a site adds to the dictionary of reasons; its rules go before the built-in ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasonRules {
    codes: Vec<(String, ReasonClass)>,
    words: Vec<(String, ReasonClass)>,
}

/// Why a rule cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Too many.
    #[error("more than {RULES_MAX} reason rules")]
    TooMany,
    /// Empty or too long.
    #[error("a reason rule has 1 to {RULE_BYTES} bytes: {0:?}")]
    Length(String),
}

impl ReasonRules {
    /// From codes (compared whole with ERR-3.1, ERR-5.1, ERR-1.4.1 and MSA-6.1) and words (found
    /// anywhere in a text, whatever their case).
    ///
    /// # Errors
    /// More than 256 rules, or one that is empty or over 64 bytes.
    pub fn new(
        codes: Vec<(String, ReasonClass)>,
        words: Vec<(String, ReasonClass)>,
    ) -> Result<Self, RuleError> {
        if codes.len() + words.len() > RULES_MAX {
            return Err(RuleError::TooMany);
        }
        let odd = |rule: &&(String, _)| !(1..=RULE_BYTES).contains(&rule.0.len());
        match codes.iter().chain(&words).find(odd) {
            Some((rule, _)) => Err(RuleError::Length(rule.clone())),
            None => Ok(Self { codes, words }),
        }
    }
}

/// The ERR segment that tells most: the first that is no warning (ERR-4, table 0516: W, I).
fn telling(message: &Message<'_>) -> Option<Segment> {
    let warns = |s: &Segment| matches!(message.first(message.field_of(*s, 4)), b"W" | b"I");
    message.named(ERR).find(|s| !warns(s)).or_else(|| message.named(ERR).next())
}

/// Coded values where an error is named: ERR-3.1, ERR-5.1 (v2.5), ERR-1.4.1 (before), MSA-6.1.
fn codes<'a>(message: &Message<'a>) -> [&'a [u8]; 4] {
    let segment = telling(message);
    let err = |n| segment.map_or(&[][..], |s| message.field_of(s, n));
    let subcomponent = message.delimiters().subcomponent;
    [
        message.first(err(3)),
        message.first(err(5)),
        nth_opt(message.component(err(1), 4), subcomponent, 1),
        message.first(message.field(MSA, 0, 6)),
    ]
}

fn error_code(message: &Message<'_>) -> Label {
    let looks_like_a_code = |code: &&[u8]| {
        (1..=12).contains(&code.len())
            && code
                .iter()
                .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
    };
    codes(message)
        .into_iter()
        .map(<[u8]>::trim_ascii)
        .find(looks_like_a_code)
        .map_or(Label::EMPTY, Label::from_bytes)
}

fn reason(message: &Message<'_>, rules: &ReasonRules) -> ReasonClass {
    let codes = codes(message);
    let segment = telling(message);
    let err = |n| segment.map_or(&[][..], |s| message.field_of(s, n));
    let msa = |n| message.field(MSA, 0, n);
    let texts = [err(3), err(5), err(8), err(7), msa(3), msa(6), err(1)];
    let own_code =
        |(code, _): &&(String, _)| codes.iter().any(|found| found.trim_ascii() == code.as_bytes());
    let own_word = |(word, _): &&(String, _)| texts.iter().any(|text| holds(text, word.as_bytes()));
    let own = rules.codes.iter().find(own_code).or_else(|| rules.words.iter().find(own_word));
    if let Some((_, class)) = own {
        return *class;
    }
    let table_0357 = codes.iter().find_map(|code| match code.trim_ascii() {
        b"100" | b"101" | b"102" | b"103" | b"104" => Some(ReasonClass::Structure),
        b"200" | b"201" | b"202" | b"203" => Some(ReasonClass::Unsupported),
        b"204" => Some(ReasonClass::UnknownKey),
        b"205" => Some(ReasonClass::DuplicateKey),
        b"206" => Some(ReasonClass::Locked),
        b"207" => Some(ReasonClass::Internal),
        _ => None,
    });
    let by_text = texts.iter().find_map(|text| by_words(text));
    // 207 is what many interfaces say for everything; their words tell more.
    match (table_0357, by_text) {
        (Some(ReasonClass::Internal), Some(class)) | (None, Some(class)) => class,
        (Some(class), _) => class,
        (None, None) if texts.iter().chain(&codes).any(|text| valued(text)) => ReasonClass::Other,
        (None, None) => ReasonClass::None,
    }
}

/// Words that receivers use, from the most to the least telling.
const WORDS: [(&[u8], ReasonClass); 34] = [
    (b"duplicate", ReasonClass::DuplicateKey),
    (b"already exist", ReasonClass::DuplicateKey),
    (b"already received", ReasonClass::DuplicateKey),
    (b"locked", ReasonClass::Locked),
    (b"lock wait", ReasonClass::Locked),
    (b"deadlock", ReasonClass::Locked),
    (b"in use", ReasonClass::Locked),
    (b"unavailable", ReasonClass::Unavailable),
    (b"not available", ReasonClass::Unavailable),
    (b"shutting down", ReasonClass::Unavailable),
    (b"maintenance", ReasonClass::Unavailable),
    (b"system down", ReasonClass::Unavailable),
    (b"too busy", ReasonClass::Unavailable),
    (b"queue full", ReasonClass::Unavailable),
    (b"database", ReasonClass::Internal),
    (b"disk", ReasonClass::Internal),
    (b"timeout", ReasonClass::Internal),
    (b"time-out", ReasonClass::Internal),
    (b"timed out", ReasonClass::Internal),
    (b"internal error", ReasonClass::Internal),
    (b"exception", ReasonClass::Internal),
    (b"out of memory", ReasonClass::Internal),
    (b"unsupported", ReasonClass::Unsupported),
    (b"not supported", ReasonClass::Unsupported),
    (b"processing id", ReasonClass::Unsupported),
    (b"unknown key", ReasonClass::UnknownKey),
    (b"not found", ReasonClass::UnknownKey),
    (b"does not exist", ReasonClass::UnknownKey),
    (b"no such", ReasonClass::UnknownKey),
    (b"unknown patient", ReasonClass::UnknownKey),
    (b"required", ReasonClass::Structure),
    (b"missing", ReasonClass::Structure),
    (b"segment sequence", ReasonClass::Structure),
    (b"parse", ReasonClass::Structure),
];
/// Only the beginning of a text is looked at.
const TEXT_LIMIT: usize = 512;

fn by_words(text: &[u8]) -> Option<ReasonClass> {
    WORDS.iter().find(|(word, _)| holds(text, word)).map(|(_, class)| *class)
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    let text = &text[..text.len().min(TEXT_LIMIT)];
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}
