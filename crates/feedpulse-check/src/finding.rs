//! What a check concludes.

use crate::bindings::feedpulse::check::types;

/// How bad, from "for the record" to "somebody must act".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the record.
    Info,
    /// Look at it when there is time.
    Warning,
    /// Something is wrong.
    Error,
    /// Somebody must act now.
    Critical,
}

impl From<Level> for types::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

/// One conclusion. Only what the manifest declares may go into it; see `wit/README.md`.
///
/// ```
/// use feedpulse_check::{Finding, Level};
///
/// let finding = Finding::new("status-regressed", Level::Error)
///     .at("OBR-25")
///     .attr("before", "F")
///     .attr("minutes-since", 12);
/// assert_eq!(finding.attrs[1], ("minutes-since", "12".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Index of the row, set by the kit; none for a finding of a tick.
    pub row: Option<u32>,
    /// Code, declared in the manifest.
    pub code: &'static str,
    /// How bad.
    pub level: Level,
    /// HL7 path, empty for the whole message.
    pub at: String,
    /// Declared names with listed values or numbers.
    pub attrs: Vec<(&'static str, String)>,
    /// Free words; dropped without the grant `free-text`.
    pub text: String,
}

impl Finding {
    /// A finding about the whole message.
    #[must_use]
    pub fn new(code: &'static str, level: Level) -> Self {
        Self { row: None, code, level, at: String::new(), attrs: Vec::new(), text: String::new() }
    }

    /// Says where, as an HL7 path such as `OBX[2]-11`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.at = path.into();
        self
    }

    /// Adds an attribute. The value must be listed in the manifest, or be a number in its range.
    #[must_use]
    pub fn attr(mut self, name: &'static str, value: impl ToString) -> Self {
        self.attrs.push((name, value.to_string()));
        self
    }

    /// Adds free words, for checks with the grant `free-text`. Keep patients out of them.
    #[must_use]
    pub fn text(mut self, words: impl Into<String>) -> Self {
        self.text = words.into();
        self
    }
}

/// Collects the findings of one batch.
#[derive(Debug, Default)]
pub struct Findings {
    pub(crate) row: Option<u32>,
    pub(crate) all: Vec<Finding>,
}

impl Findings {
    /// Adds a finding about the row at hand.
    pub fn push(&mut self, mut finding: Finding) {
        finding.row = self.row;
        self.all.push(finding);
    }
}

impl From<Finding> for types::Finding {
    fn from(f: Finding) -> Self {
        Self {
            row: f.row,
            code: f.code.to_owned(),
            level: f.level.into(),
            at: f.at,
            attrs: f.attrs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            text: f.text,
        }
    }
}
