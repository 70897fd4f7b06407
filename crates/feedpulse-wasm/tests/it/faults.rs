//! A check that misbehaves wastes its own budget and nothing else.

use crate::support::{at, check, component, ids, roomy, rows, split, troublemaker, worker};
use feedpulse_wasm::{Condition, Kind, Limits, Runtime, Settings, StartError};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A batch of 64 that all ask for a finding, but for some.
fn full(but: &[(usize, &'static str)]) -> [&'static str; 64] {
    let mut deeds = ["SEEN"; 64];
    for (n, deed) in but {
        deeds[*n] = deed;
    }
    deeds
}

/// Runs such a batch: the one poison row is blamed for `kind`, the others are checked.
fn poison(limits: Limits, deed: &'static str, kind: Kind) -> String {
    let mut worker = worker(limits);
    let (found, faults) = split(check(&mut worker, &full(&[(40, deed)])));
    let expected: Vec<u64> = (100..164).filter(|id| *id != 140).collect();
    assert_eq!(ids(&found), expected, "every other row is checked, in order, once");
    let [fault] = &faults[..] else { panic!("{deed}: {faults:?}") };
    assert_eq!((fault.kind, fault.row, fault.count), (kind, Some(140), 1), "{fault:?}");
    let status = worker.status();
    assert_eq!((status.rows, status.skipped, status.faults_of(kind)), (64, 1, 1));
    assert_eq!(status.condition, Condition::Ready, "one fault sets nothing aside");
    assert_eq!(split(check(&mut worker, &["SEEN"])).0.len(), 1, "and it goes on");
    fault.cause.to_string()
}

#[test]
fn a_trap_is_traced_to_its_row_and_says_where_but_not_what() {
    let cause = poison(roomy(), "TRAP", Kind::Trapped);
    assert!(cause.contains("unreachable"), "{cause}");
    assert!(cause.contains("panicked at") && cause.contains("lib.rs:"), "{cause}");
    let cause = poison(roomy(), "STACK", Kind::Trapped);
    assert!(cause.contains("call stack exhausted"), "{cause}");
}

#[test]
fn an_endless_loop_is_stopped() {
    let limits = Limits {
        // room for the good rows on a slow machine, and yet an end
        time_base: Duration::from_millis(100),
        ..Limits::default()
    };
    poison(limits, "LOOP", Kind::TimedOut);
}

#[test]
fn a_memory_bomb_is_refused() {
    poison(Limits { memory: 8 << 20, ..roomy() }, "BOMB", Kind::OutOfMemory);
}

#[test]
fn an_error_text_is_counted_and_not_passed_on() {
    let cause = poison(roomy(), "ERROR", Kind::PluginError);
    assert_eq!(cause, "it returned an error");
    let mut worker = worker(roomy());
    check(&mut worker, &["ERROR"]);
    assert_eq!(worker.status().instances, 1, "an error keeps the instance");
    check(&mut worker, &["TRAP"]);
    check(&mut worker, &["-"]);
    assert_eq!(worker.status().instances, 2, "a trap does not");
}

#[test]
fn several_poison_rows_are_all_found() {
    let mut worker = worker(roomy());
    let (found, faults) =
        split(check(&mut worker, &full(&[(0, "TRAP"), (31, "ERROR"), (63, "TRAP")])));
    assert_eq!(found.len(), 61);
    assert_eq!(faults.iter().filter_map(|f| f.row).collect::<Vec<_>>(), [100, 131, 163]);
}

#[test]
fn state_outlives_a_trap_and_a_failed_call_leaves_none() {
    let mut worker = worker(roomy());
    let counts = |worker: &mut _, deeds: &[&str]| {
        let (found, _) = split(check(worker, deeds));
        found.iter().map(|f| f.attrs[0].1.parse().unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(counts(&mut worker, &["COUNT", "COUNT"]), [1, 2]);
    let after = counts(&mut worker, &["COUNT", "COUNT", "TRAP", "COUNT"]);
    assert_eq!(after, [3, 4, 5], "repeated halves do not count a row twice");
    assert_eq!(counts(&mut worker, &["COUNT", "ERROR", "COUNT"]), [6, 7]);
}

#[test]
fn five_faults_set_aside_and_a_pause_brings_back() {
    let mut worker = worker(roomy());
    for second in 0..4 {
        worker.check(&at(&rows(&["TRAP"]), second * 1000));
        assert_eq!(worker.status().condition, Condition::Ready);
    }
    worker.check(&at(&rows(&["TRAP", "SEEN", "SEEN"]), 4000));
    let aside = Condition::SetAside { until_ms: 5000, pause_ms: 1000 };
    let status = worker.status();
    assert_eq!((status.condition, status.skipped), (aside, 4 + 3), "the rest of the batch too");

    let calls = status.calls;
    assert!(worker.check(&at(&rows(&["SEEN"; 10]), 4999)).is_empty());
    let status = worker.status();
    assert_eq!((status.calls, status.skipped), (calls, 17), "not run, but counted");

    let (found, _) = split(worker.check(&at(&rows(&["SEEN"]), 5000)));
    assert_eq!(found.len(), 1, "tried again");
    assert_eq!(worker.status().condition, Condition::Probation { since_ms: 5000 });
    worker.check(&at(&rows(&["TRAP"]), 6000));
    let longer = Condition::SetAside { until_ms: 8000, pause_ms: 2000 };
    assert_eq!(worker.status().condition, longer, "one fault is enough, and the pause doubles");
    worker.check(&at(&rows(&["-"]), 8000));
    worker.check(&at(&rows(&["-"]), 68_000));
    assert_eq!(worker.status().condition, Condition::Ready, "after a calm minute");
}

#[test]
fn a_batch_of_poison_ends_after_five_rows() {
    let mut worker = worker(roomy());
    let (found, faults) = split(check(&mut worker, &["TRAP"; 64]));
    assert_eq!((found.len(), faults.len()), (0, 5));
    let status = worker.status();
    assert_eq!((status.rows, status.skipped), (64, 64));
    assert!(matches!(status.condition, Condition::SetAside { .. }));
}

#[test]
fn nothing_runs_that_could_not_be_stopped() {
    let runtime = Runtime::new(None).unwrap();
    let plugin = runtime.load(component("troublemaker")).unwrap();
    let refused = plugin.worker(Settings::default()).unwrap_err();
    assert!(matches!(refused, StartError::Failed { kind: Kind::NoTicker, .. }), "{refused}");

    let ticker = runtime.ticker();
    let mut worker = plugin.worker(Settings { limits: roomy(), ..Settings::default() }).unwrap();
    ticker.run(&AtomicBool::new(true));
    let (found, faults) = split(check(&mut worker, &["SEEN"; 64]));
    assert_eq!((found.len(), faults.len(), faults[0].kind), (0, 1, Kind::NoTicker));
    assert_eq!(faults[0].count, 64);
    let status = worker.status();
    assert_eq!((status.skipped, status.condition), (64, Condition::Ready), "not the check's fault");
}

#[test]
fn the_ticker_ends_with_its_runtime() {
    let runtime = Runtime::new(None).unwrap();
    let ticker = runtime.ticker();
    drop(runtime);
    ticker.run(&AtomicBool::new(false));
}

#[test]
fn a_check_that_needs_more_memory_than_its_limit_does_not_start() {
    let limits = Limits { memory: 64 << 10, ..roomy() };
    let refused = troublemaker().worker(Settings { limits, ..Settings::default() }).unwrap_err();
    assert!(matches!(refused, StartError::Failed { kind: Kind::OutOfMemory, .. }), "{refused}");
}

#[test]
fn what_a_guest_hands_over_is_bounded() {
    let limits = Limits { transfer: 4096, ..roomy() };
    let mut worker = worker(limits);
    let (found, faults) = split(check(&mut worker, &["FLOOD"]));
    assert_eq!((found.len(), faults[0].kind), (0, Kind::Trapped));
    assert!(faults[0].cause.contains("more than its limit"), "{:?}", faults[0]);
}
