//! What becomes of a check that fails on and on, and of an instance that grows old.

use crate::support::{at, check, roomy, rows, split, worker};
use feedpulse_wasm::{Condition, Kind, Limits};

#[test]
fn a_check_that_never_recovers_is_quarantined_visibly() {
    let mut worker = worker(Limits { pauses: 3, ..roomy() });
    let (mut now, mut told) = (0, Vec::new());
    let mut all = 0;
    while !matches!(worker.status().condition, Condition::Quarantined { .. }) {
        let batch = rows(&["TRAP"; 8]);
        all += 8;
        let (_, faults) = split(worker.check(&at(&batch, now)));
        told.extend(faults.into_iter().filter(|f| f.kind == Kind::Quarantined));
        now = match worker.status().condition {
            Condition::SetAside { until_ms, .. } => until_ms,
            _ => now + 1,
        };
        assert!(now < 3_600_000, "it never ended");
    }
    assert_eq!(told.len(), 1, "said once");
    let status = worker.status();
    assert_eq!((status.rows, status.skipped), (all, all), "and each row that it lost is counted");
    assert_eq!((status.faults_of(Kind::Quarantined), status.memory), (1, None));
    let calls = status.calls;
    assert!(worker.check(&at(&rows(&["SEEN"]), u64::MAX)).is_empty());
    assert_eq!((worker.status().calls, worker.status().skipped), (calls, all + 1), "for good");
}

#[test]
fn an_old_instance_is_replaced_and_its_state_stays() {
    let mut worker = worker(Limits { recycle_calls: 8, ..roomy() });
    let mut counts = Vec::new();
    for _ in 0..40 {
        let (found, faults) = split(check(&mut worker, &["COUNT"]));
        assert!(faults.is_empty(), "{faults:?}");
        counts.push(found[0].attrs[0].1.parse::<u32>().unwrap());
    }
    assert_eq!(counts, (1..=40).collect::<Vec<_>>());
    let status = worker.status();
    // each takes 6 to 10 calls
    assert!((4..=6).contains(&status.recycled), "{status:?}");
    assert_eq!(status.instances - status.recycled, u64::from(status.memory.is_some()));
}
