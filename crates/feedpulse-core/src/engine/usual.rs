//! What is usual at a link, minute by minute and by reason: refusals that come all day are no news,
//! a reason that never came before is.

use super::by_kind::{self, KindAnswers};
use super::shapes::{VOCABULARIES_MAX, Vocabulary};
use super::state::Recent;
use crate::label::Label;
use crate::shape::ShapeKey;
use crate::sighting::ReasonClass;
use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// Minutes kept.
const MINUTES: usize = 60;
const MINUTE: i64 = 60_000_000;
/// A share follows what it is the share of by this much an event.
const FOLLOW: f32 = 1.0 / 500.0;
/// So many answers make known which reasons a link refuses for.
const KNOWN_AFTER: u64 = 500;
/// How slowly it is forgotten that a link refuses for a reason: by this much an answer.
const LASTS: f32 = 1.0 / 10_000.0;
/// A burst of refusals is of one hour.
const BURST: i64 = 60 * MINUTE;
/// Senders and types whose version is known.
const VERSIONS_MAX: usize = 256;
/// So many messages make a version, or a processing id, the usual one.
const USUAL: u32 = 20;

/// Counts of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Minute {
    /// Its start.
    pub at: Timestamp,
    /// Messages sent.
    pub sendings: u32,
    /// Those of them that were sent before.
    pub repeats: u32,
    /// Those of the repeats whose message had been accepted.
    pub replays: u32,
    /// Answers.
    pub answers: u32,
    /// Those of them that refuse, for no expected reason.
    pub bad: u32,
}

/// Refusals for one reason that was not given before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Burst {
    /// The first of them.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// How many.
    pub times: u32,
    /// How many would have been usual.
    pub usual: f32,
    /// The lasting share of answers that refuse for this reason.
    pub share: f32,
}

impl Burst {
    /// Whether it is news: five, beyond four times what is usual.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.times as f32 >= 5.0 + 4.0 * self.usual
    }
}

/// What is usual at a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usual {
    /// The last hour, oldest first.
    pub minutes: VecDeque<Minute>,
    /// Answers, all.
    pub answers: u64,
    /// Refusals for each reason, as far as it is new.
    pub bursts: Vec<Burst>,
    /// Answers by type, sender and facility: index into [`super::state::State::kinds`]; at most 256.
    pub kinds: BTreeMap<u32, KindAnswers>,
    /// The lasting share of sendings whose connection broke.
    pub lost_share: f32,
    /// Messages with damaged characters lately.
    pub damaged: Recent,
    /// Their share.
    pub damaged_share: f32,
    /// Messages by MSH-11: P, T, D.
    pub processing: [u32; 3],
    /// MSH-12 by sender and type, and how many messages had it.
    pub versions: BTreeMap<(Label, Label), (Label, u32)>,
    /// What messages of each sender and type have; at most 128 kinds.
    pub shapes: BTreeMap<ShapeKey, Vocabulary>,
}

