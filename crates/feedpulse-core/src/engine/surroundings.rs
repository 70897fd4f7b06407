//! Probes, heartbeats and consumer groups through the engine: hysteresis, whose incident it is, time.

use super::Engine;
use super::tests::message;
use crate::calendar::Calendar;
use crate::cause::Clue;
use crate::codes::{Code, Severity};
use crate::effect::{Effect, Effects, IncidentChange, IncidentState, MomentKind};
use crate::frame::{ConnectionId, WaypointId};
use crate::input::Input;
use crate::label::Label;
use crate::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Waypoint};
use crate::probe::{
    About, Beat, Expect, HeartbeatPlan, Known, Offsets, ProbePlan, Probed, Reading, Saw,
};
use crate::schedule::{Rule, Schedule};
use crate::sighting::{LinkEvent, Seen, Sighting};
use crate::time::Timestamp;
use crate::view::FeedState;
use core::time::Duration;
use std::sync::Arc;

const START: i64 = 1_772_409_600; // Monday 2 March 2026, 00:00 UTC

struct Bench {
    engine: Engine,
    now: Timestamp,
    told: Vec<IncidentChange>,
}

fn plan(probes: Vec<ProbePlan>, heartbeats: Vec<HeartbeatPlan>) -> Plan {
    let mut waypoint = Waypoint::new("portal-in");
    waypoint.system = Label::from("portal");
    Plan {
        waypoints: vec![waypoint],
        routes: vec![Route { name: "main".into(), waypoints: vec![WaypointId(0)] }],
        resolve_after: Duration::from_secs(10),
        probes,
        heartbeats,
        ..Plan::default()
    }
}

impl Bench {
    fn new(plan: Plan) -> Self {
        let now = Timestamp::from_secs(START);
        let mut bench = Self { engine: Engine::new(), now, told: Vec::new() };
        bench.apply(Input::Configure(Arc::new(plan)));
        bench.pass(1);
        bench
    }

    fn apply(&mut self, input: Input) {
        let mut fx = Effects::default();
        self.engine.apply(self.now, &input, &mut fx);
        self.told.extend(fx.drain().filter_map(|(_, effect)| match effect {
            Effect::Incident(change) => Some(*change),
            _ => None,
        }));
    }

    /// Seconds go by, with a tick at least each fifth.
    fn pass(&mut self, seconds: u64) {
        let end = self.now.plus(Duration::from_secs(seconds));
        let step = if seconds > 600 { 5 } else { 1 };
        while self.now < end {
            self.now = self.now.plus(Duration::from_secs(step)).min(end);
            self.apply(Input::Alive(WaypointId(0)));
            self.apply(Input::Tick);
        }
    }

    /// Nobody runs for so long.
    fn away(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.apply(Input::Tick);
    }

    fn see(&mut self, probe: &str, part: &str, saw: Saw) {
        let readings = vec![Reading { part: Label::from(part), saw }];
        let (probe, at) = (Label::from(probe), self.now);
        self.apply(Input::Probed(Probed { probe, at, elapsed: Duration::ZERO, readings }));
    }

    fn check(&mut self, probe: &str, failed: Option<&str>) {
        let failed = failed.map(Label::from);
        self.see(probe, "", Saw::Check { code: Code::ProbeFailed, failed });
        self.pass(30);
    }

    fn beat(&mut self, name: &str, beat: Beat) {
        self.see(name, "", Saw::Beat(beat));
    }

    fn open(&mut self) -> Vec<IncidentChange> {
        let all = self.engine.view().incidents.into_iter();
        all.filter(|i| i.state == IncidentState::Open).collect()
    }

    fn holds(&mut self, code: Code) -> bool {
        let open = self.open();
        let mut findings = open.iter().flat_map(|i| &i.findings);
        findings.any(|f| f.code == code && f.cleared_at.is_none())
    }
}

fn about(name: &str, about: About) -> ProbePlan {
    ProbePlan { about, ..ProbePlan::new(name) }
}

