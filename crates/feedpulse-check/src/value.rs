//! One value: a field's repetition, a component or a subcomponent.

use std::borrow::Cow;

/// One value of a field.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Value<'a> {
    text: &'a str,
    /// Whether it was cut out of a value with parts, so that escape sequences are still in it: the
    /// host resolves them where a value has no parts.
    cut: bool,
}

/// Never shows the value: it is patient data.
impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value").field("len", &self.text.len()).finish()
    }
}

impl<'a> Value<'a> {
    /// As handed over.
    pub(crate) fn whole(text: &'a str) -> Self {
        Self { text, cut: false }
    }

    /// A part of a repetition, as it stands in a message: for tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of(repetition: &'a str, path: &crate::path::Path<'_>) -> Self {
        let mut value = Self { text: repetition, cut: true };
        if let Some(n) = path.component {
            value = value.component(n);
        }
        if let Some(n) = path.subcomponent {
            value = value.subcomponent(n);
        }
        value
    }

    /// As the host hands it over: resolved when it has no parts.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn unescaped_leaf(&self) -> Cow<'a, str> {
        if has_parts(self.text) { Cow::Borrowed(self.text) } else { self.unescaped() }
    }

    /// As handed over; escape sequences may be in it where it is a part of something.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether it is HL7's explicit null `""`: the sender says that there is none, and the receiver
    /// is to delete what it has. Empty is something else: the sender says nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.text == "\"\""
    }

    /// Whether there is something: neither empty nor the null.
    ///
    /// ```
    /// use feedpulse_check::testing::{Message, row};
    ///
    /// let message = Message::new("ADT^A08").set("PID-13", "\"\"").set("PID-5", "DOE^JANE");
    /// row(&message, &["PID-5", "PID-13", "PID-14"], |row| {
    ///     let valued = |path: &str| row.at(path).unwrap().first().is_valued();
    ///     assert!(valued("PID-5.2") && !valued("PID-13") && !valued("PID-14"));
    /// });
    /// ```
    #[must_use]
    pub fn is_valued(&self) -> bool {
        !self.text.is_empty() && !self.is_null()
    }

    /// Component `n`, from 1; empty when there is none.
    #[must_use]
    pub fn component(&self, n: usize) -> Self {
        self.part('^', n)
    }

    /// Subcomponent `n`, from 1; empty when there is none.
    #[must_use]
    pub fn subcomponent(&self, n: usize) -> Self {
        self.part('&', n)
    }

    fn part(&self, by: char, n: usize) -> Self {
        let text = n.checked_sub(1).and_then(|n| self.text.split(by).nth(n)).unwrap_or("");
        Self { text, cut: self.cut || has_parts(self.text) }
    }

    /// The text with escape sequences resolved (HL7 v2.5.1 §2.7): `\F\`, `\S\`, `\T\`, `\R\`, `\E\`,
    /// `\Xdd…\`, `\.br\`. Highlighting is left out, what is not known stays.
    ///
    /// ```
    /// use feedpulse_check::testing::{Message, row};
    ///
    /// let message = Message::new("ORU^R01").set("OBX-3", "8\\T\\9^Smith \\T\\ Sons");
    /// row(&message, &["OBX-3"], |row| {
    ///     assert_eq!(row.at("OBX-3.2").unwrap().first().unescaped(), "Smith & Sons");
    /// });
    /// ```
    #[must_use]
    pub fn unescaped(&self) -> Cow<'a, str> {
        if !self.text.contains('\\') || !(self.cut || has_parts(self.text)) {
            return Cow::Borrowed(self.text);
        }
        let mut out = String::with_capacity(self.text.len());
        let mut rest = self.text;
        while let Some((before, after)) = rest.split_once('\\') {
            out.push_str(before);
            match after.split_once('\\') {
                Some((sequence, tail)) if resolve(sequence, &mut out) => rest = tail,
                _ => {
                    out.push('\\');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// The value as a whole number; none when it is none. A sign and spaces around it are taken.
    #[must_use]
    pub fn whole_number(&self) -> Option<i64> {
        let text = self.text.trim();
        text.strip_prefix('+').unwrap_or(text).parse().ok()
    }

    /// The value as a number, HL7's NM; none when it is none.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let text = self.text.trim();
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+');
        text.bytes().all(plain).then(|| text.parse().ok()).flatten()
    }
}

/// Whether a value has components or subcomponents.
fn has_parts(text: &str) -> bool {
    text.bytes().any(|b| matches!(b, b'^' | b'&'))
}

/// Writes what a sequence stands for; false when it is none.
fn resolve(sequence: &str, out: &mut String) -> bool {
    let c = match sequence {
        "F" => '|',
        "S" => '^',
        "T" => '&',
        "R" => '~',
        "E" => '\\',
        ".br" | ".sp" => '\n',
        "H" | "N" => return true,
        _ => return hex(sequence, out),
    };
    out.push(c);
    true
}

/// `Xdd…`: bytes of UTF-8.
fn hex(sequence: &str, out: &mut String) -> bool {
    let Some(digits) = sequence.strip_prefix('X') else { return false };
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|t| t.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    match pairs.map(byte).collect::<Option<Vec<u8>>>() {
        Some(bytes) if !bytes.is_empty() => {
            out.push_str(&String::from_utf8_lossy(&bytes));
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_parts_are_resolved_and_nothing_twice() {
        let of = |text| Value::whole(text).component(2).unescaped().into_owned();
        assert_eq!(of("x^a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"), "a|b^c&d~e\\f");
        assert_eq!(of("x^\\X41C3A9\\\\.br\\\\H\\!\\N\\"), "Aé\n!");
        assert_eq!(of("x^C:\\temp \\Xg\\ \\"), "C:\\temp \\Xg\\ \\");
        assert_eq!(Value::whole("C\\F\\").unescaped(), "C\\F\\", "the host has resolved it");
    }

    #[test]
    fn numbers_are_numbers_only() {
        assert_eq!(Value::whole(" +12").whole_number(), Some(12));
        assert_eq!(Value::whole("12.5").whole_number(), None);
        assert_eq!(Value::whole("-1.5").number(), Some(-1.5));
        for bad in ["", "1e5", "inf", "NaN", "<5"] {
            assert_eq!(Value::whole(bad).number(), None, "{bad}");
        }
    }
}
