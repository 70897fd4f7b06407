//! The operators' side of incidents: remarks, judgements, and what would have been told while a feed
//! is new and nobody is told about it yet.

use crate::codes::Severity;
use crate::label::Label;
use crate::plan::FeedId;
use crate::time::Timestamp;
use core::fmt;

/// Longest remark in characters.
pub const REMARK_MAX: usize = 280;
/// Remarks that one incident holds; further ones are refused.
pub const REMARKS_MAX: usize = 20;
/// Notices that are remembered of one incident.
pub const NOTICES_MAX: usize = 50;
/// Why a notifier was told that nothing has changed: such a notice is forgotten before others.
pub const REPEAT: &str = "repeat";
/// Would-be notices that are kept; the oldest go first.
pub const WOULD_BE_MAX: usize = 1_024;
/// Feeds that one would-be notice counts for.
pub const WOULD_BE_FEEDS: usize = 64;

/// What an operator wrote about an incident. People write names by mistake, so it is treated like
/// patient data outside the site's own pages: no Debug shows it, and no effect carries it, so that no
/// notifier, log, metric or span can. Only the pages, the JSON API and the terminal call
/// [`RemarkText::shown`].
#[derive(Clone, PartialEq, Eq)]
pub struct RemarkText(Box<str>);

impl RemarkText {
    /// Takes a text: trimmed, and control characters become spaces.
    ///
    /// # Errors
    /// [`RemarkError`] when nothing is left, or more than [`REMARK_MAX`] characters.
    pub fn new(text: &str) -> Result<Self, RemarkError> {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.trim().chars().take(REMARK_MAX + 1).map(plain).collect();
        match text.trim().chars().count() {
            0 => Err(RemarkError::Empty),
            1..=REMARK_MAX => Ok(Self(text.trim().into())),
            _ => Err(RemarkError::Long),
        }
    }

    /// The text, for the outputs that may show it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RemarkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemarkText(…)")
    }
}

/// Why a text is no remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemarkError {
    /// Nothing was written.
    Empty,
    /// It is too long.
    Long,
}

impl fmt::Display for RemarkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a note needs a text"),
            Self::Long => write!(f, "a note has at most {REMARK_MAX} characters"),
        }
    }
}

impl core::error::Error for RemarkError {}

/// A remark on an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Label,
    /// What.
    pub text: RemarkText,
}

/// An operator's word on whether an incident was worth a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// It was.
    pub right: bool,
    /// By whom.
    pub by: Label,
    /// When.
    pub at: Timestamp,
}

/// A notice that was not sent, as all feeds that its incident touches are in shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldBe {
    /// Number of the incident.
    pub incident: u64,
    /// When it would have been sent.
    pub at: Timestamp,
    /// How loud, at its loudest.
    pub severity: Severity,
    /// The feeds that it touches, at most [`WOULD_BE_FEEDS`].
    pub feeds: Vec<FeedId>,
    /// Whether it was right, once somebody said so.
    pub right: Option<bool>,
}

/// A notice that the server of a notifier has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Number of the incident.
    pub incident: u64,
    /// When it was taken, by our clock.
    pub at: Timestamp,
    /// The notifier's name.
    pub notifier: Label,
    /// Why it was sent: `open`, `escalated`, `update`, `claimed`, `repeat` or `resolved`.
    pub why: Label,
}

/// A feed's time in shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Its first message; None before.
    pub since: Option<Timestamp>,
    /// When people are told; None where they are told from the start, and before the first message.
    pub until: Option<Timestamp>,
    /// Whether nobody is told about it now.
    pub holds: bool,
}

#[cfg(test)]
mod tests {
    use super::{REMARK_MAX, RemarkError, RemarkText};

    #[test]
    fn remarks_are_bounded_and_no_debug_shows_them() {
        let text = RemarkText::new("  the portal's\tteam restarts\nit ").unwrap();
        assert_eq!(text.shown(), "the portal's team restarts it");
        assert_eq!(format!("{text:?}"), "RemarkText(…)");
        assert_eq!(RemarkText::new(" \n "), Err(RemarkError::Empty));
        assert!(RemarkText::new(&"ä".repeat(REMARK_MAX)).is_ok());
        assert_eq!(RemarkText::new(&"ä".repeat(REMARK_MAX + 1)), Err(RemarkError::Long));
    }
}
