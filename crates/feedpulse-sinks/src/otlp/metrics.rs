//! The registry's families as OTLP metrics: cumulative sums, gauges and explicit-bounds histograms.

use crate::otlp::export::{Shipper, until_stopped};
use crate::otlp::semconv::SCHEMA_URL;
use crate::otlp::transport::{Payload, Way};
use crate::otlp::{nanos, scope, text};
use crate::{Clock, FamilySource};
use core::time::Duration;
use feedpulse_core::hist::Histogram as Times;
use feedpulse_core::metrics::{Family, Kind, Point, Value};
use feedpulse_core::time::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Times of all points of one export.
#[derive(Clone, Copy, Debug)]
struct Span {
    started: u64,
    now: u64,
}

/// Families as requests of at most `batch` points each, with the count of each. Points that are not
/// finite, or whose value does not fit their family's kind, are left out.
pub(crate) fn requests(
    families: &[Family],
    resource: &Resource,
    started: Timestamp,
    now: Timestamp,
    batch: usize,
) -> Vec<(Payload, usize)> {
    let span = Span { started: nanos(started), now: nanos(now) };
    let mut done = Vec::new();
    let mut metrics: Vec<Metric> = Vec::new();
    let mut points = 0;
    for family in families {
        let mut rest: &[Point] = &family.points;
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(batch - points));
            rest = later;
            let (metric, n) = metric(family, part, span);
            if n > 0 {
                metrics.push(metric);
                points += n;
            }
            if points == batch {
                done.push((request(resource, core::mem::take(&mut metrics)), points));
                points = 0;
            }
        }
    }
    if points > 0 {
        done.push((request(resource, metrics), points));
    }
    done
}

fn request(resource: &Resource, metrics: Vec<Metric>) -> Payload {
    Payload::Metrics(ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        }],
    })
}

fn metric(family: &Family, points: &[Point], span: Span) -> (Metric, usize) {
    let temporality = AggregationTemporality::Cumulative as i32;
    let numbers = || -> Vec<NumberDataPoint> {
        points.iter().filter_map(|point| number(point, span)).collect()
    };
    let (data, n) = match family.kind {
        Kind::Counter => {
            let data_points = numbers();
            let n = data_points.len();
            let sum = Sum { data_points, aggregation_temporality: temporality, is_monotonic: true };
            (Data::Sum(sum), n)
        }
        Kind::Gauge => {
            let data_points = numbers();
            let n = data_points.len();
            (Data::Gauge(Gauge { data_points }), n)
        }
        Kind::Histogram | Kind::Brief => {
            let bounds = family.kind.bounds();
            let data_points: Vec<_> =
                points.iter().filter_map(|point| histogram(point, span, bounds)).collect();
            let n = data_points.len();
            let data = Histogram { data_points, aggregation_temporality: temporality };
            (Data::Histogram(data), n)
        }
    };
    let metric = Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    (metric, n)
}

fn attributes(point: &Point) -> Vec<KeyValue> {
    point.labels.iter().map(|(key, value)| text(key, value)).collect()
}

fn number(point: &Point, span: Span) -> Option<NumberDataPoint> {
    let Value::Number(value) = point.value else { return None };
    value.is_finite().then(|| NumberDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: span.started,
        time_unix_nano: span.now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

#[expect(clippy::cast_precision_loss, reason = "µs below 2^53 are exact, longer ones near enough")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn histogram(point: &Point, span: Span, bounds: &[u64]) -> Option<HistogramDataPoint> {
    let Value::Times(times) = &point.value else { return None };
    Some(HistogramDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: span.started,
        time_unix_nano: span.now,
        count: times.count(),
        sum: Some(seconds(times.sum())),
        bucket_counts: buckets(times, bounds),
        explicit_bounds: bounds.iter().map(|micros| seconds(*micros)).collect(),
        max: times.max().map(seconds),
        ..HistogramDataPoint::default()
    })
}

/// One count for each bound, then those above the last; their sum is the count.
fn buckets(times: &Times, bounds: &[u64]) -> Vec<u64> {
    let mut counts = Vec::with_capacity(bounds.len() + 1);
    let mut below = 0;
    for bound in bounds {
        let up_to = times.at_most(*bound).clamp(below, times.count().max(below));
        counts.push(up_to - below);
        below = up_to;
    }
    counts.push(times.count().saturating_sub(below));
    counts
}

/// Sends all families once an interval. What is not delivered by the next one is dropped: the values
/// are cumulative, so the next send makes up for it.
pub(crate) struct MetricsTask {
    pub(crate) families: FamilySource,
    pub(crate) clock: Clock,
    pub(crate) started: Timestamp,
    pub(crate) interval: Duration,
    pub(crate) batch: usize,
    pub(crate) way: Way,
    pub(crate) shipper: Shipper,
}

impl MetricsTask {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { families, clock, started, interval, batch, way, shipper } = self;
        let transport = way.open();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let working = async {
            let mut last = false;
            while !last {
                // One more export after the stop: the last counts.
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.cancelled() => last = true,
                }
                let made = requests(&families(), &shipper.resource, started, clock(), batch);
                let all: usize = made.iter().map(|(_, n)| n).sum();
                shipper.tally.admit(all, usize::MAX);
                for (payload, n) in made {
                    shipper.ship(&transport, &payload, n).await;
                }
            }
        };
        until_stopped(working, &stop).await;
        shipper.tally.abandon();
    }
}
