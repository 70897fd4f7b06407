//! Finds critical results that name nobody to call.
//!
//! An OBX belongs to the OBR before it, and that to the ORC before it (HL7 v2.5.1 §7.3.1), which
//! `@shape` tells. PV1 is for the whole message. An observation that was wrong or deleted
//! (OBX-11 = W, D) or never made (X) is nobody's critical result.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The manifest's own fields, in its order.
const OWN: [&str; 10] = [
    "@shape", "OBX-8.1", "OBX-11", "OBR-17", "ORC-14", "PRT-15", "OBR-16", "ORC-12", "PV1-3",
    "PV1-7",
];
/// The telephone numbers among them.
const PHONES: [&str; 3] = ["OBR-17", "ORC-14", "PRT-15"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Flags in OBX-8 that mean critical; sites have their own.
    flags: BTreeSet<String>,
    /// One of these must be valued.
    paths: Vec<String>,
    /// Whether a telephone number is demanded.
    phone: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let text = |text: &&str| (*text).to_owned();
        Self {
            flags: ["HH", "LL", "AA"].iter().map(text).collect(),
            paths: OWN[3..].iter().map(text).collect(),
            phone: false,
        }
    }
}

/// The settings, and which field of a row each path is.
struct Callback {
    settings: Settings,
    slots: BTreeMap<String, usize>,
}

impl Check for Callback {
    fn new(settings: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(settings).map_err(|e| {
            format!("settings: {e}; an example is {{flags: [HH, LL], phone: true}}")
        })?;
        if settings.flags.is_empty() || settings.paths.is_empty() {
            return Err("`flags` and `paths` must not be empty; leave them out for the usual ones"
                .to_owned());
        }
        let named: BTreeSet<&String> = settings.paths.iter().collect();
        let others = named.into_iter().filter(|path| !OWN.contains(&path.as_str())).cloned();
        let slots = OWN.iter().map(|own| (*own).to_owned()).chain(others).zip(0..).collect();
        Ok(Self { settings, slots })
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let fields: Vec<Field<'_>> = row.fields().collect();
        let [shape, flags, states, ..] = &fields[..] else {
            return Err("fewer fields than declared".to_owned());
        };
        let critical: Vec<Option<&str>> = flags
            .occurrences()
            .zip(states.occurrences())
            .map(|(flags, state)| {
                let mut flags = flags.repetitions().map(|r| r.text());
                let stands = !matches!(state.text(), "W" | "D" | "X");
                flags.find(|flag| stands && self.settings.flags.contains(*flag))
            })
            .collect();
        if critical.iter().all(Option::is_none) {
            return Ok(());
        }
        for group in groups(*shape) {
            let mut flagged =
                group.observations.iter().filter_map(|n| Some((*n, (*critical.get(*n)?)?)));
            let Some((first, flag)) = flagged.next() else { continue };
            let count = 1 + flagged.count();
            let valued = |path: &str| {
                let field = self.slots.get(path).and_then(|slot| fields.get(*slot));
                field.is_some_and(|field| group.has(path, *field))
            };
            let code = if !self.settings.paths.iter().any(|path| valued(path)) {
                "no-callback-path"
            } else if self.settings.phone && !PHONES.iter().any(|path| valued(path)) {
                "no-callback-phone"
            } else {
                continue;
            };
            let level = if code == "no-callback-path" { Level::Error } else { Level::Warning };
            let flag = if matches!(flag, "HH" | "LL" | "AA") { flag } else { "other" };
            let place =
                if first == 0 { "OBX-8".to_owned() } else { format!("OBX[{}]-8", first + 1) };
            out.push(
                Finding::new(code, level)
                    .at(place)
                    .attr("flag", flag)
                    .attr("count", count.min(9999)),
            );
        }
        Ok(())
    }
}

/// What belongs to one OBR: occurrences, from 0.
#[derive(Default)]
struct Group {
    order: Option<usize>,
    request: Option<usize>,
    observations: Vec<usize>,
}

