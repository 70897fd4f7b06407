//! Paths to places in a message: `OBX-5`, `PID-3.1`, `OBX[2]-5[1].1.2`.

use crate::about::Pseudo;
use std::fmt;

/// A place in an HL7 message. Numbers count from 1, as in HL7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Segment name, three characters such as `OBX`.
    pub segment: [u8; 3],
    /// Which occurrence of the segment, when one is named.
    pub occurrence: Option<u16>,
    /// Field; none = the whole segment.
    pub field: Option<u16>,
    /// Which repetition, when one is named.
    pub repetition: Option<u16>,
    /// Component, when one is named.
    pub component: Option<u16>,
    /// Subcomponent, when one is named.
    pub subcomponent: Option<u16>,
}

/// A field that a manifest declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A field or component of a segment, in all its occurrences and repetitions.
    Path(Path),
    /// `@received-ms`: arrival time, milliseconds since 1970.
    ReceivedMs,
    /// `@key`: opaque name of the message, the same for the same message.
    Key,
    /// `@type`: MSH-9 as sent.
    Type,
    /// `@urgency`: `routine`, `correction` or `critical`.
    Urgency,
    /// `@shape`: which segments there are and which of their fields are filled; no value.
    Shape,
    /// One of those that say more than a message does.
    Pseudo(Pseudo),
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(&'static str);

impl Path {
    /// Reads `SEG[occurrence]-field[repetition].component.subcomponent`; all but `SEG` may lack.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut rest = text.as_bytes();
        let Some((segment, tail)) = rest.split_first_chunk::<3>() else {
            return Err(PathError(
                "a path starts with a segment name of three characters, such as OBX-5",
            ));
        };
        let name = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        if !segment[0].is_ascii_uppercase() || !segment.iter().all(name) {
            return Err(PathError(
                "a segment name is a capital letter and two capital letters or digits",
            ));
        }
        rest = tail;
        let occurrence = index(&mut rest)?;
        let mut path = Self {
            segment: *segment,
            occurrence,
            field: None,
            repetition: None,
            component: None,
            subcomponent: None,
        };
        if let Some(b'-') = rest.first() {
            rest = &rest[1..];
            path.field = Some(number(&mut rest)?);
            path.repetition = index(&mut rest)?;
            path.component = after_dot(&mut rest)?;
            if path.component.is_some() {
                path.subcomponent = after_dot(&mut rest)?;
            }
        }
        if rest.is_empty() { Ok(path) } else { Err(TAIL) }
    }
}

/// More stands there than a path.
const TAIL: PathError =
    PathError("after the path comes something else; the longest form is OBX[2]-5[1].1.2");

impl Field {
    /// Reads a declared field: `SEG-field`, `SEG-field.component`, `SEG-field.component.subcomponent`,
    /// or one of those with `@`, which `wit/README.md` lists.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        match text {
            "@received-ms" => return Ok(Self::ReceivedMs),
            "@key" => return Ok(Self::Key),
            "@type" => return Ok(Self::Type),
            "@urgency" => return Ok(Self::Urgency),
            "@shape" => return Ok(Self::Shape),
            _ if text.starts_with('@') => {
                let found = Pseudo::ALL.iter().find(|pseudo| pseudo.name() == text);
                return found.map(|pseudo| Self::Pseudo(*pseudo)).ok_or(PathError(
                    "there is no such field with @; wit/README.md lists those that each kind of row has",
                ));
            }
            _ => {}
        }
        let path = Path::parse(text).map_err(|e| match e {
            TAIL => PathError(
                "a field is written as a segment, a hyphen and a number, such as PID-3, PID-3.4 or PID-3.4.1",
            ),
            other => other,
        })?;
        if path.field.is_none() {
            return Err(PathError("a declared field needs its number, such as PID-3"));
        }
        if path.occurrence.is_some() || path.repetition.is_some() {
            return Err(PathError(
                "a declared field comes with all its occurrences and repetitions; leave the brackets out",
            ));
        }
        Ok(Self::Path(path))
    }

    /// The field that was probably meant by a text that is none: with another sign between segment
    /// and numbers (`PID8`, `PID.3.1`, `pid-3-1`), or with the brackets that a field does not take.
    #[must_use]
    pub fn meant(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix('@') {
            let name = format!("@{}", name.to_ascii_lowercase().replace('_', "-"));
            return Self::parse(&name).ok();
        }
        let (segment, rest) = text.trim().split_at_checked(3)?;
        let mut plain = String::new();
        let mut inside = false;
        for c in rest.chars() {
            match c {
                '[' | '(' => inside = true,
                ']' | ')' => inside = false,
                _ if inside => {}
                digit if digit.is_ascii_digit() => plain.push(digit),
                _ => plain.push(' '),
            }
        }
        let numbers: Vec<&str> = plain.split_whitespace().collect();
        let (field, parts) = numbers.split_first()?;
        let parts: String = parts.iter().map(|n| format!(".{n}")).collect();
        Self::parse(&format!("{}-{field}{parts}", segment.to_ascii_uppercase())).ok()
    }
}

