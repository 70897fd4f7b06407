//! What was said to people: by the engine or by a rule of today.

use crate::cause::{CauseClass, Confidence};
use feedpulse_core::codes::{Code, Severity};

/// One alert, from its first notice to its last.
#[derive(Clone, Debug)]
pub struct Alert {
    /// About what: `waypoint portal-in`, `feed lab`.
    pub subject: String,
    /// What it says, and since when; None: a rule that has no codes.
    pub marks: Vec<(i64, Option<Code>)>,
    /// First notice, µs; `i64::MAX`: it was only noted.
    pub opened: i64,
    /// Last notice; None: it was never closed.
    pub closed: Option<i64>,
    /// Notices that said that it had become louder.
    pub louder: u32,
    /// What its hint is made from.
    pub because: String,
    /// How loud at its loudest.
    pub severity: Severity,
    /// Notices sent.
    pub notices: u32,
    /// The hint about its cause.
    pub cause: Option<(CauseClass, Confidence)>,
}

impl Alert {
    /// An alert of a rule without codes, with its first notice.
    #[must_use]
    pub fn plain(subject: String, at: i64, severity: Severity) -> Self {
        Self {
            subject,
            marks: vec![(at, None)],
            opened: at,
            closed: None,
            severity,
            notices: 1,
            louder: 0,
            because: String::new(),
            cause: None,
        }
    }
}
