//! The checks of `plugins/`, built the way the product builds them, run under the real host.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code says what went wrong by panicking"
)]

#[path = "../../../../plugins/packaging.rs"]
mod packaging;

mod cases;
mod faults;
mod findings;
mod hostile;
mod loading;
mod ordinary;
mod rules;
mod support;
