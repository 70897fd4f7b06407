//! How a link answers, as observed: acknowledgment mode, retries, pipelining.

use super::Engine;
use super::slab::Ref;
use super::state::{Connection, Habit};
use crate::codes::Code;
use crate::effect::Effects;
use crate::finding::Subject;
use crate::key::MessageKey;
use crate::sighting::{AckCode, AckCondition, MessageSeen, Outcome, Sighting};
use crate::time::Timestamp;
use core::time::Duration;

/// So many answers make a habit.
const HABIT: u32 = 20;
/// Counts of a habit are halved at this, so that it can change.
const FORGET_AT: u32 = 1_000;
/// What is said once per sender: most senders remembered.
pub(super) const NOTED_MAX: usize = 256;

impl Habit {
    /// Notes an answer's kind.
    pub(super) fn answered(&mut self, code: AckCode, committed: bool) {
        let count = match (code, committed) {
            (AckCode::AA | AckCode::AE | AckCode::AR, true) => &mut self.application_after,
            (AckCode::AA | AckCode::AE | AckCode::AR, false) => &mut self.application_first,
            (AckCode::CA | AckCode::CE | AckCode::CR, _) => &mut self.commit_first,
            (AckCode::Other, _) => return,
        };
        *count += 1;
        if *count >= FORGET_AT {
            self.application_first /= 2;
            self.commit_first /= 2;
            // That it sends application ACKs at all is not forgotten.
            self.application_after = self.application_after.div_ceil(2);
            self.silent /= 2;
        }
    }

    /// How much of it is known.
    pub(super) fn answers(&self) -> u64 {
        [self.application_first, self.commit_first, self.silent].map(u64::from).iter().sum()
    }

    /// Whether every message is answered here, whatever the sender asks for.
    pub(super) fn always_answers(&self) -> bool {
        let answers = self.application_first + self.commit_first;
        answers >= HABIT && self.silent * 10 < answers
    }

    /// The mode in force, as a word.
    pub(super) const fn mode(&self) -> &'static str {
        let Self { application_first, commit_first, application_after, silent, .. } = *self;
        if application_first + commit_first + silent < HABIT {
            "unknown"
        } else if silent > application_first + commit_first {
            "silent"
        } else if commit_first <= application_first {
            "original"
        } else if application_after > 0 {
            "enhanced"
        } else {
            "commit only"
        }
    }

    /// Whether a refusal is likely to be sent again and accepted: AR and CR are taken to be about
    /// the moment, AE and CE about the content (HL7 v2.5.1 §2.9.2), until this link shows otherwise.
    pub(super) fn is_retryable(&self, outcome: Outcome) -> bool {
        let place = usize::from(outcome == Outcome::Rejected);
        let (retried, lasting) = match (self.retried, self.lasting) {
            ([r, _], [l, _]) if place == 0 => (r, l),
            ([_, r], [_, l]) => (r, l),
        };
        if retried + lasting >= HABIT { retried * 2 > lasting } else { place == 1 }
    }

    /// Notes what a refusal came to.
    pub(super) fn refusal(&mut self, outcome: Outcome, got_through: bool) {
        let place = match outcome {
            Outcome::Errored => 0,
            Outcome::Rejected => 1,
            _ => return,
        };
        let counts = if got_through { &mut self.retried } else { &mut self.lasting };
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
            if *count >= FORGET_AT {
                self.retried = self.retried.map(|n| n / 2);
                self.lasting = self.lasting.map(|n| n / 2);
            }
        }
    }
}

impl Connection {
    /// Notes a sending; `waits`: the one before still does, and whether an answer to it is due.
    pub(super) fn sends(
        &mut self,
        place: Ref,
        key: MessageKey,
        at: Timestamp,
        waits: Option<bool>,
        slip: Duration,
    ) {
        if waits == Some(true) && self.answered && !self.pipelines {
            // It took for the answer what named another message.
            self.slipped = true;
        } else if waits.is_some() && !self.slipped && !self.answered {
            // Sent on while one waits: at once is pipelining, after a long wait is a time-out.
            if at.since(self.latest_at) < slip {
                self.pipelines = true;
            } else {
                self.slipped = true;
            }
        }
        self.previous = self.latest_key.replace(key);
        (self.answered, self.unmatched) = (false, false);
        self.owed = self.owed.saturating_add(1);
        self.open += 1;
        self.latest = Some(place);
        self.latest_at = at;
    }
}

impl Engine {
    /// Says once per sender when the link answers otherwise than MSH-15 and MSH-16 ask for.
    pub(super) fn judge_mode(&mut self, at: &Sighting, message: &MessageSeen, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let stated = self.s.plan.waypoints.get(number).is_some_and(|w| w.ack_mode.is_some());
        let Some(waypoint) = self.s.waypoints.get(number).filter(|_| !stated) else { return };
        let (habit, asked) = (&waypoint.habit, message.ack_mode);
        let quiet = |c: AckCondition| matches!(c, AckCondition::Never | AckCondition::OnError);
        let (first, commit) = (habit.application_first, habit.commit_first);
        let differs = if asked.is_original() {
            commit >= HABIT && commit > first
        } else if quiet(asked.accept) && quiet(asked.application) {
            habit.always_answers()
        } else {
            asked.accept == AckCondition::Always && first >= HABIT && commit == 0
        };
        if differs {
            self.note_once(at, message, Code::AckModeDiffers, fx);
        }
        if asked.is_half() {
            self.note_once(at, message, Code::AckModeHalf, fx);
        }
    }

    /// Says something once per sender and waypoint.
    pub(super) fn note_once(
        &mut self,
        at: &Sighting,
        message: &MessageSeen,
        code: Code,
        fx: &mut Effects,
    ) {
        let Some(waypoint) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        if waypoint.noted.len() < NOTED_MAX && waypoint.noted.insert((code, message.sender)) {
            self.happened(Subject::Waypoint(at.waypoint), code, at.at, message.sender, fx);
        }
    }

    /// Special protocols are named, once per sender.
    pub(super) fn notes(&mut self, at: &Sighting, message: &MessageSeen, fx: &mut Effects) {
        if message.protocol.sequence {
            self.note_once(at, message, Code::SequenceProtocol, fx);
        }
        if message.protocol.continuation {
            self.note_once(at, message, Code::Continuation, fx);
        }
    }
}
