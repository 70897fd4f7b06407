//! Which places in a message a finding may name: those that the check declared, as far as the row
//! has them, so that the numbers in a place cannot be made up to say something else.

use crate::batch::{FIELD_SEPARATOR, OCCURRENCE_SEPARATOR, REPETITION_SEPARATOR};
use crate::judge::Objection;
use crate::path::{Field, Path};

/// Most components of a field; the longest data type of HL7 (XAD, v2.9) has 23.
const MAX_COMPONENT: u16 = 32;
/// Most subcomponents of a component.
const MAX_SUBCOMPONENT: u16 = 16;
/// Most fields of a segment, and repetitions, that a check with a grant may name.
const MAX_FIELD: u16 = 255;
/// Most occurrences of a segment that a check with a grant may name.
const MAX_OCCURRENCE: u16 = 1024;

/// The declared fields that are paths.
#[derive(Debug)]
pub(crate) struct Declared {
    /// Each with its position in a row.
    paths: Vec<(usize, Path)>,
    /// Which field of a row is `@shape`: the segments that it names may be named too.
    shape: Option<usize>,
    /// Whether the check may read whole messages, and so name any place.
    reads_more: bool,
}

impl Declared {
    /// Of a manifest, for a worker that reads more than its fields or does not.
    pub(crate) fn new(fields: &[Field], reads_more: bool) -> Self {
        let paths = fields.iter().enumerate().filter_map(|(n, field)| match field {
            Field::Path(path) => Some((n, *path)),
            _ => None,
        });
        let shape = fields.iter().position(|field| *field == Field::Shape);
        Self { paths: paths.collect(), shape, reads_more }
    }

    /// Whether a finding about a row may name a place; without a row only one without numbers that
    /// count something in it.
    ///
    /// # Errors
    /// What it names that it may not.
    pub(crate) fn allows(&self, path: &Path, row: Option<&str>) -> Result<(), Objection> {
        let within = |n: Option<u16>, most: usize| n.is_none_or(|n| usize::from(n) <= most);
        if !within(path.component, MAX_COMPONENT.into())
            || !within(path.subcomponent, MAX_SUBCOMPONENT.into())
        {
            return Err("a finding's place has more parts than a field of HL7 can have");
        }
        if self.reads_more {
            let modest = within(path.occurrence, MAX_OCCURRENCE.into())
                && within(path.field, MAX_FIELD.into())
                && within(path.repetition, MAX_FIELD.into());
            return if modest { Ok(()) } else { Err(BEYOND) };
        }
        let mut named = self.paths.iter().filter(|(_, declared)| {
            declared.segment == path.segment
                && (path.field.is_none() || declared.field == path.field)
        });
        let Some(first) = named.next() else {
            if self.in_shape(path, row) {
                return Ok(());
            }
            return Err("a finding's place is not in a field that the manifest declares");
        };
        let there = std::iter::once(first).chain(named).any(|(n, _)| {
            let text = row.and_then(|row| row.split(FIELD_SEPARATOR).nth(*n)).unwrap_or_default();
            let place = path.occurrence.map_or(0, |n| usize::from(n).saturating_sub(1));
            text.split(OCCURRENCE_SEPARATOR)
                .nth(place)
                .is_some_and(|one| within(path.repetition, one.split(REPETITION_SEPARATOR).count()))
        });
        if there { Ok(()) } else { Err(BEYOND) }
    }

    /// Whether the row's `@shape` has the segment as often as the place says.
    fn in_shape(&self, path: &Path, row: Option<&str>) -> bool {
        let shape = self.shape.and_then(|n| row?.split(FIELD_SEPARATOR).nth(n));
        let named = |part: &&str| {
            part.split(REPETITION_SEPARATOR).next().is_some_and(|s| s.as_bytes() == path.segment)
        };
        let times = shape.map_or(0, |s| s.split(OCCURRENCE_SEPARATOR).filter(named).count());
        times >= path.occurrence.map_or(1, usize::from)
            && path.field.is_none_or(|n| n <= MAX_FIELD)
            && path.repetition.is_none_or(|n| n == 1)
    }
}

const BEYOND: Objection =
    "a finding's place counts further than the message has occurrences or repetitions";

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(at: &str, row: Option<&str>, reads_more: bool) -> bool {
        let fields = ["@key", "PID-3", "OBX-5.1", "OBX-11"].map(|f| Field::parse(f).unwrap());
        let declared = Declared::new(&fields, reads_more);
        declared.allows(&Path::parse(at).unwrap(), row).is_ok()
    }

    #[test]
    fn only_what_was_declared_and_is_there_can_be_named() {
        // two repetitions of PID-3, three OBX, the second OBX-5 repeats
        let row = Some("k\u{1f}a\u{1d}b\u{1f}x\u{1c}y\u{1d}z\u{1c}\u{1f}F\u{1c}F\u{1c}P");
        for good in ["PID-3", "PID[1]-3[2].4.2", "OBX[3]", "OBX[3]-11", "OBX[2]-5[2].1", "OBX"] {
            assert!(allows(good, row, false), "{good}");
        }
        for bad in [
            "PID-5",
            "DOE-1",
            "PID-3[3]",
            "PID[2]-3",
            "OBX[4]",
            "OBX[4]-11",
            "OBX[1]-5[2]",
            "PID-3.33",
            "PID-3.1.17",
            "OBX[7231]-11",
        ] {
            assert!(!allows(bad, row, false), "{bad}");
        }
        assert!(allows("PID-3", None, false) && !allows("PID[2]-3", None, false));
    }

    #[test]
    fn a_segment_of_the_shape_can_be_named() {
        let declared = Declared::new(&[Field::Shape], false);
        let row = Some("MSH\u{1d}1\u{1c}ZPI\u{1d}2\u{1d}7\u{1c}ZPI");
        let allows = |at: &str| declared.allows(&Path::parse(at).unwrap(), row).is_ok();
        assert!(allows("ZPI") && allows("ZPI[2]-7"));
        assert!(!allows("DOE") && !allows("ZPI[3]") && !allows("ZPI-7231") && !allows("ZPI-7[9]"));
    }

    #[test]
    fn a_check_that_reads_more_may_name_more_but_no_large_number() {
        assert!(allows("ZPI[4]-9.2", Some(""), true));
        for bad in ["OBX[7231]-5", "OBX-7231", "OBX-5[7231]", "OBX-5.7231"] {
            assert!(!allows(bad, Some(""), true), "{bad}");
        }
    }
}
