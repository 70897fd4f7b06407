//! Messages through a Kafka topic and through the MLLP proxy at once, and what the real collector,
//! Prometheus and Alertmanager then hold.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::{
    AckCode, Deframer, Generator, Kind, Profile, Rng, Variation, frame, make_ack, read_ack,
    read_header,
};
use feedpulse_tests::parts::{Alertmanager, Collector, Kafka, Prometheus};
use feedpulse_tests::product::{Product, Setup, Waypoint};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TOPIC: &str = "hl7";
/// Found nowhere but in the messages themselves.
const CANARY: &str = "CANARYFLOW9Z";
/// Messages of the generator, each once over MLLP and once over Kafka.
const MESSAGES: usize = 200;
/// Of those over MLLP, how many more are sent while the receiver answers AE.
const ERRORS: usize = 15;
/// And how many when it is well again.
const CALM: usize = 60;

/// A receiver that answers AA, or AE when told to. Its threads end with their connections.
struct Receiver {
    address: SocketAddr,
    errs: Arc<AtomicBool>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let errs = Arc::new(AtomicBool::new(false));
        let mode = Arc::clone(&errs);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mode = Arc::clone(&mode);
                std::thread::spawn(move || answer(stream, &mode));
            }
        });
        Self { address, errs }
    }
}

/// Answers every message of a connection to its end.
fn answer(mut stream: TcpStream, errs: &AtomicBool) {
    let (mut deframer, mut buffer) = (Deframer::default(), [0; 8192]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        deframer.push(&buffer[..read]);
        while let Ok(Some(content)) = deframer.next_frame() {
            let Some(header) = read_header(&content) else { continue };
            let code = if errs.load(Ordering::Acquire) { AckCode::Ae } else { AckCode::Aa };
            if stream.write_all(&frame(&make_ack(&header, code, "A1", 0))).is_err() {
                return;
            }
        }
    }
}

/// A sender with one connection that waits for each answer.
struct Sender {
    stream: TcpStream,
    deframer: Deframer,
}

impl Sender {
    fn dial(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, deframer: Deframer::default() }
    }

    fn send(&mut self, message: &[u8]) -> AckCode {
        self.stream.write_all(&frame(message)).unwrap();
        let mut buffer = [0; 8192];
        loop {
            if let Some(content) = self.deframer.next_frame().unwrap() {
                return read_ack(&content).and_then(|ack| ack.code).unwrap();
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the connection ended before the answer");
            self.deframer.push(&buffer[..read]);
        }
    }
}

fn generated() -> Vec<Vec<u8>> {
    let profile = Profile { canaries: vec![CANARY.to_owned()], ..Profile::default() };
    let mut generator = Generator::new(5, profile).unwrap();
    let mut rng = Rng::new(5);
    let now = 1_767_225_600_000_000;
    let one = |_| {
        let kind = *rng.pick(&Kind::ALL);
        generator.message(kind, now, now, Variation::default()).bytes
    };
    (0..MESSAGES + ERRORS).map(one).collect()
}

/// Every file below the folder of public samples, when one is named.
fn samples() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("FEEDPULSE_SAMPLES").map(PathBuf::from) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    walk(&folder, &mut found);
    assert!(!found.is_empty(), "no samples in {}", folder.display());
    found
}

fn walk(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "hl7") {
            found.push(fs::read(&path).unwrap());
        }
    }
}

/// Whether it is one message that our receiver can answer: a file of several is for Kafka alone.
fn is_answered(value: &[u8]) -> bool {
    let Some(header) = read_header(value) else { return false };
    let answer = read_ack(&make_ack(&header, AckCode::Aa, "A1", 0));
    memchr::memmem::find_iter(value, b"MSH|").count() == 1
        && read_ack(value).is_none()
        && answer.is_some_and(|answer| answer.code == Some(AckCode::Aa))
}

pub(crate) fn client(kafka: &Kafka) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka.bootstrap());
    client
}

/// Produces, and makes sure by the broker's own counts that all arrived.
fn produce(kafka: &Kafka, values: &[&[u8]]) {
    let producer: BaseProducer = client(kafka).create().unwrap();
    for value in values {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(TOPIC).payload(value);
        assert!(producer.send(record).is_ok());
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let consumer: BaseConsumer = client(kafka).set("group.id", "count").create().unwrap();
    let marks = |partition| {
        let (low, high) =
            consumer.fetch_watermarks(TOPIC, partition, Duration::from_secs(30)).unwrap();
        high - low
    };
    assert_eq!((0..3).map(marks).sum::<i64>(), i64::try_from(values.len()).unwrap());
}

/// The value of a query that gives one number; None while it gives nothing.
fn number(prometheus: &Prometheus, promql: &str) -> Option<f64> {
    let result = prometheus.query(promql).unwrap();
    result.first()?["value"][1].as_str()?.parse().ok()
}

pub(crate) fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let all = span["attributes"].as_array()?;
    all.iter().find(|a| a["key"] == key)?["value"]["stringValue"].as_str()
}

pub(crate) fn spans(collector: &Collector) -> Vec<Value> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let lines = collector.lines();
    let resources = lines.iter().flat_map(|line| list(line, "resourceSpans"));
    let scopes = resources.flat_map(|resource| list(&resource, "scopeSpans"));
    scopes.flat_map(|scope| list(&scope, "spans")).collect()
}

/// Traces that hold a sending which was answered AE, with everything that such a span must say.
fn failed_traces(collector: &Collector) -> BTreeSet<String> {
    let failed = spans(collector).into_iter().filter(|span| {
        // STATUS_CODE_ERROR of OTLP.
        span["status"]["code"] == 2
            && attribute(span, "error.type") == Some("AE")
            && attribute(&span["events"][0], "feedpulse.ack") == Some("AE")
            && attribute(span, "feedpulse.outcome") == Some("errored")
            && attribute(span, "feedpulse.waypoint") == Some("engine-in")
            && attribute(span, "messaging.system") == Some("mllp")
    });
    failed.filter_map(|span| span["traceId"].as_str().map(str::to_owned)).collect()
}

