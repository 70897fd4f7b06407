//! Bytes to meaning: MLLP framing, header and ACK reading, times, urgency, keys, check rows.
//!
//! Everything here is total: whatever the bytes are, nothing fails and nothing panics; what is odd
//! becomes a [`feedpulse_core::defect::Defect`] with its place. Read the modules in this order:
//! [`mllp`] (the byte stream), [`index`] (one message), [`text`] and [`dtm`] (values), [`path`]
//! and [`structure`] (places in a message), [`keys`], [`decode`] (frame to sightings), [`rows`]
//! (what checks see), [`split`] and [`inspect`] (files), [`json`] (envelopes and receipts).
//!
//! Limits: a message is at most [`MAX_MESSAGE`] bytes and [`index::MAX_SEGMENTS`] segments; a field
//! given to hl7-parser at most [`structure::MAX_FIELD`] bytes; a JSON document at most
//! [`json::MAX_JSON`] bytes. What is over a limit is counted and named, never read in part.
#![forbid(unsafe_code)]

pub mod decode;
pub mod deidentify;
pub mod dtm;
pub mod index;
pub mod inspect;
pub mod json;
pub mod keys;
pub mod mllp;
pub mod path;
pub mod rows;
mod shape;
pub mod split;
pub mod structure;
pub mod text;

mod ack;
mod delimiters;
pub mod facility;
pub mod facts;
mod orders;
mod times;
mod urgency;
mod walk;

#[cfg(test)]
mod tests;

/// The most bytes that one message may have.
pub const MAX_MESSAGE: usize = 16 << 20;
