//! Finds patient ids without authority and with a wrong check digit.
//!
//! PID-3 is CX (HL7 v2.5.1 §2.A.14): id, check digit, scheme (table 0061), assigning authority. Only
//! the schemes M10 and M11 are computed, and only over ids of digits, since the standard defines
//! both for numbers alone.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row, state};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The operator's words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Authorities (PID-3.4.1) whose ids carry a check digit, with the scheme: `{GENHOSP: M10}`.
    #[serde(default)]
    check_digits: BTreeMap<String, Scheme>,
    /// How long a sender without authority is not reported again.
    #[serde(default = "day")]
    repeat_after_minutes: u64,
}

fn day() -> u64 {
    1440
}

/// How a check digit is computed.
#[derive(Clone, Copy, Deserialize)]
enum Scheme {
    M10,
    M11,
}

/// The settings.
struct PatientId(Settings);

impl Check for PatientId {
    fn new(settings: &str) -> Result<Self, String> {
        serde_json::from_str(settings)
            .map(Self)
            .map_err(|e| format!("settings: {e}; an example is {{check-digits: {{GENHOSP: M10}}}}"))
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let fields: Vec<Field<'_>> = row.fields().collect();
        let [application, facility, version, ids @ ..] = &fields[..] else {
            return Err("fewer fields than declared".to_owned());
        };
        // a second PID is of another patient group (A17 swap, merges before 2.4): as good as the first
        let columns: Vec<Vec<&str>> = ids.iter().map(|column| parts(*column)).collect();
        let [numbers, digits, schemes, authorities, others @ ..] = &columns[..] else {
            return Err("fewer fields than declared".to_owned());
        };
        let at = |column: &[&str], n: usize| column.get(n).copied().unwrap_or("").to_owned();
        let mut nameless = Vec::new();
        for (n, number) in numbers.iter().enumerate().filter(|(_, number)| valued(number)) {
            let (authority, digit) = (at(authorities, n), at(digits, n));
            // a facility, a jurisdiction (a state) or an agency says as much
            if !valued(&authority) && !others.iter().any(|column| valued(&at(column, n))) {
                nameless.push(n);
            }
            let stated = match at(schemes, n).as_str() {
                "M10" => Some(Scheme::M10),
                "M11" => Some(Scheme::M11),
                _ => None,
            };
            let name = authority.split('&').next().unwrap_or("");
            let demanded = self.0.check_digits.get(name).copied();
            if let (true, Some(scheme)) = (valued(&digit), stated.or(demanded)) {
                if scheme.of(number).is_some_and(|right| right != digit) {
                    out.push(
                        finding("check-digit-wrong", Level::Error, n).attr("scheme", scheme.name()),
                    );
                }
            } else if let (false, Some(scheme)) = (valued(&digit), demanded) {
                out.push(
                    finding("check-digit-missing", Level::Warning, n).attr("scheme", scheme.name()),
                );
            }
        }
        // before 2.3, PID-3 was CK: its fourth component was optional by the standard
        let old = matches!(version.text(), "2.1" | "2.2");
        if let (Some(first), false) = (nameless.first(), old)
            && self.is_news((application.text(), facility.text()), row.now_ms())?
        {
            out.push(
                finding("authority-missing", Level::Warning, *first).attr("ids", nameless.len()),
            );
        }
        Ok(())
    }
}

impl PatientId {
    /// Whether this sender was not reported for long enough, and remembers it.
    fn is_news(&self, sender: (&str, &str), now_ms: u64) -> Result<bool, String> {
        let (key, now) = (hash(sender), now_ms / 60_000);
        let before: Option<u64> = state::get(&key).and_then(|minute| minute.parse().ok());
        if before.is_some_and(|before| now.saturating_sub(before) < self.0.repeat_after_minutes) {
            return Ok(false);
        }
        state::set(&key, &now.to_string())?;
        Ok(true)
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::M10 => "M10",
            Self::M11 => "M11",
        }
    }

    /// The check digit of a number; none when it is no number.
    fn of(self, number: &str) -> Option<String> {
        if number.is_empty() || number.len() > 20 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = || number.bytes().rev().map(|b| u32::from(b - b'0'));
        let digit = match self {
            // the odd positions from the right as one number times two, its digits and the others
            Self::M10 => {
                let odd = digits().step_by(2).fold((0, 0), |(carry, sum), d| {
                    // doubled from the lowest position of that number up
                    let doubled = d * 2 + carry;
                    (doubled / 10, sum + doubled % 10)
                });
                let even: u32 = digits().skip(1).step_by(2).sum();
                (10 - (odd.0 + odd.1 + even) % 10) % 10
            }
            Self::M11 => {
                let sum: u32 = digits().zip((2..=7).cycle()).map(|(d, weight)| d * weight).sum();
                (11 - (sum % 11).max(1)) % 10
            }
        };
        Some(digit.to_string())
    }
}

