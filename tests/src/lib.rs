//! Shared harness of the integration tests.
#![forbid(unsafe_code)]

pub mod checks;
pub mod clinic;
pub mod manifests;
pub mod namespace;
pub mod packets;
pub mod parts;
pub mod pod;
pub mod product;
pub mod section;
