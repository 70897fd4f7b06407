//! The Kafka tap on a real broker: every record exactly once over a crash, and a broker that goes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, which fail that way")]

use feedpulse_core::codes::Code;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::metrics::Registry;
use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::json::ValueFormat;
use feedpulse_kafka::{KafkaConfig, KafkaDeps, KafkaTap, TopicConfig, TopicFormat, TopicRole};
use feedpulse_sim::corpus;
use feedpulse_tests::parts::Kafka;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(90);
const PARTITIONS: i32 = 3;

#[derive(Default)]
struct Delivered(AtomicUsize);

impl ClientContext for Delivered {}
impl ProducerContext for Delivered {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(usize::from(result.is_ok()), Ordering::Relaxed);
    }
}

/// Produces and counts delivery reports: a flush alone proves nothing.
fn produce(kafka: &Kafka, values: &[Vec<u8>]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    let producer: BaseProducer<Delivered> =
        config.create_with_context(Delivered::default()).unwrap();
    for (value, partition) in values.iter().zip((0..PARTITIONS).cycle()) {
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to("hl7").partition(partition).payload(value);
        assert!(producer.send(record).is_ok());
    }
    producer.flush(PATIENCE).unwrap();
    assert_eq!(producer.context().0.load(Ordering::Relaxed), values.len());
}

struct Channel(SyncSender<TapBatch>);

impl Intake for Channel {
    async fn put(&mut self, batch: TapBatch) -> Result<(), IntakeClosed> {
        self.0.send(batch).map_err(|_| IntakeClosed)
    }
}

struct Tap {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    batches: Receiver<TapBatch>,
}

fn tap(kafka: &Kafka, resume: &[Position]) -> Tap {
    let bootstrap = kafka.bootstrap();
    let options = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("group.id", "feedpulse"),
        ("auto.offset.reset", "earliest"),
        ("session.timeout.ms", "6000"),
        ("reconnect.backoff.max.ms", "500"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let topic = TopicConfig {
        topic: "hl7".to_owned(),
        waypoint: WaypointId(0),
        role: TopicRole::Message,
        format: TopicFormat::Value(ValueFormat::Hl7),
    };
    let config = KafkaConfig::new("kafka", options, vec![topic]).unwrap();
    let started = Instant::now();
    let deps = KafkaDeps {
        registry: Registry::default(),
        site_key: SiteKey::new([1; 16]),
        decode: BTreeMap::new(),
        clock: Arc::new(move || Timestamp::from_secs(1_800_000_000).plus(started.elapsed())),
    };
    let tap = KafkaTap::new(config, resume, deps).unwrap();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let (sender, batches) = sync_channel(1000);
    let thread = std::thread::spawn(move || tap.run_blocking(Channel(sender), &token));
    Tap { stop, thread, batches }
}

/// What a store would hold: values of durable batches, and the positions that belong to them.
#[derive(Default)]
struct Store {
    values: Vec<Vec<u8>>,
    positions: BTreeMap<String, Position>,
}

impl Store {
    fn keep(&mut self, batch: TapBatch) {
        self.values.extend(values(&batch));
        for position in batch.positions {
            self.positions.insert(position.lane.clone(), position);
        }
        if let Some(done) = batch.done {
            done();
        }
    }

    fn resume(&self) -> Vec<Position> {
        self.positions.values().cloned().collect()
    }
}

fn values(batch: &TapBatch) -> Vec<Vec<u8>> {
    let value = |item: &Tapped| match item {
        Tapped::Frame(frame) => Some(frame.bytes.expose().clone()),
        _ => None,
    };
    batch.items.iter().filter_map(value).collect()
}

fn owns(batch: &TapBatch, failing: bool) -> bool {
    batch.items.iter().any(
        |item| matches!(item, Tapped::Own(s) if s.code == Code::KafkaDown && s.failing == failing),
    )
}

impl Tap {
    /// Hands batches over until `enough`.
    fn until(&self, what: &str, mut enough: impl FnMut(TapBatch) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.batches.recv_timeout(left) {
                Ok(batch) => {
                    if enough(batch) {
                        return;
                    }
                }
                Err(error) => panic!("{error} while waiting for {what}"),
            }
        }
    }

    /// Ends it; what it still had in hand is lost, as in a crash.
    fn kill(self) {
        self.stop.cancel();
        drop(self.batches);
        self.thread.join().unwrap();
    }
}

#[test]
fn every_record_is_seen_once_over_a_crash() {
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("hl7", PARTITIONS);
    let messages: Vec<Vec<u8>> = corpus(11, 1000).into_iter().map(|m| m.bytes).collect();
    let mut store = Store::default();

    produce(&kafka, &messages[..400]);
    let first = tap(&kafka, &[]);
    first.until("400 records", |batch| {
        store.keep(batch);
        store.values.len() >= 400
    });
    // These are read and never become durable.
    produce(&kafka, &messages[400..600]);
    let mut lost = 0;
    first.until("200 records", |batch| {
        lost += values(&batch).len();
        lost >= 200
    });
    first.kill();
    assert_eq!(store.values.len(), 400);

    produce(&kafka, &messages[600..]);
    let second = tap(&kafka, &store.resume());
    second.until("the rest", |batch| {
        store.keep(batch);
        store.values.len() >= 1000
    });
    // It has nothing more to say than that it lives.
    second.until("the end", |batch| {
        let alive = batch.items.iter().any(|item| matches!(item, Tapped::Alive(_)));
        store.keep(batch);
        alive
    });
    second.kill();
    let read: u64 = store.positions.values().map(|position| position.offset).sum();
    assert_eq!((store.positions.len(), read), (3, 1000));
    let mut expected = messages;
    expected.sort_unstable();
    store.values.sort_unstable();
    assert!(store.values == expected, "each of the 1000 exactly once, unchanged");
}

#[test]
fn a_broker_that_goes_is_told_and_reading_goes_on_where_it_was() {
    let Some(mut kafka) = Kafka::start() else { return };
    kafka.create_topic("hl7", PARTITIONS);
    let messages: Vec<Vec<u8>> = corpus(12, 60).into_iter().map(|m| m.bytes).collect();
    produce(&kafka, &messages[..30]);
    let tap = tap(&kafka, &[]);
    let store = Mutex::new(Store::default());
    let keep = |batch: TapBatch| {
        let mut store = store.lock().unwrap();
        store.keep(batch);
        store.values.len()
    };
    tap.until("30 records", |batch| keep(batch) >= 30);
    kafka.stop();
    tap.until("the finding", |batch| {
        let told = owns(&batch, true);
        assert_eq!(keep(batch), 30);
        told
    });
    kafka.restart();
    tap.until("its end", |batch| {
        let told = owns(&batch, false);
        keep(batch);
        told
    });
    produce(&kafka, &messages[30..]);
    tap.until("30 more", |batch| keep(batch) >= 60);
    tap.until("the end", |batch| {
        let alive = batch.items.iter().any(|item| matches!(item, Tapped::Alive(_)));
        assert_eq!(keep(batch), 60);
        alive
    });
    tap.kill();
}
