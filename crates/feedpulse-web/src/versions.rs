//! Which version of each check runs: the JSON of `GET /api/v1/checks/versions`.

use crate::text::rfc3339;
use feedpulse_core::time::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct VersionWire {
    /// Its name in the configuration.
    pub check: String,
    /// Where its versions come from.
    pub plugin: String,
    /// The name that the version that runs gives itself; absent while none runs, as what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of the component, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How many cases of its own it passed before it was let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<usize>,
    /// Since when it runs.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment")]
    pub since: Option<Timestamp>,
    /// Versions that took the place of another one since the start.
    pub reloads: u64,
    /// How it works, since the start of the process.
    pub numbers: CheckNumbers,
    /// Whether it goes on with the state of the version before: `kept` or `dropped`; absent for the
    /// first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// What lies where its versions come from and is not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_out: Option<KeptOutWire>,
}

/// How a check works, since the start of the process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CheckNumbers {
    /// `ready`, `set_aside` (it is tried again), `probation` (it runs after a pause), `quarantined` (it
    /// runs no more until it is loaded again) or `not_loaded`.
    pub condition: &'static str,
    /// Rows that it was handed.
    pub rows: u64,
    /// Rows of those that it did not check: it failed on them, or was set aside.
    pub not_checked: u64,
    /// Rows that it was too slow for.
    pub shed: u64,
    /// Calls.
    pub calls: u64,
    /// Half of the batches took at most so long, µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_p50_us: Option<u64>,
    /// 99 of 100 batches took at most so long, µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_p99_us: Option<u64>,
    /// Findings by its own codes.
    pub findings: BTreeMap<String, u64>,
    /// Its own faults by cause.
    pub faults: BTreeMap<&'static str, u64>,
    /// Memory of its live instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<usize>,
    /// The most memory that an instance of it held after a call.
    pub memory_max_bytes: usize,
    /// What it remembers, over all feeds.
    pub state_bytes: usize,
}

/// A version that is not run.
#[derive(Clone, Debug, Serialize)]
pub struct KeptOutWire {
    /// `unreadable`, `invalid`, `not-approved`, `settings`, `start` or `cases`.
    pub class: &'static str,
    /// Why and what to do; several lines where a change of the configuration is shown.
    pub why: String,
    /// Since when.
    #[serde(serialize_with = "moment_of")]
    pub at: Timestamp,
}

fn moment<S: Serializer>(at: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(out)
}

fn moment_of<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
    rfc3339(*at).serialize(out)
}
