//! The loop: poll a batch, turn it into items and positions, hand it over, commit what is durable.

use crate::commit::Mark;
use crate::config::KafkaConfig;
use crate::context::{ASK, Context, Memory, Reader};
use crate::health::Health;
use crate::lanes::{LaneKey, Step};
use crate::read::{self, TopicReader};
use crate::wait::{NOTICE, wait};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::{Blind, OwnState};
use feedpulse_core::key::SiteKey;
use feedpulse_core::metrics::{Gauge, Registry};
use feedpulse_core::tap::{Intake, Position, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::DecodeConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The most records of one batch.
pub const BATCH_RECORDS: usize = 1000;
/// A batch is closed by the record with which its values reach this many bytes.
pub const BATCH_BYTES: usize = 4 << 20;

/// How long an empty queue is waited on; a record ends the wait at once.
const POLL: Duration = NOTICE;
/// How often gauges are set and `Alive` is said.
const TICK: Duration = Duration::from_secs(1);
/// Statistics older than this say nothing about now.
const STALE: Duration = Duration::from_secs(6);
/// Events without a record that one batch may serve, so that a stop is noticed in any weather.
const MAX_EVENTS: usize = 200;
/// Pause before a consumer that failed for good is made again.
const AGAIN: Duration = Duration::from_secs(10);

/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(5);

/// The clock, given from outside.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the tap needs from the process.
#[derive(Clone)]
pub struct KafkaDeps {
    /// Where its numbers go.
    pub registry: Registry,
    /// The site's secret, for the keys of receipts.
    pub site_key: SiteKey,
    /// How the values of dead letters are decoded, by waypoint; elsewhere the control id rule.
    pub decode: BTreeMap<WaypointId, DecodeConfig>,
    /// The clock.
    pub clock: Clock,
}

impl core::fmt::Debug for KafkaDeps {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KafkaDeps").field("decode", &self.decode.keys()).finish_non_exhaustive()
    }
}

/// Why there is no tap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaTapError {
    /// librdkafka refuses the options as a whole; its words, without the options' values.
    #[error("librdkafka refuses the options: {0}")]
    Client(String),
}

/// Reads its topics as a member of a consumer group.
pub struct KafkaTap {
    config: KafkaConfig,
    deps: KafkaDeps,
    memory: Memory,
    consumer: Reader,
    readers: Vec<TopicReader>,
    gauges: BTreeMap<LaneKey, (Gauge, Gauge)>,
    health: Health,
    touched: BTreeSet<LaneKey>,
    looked: Option<Instant>,
    ticked: Option<Instant>,
    alive: BTreeMap<WaypointId, Instant>,
}

impl core::fmt::Debug for KafkaTap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KafkaTap").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What came out of the queue, in order.
enum Polled<'a> {
    Record(BorrowedMessage<'a>),
    /// The end of a partition; librdkafka's binding does not say of which topic.
    End(i32),
}

#[derive(Default)]
struct Haul<'a> {
    polled: Vec<Polled<'a>>,
    /// Rebalances before the first of them.
    rebalances: u64,
    /// The queue was empty after the last of them.
    drained: bool,
    fatal: bool,
}

enum Ended {
    Stopped,
    Fatal,
}

impl KafkaTap {
    /// Makes the consumer; nothing is asked of a broker before it runs. `resume` are the store's
    /// Positions; those of other taps are passed over.
    ///
    /// # Errors
    /// Options that are valid one by one and not together, or files they name that cannot be read.
    pub fn new(
        config: KafkaConfig,
        resume: &[Position],
        deps: KafkaDeps,
    ) -> Result<Self, KafkaTapError> {
        let memory = Memory::new(&config, resume);
        let consumer = connect(&config, &memory, &deps.registry)?;
        let reader = |topic: &crate::config::TopicConfig| {
            let decode = deps.decode.get(&topic.waypoint).cloned();
            let decode = decode.unwrap_or_else(|| DecodeConfig::new(deps.site_key));
            TopicReader::new(topic.clone(), deps.site_key, decode, &deps.registry)
        };
        Ok(Self {
            readers: config.topics().iter().map(reader).collect(),
            memory,
            consumer,
            config,
            deps,
            gauges: BTreeMap::new(),
            health: Health::default(),
            touched: BTreeSet::new(),
            looked: None,
            ticked: None,
            alive: BTreeMap::new(),
        })
    }

