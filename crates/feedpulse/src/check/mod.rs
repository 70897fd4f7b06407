//! `feedpulse check …`: from an idea to a check that runs, in whatever language.
//!
//! - [`new`] writes a folder that builds and passes its own test; its files are in `templates/`.
//!   [`incident`] begins one with a message that went wrong, without its patient.
//! - [`build`] makes one `.wasm` of it: a builder per language, the rest of the way is shared.
//! - [`approve`] prints the configuration that lets a check see what it asks for.
//! - [`registry`] pushes checks to OCI registries and pulls them.
//! - [`test`] runs its [`cases`], [`run`] shows what it finds in recorded messages, [`bench`] what it
//!   costs; all three on the host of production ([`bed`]).
//! - [`inspect`] says what a component is.
//! - Wherever a command takes a check, [`named`] finds it, by every name that the configuration takes.
//!
//! Exit codes: 0 well; 1 the answer is no (a case failed, the check faulted, the budget is exceeded,
//! this host would not load it); 64 usage; 65 the check is wrong (it does not compile, its manifest or
//! a case is not right); 66 no such file; 69 a toolchain is missing; 74 a file cannot be written.

mod approve;
pub(crate) mod bed;
mod bench;
mod build;
mod cases;
mod dev;
mod incident;
mod inspect;
pub(crate) mod named;
mod new;
pub(crate) mod play;
mod registry;
mod run;
mod show;
mod sourcemap;
mod templates;
mod test;

use crate::cli::Failure;
use clap::Subcommand;

/// The commands of somebody who writes checks.
#[derive(Subcommand, Debug)]
pub(crate) enum CheckCommand {
    /// Write a folder with a new check that builds and passes its own test.
    New(new::NewArgs),
    /// Make one .wasm file of a check's folder, and say what it is.
    Build(build::BuildArgs),
    /// Print the configuration that approves a check: its fields and grants, to be read and pasted.
    Approve(approve::ApproveArgs),
    /// Push a check to an OCI registry, and print the line that pins it.
    Push(registry::PushArgs),
    /// Pull a check from an OCI registry, and print the line that pins it.
    Pull(registry::PullArgs),
    /// Run a check's cases under the limits of production.
    Test(test::TestArgs),
    /// Show what a check finds in recorded messages.
    Run(run::RunArgs),
    /// Say what a check costs, beside one that does nothing.
    Bench(bench::BenchArgs),
    /// Say what a component is and wants, without running it; exit code 1 if it would not be loaded.
    Inspect(inspect::InspectArgs),
    /// Build and test again whenever a file of the check changes.
    Dev(dev::DevArgs),
}

/// Runs one of them.
pub(crate) fn main(command: CheckCommand) -> Result<(), Failure> {
    match command {
        CheckCommand::New(args) => new::main(&args),
        CheckCommand::Build(args) => build::main(&args),
        CheckCommand::Approve(args) => approve::main(&args),
        CheckCommand::Push(args) => registry::push(&args),
        CheckCommand::Pull(args) => registry::pull(&args),
        CheckCommand::Test(args) => test::main(&args),
        CheckCommand::Run(args) => run::main(&args),
        CheckCommand::Bench(args) => bench::main(&args),
        CheckCommand::Inspect(args) => inspect::main(&args),
        CheckCommand::Dev(args) => dev::main(&args),
    }
}
