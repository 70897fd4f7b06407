//! Checks of the link behind a waypoint: slow, silent, refusing, broken, unreadable.

use super::{Condition, Verdict, number, report, seconds};
use crate::codes::{Code, Severity};
use crate::engine::state::{Answer, Down, Head, State, WaypointState};
use crate::engine::usual::{Minute, Usual};
use crate::engine::{HEAD_TIMES, by_kind};
use crate::finding::{Finding, Subject};
use crate::frame::WaypointId;
use crate::plan::{Acks, FeedPlan, Plan, Waypoint};
use crate::sighting::{ReasonClass, Urgency};
use crate::time::Timestamp;

/// Answers and events older than this do not count, in seconds.
const WINDOW: i64 = 60;
/// A minute and an hour, in µs.
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
/// So many a minute that were accepted before are a flood, and so many in a quarter of an hour are more
/// than a sender sends again behind a downtime.
const FLOOD: u32 = 20;
const RESENT: u32 = 250;
/// Losses this far apart are no single event, in µs.
const APART: i64 = 120_000_000;
/// So many of the last answers are judged: a fast link must not hide a fault for a minute.
const ANSWERS: usize = 20;

/// Urgent messages flow where one was seen within this, in µs.
const URGENT_FLOWS: i64 = 3_600_000_000;
/// Tries that span less than this are those of a sender that gives up soon, in µs.
const HEAD_SPAN: i64 = 15_000_000;
/// A blocked message that was not tried again for this long is given up, in seconds.
const HEAD_WINDOW: i64 = 900;

pub(super) fn run(s: &mut State, place: usize, findings: &mut Vec<Finding>) {
    let plan = std::sync::Arc::clone(&s.plan);
    let carried = is_carried(s, place);
    let (Some(plan_here), Some(w)) = (plan.waypoints.get(place), s.waypoints.get_mut(place)) else {
        return;
    };
    let share = rejected_share(&plan, place);
    let now = w.time;
    let subject = Subject::Waypoint(WaypointId(u16::try_from(place).unwrap_or(u16::MAX)));
    let oldest = oldest_open(w);
    let mut down = receiver_down(w, s.now);
    let mut silent = no_ack(w, plan_here, now, oldest);
    let mut refuses = rejected(w, share, now);
    let mut blocked = head_of_line(w, now);
    w.drift.retain(|news| !news.is_over(now));
    if is_all_refused(w, &plan, s.now) {
        [&mut down, &mut silent, &mut refuses, &mut blocked].into_iter().for_each(louder);
    }
    if let Condition::Holds(verdict) = &mut down
        && carried
    {
        verdict.severity = Severity::Note;
    }
    let rules = [
        (Code::ReceiverDown, down),
        (Code::NoAck, silent),
        (Code::AckSlow, ack_slow(w, plan_here, now, oldest)),
        (Code::RejectedShare, refuses),
        (Code::ConnectionLost, connection_lost(w, now)),
        (Code::Malformed, malformed(w, now)),
        (Code::HeadOfLine, blocked),
        (Code::CommitOnly, commit_only(w, now)),
        (Code::NewReason, new_reason(w, plan_here, now)),
        (Code::RetryStorm, retry_storm(&w.usual, now)),
        (Code::DuplicateFlood, duplicate_flood(&w.usual, now)),
        (Code::EncodingDamage, damaged(w, now)),
        (Code::OutOfOrder, out_of_order(w, now)),
        (Code::ShapeDrift, new_shape(w, now)),
    ];
    for (code, condition) in rules {
        report(&mut w.raised, subject, code, condition, s.now, findings);
    }
    w.hurt.settle(w.raised.is_empty(), s.now);
}

/// Nothing was accepted for the page delay, of all that was offered.
pub(crate) fn is_all_refused(w: &WaypointState, plan: &Plan, now: Timestamp) -> bool {
    let urgent = w.urgent_at.is_some_and(|at| now.micros_since(at) < URGENT_FLOWS);
    let after = if urgent { plan.page_after_urgent } else { plan.page_after };
    w.refusing_since.is_some_and(|since| now.since(since) > after)
}

fn louder(condition: &mut Condition) {
    if let Condition::Holds(verdict) = condition {
        verdict.severity = Severity::Page;
    }
}

