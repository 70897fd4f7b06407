//! Roles and formats, record by record, on the mock cluster.

use super::*;
use crate::read::connection;
use base64::Engine as _;
use feedpulse_core::defect::DefectCode;
use feedpulse_core::frame::Direction;
use feedpulse_core::sighting::{DeadLetterSeen, Outcome, ReasonClass, Seen, Urgency};
use feedpulse_hl7::json::{Encoding, ReceiptFormat};
use rdkafka::message::Header;

fn tap(bootstrap: &str, topics: Vec<TopicConfig>) -> Running {
    run(KafkaConfig::new("k", options(bootstrap, &[]), topics).unwrap(), &[])
}

fn header(name: &'static str, value: &str) -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: name, value: Some(value) })
}

fn unreadable(item: &Tapped) -> Option<DefectCode> {
    let Tapped::Sighting(sighting) = item else { return None };
    let Seen::Unreadable(seen) = &sighting.what else { return None };
    seen.defects.first().map(|defect| defect.code)
}

#[test]
fn messages_are_frames_with_the_records_time_and_trace() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    let traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut second = Given::value(format!("\x0b{ADT}\x1c\r\x0b{ADT}\x1c\r"));
    second.headers = Some(header("traceparent", traced));
    produce(&bootstrap, "adt", &[Given::value(ADT), second]);
    let tap = tap(&bootstrap, vec![plain("adt", 4, TopicRole::Message)]);
    let batches = tap.until(|batches| count(batches) == 3);
    let frames: Vec<_> = contents(&batches)
        .into_iter()
        .map(|item| match item {
            Tapped::Frame(frame) => frame,
            other => panic!("{other:?}"),
        })
        .collect();
    for (frame, second) in frames.iter().zip([0, 1, 1]) {
        assert_eq!(frame.bytes.expose().as_slice(), ADT.as_bytes());
        assert_eq!(frame.at, Timestamp::from_secs(1_767_225_600 + second));
        assert_eq!(frame.waypoint, WaypointId(4));
        assert_eq!(frame.direction, Direction::ToReceiver);
        assert_eq!(frame.connection, connection("adt", 0));
        assert_eq!(frame.trace.is_some(), second == 1);
    }
    assert_eq!(position(&batches, "adt/0").map(|p| (p.epoch, p.offset)), Some((0, 2)));
    tap.end();
}

