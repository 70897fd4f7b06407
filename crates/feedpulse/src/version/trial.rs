//! A version is tried on its own cases before it is let near messages: with the limits of
//! production, on an instance that is thrown away.

use super::settings;
use crate::check::bed::{self, Clock, NOW_MS};
use crate::check::play::Play;
use crate::config::document::Part;
use feedpulse_wasm::{
    Batch, Case, CheckFinding, Expected, FIELD_SEPARATOR, Fault, Plugin, Row, Settings,
};

/// Tries a version, and says how many cases of its own it passed. One that carries none must take
/// a row whose fields are all empty.
///
/// # Errors
/// The first case that does not give what it expects, in words.
pub(crate) fn pass(plugin: &Plugin, settings: &Settings, wasm: &[u8]) -> Result<usize, String> {
    let cases = Case::read(wasm).map_err(|e| e.to_string())?;
    if cases.is_empty() {
        let declared = plugin.manifest().with_settings(&settings.config);
        let declared = declared.map_err(|e| e.to_string())?.fields.len();
        let fields = FIELD_SEPARATOR.to_string().repeat(declared.saturating_sub(1));
        let faults = faults(plugin, settings, Row { id: 0, fields })?;
        return faults.first().map_or(Ok(0), |fault| {
            Err(format!("it carries no cases, and on an empty row it fails: {}", said(fault)))
        });
    }
    for case in &cases {
        try_case(plugin, settings, case)
            .map_err(|what| format!("its case {} fails: {what}", case.name))?;
    }
    Ok(cases.len())
}

/// Tries one case, under the grants that it states: its rows are its own, so there is nothing in them
/// that the operator would have to give.
fn try_case(plugin: &Plugin, settings: &Settings, case: &Case) -> Result<(), String> {
    let part = Part::made(case.settings.clone().unwrap_or_else(|| serde_json::json!({})));
    let settings =
        Settings { config: part.json(), grants: case.grants.clone(), ..settings.clone() };
    let started = settings::start(plugin, settings.clone(), &part, settings::For::Stream);
    let mut worker = match (&case.refuses, started) {
        (None, Ok(worker)) => worker,
        (None, Err(refusal)) => return Err(refusal.why),
        (Some(part), Err(refusal)) if refusal.why.contains(part) => return Ok(()),
        (Some(_), _) => {
            return Err("it should refuse the settings, with another sentence".to_owned());
        }
    };
    // Settings can declare fields, so each case may have rows of its own.
    let declared = plugin.manifest().with_settings(&settings.config).map_err(|e| e.to_string())?;
    let now_ms = case.now_ms.unwrap_or(NOW_MS);
    let tray = bed::tray(&declared, case.messages.as_bytes(), Clock::At(now_ms));
    let tray = tray.map_err(|e| e.error.to_string())?;
    let mut play = Play::new(tray.messages, case.feed.as_deref(), now_ms);
    play.add(&case.rows, &declared)?;
    play.tick(&case.ticks);
    if play.is_empty() {
        return Err("it holds no message".to_owned());
    }
    let (found, faults) = play.on(&mut worker, usize::MAX);
    if let Some(fault) = faults.first() {
        return Err(said(fault));
    }
    let found: Vec<Expected> = found.iter().map(Expected::of).collect();
    if all_met(&case.expected, &found) { Ok(()) } else { Err(differs(&case.expected, &found)) }
}

/// The faults of a fresh instance on a row.
fn faults(plugin: &Plugin, settings: &Settings, row: Row) -> Result<Vec<Fault>, String> {
    let mut worker = plugin.worker(settings.clone()).map_err(|e| e.to_string())?;
    let rows = [row];
    let batch = Batch { feed: "case", now_ms: NOW_MS, monotonic_ms: 0, rows: &rows, access: None };
    let fault = |one| match one {
        CheckFinding::Faulty(fault) => Some(fault),
        CheckFinding::Found(_) => None,
    };
    Ok(worker.check(&batch).into_iter().filter_map(fault).collect())
}

fn said(fault: &Fault) -> String {
    format!("{} ({})", fault.kind.name(), fault.cause)
}

/// Whether there is one finding for each that is expected, in any order, and no other.
fn all_met(expected: &[Expected], found: &[Expected]) -> bool {
    let mut left: Vec<&Expected> = found.iter().collect();
    let met = expected.iter().all(|one| {
        let place = left.iter().position(|found| one.is_met_by(found));
        place.map(|place| left.remove(place)).is_some()
    });
    met && left.is_empty()
}

/// The first place where two lists of findings differ. Places and codes only: values belong to the
/// case's author.
fn differs(expected: &[Expected], found: &[Expected]) -> String {
    let at = expected.iter().zip(found).take_while(|(a, b)| a.is_met_by(b)).count();
    let name = |one: Option<&Expected>| match one {
        None => "no finding".to_owned(),
        Some(e) => {
            let row = e.row.map_or_else(String::new, |row| format!(" about message {row}"));
            let place = e.at.as_ref().filter(|at| !at.is_empty());
            let place = place.map_or_else(String::new, |at| format!(" at {at}"));
            format!("{}{row}{place}", e.code)
        }
    };
    let (is, should) = (name(found.get(at)), name(expected.get(at)));
    if is == should {
        return format!("finding {}, {is}, has another level or other attributes", at + 1);
    }
    format!("finding {} is {is} where {should} is expected", at + 1)
}

#[cfg(test)]
mod tests;
