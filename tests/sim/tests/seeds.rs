//! 500 hospitals with every test run, from `FEEDPULSE_SEED` (1); any number by
//! `cargo xtask sim --seeds N`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn five_hundred_seeds() {
    let from = std::env::var("FEEDPULSE_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let (next, found) = (AtomicU64::new(from), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < from + 500
                    && found.lock().expect("no panic").is_empty()
                {
                    if let Err(broken) = feedpulse_tests_sim::trial(seed) {
                        found.lock().expect("no panic").push(broken);
                    }
                }
            });
        }
    });
    let found = found.into_inner().expect("no panic");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}
