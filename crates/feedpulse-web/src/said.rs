//! What a check said in an incident, by its own codes: as JSON, and as rows of the incident's page.

use crate::rows::{Badge, Moment, severity};
use crate::text::{count, rfc3339};
use feedpulse_core::said::CheckCode;
use feedpulse_core::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// One of a check's own codes within an incident.
#[derive(Clone, Debug, Serialize)]
pub struct CheckCodeWire {
    /// As it is known outside: `result-status-regression/order-status-regressed`.
    pub code: String,
    /// Its title; the code where its words are not known.
    pub title: String,
    /// What it means, as its author says; absent where its words are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// What to do, as its author says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The check's own name and the version that found it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// `note`, `ticket` or `page`: the loudest of its findings.
    pub severity: &'static str,
    /// How often it was found.
    pub times: u32,
    /// The first finding.
    pub first: String,
    /// The latest finding.
    pub last: String,
    /// Where the latest was: a waypoint.
    pub waypoint: String,
    /// And there: an HL7 path, where the check named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What the latest says beside, as the manifest lists it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
}

/// A code as JSON.
pub(crate) fn check_code_wire(said: &CheckCode) -> CheckCodeWire {
    let words = said.words.as_deref();
    CheckCodeWire {
        code: said.name().to_owned(),
        title: said.title().to_owned(),
        explanation: words.map(|w| w.explanation.as_str().to_owned()),
        remedy: words.map(|w| w.remedy.as_str().to_owned()),
        by: words.map(|w| w.by.as_str().to_owned()),
        severity: said.severity.name(),
        times: said.times,
        first: rfc3339(said.first),
        last: rfc3339(said.last),
        waypoint: said.waypoint.as_str().to_owned(),
        at: Some(said.place.as_str().to_owned()).filter(|place| !place.is_empty()),
        attrs: attrs(said).into_iter().collect(),
    }
}

/// A code on a page.
pub(crate) struct CheckCodeRow {
    pub(crate) badge: Badge,
    pub(crate) code: String,
    pub(crate) title: String,
    /// Empty where the check's words are not known; so are `remedy` and `by`.
    pub(crate) explanation: String,
    pub(crate) remedy: String,
    pub(crate) by: String,
    pub(crate) waypoint: String,
    pub(crate) place: String,
    pub(crate) attrs: Vec<(String, String)>,
    pub(crate) first: Moment,
    pub(crate) last: Moment,
    pub(crate) times: String,
}

impl CheckCodeRow {
    pub(crate) fn new(said: &CheckCode, now: Timestamp) -> Self {
        let words = said.words.as_deref();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            badge: severity(said.severity),
            code: said.name().to_owned(),
            title: said.title().to_owned(),
            explanation: text(words.map(|w| w.explanation.as_str())),
            remedy: text(words.map(|w| w.remedy.as_str())),
            by: text(words.map(|w| w.by.as_str())),
            waypoint: said.waypoint.as_str().to_owned(),
            place: said.place.as_str().to_owned(),
            attrs: attrs(said),
            first: Moment::new(said.first, now),
            last: Moment::new(said.last, now),
            times: count(u64::from(said.times)),
        }
    }
}

fn attrs(said: &CheckCode) -> Vec<(String, String)> {
    said.attrs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
