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
//! `refuses` instead of findings: the check refuses the settings with a sentence that holds this text.

use crate::cli::{DATA, Failure, NO_INPUT};
use anyhow::anyhow;
use feedpulse_wasm::{CaseRow, Finding, Grant, Level};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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
    pub(crate) expected: Option<Expected>,
}

/// What a case expects, and how it is run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expected {
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
    pub(crate) findings: Vec<ExpectedFinding>,
}

/// One finding, as far as the case cares.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedFinding {
    /// Message, from 0; none = about the feed.
    #[serde(default)]
    pub(crate) row: Option<u64>,
    /// The manifest's code, without the check's name.
    pub(crate) code: String,
    /// How bad.
    #[serde(default)]
    pub(crate) level: Option<Level>,
    /// Where.
    #[serde(default)]
    pub(crate) at: Option<String>,
    /// All of them, if stated.
    #[serde(default)]
    pub(crate) attrs: Option<BTreeMap<String, serde_json::Value>>,
}

impl Expected {
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

    /// Its settings as the check gets them.
    pub(crate) fn config(&self) -> String {
        self.settings.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string)
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

impl ExpectedFinding {
    /// What differs from a finding of the same row and code; empty when it is as expected.
    pub(crate) fn differs(&self, found: &Finding) -> Vec<String> {
        let mut all = Vec::new();
        let mut compare = |what: &str, expected: String, found: String| {
            if expected != found {
                all.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        if let Some(level) = self.level {
            compare(
                "level",
                format!("{level:?}").to_lowercase(),
                format!("{:?}", found.level).to_lowercase(),
            );
        }
        if let Some(at) = &self.at {
            compare("at", or_none(at), or_none(&found.at));
        }
        if let Some(attrs) = &self.attrs {
            let text =
                |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            let expected = attrs.iter().map(|(name, v)| (name.clone(), text(v)));
            compare("attrs", words(expected.collect()), words(attrs_of(found)));
        }
        all
    }
}

/// Attributes by name.
pub(crate) fn attrs_of(found: &Finding) -> BTreeMap<String, String> {
    found.attrs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Attributes in words.
pub(crate) fn words(attrs: BTreeMap<String, String>) -> String {
    let all: Vec<String> =
        attrs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    or_none(&all.join(" "))
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}

/// The cases in a folder, in order of name.
///
/// # Errors
/// A file that cannot be read, or an expectation that is none.
pub(crate) fn load(folder: &Path) -> Result<Vec<Case>, Failure> {
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
    let expected = parsed(&expected_at, Expected::parse)?;
    let rows = parsed(rows, |text| {
        let hint = "a list of rows, such as [{\"about\": \"connection\", \"@event\": \"idle\"}, {\"tick\": 60000}]";
        serde_json::from_str(text).map_err(|e| format!("{e}\nexpected is {hint}"))
    })?
    .map(|found| (rows.to_owned(), found));
    Ok(Case { name, files: read, rows, expected_at, expected })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_errors_say_what_is_expected() {
        let list =
            Expected::parse("[{\"row\": 0, \"code\": \"a\", \"attrs\": {\"n\": 3}}]").unwrap();
        assert_eq!((list.findings.len(), list.config()), (1, "{}".to_owned()));
        let object =
            "{\"settings\": {\"a\": 1}, \"grants\": [\"get\"], \"ticks\": [5], \"findings\": []}";
        let object = Expected::parse(object).unwrap();
        assert_eq!(
            (object.config(), object.grants()),
            ("{\"a\":1}".to_owned(), Ok(vec![Grant::Get]))
        );
        for bad in ["", "[{\"row\": 0}]", "{\"finding\": []}", "[{\"code\": 1}]", "[", "x"] {
            let said = Expected::parse(bad).unwrap_err();
            assert!(said.contains("line") && said.contains("--accept"), "{bad}: {said}");
        }
        assert!(grants(&["root".to_owned()]).unwrap_err().contains("free-text"));
    }
}