#[test]
fn one_bad_look_is_nothing_two_of_three_are_an_incident_and_two_good_ones_end_it() {
    let mut bench = Bench::new(plan(vec![ProbePlan::new("tcp")], Vec::new()));
    for failed in [Some("refused"), None, None, Some("refused"), None] {
        bench.check("tcp", failed);
        assert!(bench.open().is_empty());
    }
    bench.check("tcp", Some("refused"));
    let open = bench.open();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].code, open[0].severity), (Code::ProbeFailed, Severity::Ticket));
    assert_eq!(open[0].subject_name, "probe tcp");
    assert_eq!(open[0].story.scope.name(), "around");
    assert!(open[0].summary.contains("refused"), "{}", open[0].summary);
    bench.check("tcp", None);
    assert!(bench.holds(Code::ProbeFailed));
    bench.check("tcp", None);
    assert!(bench.open().is_empty());
    let states: Vec<IncidentState> = bench.told.iter().map(|i| i.state).collect();
    assert_eq!(states, [IncidentState::Open, IncidentState::Resolved]);
}

#[test]
fn what_is_stated_is_told_while_feeds_are_in_shadow() {
    let mut watched = plan(vec![ProbePlan::new("tcp")], Vec::new());
    watched.defaults.shadow = Duration::from_secs(14 * 86_400);
    let mut bench = Bench::new(watched);
    bench.check("tcp", Some("refused"));
    bench.check("tcp", Some("refused"));
    assert!(!bench.open()[0].story.shadow);
}

#[test]
fn a_probe_of_a_waypoint_is_evidence_in_the_incident_of_its_link() {
    let probes = vec![
        about("port", About::Waypoint(WaypointId(0))),
        about("web", About::System(Label::from("portal"))),
    ];
    let mut bench = Bench::new(plan(probes, Vec::new()));
    for _ in 0..4 {
        bench.apply(Input::Seen(Sighting {
            at: bench.now,
            waypoint: WaypointId(0),
            connection: ConnectionId(1),
            what: Seen::Link(LinkEvent::Refused),
        }));
        let failed = Some(Label::from("http-503"));
        bench.see("web", "", Saw::Check { code: Code::ProbeFailed, failed });
        bench.check("port", Some("refused"));
    }
    let open = bench.open();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0].subject_name, "waypoint portal-in");
    let codes: Vec<Code> = open[0].findings.iter().map(|f| f.code).collect();
    assert!(codes.contains(&Code::ReceiverDown) && codes.contains(&Code::ProbeFailed), "{codes:?}");
    let clues = open[0].story.cause.clone().unwrap().clues;
    assert!(clues.contains(&Clue::PortClosed) && clues.contains(&Clue::ProbeRefused), "{clues:?}");
    assert!(clues.contains(&Clue::ServerErrors), "{clues:?}");
}

#[test]
fn a_certificate_is_a_ticket_then_a_page_and_its_renewal_a_change_in_the_timeline() {
    const DAY: u64 = 86_400;
    let mut bench = Bench::new(plan(vec![ProbePlan::new("tls")], Vec::new()));
    let ends =
        |days: u64| Saw::Ends(Timestamp::from_secs(START).plus(Duration::from_secs(days * DAY)));
    let shown = |value: &str| Saw::Known { what: Known::Certificate, value: Label::from(value) };
    bench.see("tls", "", ends(30));
    bench.see("tls", "", shown("one"));
    bench.pass(10);
    assert!(bench.open().is_empty());
    bench.see("tls", "", ends(20));
    bench.pass(10);
    let open = bench.open();
    assert_eq!((open[0].code, open[0].severity), (Code::CertificateExpires, Severity::Ticket));
    assert!(open[0].summary.contains("19 days left"), "{}", open[0].summary);
    bench.see("tls", "", ends(2));
    bench.pass(2);
    assert_eq!(bench.open()[0].severity, Severity::Page);
    bench.see("tls", "", shown("two"));
    bench.see("tls", "", ends(90));
    bench.pass(5);
    let open = bench.open();
    let changed = |m: &crate::effect::Moment| matches!(m.what, MomentKind::Changed(c) if c.kind.as_str() == "certificate" && c.what.as_str() == "tls");
    assert!(open[0].story.timeline.iter().any(changed), "{:?}", open[0].story.timeline);
    bench.pass(90);
    assert!(bench.open().is_empty());
    bench.see("tls", "", ends(0));
    bench.pass(5);
    let open = bench.open();
    assert_eq!(open[0].severity, Severity::Page);
    assert!(open[0].summary.contains("expired"), "{}", open[0].summary);
}

