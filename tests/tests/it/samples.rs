//! Messages of many vendors and versions, each judged by hand before the product saw it: our own
//! corpus always, public samples where the environment variable FEEDPULSE_SAMPLES names their folder.
//!
//! `tests/data/messages/expected.tsv` and `tests/data/samples.tsv` hold the expectations. `urgency` is
//! the most urgent of the file's messages, `outcomes` what `feedpulse replay` says of the file alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::product::command;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Nothing, in a column.
const NONE: &str = "-";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// A table with a line of column names.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        names.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.map(row).collect()
}

fn replay(arguments: &[&str]) -> Vec<Value> {
    let done = command(&[&["replay"], arguments].concat());
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !error.contains("panicked"), "{arguments:?}: {error}");
    let said = String::from_utf8_lossy(&done.stdout);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the product says of a file, in the columns of the expectations.
fn judged(path: &Path) -> BTreeMap<&'static str, String> {
    let path = path.to_str().unwrap();
    let summary = replay(&["--json", path]).remove(0);
    let lines = replay(&["--jsonl", path]);
    let number = |name: &str| summary[name].as_u64().unwrap().to_string();
    let first = |name: &str| {
        let found = lines.iter().find(|line| line["verdict"] != "unreadable");
        let text = found.and_then(|line| line[name].as_str()).filter(|text| !text.is_empty());
        text.unwrap_or(NONE).to_owned()
    };
    let rank = |line: &Value| match line["urgency"].as_str() {
        Some("critical") => 2,
        Some("correction") => 1,
        _ => 0,
    };
    let most = lines.iter().max_by_key(|line| rank(line)).unwrap();
    let outcomes = summary["outcomes"].as_object().unwrap();
    let held = outcomes.iter().filter(|(_, n)| n.as_u64() != Some(0));
    let outcomes: Vec<String> = held.map(|(name, n)| format!("{name}:{n}")).collect();
    [
        ("messages", number("messages")),
        ("acks", number("acks")),
        ("unreadable", number("unreadable")),
        ("msh9", first("msh9")),
        ("msh12", first("msh12")),
        ("urgency", most["urgency"].as_str().unwrap().to_owned()),
        ("outcomes", if outcomes.is_empty() { NONE.to_owned() } else { outcomes.join(" ") }),
    ]
    .into()
}

/// Compares all rows, and says all that differ at once.
fn check(rows: &[BTreeMap<String, String>], file: impl Fn(&BTreeMap<String, String>) -> PathBuf) {
    let mut wrong = String::new();
    for row in rows {
        let path = file(row);
        for (column, said) in judged(&path) {
            if row[column] != said {
                let (name, wanted, why) = (path.display(), &row[column], &row["why"]);
                let _ = writeln!(wrong, "{name}: {column} is {said}, not {wanted} ({why})");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn our_own_messages_are_judged_as_by_hand() {
    let folder = data("messages");
    let rows = table(&folder.join("expected.tsv"));
    let listed: BTreeSet<String> = rows.iter().map(|row| row["file"].clone()).collect();
    let there = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name());
    let there = there.map(|name| name.into_string().unwrap());
    let there: BTreeSet<String> = there.filter(|name| name.ends_with(".hl7")).collect();
    assert_eq!(listed, there, "each file has a row");
    let versions: BTreeSet<&str> = rows.iter().map(|row| row["msh12"].as_str()).collect();
    for version in
        ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8"]
    {
        assert!(versions.contains(version), "{version}");
    }
    check(&rows, |row| folder.join(&row["file"]));
}

#[test]
fn public_samples_are_judged_as_by_hand() {
    let Some(folder) = std::env::var_os("FEEDPULSE_SAMPLES").map(PathBuf::from) else {
        // Written to the stream itself: the test runner would keep back what a macro prints.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: FEEDPULSE_SAMPLES names no folder of public HL7 samples"
        );
        return;
    };
    let rows = table(&data("samples.tsv"));
    let folders: BTreeSet<&str> = rows.iter().map(|row| row["folder"].as_str()).collect();
    assert!(rows.len() >= 60 && folders.len() == 7, "{} of {folders:?}", rows.len());
    check(&rows, |row| folder.join(&row["folder"]).join(&row["file"]));
}
