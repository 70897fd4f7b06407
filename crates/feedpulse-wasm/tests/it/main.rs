//! The checks of `plugins/`, built the way the product builds them, run under the real host.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code says what went wrong by panicking"
)]

#[path = "../../../../plugins/packaging.rs"]
mod packaging;

mod canary;
mod cases;
mod faults;
mod findings;
mod handover;
mod hostile;
mod loading;
mod ordinary;
mod quarantine;
mod rules;
mod support;
mod wit;
