//! Checks of a feed: too slow end to end, silent, backed up, given up.

use super::{Condition, Verdict, number, report, seconds};
use crate::codes::{Code, Severity};
use crate::engine::aged::Verdict as Aging;
use crate::engine::feed_time;
use crate::engine::profile::{Gap, PartKey, Profile};
use crate::engine::state::{FeedState, Recent, State};
use crate::finding::{Finding, Subject};
use crate::label::Label;
use crate::plan::{FeedId, Silence};
use crate::schedule::{Rule, Watch};
use crate::time::Timestamp;

/// A breach nearer than this, in seconds, gets somebody up.
const PAGE_BEFORE: u64 = 1_800;
/// Looks at the backlog that are kept: six minutes.
const LOOKS: usize = 24;
/// Seconds of a week: what was due before is history.
const WEEK: u64 = 7 * 86_400;
/// Losses older than this do not count, in seconds.
const LOSS_WINDOW: i64 = 300;

pub(super) fn run(s: &mut State, place: usize, parts: &[Part], findings: &mut Vec<Finding>) {
    let plan = std::sync::Arc::clone(&s.plan);
    let Some(feed) = s.feeds.get(place) else { return };
    let now = feed_time(s, feed);
    let first_time = first_time(s, feed);
    let started = s.started;
    let oldest_any = oldest(s, place, false);
    let oldest_urgent = oldest(s, place, true);
    let id = FeedId(u32::try_from(place).unwrap_or(u32::MAX));
    let subject = Subject::Feed(id);
    let Some(feed) = s.feeds.get_mut(place) else { return };
    feed.profile.advance(&plan.calendar, first_time);
    feed.profile.silent |= gap_of(&feed.profile).is_some();
    let part = parts.iter().find(|part| part.key.feed == id);
    let overdue = overdue(s, id, first_time);
    let Some(feed) = s.feeds.get_mut(place) else { return };
    look(feed, now, oldest_any);
    let rules = [
        (Code::TransitSlow, transit(feed, now, oldest_any, oldest_urgent)),
        (Code::SourceAge, source_age(feed, now)),
        (Code::Silence, overdue.unwrap_or_else(|| silence(feed, part, first_time, started))),
        (Code::VolumeUnusual, volume(feed, first_time)),
        (Code::TooQuiet, too_quiet(feed, first_time)),
        (Code::BacklogGrowing, backlog(feed, now, oldest_any)),
        (Code::DeadLetters, dead_letters(feed, now)),
        (Code::Missing, missing(feed, now)),
        (Code::PartlyDelivered, partly(feed, now)),
    ];
    for (code, condition) in rules {
        report(&mut feed.raised, subject, code, condition, s.now, findings);
    }
    feed.hurt.settle(feed.raised.is_empty() && feed.backlog_total() == 0, s.now);
}

/// A type or facility of a feed that is silent: which, since when, and the gap beside its limit.
pub(super) struct Part {
    key: PartKey,
    last: Timestamp,
    gap: (f32, f32),
}

/// Lets the profiles of types and facilities follow time, and says which are silent.
pub(super) fn silent_parts(s: &mut State) -> Vec<Part> {
    let plan = std::sync::Arc::clone(&s.plan);
    let times: Vec<Timestamp> = s.feeds.iter().map(|feed| first_time(s, feed)).collect();
    let mut silent = Vec::new();
    for (key, profile) in &mut s.profiles {
        let Some(now) = times.get(key.feed.0 as usize) else { continue };
        profile.advance(&plan.calendar, *now);
        if let Some(gap) = gap_of(profile) {
            profile.silent = true;
            silent.push(Part { key: *key, last: profile.last, gap });
        }
    }
    silent
}

/// The time of a feed's first waypoint.
fn first_time(s: &State, feed: &FeedState) -> Timestamp {
    let first = feed.waypoints.first().and_then(|w| s.waypoints.get(usize::from(w.0)));
    first.map_or(s.now, |w| if w.time > Timestamp::EPOCH { w.time } else { s.now })
}

/// Expected messages and the limit, where that is passed.
fn gap_of(profile: &Profile) -> Option<(f32, f32)> {
    match profile.judge() {
        Gap::Known { expected, limit } if expected > limit => Some((expected, limit)),
        _ => None,
    }
}

/// First sighting of the oldest journey that is unfinished; with `urgent`, of the urgent ones.
pub(crate) fn oldest(s: &mut State, place: usize, urgent: bool) -> Option<Timestamp> {
    let feed = s.feeds.get_mut(place)?;
    let queue = if urgent { &mut feed.urgent } else { &mut feed.queue };
    while let Some(place) = queue.front() {
        if let Some(journey) = s.journeys.get(*place).filter(|j| j.in_backlog) {
            return Some(journey.first_at);
        }
        queue.pop_front();
    }
    None
}

