//! Which parts the messages of one sender and type usually have, and what is new among them or gone.
//!
//! The rule. A kind is learned after 200 messages over seven days. Then a part that was never seen is
//! *new* when ten messages had it, at a rate that would be one in a million for a part that had not been
//! seen among so many; in nine of ten messages since the first it is so after ten minutes (an upgrade),
//! in fewer after four hours, and then a note only: an optional segment wakes nobody. Delimiters and
//! character sets are known after 100 messages and an hour, and new after three. A part is *gone* when at
//! least nine of ten messages had it in each stretch (32 messages, five minutes at least) of the
//! learning, at nights and weekends too, and less than half of those of the last stretch.

use super::room::Room as _;
use crate::codes::Severity;
use crate::shape::{Part, ShapeKey, ShapeSeen};
use crate::time::Timestamp;

/// Kinds that are learned at one link; further ones are not.
pub const VOCABULARIES_MAX: usize = 128;
/// Parts that are known of a kind: 1.9 KiB. When it is full the rarest goes for a new one.
pub const KNOWN_MAX: usize = 160;
/// Parts that may become new, of a kind; a further one is taken for known.
const FRESH_MAX: usize = 16;
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A kind is learned after so many messages and so long.
const LEARNED: (u32, i64) = (200, 7 * DAY);
/// How messages are read is.
const READING_LEARNED: (u32, i64) = (100, HOUR);
/// Messages that make a part new; where it says how all are read.
const LEAST: u32 = 10;
const LEAST_READING: u32 = 3;
/// A message type is new after so many, whatever its share.
const LEAST_KIND: u32 = 5;
/// In nearly all messages for so long, or in some for so long, µs.
const NEARLY_ALL: (f32, i64) = (0.9, 10 * MINUTE);
const SOME: i64 = 4 * HOUR;
/// So rare must it be by chance: the negative logarithm of one in a million.
const RARE: f32 = 13.8;
/// A part that did not become new for so long is one of the rare ones, µs.
const RARE_AFTER: i64 = 7 * DAY;
/// A stretch: so many messages, and so long at least, µs.
const STRETCH: (u32, i64) = (32, 5 * MINUTE);
const STRETCH_MAX: u32 = 32_768;
/// All of a stretch; shares count in these.
const FULL: u16 = u16::MAX;
/// What nearly all had, and what less than half have.
const MOST: u16 = FULL / 10 * 9;
const HALF: u16 = FULL / 2;
/// How slowly it is forgotten that a part was rarer once: by this much of the difference a stretch.
const HEALS: u16 = 1_024;
/// News of a link; further ones are counted with the last.
pub const NEWS_MAX: usize = 48;

/// A part that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownPart {
    /// Which: the upper and the lower half of its number, so that all is twelve bytes.
    pub part: [u32; 2],
    /// How many of this stretch have it.
    pub hits: u16,
    /// The least share of a stretch that had it, of 65,535.
    pub least: u16,
}

impl KnownPart {
    fn new(part: Part, hits: u32, least: u16) -> Self {
        let halves = [(part.0 >> 32) as u32, part.0 as u32];
        Self { part: halves, hits: u16::try_from(hits).unwrap_or(u16::MAX), least }
    }

    fn part(&self) -> Part {
        let [high, low] = self.part.map(u64::from);
        Part(high << 32 | low)
    }

    fn add(&mut self, hits: u32) {
        self.hits = self.hits.saturating_add(u16::try_from(hits).unwrap_or(u16::MAX));
    }
}

/// A part that was never seen before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreshPart {
    /// Which.
    pub part: Part,
    /// When it was seen first.
    pub first: Timestamp,
    /// And last.
    pub last: Timestamp,
    /// In how many messages.
    pub hits: u32,
    /// Of so many since the first.
    pub of: u32,
    /// Messages that did not have it before.
    pub before: u32,
}

