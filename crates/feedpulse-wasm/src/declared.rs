//! What an operator's settings declare in the place of the author: fields to read and codes with
//! their words.
//!
//! A check that is driven by settings cannot know its fields and findings when it is built. Its
//! manifest says where in the settings they stand (`[from-settings]`), and the host reads them there,
//! so that they are declared and approved like all others: the operator, who writes the settings, is
//! the one who approves. Nothing of a message ever reaches the words.

use crate::finding::Level;
use crate::manifest::{Code, MAX_ITEMS, MAX_TEXT, Manifest, NAME, Problem, TEXT, is_name};
use crate::path::Field;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most values that the settings may hold where fields are looked for.
const MAX_FOUND: usize = 4096;

/// Where in the settings declarations stand. Places are JSON pointers (RFC 6901) in which `*` stands
/// for each item of a list and each value of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FromSettings {
    /// Places of texts, each of which is a declared field.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Place of the objects that each declare a code: `name`, `title`, and optionally `explanation`,
    /// `remedy` and `level`; their other keys are the check's own.
    pub codes: Option<String>,
    /// What a code says that has no `explanation`.
    #[serde(default)]
    pub explanation: String,
    /// What a code says that has no `remedy`.
    #[serde(default)]
    pub remedy: String,
    /// How bad a code is at most that has no `level`.
    pub level: Option<Level>,
}

impl FromSettings {
    /// All places.
    pub(crate) fn places(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().chain(&self.codes).map(String::as_str)
    }
}

/// What is wrong with settings, all of it: a place in them and what is expected there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct SettingsError(pub Vec<Problem>);

impl Manifest {
    /// The manifest with what these settings (JSON) declare: the author's fields first, then those of
    /// the settings, each once, in the order of their text.
    ///
    /// # Errors
    /// Every place in the settings that does not declare what it should.
    pub fn with_settings(&self, config: &str) -> Result<Self, SettingsError> {
        let mut whole = self.clone();
        let Some(from) = &self.from_settings else { return Ok(whole) };
        let settings: Value = serde_json::from_str(config)
            .map_err(|e| SettingsError(vec![problem("", format!("JSON is expected: {e}"))]))?;
        let mut problems = Vec::new();
        let mut fields = BTreeMap::new();
        for (place, value) in from.fields.iter().flat_map(|place| find(&settings, place)) {
            let read = value.as_str().ok_or_else(|| "a path such as PID-3.1".to_owned());
            let parsed = read.and_then(|text| {
                Field::parse(text).map(|f| (text, f)).map_err(|e| match Field::meant(text) {
                    Some(meant) => format!("`{text}` is no path; did you mean `{meant}`?"),
                    None => format!("`{text}` is no path: {e}"),
                })
            });
            match parsed {
                Ok((text, field)) => _ = fields.insert(text.to_owned(), field),
                Err(expected) => problems.push(problem(&place, expected)),
            }
        }
        fields.retain(|_, field| !self.fields.contains(field));
        whole.fields.extend(fields.into_values());
        if whole.fields.len() > MAX_ITEMS {
            let n = whole.fields.len();
            problems.push(problem("", format!("at most {MAX_ITEMS} fields, not {n}")));
        }
        for (place, value) in from.codes.iter().flat_map(|place| find(&settings, place)) {
            declare(from, &place, value, &mut whole.codes, &mut problems);
        }
        if whole.codes.len() > MAX_ITEMS {
            let n = whole.codes.len();
            problems.push(problem("", format!("at most {MAX_ITEMS} codes, not {n}")));
        }
        if problems.is_empty() { Ok(whole) } else { Err(SettingsError(problems)) }
    }
}

/// Adds the code that one object declares.
fn declare(
    from: &FromSettings,
    place: &str,
    value: &Value,
    codes: &mut BTreeMap<String, Code>,
    problems: &mut Vec<Problem>,
) {
    let text = |key: &str, otherwise: &str| match value.get(key) {
        None => otherwise.to_owned(),
        Some(text) => text.as_str().unwrap_or_default().trim().to_owned(),
    };
    let mut check = |key: &str, ok: bool, expected: &str| {
        if !ok {
            problems.push(problem(&format!("{place}/{key}"), expected.to_owned()));
        }
    };
    let name = text("name", "");
    check("name", is_name(&name), NAME);
    check("name", !codes.contains_key(&name), "a name that no other has");
    let code = Code {
        title: text("title", ""),
        explanation: text("explanation", &from.explanation),
        remedy: text("remedy", &from.remedy),
        level: match value.get("level") {
            None => from.level.unwrap_or(Level::Warning),
            Some(level) => {
                let level = Level::deserialize(level).ok();
                check("level", level.is_some(), "one of info, warning, error, critical");
                level.unwrap_or(Level::Info)
            }
        },
    };
    for (key, text) in
        [("title", &code.title), ("explanation", &code.explanation), ("remedy", &code.remedy)]
    {
        check(key, (1..=MAX_TEXT).contains(&text.len()), TEXT);
    }
    codes.insert(name, code);
}

