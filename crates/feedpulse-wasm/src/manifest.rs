//! What a check says about itself: read from the component, checked, never run.

use crate::about::{About, having};
use crate::declared::FromSettings;
use crate::finding::Level;
use crate::packed::unpack;
use crate::path::Field;
use crate::section::{self, SectionError};
use crate::served;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Name of the custom section that holds the manifest as JSON.
const SECTION: &str = "feedpulse:plugin";
/// Longest manifest, bytes.
const MAX_BYTES: usize = 64 << 10;
/// Most declared fields, codes or attributes.
pub(crate) const MAX_ITEMS: usize = 64;
/// Longest text of a code, bytes.
pub(crate) const MAX_TEXT: usize = 2000;
/// Most whole numbers that an attribute can tell apart: the digits of one are too few for the
/// record number of a patient.
const MAX_SPAN: u64 = 1_000_001;
/// Most bits that the attributes of a finding can hold together.
const MAX_ATTR_BITS: u32 = 64;

/// A check's own description. The format is in `wit/README.md`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Kebab-case name; the first half of every code.
    pub name: String,
    /// Version of the check, `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// The interface it is built for, `feedpulse:check@0.1.N`.
    pub wit: String,
    /// One sentence.
    #[serde(default)]
    pub summary: String,
    /// Message types to hand over, `ORU^R01` or `ORU^*`; empty = all.
    #[serde(default)]
    pub message_types: Vec<String>,
    /// What it wants rows about: messages where nothing is said.
    #[serde(default = "messages")]
    pub about: BTreeSet<About>,
    /// Fields of a row, in order.
    #[serde(deserialize_with = "fields")]
    pub fields: Vec<Field>,
    /// What it asks for beyond its fields.
    #[serde(default)]
    pub grants: BTreeSet<Grant>,
    /// What it can find.
    #[serde(default)]
    pub codes: BTreeMap<String, Code>,
    /// Attributes of its findings.
    #[serde(default)]
    pub attrs: BTreeMap<String, Attr>,
    /// What the author expects it to use.
    #[serde(default)]
    pub budget: Budget,
    /// Where the operator's settings declare more fields and codes.
    #[serde(default)]
    pub from_settings: Option<FromSettings>,
    /// The JSON Schema of its settings. Hosts hold settings against it before the check sees them.
    #[serde(default)]
    pub settings: Option<serde_json::Value>,
}

/// Something that reaches beyond the declared fields, and so needs the operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Read any field of the messages at hand.
    Get,
    /// Read whole messages.
    Raw,
    /// Words of its own in findings and in the log, which may quote patients.
    FreeText,
}

impl Grant {
    /// Every grant.
    pub const ALL: [Self; 3] = [Self::Get, Self::Raw, Self::FreeText];

    /// Its name in manifests and configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Raw => "raw",
            Self::FreeText => "free-text",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// One thing that a check can find, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// A short title.
    pub title: String,
    /// What it means.
    pub explanation: String,
    /// What to do.
    pub remedy: String,
    /// How bad it is at most.
    pub level: Level,
}

/// The values that an attribute may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Attr {
    /// One of these.
    Listed {
        /// The values, at most 64.
        values: BTreeSet<String>,
    },
    /// A whole number between both, inclusive.
    Number {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
}

/// What the author expects the check to use; shown to the operator, raises no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    /// Microseconds per row.
    pub us_per_row: Option<u32>,
    /// Memory, MiB.
    pub memory_mib: Option<u32>,
}

/// Why a component has no usable manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The file is something else.
    #[error("this is not a WebAssembly component; give the .wasm file that the check's build made")]
    NotComponent,
    /// The file is what rustc makes, before packaging.
    #[error(
        "this is a core WebAssembly module, not a component; package it with `feedpulse check build`"
    )]
    CoreModule,
    /// The file ends too early.
    #[error("the component is cut short or damaged; build or copy it again")]
    Damaged,
    /// Packed with gzip, and too long when it is unpacked.
    #[error("the packed component holds more than 67108864 bytes")]
    UnpacksTooLong,
    /// There is no manifest, or there are two.
    #[error(
        "the component must carry its manifest once, in the custom section `feedpulse:plugin`; package it with `feedpulse check build`"
    )]
    NotOne,
    /// Too long.
    #[error("the manifest has {0} bytes, more than 65536")]
    TooLong(usize),
    /// A key is missing, unknown or of the wrong type.
    #[error("manifest: {0}")]
    Shape(String),
    /// Keys with wrong values, all of them.
    #[error("manifest: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Values(Vec<Problem>),
}

/// One wrong value in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `codes.room-missing.title`.
    pub key: String,
    /// What is expected.
    pub expected: Cow<'static, str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.expected)
    }
}

