//! The cases that a component carries: messages and what the check must find in them, so that
//! whoever runs a version can see first that it does what its author meant.
//!
//! They are JSON in the custom section `feedpulse:cases`, written when the check is packaged from
//! its folder `cases`. This module reads them; running them needs somebody who can join rows.

use crate::about::About;
use crate::finding::{Finding, Level};
use crate::manifest::Grant;
use crate::path::Field;
use crate::section::{self, SectionError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the custom section.
const SECTION: &str = "feedpulse:cases";
/// Longest section, bytes.
const MAX_BYTES: usize = 1 << 20;
/// Most cases.
const MAX_CASES: usize = 64;

/// Messages and what must be found in them.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of its file.
    pub name: String,
    /// HL7 messages, parted by an empty line; they are one batch of one feed. They come first.
    #[serde(default)]
    pub messages: String,
    /// What comes behind them, in order: ACKs, outcomes, connection events, more messages, ticks.
    #[serde(default)]
    pub rows: Vec<CaseRow>,
    /// Settings of the check for this case; none = those of the operator's configuration do not
    /// matter to it, and it gets `{}`.
    #[serde(default)]
    pub settings: Option<serde_json::Value>,
    /// What the check is granted for this case, of what its manifest asks for.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Name of the feed; none = `case`.
    #[serde(default)]
    pub feed: Option<String>,
    /// The wall clock at the first row, milliseconds since 1970.
    #[serde(default, rename = "now-ms")]
    pub now_ms: Option<u64>,
    /// Ticks at the end, so many milliseconds after the messages.
    #[serde(default)]
    pub ticks: Vec<u64>,
    /// Instead of findings: part of the sentence by which the check refuses these settings.
    #[serde(default)]
    pub refuses: Option<String>,
    /// Every finding, in order.
    #[serde(default)]
    pub expected: Vec<Expected>,
}

/// One row of a case that is not simply a message of its file, or a tick.
///
/// ```json
/// {"about": "ack", "of": 0, "hl7": ["MSH|^~\\&|…", "MSA|AE|1"], "@ack-ms": 1200}
/// {"about": "outcome", "of": 0, "@outcome": "errored", "@ack-code": "AE", "@tries": 3}
/// {"about": "connection", "@event": "reset", "@by": "receiver", "after-ms": 5000}
/// {"tick": 60000}
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawRow")]
pub struct CaseRow {
    /// What the row is about; none = it is a tick.
    pub about: Option<About>,
    /// Milliseconds after the case's clock at which it comes.
    pub after_ms: u64,
    /// The message or ACK, segments ended by carriage returns.
    pub hl7: Option<String>,
    /// The row, from 0, whose message it is about: they have the same `@key`.
    pub of: Option<u64>,
    /// Declared fields by name (`@event`), each of a kind of row that has it.
    pub said: BTreeMap<String, String>,
}

/// Never shows a value, as of a [`Case`].
impl std::fmt::Debug for CaseRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaseRow").field("about", &self.about).finish_non_exhaustive()
    }
}

/// As it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawRow {
    #[serde(default)]
    about: Option<About>,
    #[serde(default)]
    tick: Option<u64>,
    #[serde(default)]
    after_ms: Option<u64>,
    #[serde(default)]
    hl7: Option<Hl7>,
    #[serde(default)]
    of: Option<u64>,
    #[serde(flatten)]
    said: BTreeMap<String, serde_json::Value>,
}

/// HL7 text, or its segments.
#[derive(Deserialize)]
#[serde(untagged)]
enum Hl7 {
    Text(String),
    Segments(Vec<String>),
}

impl TryFrom<RawRow> for CaseRow {
    type Error = String;

