//! `cargo xtask VERB`: the developer commands of Feedpulse.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use xtask::verbs;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match verbs::dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::from(e.code())
        }
    }
}
