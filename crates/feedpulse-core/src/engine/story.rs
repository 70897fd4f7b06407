//! An incident as people see it: one sentence, how far it reaches, how many messages, why.

use super::HEAD_TIMES;
use super::desk::OWN_CHANGE;
use super::grouping::system;
use super::incidents::{COME_BACK, planned_links};
use super::slab::Ref;
use super::state::{Answer, Down, FeedState, Incident, State, WaypointState};
use crate::cause::{Clue, weigh};
use crate::codes::Code;
use crate::effect::{Cause, Change, IncidentChange, IncidentFinding, Overran, Scope, Story};
use crate::finding::Subject;
use crate::forecast;
use crate::frame::WaypointId;
use crate::label::Label;
use crate::plan::{Downtime, FeedId};
use crate::said::{CheckCode, CheckCodes};
use crate::sighting::ReasonClass;
use crate::time::Timestamp;
use core::time::Duration;

/// So many of a feed's oldest journeys say whether younger ones overtake them.
const LOOKED_AT: usize = 512;
/// Changes of messages that one sentence holds.
const SAID: usize = 6;
/// A check's further codes that one sentence names.
const SAID_CODES: usize = 3;
/// Feeds that are named.
const NAMED: usize = 1_000;
/// A change before the beginning counts as near for so long.
pub(super) const NEAR: Duration = Duration::from_secs(1_800);

/// A connection that went half-open this long before is a sign of the same outage, in µs.
const HALF_OPEN_NEAR: i64 = 600_000_000;

/// An incident as people see it.
pub(super) fn change_of(
    s: &State,
    subject: Subject,
    resolved_at: Option<Timestamp>,
) -> Option<IncidentChange> {
    let incident = s.incidents.get(&subject)?;
    let subject_name = name_of(s, subject);
    let touched = touched(s, subject, incident);
    let urgent = urgent(s, subject, &touched);
    Some(IncidentChange {
        id: incident.id,
        subject,
        summary: summary(incident, &subject_name, urgent, touched.len()),
        subject_name,
        state: incident.state,
        severity: incident.severity,
        code: incident.code,
        since: incident.since,
        resolved_at,
        findings: incident.findings.values().cloned().collect(),
        urgent,
        claimed_by: incident.claimed_by,
        muted_until: incident.muted_until,
        story: story(s, subject, incident, &touched),
    })
}

/// Why an incident is, by what holds now.
pub(super) fn cause_of(s: &State, subject: Subject) -> Option<Cause> {
    let incident = s.incidents.get(&subject)?;
    let touched = touched(s, subject, incident);
    weigh(&clues(s, subject, incident, &touched))
}

fn story(s: &State, subject: Subject, incident: &Incident, touched: &[&FeedState]) -> Story {
    let opened = incident.opened_at.unwrap_or(s.now);
    let opens = s.signatures.get(&(incident.code, subject));
    let forecasts = || touched.iter().filter_map(|feed| forecast::of(feed));
    let breach = forecasts().filter(|f| f.growth > 0.0).filter_map(|f| f.breach);
    let drained = forecasts().filter_map(|f| f.drained);
    let earlier = opens.into_iter().flatten().filter(|at| **at < opened);
    Story {
        opened_at: incident.opened_at,
        scope: scope(s, subject, incident, touched.len()),
        feeds: touched.iter().take(NAMED).map(|feed| feed.name.clone()).collect(),
        feeds_total: u32::try_from(touched.len()).unwrap_or(u32::MAX),
        messages: touched.iter().map(|feed| feed.backlog_total()).fold(0, u32::saturating_add),
        breach_s: breach.min_by(f32::total_cmp).map(|s| s as u32),
        drained_s: drained.max_by(f32::total_cmp).map(|s| s as u32),
        cause: incident.cause.clone(),
        earlier: u32::try_from(earlier.clone().count()).unwrap_or(u32::MAX),
        earlier_at: earlier.max().copied(),
        flaps: incident.flaps,
        shadow: incident.said.is_some_and(|(_, shadow)| shadow),
        verdict: incident.verdict,
        timeline: incident.timeline.clone(),
        overran: overran(s, subject, incident.since),
        drill: false,
        news: super::drift::words(&incident.news),
        check_codes: incident.check_codes.clone(),
    }
}

