//! A look at somebody else's consumer group: what it has committed, how far the topics go, and how old
//! the record is that it will read next. It never joins the group and never commits.
//!
//! Two clients: one bears the group's name and asks its coordinator for offsets and members, nothing
//! else; the other bears a name of its own and reads one record of each partition that is behind, for
//! its timestamp alone (Kafka does not tell when an offset was committed). Values are dropped at once.

use crate::config::{self, ConfigErrors, Scrubber};
use crate::read;
use feedpulse_core::label::Label;
use feedpulse_core::probe::{Offsets, PARTS_MAX};
use feedpulse_core::time::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The group of the client that reads; it is never joined either.
const READER: &str = "feedpulse-look";

/// Why a group cannot be looked at. Never holds an option's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The options are not valid.
    #[error(transparent)]
    Options(#[from] ConfigErrors),
    /// librdkafka refuses them as a whole; its words, without the options' values.
    #[error("librdkafka refuses the options: {0}")]
    Client(String),
    /// It is no topic's name.
    #[error("`{0}` is no topic name: use 1 to 249 letters, digits, `.`, `_`, `-`")]
    TopicName(String),
}

/// Looks at one group.
pub struct GroupWatch {
    group: String,
    topics: Vec<String>,
    asker: BaseConsumer,
    reader: BaseConsumer,
}

impl core::fmt::Debug for GroupWatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GroupWatch").field("group", &self.group).finish_non_exhaustive()
    }
}

/// One partition of a topic.
type Place = (String, i32);

impl GroupWatch {
    /// Makes the clients; nothing is asked of a broker yet. `options` are librdkafka's, as a tap has
    /// them; their `group.id` is not used.
    ///
    /// # Errors
    /// Options or names that cannot be used.
    pub fn new(
        options: &BTreeMap<String, String>,
        group: &str,
        topics: &[String],
    ) -> Result<Self, GroupError> {
        let faults = config::check_options(options);
        if !faults.is_empty() {
            return Err(ConfigErrors(faults).into());
        }
        if let Some(wrong) = topics.iter().find(|topic| !config::is_topic(topic)) {
            return Err(GroupError::TopicName(wrong.clone()));
        }
        let scrubber = Scrubber::new(options);
        let client = |name: &str| {
            let mut client = config::client(options);
            client.set("group.id", name);
            client.set("statistics.interval.ms", "0");
            client.set("enable.partition.eof", "false");
            // One record of each partition is wanted.
            client.set("queued.max.messages.kbytes", "1024");
            client.set("queued.min.messages", "1");
            let failed = |e: KafkaError| GroupError::Client(scrubber.scrub(&e.to_string()));
            client.create::<BaseConsumer>().map_err(failed)
        };
        let (asker, reader) = (client(group)?, client(READER)?);
        Ok(Self { group: group.to_owned(), topics: topics.to_vec(), asker, reader })
    }

    /// One look, at most [`PARTS_MAX`] partitions; `now` is our clock. Blocks for up to `timeout`.
    ///
    /// # Errors
    /// A class: `brokers`, `timeout`, `no topic`, `denied`, `kafka`.
    pub fn look(&self, now: Timestamp, timeout: Duration) -> Result<Vec<(Label, Offsets)>, Label> {
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let places = self.places(left)?;
        let mut list = TopicPartitionList::new();
        for (topic, partition) in &places {
            list.add_partition(topic, *partition);
        }
        let committed = self.asker.committed_offsets(list, left()).map_err(|e| class(&e))?;
        let members = self.members(left());
        let mut found = Vec::new();
        for (topic, partition) in places {
            let ends = self.reader.fetch_watermarks(&topic, partition, left());
            let (low, end) = ends.map_err(|e| class(&e))?;
            let committed = committed.find_partition(&topic, partition);
            let committed = match committed.map(|p| p.offset()) {
                Some(Offset::Offset(offset)) => Some(offset),
                _ => None,
            };
            let caught_up = committed.is_some_and(|c| c >= end) || low == end;
            let age = caught_up.then_some(Duration::ZERO);
            found.push(((topic, partition), Offsets { committed, low, end, age, members }));
        }
        // What is behind is read until the time is over; what was not reached is not known.
        self.ages(&mut found, now, left);
        let told = |((topic, partition), offsets): (Place, Offsets)| {
            (Label::distinct(&format!("{topic}/{partition}")), offsets)
        };
        Ok(found.into_iter().map(told).collect())
    }

    fn places(&self, left: impl Fn() -> Duration) -> Result<Vec<Place>, Label> {
        let mut places = Vec::new();
        for topic in &self.topics {
            let metadata =
                self.reader.fetch_metadata(Some(topic), left()).map_err(|e| class(&e))?;
            let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
            let partitions = found.map(|t| t.partitions()).unwrap_or_default();
            if partitions.is_empty() {
                return Err(Label::from("no topic"));
            }
            places.extend(partitions.iter().map(|p| (topic.clone(), p.id())));
        }
        places.truncate(PARTS_MAX);
        Ok(places)
    }

    /// Members of the group; None where the brokers do not tell.
    fn members(&self, left: Duration) -> Option<u32> {
        let groups = self.asker.fetch_group_list(Some(&self.group), left).ok()?;
        let found = groups.groups().iter().find(|g| g.name() == self.group);
        // A group that no broker knows has nobody in it.
        let count = found.map_or(0, |group| group.members().len());
        u32::try_from(count).ok()
    }

    fn ages(&self, found: &mut [(Place, Offsets)], now: Timestamp, left: impl Fn() -> Duration) {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offsets) in found.iter().filter(|(_, o)| o.age.is_none()) {
            let start = Offset::Offset(offsets.committed.unwrap_or(offsets.low).max(offsets.low));
            if list.add_partition_offset(topic, *partition, start).is_err() {
                return;
            }
        }
        let mut missing = list.count();
        if missing == 0 || self.reader.assign(&list).is_err() {
            return;
        }
        while missing > 0 && !left().is_zero() {
            let Some(Ok(record)) = self.reader.poll(left().min(Duration::from_millis(100))) else {
                continue;
            };
            let is_it = |(place, offsets): &&mut (Place, Offsets)| {
                place.0 == record.topic() && place.1 == record.partition() && offsets.age.is_none()
            };
            if let Some((_, offsets)) = found.iter_mut().find(is_it) {
                let age = now.since(read::timestamp(&record, now));
                offsets.age = Some(age);
                missing -= 1;
            }
        }
        let _ = self.reader.unassign();
    }
}

fn class(error: &KafkaError) -> Label {
    Label::from(match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
            "brokers"
        }
        Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut) => "timeout",
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            "no topic"
        }
        Some(
            RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::Authentication,
        ) => "denied",
        _ => "kafka",
    })
}
