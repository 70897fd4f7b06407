//! A version is tried on its own cases before it is let near messages: with the limits of
//! production, on an instance that is thrown away.

use super::Reading;
use crate::run::checks::Granted;
use feedpulse_core::frame::Phi;
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_hl7::split::split_file;
use feedpulse_wasm::{
    Batch, Case, CheckFinding, Expected, FIELD_SEPARATOR, Fault, MessageAccess, Plugin, Row,
    Settings,
};
use std::sync::Arc;

/// The wall clock of every case: 2023-11-14T22:13:20Z.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

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
        let (_, faults) = judge(plugin, settings, &[Row { id: 0, fields }], None)?;
        return faults.first().map_or(Ok(0), |fault| {
            Err(format!("it carries no cases, and on an empty row it fails: {}", said(fault)))
        });
    }
    for case in &cases {
        let config = case.settings.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string);
        let settings = Settings { config, ..settings.clone() };
        let why = |what: String| format!("its case {} fails: {what}", case.name);
        // Settings can declare fields, so each case may have rows of its own.
        let reading = super::reading(plugin, &settings.grants, &settings.config)
            .map_err(|refusal| why(refusal.why))?;
        let (rows, messages) = rows(&reading, case.messages.as_bytes());
        if rows.is_empty() {
            return Err(why("it holds no message".to_owned()));
        }
        let access =
            reading.keeps_messages.then(|| Arc::new(Granted(messages)) as Arc<dyn MessageAccess>);
        let (found, faults) = judge(plugin, &settings, &rows, access).map_err(why)?;
        if let Some(fault) = faults.first() {
            return Err(why(said(fault)));
        }
        if !all_met(&case.expected, &found) {
            return Err(why(differs(&case.expected, &found)));
        }
    }
    Ok(cases.len())
}

/// Rows of the messages of a case, and the messages.
fn rows(reading: &Reading, messages: &[u8]) -> (Vec<Row>, Vec<Phi<Vec<u8>>>) {
    let mut spec: RowSpec = reading.spec.clone();
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for piece in split_file(messages) {
        let Some(bytes) = messages.get(piece.start..piece.end) else { continue };
        let mut fields = String::new();
        if spec.join_bytes(bytes, &RowMeta::default(), &mut fields) {
            rows.push(Row { id: rows.len() as u64, fields });
            kept.push(Phi::new(bytes.to_vec()));
        }
    }
    (rows, kept)
}

/// What a fresh instance makes of rows.
fn judge(
    plugin: &Plugin,
    settings: &Settings,
    rows: &[Row],
    access: Option<Arc<dyn MessageAccess>>,
) -> Result<(Vec<Expected>, Vec<Fault>), String> {
    let mut worker = plugin.worker(settings.clone()).map_err(|e| e.to_string())?;
    let batch = Batch { feed: "case", now_ms: NOW_MS, monotonic_ms: 0, rows, access };
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for one in worker.check(&batch) {
        match one {
            CheckFinding::Found(finding) => found.push(Expected::of(&finding)),
            CheckFinding::Faulty(fault) => faults.push(fault),
        }
    }
    Ok((found, faults))
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
