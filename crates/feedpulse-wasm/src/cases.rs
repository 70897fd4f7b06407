//! The cases that a component carries: messages and what the check must find in them, so that
//! whoever runs a version can see first that it does what its author meant.
//!
//! They are JSON in the custom section `feedpulse:cases`, written when the check is packaged from
//! its folder `cases`. This module reads them; running them needs somebody who can join rows.

use crate::finding::{Finding, Level};
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
    /// HL7 messages, parted by an empty line; they are one batch of one feed.
    pub messages: String,
    /// Settings of the check for this case; none = those of the operator's configuration do not
    /// matter to it, and it gets `{}`.
    #[serde(default)]
    pub settings: Option<serde_json::Value>,
    /// Every finding, in order.
    pub expected: Vec<Expected>,
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
