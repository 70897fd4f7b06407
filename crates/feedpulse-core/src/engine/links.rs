//! Connections: opened, refused, lost. What was open on a lost one ends with it.

use super::ledger::{End, unanswered_outcome};
use super::slab::Ref;
use super::state::{Connection, Down, WaypointState};
use super::{CONNECTIONS_MAX, Engine};
use crate::codes::Code;
use crate::effect::Effects;
use crate::finding::Subject;
use crate::frame::ConnectionId;
use crate::label::Label;
use crate::plan::Acks;
use crate::sighting::{LinkEvent, Outcome, Sighting};
use crate::time::Timestamp;

impl WaypointState {
    /// A connection, known from now on.
    pub(super) fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        if self.connections.len() >= CONNECTIONS_MAX && !self.connections.contains_key(&id) {
            self.connections.pop_first();
        }
        self.connections.entry(id).or_default()
    }
}

/// A connection that is reset before this, without a message, was never one, in µs.
const AT_ONCE: i64 = 10_000_000;

impl Connection {
    /// Whether nothing was sent on it, and it is young.
    fn is_unused(&self, at: Timestamp) -> bool {
        self.latest_key.is_none() && at.micros_since(self.opened_at) < AT_ONCE
    }
}

impl WaypointState {
    /// A side of a connection is gone; counted once, and only where somebody waits for a receiver.
    fn went_half_open(&mut self, at: &Sighting, receiver: bool) {
        let Some(connection) = self.connections.get_mut(&at.connection) else { return };
        let known = core::mem::replace(&mut connection.half_open, true);
        if receiver && !known && connection.owed > 0 {
            self.half_open.push(at.at);
        }
    }

    fn not_reached(&mut self, at: Timestamp, how: Down) {
        self.refused += u64::from(how != Down::Dropped);
        self.refusing_since.get_or_insert(at);
        self.down_since = self.down_since.or(Some(at));
        self.down_times = self.down_times.saturating_add(1);
        self.down_last = at;
        self.down_how = how;
    }
}

impl Engine {
    pub(super) fn link(&mut self, at: &Sighting, event: LinkEvent, fx: &mut Effects) {
        let Some(waypoint) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        let subject = Subject::Waypoint(at.waypoint);
        match event {
            LinkEvent::Opened => {
                let down_before = waypoint.down_since.map(|since| (since, waypoint.down_times));
                let fresh = Connection { opened_at: at.at, down_before, ..Connection::default() };
                *waypoint.connection(at.connection) = fresh;
                waypoint.down_since = None;
                waypoint.down_times = 0;
            }
            LinkEvent::Refused => waypoint.not_reached(at.at, Down::Refused),
            LinkEvent::Unreachable => waypoint.not_reached(at.at, Down::Unreachable),
            LinkEvent::Reset { by_receiver } => {
                waypoint.resets += 1;
                let connection = waypoint.connections.get(&at.connection);
                let dropped = connection.filter(|c| by_receiver && c.is_unused(at.at));
                if let Some(before) = dropped.map(|c| c.down_before) {
                    let (since, times) = before.unwrap_or((at.at, 0));
                    (waypoint.down_since, waypoint.down_times) = (Some(since), times);
                    waypoint.not_reached(at.at, Down::Dropped);
                }
                self.connection_over(at, fx);
            }
            LinkEvent::Closed { .. } => self.connection_over(at, fx),
            LinkEvent::Idle => {}
            LinkEvent::FrameOpen => {
                self.happened(subject, Code::FrameOpen, at.at, Label::EMPTY, fx);
            }
            LinkEvent::NotMllp => self.happened(subject, Code::NotMllp, at.at, Label::EMPTY, fx),
            LinkEvent::Peer(ip) => self.connected_from(at, ip, fx),
            LinkEvent::HalfOpen { receiver } => waypoint.went_half_open(at, receiver),
            LinkEvent::TimedOut { receiver } => {
                waypoint.resets += 1;
                waypoint.went_half_open(at, receiver);
                self.connection_over(at, fx);
            }
        }
    }

    fn connection_over(&mut self, at: &Sighting, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        let Some(connection) = waypoint.connections.remove(&at.connection) else { return };
        waypoint.disorder.over(at.connection);
        let judged = self.s.plan.waypoints.get(number).is_some_and(|w| w.acks == Acks::Expected);
        if connection.open == 0 || !judged {
            return;
        }
        let mut open: Vec<(u64, Ref)> = waypoint
            .entries
            .iter()
            .filter(|(_, entry)| entry.connection == at.connection)
            // A committed one may get its application ACK on another connection.
            .filter(|(_, entry)| !entry.committed)
            .map(|(place, entry)| (entry.seq, place))
            .collect();
        open.sort_unstable();
        for (_, place) in open {
            let entry = self.s.waypoints.get(number).and_then(|w| w.entries.get(place));
            let Some(entry) = entry else { continue };
            let outcome = unanswered_outcome(entry, Outcome::ConnectionLost);
            self.end_entry(number, place, &End::unanswered(outcome, at.at), fx);
        }
    }
}
