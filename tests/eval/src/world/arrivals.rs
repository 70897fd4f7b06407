//! When messages come: patterns by the site's wall clock, groups, nightly batches, extras.

use super::{Msg, Step, World};
use crate::civil::{DAY, HOUR, MINUTE, SECOND, Wall};
use crate::history::{Fault, FaultKind, Pattern};
use crate::rng::{Rng, mix};
use feedpulse_core::order::{ResultMark, ResultStatus};
use feedpulse_core::sighting::Urgency;

/// Rates are constant within so much, µs.
const SLOT: i64 = 15 * MINUTE;
/// Share of the busy hours' rate, by hour, in a hospital.
const HOSPITAL: [f64; 24] = [
    0.25, 0.2, 0.2, 0.2, 0.25, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 0.95, 0.9, 0.95, 1.0, 0.95, 0.85, 0.7,
    0.6, 0.55, 0.5, 0.4, 0.35, 0.3,
];

/// Share of the busy hours' rate at a moment.
fn weight(pattern: Pattern, wall: Wall, holiday: bool) -> f64 {
    let hour = (wall.of_day / HOUR) as usize;
    let weekend = wall.weekday >= 5;
    match pattern {
        Pattern::Flat | Pattern::Clusters | Pattern::Nightly => 1.0,
        Pattern::Hospital => {
            let day = if weekend || holiday { 0.6 } else { 1.0 };
            HOSPITAL.get(hour).copied().unwrap_or(1.0) * day
        }
        Pattern::Office => f64::from(!weekend && !holiday && (8..18).contains(&hour)),
        Pattern::Clinic if holiday || wall.weekday == 6 => 0.02,
        Pattern::Clinic if wall.weekday == 5 => {
            if (8..12).contains(&hour) {
                0.3
            } else {
                0.02
            }
        }
        Pattern::Clinic => match hour {
            12 => 0.5,
            7..=18 => 1.0,
            _ => 0.02,
        },
    }
}

