//! Finds messages that lack what a profile demands, or hold what it forbids.
//!
//! A required field is demanded of each occurrence of its segment that is there; that the segment
//! itself must be there is said apart. So an ORU without OBX (a cancelled order) is no defect, and a
//! PID without PID-3 is one.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The manifest's own fields, in its order.
const OWN: [&str; 9] =
    ["@type", "@shape", "MSH-9.1", "MSH-10", "PID-3.1", "PID-5", "OBR-4", "OBX-3", "OBX-11"];
/// Most places of one message that a finding counts.
const MOST: usize = 9999;

/// Used without settings: what every receiver needs to file a message.
const USUAL: &str = r#"{"profiles": [
    {"required": ["MSH-9.1", "MSH-10"]},
    {"types": ["ADT^*"], "segments": ["PID"], "required": ["PID-3.1", "PID-5"]},
    {"types": ["ORU^*"], "segments": ["OBR"], "required": ["PID-3.1", "OBR-4", "OBX-3", "OBX-11"]},
    {"types": ["ORM^*", "OML^*", "OMG^*", "MDM^*", "SIU^*", "VXU^*", "DFT^*"], "required": ["PID-3.1", "PID-5"]}
]}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    profiles: Vec<Profile>,
}

/// What is demanded of some message types.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Profile {
    /// `ADT^A01` or `ADT^*`; none = all.
    #[serde(default)]
    types: Vec<String>,
    /// Names of feeds; none = all.
    #[serde(default)]
    feeds: Vec<String>,
    #[serde(default)]
    segments: Vec<String>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    required_if: Vec<Condition>,
    #[serde(default)]
    forbidden: Vec<String>,
    #[serde(default)]
    tables: Vec<Table>,
}

/// `path` must be valued where `when` is, or is one of `in`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    path: String,
    when: String,
    #[serde(default)]
    r#in: Vec<String>,
}

/// The codes that a field may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: String,
    values: BTreeSet<String>,
}

/// The profiles, and which field of a row each path is.
struct RequiredFields {
    profiles: Vec<Profile>,
    slots: BTreeMap<String, usize>,
}

impl Check for RequiredFields {
    fn new(settings: &str) -> Result<Self, String> {
        let text =
            if settings.split_whitespace().collect::<String>() == "{}" { USUAL } else { settings };
        let Settings { profiles } = serde_json::from_str(text)
            .map_err(|e| format!("settings: {e}; an example is {{profiles: [{{types: [ADT^A01], required: [PID-3.1]}}]}}"))?;
        if profiles.is_empty() {
            return Err("`profiles` is empty; leave it out to use the usual profile".to_owned());
        }
        for (number, profile) in (1..).zip(&profiles) {
            profile.validate().map_err(|why| format!("profile {number}: {why}"))?;
        }
        let named: BTreeSet<&String> = profiles.iter().flat_map(Profile::paths).collect();
        let others = named.into_iter().filter(|path| !OWN.contains(&path.as_str())).cloned();
        let slots = OWN.iter().map(|own| (*own).to_owned()).chain(others).zip(0..).collect();
        Ok(Self { profiles, slots })
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let message = Message { fields: row.fields().collect(), slots: &self.slots };
        for profile in self.profiles.iter().filter(|p| p.concerns(row.feed(), message.msh9())) {
            let missing =
                profile.segments.iter().filter(|segment| message.count(segment) == 0).count();
            if missing > 0 {
                // no place: what is not there cannot be pointed at
                out.push(Finding::new("segment-missing", Level::Error).attr("count", missing));
            }
            for path in &profile.required {
                message.report("required-missing", path, out, |_, one| !has_value(one));
            }
            for Condition { path, when, r#in } in &profile.required_if {
                message.report("conditional-missing", path, out, |index, one| {
                    let demanded = message.beside(path, when, index).any(|value| {
                        valued(value) && (r#in.is_empty() || r#in.iter().any(|v| v == value))
                    });
                    demanded && !has_value(one)
                });
            }
            for path in &profile.forbidden {
                message.report("forbidden-valued", path, out, |_, one| has_value(one));
            }
            for Table { path, values } in &profile.tables {
                message.report("not-in-table", path, out, |_, one| {
                    let mut all = one.repetitions().map(|r| r.text());
                    all.any(|value| valued(value) && !values.contains(value))
                });
            }
        }
        Ok(())
    }
}

impl Profile {
    /// Every path that it names.
    fn paths(&self) -> impl Iterator<Item = &String> {
        let conditions = self.required_if.iter().flat_map(|c| [&c.path, &c.when]);
        let tables = self.tables.iter().map(|table| &table.path);
        self.required.iter().chain(&self.forbidden).chain(conditions).chain(tables)
    }

