//! Lags by feed, type and facility: mergeable sketches ([`Histogram`], at most 6.3 % too high), in a
//! bounded number of sets with an explicit `other` for the rest of each feed.

use crate::frame::WaypointId;
use crate::hist::Histogram;
use crate::label::Label;
use crate::plan::FeedId;
use hashbrown::HashMap;

/// Legs and waypoints of one set; a route has at most 16 waypoints.
const PLACES_MAX: usize = 16;

/// Whose lags a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey {
    /// The feed.
    pub feed: FeedId,
    /// MSH-9.1.
    pub code: Label,
    /// MSH-4.1.
    pub facility: Label,
}

/// The lags of one feed, type and facility.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Whose.
    pub key: SetKey,
    /// Event to first tap.
    pub source_age: Histogram,
    /// First tap to last tap.
    pub transit: Histogram,
    /// First sighting at one waypoint to the first at the next that saw it.
    pub legs: Vec<((WaypointId, WaypointId), Histogram)>,
    /// Message to ACK, by waypoint.
    pub acks: Vec<(WaypointId, Histogram)>,
}

/// All sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// In order of their first message.
    pub sets: Vec<Set>,
}

/// Where the set of each key is; no state.
pub(super) type Index = HashMap<SetKey, usize>;

impl Set {
    /// Without any lag.
    #[must_use]
    pub fn new(key: SetKey) -> Self {
        Self {
            key,
            source_age: Histogram::default(),
            transit: Histogram::default(),
            legs: Vec::new(),
            acks: Vec::new(),
        }
    }

    /// Adds a leg's time in µs.
    pub fn leg(&mut self, from: WaypointId, to: WaypointId, micros: u64) {
        record(&mut self.legs, (from, to), micros);
    }

    /// Adds an ACK time in µs.
    pub fn ack(&mut self, waypoint: WaypointId, micros: u64) {
        record(&mut self.acks, waypoint, micros);
    }

    /// Adds all that another set holds.
    pub fn merge(&mut self, other: &Self) {
        self.source_age.merge(&other.source_age);
        self.transit.merge(&other.transit);
        for (place, times) in &other.legs {
            merge_into(&mut self.legs, *place, times);
        }
        for (place, times) in &other.acks {
            merge_into(&mut self.acks, *place, times);
        }
    }
}

fn place_of<P: PartialEq>(list: &mut Vec<(P, Histogram)>, place: P) -> Option<&mut Histogram> {
    let known = list.iter().position(|(p, _)| *p == place);
    let at = match known {
        Some(at) => at,
        None if list.len() < PLACES_MAX => {
            list.push((place, Histogram::default()));
            list.len() - 1
        }
        None => return None,
    };
    list.get_mut(at).map(|(_, times)| times)
}

fn record<P: PartialEq>(list: &mut Vec<(P, Histogram)>, place: P, micros: u64) {
    if let Some(times) = place_of(list, place) {
        times.record(micros);
    }
}

fn merge_into<P: PartialEq>(list: &mut Vec<(P, Histogram)>, place: P, more: &Histogram) {
    if let Some(times) = place_of(list, place) {
        times.merge(more);
    }
}

impl Series {
    /// The index of a restored state.
    pub(super) fn index(&self) -> Index {
        self.sets.iter().enumerate().map(|(at, set)| (set.key, at)).collect()
    }

    /// The set of a key; beyond `max` sets the feed's `other`. Each feed has room for that.
    pub(super) fn set(&mut self, index: &mut Index, key: SetKey, max: usize) -> Option<&mut Set> {
        let mut at = index.get(&key).copied();
        if at.is_none() {
            let other = Label::from("other");
            let full = self.sets.len() >= max;
            let key = if full { SetKey { code: other, facility: other, ..key } } else { key };
            at = index.get(&key).copied().or_else(|| {
                self.sets.push(Set::new(key));
                index.insert(key, self.sets.len() - 1);
                Some(self.sets.len() - 1)
            });
        }
        self.sets.get_mut(at?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, Series, Set, SetKey};
    use crate::frame::WaypointId;
    use crate::hist::Histogram;
    use crate::label::Label;
    use crate::plan::FeedId;

    fn key(feed: u32, code: &str) -> SetKey {
        SetKey { feed: FeedId(feed), code: Label::from(code), facility: Label::from("NORTH") }
    }

    #[test]
    fn merged_sets_are_the_set_of_all() {
        let (mut all, mut parts) = (Set::new(key(0, "ORU")), vec![Set::new(key(0, "ORU")); 3]);
        let mut seed = 7_u64;
        for n in 0..3_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let micros = seed >> (30 + seed % 30);
            for set in [&mut all, &mut parts[n % 3]] {
                set.transit.record(micros);
                set.leg(WaypointId(0), WaypointId(1), micros / 2);
                set.ack(WaypointId(1), micros / 3);
            }
        }
        let mut merged = Set::new(key(0, "ORU"));
        parts.iter().for_each(|part| merged.merge(part));
        assert!(merged == all);
    }

    #[test]
    fn quantiles_are_within_their_error() {
        let (mut times, mut exact, mut seed) = (Histogram::default(), Vec::new(), 3_u64);
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let micros = (seed >> 33) % 10_000_000;
            times.record(micros);
            exact.push(micros);
        }
        exact.sort_unstable();
        for (q, rank) in [(0.5, 4_999), (0.9, 8_999), (0.99, 9_899)] {
            let (told, true_value) = (times.quantile(q).unwrap(), exact[rank]);
            assert!(
                told >= true_value && told * 1_000 <= true_value * 1_063,
                "{q}: {told} {true_value}"
            );
        }
    }

    #[test]
    fn the_number_of_sets_is_bounded_and_the_rest_is_other() {
        let (mut series, mut index) = (Series::default(), Index::default());
        for n in 0..100 {
            let set = series.set(&mut index, key(n % 2, &format!("T{n}")), 10).unwrap();
            set.transit.record(1);
        }
        assert_eq!(series.sets.len(), 12, "ten, and one other for each feed");
        let others = series.sets.iter().filter(|set| set.key.code.as_str() == "other");
        assert_eq!(others.map(|set| set.transit.count()).sum::<u64>(), 90);
        assert_eq!(series.index(), index);
    }
}
