//! Plays seeds: `sim --seeds N [--from SEED]`. A failing seed is printed, and the exit code is 1.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

fn option(arguments: &[String], name: &str) -> Result<Option<u64>, String> {
    let Some(place) = arguments.iter().position(|argument| argument == name) else {
        return Ok(None);
    };
    let value = arguments.get(place + 1).map(|text| text.parse());
    match value {
        Some(Ok(number)) => Ok(Some(number)),
        _ => Err(format!("{name} needs a number")),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read = option(&arguments, "--seeds").and_then(|n| Ok((n, option(&arguments, "--from")?)));
    let (seeds, from) = match read {
        Ok((seeds, from)) => (seeds.unwrap_or(500), from.unwrap_or(1)),
        Err(error) => {
            eprintln!("sim: {error}; sim --seeds N [--from SEED]");
            return ExitCode::from(64);
        }
    };
    let (next, failed, inputs) = (AtomicU64::new(from), AtomicU64::new(0), AtomicU64::new(0));
    let end = from.saturating_add(seeds);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failed.load(Ordering::Relaxed) >= 5 {
                        return;
                    }
                    match feedpulse_tests_sim::trial(seed) {
                        Ok(report) => {
                            inputs.fetch_add(report.inputs as u64, Ordering::Relaxed);
                        }
                        Err(broken) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            eprintln!("{broken}\n");
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{seeds} seeds from {from}: {failed} failed, {} inputs", inputs.into_inner());
    ExitCode::from(u8::from(failed > 0))
}