impl Manifest {
    /// Reads the manifest of a component, packed with gzip or not, without running it.
    ///
    /// # Errors
    /// When the bytes are no component, or what is wrong with the manifest: all wrong values at once.
    pub fn read(wasm: &[u8]) -> Result<Self, ManifestError> {
        let wasm = unpack(wasm)?;
        let json = section::find(&wasm, SECTION).map_err(|e| match e {
            SectionError::NotWasm => ManifestError::NotComponent,
            SectionError::CoreModule => ManifestError::CoreModule,
            SectionError::Broken => ManifestError::Damaged,
            SectionError::Missing | SectionError::Twice => ManifestError::NotOne,
        })?;
        Self::parse(json)
    }

    /// Reads a manifest from its JSON.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > MAX_BYTES {
            return Err(ManifestError::TooLong(json.len()));
        }
        let manifest: Self =
            serde_json::from_slice(json).map_err(|e| ManifestError::Shape(e.to_string()))?;
        let problems = manifest.problems();
        if problems.is_empty() { Ok(manifest) } else { Err(ManifestError::Values(problems)) }
    }

    /// Whether messages of this type (MSH-9.1 and MSH-9.2) go to the check.
    #[must_use]
    pub fn wants(&self, code: &str, trigger: &str) -> bool {
        self.message_types.is_empty()
            || self.message_types.iter().filter_map(|t| t.split_once('^')).any(
                |(wanted_code, wanted)| wanted_code == code && (wanted == "*" || wanted == trigger),
            )
    }

    /// The operator's grants, without those that the manifest does not ask for.
    pub(crate) fn granted(&self, given: &[Grant]) -> BTreeSet<Grant> {
        given.iter().copied().filter(|grant| self.grants.contains(grant)).collect()
    }

    /// Every value that is not as it should be.
    fn problems(&self) -> Vec<Problem> {
        let mut all = Problems(Vec::new());
        all.unless(is_name(&self.name), "name", NAME);
        all.unless(is_version(&self.version), "version", "three numbers with dots, such as 0.1.0");
        all.unless(served::place(&self.wit).is_some(), "wit", served::SPOKEN);
        all.unless(self.summary.len() <= MAX_TEXT, "summary", TEXT);
        for (n, text) in self.message_types.iter().enumerate() {
            let ok = is_message_type(text);
            all.unless(ok, &format!("message-types[{n}]"), "a type such as ORU^R01 or ORU^*");
        }
        all.unless((1..=MAX_ITEMS).contains(&self.fields.len()), "fields", "1 to 64 fields");
        let distinct = self.fields.iter().collect::<std::collections::HashSet<_>>().len();
        all.unless(distinct == self.fields.len(), "fields", "each field once");
        self.kind_problems(&mut all);
        let by_settings = self.from_settings.as_ref();
        let fewest = usize::from(by_settings.is_none_or(|from| from.codes.is_none()));
        all.unless((fewest..=MAX_ITEMS).contains(&self.codes.len()), "codes", "1 to 64 codes");
        if let Some(from) = by_settings {
            let ok =
                from.places().all(|place| place.starts_with('/')) && from.fields.len() <= MAX_ITEMS;
            all.unless(ok, "from-settings", "at most 64 places, each such as /rules/*/path");
        }
        let schema = self.settings.as_ref().is_none_or(serde_json::Value::is_object);
        all.unless(schema, "settings", "a JSON Schema, which is an object");
        for (name, code) in &self.codes {
            all.unless(is_name(name), &format!("codes.{name}"), NAME);
            for (key, text) in [
                ("title", &code.title),
                ("explanation", &code.explanation),
                ("remedy", &code.remedy),
            ] {
                let ok = !text.trim().is_empty() && text.len() <= MAX_TEXT;
                all.unless(ok, &format!("codes.{name}.{key}"), TEXT);
            }
        }
        self.attr_problems(&mut all);
        all.0
    }

    /// Whether each declared field is one that a row of a declared kind can have.
    fn kind_problems(&self, all: &mut Problems) {
        all.unless(
            !self.about.is_empty(),
            "about",
            "at least one of message, ack, outcome, connection",
        );
        let kinds: Vec<_> = self.about.iter().map(|about| about.name()).collect();
        for (n, field) in self.fields.iter().enumerate() {
            let had = self.about.is_empty() || self.about.iter().any(|about| field.is_of(*about));
            let expected = format!(
                "`{field}` is a field of rows about {}, and `about` names only {}",
                having(field),
                kinds.join(", ")
            );
            all.unless(had, &format!("fields[{n}]"), expected);
        }
    }

    /// What is wrong with the attributes.
    fn attr_problems(&self, all: &mut Problems) {
        all.unless(self.attrs.len() <= MAX_ITEMS, "attrs", "at most 64 attributes");
        for (name, attr) in &self.attrs {
            all.unless(is_name(name), &format!("attrs.{name}"), NAME);
            match attr {
                Attr::Listed { values } => {
                    let fits =
                        |v: &String| (1..=64).contains(&v.len()) && !v.contains(char::is_control);
                    let ok = (1..=MAX_ITEMS).contains(&values.len()) && values.iter().all(fits);
                    let key = format!("attrs.{name}.values");
                    all.unless(ok, &key, "1 to 64 values of 1 to 64 bytes");
                }
                Attr::Number { min, max } => {
                    let key = format!("attrs.{name}");
                    all.unless(min <= max, &key, "min is not above max");
                    all.unless(min > max || attr.choices() <= MAX_SPAN, &key, SPAN);
                }
            }
        }
        let bits = self.attr_bits();
        let expected = format!(
            "at most {MAX_ATTR_BITS} bits over all attributes, so that no finding can hold an \
             identifier; these can hold {bits}: take coarser units, shorter lists or fewer attributes"
        );
        all.unless(bits <= MAX_ATTR_BITS, "attrs", expected);
    }

    /// The most bits that the attributes of one finding can hold together. A check could hide as
    /// many bits of what it read in its choice of values; `wit/README.md` says more.
    #[must_use]
    pub fn attr_bits(&self) -> u32 {
        // an attribute may also be left out
        self.attrs.values().map(|attr| u64::BITS - attr.choices().leading_zeros()).sum()
    }
}

