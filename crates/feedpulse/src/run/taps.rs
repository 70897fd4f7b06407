//! Which taps there are, and how each is started.

use super::passing_tls::PassingTls;
use super::pipeline::Queue;
use super::supervise::Supervisor;
use crate::cli::{CONFIG, Failure, UNAVAILABLE};
use crate::clock;
use crate::config::Config;
use anyhow::anyhow;
use feedpulse_core::frame::{ConnectionId, WaypointId};
use feedpulse_core::key::SiteKey;
use feedpulse_core::metrics::Registry;
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::tap::{Intake as _, Position, TapBatch, Tapped};
use feedpulse_hl7::json::Receipt;
use feedpulse_sinks::otlp::traces::{Names, System, WaypointName};
use feedpulse_taps::capture::live::{self, CaptureTap, CaptureTapError, Numbers};
use feedpulse_taps::file::{FileSource, FileTap, FileTapConfig};
use feedpulse_taps::mllp::{MllpTap, MllpTapConfig};
use feedpulse_web::{IngestConfig, IngestCounters, IngestParts, ServeLimits, bind, ingest, serve};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Name of the tap on the wire.
pub(crate) const WIRE_TAP: &str = "mllp";

/// Names and carriers of all waypoints, for spans, and what control ids are hashed with there.
pub(crate) fn names(config: &Config, key: SiteKey) -> Names {
    let system = |n: usize| {
        let here = super::pipeline::waypoint(n);
        let kafka = config.kafka.iter().flat_map(|k| &k.topics).any(|t| t.waypoint == here);
        let file = config.files.iter().any(|(_, w)| *w == here);
        let http = config.http.iter().flat_map(|h| &h.waypoints).any(|(_, w)| *w == here);
        match (kafka, file, http) {
            (true, ..) => System::Kafka,
            (_, true, _) => System::File,
            (.., true) => System::Http,
            _ => System::Mllp,
        }
    };
    let named = config.plan.waypoints.iter().enumerate();
    let waypoints =
        named.map(|(n, w)| WaypointName { name: w.name.clone(), system: system(n) }).collect();
    Names { waypoints, key: Some(key), ..Names::default() }
}

/// Starts every tap of the configuration.
///
/// # Errors
/// The tap that cannot work, and why.
pub(crate) async fn start(
    config: &Config,
    key: SiteKey,
    positions: &[Position],
    registry: &Registry,
    queue: &Queue,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    if let Some(mllp) = &config.mllp {
        let tap = MllpTapConfig::new(WIRE_TAP, &mllp.wire.socket, mllp.waypoints.clone())
            .map_err(|e| Failure::new(CONFIG, e))?
            .ring_bytes(mllp.wire.ring_bytes);
        let names = config.plan.waypoints.iter().map(|waypoint| waypoint.name.clone()).collect();
        let passing = PassingTls::new(names);
        let tap = MllpTap::new(tap, positions)
            .telling_tls(move |waypoint, facts| passing.seen(waypoint, facts));
        let (intake, stop) = (queue.clone(), supervisor.taps.clone());
        supervisor.tap("mllp".to_owned(), async move {
            if let Err(error) = tap.run(intake, stop).await {
                tracing::error!("the mllp tap ended: {error}");
            }
        });
    }
    capture(config, positions, registry, queue, supervisor)?;
    files(config, positions, queue, supervisor)?;
    http(config, key, registry, queue, supervisor).await?;
    kafka(config, key, positions, registry, queue, supervisor)
}

/// Passive capture. Where it may not, the other taps go on and an incident says so; where it is the only
/// one, that is the end.
fn capture(
    config: &Config,
    positions: &[Position],
    registry: &Registry,
    queue: &Queue,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    let Some(capture) = &config.capture else { return Ok(()) };
    let names = capture.endpoints.iter().map(|(_, waypoint)| {
        let named = config.plan.waypoints.get(usize::from(waypoint.0));
        named.map(|w| w.name.clone()).unwrap_or_default()
    });
    let numbers = Numbers::new(names.collect());
    let shown = numbers.clone();
    registry.source(move || shown.families());
    let (mut intake, stop) = (queue.clone(), supervisor.taps.clone());
    match CaptureTap::open(capture.clone(), positions, Arc::new(clock::now), numbers) {
        Ok(tap) => supervisor.tap(capture.name.clone(), async move {
            if let Err(error) = tap.run(intake, stop).await {
                tracing::error!("the capture tap ended: {error}");
            }
        }),
        Err(error) if is_alone(config) => {
            let code = match error {
                CaptureTapError::Extent => CONFIG,
                _ => UNAVAILABLE,
            };
            return Err(Failure::new(code, error));
        }
        Err(error) => {
            tracing::error!("no passive capture, the other taps go on: {error}");
            let batch = live::down(&capture.name, &error);
            supervisor.tap(capture.name.clone(), async move {
                if intake.put(batch).await.is_ok() {
                    stop.cancelled().await;
                }
            });
        }
    }
    Ok(())
}

