//! The JSON of `/api/v1`: structs of their own, so that the engine may change without breaking
//! readers. Times are RFC 3339 UTC strings, durations seconds; what is not known is absent.

use crate::desk::{VerdictWire, verdict_wire};
use crate::said::{CheckCodeWire, check_code_wire};
use crate::source::{About, Source};
use crate::text::rfc3339;
use feedpulse_core::class::AckClass;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::{IncidentChange, IncidentState, Rollup};
use feedpulse_core::finding::Subject;
use feedpulse_core::hist::Histogram;
use feedpulse_core::lag::Withheld;
use feedpulse_core::sighting::{Outcome, Urgency};
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::{FeedState, FeedView, SenderView, Totals, View, WaypointView};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A view older than this is stale: the engine has not spoken.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(10);

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Serialize)]
pub struct StatusWire {
    /// Feedpulse's version.
    pub version: String,
    /// The site's name.
    pub site: String,
    /// When this process started.
    pub started: String,
    /// Hash of the configuration in force.
    pub config_hash: String,
    /// Now.
    pub now: String,
    /// The moment that the rest of the numbers describes.
    pub view_at: String,
    /// Whether that moment is more than 10 s ago.
    pub stale: bool,
    /// Whether something passed, or passes, that Feedpulse cannot see (FP0901, FP0906).
    pub blind: bool,
    /// Whether Feedpulse can do its work.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready_because: Option<String>,
    /// Inputs that the engine applied.
    pub inputs: u64,
    /// Feeds by state.
    pub feeds: FeedCounts,
    /// Open incidents.
    pub incidents_open: u64,
    /// Incidents that wait to be sure.
    pub incidents_pending: u64,
    /// All sendings.
    pub totals: TotalsWire,
    /// Messages in flight across waypoints.
    pub journeys_open: u64,
    /// Journeys dropped because the table was full.
    pub journeys_shed: u64,
    /// ACKs that matched no message.
    pub stray_acks: u64,
    /// ACKs that came after their message counted as unanswered.
    pub late_acks: u64,
    /// Senders' clocks.
    pub senders: Vec<SenderWire>,
}

/// One sender's clock.
#[derive(Clone, Debug, Serialize)]
pub struct SenderWire {
    /// MSH-3.1.
    pub sender: String,
    /// MSH-4.1.
    pub facility: String,
    /// Our clock less MSH-7, median, in seconds; absent until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew_s: Option<f64>,
    /// `fast` or `zone`: its source ages are withheld.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
}

/// Feeds by state.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct FeedCounts {
    /// Somebody should get up.
    pub page: u64,
    /// Somebody should look.
    pub ticket: u64,
    /// Something is noted.
    pub note: u64,
    /// Nothing is known against it.
    pub ok: u64,
}

/// Counts of sendings.
#[derive(Clone, Debug, Serialize)]
pub struct TotalsWire {
    /// Seen; each sending counts.
    pub seen: u64,
    /// The sum of all outcomes and the open ones; equals `seen`, else FP0990.
    pub accounted: u64,
    /// Not ended yet.
    pub open: u64,
    /// Ended, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
}

/// Quantiles of a histogram; absent while it is empty.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TimesWire {
    /// How many.
    pub count: u64,
    /// Median in seconds, at most 6.3 % too high, as are the others.
    pub p50_s: f64,
    /// 99th percentile in seconds.
    pub p99_s: f64,
    /// Longest in seconds.
    pub max_s: f64,
}