/// The planned downtime in which something began that still goes on after its end and the moment
/// that coming back takes.
fn overran(s: &State, subject: Subject, since: Timestamp) -> Option<Overran> {
    let calendar = &s.plan.calendar;
    let links = planned_links(s, subject);
    let held = |d: &&Downtime| links.iter().any(|w| d.holds(calendar, *w, since));
    let downtime = s.plan.downtimes.iter().filter(held);
    let ends = downtime.map(|d| (d, d.end(calendar, since)));
    let (last, end) = ends.max_by_key(|(_, end)| *end)?;
    (end.plus(COME_BACK) <= s.now).then(|| Overran { name: last.name.clone(), since: end })
}

/// The feeds that an incident touches: those that pass its links and have been seen, and those
/// which have findings in it.
fn touched<'s>(s: &'s State, root: Subject, incident: &Incident) -> Vec<&'s FeedState> {
    let feeds = touched_feeds(s, root, incident).into_iter();
    feeds.filter_map(|feed| s.feeds.get(feed.0 as usize)).collect()
}

/// The same by their numbers.
pub(super) fn touched_feeds(s: &State, root: Subject, incident: &Incident) -> Vec<FeedId> {
    let mut links: Vec<WaypointId> = Vec::new();
    let mut named: Vec<FeedId> = Vec::new();
    for subject in incident.members.keys().map(|(subject, _)| *subject).chain([root]) {
        match subject {
            Subject::Waypoint(w) if !links.contains(&w) => links.push(w),
            Subject::Feed(f) if !named.contains(&f) => named.push(f),
            _ => {}
        }
    }
    let passes = |feed: &FeedState| {
        feed.seen > 0 && links.iter().any(|w| feed.waypoints.contains(&s.plan.primary(*w)))
    };
    let is_touched =
        |(number, feed): &(u32, &FeedState)| named.contains(&FeedId(*number)) || passes(feed);
    (0..).zip(&s.feeds).filter(is_touched).map(|(number, _)| FeedId(number)).collect()
}

fn urgent(s: &State, subject: Subject, touched: &[&FeedState]) -> u32 {
    let waiting: u32 = touched.iter().map(|feed| feed.backlog_urgent()).sum();
    match subject {
        Subject::Feed(feed) => {
            waiting + s.feeds.get(feed.0 as usize).map_or(0, |f| f.hurt.messages)
        }
        Subject::Waypoint(waypoint) => {
            waiting + s.waypoints.get(usize::from(waypoint.0)).map_or(0, |w| w.hurt.messages)
        }
        Subject::Check(_) | Subject::Own(_) | Subject::Probe(_) => 0,
    }
}

fn scope(s: &State, root: Subject, incident: &Incident, touched: usize) -> Scope {
    let links = incident.members.keys().filter(|(s, _)| matches!(s, Subject::Waypoint(_)));
    let mut links: Vec<Subject> = links.map(|(subject, _)| *subject).collect();
    links.dedup();
    let live = s.feeds.iter().filter(|feed| feed.seen > 0).count();
    match root {
        Subject::Check(_) | Subject::Own(_) => Scope::Own,
        Subject::Probe(_) => Scope::Around,
        Subject::Feed(_) | Subject::Waypoint(_) if live > 2 && touched == live => Scope::Everything,
        Subject::Waypoint(_) if links.len() > 1 => Scope::System,
        Subject::Waypoint(_) => Scope::Link,
        Subject::Feed(_) if touched > 1 => Scope::Feeds,
        Subject::Feed(_) => Scope::Feed,
    }
}

