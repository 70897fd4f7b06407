//! Checks of a feed: too slow end to end, silent, backed up, given up.

use super::{Condition, Verdict, number, report, seconds};
use crate::codes::{Code, Severity};
use crate::engine::feed_time;
use crate::engine::state::{FeedState, Recent, State};
use crate::finding::{Finding, Subject};
use crate::plan::FeedId;
use crate::time::Timestamp;

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
    let Some(feed) = s.feeds.get_mut(place) else { return };
    look(feed, now);
    let rules = [
        (Code::TransitSlow, transit(feed, now, oldest_any, oldest_urgent)),
        (Code::Silence, silence(feed, first_time, started)),
        (Code::BacklogGrowing, backlog(feed, now, oldest_any)),
        (Code::DeadLetters, dead_letters(feed, now)),
        (Code::Missing, missing(feed, now)),
        (Code::PartlyDelivered, partly(feed, now)),
    ];
    let subject = Subject::Feed(FeedId(u32::try_from(place).unwrap_or(u32::MAX)));
    for (code, condition) in rules {
        report(&mut feed.raised, subject, code, condition, s.now, findings);
    }
    feed.hurt.settle(feed.raised.is_empty() && feed.backlog_total() == 0, s.now);
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

/// Every five seconds of the feed's time: how large the backlog is.
fn look(feed: &mut FeedState, now: Timestamp) {
    if now.micros_since(feed.looked_at) < 5_000_000 {
        return;
    }
    feed.looked_at = now;
    if feed.looks.len() == 4 {
        feed.looks.pop_front();
    }
    let backlog = feed.backlog_total();
    feed.looks.push_back(backlog);
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

fn silence(feed: &FeedState, now: Timestamp, started: Timestamp) -> Condition {
    let Some(limit) = feed.objectives.silence else { return Condition::Over };
    let last = feed.last_seen.unwrap_or(started);
    if now.since(last) <= limit {
        return Condition::Over;
    }
    Condition::Holds(Verdict::new(
        Code::Silence,
        last,
        &[("silent_s", seconds(now, last)), ("limit_s", limit.as_secs_f64())],
    ))
}

fn backlog(feed: &FeedState, now: Timestamp, oldest: Option<Timestamp>) -> Condition {
    // As of the feed's own time: while a tap is behind, what it has not shown is no backlog.
    let total = feed.looks.back().copied().unwrap_or(0);
    if total < feed.objectives.backlog_min {
        return Condition::Over;
    }
    let grows = feed.looks.len() == 4
        && feed.looks.iter().zip(feed.looks.iter().skip(1)).all(|(before, after)| after > before);
    if !grows && !feed.raised.contains(&Code::BacklogGrowing) {
        return Condition::Undecided;
    }
    let span = feed.looks.back().zip(feed.looks.front());
    let growth = span.map_or(0.0, |(last, first)| (f64::from(*last) - f64::from(*first)) / 15.0);
    Condition::Holds(Verdict::new(
        Code::BacklogGrowing,
        oldest.unwrap_or(now),
        &[
            ("backlog_total", f64::from(total)),
            ("growth_per_s", growth),
            ("oldest_s", oldest.map_or(0.0, |at| seconds(now, at))),
        ],
    ))
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
