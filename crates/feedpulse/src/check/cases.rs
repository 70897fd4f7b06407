//! Cases of a check: messages, and what shall be found in them.
//!
//! `cases/NAME.hl7` with `NAME.expected.json` beside it, or a folder `cases/NAME/` with any number of
//! `.hl7` files, taken in order of name, and `expected.json`. The messages of a case are one sequence
//! of one feed. Expected is an array of findings, or an object with settings beside them:
//!
//! ```json
//! {"settings": {"limit": 5}, "grants": ["get"], "feed": "adt", "ticks": [60000],
//!  "findings": [{"row": 1, "code": "room-missing", "level": "warning", "at": "PV1-3", "attrs": {"n": 3}}]}
//! ```
//!
//! `row` counts messages from 0 (left out: about the feed). Of a finding `level`, `at` and `attrs` are
//! compared where they are stated. `ticks` calls the ticker so many milliseconds after the messages.
//! `refuses` instead of findings: the settings are refused with a text that holds this one.
//!
//! A finding is [`Expected`], the same that a component carries in its own cases.

use super::named::Named;
use crate::cli::{DATA, Failure, NO_INPUT};
use crate::config::document::{Document, Part};
use anyhow::anyhow;
use feedpulse_wasm::{Expected, Grant};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most cases of a check.
const MAX_CASES: usize = 1000;
/// Largest file of messages, bytes.
const MAX_BYTES: u64 = 64 << 20;

/// One case.
pub(crate) struct Case {
    /// From the root of the cases.
    pub(crate) name: String,
    /// Its messages, file by file.
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
    /// Where the expectation is, or would be.
    pub(crate) expected_at: PathBuf,
    /// What is expected; none = there is no such file.
    pub(crate) expected: Option<Expectation>,
    /// Its own settings with their places.
    pub(crate) settings: Option<Part>,
}

/// What a case expects, and how it is run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expectation {
    /// Handed to the check as they are.
    #[serde(default)]
    pub(crate) settings: Option<serde_json::Value>,
    /// Given by the operator.
    #[serde(default)]
    pub(crate) grants: Vec<String>,
    /// Name of the feed; `case` when left out.
    #[serde(default)]
    pub(crate) feed: Option<String>,
    /// The wall clock, milliseconds since 1970.
    #[serde(default)]
    pub(crate) now_ms: Option<u64>,
    /// Ticks after the messages, milliseconds after them.
    #[serde(default)]
    pub(crate) ticks: Vec<u64>,
    /// Part of the sentence by which the settings are refused.
    #[serde(default)]
    pub(crate) refuses: Option<String>,
    /// In any order.
    #[serde(default)]
    pub(crate) findings: Vec<Expected>,
}

impl Expectation {
    /// Reads an expectation.
    ///
    /// # Errors
    /// Line, column and what is expected.
    fn parse(text: &str) -> Result<Self, String> {
        let hint = |e: serde_json::Error| {
            format!(
                "{e}\nexpected is an array of findings, such as \
                 [{{\"row\": 0, \"code\": \"CODE\", \"at\": \"PV1-3\"}}], [] for none, or an object with \
                 settings, grants, feed, now-ms, ticks, refuses, findings; \
                 `feedpulse check test --accept` writes it"
            )
        };
        if text.trim_start().starts_with('[') {
            let findings = serde_json::from_str(text).map_err(hint)?;
            return Ok(Self { findings, ..Self::default() });
        }
        serde_json::from_str(text).map_err(hint)
    }

    /// Its grants.
    ///
    /// # Errors
    /// A name that is no grant.
    pub(crate) fn grants(&self) -> Result<Vec<Grant>, String> {
        grants(&self.grants)
    }
}

/// Grants by name.
///
/// # Errors
/// A name that is none.
pub(crate) fn grants(names: &[String]) -> Result<Vec<Grant>, String> {
    let one = |name: &String| {
        Grant::ALL
            .into_iter()
            .find(|g| g.name() == name)
            .ok_or_else(|| format!("{name:?} is no grant; there are get, raw and free-text"))
    };
    names.iter().map(one).collect()
}

/// What differs of a finding of the same row and code; empty when it is as expected.
pub(crate) fn differs(expected: &Expected, found: &Expected) -> Vec<String> {
    let mut all = Vec::new();
    let mut compare = |what: &str, stated: bool, expected: String, found: String| {
        if stated && expected != found {
            all.push(format!("{what}: expected {expected}, found {found}"));
        }
    };
    let level = |e: &Expected| e.level.map(|l| format!("{l:?}").to_lowercase()).unwrap_or_default();
    compare("level", expected.level.is_some(), level(expected), level(found));
    let at = |e: &Expected| or_none(e.at.as_deref().unwrap_or_default());
    compare("at", expected.at.is_some(), at(expected), at(found));
    compare("attrs", expected.attrs.is_some(), words(expected), words(found));
    all
}