/// The signs that an incident shows.
fn clues(s: &State, root: Subject, incident: &Incident, touched: &[&FeedState]) -> Vec<Clue> {
    let mut clues = Vec::new();
    if let Subject::Waypoint(link) = root
        && let Some(here) = s.waypoints.get(usize::from(link.0))
    {
        link_clues(s, link, here, incident, &mut clues);
    }
    let has = |code: Code| incident.findings.contains_key(&code);
    // Where nothing is answered, that messages come again says nothing.
    let unheard = has(Code::NoAck) || has(Code::ReceiverDown) || has(Code::RejectedShare);
    let slow = if has(Code::AckSlow) { Clue::TooEarly } else { Clue::Floods };
    let repeats = Some(slow).filter(|_| !unheard);
    let silent = unheard || has(Code::HeadOfLine) || has(Code::Silence);
    let overtaken = touched.iter().any(|feed| is_overtaken(s, feed));
    let backlog = Some(if overtaken { Clue::Overtaken } else { Clue::OutBelowIn });
    if was_planned(s, root) {
        clues.push(Clue::PlannedBefore);
    }
    let feed_signs = [
        (Code::Silence, silence_clue(s, incident, touched)),
        (Code::BacklogGrowing, backlog.filter(|_| !silent)),
        (Code::SenderClock, Some(Clue::ClockWrong)),
        (Code::ClockStep, Some(Clue::ClockWrong)),
        (Code::OutOfOrder, Some(Clue::OutOfOrder)),
        (Code::OffByOneAcks, Some(Clue::BehindByOne)),
        (Code::ResultRegressed, Some(Clue::OutOfOrder)),
        (Code::MergeOutOfOrder, Some(Clue::OutOfOrder)),
        (Code::Malformed, Some(Clue::NotHl7)),
        (Code::EncodingDamage, Some(Clue::Charset)),
        (Code::RetryStorm, repeats),
        (Code::DuplicateFlood, Some(Clue::Floods)),
        (Code::Missing, Some(Clue::LostInside).filter(|_| matches!(root, Subject::Feed(_)))),
        (Code::SchemaDrift, Some(Clue::NewVersion)),
        (Code::ShapeDrift, Some(Clue::NewShape)),
    ];
    let members = incident.members.keys().map(|(subject, _)| *subject);
    let subjects: Vec<Subject> = members.chain([root]).collect();
    clues.extend(super::probes::clues(s, &subjects));
    let signs = feed_signs.into_iter().filter(|(code, _)| has(*code)).filter_map(|(_, clue)| clue);
    for clue in signs {
        if !clues.contains(&clue) {
            clues.push(clue);
        }
    }
    let from = incident.since.minus(NEAR);
    let near = |change: &&Change| change.at >= from && change.at <= incident.since.plus(NEAR / 15);
    for change in s.changes.iter().filter(near) {
        let clue = match change.kind.as_str() {
            // Feedpulse touches no message: its own settings are the cause of nothing.
            OWN_CHANGE => continue,
            // A rollout stops what it replaces.
            "stop" => continue,
            "kill" => Clue::Killed,
            super::drift::CHANGE => Clue::NewShape,
            "deploy" | "software" | "version" | "rollout" => Clue::Deployed,
            _ => Clue::Configured,
        };
        if !clues.contains(&clue) {
            clues.push(clue);
        }
    }
    clues
}

/// Whether messages of a feed pass others that came before them and wait on: what lacks capacity keeps
/// the order, what loses some does not.
fn is_overtaken(s: &State, feed: &FeedState) -> bool {
    let waits = |place: &&Ref| s.journeys.get(**place).is_some_and(|j| j.in_backlog);
    let looked = || feed.queue.iter().take(LOOKED_AT);
    let waiting = looked().filter(waits).count();
    let passed = looked().count() - waiting;
    passed >= 5 && passed * 3 >= waiting
}

/// Whether a planned downtime of a link ended within the last two hours.
fn was_planned(s: &State, root: Subject) -> bool {
    let Subject::Waypoint(link) = root else { return false };
    let calendar = &s.plan.calendar;
    let ago = |minutes: u64| s.now.minus(Duration::from_secs(minutes * 60));
    // Every five minutes is near enough for a hint.
    let held = |d: &Downtime| (0..=24).any(|n| d.holds(calendar, link, ago(n * 5)));
    s.plan.downtimes.iter().any(held)
}

fn silence_clue(s: &State, incident: &Incident, touched: &[&FeedState]) -> Option<Clue> {
    let live = s.feeds.iter().filter(|feed| feed.seen > 0).count();
    let connected = touched.iter().filter(|feed| is_connected(s, feed)).count();
    if live > 2 && touched.len() == live && connected == 0 {
        return Some(Clue::AllSilent);
    }
    let detail = incident.findings.get(&Code::Silence)?.detail;
    Some(match () {
        () if detail.as_str().starts_with("facility") => Clue::OneFacility,
        () if detail.as_str().starts_with("type") => Clue::OneTypeSilent,
        () if connected == 0 => Clue::SilentGone,
        () if touched.len() > 1 => Clue::SeveralSilent,
        () => Clue::SilentConnected,
    })
}

/// Whether the connection on which a feed's last message came is still open, and not half-open.
fn is_connected(s: &State, feed: &FeedState) -> bool {
    let here = feed.waypoints.first().and_then(|w| s.waypoints.get(usize::from(w.0)));
    here.zip(feed.last_on)
        .and_then(|(here, on)| here.connections.get(&on))
        .is_some_and(|connection| !connection.half_open)
}