impl Group {
    /// Whether a field is valued for this group: in its own ORC or OBR, else anywhere.
    fn has(&self, path: &str, field: Field<'_>) -> bool {
        let mine = match path.get(..3) {
            Some("ORC") => Some(self.order),
            Some("OBR") => Some(self.request),
            _ => None,
        };
        let valued = |one: Field<'_>| {
            one.repetitions().any(|r| r.text().chars().any(|c| !matches!(c, '^' | '&' | '"' | ' ')))
        };
        match mine {
            None => field.occurrences().any(valued),
            Some(Some(n)) => field.occurrences().nth(n).is_some_and(valued),
            Some(None) => false,
        }
    }
}

/// The groups of a message.
fn groups(shape: Field<'_>) -> Vec<Group> {
    let mut all = vec![Group::default()];
    let (mut orders, mut requests, mut observations) = (0, 0, 0);
    let mut order = None;
    for segment in shape.occurrences() {
        match segment.repetitions().next().map_or("", |name| name.text()) {
            "ORC" => (order, orders) = (Some(orders), orders + 1),
            "OBR" => {
                all.push(Group { order, request: Some(requests), observations: Vec::new() });
                requests += 1;
            }
            "OBX" => {
                if let Some(group) = all.last_mut() {
                    group.observations.push(observations);
                }
                observations += 1;
            }
            _ => {}
        }
    }
    all
}

feedpulse_check::export!(Callback);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    /// Two groups with two and one observations.
    const SHAPE: &str =
        "MSH\u{1c}PID\u{1c}ORC\u{1d}1\u{1c}OBR\u{1c}OBX\u{1c}OBX\u{1c}ORC\u{1c}OBR\u{1c}OBX";

    fn codes(settings: &str, fields: [&str; 9]) -> Vec<(&'static str, String)> {
        let row: Vec<&str> = std::iter::once(SHAPE).chain(fields).collect();
        let found = run::<Callback>(settings, "lab", &[&row]).unwrap();
        found.into_iter().map(|f| (f.code, f.at)).collect()
    }

    #[test]
    fn the_group_of_the_critical_result_counts() {
        // OBX-8, OBX-11, OBR-17, ORC-14, PRT-15, OBR-16, ORC-12, PV1-3, PV1-7
        let third = "\u{1c}\u{1c}N\u{1d}HH";
        let states = "F\u{1c}F\u{1c}F";
        let none = ["", "", "", "", ""];
        let case = |requests, tail: [&'static str; 5]| {
            let [a, b, c, d, e] = tail;
            codes(
                "{}",
                [third, states, "", "", a, requests, b, c, d].map(|s| if s == "e" { e } else { s }),
            )
        };
        let missing = [("no-callback-path", "OBX[3]-8".to_owned())];
        assert_eq!(case("DOC^A\u{1c}", none), missing, "the other order's provider does not help");
        assert_eq!(case("\u{1c}DOC^A", none), []);
        assert_eq!(case("\u{1c}^^&", none), missing, "separators are nobody");
        assert_eq!(case("\u{1c}", ["", "", "4W^12", "", ""]), [], "a ward can be called");
    }

    #[test]
    fn what_was_withdrawn_is_not_critical() {
        assert_eq!(
            codes("{}", ["HH\u{1c}LL\u{1c}A", "W\u{1c}X\u{1c}F", "", "", "", "", "", "", ""]),
            []
        );
        assert_eq!(
            codes("{}", ["\u{1c}\u{1c}", "F\u{1c}F\u{1c}F", "", "", "", "", "", "", ""]),
            []
        );
    }

    #[test]
    fn a_number_and_other_flags_can_be_demanded() {
        let fields =
            ["CRIT\u{1c}\u{1c}", "F\u{1c}F\u{1c}F", "", "", "", "DOC\u{1c}DOC", "", "", ""];
        let settings = r#"{"flags": ["CRIT"], "phone": true}"#;
        assert_eq!(codes(settings, fields), [("no-callback-phone", "OBX-8".to_owned())]);
        assert_eq!(codes("{}", fields), []);
        assert!(run::<Callback>(r#"{"flags": []}"#, "lab", &[]).is_err());
    }
}
