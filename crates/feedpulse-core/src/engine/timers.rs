//! When each journey in flight is looked at next: by the second, as ticks come, so that a journey
//! costs one number here, and moving or ending it is a step and no search.

use super::room::Room as _;
use super::slab::{Ref, Slab};
use super::state::Journey;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Journeys by the second of their timer; each knows its place in its second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timers {
    /// Seconds since the epoch; none is empty.
    pub seconds: BTreeMap<i64, Vec<Ref>>,
}

impl Timers {
    /// Begins to look after a journey, as its timer says.
    pub(super) fn add(&mut self, journeys: &mut Slab<Journey>, place: Ref) {
        let Some(journey) = journeys.get_mut(place) else { return };
        let second = self.seconds.entry(journey.timer.as_secs()).or_default();
        journey.timer_place = u32::try_from(second.len()).unwrap_or(u32::MAX);
        second.make_room();
        second.push(place);
    }

    /// Looks after a journey no more: one that is still in the slab.
    pub(super) fn remove(&mut self, journeys: &mut Slab<Journey>, place: Ref) {
        let Some(journey) = journeys.get(place) else { return };
        let (second, here) = (journey.timer.as_secs(), journey.timer_place as usize);
        let Some(list) = self.seconds.get_mut(&second) else { return };
        if list.get(here) != Some(&place) {
            return;
        }
        list.swap_remove(here);
        if let Some(moved) = list.get(here).and_then(|moved| journeys.get_mut(*moved)) {
            moved.timer_place = u32::try_from(here).unwrap_or(u32::MAX);
        }
        if list.is_empty() {
            self.seconds.remove(&second);
        }
    }

    /// Moves a journey's timer.
    pub(super) fn set(&mut self, journeys: &mut Slab<Journey>, place: Ref, timer: Timestamp) {
        let Some(journey) = journeys.get_mut(place) else { return };
        if journey.timer.as_secs() == timer.as_secs() {
            journey.timer = timer;
            return;
        }
        self.remove(journeys, place);
        if let Some(journey) = journeys.get_mut(place) {
            journey.timer = timer;
        }
        self.add(journeys, place);
    }

    /// The journeys whose timers are over, the earliest first, and at most so many.
    pub(super) fn due(
        &self,
        journeys: &Slab<Journey>,
        now: Timestamp,
        most: usize,
    ) -> Vec<(Timestamp, Ref)> {
        let mut due: Vec<(Timestamp, Ref)> = Vec::new();
        for (_, places) in self.seconds.range(..=now.as_secs()) {
            let timed = places.iter().filter_map(|p| Some((journeys.get(*p)?.timer, *p)));
            due.extend(timed.filter(|(timer, _)| *timer <= now));
            if due.len() >= most {
                break;
            }
        }
        due.sort_unstable();
        due.truncate(most);
        due
    }

    /// One of those whose timer is in the earliest second.
    pub(super) fn first(&self) -> Option<Ref> {
        self.seconds.first_key_value().and_then(|(_, places)| places.first().copied())
    }
}
