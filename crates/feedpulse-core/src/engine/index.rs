//! Finding things by key: the places only, since what is there holds its key itself.

use crate::key::MessageKey;
use hashbrown::HashTable;

/// Places by key; no state. Each call is told which key a place has.
#[derive(Debug)]
pub(super) struct Index<P> {
    places: HashTable<P>,
}

impl<P> Default for Index<P> {
    fn default() -> Self {
        Self { places: HashTable::new() }
    }
}

/// 2^64 divided by the golden ratio: its multiples differ in all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Keys are keyed hashes already; where the high half is a small number, such as a waypoint's, it is
/// spread over the low one.
const fn hash(key: MessageKey) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a 128-bit number")]
    let (high, low) = ((key.as_u128() >> 64) as u64, key.as_u128() as u64);
    low ^ high.wrapping_mul(SPREAD)
}

impl<P: Copy + PartialEq> Index<P> {
    /// The place of a key.
    pub(super) fn get(
        &self,
        key: MessageKey,
        key_at: impl Fn(P) -> Option<MessageKey>,
    ) -> Option<P> {
        self.places.find(hash(key), |place| key_at(*place) == Some(key)).copied()
    }

    /// Adds the place of a key that has none.
    pub(super) fn insert(
        &mut self,
        key: MessageKey,
        place: P,
        key_at: impl Fn(P) -> Option<MessageKey>,
    ) {
        self.places.insert_unique(hash(key), place, |place| key_at(*place).map_or(0, hash));
    }

    /// A key's place is another one from now on; says whether it was `from`.
    pub(super) fn replace(&mut self, key: MessageKey, from: P, to: P) -> bool {
        let place = self.places.find_mut(hash(key), |place| *place == from);
        place.map(|place| *place = to).is_some()
    }

    /// Forgets the place of a key; says whether it was that one.
    pub(super) fn remove(&mut self, key: MessageKey, place: P) -> bool {
        let found = self.places.find_entry(hash(key), |other| *other == place);
        found.map(|found| found.remove()).is_ok()
    }
}