#[test]
fn a_number_is_told_over_its_limit_and_before_it_gets_there() {
    let mut depth = ProbePlan::new("depth");
    (depth.over, depth.breach) = (Some(500.0), Some(1_000.0));
    let mut errors = ProbePlan::new("errors");
    (errors.over, errors.growth) = (Some(5.0), true);
    let mut bench = Bench::new(plan(vec![depth, errors], Vec::new()));
    // A burst that drains is nothing.
    for value in [10.0, 400.0, 300.0, 200.0, 100.0, 10.0, 10.0, 10.0, 10.0, 10.0] {
        bench.see("depth", "adt", Saw::Number(value));
        bench.pass(30);
        assert!(bench.open().is_empty(), "{value}");
    }
    // Ten more each half minute: the limit of what can wait is reached in 50 minutes.
    for n in 0..30 {
        bench.see("depth", "adt", Saw::Number(10.0 + f64::from(n) * 10.0));
        bench.pass(30);
    }
    let open = bench.open();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].code, Code::NumberGrowing);
    assert!(open[0].summary.contains("adt grows"), "{}", open[0].summary);
    let breach = open[0].findings[0].evidence.iter().find(|e| e.name == "breach_s").unwrap().value;
    assert!((1_800.0..3_600.0).contains(&breach), "{breach}");
    for _ in 0..3 {
        bench.see("depth", "adt", Saw::Number(900.0));
        bench.pass(30);
    }
    assert!(bench.holds(Code::NumberBad));
    for _ in 0..30 {
        bench.see("depth", "adt", Saw::Number(0.0));
        bench.pass(30);
    }
    assert!(bench.open().is_empty());
    // A counter: what counts is its growth a minute, and a restart of it is none.
    for count in [1_000.0, 1_001.0, 1_002.0, 3.0, 4.0, 5.0] {
        bench.see("errors", "", Saw::Number(count));
        bench.pass(60);
    }
    assert!(bench.open().is_empty());
    for n in 1..5 {
        bench.see("errors", "", Saw::Number(5.0 + f64::from(n) * 20.0));
        bench.pass(60);
    }
    assert!(bench.holds(Code::NumberBad));
}

#[test]
fn a_channel_that_was_removed_is_forgotten() {
    let mut bench = Bench::new(plan(vec![ProbePlan::new("channels")], Vec::new()));
    let check = |part: &str, code, failed: Option<&str>| Reading {
        part: Label::from(part),
        saw: Saw::Check { code, failed: failed.map(Label::from) },
    };
    let look = |bench: &mut Bench, parts: &[(&str, Option<&str>)], failed: Option<&str>| {
        let states = parts.iter().map(|(part, state)| check(part, Code::PartStopped, *state));
        let readings = states.chain([check("", Code::ProbeFailed, failed)]).collect();
        let (probe, at) = (Label::from("channels"), bench.now);
        bench.apply(Input::Probed(Probed { probe, at, elapsed: Duration::ZERO, readings }));
        bench.pass(30);
    };
    for _ in 0..3 {
        look(&mut bench, &[("adt", None), ("old", Some("STOPPED"))], None);
    }
    assert!(bench.open()[0].summary.contains("old STOPPED"), "{}", bench.open()[0].summary);
    // Looks that saw nothing say nothing about it.
    for _ in 0..3 {
        look(&mut bench, &[], Some("timeout"));
    }
    assert!(bench.holds(Code::PartStopped));
    for _ in 0..4 {
        look(&mut bench, &[("adt", None)], None);
    }
    assert!(!bench.holds(Code::PartStopped));
}

