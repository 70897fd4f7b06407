//! What the templates show, as text that is ready to print: one struct per table row or block.

use crate::api;
use crate::chart;
use crate::said::CheckCodeRow;
use crate::source::About;
use crate::text;
use feedpulse_core::codes::{Code, CodeText, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentFinding, IncidentState};
use feedpulse_core::hist::Histogram;
use feedpulse_core::sighting::Outcome;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::{FeedState, FeedView, Totals, View, WaypointView};

/// A state in three ways, none of which is colour alone: class, symbol, word.
#[derive(Clone, Copy)]
pub(crate) struct Badge {
    /// CSS class.
    pub(crate) class: &'static str,
    /// Symbol, hidden from screen readers.
    pub(crate) symbol: &'static str,
    /// Word.
    pub(crate) word: &'static str,
    /// What the word asks for.
    pub(crate) means: &'static str,
}

pub(crate) const fn badge(state: FeedState) -> Badge {
    match state {
        FeedState::Page => {
            Badge { class: "page", symbol: "!!", word: "PAGE", means: "somebody should get up" }
        }
        FeedState::Ticket => {
            Badge { class: "ticket", symbol: "!", word: "Ticket", means: "somebody should look" }
        }
        FeedState::Note => Badge { class: "note", symbol: "i", word: "Note", means: "noted" },
        FeedState::Ok => {
            Badge { class: "ok", symbol: "✓", word: "OK", means: "nothing is wrong" }
        }
    }
}

pub(crate) const fn severity(severity: Severity) -> Badge {
    badge(match severity {
        Severity::Page => FeedState::Page,
        Severity::Ticket => FeedState::Ticket,
        Severity::Note => FeedState::Note,
    })
}

/// A moment: for machines, for people, and how long ago.
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) iso: String,
    /// `2026-11-22 22:26:38 UTC`.
    pub(crate) full: String,
    /// `3 min ago`.
    pub(crate) ago: String,
    /// `3 min`: how long it has been.
    pub(crate) span: String,
}

impl Moment {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let span = u64::try_from(now.micros_since(at)).unwrap_or(0) / 1_000_000;
        Self {
            iso: text::rfc3339(at),
            full: text::full(at),
            ago: text::ago(now, at),
            span: text::duration(span * 1_000_000),
        }
    }
}

/// Outcome counts and the line that proves them.
pub(crate) struct Sums {
    /// Outcome, count, share of seen in percent, whether it counts against somebody.
    pub(crate) rows: Vec<SumRow>,
    pub(crate) seen: String,
    pub(crate) accounted: String,
    pub(crate) open: String,
    pub(crate) adds_up: bool,
}

/// One outcome.
pub(crate) struct SumRow {
    pub(crate) name: &'static str,
    pub(crate) count: String,
    pub(crate) share: String,
    pub(crate) bad: bool,
}

impl Sums {
    pub(crate) fn new(totals: &Totals) -> Self {
        let rows = Outcome::ALL.iter().zip(totals.outcomes).map(|(outcome, n)| SumRow {
            name: words(*outcome),
            count: text::count(n),
            share: share(n, totals.seen),
            bad: n > 0 && !outcome.is_success(),
        });
        Self {
            rows: rows.collect(),
            seen: text::count(totals.seen),
            accounted: text::count(totals.outcomes.iter().sum::<u64>() + totals.open),
            open: text::count(totals.open),
            adds_up: totals.adds_up(),
        }
    }
}

const fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "Accepted (AA)",
        Outcome::Committed => "Committed (CA or stored)",
        Outcome::Filed => "Filed (by receipt)",
        Outcome::Errored => "Errored (AE, CE)",
        Outcome::Rejected => "Rejected (AR, CR)",
        Outcome::NoAck => "No ACK in time",
        Outcome::ConnectionLost => "Connection lost",
        Outcome::Refused => "Receiver not reached",
        Outcome::Unknown => "Unknown (blind)",
    }
}

