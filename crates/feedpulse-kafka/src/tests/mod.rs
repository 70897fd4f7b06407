//! Tests: pure ones, and ones on librdkafka's mock cluster.

mod config;
mod mock;
mod mock_group;
mod pure;
mod values;

use crate::{KafkaConfig, KafkaDeps, KafkaTap, TopicConfig, TopicFormat, TopicRole};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::metrics::{Registry, Value};
use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::json::ValueFormat;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, Producer, ProducerContext,
};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a condition may take on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// The tests' clock stands still here: 2026-01-01T00:00:10Z.
const NOW: Timestamp = Timestamp::from_secs(1_767_225_610);
const ADT: &str =
    "MSH|^~\\&|EHR|HOSP|PORTAL|HOSP|20260101000000||ADT^A01|ID1|P|2.5.1\rEVN|A01\rPID|1||CANARY\r";
const ACK: &str = "MSH|^~\\&|PORTAL|HOSP|EHR|HOSP|20260101000001||ACK^A01|A1|P|2.5.1\rMSA|AA|ID1\r";

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(topics: &[(&str, i32)]) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    cluster
}

fn plain(topic: &str, waypoint: u16, role: TopicRole) -> TopicConfig {
    let format = TopicFormat::Value(ValueFormat::Hl7);
    TopicConfig { topic: topic.to_owned(), waypoint: WaypointId(waypoint), role, format }
}

fn options(bootstrap: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let base = [
        ("bootstrap.servers", bootstrap),
        ("group.id", "watchers"),
        ("auto.offset.reset", "earliest"),
        ("statistics.interval.ms", "200"),
        ("fetch.wait.max.ms", "50"),
        ("reconnect.backoff.max.ms", "500"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "200"),
    ];
    base.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[derive(Default)]
struct Delivered(AtomicUsize);

impl ClientContext for Delivered {}
impl ProducerContext for Delivered {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(usize::from(result.is_ok()), Ordering::Relaxed);
    }
}

/// A record to produce.
#[derive(Clone, Default)]
struct Given {
    partition: i32,
    value: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
}

impl Given {
    fn value(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(value.as_ref().to_vec()), ..Self::default() }
    }
}

/// Produces, a second apart from 2026-01-01T00:00:00Z on, and sees each delivered.
fn produce(bootstrap: &str, topic: &str, given: &[Given]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "0");
    let producer: BaseProducer<Delivered> =
        config.create_with_context(Delivered::default()).unwrap();
    for (n, one) in given.iter().enumerate() {
        let at = 1_767_225_600_000 + i64::try_from(n).unwrap() * 1000;
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).partition(one.partition).timestamp(at);
        if let Some(value) = &one.value {
            record = record.payload(value);
        }
        if let Some(headers) = &one.headers {
            record = record.headers(headers.clone());
        }
        assert!(producer.send(record).is_ok());
    }
    producer.flush(PATIENCE).unwrap();
    let delivered = &producer.context().0;
    assert_eq!(delivered.load(Ordering::Relaxed), given.len(), "each record was delivered");
}

struct Channel(SyncSender<TapBatch>);

impl Intake for Channel {
    async fn put(&mut self, batch: TapBatch) -> Result<(), IntakeClosed> {
        self.0.send(batch).map_err(|_| IntakeClosed)
    }
}

/// A tap on its thread.
struct Running {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    batches: Receiver<TapBatch>,
    registry: Registry,
}

fn run(config: KafkaConfig, resume: &[Position]) -> Running {
    let registry = Registry::default();
    let deps = KafkaDeps {
        registry: registry.clone(),
        site_key: SiteKey::new([7; 16]),
        decode: BTreeMap::new(),
        clock: Arc::new(|| NOW),
    };
    let tap = KafkaTap::new(config, resume, deps).unwrap();
    let stop = CancellationToken::new();
    let (sender, batches) = sync_channel(1000);
    let token = stop.clone();
    let thread = Some(std::thread::spawn(move || tap.run_blocking(Channel(sender), &token)));
    Running { stop, thread, batches, registry }
}

impl Running {
    /// Takes batches until `enough` says so, with what it collected.
    fn until(&self, mut enough: impl FnMut(&[TapBatch]) -> bool) -> Vec<TapBatch> {
        let deadline = Instant::now() + PATIENCE;
        let mut batches = Vec::new();
        while !enough(&batches) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.batches.recv_timeout(left) {
                Ok(batch) => batches.push(batch),
                Err(error) => panic!("{error} with {batches:?}, {:?}", items(&batches)),
            }
        }
        batches
    }

    /// Waits until a number is as expected, while nothing but the tap's own news arrives.
    fn until_number(&self, name: &str, label: &str, expected: Option<f64>) {
        let deadline = Instant::now() + PATIENCE;
        while self.number(name, label) != expected {
            assert!(Instant::now() < deadline, "{name} is {:?}", self.number(name, label));
            if let Ok(batch) = self.batches.recv_timeout(Duration::from_millis(20)) {
                assert_eq!(count(&[batch]), 0);
            }
        }
    }

    fn end(mut self) -> Vec<TapBatch> {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap();
        self.batches.try_iter().collect()
    }

    fn number(&self, name: &str, label: &str) -> Option<f64> {
        let families = self.registry.families();
        let points = families.iter().filter(|f| f.name == name).flat_map(|f| &f.points);
        let mut found = points.filter(|p| p.labels.iter().any(|(_, value)| value == label));
        found.next().map(|point| match point.value {
            Value::Number(number) => number,
            Value::Times(_) => panic!("{name} is no number"),
        })
    }
}

fn items(batches: &[TapBatch]) -> Vec<&Tapped> {
    batches.iter().flat_map(|batch| &batch.items).collect()
}

/// Frames and sightings; what a tap says of itself comes when it comes.
fn contents(batches: &[TapBatch]) -> Vec<&Tapped> {
    let content = |one: &&Tapped| matches!(one, Tapped::Frame(_) | Tapped::Sighting(_));
    items(batches).into_iter().filter(content).collect()
}

fn count(batches: &[TapBatch]) -> usize {
    contents(batches).len()
}

/// The last position of a lane.
fn position(batches: &[TapBatch], lane: &str) -> Option<Position> {
    batches.iter().flat_map(|batch| &batch.positions).rfind(|p| p.lane == lane).cloned()
}

fn make_durable(batches: Vec<TapBatch>) {
    for batch in batches {
        if let Some(done) = batch.done {
            done();
        }
    }
}

fn onlooker(bootstrap: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "watchers");
    config.set("enable.auto.commit", "false");
    config.create().unwrap()
}

fn committed(onlooker: &BaseConsumer, topic: &str, partition: i32) -> Option<i64> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let answer = onlooker.committed_offsets(list, PATIENCE).unwrap();
    match answer.elements().first().unwrap().offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
