//! `feedpulse check …`: from an idea to a check that runs, in whatever language.
//!
//! - [`new`] writes a folder that builds and passes its own test; its files are in `templates/`.
//! - [`build`] makes one `.wasm` of it: a builder per language, the rest of the way is shared.
//!
//! Exit codes: 0 well; 1 the answer is no (a case failed, the budget is exceeded, this host would
//! not load it); 64 usage; 65 the check is wrong (it does not compile, its manifest or a case is not
//! right); 66 no such file; 69 a toolchain is missing; 74 a file cannot be written.

mod build;
mod new;
mod templates;

use crate::cli::Failure;
use clap::Subcommand;

/// The commands of somebody who writes checks.
#[derive(Subcommand, Debug)]
pub(crate) enum CheckCommand {
    /// Write a folder with a new check that builds and passes its own test.
    New(new::NewArgs),
    /// Make one .wasm file of a check's folder, and say what it is.
    Build(build::BuildArgs),
}

/// Runs one of them.
pub(crate) fn main(command: CheckCommand) -> Result<(), Failure> {
    match command {
        CheckCommand::New(args) => new::main(&args),
        CheckCommand::Build(args) => build::main(&args),
    }
}