/// `12.3 %`; `<0.1 %` for little, nothing when there is nothing to divide by.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return String::new();
    }
    let thousandths = u128::from(part) * 1_000 / u128::from(whole);
    if thousandths == 0 {
        return "<0.1 %".to_owned();
    }
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// A feed, on the overview and on its page.
pub(crate) struct FeedRow {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) route: String,
    pub(crate) declared: bool,
    pub(crate) badge: Badge,
    pub(crate) why: String,
    pub(crate) since: Option<Moment>,
    pub(crate) backlog: String,
    /// `2 critical or corrected`; empty when none is urgent.
    pub(crate) urgent: String,
    /// Empty when nothing is unfinished.
    pub(crate) lag: String,
    pub(crate) last: Option<Moment>,
    pub(crate) seen: String,
    /// SVG made by [`chart`]; holds no text from outside.
    pub(crate) graph: Option<String>,
}

impl FeedRow {
    pub(crate) fn new(feed: &FeedView, now: Timestamp, graph: bool) -> Self {
        Self {
            id: feed.id.0,
            name: feed.name.clone(),
            route: feed.route.clone(),
            declared: feed.declared,
            badge: badge(feed.state),
            why: feed.why.clone(),
            since: feed.since.map(|at| Moment::new(at, now)),
            backlog: text::count(u64::from(feed.backlog)),
            urgent: urgent(feed),
            lag: if feed.backlog > 0 { text::duration(feed.lag) } else { String::new() },
            last: feed.last_seen.map(|at| Moment::new(at, now)),
            seen: text::count(feed.seen),
            graph: if graph { chart::small(&feed.history, now) } else { None },
        }
    }
}

fn urgent(feed: &FeedView) -> String {
    match (feed.backlog_urgent, api::urgency(feed.most_urgent)) {
        (0, _) => String::new(),
        (n, Some("critical")) => format!("{n} urgent, up to critical"),
        (n, _) => format!("{n} urgent"),
    }
}

/// One line of the table of times.
pub(crate) struct TimesRow {
    pub(crate) name: &'static str,
    pub(crate) means: &'static str,
    /// count, p50, p99, max; None while nothing was recorded.
    pub(crate) values: Option<[String; 4]>,
}

impl TimesRow {
    pub(crate) fn all(feed: &FeedView) -> Vec<Self> {
        let row = |name, means, times: &Histogram| Self { name, means, values: quantiles(times) };
        vec![
            row("ACK time", "message to its ACK, at the last waypoint", &feed.ack_time),
            row("Transit", "first tap to last tap, our clock", &feed.transit),
            row("Source age", "event to first tap, the sender's clock", &feed.source_age),
        ]
    }
}

fn quantiles(times: &Histogram) -> Option<[String; 4]> {
    Some([
        text::count(times.count()),
        text::duration(times.quantile(0.5)?),
        text::duration(times.quantile(0.99)?),
        text::duration(times.max()?),
    ])
}

/// A waypoint and its tap.
pub(crate) struct WaypointRow {
    pub(crate) name: String,
    pub(crate) alive: Option<Moment>,
    /// The tap has not said anything for long.
    pub(crate) quiet: bool,
    pub(crate) seen: String,
    pub(crate) arrived: String,
    pub(crate) refused: String,
    pub(crate) unanswered: String,
    pub(crate) unknown: String,
    pub(crate) open: String,
    pub(crate) connections: String,
    pub(crate) link: String,
    pub(crate) unreadable: String,
    /// p50 and p99 of the ACK time.
    pub(crate) ack: String,
}