/// Whether nothing but passive capture taps.
fn is_alone(config: &Config) -> bool {
    let others = config.kafka.is_empty() && config.files.is_empty();
    config.mllp.is_none() && config.http.is_none() && others
}

fn files(
    config: &Config,
    positions: &[Position],
    queue: &Queue,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    for (folder, waypoint) in &config.files {
        let name = format!("files {}", folder.display());
        let source = FileSource::Watch(folder.clone());
        let opts = FileTapConfig::new(name.clone(), source, *waypoint, Arc::new(clock::now))
            .map_err(|e| Failure::new(CONFIG, e))?;
        let (tap, intake, stop) =
            (FileTap::new(opts, positions), queue.clone(), supervisor.taps.clone());
        supervisor.tap(name, async move {
            if let Err(error) = tap.run(intake, stop).await {
                tracing::error!("a file tap ended: {error}: {}", error.source);
            }
        });
    }
    Ok(())
}

/// The HTTP tap: posts go through a small queue of their own, so that a full engine answers 503.
async fn http(
    config: &Config,
    key: SiteKey,
    registry: &Registry,
    queue: &Queue,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    let Some(http) = &config.http else { return Ok(()) };
    let token = super::token(http.listener.token.as_deref(), "http")?;
    let listen = http.listener.listen;
    let heartbeats = config.heartbeats.iter().map(|beat| {
        let token = super::token(beat.token.as_deref(), &format!("heartbeat {}", beat.name))?;
        Ok((beat.name.clone(), token))
    });
    let heartbeats = heartbeats.collect::<Result<Vec<_>, Failure>>()?;
    let posts = IngestConfig::new(listen, token, key, http.waypoints.clone(), heartbeats)
        .map_err(|e| Failure::new(CONFIG, e))?;
    let socket = bind("http", listen).await.map_err(|e| Failure::new(UNAVAILABLE, e))?;
    let local = socket.local_addr().map_err(|e| Failure::new(UNAVAILABLE, e))?;
    let (intake, batches) = mpsc::channel(POSTS_QUEUE);
    let format = http.receipt.clone();
    let receipts = move |waypoint, body: &[u8]| {
        let read = format.read(&key, body).map_err(|defect| defect.code.text().to_owned())?;
        let sighting = |receipt: Receipt| Sighting {
            at: clock::now(),
            waypoint,
            connection: ConnectionId(0),
            what: Seen::Receipt(receipt.seen),
        };
        Ok(read.into_iter().map(sighting).collect())
    };
    let parts = IngestParts {
        intake,
        receipts: Arc::new(receipts),
        clock: Arc::new(clock::now),
        counters: IngestCounters::register(registry),
    };
    let router = ingest(&posts, local, parts);
    let stop = supervisor.taps.clone();
    supervisor.tap("http".to_owned(), serve(socket, router, ServeLimits::default(), stop));
    let waypoints = http.waypoints.iter().map(|(_, w)| *w).collect();
    let (queue, stop) = (queue.clone(), supervisor.taps.clone());
    supervisor.tap("http-intake".to_owned(), pass_on(batches, queue, waypoints, stop));
    Ok(())
}

/// Posts that wait for the engine.
const POSTS_QUEUE: usize = 64;

