//! What looks at the stream's surroundings: made from the configuration, run by the supervisor.

use super::side::SideBox;
use super::supervise::Supervisor;
use crate::cli::{CONFIG, Failure};
use crate::clock;
use crate::config::Config;
use crate::config::resolve::Group;
use anyhow::anyhow;
use feedpulse_core::input::Input;
use feedpulse_core::metrics::Registry;
#[cfg(feature = "kafka")]
use feedpulse_core::probe::Probed;
#[cfg(feature = "kafka")]
use feedpulse_kafka::GroupWatch;
#[cfg(feature = "kafka")]
use feedpulse_probes::Look;
use feedpulse_probes::{Probe, Put, Runner};
use std::sync::Arc;
#[cfg(feature = "kafka")]
use std::time::{Duration, Instant};

/// Starts every probe of a configuration.
///
/// # Errors
/// The probe that cannot work, and why.
pub(crate) fn start(
    config: &Config,
    registry: &Registry,
    side: &SideBox,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    let probes = config.probes.iter().map(probe).collect::<Result<Vec<_>, _>>()?;
    if !probes.is_empty() {
        let side = side.clone();
        let put: Put = Arc::new(move |probed| {
            // A full box sheds it and counts; the next look follows.
            side.put(Input::Probed(probed));
        });
        let now = clock::now();
        let seed = u64::from(std::process::id()) ^ now.as_micros().unsigned_abs();
        let runner = Runner::new(probes, Arc::new(clock::now), put, registry, seed);
        let stop = supervisor.taps.clone();
        supervisor.tap("probes".to_owned(), runner.run(stop));
    }
    groups(config, registry, side, supervisor)
}

/// Looks at consumer groups, one after the other, on a thread of its own: librdkafka blocks.
#[cfg(feature = "kafka")]
fn groups(
    config: &Config,
    registry: &Registry,
    side: &SideBox,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    let mut watched = Vec::new();
    for group in &config.groups {
        let name = feedpulse_core::label::Label::from(group.name.as_str());
        let numbers = feedpulse_probes::Numbers::new(registry, name);
        watched.push((group.clone(), watch(config, group)?, numbers, Instant::now()));
    }
    if watched.is_empty() {
        return Ok(());
    }
    let (side, stop) = (side.clone(), supervisor.taps.clone());
    super::thread(supervisor, "fp-groups", move || {
        while !stop.is_cancelled() {
            for (group, watch, numbers, due) in &mut watched {
                if *due > Instant::now() || stop.is_cancelled() {
                    continue;
                }
                *due = Instant::now() + group.every;
                let started = Instant::now();
                let look = look_at(watch, group.timeout);
                let elapsed = started.elapsed();
                numbers.show(&look, elapsed);
                let probe = feedpulse_core::label::Label::from(group.name.as_str());
                let (at, readings) = (clock::now(), look.readings);
                side.put(Input::Probed(Probed { probe, at, elapsed, readings }));
            }
            // Short, so that a stop is noticed.
            std::thread::sleep(Duration::from_millis(200));
        }
    })
}

/// A group, ready to be looked at.
///
/// # Errors
/// Why it cannot work.
#[cfg(feature = "kafka")]
pub(crate) fn watch(config: &Config, group: &Group) -> Result<GroupWatch, Failure> {
    let options = config.kafka.get(group.tap).map(|tap| tap.options.clone()).unwrap_or_default();
    GroupWatch::new(&options, &group.group, &group.topics)
        .map_err(|e| Failure::new(CONFIG, anyhow!(e).context(format!("probe {}", group.name))))
}

/// One look at a group.
#[cfg(feature = "kafka")]
pub(crate) fn look_at(watch: &GroupWatch, timeout: Duration) -> Look {
    use feedpulse_core::codes::Code;
    use feedpulse_core::label::Label;
    use feedpulse_core::probe::{Reading, Saw};
    let mut look = Look::default();
    let blind = match watch.look(clock::now(), timeout) {
        Ok(found) => {
            for (part, offsets) in found {
                look.notes.push(format!("{part}: {offsets:?}"));
                look.readings.push(Reading { part, saw: Saw::Group(offsets) });
            }
            None
        }
        Err(class) => Some(class),
    };
    let saw = Saw::Check { code: Code::ProbeBlind, failed: blind };
    look.readings.push(Reading { part: Label::EMPTY, saw });
    look
}

#[cfg(not(feature = "kafka"))]
fn groups(config: &Config, _: &Registry, _: &SideBox, _: &mut Supervisor) -> Result<(), Failure> {
    match config.groups.first() {
        None => Ok(()),
        Some(group) => {
            let Group { name, tap, group, topics, every, timeout } = group;
            let what = format!("{group} of tap {tap}, {topics:?}, {every:?}, {timeout:?}");
            let error = anyhow!("probe {name} ({what}): this build has no Kafka");
            Err(Failure::new(crate::cli::UNAVAILABLE, error))
        }
    }
}

/// One probe, ready to look. Needs a tokio runtime around it.
///
/// # Errors
/// Why it cannot work.
pub(crate) fn probe(config: &feedpulse_probes::ProbeConfig) -> Result<Probe, Failure> {
    let place = || format!("probe {}", config.name);
    Probe::new(config).map_err(|e| Failure::new(CONFIG, anyhow!(e).context(place())))
}
