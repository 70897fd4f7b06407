//! Judges messages by rules that are written as settings: a path, one operator, conditions.
//!
//! `docs/rules.md` describes the language. A rule is judged at each occurrence of its segment; what
//! it names in a condition or as the other side of a comparison is read from the same occurrence
//! when it is of the same segment, and from anywhere in the message otherwise.

mod operator;
mod settings;
mod value;

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row, state};
use operator::{Operator, Test};
use settings::{Rule, SHAPE, TYPE};
use std::hash::{DefaultHasher, Hash, Hasher};
use value::valued;

/// Most places of one message that a finding counts.
const MOST: usize = 9999;

/// The rules, read once.
struct Rules(Vec<Rule>);

impl Check for Rules {
    fn new(settings: &str) -> Result<Self, String> {
        settings::read(settings).map(Self)
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let message = Message { fields: row.fields().collect() };
        for rule in &self.0 {
            if !rule.concerns(row.feed(), message.text(TYPE)) {
                continue;
            }
            let broken = message.broken(rule)?;
            if let Some(first) = broken.first() {
                // a segment that is not there cannot be pointed at
                let counts = matches!(rule.test.operator, Operator::Count(_));
                let nowhere = counts && message.count(&rule.test.segment) == 0;
                let place = if nowhere { String::new() } else { rule.test.place(*first) };
                out.push(
                    Finding::new(rule.name, rule.level)
                        .at(place)
                        .attr("count", broken.len().min(MOST)),
                );
            }
        }
        Ok(())
    }
}

/// The fields of one message.
struct Message<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Message<'a> {
    fn text(&self, slot: usize) -> &'a str {
        self.fields.get(slot).map_or("", Field::text)
    }

    /// How often a segment occurs.
    fn count(&self, segment: &str) -> usize {
        let shape = self.fields.get(SHAPE).into_iter().flat_map(Field::occurrences);
        shape.filter(|one| one.repetitions().next().is_some_and(|n| n.text() == segment)).count()
    }

    /// The occurrences at which a rule is broken; one, 0, when it is about the whole message.
    fn broken(&self, rule: &Rule) -> Result<Vec<usize>, String> {
        if let Operator::Count(range) = &rule.test.operator {
            let ok = range.holds(self.count(&rule.test.segment));
            return Ok(if ok || !self.conditions(rule, None) { Vec::new() } else { vec![0] });
        }
        let mut broken = Vec::new();
        for (index, _) in self.occurrences(&rule.test) {
            if !self.conditions(rule, Some(index)) {
                continue;
            }
            if let Operator::Changed { key, from, to } = &rule.test.operator {
                if self.changed(rule, index, *key, from, to)? {
                    broken.push(index);
                }
            } else if !self.keeps(&rule.test, index) {
                broken.push(index);
            }
        }
        Ok(broken)
    }

    /// The occurrences of what a test reads; one, empty, when the segment is absent.
    fn occurrences(&self, test: &Test) -> impl Iterator<Item = (usize, Field<'a>)> + use<'a> {
        self.fields.get(test.slot).copied().into_iter().flat_map(|f| f.occurrences().enumerate())
    }

    /// What a slot holds at an occurrence of a segment: that occurrence if the slot is of the same
    /// segment, else the first that is valued.
    fn other(&self, slot: usize, same: bool, index: usize) -> &'a str {
        let Some(field) = self.fields.get(slot) else { return "" };
        let mut all = field.occurrences();
        let one = if same { all.nth(index) } else { all.find(|one| !one.is_empty()) };
        one.and_then(|one| one.repetitions().map(|r| r.text()).find(|r| valued(r))).unwrap_or("")
    }

    /// Whether all conditions of a rule hold at an occurrence of its segment.
    fn conditions(&self, rule: &Rule, at: Option<usize>) -> bool {
        rule.when.iter().all(|test| {
            if let Operator::Count(range) = &test.operator {
                return range.holds(self.count(&test.segment));
            }
            let here = at.filter(|_| test.segment == rule.test.segment);
            let mut some =
                self.occurrences(test).filter(|(index, _)| here.is_none_or(|n| n == *index));
            match test.operator {
                Operator::Absent => some.all(|(_, one)| !has_value(one)),
                Operator::Present => some.any(|(_, one)| has_value(one)),
                _ => some.any(|(index, one)| {
                    let mut values = one.repetitions().filter(|r| valued(r.text()));
                    values.any(|value| self.holds(test, index, value.text()))
                }),
            }
        })
    }

    /// Whether one occurrence keeps to a rule: what is not valued keeps to all but `present`.
    fn keeps(&self, test: &Test, index: usize) -> bool {
        let Some((_, one)) = self.occurrences(test).nth(index) else { return true };
        match test.operator {
            Operator::Present => has_value(one),
            Operator::Absent => !has_value(one),
            Operator::Has(_) => {
                let mut values = one.repetitions().filter(|r| valued(r.text()));
                !has_value(one) || values.any(|value| self.holds(test, index, value.text()))
            }
            _ => {
                let mut values = one.repetitions().filter(|r| valued(r.text()));
                values.all(|value| self.holds(test, index, value.text()))
            }
        }
    }

    /// Whether one value is as the operator wants it.
    fn holds(&self, test: &Test, index: usize, value: &str) -> bool {
        let other = test.operator.other().map(|(slot, same)| self.other(slot, same, index));
        test.operator.holds(value, other)
    }

    /// Whether a value changed in a way that the rule names, and remembers the new one. What is kept
    /// is a hash of the value, or that it was one of `from`.
    fn changed(
        &self,
        rule: &Rule,
        index: usize,
        (key, same): (usize, bool),
        from: &[String],
        to: &[String],
    ) -> Result<bool, String> {
        let (name, value) = (self.other(key, same, index), self.other(rule.test.slot, true, index));
        if !valued(name) || !valued(value) {
            return Ok(false);
        }
        let key = hash((rule.name, name));
        let before = state::get(&key);
        let listed = |list: &[String]| list.iter().any(|one| one == value);
        if from.is_empty() && to.is_empty() {
            let now = hash(value);
            let changed = before.as_ref().is_some_and(|before| *before != now);
            if before.as_ref() != Some(&now) {
                state::set(&key, &now)?;
            }
            return Ok(changed);
        }
        if listed(from) {
            if before.is_none() {
                state::set(&key, "1")?;
            }
        } else if listed(to) {
            return Ok(before.is_some());
        } else if before.is_some() {
            state::remove(&key);
        }
        Ok(false)
    }
}

/// Whether an occurrence has a value in any repetition.
fn has_value(one: Field<'_>) -> bool {
    one.repetitions().any(|r| valued(r.text()))
}

/// Eight bytes in hexadecimal that stand for something without keeping it.
fn hash(value: impl Hash) -> String {
    // the same in every instance: new() has fixed keys
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A level by its name.
fn level(name: &str) -> Option<Level> {
    Some(match name {
        "info" => Level::Info,
        "warning" => Level::Warning,
        "error" => Level::Error,
        "critical" => Level::Critical,
        _ => return None,
    })
}

feedpulse_check::export!(Rules);

#[cfg(test)]
mod tests;
