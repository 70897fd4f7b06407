//! Where frames come from: the wire's ring, captures, files, directories, standard input.
//!
//! A tap is a future `run(self, intake, stop)` that the binary's supervisor spawns; nothing here
//! spawns a task. Work that blocks (asking the wire for its ring, reading files) goes through
//! `spawn_blocking` and is awaited at once. Positions say up to where the items of a batch are; the
//! intake stores them with the items, and calls the batch's `done` when both are durable.
#![deny(unsafe_code)]

pub mod capture;
pub mod file;
pub mod mllp;

mod passing;
mod read;
mod streams;
mod watch;

#[cfg(test)]
mod tests;
