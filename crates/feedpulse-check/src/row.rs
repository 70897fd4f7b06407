//! One message as a check sees it: the declared fields, split where somebody looks.

use crate::host::message;

/// Parts rows.
pub(crate) const ROW: char = '\u{1e}';
/// Parts fields of a row.
pub(crate) const FIELD: char = '\u{1f}';
/// Parts repetitions of a field.
const REPETITION: char = '\u{1d}';
/// Parts occurrences of a segment.
const OCCURRENCE: char = '\u{1c}';

/// One message: the fields that the manifest declares, in its order.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub(crate) feed: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) index: u32,
    pub(crate) fields: &'a str,
}

/// Never shows a value: rows hold patient data.
impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<'a> Row<'a> {
    /// Name of the feed, as configured.
    #[must_use]
    pub fn feed(&self) -> &'a str {
        self.feed
    }

    /// The host's wall clock, milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The n-th declared field, from 0. Empty when the message does not value it.
    #[must_use]
    pub fn field(&self, n: usize) -> Field<'a> {
        Field(self.fields.split(FIELD).nth(n).unwrap_or(""))
    }

    /// All declared fields in order; cheaper than [`Row::field`] when most are read.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.fields.split(FIELD).map(Field)
    }

    /// Any field of this message by path. Needs the grant `get`; none without it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        message::get(self.index, path)
    }

    /// The whole message. Needs the grant `raw`; none without it.
    #[must_use]
    pub fn raw(&self) -> Option<String> {
        message::raw(self.index)
    }
}

/// A field's text, with all its occurrences and repetitions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a>(&'a str);

/// Never shows the value: fields hold patient data.
impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").field("len", &self.0.len()).finish()
    }
}

impl<'a> Field<'a> {
    /// The text as handed over, separators included where there are any.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.0
    }

    /// Whether nothing is valued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.chars().all(|c| matches!(c, OCCURRENCE | REPETITION))
    }

    /// One part per occurrence of the segment, at least one. Parts of fields of the same segment
    /// belong together by position.
    pub fn occurrences(&self) -> impl Iterator<Item = Self> + use<'a> {
        self.0.split(OCCURRENCE).map(Field)
    }

    /// One part per repetition, at least one.
    pub fn repetitions(&self) -> impl Iterator<Item = Self> + use<'a> {
        self.0.split(REPETITION).map(Field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &str) -> Row<'_> {
        Row { feed: "adt", now_ms: 0, index: 0, fields }
    }

    #[test]
    fn fields_split_by_occurrence_and_repetition() {
        let row = row("ADT\u{1f}a\u{1d}b\u{1c}\u{1c}c\u{1f}");
        assert_eq!(row.fields().count(), 3);
        let parts: Vec<Vec<&str>> = row
            .field(1)
            .occurrences()
            .map(|one| one.repetitions().map(|f| f.text()).collect())
            .collect();
        assert_eq!(parts, [vec!["a", "b"], vec![""], vec!["c"]]);
    }

    #[test]
    fn what_is_not_there_is_empty() {
        assert!(row("").field(0).is_empty());
        assert!(row("a").field(7).is_empty());
        assert!(row("\u{1c}\u{1d}").field(0).is_empty(), "separators are no value");
        assert_eq!(row("").field(0).occurrences().count(), 1);
    }

    #[test]
    fn debug_shows_no_value() {
        let row = row("DOE\u{1f}JANE");
        assert!(!format!("{row:?} {:?}", row.field(0)).contains("DOE"));
    }
}