/// Whether another of its group (active and standby) was answered since it went down.
fn is_carried(s: &State, place: usize) -> bool {
    let primary =
        |n: usize| s.plan.waypoints.get(n).and_then(|w| w.standby_of).map_or(n, |w| w.0.into());
    let Some(down) = s.waypoints.get(place).and_then(|w| w.down_since) else { return false };
    let others = (0..s.waypoints.len()).filter(|n| *n != place && primary(*n) == primary(place));
    let answered = |n: usize| s.waypoints.get(n)?.answers.back().map(|a| a.at);
    others.filter_map(answered).any(|at| at > down)
}

/// The oldest sending that waits, and whether any that waits is urgent.
fn oldest_open(w: &mut WaypointState) -> Option<(Timestamp, Urgency)> {
    while let Some(place) = w.deadlines.front()
        && w.entries.get(*place).is_none()
    {
        w.deadlines.pop_front();
    }
    // Nobody waits for what was committed.
    let mut waiting = w.deadlines.iter().filter_map(|place| w.entries.get(*place));
    waiting.find(|entry| !entry.committed).map(|entry| (entry.at, entry.urgency))
}

fn receiver_down(w: &WaypointState, now: Timestamp) -> Condition {
    let Some(since) = w.down_since else { return Condition::Over };
    let answered_since = w.answers.back().is_some_and(|a| a.at > w.down_last);
    if answered_since && now.micros_since(w.down_last) > 5_000_000 {
        return Condition::Over;
    }
    if w.down_times < 2 && now.micros_since(since) < 4_000_000 {
        return Condition::Undecided;
    }
    let times = f64::from(w.down_times);
    // Connections that were open died with it, and nothing said so: it is gone, not stopped.
    let gone = w.half_open.at.iter().filter(|at| since.micros_since(**at) <= APART).count();
    let half_open = w.down_how == Down::Unreachable && gone > 0;
    let mut verdict = Verdict::new(
        Code::ReceiverDown,
        since,
        &[
            ("attempts_total", times),
            ("down_s", seconds(now, since)),
            ("half_open_total", if half_open { number(gone) } else { f64::NAN }),
        ],
    );
    verdict.detail = if half_open { "unreachable, half-open" } else { w.down_how.name() };
    if answered_since {
        verdict.severity = Severity::Ticket;
    }
    Condition::Holds(verdict)
}

/// Offered and none accepted.
fn no_ack(
    w: &WaypointState,
    plan: &Waypoint,
    now: Timestamp,
    oldest: Option<(Timestamp, Urgency)>,
) -> Condition {
    if plan.acks != Acks::Expected {
        return Condition::Over;
    }
    let answer = w.answers.back().map(|a| a.at);
    let silent: Vec<Timestamp> = w
        .unanswered
        .at
        .iter()
        .copied()
        .filter(|at| answer.is_none_or(|answer| *at > answer))
        .filter(|at| now.micros_since(*at) <= WINDOW * 1_000_000)
        .collect();
    let overdue = oldest.filter(|(at, _)| now.since(*at) > plan.no_ack_after);
    let urgent =
        oldest.is_some_and(|(at, u)| u == Urgency::Critical && now.since(at) > plan.no_ack_after);
    let Some(first) = silent.first().copied().or(overdue.map(|(at, _)| at)) else {
        return Condition::Over;
    };
    if silent.len() < 3 && !urgent {
        return Condition::Undecided;
    }
    let mut verdict = Verdict::new(
        Code::NoAck,
        first,
        &[("unanswered_total", number(silent.len())), ("open_total", number(w.entries.len()))],
    );
    if urgent {
        verdict.severity = Severity::Page;
    }
    // Its host does not take the bytes either.
    if w.half_open.last().is_some_and(|at| answer.is_none_or(|answer| at > answer)) {
        verdict.detail = "half-open";
    }
    Condition::Holds(verdict)
}

