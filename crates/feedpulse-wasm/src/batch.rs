//! What goes in: rows of joined fields.

use crate::path::Path;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Parts rows; never inside a value.
pub const ROW_SEPARATOR: char = '\u{1e}';
/// Parts the declared fields of a row.
pub const FIELD_SEPARATOR: char = '\u{1f}';
/// Parts repetitions inside a field.
pub const REPETITION_SEPARATOR: char = '\u{1d}';
/// Parts occurrences of a segment inside a field.
pub const OCCURRENCE_SEPARATOR: char = '\u{1c}';

/// One message: its declared fields in the manifest's order, joined by [`FIELD_SEPARATOR`].
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The caller's name for this message; comes back in findings.
    pub id: u64,
    /// The joined fields. Each value went through [`sanitize`].
    pub fields: String,
}

/// Never shows a value: rows hold patient data.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("id", &self.id).field("bytes", &self.fields.len()).finish()
    }
}

/// Reads messages of the batch beyond the declared fields, for checks with a grant.
pub trait MessageAccess: Send + Sync {
    /// One field of the row with this [`Row::id`], sanitized; none when absent.
    fn get(&self, row: u64, path: &Path) -> Option<String>;
    /// The whole message of the row with this [`Row::id`]; none when it is not at hand any more.
    fn raw(&self, row: u64) -> Option<String>;
}

/// A run of messages of one feed, in arrival order.
#[derive(Clone)]
pub struct Batch<'a> {
    /// Name of the feed. One feed always goes to the same worker of a check, which holds its state.
    pub feed: &'a str,
    /// Wall clock, milliseconds since 1970: all the guest knows of time.
    pub now_ms: u64,
    /// A clock that never goes back, milliseconds from any origin: for pauses and rates.
    pub monotonic_ms: u64,
    /// The rows. Checks with equal field lists can share them.
    pub rows: &'a [Row],
    /// Where granted reads go; none when no check has such a grant.
    pub access: Option<Arc<dyn MessageAccess>>,
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("feed", &self.feed)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// Replaces the four separators inside a value by U+FFFD, so that splitting is safe. HL7 text
/// holds none of them, so this copies only what is broken.
#[must_use]
pub fn sanitize(value: &str) -> Cow<'_, str> {
    let separator = |c: char| (OCCURRENCE_SEPARATOR..=FIELD_SEPARATOR).contains(&c);
    if value.contains(separator) {
        Cow::Owned(value.replace(separator, "\u{fffd}"))
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_values_are_replaced_and_nothing_else() {
        assert!(matches!(sanitize("DOE^JANE\r\n"), Cow::Borrowed("DOE^JANE\r\n")));
        assert_eq!(
            sanitize("a\u{1c}b\u{1d}c\u{1e}d\u{1f}e"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let row = Row { id: 7, fields: "DOE".to_owned() };
        let batch = Batch {
            feed: "adt",
            now_ms: 0,
            monotonic_ms: 0,
            rows: std::slice::from_ref(&row),
            access: None,
        };
        assert!(!format!("{row:?} {batch:?}").contains("DOE"));
    }
}