fn offsets(committed: i64, end: i64, age: u64, members: u32) -> Saw {
    Saw::Group(Offsets {
        committed: Some(committed),
        low: 0,
        end,
        age: Some(Duration::from_secs(age)),
        members: Some(members),
    })
}

/// Plays looks of half a minute; what the group's finding says in the end.
fn group(looks: impl IntoIterator<Item = Saw>) -> Option<(Code, String)> {
    let mut bench = Bench::new(plan(vec![ProbePlan::new("mirth")], Vec::new()));
    for look in looks {
        bench.see("mirth", "hl7/0", look);
        bench.pass(30);
    }
    let open = bench.open();
    let finding = open.first()?.findings.iter().find(|f| f.cleared_at.is_none())?;
    Some((finding.code, finding.detail.to_string()))
}

#[test]
fn a_consumer_group_is_judged_by_a_window_of_commits_with_a_reason() {
    let said = |code, text: &str| Some((code, text.to_owned()));
    // It reads all that comes.
    assert_eq!(group((0..20).map(|n| offsets(n * 100, n * 100, 0, 2))), None);
    // It is behind at each look, and no more than before.
    assert_eq!(group((0..20).map(|n| offsets(n * 100, n * 100 + 50, 20, 2))), None);
    // Nothing comes any more.
    assert_eq!(group((0..30).map(|n| offsets(n.min(5) * 100, n.min(5) * 100, 0, 2))), None);
    // Less than comes, at each look.
    let falls = group((0..20).map(|n| offsets(n * 80, n * 100 + 10, 20, 2)));
    assert_eq!(falls, said(Code::GroupBehind, "hl7/0 falls behind"));
    // Its members go nowhere.
    let stalls = group((0..30).map(|n| offsets(n.min(10) * 100, n * 100 + 10, 20, 2)));
    assert_eq!(stalls, said(Code::GroupStopped, "hl7/0 stalled"));
    // It has no member: three looks are enough.
    let stops = group((0..15).map(|n| offsets(n.min(10) * 100, n * 100 + 10, 20, 0)));
    assert_eq!(stops, said(Code::GroupStopped, "hl7/0 stopped"));
    // It never commits.
    let never = group((0..15).map(|n| offsets(0, n * 100 + 10, 20, 1)));
    assert_eq!(never, said(Code::GroupStopped, "hl7/0 stalled"));
    // It was set back.
    let back =
        group((0..10).map(|n| {
            offsets(if n < 8 { n * 100 } else { (n - 8) * 10 + 10 }, n * 100 + 10, 20, 2)
        }));
    assert_eq!(back, said(Code::GroupStopped, "hl7/0 rewind"));
    // Not many records, and old ones.
    let old = group((0..6).map(|n| offsets(n * 10, n * 10 + 5, 900, 2)));
    assert_eq!(old, said(Code::GroupBehind, "hl7/0 old"));
}

fn at(hour: u32, minute: u64) -> Schedule {
    Schedule {
        minutes: 1 << minute,
        hours: 1 << hour,
        days: u32::MAX - 1,
        months: 0x1ffe,
        weekdays: 0x7f,
        either: false,
    }
}

fn backup(rule: Rule) -> HeartbeatPlan {
    HeartbeatPlan {
        name: Label::from("backup"),
        about: About::Itself,
        severity: None,
        rule,
        grace: Duration::from_secs(1_800),
        longest: Duration::from_secs(3_600),
    }
}

