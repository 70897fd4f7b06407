//! A hospital's view, made up: five feeds in different states, incidents, an hour of history. The
//! tests and the example `pages` share it.

use feedpulse_core::cause::{CauseClass, Clue};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::desk::{Remark, RemarkText, Shadow, Taken, WouldBe};
use feedpulse_core::effect::{
    Cause, Change, Confidence, IncidentChange, IncidentFinding, IncidentState, Moment, MomentKind,
    Rollup, Scope, Story,
};
use feedpulse_core::finding::{Evidence, Subject};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::hist::Histogram;
use feedpulse_core::input::OperatorAction;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Family, Kind, Point, Value};
use feedpulse_core::plan::FeedId;
use feedpulse_core::said::{CheckCode, CheckCodes, CodeWords, Line, TEXT_MAX};
use feedpulse_core::sighting::Urgency;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::{FeedState, FeedView, ProbeView, Totals, View, WaypointView};
use feedpulse_web::{About, CheckNumbers, OperatorError, Source, VersionWire};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When the shadow of the fixture's new feeds ends.
const LATER: Timestamp = Timestamp::from_secs(1_796_505_998);

/// 2026-11-22T22:26:38Z.
pub const NOW: Timestamp = Timestamp::from_secs(1_795_386_398);

/// A source that tests can turn.
#[derive(Debug)]
pub struct Fixture {
    /// What it shows.
    pub view: Arc<View>,
    /// Its clock.
    pub now: Timestamp,
    /// Whether it is ready and alive.
    pub well: AtomicBool,
    /// What operators did.
    pub actions: Mutex<Vec<OperatorAction>>,
    /// Its checks.
    pub checks: Vec<VersionWire>,
}

impl Fixture {
    /// With this view, at [`NOW`], ready and alive.
    pub fn new(view: View) -> Arc<Self> {
        Self::with_checks(view, Vec::new())
    }

    /// The same, with these checks.
    pub fn with_checks(view: View, checks: Vec<VersionWire>) -> Arc<Self> {
        let (well, actions) = (AtomicBool::new(true), Mutex::default());
        Arc::new(Self { view: Arc::new(view), now: NOW, well, actions, checks })
    }
}

/// Three checks: one well, one quarantined, one that never ran.
pub fn checks() -> Vec<VersionWire> {
    let one = |check: &str, numbers: CheckNumbers| VersionWire {
        check: check.to_owned(),
        plugin: format!("{check}.wasm"),
        name: Some(format!("{check}-own")),
        version: Some("1.2.3".to_owned()),
        digest: Some("0123456789abcdef".repeat(4)),
        cases: Some(3),
        since: Some(NOW.minus(Duration::from_secs(90))),
        reloads: 2,
        numbers,
        state: None,
        kept_out: None,
    };
    let well = CheckNumbers {
        condition: "ready",
        rows: 12_345,
        shed: 7,
        calls: 300,
        batch_p50_us: Some(42),
        batch_p99_us: Some(180),
        findings: [("room-missing".to_owned(), 9)].into(),
        memory_bytes: Some(1_179_648),
        ..CheckNumbers::default()
    };
    let bad = CheckNumbers {
        condition: "quarantined",
        rows: 64,
        not_checked: 64,
        faults: [("trapped", 61), ("timed_out", 4)].into(),
        ..CheckNumbers::default()
    };
    let none = CheckNumbers { condition: "not_loaded", ..CheckNumbers::default() };
    let absent =
        VersionWire { name: None, version: None, digest: None, since: None, ..one("late", none) };
    vec![one("room", well), one("wild", bad), absent]
}

impl Source for Fixture {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    fn families(&self) -> Vec<Family> {
        let feed = |feed: &FeedView| Point {
            labels: vec![("feed", feed.name.clone())],
            value: Value::Times(Box::new(feed.ack_time.clone())),
        };
        vec![Family {
            name: "feedpulse_feed_ack_time_seconds",
            help: "Message to its ACK at the last waypoint.",
            unit: "s",
            kind: Kind::Histogram,
            points: self.view.feeds.iter().map(feed).collect(),
        }]
    }

