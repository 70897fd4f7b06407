//! Finds control ids (MSH-10) that are used for two different messages.
//!
//! A message is told from another by what it is about (type, patient, order, states, event), never
//! by its text or its time stamps, which engines change when they send again. What is remembered
//! is hashes alone.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row, state};
use serde::Deserialize;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Minutes in a year: the largest age that is reported.
const YEAR_MINUTES: u64 = 525_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// How long an id is remembered: a counter may come round again after that.
    window_minutes: u64,
    /// Whether ids that two senders share are reported.
    across_senders: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window_minutes: 1440, across_senders: true }
    }
}

/// The settings.
struct DuplicateControlId(Settings);

impl Check for DuplicateControlId {
    fn new(settings: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(settings)
            .map_err(|e| format!("settings: {e}; an example is {{window-minutes: 1440}}"))?;
        if !(1..=YEAR_MINUTES).contains(&settings.window_minutes) {
            return Err("`window-minutes` must be from 1 to 525600, a year".to_owned());
        }
        Ok(Self(settings))
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let fields: Vec<&str> = row.fields().map(|field: Field<'_>| field.text()).collect();
        let [application, facility, id, about @ ..] = &fields[..] else {
            return Err("fewer fields than declared".to_owned());
        };
        // an ACK has ids of its own, which some engines do not make unique on purpose
        let acknowledges = about.first().is_some_and(|msh9| msh9.starts_with("ACK"));
        if id.is_empty() || acknowledges {
            return Ok(());
        }
        let now = row.now_ms() / 60_000;
        let (sender, about) = (hash((application, facility)), hash(about));
        // of one sender
        let own = format!("i{}", hash((application, facility, id)));
        match read(&own).filter(|(_, minute)| now.saturating_sub(*minute) < self.0.window_minutes) {
            Some((known, minute)) if known != about => {
                let age = now.saturating_sub(minute).min(YEAR_MINUTES);
                out.push(
                    Finding::new("id-reused", Level::Error).at("MSH-10").attr("minutes-since", age),
                );
                write(&own, &about, now)?;
            }
            Some(_) => {}
            None => write(&own, &about, now)?,
        }
        if self.0.across_senders {
            self.across(&sender, id, now, out)?;
        }
        Ok(())
    }
}

impl DuplicateControlId {
    /// Whether another sender used the id, once for each pair in a window.
    fn across(&self, sender: &str, id: &str, now: u64, out: &mut Findings) -> Result<(), String> {
        let shared = format!("s{}", hash(id));
        match read(&shared)
            .filter(|(_, minute)| now.saturating_sub(*minute) < self.0.window_minutes)
        {
            Some((other, minute)) if other != sender => {
                let mut pair = [other.as_str(), sender];
                pair.sort_unstable();
                let pair = format!("p{}", hash(pair));
                let told = read(&pair)
                    .is_some_and(|(_, then)| now.saturating_sub(then) < self.0.window_minutes);
                if !told {
                    let age = now.saturating_sub(minute).min(YEAR_MINUTES);
                    out.push(
                        Finding::new("id-shared", Level::Info)
                            .at("MSH-10")
                            .attr("minutes-since", age),
                    );
                    write(&pair, "", now)?;
                }
            }
            Some(_) => {}
            None => write(&shared, sender, now)?,
        }
        Ok(())
    }
}

/// What is remembered under a key, and since which minute.
fn read(key: &str) -> Option<(String, u64)> {
    let text = state::get(key)?;
    let (what, minute) = text.split_once('|')?;
    Some((what.to_owned(), minute.parse().ok()?))
}

/// Remembers it.
fn write(key: &str, what: &str, minute: u64) -> Result<(), String> {
    state::set(key, &format!("{what}|{minute}"))
}

/// Eight bytes in hexadecimal that stand for something without keeping it.
fn hash(value: impl Hash) -> String {
    // the same in every instance: new() has fixed keys
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

feedpulse_check::export!(DuplicateControlId);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    fn row(sender: &'static str, id: &'static str, patient: &'static str) -> Vec<&'static str> {
        let mut row = vec![sender, "GENHOSP", id, "ADT^A01", patient];
        row.resize(14, "");
        row
    }

    fn codes(settings: &str, rows: &[Vec<&'static str>]) -> Vec<(u32, &'static str)> {
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        let found = run::<DuplicateControlId>(settings, "adt", &rows).unwrap();
        found.into_iter().map(|f| (f.row.unwrap_or(0), f.code)).collect()
    }

    #[test]
    fn another_message_under_the_same_id_is_found_and_a_resend_is_not() {
        let rows = [
            row("A", "1", "77"),
            row("A", "1", "77"),
            row("A", "1", "78"),
            row("A", "2", "79"),
            row("A", "", "80"),
            row("A", "", "81"),
        ];
        assert_eq!(codes("{}", &rows), [(2, "id-reused")]);
    }

    #[test]
    fn acks_are_left_alone() {
        let mut ack = row("A", "1", "");
        ack[3] = "ACK^A01";
        assert_eq!(codes("{}", &[row("A", "1", "77"), ack]), []);
    }

    #[test]
    fn two_senders_are_told_once() {
        let rows = [
            row("A", "1", "77"),
            row("B", "1", "77"),
            row("A", "2", "77"),
            row("B", "2", "77"),
            row("C", "1", "9"),
        ];
        assert_eq!(
            codes("{}", &rows),
            [(1, "id-shared"), (4, "id-shared")],
            "another pair is news"
        );
        assert_eq!(codes(r#"{"across-senders": false}"#, &rows), []);
    }

    #[test]
    fn wrong_settings_are_named() {
        for bad in [r#"{"window": 1}"#, r#"{"window-minutes": 0}"#] {
            assert!(run::<DuplicateControlId>(bad, "adt", &[]).is_err(), "{bad}");
        }
    }
}
