//! The pages: askama templates, filled from the view. Usable without JavaScript; there is none.

use crate::api;
use crate::chart;
use crate::checks::{self, CheckRow};
use crate::desk;
use crate::desk_rows::{NoteRow, PrecisionRow, ShadowRow, WouldBeRow};
use crate::probes::{self, ProbeRow, TakenRow};
use crate::rows::{
    Banner, Event, FeedRow, IncidentRow, Moment, Sums, TimesRow, WaypointRow, badge, banners,
    is_current, timeline,
};
use crate::source::{About, Source};
use crate::text;
use crate::versions::VersionWire;
use askama::Template;
use feedpulse_core::class::AckClass;
use feedpulse_core::codes::{Code, CodeText};
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::finding::Subject;
use feedpulse_core::view::{FeedState, FeedView, View};
use std::sync::Arc;

/// Feeds on one overview page: a page stays below half a megabyte.
pub(crate) const FEEDS_PER_PAGE: usize = 100;
/// Graphs on one overview page, worst feeds first: drawing them is the larger part of its cost.
const GRAPHS_PER_PAGE: usize = 30;
/// Resolved incidents on the overview; the JSON has all that the view holds.
const RESOLVED_SHOWN: usize = 10;

/// What every page shows around its content.
pub(crate) struct Frame {
    pub(crate) site: String,
    pub(crate) version: String,
    pub(crate) config_hash: String,
    pub(crate) uptime: String,
    pub(crate) at: Moment,
    pub(crate) banners: Vec<Banner>,
    pub(crate) token: bool,
}

/// One reading of a source: all parts of a page come from the same view.
pub(crate) struct Reading {
    pub(crate) view: Arc<View>,
    pub(crate) about: About,
    checks: Vec<VersionWire>,
    ready: Result<(), String>,
    token: bool,
}

impl Reading {
    pub(crate) fn new(source: &dyn Source, token: bool) -> Self {
        Self {
            view: source.view(),
            about: source.about(),
            checks: source.versions(),
            ready: source.ready(),
            token,
        }
    }