/// From the HTTP tap's queue to the engine's; a sign of life each second.
async fn pass_on(
    mut batches: mpsc::Receiver<TapBatch>,
    mut queue: Queue,
    waypoints: Vec<WaypointId>,
    stop: CancellationToken,
) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        let batch = tokio::select! {
            () = stop.cancelled() => return,
            Some(batch) = batches.recv() => batch,
            _ = every.tick() => TapBatch {
                items: waypoints.iter().copied().map(Tapped::Alive).collect(),
                ..TapBatch::default()
            },
        };
        if queue.put(batch).await.is_err() {
            return;
        }
    }
}

/// A Kafka tap's configuration, and what it needs of the process.
///
/// # Errors
/// All that is wrong with its options and topics.
#[cfg(feature = "kafka")]
pub(crate) fn kafka_tap(
    config: &Config,
    key: SiteKey,
    registry: &Registry,
    tap: &crate::config::resolve::Kafka,
) -> Result<(feedpulse_kafka::KafkaConfig, feedpulse_kafka::KafkaDeps), Failure> {
    use crate::config::raw::RawRole;
    use feedpulse_hl7::json::{Encoding, ValueFormat};
    use feedpulse_kafka::{KafkaConfig, KafkaDeps, TopicConfig, TopicFormat, TopicRole};
    let mut topics = Vec::new();
    for topic in &tap.topics {
        let format = match (&topic.json, topic.role) {
            (_, RawRole::Receipt) => TopicFormat::Receipt(topic.receipt.clone()),
            (None, _) => TopicFormat::Value(ValueFormat::Hl7),
            (Some((pointer, base64)), _) => TopicFormat::Value(ValueFormat::Envelope {
                pointer: pointer.parse().map_err(|e| Failure::new(CONFIG, anyhow!("{e}")))?,
                encoding: if *base64 { Encoding::Base64 } else { Encoding::Text },
            }),
        };
        let role = match topic.role {
            RawRole::Message => TopicRole::Message,
            RawRole::Ack => TopicRole::Ack,
            RawRole::DeadLetter => TopicRole::DeadLetter,
            RawRole::Retry => TopicRole::Retry,
            RawRole::Receipt => TopicRole::Receipt,
        };
        topics.push(TopicConfig {
            topic: topic.topic.clone(),
            waypoint: topic.waypoint,
            role,
            format,
        });
    }
    let opts = KafkaConfig::new(&tap.name, tap.options.clone(), topics)
        .map_err(|e| of_tap(tap, anyhow!(e)))?;
    let decode =
        tap.topics.iter().map(|t| (t.waypoint, config.decoding(key, usize::from(t.waypoint.0))));
    let deps = KafkaDeps {
        registry: registry.clone(),
        site_key: key,
        decode: decode.collect(),
        clock: Arc::new(clock::now),
    };
    Ok((opts, deps))
}

#[cfg(feature = "kafka")]
fn of_tap(tap: &crate::config::resolve::Kafka, error: anyhow::Error) -> Failure {
    Failure::new(CONFIG, error.context(format!("kafka tap {}", tap.name)))
}

#[cfg(feature = "kafka")]
fn kafka(
    config: &Config,
    key: SiteKey,
    positions: &[Position],
    registry: &Registry,
    queue: &Queue,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    for tap in &config.kafka {
        let (opts, deps) = kafka_tap(config, key, registry, tap)?;
        let reader = feedpulse_kafka::KafkaTap::new(opts, positions, deps);
        let reader = reader.map_err(|e| of_tap(tap, anyhow!(e)))?;
        let (intake, stop) = (queue.clone(), supervisor.taps.clone());
        super::thread(supervisor, "fp-kafka", move || reader.run_blocking(intake, &stop))?;
    }
    Ok(())
}

#[cfg(not(feature = "kafka"))]
fn kafka(
    config: &Config,
    key: SiteKey,
    _: &[Position],
    _: &Registry,
    _: &Queue,
    _: &mut Supervisor,
) -> Result<(), Failure> {
    let _ = config
        .kafka
        .iter()
        .flat_map(|k| &k.topics)
        .map(|t| (&t.topic, t.role, &t.json, &t.receipt));
    let _ = config.decoding(key, 0);
    match config.kafka.first() {
        None => Ok(()),
        Some(tap) => Err(Failure::new(
            UNAVAILABLE,
            anyhow!(
                "kafka tap {} with {} options: this build has no Kafka",
                tap.name,
                tap.options.len()
            ),
        )),
    }
}