/// Attributes in words.
pub(crate) fn words(of: &Expected) -> String {
    let attrs = of.attrs.iter().flatten();
    let all: Vec<String> = attrs.map(|(name, value)| format!("{name}={value}")).collect();
    or_none(&all.join(" "))
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}

/// The cases of a check: in a folder that is stated, else beside it, else those that it carries.
///
/// # Errors
/// A file that cannot be read, or an expectation that is none.
pub(crate) fn of(named: &Named, stated: Option<&Path>) -> Result<Vec<Case>, Failure> {
    if let Some(folder) = stated.or(named.cases.as_deref().filter(|folder| folder.is_dir())) {
        return load(folder);
    }
    let failed = |e| Failure::new(DATA, anyhow!("{}: {e}", named.plugin));
    let carried = feedpulse_wasm::Case::read(&named.wasm).map_err(failed)?;
    Ok(carried.into_iter().map(|case| Case::carried(case, &named.plugin)).collect())
}

/// The cases in a folder, in order of name.
fn load(folder: &Path) -> Result<Vec<Case>, Failure> {
    let mut entries = listed(folder)?;
    entries.sort();
    let mut cases = Vec::new();
    for path in entries {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let mut files: Vec<PathBuf> =
                listed(&path)?.into_iter().filter(|p| is_hl7(p)).collect();
            files.sort();
            if !files.is_empty() {
                cases.push(case(name, files, path.join("expected.json"))?);
            }
        } else if is_hl7(&path) {
            let expected = path.with_extension("expected.json");
            cases.push(case(name, vec![path], expected)?);
        }
    }
    if cases.len() > MAX_CASES {
        let error = anyhow!("{}: {} cases, at most {MAX_CASES}", folder.display(), cases.len());
        return Err(Failure::new(DATA, error));
    }
    Ok(cases)
}

fn is_hl7(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("hl7"))
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e| Failure::new(NO_INPUT, anyhow!("{}: {e}", folder.display()));
    let entries = fs::read_dir(folder).map_err(failed)?;
    Ok(entries.flatten().map(|e| e.path()).collect())
}

fn case(name: String, files: Vec<PathBuf>, expected_at: PathBuf) -> Result<Case, Failure> {
    let mut read = Vec::new();
    for path in files {
        let failed = |e| Failure::new(NO_INPUT, anyhow!("{}: {e}", path.display()));
        let length = fs::metadata(&path).map_err(failed)?.len();
        if length > MAX_BYTES {
            let error = anyhow!("{}: {length} bytes, at most {MAX_BYTES}", path.display());
            return Err(Failure::new(DATA, error));
        }
        let bytes = fs::read(&path).map_err(failed)?;
        read.push((path, bytes));
    }
    let text = match fs::read_to_string(&expected_at) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Failure::new(NO_INPUT, anyhow!("{}: {e}", expected_at.display()))),
    };
    let parsed = text.as_deref().map(Expectation::parse).transpose();
    let expected =
        parsed.map_err(|e| Failure::new(DATA, anyhow!("{}: {e}", expected_at.display())))?;
    let stated = expected.as_ref().and_then(|e| e.settings.clone());
    let settings = stated.map(|value| {
        // JSON is YAML, and YAML is read with places.
        let document = Document::of_file(&text.unwrap_or_default(), expected_at.display());
        document.map_or_else(|_| Part::made(value), |d| Part::of(&Arc::new(d), "settings"))
    });
    Ok(Case { name, files: read, expected_at, expected, settings })
}

impl Case {
    /// One that a component carries.
    fn carried(case: feedpulse_wasm::Case, plugin: &str) -> Self {
        let at = PathBuf::from(plugin);
        Self {
            files: vec![(at.join(&case.name), case.messages.into_bytes())],
            expected_at: at.join(&case.name),
            name: case.name,
            settings: case.settings.clone().filter(|value| !value.is_null()).map(Part::made),
            expected: Some(Expectation {
                settings: case.settings,
                findings: case.expected,
                ..Expectation::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_errors_say_what_is_expected() {
        let list =
            Expectation::parse("[{\"row\": 0, \"code\": \"a\", \"attrs\": {\"n\": 3}}]").unwrap();
        assert_eq!(words(&list.findings[0]), "n=3");
        let object =
            "{\"settings\": {\"a\": 1}, \"grants\": [\"get\"], \"ticks\": [5], \"findings\": []}";
        let object = Expectation::parse(object).unwrap();
        assert_eq!(object.settings, Some(serde_json::json!({"a": 1})));
        assert_eq!(object.grants(), Ok(vec![Grant::Get]));
        for bad in ["", "[{\"row\": 0}]", "{\"finding\": []}", "[{\"code\": 1}]", "[", "x"] {
            let said = Expectation::parse(bad).unwrap_err();
            assert!(said.contains("line") && said.contains("--accept"), "{bad}: {said}");
        }
        assert!(grants(&["root".to_owned()]).unwrap_err().contains("free-text"));
    }
}
