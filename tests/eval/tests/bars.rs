//! The bars that hold today, on histories that play in seconds; the format and the document.
#![forbid(unsafe_code)]

use feedpulse_tests_eval::history::{self, CLASSES, History};
use feedpulse_tests_eval::play::OURS;
use feedpulse_tests_eval::world::World;
use feedpulse_tests_eval::{document_path, evaluate, histories_folder, report};
use std::path::Path;

fn named(name: &str) -> History {
    history::read(&histories_folder().join(format!("{name}.toml"))).expect("it is read")
}

/// Plays a history: (expected, found, within the bar, false alerts, notices).
fn play(name: &str) -> [u64; 5] {
    let mut evaluation = evaluate(&[named(name)]).expect("it plays");
    let tally = evaluation.tallies.of("all", OURS);
    [tally.expected, tally.found, tally.in_time, tally.wrong, tally.notices]
}

#[test]
fn what_is_found_today_stays_found() {
    for (name, expected) in [
        ("receiver-down", 6),
        ("host-down", 6),
        ("receiver-hung", 6),
        ("nack-all", 6),
        ("out-of-order", 6),
        ("nack-blocks-line", 3),
        ("lost-inside", 3),
        ("example-incident", 1),
    ] {
        let [all, found, in_time, wrong, _] = play(name);
        assert_eq!([all, found, in_time, wrong], [expected, expected, expected, 0], "{name}");
    }
}

#[test]
fn fifty_feeds_behind_one_dead_engine_are_one_incident() {
    let [all, found, _, wrong, notices] = play("dead-engine");
    assert_eq!(
        [all, found, wrong, notices],
        [3, 3, 0, 9],
        "one notice at the start, one when it becomes a page, one at the end"
    );
}

#[test]
fn our_own_restart_and_a_burst_that_drains_are_no_news() {
    for name in ["calm-restart", "calm-burst"] {
        assert_eq!(play(name), [0, 0, 0, 0, 0], "{name}");
    }
}

#[test]
fn the_rules_of_today_do_what_their_sources_say() {
    // Rule, history, found, seconds to detect at the median: no less, no more.
    for (rule, name, found, least, most) in [
        ("rhapsody", "receiver-hung", 6, 60.0, 120.0), // 25 of 1,320 an hour wait after 70 s
        ("idle 30 min", "downtime-recovery", 3, 1_780.0, 1_820.0),
        ("mirth error", "nack-all", 6, 0.0, 1.0),
        ("prometheus", "nack-all", 6, 330.0, 400.0), // 5 min, an evaluation, group_wait
        ("burrow", "receiver-hung", 6, 90.0, 150.0), // ten commits of ten seconds
        ("prometheus", "receiver-hung", 0, 0.0, 0.0),
        ("burrow", "nack-all", 0, 0.0, 0.0),
    ] {
        let mut evaluation = evaluate(&[named(name)]).expect("it plays");
        let tally = evaluation.tallies.of("all", rule);
        let p50 = tally.row("all", rule).detect_p50_s.unwrap_or(0.0);
        assert_eq!(tally.found, found, "{rule}, {name}");
        assert!((least..=most).contains(&p50), "{rule}, {name}: {p50} s");
    }
}

#[test]
fn a_history_is_the_same_each_time_and_has_the_traffic_that_it_states() {
    let history = named("calm-burst");
    let all = |history| World::new(history).map(|e| (e.sighting.at, e.number)).collect::<Vec<_>>();
    let first = all(&history);
    assert!(first == all(&history), "the same seed, another history");
    assert!(first.windows(2).all(|pair| pair[0].0 <= pair[1].0), "not in order of time");
    // 1,320 messages an hour for 12 hours and eleven bursts of 200, each with four sightings.
    let stated = (1_320.0 * 12.0 + 2_200.0) * 4.0;
    let share = first.len() as f64 / stated;
    assert!((0.97..1.03).contains(&share), "{} of {stated}", first.len());
}

#[test]
fn every_signature_has_a_history() {
    let histories = history::read_all(&histories_folder()).unwrap();
    let has = |class: &&&str| {
        let expected = |h: &History| h.expects.iter().any(|e| e.class.contains(**class));
        histories.iter().any(|h| expected(h) || h.calm && h.name.contains(**class))
    };
    let lacking: Vec<&&str> = CLASSES.iter().filter(|class| !has(class)).collect();
    assert!(lacking.is_empty(), "no history of {lacking:?}");
}

#[test]
fn the_document_has_the_shape_that_the_histories_demand() {
    let histories = history::read_all(&histories_folder()).unwrap();
    let text = std::fs::read_to_string(document_path()).unwrap_or_default();
    let (held, wanted) = (report::shape(&text), report::expected_shape(&histories));
    let first = wanted.lines().zip(held.lines()).find(|(wanted, held)| wanted != held);
    assert!(held == wanted, "docs/detection.md is old: run `cargo xtask eval --write`; {first:?}");
}

#[test]
fn errors_say_file_line_and_field() {
    let good = std::fs::read_to_string(histories_folder().join("receiver-down.toml")).unwrap();
    for (from, to, said) in [
        ("seed = 101", "sead = 101", "sead: unknown field"),
        ("seed = 101", "seed = \"x\"", "seed: "),
        ("to = \"1h12m\"", "to = \"1x\"", "to: `1x` is not a moment"),
        ("to = \"1h12m\"", "to = \"5m\"", "`to` is before `from`"),
        (
            "link = \"portal-in\"",
            "link = \"portal\"",
            "link: there is no link `portal`; there are: engine-in",
        ),
        ("codes = [\"FP0104\"]", "codes = [\"FP9999x\"]", "codes: no such finding"),
        ("class = \"receiver-down\"", "class = \"broken\"", "class: `broken` is no class"),
        ("per_hour = 120", "per_hour = -1", "per_hour: messages an hour: 0 to 1000000, not -1"),
        ("share = 0.02", "share = 1.5", "a share: 0 to 1, not 1.5"),
        ("times = 6", "times = 100000", "times: a small number: 1 to 1000, not 100000"),
        ("kind = \"refused\"", "kind = \"reffused\"", "kind: unknown variant"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let error = history::parse(Path::new("x.toml"), &bad).unwrap_err();
        let line = 1 + bad.lines().take_while(|l| !l.contains(to)).count();
        assert!(error.contains(said), "{error}");
        // What contradicts another field is told at the first of them.
        let at = if said.contains("before") { line - 1 } else { line };
        assert!(error.starts_with(&format!("x.toml:{at}: ")), "line {at}: {error}");
    }
}