    fn try_from(raw: RawRow) -> Result<Self, String> {
        let Some(about) = raw.about else {
            let Some(after_ms) = raw.tick else {
                return Err("a row says \"about\": \"message\", \"ack\", \"outcome\" or \"connection\", or \"tick\": milliseconds".to_owned());
            };
            let alone = raw.after_ms.is_none() && raw.hl7.is_none() && raw.of.is_none();
            return if alone && raw.said.is_empty() {
                Ok(Self { about: None, after_ms, hl7: None, of: None, said: BTreeMap::new() })
            } else {
                Err("a tick has nothing but \"tick\": milliseconds".to_owned())
            };
        };
        if raw.tick.is_some() {
            return Err("a row is about something or it is a tick, not both".to_owned());
        }
        let carries = matches!(about, About::Message | About::Ack);
        let hl7 = raw.hl7.map(|hl7| match hl7 {
            Hl7::Text(text) => text.replace("\r\n", "\r").replace('\n', "\r"),
            Hl7::Segments(all) => all.iter().map(|segment| format!("{segment}\r")).collect(),
        });
        if hl7.is_some() != carries {
            let what = if carries { "needs its text in \"hl7\"" } else { "has no \"hl7\"" };
            return Err(format!("a row about {about} {what}"));
        }
        let said =
            raw.said.into_iter().map(|(name, value)| Ok((field(about, name)?, text(value)?)));
        let said = said.collect::<Result<_, String>>()?;
        Ok(Self { about: Some(about), after_ms: raw.after_ms.unwrap_or(0), hl7, of: raw.of, said })
    }
}

/// A name that rows of this kind can say. What follows from the rest of the row is not said.
fn field(about: About, name: String) -> Result<String, String> {
    let follows = ["@about", "@key", "@received-ms", "@shape"].contains(&name.as_str())
        || (matches!(about, About::Message | About::Ack)
            && !["@ack-ms", "@waypoint"].contains(&name.as_str()));
    let known = name.starts_with('@') && Field::parse(&name).is_ok_and(|field| field.is_of(about));
    match (known, follows) {
        (true, false) => Ok(name),
        (true, true) => Err(format!("`{name}` of a row about {about} follows from the rest of it")),
        (false, _) => Err(format!("a row about {about} has no `{name}`")),
    }
}

/// A value as it is handed over.
fn text(value: serde_json::Value) -> Result<String, String> {
    match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        serde_json::Value::Array(all) => {
            let all = all.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
            Ok(all.join(","))
        }
        _ => Err("a field of a row is a text, a number or a list of texts".to_owned()),
    }
}

/// Never shows the messages: an author may have forgotten to make them up.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One finding that a case expects: as authors write it, as a component carries it, and as what was
/// found is held against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Which message, from 0; none = about the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The check's own code.
    pub code: String,
    /// How bad; none = whatever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// HL7 path; empty = the whole message, none = wherever.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub at: Option<String>,
    /// Names and values, numbers in digits; none = whatever they are.
    #[serde(default, skip_serializing_if = "has_none", deserialize_with = "attrs")]
    pub attrs: Option<BTreeMap<String, String>>,
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
fn is_empty(at: &Option<String>) -> bool {
    at.as_ref().is_none_or(String::is_empty)
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
fn has_none(attrs: &Option<BTreeMap<String, String>>) -> bool {
    attrs.as_ref().is_none_or(BTreeMap::is_empty)
}

/// Attributes whose values may be written as numbers.
fn attrs<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let read = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(read.map(|all| all.into_iter().map(|(name, value)| (name, text(value))).collect()))
}

impl Expected {
    /// A finding as a case would write it; rows are named by their place.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self {
            row: finding.row,
            code: finding.code.rsplit('/').next().unwrap_or_default().to_owned(),
            level: Some(finding.level),
            at: Some(finding.at.to_string()),
            attrs: Some(
                finding.attrs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            ),
        }
    }

    /// Whether what was found is as expected, as far as that is stated.
    #[must_use]
    pub fn is_met_by(&self, found: &Self) -> bool {
        let same = self.row == found.row && self.code == found.code;
        same && (self.level.is_none() || self.level == found.level)
            && (self.at.is_none() || self.at == found.at)
            && (self.attrs.is_none() || self.attrs == found.attrs)
    }
}

/// Why a component's cases cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CasesError {
    /// The section is there twice, or the file ends within it.
    #[error("the cases of the component are damaged; package it again")]
    Damaged,
    /// Too long.
    #[error("the cases of the component have {0} bytes, more than 1048576")]
    TooLong(usize),
    /// Too many.
    #[error("the component carries {0} cases, more than 64")]
    TooMany(usize),
    /// Not as it should be.
    #[error("the cases of the component cannot be read: {0}")]
    Shape(String),
}

