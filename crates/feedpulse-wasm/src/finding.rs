//! What comes out: findings of a check, faults of a check, and its log lines.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// How bad, from "for the record" to "somebody must act".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// What a batch or a tick led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFinding {
    /// The check found something.
    Found(Finding),
    /// The check itself is faulty.
    Faulty(Fault),
}

/// What a check found. Apart from `text` it cannot carry patient data: all else is declared in the
/// manifest or bounded by it.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// [`crate::Row::id`] of the message; none = about the feed.
    pub row: Option<u64>,
    /// Stable code, `name/code`. Its words are in the manifest.
    pub code: Arc<str>,
    /// How bad; never above the manifest's level for the code.
    pub level: Level,
    /// HL7 path such as `OBX[2]-11`; empty = the whole message.
    pub at: Box<str>,
    /// Declared names with listed values or numbers in range.
    pub attrs: Vec<(Arc<str>, Box<str>)>,
    /// Free words of a check with the grant `free-text`: treat as patient data.
    pub text: Option<Box<str>>,
}

/// Never shows the free text.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("row", &self.row)
            .field("code", &self.code)
            .field("level", &self.level)
            .field("at", &self.at)
            .field("attrs", &self.attrs)
            .field("text", &self.text.as_ref().map(|_| "(redacted)"))
            .finish()
    }
}

/// What is wrong with a check. Holds nothing that came out of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: Kind,
    /// [`crate::Row::id`] of the message to blame; none = no single one is.
    pub row: Option<u64>,
    /// How many rows (or findings, for [`Kind::BadFinding`]) it concerns.
    pub count: u32,
    /// Why, as far as the host knows: the trap's name, and where a Rust check panicked.
    pub cause: Box<str>,
}

/// Kinds of fault. Each has a counter in [`crate::Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The guest trapped: a panic, a stack overflow, an access out of bounds.
    Trapped,
    /// It used more time than its budget, and was stopped.
    TimedOut,
    /// It trapped after it was refused more memory.
    OutOfMemory,
    /// It returned an error. The error's text may quote a message and is not kept.
    PluginError,
    /// A finding that the manifest does not allow, dropped.
    BadFinding,
    /// The row is longer than the limit; it was not handed over.
    RowTooLong,
    /// No [`crate::Ticker`] lives, so a guest could not be stopped; nothing was run.
    NoTicker,
    /// It was set aside too often in a row, and runs no more until it is loaded again.
    Quarantined,
}

impl Kind {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 8] = [
        Self::Trapped,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::PluginError,
        Self::BadFinding,
        Self::RowTooLong,
        Self::NoTicker,
        Self::Quarantined,
    ];

    /// Stable name for labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trapped => "trapped",
            Self::TimedOut => "timed_out",
            Self::OutOfMemory => "out_of_memory",
            Self::PluginError => "plugin_error",
            Self::BadFinding => "bad_finding",
            Self::RowTooLong => "row_too_long",
            Self::NoTicker => "no_ticker",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A line that a check wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct LogLine {
    /// As the check gave it.
    pub level: Level,
    /// Under the grant `free-text` anything, so treat it as patient data; without it only the place
    /// of a panic.
    pub text: Box<str>,
}

/// Never shows the text.
impl fmt::Debug for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLine").field("level", &self.level).finish_non_exhaustive()
    }
}
