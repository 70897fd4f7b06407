//! Links: a sender sends, waits, is answered, refused or cut off, and tries again.

use super::{Lane, Msg, Open, QUEUE_MAX, Reply, SENT_MAX, Step, World};
use crate::history::{FaultKind, Retry};
use feedpulse_core::sighting::{AckCode, LinkEvent, ReasonClass};
use std::net::IpAddr;

/// A refused message is tried so often where its sender tries again.
const TRIES: u32 = 3;
/// An integration engine needs about so long for a message, µs.
const INSIDE: f64 = 150_000.0;
/// A sender notices a lost connection within, µs.
const AT_ONCE: i64 = 100_000;
/// The wire knows after this that bytes get no TCP answer, µs.
const GONE_AFTER: i64 = 12_000_000;
/// A host that is not there makes the sender wait so long, µs.
const CONNECT_TIMEOUT: i64 = 10_000_000;

impl World<'_> {
    pub(super) fn enqueue(&mut self, now: i64, lane: usize, msg: Msg) {
        let here = &mut self.lanes[lane];
        if here.queue.len() < QUEUE_MAX {
            here.queue.push_back(msg);
        }
        self.pump(now, lane);
    }

    /// Sends the head of the queue, if nothing waits.
    pub(super) fn pump(&mut self, now: i64, lane: usize) {
        let here = &self.lanes[lane];
        let idle = here.queue.is_empty() && !here.wants;
        if here.open.is_some() || idle || now < here.not_before || !self.connect(now, lane) {
            return;
        }
        if let Some(msg) = self.lanes[lane].queue.pop_front() {
            self.send(now, lane, msg);
        }
    }

    /// Whether a flapping receiver is down.
    fn is_flapping(&self, now: i64, link: usize) -> Option<usize> {
        let fault = self.on(FaultKind::Flapping, link, None)?;
        let plan = &self.history.faults[fault];
        ((now - plan.from) % plan.period.max(1) < plan.down).then_some(fault)
    }

    /// Whether the lane is connected, or can be now.
    fn connect(&mut self, now: i64, lane: usize) -> bool {
        let link = self.lanes[lane].link;
        if self.lanes[lane].connection.is_some() {
            return true;
        }
        self.connections += 1;
        let fresh = self.connections;
        let refused = self.on_lane(FaultKind::Refused, lane);
        let refused = refused.or_else(|| self.on_lane(FaultKind::Maintenance, lane));
        let refused = refused.or_else(|| self.is_flapping(now, link));
        let failed = if let Some(fault) = refused {
            Some((fault, LinkEvent::Refused, 0))
        } else if let Some(fault) = self.on_lane(FaultKind::Unreachable, lane) {
            Some((fault, LinkEvent::Unreachable, CONNECT_TIMEOUT))
        } else if let Some(fault) = self.on_lane(FaultKind::Certificate, lane) {
            self.link_event(now, lane, fresh, LinkEvent::Opened);
            Some((fault, LinkEvent::Reset { by_receiver: true }, 0))
        } else {
            None
        };
        let Some((fault, event, wait)) = failed else {
            let here = &mut self.lanes[lane];
            (here.connection, here.wants, here.traffic, here.is_dead) =
                (Some(fresh), false, now, false);
            self.link_event(now, lane, fresh, LinkEvent::Opened);
            let peer = self.peer_of(now, lane, fresh);
            self.link_event(now, lane, fresh, LinkEvent::Peer(peer));
            return true;
        };
        self.touch(fault, now);
        self.link_event(now, lane, fresh, event);
        self.again(now + wait, lane);
        false
    }

    /// Who connects: a sender's host, or the engine's further on.
    fn peer_of(&mut self, now: i64, lane: usize, fresh: u64) -> IpAddr {
        if let Some(fault) = self.on_lane(FaultKind::Peer, lane) {
            self.touch(fault, now);
            let churns = self.history.faults[fault].period < crate::civil::DAY;
            let [.., high, low] = (if churns { fresh } else { 1 }).to_be_bytes();
            return IpAddr::from([10, 9, high, low]);
        }
        let here = &self.lanes[lane];
        let first = |feed: usize| self.history.feeds[feed].path.first() == Some(&here.link);
        let host = here.feed.filter(|feed| first(*feed)).map_or(1, |feed| feed % 250 + 2);
        IpAddr::from([10, 0, 0, u8::try_from(host).unwrap_or(1)])
    }

    /// What is not answered by the other side's kernel is noticed by the wire's, after a while.
    pub(super) fn half_open(&mut self, now: i64, lane: usize, connection: u64) {
        if self.lanes[lane].connection == Some(connection) && self.lanes[lane].open.is_some() {
            self.link_event(now, lane, connection, LinkEvent::HalfOpen { receiver: true });
        }
    }

    fn on_lane(&self, kind: FaultKind, lane: usize) -> Option<usize> {
        let here: &Lane = &self.lanes[lane];
        let fault = self.on(kind, here.link, None)?;
        let only = self.history.faults[fault].feeds.as_ref();
        only.zip(here.feed).is_none_or(|(only, feed)| only.contains(&feed)).then_some(fault)
    }

    /// The sender waits before it tries again.
    fn again(&mut self, now: i64, lane: usize) {
        let here = &mut self.lanes[lane];
        here.not_before = now + self.history.links[here.link].reconnect;
        let when = here.not_before;
        self.at(when, Step::Pump(lane));
    }

    /// A connection ends, whatever waited on it is sent again.
    pub(super) fn lose(&mut self, now: i64, lane: usize, how: LinkEvent) {
        let here = &mut self.lanes[lane];
        let Some(connection) = here.connection.take() else { return };
        here.wants = true;
        if let Some(open) = here.open.take() {
            here.queue.push_front(open.msg);
        }
        self.link_event(now, lane, connection, how);
        // A sender that lost its connection tries at once, then at its own rhythm.
        self.lanes[lane].not_before = now + AT_ONCE;
        self.at(now + AT_ONCE, Step::Pump(lane));
    }

    fn send(&mut self, now: i64, lane: usize, mut msg: Msg) {
        let link = self.lanes[lane].link;
        let Some(connection) = self.lanes[lane].connection else { return };
        if let Some(fault) = self.on(FaultKind::Poison, link, Some(&msg))
            && self.effects[fault].is_none()
        {
            self.touch(fault, now);
            msg.poison = true;
        }
        let readable = self.show(now, lane, connection, &msg);
        if !readable {
            self.lanes[lane].open = None;
            self.at(now + 1_000, Step::Pump(lane));
            return;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.lanes[lane].open = Some(Open { msg, ticket });
        let idle = now - self.lanes[lane].traffic;
        self.lanes[lane].traffic = now;
        let plan = &self.history.links[link];
        let slow = self.on(FaultKind::Slow, link, Some(&msg));
        let timeout = slow.and_then(|f| self.history.faults[f].timeout).unwrap_or(plan.timeout);
        let cut = self.on(FaultKind::IdleCut, link, Some(&msg));
        if let Some(fault) = cut.filter(|f| idle > self.history.faults[*f].gap) {
            self.touch(fault, now);
            self.lanes[lane].is_dead = true;
        }
        let hung = self.on(FaultKind::Hung, link, Some(&msg));
        let hung = hung.or_else(|| self.on_lane(FaultKind::Unreachable, lane));
        if let Some(fault) = hung {
            self.touch(fault, now);
        }
        self.at(now + timeout, Step::TimeOut(lane, ticket));
        let gone = self.on_lane(FaultKind::Unreachable, lane).is_some();
        if gone || self.lanes[lane].is_dead {
            self.at(now + GONE_AFTER, Step::HalfOpen(lane, connection));
        }
        if hung.is_some() || self.lanes[lane].is_dead {
            return;
        }
        let takes = self.ack_time(now, link, &msg);
        let (code, reason) = self.verdict(now, link, &msg);
        let number = msg.number;
        let off = self.on(FaultKind::OffByOne, link, Some(&msg));
        let named = off.map_or(number, |_| self.lanes[lane].previous);
        if let Some(fault) = off {
            self.touch(fault, now);
        }
        let reply = Reply { number, named, connection, code, reason };
        self.at(now + takes, Step::Answer(lane, reply));
    }

    /// How long the receiver takes, µs.
    fn ack_time(&mut self, now: i64, link: usize, msg: &Msg) -> i64 {
        let plan = &self.history.links[link];
        let usual = self.rng.log_normal(plan.ack_median as f64, plan.ack_spread);
        let mut takes = (usual as i64).max(1_000);
        for kind in [FaultKind::Slow, FaultKind::DiskFull] {
            if let Some(fault) = self.on(kind, link, Some(msg)) {
                self.touch(fault, now);
                let plan = &self.history.faults[fault];
                let grown = (now - plan.from) as f64 / plan.ramp.max(1) as f64;
                let more = plan.ack as f64 * grown.min(1.0) * self.rng.log_normal(1.0, 0.2);
                takes = takes.max(more as i64);
            }
        }
        if let Some(fault) = self.on(FaultKind::Capacity, link, Some(msg)) {
            self.touch(fault, now);
            let each = crate::civil::HOUR as f64 / self.history.faults[fault].capacity.max(0.001);
            takes = takes.max(each as i64);
        }
        takes
    }

    /// What the receiver answers.
    fn verdict(&mut self, now: i64, link: usize, msg: &Msg) -> (AckCode, ReasonClass) {
        if msg.poison && self.on(FaultKind::Poison, link, Some(msg)).is_some() {
            return (AckCode::AE, ReasonClass::Structure);
        }
        for kind in [FaultKind::Nack, FaultKind::DiskFull] {
            if let Some(fault) = self.on(kind, link, Some(msg)) {
                let plan = &self.history.faults[fault];
                if now - plan.from >= plan.ramp && self.rng.chance(plan.share) {
                    let answer = (plan.code, plan.reason);
                    self.touch(fault, now);
                    return answer;
                }
            }
        }
        let feed = &self.history.feeds[msg.feed];
        if feed.path.last() == Some(&link) && !feed.rejects.is_empty() {
            let mut dice = self.rng.unit();
            for reject in &feed.rejects {
                if dice < reject.share {
                    return (reject.code, reject.reason);
                }
                dice -= reject.share;
            }
        }
        (AckCode::AA, ReasonClass::None)
    }

    pub(super) fn answer(&mut self, now: i64, lane: usize, reply: &Reply) {
        let here = &mut self.lanes[lane];
        if here.connection != Some(reply.connection) {
            return;
        }
        here.traffic = now;
        here.previous = reply.number;
        let waits = here.open.filter(|open| open.msg.number == reply.number);
        let (link, feed) = (here.link, waits.map(|open| open.msg.feed).or(here.feed));
        self.show_ack(now, link, feed, reply);
        let Some(Open { mut msg, .. }) = waits else { return };
        self.lanes[lane].open = None;
        let refused = reply.code != AckCode::AA;
        let again = match self.history.links[link].retry {
            _ if msg.poison => self.on(FaultKind::Poison, link, Some(&msg)).is_some(),
            Retry::Never => false,
            Retry::Reject => {
                msg.tries + 1 < TRIES && matches!(reply.code, AckCode::AR | AckCode::CR)
            }
            Retry::Always => true,
        };
        if refused && again {
            msg.tries += 1;
            self.lanes[lane].queue.push_front(msg);
            self.again(now, lane);
            return;
        }
        if !refused {
            self.accepted(now, lane, msg);
        }
        self.pump(now, lane);
    }

    /// The receiver has it: it may be sent again, and goes on to the next link.
    fn accepted(&mut self, now: i64, lane: usize, mut msg: Msg) {
        let link = self.lanes[lane].link;
        let doubled = self.on(FaultKind::Duplicates, link, Some(&msg));
        let first = msg.copies == 0;
        if let Some(sent) = self.sent.get_mut(msg.feed).filter(|_| first && msg.hop == 0) {
            sent.push_back(msg);
            if sent.len() > SENT_MAX {
                sent.pop_front();
            }
        }
        if let Some(fault) = doubled.filter(|f| msg.copies < self.history.faults[*f].copies) {
            self.touch(fault, now);
            msg.copies += 1;
            self.lanes[lane].queue.push_front(msg);
        }
        let Some(next) = self.history.feeds[msg.feed].path.get(msg.hop + 1).copied() else {
            return;
        };
        if !first {
            return;
        }
        if let Some(fault) = self.on(FaultKind::Lost, next, Some(&msg))
            && self.rng.chance(self.history.faults[fault].share)
        {
            self.touch(fault, now);
            return;
        }
        let inside = self.rng.log_normal(INSIDE, 0.4) as i64;
        let onward = Msg { hop: msg.hop + 1, tries: 0, copies: 0, poison: false, ..msg };
        self.at(now + inside, Step::Arrived(self.lane_of[next][msg.feed], onward));
    }

    pub(super) fn time_out(&mut self, now: i64, lane: usize, ticket: u64) {
        let here = &mut self.lanes[lane];
        let Some(open) = here.open.filter(|open| open.ticket == ticket) else { return };
        let dead = here.is_dead;
        if self.history.links[here.link].keep_socket && !dead {
            here.open = None;
            here.queue.push_front(open.msg);
            self.pump(now, lane);
            return;
        }
        let how = if dead {
            LinkEvent::Reset { by_receiver: false }
        } else {
            LinkEvent::Closed { bytes: 100 }
        };
        self.lose(now, lane, how);
    }
}
