//! The wire as a program of its own, for a host or a container that runs nothing else.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    feedpulse_wire::main(&args)
}
