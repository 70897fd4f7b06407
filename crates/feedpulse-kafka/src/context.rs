//! librdkafka's callbacks, all on the thread that polls, and where a new partition starts.

use crate::commit::{Commits, Mark};
use crate::config::{KafkaConfig, Scrubber};
use crate::health;
use crate::lanes::{Lane, LaneKey};
use crate::stats::Stats;
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_core::tap::Position;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a question to the brokers may hold up a rebalance.
pub(crate) const ASK: Duration = Duration::from_secs(5);
/// At most this many lines of librdkafka's log in each [`LOG_WINDOW`].
const LOG_LINES: u32 = 20;
const LOG_WINDOW: Duration = Duration::from_secs(10);

pub(crate) type Reader = BaseConsumer<Context>;

/// What is known of a partition that is not assigned now.
#[derive(Clone, Copy, Debug)]
struct Known {
    epoch: u128,
    next: i64,
    /// From the store, and not had by this process since: rule 1 of the crate's documentation.
    stored: bool,
}

/// What the callbacks leave for the loop.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) lanes: BTreeMap<LaneKey, Lane>,
    known: BTreeMap<LaneKey, Known>,
    /// Lanes that began at a place that no Position tells yet.
    pub(crate) pinned: Vec<LaneKey>,
    /// Lanes that were taken away, for the gauges.
    pub(crate) gone: Vec<LaneKey>,
    pub(crate) stats: Option<(Instant, Stats)>,
    /// Counts every callback: an empty poll with none of them means an empty queue.
    pub(crate) events: u64,
    pub(crate) rebalances: u64,
    /// Class of the last error, until something works.
    pub(crate) fault: Option<&'static str>,
    pub(crate) lasting: Option<&'static str>,
    pub(crate) starved: bool,
    log: (Option<Instant>, u32),
}

impl Shared {
    pub(crate) fn fault(&mut self, code: RDKafkaErrorCode) {
        let class = health::class(code);
        self.fault = Some(class);
        if health::lasts(code) {
            self.lasting = Some(class);
        }
        self.starved |= code == RDKafkaErrorCode::PollExceeded;
    }

    /// Every lane is given back; what is known of them stays.
    fn forget(&mut self, keys: impl IntoIterator<Item = LaneKey>) {
        for key in keys {
            let Some(lane) = self.lanes.remove(&key) else { continue };
            self.gone.push(key);
            if let Some(next) = lane.next {
                self.known.insert(key, Known { epoch: lane.epoch, next, stored: false });
            }
        }
    }

    pub(crate) fn forget_all(&mut self) {
        let keys: Vec<LaneKey> = self.lanes.keys().copied().collect();
        self.forget(keys);
    }
}

/// The consumer's context.
pub(crate) struct Context {
    topics: Vec<String>,
    earliest: bool,
    scrubber: Scrubber,
    pub(crate) commits: Arc<Commits>,
    shared: Arc<Mutex<Shared>>,
    rebalances: Counter,
    commit_errors: Counter,
}

/// What outlives a consumer that must be made again.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) commits: Arc<Commits>,
    pub(crate) shared: Arc<Mutex<Shared>>,
}

impl Memory {
    /// From the Positions of this tap; those of others and of topics no longer read are passed over.
    pub(crate) fn new(config: &KafkaConfig, resume: &[Position]) -> Self {
        let mut shared = Shared::default();
        for position in resume.iter().filter(|position| position.tap == config.name()) {
            let Some((topic, partition)) = position.lane.rsplit_once('/') else { continue };
            let index = config.topics().iter().position(|one| one.topic == topic);
            let parsed = (index, partition.parse(), i64::try_from(position.offset));
            if let (Some(index), Ok(partition), Ok(next)) = parsed {
                let known = Known { epoch: position.epoch, next, stored: true };
                shared.known.insert((index, partition), known);
            }
        }
        Self { commits: Arc::default(), shared: Arc::new(Mutex::new(shared)) }
    }
}

