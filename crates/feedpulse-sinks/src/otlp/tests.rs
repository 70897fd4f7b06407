//! Spans, samples and points, without a network.

use super::metrics::requests;
use super::sampler::Sampler;
use super::semconv::Key;
use super::traces::{Names, hashed_control_id, span_count, spans_of, trace_id};
use super::transport::Payload;
use crate::config::{ControlIds, Relation};
use crate::tests::{SITE_KEY, T0, at, journey, names, refused_journey, sending};
use core::time::Duration;
use feedpulse_core::effect::{JourneyEnd, JourneyRecord, Sending};
use feedpulse_core::frame::TraceParent;
use feedpulse_core::hist::Histogram;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::metrics::{BOUNDS_MICROS, Family, Kind, Point, Value as Number};
use feedpulse_core::sighting::{AckCode, Outcome, ReasonClass, Urgency};
use feedpulse_core::time::{EventTime, Precision};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::BTreeSet;

fn value(span: &Span, key: Key) -> Option<Value> {
    let found = span.attributes.iter().find(|kv| kv.key == key.name())?;
    found.value.clone()?.value
}

fn text(span: &Span, key: Key) -> Option<String> {
    match value(span, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// A record with everything that it can have.
fn full() -> JourneyRecord {
    let mut full = refused_journey(7);
    full.sends.insert(1, sending(0, 50, 60, Outcome::NoAck));
    full.sends[1].slow = true;
    full.sends_total = 3;
    full.urgency = Urgency::Critical;
    full.late = true;
    full.found = vec![Label::from("units/missing"), Label::from("pid/empty")];
    let stated = T0.minus(Duration::from_secs(90));
    full.event_time =
        Some(EventTime { at: stated, precision: Precision::Second, zone_stated: true });
    full.trace = Some(TraceParent { trace_id: 0xaaaa, span_id: 0xbbbb, sampled: true });
    full
}

#[test]
fn a_journey_is_one_trace_of_root_sendings_and_legs() {
    let spans = spans_of(&refused_journey(7), &names());
    assert_eq!(spans.len(), span_count(&refused_journey(7)));
    let shape: Vec<_> = spans.iter().map(|s| (s.name.as_str(), s.kind)).collect();
    let expected = [
        ("process lab-results", 5), // CONSUMER
        ("send engine-out", 4),     // PRODUCER: a topic
        ("send portal-in", 3),      // CLIENT: MLLP answers
        ("leg engine-out portal-in", 1),
    ];
    assert_eq!(shape, expected);
    let ids: BTreeSet<_> = spans.iter().map(|s| s.span_id.clone()).collect();
    assert_eq!(ids.len(), 4, "ids differ");
    assert!(spans.iter().all(|s| s.trace_id == 7_u128.to_be_bytes() && s.flags == 0x101));
    assert!(spans[0].parent_span_id.is_empty() && spans[0].links.is_empty());
    let (root, send) = (&spans[0], &spans[2]);
    assert_eq!(text(root, Key::System).as_deref(), Some("kafka"));
    assert_eq!(text(root, Key::OperationName).as_deref(), Some("process"));
    assert_eq!(text(root, Key::Destination).as_deref(), Some("lab-results"));
    assert_eq!(text(root, Key::Journey), Some(format!("{:032x}", 7)));
    let hashed = hashed_control_id(&SITE_KEY, journey(7).control_id);
    assert_eq!(text(root, Key::MessageId), hashed);
    assert_eq!(text(&spans[1], Key::MessageId), hashed);
    assert_eq!(text(root, Key::ErrorType).as_deref(), Some("AE"));
    assert_eq!(text(root, Key::Outcome).as_deref(), Some("errored"));
    assert_eq!(text(root, Key::Reason).as_deref(), Some("unknown_key"));
    assert_eq!(value(root, Key::Transit), Some(Value::DoubleValue(0.2)));
    assert_eq!(value(root, Key::SourceAge), None);
    assert_eq!(root.status.as_ref().map(|s| s.code), Some(2));
    assert_eq!(text(send, Key::Waypoint).as_deref(), Some("portal-in"));
    assert_eq!(
        (send.start_time_unix_nano, send.end_time_unix_nano),
        (super::nanos(at(200)), super::nanos(at(250)),)
    );
    assert_eq!(
        (send.events[0].name.as_str(), send.events[0].time_unix_nano),
        ("ack", super::nanos(at(250)),)
    );
    assert_eq!(spans[1].status.as_ref().map(|s| s.code), Some(1), "the first was accepted");
    assert_eq!(spans[1].attributes.iter().filter(|kv| kv.key == "error.type").count(), 0);
}

#[test]
fn ids_repeat_for_the_same_journey_and_differ_for_a_later_one() {
    let first = spans_of(&journey(7), &names());
    assert_eq!(first, spans_of(&journey(7), &names()));
    let mut later = journey(7);
    later.sends[0].at = at(90_000);
    let later = spans_of(&later, &names());
    assert_eq!(first[0].trace_id, later[0].trace_id);
    assert_ne!(first[0].span_id, later[0].span_id);
    let mut zero = journey(0);
    assert_eq!(trace_id(&zero, Relation::Parent), 1, "a trace id is never zero");
    zero.sends.clear();
    assert_eq!(spans_of(&zero, &names()).len(), 1);
    assert_eq!(span_count(&zero), 1);
}

#[test]
fn a_trace_context_becomes_parent_or_link() {
    let joined = spans_of(&full(), &names());
    assert_eq!(joined[0].trace_id, 0xaaaa_u128.to_be_bytes());
    assert_eq!(joined[0].parent_span_id, 0xbbbb_u64.to_be_bytes());
    assert_eq!(joined[0].links[0].span_id, 0xbbbb_u64.to_be_bytes());
    assert_eq!(joined[0].flags, 0x301);
    let mut link = names();
    link.relation = Relation::Link;
    let linked = spans_of(&full(), &link);
    assert_eq!(linked[0].trace_id, 7_u128.to_be_bytes());
    assert!(linked[0].parent_span_id.is_empty());
    assert_eq!(linked[0].links[0].trace_id, 0xaaaa_u128.to_be_bytes());
}

#[test]
fn only_listed_attributes_leave_and_the_control_id_does_not() {
    let listed: BTreeSet<_> = Key::ALL.iter().map(|key| key.name()).collect();
    assert_eq!(listed.len(), Key::ALL.len(), "names are unique");
    let spans = spans_of(&full(), &names());
    let mut used = BTreeSet::new();
    for span in &spans {
        let own = span.attributes.iter();
        let keys: Vec<_> = own.map(|kv| kv.key.as_str()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?} repeat");
        let events = span.events.iter().flat_map(|event| &event.attributes);
        used.extend(events.map(|kv| kv.key.clone()));
        used.extend(keys.into_iter().map(str::to_owned));
    }
    assert!(used.iter().all(|key| listed.contains(key.as_str())), "{used:?}");
    for key in [Key::SourceAge, Key::Resend, Key::Checks, Key::AckSlow, Key::Ack, Key::LegFrom] {
        assert!(used.contains(key.name()), "{key:?}");
    }
    assert!(!format!("{spans:?}").contains("MSG00042"));
    let mut clear = names();
    clear.control_ids = ControlIds::Clear;
    let id = text(&spans_of(&full(), &clear)[0], Key::MessageId);
    assert_eq!(id.as_deref(), Some("MSG00042"));
}

#[test]
fn a_span_is_found_by_the_control_id_that_the_message_had_there() {
    let mut rewritten = journey(7);
    rewritten.sends[1].control_id = ControlId::from_bytes(b"ENGINE77");
    // What a receipt states has none.
    rewritten.sends.push(Sending { control_id: ControlId::default(), ..rewritten.sends[1] });
    let ids = |names: &Names| -> Vec<Option<String>> {
        spans_of(&rewritten, names)[..4].iter().map(|span| text(span, Key::MessageId)).collect()
    };
    let clear = |id: &str| Some(id.to_owned());
    let shown = Names { control_ids: ControlIds::Clear, ..names() };
    assert_eq!(ids(&shown), [clear("MSG00042"), clear("MSG00042"), clear("ENGINE77"), None]);
    let hash = |id: &[u8]| hashed_control_id(&SITE_KEY, ControlId::from_bytes(id));
    let (sender, engine) = (hash(b"MSG00042"), hash(b"ENGINE77"));
    assert!(sender != engine && sender.as_ref().is_some_and(|id| id.len() == 32));
    assert_eq!(ids(&names()), [sender.clone(), sender, engine, None]);
    assert_eq!(ids(&Names { key: None, ..names() }), [None, None, None, None], "no key, no id");
}

#[test]
fn every_text_in_a_span_is_a_name_a_label_or_from_a_closed_set() {
    let mut texts = BTreeSet::new();
    for span in spans_of(&full(), &names()) {
        let events = span.events.iter().flat_map(|event| event.attributes.clone());
        for attribute in span.attributes.iter().cloned().chain(events) {
            let values = match attribute.value.and_then(|any| any.value) {
                Some(Value::ArrayValue(list)) => list.values,
                value => vec![AnyValue { value }],
            };
            texts.extend(values.into_iter().filter_map(|any| match any.value {
                Some(Value::StringValue(text)) => Some(text),
                _ => None,
            }));
        }
        texts.extend([span.name, span.trace_state, span.status.unwrap_or_default().message]);
    }
    let key = format!("{:032x}", 7);
    let id = hashed_control_id(&SITE_KEY, full().control_id).unwrap();
    let names =
        [key.as_str(), &id, "lab-results", "engine-out", "portal-in", "process lab-results"];
    let spans = ["send engine-out", "send portal-in", "leg engine-out portal-in"];
    let labels = ["ORU", "R01", "LAB", "units/missing", "pid/empty"];
    let closed = [
        "",
        "AA",
        "AE",
        "accepted",
        "critical",
        "errored",
        "kafka",
        "mllp",
        "no_ack",
        "process",
        "send",
        "timeout",
        "unknown_key",
    ];
    let expected = names.into_iter().chain(spans).chain(labels).chain(closed);
    assert_eq!(texts, expected.map(str::to_owned).collect::<BTreeSet<_>>());
}

#[test]
fn a_source_age_needs_a_clock_that_can_be_read() {
    let age = |at, precision| {
        let mut journey = full();
        journey.event_time = Some(EventTime { at, precision, zone_stated: true });
        value(&spans_of(&journey, &names())[0], Key::SourceAge)
    };
    let before = T0.minus(Duration::from_secs(90));
    assert_eq!(age(before, Precision::Second), Some(Value::DoubleValue(90.0)));
    assert_eq!(age(before, Precision::Minute), None);
    assert_eq!(age(at(1), Precision::Fraction), None, "a clock that is ahead");
}

#[test]
fn error_types_follow_outcome_and_ack() {
    for (outcome, ack, expected, status) in [
        (Outcome::Accepted, Some(AckCode::AA), None, 1),
        (Outcome::Committed, Some(AckCode::CA), None, 1),
        (Outcome::Errored, Some(AckCode::CE), Some("CE"), 2),
        (Outcome::Errored, None, Some("_OTHER"), 2),
        (Outcome::Rejected, Some(AckCode::AR), Some("AR"), 2),
        (Outcome::Rejected, Some(AckCode::CR), Some("CR"), 2),
        (Outcome::NoAck, None, Some("timeout"), 2),
        (Outcome::ConnectionLost, None, Some("reset"), 2),
        (Outcome::Refused, None, Some("refused"), 2),
        (Outcome::Unknown, None, None, 0),
    ] {
        let mut journey = journey(1);
        journey.sends[1].outcome = Some(outcome);
        journey.sends[1].ack = ack;
        journey.end = match outcome {
            Outcome::Unknown => JourneyEnd::Unknown,
            outcome if outcome.is_success() => JourneyEnd::Delivered(outcome),
            outcome => JourneyEnd::Failed(outcome),
        };
        let spans = spans_of(&journey, &names());
        for span in [&spans[0], &spans[2]] {
            assert_eq!(text(span, Key::ErrorType).as_deref(), expected, "{outcome:?}");
            assert_eq!(span.status.as_ref().map(|s| s.code), Some(status), "{outcome:?}");
        }
    }
    let mut expired = journey(1);
    expired.end = JourneyEnd::Expired;
    let spans = spans_of(&expired, &names());
    assert_eq!(text(&spans[0], Key::Outcome).as_deref(), Some("expired"));
    assert_eq!(text(&spans[0], Key::ErrorType).as_deref(), Some("timeout"));
}

#[test]
fn trouble_is_always_kept_and_success_by_count() {
    let mut sampler = Sampler::new(0, 0.0);
    assert!(!sampler.keep(&journey(1)));
    let changes: [fn(&mut JourneyRecord); 10] = [
        |j| j.end = JourneyEnd::Failed(Outcome::Rejected),
        |j| j.end = JourneyEnd::Unknown,
        |j| j.end = JourneyEnd::Expired,
        |j| j.late = true,
        |j| j.urgency = Urgency::Critical,
        |j| j.found.push(Label::from("units/missing")),
        |j| j.sends_total = 3,
        |j| j.sends[0].slow = true,
        |j| j.sends[0].outcome = Some(Outcome::NoAck),
        |j| j.sends[1].waypoint = j.sends[0].waypoint,
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut journey = journey(1);
        change(&mut journey);
        assert!(sampler.keep(&journey), "change {i}");
    }
    let mut correction = journey(1);
    correction.urgency = Urgency::Correction;
    correction.sends[0].reason = ReasonClass::Other;
    assert!(!sampler.keep(&correction));
    let mut sampler = Sampler::new(2, 0.0);
    let minutes = [0, 1, 2, 60, 61, 62, 59, 120];
    let kept: Vec<_> = minutes
        .iter()
        .map(|secs| {
            let mut journey = journey(1);
            // T0 is 20 s into its minute.
            journey.ended_at = at(40_000 + secs * 1_000);
            sampler.keep(&journey)
        })
        .collect();
    assert_eq!(kept, [true, true, false, true, true, false, false, true]);
    let mut other = journey(1);
    other.feed = feedpulse_core::plan::FeedId(5);
    assert!(sampler.keep(&other), "each feed has its own count");
}

#[test]
fn a_ratio_keeps_that_share_of_keys_and_the_same_ones_each_time() {
    let keep = || -> Vec<u128> {
        let mut sampler = Sampler::new(0, 0.1);
        let keys = (0..10_000_u64).map(|n| u128::from(crate::random::mix(n)));
        keys.filter(|key| sampler.keep(&journey(*key))).collect()
    };
    let kept = keep();
    assert!((900..1_100).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept, keep());
    let mut all = Sampler::new(0, 1.0);
    assert!(all.keep(&journey(u128::from(u64::MAX - 4_096))));
}

#[test]
fn families_become_points_and_batches_are_bounded() {
    let mut times = Histogram::default();
    [3_000, 7_000, 7_001, 7_200_000_000].iter().for_each(|micros| times.record(*micros));
    let point = |label: &str, value| Point { labels: vec![("feed", label.to_owned())], value };
    let family = |name, kind, points| Family { name, help: "h", unit: "s", kind, points };
    let families = [
        family(
            "feedpulse_a_total",
            Kind::Counter,
            (0..5).map(|i| point(&format!("f{i}"), Number::Number(f64::from(i)))).collect(),
        ),
        family(
            "feedpulse_b",
            Kind::Gauge,
            vec![point("x", Number::Number(f64::NAN)), point("y", Number::Number(1.5))],
        ),
        family("feedpulse_c", Kind::Histogram, vec![point("z", Number::Times(Box::new(times)))]),
    ];
    let made = requests(&families, &Resource::default(), T0, at(1_000), 3);
    assert_eq!(made.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [3, 3, 1]);
    let metrics: Vec<_> = made
        .into_iter()
        .flat_map(|(payload, _)| match payload {
            Payload::Metrics(request) => {
                request.resource_metrics.into_iter().flat_map(|r| r.scope_metrics).next()
            }
            Payload::Traces(_) | Payload::Logs(_) => None,
        })
        .flat_map(|scope| scope.metrics)
        .collect();
    let shape: Vec<_> = metrics.iter().map(|m| m.name.as_str()).collect();
    let parts = ["feedpulse_a_total", "feedpulse_a_total", "feedpulse_b", "feedpulse_c"];
    assert_eq!(shape, parts);
    let Some(Data::Gauge(gauge)) = &metrics[2].data else { panic!("a gauge") };
    assert_eq!(gauge.data_points.len(), 1, "a number that is not known is absent");
    let Some(Data::Histogram(histogram)) = &metrics[3].data else { panic!("a histogram") };
    let shown = &histogram.data_points[0];
    assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
    assert_eq!(shown.explicit_bounds.len(), BOUNDS_MICROS.len());
    assert_eq!(shown.explicit_bounds[0].to_bits(), 0.005_f64.to_bits());
    assert_eq!(shown.bucket_counts.len(), BOUNDS_MICROS.len() + 1);
    assert_eq!(shown.bucket_counts[..3], [1, 2, 0]);
    assert_eq!(shown.bucket_counts[16..], [1, 0, 0], "two hours");
    assert_eq!((shown.count, shown.bucket_counts.iter().sum::<u64>()), (4, 4));
}
