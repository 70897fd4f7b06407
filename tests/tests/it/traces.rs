//! One journey is one trace, as the real collector has it: sender, engine, portal under the engine's own
//! control id, the leg between them, a refusal and the retry; found by either control id.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::gaps::Watched;
use crate::parts_flow::{attribute, client, spans};
use feedpulse_sim::AckCode::Ar;
use feedpulse_tests::clinic::Answer::Refuse;
use feedpulse_tests::clinic::{CANARIES, Fate, Lab};
use feedpulse_tests::parts::{Collector, Kafka};
use feedpulse_tests::product::{Product, Setup, command_with};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// W3C trace context of the sender of a record.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What `feedpulse find` says of a control id: its journey, or with `--hash` its hash.
fn find(store: &Path, option: &str, id: &str) -> Option<String> {
    let done = command_with(&["find", option, "--store", store.to_str().unwrap()], id);
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap().trim().to_owned())
}

fn journey(product: &mut Product, id: &str) -> Value {
    let store = product.store();
    let found = product.wait("its journey", |_| find(&store, "--json", id));
    serde_json::from_str(&found).unwrap()
}

/// The spans that have a control id's hash, or the id itself, as `messaging.message.id`.
fn spans_of<'a>(all: &'a [Value], id: &str) -> Vec<&'a Value> {
    all.iter().filter(|span| attribute(span, "messaging.message.id") == Some(id)).collect()
}

fn whole_trace(at: &mut Watched, collector: &Collector, message_id: &str) -> Vec<Value> {
    at.product.wait("its trace", |_| {
        let all = spans(collector);
        let trace = spans_of(&all, message_id).first()?["traceId"].clone();
        let own: Vec<Value> = all.into_iter().filter(|span| span["traceId"] == trace).collect();
        (own.len() >= 5).then_some(own)
    })
}

/// A refused message that the engine sends again, in a product that exports to the collector.
fn refused_and_resent(collector: &Collector, more: &str) -> (Watched, Lab, String) {
    let otlp = format!("otlp: {{endpoint: \"http://{}\"{more}}}\n", collector.grpc());
    let mut at = Watched::start(&otlp);
    let lab = Lab::new("LAB0815", 1);
    let down = Refuse(Ar, "ERR|||207^^HL70357|E||||interface is shutting down\r");
    at.send(&lab, Fate { resends: 1, ..Fate::at_portal([down]) });
    let engines = at.product.wait("the engine's id", |_| at.clinic.renamed(&lab.id));
    (at, lab, engines)
}

#[test]
fn a_journey_is_one_trace_and_is_found_by_each_of_its_control_ids() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("otlp.jsonl");
    let Some(collector) = Collector::start(&file) else { return };
    let (mut at, lab, engines) = refused_and_resent(&collector, "");
    let store = at.product.store();
    let hash = |id: &str| find(&store, "--hash", id).unwrap();
    let (senders, engines_hash) = (hash(&lab.id), hash(&engines));
    let trace = whole_trace(&mut at, &collector, &senders);
    let name = |span: &Value| span["name"].as_str().unwrap().to_owned();
    let names: Vec<String> = trace.iter().map(name).collect();
    let expected = [
        "process lab-results",
        "send engine-in",
        "send portal-in",
        "send portal-in",
        "leg engine-in portal-in",
    ];
    assert_eq!(names, expected);
    let [root, engine, refused, again, leg] = &trace[..] else { unreachable!("five spans") };
    for span in [engine, refused, again, leg] {
        assert_eq!(span["parentSpanId"], root["spanId"], "{span}");
    }
    for (span, id, outcome) in [
        (root, &senders, "accepted"),
        (engine, &senders, "accepted"),
        (refused, &engines_hash, "rejected"),
        (again, &engines_hash, "accepted"),
    ] {
        assert_eq!(attribute(span, "messaging.message.id"), Some(id.as_str()), "{span}");
        assert_eq!(attribute(span, "feedpulse.outcome"), Some(outcome), "{span}");
    }
    assert_eq!(attribute(refused, "error.type"), Some("AR"), "{refused}");
    assert_eq!(attribute(refused, "feedpulse.reason"), Some("unavailable"), "{refused}");
    assert_eq!(attribute(&refused["events"][0], "feedpulse.ack"), Some("AR"), "{refused}");
    assert_eq!(
        (refused["status"]["code"].as_u64(), again["status"]["code"].as_u64()),
        (Some(2), Some(1))
    );
    let resend =
        again["attributes"].as_array().unwrap().iter().find(|a| a["key"] == "feedpulse.resend");
    assert_eq!(resend.unwrap()["value"]["intValue"], "1", "{again}");
    assert_eq!(attribute(leg, "feedpulse.leg.to"), Some("portal-in"));
    // The analyst's way: find says the very trace, and the ids of its spans.
    let found = journey(&mut at.product, &lab.accession());
    assert_eq!(found["trace_id"], root["traceId"], "{found}");
    assert_eq!(found["trace_id"].as_str(), attribute(root, "feedpulse.journey"));
    let ids: Vec<&str> = found["sendings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["message_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [&*senders, &*engines_hash, &*engines_hash]);
    let written = std::fs::read_to_string(&file).unwrap();
    for secret in CANARIES.into_iter().chain([lab.id.as_str(), engines.as_str()]) {
        assert!(!written.contains(secret), "{secret} left the site");
    }
    assert!(at.product.stop().success(), "{}", at.product.said());
}

#[test]
fn where_the_site_says_so_control_ids_leave_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let Some(collector) = Collector::start(&folder.path().join("otlp.jsonl")) else { return };
    let (mut at, lab, engines) = refused_and_resent(&collector, ", clear_control_ids: true");
    let trace = whole_trace(&mut at, &collector, &lab.id);
    assert_eq!((spans_of(&trace, &lab.id).len(), spans_of(&trace, &engines).len()), (2, 2));
}

#[test]
fn a_journey_joins_the_trace_that_came_with_its_record_and_find_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let Some(collector) = Collector::start(&folder.path().join("otlp.jsonl")) else { return };
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("results", 1);
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: bus}".to_owned());
    setup.more = format!(
        "kafka:\n  - brokers: [\"{}\"]\n    options: {{auto.offset.reset: earliest}}\n    \
             topics:\n      - {{topic: results, waypoint: bus}}\n\
         otlp: {{endpoint: \"http://{}\"}}\n",
        kafka.bootstrap(),
        collector.grpc(),
    );
    let mut product = Product::start(&setup);
    let lab = Lab::new("LAB4711", 1);
    let producer: BaseProducer = client(&kafka).create().unwrap();
    let context = format!("00-{TRACE}-{PARENT}-01");
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(&context) });
    let value = lab.message();
    let record: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to("results").payload(value.as_slice()).headers(headers);
    assert!(producer.send(record).is_ok());
    producer.flush(Duration::from_secs(60)).unwrap();
    let found = journey(&mut product, &lab.id);
    assert_eq!(found["trace_id"], TRACE, "{found}");
    let hash = found["sendings"][0]["message_id"].as_str().unwrap().to_owned();
    let all = product.wait("its spans", |_| {
        let all = spans(&collector);
        (!spans_of(&all, &hash).is_empty()).then_some(all)
    });
    let own = spans_of(&all, &hash);
    assert!(own.iter().all(|span| span["traceId"] == TRACE), "{own:#?}");
    assert!(own.iter().any(|span| span["parentSpanId"] == PARENT), "{own:#?}");
    assert!(product.stop().success(), "{}", product.said());
}
