//! Whether the tap works: raised after five bad seconds, cleared by the first good look.

use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::input::OwnState;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use rdkafka::types::RDKafkaErrorCode;
use std::time::Instant;

/// How long the brokers may be out of reach before it is said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Behind by more than this is a finding.
pub(crate) const LAG_RAISED: Duration = Duration::from_secs(60);
/// Behind by less than this ends it; lower, so that it does not flap.
pub(crate) const LAG_CLEARED: Duration = Duration::from_secs(30);

/// A class of failure; none says anything about the data.
pub(crate) fn class(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::AllBrokersDown => "brokers-down",
        RDKafkaErrorCode::BrokerTransportFailure => "unreachable",
        RDKafkaErrorCode::Resolve => "resolve",
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => "auth",
        RDKafkaErrorCode::SSL => "tls",
        RDKafkaErrorCode::TopicAuthorizationFailed => "topic-denied",
        RDKafkaErrorCode::GroupAuthorizationFailed => "group-denied",
        RDKafkaErrorCode::ClusterAuthorizationFailed => "cluster-denied",
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownPartition => "unknown-topic",
        RDKafkaErrorCode::PollExceeded => "poll-starved",
        RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut => "timeout",
        _ => "kafka-error",
    }
}

/// Reported once by librdkafka and true until an assignment or a record shows otherwise.
pub(crate) fn lasts(code: RDKafkaErrorCode) -> bool {
    matches!(class(code), "topic-denied" | "group-denied" | "cluster-denied" | "unknown-topic")
}

/// The tap's own state, as far as it was told to the engine.
#[derive(Debug, Default)]
pub(crate) struct Health {
    bad_since: Option<Instant>,
    down: bool,
    behind: bool,
}

fn state(code: Code, failing: bool, detail: &str) -> OwnState {
    OwnState { part: Label::from("kafka"), code, failing, detail: Label::from(detail), dropped: 0 }
}

impl Health {
    /// A look that found nothing wrong.
    pub(crate) fn good(&mut self) -> Option<OwnState> {
        self.bad_since = None;
        core::mem::take(&mut self.down).then(|| state(Code::KafkaDown, false, ""))
    }

    /// A look that found something wrong.
    pub(crate) fn bad(&mut self, now: Instant, class: &str) -> Option<OwnState> {
        let since = *self.bad_since.get_or_insert(now);
        let due = !self.down && now.saturating_duration_since(since) >= PATIENCE;
        due.then(|| self.raise(class))
    }

    /// Something that had lasted for long when it was found.
    pub(crate) fn raise(&mut self, class: &str) -> OwnState {
        self.down = true;
        state(Code::KafkaDown, true, class)
    }

    pub(crate) const fn is_down(&self) -> bool {
        self.down
    }

    /// The largest lag of all partitions whose lag is known.
    pub(crate) fn lag(&mut self, lag: Duration) -> Option<OwnState> {
        if !self.behind && lag > LAG_RAISED {
            self.behind = true;
            Some(state(Code::RecordLag, true, "behind"))
        } else if self.behind && lag < LAG_CLEARED {
            self.behind = false;
            Some(state(Code::RecordLag, false, ""))
        } else {
            None
        }
    }
}

/// µs as the gauges hold them.
pub(crate) fn micros(now: Timestamp, then: Timestamp) -> i64 {
    now.micros_since(then).max(0)
}
