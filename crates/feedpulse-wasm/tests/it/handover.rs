//! A version takes the place of another one: what goes on and what does not.

use crate::support::{at, component, roomy, rows, runtime, split, troublemaker};
use feedpulse_wasm::{Handover, Settings, Worker};

/// A worker of the troublemaker, at another version.
fn version(version: &str) -> Worker {
    let wasm = component("troublemaker");
    let text = String::from_utf8_lossy(wasm);
    assert_eq!(text.matches("\"version\":\"0.1.0\"").count(), 1);
    let place = wasm.windows(17).position(|w| w == b"\"version\":\"0.1.0\"").unwrap();
    let mut wasm = wasm.to_vec();
    wasm[place + 11..place + 16].copy_from_slice(version.as_bytes());
    let plugin = runtime().load(&wasm).unwrap();
    plugin.worker(Settings { limits: roomy(), ..Settings::default() }).unwrap()
}

/// The count that the check keeps in its state, after one more message.
fn count(worker: &mut Worker) -> String {
    let (found, faults) = split(worker.check(&at(&rows(&["COUNT"]), 0)));
    assert!(faults.is_empty(), "{faults:?}");
    found[0].attrs[0].1.to_string()
}

#[test]
fn state_goes_on_within_a_major_version_and_numbers_always() {
    let mut first = version("0.1.0");
    assert_eq!((count(&mut first).as_str(), count(&mut first).as_str()), ("1", "2"));
    let mut second = version("0.2.0");
    assert!(matches!(second.take_over(first), Handover::Kept { keys: 1, .. }));
    assert_eq!(count(&mut second), "3");
    assert_eq!((second.status().rows, second.status().findings), (3, 3));
    assert_eq!(second.status().instances, 2);
    let mut third = version("1.0.0");
    assert!(matches!(third.take_over(second), Handover::Dropped { keys: 1, .. }));
    assert_eq!(count(&mut third), "1");
    assert_eq!(third.status().rows, 4);
}

#[test]
fn faults_are_not_inherited() {
    let mut old = troublemaker().worker(Settings::default()).unwrap();
    for _ in 0..6 {
        old.check(&at(&rows(&["TRAP"]), 0));
    }
    assert_ne!(old.status().condition, feedpulse_wasm::Condition::Ready);
    let mut new = troublemaker().worker(Settings::default()).unwrap();
    new.take_over(old);
    assert_eq!(new.status().condition, feedpulse_wasm::Condition::Ready);
    let (found, _) = split(new.check(&at(&rows(&["SEEN"]), 0)));
    assert_eq!(found.len(), 1);
}
