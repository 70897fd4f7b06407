//! What a message costs that becomes no trace.
//!
//! The peer is the least that any bridge from `tracing` to OpenTelemetry has to pay: a span with
//! the same attributes, opened and closed on a bare registry, before a layer has looked at it.

use crate::Result;
use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness};
use crate::input::{START_US, site_key};
use feedpulse_core::class::AckClasses;
use feedpulse_core::effect::{Effect, EffectId, JourneyEnd, JourneyRecord, Sending};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::label::ControlId;
use feedpulse_core::lag::Withheld;
use feedpulse_core::metrics::Registry;
use feedpulse_core::plan::FeedId;
use feedpulse_core::sighting::{AckCode, FindKeys, Outcome, ReasonClass, Urgency};
use feedpulse_core::time::Timestamp;
use feedpulse_sinks::config::{OtlpConfig, SinksConfig, Target as Endpoint};
use feedpulse_sinks::otlp::sampler::Sampler;
use feedpulse_sinks::otlp::traces::Names;
use feedpulse_sinks::{Deps, SinkHandle};
use std::hint::black_box;
use std::sync::Arc;

/// Its name.
pub(crate) const GROUP: &str = "telemetry";

const DECIDE: &str = "decide";
const OFFER: &str = "offer";
const SPAN: &str = "tracing span on a bare registry";
/// Journeys of one turn.
const JOURNEYS: u32 = 256;

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let journeys: Vec<JourneyRecord> = (0..JOURNEYS).map(journey).collect();
    let effects: Vec<Effect> =
        journeys.iter().map(|journey| Effect::Journey(Box::new(journey.clone()))).collect();
    let n = journeys.len();
    let mut sampler = Sampler::new(0, 0.0);
    if journeys.iter().any(|journey| sampler.keep(journey)) {
        return Err("a journey without trouble was kept although nothing is to be".into());
    }
    let sinks = sinks()?;
    let id = EffectId { input: 1, index: 0 };
    let measured = harness.compare(vec![
        Contender::work(DECIDE, n, || {
            for journey in &journeys {
                black_box(sampler.keep(journey));
            }
        }),
        Contender::work(OFFER, n, || {
            for effect in &effects {
                sinks.offer(id, effect);
            }
        }),
        Contender::work(SPAN, n, || {
            tracing::subscriber::with_default(tracing_subscriber::registry(), || {
                for journey in &journeys {
                    span(journey);
                }
            });
        }),
    ])?;
    if sinks.journeys_sampled_out() == 0 {
        return Err("no journey was sampled out".into());
    }
    let most = Some(Target::OursAtMost(100.0));
    Ok(vec![
        measured.figure(GROUP, "decide that a journey is no trace, ns", (DECIDE, SPAN), most),
        measured.figure(GROUP, "offer a journey that is no trace, ns", (OFFER, SPAN), most),
    ])
}

/// A journey of two sendings that went well, over one of 16 feeds.
fn journey(number: u32) -> JourneyRecord {
    let at = Timestamp::from_micros(START_US + i64::from(number) * 1000);
    let id = format!("E{number:08}");
    let sending = |waypoint| Sending {
        waypoint: WaypointId(waypoint),
        control_id: ControlId::from_bytes(id.as_bytes()),
        at,
        ended_at: Some(at),
        outcome: Some(Outcome::Accepted),
        ack: Some(AckCode::AA),
        reason: ReasonClass::None,
        slow: false,
        size: 644,
    };
    JourneyRecord {
        key: site_key().ack_key(id.as_bytes()).expect("the id is not empty"),
        feed: FeedId(number % 16),
        feed_name: "ehr-adt".to_owned(),
        code: "ADT".into(),
        trigger: "A08".into(),
        sender: "EHR".into(),
        facility: "MAIN".into(),
        control_id: ControlId::from_bytes(id.as_bytes()),
        find: FindKeys::default(),
        urgency: Urgency::Routine,
        event_time: None,
        source_age: Err(Withheld::NoTime),
        first_at: at,
        sends: vec![sending(0), sending(1)],
        sends_total: 2,
        end: JourneyEnd::Delivered(Outcome::Accepted),
        missing: Vec::new(),
        classes: AckClasses::default(),
        ended_at: at,
        late: false,
        found: Vec::new(),
        trace: None,
    }
}

/// Sinks as the product makes them, with an exporter that nobody runs and that keeps no journey
/// without trouble.
fn sinks() -> Result<SinkHandle> {
    let mut otlp = OtlpConfig::new(Endpoint::new("http://127.0.0.1:4317"));
    (otlp.sample_per_minute, otlp.sample_ratio) = (0, 0.0);
    let config = SinksConfig {
        otlp: Some(otlp),
        alertmanagers: Vec::new(),
        webhooks: Vec::new(),
        dead_man: None,
        site: "bench".to_owned(),
    };
    let deps = Deps {
        registry: Registry::default(),
        clock: Arc::new(|| Timestamp::from_micros(START_US)),
        families: Arc::new(Vec::new),
        own: Arc::new(|_| {}),
        names: Names::default(),
        version: "bench".to_owned(),
        started: Timestamp::from_micros(START_US),
        told: Arc::new(|_| {}),
        seed: 1,
    };
    let built = feedpulse_sinks::build(&config, &deps);
    let (handle, _tasks) = built
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    Ok(handle)
}

/// What instrumenting each message would do, at its least.
fn span(journey: &JourneyRecord) {
    let span = tracing::info_span!(
        "process",
        messaging.system = "mllp",
        messaging.destination.name = journey.feed_name.as_str(),
        messaging.message.id = %journey.control_id.clear(),
        hl7.code = journey.code.as_str(),
        hl7.trigger = journey.trigger.as_str(),
        hl7.sender = journey.sender.as_str(),
        outcome = "accepted",
        size = 644_u32,
    );
    drop(black_box(span.entered()));
}