fn ack_slow(
    w: &WaypointState,
    plan: &Waypoint,
    now: Timestamp,
    oldest: Option<(Timestamp, Urgency)>,
) -> Condition {
    if plan.acks != Acks::Expected {
        return Condition::Over;
    }
    let recent = recent(w, now, |a| a.slow);
    let slow = recent.iter().filter(|(_, slow)| *slow).count();
    let waits = oldest.filter(|(at, _)| now.since(*at) > plan.ack_time * 3);
    if (recent.len() >= 5 && slow * 5 > recent.len() && ends_bad(&recent)) || waits.is_some() {
        let since =
            recent.iter().find(|(_, slow)| *slow).map(|(at, _)| *at).or(waits.map(|(at, _)| at));
        return Condition::Holds(Verdict::new(
            Code::AckSlow,
            since.unwrap_or(now),
            &[
                ("slow_total", number(slow)),
                ("answers_total", number(recent.len())),
                ("oldest_open_s", oldest.map_or(0.0, |(at, _)| seconds(now, at))),
                ("objective_s", plan.ack_time.as_secs_f64()),
            ],
        ));
    }
    Condition::Over
}

/// The share of refusals: of the last answers, or of the last hour and still of the last minutes.
/// Reasons that this link refuses for all day do not count, unless they are four times as frequent.
/// What may be refused at a link: the most that one of its declared feeds may have, since its answers are
/// judged together.
fn rejected_share(plan: &Plan, place: usize) -> f64 {
    let passes = |feed: &&FeedPlan| {
        let route = plan.routes.get(usize::from(feed.route.0));
        route.is_some_and(|route| route.waypoints.iter().any(|w| usize::from(w.0) == place))
    };
    let stated = plan.feeds.iter().filter(passes).map(|feed| feed.objectives.rejected_share);
    stated.reduce(f64::max).unwrap_or(plan.defaults.rejected_share)
}

fn rejected(w: &WaypointState, share: f64, now: Timestamp) -> Condition {
    let recent = recent(w, now, |a| a.bad.map(|bad| bad.then_some(a.reason)));
    let counts = ReasonClass::ALL
        .map(|class| recent.iter().filter(|(_, reason)| *reason == Some(class)).count());
    let is_usual = |class: ReasonClass| {
        let usual = f64::from(w.usual.share(class));
        // What refuses more often than not was never usual.
        (0.01..0.5).contains(&usual)
            && number(counts[class as usize]) <= 4.0 * usual * number(recent.len())
    };
    let judged: Vec<(Timestamp, bool)> = recent
        .iter()
        .map(|(at, reason)| (*at, reason.is_some_and(|class| !is_usual(class))))
        .collect();
    let bad = judged.iter().filter(|(_, bad)| *bad).count();
    let held = number(bad) / number(judged.len().max(1));
    let (hour, minutes) = (w.usual.sum(now, 60), w.usual.sum(now, 5));
    let part = |m: &Minute| f64::from(m.bad) / f64::from(m.answers.max(1));
    let usual = f64::from(w.usual.refusals());
    let usual = if usual < 0.5 { usual } else { 0.0 };
    // Twice the budget over an hour spends a month's in two weeks; and it goes on.
    let over = (share * 2.0).max(usual * 4.0);
    let burns = hour.bad >= 10 && part(&hour) > over && minutes.bad >= 3 && part(&minutes) > over;
    let fast = bad >= 5 && held > share && ends_bad(&judged);
    let lasts = burns && ends_bad(&judged);
    if !(fast || lasts) {
        return one_kind(w, now);
    }
    let since = judged.iter().find(|(_, bad)| *bad).map_or(now, |(at, _)| *at);
    let (refused, answers) = if fast {
        (number(bad), number(judged.len()))
    } else {
        (f64::from(hour.bad), f64::from(hour.answers))
    };
    Condition::Holds(Verdict::new(
        Code::RejectedShare,
        since,
        &[
            ("refused_total", refused),
            ("answers_total", answers),
            ("refused_share", refused / answers.max(1.0)),
        ],
    ))
}

/// One type, of one sender at one facility, is refused far more often than it used to be, while others
/// pass.
fn one_kind(w: &WaypointState, now: Timestamp) -> Condition {
    let usual = w.usual.refusals().max(0.01);
    let Some(found) = by_kind::refused(&w.usual.kinds, now, usual) else { return Condition::Over };
    let (refused, answers) = (f64::from(found.refused), f64::from(found.answers));
    let mut verdict = Verdict::new(
        Code::RejectedShare,
        found.since,
        &[
            ("refused_total", refused),
            ("answers_total", answers),
            ("refused_share", refused / answers),
        ],
    );
    verdict.detail = "one type";
    Condition::Holds(verdict)
}

