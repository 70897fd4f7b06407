//! Batches (HL7 v2.5.1 §2.10.3) and frames that hold no message.

use super::Engine;
use super::ledger::End;
use super::slab::Ref;
use crate::class::AckClass;
use crate::codes::Code;
use crate::defect::{DefectCode, Verdict};
use crate::effect::Effects;
use crate::finding::Subject;
use crate::frame::Direction;
use crate::label::Label;
use crate::sighting::{BatchSeen, Outcome, Sighting, UnreadableSeen};

impl Engine {
    /// The end of a batch: its count, and what it answers.
    pub(super) fn batch(&mut self, at: &Sighting, batch: &BatchSeen, fx: &mut Effects) {
        let held = batch.messages.saturating_add(batch.acks);
        if batch.declared.is_some_and(|declared| declared != held) {
            self.happened(
                Subject::Waypoint(at.waypoint),
                Code::BatchCount,
                at.at,
                Label::EMPTY,
                fx,
            );
        }
        let answers = batch.answers.filter(|_| batch.messages == 0);
        if let Some(of) = answers.filter(|of| *of != 0) {
            self.accept_batch(at, of, batch.acks, fx);
        }
    }

    /// A batch of ACKs came: those that it did not name are accepted. Under error-only
    /// acknowledgment an empty one accepts all (§2.10.3.3).
    fn accept_batch(&mut self, at: &Sighting, batch: u64, acks: u32, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let Some(waypoint) = self.s.waypoints.get(number) else { return };
        if waypoint.connections.get(&at.connection).is_some_and(|link| link.unmatched) {
            // Whose refusal that is cannot be told: nobody is accepted by omission.
            return;
        }
        let mut open: Vec<(u64, Ref)> = waypoint
            .entries
            .iter()
            .filter(|(_, entry)| entry.extra.as_ref().is_some_and(|extra| extra.batch == batch))
            .map(|(place, entry)| (entry.seq, place))
            .collect();
        if open.is_empty() && acks == 0 {
            self.classify(at.waypoint, None, AckClass::Stray, at.at, fx);
        }
        open.sort_unstable();
        for (_, place) in open {
            self.end_entry(number, place, &End::unanswered(Outcome::Accepted, at.at), fx);
        }
    }

    /// A frame from which nothing could be read.
    pub(super) fn unreadable(&mut self, at: &Sighting, seen: &UnreadableSeen, fx: &mut Effects) {
        let Some(waypoint) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        let subject = Subject::Waypoint(at.waypoint);
        // Bytes between frames and transport ACKs are odd, but no message was lost in them.
        let lost = seen
            .defects
            .iter()
            .any(|d| d.code == DefectCode::Truncated || d.code.verdict() == Verdict::Unreadable);
        if lost {
            waypoint.unreadable += 1;
            waypoint.malformed.push(at.at);
            let gap = seen.defects.iter().any(|d| d.code == DefectCode::GapInside);
            if seen.direction == Direction::ToSender && !gap {
                self.classify(at.waypoint, None, AckClass::Garbage, at.at, fx);
            }
            return;
        }
        let transport = seen.defects.iter().any(|d| d.code == DefectCode::TransportAck);
        if transport && waypoint.noted.insert((Code::MllpRelease2, Label::EMPTY)) {
            self.happened(subject, Code::MllpRelease2, at.at, Label::EMPTY, fx);
        }
    }
}