#[test]
fn a_heartbeat_that_does_not_come_is_an_incident_until_it_does() {
    let mut bench = Bench::new(plan(Vec::new(), vec![backup(Rule::At(at(2, 30)))]));
    bench.pass(3 * 3_600 - 1);
    assert!(bench.open().is_empty(), "within its grace");
    bench.pass(60);
    let open = bench.open();
    assert_eq!((open[0].code, open[0].severity), (Code::BeatMissing, Severity::Ticket));
    assert_eq!(open[0].subject_name, "heartbeat backup");
    bench.beat("backup", Beat::Ok);
    bench.pass(60);
    assert!(bench.open().is_empty());
    // The next night in time, then a failure, then one that takes too long.
    bench.pass(86_400 - 3 * 3_600 - 120 + 2 * 3_600 + 1_800 + 60);
    bench.beat("backup", Beat::Ok);
    bench.pass(3_600);
    assert!(bench.open().is_empty());
    bench.beat("backup", Beat::Fail);
    bench.pass(10);
    assert!(bench.holds(Code::BeatFailed));
    bench.beat("backup", Beat::Ok);
    bench.pass(60);
    assert!(bench.open().is_empty());
    bench.beat("backup", Beat::Start);
    bench.pass(3_600);
    assert!(bench.open().is_empty());
    bench.pass(30);
    assert!(bench.holds(Code::BeatLong));
    bench.beat("backup", Beat::Ok);
    bench.pass(60);
    assert!(bench.open().is_empty());
}

/// Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
fn berlin() -> Calendar {
    Calendar {
        offsets: vec![
            (Timestamp::EPOCH, 3_600),
            (Timestamp::from_secs(1_774_746_000), 7_200),
            (Timestamp::from_secs(1_792_890_000), 3_600),
        ],
        holidays: Vec::new(),
    }
}

#[test]
fn a_nightly_job_is_expected_by_the_sites_clocks_over_both_changes() {
    for (change, nights) in [(1_774_746_000_i64, 3), (1_792_890_000, 3)] {
        let mut watched = plan(Vec::new(), vec![backup(Rule::At(at(2, 30)))]);
        watched.calendar = berlin();
        let mut bench = Bench::new(watched.clone());
        bench.now = Timestamp::from_secs(change - 2 * 86_400);
        bench.apply(Input::Tick);
        // The job runs each night at 02:40 there; where the clocks skip that, it does not run at all.
        for _ in 0..nights * 24 * 60 {
            bench.pass(60);
            let local = watched.calendar.local(bench.now).rem_euclid(86_400_000_000) / 60_000_000;
            if local == 2 * 60 + 40 {
                bench.beat("backup", Beat::Ok);
            }
            assert!(bench.open().is_empty(), "{change} {local}");
        }
        // And one night it does not come: that is told within the hour.
        bench.pass(86_400 + 120);
        assert!(bench.holds(Code::BeatMissing), "{change}");
    }
}

#[test]
fn what_came_while_we_were_away_is_not_missed_and_all_survives_a_restart() {
    let watched = plan(Vec::new(), vec![backup(Rule::At(at(2, 30)))]);
    let mut bench = Bench::new(watched.clone());
    bench.pass(2 * 3_600);
    // We are down from 02:00 to 04:00: it may have come.
    bench.away(2 * 3_600);
    bench.pass(3_600);
    assert!(bench.open().is_empty());
    // The next night we are there, and a restart between changes nothing.
    let state = bench.engine.checkpoint().clone();
    bench.engine = Engine::restore(state);
    bench.apply(Input::Configure(Arc::new(watched)));
    bench.pass(22 * 3_600 + 60);
    assert!(bench.holds(Code::BeatMissing));
    // Away while it is missing: it is still missing.
    bench.away(600);
    bench.pass(10);
    assert!(bench.holds(Code::BeatMissing));
}