/// `GET /api/v1/feeds` gives an array of these without `history`, worst first;
/// `GET /api/v1/feeds/{id}` gives one with it.
#[derive(Clone, Debug, Serialize)]
pub struct FeedWire {
    /// Its number in this process.
    pub id: u32,
    /// Its name; the stable identity of a declared feed.
    pub name: String,
    /// Its route's name.
    pub route: String,
    /// Whether the configuration declares it.
    pub declared: bool,
    /// `ok`, `note`, `ticket` or `page`.
    pub state: &'static str,
    /// Why, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Messages seen at its first waypoint.
    pub seen: u64,
    /// Its sendings at all waypoints.
    pub totals: TotalsWire,
    /// Last message seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Unfinished messages.
    pub backlog: u32,
    /// Of these, urgent ones.
    pub backlog_urgent: u32,
    /// The most urgent of these: `correction` or `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_urgent: Option<&'static str>,
    /// Age of the oldest unfinished in seconds; absent when none is unfinished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_s: Option<f64>,
    /// ACK time at the feed's last waypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_time: Option<TimesWire>,
    /// First tap to last tap, by our clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit: Option<TimesWire>,
    /// Event to first tap, by the sender's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_age: Option<TimesWire>,
    /// Source ages that cannot be told, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub source_age_withheld: BTreeMap<&'static str, u64>,
    /// The last minutes, oldest first, at most 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<MinuteWire>>,
}

/// One minute of a feed.
#[derive(Clone, Debug, Serialize)]
pub struct MinuteWire {
    /// Its start.
    pub minute: String,
    /// Messages seen.
    pub seen: u32,
    /// Sendings that ended, by outcome.
    pub outcomes: BTreeMap<&'static str, u32>,
    /// Median ACK time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_p50_s: Option<f64>,
    /// 99th percentile of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_p99_s: Option<f64>,
    /// Longest transit in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit_max_s: Option<f64>,
    /// Unfinished at its end.
    pub backlog: u32,
    /// Age of the oldest unfinished at its end, in seconds.
    pub lag_s: f64,
}

/// An element of `GET /api/v1/waypoints`.
#[derive(Clone, Debug, Serialize)]
pub struct WaypointWire {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Sendings here.
    pub totals: TotalsWire,
    /// Open connections.
    pub connections: u32,
    /// Connections refused or unreachable so far.
    pub refused: u64,
    /// Connections that were reset so far.
    pub resets: u64,
    /// Frames that could not be read.
    pub unreadable: u64,
    /// Blind intervals so far.
    pub blind: u64,
    /// Last sign of life of its tap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alive_at: Option<String>,
    /// ACK time here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_time: Option<TimesWire>,
}

/// An element of `GET /api/v1/incidents`; `GET /api/v1/incidents/{id}` has more.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentWire {
    /// Its number, unique in a store.
    pub id: u64,
    /// About what: `waypoint portal-in`.
    pub subject: String,
    /// `pending`, `open` or `resolved`.
    pub state: &'static str,
    /// `note`, `ticket` or `page`.
    pub severity: &'static str,
    /// The leading code.
    pub code: &'static str,
    /// That code in a few words; a check's author's own where a check says it.
    pub title: String,
    /// One sentence.
    pub summary: String,
    /// What it means.
    pub explanation: String,
    /// What to do next.
    pub remedy: String,
    /// First finding.
    pub since: String,
    /// When it was resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<String>,
    /// Urgent messages that wait or failed because of it.
    pub urgent: u32,
    /// Who took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    /// No notices until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<String>,
    /// When people were told, or would have been; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<String>,
    /// Nobody is told: every feed that it touches is in shadow.
    pub shadow: bool,
    /// Whether it was worth a notice, as an operator said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictWire>,
    /// How far it reaches: `link`, `system`, `feed`, `feeds`, `everything`, `own`.
    pub scope: &'static str,
    /// Names of the feeds that it touches, at most 20.
    pub feeds: Vec<String>,
    /// Messages that wait because of it.
    pub messages: u32,
    /// What else is known, in words: `affected`, `waiting`, `forecast`, `cause`, `against`, `earlier`,
    /// `flapping`, `shadow`, `verdict`, `found`.
    pub facts: std::collections::BTreeMap<&'static str, String>,
    /// Its findings.
    pub findings: Vec<FindingWire>,
    /// What a check found, by its own codes in the order of their first findings, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub check_codes: Vec<CheckCodeWire>,
    /// Findings of further codes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_codes: Option<u32>,
}

