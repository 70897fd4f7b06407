//! The ACK ledger, answering side: which sending an ACK answers, and what is odd about it.

use super::Engine;
use super::ledger::End;
use super::slab::Ref;
use super::state::{Answer, Remembered, WaypointState};
use crate::class::AckClass;
use crate::codes::Code;
use crate::effect::{Amendment, Effect, Effects};
use crate::finding::{Finding, FindingState, Subject};
use crate::frame::{ConnectionId, WaypointId};
use crate::key::MessageKey;
use crate::label::{ControlId, Label};
use crate::plan::Role;
use crate::sighting::{AckCode, AckSeen, Outcome, ReasonClass, Sighting};
use crate::time::Timestamp;

/// ACKs in a row that name the sending before: a run.
const OFF_BY_ONE: u32 = 3;
/// Where no more connections than this are open, runs on several of them count together.
const OFF_AMONG: usize = 64;
/// Where no more sendings than this wait at a waypoint, an altered MSA-2 is compared with each.
const ALTERED_AMONG: usize = 256;
/// MSH-10 has at most this many characters up to HL7 v2.6 (§2.14.9.10); receivers cut it there, and
/// not shorter.
const CUT_FROM: usize = 15;

/// What an ACK means for a sending.
const fn outcome_of(code: AckCode) -> Outcome {
    match code {
        AckCode::AA => Outcome::Accepted,
        AckCode::CA => Outcome::Committed,
        AckCode::AE | AckCode::CE | AckCode::Other => Outcome::Errored,
        AckCode::AR | AckCode::CR => Outcome::Rejected,
    }
}

impl Engine {
    pub(super) fn ack(&mut self, at: &Sighting, ack: &AckSeen, fx: &mut Effects) {
        let mut here = at.waypoint;
        if let Some(Role::AckOf(of)) =
            self.s.plan.waypoints.get(usize::from(here.0)).map(|w| w.role)
        {
            here = of;
        }
        let number = usize::from(here.0);
        let named = ack.ack_key.and_then(|key| self.named(number, at, key));
        let superseded = named.filter(|place| self.is_of_earlier_try(number, *place, ack.code));
        if let Some(place) = superseded {
            self.answers_earlier_try(here, place, at, fx);
            return;
        }
        let (place, class) = match (named, ack.ack_key) {
            (Some(place), _) => (Some(place), None),
            (None, None) if ack.code == AckCode::Other => (None, Some(AckClass::Garbage)),
            (None, None) => (self.only_open(number, at), Some(AckClass::WithoutId)),
            (None, Some(key)) => match self.altered(number, at, ack.acked) {
                Some(place) => (Some(place), Some(AckClass::AlteredId)),
                None => (None, Some(self.unmatched(here, at, ack, key, fx))),
            },
        };
        let class = class.or((ack.code == AckCode::Other).then_some(AckClass::Garbage));
        let entry = place.and_then(|p| self.s.waypoints.get(number)?.entries.get(p));
        let journey = entry.and_then(|e| e.journey);
        if let Some(class) = class {
            self.classify(here, journey, class, at.at, fx);
        }
        if self.off_by_one(number, at, ack.ack_key, class) {
            self.classify(here, journey, AckClass::OffByOne, at.at, fx);
        }
        self.came_back(number, at, place.is_none() && !outcome_of(ack.code).is_success());
        if let Some(place) = place {
            self.answer(number, place, at, ack, fx);
        }
    }

    /// Whether a refusal to commit is the late answer to an earlier try of a message, given up since: the
    /// one that waits has had its commit, and under the same id some try before it had no answer.
    fn is_of_earlier_try(&self, number: usize, place: Ref, code: AckCode) -> bool {
        let (Some(waypoint), Some(lookup)) =
            (self.s.waypoints.get(number), self.lookups.get(number))
        else {
            return false;
        };
        let Some(entry) = waypoint.entries.get(place).filter(|entry| entry.committed) else {
            return false;
        };
        let remembered = waypoint.memory.get(&lookup.memory, entry.key);
        // The commit of the one that waits is not among the answers before it has ended.
        matches!(code, AckCode::CE | AckCode::CR)
            && remembered.is_some_and(|r| r.answers.saturating_add(1) < r.sent)
    }

    /// Counts it as late. The later try stands, whatever was said of the earlier one.
    fn answers_earlier_try(
        &mut self,
        here: WaypointId,
        place: Ref,
        at: &Sighting,
        fx: &mut Effects,
    ) {
        let number = usize::from(here.0);
        let (Some(waypoint), Some(lookup)) =
            (self.s.waypoints.get_mut(number), self.lookups.get(number))
        else {
            return;
        };
        let Some((key, journey)) = waypoint.entries.get(place).map(|e| (e.key, e.journey)) else {
            return;
        };
        if let Some(remembered) = waypoint.memory.get_mut(&lookup.memory, key) {
            remembered.answers = remembered.answers.saturating_add(1);
        }
        self.classify(here, journey, AckClass::Late, at.at, fx);
        self.came_back(number, at, false);
    }

