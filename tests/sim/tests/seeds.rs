//! 500 hospitals with every test run; any number by `cargo xtask sim --seeds N`.

use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn five_hundred_seeds() {
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > 500 {
                        return;
                    }
                    if let Err(broken) = feedpulse_tests_sim::trial(seed) {
                        panic!("{broken}");
                    }
                }
            });
        }
    });
}
