//! What topics held before: read from an offset of old to the end as it was, in order of time over
//! all partitions, without joining a group and without committing anything.

use crate::config::KafkaConfig;
use crate::read::{self, TopicReader};
use crate::sample::SampleError;
use crate::tap::KafkaDeps;
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::DecodeConfig;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Brokers that give nothing for so long do not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Its own name, should a broker ask; nothing is ever kept under it.
const GROUP: &str = "feedpulse-history";

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryFacts {
    /// Partitions that held something.
    pub partitions: usize,
    /// Records handed over.
    pub records: u64,
    /// Records without a time of their own.
    pub timeless: u64,
}

/// One partition under way.
struct Lane {
    topic: usize,
    queue: PartitionQueue<DefaultConsumerContext>,
    /// The first offset that is not read any more.
    end: i64,
    /// What comes next from it.
    head: Option<(Timestamp, Vec<Tapped>)>,
    over: bool,
}

/// Reads the records of a tap's topics (of `only` one, if named) since a time, or from their beginning,
/// up to the end as it is now; `each` gets what every record holds, with the record's time (the epoch where
/// it has none), in order of time as far as each partition is. Blocks until all is read.
///
/// Partitions are assigned, never subscribed to: no group is joined, no offset fetched or committed.
///
/// # Errors
/// An unknown topic, or brokers that do not answer.
pub fn history(
    config: &KafkaConfig,
    deps: &KafkaDeps,
    only: Option<&str>,
    since: Option<Timestamp>,
    each: &mut dyn FnMut(Timestamp, Vec<Tapped>),
) -> Result<HistoryFacts, SampleError> {
    let scrubber = config.scrubber();
    let failed = |topic: &str, error: KafkaError| SampleError::Kafka {
        topic: topic.to_owned(),
        reason: scrubber.scrub(&error.to_string()),
    };
    let wanted: Vec<usize> = (0..config.topics().len())
        .filter(|n| only.is_none_or(|only| config.topics()[*n].topic == only))
        .collect();
    if wanted.is_empty() {
        return Err(SampleError::NoTopic(only.unwrap_or_default().to_owned()));
    }
    let named = wanted.first().map_or("", |n| config.topics()[*n].topic.as_str());
    let mut client = config.client();
    client.set("group.id", GROUP).set("statistics.interval.ms", "0");
    let consumer: BaseConsumer = client.create().map_err(|e| failed(named, e))?;
    let consumer = Arc::new(consumer);
    let places = places(&consumer, config, &wanted, since, &failed)?;
    let mut list = TopicPartitionList::new();
    for place in &places {
        let topic = &config.topics()[place.topic].topic;
        let at = Offset::Offset(place.from);
        list.add_partition_offset(topic, place.partition, at).map_err(|e| failed(topic, e))?;
    }
    consumer.assign(&list).map_err(|e| failed(named, e))?;
    let mut lanes = Vec::new();
    for place in &places {
        let topic = config.topics()[place.topic].topic.clone();
        let Some(queue) = consumer.split_partition_queue(&topic, place.partition) else {
            return Err(SampleError::NoTopic(topic));
        };
        lanes.push(Lane { topic: place.topic, queue, end: place.to, head: None, over: false });
    }
    let mut readers: Vec<TopicReader> = config
        .topics()
        .iter()
        .map(|topic| {
            let decode = deps.decode.get(&topic.waypoint).cloned();
            let decode = decode.unwrap_or_else(|| DecodeConfig::new(deps.site_key));
            TopicReader::new(topic.clone(), deps.site_key, decode, &deps.registry)
        })
        .collect();
    let mut facts = HistoryFacts { partitions: lanes.len(), ..HistoryFacts::default() };
    while let Some(next) = next_lane(&consumer, &mut lanes, &mut readers, &mut facts)
        .map_err(|lane| no_answer(&config.topics()[lane].topic))?
    {
        if let Some((at, items)) = lanes.get_mut(next).and_then(|lane| lane.head.take()) {
            facts.records += 1;
            each(at, items);
        }
    }
    Ok(facts)
}

