//! `feedpulse check …`: what is done with a check before it runs.

mod approve;
mod registry;

use crate::cli::Failure;
use clap::Subcommand;

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum CheckCommand {
    /// Print the configuration that approves a check: its fields and grants, to be read and pasted.
    Approve(approve::ApproveArgs),
    /// Push a check to an OCI registry, and print the line that pins it.
    Push(registry::PushArgs),
    /// Pull a check from an OCI registry, and print the line that pins it.
    Pull(registry::PullArgs),
}

/// Runs one of them.
pub(crate) fn main(command: CheckCommand) -> Result<(), Failure> {
    match command {
        CheckCommand::Approve(args) => approve::main(&args),
        CheckCommand::Push(args) => registry::push(&args),
        CheckCommand::Pull(args) => registry::pull(&args),
    }
}
