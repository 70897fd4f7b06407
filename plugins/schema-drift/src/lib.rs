//! Finds segments and fields that were not there before, or are not allowed.
//!
//! HL7 allows Z segments anywhere and extra fields at the end (v2.5.1 §2.10.1, §2.7.2), so their
//! presence is no defect: the first sight of one after a time without is. Without settings only Z
//! segments are learned, since a standard segment (an AL1, an NTE) may rightly come once in a month.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row, state};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Most segments that are learned of one message type: an entry of the host's state is bounded.
const MAX_LEARNED: usize = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Messages of a type after which what is new is drift; 0 = learn nothing.
    learn: u32,
    /// Whether standard segments are learned too, not only those that begin with Z.
    standard: bool,
    /// What is allowed, by message type.
    allowed: Vec<Allowed>,
}

/// The segments of some message types.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    /// `ADT^A01` or `ADT^*`.
    types: Vec<String>,
    segments: BTreeSet<String>,
    /// The last field of a segment: `{PID: 30}`.
    #[serde(default)]
    fields: BTreeMap<String, u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { learn: 500, standard: false, allowed: Vec::new() }
    }
}

/// The settings.
struct SchemaDrift(Settings);

impl Check for SchemaDrift {
    fn new(settings: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(settings).map_err(|e| {
            format!("settings: {e}; an example is {{allowed: [{{types: [ADT^A01], segments: [MSH, EVN, PID]}}]}}")
        })?;
        let good = |t: &String| {
            t.split_once('^').is_some_and(|(c, e)| c.len() == 3 && matches!(e.len(), 1 | 3))
        };
        for (number, allowed) in (1..).zip(&settings.allowed) {
            if allowed.types.is_empty() || !allowed.types.iter().all(good) {
                return Err(format!(
                    "`allowed` {number}: `types` must be a list such as [ADT^A01, ORU^*]"
                ));
            }
            if !allowed.segments.contains("MSH") {
                return Err(format!(
                    "`allowed` {number}: `segments` must be the whole list, with MSH"
                ));
            }
            if let Some(other) =
                allowed.fields.keys().find(|name| !allowed.segments.contains(*name))
            {
                return Err(format!(
                    "`allowed` {number}: `fields` has {other}, which is not in `segments`"
                ));
            }
        }
        if settings.learn > 1_000_000 {
            return Err("`learn` must be at most 1000000 messages".to_owned());
        }
        Ok(Self(settings))
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let (msh9, shape) = (row.field(0), row.field(1));
        let mut parts = msh9.text().split('^');
        let (code, trigger) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let segments: Vec<Segment<'_>> = shape.occurrences().map(Segment::read).collect();
        let fits = |t: &String| {
            t.split_once('^').is_some_and(|(c, e)| c == code && (e == "*" || e == trigger))
        };
        if let Some(allowed) = self.0.allowed.iter().find(|allowed| allowed.types.iter().any(fits))
        {
            judge(allowed, &segments, out);
        }
        if self.0.learn == 0 {
            return Ok(());
        }
        // few message types exist; a broken sender that invents them pushes out its own oldest
        let key: String = format!("{code}^{trigger}").chars().take(16).collect();
        let mut known = Known::read(&state::get(&key).unwrap_or_default());
        let learning = known.seen < self.0.learn;
        let mut changed = learning;
        for segment in
            segments.iter().filter(|s| s.is_name() && (self.0.standard || s.name.starts_with('Z')))
        {
            changed |= known.meet(segment, (!learning).then_some(&mut *out));
        }
        if changed {
            known.seen = known.seen.saturating_add(1);
            state::set(&key, &known.write())?;
        }
        Ok(())
    }
}

/// A segment's name, and its filled fields.
struct Segment<'a> {
    name: &'a str,
    fields: Vec<u32>,
}

impl<'a> Segment<'a> {
    fn read(one: Field<'a>) -> Self {
        let mut parts = one.repetitions().map(|r| r.text());
        let name = parts.next().unwrap_or("");
        Self { name, fields: parts.filter_map(|n| n.parse().ok()).collect() }
    }

    /// Whether it can be named in a finding: not a line that is no segment.
    fn is_name(&self) -> bool {
        let mut bytes = self.name.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_uppercase())
            && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    }
}

