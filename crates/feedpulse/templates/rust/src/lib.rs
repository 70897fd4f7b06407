//! __summary__

use feedpulse_check::{Finding, Findings, Level, Row};

/// Looks at one message. Each path is one of `fields` in plugin.toml.
fn check(row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    if row.at("PV1-2")?.text() == "E" && row.at("PV2-3")?.is_empty() {
        out.push(Finding::new("reason-missing", Level::Warning).at("PV2-3"));
    }
    Ok(())
}

feedpulse_check::export!(fn check);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::{Message, run_fn};

    #[test]
    fn only_an_emergency_needs_a_reason() {
        let visit = |class: &str| Message::new("ADT^A01").set("PV1-2", class);
        let messages = [visit("E"), visit("E").set("PV2-3", "R07.4^Chest pain^I10"), visit("I")];
        let found = run_fn(check, &[], &messages).unwrap();
        let told: Vec<_> = found.iter().map(|f| (f.row, f.code)).collect();
        assert_eq!(told, [(Some(0), "reason-missing")]);
    }
}
