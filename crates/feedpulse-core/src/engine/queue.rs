//! Queues in order of arrival that do not outgrow what waits in them: who has left is passed over at
//! the front, and cleared out where one that stays holds the others up.

use super::room::Room as _;
use super::slab::Ref;
use std::collections::VecDeque;

/// A queue may be longer than twice what waits by so many.
const SLACK: usize = 64;

/// Adds one to a queue in which about `waiting` wait, as `waits` says of each.
pub(super) fn push(
    queue: &mut VecDeque<Ref>,
    place: Ref,
    waiting: usize,
    waits: impl Fn(&Ref) -> bool,
) {
    while queue.front().is_some_and(|first| !waits(first)) {
        queue.pop_front();
    }
    if queue.len() > 2 * waiting + SLACK {
        queue.retain(waits);
    }
    queue.make_room();
    queue.push_back(place);
}