/// The last answers of which something is known, oldest first.
fn recent<T>(
    w: &WaypointState,
    now: Timestamp,
    known: impl Fn(&Answer) -> Option<T>,
) -> Vec<(Timestamp, T)> {
    let known = w.answers.iter().rev().filter_map(|a| Some((a.at, known(a)?)));
    let last =
        known.take(ANSWERS).take_while(|(at, _)| now.micros_since(*at) <= WINDOW * 1_000_000);
    let mut answers: Vec<_> = last.collect();
    answers.reverse();
    answers
}

/// Whether the condition still lasts: it is over after ten good answers in a row.
fn ends_bad(answers: &[(Timestamp, bool)]) -> bool {
    answers.iter().rev().take(10).any(|(_, bad)| *bad)
}

fn connection_lost(w: &WaypointState, now: Timestamp) -> Condition {
    let lost = w.lost.within(now, WINDOW);
    if lost < 5 || w.lost.within(now, WINDOW / 4) == 0 {
        return lost_again(w, now);
    }
    let since = w.lost.at.iter().copied().find(|at| now.micros_since(*at) <= WINDOW * 1_000_000);
    let half_open = w.half_open.within(now, WINDOW);
    let mut verdict =
        Verdict::new(Code::ConnectionLost, since.unwrap_or(now), &[("lost_total", number(lost))]);
    if half_open * 2 >= lost {
        verdict.detail = "half-open";
    }
    Condition::Holds(verdict)
}

/// Few losses, and regular ones: three minutes of the last hour that lie apart, and far more than this
/// link usually has. So a balancer that cuts idle connections shows at a quiet feed: a connection that was
/// half-open counts, whatever its sender makes of it, and two of them are enough.
fn lost_again(w: &WaypointState, now: Timestamp) -> Condition {
    let within = |at: &Timestamp| now.micros_since(*at) <= HOUR;
    let half_open = w.half_open.at.iter().copied().filter(within).count();
    let lost = w.lost.at.iter().copied().filter(within).count();
    let named = half_open > 0 && half_open >= lost;
    let mut events: Vec<Timestamp> = w.lost.at.iter().chain(&w.half_open.at).copied().collect();
    events.retain(within);
    events.sort_unstable();
    let (mut times, mut since, mut before) = (0_u32, now, None);
    for at in events.iter().copied() {
        if before.is_none_or(|before| at.micros_since(before) > APART) {
            (times, before) = (times + 1, Some(at));
            since = since.min(at);
        }
    }
    let usual = w.usual.lost_share * w.usual.sum(now, 60).sendings as f32;
    let lately = before.is_some_and(|at| now.micros_since(at) <= HOUR / 2);
    let least = if named { 2 } else { 3 };
    if times < least || !lately || (times as f32) < least as f32 + 4.0 * usual {
        return Condition::Over;
    }
    let all = number(lost.max(half_open));
    let share = if named { number(half_open) } else { f64::NAN };
    let mut verdict = Verdict::new(
        Code::ConnectionLost,
        since,
        &[("lost_total", all), ("half_open_total", share)],
    );
    verdict.detail = if named { "half-open" } else { "again and again" };
    Condition::Holds(verdict)
}

fn malformed(w: &WaypointState, now: Timestamp) -> Condition {
    let (minute, frames) = (w.malformed.within(now, WINDOW), w.malformed.within(now, 300));
    if minute < 5 && frames < 8 {
        return if frames < 4 { Condition::Over } else { Condition::Undecided };
    }
    let since = w.malformed.at.iter().copied().find(|at| now.micros_since(*at) <= 300_000_000);
    Condition::Holds(Verdict::new(
        Code::Malformed,
        since.unwrap_or(now),
        &[("unreadable_total", number(frames))],
    ))
}

/// One message is refused again and again, and nothing else of its feed gets through. A sender that
/// gives up after a few quick tries blocks nothing: the tries must span a while.
fn head_of_line(w: &WaypointState, now: Timestamp) -> Condition {
    // Where nothing is answered meanwhile, it is the receiver that blocks it.
    let answered = |h: &Head| w.answers.iter().any(|a| a.at >= h.since && a.at <= h.last);
    let blocked = |h: &&Head| {
        h.times >= HEAD_TIMES
            && answered(h)
            && h.last.micros_since(h.since) >= HEAD_SPAN
            && now.micros_since(h.last) <= HEAD_WINDOW * 1_000_000
    };
    let Some(head) = w.heads.values().filter(blocked).max_by_key(|h| h.times) else {
        return Condition::Over;
    };
    let since = w.heads.values().filter(blocked).map(|h| h.since).min().unwrap_or(head.since);
    Condition::Holds(Verdict::new(
        Code::HeadOfLine,
        since,
        &[("attempts_total", f64::from(head.times)), ("blocked_s", seconds(now, since))],
    ))
}

