//! Shared harness of the integration tests.
#![forbid(unsafe_code)]

pub mod checks;
pub mod clinic;
pub mod namespace;
pub mod packets;
pub mod parts;
pub mod product;
pub mod section;
