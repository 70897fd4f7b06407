//! One message as a check sees it: the declared fields, split where somebody looks.

use crate::host::message;
use crate::path::Declared;
use crate::value::Value;
use memchr::{memchr, memchr2};

/// Parts rows.
pub(crate) const ROW: u8 = 0x1e;
/// Parts fields of a row.
pub(crate) const FIELD: u8 = 0x1f;
/// Parts repetitions of a field.
pub(crate) const REPETITION: u8 = 0x1d;
/// Parts occurrences of a segment.
pub(crate) const OCCURRENCE: u8 = 0x1c;

/// One message: the fields that the manifest declares, in its order.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub(crate) feed: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) index: u32,
    pub(crate) fields: &'a str,
    pub(crate) declared: &'a Declared,
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

    /// What stands at an HL7 path, if `plugin.toml` declares it or the whole field that it is in:
    /// `PID-3`, `PID-3.1`, `OBX[2]-5.1`, `PID-3[2].4`. Without brackets it is all occurrences of the
    /// segment and all repetitions of the field.
    ///
    /// # Errors
    /// When the path is none or is not declared: give it on with `?`, and `feedpulse check test` shows it.
    ///
    /// ```
    /// use feedpulse_check::testing::{Message, row};
    ///
    /// let message = Message::new("ORU^R01").set("OBX-5", "112^mg").set("OBX[2]-5", "7^mg");
    /// row(&message, &["OBX-5"], |row| {
    ///     assert_eq!(row.at("OBX[2]-5.1").unwrap().first().as_str(), "7");
    ///     assert_eq!(row.at("OBX-5.1").unwrap().values().count(), 2);
    ///     assert!(row.at("OBX-6").unwrap_err().contains("not declared"));
    /// });
    /// ```
    pub fn at(&self, path: &str) -> Result<Field<'a>, String> {
        let (n, part) = self.declared.find(path)?;
        Ok(Field { text: self.field(n).text, ..part }.narrowed())
    }

    /// The n-th declared field, from 0. Empty when the message does not value it.
    #[must_use]
    pub fn field(&self, n: usize) -> Field<'a> {
        Field::all(Fields::of(self.fields).nth(n).unwrap_or(""))
    }

    /// All declared fields in order; cheaper than [`Row::field`] when most are read.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        Fields::of(self.fields).map(Field::all)
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

/// A field's text, with all its occurrences and repetitions; or one component of each of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub(crate) text: &'a str,
    pub(crate) occurrence: Option<usize>,
    pub(crate) repetition: Option<usize>,
    pub(crate) component: Option<usize>,
    pub(crate) subcomponent: Option<usize>,
}

/// Never shows the value: fields hold patient data.
impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").field("len", &self.text.len()).finish()
    }
}

impl<'a> Field<'a> {
    /// The whole of it.
    pub(crate) const fn all(text: &'a str) -> Self {
        Self { text, occurrence: None, repetition: None, component: None, subcomponent: None }
    }

    /// With the occurrence and repetition that were asked for taken out.
    fn narrowed(mut self) -> Self {
        if let Some(n) = self.occurrence.take() {
            self.text = self.text.split(char::from(OCCURRENCE)).nth(n - 1).unwrap_or("");
        }
        if let Some(n) = self.repetition.take() {
            // of each occurrence, so only where there is one
            let first = self.text.split(char::from(OCCURRENCE)).next().unwrap_or("");
            self.text = first.split(char::from(REPETITION)).nth(n - 1).unwrap_or("");
        }
        self
    }

