//! The ledger: read by others while it is written, kept by bytes and by age, exact over restarts.

use super::work::{SMALL, rows};
use crate::{LedgerReader, Options, Store};
use core::time::Duration;
use feedpulse_core::time::Timestamp;

fn covered(dir: &std::path::Path) -> Vec<i64> {
    let blocks = LedgerReader::open(dir).unwrap().map(|block| block.unwrap().times.1.as_secs());
    blocks.collect()
}

#[test]
fn another_reads_it_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path(), SMALL).unwrap();
    for seq in 1..=40 {
        store.append(seq, 1, b"input").unwrap();
        store.sync().unwrap();
        store.append_rows(&rows(seq, seq)).unwrap();
        store.sync().unwrap();
        assert_eq!(covered(dir.path()), (1..=i64::try_from(seq).unwrap()).collect::<Vec<_>>());
    }
    assert!(store.append_rows(&rows(40, 41)).is_err(), "no input twice");
    drop(store);
    let (store, _) = Store::open(dir.path(), SMALL).unwrap();
    assert_eq!(store.ledger_seq(), 40);
    // A block that is being written: its reader sees all that is whole.
    let last =
        std::fs::read_dir(dir.path().join("ledger")).unwrap().map(|e| e.unwrap().path()).max();
    let last = last.unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 10]).unwrap();
    assert_eq!(covered(dir.path()).len(), 39);
}

#[test]
fn it_is_kept_by_bytes_and_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { ledger_bytes_max: 16_384, ..SMALL };
    let (mut store, _) = Store::open(dir.path(), options).unwrap();
    for seq in 1..=400 {
        store.append_rows(&rows(seq, seq)).unwrap();
        store.sync().unwrap();
    }
    let left = covered(dir.path());
    assert!(left.len() > 30 && left.len() < 60, "{}", left.len());
    assert_eq!(left.last(), Some(&400));
    // Rows are a second apart: a month after the 380th only the segments of younger ones stay.
    let month = Duration::from_secs(30 * 86_400);
    store.prune(Timestamp::from_secs(380).plus(month)).unwrap();
    let left = covered(dir.path());
    assert!(left.first().is_some_and(|first| (365..=381).contains(first)), "{left:?}");
}
