//! Which message an ACK answers, for the rows of checks: what was sent lately, by the hash of its
//! control id. The engine's own ledger knows more (answers without an id, answers that are off by
//! one), but only after the row is made.

use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::MessageKey;
use feedpulse_core::time::Timestamp;
use std::collections::{HashMap, VecDeque};

/// Most messages that are remembered, over all waypoints; the oldest go first.
const MOST: usize = 65_536;

/// A message that an ACK may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Its journey key.
    pub key: Option<MessageKey>,
    /// When it was sent last.
    pub at: Timestamp,
}

/// What was sent lately.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    known: HashMap<(WaypointId, MessageKey), Pair>,
    /// In the order of first sending.
    order: VecDeque<(WaypointId, MessageKey)>,
}

impl Pairs {
    /// A message was sent.
    pub(super) fn sent(
        &mut self,
        waypoint: WaypointId,
        id: Option<MessageKey>,
        key: Option<MessageKey>,
        at: Timestamp,
    ) {
        let Some(id) = id else { return };
        if self.known.insert((waypoint, id), Pair { key, at }).is_some() {
            return;
        }
        self.order.push_back((waypoint, id));
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The message with an id. It stays: an application ACK may follow a commit ACK.
    pub(super) fn of(&self, waypoint: WaypointId, id: MessageKey) -> Option<Pair> {
        self.known.get(&(waypoint, id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_sending_counts_and_the_oldest_messages_go() {
        let (mut pairs, here) = (Pairs::default(), WaypointId(1));
        let id = |n: usize| MessageKey::from_u128(n as u128 + 1);
        for n in 0..MOST {
            pairs.sent(here, Some(id(n)), Some(id(n + 7)), Timestamp::from_micros(1));
        }
        pairs.sent(here, None, Some(id(3)), Timestamp::from_micros(2));
        pairs.sent(here, Some(id(5)), Some(id(12)), Timestamp::from_micros(9));
        let again = Pair { key: Some(id(12)), at: Timestamp::from_micros(9) };
        assert_eq!(pairs.of(here, id(5)), Some(again));
        assert!(pairs.of(WaypointId(2), id(5)).is_none(), "ids are of a waypoint");
        pairs.sent(here, Some(id(MOST)), None, Timestamp::from_micros(9));
        assert!(pairs.of(here, id(0)).is_none() && pairs.of(here, id(MOST)).is_some());
        assert_eq!((pairs.known.len(), pairs.order.len()), (MOST, MOST));
    }
}
