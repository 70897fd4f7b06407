//! Telemetry arrives at a collector over real sockets, or is counted as dropped to the last item.

use super::servers::{Got, closed_port, collector, http, ok, spans};
use super::{Running, SITE_KEY, T0, at, incident, journey, refused_journey};
use crate::Secret;
use crate::config::{OtlpConfig, Protocol, SinksConfig, Target};
use crate::otlp::Signal;
use crate::otlp::traces::hashed_control_id;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use feedpulse_core::codes::Code;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use std::sync::Arc;
use tonic::Status;

fn config(address: &str, protocol: Protocol) -> SinksConfig {
    let mut otlp = OtlpConfig::new(Target::new(address));
    otlp.protocol = protocol;
    SinksConfig { otlp: Some(otlp), ..SinksConfig::default() }
}

fn traces_only(address: &str, protocol: Protocol) -> SinksConfig {
    let mut config = config(address, protocol);
    let otlp = config.otlp.as_mut().unwrap();
    (otlp.metrics, otlp.logs) = (false, false);
    config
}

fn adds_up(running: &Running, signal: Signal) {
    let a = running.sinks.accounts(signal);
    assert_eq!(a.offered, a.exported + a.dropped() + a.queued, "{signal:?}: {a:?}");
}

#[tokio::test(start_paused = true)]
async fn three_signals_arrive_by_grpc_with_headers() {
    let (address, mut got) = collector(Arc::new(|| Ok(0))).await;
    let mut config = config(&address, Protocol::Grpc);
    let target = &mut config.otlp.as_mut().unwrap().target;
    target.access.headers.push(("x-tenant".to_owned(), Secret::new("north")));
    target.access.bearer = Some(Secret::new("t0ken"));
    config.site = "north".to_owned();
    let mut running = Running::new(&config);
    running.journey(refused_journey(7));
    running.incident(&incident(3));
    let (mut traces, mut metrics, mut logs) = (None, None, None);
    while traces.is_none() || metrics.is_none() || logs.is_none() {
        match got.recv().await.expect("the collector lives") {
            Got::Traces(request, headers) => traces = Some((request, headers)),
            Got::Metrics(request) => metrics = Some(request),
            Got::Logs(request) => logs = Some(request),
        }
    }
    let (request, headers) = traces.unwrap();
    assert_eq!(headers, ["north", "Bearer t0ken"]);
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let names: Vec<_> = resource.attributes.iter().map(|kv| kv.key.as_str()).collect();
    assert_eq!(names, ["service.name", "service.version", "feedpulse.site"]);
    assert_eq!(request.resource_spans[0].schema_url, "https://opentelemetry.io/schemas/1.44.0");
    let spans = spans(request);
    assert_eq!(spans.len(), 4, "root, two sendings, one leg");
    assert_eq!(spans[0].trace_id, 7_u128.to_be_bytes());
    assert_eq!(spans[0].start_time_unix_nano, 1_790_000_000_000_000_000);
    assert_eq!(spans[0].end_time_unix_nano, 1_790_000_000_250_000_000);
    assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_id));
    let record = &logs.unwrap().resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.event_name, "feedpulse.incident.open");
    assert_eq!(record.severity_text, "ERROR");
    assert!(!metrics.unwrap().resource_metrics[0].scope_metrics[0].metrics.is_empty());
    running.stop().await;
    assert_eq!(running.sinks.spans_exported(), 4);
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        adds_up(&running, signal);
        assert_eq!(running.sinks.accounts(signal).queued, 0);
    }
    assert!(running.own.try_recv().is_err(), "nothing failed");
}

