//! OTLP export over the protocol's own messages: three signals, each with its own bounded queue,
//! connection, retries and exact accounts.

pub(crate) mod export;
pub mod flags;
pub mod logs;
pub mod metrics;
pub(crate) mod queue;
pub mod sampler;
pub mod semconv;
pub mod traces;
pub(crate) mod transport;

pub use queue::{Accounts, Signal};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// A resource or metric attribute: names here come from configuration or from the registry, never
/// from a message.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}

/// The resource of everything that this process exports.
pub(crate) fn resource(config: &crate::config::OtlpConfig, version: &str, site: &str) -> Resource {
    let mut attributes = vec![text("service.name", "feedpulse"), text("service.version", version)];
    if !config.instance_id.is_empty() {
        attributes.push(text("service.instance.id", &config.instance_id));
    }
    if !site.is_empty() {
        attributes.push(text("feedpulse.site", site));
    }
    for (key, value) in &config.resource {
        match attributes.iter_mut().find(|own| own.key == *key) {
            Some(own) => *own = text(key, value),
            None => attributes.push(text(key, value)),
        }
    }
    Resource { attributes, ..Resource::default() }
}

/// The scope of everything that this process exports.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "feedpulse".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Nanoseconds since the epoch, as OTLP counts; times before it become 0 (unknown).
pub(crate) fn nanos(at: feedpulse_core::time::Timestamp) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests;
