//! The case files beside each check: messages in, the expected findings beside them.
//!
//! They are run as they are, and once more without their patients.
//!
//! `NAME.hl7` holds messages parted by an empty line; `NAME.expected.json` the findings, or an object
//! with them under `findings`, the operator's `settings` and what was granted (`grants`).

use crate::support::{NOW_MS, checks, plugin, roomy, root, split};
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::key::SiteKey;
use feedpulse_core::sighting::Seen;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::deidentify::Deidentifier;
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_wasm::{
    Batch, Finding, Grant, MessageAccess, OCCURRENCE_SEPARATOR, Path, Row, Settings, Worker,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// Reads of the messages at hand, as the product grants them.
struct Messages(Vec<Vec<u8>>);

impl MessageAccess for Messages {
    fn get(&self, row: u64, path: &Path) -> Option<String> {
        let all = Path { occurrence: None, ..*path };
        let mut spec = RowSpec::new(&[all.to_string()]).ok()?.longest(3 << 20);
        let mut out = String::new();
        spec.join_bytes(&self.0[usize::try_from(row).ok()?], &RowMeta::default(), &mut out);
        let n = path.occurrence.map_or(0, |n| usize::from(n) - 1);
        out.split(OCCURRENCE_SEPARATOR).nth(n).map(str::to_owned)
    }

    fn raw(&self, row: u64) -> Option<String> {
        let message = self.0.get(usize::try_from(row).ok()?)?;
        Some(String::from_utf8_lossy(message).into_owned())
    }
}

/// What lies beside a case: its findings, or an object with them, settings and grants.
fn expected(case: &FilePath) -> Value {
    let text = fs::read(case.with_extension("expected.json"))
        .unwrap_or_else(|e| panic!("{}: {e}", case.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", case.display()))
}

/// Settings and grants of a case.
fn settings(case: &FilePath) -> Settings {
    let expected = expected(case);
    let part = |name: &str, none: Value| expected.get(name).cloned().unwrap_or(none);
    let config = part("settings", json!({}));
    let grants: Vec<Grant> = serde_json::from_value(part("grants", json!([]))).unwrap();
    Settings { config: config.to_string(), grants, limits: roomy() }
}

/// What a worker says of messages, in one batch.
pub(crate) fn judge(worker: &mut Worker, feed: &str, messages: Vec<Vec<u8>>) -> Vec<Finding> {
    let fields: Vec<String> = worker.manifest().fields.iter().map(ToString::to_string).collect();
    let mut spec = RowSpec::new(&fields).unwrap();
    let mut decoder = Decoder::new(DecodeConfig::new(SiteKey::new(*b"cases of checks!")));
    let (mut rows, mut sightings) = (Vec::new(), Vec::new());
    for (id, message) in (0..).zip(&messages) {
        decoder.decode_with(&frame(message), &mut sightings, &mut |message, sighting| {
            // ACKs are not handed over, nor is what the check does not want
            if let Seen::Message(seen) = &sighting.what
                && worker.manifest().wants(seen.code.as_str(), seen.trigger.as_str())
            {
                let mut fields = String::new();
                spec.join(message, &RowMeta::of(sighting.at, seen), &mut fields);
                rows.push(Row { id, fields });
            }
        });
    }
    let access = Some(Arc::new(Messages(messages)) as Arc<dyn MessageAccess>);
    let batch = Batch { feed, now_ms: NOW_MS, monotonic_ms: 0, rows: &rows, access };
    let (found, faults) = split(worker.check(&batch));
    assert!(faults.is_empty(), "{faults:?}");
    found
}

/// A message as a tap hands it over.
fn frame(message: &[u8]) -> Frame {
    Frame {
        bytes: Phi::new(message.to_vec()),
        at: Timestamp::from_micros(i64::try_from(NOW_MS).unwrap() * 1000),
        waypoint: WaypointId(0),
        connection: ConnectionId(1),
        direction: Direction::ToReceiver,
        trace: None,
    }
}

/// Messages parted by empty lines.
fn messages(text: &str) -> Vec<Vec<u8>> {
    let text = text.replace("\r\n", "\n");
    let parts = text.split("\n\n").filter(|m| !m.trim().is_empty());
    parts.map(|message| message.as_bytes().to_vec()).collect()
}

/// Runs one case file and gives the findings in the form of the expectation.
fn run(name: &str, case: &FilePath) -> Value {
    let check = plugin(name);
    let mut worker =
        check.worker(settings(case)).unwrap_or_else(|e| panic!("{}: {e}", case.display()));
    let found = judge(&mut worker, "case", messages(&fs::read_to_string(case).unwrap()));
    let prefix = format!("{name}/");
    let finding = |f: &Finding| {
        let attrs: Map<String, Value> =
            f.attrs.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        json!({"row": f.row, "code": f.code.strip_prefix(&prefix), "level": f.level, "at": f.at, "attrs": attrs})
    };
    Value::Array(found.iter().map(finding).collect())
}

/// The case files of a check.
fn cases(name: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root().join("plugins").join(name).join("cases")) else {
        return Vec::new();
    };
    let files = entries.map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> =
        files.filter(|f| f.extension().is_some_and(|e| e == "hl7")).collect();
    all.sort();
    all
}

#[test]
fn every_case_of_every_check_gives_what_it_expects() {
    let mut wrong = String::new();
    // one that misbehaves on request, and the empty one that others are measured against
    let no_checks = ["troublemaker", "nothing"];
    for name in checks().iter().filter(|name| !no_checks.contains(&name.as_str())) {
        let (mut quiet, mut loud) = (0, 0);
        for case in cases(name) {
            let expected = expected(&case);
            let expected = expected.get("findings").cloned().unwrap_or(expected);
            let found = run(name, &case);
            *(if found == json!([]) { &mut quiet } else { &mut loud }) += 1;
            if found != expected {
                let found = serde_json::to_string_pretty(&found).unwrap();
                writeln!(wrong, "{} gives\n{found}", case.display()).unwrap();
            }
        }
        assert!(quiet > 0 && loud > 0, "{name} needs a case with findings and one without");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Cases whose point is what must go: a check digit tells the number that it was made for.
const TOUCHED: [(&str, &str); 2] = [("patient-id", "demanded"), ("patient-id", "ids")];

/// A case of a check, without its patients, gives what it gave: the same codes for the same rows.
#[test]
fn cases_without_their_patients_give_the_same_findings() {
    let no_checks = ["troublemaker", "nothing"];
    let (mut same, mut wrong) = (0, String::new());
    for name in checks().iter().filter(|name| !no_checks.contains(&name.as_str())) {
        for case in cases(name) {
            let parts = messages(&fs::read_to_string(&case).unwrap());
            let mut tool = Deidentifier::new([6; 16]);
            parts.iter().for_each(|message| tool.learn(message));
            let without: Vec<_> = parts.iter().map(|message| tool.rewrite(message)).collect();
            let check = plugin(name);
            let codes = |messages| {
                let mut worker = check.worker(settings(&case)).unwrap();
                let found = judge(&mut worker, "case", messages);
                found
                    .iter()
                    .map(|f| (f.row, f.code.to_string(), f.at.to_string()))
                    .collect::<Vec<_>>()
            };
            let (before, after) = (codes(parts), codes(without));
            let stem = case.file_stem().unwrap().to_str().unwrap();
            if before == after {
                same += 1;
            } else if !TOUCHED.contains(&(name.as_str(), stem)) {
                writeln!(wrong, "{name} {stem}: {before:?} became {after:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(same > 20, "only {same}");
}