/// What is known of one sender's messages of one type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// The first message.
    pub since: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// Messages that were looked at.
    pub messages: u32,
    /// Whole stretches.
    pub stretches: u32,
    /// When this stretch began.
    pub from: Timestamp,
    /// Its messages.
    pub stretch: u32,
    /// KnownPart parts, ascending.
    pub known: Vec<KnownPart>,
    /// Those that may become new.
    pub fresh: Vec<FreshPart>,
    /// Known ones that are told to be gone.
    pub gone: Vec<Part>,
    /// Known ones that fewer had in the last stretch than ever before, and how many.
    pub doubted: Vec<(Part, u16)>,
}

/// What a vocabulary says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    /// A part is new, since when, how loud.
    New(Part, Timestamp, Severity),
    /// A part is gone, since when.
    Gone(Part, Timestamp),
    /// A part that was gone is back.
    Back(Part),
}

/// Something told of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct News {
    /// Whose messages.
    pub key: ShapeKey,
    /// What.
    pub part: Part,
    /// It is gone; else it is new.
    pub gone: bool,
    /// How loud.
    pub severity: Severity,
    /// The first message with it, or the first stretch without it.
    pub since: Timestamp,
    /// When it was told.
    pub told: Timestamp,
}

impl News {
    /// Whether it has become normal: what is new after an hour, what is gone after a day.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.micros_since(self.told) >= if self.gone { DAY } else { HOUR }
    }
}

impl Vocabulary {
    fn has_learned(&self, (messages, long): (u32, i64)) -> bool {
        self.messages >= messages && self.last.micros_since(self.since) >= long
    }

    /// Takes what some messages had.
    pub(super) fn take(&mut self, at: Timestamp, seen: &ShapeSeen) -> Vec<Said> {
        let mut said = Vec::new();
        if self.messages == 0 {
            (self.since, self.from) = (at, at);
        }
        let (learned, reading) = (self.has_learned(LEARNED), self.has_learned(READING_LEARNED));
        for fresh in &mut self.fresh {
            fresh.of = fresh.of.saturating_add(seen.messages);
        }
        for (part, count) in &seen.parts {
            let judged = if part.is_reading() { reading } else { learned };
            self.count(at, (*part, *count), seen.messages, judged);
        }
        self.messages = self.messages.saturating_add(seen.messages);
        self.stretch = self.stretch.saturating_add(seen.messages);
        self.last = self.last.max(at);
        self.judge_fresh(at, &mut said);
        let long = at.micros_since(self.from) >= STRETCH.1 || self.stretch >= STRETCH_MAX;
        if self.stretch >= STRETCH.0 && long {
            self.end_stretch(at, learned, &mut said);
        }
        said
    }

    fn place(&self, part: Part) -> Result<usize, usize> {
        self.known.binary_search_by_key(&part, KnownPart::part)
    }

    fn count(&mut self, at: Timestamp, (part, hits): (Part, u32), of: u32, judged: bool) {
        if let Ok(place) = self.place(part) {
            if let Some(known) = self.known.get_mut(place) {
                known.add(hits);
            }
            return;
        }
        if let Some(fresh) = self.fresh.iter_mut().find(|fresh| fresh.part == part) {
            fresh.hits = fresh.hits.saturating_add(hits);
            fresh.last = fresh.last.max(at);
            return;
        }
        // A new segment is told once, not again with each of its fields.
        let within = part.of_segment().is_some_and(|segment| self.place(segment).is_err());
        if judged && !within && self.fresh.len() < FRESH_MAX {
            let before = self.messages;
            self.fresh.push(FreshPart { part, first: at, last: at, hits, of, before });
        } else {
            self.learn(part, hits);
        }
    }

    /// From now on a part is known.
    fn learn(&mut self, part: Part, hits: u32) {
        if self.known.len() >= KNOWN_MAX {
            let rank = |known: &KnownPart| (known.least, known.hits);
            let rarest = (0..self.known.len()).min_by_key(|n| self.known.get(*n).map(rank));
            let Some(rarest) = rarest.filter(|n| self.known.get(*n).is_some_and(|k| k.least == 0))
            else {
                return;
            };
            self.known.remove(rarest);
        }
        let Err(place) = self.place(part) else { return };
        // What the stretches before did not have is not in all messages.
        let least = if self.stretches == 0 { FULL } else { 0 };
        self.known.make_room();
        self.known.insert(place, KnownPart::new(part, hits, least));
    }