    fn versions(&self) -> Vec<VersionWire> {
        self.checks.clone()
    }

    fn ready(&self) -> Result<(), String> {
        let well = self.well.load(Ordering::Relaxed);
        if well { Ok(()) } else { Err("canary: the store's folder is full".to_owned()) }
    }

    fn alive(&self) -> bool {
        self.well.load(Ordering::Relaxed)
    }

    fn about(&self) -> About {
        About {
            version: "0.1.0".to_owned(),
            site: "St. Example General".to_owned(),
            started: self.now.minus(Duration::from_secs(93_784)),
            config_hash: "9f2c61ab".to_owned(),
            now: self.now,
        }
    }

    fn operator(&self, action: OperatorAction) -> Result<(), OperatorError> {
        if let Some(incident) = action.incident()
            && !self.view.incidents.iter().any(|i| i.id == incident)
        {
            return Err(OperatorError::NoSuchIncident);
        }
        self.actions.lock().unwrap().push(action);
        Ok(())
    }
}

fn before(secs: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(secs))
}

fn times(base: u64) -> Histogram {
    let mut times = Histogram::default();
    for i in 0..2_000_u64 {
        times.record(base + base * (i * 7_919 % 100) / 40 + if i % 97 == 0 { base * 9 } else { 0 });
    }
    times
}

/// A day's shape without chance: a wave of messages, and trouble in the last `trouble` minutes.
fn history(id: u32, name: &str, rate: u32, trouble: i64) -> Vec<Rollup> {
    let first = NOW.as_secs().div_euclid(60) - 60;
    (0..60_i64)
        .map(|i| {
            let wave = u32::try_from((i * 37 + i64::from(id) * 11) % 17).unwrap();
            let seen = rate + rate * wave / 24;
            let bad = i >= 60 - trouble;
            let deep = u32::try_from((i - (60 - trouble)).max(0)).unwrap();
            let mut outcomes = [0; 9];
            outcomes[0] = if bad { seen / 5 } else { seen };
            outcomes[3] = if bad { seen / 4 } else { u32::from(wave == 3) };
            outcomes[5] = if bad { seen / 3 } else { 0 };
            outcomes[8] = if (20..23).contains(&i) { seen / 6 } else { 0 };
            Rollup {
                feed: FeedId(id),
                feed_name: name.to_owned(),
                minute: Timestamp::from_secs((first + i) * 60),
                seen: if id == 4 && bad { 0 } else { seen },
                outcomes,
                ack_p50: Some(40_000),
                ack_p99: Some(400_000),
                transit_max: None,
                backlog: if bad { deep * rate / 2 } else { wave / 4 },
                lag: if bad { u64::from(deep) * 55_000_000 } else { 300_000 },
            }
        })
        .collect()
}

fn totals(seen: u64, bad: u64, open: u64) -> Totals {
    let (filed, committed) = (seen / 10, seen / 20);
    let mut outcomes = [0, committed, filed, bad / 2, bad / 8, bad / 4, bad / 16, 0, bad / 16];
    outcomes[0] = seen - open - outcomes.iter().sum::<u64>();
    Totals { seen, outcomes, open }
}

struct Brief(u32, &'static str, FeedState, &'static str, u64, u32, u32, i64);

