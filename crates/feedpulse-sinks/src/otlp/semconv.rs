//! Every attribute that a span or a log record may have: one closed list. Names follow the
//! OpenTelemetry semantic conventions 1.44 (messaging, status Development) and `feedpulse.*`.

use feedpulse_core::label::Label;
use feedpulse_core::sighting::{AckCode, Outcome};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

/// The conventions' version that these names are from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

macro_rules! keys {
    ($($name:ident $text:literal $doc:literal;)*) => {
        /// The name of an attribute.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key { $(#[doc = $doc] $name,)* }

        impl Key {
            /// The allow-list.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

keys! {
    System "messaging.system" "`mllp`, `kafka`, `http` or `file`.";
    OperationName "messaging.operation.name" "`process` or `send`.";
    OperationType "messaging.operation.type" "`process` or `send`.";
    Destination "messaging.destination.name" "The feed.";
    MessageId "messaging.message.id" "MSH-10 of the sending (of the first one, for the journey): as a keyed hash, or in clear where configuration says so.";
    Journey "feedpulse.journey" "The journey key, in hex; also the trace id, unless a trace context came with the message.";
    ErrorType "error.type" "Only on failure: `AE`, `AR`, `CE`, `CR`, `timeout`, `reset`, `refused`, `_OTHER`.";
    Feed "feedpulse.feed" "The feed.";
    Waypoint "feedpulse.waypoint" "The waypoint.";
    LegFrom "feedpulse.leg.from" "Where a leg starts.";
    LegTo "feedpulse.leg.to" "Where a leg ends.";
    Outcome "feedpulse.outcome" "An outcome's name, or `expired`.";
    Reason "feedpulse.reason" "The class of a refusal's reason.";
    Urgency "feedpulse.urgency" "`routine`, `correction` or `critical`.";
    Transit "feedpulse.transit_s" "First to last waypoint in seconds, by our clock.";
    SourceAge "feedpulse.source_age_s" "Event to first waypoint in seconds, where the sender's clock can be read to the second.";
    Late "feedpulse.late" "Whether it broke its transit objective.";
    Checks "feedpulse.checks" "Codes of checks about it.";
    Check "feedpulse.check" "A check's name in the configuration.";
    CheckCode "feedpulse.check.code" "A code of its manifest, as `name/code`.";
    CheckLevel "feedpulse.check.level" "`info`, `warning`, `error` or `critical`.";
    CheckAt "feedpulse.check.at" "The place that it names, an HL7 path that it declared.";
    CheckAttrs "feedpulse.check.attrs" "`name=value` pairs that its manifest lists.";
    Size "feedpulse.size" "Bytes of the message.";
    Type "feedpulse.message.type" "MSH-9.1.";
    Trigger "feedpulse.message.trigger" "MSH-9.2.";
    Sender "feedpulse.message.sender" "MSH-3.1.";
    Sends "feedpulse.sends" "All sendings of it.";
    Resend "feedpulse.resend" "How many sendings of it were seen at this waypoint before.";
    Ack "feedpulse.ack" "MSA-1.";
    AckSlow "feedpulse.ack.slow" "Whether the ACK broke the waypoint's objective.";
    IncidentId "feedpulse.incident.id" "An incident's number.";
    IncidentState "feedpulse.incident.state" "Its state.";
    IncidentCode "feedpulse.incident.code" "The code that leads it.";
    IncidentSubject "feedpulse.incident.subject" "What it is about.";
    IncidentSummary "feedpulse.incident.summary" "What, since when, how many.";
    IncidentExplanation "feedpulse.incident.explanation" "What it means, as the author of its check wrote.";
    IncidentRemedy "feedpulse.incident.remedy" "What to do, as the author of its check wrote.";
    IncidentUrgent "feedpulse.incident.urgent" "Urgent messages behind it.";
    Severity "feedpulse.severity" "`note`, `ticket` or `page`.";
    Part "feedpulse.part" "A part of Feedpulse itself.";
    Detail "feedpulse.detail" "A class of failure.";
    Count "feedpulse.count" "A count that the event is about.";
}

/// The value of an attribute. There is no way in from message bytes: texts are labels (sanitised
/// header fields), closed sets, or names from configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    /// From a closed set.
    Set(&'static str),
    /// A sanitised label.
    Label(Label),
    /// Several.
    Labels(Vec<Label>),
    /// A name from configuration or made by the engine, or a key in hex.
    Name(String),
    /// Several of those.
    Names(Vec<String>),
    /// A count.
    Int(i64),
    /// A measure; must be finite.
    Float(f64),
    /// A statement.
    Bool(bool),
}

/// One attribute. The only function that makes one for spans and logs.
#[must_use]
pub fn attribute(key: Key, value: Val) -> KeyValue {
    let any = |value| AnyValue { value: Some(value) };
    let value = match value {
        Val::Set(text) => Value::StringValue(text.to_owned()),
        Val::Label(label) => Value::StringValue(label.as_str().to_owned()),
        Val::Labels(labels) => Value::ArrayValue(ArrayValue {
            values: labels
                .iter()
                .map(|label| any(Value::StringValue(label.as_str().to_owned())))
                .collect(),
        }),
        Val::Names(names) => Value::ArrayValue(ArrayValue {
            values: names.into_iter().map(|name| any(Value::StringValue(name))).collect(),
        }),
        Val::Name(text) => Value::StringValue(text),
        Val::Int(n) => Value::IntValue(n),
        Val::Float(n) => Value::DoubleValue(n),
        Val::Bool(b) => Value::BoolValue(b),
    };
    KeyValue { key: key.name().to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

/// `error.type` of a sending that failed; None when it did not, or when nobody can say.
#[must_use]
pub const fn error_type(outcome: Outcome, ack: Option<AckCode>) -> Option<&'static str> {
    match outcome {
        Outcome::Accepted | Outcome::Committed | Outcome::Filed | Outcome::Unknown => None,
        Outcome::Errored | Outcome::Rejected => Some(match ack {
            Some(AckCode::AE) => "AE",
            Some(AckCode::AR) => "AR",
            Some(AckCode::CE) => "CE",
            Some(AckCode::CR) => "CR",
            _ => "_OTHER",
        }),
        Outcome::NoAck => Some("timeout"),
        Outcome::ConnectionLost => Some("reset"),
        Outcome::Refused => Some("refused"),
    }
}
