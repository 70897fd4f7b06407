//! Which version of each check runs: the JSON of `GET /api/v1/checks/versions`.

use crate::text::rfc3339;
use feedpulse_core::time::Timestamp;
use serde::{Serialize, Serializer};

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
    /// Whether it goes on with the state of the version before: `kept` or `dropped`; absent for the
    /// first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// What lies where its versions come from and is not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_out: Option<KeptOutWire>,
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
