//! A crash at every call, and failures of every call.

use super::crash_disk::{CrashDisk, EIO, ENOSPC, Faults, NO_FAULTS};
use super::work::{Promised, SMALL, block, judge, rows, snapshot, work};
use crate::{FailureClass, Rows, Store, StoreError};

const ROUNDS: u64 = 14;

/// Opens and works; gives what was promised by the time an error ended it.
fn run(disk: &CrashDisk) -> (Promised, bool) {
    let mut promised = Promised::default();
    let Ok((mut store, recovered)) = Store::open_on(disk.clone(), SMALL) else {
        return (promised, false);
    };
    drop(recovered);
    let done = work(&mut store, ROUNDS, &mut promised).is_ok();
    (promised, done)
}

/// Calls of a run in which nothing fails.
fn calls_of_a_run() -> u64 {
    let disk = CrashDisk::new();
    assert!(run(&disk).1, "nothing fails");
    let names = disk.names();
    assert!(names.iter().any(|name| name.starts_with("log/0000000003")), "it rolls: {names:?}");
    assert!(!names.iter().any(|name| name.starts_with("log/0000000001")), "retires: {names:?}");
    disk.calls()
}

/// Opens a crash image, judges it, works on, crashes again with nothing pending kept, judges again.
fn survives(image: &CrashDisk, mut promised: Promised) -> Result<(), String> {
    let (mut store, recovered) =
        Store::open_on(image.clone(), SMALL).map_err(|error| format!("open: {error}"))?;
    judge(recovered, &promised)?;
    if let Some(failing) = store.failing() {
        return Err(format!("{failing:?}"));
    }
    let ledger = store.ledger_seq();
    if ledger < promised.ledger || ledger >= store.next_seq() {
        return Err(format!("the ledger ends at {ledger}, {promised:?}"));
    }
    // What came back beyond the promise is as good as promised now.
    promised.seq = store.next_seq() - 1;
    promised.handed = promised.handed.max(promised.seq);
    work(&mut store, 3, &mut promised).map_err(|error| format!("work: {error}"))?;
    drop(store);
    let (_store, recovered) =
        Store::open_on(image.image(0), SMALL).map_err(|error| format!("reopen: {error}"))?;
    judge(recovered, &promised)
}

#[test]
fn nothing_acknowledged_is_lost_by_a_crash_at_any_call() {
    let calls = calls_of_a_run();
    assert!(calls > 150, "{calls}");
    for at in 1..=calls {
        let disk = CrashDisk::new();
        disk.set_faults(Faults { from: at, ..NO_FAULTS });
        let (promised, _) = run(&disk);
        for seed in 0..6 {
            let image = disk.image(at * 64 + seed);
            if let Err(error) = survives(&image, promised) {
                panic!("crash at call {at} of {calls}, image {seed}: {error}");
            }
        }
    }
}

/// The second start can crash as well, at any call, while it cuts and cleans up.
#[test]
fn a_crash_while_recovering_loses_nothing() {
    let calls = calls_of_a_run();
    for at in (5..calls).step_by(9) {
        let disk = CrashDisk::new();
        disk.set_faults(Faults { from: at, ..NO_FAULTS });
        let (promised, _) = run(&disk);
        for again in 1..40 {
            let image = disk.image(at * 4 + 2);
            image.set_faults(Faults { from: again, ..NO_FAULTS });
            let opened = Store::open_on(image.clone(), SMALL).is_ok();
            let second = image.image(again);
            if let Err(error) = survives(&second, promised) {
                panic!("crash at {at}, then at {again} (opened: {opened}): {error}");
            }
        }
    }
}

