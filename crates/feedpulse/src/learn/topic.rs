//! Learning from what the topics of a configured Kafka tap still hold, on the records' own time.

use super::{Bounds, Taught};
use crate::cli::Failure;
use crate::config::Config;
use feedpulse_core::key::SiteKey;
use feedpulse_core::time::Timestamp;

#[cfg(feature = "kafka")]
pub(super) fn learn(
    config: &Config,
    key: SiteKey,
    topic: &str,
    bounds: Bounds,
    since: Option<Timestamp>,
) -> Result<Vec<Taught>, Failure> {
    use super::player::Player;
    use super::report::Facts;
    use crate::cli::UNAVAILABLE;
    use anyhow::{Context as _, anyhow};
    use feedpulse_core::metrics::Registry;

    let named = |name: &str| topic.is_empty() || topic == name;
    let known: Vec<&str> =
        config.kafka.iter().flat_map(|k| &k.topics).map(|t| t.topic.as_str()).collect();
    if !known.iter().any(|name| named(name)) {
        let hint = match known.as_slice() {
            [] => "the configuration has no Kafka tap".to_owned(),
            known => format!("write kafka:// and one of {}, or nothing for all", known.join(", ")),
        };
        return Err(Failure::new(64, anyhow!("no tap reads the topic {topic:?}: {hint}")));
    }
    let only = (!topic.is_empty()).then_some(topic);
    let registry = Registry::default();
    let mut taught = Vec::new();
    for tap in config.kafka.iter().filter(|k| k.topics.iter().any(|t| named(&t.topic))) {
        let mut player = Player::of(config, key);
        let mut facts = Facts::new(format!("kafka://{topic} of the tap {}", tap.name));
        let (opts, deps) = crate::run::kafka_tap(config, key, &registry, tap)?;
        let (mut out_of_range, mut without_time) = (0, 0);
        let read = feedpulse_kafka::history(&opts, &deps, only, since, &mut |at, items| {
            if at == Timestamp::EPOCH {
                // Older than Kafka's own times: the messages say when they were made.
                without_time +=
                    items.iter().filter(|item| !player.take_by_itself(item, bounds)).count();
                return;
            }
            if !bounds.hold(at) {
                out_of_range += 1;
                return;
            }
            for item in items {
                player.take(at, item);
            }
        });
        read.context("read the topics").map_err(|e| Failure::new(UNAVAILABLE, e))?;
        facts.without_time += u64::try_from(without_time).unwrap_or(u64::MAX);
        facts.out_of_range += out_of_range;
        facts.counts = player.counts;
        taught.push(Taught { learned: player.learned(), facts });
    }
    Ok(taught)
}

#[cfg(not(feature = "kafka"))]
pub(super) fn learn(
    _: &Config,
    _: SiteKey,
    _: &str,
    _: Bounds,
    _: Option<Timestamp>,
) -> Result<Vec<Taught>, Failure> {
    let what = anyhow::anyhow!("this build has no Kafka");
    Err(Failure::new(crate::cli::UNAVAILABLE, what))
}