/// `[n]`, if it comes next.
fn index(rest: &mut &[u8]) -> Result<Option<u16>, PathError> {
    let Some(b'[') = rest.first() else { return Ok(None) };
    *rest = &rest[1..];
    let n = number(rest)?;
    let Some(b']') = rest.first() else {
        return Err(PathError("a bracket is not closed, as in OBX[2]-5"));
    };
    *rest = &rest[1..];
    Ok(Some(n))
}

/// `.n`, if it comes next.
fn after_dot(rest: &mut &[u8]) -> Result<Option<u16>, PathError> {
    let Some(b'.') = rest.first() else { return Ok(None) };
    *rest = &rest[1..];
    number(rest).map(Some)
}

/// A number from 1 to 9999 without leading zeros: too short for anybody's record number.
fn number(rest: &mut &[u8]) -> Result<u16, PathError> {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 4 || rest[0] == b'0' {
        return Err(PathError("a number from 1 to 9999 is expected"));
    }
    let n = rest[..digits].iter().fold(0, |n, b| n * 10 + u16::from(b - b'0'));
    *rest = &rest[digits..];
    Ok(n)
}

/// As it is declared.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path(path) => return path.fmt(f),
            Self::ReceivedMs => "@received-ms",
            Self::Key => "@key",
            Self::Type => "@type",
            Self::Urgency => "@urgency",
            Self::Pseudo(pseudo) => pseudo.name(),
            Self::Shape => "@shape",
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.segment).map_err(|_| fmt::Error)?)?;
        let bracket =
            |f: &mut fmt::Formatter<'_>, n: Option<u16>| n.map_or(Ok(()), |n| write!(f, "[{n}]"));
        bracket(f, self.occurrence)?;
        if let Some(field) = self.field {
            write!(f, "-{field}")?;
            bracket(f, self.repetition)?;
            for part in [self.component, self.subcomponent].into_iter().flatten() {
                write!(f, ".{part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written_alike() {
        for text in
            ["MSH", "OBX-5", "PID-3.1", "PID-3.4.2", "OBX[2]-11", "OBX[12]-5[3].1.2", "ZA1-9999"]
        {
            assert_eq!(Path::parse(text).map(|p| p.to_string()), Ok(text.to_owned()), "{text}");
        }
        for text in [
            "",
            "OB",
            "obx-1",
            "1BX-1",
            "OBX-",
            "OBX-0",
            "OBX-01",
            "OBX-12345",
            "OBX[2-1",
            "OBX-1.",
            "OBX-1.2.3.4",
            "DOE^JANE",
            "OBX.1",
            "ÄBX-1",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn declared_fields_have_a_number_and_no_brackets() {
        assert_eq!(Field::parse("@key"), Ok(Field::Key));
        assert!(matches!(Field::parse("MSH-9.1"), Ok(Field::Path(_))));
        for text in ["MSH", "OBX[1]-5", "OBX-5[1]", "@now"] {
            assert!(Field::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_field_leads_to_the_one_that_was_meant() {
        let meant = |text| Field::meant(text).map(|field| field.to_string()).unwrap_or_default();
        for (text, field) in [
            ("PID8", "PID-8"),
            ("PID.3.1", "PID-3.1"),
            ("pid-3-1", "PID-3.1"),
            ("OBX[2]-5[1].1", "OBX-5.1"),
            ("PID-3(2).1", "PID-3.1"),
            ("PV1 44", "PV1-44"),
            ("@Received_ms", "@received-ms"),
        ] {
            assert_eq!(meant(text), field, "{text}");
        }
        for text in ["", "PID", "patient name", "@nothing", "ÄÖ-1", "PID-3.1.1.1"] {
            assert_eq!(meant(text), "", "{text}");
        }
        assert!(!Field::parse("PID8").unwrap_err().to_string().contains('['));
    }
}
