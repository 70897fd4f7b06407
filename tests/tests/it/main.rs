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
mod identity;
mod kafka;
mod learn;
mod ledger;
mod outage;
mod parts;
mod parts_flow;
mod peers;
mod probes;
mod restart;
mod samples;
mod standby;
mod traces;