    /// Reads until `stop`, or until the intake takes nothing any more. Blocks: give it a thread of
    /// its own. It ends within six seconds of the stop, brokers or not.
    pub fn run_blocking(mut self, mut intake: impl Intake, stop: &CancellationToken) {
        while matches!(self.session(&mut intake, stop), Ended::Fatal) {
            let state = self.health.raise("fatal");
            let batch = TapBatch { items: vec![Tapped::Own(state)], ..TapBatch::default() };
            if !matches!(wait(intake.put(batch), stop), Some(Ok(()))) {
                break;
            }
            let until = Instant::now() + AGAIN;
            while Instant::now() < until && !stop.is_cancelled() {
                thread::park_timeout(NOTICE);
            }
            // What worked once fails again only for want of memory or threads: then later.
            if let Ok(consumer) = connect(&self.config, &self.memory, &self.deps.registry) {
                self.shared().forget_all();
                close(core::mem::replace(&mut self.consumer, consumer));
            }
        }
        self.consumer.context().commit_done(&self.consumer);
        self.shared().forget_all();
        self.clear_gauges();
        close(self.consumer);
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, crate::context::Shared> {
        self.consumer.context().shared()
    }

    fn session(&mut self, intake: &mut impl Intake, stop: &CancellationToken) -> Ended {
        let topics: Vec<&str> = self.config.topics().iter().map(|t| t.topic.as_str()).collect();
        if self.consumer.subscribe(&topics).is_err() {
            return Ended::Fatal;
        }
        while !stop.is_cancelled() {
            self.consumer.context().commit_done(&self.consumer);
            let now = (self.deps.clock)();
            let haul = haul(&self.consumer);
            let fatal = haul.fatal;
            let drained = haul.drained;
            let mut items = Vec::new();
            let records = sort_out(
                &self.consumer,
                &mut self.readers,
                &mut self.touched,
                haul,
                &self.deps.clock,
                &mut items,
            );
            self.look(now, drained, records, &mut items);
            self.tick(drained, &mut items);
            let batch = self.batch(items);
            if (!batch.items.is_empty() || !batch.positions.is_empty())
                && !matches!(wait(intake.put(batch), stop), Some(Ok(())))
            {
                return Ended::Stopped;
            }
            if fatal {
                return Ended::Fatal;
            }
        }
        Ended::Stopped
    }

    /// Judges by new statistics what is missing, how far behind each lane is, and how the client is.
    fn look(&mut self, now: Timestamp, drained: bool, records: usize, items: &mut Vec<Tapped>) {
        let mut shared = self.consumer.context().shared();
        let shared = &mut *shared;
        if core::mem::take(&mut shared.starved) && !self.health.is_down() {
            items.push(Tapped::Own(self.health.raise("poll-starved")));
        }
        let lasting = shared.lasting;
        if records > 0 && lasting.is_none() {
            shared.fault = None;
            items.extend(self.health.good().map(Tapped::Own));
        }
        let fresh = shared.stats.as_ref().filter(|(at, _)| self.looked != Some(*at));
        let Some((at, stats)) = fresh else { return };
        self.looked = Some(*at);
        let mut blinds: Vec<Blind> = Vec::new();
        for (key, lane) in &mut shared.lanes {
            let Some(topic) = self.config.topics().get(key.0) else { continue };
            let before = lane.next;
            let found = stats.fetching(&topic.topic, key.1);
            lane.look(now, found, drained, topic.waypoint, &mut blinds);
            if lane.next != before {
                self.touched.insert(*key);
            }
        }
        items.extend(blinds.into_iter().map(Tapped::Blind));
        let bad = if !stats.any_broker_up() {
            Some(shared.fault.unwrap_or("brokers-down"))
        } else if !stats.group_up() {
            Some(shared.fault.unwrap_or("coordinator"))
        } else if shared.lanes.values().any(|lane| !lane.is_fetching()) {
            Some(shared.fault.unwrap_or("partition-leader"))
        } else {
            lasting
        };
        let state = match bad {
            Some(class) => self.health.bad(Instant::now(), class),
            None => {
                shared.fault = None;
                self.health.good()
            }
        };
        items.extend(state.map(Tapped::Own));
    }

    /// Each second: gauges, the lag's own finding, and `Alive` where everything was read.
    fn tick(&mut self, drained: bool, items: &mut Vec<Tapped>) {
        let instant = Instant::now();
        let due = |then: Option<&Instant>| {
            then.is_none_or(|then| instant.saturating_duration_since(*then) >= TICK)
        };
        let gone: Vec<LaneKey> = core::mem::take(&mut self.shared().gone);
        for key in gone {
            if let Some((messages, seconds)) = self.gauges.get(&key) {
                messages.unknown();
                seconds.unknown();
            }
        }
        let shared = self.consumer.context().shared();
        let fresh = shared.stats.as_ref();
        let fresh = fresh.is_some_and(|(at, _)| instant.saturating_duration_since(*at) < STALE);
        if drained && fresh && !self.health.is_down() {
            let mut waypoints: BTreeMap<WaypointId, bool> = BTreeMap::new();
            for (key, lane) in &shared.lanes {
                if let Some(topic) = self.config.topics().get(key.0) {
                    *waypoints.entry(topic.waypoint).or_insert(true) &= lane.is_caught_up();
                }
            }
            for (waypoint, caught_up) in waypoints {
                if caught_up && due(self.alive.get(&waypoint)) {
                    self.alive.insert(waypoint, instant);
                    items.push(Tapped::Alive(waypoint));
                }
            }
        }
        if !due(self.ticked.as_ref()) {
            return;
        }
        self.ticked = Some(instant);
        let now = (self.deps.clock)();
        let mut most = 0;
        for (key, lane) in &shared.lanes {
            let topic = self.config.topics().get(key.0).map_or("", |topic| topic.topic.as_str());
            let (messages, seconds) = self
                .gauges
                .entry(*key)
                .or_insert_with(|| gauges(&self.deps.registry, topic, key.1));
            let lag = lane.lag(now);
            lag.messages.map_or_else(|| messages.unknown(), |n| messages.set(n));
            lag.micros.map_or_else(|| seconds.unknown(), |n| seconds.set(n));
            most = most.max(lag.micros.unwrap_or(0));
        }
        let most = Duration::from_micros(u64::try_from(most).unwrap_or(0));
        let state: Option<OwnState> = self.health.lag(most);
        items.extend(state.map(Tapped::Own));
    }

    /// Adds where each touched lane stands, and what to do when that is durable.
    fn batch(&mut self, items: Vec<Tapped>) -> TapBatch {
        let mut touched = core::mem::take(&mut self.touched);
        let mut shared = self.consumer.context().shared();
        touched.extend(core::mem::take(&mut shared.pinned));
        let mut positions = Vec::new();
        let mut marks = Vec::new();
        for key in touched {
            let (Some(lane), Some(topic)) =
                (shared.lanes.get(&key), self.config.topics().get(key.0))
            else {
                continue;
            };
            let Some(next) = lane.next else { continue };
            positions.push(Position {
                tap: self.config.name().to_owned(),
                lane: format!("{}/{}", topic.topic, key.1),
                epoch: lane.epoch,
                offset: u64::try_from(next).unwrap_or(0),
            });
            marks.push(Mark { key, assignment: lane.assignment, next });
        }
        drop(shared);
        if positions.is_empty() {
            return TapBatch { items, positions, done: None };
        }
        let commits = Arc::clone(&self.memory.commits);
        TapBatch { items, positions, done: Some(Box::new(move || commits.done(&marks))) }
    }

    fn clear_gauges(&self) {
        for (messages, seconds) in self.gauges.values() {
            messages.unknown();
            seconds.unknown();
        }
    }
}

fn connect(
    config: &KafkaConfig,
    memory: &Memory,
    registry: &Registry,
) -> Result<Reader, KafkaTapError> {
    let context = Context::new(config, memory, registry);
    config.client().create_with_context(context).map_err(|error| {
        let text = match error {
            KafkaError::ClientConfig(_, _, name, _) => format!("the value of `{name}`"),
            other => other.to_string(),
        };
        KafkaTapError::Client(config.scrubber().scrub(&text))
    })
}

/// Leaves the group, in bounded time. librdkafka would wait for the answers to its last commits,
/// for minutes when the coordinator is gone. Those commits are only copies of our own positions; so
/// a consumer that does not end in time is left to itself, and ends with the process.
fn close(consumer: Reader) {
    let until = Instant::now() + CLOSE;
    if consumer.close_queue().is_err() {
        core::mem::forget(consumer);
        return;
    }
    while !consumer.closed() && Instant::now() < until {
        // Serves what is still in the queue, the last rebalance among it.
        drop(consumer.poll(NOTICE));
    }
    if !consumer.closed() {
        tracing::debug!("the consumer did not leave its group in time and is left to itself");
        core::mem::forget(consumer);
    }
}

fn gauges(registry: &Registry, topic: &str, partition: i32) -> (Gauge, Gauge) {
    let partition = partition.to_string();
    let labels = [("topic", topic), ("partition", partition.as_str())];
    (
        registry.gauge(
            "feedpulse_kafka_record_lag_messages",
            "Records of an assigned partition that this tap has not read.",
            "{message}",
            1.0,
            &labels,
        ),
        registry.gauge(
            "feedpulse_kafka_record_lag_seconds",
            "Age of the oldest record of an assigned partition that this tap has not read.",
            "s",
            1e6,
            &labels,
        ),
    )
}

/// Waits for something and takes what else is there. Stops right behind a rebalance, so that all
/// its records stood under the assignments before it.
fn haul(consumer: &Reader) -> Haul<'_> {
    let context = consumer.context();
    let counts = || {
        let shared = context.shared();
        (shared.events, shared.rebalances)
    };
    let mut before = counts();
    let mut haul = Haul { rebalances: before.1, ..Haul::default() };
    let (mut bytes, mut others, mut records, mut patience) = (0, 0, 0, POLL);
    while records < BATCH_RECORDS && bytes < BATCH_BYTES && others < MAX_EVENTS {
        let polled = consumer.poll(patience);
        patience = Duration::ZERO;
        let after = counts();
        match polled {
            Some(Ok(record)) => {
                records += 1;
                bytes += record.payload_len();
                haul.polled.push(Polled::Record(record));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                others += 1;
                haul.polled.push(Polled::End(partition));
            }
            Some(Err(error)) => {
                others += 1;
                if let Some(code) = error.rdkafka_error_code() {
                    context.shared().fault(code);
                }
                haul.fatal |= matches!(error, KafkaError::MessageConsumptionFatal(_));
            }
            // An empty poll may only mean that it served a callback.
            None if after == before => {
                haul.drained = true;
                break;
            }
            None => others += 1,
        }
        if after.1 != before.1 || haul.fatal {
            break;
        }
        before = after;
    }
    haul
}

