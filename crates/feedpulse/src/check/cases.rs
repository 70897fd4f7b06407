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
//! What is no message stands in `NAME.rows.json` (in a folder: `rows.json`), beside the messages or
//! alone: ACKs, outcomes, connection events, ticks, as [`feedpulse_wasm::CaseRow`] has them. They come
//! behind the messages, in order.
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
use feedpulse_wasm::{CaseRow, Expected, Grant};
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
    /// What comes behind them, and where it stands.
    pub(crate) rows: Option<(PathBuf, Vec<CaseRow>)>,
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
            let rows = path.join("rows.json");
            if !files.is_empty() || rows.is_file() {
                cases.push(case(name, files, &rows, path.join("expected.json"))?);
            }
        } else if is_hl7(&path) {
            let (rows, expected) =
                (path.with_extension("rows.json"), path.with_extension("expected.json"));
            cases.push(case(name, vec![path], &rows, expected)?);
        } else if let Some(name) = name.strip_suffix(".rows").filter(|_| is_json(&path))
            && let beside = path.with_file_name(name)
            && !beside.with_extension("hl7").is_file()
        {
            let expected = beside.with_extension("expected.json");
            cases.push(case(name.to_owned(), Vec::new(), &path, expected)?);
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

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e| Failure::new(NO_INPUT, anyhow!("{}: {e}", folder.display()));
    let entries = fs::read_dir(folder).map_err(failed)?;
    Ok(entries.flatten().map(|e| e.path()).collect())
}

fn case(
    name: String,
    files: Vec<PathBuf>,
    rows: &Path,
    expected_at: PathBuf,
) -> Result<Case, Failure> {
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
    let mut text = None;
    let expected = parsed(&expected_at, |found| {
        text = Some(found.to_owned());
        Expectation::parse(found)
    })?;
    let stated = expected.as_ref().and_then(|e| e.settings.clone());
    let settings = stated.map(|value| {
        // JSON is YAML, and YAML is read with places.
        let document = Document::of_file(&text.unwrap_or_default(), expected_at.display());
        document.map_or_else(|_| Part::made(value), |d| Part::of(&Arc::new(d), "settings"))
    });
    let rows = parsed(rows, |text| {
        let hint = "a list of rows, such as [{\"about\": \"connection\", \"@event\": \"idle\"}, {\"tick\": 60000}]";
        serde_json::from_str(text).map_err(|e| format!("{e}\nexpected is {hint}"))
    })?
    .map(|found| (rows.to_owned(), found));
    Ok(Case { name, files: read, rows, expected_at, expected, settings })
}

/// A file that may be there.
fn parsed<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text)
            .map(Some)
            .map_err(|e| Failure::new(DATA, anyhow!("{}: {e}", path.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::new(NO_INPUT, anyhow!("{}: {e}", path.display()))),
    }
}

impl Case {
    /// One that a component carries.
    fn carried(case: feedpulse_wasm::Case, plugin: &str) -> Self {
        let at = PathBuf::from(plugin).join(&case.name);
        let messages = Some(case.messages).filter(|text| !text.is_empty());
        let settings = case.settings.filter(|value| !value.is_null());
        Self {
            files: messages.map(|text| (at.clone(), text.into_bytes())).into_iter().collect(),
            rows: Some((at.clone(), case.rows)).filter(|(_, rows)| !rows.is_empty()),
            expected_at: at,
            name: case.name,
            settings: settings.clone().map(Part::made),
            expected: Some(Expectation {
                settings,
                grants: case.grants.iter().map(|grant| grant.name().to_owned()).collect(),
                feed: case.feed,
                now_ms: case.now_ms,
                ticks: case.ticks,
                refuses: case.refuses,
                findings: case.expected,
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
