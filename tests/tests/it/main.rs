//! The integration tests: one binary, many modules.
#![forbid(unsafe_code)]

mod alerts;
mod backtest;
mod capture;
mod cli;
mod demo;
mod desk;
mod drill;
mod gaps;
mod hostile;
mod identity;
mod kafka;
mod learn;
mod ledger;
mod outage;
mod parts;
mod parts_flow;
mod probes;
mod restart;
mod samples;
mod standby;
mod traces;