impl WaypointRow {
    pub(crate) fn new(waypoint: &WaypointView, now: Timestamp) -> Self {
        let sum = |which: &[Outcome]| {
            let all = Outcome::ALL.iter().zip(waypoint.totals.outcomes);
            text::count(all.filter(|(o, _)| which.contains(o)).map(|(_, n)| n).sum())
        };
        Self {
            name: waypoint.name.clone(),
            alive: waypoint.alive_at.map(|at| Moment::new(at, now)),
            quiet: waypoint.alive_at.is_none_or(|at| now.since(at) > api::STALE_AFTER),
            seen: text::count(waypoint.totals.seen),
            arrived: sum(&[Outcome::Accepted, Outcome::Committed, Outcome::Filed]),
            refused: sum(&[Outcome::Errored, Outcome::Rejected]),
            unanswered: sum(&[Outcome::NoAck, Outcome::ConnectionLost, Outcome::Refused]),
            unknown: sum(&[Outcome::Unknown]),
            open: text::count(waypoint.totals.open),
            connections: text::count(u64::from(waypoint.connections)),
            link: format!("{} / {}", text::count(waypoint.refused), text::count(waypoint.resets)),
            unreadable: text::count(waypoint.unreadable),
            ack: quantiles(&waypoint.ack_time)
                .map_or_else(String::new, |[_, p50, p99, _]| format!("{p50} / {p99}")),
        }
    }
}

/// An incident.
pub(crate) struct IncidentRow {
    pub(crate) id: u64,
    pub(crate) badge: Badge,
    pub(crate) state: &'static str,
    pub(crate) resolved: Option<Moment>,
    pub(crate) subject: String,
    pub(crate) text: &'static CodeText,
    /// What it is called, what it means, what to do: the author's words where a check says it.
    pub(crate) title: String,
    pub(crate) means: String,
    pub(crate) remedy: String,
    pub(crate) summary: String,
    pub(crate) since: Moment,
    /// Since its start, or from its start to its end.
    pub(crate) lasted: String,
    pub(crate) urgent: u32,
    pub(crate) claimed: String,
    pub(crate) muted: Option<Moment>,
    /// Nobody is told: it is in shadow.
    pub(crate) shadow: bool,
    /// What else is known, with its name.
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) findings: Vec<FindingRow>,
    /// What its check found, and how many findings of further codes there were.
    pub(crate) check_codes: Vec<CheckCodeRow>,
    pub(crate) other_codes: u32,
}

/// One finding of an incident.
pub(crate) struct FindingRow {
    pub(crate) text: &'static CodeText,
    pub(crate) badge: Badge,
    pub(crate) detail: String,
    pub(crate) since: Moment,
    pub(crate) cleared: Option<Moment>,
    pub(crate) times: String,
    pub(crate) evidence: Vec<(String, String)>,
}

impl IncidentRow {
    pub(crate) fn new(incident: &IncidentChange, now: Timestamp) -> Self {
        let until = incident.resolved_at.unwrap_or(now);
        let lasted = u64::try_from(until.micros_since(incident.since)).unwrap_or(0);
        Self {
            id: incident.id,
            badge: severity(incident.severity),
            state: incident.state.name(),
            resolved: incident.resolved_at.map(|at| Moment::new(at, now)),
            subject: incident.subject_name.clone(),
            text: incident.code.text(),
            title: incident.title().to_owned(),
            means: incident.means().to_owned(),
            remedy: incident.remedy().to_owned(),
            summary: incident.summary.clone(),
            since: Moment::new(incident.since, now),
            lasted: text::duration(lasted / 1_000_000 * 1_000_000),
            urgent: incident.urgent,
            claimed: incident.claimed_by.as_str().to_owned(),
            muted: incident.muted_until.filter(|at| *at > now).map(|at| Moment::new(at, now)),
            shadow: incident.story.shadow,
            facts: incident.facts().into_iter().map(|(n, text)| (capital(n), text)).collect(),
            findings: incident.findings.iter().map(|f| FindingRow::new(f, now)).collect(),
            check_codes: (incident.story.check_codes.codes.iter())
                .map(|code| CheckCodeRow::new(code, now))
                .collect(),
            other_codes: incident.story.check_codes.others,
        }
    }
}