impl Attr {
    /// How many values it can have.
    fn choices(&self) -> u64 {
        match self {
            Self::Listed { values } => values.len() as u64,
            Self::Number { min, max } => max.abs_diff(*min).saturating_add(1),
        }
    }
}

/// Rows about messages only.
fn messages() -> BTreeSet<About> {
    BTreeSet::from([About::Message])
}

/// What is expected of a name.
pub(crate) const NAME: &str = "a name of lower-case letters, digits and single hyphens that starts with a letter, of at most 64";
/// What is expected of a range.
const SPAN: &str = "min and max at most 1000000 apart: a wider range could hold the number of a patient; take a coarser unit";
/// What is expected of a text.
pub(crate) const TEXT: &str = "a text of at most 2000 bytes";

/// Collects [`Problem`]s.
struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem unless all is well.
    fn unless(&mut self, ok: bool, key: &str, expected: impl Into<Cow<'static, str>>) {
        if !ok {
            self.0.push(Problem { key: key.to_owned(), expected: expected.into() });
        }
    }
}

/// Kebab-case.
pub(crate) fn is_name(text: &str) -> bool {
    let part =
        |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(part)
}

/// `MAJOR.MINOR.PATCH`, with an optional pre-release of letters, digits, dots and hyphens.
fn is_version(text: &str) -> bool {
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let pre_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    text.len() <= 64
        && core.split('.').count() == 3
        && core.split('.').all(|n| n.parse::<u32>().is_ok_and(|v| v.to_string() == n))
        && pre.is_none_or(|pre| !pre.is_empty() && pre.chars().all(pre_char))
}

/// `ORU^R01` or `ORU^*`.
fn is_message_type(text: &str) -> bool {
    let three =
        |t: &str| t.len() == 3 && t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    text.split_once('^')
        .is_some_and(|(code, trigger)| three(code) && (trigger == "*" || three(trigger)))
}

