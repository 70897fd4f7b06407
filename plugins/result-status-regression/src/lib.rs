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
        let groups = groups(next()?);
        if groups.is_empty() {
            return Ok(());
        }
        let columns = observations.map(|field| field.occurrences().collect::<Vec<_>>());
        let orders: Vec<Field<'_>> = orders.occurrences().collect();
        let requests = fillers.occurrences().zip(statuses.occurrences());
        for (index, ((filler, status), group)) in requests.zip(&groups).enumerate() {
            // ORC-3 stands in where OBR-3 is empty
            let order = group.order.and_then(|n| orders.get(n).copied());
            let Some(number) = [Some(filler), order].into_iter().flatten().find(|n| !n.is_empty())
            else {
                continue;
            };
            let key = hash(number.text());
            let mut known = Known::read(&key, row.now_ms());
            let mut changed = known.order(status.text(), index, row.now_ms(), out);
            changed |= known.observations(&columns, &group.observations, out);
            if changed {
                state::set(&key, &known.write())?;
            }
        }
        Ok(())
    }
}

/// What belongs to one OBR (HL7 v2.5.1 §7.3.1): the ORC before it and the OBX behind it, from 0.
#[derive(Default)]
struct Group {
    order: Option<usize>,
    observations: Vec<usize>,
}

/// One for each OBR, from the names of the segments in order.
fn groups(shape: Field<'_>) -> Vec<Group> {
    let (mut all, mut order) = (Vec::<Group>::new(), None);
    let (mut orders, mut observations) = (0, 0);
    for segment in shape.occurrences() {
        match segment.repetitions().next().map_or("", |name| name.text()) {
            "ORC" => (order, orders) = (Some(orders), orders + 1),
            "OBR" => all.push(Group { order, observations: Vec::new() }),
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

    /// Compares OBX-11 of the observations at these places with what is known. True = something new to
    /// remember.
    fn observations(
        &mut self,
        columns: &[Vec<Field<'_>>; 3],
        places: &[usize],
        out: &mut Findings,
    ) -> bool {
        let mut changed = false;
        for &index in places {
            let [id, sub, now] = [0, 1, 2].map(|n| columns[n].get(index).copied());
            let (Some(id), Some(sub), Some(now)) = (id, sub, now) else { continue };
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

    /// One ORC, one OBR, two OBX.
    const ONE: &str = "MSH\u{1c}ORC\u{1c}OBR\u{1d}3\u{1c}OBX\u{1c}OBX";
    /// Two orders with one OBX each.
    const TWO: &str = "MSH\u{1c}ORC\u{1c}OBR\u{1c}OBX\u{1c}NTE\u{1c}OBR\u{1c}OBX";

    #[test]
    fn a_final_order_that_becomes_preliminary_is_found() {
        let row = |status| ["77^LAB", "", status, "", "", "", ONE];
        let found = codes(&[&row("P"), &row("F"), &row("F"), &row("P"), &row("C"), &row("X")]);
        assert_eq!(found, [(Some(3), "order-status-regressed", "OBR-25".to_owned())]);
    }

    #[test]
    fn another_order_is_another_matter() {
        let row = |number, status| [number, "", status, "", "", "", ONE];
        assert_eq!(codes(&[&row("1", "F"), &row("2", "P")]), []);
    }

    #[test]
    fn orc_stands_in_for_an_empty_obr() {
        let row = |status| ["", "9", status, "", "", "", ONE];
        assert_eq!(codes(&[&row("F"), &row("I")]).len(), 1);
        let none = |status| ["", "", status, "", "", "", ONE];
        assert_eq!(codes(&[&none("F"), &none("I")]), []);
    }

    #[test]
    fn observations_are_compared_one_by_one() {
        let row = |statuses| ["5", "", "A", "GLU\u{1c}NA", "\u{1c}", statuses, ONE];
        let found = codes(&[&row("F\u{1c}P"), &row("F\u{1c}F"), &row("F\u{1c}P")]);
        assert_eq!(found, [(Some(2), "observation-status-regressed", "OBX[2]-11".to_owned())]);
    }

    #[test]
    fn each_order_of_a_message_has_its_own_status() {
        let row = |statuses| ["1\u{1c}2", "", statuses, "", "", "", TWO];
        let found = codes(&[&row("F\u{1c}P"), &row("F\u{1c}F"), &row("F\u{1c}S")]);
        assert_eq!(found, [(Some(2), "order-status-regressed", "OBR[2]-25".to_owned())]);
    }

    #[test]
    fn an_observation_belongs_to_the_order_before_it() {
        // the same test in two orders, of which one goes back
        let row = |statuses| ["1\u{1c}2", "", "A\u{1c}A", "GLU\u{1c}GLU", "\u{1c}", statuses, TWO];
        let found = codes(&[&row("F\u{1c}P"), &row("F\u{1c}F"), &row("F\u{1c}P")]);
        assert_eq!(found, [(Some(2), "observation-status-regressed", "OBX[2]-11".to_owned())]);
    }

    #[test]
    fn settings_are_refused() {
        assert!(run::<ResultStatusRegression>("{\"a\": 1}", "oru", &[]).is_err());
    }
}