fn feed(brief: &Brief) -> FeedView {
    let Brief(id, name, state, why, since, backlog, urgent, trouble) = *brief;
    let rate = 6 + 9 * (5 - id);
    FeedView {
        id: FeedId(id),
        name: name.to_owned(),
        route: if id == 5 { "found" } else { "ehr-engine-portal" }.to_owned(),
        declared: id != 5,
        state,
        why: why.to_owned(),
        since: (since > 0).then(|| before(since)),
        shadow: match id {
            2 | 5 => Shadow { since: Some(before(90_000)), until: Some(LATER), holds: true },
            _ => Shadow { since: Some(before(9_000_000)), until: None, holds: false },
        },
        seen: 48_211 / u64::from(id),
        totals: totals(96_422 / u64::from(id), 1_200 / u64::from(id), u64::from(backlog)),
        last_seen: Some(before(if id == 4 { 1_560 } else { u64::from(id) })),
        backlog,
        backlog_urgent: urgent,
        most_urgent: if urgent > 0 { Urgency::Critical } else { Urgency::Routine },
        lag: if backlog > 0 { since.max(2) * 1_000_000 } else { 0 },
        ack_time: times(38_000),
        transit: times(210_000),
        source_age: if id == 5 { Histogram::default() } else { times(4_100_000) },
        withheld: [0; feedpulse_core::lag::Withheld::ALL.len()],
        history: if id == 5 { Vec::new() } else { history(id, name, rate, trouble) },
    }
}