    /// The text as handed over, separators included where there are any; of a component, the first.
    #[must_use]
    pub fn text(&self) -> &'a str {
        if self.component.is_none() && self.subcomponent.is_none() {
            return self.text;
        }
        self.first().as_str()
    }

    /// Whether nothing is valued: nothing was sent, or nothing but the null `""`.
    ///
    /// ```
    /// use feedpulse_check::testing::{Message, row};
    ///
    /// let message = Message::new("ADT^A01").set("PV1-3", "").set("PV1-19", "\"\"");
    /// row(&message, &["PV1-3", "PV1-19"], |row| {
    ///     assert!(row.at("PV1-3").unwrap().is_empty());
    ///     assert!(!row.at("PV1-19").unwrap().is_empty(), "the sender says: delete it");
    ///     assert!(row.at("PV1-19").unwrap().first().is_null());
    /// });
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        if self.component.is_none() && self.subcomponent.is_none() {
            return self.text.bytes().all(|b| b == OCCURRENCE || b == REPETITION);
        }
        self.values().all(|value| value.as_str().is_empty())
    }

    /// One part per occurrence of the segment, at least one. Parts of fields of the same segment
    /// belong together by position.
    ///
    /// ```
    /// use feedpulse_check::testing::{Message, row};
    ///
    /// let message = Message::new("ORU^R01")
    ///     .set("OBX-3", "2345-7^Glucose")
    ///     .set("OBX-11", "F")
    ///     .set("OBX[2]-3", "2951-2^Sodium")
    ///     .set("OBX[2]-11", "P");
    /// row(&message, &["OBX-3", "OBX-11"], |row| {
    ///     let (names, states) = (row.at("OBX-3.1").unwrap(), row.at("OBX-11").unwrap());
    ///     let mut both = names.occurrences().zip(states.occurrences());
    ///     let open = both.find(|(_, state)| state.text() == "P").unwrap();
    ///     assert_eq!(open.0.text(), "2951-2");
    /// });
    /// ```
    pub fn occurrences(&self) -> impl Iterator<Item = Self> + use<'a> {
        let part = *self;
        self.text.split(char::from(OCCURRENCE)).map(move |text| Self { text, ..part })
    }

    /// One part per repetition, at least one.
    ///
    /// ```
    /// use feedpulse_check::testing::{Message, row};
    ///
    /// let message = Message::new("ADT^A01").set("PID-3", "47^^^A^MR~11^^^B^SS");
    /// row(&message, &["PID-3"], |row| {
    ///     let ids = row.at("PID-3").unwrap();
    ///     let kinds: Vec<_> = ids.repetitions().map(|id| id.first().component(5).as_str()).collect();
    ///     assert_eq!(kinds, ["MR", "SS"]);
    /// });
    /// ```
    pub fn repetitions(&self) -> impl Iterator<Item = Self> + use<'a> {
        let part = *self;
        self.text.split(char::from(REPETITION)).map(move |text| Self { text, ..part })
    }

    /// Every single value: of each repetition in each occurrence, at least one.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (component, subcomponent) = (self.component, self.subcomponent);
        Values::of(self.text).map(move |text| {
            let mut value = Value::whole(text);
            if let Some(n) = component {
                value = value.component(n);
            }
            if let Some(n) = subcomponent {
                value = value.subcomponent(n);
            }
            value
        })
    }

    /// The first value; empty when there is none.
    #[must_use]
    pub fn first(&self) -> Value<'a> {
        self.values().next().unwrap_or_default()
    }
}

/// What stands between separators, as [`str::split`] gives it, and found faster: `A` and `B` are ASCII,
/// which stands in no character of several bytes, and WebAssembly can look at sixteen bytes at once.
pub(crate) struct Parts<'a, const A: u8, const B: u8>(Option<&'a str>);

/// The rows of a batch.
pub(crate) type Rows<'a> = Parts<'a, ROW, ROW>;
/// The fields of a row.
type Fields<'a> = Parts<'a, FIELD, FIELD>;
/// The values of a field.
type Values<'a> = Parts<'a, OCCURRENCE, REPETITION>;

impl<'a, const A: u8, const B: u8> Parts<'a, A, B> {
    pub(crate) const fn of(text: &'a str) -> Self {
        Self(Some(text))
    }
}

impl<'a, const A: u8, const B: u8> Iterator for Parts<'a, A, B> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.take()?;
        let bytes = text.as_bytes();
        let found = if A == B { memchr(A, bytes) } else { memchr2(A, B, bytes) };
        let Some(end) = found else { return Some(text) };
        self.0 = Some(&text[end + 1..]);
        Some(&text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(fields: &'a str, declared: &'a Declared) -> Row<'a> {
        Row { feed: "adt", now_ms: 0, index: 0, fields, declared }
    }

    #[test]
    fn fields_split_by_occurrence_and_repetition() {
        let none = Declared::default();
        let row = row("ADT\u{1f}a\u{1d}b\u{1c}\u{1c}c\u{1f}", &none);
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
        let none = Declared::default();
        assert!(row("", &none).field(0).is_empty());
        assert!(row("a", &none).field(7).is_empty());
        assert!(row("\u{1c}\u{1d}", &none).field(0).is_empty(), "separators are no value");
        assert_eq!(row("", &none).field(0).occurrences().count(), 1);
    }

    #[test]
    fn paths_reach_into_occurrences_repetitions_and_components() {
        let declared = Declared::of("fields = [\"OBX-5\", \"PID-3.1\"]");
        let row = row("a^b&c\u{1c}d\u{1d}e^f\u{1f}1\u{1d}2", &declared);
        let text = |path: &str| row.at(path).unwrap().text();
        assert_eq!(text("OBX[1]-5.2.2"), "c");
        assert_eq!(text("OBX[2]-5[2].2"), "f");
        assert_eq!(text("OBX[3]-5.1"), "");
        assert_eq!(text("PID-3[2].1"), "2");
        let seconds: Vec<&str> = row.at("OBX-5.2").unwrap().values().map(|v| v.as_str()).collect();
        assert_eq!(seconds, ["b&c", "", "f"]);
        assert!(row.at("PID-3").unwrap_err().contains("not declared"));
    }

    #[test]
    fn debug_shows_no_value() {
        let none = Declared::default();
        let row = row("DOE\u{1f}JANE", &none);
        assert!(!format!("{row:?} {:?} {:?}", row.field(0), row.field(0).first()).contains("DOE"));
    }
}
