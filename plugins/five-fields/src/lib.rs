//! The smallest check: five fields that every admission must have. It is the one to copy, and the
//! yardstick of the benchmarks.

use feedpulse_check::{Check, Finding, Findings, Level, Row};

/// The declared fields, in the manifest's order.
const FIELDS: [&str; 5] = ["MSH-9", "MSH-10", "PID-3", "PID-5", "PV1-2"];

/// Has no settings and no memory.
struct FiveFields;

impl Check for FiveFields {
    fn new(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        for (path, field) in FIELDS.iter().zip(row.fields()) {
            if field.is_empty() {
                out.push(Finding::new("field-missing", Level::Error).at(*path));
            }
        }
        Ok(())
    }
}

feedpulse_check::export!(FiveFields);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    #[test]
    fn each_empty_field_is_a_finding() {
        let rows: [&[&str]; 2] =
            [&["ADT^A01", "1", "7", "DOE^JANE", "I"], &["ADT^A01", "2", "", "DOE", ""]];
        let found = run::<FiveFields>("{}", "adt", &rows).unwrap();
        let places: Vec<_> = found.iter().map(|f| (f.row, f.at.as_str())).collect();
        assert_eq!(places, [(Some(1), "PID-3"), (Some(1), "PV1-2")]);
    }
}
