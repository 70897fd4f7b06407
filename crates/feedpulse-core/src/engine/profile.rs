//! What a stream usually does, learned by the hour of the week in the site's own time: how long a
//! gap between two messages may be before it is silence.
//!
//! A gap is measured in messages that were expected in it, not in minutes: nothing is missed at
//! night where nothing comes at night. How busy today is follows the last hours; how far that may be
//! wrong makes the last part of a long gap count less ([`Profile::gap`]). From which gap on it is
//! silence is learned from the stream's own long gaps ([`super::tail`]), for a stated number of false
//! alarms. Warm-up: in the first seven days nothing is judged, then a cautious limit holds until a
//! whole week of gaps is known.

use super::alike::Week;
use super::tail::Tail;
use crate::calendar::{Calendar, HOUR, HOURS};
use crate::label::Label;
use crate::plan::FeedId;
use crate::time::Timestamp;

/// A gap that long, of a feed that is well, comes once in so many weeks. A site of 200 feeds bears five
/// tickets a day of all kinds; feeds of about ten messages an hour get most of that, since with them it
/// decides whether silence is found within the hour.
const ONCE_IN: f32 = 5.5;
/// And of one of its types or facilities, of which there are many, in so many times more.
const PART: f32 = 8.0;
/// A busy feed is judged more mildly, since it still takes minutes only: in proportion to its busiest
/// hour above so many messages, up to a limit.
const BUSY: (f32, f32) = (12.0, 6.0);
/// So is a slow one, which takes hours anyway: below so many messages, up to a limit.
const SLOW: (f32, f32) = (8.0, 3.0);
/// What was learned of how busy today is counts as if so many messages more had come as expected.
const PRIOR: f32 = 20.0;
/// A new hour weighs at least this much against what was learned.
const FORGET: f32 = 0.2;
/// What recent hours weigh, from one hour to the next: how busy today is.
const FADE: f32 = 0.85;
/// Fewer messages than this in the busiest hour of the week are too few for statistics.
const QUIET: f32 = 2.0;
/// A stretch longer than this, in µs, was not watched: nothing is learned from it.
const UNWATCHED: i64 = 8 * 24 * HOUR;
/// Before gaps are known, groups of so many messages at the most are allowed for.
const GROUPS: f32 = 8.0;
/// Hours that must be known before gaps are judged: seven days, less one night's blindness.
const KNOWN: u8 = 168 - 12;

/// What was learned of one stream; about 1 KiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Messages an hour, by hour of the week.
    pub rates: Vec<f32>,
    /// How often each hour was learned, at most 255.
    pub learned: Vec<u8>,
    /// Up to when it has counted; the epoch before its first message.
    pub at: Timestamp,
    /// The last message.
    pub last: Timestamp,
    /// The hour of the week under way, when it ends, and how many messages a µs are expected in it.
    pub now: (u8, Timestamp, f32),
    /// Messages in the hour under way.
    pub count: u32,
    /// The hour under way was watched from its start.
    pub whole: bool,
    /// Messages expected since the last one, at today's pace.
    pub missed: f32,
    /// Hours of the week that were learned.
    pub known: u8,
    /// The long gaps of the last weeks.
    pub tail: Tail,
    /// It is a part of a feed: a type or a facility.
    pub is_part: bool,
    /// The week under way, counted from 1970 there.
    pub week: i32,
    /// Messages of the recent hours, fading, and how many were expected; as of the last message, since
    /// a gap must not make itself look usual.
    pub recent: (f32, f32),
    /// The same with the hours of the gap under way.
    pub coming: (f32, f32),
    /// From how many expected messages on a gap is silence; reckoned each hour.
    pub limit: f32,
    /// Whether it can be judged; reckoned each hour.
    pub ready: Ready,
    /// Silence is said: what passes now is not what is usual.
    pub silent: bool,
    /// How much hours differ from what was expected of them: variance over the mean's square.
    pub spread: f32,
    /// The last whole hour: what came, what was expected.
    pub hour: (f32, f32),
    /// Hours in a row that were unusual: many if positive, few if negative.
    pub odd_hours: i8,
    /// Minutes in which messages came while nothing was known, and in how many they would have come
    /// singly: how far they come in groups.
    pub minutes: (f32, f32),
}

/// A part of a feed that is learned by itself: a type, or a facility.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartKey {
    /// The feed.
    pub feed: FeedId,
    /// MSH-9.1; empty for a facility.
    pub code: Label,
    /// MSH-9.2.
    pub trigger: Label,
    /// The facility; empty for a type.
    pub facility: Label,
}