/// Reads the declared fields, so that an error names the one that is wrong.
fn fields<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Field>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |text: &String| {
        Field::parse(text).map_err(|e| serde::de::Error::custom(format!("fields: `{text}`: {e}")))
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "name": "room-present", "version": "1.2.3-rc.1", "wit": "feedpulse:check@0.1.0",
            "message-types": ["ADT^*", "ORU^R01"], "fields": ["PV1-3", "@received-ms"], "grants": ["free-text"],
            "codes": {"room-missing": {"title": "t", "explanation": "e", "remedy": "r", "level": "error"}},
            "attrs": {"kind": {"values": ["a"]}, "age": {"min": 0, "max": 9}},
        })
    }

    fn parse(value: &Value) -> Result<Manifest, ManifestError> {
        Manifest::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_full_manifest_is_read() {
        let manifest = parse(&good()).unwrap();
        assert_eq!(manifest.fields[1], Field::ReceivedMs);
        assert_eq!(manifest.attrs["age"], Attr::Number { min: 0, max: 9 });
        assert_eq!(manifest.about, messages(), "messages, where nothing is said");
        assert_eq!(manifest.attr_bits(), 4 + 1, "ten numbers or none, one value or none");
        assert!(manifest.wants("ADT", "A08") && manifest.wants("ORU", "R01"));
        assert!(!manifest.wants("ORU", "R30") && !manifest.wants("SIU", "S12"));
        assert!(manifest.granted(&[Grant::Raw]).is_empty(), "not asked for, so not granted");
    }

    #[test]
    fn every_wrong_value_is_named_at_once() {
        let mut bad = good();
        bad["name"] = json!("Room Present");
        bad["version"] = json!("1.02.3");
        bad["wit"] = json!("feedpulse:check@0.2.0");
        bad["message-types"] = json!(["ORU"]);
        bad["codes"] =
            json!({"Bad": {"title": "", "explanation": "e", "remedy": "r", "level": "info"}});
        bad["attrs"] = json!({"age": {"min": 3, "max": 2}, "kind": {"values": []}});
        let Err(ManifestError::Values(problems)) = parse(&bad) else { panic!("accepted") };
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        let all = [
            "name",
            "version",
            "wit",
            "message-types[0]",
            "codes.Bad",
            "codes.Bad.title",
            "attrs.age",
            "attrs.kind.values",
        ];
        assert_eq!(keys, all);
    }

    #[test]
    fn a_field_that_no_declared_kind_has_is_named_with_the_kinds_that_have_it() {
        let says = |about: Value, fields: Value| {
            let mut one = good();
            (one["about"], one["fields"]) = (about, fields);
            parse(&one).map_err(|e| e.to_string())
        };
        let all = json!(["message", "ack", "outcome", "connection"]);
        assert!(says(all, json!(["PID-3", "@about", "@event", "@outcome"])).is_ok());
        let error = says(json!(["connection"]), json!(["@event", "PID-3"])).unwrap_err();
        let expected = "fields[1]: `PID-3` is a field of rows about message or ack, and `about` names only connection";
        assert!(error.contains(expected), "{error}");
        let error = says(json!(["message"]), json!(["@outcome"])).unwrap_err();
        assert!(error.contains("rows about outcome"), "{error}");
        assert!(says(json!([]), json!(["PID-3"])).unwrap_err().contains("at least one of"));
        assert!(says(json!(["acks"]), json!(["PID-3"])).unwrap_err().contains("unknown variant"));
        assert!(says(json!(["ack"]), json!(["@acks"])).unwrap_err().contains("`@acks`"));
    }

    #[test]
    fn attributes_hold_too_little_for_the_number_of_a_patient() {
        let says = |attrs: Value| {
            let mut one = good();
            one["attrs"] = attrs;
            parse(&one).map_err(|e| e.to_string())
        };
        assert!(says(json!({"n": {"min": -500_000, "max": 500_000}})).is_ok());
        assert!(says(json!({"n": {"min": 0, "max": 1_000_001}})).unwrap_err().contains("1000000"));
        let wide = json!({"min": i64::MIN, "max": i64::MAX});
        assert!(says(json!({"n": wide})).unwrap_err().contains("attrs.n: min and max"));
        let digits = |n: usize| {
            let one = |n: usize| (format!("d{n}"), json!({"min": 0, "max": 9}));
            Value::Object((0..n).map(one).collect())
        };
        assert!(says(digits(16)).is_ok());
        assert!(says(digits(17)).unwrap_err().contains("these can hold 68"));
    }

    #[test]
    fn wrong_shapes_say_what_and_where() {
        let says = |key: &str, value: Value| {
            let mut bad = good();
            bad[key] = value;
            parse(&bad).unwrap_err().to_string()
        };
        assert!(says("fields", json!(["PID-3", "PID3"])).contains("`PID3`"));
        assert!(says("fields", json!(["PID-3", "PID-3"])).contains("each field once"));
        assert!(says("fileds", json!([])).contains("unknown field `fileds`"));
        assert!(says("grants", json!(["root"])).contains("unknown variant `root`"));
        assert!(says("name", json!("x".repeat(MAX_BYTES))).contains("65536"));
    }

    #[test]
    fn files_that_are_no_component_are_told_apart() {
        assert_eq!(Manifest::read(b"MSH|^~\\&|"), Err(ManifestError::NotComponent));
        assert_eq!(Manifest::read(b"\0asm\x01\0\0\0"), Err(ManifestError::CoreModule));
        assert_eq!(Manifest::read(b"\0asm\x0d\0\x01\0"), Err(ManifestError::NotOne));
        assert_eq!(Manifest::read(b"\0asm\x0d\0\x01\0\0\x09"), Err(ManifestError::Damaged));
    }
}