    /// An ACK answers a sending: it is committed, or ends.
    fn answer(
        &mut self,
        number: usize,
        place: Ref,
        at: &Sighting,
        ack: &AckSeen,
        fx: &mut Effects,
    ) {
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return };
        let Some(entry) = waypoint.entries.get_mut(place) else { return };
        waypoint.habit.answered(ack.code, entry.committed);
        if ack.code == AckCode::CA && entry.wants_application {
            let (sent, feed, kind) = (entry.at, entry.feed, entry.kind);
            if !core::mem::replace(&mut entry.committed, true) {
                let (at, reason) = (at.at, ReasonClass::None);
                let answer = Answer { at, slow: None, bad: None, reason, kind };
                let here = WaypointId(u16::try_from(number).unwrap_or(u16::MAX));
                let slow = self.answered_first(here, feed, sent, answer);
                let entry = self.s.waypoints.get_mut(number).and_then(|w| w.entries.get_mut(place));
                if let Some(entry) = entry {
                    entry.slow = slow;
                }
            }
            return;
        }
        let end = End {
            outcome: outcome_of(ack.code),
            at: at.at,
            ack: Some(ack.code),
            reason: ack.reason,
        };
        self.end_entry(number, place, &end, fx);
    }

    /// The sending that an ACK names: on the same connection first, else the oldest (an application
    /// ACK comes over another connection, HL7 v2.5.1 §2.9.3.2).
    fn named(&self, number: usize, at: &Sighting, key: MessageKey) -> Option<Ref> {
        let waypoint = self.s.waypoints.get(number)?;
        let key_at = |place| waypoint.entries.get(place).map(|e| e.key);
        let head = self.lookups.get(number)?.entries.get(key, key_at)?;
        let mut place = Some(head);
        while let Some(here) = place {
            let entry = waypoint.entries.get(here)?;
            if entry.connection == at.connection {
                return Some(here);
            }
            place = entry.next;
        }
        Some(head)
    }

    /// An ACK that names nothing answers the only sending that waits on its connection, or the latest
    /// where the sender waits for each answer before it sends on.
    fn only_open(&self, number: usize, at: &Sighting) -> Option<Ref> {
        let waypoint = self.s.waypoints.get(number)?;
        let connection = waypoint.connections.get(&at.connection)?;
        let latest = connection.latest.filter(|_| connection.open == 1 || !connection.pipelines)?;
        waypoint.entries.get(latest).map(|_| latest)
    }

    /// The sending on the connection whose id in another dress the ACK's is: the latest one is looked
    /// at, and where few wait, each.
    fn altered(&self, number: usize, at: &Sighting, acked: ControlId) -> Option<Ref> {
        let waypoint = self.s.waypoints.get(number)?;
        let is_it = |place: &Ref| {
            let sent = waypoint.entries.get(*place).filter(|e| e.connection == at.connection);
            let sent = sent.and_then(|entry| {
                self.s.journeys.get(entry.journey?)?.sends.get(usize::from(entry.sending))
            });
            sent.is_some_and(|sent| {
                is_altered(sent.control_id.clear().as_str(), acked.clear().as_str())
            })
        };
        let latest = waypoint.connections.get(&at.connection)?.latest?;
        let few = waypoint.entries.len() <= ALTERED_AMONG;
        let others = waypoint.entries.iter().map(|(place, _)| place).filter(|_| few);
        core::iter::once(latest).chain(others).find(is_it)
    }

    /// An ACK that matches no sending that waits.
    fn unmatched(
        &mut self,
        here: WaypointId,
        at: &Sighting,
        ack: &AckSeen,
        key: MessageKey,
        fx: &mut Effects,
    ) -> AckClass {
        let number = usize::from(here.0);
        let (Some(waypoint), Some(lookup)) =
            (self.s.waypoints.get_mut(number), self.lookups.get(number))
        else {
            return AckClass::Stray;
        };
        let Some(remembered) = waypoint.memory.get_mut(&lookup.memory, key) else {
            return AckClass::Stray;
        };
        let before = *remembered;
        let application = matches!(ack.code, AckCode::AA | AckCode::AE | AckCode::AR);
        if before.outcome == Some(Outcome::Committed) && application {
            // The link sends application ACKs behind its commits: from now on they are waited for.
            remembered.answers = remembered.answers.saturating_add(1);
            remembered.outcome = Some(outcome_of(ack.code));
            waypoint.habit.application_after = waypoint.habit.application_after.saturating_add(1);
            self.amend(here, at.at, ack, &before, fx);
            return AckClass::Late;
        }
        if before.answers >= before.sent {
            return AckClass::Duplicate;
        }
        remembered.answers = remembered.answers.saturating_add(1);
        self.amend(here, at.at, ack, &before, fx);
        AckClass::Late
    }

    fn amend(
        &self,
        waypoint: WaypointId,
        at: Timestamp,
        ack: &AckSeen,
        before: &Remembered,
        fx: &mut Effects,
    ) {
        fx.push(Effect::Amend(Box::new(Amendment {
            key: before.journey,
            control_id: ack.acked,
            waypoint,
            at,
            ack: ack.code,
            reason: ack.reason,
        })));
    }

    /// Something came back on a connection; `unmatched`: a refusal of nobody knows what.
    pub(super) fn came_back(&mut self, number: usize, at: &Sighting, unmatched: bool) {
        let waypoint = self.s.waypoints.get_mut(number);
        if let Some(link) = waypoint.and_then(|w| w.connections.get_mut(&at.connection)) {
            link.answered = true;
            link.owed = link.owed.saturating_sub(1);
            link.unmatched |= unmatched;
        }
    }

    /// Whether a sending on a connection has had no answer, given up or not: then its journey, if that
    /// is known.
    pub(super) fn waits_on(&self, number: usize, on: ConnectionId) -> Option<Option<Ref>> {
        let waypoint = self.s.waypoints.get(number)?;
        let link = waypoint.connections.get(&on)?;
        let latest = waypoint.entries.get(link.latest?);
        (latest.is_some() || link.owed > 0).then(|| latest.and_then(|entry| entry.journey))
    }

    /// Follows whether a connection's ACKs lag one message behind; true when a run begins. It slips
    /// by a time-out on a kept connection, or by an ACK to the message before, which had ended.
    fn off_by_one(
        &mut self,
        number: usize,
        at: &Sighting,
        key: Option<MessageKey>,
        class: Option<AckClass>,
    ) -> bool {
        let Some(waypoint) = self.s.waypoints.get_mut(number) else { return false };
        let Some(connection) = waypoint.connections.get(&at.connection) else { return false };
        let latest = connection.latest.and_then(|place| waypoint.entries.get(place));
        let (waits, latest) = (latest.is_some(), latest.map(|e| e.key));
        let behind = key.is_some() && key == connection.previous && key != latest;
        let Some(connection) = waypoint.connections.get_mut(&at.connection) else { return false };
        let ended = matches!(class, Some(AckClass::Duplicate | AckClass::Late));
        if behind && waits && ended && !connection.pipelines {
            connection.slipped = true;
        }
        let slipped = connection.slipped && !connection.pipelines;
        if slipped && waits && behind {
            connection.off_run = connection.off_run.saturating_add(1);
            return is_off(waypoint, at.connection);
        }
        if key.is_some() && key == latest {
            connection.off_run = 0;
        }
        false
    }

    /// Counts a class, marks the journey, and says it.
    pub(super) fn classify(
        &mut self,
        waypoint: WaypointId,
        journey: Option<Ref>,
        class: AckClass,
        at: Timestamp,
        fx: &mut Effects,
    ) {
        if let Some(count) = self
            .s
            .waypoints
            .get_mut(usize::from(waypoint.0))
            .and_then(|w| w.classes.get_mut(class as usize))
        {
            *count += 1;
        }
        if let Some(journey) = journey.and_then(|place| self.s.journeys.get_mut(place)) {
            journey.classes.add(class);
        }
        // These two are judged as conditions, by their own checks.
        if !matches!(class, AckClass::CommitOnly | AckClass::HeadOfLine) {
            self.happened(Subject::Waypoint(waypoint), class.code(), at, Label::EMPTY, fx);
        }
    }

    /// Something that happened once.
    pub(super) fn happened(
        &mut self,
        subject: Subject,
        code: Code,
        at: Timestamp,
        detail: Label,
        fx: &mut Effects,
    ) {
        let finding = Finding {
            code,
            subject,
            severity: code.text().severity,
            state: FindingState::Happened,
            since: at,
            evidence: Vec::new(),
            detail,
        };
        self.take(finding, fx);
    }
}