/// Every fifteen seconds of the feed's time: how large the backlog is, and how old.
fn look(feed: &mut FeedState, now: Timestamp, oldest: Option<Timestamp>) {
    if now.micros_since(feed.looked_at) < 15_000_000 {
        return;
    }
    feed.looked_at = now;
    if feed.looks.len() == LOOKS {
        feed.looks.pop_front();
    }
    let age = oldest.map_or(0.0, |at| now.since(at).as_secs_f32());
    feed.looks.push_back((feed.backlog_total(), age));
    let large = feed.backlog_total() >= feed.objectives.backlog_min;
    let foreseen = large && crate::forecast::of(feed).is_some_and(|f| f.breaks());
    feed.foreseen =
        if foreseen { (feed.foreseen + 1).min(4) } else { feed.foreseen.saturating_sub(2) };
}

fn transit(
    feed: &FeedState,
    now: Timestamp,
    oldest: Option<Timestamp>,
    urgent: Option<Timestamp>,
) -> Condition {
    if feed.waypoints.len() < 2 {
        return Condition::Over;
    }
    let objective = feed.objectives.transit;
    let urgent = urgent.filter(|at| now.since(*at) > feed.objectives.urgent_transit);
    let waits = oldest.filter(|at| now.since(*at) > objective).or(urgent);
    let late = feed.late.within(now, 10);
    if waits.is_none() && late < 3 {
        return Condition::Over;
    }
    let since = waits.or(feed.late.at.front().copied()).unwrap_or(now);
    let mut verdict = Verdict::new(
        Code::TransitSlow,
        since,
        &[
            ("late_total", number(feed.late.within(now, 60))),
            ("backlog_total", f64::from(feed.backlog_total())),
            ("oldest_s", oldest.map_or(0.0, |at| seconds(now, at))),
            ("objective_s", objective.as_secs_f64()),
        ],
    );
    if urgent.is_some() {
        verdict.severity = Severity::Page;
    }
    Condition::Holds(verdict)
}

/// A message was due by the feed's own schedule and has not come within its grace.
fn overdue(s: &mut State, id: FeedId, now: Timestamp) -> Option<Condition> {
    let feed = s.feeds.get(id.0 as usize)?;
    let expect = feed.objectives.expect?;
    let (rule, calendar) = (Rule::At(expect.schedule), &s.plan.calendar);
    let started = s.started.max(now.minus(core::time::Duration::from_secs(WEEK)));
    let watch = s.around.feeds.entry(id).or_insert_with(|| Watch::new(&rule, calendar, started));
    if let Some(seen) = feed.last_seen {
        watch.came(&rule, calendar, seen);
    }
    let first = feed.waypoints.first().and_then(|w| s.waypoints.get(usize::from(w.0)));
    for blind in first.into_iter().flat_map(|w| w.blinds.iter()) {
        watch.blind(&rule, calendar, *blind, expect.grace);
    }
    let due = watch.missed(now, expect.grace)?;
    let mut verdict = Verdict::new(
        Code::Silence,
        due.at,
        &[("late_s", seconds(now, due.at)), ("limit_s", expect.grace.as_secs_f64())],
    );
    verdict.detail = "due by its schedule";
    Some(Condition::Holds(verdict))
}

/// Messages are older than promised when they are first seen, by clocks that can be trusted.
fn source_age(feed: &FeedState, now: Timestamp) -> Condition {
    let (late, seen) = match feed.aged.judge(now) {
        Aging::Old(late, seen) => (late, seen),
        Aging::Fine => return Condition::Over,
        Aging::Between => return Condition::Undecided,
    };
    let (at, age) = feed.aged.worst;
    let objective = feed.objectives.source_age.or(feed.objectives.urgent_source_age);
    let urgent = feed.aged.urgent.within(now, 600);
    let age = core::time::Duration::from_micros(age);
    Condition::Holds(Verdict::new(
        Code::SourceAge,
        at.minus(age),
        &[
            ("late_total", f64::from(late)),
            ("messages_total", f64::from(seen)),
            ("urgent_total", number(urgent)),
            ("oldest_s", age.as_secs_f64()),
            ("objective_s", objective.map_or(f64::NAN, |o| o.as_secs_f64())),
        ],
    ))
}

fn silence(feed: &FeedState, part: Option<&Part>, now: Timestamp, started: Timestamp) -> Condition {
    let last = feed.last_seen.unwrap_or(started);
    match feed.objectives.silence {
        Silence::Off => Condition::Over,
        Silence::After(limit) if now.since(last) <= limit => Condition::Over,
        Silence::After(limit) => Condition::Holds(Verdict::new(
            Code::Silence,
            last,
            &[("silent_s", seconds(now, last)), ("limit_s", limit.as_secs_f64())],
        )),
        Silence::Learned => learned_silence(feed, part, now),
    }
}