/// Turns a haul into items; records of partitions that were taken away meanwhile are dropped,
/// since whoever has them now reads them again. Gives the number of records read.
fn sort_out(
    consumer: &Reader,
    readers: &mut [TopicReader],
    touched: &mut BTreeSet<LaneKey>,
    haul: Haul<'_>,
    clock: &Clock,
    items: &mut Vec<Tapped>,
) -> usize {
    let context = consumer.context();
    let mut records = 0;
    let now = clock();
    for polled in haul.polled {
        let record = match polled {
            Polled::Record(record) => record,
            Polled::End(partition) => {
                let mut shared = context.shared();
                let mut lanes = shared.lanes.iter_mut().filter(|(key, _)| key.1 == partition);
                // With several topics only the statistics tell which one it is.
                if let (Some((_, lane)), None) = (lanes.next(), lanes.next()) {
                    lane.end_reached(now);
                }
                continue;
            }
        };
        let Some(index) = context.index(record.topic()) else { continue };
        let Some(reader) = readers.get_mut(index) else { continue };
        let key = (index, record.partition());
        let at = read::timestamp(&record, now);
        let step = match context.shared().lanes.get_mut(&key) {
            Some(lane) if lane.assignment <= haul.rebalances => lane.record(record.offset(), at),
            _ => continue,
        };
        if step == Step::Ask {
            ask(consumer, key, reader.waypoint(), items);
        }
        records += 1;
        touched.insert(key);
        reader.read(&record, at, items);
    }
    records
}

/// The first record after a start is not the one that should come next: was something deleted?
fn ask(consumer: &Reader, key: LaneKey, waypoint: WaypointId, items: &mut Vec<Tapped>) {
    let context = consumer.context();
    // Without an answer the statistics will tell, within a second.
    let Ok((low, _)) = consumer.fetch_watermarks(context.topic(key.0), key.1, ASK) else { return };
    let mut blinds = Vec::new();
    if let Some(lane) = context.shared().lanes.get_mut(&key) {
        lane.starts_at(low, waypoint, &mut blinds);
    }
    items.extend(blinds.into_iter().map(Tapped::Blind));
}
