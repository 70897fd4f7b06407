//! The Feedpulse binary: command line in, exit code out.
#![forbid(unsafe_code)]

mod backtest;
mod check;
mod civil;
mod cli;
mod clock;
mod config;
mod demo;
mod desk;
mod drill;
mod explain;
mod files;
mod find;
mod gaps;
mod init;
mod learn;
mod ledger;
mod lessons;
mod noun;
mod probe;
mod replay;
mod run;
#[cfg(test)]
#[expect(unreachable_pub, reason = "the tests crate shares it")]
#[path = "../../../tests/src/section.rs"]
mod section;
mod version;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The wire is a process of its own with nothing else in it: no runtime, no config, no clap.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "wire"
        && !rest.iter().any(|a| a == "--help" || a == "-h")
    {
        return run::wire::main(rest);
    }
    cli::main()
}
