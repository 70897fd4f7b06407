//! Messages for tests, put together field by field.

use crate::path::Path;
use crate::row::{FIELD, OCCURRENCE, REPETITION};

/// A message that is made for a test, with the usual delimiters.
///
/// ```
/// use feedpulse_check::testing::Message;
///
/// let message = Message::new("ORU^R01")
///     .set("OBR-25", "F")
///     .set("OBX-3", "2345-7^Glucose^LN")
///     .set("OBX[2]-5.1", "140");
/// assert!(message.to_hl7().ends_with("OBX|||2345-7^Glucose^LN\rOBX|||||140\r"));
/// ```
#[derive(Clone)]
pub struct Message {
    /// Name and fields of each segment; field `n` stands at `n - 1`.
    segments: Vec<(String, Vec<String>)>,
}

/// Says how long it is: messages of tests may be copied from real ones.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("segments", &self.segments.len()).finish()
    }
}

impl Message {
    /// A message of this type (MSH-9), control id 1, version 2.5.1.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let empty = Self { segments: Vec::new() };
        empty
            .set("MSH-1", "|")
            .set("MSH-2", "^~\\&")
            .set("MSH-9", kind)
            .set("MSH-10", "1")
            .set("MSH-12", "2.5.1")
    }

    /// Sets a field, or a part of it, to this text, as it stands in a message. Segments that are not
    /// there are added at the end.
    ///
    /// # Panics
    /// When the path is none: a test that says it wrongly shall not pass.
    #[must_use]
    #[expect(clippy::panic, reason = "for tests, which fail that way")]
    pub fn set(mut self, path: &str, value: &str) -> Self {
        let path = Path::parse(path).unwrap_or_else(|e| panic!("{e}"));
        let occurrence = path.occurrence.unwrap_or(1);
        let have = self.segments.iter().filter(|(name, _)| name == path.segment).count();
        for _ in have..occurrence {
            self.segments.push((path.segment.to_owned(), Vec::new()));
        }
        let mut named = self.segments.iter_mut().filter(|(name, _)| name == path.segment);
        if let Some((_, fields)) = named.nth(occurrence - 1) {
            let field = slot(fields, path.field);
            let raw = path.segment == "MSH" && path.field <= 2;
            *field = if raw { value.to_owned() } else { placed(field, &path, value) };
        }
        self
    }

    /// The message as HL7 text, segments ended by CR.
    #[must_use]
    pub fn to_hl7(&self) -> String {
        let mut out = String::new();
        for (name, fields) in &self.segments {
            out.push_str(name);
            // MSH-1 is the separator that stands there anyway
            for field in fields.iter().skip(usize::from(name == "MSH")) {
                out.push('|');
                out.push_str(field);
            }
            out.push('\r');
        }
        out
    }

    /// The row of these declared fields, as the host joins it. `@…` fields are empty.
    pub(crate) fn row(&self, declared: &[String]) -> String {
        let mut row = String::new();
        for (n, name) in declared.iter().enumerate() {
            if n > 0 {
                row.push(char::from(FIELD));
            }
            let Ok(path) = Path::parse(name) else { continue };
            let named = self.segments.iter().filter(|(name, _)| name == path.segment);
            for (n, (_, fields)) in named.enumerate() {
                if n > 0 {
                    row.push(char::from(OCCURRENCE));
                }
                let field = fields.get(path.field - 1).map_or("", String::as_str);
                for (n, repetition) in field.split('~').enumerate() {
                    if n > 0 {
                        row.push(char::from(REPETITION));
                    }
                    row.push_str(&crate::Value::of(repetition, &path).unescaped_leaf());
                }
            }
        }
        row
    }
}

/// The place of part `n` in a list that grows to hold it.
fn slot(parts: &mut Vec<String>, n: usize) -> &mut String {
    if parts.len() < n {
        parts.resize(n, String::new());
    }
    &mut parts[n - 1]
}

/// A field with a value put at its place.
fn placed(field: &str, path: &Path<'_>, value: &str) -> String {
    let steps = [('~', path.repetition), ('^', path.component), ('&', path.subcomponent)];
    put(field, &steps, value)
}

/// Puts a value into the part that the steps lead to.
fn put(text: &str, steps: &[(char, Option<usize>)], value: &str) -> String {
    let Some(((by, n), rest)) = steps.split_first() else { return value.to_owned() };
    if rest.iter().chain([&(*by, *n)]).all(|(_, n)| n.is_none()) {
        return value.to_owned();
    }
    let mut parts: Vec<String> = text.split(*by).map(str::to_owned).collect();
    let part = slot(&mut parts, n.unwrap_or(1));
    *part = put(part, rest, value);
    parts.join(&by.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_where_the_path_says() {
        let message = Message::new("ADT^A01")
            .set("PID-3[2].4.2", "X")
            .set("PID-3.1", "1")
            .set("ZA1[2]-1", "z");
        let text = message.to_hl7();
        assert!(text.starts_with("MSH|^~\\&|||||||ADT^A01|1||2.5.1\r"), "{text}");
        assert!(text.ends_with("PID|||1~^^^&X\rZA1\rZA1|z\r"), "{text}");
    }

    #[test]
    fn rows_are_joined_as_the_host_does() {
        let message = Message::new("ORU^R01").set("OBX-5", "a^b~c").set("OBX[2]-5", "d\\T\\e");
        let fields = ["MSH-9.1", "OBX-5", "OBX-5.1", "PID-3", "@key"].map(str::to_owned);
        let row = "ORU\u{1f}a^b\u{1d}c\u{1c}d&e\u{1f}a\u{1d}c\u{1c}d&e\u{1f}\u{1f}";
        assert_eq!(message.row(&fields), row);
    }
}