fn commit_only(w: &WaypointState, now: Timestamp) -> Condition {
    let commits = w.commit_only.within(now, 300);
    if commits < 5 {
        return Condition::Over;
    }
    let since = w.commit_only.at.iter().copied().find(|at| now.micros_since(*at) <= 300_000_000);
    Condition::Holds(Verdict::new(
        Code::CommitOnly,
        since.unwrap_or(now),
        &[("commit_only_total", number(commits))],
    ))
}

/// Five refusals for a reason that was not given in the last 500 answers.
fn new_reason(w: &WaypointState, plan: &Waypoint, now: Timestamp) -> Condition {
    let fresh = ReasonClass::ALL.iter().zip(&w.usual.bursts).filter(|(class, burst)| {
        burst.is_new()
            && now.micros_since(burst.last) < 600_000_000
            && !plan.expected_reasons.contains(class)
    });
    let Some((class, burst)) = fresh.max_by_key(|(_, burst)| burst.times) else {
        return Condition::Over;
    };
    let times = f64::from(burst.times);
    let mut verdict = Verdict::new(Code::NewReason, burst.first, &[("new_reason_total", times)]);
    verdict.detail = class.name();
    Condition::Holds(verdict)
}

/// Messages are sent again before anybody took them: their sender does not wait, or waits in vain.
fn retry_storm(usual: &Usual, now: Timestamp) -> Condition {
    let last = usual.sum(now, 1);
    let repeats = last.repeats.saturating_sub(last.replays);
    if repeats < 10 || repeats * 3 < last.sendings {
        return Condition::Over;
    }
    Condition::Holds(Verdict::new(
        Code::RetryStorm,
        last.at.minus(core::time::Duration::from_secs(60)),
        &[("repeats_total", f64::from(repeats)), ("sendings_total", f64::from(last.sendings))],
    ))
}

/// Messages that were accepted come again: no retry, but a replay or a loop. Behind a downtime a sender
/// sends again what it is not sure of, and is done with it: that is none. A flood lasts for three minutes
/// of four, or is more than such a sender keeps.
fn duplicate_flood(usual: &Usual, now: Timestamp) -> Condition {
    let floods = |m: &Minute| m.replays >= FLOOD && m.replays * 5 >= m.sendings;
    let last = usual.sum(now, 2);
    let lately = usual.minutes.iter().filter(|m| now.micros_since(m.at) < 4 * MINUTE);
    let lasts = lately.filter(|m| floods(m)).count() >= 3;
    if !floods(&last) || !(lasts || usual.sum(now, 15).replays > RESENT) {
        return Condition::Over;
    }
    let since = usual.minutes.iter().rev().take_while(|m| floods(m)).last().map_or(now, |m| m.at);
    Condition::Holds(Verdict::new(
        Code::DuplicateFlood,
        since,
        &[("repeats_total", f64::from(last.replays)), ("sendings_total", f64::from(last.sendings))],
    ))
}

fn damaged(w: &WaypointState, now: Timestamp) -> Condition {
    let damaged = w.usual.damaged.within(now, 300);
    // Where it is usual, nobody is helped by hearing of it.
    let rare = w.usual.damaged_share < 0.05 || damaged >= 40 && w.usual.damaged_share < 0.2;
    if damaged < 5 || !rare {
        return Condition::Over;
    }
    let since = w.usual.damaged.at.iter().copied().find(|at| now.micros_since(*at) <= 300_000_000);
    Condition::Holds(Verdict::new(
        Code::EncodingDamage,
        since.unwrap_or(now),
        &[("damaged_total", number(damaged))],
    ))
}

/// Far more messages come behind younger ones than usually do.
fn out_of_order(w: &mut WaypointState, now: Timestamp) -> Condition {
    let (since, late, seen) = match w.disorder.judge(now) {
        Ok(found) => found,
        Err(true) => return Condition::Over,
        Err(false) => return Condition::Undecided,
    };
    let (late, seen) = (f64::from(late), f64::from(seen));
    Condition::Holds(Verdict::new(
        Code::OutOfOrder,
        since,
        &[
            ("out_of_order_total", late),
            ("messages_total", seen),
            ("times_share", late / seen.max(1.0)),
        ],
    ))
}