    fn frame(&self) -> Frame {
        let About { version, site, started, config_hash, now } = self.about.clone();
        let up = u64::try_from(now.micros_since(started)).unwrap_or(0);
        Frame {
            site,
            version,
            config_hash,
            uptime: text::duration(up / 1_000_000 * 1_000_000),
            at: Moment::new(self.view.now, now),
            banners: banners(&self.view, &self.about, &self.ready),
            token: self.token,
        }
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    headline: String,
    worst: crate::rows::Badge,
    counts: [(crate::rows::Badge, usize); 4],
    incidents: Vec<IncidentRow>,
    resolved: Vec<IncidentRow>,
    feeds: Vec<FeedRow>,
    feeds_total: usize,
    /// The earlier and the later page, when there are any.
    pages: (Option<usize>, Option<usize>),
    sums: Sums,
    waypoints: Vec<WaypointRow>,
    own: Vec<(&'static str, String)>,
    ready: bool,
    /// Feeds in shadow, and would-be notices that wait for a verdict.
    shadow: (usize, u64),
    /// Probes and heartbeats; of these the loud ones, and those of which nothing was heard yet.
    probes: (usize, usize, usize),
    /// Checks; of these the ones that are not well.
    checks: (usize, usize),
}

/// `/`: page `page` of the feeds, from 0.
pub(crate) fn overview(reading: &Reading, page: usize) -> askama::Result<String> {
    let (view, now) = (&reading.view, reading.about.now);
    let mut feeds: Vec<&FeedView> = view.feeds.iter().collect();
    // The view is worst first already; this holds even for one that is not. Stable.
    feeds.sort_by_key(|feed| std::cmp::Reverse((feed.state, feed.backlog_urgent > 0)));
    let count = |state| feeds.iter().filter(|feed| feed.state == state).count();
    let states = [FeedState::Page, FeedState::Ticket, FeedState::Note, FeedState::Ok];
    let counts = states.map(|state| (badge(state), count(state)));
    let worst = feeds.first().map_or(FeedState::Ok, |feed| feed.state);
    let from = page.saturating_mul(FEEDS_PER_PAGE);
    let shown = feeds.iter().skip(from).take(FEEDS_PER_PAGE).enumerate();
    let more = feeds.len() > from.saturating_add(FEEDS_PER_PAGE);
    let (current, over): (Vec<_>, Vec<_>) = view.incidents.iter().partition(|i| is_current(i));
    Overview {
        headline: headline(&feeds, worst),
        worst: badge(worst),
        counts,
        incidents: current.iter().map(|i| IncidentRow::new(i, now)).collect(),
        resolved: over.iter().take(RESOLVED_SHOWN).map(|i| IncidentRow::new(i, now)).collect(),
        feeds: shown.map(|(i, feed)| FeedRow::new(feed, now, i < GRAPHS_PER_PAGE)).collect(),
        feeds_total: feeds.len(),
        pages: (page.checked_sub(1), more.then(|| page + 1)),
        sums: Sums::new(&view.totals),
        waypoints: view.waypoints.iter().map(|w| WaypointRow::new(w, now)).collect(),
        own: own(view),
        ready: reading.ready.is_ok(),
        shadow: (
            view.feeds.iter().filter(|feed| feed.shadow.holds).count(),
            desk::shadow_wire(view).total.open,
        ),
        probes: probes::counts(view),
        checks: checks::counts(&reading.checks),
        frame: reading.frame(),
    }
    .render()
}

/// One sentence about everything.
fn headline(feeds: &[&FeedView], worst: FeedState) -> String {
    let loud = feeds.iter().filter(|feed| feed.state == worst).count();
    let (are, s) = if loud == 1 { ("needs", "") } else { ("need", "s") };
    match worst {
        _ if feeds.is_empty() => "No feed has been seen yet".to_owned(),
        FeedState::Page => format!("{loud} feed{s} {are} somebody now"),
        FeedState::Ticket => format!("{loud} feed{s} {are} a look"),
        FeedState::Note => "All feeds flow; something is noted".to_owned(),
        FeedState::Ok => "All feeds flow".to_owned(),
    }
}

/// Feedpulse's own numbers.
fn own(view: &View) -> Vec<(&'static str, String)> {
    let clocks = view.senders.iter().filter(|s| s.fault.is_some()).count() as u64;
    vec![
        ("Inputs applied", text::count(view.inputs)),
        ("Messages in flight", text::count(view.journeys_open)),
        ("In flight, shed (table full)", text::count(view.journeys_shed)),
        ("ACKs that matched no message", text::count(view.class(AckClass::Stray))),
        ("ACKs after the time limit", text::count(view.class(AckClass::Late))),
        ("Senders whose clock is off", text::count(clocks)),
        ("Blind intervals", text::count(view.waypoints.iter().map(|w| w.blind).sum())),
    ]
}

#[derive(Template)]
#[template(path = "feed.html")]
struct FeedPage {
    frame: Frame,
    feed: FeedRow,
    incidents: Vec<IncidentRow>,
    times: Vec<TimesRow>,
    sums: Sums,
    waypoints: Vec<WaypointRow>,
    /// SVG, as in [`FeedRow::graph`].
    lag: Option<String>,
    outcomes: Option<String>,
}

/// `/feeds/{id}`; None when there is no such feed.
pub(crate) fn feed(reading: &Reading, id: u32) -> Option<askama::Result<String>> {
    let (view, now) = (&reading.view, reading.about.now);
    let feed = view.feeds.iter().find(|feed| feed.id.0 == id)?;
    let about = view.incidents.iter().filter(|i| is_current(i) && api::is_about_feed(i, feed));
    let page = FeedPage {
        frame: reading.frame(),
        feed: FeedRow::new(feed, now, false),
        incidents: about.map(|i| IncidentRow::new(i, now)).collect(),
        times: TimesRow::all(feed),
        sums: Sums::new(&feed.totals),
        waypoints: view.waypoints.iter().map(|w| WaypointRow::new(w, now)).collect(),
        lag: chart::lag(&feed.history, now),
        outcomes: chart::outcomes(&feed.history, now),
    };
    Some(page.render())
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    frame: Frame,
    incident: IncidentRow,
    timeline: Vec<Event>,
    notices: Vec<TakenRow>,
    notes: Vec<NoteRow>,
    current: bool,
    feed: Option<u32>,
}

/// `/incidents/{id}`; None when the view does not hold it.
pub(crate) fn incident(reading: &Reading, id: u64) -> Option<askama::Result<String>> {
    let now = reading.about.now;
    let incident: &IncidentChange = reading.view.incidents.iter().find(|i| i.id == id)?;
    let page = IncidentPage {
        frame: reading.frame(),
        incident: IncidentRow::new(incident, now),
        timeline: timeline(incident, now),
        notices: TakenRow::all(&reading.view, id, now),
        notes: NoteRow::all(&reading.view, id, now),
        current: is_current(incident),
        feed: if let Subject::Feed(feed) = incident.subject { Some(feed.0) } else { None },
    };
    Some(page.render())
}

#[derive(Template)]
#[template(path = "shadow.html")]
struct ShadowPage {
    frame: Frame,
    total: PrecisionRow,
    feeds: Vec<ShadowRow>,
    notices: Vec<WouldBeRow>,
}

/// `/shadow`: which feeds nobody is told about yet, and what would have been told.
pub(crate) fn shadow(reading: &Reading) -> askama::Result<String> {
    let (wire, now) = (desk::shadow_wire(&reading.view), reading.about.now);
    let notices = desk::would_be(&reading.view).into_iter();
    let page = ShadowPage {
        frame: reading.frame(),
        total: PrecisionRow::new(&wire.total),
        feeds: ShadowRow::all(&wire, &reading.view, now),
        notices: notices.map(|(notice, incident)| WouldBeRow::new(notice, incident, now)).collect(),
    };
    page.render()
}

#[derive(Template)]
#[template(path = "probes.html")]
struct ProbesPage {
    frame: Frame,
    probes: Vec<ProbeRow>,
}

#[derive(Template)]
#[template(path = "checks.html")]
struct ChecksPage {
    frame: Frame,
    checks: Vec<CheckRow>,
}

/// `/checks`: which checks run, and how they are.
pub(crate) fn checks(reading: &Reading) -> askama::Result<String> {
    let checks = CheckRow::all(&reading.checks, reading.about.now);
    ChecksPage { frame: reading.frame(), checks }.render()
}

/// `/probes`: what surrounds the stream, and how it is.
pub(crate) fn probes(reading: &Reading) -> askama::Result<String> {
    let probes = ProbeRow::all(&reading.view, reading.about.now);
    ProbesPage { frame: reading.frame(), probes }.render()
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    frame: Frame,
    text: &'static CodeText,
    all: Vec<&'static CodeText>,
}

/// `/codes/{code}`; None when there is no such code.
pub(crate) fn code(reading: &Reading, code: &str) -> Option<askama::Result<String>> {
    let text = Code::from_code(code)?.text();
    let all = Code::ALL.iter().map(|code| code.text()).collect();
    Some(CodePage { frame: reading.frame(), text, all }.render())
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: &'a str,
    hint: &'a str,
}

/// Not found, refused and the like, for people.
pub(crate) fn problem(reading: &Reading, title: &str, hint: &str) -> askama::Result<String> {
    ProblemPage { frame: reading.frame(), title, hint }.render()
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    nonce: &'a str,
    error: &'a str,
}

/// The login form: the only page that people without a credential see, so it says nothing about the
/// site. Its few styles are inline under `nonce`, as every other file needs a credential.
pub(crate) fn login(nonce: &str, error: &str) -> askama::Result<String> {
    LoginPage { nonce, error }.render()
}