/// The values at a place, each with its own.
fn find<'a>(settings: &'a Value, place: &str) -> Vec<(String, &'a Value)> {
    let mut found = vec![(String::new(), settings)];
    for step in place.split('/').skip(1) {
        let mut next = Vec::new();
        for (path, value) in found {
            let at =
                |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") };
            match value {
                Value::Array(items) if step == "*" => {
                    next.extend(
                        (0..).zip(items).map(|(n, item): (usize, _)| (at(&n.to_string()), item)),
                    );
                }
                Value::Object(items) if step == "*" => {
                    next.extend(items.iter().map(|(key, item)| (at(key), item)));
                }
                Value::Object(items) => next.extend(items.get(step).map(|item| (at(step), item))),
                _ => {}
            }
            next.truncate(MAX_FOUND);
        }
        found = next;
    }
    found
}

/// One wrong place.
fn problem(place: &str, expected: String) -> Problem {
    let key = if place.is_empty() { "settings".to_owned() } else { place.to_owned() };
    Problem { key, expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let text = json!({
            "name": "by-hand", "version": "0.1.0", "wit": "feedpulse:check@0.1.0", "fields": ["@type", "PID-8"],
            "from-settings": {
                "fields": ["/rules/*/path", "/rules/*/when/*/path", "/more/*"], "codes": "/rules/*",
                "explanation": "A rule is broken.", "level": "error"
            },
        });
        Manifest::parse(text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn fields_and_codes_come_from_the_settings() {
        let settings = json!({"more": {"a": "ZX1-2", "b": "PID-8"}, "rules": [
            {"name": "one", "title": "One", "remedy": "Do.", "path": "PV1-2", "when": [{"path": "MSH-4"}]},
            {"name": "two", "title": "Two", "remedy": "Do.", "path": "PV1-2", "level": "info", "other": 1},
        ]});
        let whole = manifest().with_settings(&settings.to_string()).unwrap();
        let fields: Vec<String> = whole.fields.iter().map(ToString::to_string).collect();
        assert_eq!(fields, ["@type", "PID-8", "MSH-4", "PV1-2", "ZX1-2"], "each once, sorted");
        assert_eq!(whole.codes["one"].explanation, "A rule is broken.");
        assert_eq!(
            (whole.codes["one"].level, whole.codes["two"].level),
            (Level::Error, Level::Info)
        );
    }

    #[test]
    fn every_wrong_place_is_named() {
        let settings = json!({"rules": [
            {"name": "One", "title": "One", "remedy": "Do.", "path": "PV1"},
            {"name": "two", "title": " ", "remedy": "Do.", "path": "OBX[2]-5", "level": "bad"},
            {"name": "two", "title": "Two", "remedy": "Do.", "path": 7},
            {"name": "four", "title": "Four", "path": "PV1-2"},
        ]});
        let SettingsError(all) = manifest().with_settings(&settings.to_string()).unwrap_err();
        let keys: Vec<_> = all.iter().map(|p| p.key.as_str()).collect();
        let expected = [
            "rules/0/path",
            "rules/1/path",
            "rules/2/path",
            "rules/0/name",
            "rules/1/level",
            "rules/1/title",
            "rules/2/name",
            "rules/3/remedy",
        ];
        assert_eq!(keys, expected, "{all:?}");
        assert!(manifest().with_settings("{").is_err());
        let many: Vec<String> = (1..80).map(|n| format!("PID-{n}")).collect();
        assert!(manifest().with_settings(&json!({ "more": many }).to_string()).is_err());
    }

    #[test]
    fn a_check_without_the_section_takes_nothing_from_settings() {
        let plain = Manifest { from_settings: None, ..manifest() };
        assert_eq!(plain.with_settings("no json").unwrap(), plain);
    }
}