/// After each failure: recover, close the gap with a snapshot, work on, crash, judge.
fn fails_and_recovers(at: u64, errno: i32, writes_only: bool, class: FailureClass) {
    let disk = CrashDisk::new();
    let (mut store, _) = Store::open_on(disk.clone(), SMALL).unwrap();
    let mut promised = Promised::default();
    disk.set_faults(Faults { from: at, to: at + 6, errno, writes_only });
    let Err(error) = work(&mut store, ROUNDS, &mut promised) else { return };
    assert_eq!(error.class(), Some(class), "call {at}: {error}");
    let failing = store.failing().unwrap_or_else(|| panic!("call {at}: {error}, not failing"));
    assert_eq!(failing.class, class, "call {at}");
    let calls = disk.calls();
    let refused = match failing.part {
        crate::Part::Ledger => store.append_rows(&rows(store.next_seq(), store.next_seq())),
        crate::Part::Log => store.append(store.next_seq(), 1, b"x"),
        crate::Part::Snapshots => store.write_snapshot(1, b"x"),
        crate::Part::Tables => store.commit(&Rows::default()),
    };
    assert!(matches!(refused, Err(StoreError::Failing { .. })), "call {at}: {refused:?}");
    assert_eq!(disk.calls(), calls, "call {at}: refused without touching the disk");

    let mut tries = 0;
    while store.try_recover().is_err() {
        tries += 1;
        assert!(tries < 20, "call {at} never recovers: {:?}", store.failing());
    }
    assert_eq!(store.failing(), None, "call {at}");
    // Too few rounds for a snapshot, which would hide what the log holds.
    work(&mut store, 3, &mut promised).unwrap_or_else(|e| panic!("call {at}: {e}"));
    drop(store);
    for seed in 0..4 {
        if let Err(error) = survives(&disk.image(seed), promised) {
            panic!("errno {errno} at call {at}, image {seed}: {error}");
        }
    }
}

#[test]
fn every_call_may_fail_once_and_recording_resumes() {
    let calls = calls_of_a_run();
    for at in 1..=calls {
        fails_and_recovers(at, EIO, false, FailureClass::Io);
        fails_and_recovers(at, ENOSPC, true, FailureClass::Full);
    }
}

/// An error while opening is told, and the next start finds everything.
#[test]
fn every_call_of_opening_may_fail() {
    let disk = CrashDisk::new();
    let (promised, _) = run(&disk);
    for at in 1..200 {
        let image = disk.image(0);
        image.set_faults(Faults { from: at, to: at + 1, ..NO_FAULTS });
        match Store::open_on(image.clone(), SMALL) {
            Err(error) => assert!(error.to_string().contains("in the store's folder"), "{error}"),
            Ok((store, recovered)) if store.failing().is_none() => {
                let beyond = image.calls() < at;
                drop(recovered);
                drop(store);
                if beyond {
                    assert!(at > 15, "opening takes some calls");
                    return;
                }
                continue;
            }
            Ok((mut store, _)) => store.try_recover().unwrap(),
        }
        if let Err(error) = survives(&image, promised) {
            panic!("call {at}: {error}");
        }
    }
    panic!("opening takes more than 200 calls");
}

/// While the log fails the engine goes on; the gap is closed by a snapshot.
#[test]
fn a_gap_while_failing_is_closed_by_a_snapshot() {
    let disk = CrashDisk::new();
    let (mut store, _) = Store::open_on(disk.clone(), SMALL).unwrap();
    store.append(1, 2, b"first").unwrap();
    assert_eq!(store.sync().unwrap(), 2);
    store.append(3, 1, b"never synced").unwrap();
    disk.set_faults(Faults { from: 1, to: 2, errno: EIO, writes_only: false });
    assert!(store.sync().is_err());
    assert_eq!((store.durable_seq(), store.next_seq()), (2, 3));
    store.try_recover().unwrap();
    store.write_snapshot(90, &snapshot(90)).unwrap();
    let (count, bytes) = block(91);
    let early = store.append(50, 1, b"old");
    assert!(matches!(early, Err(StoreError::Sequence { expected: 91, got: 50 })), "{early:?}");
    store.append(91, count, &bytes).unwrap();
    store.sync().unwrap();
    drop(store);
    let (_, recovered) = Store::open_on(disk.image(0), SMALL).unwrap();
    assert_eq!(recovered.snapshot.as_ref().map(|snapshot| snapshot.seq), Some(90));
    let tail: Vec<_> = recovered.tail.collect::<Result<_, _>>().unwrap();
    assert_eq!(tail.len(), 1);
    assert_eq!((tail[0].first_seq, tail[0].skip), (91, 0));
}
