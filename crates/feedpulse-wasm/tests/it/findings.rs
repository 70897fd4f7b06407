//! What passes of a guest's findings, and what does not.

use crate::support::{
    NOW_MS, PATIENT, at, check, component, ids, roomy, rows, runtime, split, troublemaker, worker,
};
use feedpulse_wasm::{
    Batch, Grant, Kind, Level, Limits, MessageAccess, Path, Row, Settings, StartError,
};
use std::sync::Arc;

#[test]
fn a_finding_names_its_row_its_code_and_its_level() {
    let mut worker = worker(roomy());
    let (found, faults) = split(check(&mut worker, &["-", "SEEN", "-", "LOUD"]));
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(ids(&found), [101, 103]);
    assert_eq!(&*found[0].code, "troublemaker/seen");
    assert_eq!(found[1].level, Level::Warning, "critical is above what the manifest says");
    let status = worker.status();
    assert_eq!((status.rows, status.skipped, status.calls, status.findings), (4, 0, 1, 2));
}

#[test]
fn what_the_manifest_does_not_allow_is_dropped_and_reported_once() {
    for deed in ["CODE", "NAME", "RANGE", "ATTR", "PLACE"] {
        let mut worker = worker(roomy());
        let (found, faults) = split(check(&mut worker, &["SEEN", deed, deed]));
        assert_eq!(ids(&found), [100], "{deed}: the good one passes");
        let [fault] = &faults[..] else { panic!("{deed}: {faults:?}") };
        assert_eq!(
            (fault.kind, fault.row, fault.count),
            (Kind::BadFinding, Some(101), 2),
            "{deed}"
        );
        let status = worker.status();
        assert_eq!((status.faults_of(Kind::BadFinding), status.skipped), (2, 0));
        assert_eq!(status.condition, feedpulse_wasm::Condition::Ready);
    }
}

#[test]
fn free_text_needs_both_sides() {
    let mut silent = worker(roomy());
    let (found, _) = split(check(&mut silent, &["TEXT", "LOG"]));
    assert_eq!(found[0].text, None);
    assert!(silent.take_log().is_empty());
    let status = silent.status();
    assert_eq!((status.texts_dropped, status.log_lines, status.log_withheld), (1, 1000, 1000));

    let settings = Settings {
        grants: vec![Grant::FreeText],
        limits: Limits { text_chars: 6, log_bytes_per_second: 70, ..roomy() },
        ..Settings::default()
    };
    let mut granted = troublemaker().worker(settings).unwrap();
    let (found, _) = split(check(&mut granted, &["TEXT", "LOG"]));
    assert_eq!(found[0].text.as_deref(), PATIENT.get(..6), "cut to the limit");
    let lines = granted.take_log();
    assert_eq!((lines.len(), granted.status().log_dropped), (10, 990), "7 bytes a line");
    assert!(!format!("{lines:?}").contains("CANARY"));
}

#[test]
fn findings_are_bounded_per_batch() {
    let mut worker = worker(roomy());
    let (found, faults) = split(check(&mut worker, &["FLOOD", "FLOOD"]));
    assert_eq!((found.len(), faults.len()), (256, 0));
    assert_eq!(worker.status().findings_dropped, 2000 - 256);
}

#[test]
fn long_batches_are_split_and_long_rows_left_out() {
    let limits = Limits { rows_per_call: 4, bytes_per_call: 200, row_bytes: 150, ..roomy() };
    let mut worker = worker(limits);
    let mut rows = rows(&["SEEN"; 9]);
    rows[5].fields.push_str(&"x".repeat(150));
    rows[7].fields.push_str(&"x".repeat(120));
    rows[8].fields.push_str(&"x".repeat(120));
    let (found, faults) = split(worker.check(&at(&rows, 0)));
    assert_eq!(ids(&found), [100, 101, 102, 103, 104, 106, 107, 108]);
    assert_eq!((faults.len(), faults[0].kind, faults[0].row), (1, Kind::RowTooLong, Some(105)));
    let status = worker.status();
    assert_eq!(status.calls, 4, "0-3, 4, 6-7, 8");
    assert_eq!((status.rows, status.skipped), (9, 1));
}