/// A finding within an incident.
#[derive(Clone, Debug, Serialize)]
pub struct FindingWire {
    /// What it says.
    pub code: &'static str,
    /// That in a few words.
    pub title: &'static str,
    /// How loud.
    pub severity: &'static str,
    /// A further code, such as a plugin's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Since when.
    pub since: String,
    /// When it cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<String>,
    /// How often it was said.
    pub times: u32,
    /// Latest numbers; the unit is in the name.
    pub evidence: BTreeMap<&'static str, f64>,
}

/// Whether the engine has been silent for too long.
pub(crate) fn is_stale(view: &View, about: &About) -> bool {
    about.now.since(view.now) > STALE_AFTER
}

/// Whether an incident that is not over says that something passes unseen.
pub(crate) fn is_blind(view: &View) -> bool {
    view.incidents.iter().filter(|i| i.state != IncidentState::Resolved).any(|incident| {
        incident.findings.iter().any(|finding| {
            matches!(finding.code, Code::Blind | Code::TapDown) && finding.cleared_at.is_none()
        })
    })
}

/// The status of a source.
pub fn status_wire(source: &dyn Source) -> StatusWire {
    let (view, about) = (source.view(), source.about());
    let feeds = |state| view.feeds.iter().filter(|feed| feed.state == state).count() as u64;
    let incidents = |state| view.incidents.iter().filter(|i| i.state == state).count() as u64;
    let not_ready_because = source.ready().err();
    StatusWire {
        stale: is_stale(&view, &about),
        blind: is_blind(&view),
        ready: not_ready_because.is_none(),
        not_ready_because,
        version: about.version,
        site: about.site,
        started: rfc3339(about.started),
        config_hash: about.config_hash,
        now: rfc3339(about.now),
        view_at: rfc3339(view.now),
        inputs: view.inputs,
        feeds: FeedCounts {
            page: feeds(FeedState::Page),
            ticket: feeds(FeedState::Ticket),
            note: feeds(FeedState::Note),
            ok: feeds(FeedState::Ok),
        },
        incidents_open: incidents(IncidentState::Open),
        incidents_pending: incidents(IncidentState::Pending),
        totals: totals(&view.totals),
        journeys_open: view.journeys_open,
        journeys_shed: view.journeys_shed,
        stray_acks: view.class(AckClass::Stray),
        late_acks: view.class(AckClass::Late),
        senders: view.senders.iter().map(sender).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "µs of an offset are below 2^53")]
fn sender(view: &SenderView) -> SenderWire {
    SenderWire {
        sender: view.sender.to_string(),
        facility: view.facility.to_string(),
        skew_s: view.skew.map(|micros| micros as f64 / 1e6),
        fault: view.fault,
    }
}

/// A feed, with its history when `detail`.
#[must_use]
pub fn feed_wire(feed: &FeedView, detail: bool) -> FeedWire {
    FeedWire {
        id: feed.id.0,
        name: feed.name.clone(),
        route: feed.route.clone(),
        declared: feed.declared,
        state: feed.state.name(),
        why: (!feed.why.is_empty()).then(|| feed.why.clone()),
        since: feed.since.map(rfc3339),
        seen: feed.seen,
        totals: totals(&feed.totals),
        last_seen: feed.last_seen.map(rfc3339),
        backlog: feed.backlog,
        backlog_urgent: feed.backlog_urgent,
        most_urgent: urgency(feed.most_urgent),
        lag_s: (feed.backlog > 0).then(|| seconds(feed.lag)),
        ack_time: times(&feed.ack_time),
        transit: times(&feed.transit),
        source_age: times(&feed.source_age),
        source_age_withheld: Withheld::ALL
            .into_iter()
            .zip(feed.withheld)
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| (reason.name(), count))
            .collect(),
        history: detail.then(|| feed.history.iter().map(minute).collect()),
    }
}

/// A waypoint.
#[must_use]
pub fn waypoint_wire(waypoint: &WaypointView) -> WaypointWire {
    WaypointWire {
        id: waypoint.id.0,
        name: waypoint.name.clone(),
        totals: totals(&waypoint.totals),
        connections: waypoint.connections,
        refused: waypoint.refused,
        resets: waypoint.resets,
        unreadable: waypoint.unreadable,
        blind: waypoint.blind,
        alive_at: waypoint.alive_at.map(rfc3339),
        ack_time: times(&waypoint.ack_time),
    }
}

