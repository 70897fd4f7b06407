//! Incident changes and Feedpulse's own events as OTLP log records.

use crate::otlp::semconv::{Key, SCHEMA_URL, Val, attribute};
use crate::otlp::transport::Payload;
use crate::otlp::{nanos, scope};
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::input::OwnState;
use feedpulse_core::time::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Something that happened. Its text is from a closed set in code; everything else is attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// When.
    pub time: Timestamp,
    /// How loud.
    pub severity: LogSeverity,
    /// Name of the event (`feedpulse.incident.open`).
    pub name: &'static str,
    /// A few words.
    pub body: &'static str,
    /// More about it.
    pub attributes: Vec<(Key, Val)>,
    /// The trace it belongs to, non-zero.
    pub trace_id: Option<u128>,
}

/// Severity of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogSeverity {
    /// Nothing to do.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody should get up.
    Error,
}

impl From<Severity> for LogSeverity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Note => Self::Info,
            Severity::Ticket => Self::Warn,
            Severity::Page => Self::Error,
        }
    }
}

impl LogEvent {
    /// A change of an incident, at `now`.
    #[must_use]
    pub fn incident(change: &IncidentChange, now: Timestamp) -> Self {
        let (name, body, severity) = match change.state {
            IncidentState::Pending => {
                ("feedpulse.incident.pending", "incident pending", LogSeverity::Info)
            }
            IncidentState::Open => {
                ("feedpulse.incident.open", "incident open", change.severity.into())
            }
            IncidentState::Resolved => {
                ("feedpulse.incident.resolved", "incident resolved", LogSeverity::Info)
            }
        };
        let mut attributes = vec![
            (Key::IncidentId, Val::Int(i64::try_from(change.id).unwrap_or(i64::MAX))),
            (Key::IncidentState, Val::Set(change.state.name())),
            (Key::IncidentCode, Val::Set(change.code.text().code)),
            (Key::Severity, Val::Set(change.severity.name())),
            (Key::IncidentSubject, Val::Name(change.subject_name.clone())),
            (Key::IncidentSummary, Val::Name(change.summary.clone())),
            (Key::IncidentUrgent, Val::Int(i64::from(change.urgent))),
        ];
        attributes.extend(said(change));
        Self { time: now, severity, name, body, attributes, trace_id: None }
    }

    /// A part of Feedpulse failing or well again, at `now`.
    #[must_use]
    pub fn own(state: &OwnState, now: Timestamp) -> Self {
        let (name, body, severity) = if state.failing {
            ("feedpulse.own.failing", "a part fails", state.code.text().severity.into())
        } else {
            ("feedpulse.own.well", "a part works again", LogSeverity::Info)
        };
        let attributes = vec![
            (Key::Part, Val::Label(state.part)),
            (Key::IncidentCode, Val::Set(state.code.text().code)),
            (Key::Detail, Val::Label(state.detail)),
            (Key::Count, Val::Int(i64::try_from(state.dropped).unwrap_or(i64::MAX))),
        ];
        Self { time: now, severity, name, body, attributes, trace_id: None }
    }

    pub(crate) fn record(self, observed: Timestamp) -> LogRecord {
        let (number, text) = match self.severity {
            LogSeverity::Info => (SeverityNumber::Info, "INFO"),
            LogSeverity::Warn => (SeverityNumber::Warn, "WARN"),
            LogSeverity::Error => (SeverityNumber::Error, "ERROR"),
        };
        LogRecord {
            time_unix_nano: nanos(self.time),
            observed_time_unix_nano: nanos(observed),
            severity_number: number as i32,
            severity_text: text.to_owned(),
            body: Some(AnyValue { value: Some(Value::StringValue(self.body.to_owned())) }),
            attributes: self.attributes.into_iter().map(|(k, v)| attribute(k, v)).collect(),
            trace_id: self
                .trace_id
                .filter(|id| *id != 0)
                .map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
            event_name: self.name.to_owned(),
            ..LogRecord::default()
        }
    }
}

/// What its check said: the code that leads, in its author's words.
fn said(change: &IncidentChange) -> Vec<(Key, Val)> {
    let codes = &change.story.check_codes;
    let Some(lead) = codes.lead() else { return Vec::new() };
    let pairs = lead.attrs.iter().map(|(name, value)| format!("{name}={value}"));
    let mut said = vec![
        (Key::CheckCode, Val::Name(lead.name().to_owned())),
        (Key::CheckAt, Val::Name(lead.place.to_string())),
        (Key::CheckAttrs, Val::Names(pairs.collect())),
        (Key::Count, Val::Int(i64::from(codes.total()))),
    ];
    if let Some(words) = change.author() {
        said.push((Key::IncidentExplanation, Val::Name(words.explanation.to_string())));
        said.push((Key::IncidentRemedy, Val::Name(words.remedy.to_string())));
    }
    said
}

/// A batch of records as a request.
pub(crate) fn wrap(resource: &Resource, log_records: Vec<LogRecord>) -> Payload {
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope()), log_records, schema_url: SCHEMA_URL.to_owned() }];
    Payload::Logs(ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource.clone()),
            scope_logs,
            schema_url: SCHEMA_URL.to_owned(),
        }],
    })
}
