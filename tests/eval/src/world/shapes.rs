//! What messages have: the feed's own parts, those that some have, and what an upgrade adds or drops.
//! Chance comes from a message's number, so that it has the same at every link.

use super::{Msg, World};
use crate::civil::HOUR;
use crate::history::{FaultKind, Optional};
use crate::rng::mix;
use feedpulse_core::shape::{Part, ShapeKey, ShapeSeen};
use feedpulse_core::sighting::MessageSeen;
use feedpulse_core::time::Timestamp;

/// Whether one of `share` is hit, by a message's number and what is asked.
fn hit(number: u64, what: u64, share: f64) -> bool {
    let drawn = mix(number ^ mix(what)) >> 11;
    (drawn as f64) < share * (1_u64 << 53) as f64
}

impl World<'_> {
    /// Counts the shape of a message where its feed has one.
    pub(super) fn shape(
        &mut self,
        now: i64,
        link: usize,
        msg: &Msg,
        message: &MessageSeen,
    ) -> Option<ShapeSeen> {
        let feed = &self.history.feeds[msg.feed];
        if feed.shape.is_empty() {
            return None;
        }
        let at = Timestamp::from_micros(now);
        let kind = mix((msg.feed * 64 + msg.kind) as u64);
        if !self.shapes[link].wants(at, kind) {
            return None;
        }
        let mut parts = feed.shape.clone();
        let some = feed.optional.iter().filter(|optional| self.has(now, msg, optional));
        parts.extend(some.map(|optional| optional.part));
        for number in self.all_on(FaultKind::Drift, link, msg) {
            let fault = &self.history.faults[number];
            if hit(msg.number, number as u64, fault.share) {
                parts.retain(|part| !fault.drops.iter().any(|gone| part.is_within(*gone)));
                parts.extend(&fault.adds);
                self.touch(number, now);
            }
        }
        let key = ShapeKey { sender: message.sender, code: message.code, trigger: message.trigger };
        self.shapes[link].add(at, key, message.body, &mut parts)
    }

    fn has(&self, now: i64, msg: &Msg, optional: &Optional) -> bool {
        let feed = &self.history.feeds[msg.feed];
        let hour = u8::try_from(self.history.calendar.wall(now).of_day / HOUR).unwrap_or(0);
        let within = |[from, to]: [u8; 2]| {
            if from <= to { from <= hour && hour < to } else { hour >= from || hour < to }
        };
        let Part(what) = optional.part;
        optional.hours.is_none_or(within)
            && optional.from.is_none_or(|from| now >= from)
            && optional.to.is_none_or(|to| now < to)
            && optional.facility.as_ref().is_none_or(|f| *f == feed.facilities[msg.facility])
            && hit(msg.number / optional.run, what, optional.share)
    }
}