#[test]
fn poison_is_counted_and_stops_nothing() {
    let cluster = cluster(&[("adt", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    let base64 = base64::engine::general_purpose::STANDARD.encode(ADT);
    let good = Given::value(format!(r#"{{"payload":{{"hl7":"{base64}"}}}}"#));
    let poison = [
        Given::default(),
        Given::value(""),
        Given::value("{"),
        Given::value(r#"{"payload":{}}"#),
        Given::value(r#"{"payload":{"hl7":"***"}}"#),
        good,
    ];
    produce(&bootstrap, "adt", &poison);
    let format = ValueFormat::Envelope {
        pointer: "/payload/hl7".parse().unwrap(),
        encoding: Encoding::Base64,
    };
    let topic =
        TopicConfig { format: TopicFormat::Value(format), ..plain("adt", 0, TopicRole::Message) };
    let tap = tap(&bootstrap, vec![topic]);
    let batches = tap.until(|batches| count(batches) == 6);
    let seen = contents(&batches);
    let codes: Vec<_> = seen.iter().filter_map(|item| unreadable(item)).collect();
    let json = DefectCode::JsonUnreadable;
    assert_eq!(codes, [DefectCode::Empty, DefectCode::Empty, json, json, json]);
    let Some(Tapped::Frame(frame)) = seen.last() else { panic!("{seen:?}") };
    assert_eq!(frame.bytes.expose().as_slice(), ADT.as_bytes());
    let number = |why| tap.number("feedpulse_kafka_unreadable_records_total", why);
    assert_eq!((number("tombstone"), number("empty")), (Some(1.0), Some(1.0)));
    assert_eq!(number("undecodable"), Some(3.0));
    assert_eq!(tap.number("feedpulse_kafka_records_total", "adt"), Some(6.0));
    assert!(!format!("{seen:?}").contains("CANARY"));
    tap.end();
}

fn letters(batches: &[TapBatch]) -> Vec<DeadLetterSeen> {
    let letter = |item: &Tapped| match item {
        Tapped::Sighting(sighting) => match sighting.what {
            Seen::DeadLetter(seen) => Some(seen),
            _ => None,
        },
        _ => None,
    };
    contents(batches).into_iter().filter_map(letter).collect()
}

#[test]
fn dead_letters_have_a_reason_class_and_what_their_value_says() {
    let cluster = cluster(&[("dlq", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    let connect = header(
        "__connect.errors.exception.class.name",
        "org.apache.kafka.connect.errors.ConnectException",
    )
    .insert(Header {
        key: "__connect.errors.exception.message",
        value: Some("patient CANARY not found"),
    })
    .insert(Header { key: "__connect.errors.topic", value: Some("timeout") });
    let critical = ADT.replace("ADT^A01", "ORU^R01").replace("EVN|A01", "OBX|1|NM|K||9|||HH");
    let given = [
        Given { headers: Some(connect), ..Given::value(critical) },
        Given {
            headers: Some(header("kafka_dlt-exception-message", "timed out")),
            ..Given::value(ADT)
        },
        Given { headers: Some(header("error", "odd")), ..Given::value("no hl7") },
        Given::default(),
    ];
    produce(&bootstrap, "dlq", &given);
    let tap = tap(&bootstrap, vec![plain("dlq", 1, TopicRole::DeadLetter)]);
    let batches = tap.until(|batches| count(batches) == 4);
    let letters = letters(&batches);
    let reasons: Vec<_> = letters.iter().map(|letter| letter.reason).collect();
    use ReasonClass::{None, Other, Unavailable, UnknownKey};
    assert_eq!(reasons, [UnknownKey, Unavailable, Other, None]);
    let first = letters.first().unwrap();
    assert_eq!((first.code.as_str(), first.sender.as_str()), ("ORU", "EHR"));
    assert_eq!(first.urgency, Urgency::Critical);
    assert!(first.journey_key.is_some());
    assert_eq!(first.journey_key, letters[1].journey_key, "the same control id");
    assert_eq!((letters[2].journey_key, letters[3].journey_key), (Option::None, Option::None));
    assert!(!format!("{:?}", contents(&batches)).contains("CANARY"));
    tap.end();
}

#[test]
fn acks_retries_and_receipts_have_their_ways() {
    let cluster = cluster(&[("acks", 1), ("retry", 1), ("receipts", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, "acks", &[Given::value(ACK)]);
    produce(&bootstrap, "retry", &[Given::value(ADT)]);
    let receipts = [Given::value(r#"{"id":"ID1","is":"shown"}"#), Given::value(r#"{"id":"ID1"}"#)];
    produce(&bootstrap, "receipts", &receipts);
    let format = TopicFormat::Receipt(ReceiptFormat {
        key: "/id".parse().unwrap(),
        outcome: "/is".parse().unwrap(),
        outcomes: vec![("shown".to_owned(), Outcome::Filed)],
        at: None,
        kind: None,
    });
    let topics = vec![
        plain("acks", 0, TopicRole::Ack),
        plain("retry", 1, TopicRole::Retry),
        TopicConfig { format, ..plain("receipts", 2, TopicRole::Receipt) },
    ];
    let tap = tap(&bootstrap, topics);
    let batches = tap.until(|batches| count(batches) == 4);
    let (mut ways, mut filed, mut bad) = (Vec::new(), 0, 0);
    for item in contents(&batches) {
        match item {
            Tapped::Frame(frame) => ways.push((frame.waypoint.0, frame.direction)),
            Tapped::Sighting(sighting) => match &sighting.what {
                Seen::Receipt(seen) => filed += usize::from(seen.outcome == Outcome::Filed),
                Seen::Unreadable(_) => bad += 1,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
    ways.sort_unstable();
    assert_eq!(ways, [(0, Direction::ToSender), (1, Direction::ToReceiver)]);
    assert_eq!((filed, bad), (1, 1));
    tap.end();
}

#[test]
fn a_sample_is_the_newest_records_and_commits_nothing() {
    let cluster = cluster(&[("adt", 2)]);
    let bootstrap = cluster.bootstrap_servers();
    let given: Vec<Given> =
        (0..10).map(|n| Given { partition: n % 2, ..Given::value(format!("{n}")) }).collect();
    produce(&bootstrap, "adt", &given);
    let options = options(&bootstrap, &[]);
    let sample = |topic, n| crate::sample(&options, topic, n, PATIENCE);
    let values = |n| -> Vec<String> {
        let records = sample("adt", n).unwrap();
        records.into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect()
    };
    assert_eq!(values(3), ["7", "8", "9"]);
    assert_eq!(values(100).len(), 10);
    assert_eq!(committed(&onlooker(&bootstrap), "adt", 0), None);
    assert!(matches!(sample("a b", 1), Err(crate::SampleError::TopicName(_))));
}