impl FindingRow {
    fn new(finding: &IncidentFinding, now: Timestamp) -> Self {
        Self {
            text: finding.code.text(),
            badge: severity(finding.severity),
            detail: finding.detail.as_str().to_owned(),
            since: Moment::new(finding.since, now),
            cleared: finding.cleared_at.map(|at| Moment::new(at, now)),
            times: text::count(u64::from(finding.times)),
            evidence: finding.evidence.iter().map(|e| evidence(e.name, e.value)).collect(),
        }
    }
}

/// With a capital.
fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A number with its unit, which the end of its name says: `oldest_s` is `oldest`, `522.4 s`.
fn evidence(name: &str, value: f64) -> (String, String) {
    let ends = |suffix| name.strip_suffix(suffix).filter(|rest: &&str| !rest.is_empty());
    let (name, value) = if let Some(name) = ends("_per_s") {
        (name, format!("{}/s", text::number(value)))
    } else if let Some(name) = ends("_s") {
        (name, format!("{} s", text::number(value)))
    } else if let Some(name) = ends("_share") {
        (name, format!("{} %", text::number(value * 100.0)))
    } else {
        (ends("_total").unwrap_or(name), text::number(value))
    };
    (name.replace('_', " "), value)
}

/// One line of an incident's timeline, oldest first.
pub(crate) struct Event {
    pub(crate) at: Moment,
    pub(crate) what: String,
}

/// The moments that an incident knows: findings raised and cleared, and its end.
pub(crate) fn timeline(incident: &IncidentChange, now: Timestamp) -> Vec<Event> {
    let mut events: Vec<(Timestamp, String)> = Vec::new();
    events.extend(incident.story.timeline.iter().map(|m| (m.at, m.text())));
    for finding in &incident.findings {
        let CodeText { code, title, .. } = finding.code.text();
        if incident.story.timeline.is_empty() {
            events.push((finding.since, format!("{code}: {title}")));
        }
        if let Some(at) = finding.cleared_at {
            events.push((at, format!("{code} cleared")));
        }
    }
    if let Some(at) = incident.resolved_at {
        events.push((at, "Incident resolved".to_owned()));
    }
    // Stable: what happened at one moment stays in the order of the findings.
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, what)| Event { at: Moment::new(at, now), what }).collect()
}

/// Why the numbers on a page may not be the whole truth.
pub(crate) struct Banner {
    pub(crate) title: &'static str,
    pub(crate) text: String,
}

/// All reasons that hold now.
pub(crate) fn banners(view: &View, about: &About, ready: &Result<(), String>) -> Vec<Banner> {
    let mut banners = Vec::new();
    if view.inputs == 0 {
        let text = "The engine has not seen anything yet; the pages fill as it starts.".to_owned();
        banners.push(Banner { title: "No data yet", text });
    } else if api::is_stale(view, about) {
        let ago = text::ago(about.now, view.now);
        let text = format!(
            "These numbers were made {ago} ({}). Do not trust them: the engine has not spoken since.",
            text::full(view.now)
        );
        banners.push(Banner { title: "Stale", text });
    }
    if api::is_blind(view) {
        let text = "Feedpulse does not see everything that passes. Messages of that time count as \
                    unknown, never as lost; the message stream itself is not touched."
            .to_owned();
        banners.push(Banner { title: "Blind", text });
    }
    if let Err(reason) = ready {
        banners.push(Banner { title: "Not ready", text: reason.clone() });
    }
    if !view.totals.adds_up() {
        let text = format!("{}. {}", Code::SumsDiffer.text().title, Code::SumsDiffer.text().remedy);
        banners.push(Banner { title: "Sums differ", text });
    }
    banners
}

/// Whether an incident still matters.
pub(crate) fn is_current(incident: &IncidentChange) -> bool {
    incident.state != IncidentState::Resolved
}