impl World<'_> {
    /// Messages per µs of a feed, until the end of the slot.
    fn rate(&self, feed: usize, now: i64) -> f64 {
        let plan = &self.history.feeds[feed];
        let wall = self.history.calendar.wall(now);
        let holiday = self.history.calendar.is_holiday(wall.day);
        let day = mix(self.history.seed ^ mix(feed as u64) ^ wall.day as u64);
        let volume = Rng::new(day).log_normal(1.0, plan.day_sigma).min(3.0);
        plan.per_hour * weight(plan.pattern, wall, holiday) * volume / HOUR as f64
    }

    pub(super) fn arrive(&mut self, now: i64, feed: usize) {
        let plan = &self.history.feeds[feed];
        let group = if plan.pattern == Pattern::Clusters { plan.cluster } else { 1 };
        let slot = (now.div_euclid(SLOT) + 1) * SLOT;
        let rate = self.rate(feed, now) / f64::from(group);
        let gap = if rate > 0.0 { self.rng.wait(1.0 / rate) } else { f64::INFINITY };
        if now as f64 + gap >= slot as f64 {
            self.at(slot, Step::Arrive(feed));
            return;
        }
        let next = now + (gap as i64).max(1);
        if group == 1 {
            let msg = self.make(feed, next, 0);
            self.at(next, Step::Born(msg));
        } else {
            let left = 1 + (self.rng.next() % u64::from(2 * group - 1)) as u32;
            let gap = MINUTE / i64::from(left);
            self.at(next, Step::Extra { feed, left, gap, old: 0, fault: None });
        }
        self.at(next, Step::Arrive(feed));
    }

    pub(super) fn extra(
        &mut self,
        now: i64,
        feed: usize,
        left: u32,
        gap: i64,
        old: i64,
        fault: Option<usize>,
    ) {
        if let Some(fault) = fault {
            self.touch(fault, now);
        }
        let msg = self.make(feed, now, old);
        self.offer(now, msg);
        if left > 1 {
            self.at(now + gap, Step::Extra { feed, left: left - 1, gap, old, fault });
        }
    }

    /// The next moment at which a feed's nightly batch starts.
    pub(super) fn next_night(&self, feed: usize, now: i64) -> i64 {
        let calendar = &self.history.calendar;
        let day = calendar.wall(now).day;
        let at = |day: i64| calendar.utc(day * DAY + self.history.feeds[feed].batch_at);
        if at(day) > now { at(day) } else { at(day + 1) }
    }

    pub(super) fn nightly(&mut self, now: i64, feed: usize) {
        let left = self.history.feeds[feed].batch;
        self.at(now, Step::Extra { feed, left, gap: SECOND / 10, old: 0, fault: None });
        let next = self.next_night(feed, now + HOUR);
        self.at(next, Step::Nightly(feed));
    }

    fn make(&mut self, feed: usize, now: i64, old: i64) -> Msg {
        self.numbers += 1;
        let plan = &self.history.feeds[feed];
        let critical = self.rng.chance(plan.urgent);
        let age = (self.rng.wait(20.0) * SECOND as f64) as i64;
        let mut msg = Msg {
            number: self.numbers,
            feed,
            kind: self.rng.index(plan.types.len()),
            facility: self.rng.index(plan.facilities.len()),
            urgency: if critical { Urgency::Critical } else { Urgency::Routine },
            made: now,
            event: now - old - age,
            mark: None,
            hop: 0,
            tries: 0,
            copies: 0,
            poison: false,
        };
        if let Some(fault) = self.on(FaultKind::Aged, plan.path[0], Some(&msg)) {
            self.touch(fault, now);
            msg.event -= self.history.faults[fault].old.unwrap_or(30 * crate::civil::DAY);
        }
        msg
    }

    /// A sender has a message: it goes to its first link, unless a fault keeps it.
    pub(super) fn offer(&mut self, now: i64, mut msg: Msg) {
        let link = self.history.feeds[msg.feed].path[0];
        let hits = |w: &Self, kind| w.on(kind, link, Some(&msg));
        if let Some(fault) = hits(self, FaultKind::Silence) {
            self.touch(fault, now);
            return;
        }
        if let Some(fault) = hits(self, FaultKind::Downtime) {
            self.touch(fault, now);
            self.held[fault].push(msg);
            return;
        }
        if let Some(fault) = hits(self, FaultKind::OutOfOrder)
            && msg.mark.is_none()
            && now - msg.made < SECOND
            && self.rng.chance(self.history.faults[fault].share)
        {
            self.touch(fault, now);
            if let Some(old) = self.history.faults[fault].old {
                let mut late = self.make(msg.feed, now, old);
                late.made = now - old;
                self.at(now + SECOND / 2, Step::Born(late));
                let lane = self.lane_of[link][msg.feed];
                self.enqueue(now, lane, msg);
                return;
            }
            msg.mark = Some(ResultMark { test: mix(msg.number), status: ResultStatus::Final });
            let mut late = self.make(msg.feed, now, 0);
            (late.kind, late.facility) = (msg.kind, msg.facility);
            let status = ResultStatus::Preliminary;
            late.mark = Some(ResultMark { test: mix(msg.number), status });
            self.at(now + 3 * SECOND, Step::Born(late));
        }
        let lane = self.lane_of[link][msg.feed];
        self.enqueue(now, lane, msg);
    }

    /// The offset of the sender's clock, µs.
    pub(super) fn clock_of(&mut self, now: i64, link: usize, msg: &Msg) -> i64 {
        let fault = self.on(FaultKind::Clock, link, Some(msg));
        fault.map_or(0, |fault| {
            self.touch(fault, now);
            self.history.faults[fault].by
        })
    }

    /// What a fault of the sender's is on for a message.
    pub(super) fn sender_fault(&mut self, kind: FaultKind, now: i64, msg: &Msg) -> Option<&Fault> {
        let link = self.history.feeds[msg.feed].path[msg.hop];
        let fault = self.on(kind, link, Some(msg))?;
        self.touch(fault, now);
        Some(&self.history.faults[fault])
    }
}
