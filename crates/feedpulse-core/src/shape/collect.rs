//! Counts shapes at a tap, so that neither the decoder nor the log pays for each message: a few messages
//! a second of each kind are looked at, and their counts are told twice a minute at most.

use super::{Part, ShapeKey, ShapeSeen};
use crate::time::Timestamp;
use core::cmp::Ordering;
use std::collections::BTreeMap;

/// Parts of one kind that are counted between two tellings; further ones are not.
pub const PARTS_MAX: usize = 512;
/// Kinds that are counted at one tap; messages of further ones are not looked at.
const KINDS_MAX: usize = 256;
/// Places that share a rate: kinds fall into them by a hash.
const GATES: usize = 256;
/// In the long run one message in this time is looked at, in µs: four a second.
const EVERY: i64 = 250_000;
/// So much of that may come at once, in µs: eight messages, so that a few which belong together are
/// all looked at.
const BURST: i64 = 7 * EVERY;
/// A time that lies so far before the last is another stream's, in µs.
const BACK: i64 = 10_000_000;
/// What was counted is told after this, in µs, or after so many messages.
const TELL_AFTER: i64 = 30_000_000;
const TELL_AT: u32 = 64;
/// The last bodies of a kind: a message that is sent again and again is one.
const BODIES: usize = 8;

/// Counts of one kind since they were told.
#[derive(Clone, Debug, Default)]
struct Pending {
    told: Option<Timestamp>,
    messages: u32,
    parts: Vec<(Part, u32)>,
    bodies: [u64; BODIES],
    body: usize,
}

/// Counts shapes at one waypoint.
#[derive(Clone, Debug)]
pub struct Collector {
    /// When the next message of each gate would be looked at if they came evenly, in µs.
    gates: Box<[i64; GATES]>,
    kinds: BTreeMap<ShapeKey, Pending>,
    merged: Vec<(Part, u32)>,
}

impl Default for Collector {
    fn default() -> Self {
        let gates = Box::new([i64::MIN; GATES]);
        Self { gates, kinds: BTreeMap::new(), merged: Vec::new() }
    }
}

impl Collector {
    /// Whether a message at `at`, of the kind that `hash` stands for, is to be looked at.
    pub fn wants(&mut self, at: Timestamp, hash: u64) -> bool {
        let Some(next) = self.gates.get_mut(hash as usize % GATES) else { return false };
        let at = at.as_micros();
        if at < next.saturating_sub(BURST) {
            // Nothing is looked at twice as often because time goes back a little.
            if at >= next.saturating_sub(BURST + BACK) {
                return false;
            }
            *next = at;
        }
        *next = at.max(*next).saturating_add(EVERY);
        true
    }

    /// Counts a message that was looked at: its body's fingerprint, and its parts, which are used up.
    /// Says what was counted when it is time.
    pub fn add(
        &mut self,
        at: Timestamp,
        key: ShapeKey,
        body: u64,
        parts: &mut Vec<Part>,
    ) -> Option<ShapeSeen> {
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&key) {
            return None;
        }
        let pending = self.kinds.entry(key).or_default();
        if pending.bodies.contains(&body) {
            return None;
        }
        if let Some(place) = pending.bodies.get_mut(pending.body % BODIES) {
            *place = body;
        }
        pending.body = (pending.body + 1) % BODIES;
        parts.sort_unstable();
        parts.dedup();
        merge(&pending.parts, parts, &mut self.merged);
        core::mem::swap(&mut pending.parts, &mut self.merged);
        pending.messages += 1;
        let waited = pending.told.is_none_or(|told| at.micros_since(told).abs() >= TELL_AFTER);
        if !waited && pending.messages < TELL_AT {
            return None;
        }
        pending.told = Some(at);
        let messages = core::mem::take(&mut pending.messages);
        Some(ShapeSeen { key, messages, parts: core::mem::take(&mut pending.parts) })
    }
}

/// Counts further parts; both lists ascend.
fn merge(counts: &[(Part, u32)], parts: &[Part], into: &mut Vec<(Part, u32)>) {
    into.clear();
    let (mut counts, mut parts) = (counts.iter().peekable(), parts.iter().peekable());
    while into.len() < PARTS_MAX {
        let order = match (counts.peek(), parts.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((known, _)), Some(part)) => known.cmp(*part),
        };
        match order {
            Ordering::Less => into.extend(counts.next()),
            Ordering::Greater => into.extend(parts.next().map(|part| (*part, 1))),
            Ordering::Equal => {
                parts.next();
                into.extend(counts.next().map(|(part, n)| (*part, n + 1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Collector, ShapeKey};
    use crate::shape::Part;
    use crate::time::Timestamp;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1_000)
    }

    #[test]
    fn a_few_messages_a_second_are_looked_at_and_a_quiet_kind_wholly() {
        let mut collector = Collector::default();
        let busy = (0..60_000).filter(|n| collector.wants(at(*n), 1)).count();
        assert!((240..=250).contains(&busy), "{busy}");
        let quiet = (0..1_000).filter(|n| collector.wants(at(n * 300), 2)).count();
        assert_eq!(quiet, 1_000);
        // Eight that belong together, once in two seconds.
        let together = (0..800).filter(|n| collector.wants(at(n / 8 * 2_000 + n % 8), 3)).count();
        assert_eq!(together, 800);
        assert!(collector.wants(at(-3_600_000), 1), "another stream's time");
    }

    #[test]
    fn counts_are_told_twice_a_minute_and_a_resend_counts_once() {
        let mut collector = Collector::default();
        let key = ShapeKey { code: "ORU".into(), ..ShapeKey::default() };
        let (pid, nte) = (Part::segment(b"PID"), Part::segment(b"NTE"));
        let mut add = |seconds: i64, body: u64, parts: &[Part]| {
            collector.add(at(seconds * 1_000), key, body, &mut parts.to_vec())
        };
        let first = add(0, 1, &[pid, nte, pid]).expect("a first message is told at once");
        assert_eq!((first.messages, first.parts), (1, vec![(nte, 1), (pid, 1)]));
        assert_eq!(add(10, 2, &[pid]), None);
        assert_eq!(add(20, 2, &[pid]), None, "the same once more");
        assert_eq!(add(60, 2, &[pid]), None, "and again");
        let told = add(61, 3, &[nte, pid]).expect("half a minute is over");
        assert_eq!((told.messages, told.parts), (2, vec![(nte, 1), (pid, 2)]));
        let many = (0..64).filter_map(|n| add(62, 100 + n, &[pid])).count();
        assert_eq!(many, 1, "or after 64 messages");
    }
}
