//! Against a list exported from the EHR or the engine: what never reached a tap shows only there.

use crate::cli::{Failure, NO_INPUT};
use anyhow::anyhow;
use feedpulse_codec::LedgerRow;
use feedpulse_core::effect::JourneyRecord;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Most ids of a list.
const LIST_MAX: usize = 2_000_000;

/// What became of one id of the list.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Fate {
    /// How often the list has it.
    pub listed: u32,
    /// How often it was seen.
    pub seen: u32,
    /// What its last journey came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<&'static str>,
    /// It was seen in another dress only (case, leading zeros): as this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_as: Option<String>,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub ids: BTreeMap<String, Fate>,
    plain: BTreeMap<String, String>,
}

fn plain(id: &str) -> String {
    id.trim().trim_start_matches('0').to_ascii_uppercase()
}

impl List {
    /// Reads a CSV file, or one id a line. `column` is a header's name or a number from 1.
    ///
    /// # Errors
    /// The file cannot be read, lacks the column, or is too long.
    pub(crate) fn read(path: &Path, column: Option<&str>) -> Result<Self, Failure> {
        let wrong = |text: String| Failure::new(NO_INPUT, anyhow!("{}: {text}", path.display()));
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|e| wrong(e.to_string()))?;
        let (mut list, mut place, mut first) = (Self::default(), None, true);
        for record in reader.records() {
            let record = record.map_err(|e| wrong(e.to_string()))?;
            if core::mem::take(&mut first) {
                let header = column_of(&record, column).map_err(wrong)?;
                place = Some(header.0);
                if header.1 {
                    continue;
                }
            }
            let id = record.get(place.unwrap_or(0)).unwrap_or_default();
            if id.is_empty() {
                continue;
            }
            if list.ids.len() >= LIST_MAX {
                return Err(wrong(format!("more than {LIST_MAX} ids: split the list by time")));
            }
            list.ids.entry(id.to_owned()).or_default().listed += 1;
        }
        list.plain = list.ids.keys().map(|id| (plain(id), id.clone())).collect();
        Ok(list)
    }

    /// Looks for a journey's ids in the list.
    pub(crate) fn take(&mut self, row: &LedgerRow) {
        let LedgerRow::Journey(record) = row else { return };
        let mut ids: Vec<&str> =
            record.sends.iter().map(|s| s.control_id.clear().as_str()).collect();
        ids.push(record.control_id.clear().as_str());
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            self.seen(id, record);
        }
    }

    fn seen(&mut self, id: &str, record: &JourneyRecord) {
        let exact = self.ids.contains_key(id);
        let listed = if exact { Some(id) } else { self.plain.get(&plain(id)).map(String::as_str) };
        let Some(fate) = listed.and_then(|id| self.ids.get_mut(id)) else { return };
        fate.seen += 1;
        fate.end = Some(record.end.name());
        fate.seen_as = (!exact).then(|| id.to_owned());
    }
}

/// Which column holds the ids, and whether the first record is a header.
fn column_of(record: &csv::StringRecord, wanted: Option<&str>) -> Result<(usize, bool), String> {
    let names: Vec<String> = record.iter().map(str::to_lowercase).collect();
    match wanted {
        Some(text) => match text.parse::<usize>() {
            Ok(number) if number >= 1 => Ok((number - 1, is_header(&names))),
            _ => names
                .iter()
                .position(|name| *name == text.to_lowercase())
                .map(|place| (place, true))
                .ok_or_else(|| format!("no column {text:?}; its first line has {names:?}")),
        },
        None => Ok(names
            .iter()
            .position(|name| is_name(name))
            .map_or((0, false), |place| (place, true))),
    }
}

fn is_name(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(
        plain.as_str(),
        "controlid" | "messagecontrolid" | "msh10" | "messageid" | "msgid" | "id"
    )
}

fn is_header(names: &[String]) -> bool {
    names.iter().any(|name| is_name(name))
}
