//! Finds results whose status goes back from final or corrected to preliminary.
//!
//! What was final is remembered in the host's state under a hash of the filler order number, so
//! that no order number is kept. HL7 v2.5.1 §4.5.3.25 (OBR-25), §7.4.2.11 (OBX-11), tables 0123, 0085.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row, state};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

/// At most this many observations of one order are remembered, so that an entry stays small.
const MAX_OBSERVATIONS: usize = 128;
/// Minutes in a year: the largest age that is reported.
const YEAR_MINUTES: u64 = 525_600;

/// Has no settings and no memory of its own.
struct ResultStatusRegression;

impl Check for ResultStatusRegression {
    fn new(settings: &str) -> Result<Self, String> {
        match settings.split_whitespace().collect::<String>().as_str() {
            "" | "{}" => Ok(Self),
            _ => Err("this check has no settings; leave them out".to_owned()),
        }
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let mut fields = row.fields();
        let mut next = || fields.next().ok_or("fewer fields than declared");
        let (fillers, orders, statuses) = (next()?, next()?, next()?);
        let observations = [next()?, next()?, next()?];
        let single = fillers.occurrences().count() == 1;
        let mut orders = orders.occurrences();
        for (index, (filler, status)) in
            fillers.occurrences().zip(statuses.occurrences()).enumerate()
        {
            // ORC-3 stands in where OBR-3 is empty; a message may hold fewer ORC than OBR
            let order = orders.next();
            let Some(number) = [Some(filler), order].into_iter().flatten().find(|n| !n.is_empty())
            else {
                continue;
            };
            let key = hash(number.text());
            let mut known = Known::read(&key, row.now_ms());
            let mut changed = known.order(status.text(), index, row.now_ms(), out);
            if single {
                changed |= known.observations(observations, out);
            }
            if changed {
                state::set(&key, &known.write())?;
            }
        }
        Ok(())
    }
}

/// What is remembered of one order: the final status, since when, and its final observations.
struct Known {
    status: String,
    since_min: u64,
    observations: Vec<(String, String)>,
}

impl Known {
    /// From the host's state: `STATUS|MINUTE|HASH=STATUS,…`, or nothing known.
    fn read(key: &str, now_ms: u64) -> Self {
        let text = state::get(key).unwrap_or_default();
        let mut parts = text.split('|');
        let status = parts.next().unwrap_or("").to_owned();
        let since_min = parts.next().and_then(|m| m.parse().ok()).unwrap_or(now_ms / 60_000);
        let observations = parts
            .next()
            .unwrap_or("")
            .split(',')
            .filter_map(|one| one.split_once('='))
            .map(|(name, status)| (name.to_owned(), status.to_owned()))
            .collect();
        Self { status, since_min, observations }
    }

    /// The other way round.
    fn write(&self) -> String {
        let mut text = format!("{}|{}|", self.status, self.since_min);
        for (name, status) in &self.observations {
            write!(text, "{name}={status},").expect("a string takes all");
        }
        text
    }

    /// Compares OBR-25 with what is known. True = something new to remember.
    fn order(&mut self, now: &str, index: usize, now_ms: u64, out: &mut Findings) -> bool {
        if is_final(now) {
            let changed = self.status != now;
            if changed {
                (self.status, self.since_min) = (now.to_owned(), now_ms / 60_000);
            }
            return changed;
        }
        if is_final(&self.status) && matches!(now, "A" | "I" | "O" | "P" | "R" | "S") {
            let age = (now_ms / 60_000).saturating_sub(self.since_min).min(YEAR_MINUTES);
            out.push(
                Finding::new("order-status-regressed", Level::Error)
                    .at(place("OBR", index, 25))
                    .attr("before", &self.status)
                    .attr("now", now)
                    .attr("minutes-since", age),
            );
        }
        false
    }