impl PartKey {
    /// What it is called: `type ADT^A08`, `facility NORTH`.
    #[must_use]
    pub fn name(self) -> Label {
        let Self { code, trigger, facility, .. } = self;
        let text = match (code.is_empty(), trigger.is_empty()) {
            (true, _) => format!("facility {facility}"),
            (false, true) => format!("type {code}"),
            (false, false) => format!("type {code}^{trigger}"),
        };
        Label::from(text.as_str())
    }
}

/// Whether a stream can be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ready {
    /// Not enough is known yet.
    #[default]
    Learning,
    /// Too few messages for statistics.
    TooQuiet,
    /// It can.
    Known,
}

/// How a stream's gap stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gap {
    /// Not enough is known yet.
    Learning,
    /// Too few messages for statistics: a schedule or a heartbeat would tell.
    TooQuiet,
    /// Messages expected since the last one, and from how many on it is silence.
    Known {
        /// Expected since the last message.
        expected: f32,
        /// The limit.
        limit: f32,
    },
}

impl Profile {
    /// A message came.
    pub fn saw(&mut self, calendar: &Calendar, at: Timestamp) {
        if self.at == Timestamp::EPOCH {
            self.begin(calendar, at);
        }
        self.advance(calendar, at);
        self.note_silence();
        // An outage is no usual gap; one that just passed the limit may have been none: then it is a
        // long gap, of a slow day.
        let gap = self.gap();
        let outage = self.silent && gap >= 1.5 * self.limit;
        if self.missed >= super::tail::FIRST && self.is_known() && !outage {
            self.tail.add(gap);
        }
        if outage {
            self.coming = self.recent;
        } else {
            self.recent = self.coming;
        }
        let minute = |at: Timestamp| at.as_secs().div_euclid(60);
        if !self.is_known() && minute(at) != minute(self.last) {
            self.minutes.0 += 1.0;
        }
        self.missed = 0.0;
        self.count = self.count.saturating_add(1);
        self.last = self.last.max(at);
        self.silent = false;
    }

    fn begin(&mut self, calendar: &Calendar, at: Timestamp) {
        self.at = at;
        self.week = week(calendar, at);
        if self.rates.is_empty() {
            self.rates = vec![0.0; HOURS];
            self.learned = vec![0; HOURS];
        }
    }

    /// Time passes: hours end and are learned, and what is expected adds up.
    pub fn advance(&mut self, calendar: &Calendar, to: Timestamp) {
        if self.rates.is_empty() {
            return;
        }
        if to.micros_since(self.at) > UNWATCHED {
            self.skip(to);
            self.week = week(calendar, to);
        }
        while self.at < to {
            if self.at >= self.now.1 {
                self.enter(calendar);
            }
            let (hour, ends, pace) = self.now;
            let until = ends.min(to);
            self.missed += pace * until.micros_since(self.at) as f32;
            self.at = until;
            if until == ends {
                self.note_silence();
                self.hour_over(usize::from(hour));
                self.week_over(calendar);
            }
        }
    }

    /// Whether the gap is silence. What was missed is never less than the gap that it makes.
    fn is_silent(&self) -> bool {
        self.ready == Ready::Known && self.missed > self.limit && self.gap() > self.limit
    }

    /// Silence is known where it matters, however seldom anybody judges: an hour of it teaches nothing.
    fn note_silence(&mut self) {
        self.silent |= self.is_silent();
    }

    /// Enters the hour of the time up to which it has counted.
    fn enter(&mut self, calendar: &Calendar) {
        let hour = calendar.hour(self.at);
        let pace = self.rate(hour) * self.scale() / HOUR as f32;
        self.now = (u8::try_from(hour).unwrap_or(0), calendar.hour_ends(self.at), pace);
    }

    /// What passed until then was not seen: nothing is learned from it, and no gap counts.
    pub fn skip(&mut self, to: Timestamp) {
        self.at = self.at.max(to);
        self.now.1 = Timestamp::EPOCH;
        (self.whole, self.count, self.missed) = (false, 0, 0.0);
    }