fn link_clues(
    s: &State,
    link: WaypointId,
    here: &WaypointState,
    incident: &Incident,
    clues: &mut Vec<Clue>,
) {
    let finding = |code: Code| incident.findings.get(&code);
    let has = |code: Code| finding(code).is_some();
    // Answers that come after their sender has sent again: it is the sender that does not wait.
    let impatient = has(Code::LateAck) && (has(Code::RetryStorm) || has(Code::Retry));
    if has(Code::ReceiverDown) {
        down_clues(s, link, here, clues);
    } else if finding(Code::NoAck).is_some_and(|f| f.detail.as_str() == "half-open") {
        clues.push(Clue::Vanished);
    } else if has(Code::NoAck) && impatient {
        clues.push(Clue::TooEarly);
    } else if has(Code::NoAck) && !has(Code::OffByOneAcks) {
        clues.push(Clue::TakesAndIsSilent);
        let slow = finding(Code::AckSlow).zip(finding(Code::NoAck));
        // Slow answers that came, long before none did.
        if slow.is_some_and(|(slow, none)| none.since.micros_since(slow.since) > 120_000_000) {
            clues.push(Clue::SlowBefore);
        }
    } else if has(Code::AckSlow) {
        clues.push(Clue::Slow);
    }
    let explained = has(Code::ReceiverDown) || has(Code::NoAck);
    if has(Code::ConnectionLost) && !explained {
        let half_open =
            finding(Code::ConnectionLost).is_some_and(|f| f.detail.as_str() == "half-open");
        clues.push(if half_open { Clue::HalfOpen } else { Clue::Breaks });
    }
    if has(Code::HeadOfLine) && !explained && is_passed(s, link, here) {
        clues.push(Clue::OneMessage);
    } else if has(Code::HeadOfLine) || has(Code::RejectedShare) || has(Code::NewReason) {
        let one = finding(Code::RejectedShare).is_some_and(|f| f.detail.as_str() == "one type");
        if one {
            clues.push(Clue::OneType);
        }
        refusal_clues(here, incident.since, clues);
    }
}

/// Whether other messages pass the one that blocks a line, while it is tried again and again.
fn is_passed(s: &State, link: WaypointId, here: &WaypointState) -> bool {
    let plan = s.plan.waypoints.get(usize::from(link.0));
    let under_way = plan.map_or(Duration::ZERO, |plan| plan.ack_time);
    here.heads.values().filter(|head| head.times >= HEAD_TIMES).any(|head| {
        // What was under way when it began was still answered as before.
        let begun = head.since.plus(under_way);
        let passes = |a: &Answer| a.bad == Some(false) && a.at > begun && a.at <= head.last;
        here.answers.iter().any(passes)
    })
}

fn down_clues(s: &State, link: WaypointId, here: &WaypointState, clues: &mut Vec<Clue>) {
    let is_down = |n: usize| s.waypoints.get(n).is_some_and(|w| w.down_since.is_some());
    let places = 0..s.waypoints.len();
    let name = |n: usize| system(s, WaypointId(u16::try_from(n).unwrap_or(u16::MAX)));
    let own = system(s, link);
    let of_system = |n: &usize| own.is_some() && name(*n) == own;
    if here.down_how == Down::Dropped {
        clues.push(Clue::TlsFails);
        return;
    }
    if here.down_how == Down::Unreachable {
        let other = |n: &usize| is_down(*n) && name(*n).is_some() && name(*n) != own;
        let many = places.clone().any(|n| other(&n));
        clues.push(if many { Clue::ManyHostsGone } else { Clue::NoHost });
        if here.half_open.last().is_some_and(|at| here.down_last.micros_since(at) < HALF_OPEN_NEAR)
        {
            clues.push(Clue::Vanished);
        }
        return;
    }
    clues.push(Clue::PortClosed);
    let mut links = places.filter(of_system).peekable();
    let several = links.clone().count() > 1;
    if several && links.all(is_down) {
        clues.push(Clue::AllPortsClosed);
    }
}

/// What the last refusals say, and whom they meet.
fn refusal_clues(here: &WaypointState, since: Timestamp, clues: &mut Vec<Clue>) {
    let bad = || here.answers.iter().filter(|a| a.bad == Some(true) && a.at >= since);
    let reason = |reason: ReasonClass| bad().filter(|a| a.reason == reason).count();
    let half = bad().count().div_ceil(2).max(1);
    for (class, clue) in [
        (ReasonClass::Internal, Clue::InternalErrors),
        (ReasonClass::Locked, Clue::InternalErrors),
        (ReasonClass::Unavailable, Clue::SaysUnavailable),
        (ReasonClass::Structure, Clue::BadStructure),
        (ReasonClass::Unsupported, Clue::BadStructure),
        (ReasonClass::UnknownKey, Clue::UnknownKeys),
        (ReasonClass::DuplicateKey, Clue::DuplicateKeys),
    ] {
        if reason(class) >= half && !clues.contains(&clue) {
            clues.push(clue);
        }
    }
    // Refusals of other kinds are usual at many links: most of them are of this one, and it passes
    // seldom, while others do.
    let of = |kind: u32| bad().filter(|a| a.kind == kind).count();
    let Some(most) = bad().map(|a| a.kind).max_by_key(|kind| of(*kind)) else { return };
    let one_kind = of(most) >= 5 && of(most) * 5 >= bad().count() * 4;
    let good = |same: bool| {
        let good = |a: &&Answer| a.bad == Some(false) && a.at >= since && (a.kind == most) == same;
        here.answers.iter().filter(good).count()
    };
    if one_kind && good(true) < of(most) && good(false) > 0 && !clues.contains(&Clue::OneType) {
        clues.push(Clue::OneType);
    }
}

