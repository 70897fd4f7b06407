//! The case files beside each check: messages in, the expected findings beside them.

use crate::support::{NOW_MS, component, roomy, root, runtime, split};
use feedpulse_wasm::{Batch, Field, Path, Row, Settings, sanitize};
use serde_json::{Value, json};
use std::fs;

/// One declared field of a message, as the host joins it: all occurrences, all repetitions. Enough
/// for case files, which keep to the usual delimiters.
fn field(message: &str, path: &Path) -> String {
    let name = std::str::from_utf8(&path.segment).unwrap();
    let number = usize::from(path.field.unwrap());
    let part = |repetition: &str| match path.component {
        None => sanitize(repetition).into_owned(),
        Some(c) => {
            let component = repetition.split('^').nth(usize::from(c) - 1).unwrap_or("");
            sanitize(component).into_owned()
        }
    };
    message
        .lines()
        .filter(|segment| segment.split('|').next() == Some(name))
        .map(|segment| {
            let whole = segment.split('|').nth(number).unwrap_or("");
            whole.split('~').map(part).collect::<Vec<_>>().join("\u{1d}")
        })
        .collect::<Vec<_>>()
        .join("\u{1c}")
}

/// Runs one case file and gives the findings in the form of the expectation.
fn run(name: &'static str, messages: &str) -> Value {
    let plugin = runtime().load(component(name)).unwrap();
    let mut rows = Vec::new();
    for (id, message) in (0..).zip(messages.split("\n\n")) {
        let fields = plugin.manifest().fields.iter().map(|declared| match declared {
            Field::Path(path) => field(message, path),
            _ => String::new(),
        });
        rows.push(Row { id, fields: fields.collect::<Vec<_>>().join("\u{1f}") });
    }
    let mut worker = plugin.worker(Settings { limits: roomy(), ..Settings::default() }).unwrap();
    let batch = Batch { feed: "case", now_ms: NOW_MS, monotonic_ms: 0, rows: &rows, access: None };
    let (found, faults) = split(worker.check(&batch));
    assert!(faults.is_empty(), "{faults:?}");
    let prefix = format!("{name}/");
    let finding = |f: &feedpulse_wasm::Finding| {
        let attrs: serde_json::Map<String, Value> =
            f.attrs.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        json!({"row": f.row, "code": f.code.strip_prefix(&prefix), "level": f.level, "at": f.at, "attrs": attrs})
    };
    Value::Array(found.iter().map(finding).collect())
}

#[test]
fn every_case_gives_what_it_expects() {
    let folder = root().join("plugins/result-status-regression/cases");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "hl7") {
            continue;
        }
        let expected = fs::read(path.with_extension("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let found = run("result-status-regression", &fs::read_to_string(&path).unwrap());
        assert_eq!(found, expected, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} cases");
}
