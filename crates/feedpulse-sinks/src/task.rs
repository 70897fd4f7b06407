//! What the caller gives to the sinks, and the futures that it gets to run.

use crate::notify::{alertmanager, dead_man, webhook};
use crate::otlp::export;
use crate::otlp::metrics::MetricsTask;
use crate::otlp::traces::Names;
use crate::{Clock, FamilySource, OwnReporter};
use feedpulse_core::metrics::Registry;
use feedpulse_core::time::Timestamp;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A notifier's server has taken a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The incident's number.
    pub incident: u64,
    /// The notifier's name; of a cluster each replica's.
    pub notifier: String,
    /// Why it was sent: `open`, `update`, `repeat` or `resolved`.
    pub why: &'static str,
    /// When it was taken.
    pub at: Timestamp,
}

/// Hears of each notice that was taken. Must not block.
pub type Told = Arc<dyn Fn(&Delivered) + Send + Sync>;

/// What the sinks need from the binary.
#[derive(Clone)]
pub struct Deps {
    /// Counts of exports, drops and notices go here.
    pub registry: Registry,
    /// The time.
    pub clock: Clock,
    /// Families for the metrics export.
    pub families: FamilySource,
    /// Takes [`feedpulse_core::codes::Code::ExportDown`] and
    /// [`feedpulse_core::codes::Code::NotifierDown`] states.
    pub own: OwnReporter,
    /// Names of waypoints, for spans and alerts.
    pub names: Names,
    /// `service.version`.
    pub version: String,
    /// When this process started: the start of its cumulative counts.
    pub started: Timestamp,
    /// Hears of each notice that was taken.
    pub told: Told,
    /// Seed of the back-off jitter; different in each process.
    pub seed: u64,
}

impl core::fmt::Debug for Deps {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Deps")
            .field("version", &self.version)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

pub(crate) enum Kind {
    Spans(export::QueueTask<opentelemetry_proto::tonic::trace::v1::Span>),
    Logs(export::QueueTask<opentelemetry_proto::tonic::logs::v1::LogRecord>),
    Metrics(MetricsTask),
    Alertmanager(alertmanager::ReplicaTask),
    Webhook(Box<webhook::WebhookTask>),
    DeadMan(dead_man::DeadManTask),
}

/// One future that talks to one server. Run it until it returns; it returns after `stop`.
pub struct Task {
    name: String,
    kind: Kind,
}

impl core::fmt::Debug for Task {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Task({})", self.name)
    }
}

impl Task {
    pub(crate) const fn new(name: String, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// Its name for the table of tasks: `otlp-traces`, `alertmanager-1`, `webhook`, `dead-man`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs until `stop`; then delivers what waits for at most five seconds, counts the rest as
    /// dropped and returns. Needs a tokio runtime with I/O and time.
    pub async fn run(self, stop: CancellationToken) {
        match self.kind {
            Kind::Spans(task) => task.run(stop).await,
            Kind::Logs(task) => task.run(stop).await,
            Kind::Metrics(task) => task.run(stop).await,
            Kind::Alertmanager(task) => task.run(stop).await,
            Kind::Webhook(task) => task.run(stop).await,
            Kind::DeadMan(task) => task.run(stop).await,
        }
    }
}