/// The whole feed is silent, or one of its types or facilities is while the others go on.
fn learned_silence(feed: &FeedState, part: Option<&Part>, now: Timestamp) -> Condition {
    let whole = gap_of(&feed.profile).map(|gap| (Label::EMPTY, feed.profile.last, gap));
    let part = part.map(|part| (part.key.name(), part.last, part.gap));
    let Some((name, last, (expected, limit))) = whole.or(part) else { return Condition::Over };
    let mut verdict = Verdict::new(
        Code::Silence,
        last,
        &[
            ("silent_s", seconds(now, last)),
            ("expected_total", f64::from(expected).round()),
            ("limit_total", f64::from(limit).round()),
        ],
    );
    verdict.label = name;
    Condition::Holds(verdict)
}

/// The last whole hour was far from what is usual.
fn volume(feed: &FeedState, now: Timestamp) -> Condition {
    if feed.objectives.silence == Silence::Off {
        return Condition::Over;
    }
    let Some(times) = feed.profile.unusual() else { return Condition::Over };
    Condition::Holds(Verdict::new(
        Code::VolumeUnusual,
        now.minus(core::time::Duration::from_secs(7_200)),
        &[
            ("messages_total", f64::from(feed.profile.hour.0)),
            ("expected_total", f64::from(feed.profile.hour.1).round()),
            ("times_share", f64::from(times)),
        ],
    ))
}

/// Statistics cannot help a feed that is too quiet: it is said once, and stays so.
fn too_quiet(feed: &FeedState, now: Timestamp) -> Condition {
    let quiet = feed.declared
        && feed.objectives.silence == Silence::Learned
        && feed.objectives.expect.is_none()
        && feed.profile.judge() == Gap::TooQuiet;
    if !quiet {
        return Condition::Over;
    }
    Condition::Holds(Verdict::new(Code::TooQuiet, now, &[]))
}

fn backlog(feed: &FeedState, now: Timestamp, oldest: Option<Timestamp>) -> Condition {
    // As of the feed's own time: while a tap is behind, what it has not shown is no backlog.
    let total = feed.looks.back().map_or(0, |(backlog, _)| *backlog);
    if total < feed.objectives.backlog_min {
        return Condition::Over;
    }
    let forecast = crate::forecast::of(feed).filter(|f| f.growth > 0.0);
    let Some(forecast) = forecast else { return Condition::Over };
    if feed.foreseen < 3 {
        return Condition::Undecided;
    }
    let mut verdict = Verdict::new(
        Code::BacklogGrowing,
        oldest.unwrap_or(now),
        &[
            ("backlog_total", f64::from(total)),
            ("growth_per_s", f64::from(forecast.growth)),
            ("oldest_s", oldest.map_or(0.0, |at| seconds(now, at))),
            ("breach_s", forecast.breach.map_or(f64::NAN, |s| f64::from(s).round())),
        ],
    );
    let long = feed.objectives.transit.as_secs() > PAGE_BEFORE;
    if long && forecast.breach.is_some_and(|s| s < PAGE_BEFORE as f32) {
        verdict.severity = Severity::Page;
    }
    Condition::Holds(verdict)
}

fn dead_letters(feed: &FeedState, now: Timestamp) -> Condition {
    let records = feed.dead_letters.within(now, 300);
    let Some(first) = feed.dead_letters.at.front().copied().filter(|_| records > 0) else {
        return Condition::Over;
    };
    Condition::Holds(Verdict::new(
        Code::DeadLetters,
        first,
        &[("dead_letters_total", number(records))],
    ))
}

/// Accepted and never seen where the route goes on: five, or one critical one.
fn missing(feed: &FeedState, now: Timestamp) -> Condition {
    let lost = feed.missing.within(now, LOSS_WINDOW);
    let critical = feed.missing_critical.within(now, LOSS_WINDOW);
    if lost < 5 && critical == 0 {
        return Condition::Over;
    }
    Condition::Holds(Verdict::new(
        Code::Missing,
        first_within(&feed.missing, now).unwrap_or(now),
        &[("missing_total", number(lost)), ("critical_total", number(critical))],
    ))
}

/// Some ends of a fan-out have them and others do not.
fn partly(feed: &FeedState, now: Timestamp) -> Condition {
    let partly = feed.partly.within(now, LOSS_WINDOW);
    if partly < 5 {
        return Condition::Over;
    }
    let since = first_within(&feed.partly, now).unwrap_or(now);
    Condition::Holds(Verdict::new(
        Code::PartlyDelivered,
        since,
        &[("partly_total", number(partly))],
    ))
}

fn first_within(recent: &Recent, now: Timestamp) -> Option<Timestamp> {
    let mut within = recent.at.iter().copied();
    within.find(|at| now.micros_since(*at) <= LOSS_WINDOW * 1_000_000)
}
