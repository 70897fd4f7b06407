//! The integration tests: one binary, many modules.
#![forbid(unsafe_code)]

mod capture;
mod cli;
mod demo;
mod identity;
mod kafka;
mod outage;
mod parts;
mod parts_flow;
mod restart;
