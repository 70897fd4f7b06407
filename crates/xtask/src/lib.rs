//! Developer commands: check, test, bench, demo, plugins, parts, image; and the tidy tests.
//!
//! A library besides the binary because the integration tests read the same table of real parts
//! ([`pins`]). Kept to two small dependencies so that `cargo xtask` answers within seconds.
#![forbid(unsafe_code)]

pub mod chart;
pub mod checks;
pub mod cmd;
pub mod error;
pub mod image;
pub mod parts;
pub mod pins;
pub mod plugins;
pub mod verbs;

#[cfg(test)]
mod tidy;

pub use error::{Error, Result};
