//! The parts of the configuration file about the site's time: holidays, planned downtimes, and when
//! people are told.

use super::raw_sinks::{RawAlertRoute, RawPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Holidays of the site.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawHolidays {
    /// An iCalendar file (RFC 5545): the days of its events.
    pub file: Option<String>,
    /// Further days, such as `2026-12-24`.
    pub days: Vec<String>,
}

/// A planned downtime: once (`from`, `to`), or each week (`days`, `start`, `length`).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawDowntime {
    /// What it is called.
    pub name: String,
    /// Names of the waypoints that are down. Default: all.
    pub waypoints: Vec<String>,
    /// When it begins, such as `2026-12-01T22:00:00+01:00`.
    pub from: Option<String>,
    /// When it ends.
    pub to: Option<String>,
    /// Days of each week on which it begins.
    pub days: Vec<RawDay>,
    /// When on those days, by the site's clocks, such as `22:30`.
    pub start: Option<String>,
    /// How long it lasts, such as `2h`, at most a week.
    pub length: Option<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawDay {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// When people are told, and when it is over.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAlerts {
    /// Nothing accepted for this long, though something was offered, is a page. Default `5m`.
    pub page_after: Option<String>,
    /// The same where urgent messages flow. Default `2m`.
    pub page_after_urgent: Option<String>,
    /// An incident ends when no finding held for this long; one that came back three times as long.
    /// Default `5m`.
    pub resolve_after: Option<String>,
    /// Whether people are told about a feed from its first message on: `live`; or `shadow` (default):
    /// for `shadow_for` what would be told is only listed, to be confirmed or dismissed.
    pub notify: Option<RawNotify>,
    /// How long a feed is in shadow from its first message on, such as `14d` (default).
    pub shadow_for: Option<String>,
    /// Whether that a receiver is down, or accepts nothing, is told (`live`, default) even where every
    /// feed behind it is in shadow. Feedpulse's own faults always are.
    pub shadow_hard_down: Option<RawNotify>,
    /// Which way incidents go to people. Default `direct`.
    pub path: RawPath,
    /// Base address of the pages, for links: `/incidents/7` is appended. Default: no link.
    pub page_base: Option<String>,
    /// Base address of the runbooks, for links: `/FP0104` is appended. Default: no link.
    pub runbook_base: Option<String>,
    /// Who is told of what, in order: the first match wins. Where none matches, and without routes,
    /// every notifier is told.
    pub routes: Vec<RawAlertRoute>,
}

/// Whether people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawNotify {
    /// From the start.
    Live,
    /// Not in a feed's first time.
    Shadow,
}