fn no_answer(topic: &str) -> SampleError {
    SampleError::Kafka {
        topic: topic.to_owned(),
        reason: format!("nothing came for {} s", PATIENCE.as_secs()),
    }
}

/// A stretch of a partition.
struct Stretch {
    topic: usize,
    partition: i32,
    from: i64,
    to: i64,
}

fn places(
    consumer: &BaseConsumer,
    config: &KafkaConfig,
    wanted: &[usize],
    since: Option<Timestamp>,
    failed: &dyn Fn(&str, KafkaError) -> SampleError,
) -> Result<Vec<Stretch>, SampleError> {
    let mut places = Vec::new();
    for number in wanted {
        let topic = config.topics()[*number].topic.as_str();
        let metadata =
            consumer.fetch_metadata(Some(topic), PATIENCE).map_err(|e| failed(topic, e))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
        let found = found.filter(|t| !t.partitions().is_empty());
        let found = found.ok_or_else(|| SampleError::NoTopic(topic.to_owned()))?;
        for partition in found.partitions() {
            let partition = partition.id();
            let (low, high) = consumer
                .fetch_watermarks(topic, partition, PATIENCE)
                .map_err(|e| failed(topic, e))?;
            let from = match since {
                None => low,
                Some(since) => offset_at(consumer, topic, partition, since)
                    .map_err(|e| failed(topic, e))?
                    .map_or(high, |offset| offset.max(low)),
            };
            if from < high {
                places.push(Stretch { topic: *number, partition, from, to: high });
            }
        }
    }
    Ok(places)
}

/// The first offset whose record is not older than a time; None when there is none.
fn offset_at(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    since: Timestamp,
) -> Result<Option<i64>, KafkaError> {
    let mut list = TopicPartitionList::new();
    let millis = Offset::Offset(since.as_micros().div_euclid(1_000).max(0));
    list.add_partition_offset(topic, partition, millis)?;
    let found = consumer.offsets_for_times(list, PATIENCE)?;
    let offset = found.find_partition(topic, partition).map(|found| found.offset());
    Ok(match offset {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    })
}

/// The lane whose next record is the oldest; every lane that is not over has its next one by then. None
/// when all are over.
fn next_lane(
    consumer: &BaseConsumer,
    lanes: &mut [Lane],
    readers: &mut [TopicReader],
    facts: &mut HistoryFacts,
) -> Result<Option<usize>, usize> {
    for lane in lanes.iter_mut() {
        let started = Instant::now();
        while lane.head.is_none() && !lane.over {
            let polled = lane.queue.poll(Duration::from_millis(100));
            // Events that belong to no partition; errors of the client pass, or the patience ends.
            if polled.is_none() {
                let _ = consumer.poll(Duration::ZERO);
                if started.elapsed() > PATIENCE {
                    return Err(lane.topic);
                }
            }
            match polled {
                Some(Ok(record)) if record.offset() < lane.end => {
                    lane.over = record.offset() + 1 >= lane.end;
                    let at = read::timestamp(&record, Timestamp::EPOCH);
                    facts.timeless += u64::from(at == Timestamp::EPOCH);
                    let mut items = Vec::new();
                    if let Some(reader) = readers.get_mut(lane.topic) {
                        reader.read(&record, at, &mut items);
                    }
                    lane.head = Some((at, items));
                }
                // Behind the end as it was, or markers of transactions up to it.
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => lane.over = true,
                Some(Err(_)) | None => {}
            }
        }
    }
    let heads = lanes.iter().enumerate();
    let heads = heads.filter_map(|(n, lane)| lane.head.as_ref().map(|(at, _)| (*at, n)));
    Ok(heads.min().map(|(_, n)| n))
}