/// Compares a message with what is allowed: each segment and field once.
fn judge(allowed: &Allowed, segments: &[Segment<'_>], out: &mut Findings) {
    let mut told = BTreeSet::new();
    for segment in segments {
        if !allowed.segments.contains(segment.name) {
            if told.insert((segment.name, 0)) {
                let place = if segment.is_name() { segment.name } else { "" };
                out.push(Finding::new("segment-not-allowed", Level::Error).at(place));
            }
        } else if let Some(last) = allowed.fields.get(segment.name)
            && let Some(field) = segment.fields.iter().find(|field| *field > last)
            && told.insert((segment.name, *field))
        {
            out.push(
                Finding::new("field-not-allowed", Level::Warning)
                    .at(format!("{}-{field}", segment.name))
                    .attr("field", (*field).min(999)),
            );
        }
    }
}

/// What is known of one message type: how many messages were seen, and the segments with their
/// fields, a bit each; field 64 and beyond share the last bit.
#[derive(Default)]
struct Known {
    seen: u32,
    segments: BTreeMap<String, u64>,
}

impl Known {
    /// `COUNT,NAME:BITS,…`.
    fn read(text: &str) -> Self {
        let mut parts = text.split(',');
        let seen = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let segment = |one: &str| {
            let (name, bits) = one.split_once(':')?;
            Some((name.to_owned(), u64::from_str_radix(bits, 16).ok()?))
        };
        Self { seen, segments: parts.filter_map(segment).collect() }
    }

    /// The other way round.
    fn write(&self) -> String {
        let mut text = self.seen.to_string();
        for (name, bits) in &self.segments {
            write!(text, ",{name}:{bits:x}").expect("a string takes all");
        }
        text
    }

    /// Learns a segment, and says what is new when there is somebody to say it to. True = something
    /// was new.
    fn meet(&mut self, segment: &Segment<'_>, out: Option<&mut Findings>) -> bool {
        let bit = |field: &u32| 1_u64 << field.saturating_sub(1).min(63);
        let filled = segment.fields.iter().fold(0, |bits, field| bits | bit(field));
        let room = self.segments.len() < MAX_LEARNED;
        let seen = self.seen.clamp(1, 1_000_000);
        let Some(known) = self.segments.get_mut(segment.name) else {
            if room {
                self.segments.insert(segment.name.to_owned(), filled);
                if let Some(out) = out {
                    let finding = Finding::new("new-segment", Level::Warning);
                    out.push(finding.at(segment.name).attr("learned", seen));
                }
            }
            return room;
        };
        let new = filled & !*known;
        *known |= filled;
        let first = segment.fields.iter().find(|field| new & bit(field) != 0);
        if let (Some(out), Some(field)) = (out, first) {
            out.push(
                Finding::new("new-field", Level::Info)
                    .at(format!("{}-{field}", segment.name))
                    .attr("field", (*field).min(999))
                    .attr("learned", seen),
            );
        }
        new != 0
    }
}

feedpulse_check::export!(SchemaDrift);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    fn codes(settings: &str, shapes: &[&str]) -> Vec<(u32, &'static str, String)> {
        let rows: Vec<[&str; 2]> = shapes.iter().map(|shape| ["ADT^A01^ADT_A01", *shape]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 2]>::as_slice).collect();
        let found = run::<SchemaDrift>(settings, "adt", &rows).unwrap();
        found.into_iter().map(|f| (f.row.unwrap_or(0), f.code, f.at)).collect()
    }

    #[test]
    fn what_is_new_after_learning_is_told_once() {
        let (plain, z, more) =
            ("MSH\u{1d}9\u{1c}PID", "MSH\u{1c}ZPD\u{1d}2", "MSH\u{1c}ZPD\u{1d}2\u{1d}70");
        let allergy = "MSH\u{1c}AL1\u{1d}3";
        let found =
            codes(r#"{"learn": 3}"#, &[plain, plain, plain, allergy, z, z, more, more, plain]);
        let expected = [(4, "new-segment", "ZPD"), (6, "new-field", "ZPD-70")];
        assert_eq!(found, expected.map(|(row, code, at)| (row, code, at.to_owned())));
        assert_eq!(codes(r#"{"learn": 3}"#, &[z, plain, more, z, more]), [], "learned in time");
        assert_eq!(codes(r#"{"learn": 1, "standard": true}"#, &[plain, allergy, allergy]).len(), 1);
        assert_eq!(codes("{}", &[plain, z, more]), [], "500 messages by default");
    }

    #[test]
    fn a_list_of_what_is_allowed() {
        let settings = r#"{"learn": 0, "allowed": [{"types": ["ADT^*"], "segments": ["MSH", "PID", "ZPD"], "fields": {"PID": 30}}]}"#;
        let found = codes(
            settings,
            &["MSH\u{1c}PID\u{1d}30\u{1c}ZPD", "MSH\u{1c}PID\u{1d}31\u{1c}NTE\u{1c}NTE\u{1c}???"],
        );
        let expected = [
            (1, "field-not-allowed", "PID-31"),
            (1, "segment-not-allowed", "NTE"),
            (1, "segment-not-allowed", ""),
        ];
        assert_eq!(found, expected.map(|(row, code, at)| (row, code, at.to_owned())));
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, said) in [
            (r#"{"learn": "x"}"#, "settings"),
            (r#"{"allowed": [{"types": ["ADT"], "segments": ["MSH"]}]}"#, "[ADT^A01, ORU^*]"),
            (r#"{"allowed": [{"types": ["ADT^*"], "segments": ["PID"]}]}"#, "with MSH"),
            (
                r#"{"allowed": [{"types": ["ADT^*"], "segments": ["MSH"], "fields": {"PID": 3}}]}"#,
                "has PID",
            ),
        ] {
            assert!(
                run::<SchemaDrift>(settings, "adt", &[]).unwrap_err().contains(said),
                "{settings}"
            );
        }
    }
}
