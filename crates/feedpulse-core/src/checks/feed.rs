//! Checks of a feed: too slow end to end, silent, backed up, given up.

use super::{Condition, Verdict, number, report, seconds};
use crate::codes::{Code, Severity};
use crate::engine::feed_time;
use crate::engine::profile::{Gap, PartKey, Profile};
use crate::engine::state::{FeedState, Recent, State};
use crate::finding::{Finding, Subject};
use crate::plan::{FeedId, Silence};
use crate::time::Timestamp;

/// A breach nearer than this, in seconds, gets somebody up.
const PAGE_BEFORE: u64 = 1_800;
/// Looks at the backlog that are kept: six minutes.
const LOOKS: usize = 24;
/// Losses older than this do not count, in seconds.
const LOSS_WINDOW: i64 = 300;

pub(super) fn run(s: &mut State, place: usize, findings: &mut Vec<Finding>) {
    let Some(feed) = s.feeds.get(place) else { return };
    let now = feed_time(s, feed);
    let first_time = feed
        .waypoints
        .first()
        .and_then(|w| s.waypoints.get(usize::from(w.0)))
        .map_or(s.now, |w| if w.time > Timestamp::EPOCH { w.time } else { s.now });
    let started = s.started;
    let oldest_any = oldest(s, place, false);
    let oldest_urgent = oldest(s, place, true);
    let subject = Subject::Feed(FeedId(u32::try_from(place).unwrap_or(u32::MAX)));
    let silence = silence_at(s, place, first_time, started);
    let Some(feed) = s.feeds.get_mut(place) else { return };
    look(feed, now, oldest_any);
    let rules = [
        (Code::TransitSlow, transit(feed, now, oldest_any, oldest_urgent)),
        (Code::Silence, silence),
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

/// Lets the profiles of a feed follow its first waypoint's time, and judges them.
fn silence_at(s: &mut State, place: usize, now: Timestamp, started: Timestamp) -> Condition {
    let plan = std::sync::Arc::clone(&s.plan);
    let Some(feed) = s.feeds.get_mut(place) else { return Condition::Over };
    feed.profile.advance(&plan.calendar, now);
    let id = FeedId(u32::try_from(place).unwrap_or(u32::MAX));
    let mut parts: Vec<&mut (PartKey, Profile)> =
        s.profiles.iter_mut().filter(|(key, _)| key.feed == id).collect();
    for (_, profile) in &mut parts {
        profile.advance(&plan.calendar, now);
    }
    let shown: Vec<(PartKey, &Profile)> = parts.iter().map(|part| (part.0, &part.1)).collect();
    let condition = silence(feed, &shown, now, started);
    let silent = matches!(condition, Condition::Holds(_));
    feed.profile.silent |= silent;
    for (_, profile) in &mut parts {
        profile.silent |= silent;
    }
    condition
}

/// Profiles of a feed's types and facilities.
type Parts<'a> = [(PartKey, &'a Profile)];

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
    let foreseen = crate::forecast::of(feed).is_some_and(|f| f.breaks(feed.objectives.backlog_min));
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

fn silence(feed: &FeedState, parts: &Parts<'_>, now: Timestamp, started: Timestamp) -> Condition {
    let last = feed.last_seen.unwrap_or(started);
    match feed.objectives.silence {
        Silence::Off => Condition::Over,
        Silence::After(limit) if now.since(last) <= limit => Condition::Over,
        Silence::After(limit) => Condition::Holds(Verdict::new(
            Code::Silence,
            last,
            &[("silent_s", seconds(now, last)), ("limit_s", limit.as_secs_f64())],
        )),
        Silence::Learned => learned_silence(feed, parts, now),
    }
}

/// The whole feed is silent, or one of its types or facilities is while the others go on.
fn learned_silence(feed: &FeedState, parts: &Parts<'_>, now: Timestamp) -> Condition {
    let silent = |profile: &Profile| match profile.judge() {
        Gap::Known { expected, limit } if expected > limit => Some((expected, limit)),
        _ => None,
    };
    let part = || parts.iter().find_map(|(key, p)| Some((Some(key.name()), p.last, silent(p)?)));
    let whole = silent(&feed.profile).map(|gap| (None, feed.profile.last, gap));
    let Some((part, last, (expected, limit))) = whole.or_else(part) else {
        return Condition::Over;
    };
    let mut verdict = Verdict::new(
        Code::Silence,
        last,
        &[
            ("silent_s", seconds(now, last)),
            ("expected_total", f64::from(expected).round()),
            ("limit_total", f64::from(limit).round()),
        ],
    );
    verdict.label = part.unwrap_or_default();
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
        && feed.profile.judge() == Gap::TooQuiet;
    if !quiet {
        return Condition::Over;
    }
    Condition::Holds(Verdict::new(Code::TooQuiet, now, &[]))
}

fn backlog(feed: &FeedState, now: Timestamp, oldest: Option<Timestamp>) -> Condition {
    // As of the feed's own time: while a tap is behind, what it has not shown is no backlog.
    let total = feed.looks.back().map_or(0, |(backlog, _)| *backlog);
    let forecast = crate::forecast::of(feed).filter(|f| f.growth > 0.0);
    let Some(forecast) = forecast.filter(|_| total >= feed.objectives.backlog_min) else {
        return Condition::Over;
    };
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