#[tokio::test(start_paused = true)]
async fn spans_arrive_by_http_and_a_partial_success_is_counted() {
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: String::new(),
        }),
    };
    let (address, mut seen) =
        http(Arc::new(move |_| (200, String::new(), partial.encode_to_vec()))).await;
    let mut running =
        Running::new(&traces_only(&format!("{address}/base/"), Protocol::HttpProtobuf));
    running.journey(refused_journey(7));
    let request = seen.recv().await.unwrap();
    assert_eq!(request.line, "POST /base/v1/traces HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    let arrived = spans(ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap());
    assert_eq!(arrived, crate::otlp::traces::spans_of(&refused_journey(7), &super::names()));
    running.stop().await;
    let accounts = running.sinks.accounts(Signal::Traces);
    assert_eq!((accounts.offered, accounts.exported, accounts.rejected), (4, 1, 3));
    let dropped = |reason| {
        let labels = [("signal", "traces"), ("reason", reason)];
        running.number("feedpulse_telemetry_dropped_total", &labels)
    };
    assert_eq!(dropped("rejected"), Some(3.0));
    assert_eq!(dropped("failed"), Some(0.0));
    let exported = running.number("feedpulse_telemetry_exported_total", &[("signal", "traces")]);
    assert_eq!(exported, Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_busy_collector_is_tried_again_until_it_takes_the_spans() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let (address, mut got) =
        collector(Arc::new(move || match count.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err(Status::unavailable("starting")),
            _ => Ok(0),
        }))
        .await;
    let mut running = Running::new(&traces_only(&address, Protocol::Grpc));
    running.journey(refused_journey(1));
    assert!(matches!(got.recv().await, Some(Got::Traces(..))));
    let failing = running.own.recv().await.unwrap();
    assert_eq!((failing.part.as_str(), failing.code), ("otlp", Code::ExportDown));
    assert_eq!((failing.failing, failing.detail.as_str()), (true, "grpc-14"));
    let well = running.own.recv().await.unwrap();
    assert!(!well.failing);
    running.stop().await;
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    assert_eq!(running.sinks.spans_exported(), 4);
    adds_up(&running, Signal::Traces);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_not_tried_again() {
    let (address, mut seen) = http(Arc::new(|_| (400, String::new(), Vec::new()))).await;
    let mut running = Running::new(&traces_only(&address, Protocol::HttpProtobuf));
    running.journey(refused_journey(1));
    seen.recv().await.unwrap();
    running.stop().await;
    assert!(seen.try_recv().is_err(), "one attempt");
    assert_eq!(running.sinks.accounts(Signal::Traces).failed, 4);
}

#[tokio::test(start_paused = true)]
async fn a_dead_collector_costs_counted_drops_and_is_reported_by_both_protocols() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let address = closed_port().await;
        let mut config = traces_only(&address, protocol);
        config.otlp.as_mut().unwrap().queue_spans = 512;
        let mut running = Running::new(&config);
        for key in 1..=200 {
            running.journey(refused_journey(key)); // four spans each: 128 journeys fit
        }
        let accounts = running.sinks.accounts(Signal::Traces);
        assert_eq!((accounts.offered, accounts.queued, accounts.queue_full), (800, 512, 288));
        let failing = running.own.recv().await.unwrap();
        assert_eq!((failing.failing, failing.detail.as_str()), (true, "refused"), "{protocol:?}");
        tokio::time::sleep(Duration::from_secs(40)).await;
        let accounts = running.sinks.accounts(Signal::Traces);
        assert_eq!((accounts.queued, accounts.failed, accounts.exported), (0, 512, 0));
        running.journey(refused_journey(999));
        running.stop().await;
        let accounts = running.sinks.accounts(Signal::Traces);
        assert_eq!((accounts.offered, accounts.failed, accounts.queue_full), (804, 516, 288));
        adds_up(&running, Signal::Traces);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_fails_does_not_stop_the_others_and_recovers_without_traffic() {
    let broken = Arc::new(AtomicU32::new(1));
    let state = Arc::clone(&broken);
    let (address, mut seen) = http(Arc::new(move |seen| {
        let fails = seen.line.contains("/v1/traces") && state.load(Ordering::Relaxed) == 1;
        (if fails { 503 } else { 200 }, String::new(), Vec::new())
    }))
    .await;
    let mut running = Running::new(&config(&address, Protocol::HttpProtobuf));
    running.journey(refused_journey(1));
    running.incident(&incident(3));
    let failing = running.own.recv().await.unwrap();
    assert_eq!((failing.failing, failing.detail.as_str()), (true, "http-503"));
    let mut arrived = Vec::new();
    while arrived.len() < 2 {
        let seen = seen.recv().await.unwrap();
        if seen.line.contains("/v1/logs") {
            let request = ExportLogsServiceRequest::decode(seen.body.as_slice()).unwrap();
            arrived.push(request.resource_logs[0].scope_logs[0].log_records[0].event_name.clone());
        } else if seen.line.contains("/v1/metrics") {
            arrived.push("metrics".to_owned());
        }
    }
    arrived.sort();
    assert!(arrived.contains(&"metrics".to_owned()), "{arrived:?}");
    // The spans are given up; nothing more is offered, yet the recovery is noticed.
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(running.sinks.accounts(Signal::Traces).failed, 4);
    broken.store(0, Ordering::Relaxed);
    loop {
        if !running.own.recv().await.unwrap().failing {
            break;
        }
    }
    running.stop().await;
    assert!(running.sinks.accounts(Signal::Logs).exported >= 1);
    for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
        adds_up(&running, signal);
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_are_cumulative_and_come_each_interval() {
    let (address, mut got) = collector(Arc::new(|| Ok(0))).await;
    let mut config = config(&address, Protocol::Grpc);
    let otlp = config.otlp.as_mut().unwrap();
    (otlp.traces, otlp.logs) = (false, false);
    let mut running = Running::new(&config);
    let counter = running.registry.counter("feedpulse_test_total", "A test.", "{thing}", &[]);
    for expected in [0, 10, 20] {
        counter.set(expected + 5);
        // The first export is at once, before the counter was set to more than 5.
        let Some(Got::Metrics(request)) = got.recv().await else { panic!("metrics come") };
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let metric = metrics.iter().find(|m| m.name == "feedpulse_test_total").unwrap();
        let Some(opentelemetry_proto::tonic::metrics::v1::metric::Data::Sum(sum)) = &metric.data
        else {
            panic!("a sum")
        };
        assert!(sum.is_monotonic);
        let point = &sum.data_points[0];
        assert_eq!(point.start_time_unix_nano, crate::otlp::nanos(T0));
        let shown = crate::otlp::nanos(at(expected * 1000));
        assert!(point.time_unix_nano.abs_diff(shown) < 2_000_000_000, "{}", point.time_unix_nano);
        let value =
            Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsDouble(
                f64::from(u32::try_from(expected).unwrap() + 5),
            ));
        assert_eq!(point.value, value);
    }
    running.stop().await;
    adds_up(&running, Signal::Metrics);
}

#[tokio::test(start_paused = true)]
async fn successful_journeys_are_counted_and_only_the_first_are_sent() {
    let (address, mut seen) = http(ok()).await;
    let mut running = Running::new(&traces_only(&address, Protocol::HttpProtobuf));
    for key in 1..=100 {
        running.journey(journey(key));
    }
    seen.recv().await.unwrap();
    running.stop().await;
    assert_eq!(running.sinks.journeys_sampled_out(), 94);
    assert_eq!(running.sinks.spans_exported(), 6 * 4);
}

#[tokio::test(start_paused = true)]
async fn no_control_id_leaves_unless_it_may() {
    let (address, mut seen) = http(ok()).await;
    let mut running = Running::new(&traces_only(&address, Protocol::HttpProtobuf));
    running.journey(refused_journey(0xabc));
    let body = seen.recv().await.unwrap().body;
    let text = String::from_utf8_lossy(&body);
    assert!(!text.contains("MSG00042"));
    let id = refused_journey(0xabc).control_id;
    assert!(text.contains(&hashed_control_id(&SITE_KEY, id).unwrap()));
    running.stop().await;
    let mut config = traces_only(&address, Protocol::HttpProtobuf);
    config.otlp.as_mut().unwrap().control_ids = crate::config::ControlIds::Clear;
    let mut running = Running::new(&config);
    running.journey(refused_journey(0xabc));
    let body = seen.recv().await.unwrap().body;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let clear = Some(Value::StringValue("MSG00042".to_owned()));
    let ids = spans(request).into_iter().flat_map(|span| span.attributes);
    assert!(ids.into_iter().any(|kv| kv.value.is_some_and(|v| v.value == clear)));
    running.stop().await;
}
