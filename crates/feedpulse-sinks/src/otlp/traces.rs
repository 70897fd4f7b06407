//! A journey as a trace: one root span, one span for each sending, one for each leg. Ids are
//! derived, so a journey that is exported twice after a crash is one trace, not two.

use crate::config::{ControlIds, Relation};
use crate::otlp::flags::Flag;
use crate::otlp::semconv::{self, Key, SCHEMA_URL, Val, attribute};
use crate::otlp::transport::Payload;
use crate::otlp::{nanos, scope};
use crate::random::mix;
use feedpulse_core::effect::{JourneyEnd, JourneyRecord, Sending};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::time::Precision;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// What carries messages at a waypoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum System {
    /// HL7 over MLLP. Not in the conventions' list, which allows own values.
    #[default]
    Mllp,
    /// A Kafka topic.
    Kafka,
    /// HL7 over HTTP.
    Http,
    /// Files.
    File,
}

impl System {
    /// `messaging.system`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mllp => "mllp",
            Self::Kafka => "kafka",
            Self::Http => "http",
            Self::File => "file",
        }
    }

    /// Request and answer make a CLIENT, a hand-over without an answer a PRODUCER.
    const fn kind(self) -> SpanKind {
        match self {
            Self::Mllp | Self::Http => SpanKind::Client,
            Self::Kafka | Self::File => SpanKind::Producer,
        }
    }
}

/// A waypoint's name and carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaypointName {
    /// Its name.
    pub name: String,
    /// Its carrier.
    pub system: System,
}

/// What spans need to know beside the record.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By [`WaypointId`]; one that is missing is shown as `waypoint-7`, `mllp`.
    pub waypoints: Vec<WaypointName>,
    /// How traces join a context that came with the message. [`crate::build`] takes it from
    /// [`crate::config::OtlpConfig::relation`].
    pub relation: Relation,
    /// Whether control ids are shown. [`crate::build`] takes it from
    /// [`crate::config::OtlpConfig::control_ids`].
    pub control_ids: ControlIds,
    /// What control ids are hashed with; without it they are left out where they may not be shown.
    pub key: Option<SiteKey>,
}

impl Names {
    fn waypoint(&self, id: WaypointId) -> (String, System) {
        self.waypoints.get(usize::from(id.0)).map_or_else(
            || (format!("waypoint-{}", id.0), System::default()),
            |known| (known.name.clone(), known.system),
        )
    }
}

/// Indices of a journey's sendings that are the first at their waypoint, in order of sending.
fn firsts(journey: &JourneyRecord) -> impl Iterator<Item = (usize, &Sending)> {
    journey.sends.iter().enumerate().filter(|(i, sending)| resend_number(journey, *i, sending) == 0)
}

fn resend_number(journey: &JourneyRecord, index: usize, sending: &Sending) -> usize {
    journey.sends.iter().take(index).filter(|other| other.waypoint == sending.waypoint).count()
}

/// How many spans [`spans_of`] will make: the root, the sendings, the legs.
#[must_use]
pub fn span_count(journey: &JourneyRecord) -> usize {
    1 + journey.sends.len() + firsts(journey).count().saturating_sub(1)
}

/// The trace id: the one that came with the message when the journey joins it, else the journey
/// key; never zero.
#[must_use]
pub fn trace_id(journey: &JourneyRecord, relation: Relation) -> u128 {
    match journey.trace {
        Some(context) if relation == Relation::Parent => context.trace_id.max(1),
        _ => journey.key.as_u128().max(1),
    }
}

/// A control id as it leaves where it may not be shown: a keyed hash in 32 hexadecimal digits, the
/// same at every waypoint and in every release. None when it is empty.
#[must_use]
pub fn hashed_control_id(key: &SiteKey, control_id: ControlId) -> Option<String> {
    let hash = key.ack_key(control_id.clear().as_str().as_bytes())?;
    Some(format!("{:032x}", hash.as_u128()))
}

/// Hash of trace, journey, its first time and the span's place: a message that is sent again after
/// its journey ended gets new spans in the same trace. Never zero.
#[expect(clippy::cast_possible_truncation, reason = "halves of 128-bit numbers are mixed in turn")]
fn span_id(trace: u128, journey: &JourneyRecord, index: usize) -> u64 {
    let key = journey.key.as_u128();
    let first = journey.sends.first().map_or(journey.ended_at, |sending| sending.at);
    [
        trace as u64,
        (trace >> 64) as u64,
        key as u64,
        (key >> 64) as u64,
        first.as_micros().cast_unsigned(),
        index as u64,
    ]
    .into_iter()
    .fold(0, |hash, part| mix(hash ^ part))
    .max(1)
}

struct Maker<'a> {
    journey: &'a JourneyRecord,
    names: &'a Names,
    trace: u128,
    root: u64,
    made: Vec<Span>,
}

/// The ids of a journey's trace and of its root span.
pub(crate) fn ids(journey: &JourneyRecord, relation: Relation) -> (u128, u64) {
    let trace = trace_id(journey, relation);
    (trace, span_id(trace, journey, 0))
}