/// Whether an ACK that names the message before makes a run: three on its connection, or two on each
/// of two connections, as a receiver does that has slipped with all of them.
fn is_off(waypoint: &WaypointState, on: ConnectionId) -> bool {
    let run = waypoint.connections.get(&on).map_or(0, |c| c.off_run);
    let few = waypoint.connections.len() <= OFF_AMONG;
    let pairs = || waypoint.connections.iter().filter(|(id, c)| **id != on && c.off_run >= 2);
    run == OFF_BY_ONE || (run == 2 && few && pairs().next().is_some())
}

/// Whether two ids are one in another dress: case, leading zeros, blanks, or cut short.
fn is_altered(sent: &str, acked: &str) -> bool {
    let plain = |id: &str| {
        let id: String = id.chars().filter(|c| *c != ' ').collect();
        id.trim_start_matches('0').to_ascii_uppercase()
    };
    if sent.is_empty() || acked.is_empty() || sent == acked {
        return false;
    }
    plain(sent) == plain(acked) || (acked.len() >= CUT_FROM && sent.starts_with(acked))
}

#[cfg(test)]
mod tests {
    use super::is_altered;

    #[test]
    fn an_id_in_another_dress_is_known() {
        for (sent, acked, same) in [
            ("abc1", "ABC1", true),
            ("00042", "42", true),
            ("A 1", "A1", true),
            ("12345678901234567890123", "12345678901234567890", true),
            ("MSG1", "MSG", false),
            ("MSG1", "MSG2", false),
            ("MSG1", "MSG1", false),
            ("", "1", false),
        ] {
            assert_eq!(is_altered(sent, acked), same, "{sent} {acked}");
        }
    }
}