impl Usual {
    /// The minute of a time; times before the latest minute count in it.
    pub(crate) fn minute(&mut self, at: Timestamp) -> Option<&mut Minute> {
        let start = Timestamp::from_micros(at.as_micros().div_euclid(MINUTE) * MINUTE);
        if self.minutes.back().is_none_or(|last| last.at < start) {
            if self.minutes.len() == MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute { at: start, ..Minute::default() });
        }
        self.minutes.back_mut()
    }

    /// The sums of the last so many minutes, the one under way among them.
    #[must_use]
    pub fn sum(&self, now: Timestamp, minutes: u32) -> Minute {
        let from = now.as_micros() - i64::from(minutes) * MINUTE;
        let within = self.minutes.iter().filter(|minute| minute.at.as_micros() > from);
        within.fold(Minute::default(), |sum, minute| Minute {
            at: now,
            sendings: sum.sendings + minute.sendings,
            repeats: sum.repeats + minute.repeats,
            replays: sum.replays + minute.replays,
            answers: sum.answers + minute.answers,
            bad: sum.bad + minute.bad,
        })
    }

    /// Takes an answer; `reason` of a refusal.
    pub(super) fn answered(&mut self, at: Timestamp, reason: Option<ReasonClass>) {
        self.answers += 1;
        let places = ReasonClass::ALL.len();
        self.bursts.resize(places, Burst::default());
        let known = self.answers > KNOWN_AFTER;
        for (class, burst) in ReasonClass::ALL.iter().zip(&mut self.bursts) {
            let hit = reason == Some(*class);
            if at.micros_since(burst.first) > BURST {
                (burst.times, burst.usual) = (0, 0.0);
            }
            if burst.times > 0 {
                burst.usual += burst.share;
            }
            if hit && known {
                if burst.times == 0 {
                    burst.first = at;
                }
                burst.times = burst.times.saturating_add(1);
                burst.last = at;
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "early answers weigh more: a small count"
            )]
            let weight = (1.0 / self.answers as f32).max(LASTS);
            burst.share += (if hit { 1.0 } else { 0.0 } - burst.share) * weight;
        }
    }

    /// The usual share of answers that refuse, for whatever reason.
    #[must_use]
    pub fn refusals(&self) -> f32 {
        self.bursts.iter().map(|burst| burst.share).sum()
    }

    /// The usual share of answers that refuse for a reason.
    #[must_use]
    pub fn share(&self, reason: ReasonClass) -> f32 {
        self.bursts.get(reason as usize).map_or(0.0, |burst| burst.share)
    }

    /// Whether refusals for a reason are rare here.
    pub(super) fn is_rare(&self, reason: ReasonClass) -> bool {
        self.answers > KNOWN_AFTER && self.share(reason) < by_kind::ODD
    }

    /// Takes the end of a sending: whether its connection broke.
    pub(super) fn ended(&mut self, lost: bool) {
        self.lost_share += (if lost { 1.0 } else { 0.0 } - self.lost_share) * LASTS;
    }

    /// What of it lasts: the last hour is left out.
    pub(super) fn lasting(&self) -> Self {
        let share = |burst: &Burst| Burst { share: burst.share, ..Burst::default() };
        Self {
            answers: self.answers,
            bursts: self.bursts.iter().map(share).collect(),
            lost_share: self.lost_share,
            damaged_share: self.damaged_share,
            processing: self.processing,
            versions: self.versions.clone(),
            shapes: self.shapes.clone(),
            ..Self::default()
        }
    }

    /// Takes over what lasts of another, where that knows more.
    pub(super) fn take_over(&mut self, learned: &Self) {
        if learned.answers > self.answers {
            self.answers = learned.answers;
            self.bursts.resize(ReasonClass::ALL.len(), Burst::default());
            for (mine, theirs) in self.bursts.iter_mut().zip(&learned.bursts) {
                mine.share = theirs.share;
            }
        }
        if learned.lost_share > 0.0 && self.lost_share == 0.0 {
            self.lost_share = learned.lost_share;
        }
        let messages =
            |processing: &[u32; 3]| processing.iter().map(|n| u64::from(*n)).sum::<u64>();
        if messages(&learned.processing) > messages(&self.processing) {
            self.processing = learned.processing;
            self.damaged_share = learned.damaged_share;
        }
        for (of, theirs) in &learned.versions {
            let full = self.versions.len() >= VERSIONS_MAX;
            match self.versions.get_mut(of) {
                Some(mine) if mine.1 < theirs.1 => *mine = *theirs,
                None if !full => {
                    self.versions.insert(*of, *theirs);
                }
                Some(_) | None => {}
            }
        }
        for (key, theirs) in &learned.shapes {
            let full = self.shapes.len() >= VOCABULARIES_MAX;
            match self.shapes.get_mut(key) {
                Some(mine) => mine.take_over(theirs),
                None if !full => {
                    self.shapes.insert(*key, theirs.clone());
                }
                None => {}
            }
        }
    }

    /// Takes a message's characters.
    pub(super) fn characters(&mut self, at: Timestamp, damaged: bool) {
        let hit = if damaged { 1.0 } else { 0.0 };
        self.damaged_share += (hit - self.damaged_share) * FOLLOW;
        if damaged {
            self.damaged.push(at);
        }
    }

    /// Takes MSH-11; whether it differs from what this link carries.
    pub(super) fn is_wrong_processing(&mut self, processing: u8) -> bool {
        let place = match processing {
            b'P' => 0,
            b'T' => 1,
            b'D' => 2,
            _ => return false,
        };
        let others: u32 = (0..3).filter(|n| *n != place).map(|n| self.processing[n]).sum();
        let wrong = others >= USUAL && others / 20 >= self.processing[place];
        self.processing[place] = self.processing[place].saturating_add(1);
        wrong
    }

    /// Takes MSH-12; whether this sender has changed it for a type.
    pub(super) fn is_new_version(&mut self, of: (Label, Label), version: Label) -> bool {
        if self.versions.len() >= VERSIONS_MAX && !self.versions.contains_key(&of) {
            return false;
        }
        let (held, times) = self.versions.entry(of).or_insert((version, 0));
        if *held == version {
            *times = times.saturating_add(1);
            return false;
        }
        let known = *times >= USUAL;
        (*held, *times) = (version, 1);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::Usual;
    use crate::sighting::ReasonClass;
    use crate::time::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + second)
    }

    #[test]
    fn minutes_are_summed_and_bounded() {
        let mut usual = Usual::default();
        for second in 0..7_200 {
            usual.minute(at(second)).unwrap().sendings += 1;
        }
        assert_eq!(usual.minutes.len(), 60);
        assert_eq!(usual.sum(at(7_199), 60).sendings / 60, 59);
        assert!(usual.sum(at(7_199), 1).sendings <= 60);
        assert_eq!(usual.sum(at(20_000), 5).sendings, 0);
    }

    #[test]
    fn a_reason_is_new_when_it_comes_far_more_often_than_it_did() {
        let mut usual = Usual::default();
        let is_new = |usual: &Usual, r: ReasonClass| usual.bursts[r as usize].is_new();
        for second in 0..6_000 {
            let reason = (second % 10 == 0).then_some(ReasonClass::UnknownKey);
            usual.answered(at(second), reason);
        }
        assert!(!is_new(&usual, ReasonClass::UnknownKey), "it came all the time");
        assert!(usual.share(ReasonClass::UnknownKey) > 0.05);
        for second in 6_000..6_006 {
            usual.answered(at(second), Some(ReasonClass::Internal));
        }
        assert!(is_new(&usual, ReasonClass::Internal));
        for second in 6_005..60_000 {
            usual.answered(at(second), (second % 40 == 0).then_some(ReasonClass::Internal));
        }
        assert!(!is_new(&usual, ReasonClass::Internal), "it is usual by now");
    }

    #[test]
    fn versions_and_processing_ids_are_learned_before_they_are_judged() {
        let mut usual = Usual::default();
        let of = ("LAB".into(), "ORU".into());
        assert!(!usual.is_new_version(of, "2.3".into()) && !usual.is_new_version(of, "2.5".into()));
        for _ in 0..20 {
            assert!(!usual.is_new_version(of, "2.5".into()) && !usual.is_wrong_processing(b'P'));
        }
        assert!(
            usual.is_new_version(of, "2.5.1".into()) && !usual.is_new_version(of, "2.5.1".into())
        );
        assert!(usual.is_wrong_processing(b'T') && !usual.is_wrong_processing(b'P'));
        assert!(!usual.is_wrong_processing(0));
    }
}
