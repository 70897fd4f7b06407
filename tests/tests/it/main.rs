//! The integration tests: one binary, many modules.
#![forbid(unsafe_code)]

mod parts;