/// As [`spans_of`], with what checks found as events of the root.
pub(crate) fn flagged(journey: &JourneyRecord, names: &Names, flags: &[Flag]) -> Vec<Span> {
    let mut spans = spans_of(journey, names);
    if let Some(root) = spans.first_mut() {
        root.events.extend(flags.iter().map(Flag::event));
    }
    spans
}

/// The spans of one journey: the root first, then sendings in order, then legs. Times are those of
/// the record (ours), in ns.
#[must_use]
pub fn spans_of(journey: &JourneyRecord, names: &Names) -> Vec<Span> {
    let trace = trace_id(journey, names.relation);
    let mut maker = Maker {
        journey,
        names,
        trace,
        root: span_id(trace, journey, 0),
        made: Vec::with_capacity(span_count(journey)),
    };
    maker.root();
    for (index, sending) in journey.sends.iter().enumerate() {
        maker.sending(index, sending);
    }
    maker.legs();
    maker.made
}

impl Maker<'_> {
    fn span(&self, name: String, kind: SpanKind) -> Span {
        Span {
            trace_id: self.trace.to_be_bytes().to_vec(),
            span_id: span_id(self.trace, self.journey, self.made.len()).to_be_bytes().to_vec(),
            parent_span_id: self.root.to_be_bytes().to_vec(),
            // Sampled; whether the parent is remote is known.
            flags: 0x101,
            name,
            kind: kind as i32,
            ..Span::default()
        }
    }

    fn messaging(
        &self,
        system: System,
        operation: &'static str,
        control_id: ControlId,
    ) -> Vec<KeyValue> {
        let id = match self.names.control_ids {
            _ if control_id.clear().is_empty() => None,
            ControlIds::Clear => Some(Val::Label(*control_id.clear())),
            ControlIds::Hashed => {
                let key = self.names.key.as_ref();
                key.and_then(|key| hashed_control_id(key, control_id)).map(Val::Name)
            }
        };
        let mut attributes = vec![
            attribute(Key::System, Val::Set(system.name())),
            attribute(Key::OperationName, Val::Set(operation)),
            attribute(Key::OperationType, Val::Set(operation)),
            attribute(Key::Destination, Val::Name(self.journey.feed_name.clone())),
        ];
        attributes.extend(id.map(|id| attribute(Key::MessageId, id)));
        attributes
    }

    fn root(&mut self) {
        let journey = self.journey;
        let first = journey.sends.first();
        let system = first.map_or(System::default(), |s| self.names.waypoint(s.waypoint).1);
        let mut span = self.span(format!("process {}", journey.feed_name), SpanKind::Consumer);
        span.parent_span_id.clear();
        if let Some(context) = journey.trace {
            span.links.push(Link {
                trace_id: context.trace_id.to_be_bytes().to_vec(),
                span_id: context.span_id.to_be_bytes().to_vec(),
                flags: 0x300 | u32::from(context.sampled),
                ..Link::default()
            });
            if self.names.relation == Relation::Parent {
                span.parent_span_id = context.span_id.to_be_bytes().to_vec();
                span.flags |= 0x200;
            }
        }
        let started = first.map_or(journey.ended_at, |s| s.at);
        span.start_time_unix_nano = nanos(started);
        span.end_time_unix_nano = nanos(journey.ended_at.max(started));
        span.attributes = self.messaging(system, "process", journey.control_id);
        journey_attributes(journey, &mut span.attributes);
        let failed = failure(journey);
        span.status = Some(status(failed, journey.end.name(), journey.end.is_well()));
        if let Some(kind) = failed {
            span.attributes.push(attribute(Key::ErrorType, Val::Set(kind)));
        }
        self.made.push(span);
    }

    fn sending(&mut self, index: usize, sending: &Sending) {
        let (waypoint, system) = self.names.waypoint(sending.waypoint);
        let mut span = self.span(format!("send {waypoint}"), system.kind());
        let ended = sending.ended_at.unwrap_or(sending.at).max(sending.at);
        span.start_time_unix_nano = nanos(sending.at);
        span.end_time_unix_nano = nanos(ended);
        span.attributes = self.messaging(system, "send", sending.control_id);
        let set = &mut span.attributes;
        set.push(attribute(Key::Waypoint, Val::Name(waypoint)));
        set.push(attribute(Key::Size, Val::Int(i64::from(sending.size))));
        let again = resend_number(self.journey, index, sending);
        if again > 0 {
            set.push(attribute(Key::Resend, Val::Int(i64::try_from(again).unwrap_or(i64::MAX))));
        }
        if sending.slow {
            set.push(attribute(Key::AckSlow, Val::Bool(true)));
        }
        let reason = sending.reason.said();
        if let Some(reason) = reason {
            set.push(attribute(Key::Reason, Val::Set(reason)));
        }
        if let Some(outcome) = sending.outcome {
            set.push(attribute(Key::Outcome, Val::Set(outcome.name())));
            let failed = semconv::error_type(outcome, sending.ack);
            if let Some(kind) = failed {
                set.push(attribute(Key::ErrorType, Val::Set(kind)));
            }
            span.status = Some(status(failed, outcome.name(), outcome.is_success()));
        }
        if let (Some(ack), Some(at)) = (sending.ack, sending.ended_at) {
            let mut attributes = vec![attribute(Key::Ack, Val::Set(ack.name()))];
            if let Some(reason) = reason {
                attributes.push(attribute(Key::Reason, Val::Set(reason)));
            }
            let time_unix_nano = nanos(at);
            let name = "ack".to_owned();
            span.events.push(Event { time_unix_nano, name, attributes, ..Event::default() });
        }
        self.made.push(span);
    }

    /// From the first sighting at one waypoint to the first at the next.
    fn legs(&mut self) {
        let mut previous: Option<&Sending> = None;
        for (_, sending) in firsts(self.journey) {
            if let Some(from) = previous {
                let (from_name, _) = self.names.waypoint(from.waypoint);
                let (to_name, _) = self.names.waypoint(sending.waypoint);
                let mut span = self.span(format!("leg {from_name} {to_name}"), SpanKind::Internal);
                span.start_time_unix_nano = nanos(from.at);
                span.end_time_unix_nano = nanos(sending.at.max(from.at));
                span.attributes = vec![
                    attribute(Key::Feed, Val::Name(self.journey.feed_name.clone())),
                    attribute(Key::LegFrom, Val::Name(from_name)),
                    attribute(Key::LegTo, Val::Name(to_name)),
                ];
                self.made.push(span);
            }
            previous = Some(sending);
        }
    }
}