    fn judge_fresh(&mut self, at: Timestamp, said: &mut Vec<Said>) {
        let mut place = 0;
        while let Some(fresh) = self.fresh.get(place).copied() {
            let severity = fresh.judge();
            if let Some(severity) = severity {
                said.push(Said::New(fresh.part, fresh.first, severity));
            }
            if severity.is_some() || at.micros_since(fresh.first) >= RARE_AFTER {
                self.fresh.remove(place);
                self.learn(fresh.part, 0);
            } else {
                place += 1;
            }
        }
    }

    fn end_stretch(&mut self, at: Timestamp, learned: bool, said: &mut Vec<Said>) {
        let (from, messages) = (self.from, u64::from(self.stretch.max(1)));
        let gone_before = said.len();
        let doubted = core::mem::take(&mut self.doubted);
        for known in &mut self.known {
            let share = (u64::from(known.hits) * u64::from(FULL) / messages).min(u64::from(FULL));
            let share = u16::try_from(share).unwrap_or(FULL);
            let part = known.part();
            known.hits = 0;
            if let Some(place) = self.gone.iter().position(|gone| *gone == part) {
                if share >= HALF {
                    self.gone.swap_remove(place);
                    said.push(Said::Back(part));
                }
                continue;
            }
            let told_elsewhere = part.is_reading() || part.is_kind();
            let judged = learned && known.least >= MOST && !told_elsewhere;
            if judged && share < HALF {
                self.gone.push(part);
                said.push(Said::Gone(part, from));
            } else if let Some((_, before)) = doubted.iter().find(|(doubted, _)| *doubted == part) {
                known.least = share.min(*before);
            } else if judged && share < MOST {
                // It may have gone in the course of this stretch: the next one says.
                self.doubted.push((part, share));
            } else if share < known.least {
                known.least = share;
            } else {
                known.least += (share - known.least) / HEALS;
            }
        }
        // A segment that is gone takes its fields with it.
        let gone = |said: &[Said], part| {
            said.iter().any(|said| matches!(said, Said::Gone(gone, _) if *gone == part))
        };
        let mut told = said.split_off(gone_before);
        let all = told.clone();
        told.retain(|one| match one {
            Said::Gone(part, _) => part.of_segment().is_none_or(|segment| !gone(&all, segment)),
            Said::New(..) | Said::Back(_) => true,
        });
        said.append(&mut told);
        self.stretches = self.stretches.saturating_add(1);
        (self.from, self.stretch) = (at, 0);
    }

    /// Takes over what another learned, if that is more.
    pub(super) fn take_over(&mut self, learned: &Self) {
        if learned.messages > self.messages {
            self.clone_from(learned);
        }
    }
}

impl FreshPart {
    /// How loud it is, if it is new.
    fn judge(&self) -> Option<Severity> {
        let for_long = |long| self.last.micros_since(self.first) >= long;
        if self.part.is_reading() {
            return (self.hits >= LEAST_READING).then_some(Severity::Ticket);
        }
        if self.part.is_kind() {
            return (self.hits >= LEAST_KIND).then_some(Severity::Note);
        }
        #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
        let (hits, of, before) = (self.hits as f32, self.of as f32, self.before as f32);
        // With so many messages without it, its share was less than this but for one time in 150.
        let usual = (5.0 / before.max(1.0)).min(0.9);
        if self.hits < LEAST || of * super::by_kind::surprise(self.hits, self.of, usual) < RARE {
            return None;
        }
        if hits >= of * NEARLY_ALL.0 && for_long(NEARLY_ALL.1) {
            return Some(Severity::Ticket);
        }
        for_long(SOME).then_some(Severity::Note)
    }
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