    /// Takes over what was learned elsewhere: each hour of the week from the one that knows it better.
    /// What passed between the lessons and now was not seen.
    pub(super) fn take_over(&mut self, calendar: &Calendar, learned: &Self, now: Timestamp) {
        if learned.rates.is_empty() || learned.silent && self.at == Timestamp::EPOCH {
            return;
        }
        if self.at == Timestamp::EPOCH {
            self.clone_from(learned);
            if now.micros_since(self.at) > HOUR {
                (self.recent, self.coming) = ((0.0, 0.0), (0.0, 0.0));
            }
            self.skip(now);
            self.last = self.last.max(now);
            (self.hour, self.odd_hours) = ((0.0, 0.0), 0);
            self.week = week(calendar, now);
        } else {
            for hour in 0..HOURS {
                let theirs = learned.learned.get(hour).copied().unwrap_or(0);
                if let (Some(rate), Some(mine), Some(other)) = (
                    self.rates.get_mut(hour),
                    self.learned.get_mut(hour).filter(|mine| **mine < theirs),
                    learned.rates.get(hour),
                ) {
                    (*rate, *mine) = (*other, theirs);
                }
            }
            if learned.tail.weeks > self.tail.weeks {
                (self.tail, self.spread) = (learned.tail, learned.spread);
            }
            let known = self.learned.iter().filter(|times| **times > 0).count();
            self.known = u8::try_from(known).unwrap_or(u8::MAX);
            (self.recent, self.coming) = ((0.0, 0.0), (0.0, 0.0));
            self.now.1 = Timestamp::EPOCH;
        }
        self.limit = self.reckon_limit();
        self.ready = self.reckon_ready();
    }

    /// The gaps of what taught it are not known: a cautious limit holds until weeks were watched.
    pub(super) fn forget_gaps(&mut self) {
        self.tail = Tail::default();
        self.limit = self.reckon_limit();
    }

    /// Whole weeks that taught it, by the hours that are known.
    #[must_use]
    pub fn weeks(&self) -> f32 {
        self.learned.iter().map(|n| f32::from(*n)).sum::<f32>() / HOURS as f32
    }