/// What is new in the messages or gone, until it has become normal.
fn new_shape(w: &WaypointState, now: Timestamp) -> Condition {
    let Some(since) = w.drift.iter().map(|news| news.since).min() else { return Condition::Over };
    let gone = w.drift.iter().filter(|news| news.gone).count();
    let mut verdict = Verdict::new(
        Code::ShapeDrift,
        since.min(now),
        &[("new_total", number(w.drift.len() - gone)), ("gone_total", number(gone))],
    );
    let loudest = w.drift.iter().map(|news| news.severity).max();
    verdict.severity = loudest.unwrap_or(verdict.severity);
    verdict.label = w.drift.first().map(crate::engine::news_name).unwrap_or_default();
    Condition::Holds(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Objectives, Route, RouteId};

    #[test]
    fn a_link_may_refuse_what_its_most_patient_feed_may() {
        let feed = |route: u16, share: f64| FeedPlan {
            name: format!("f{route}-{share}"),
            route: RouteId(route),
            senders: Vec::new(),
            types: Vec::new(),
            objectives: Objectives { rejected_share: share, ..Objectives::default() },
            ends_at: Vec::new(),
            filters: Vec::new(),
        };
        let route = |waypoints: &[u16]| Route {
            name: format!("{waypoints:?}"),
            waypoints: waypoints.iter().map(|w| WaypointId(*w)).collect(),
        };
        let plan = Plan {
            routes: vec![route(&[0, 1]), route(&[1, 2])],
            feeds: vec![feed(0, 0.01), feed(0, 0.02), feed(1, 0.3)],
            ..Plan::default()
        };
        let shares = [0, 1, 2, 3].map(|place| rejected_share(&plan, place));
        assert_eq!(shares, [0.02, 0.3, 0.3, 0.05]);
    }

    /// After how many seconds of five minutes a flood and a storm are found; of each second `what`.
    fn found(mut what: impl FnMut(i64, &mut Minute)) -> (Option<i64>, Option<i64>) {
        let (mut usual, mut flood, mut storm) = (Usual::default(), None, None);
        for second in 0..600 {
            let now = Timestamp::from_secs(1_200_000 + second);
            if let Some(minute) = usual.minute(now) {
                what(second, minute);
            }
            let holds = |condition| matches!(condition, Condition::Holds(_)).then_some(second);
            flood = flood.or(holds(duplicate_flood(&usual, now)));
            storm = storm.or(holds(retry_storm(&usual, now)));
        }
        (flood, storm)
    }

    #[test]
    fn a_flood_of_copies_is_found_and_what_is_sent_again_behind_a_downtime_is_none() {
        let again = |minute: &mut Minute, times: u32| {
            minute.sendings += times;
            minute.repeats += times;
            minute.replays += times;
        };
        // Two hundred that were accepted come again within seventeen seconds, twelve a second.
        let resent = found(|second, minute| {
            minute.sendings += 1;
            again(minute, if (100..117).contains(&second) { 12 } else { 0 });
        });
        assert_eq!(resent, (None, None));
        // Four copies of each, ten new ones a minute.
        let copies = found(|second, minute| {
            minute.sendings += u32::from(second % 6 == 0);
            again(minute, if second % 6 == 0 { 4 } else { 0 });
        });
        assert!(copies.0.is_some_and(|after| after <= 180) && copies.1.is_none(), "{copies:?}");
        // A day is sent again at full speed.
        let replay = found(|_, minute| again(minute, 12));
        assert!(replay.0.is_some_and(|after| after <= 30) && replay.1.is_none(), "{replay:?}");
        // Few among many.
        let few = found(|_, minute| {
            minute.sendings += 9;
            again(minute, 1);
        });
        assert_eq!(few, (None, None));
    }

    #[test]
    fn what_is_sent_again_before_it_was_taken_is_a_storm_and_no_flood() {
        let storm = found(|_, minute| {
            minute.sendings += 2;
            minute.repeats += 1;
        });
        assert!(storm.0.is_none() && storm.1.is_some_and(|after| after <= 20), "{storm:?}");
    }
}