#[test]
fn a_quiet_feed_is_silent_when_its_message_is_overdue() {
    let mut watched = plan(Vec::new(), Vec::new());
    let expect = Expect { schedule: at(6, 0), grace: Duration::from_secs(1_200) };
    watched.feeds.push(FeedPlan {
        name: "extract".into(),
        route: RouteId(0),
        senders: vec!["LAB".into()],
        types: Vec::new(),
        objectives: Objectives { expect: Some(expect), ..Objectives::default() },
        ends_at: Vec::new(),
        filters: Vec::new(),
    });
    let mut bench = Bench::new(watched);
    let send = |bench: &mut Bench, id: &str| {
        bench.apply(Input::Seen(Sighting {
            at: bench.now,
            waypoint: WaypointId(0),
            connection: ConnectionId(1),
            what: Seen::Message(message(id, id)),
        }));
        bench.apply(Input::Seen(Sighting {
            at: bench.now,
            waypoint: WaypointId(0),
            connection: ConnectionId(1),
            what: Seen::Ack(super::tests::ack(id, crate::sighting::AckCode::AA)),
        }));
    };
    bench.pass(6 * 3_600 + 300);
    send(&mut bench, "1");
    bench.pass(86_400 - 300 + 1_100);
    assert!(bench.open().is_empty(), "{:#?}", bench.open());
    bench.pass(200);
    let open = bench.open();
    assert_eq!(open[0].code, Code::Silence);
    assert!(open[0].summary.contains("due by its schedule"), "{}", open[0].summary);
    send(&mut bench, "2");
    bench.pass(60);
    assert!(!bench.holds(Code::Silence));
}

#[test]
fn the_view_says_how_each_probe_and_job_is_and_since_when() {
    let mut plan = plan(
        vec![ProbePlan { over: Some(100.0), ..ProbePlan::new("queue") }, ProbePlan::new("tls")],
        vec![backup(Rule::Every(Duration::from_secs(600)))],
    );
    plan.probes.push(about("port", About::Waypoint(WaypointId(0))));
    let mut b = Bench::new(plan);
    let seen = |b: &mut Bench, name: &str| {
        let views = b.engine.view().probes;
        views.into_iter().find(|v| v.name.as_str() == name).unwrap()
    };
    let port = seen(&mut b, "port");
    assert_eq!((port.state, port.since, port.seen), (None, None, None), "nothing is known");
    assert_eq!(port.about.as_deref(), Some("waypoint portal-in"));
    let first = b.now;
    b.check("port", None);
    b.see("queue", "", Saw::Number(40.0));
    let ends = b.now.plus(Duration::from_secs(90 * 86_400));
    b.see("tls", "a:443", Saw::Ends(ends));
    b.see("tls", "b:443", Saw::Ends(ends.plus(Duration::from_secs(5))));
    b.beat("backup", Beat::Start);
    b.pass(1);
    let port = seen(&mut b, "port");
    assert_eq!((port.state, port.since), (Some(FeedState::Ok), Some(first)));
    assert_eq!(seen(&mut b, "queue").value, Some(40.0));
    let tls = seen(&mut b, "tls");
    assert_eq!((tls.ends, tls.parts, tls.about), (Some(ends), (2, 0), None), "the first to end");
    let backup = seen(&mut b, "backup");
    assert!(backup.heartbeat && backup.running == backup.seen && backup.due.is_some());
    // It fails: since the first bad look, in its incident.
    b.see("queue", "", Saw::Number(140.0));
    let bad = b.now;
    b.pass(30);
    for _ in 0..3 {
        b.see("queue", "", Saw::Number(150.0));
        b.pass(60);
    }
    let queue = b.engine.view().probes.swap_remove(0);
    assert_eq!(queue.name.as_str(), "queue", "the loudest first");
    assert_eq!((queue.code, queue.since), (Some(Code::NumberBad), Some(bad)));
    assert!(queue.state > Some(FeedState::Ok) && queue.value == Some(150.0));
    assert_eq!((queue.parts, queue.incident), ((1, 1), Some(b.open()[0].id)));
    // And is well again, since the look that said so.
    b.see("queue", "", Saw::Number(1.0));
    b.pass(5);
    b.see("queue", "", Saw::Number(1.0));
    let good = b.now;
    b.pass(30);
    let queue = seen(&mut b, "queue");
    assert_eq!((queue.state, queue.since), (Some(FeedState::Ok), Some(good)));
    assert_eq!((queue.code, queue.incident), (None, None));
}