    /// Compares OBX-11 of each observation with what is known. True = something new to remember.
    fn observations(&mut self, [ids, subs, statuses]: [Field<'_>; 3], out: &mut Findings) -> bool {
        let mut changed = false;
        let rows = ids.occurrences().zip(subs.occurrences()).zip(statuses.occurrences());
        for (index, ((id, sub), now)) in rows.enumerate() {
            if id.is_empty() {
                continue;
            }
            let (name, now) = (hash((id.text(), sub.text())), now.text());
            let room = self.observations.len() < MAX_OBSERVATIONS;
            let known = self.observations.iter_mut().find(|(known, _)| *known == name);
            match known {
                Some((_, before)) if is_final(now) => {
                    changed |= *before != now;
                    now.clone_into(before);
                }
                Some((_, before)) if matches!(now, "I" | "P" | "R" | "S") => out.push(
                    Finding::new("observation-status-regressed", Level::Warning)
                        .at(place("OBX", index, 11))
                        .attr("before", before)
                        .attr("now", now),
                ),
                None if is_final(now) && room => {
                    self.observations.push((name, now.to_owned()));
                    changed = true;
                }
                _ => {}
            }
        }
        changed
    }
}

/// Final or corrected: the patient may rely on it.
fn is_final(status: &str) -> bool {
    matches!(status, "F" | "C")
}

/// `OBX-11` for the first occurrence, `OBX[2]-11` for the second.
fn place(segment: &str, index: usize, field: u8) -> String {
    match index {
        0 => format!("{segment}-{field}"),
        _ => format!("{segment}[{}]-{field}", index + 1),
    }
}

/// Eight bytes in hexadecimal that stand for a number or a name without keeping it.
fn hash(value: impl Hash) -> String {
    // the same in every instance: new() has fixed keys
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

feedpulse_check::export!(ResultStatusRegression);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    fn codes(rows: &[&[&str]]) -> Vec<(Option<u32>, &'static str, String)> {
        let found = run::<ResultStatusRegression>("{}", "oru", rows).unwrap();
        found.into_iter().map(|f| (f.row, f.code, f.at)).collect()
    }

    #[test]
    fn a_final_order_that_becomes_preliminary_is_found() {
        let row = |status| ["77^LAB", "", status, "", "", ""];
        let found = codes(&[&row("P"), &row("F"), &row("F"), &row("P"), &row("C"), &row("X")]);
        assert_eq!(found, [(Some(3), "order-status-regressed", "OBR-25".to_owned())]);
    }

    #[test]
    fn another_order_is_another_matter() {
        let found = codes(&[&["1", "", "F", "", "", ""], &["2", "", "P", "", "", ""]]);
        assert_eq!(found, []);
    }

    #[test]
    fn orc_stands_in_for_an_empty_obr() {
        let row = |status| ["", "9", status, "", "", ""];
        assert_eq!(codes(&[&row("F"), &row("I")]).len(), 1);
        let none = |status| ["", "", status, "", "", ""];
        assert_eq!(codes(&[&none("F"), &none("I")]), []);
    }

    #[test]
    fn observations_are_compared_one_by_one() {
        let row = |statuses| ["5", "", "A", "GLU\u{1c}NA", "\u{1c}", statuses];
        let found = codes(&[&row("F\u{1c}P"), &row("F\u{1c}F"), &row("F\u{1c}P")]);
        assert_eq!(found, [(Some(2), "observation-status-regressed", "OBX[2]-11".to_owned())]);
    }

    #[test]
    fn each_order_of_a_message_has_its_own_status() {
        let row = |statuses| ["1\u{1c}2", "", statuses, "", "", ""];
        let found = codes(&[&row("F\u{1c}P"), &row("F\u{1c}F"), &row("F\u{1c}S")]);
        assert_eq!(found, [(Some(2), "order-status-regressed", "OBR[2]-25".to_owned())]);
    }

    #[test]
    fn settings_are_refused() {
        assert!(run::<ResultStatusRegression>("{\"a\": 1}", "oru", &[]).is_err());
    }
}
