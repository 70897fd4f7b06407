//! A look at the newest records of a topic, without joining its group or committing anything.

use crate::config::{self, ConfigErrors, Scrubber};
use crate::read;
use feedpulse_core::time::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The most records of one sample.
const MAX_RECORDS: usize = 100_000;
/// The most bytes of values of one sample.
const MAX_BYTES: usize = 256 << 20;

/// Why there is no sample. Never holds an option's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The options are not valid.
    #[error(transparent)]
    Options(#[from] ConfigErrors),
    /// It is no topic's name.
    #[error("`{0}` is no topic name: use 1 to 249 letters, digits, `.`, `_`, `-`")]
    TopicName(String),
    /// The brokers know no such topic, or show it to nobody like us.
    #[error("the brokers show no topic `{0}`: check its name and the client's ACLs")]
    NoTopic(String),
    /// librdkafka's words, without the options' values.
    #[error("cannot read `{topic}`: {reason}")]
    Kafka {
        /// The topic.
        topic: String,
        /// What librdkafka said.
        reason: String,
    },
}

/// The newest `max_records` values (at most 100,000 records and 256 MiB) of a topic by timestamp,
/// in order; fewer when `timeout` ends first. Tombstones are left out; a record without a timestamp
/// stands first, at the epoch. Blocks for up to `timeout`: call it where blocking is allowed.
///
/// # Errors
/// Bad options, an unknown topic, brokers that do not answer.
pub fn sample(
    options: &BTreeMap<String, String>,
    topic: &str,
    max_records: usize,
    timeout: Duration,
) -> Result<Vec<(Timestamp, Vec<u8>)>, SampleError> {
    let faults = config::check_options(options);
    if !faults.is_empty() {
        return Err(ConfigErrors(faults).into());
    }
    if !config::is_topic(topic) {
        return Err(SampleError::TopicName(topic.to_owned()));
    }
    let scrubber = Scrubber::new(options);
    let failed = |error: KafkaError| SampleError::Kafka {
        topic: topic.to_owned(),
        reason: match error {
            KafkaError::ClientConfig(_, _, name, _) => format!("the value of `{name}`"),
            other => scrubber.scrub(&other.to_string()),
        },
    };
    let deadline = Instant::now() + timeout;
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut client = config::client(options);
    if client.get("group.id").is_none() {
        // librdkafka assigns nothing without one; without a subscription it joins nothing.
        client.set("group.id", "feedpulse-sample");
    }
    client.set("statistics.interval.ms", "0");
    let consumer: BaseConsumer = client.create().map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), left()).map_err(failed)?;
    let found = metadata.topics().iter().find(|one| one.name() == topic && one.error().is_none());
    let found = found.filter(|one| !one.partitions().is_empty());
    let found = found.ok_or_else(|| SampleError::NoTopic(topic.to_owned()))?;
    let wanted = max_records.min(MAX_RECORDS);
    let mut list = TopicPartitionList::new();
    let mut open = BTreeSet::new();
    for partition in found.partitions() {
        let (low, high) =
            consumer.fetch_watermarks(topic, partition.id(), left()).map_err(failed)?;
        if high > low {
            let start = high.saturating_sub(i64::try_from(wanted).unwrap_or(i64::MAX)).max(low);
            list.add_partition_offset(topic, partition.id(), Offset::Offset(start))
                .map_err(failed)?;
            open.insert(partition.id());
        }
    }
    consumer.assign(&list).map_err(failed)?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while !open.is_empty() && !left().is_zero() && bytes < MAX_BYTES {
        match consumer.poll(left().min(Duration::from_millis(200))) {
            Some(Ok(record)) => {
                if let Some(value) = record.payload() {
                    bytes += value.len();
                    records.push((read::timestamp(&record, Timestamp::EPOCH), value.to_vec()));
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // Brokers come and go; the deadline ends it.
            Some(Err(_)) | None => {}
        }
    }
    records.sort_by_key(|(at, _)| *at);
    let surplus = records.len().saturating_sub(wanted);
    records.drain(..surplus);
    Ok(records)
}
