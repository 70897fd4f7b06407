//! __summary__

use feedpulse_check::{Check, Finding, Findings, Level, Row};

/// Has no settings; what must be remembered between messages belongs into `feedpulse_check::state`.
struct __Type__;

impl Check for __Type__ {
    fn new(_settings: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        // in the order of `fields` in plugin.toml
        let (class, reason) = (row.field(0), row.field(1));
        if class.text() == "E" && reason.is_empty() {
            out.push(Finding::new("reason-missing", Level::Warning).at("PV2-3"));
        }
        Ok(())
    }
}

feedpulse_check::export!(__Type__);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    #[test]
    fn only_an_emergency_needs_a_reason() {
        let rows: [&[&str]; 3] = [&["E", ""], &["E", "R07.4^Chest pain^I10"], &["I", ""]];
        let found = run::<__Type__>("{}", "admissions", &rows).unwrap();
        let told: Vec<_> = found.iter().map(|f| (f.row, f.code)).collect();
        assert_eq!(told, [(Some(0), "reason-missing")]);
    }
}
