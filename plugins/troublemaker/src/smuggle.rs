//! Tries to carry what it was shown out of the house, by every way that a check has.

use crate::seen;
use feedpulse_check::{Finding, Findings, Level, Row, log, state};
use std::sync::Mutex;

/// What was seen of other feeds, in the instance's own memory.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One row by one way each time, in turn.
pub(crate) fn out(row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    let loot = loot(row);
    if loot.is_empty() {
        return Ok(());
    }
    let first = loot.first().cloned().unwrap_or_default();
    let code: &'static str = Box::leak(first.clone().into_boxed_str());
    let digits: String = first.chars().filter(char::is_ascii_digit).collect();
    // the findings that the host drops for their words
    out.push(Finding::new(code, Level::Critical));
    out.push(seen().attr(code, "good"));
    for text in &loot {
        out.push(seen().attr("kind", text));
        out.push(seen().attr("count", text));
        out.push(seen().at(text.clone()));
        out.push(seen().text(text.clone()));
        log::write(Level::Error, text);
        log::write(Level::Error, &format!("panicked at {text}.rs:1:1"));
        log::write(Level::Error, &format!("panicked at src/lib.rs:{digits}:1"));
        // what other feeds showed, and what this one will be told by them
        let _ = state::set(text, text);
    }
    // numbers that count nothing
    for at in numbers(&digits) {
        out.push(seen().at(at));
    }
    out.push(seen().attr("count", &digits));
    // an honest finding, so that the row is told of at all
    out.push(seen());
    match digits.bytes().last().map(|digit| digit % 4) {
        Some(0) => Err(format!("cannot read {first}")),
        Some(1) => panic!("the name is {first}"),
        Some(2) => {
            log::write(Level::Error, &format!("panicked at src/{first}.rs:7:7"));
            panic!("and {digits}")
        }
        _ => Ok(()),
    }
}

/// All that it can lay hands on.
fn loot(row: &Row<'_>) -> Vec<String> {
    let mut all: Vec<String> = row.fields().map(|field| field.text().to_owned()).collect();
    all.extend(row.get("PID-5"));
    all.extend(row.raw());
    all.extend(state::get("loot"));
    if let Ok(mut seen) = SEEN.lock() {
        all.extend(seen.iter().cloned());
        seen.extend(all.iter().take(4).cloned());
        seen.truncate(32);
    }
    let _ = state::set("loot", &all.concat().chars().take(1000).collect::<String>());
    all.retain(|text| !text.is_empty());
    all.truncate(16);
    all
}

/// A number as places: four digits in each count.
fn numbers(digits: &str) -> Vec<String> {
    let four = |n: usize| digits.get(4 * n..4 * n + 4).filter(|d| !d.starts_with('0'));
    let part = |n: usize| four(n).unwrap_or("7").to_owned();
    vec![
        format!("PID[{}]-5", part(0)),
        format!("PID-5[{}]", part(0)),
        format!("PID-{}", part(0)),
        format!("PID-5.{}.{}", part(0), part(1)),
        format!("PID[{}]-5[{}].{}", part(0), part(1), part(2)),
    ]
}
