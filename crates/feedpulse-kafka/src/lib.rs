//! Kafka as a tap: records of configured topics become frames and sightings.
//!
//! [`KafkaConfig`] says what to read, [`KafkaTap`] reads it on a thread of its own
//! ([`KafkaTap::run_blocking`]), [`sample`] takes a look at a topic and [`history`] reads all
//! of it, without joining a group; [`GroupWatch`] looks at somebody else's group.
//! Read the modules in this order: `config`, `tap` (the loop), `context` (librdkafka's callbacks and
//! where reading starts), `lanes` (one partition: next offset, gaps, lag), `read` (a record),
//! `reason` (a dead letter's reason), `stats` and `health` (how the client is), `commit`.
//!
//! # Where reading starts
//! The store is the truth, the group's committed offset a copy for others to look at.
//! 1. A partition with a [`Position`](feedpulse_core::tap::Position) of this tap starts there, whether the
//!    committed offset is ahead (those records are not in our store) or behind (they are).
//! 2. A partition that this process has had, gave away and got back starts at the committed offset or
//!    behind the last record handed over, whichever is later: another member may have gone on.
//! 3. Otherwise it starts at the committed offset.
//! 4. Otherwise at the end, or the beginning with `auto.offset.reset: earliest`; that place becomes
//!    a Position at once, so that a crash before the first record forgets nothing.
//!
//! Where the records at that place are gone (retention), reading goes on at the earliest one and a
//! `Blind` item states the interval and the count. Offsets that begin anew (a topic that was made
//! again, a log that was cut by an unclean election) raise the epoch of the lane and are read from
//! the start. The epoch is the count of such restarts: librdkafka 2.12 hands no topic id to its consumers.
//!
//! # Limits
//! A batch is at most [`BATCH_RECORDS`] records or [`BATCH_BYTES`] of values plus one record;
//! librdkafka holds at most 16 MiB of fetched records ahead of that, unless configured otherwise.
//! Values over [`feedpulse_hl7::json::MAX_JSON`] (envelopes, receipts) or
//! [`feedpulse_hl7::MAX_MESSAGE`] (plain HL7) are counted and not read. While the intake is full for
//! longer than `max.poll.interval.ms` (default 5 min) the group takes the partitions away; the tap
//! says so and joins again.
#![forbid(unsafe_code)]

mod commit;
mod config;
mod context;
mod group;
mod health;
mod history;
mod lanes;
mod read;
mod reason;
mod sample;
mod stats;
mod tap;
mod wait;

#[cfg(test)]
mod tests;

pub use config::{ConfigError, ConfigErrors, KafkaConfig, TopicConfig, TopicFormat, TopicRole};
pub use group::{GroupError, GroupWatch};
pub use history::{HistoryFacts, history};
pub use sample::{SampleError, sample};
pub use tap::{BATCH_BYTES, BATCH_RECORDS, Clock, KafkaDeps, KafkaTap, KafkaTapError};
