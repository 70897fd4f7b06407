//! The real disk: owner-only files, one process at a time, a process that is killed, a full disk.

use super::work::{SMALL, block, snapshot};
use crate::{OpenError, Options, Rows, Store};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "FEEDPULSE_STORE_TEST_FOLDER";

/// Not a test of its own: what [`a_killed_process_loses_nothing_it_promised`] runs in a process of
/// its own. Records for ever and says what is promised.
#[test]
fn recording_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mut store, recovered) = Store::open(Path::new(&folder), SMALL).unwrap();
    assert!(recovered.tail.flatten().count() < 1_000_000);
    loop {
        let first = store.next_seq();
        let (count, bytes) = block(first);
        store.append(first, count, &bytes).unwrap();
        let seq = store.sync().unwrap();
        println!("promised {seq}");
        if seq % 10 == 0 {
            store.write_snapshot(seq, &snapshot(seq)).unwrap();
            store
                .commit(&Rows { positions: &[super::work::position(seq)], ..Rows::default() })
                .unwrap();
        }
    }
}

/// Starts the process, waits for `lines` promises, checks that the folder is taken, kills it.
fn record_and_kill(folder: &Path, lines: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["tests::real::recording_process", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = out.find_map(|line| {
            line.unwrap().split_once("promised ").map(|(_, seq)| seq.parse::<u64>().unwrap())
        });
        line.expect("the process records until it is killed")
    };
    let mut promised = 0;
    for _ in 0..lines {
        promised = next();
    }
    match Store::open(folder, SMALL) {
        Err(error @ OpenError::Held { pid }) => {
            assert_eq!(pid, Some(child.id()));
            assert!(error.to_string().contains(&format!("process {}", child.id())), "{error}");
        }
        other => panic!("a second process is refused: {other:?}"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    promised
}

#[test]
fn a_killed_process_loses_nothing_it_promised() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("store");
    for (round, lines) in [23, 3, 57].into_iter().enumerate() {
        let promised = record_and_kill(&folder, lines);
        let (store, recovered) = Store::open(&folder, SMALL).unwrap();
        assert_eq!(recovered.damage, [], "round {round}");
        let mut seq = recovered.snapshot.map_or(0, |found| {
            assert_eq!(found.bytes, snapshot(found.seq));
            found.seq
        });
        for found in recovered.tail {
            let found = found.unwrap();
            assert_eq!(found.first_seq + u64::from(found.skip), seq + 1, "round {round}");
            assert_eq!(found.bytes, block(found.first_seq).1, "round {round}");
            seq = found.first_seq + u64::from(found.count) - 1;
        }
        assert!(seq >= promised, "round {round}: {seq} < {promised}");
        assert_eq!(store.next_seq(), seq + 1);
    }
}

#[test]
fn only_the_owner_may_read_and_only_one_may_open() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("a").join("store");
    let (mut store, _) = Store::open(&folder, Options::default()).unwrap();
    store.append(1, 1, b"x").unwrap();
    store.write_snapshot(1, b"y").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut seen = 0;
    let mut folders = vec![folder.clone()];
    while let Some(dir) = folders.pop() {
        assert_eq!(mode(&dir), 0o700, "{dir:?}");
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{path:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 5, "lock, format, segment, snapshot, database");
    let pid = std::process::id();
    let second = Store::open(&folder, Options::default());
    assert!(matches!(second, Err(OpenError::Held { pid: Some(p) }) if p == pid), "{second:?}");
    drop(store);
    assert!(Store::open(&folder, Options::default()).is_ok());
}

/// A folder that is no folder, and one whose log cannot be written, are told.
#[test]
fn what_the_system_refuses_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Store::open(&file, Options::default()).unwrap_err();
    assert!(error.to_string().contains("in the store's folder"), "{error}");

    let folder = temp.path().join("store");
    let (mut store, _) = Store::open(&folder, Options::default()).unwrap();
    let log = folder.join("log");
    std::fs::rename(&log, temp.path().join("away")).unwrap();
    let error = store.append(1, 1, b"x").unwrap_err();
    assert_eq!(error.class().map(crate::FailureClass::name), Some("gone"), "{error}");
    assert!(store.try_recover().is_err(), "still gone");
    std::fs::rename(temp.path().join("away"), &log).unwrap();
    store.try_recover().unwrap();
    store.append(1, 1, b"x").unwrap();
    assert_eq!(store.sync().unwrap(), 1);
}
