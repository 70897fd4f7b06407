//! Bounded memories of what ended, with an index that is no state.

use super::index;
use super::room::Room as _;
use super::state::{EndedJourney, Fifo, Remembered};
use crate::key::MessageKey;
use std::collections::VecDeque;

/// What a memory is looked up by.
pub trait Keyed {
    /// The key.
    fn key(&self) -> MessageKey;
}

impl Keyed for Remembered {
    fn key(&self) -> MessageKey {
        self.key
    }
}

impl Keyed for EndedJourney {
    fn key(&self) -> MessageKey {
        self.key
    }
}

/// The number of the latest item of each key.
pub(super) type Index = index::Index<u64>;

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { list: VecDeque::new(), first: 0 }
    }
}

impl<T: Keyed> Fifo<T> {
    /// The index of a restored memory.
    pub(super) fn index(&self) -> Index {
        let mut index = Index::default();
        for (number, item) in (self.first..).zip(&self.list) {
            self.note(&mut index, item.key(), number);
        }
        index
    }

    /// Adds an item; the oldest goes when there are more than `max`.
    pub(super) fn push(&mut self, index: &mut Index, item: T, max: usize) {
        if self.list.len() >= max
            && let Some(oldest) = self.list.pop_front()
        {
            // A younger item may have taken its key over; then nothing is there.
            index.remove(oldest.key(), self.first);
            self.first += 1;
        }
        let (key, number) = (item.key(), self.first + self.list.len() as u64);
        self.list.make_room();
        self.list.push_back(item);
        self.note(index, key, number);
    }

    fn note(&self, index: &mut Index, key: MessageKey, number: u64) {
        let before = index.get(key, |n| self.key_at(n));
        if !before.is_some_and(|before| index.replace(key, before, number)) {
            index.insert(key, number, |n| self.key_at(n));
        }
    }

    fn at(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn key_at(&self, number: u64) -> Option<MessageKey> {
        self.list.get(self.at(number)?).map(T::key)
    }

    /// The latest item of a key.
    pub(super) fn get_mut(&mut self, index: &Index, key: MessageKey) -> Option<&mut T> {
        let at = self.at(index.get(key, |n| self.key_at(n))?)?;
        self.list.get_mut(at)
    }
}