    /// The busiest hour of the week, and how many messages come in it.
    #[must_use]
    pub fn busiest_hour(&self) -> Option<(usize, f32)> {
        let hours = self.rates.iter().copied().enumerate();
        hours.filter(|(_, rate)| *rate > 0.0).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// After how many µs silence would be said: the median over the hours of the week in which
    /// messages come, of a stop at the beginning of each. None where it cannot be judged.
    #[must_use]
    pub fn told_after(&self) -> Option<i64> {
        if self.ready != Ready::Known {
            return None;
        }
        let busy = (0..HOURS).filter(|hour| self.rate(*hour) > 0.0);
        let mut all: Vec<i64> = busy.filter_map(|hour| self.told_after_stop(hour)).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    }

    /// The same of a stop at the beginning of an hour.
    fn told_after_stop(&self, hour: usize) -> Option<i64> {
        // Of so many expected messages the gap is the limit.
        let evidence = self.recent.0 + PRIOR;
        let mut left = evidence * (self.limit / evidence).exp_m1();
        for passed in 0..2 * HOURS {
            let rate = self.rate((hour + passed) % HOURS);
            if rate >= left {
                return Some(passed as i64 * HOUR + (left / rate * HOUR as f32) as i64);
            }
            left -= rate;
        }
        None
    }

    fn hour_over(&mut self, hour: usize) {
        let count = self.count as f32;
        if !self.is_known() {
            self.minutes.1 += 60.0 * (1.0 - (-count / 60.0).exp());
        }
        if self.whole && !self.silent {
            let expected = self.rate(hour);
            if let (Some(rate), Some(learned)) =
                (self.rates.get_mut(hour), self.learned.get_mut(hour))
            {
                let weight = (1.0 / (f32::from(*learned) + 1.0)).max(FORGET);
                *rate += (count - *rate) * weight;
                if *learned > 0 {
                    self.coming.0 = self.coming.0 * FADE + count;
                    self.coming.1 = self.coming.1 * FADE + expected;
                }
                if *learned > 1 && expected > 1.0 {
                    let off = (count - expected) / expected;
                    // Beyond what chance alone does to such a count.
                    let beyond = (off * off - 1.0 / expected).clamp(0.0, 1.0);
                    self.spread += (beyond - self.spread) * 0.02;
                }
                self.known += u8::from(*learned == 0);
                *learned = learned.saturating_add(1);
            }
            self.hour = (count, expected);
            self.odd_hours = match self.oddity() {
                Some(true) => self.odd_hours.max(0).saturating_add(1),
                Some(false) => self.odd_hours.min(0).saturating_sub(1),
                None => 0,
            };
            self.limit = self.reckon_limit();
            self.ready = self.reckon_ready();
        }
        (self.count, self.whole) = (0, true);
    }

    fn week_over(&mut self, calendar: &Calendar) {
        let week = week(calendar, self.at);
        if week == self.week {
            return;
        }
        self.week = week;
        if self.is_known() {
            self.tail.week_over();
        }
    }

    const fn is_known(&self) -> bool {
        self.known >= KNOWN
    }

    /// Messages missed since the last one: those expected, as sure as today's pace is known. If the
    /// pace follows a gamma law with `evidence` messages behind it, no message in a time in which `e`
    /// are expected has the chance `(1 + e / evidence)^-evidence`; this is its negative logarithm.
    #[must_use]
    pub fn gap(&self) -> f32 {
        let evidence = self.recent.0 + PRIOR;
        evidence * (self.missed / evidence).ln_1p()
    }

    /// Messages expected in an hour of the week. At the edges of a busy time less is expected than
    /// came, since nobody knows at which minute it begins.
    fn rate(&self, hour: usize) -> f32 {
        let at = |hour: usize| {
            let known = self.learned.get(hour % HOURS).is_some_and(|n| *n > 0);
            self.rates.get(hour % HOURS).filter(|_| known).copied().unwrap_or(0.0)
        };
        let week = Week { rates: &self.rates, learned: &self.learned, spread: self.spread };
        week.rate(hour).min(4.0 * at(hour + HOURS - 1)).min(4.0 * at(hour + 1))
    }

    /// How busy the last hours were beside what was expected of them.
    fn scale(&self) -> f32 {
        // Few messages say little.
        ((self.recent.0 + PRIOR) / (self.recent.1 + PRIOR)).clamp(0.25, 2.0)
    }

    /// From how many expected messages on a gap is silence.
    fn reckon_limit(&self) -> f32 {
        let total: f32 = self.rates.iter().sum();
        let busiest = self.busiest().max(0.1);
        let mild = (busiest / BUSY.0).clamp(1.0, BUSY.1) * (SLOW.0 / busiest).clamp(1.0, SLOW.1);
        let once_in = ONCE_IN * mild * if self.is_part { PART } else { 1.0 };
        // In steady traffic, whose gaps are exponential.
        let steady = (total.max(2.0) * once_in).ln();
        match self.tail.limit(once_in) {
            // Gaps between groups are longer by as many messages as a group has.
            None => 2.0 * steady * (self.minutes.1 / self.minutes.0.max(1.0)).clamp(1.0, GROUPS),
            Some(limit) => limit.max(steady * 0.9),
        }
    }

    fn reckon_ready(&self) -> Ready {
        if !self.is_known() {
            Ready::Learning
        } else if self.busiest() < QUIET {
            Ready::TooQuiet
        } else {
            Ready::Known
        }
    }

    fn busiest(&self) -> f32 {
        self.rates.iter().copied().fold(0.0, f32::max)
    }

    /// How the gap stands.
    #[must_use]
    pub fn judge(&self) -> Gap {
        match self.ready {
            Ready::Learning => Gap::Learning,
            Ready::TooQuiet => Gap::TooQuiet,
            Ready::Known => Gap::Known { expected: self.gap(), limit: self.limit },
        }
    }

    /// Whether the last two hours were unusual, and how many times what was expected came.
    #[must_use]
    pub fn unusual(&self) -> Option<f32> {
        (self.odd_hours.abs() > 1).then(|| self.hour.0 / self.hour.1.max(1.0))
    }

    /// Whether the hour just over had unusually many messages (or few): six deviations, of chance and
    /// of how much such hours differ, and at least a threefold.
    fn oddity(&self) -> Option<bool> {
        let (came, expected) = self.hour;
        let known = matches!(self.judge(), Gap::Known { .. }) && self.tail.weeks > 1.5;
        let deviation = (expected + self.spread * expected * expected).sqrt();
        let far = (came - expected).abs() > 6.0 * deviation;
        let ratio = came / expected.max(1.0);
        let odd = known && expected >= 5.0 && far && !(1.0 / 3.0..3.0).contains(&ratio);
        odd.then_some(came > expected)
    }
}

fn week(calendar: &Calendar, at: Timestamp) -> i32 {
    (calendar.day(at) + 3).div_euclid(7)
}

#[cfg(test)]
mod tests;