/// An incident.
#[must_use]
pub fn incident_wire(incident: &IncidentChange) -> IncidentWire {
    let text = incident.code.text();
    IncidentWire {
        id: incident.id,
        subject: incident.subject_name.clone(),
        state: incident.state.name(),
        severity: incident.severity.name(),
        code: text.code,
        title: incident.title().to_owned(),
        summary: incident.summary.clone(),
        explanation: incident.means().to_owned(),
        remedy: incident.remedy().to_owned(),
        since: rfc3339(incident.since),
        resolved_at: incident.resolved_at.map(rfc3339),
        urgent: incident.urgent,
        claimed_by: label(incident.claimed_by),
        muted_until: incident.muted_until.map(rfc3339),
        opened_at: incident.story.opened_at.map(rfc3339),
        shadow: incident.story.shadow,
        verdict: incident.story.verdict.map(verdict_wire),
        scope: incident.story.scope.name(),
        feeds: incident.story.feeds.clone(),
        messages: incident.story.messages,
        facts: incident.facts().into_iter().collect(),
        findings: incident
            .findings
            .iter()
            .map(|finding| FindingWire {
                code: finding.code.text().code,
                title: finding.code.text().title,
                severity: finding.severity.name(),
                detail: label(finding.detail),
                since: rfc3339(finding.since),
                cleared_at: finding.cleared_at.map(rfc3339),
                times: finding.times,
                evidence: finding
                    .evidence
                    .iter()
                    .filter(|e| e.value.is_finite())
                    .map(|e| (e.name, e.value))
                    .collect(),
            })
            .collect(),
        check_codes: incident.story.check_codes.codes.iter().map(check_code_wire).collect(),
        other_codes: Some(incident.story.check_codes.others).filter(|n| *n > 0),
    }
}

/// Whether an incident is about this feed.
pub(crate) fn is_about_feed(incident: &IncidentChange, feed: &FeedView) -> bool {
    incident.subject == Subject::Feed(feed.id)
}

/// `correction`, `critical`; nothing for routine.
pub(crate) const fn urgency(urgency: Urgency) -> Option<&'static str> {
    match urgency {
        Urgency::Routine => None,
        Urgency::Correction | Urgency::Critical => Some(urgency.name()),
    }
}

fn label(label: feedpulse_core::label::Label) -> Option<String> {
    (!label.is_empty()).then(|| label.as_str().to_owned())
}

fn totals(totals: &Totals) -> TotalsWire {
    TotalsWire {
        seen: totals.seen,
        accounted: totals.outcomes.iter().sum::<u64>() + totals.open,
        open: totals.open,
        outcomes: Outcome::ALL.iter().map(|o| o.name()).zip(totals.outcomes).collect(),
    }
}

fn times(times: &Histogram) -> Option<TimesWire> {
    Some(TimesWire {
        count: times.count(),
        p50_s: seconds(times.quantile(0.5)?),
        p99_s: seconds(times.quantile(0.99)?),
        max_s: seconds(times.max()?),
    })
}

fn minute(rollup: &Rollup) -> MinuteWire {
    let short = |micros: Option<u32>| micros.map(|m| seconds(u64::from(m)));
    MinuteWire {
        minute: rfc3339(rollup.minute),
        seen: rollup.seen,
        outcomes: Outcome::ALL.iter().map(|o| o.name()).zip(rollup.outcomes).collect(),
        ack_p50_s: short(rollup.ack_p50),
        ack_p99_s: short(rollup.ack_p99),
        transit_max_s: short(rollup.transit_max),
        backlog: rollup.backlog,
        lag_s: seconds(rollup.lag),
    }
}

#[expect(clippy::cast_precision_loss, reason = "µs as seconds; 2^53 µs are 285 years")]
pub(crate) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// The end of a mute that starts now.
pub(crate) fn mute_until(now: Timestamp, minutes: u32) -> Timestamp {
    now.plus(Duration::from_secs(u64::from(minutes) * 60))
}