/// Every repetition of every occurrence.
fn parts(column: Field<'_>) -> Vec<&str> {
    column.occurrences().flat_map(|one| one.repetitions().map(|r| r.text())).collect()
}

fn finding(code: &'static str, level: Level, n: usize) -> Finding {
    let place = if n == 0 { "PID-3".to_owned() } else { format!("PID-3[{}]", n + 1) };
    Finding::new(code, level).at(place).attr("repetition", (n + 1).min(999))
}

/// Neither empty nor the explicit null (HL7 v2.5.1 §2.5.3).
fn valued(text: &str) -> bool {
    !text.is_empty() && text != "\"\""
}

/// Eight bytes in hexadecimal that stand for something without keeping it.
fn hash(value: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

feedpulse_check::export!(PatientId);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    fn codes(settings: &str, rows: &[[&str; 8]]) -> Vec<(u32, &'static str, String)> {
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 8]>::as_slice).collect();
        let found = run::<PatientId>(settings, "adt", &rows).unwrap();
        found.into_iter().map(|f| (f.row.unwrap_or(0), f.code, f.at)).collect()
    }

    #[test]
    fn check_digits_are_those_of_the_standard() {
        for (number, digit) in [("12345", "5"), ("401", "0"), ("9999", "4"), ("99999999", "8")] {
            assert_eq!(Scheme::M10.of(number).unwrap(), digit, "{number}");
        }
        assert_eq!(Scheme::M11.of("1234567").unwrap(), "4");
        // the 128952^6 that chapter 2 shows for CK is a wrong one by its own algorithm
        assert_eq!(Scheme::M11.of("128952").unwrap(), "7");
        assert!(Scheme::M10.of("PAT1").is_none() && Scheme::M11.of("").is_none());
    }

    #[test]
    fn ids_are_judged_one_by_one() {
        let sender = |tail: [&'static str; 5]| {
            let mut row = ["ADT", "GENHOSP", "2.5.1", "", "", "", "", ""];
            row[3..].copy_from_slice(&tail);
            row
        };
        let found = codes(
            "{}",
            &[
                sender([
                    "12345\u{1d}1234567",
                    "5\u{1d}4",
                    "M10\u{1d}M11",
                    "GENHOSP\u{1d}GENHOSP",
                    "\u{1d}",
                ]),
                sender([
                    "12354\u{1d}77",
                    "5\u{1d}",
                    "M10\u{1d}",
                    "GENHOSP&1.2&ISO\u{1d}",
                    "\u{1d}",
                ]),
                sender(["PATID1234", "5", "M11", "ADT1", ""]),
                sender(["78", "", "", "", ""]),
                sender(["", "", "", "", ""]),
            ],
        );
        let expected = [(1, "check-digit-wrong", "PID-3"), (1, "authority-missing", "PID-3[2]")];
        assert_eq!(
            found,
            expected.map(|(row, code, at)| (row, code, at.to_owned())),
            "a sender once"
        );
    }

    #[test]
    fn an_authority_can_demand_a_check_digit() {
        let settings = r#"{"check-digits": {"GENHOSP": "M10"}}"#;
        let row = |digit| ["ADT", "G", "2.5", "12345", digit, "", "GENHOSP", ""];
        let found = codes(settings, &[row(""), row("5"), row("6")]);
        let expected = [(0, "check-digit-missing", "PID-3"), (2, "check-digit-wrong", "PID-3")];
        assert_eq!(found, expected.map(|(row, code, at)| (row, code, at.to_owned())));
        assert!(run::<PatientId>(r#"{"check-digits": {"G": "M12"}}"#, "adt", &[]).is_err());
    }

    #[test]
    fn versions_before_2_3_know_no_authority() {
        assert_eq!(codes("{}", &[["ADT", "G", "2.2", "12345", "", "", "", ""]]), []);
    }
}
