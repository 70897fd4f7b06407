//! Three HTTP listeners: `ops` (metrics and health, counts only), `ui` (pages and JSON for people
//! with a credential, or on loopback) and `ingest` (the `http` tap). All read the engine through
//! [`Source`]; none of them spawns: each is a [`serve`] future that the supervisor runs.
//!
//! ```no_run
//! # async fn example(source: std::sync::Arc<dyn feedpulse_web::Source>, stop: tokio_util::sync::CancellationToken)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use feedpulse_web::{OpsConfig, ServeLimits, bind, ops, serve};
//! let config = OpsConfig::default();
//! let listener = bind("ops", config.bind).await?;
//! serve(listener, ops(source), ServeLimits::default(), stop).await;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod api;
mod auth;
mod chart;
mod checks;
mod config;
mod desk;
mod desk_rows;
mod http;
mod ingest;
mod json;
mod local;
mod ops;
mod pages;
mod probes;
mod prom;
mod rows;
mod said;
mod serve;
mod source;
mod text;
mod ui;
mod versions;

#[cfg(test)]
extern crate self as feedpulse_web;
#[cfg(test)]
mod tests;

pub use api::{
    FeedCounts, FeedWire, FindingWire, IncidentWire, MinuteWire, StatusWire, TimesWire, TotalsWire,
    WaypointWire, feed_wire, incident_wire, status_wire, waypoint_wire,
};
pub use config::{BindError, ConfigError, IngestConfig, OpsConfig, Token, UiConfig, bind};
pub use desk::{
    MomentWire, NoteWire, PrecisionWire, ShadowFeedWire, ShadowWire, StoryWire, VerdictWire,
    WouldBeWire, incident_story, shadow_wire,
};
pub use ingest::{Clock, IngestCounters, IngestParts, ReceiptDecoder, ingest};
pub use local::{AskError, DrillDesk, ask, local};
pub use ops::ops;
pub use probes::{ProbeWire, TakenWire, probe_wire};
pub use prom::encode as encode_metrics;
pub use said::CheckCodeWire;
pub use serve::{Author, Peer, ServeLimits, serve, serve_local};
pub use source::{About, OperatorError, Source};
pub use ui::ui;
pub use versions::{CheckNumbers, KeptOutWire, VersionWire};