fn alert(alertmanager: &Alertmanager, code: &str) -> Option<Value> {
    let alerts = alertmanager.alerts().unwrap();
    alerts.into_iter().find(|alert| alert["labels"]["alertname"] == code)
}

fn product(
    receiver: &Receiver,
    kafka: &Kafka,
    collector: &Collector,
    alerts: &Alertmanager,
) -> Product {
    let mut setup = Setup::new(vec![Waypoint::new("engine-in", receiver.address)]);
    setup.others.push("{name: bus}".to_owned());
    setup.more = format!(
        "kafka:\n  - brokers: [\"{}\"]\n    options: {{auto.offset.reset: earliest}}\n    \
             topics:\n      - {{topic: {TOPIC}, waypoint: bus}}\n\
         otlp: {{endpoint: \"http://{}\", metrics_every: 1s}}\n\
         alertmanager: {{urls: [\"http://{}\"], resend_every: 5s}}\n",
        kafka.bootstrap(),
        collector.grpc(),
        alerts.address(),
    );
    Product::start(&setup)
}

#[test]
fn messages_flow_through_kafka_and_mllp_to_traces_numbers_and_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let otlp = folder.path().join("otlp.jsonl");
    let Some(collector) = Collector::start(&otlp) else { return };
    let Some(alertmanager) = Alertmanager::start() else { return };
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic(TOPIC, 3);
    let receiver = Receiver::start();
    let mut product = product(&receiver, &kafka, &collector, &alertmanager);
    let Some(prometheus) = Prometheus::start(&[product.ops()]) else { return };
    let (generated, samples) = (generated(), samples());
    let (good, bad) = generated.split_at(MESSAGES);
    let values: Vec<&[u8]> = good.iter().chain(&samples).map(Vec::as_slice).collect();
    let framed: Vec<&[u8]> = values.iter().filter(|value| is_answered(value)).copied().collect();
    assert!(framed.len() >= MESSAGES);
    let address = product.listener(0);
    std::thread::scope(|scope| {
        scope.spawn(|| produce(&kafka, &values));
        scope.spawn(|| {
            let mut sender = Sender::dial(address);
            framed.iter().for_each(|message| assert_eq!(sender.send(message), AckCode::Aa));
        });
    });
    let mut sender = Sender::dial(address);
    receiver.errs.store(true, Ordering::Release);
    bad.iter().for_each(|message| assert_eq!(sender.send(message), AckCode::Ae));
    let alert_code = "FP0103";
    let firing = product.wait("the alert", |_| alert(&alertmanager, alert_code));
    assert_eq!(firing["status"]["state"], "active", "{firing}");
    receiver.errs.store(false, Ordering::Release);
    for message in good.iter().take(CALM) {
        assert_eq!(sender.send(message), AckCode::Aa);
    }
    let sent = framed.len() + ERRORS + CALM;
    // A record that holds an ACK is neither a message nor unreadable.
    let records = values.iter().filter(|value| read_ack(value).is_none()).count();
    check_numbers(&mut product, &prometheus, (sent, records));
    product.wait("the traces of all that failed", |_| {
        (failed_traces(&collector).len() == ERRORS).then_some(())
    });
    product
        .wait("the end of the alert", |_| alert(&alertmanager, alert_code).is_none().then_some(()));
    let written = fs::read_to_string(&otlp).unwrap();
    assert!(generated.iter().any(|m| memchr::memmem::find(m, CANARY.as_bytes()).is_some()));
    for (what, text) in
        [("spans", written), ("metrics", product.metrics()), ("log", product.said())]
    {
        assert!(!text.is_empty() && !text.contains(CANARY), "{what}");
    }
    assert!(product.stop().success(), "{}", product.said());
}

/// Prometheus has every frame of the wire and every record of the topic, each as a message or as
/// unreadable (some public samples are), and the outcome of each.
fn check_numbers(product: &mut Product, prometheus: &Prometheus, (mllp, records): (usize, usize)) {
    let query = |promql: &str| number(prometheus, promql);
    let messages = |at: &str| query(&format!("sum(feedpulse_messages_total{{waypoint=\"{at}\"}})"));
    let unreadable =
        |at: &str| query(&format!("sum(feedpulse_unreadable_frames_total{{waypoint=\"{at}\"}})"));
    product.wait("every frame", |_| {
        (messages("engine-in")? + unreadable("engine-in")? == mllp as f64).then_some(())
    });
    // A file of several messages is one record.
    product.wait("every record", |_| {
        (messages("bus")? + unreadable("bus")? >= records as f64).then_some(())
    });
    let seen = messages("engine-in").unwrap();
    assert!(seen >= (MESSAGES + ERRORS + CALM) as f64, "{seen}");
    for (promql, expected) in [
        ("sum(feedpulse_outcomes_total{outcome=\"errored\"})", ERRORS as f64),
        (
            "sum(feedpulse_outcomes_total{waypoint=\"engine-in\",outcome=\"accepted\"})",
            seen - ERRORS as f64,
        ),
        ("sum(feedpulse_ack_time_seconds_count{waypoint=\"engine-in\"})", seen),
        ("sum(feedpulse_open_messages)", 0.0),
    ] {
        product.wait(promql, |_| query(promql).filter(|n| *n == expected));
    }
    let totals = &product.status().unwrap()["totals"];
    assert_eq!(totals["seen"], totals["accounted"], "{totals}");
}