/// Messages that are all alike.
struct Messages;

impl MessageAccess for Messages {
    fn get(&self, row: u64, path: &Path) -> Option<String> {
        (row == 101 && path.to_string() == "PID-3").then(|| "12345".to_owned())
    }

    fn raw(&self, _row: u64) -> Option<String> {
        Some("MSH|^~\\&|".to_owned())
    }
}

#[test]
fn reads_beyond_the_fields_need_their_grant() {
    let rows = rows(&["READ", "READ"]);
    let counts = |grants: &[Grant]| {
        let settings = Settings { grants: grants.to_vec(), limits: roomy(), ..Settings::default() };
        let mut worker = troublemaker().worker(settings).unwrap();
        let batch = Batch { access: Some(Arc::new(Messages)), ..at(&rows, 0) };
        let (found, _) = split(worker.check(&batch));
        found.iter().map(|f| f.attrs[0].1.parse().unwrap()).collect::<Vec<usize>>()
    };
    assert_eq!(counts(&[]), [0, 0]);
    assert_eq!(counts(&[Grant::Get]), [0, 5]);
    assert_eq!(counts(&[Grant::Raw]), [9, 9]);
    assert_eq!(counts(&[Grant::Get, Grant::Raw]), [9, 14]);
}

#[test]
fn state_is_per_feed_and_bounded() {
    let mut worker = worker(roomy());
    let rows = rows(&["COUNT"]);
    let mut count = |feed: &str| {
        let (found, _) = split(worker.check(&Batch { feed, ..at(&rows, 0) }));
        found[0].attrs[0].1.to_string()
    };
    assert_eq!([count("adt"), count("adt"), count("oru"), count("adt")], ["1", "2", "1", "3"]);
    check(&mut worker, &["KEYS"]);
    let status = worker.status();
    assert_eq!(status.state_keys, 1024 + 1, "one feed is full, the other holds one key");
    assert_eq!(status.state_evicted, 2000 + 1 - 1024);
}

#[test]
fn the_tick_speaks_about_the_feed() {
    let mut worker = worker(roomy());
    let (found, faults) = split(worker.tick("adt", NOW_MS, 0));
    assert_eq!((found.len(), faults.len()), (1, 0));
    assert_eq!((&*found[0].code, found[0].row), ("troublemaker/silent", None));
    let (found, faults) = split(worker.tick("trap", NOW_MS, 1000));
    assert_eq!((found.len(), faults[0].kind), (0, Kind::Trapped));
    assert_eq!(split(worker.tick("adt", NOW_MS, 2000)).0.len(), 1, "a new instance goes on");
}

#[test]
fn a_check_without_a_ticker_is_not_ticked() {
    let plugin = runtime().load(component("result-status-regression")).unwrap();
    assert!(!plugin.ticks() && troublemaker().ticks());
    let mut worker = plugin.worker(Settings::default()).unwrap();
    assert!(worker.tick("oru", NOW_MS, 0).is_empty());
    assert_eq!(worker.status().calls, 0);
}

#[test]
fn wrong_settings_show_at_once_in_the_words_of_the_check() {
    let settings = Settings { config: "{\"refuse\": true}".to_owned(), ..Settings::default() };
    let error = troublemaker().worker(settings).unwrap_err();
    assert!(
        matches!(&error, StartError::Config { said, .. } if said.contains("asks me to refuse"))
    );
    assert!(error.to_string().starts_with("the check troublemaker refuses its settings"));
}

#[test]
fn an_empty_batch_does_nothing() {
    let mut worker = worker(roomy());
    let none: [Row; 0] = [];
    assert!(worker.check(&at(&none, 0)).is_empty());
    assert_eq!(worker.status().calls, 0);
}
