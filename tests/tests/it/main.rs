//! The integration tests: one binary, many modules.
#![forbid(unsafe_code)]

mod alerts;
mod backtest;
mod capture;
mod check_canary;
mod check_cli;
mod check_languages;
mod check_rows;
mod check_words;
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
mod oci;
mod outage;
mod parts;
mod parts_flow;
mod peers;
mod probes;
mod reload;
mod restart;
mod samples;
mod standby;
mod traces;
mod wire_left;