    fn validate(&self) -> Result<(), String> {
        let three = |t: &str| {
            t.len() == 3 && t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        let good =
            |t: &str| t.split_once('^').is_some_and(|(c, e)| three(c) && (e == "*" || three(e)));
        if let Some(bad) = self.types.iter().find(|t| !good(t)) {
            return Err(format!("`{bad}` is no message type; write ADT^A01 or ADT^*"));
        }
        if let Some(bad) = self.segments.iter().find(|s| !three(s)) {
            return Err(format!("`{bad}` is no segment; write PID"));
        }
        if self.segments.is_empty() && self.paths().next().is_none() {
            return Err(
                "it demands nothing; give segments, required, required-if, forbidden or tables"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Whether it is about messages of this feed and MSH-9.
    fn concerns(&self, feed: &str, (code, trigger): (&str, &str)) -> bool {
        let fits = |t: &String| {
            t.split_once('^').is_some_and(|(c, e)| c == code && (e == "*" || e == trigger))
        };
        (self.types.is_empty() || self.types.iter().any(fits))
            && (self.feeds.is_empty() || self.feeds.iter().any(|f| f == feed))
    }
}

/// One message.
struct Message<'a> {
    fields: Vec<Field<'a>>,
    slots: &'a BTreeMap<String, usize>,
}

impl<'a> Message<'a> {
    /// Code and trigger.
    fn msh9(&self) -> (&'a str, &'a str) {
        let mut parts = self.fields.first().map_or("", Field::text).split('^');
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
    }

    /// How often a segment occurs.
    fn count(&self, segment: &str) -> usize {
        let all = self.fields.get(1).into_iter().flat_map(Field::occurrences);
        all.filter(|one| one.repetitions().next().is_some_and(|n| n.text() == segment)).count()
    }

    fn field(&self, path: &str) -> Option<Field<'a>> {
        self.fields.get(*self.slots.get(path)?).copied()
    }

    /// The values at `other` that go with an occurrence of `path`'s segment: of that occurrence when
    /// both are in one segment, else all.
    fn beside(&self, path: &str, other: &str, index: usize) -> impl Iterator<Item = &'a str> {
        let same = segment(path) == segment(other);
        let all = self.field(other).into_iter().flat_map(|field| field.occurrences().enumerate());
        all.filter(move |(n, _)| !same || *n == index)
            .flat_map(|(_, one)| one.repetitions().map(|r| r.text()))
    }

    /// One finding for all occurrences of a path's segment that are wrong, at the first of them.
    fn report(
        &self,
        code: &'static str,
        path: &str,
        out: &mut Findings,
        wrong: impl Fn(usize, Field<'a>) -> bool,
    ) {
        let segment = segment(path);
        let Some(field) =
            self.field(path).filter(|_| segment.is_empty() || self.count(segment) > 0)
        else {
            return;
        };
        let all = field.occurrences().enumerate();
        let places: Vec<usize> = all.filter(|(n, one)| wrong(*n, *one)).map(|(n, _)| n).collect();
        let Some(first) = places.first() else { return };
        let place = match first {
            _ if segment.is_empty() => String::new(),
            0 => path.to_owned(),
            n => path.replacen(segment, &format!("{segment}[{}]", n + 1), 1),
        };
        out.push(Finding::new(code, level(code)).at(place).attr("count", places.len().min(MOST)));
    }
}

/// As the manifest has it.
fn level(code: &str) -> Level {
    if code == "not-in-table" { Level::Warning } else { Level::Error }
}

/// `PID` of `PID-3.1`; empty for a pseudo field.
fn segment(path: &str) -> &str {
    path.split_once('-').map_or("", |(segment, _)| segment).trim_start_matches('@')
}

fn has_value(one: Field<'_>) -> bool {
    one.repetitions().any(|r| valued(r.text()))
}

/// Neither empty nor the explicit null (HL7 v2.5.1 §2.5.3).
fn valued(text: &str) -> bool {
    !text.is_empty() && text != "\"\""
}

feedpulse_check::export!(RequiredFields);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    fn codes(settings: &str, rows: &[&[&str]]) -> Vec<(u32, &'static str, String)> {
        let found = run::<RequiredFields>(settings, "adt", rows).unwrap();
        found.into_iter().map(|f| (f.row.unwrap_or(0), f.code, f.at)).collect()
    }

    /// A row of the manifest's own fields.
    fn oru<'a>(shape: &'a str, id: &'a str, tests: &'a str, states: &'a str) -> [&'a str; 9] {
        ["ORU^R01^ORU_R01", shape, "ORU", "1", id, "DOE^JANE", "GLU", tests, states]
    }