fn status(failed: Option<&'static str>, name: &'static str, success: bool) -> Status {
    match failed {
        Some(_) => Status { code: StatusCode::Error as i32, message: name.to_owned() },
        None if success => Status { code: StatusCode::Ok as i32, ..Status::default() },
        // Unknown: a blind interval is neither.
        None => Status::default(),
    }
}

/// `error.type` of the whole: that of the last sending with the outcome that ended it.
fn failure(journey: &JourneyRecord) -> Option<&'static str> {
    match journey.end {
        JourneyEnd::Expired => Some("timeout"),
        JourneyEnd::Delivered(_) | JourneyEnd::Filtered | JourneyEnd::Unknown => None,
        JourneyEnd::Failed(outcome) | JourneyEnd::Partly(outcome) => {
            let last = journey.sends.iter().rev().find(|s| s.outcome == Some(outcome));
            semconv::error_type(outcome, last.and_then(|s| s.ack))
        }
    }
}

fn journey_attributes(journey: &JourneyRecord, set: &mut Vec<KeyValue>) {
    set.push(attribute(Key::Journey, Val::Name(format!("{:032x}", journey.key.as_u128()))));
    set.push(attribute(Key::Feed, Val::Name(journey.feed_name.clone())));
    set.push(attribute(Key::Outcome, Val::Set(journey.end.name())));
    set.push(attribute(Key::Urgency, Val::Set(journey.urgency.name())));
    set.push(attribute(Key::Late, Val::Bool(journey.late)));
    set.push(attribute(Key::Sends, Val::Int(i64::from(journey.sends_total))));
    let labels =
        [(Key::Type, journey.code), (Key::Trigger, journey.trigger), (Key::Sender, journey.sender)];
    for (key, label) in labels {
        if !label.is_empty() {
            set.push(attribute(key, Val::Label(label)));
        }
    }
    let found: Vec<Label> = journey.found.clone();
    if !found.is_empty() {
        set.push(attribute(Key::Checks, Val::Labels(found)));
    }
    let failed = journey.sends.iter().rev().find(|s| s.outcome.is_some_and(|o| !o.is_success()));
    if failure(journey).is_some()
        && let Some(reason) = failed.and_then(|s| s.reason.said())
    {
        set.push(attribute(Key::Reason, Val::Set(reason)));
    }
    let Some(first) = journey.sends.first() else { return };
    set.push(attribute(Key::Size, Val::Int(i64::from(first.size))));
    if let Some((_, last)) = firsts(journey).last()
        && last.waypoint != first.waypoint
    {
        set.push(attribute(Key::Transit, Val::Float(last.at.since(first.at).as_secs_f64())));
    }
    // A lag cannot be told from a time stated to the minute or day, nor from a clock that is ahead.
    if let Some(event) = journey.event_time
        && event.precision >= Precision::Second
        && first.at >= event.at
    {
        set.push(attribute(Key::SourceAge, Val::Float(first.at.since(event.at).as_secs_f64())));
    }
}

/// A batch of spans as a request.
pub(crate) fn wrap(resource: &Resource, spans: Vec<Span>) -> Payload {
    let scope_spans =
        vec![ScopeSpans { scope: Some(scope()), spans, schema_url: SCHEMA_URL.to_owned() }];
    Payload::Traces(ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans,
            schema_url: SCHEMA_URL.to_owned(),
        }],
    })
}
