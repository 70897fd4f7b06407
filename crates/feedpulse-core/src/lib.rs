//! The vocabulary and the pure engine of Feedpulse: sightings in, effects out.
//!
//! Nothing here reads a clock, does I/O or spawns. Read the modules in this order: [`time`],
//! [`label`], [`key`], [`frame`], [`defect`], [`sighting`], [`plan`], [`input`], [`codes`],
//! [`finding`], [`effect`], [`hist`], [`view`], [`metrics`], then the engine.
#![forbid(unsafe_code)]

pub mod codes;
pub mod defect;
pub mod effect;
pub mod finding;
pub mod frame;
pub mod hist;
pub mod input;
pub mod key;
pub mod label;
pub mod metrics;
pub mod plan;
pub mod sighting;
pub mod tap;
pub mod time;
pub mod view;