impl Case {
    /// The cases of a component; none when it carries none.
    ///
    /// # Errors
    /// When there are some and they cannot be read.
    pub fn read(wasm: &[u8]) -> Result<Vec<Self>, CasesError> {
        let json = match section::find(wasm, SECTION) {
            Ok(json) => json,
            Err(SectionError::Missing | SectionError::NotWasm | SectionError::CoreModule) => {
                return Ok(Vec::new());
            }
            Err(SectionError::Broken | SectionError::Twice) => return Err(CasesError::Damaged),
        };
        if json.len() > MAX_BYTES {
            return Err(CasesError::TooLong(json.len()));
        }
        let cases: Vec<Self> =
            serde_json::from_slice(json).map_err(|e| CasesError::Shape(e.to_string()))?;
        if cases.len() > MAX_CASES { Err(CasesError::TooMany(cases.len())) } else { Ok(cases) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(json: &str) -> Vec<u8> {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        let mut body = vec![u8::try_from(SECTION.len()).unwrap()];
        body.extend(SECTION.as_bytes());
        body.extend(json.as_bytes());
        wasm.push(0);
        let mut n = body.len();
        while n > 0x7f {
            wasm.push(n.to_le_bytes()[0] | 0x80);
            n >>= 7;
        }
        wasm.push(n.to_le_bytes()[0]);
        wasm.extend(body);
        wasm
    }

    #[test]
    fn rows_of_every_kind_are_read_and_wrong_ones_say_why() {
        let read = |json: &str| serde_json::from_str::<CaseRow>(json).map_err(|e| e.to_string());
        let ack =
            read(r#"{"about": "ack", "of": 0, "hl7": ["MSH|a", "MSA|AE"], "@ack-ms": 5}"#).unwrap();
        assert_eq!(ack.hl7.as_deref(), Some("MSH|a\rMSA|AE\r"));
        assert_eq!((ack.said["@ack-ms"].as_str(), ack.of), ("5", Some(0)));
        let outcome = r#"{"about": "outcome", "@outcome": "errored", "@ack-classes": ["retry", "late_ack"], "after-ms": 7}"#;
        let outcome = read(outcome).unwrap();
        assert_eq!(
            (outcome.said["@ack-classes"].as_str(), outcome.after_ms),
            ("retry,late_ack", 7)
        );
        assert_eq!(read(r#"{"tick": 60000}"#).unwrap().about, None);
        for (wrong, why) in [
            ("{}", "\"about\""),
            (r#"{"tick": 1, "of": 2}"#, "nothing but"),
            (r#"{"about": "ack"}"#, "needs its text"),
            (r#"{"about": "outcome", "hl7": "MSH|"}"#, "has no \"hl7\""),
            (r#"{"about": "connection", "@outcome": "errored"}"#, "has no `@outcome`"),
            (r#"{"about": "connection", "event": "reset"}"#, "has no `event`"),
            (r#"{"about": "outcome", "@key": "k"}"#, "follows"),
            (r#"{"about": "connection", "@event": {}}"#, "a text, a number"),
            (r#"{"about": "nothing"}"#, "nothing"),
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn cases_are_read_and_bounded() {
        assert_eq!(Case::read(b"\0asm\x0d\0\x01\0"), Ok(Vec::new()), "none is fine");
        let one = r#"{"name": "a", "messages": "MSH|", "expected": [{"row": 0, "code": "c", "level": "error"}]}"#;
        let read = Case::read(&component(&format!("[{one}]"))).unwrap();
        assert_eq!((read[0].name.as_str(), read[0].expected[0].level), ("a", Some(Level::Error)));
        assert!(!format!("{read:?}").contains("MSH"));
        let many = format!("[{}]", vec![one; 65].join(","));
        assert_eq!(Case::read(&component(&many)), Err(CasesError::TooMany(65)));
        assert!(matches!(Case::read(&component("[{}]")), Err(CasesError::Shape(_))));
        let long = format!("[{}]", " ".repeat(MAX_BYTES));
        assert!(matches!(Case::read(&component(&long)), Err(CasesError::TooLong(_))));
        let twice = [component("[]"), component("[]")[8..].to_vec()].concat();
        assert_eq!(Case::read(&twice), Err(CasesError::Damaged));
    }
}
