//! The commands as people type them: what they print, what they count, and how they end.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::frame;
use feedpulse_tests::product::{Product, Setup, Waypoint, command};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs `validate` on a text and gives its exit code and the `LINE:COLUMN: …` of each problem with
/// the hint below it.
fn problems(yaml: &str) -> (Option<i32>, Vec<(String, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "bad.yaml", yaml);
    let done = command(&["validate", &path]);
    let said = text(&done.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let found = lines.windows(2).filter_map(|pair| {
        let place = pair[0].strip_prefix(&format!("{path}:"))?;
        Some((place.to_owned(), pair[1].trim().to_owned()))
    });
    (done.status.code(), found.collect())
}

fn assert_problems(yaml: &str, expected: &[(&str, &str)]) {
    let (code, found) = problems(yaml);
    assert_eq!(code, Some(78), "{found:?}");
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((place, hint), (expected, help)) in found.iter().zip(expected) {
        assert!(place.starts_with(expected), "{place} is not {expected}");
        assert!(hint.contains(help), "{place}: the hint {hint:?} does not say {help:?}");
    }
}

#[test]
fn validate_tells_all_errors_of_meaning_at_once_with_place_and_hint() {
    let yaml = "site: x\n\
        zone: Mars/Olympus\n\
        facility: PID-3.1\n\
        waypoints:\n\
        \x20 - {name: engine-in, ack_time: soon}\n\
        \x20 - {name: engine-in}\n\
        routes:\n\
        \x20 - {name: r, waypoints: [engine-in, nowhere]}\n\
        feeds:\n\
        \x20 - {name: f, route: missing}\n\
        http: {listen: \"0.0.0.0:80\", waypoints: [engine-in]}\n";
    let expected = [
        ("2:1: zone:", "Europe/Berlin"),
        ("3:1: facility:", "PV1-3"),
        ("5:23: waypoints #1/ack_time:", "500ms"),
        ("6:6: waypoints #2/name:", "unique"),
        ("8:38: routes #1/waypoints #2:", "engine-in"),
        ("10:15: feeds #1/route:", "declared: r"),
        ("11:8: http/listen:", "token"),
    ];
    assert_problems(yaml, &expected);
}

#[test]
fn validate_tells_all_errors_of_form_at_once_with_place_and_hint() {
    let yaml = "waypoints:\n\
        \x20 - {name: engine-in, key: magic}\n\
        \x20 - {ack_time: 1s}\n\
        mlp: {}\n\
        feeds:\n\
        \x20 - {name: f, route: r, senders: EHR}\n\
        store: {folder: x, log_mib: many}\n";
    let expected = [
        ("2:23: waypoints #1/key:", "control_id"),
        ("3:5: waypoints #2:", "name"),
        ("4:1: mlp:", "mllp"),
        ("6:25: feeds #1/senders:", "["),
        ("7:20: store/log_mib:", "number"),
    ];
    assert_problems(yaml, &expected);
}

#[test]
fn wrong_usage_missing_files_and_unknown_codes_end_with_their_codes() {
    for (arguments, code, says) in [
        (&["run"][..], 64, "--config"),
        (&["fly"], 64, "fly"),
        (&["replay"], 64, "PATH"),
        (&["demo", "--for", "5s", "--headless"], 64, "60s"),
        (&["explain", "FP9999"], 64, "FP0104"),
        (&["validate", "no-such-file.yaml"], 66, "no-such-file.yaml"),
        (&["replay", "no-such-folder"], 66, "no-such-folder"),
        (&["wire", "--listen", "x"], 64, "NAME=ADDRESS:PORT"),
    ] {
        let done = command(arguments);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn explain_knows_every_code_that_it_lists() {
    let list = command(&["explain"]);
    assert!(list.status.success());
    let list = text(&list.stdout);
    let codes: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(codes.len() > 40 && codes.contains(&"FP0104") && codes.contains(&"HD104"), "{codes:?}");
    for code in codes {
        let done = command(&["explain", code]);
        let said = text(&done.stdout);
        assert!(done.status.success() && said.contains(code) && said.lines().count() > 1, "{said}");
    }
}

const ADT: &str = "MSH|^~\\&|EHR|A|ENGINE|B|20260101120000||ADT^A01^ADT_A01|C1|P|2.5.1\r\
    EVN||20260101120000\rPID|1||4711^^^A||DOE^JANE\r";
const ORU: &str = "MSH|^~\\&|LAB|A|ENGINE|B|20260101120001||ORU^R01^ORU_R01|C2|P|2.5.1\r\
    PID|1||4711^^^A||DOE^JANE\rOBR|1||F1|GLU\rOBX|1|NM|GLU||5.1|mmol/l|||||F\r";
const ACK: &str = "MSH|^~\\&|ENGINE|B|EHR|A|20260101120001||ACK^A01^ACK|K1|P|2.5.1\rMSA|AA|C1\r";

/// Files of every form that a recording may have.
fn recordings(folder: &Path) {
    let adt = |id: &str| ADT.replace("C1", id);
    file(folder, "a-cr.hl7", adt("R1"));
    file(folder, "b-lf.hl7", adt("R2").replace('\r', "\n"));
    file(folder, "c-crlf.hl7", adt("R3").replace('\r', "\r\n") + &ORU.replace('\r', "\r\n"));
    let framed = [frame(adt("R4").as_bytes()), frame(ACK.replace("C1", "R4").as_bytes())].concat();
    file(folder, "d-framed.mllp", framed);
    let batch = format!("FHS|^~\\&|EHR\rBHS|^~\\&|EHR\r{}{ORU}BTS|2\rFTS|1\r", adt("R5"));
    file(folder, "e-batch.hl7", batch);
    file(folder, "f-junk.hl7", "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    file(folder, "g-ignored.jpg", "not a recording");
}

#[test]
fn replay_counts_what_the_files_hold() {
    let folder = tempfile::tempdir().unwrap();
    recordings(folder.path());
    let path = folder.path().to_str().unwrap();
    let done = command(&["replay", "--json", path]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    let number = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary}"));
    assert_eq!((number("messages"), number("acks")), (7, 1), "{summary}");
    // A file header (FHS) and the batch header (BHS) in it.
    assert_eq!((number("batches"), number("unreadable")), (2, 1), "{summary}");
    let kinds = BTreeMap::from([("ADT^A01", 5), ("ORU^R01", 2)]);
    assert_eq!(summary["by_type"], serde_json::to_value(kinds).unwrap());
    let outcomes = summary["outcomes"].as_object().unwrap();
    let all: u64 = outcomes.values().filter_map(Value::as_u64).sum();
    assert_eq!(all, 7, "seen is what is accounted: {summary}");
    assert_eq!(outcomes["accepted"], 1, "{summary}");
    let lines = replay_lines(path);
    let verdicts = |of: &str| lines.iter().filter(|line| line["verdict"] == of).count();
    assert_eq!(verdicts("unreadable"), 1);
    let name = |line: &Value| {
        Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
    };
    let terminators: BTreeMap<String, String> = lines
        .iter()
        .map(|line| (name(line), line["terminator"].as_str().unwrap_or_default().to_owned()))
        .collect();
    for (file, expected) in [("a-cr.hl7", "CR"), ("b-lf.hl7", "LF"), ("c-crlf.hl7", "CRLF")] {
        assert_eq!(terminators[file], expected);
    }
    let ack = lines.iter().find(|line| line["msa2"] == "R4").unwrap();
    assert_eq!(name(ack), "d-framed.mllp");
    for word in ["DOE", "JANE", "4711"] {
        assert!(!format!("{lines:?}{summary}").contains(word), "{word} is patient data");
    }
}

/// `replay --jsonl`: each frame has a line, and what could not be read has a defect with a place.
fn replay_lines(path: &str) -> Vec<Value> {
    let done = command(&["replay", "--jsonl", path]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(!text(&done.stderr).contains("panicked"));
    let lines: Vec<Value> =
        text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let (start, length) = (line["offset"].as_u64().unwrap(), line["length"].as_u64().unwrap());
        let inside = |defect: &Value| {
            let at = defect["offset"].as_u64().unwrap();
            // Before the frame there may be a byte order mark, which belongs to the file.
            defect["code"].as_str().unwrap().starts_with("HD") && at <= start + length
        };
        let defects = line["defects"].as_array().unwrap();
        assert!(defects.iter().all(inside), "{line}");
        assert_eq!(line["verdict"] == "readable", defects.is_empty(), "{line}");
    }
    lines
}

/// Public sample messages, when a folder with them is named.
#[test]
fn replay_accounts_for_every_public_sample() {
    let Some(folder) = std::env::var_os("FEEDPULSE_SAMPLES").map(PathBuf::from) else {
        eprintln!("skipped: FEEDPULSE_SAMPLES names no folder of HL7 samples");
        return;
    };
    let path = folder.to_str().unwrap();
    let done = command(&["replay", "--json", path]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    let number = |name: &str| summary[name].as_u64().unwrap();
    let lines = replay_lines(path);
    assert_eq!(lines.len() as u64, number("frames"));
    assert_eq!(number("frames"), number("messages") + number("acks") + number("unreadable"));
    let outcomes = summary["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.values().filter_map(Value::as_u64).sum::<u64>(), number("messages"));
    let unreadable = lines.iter().filter(|line| line["verdict"] == "unreadable").count();
    assert_eq!(unreadable as u64, number("unreadable"));
    assert!(number("messages") > 0, "{summary}");
}

#[test]
fn init_writes_a_configuration_that_validates() {
    let folder = tempfile::tempdir().unwrap();
    recordings(folder.path());
    let done = command(&["init", "--from", folder.path().to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let yaml = text(&done.stdout);
    for feed in ["senders: [\"EHR\"], types: [ADT]", "senders: [\"LAB\"], types: [ORU]"] {
        assert!(yaml.contains(feed), "{yaml}");
    }
    let path = file(folder.path(), "written.yaml", &yaml);
    let done = command(&["validate", &path]);
    assert!(done.status.success(), "{}\n{yaml}", text(&done.stderr));
    assert!(text(&done.stdout).contains("2 feeds"), "{}", text(&done.stdout));
}

#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let nobody = feedpulse_tests::parts::free_address().unwrap();
    let mut first = Product::start(&Setup::new(vec![Waypoint::new("engine-in", nobody)]));
    let config = first.config();
    let second = command(&["run", "--config", config.to_str().unwrap()]);
    let said = text(&second.stderr);
    assert_eq!(second.status.code(), Some(74), "{said}");
    let store = first.store();
    assert!(said.contains(store.to_str().unwrap()) && said.contains("another"), "{said}");
    assert!(first.status().is_some(), "the first one goes on");
    assert!(first.stop().success(), "{}", first.said());
}