fn finding(
    code: Code,
    since: u64,
    cleared: Option<u64>,
    evidence: &[(&'static str, f64)],
) -> IncidentFinding {
    IncidentFinding {
        code,
        severity: code.text().severity,
        since: before(since),
        cleared_at: cleared.map(before),
        evidence: evidence.iter().map(|(name, value)| Evidence { name, value: *value }).collect(),
        detail: Label::EMPTY,
        times: 9,
    }
}

fn incident(
    id: u64,
    subject: Subject,
    name: &str,
    summary: &str,
    findings: Vec<IncidentFinding>,
) -> IncidentChange {
    let first = findings.first().unwrap();
    let severity = findings.iter().map(|f| f.severity).max().unwrap_or(Severity::Note);
    IncidentChange {
        id,
        subject,
        subject_name: name.to_owned(),
        state: IncidentState::Open,
        severity,
        code: first.code,
        summary: summary.to_owned(),
        since: first.since,
        resolved_at: None,
        findings,
        urgent: 0,
        claimed_by: Label::EMPTY,
        muted_until: None,
        story: Story::default(),
    }
}

/// The story of a portal that hangs behind two feeds, for the third time this month.
fn story() -> Story {
    let moment = |secs, what| Moment { at: before(secs), what };
    let change = Change { at: before(900), kind: "deploy".into(), what: "portal 7.4.1".into() };
    Story {
        opened_at: Some(before(515)),
        scope: Scope::Link,
        feeds: vec!["lab-results".to_owned(), "radiology-reports".to_owned()],
        feeds_total: 2,
        messages: 214,
        breach_s: Some(0),
        drained_s: None,
        cause: Some(Cause {
            class: CauseClass::Software,
            confidence: Confidence::High,
            clues: vec![Clue::Deployed, Clue::TakesAndIsSilent],
            against: Vec::new(),
        }),
        earlier: 2,
        earlier_at: Some(before(400_000)),
        flaps: 0,
        shadow: false,
        verdict: None,
        timeline: vec![
            moment(900, MomentKind::Changed(change)),
            moment(522, MomentKind::Began),
            moment(515, MomentKind::Found(Code::NoAck)),
            moment(515, MomentKind::Told(Severity::Ticket)),
            moment(220, MomentKind::Told(Severity::Page)),
            moment(200, MomentKind::Claimed("R. Meyer".into())),
        ],
        overran: None,
        drill: false,
        news: Vec::new(),
        check_codes: CheckCodes::default(),
    }
}

/// What a check said, in words that try to break out.
fn said() -> CheckCodes {
    let line = |text: &str| Line::new(text, TEXT_MAX);
    let words = CodeWords {
        name: line("room-required/room-missing"),
        by: line("room-required 1.2.0"),
        title: line("An admission has no <room>"),
        explanation: line("PV1-3.2 is empty & the portal shows <script>alert(1)</script>no ward."),
        remedy: line("Ask the ward's \"registration\" desk."),
    };
    let room = CheckCode {
        code: Label::from("room-missing"),
        words: Some(Arc::new(words)),
        severity: Severity::Ticket,
        times: 12,
        first: before(600),
        last: before(20),
        waypoint: line("engine-in"),
        place: line("PV1-3.2"),
        attrs: vec![(line("minutes"), line("35"))],
    };
    let bed = CheckCode { code: Label::from("bed-odd"), words: None, times: 1, ..room.clone() };
    CheckCodes { codes: vec![room, bed], others: 4 }
}

fn incidents() -> Vec<IncidentChange> {
    let mut incidents = vec![
        incident(
            48_213,
            Subject::Waypoint(WaypointId(1)),
            "waypoint portal-in",
            "Since 22:17:56 UTC the portal has answered none of 214 messages (3 critical); connections stay open.",
            vec![
                finding(
                    Code::NoAck,
                    522,
                    None,
                    &[("unanswered_total", 214.0), ("oldest_s", 522.4)],
                ),
                finding(
                    Code::BacklogGrowing,
                    470,
                    None,
                    &[("backlog_total", 214.0), ("in_per_s", 0.45), ("out_per_s", 0.0)],
                ),
                finding(Code::AckSlow, 560, Some(500), &[("slow_share", 0.62)]),
            ],
        ),
        incident(
            47_900,
            Subject::Feed(FeedId(2)),
            "feed radiology-reports",
            "24 % of 61 answers within the last minute were errors; objective 5 %.",
            vec![finding(
                Code::RejectedShare,
                1_310,
                None,
                &[("rejected_share", 0.24), ("answers_total", 61.0)],
            )],
        ),
        incident(
            48_001,
            Subject::Own(Label::from("otlp")),
            "own otlp",
            "The collector refuses connections; 1,204 spans were dropped.",
            vec![finding(Code::ExportDown, 300, None, &[("dropped_total", 1_204.0)])],
        ),
        incident(
            41_118,
            Subject::Waypoint(WaypointId(0)),
            "waypoint engine-in",
            "The receiver's connections were refused for 41 s.",
            vec![finding(Code::ReceiverDown, 9_000, Some(8_959), &[("refused_total", 12.0)])],
        ),
        incident(
            48_100,
            Subject::Check(0),
            "check room",
            "An admission has no <room> (check room): room-required/room-missing, 12 times",
            vec![finding(Code::CheckFound, 600, None, &[])],
        ),
    ];
    incidents[4].story.check_codes = said();
    incidents[0].urgent = 3;
    incidents[0].story = story();
    incidents[1].claimed_by = Label::from("A. Nurse-Informatician");
    incidents[1].story.shadow = true;
    incidents[3].story.shadow = true;
    incidents[3].state = IncidentState::Resolved;
    incidents[3].resolved_at = Some(before(8_899));
    incidents
}

fn waypoints() -> Vec<WaypointView> {
    let waypoint = |id, name: &str, alive, seen| WaypointView {
        id: WaypointId(id),
        name: name.to_owned(),
        totals: totals(seen, 900, 216),
        connections: 4,
        refused: 12,
        resets: 1,
        unreadable: 2,
        alive_at: Some(before(alive)),
        ack_time: times(38_000),
        classes: [0; feedpulse_core::class::CLASSES],
        ack_mode: "original",
        blind: 0,
    };
    vec![
        waypoint(0, "engine-in", 1, 110_000),
        waypoint(1, "portal-in", 1, 109_000),
        waypoint(2, "portal-receipts", 44, 40_000),
    ]
}

fn remark() -> Remark {
    let text = RemarkText::new("The portal's team <restarts> it at 23:00.").unwrap();
    Remark { at: before(100), by: "R. Meyer".into(), text }
}

/// What notifiers took about the first incident.
fn notices() -> Vec<Taken> {
    let taken = |(secs, notifier, why): (u64, &str, &str)| Taken {
        incident: 48_213,
        at: before(secs),
        notifier: notifier.into(),
        why: why.into(),
    };
    [(500, "oncall", "open"), (499, "chat", "open"), (118, "oncall", "claimed")].map(taken).into()
}

/// A page that fails, a certificate that ends, a queue that is well, jobs.
fn probes() -> Vec<ProbeView> {
    let well = ProbeView {
        name: "mq-depth".into(),
        heartbeat: false,
        about: None,
        state: Some(FeedState::Ok),
        code: None,
        why: String::new(),
        since: Some(before(90_000)),
        seen: Some(before(12)),
        value: Some(14.0),
        behind: None,
        ends: None,
        running: None,
        due: None,
        parts: (1, 0),
        incident: None,
    };
    let page = ProbeView {
        name: "portal-web".into(),
        about: Some("waypoint portal-in".to_owned()),
        state: Some(FeedState::Page),
        code: Some(Code::ProbeFailed),
        why: "<10.0.0.7>:443 http-503".to_owned(),
        since: Some(before(522)),
        value: None,
        ends: Some(NOW.plus(Duration::from_secs(41 * 86_400 + 9))),
        parts: (4, 1),
        incident: Some(48_213),
        ..well.clone()
    };
    let job = ProbeView { heartbeat: true, value: None, ..well.clone() };
    let backup = ProbeView {
        name: "nightly-extract".into(),
        due: Some(NOW.plus(Duration::from_secs(30_000))),
        seen: Some(before(50_000)),
        ..job.clone()
    };
    let new = ProbeView {
        name: "archive".into(),
        state: None,
        since: None,
        seen: None,
        due: Some(NOW.plus(Duration::from_secs(3_000))),
        ..job
    };
    vec![page, well, backup, new]
}

/// Three notices that the shadow of the second feed kept back; the first incident is forgotten.
fn would_be() -> Vec<WouldBe> {
    let notice = |(incident, secs, severity, right)| WouldBe {
        incident,
        at: before(secs),
        severity,
        feeds: vec![FeedId(2)],
        right,
    };
    [
        (40_001, 80_000, Severity::Page, None),
        (41_118, 9_000, Severity::Page, Some(true)),
        (47_900, 1_310, Severity::Ticket, None),
    ]
    .map(notice)
    .into()
}

/// The hospital on a bad evening.
pub fn trouble() -> View {
    let briefs = [
        Brief(
            1,
            "lab-results",
            FeedState::Page,
            "The portal takes messages and answers none: 214 unanswered, 3 of them critical results.",
            522,
            214,
            3,
            9,
        ),
        Brief(
            2,
            "radiology-reports",
            FeedState::Ticket,
            "24 % of the answers are errors (AE), mostly unknown patient or order keys.",
            1_310,
            12,
            0,
            0,
        ),
        Brief(
            4,
            "documents <MDM>",
            FeedState::Ticket,
            "No message for 26 minutes; its limit is 15 minutes.",
            660,
            0,
            0,
            26,
        ),
        Brief(
            5,
            "PHARM.CLINIC/RDE",
            FeedState::Note,
            "No configuration names this feed.",
            7_400,
            0,
            0,
            0,
        ),
        Brief(3, "admissions", FeedState::Ok, "", 0, 2, 0, 0),
    ];
    View {
        remarks: [(48_213, vec![remark()])].into(),
        notices: [(48_213, notices())].into(),
        probes: probes(),
        would_be: would_be(),
        now: before(1),
        started: before(93_000),
        inputs: 412_800,
        feeds: briefs.iter().map(feed).collect(),
        waypoints: waypoints(),
        incidents: incidents(),
        senders: Vec::new(),
        lags: Vec::new(),
        totals: totals(219_900, 2_500, 228),
        journeys_open: 228,
        journeys_shed: 0,
        lessons: Vec::new(),
    }
}

/// A quiet day: the same feeds, all well.
pub fn quiet() -> View {
    let mut view = trouble();
    view.incidents.retain(|i| i.state == IncidentState::Resolved);
    for feed in &mut view.feeds {
        (feed.state, feed.since, feed.backlog, feed.backlog_urgent) = (FeedState::Ok, None, 0, 0);
        feed.why.clear();
    }
    view
}