impl Context {
    pub(crate) fn new(config: &KafkaConfig, memory: &Memory, registry: &Registry) -> Self {
        let counter = |name, help, unit| registry.counter(name, help, unit, &[]);
        Self {
            topics: config.topics().iter().map(|topic| topic.topic.clone()).collect(),
            earliest: config.starts_earliest(),
            scrubber: config.scrubber(),
            commits: Arc::clone(&memory.commits),
            shared: Arc::clone(&memory.shared),
            rebalances: counter(
                "feedpulse_kafka_rebalances_total",
                "Changes of the partitions that this consumer reads.",
                "{rebalance}",
            ),
            commit_errors: counter(
                "feedpulse_kafka_commit_errors_total",
                "Offset commits that the group's coordinator refused; our own positions are not touched.",
                "{error}",
            ),
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topic(&self, index: usize) -> &str {
        self.topics.get(index).map_or("", String::as_str)
    }

    pub(crate) fn index(&self, topic: &str) -> Option<usize> {
        self.topics.iter().position(|one| one == topic)
    }

    /// Sends what is durable to the group's coordinator, without waiting for its answer.
    pub(crate) fn commit_done(&self, consumer: &Reader) {
        let marks = self.commits.take();
        if marks.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        let shared = self.shared();
        for Mark { key, assignment, next } in marks {
            // Of an earlier assignment: the partition may be another member's by now.
            if shared.lanes.get(&key).is_some_and(|lane| lane.assignment == assignment) {
                let offset = Offset::Offset(next);
                if list.add_partition_offset(self.topic(key.0), key.1, offset).is_err() {
                    self.commit_errors.add(1);
                }
            }
        }
        drop(shared);
        if list.count() > 0 && consumer.commit(&list, CommitMode::Async).is_err() {
            self.commit_errors.add(1);
        }
    }

    fn keys(&self, list: &TopicPartitionList) -> Vec<LaneKey> {
        let elements = list.elements();
        elements.iter().filter_map(|e| Some((self.index(e.topic())?, e.partition()))).collect()
    }

    fn assign(&self, consumer: &Reader, list: &TopicPartitionList) {
        let keys = self.keys(list);
        let committed = self.committed(consumer, &keys);
        for mut element in list.elements() {
            let Some(index) = self.index(element.topic()) else { continue };
            let key = (index, element.partition());
            let known = self.shared().known.get(&key).copied();
            let committed = committed.get(&key).copied();
            let (epoch, next) = match (known, committed) {
                (Some(known), _) if known.stored => (known.epoch, Some(known.next)),
                (Some(known), committed) => {
                    let ahead =
                        committed.unwrap_or_default().map_or(known.next, |c| c.max(known.next));
                    (known.epoch, Some(ahead))
                }
                (None, Some(Some(committed))) => (0, Some(committed)),
                (None, Some(None)) => (0, self.first(consumer, key)),
                // The coordinator did not say: librdkafka will ask again.
                (None, None) => (0, None),
            };
            // A value that librdkafka refuses leaves "where the group stands", its own default.
            let placed = next.is_some_and(|n| element.set_offset(Offset::Offset(n)).is_ok());
            let mut shared = self.shared();
            let assignment = shared.rebalances;
            shared.lanes.insert(key, Lane::new(assignment, epoch, next.filter(|_| placed)));
            shared.gone.retain(|gone| *gone != key);
            if placed && known.is_none() {
                shared.pinned.push(key);
            }
        }
    }

    /// The committed offsets of the partitions for which they matter; nothing for a partition when
    /// the coordinator did not answer, None when it said that there is none.
    fn committed(&self, consumer: &Reader, keys: &[LaneKey]) -> BTreeMap<LaneKey, Option<i64>> {
        let mut list = TopicPartitionList::new();
        for key in keys {
            if !self.shared().known.get(key).is_some_and(|known| known.stored) {
                list.add_partition(self.topic(key.0), key.1);
            }
        }
        if list.count() == 0 {
            return BTreeMap::new();
        }
        let answer = match consumer.committed_offsets(list, ASK) {
            Ok(answer) => answer,
            Err(error) => {
                self.note(&error);
                return BTreeMap::new();
            }
        };
        let elements = answer.elements();
        let read =
            elements.iter().filter(|element| element.error().is_ok()).filter_map(|element| {
                let offset = match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                Some(((self.index(element.topic())?, element.partition()), offset))
            });
        read.collect()
    }

    /// Where a partition starts that nobody has read.
    fn first(&self, consumer: &Reader, key: LaneKey) -> Option<i64> {
        match consumer.fetch_watermarks(self.topic(key.0), key.1, ASK) {
            Ok((low, high)) => Some(if self.earliest { low } else { high }),
            Err(error) => {
                self.note(&error);
                None
            }
        }
    }

    fn note(&self, error: &KafkaError) {
        if let Some(code) = error.rdkafka_error_code() {
            self.shared().fault(code);
        }
    }

    fn revoke(&self, consumer: &Reader, list: &TopicPartitionList) {
        // A lost partition is another member's already: its offsets are no longer ours to commit.
        if !consumer.assignment_lost() {
            self.commit_done(consumer);
        }
        let keys = self.keys(list);
        self.shared().forget(keys);
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        let mut shared = self.shared();
        shared.events += 1;
        let now = Instant::now();
        let (since, lines) = shared.log;
        let fresh = since.is_none_or(|since| now.saturating_duration_since(since) >= LOG_WINDOW);
        let count = if fresh { 0 } else { lines };
        shared.log = (if fresh { Some(now) } else { since }, count.saturating_add(1));
        drop(shared);
        if fresh && lines > LOG_LINES {
            tracing::debug!(target: "feedpulse_kafka::librdkafka", suppressed = lines - LOG_LINES);
        }
        if count < LOG_LINES {
            let text = self.scrubber.scrub(text);
            tracing::debug!(target: "feedpulse_kafka::librdkafka", facility, "{text}");
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let mut shared = self.shared();
        shared.events += 1;
        if let Some(stats) = Stats::read(statistics) {
            shared.stats = Some((Instant::now(), stats));
        }
    }

    fn error(&self, _: KafkaError, _: &str) {
        // The same error comes out of the poll, where it is counted; its text may name hosts.
        self.shared().events += 1;
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let mut shared = self.shared();
        shared.events += 1;
        shared.rebalances += 1;
        drop(shared);
        self.rebalances.add(1);
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list);
            let mut shared = self.shared();
            (shared.fault, shared.lasting) = (None, None);
            drop(shared);
            if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) }
        } else {
            self.revoke(consumer, list);
            if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
        };
        if done.is_err() {
            // Fatal for the consumer, which will say so itself in the next poll.
            self.shared().fault = Some("rebalance");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        self.shared().events += 1;
        match result {
            // Nothing to commit is no failure.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(_) => self.commit_errors.add(1),
        }
    }
}
