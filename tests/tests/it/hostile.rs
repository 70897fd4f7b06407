//! Checks that mean harm, in the whole product under load: the bytes of the stream, the engine's counts
//! and the rows of other checks are as if they were not there. Those that are no check are refused
//! before anything starts, each with its reason.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::identity::{Stage, assert_each_counted_once, assert_identical};
use feedpulse_tests::product::command;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

#[path = "../../../crates/feedpulse-wasm/tests/it/hostile/guests.rs"]
mod guests;

use guests::{End, Guest};

/// Messages of the stream.
const MESSAGES: u64 = 6_000;
/// Checks of the product's own that run beside the hostile ones.
const GOOD: [&str; 3] = ["duplicate-control-id", "schema-drift", "patient-id"];

/// Those that `wanted` picks.
fn picked(wanted: impl Fn(&Guest) -> bool) -> Vec<Guest> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/check@0.1.0/check.wit");
    guests::all(&wit).into_iter().filter(wanted).collect()
}

/// Guests, written to a folder, as YAML of `checks`.
fn configured(folder: &Path, picked: &[Guest]) -> String {
    let mut yaml = String::from("checks:\n");
    for (number, guest) in picked.iter().enumerate() {
        let file = folder.join(format!("{number}.wasm"));
        fs::write(&file, &guest.wasm).unwrap();
        writeln!(yaml, "  - {{name: hostile-{number}, plugin: {file:?}, fields: [\"*\"]}}")
            .unwrap();
    }
    yaml
}

/// What `validate` says of a configuration with these checks.
fn validated(folder: &Path, yaml: &str) -> (Option<i32>, String) {
    let (config, store) = (folder.join("feedpulse.yaml"), folder.join("store"));
    let text = format!(
        "site: test\nzone: UTC\nstore: {{folder: {store:?}}}\nwaypoints:\n  - {{name: in}}\n\
         files: [{{watch: {store:?}, waypoint: in}}]\n{yaml}"
    );
    fs::write(&config, text).unwrap();
    let done = command(&["validate", config.to_str().unwrap()]);
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// The sum of a family's points for one check; None where it has none.
fn point(metrics: &str, family: &str, check: &str) -> Option<f64> {
    let (family, label) = (format!("{family}{{"), format!("check=\"{check}\""));
    let lines = metrics.lines().filter(|l| l.starts_with(&family) && l.contains(&label));
    let values: Vec<f64> = lines.filter_map(|l| l.rsplit(' ').next()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[test]
fn nobody_notices_hostile_checks_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut hostile = picked(|guest| matches!(guest.end, End::Fault(..) | End::Bounded));
    // Some fail even on the empty row of their trial, and are kept out before anything starts.
    let (_, said) = validated(folder.path(), &configured(folder.path(), &hostile));
    let mut number = 0..;
    hostile.retain(|_| {
        let about = format!("check hostile-{}: ", number.next().unwrap_or(0));
        !said.contains(&about)
    });
    assert!(hostile.len() >= 25, "{}: {said}", hostile.len());
    let mut yaml = configured(folder.path(), &hostile);
    for name in GOOD {
        writeln!(yaml, "  - {{name: {name}, plugin: \"builtin:{name}\"}}").unwrap();
    }
    let mut stage = Stage::with(|setup| setup.more = yaml);
    let sent = stage.end(stage.stream(MESSAGES, 77));
    assert_identical(&[sent], &stage.arrived(1));
    assert_each_counted_once(&mut stage.product, MESSAGES);
    for name in GOOD {
        stage.product.wait("every row is checked", |product| {
            let rows = point(&product.metrics(), "feedpulse_check_rows_total", name)?;
            (rows >= MESSAGES as f64).then_some(())
        });
        let metrics = stage.product.metrics();
        let number = |family: &str| point(&metrics, family, name).unwrap_or(0.0);
        assert_eq!(number("feedpulse_check_rows_total"), MESSAGES as f64, "{name}");
        for family in ["skipped", "shed", "faults"] {
            assert_eq!(number(&format!("feedpulse_check_{family}_total")), 0.0, "{name} {family}");
        }
    }
    let metrics = stage.product.metrics();
    for (number, guest) in hostile.iter().enumerate() {
        let faults = point(&metrics, "feedpulse_check_faults_total", &format!("hostile-{number}"));
        // a bounded one may run out of time on a slow machine, and nothing ticks here
        if let End::Fault(kind, cause) = guest.end
            && guest.name != "loop-in-tick"
        {
            assert!(faults.unwrap_or(0.0) > 0.0, "{}: no {kind}: {cause}", guest.name);
        }
    }
    let said = stage.product.said();
    assert!(!said.contains("CANARY") && !said.contains("panicked at '"), "{said}");
    assert!(stage.product.stop().success(), "{said}");
}

#[test]
fn what_is_no_check_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let refused = picked(|guest| matches!(guest.end, End::Refused(_) | End::NotStarted(_)));
    assert!(refused.len() >= 25, "{}", refused.len());
    let (code, said) = validated(folder.path(), &configured(folder.path(), &refused));
    assert_eq!(code, Some(78), "{said}");
    for (number, guest) in refused.iter().enumerate() {
        let (End::Refused(why) | End::NotStarted(why)) = guest.end else { continue };
        let about = format!("check hostile-{number}: ");
        let line = said.lines().find(|line| line.contains(&about));
        assert!(line.is_some_and(|line| line.contains(why)), "{}: {line:?}", guest.name);
    }
}

#[test]
fn a_wrong_rule_is_told_by_validate() {
    let folder = tempfile::tempdir().unwrap();
    let with = |operator: &str| {
        let yaml = format!(
            "checks:\n  - name: site\n    plugin: builtin:rules\n    config:\n      rules:\n        \
             - {{name: sex-known, title: Sex, path: PID-8, {operator}: [F, M]}}\n"
        );
        validated(folder.path(), &yaml)
    };
    let (code, said) = with("in");
    assert_eq!(code, Some(0), "{said}");
    let (_, said) = with("inside");
    assert!(said.contains("check site") && said.contains("rules #1/inside: unknown key"), "{said}");
}
