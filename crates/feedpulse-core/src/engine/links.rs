//! Connections: opened, refused, lost. What was open on a lost one ends with it.

use super::ledger::{End, unanswered_outcome};
use super::slab::Ref;
use super::state::{Connection, WaypointState};
use super::{CONNECTIONS_MAX, Engine};
use crate::codes::Code;
use crate::effect::Effects;
use crate::finding::Subject;
use crate::frame::ConnectionId;
use crate::label::Label;
use crate::plan::Acks;
use crate::sighting::{LinkEvent, Outcome, Sighting};

impl WaypointState {
    /// A connection, known from now on.
    pub(super) fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        if self.connections.len() >= CONNECTIONS_MAX && !self.connections.contains_key(&id) {
            self.connections.pop_first();
        }
        self.connections.entry(id).or_default()
    }
}

impl Engine {
    pub(super) fn link(&mut self, at: &Sighting, event: LinkEvent, fx: &mut Effects) {
        let Some(waypoint) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        let subject = Subject::Waypoint(at.waypoint);
        match event {
            LinkEvent::Opened => {
                let fresh = Connection { opened_at: at.at, ..Connection::default() };
                *waypoint.connection(at.connection) = fresh;
                waypoint.down_since = None;
                waypoint.down_times = 0;
            }
            LinkEvent::Refused | LinkEvent::Unreachable => {
                waypoint.refused += 1;
                waypoint.down_since = waypoint.down_since.or(Some(at.at));
                waypoint.down_times = waypoint.down_times.saturating_add(1);
                waypoint.down_last = at.at;
                waypoint.down_refused = event == LinkEvent::Refused;
            }
            LinkEvent::Reset { .. } => {
                waypoint.resets += 1;
                self.connection_over(at, fx);
            }
            LinkEvent::Closed { .. } => self.connection_over(at, fx),
            LinkEvent::Idle => {}
            LinkEvent::FrameOpen => {
                self.happened(subject, Code::FrameOpen, at.at, Label::EMPTY, fx);
            }
            LinkEvent::NotMllp => self.happened(subject, Code::NotMllp, at.at, Label::EMPTY, fx),
        }
    }

    fn connection_over(&mut self, at: &Sighting, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        let Some(connection) = waypoint.connections.remove(&at.connection) else { return };
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