    #[test]
    fn the_usual_profile_knows_ordinary_messages() {
        let whole = "MSH\u{1c}PID\u{1c}OBR\u{1c}OBX\u{1c}OBX";
        let rows: [&[&str]; 4] = [
            &oru(whole, "7\u{1d}8", "GLU\u{1c}NA", "F\u{1c}F"),
            &oru("MSH\u{1c}OBR", "", "", ""),
            &oru("MSH\u{1c}PID\u{1c}OBR", "7", "", ""),
            &["ACK", "MSH\u{1c}MSA", "ACK", "1", "", "", "", "", ""],
        ];
        assert_eq!(codes("{}", &rows), [], "no OBX, no PID, an ACK: all legal");
        let found = codes(
            "{}",
            &[&oru(whole, "\"\"", "GLU\u{1c}", "F\u{1c}F"), &oru("MSH\u{1c}PID", "7", "", "")],
        );
        let expected = [
            (0, "required-missing", "PID-3.1"),
            (0, "required-missing", "OBX[2]-3"),
            (1, "segment-missing", ""),
        ];
        assert_eq!(found, expected.map(|(row, code, at)| (row, code, at.to_owned())));
    }

    #[test]
    fn a_profile_of_ones_own() {
        let settings = r#"{"profiles": [{"types": ["ADT^A03"], "feeds": ["adt"],
            "required-if": [{"path": "PV1-45", "when": "PV1-36", "in": ["01"]}],
            "forbidden": ["PID-19"], "tables": [{"path": "PID-8", "values": ["F", "M"]}]}]}"#;
        // behind the own fields, sorted: PID-19, PID-8, PV1-36, PV1-45
        let row = |tail: [&'static str; 4]| {
            let own = ["ADT^A03", "PID\u{1c}PV1", "ADT", "1", "7", "DOE", "", "", ""];
            own.into_iter().chain(tail).collect::<Vec<_>>()
        };
        let rows =
            [row(["", "F", "02", ""]), row(["1", "X", "01", ""]), row(["", "", "01", "2026"])];
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        let expected = [
            (1, "conditional-missing", "PV1-45"),
            (1, "forbidden-valued", "PID-19"),
            (1, "not-in-table", "PID-8"),
        ];
        assert_eq!(
            codes(settings, &rows),
            expected.map(|(row, code, at)| (row, code, at.to_owned()))
        );
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, said) in [
            (r#"{"profile": []}"#, "unknown field `profile`"),
            (r#"{"profiles": []}"#, "is empty"),
            (r#"{"profiles": [{}]}"#, "profile 1: it demands nothing"),
            (r#"{"profiles": [{"types": ["A01"], "segments": ["PID"]}]}"#, "ADT^*"),
            (r#"{"profiles": [{"segments": ["pid"]}]}"#, "write PID"),
        ] {
            let error = run::<RequiredFields>(settings, "adt", &[]).unwrap_err();
            assert!(error.contains(said), "{settings}: {error}");
        }
    }
}
