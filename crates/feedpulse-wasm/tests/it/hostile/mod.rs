//! Guests that mean harm come to the end that is stated for them, and nobody else notices.

mod guests;

use crate::support::{PATIENT, checks, ids, plugin, root, rows, runtime, split, troublemaker};
use feedpulse_wasm::{Batch, Condition, Limits, Settings, Worker};
use guests::{End, Guest};
use std::fmt::Write as _;
use std::time::Duration;

/// The documented budgets, but for the time to start, of which a slow machine needs no second here; one
/// that must stay without fault has time enough for an unoptimised host.
fn settings(end: End) -> Settings {
    let time_base = match end {
        End::Bounded => Duration::from_secs(20),
        _ => Limits::default().time_base,
    };
    let limits = Limits { time_base, time_init: Duration::from_millis(200), ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

fn all() -> Vec<Guest> {
    guests::all(&root().join("wit/check@0.1.0/check.wit"))
}

/// Hands a batch to a worker and lets it tick; what it said, as text, and whether all is accounted.
fn run(worker: &mut Worker, second: u64) -> String {
    let rows = rows(&["A", "BB", "CCC", "DDDDD"]);
    let at = second * 1000;
    let batch = Batch { feed: "adt", now_ms: at, monotonic_ms: at, rows: &rows, access: None };
    let before = worker.status();
    let (found, mut faults) = split(worker.check(&batch));
    faults.extend(split(worker.tick("adt", at, at)).1);
    let after = worker.status();
    assert_eq!(after.rows - before.rows, 4);
    assert!(found.len() <= 256 && ids(&found).iter().all(|id| (100..104).contains(id)));
    assert!(after.state_keys <= 1024 && after.state_bytes <= 64 << 10);
    let told = format!("{found:?} {faults:?} {:?}", worker.take_log());
    assert!(!told.contains("CANARY") && !told.contains(PATIENT), "{told}");
    faults.iter().map(|f| format!("{}: {}; ", f.kind.name(), f.cause)).collect()
}

#[test]
fn each_comes_to_its_end() {
    let guests = all();
    assert!(guests.len() >= 60, "{}", guests.len());
    let mut wrong = String::new();
    for Guest { name, wasm, end } in &guests {
        let came = match runtime().load(wasm) {
            Err(e) => (0, e.to_string()),
            Ok(plugin) => match plugin.worker(settings(*end)) {
                Err(e) => (1, e.to_string()),
                Ok(mut worker) => {
                    let said: String = (0..3).map(|second| run(&mut worker, second)).collect();
                    (if said.is_empty() { 3 } else { 2 }, said)
                }
            },
        };
        let (rank, said) = match *end {
            End::Refused(said) => (0, said.to_owned()),
            End::NotStarted(said) => (1, said.to_owned()),
            End::Fault(kind, cause) => (2, format!("{kind}: ~{cause}")),
            End::Bounded => (3, String::new()),
        };
        let mut parts = said.split('~');
        if came.0 != rank || !parts.all(|part| came.1.contains(part)) {
            writeln!(wrong, "{name}: {end:?} is expected, it came to {came:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_others_do_not_notice() {
    // one runtime, one thread, in turns: what one guest breaks, the next call would show
    let mut good = troublemaker()
        .worker(Settings { limits: crate::support::roomy(), ..Settings::default() })
        .unwrap();
    let mut bad: Vec<Worker> = all()
        .iter()
        .filter(|guest| matches!(guest.end, End::Fault(..) | End::Bounded))
        .map(|guest| runtime().load(&guest.wasm).unwrap().worker(settings(guest.end)).unwrap())
        .collect();
    assert!(bad.len() >= 30, "{}", bad.len());
    for second in 0..4 {
        for worker in &mut bad {
            run(worker, second);
            let (found, faults) = split(crate::support::check(&mut good, &["SEEN", "-", "SEEN"]));
            assert_eq!((ids(&found), faults.len()), (vec![100, 102], 0));
        }
    }
    let status = good.status();
    assert_eq!((status.skipped, status.instances, status.condition), (0, 1, Condition::Ready));
}

#[test]
fn the_library_holds_nothing_hostile() {
    // every check that is offered asks for no more than it says, and imports nothing foreign
    for name in checks() {
        let check = plugin(&name);
        assert_eq!(check.manifest().name, name);
        assert!(
            check.manifest().grants.len() <= usize::from(name == "document-integrity")
                || name == "troublemaker"
        );
    }
}