/// The subject as people call it.
pub(super) fn name_of(s: &State, subject: Subject) -> String {
    match subject {
        Subject::Waypoint(w) => {
            let name = s.plan.waypoints.get(usize::from(w.0)).map_or("?", |w| w.name.as_str());
            format!("waypoint {name}")
        }
        Subject::Feed(f) => {
            let name = s.feeds.get(f.0 as usize).map_or("?", |f| f.name.as_str());
            format!("feed {name}")
        }
        Subject::Check(c) => {
            format!("check {}", s.plan.checks.get(usize::from(c)).map_or("?", String::as_str))
        }
        Subject::Own(part) => format!("feedpulse {part}"),
        Subject::Probe(name) => super::probes::name_of(s, name),
    }
}

/// One sentence: what, where, the leading finding's numbers, how many urgent.
fn summary(incident: &Incident, subject: &str, urgent: u32, feeds: usize) -> String {
    use core::fmt::Write as _;
    let lead = incident.check_codes.lead().filter(|_| incident.code == Code::CheckFound);
    if let Some(lead) = lead {
        return said(&incident.check_codes, lead, subject);
    }
    let mut text = format!("{} ({subject})", incident.code.text().title);
    if let Some(lead) = incident.findings.get(&incident.code) {
        numbers(&mut text, lead, &super::drift::words(&incident.news));
    }
    if let Some(("feed" | "waypoint", _)) = subject.split_once(' ') {
        if feeds > 1 {
            let _ = write!(text, "; {feeds} feeds");
        }
        let _ = match urgent {
            0 => write!(text, "; none urgent"),
            _ => write!(text, "; {urgent} urgent"),
        };
    }
    text
}

/// As its author says it, and how much else the check said.
fn said(all: &CheckCodes, lead: &CheckCode, subject: &str) -> String {
    use core::fmt::Write as _;
    let title = lead.words.as_ref().map_or(Code::CheckFound.text().title, |w| w.title.as_str());
    let mut text = format!("{title} ({subject}): {}, {}", lead.name(), lead.numbers());
    let others = all.codes.iter().filter(|said| said.code != lead.code);
    for other in others.clone().take(SAID_CODES) {
        let times =
            if other.times == 1 { "once".to_owned() } else { format!("{} times", other.times) };
        let _ = write!(text, "; also {} {times}", other.code);
    }
    let unnamed =
        others.skip(SAID_CODES).map(|said| said.times).fold(all.others, u32::saturating_add);
    if unnamed > 0 {
        let _ = write!(text, "; and {unnamed} more of further codes");
    }
    text
}

fn numbers(text: &mut String, lead: &IncidentFinding, news: &[Label]) {
    use core::fmt::Write as _;
    if lead.code == Code::ShapeDrift && !news.is_empty() {
        let named: Vec<&str> = news.iter().take(SAID).map(Label::as_str).collect();
        let _ = write!(text, ": {}", named.join("; "));
        if let Some(more) = news.len().checked_sub(SAID).filter(|more| *more > 0) {
            let _ = write!(text, " and {more} more");
        }
    } else if !lead.detail.is_empty() {
        let _ = write!(text, ": {}", lead.detail);
    }
    let mut separator = "; ";
    for evidence in &lead.evidence {
        let value = evidence.value;
        let name = evidence.name;
        let _ = match name.rsplit_once('_') {
            Some((what, "total")) => {
                write!(text, "{separator}{value:.0} {}", what.replace('_', " "))
            }
            Some((what, "s")) => {
                write!(text, "{separator}{} {value:.1} s", what.replace('_', " "))
            }
            Some((what, "share")) => {
                write!(text, "{separator}{} {:.0} %", what.replace('_', " "), value * 100.0)
            }
            _ => write!(text, "{separator}{} {value:.1}", name.replace('_', " ")),
        };
        separator = ", ";
    }
}
