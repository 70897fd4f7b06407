//! Bounded memories of what ended, with an index that is no state.

use super::KeyMapOf;
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

/// Where the latest item of each key is.
pub(super) type Index = KeyMapOf<u64>;

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { list: VecDeque::new(), first: 0 }
    }
}

impl<T: Keyed> Fifo<T> {
    /// The index of a restored memory.
    pub(super) fn index(&self) -> Index {
        (self.first..).zip(&self.list).map(|(number, item)| (item.key(), number)).collect()
    }

    /// Adds an item; the oldest goes when there are more than `max`.
    pub(super) fn push(&mut self, index: &mut Index, item: T, max: usize) {
        if self.list.len() >= max
            && let Some(oldest) = self.list.pop_front()
        {
            // A younger item may have taken its key over.
            if index.get(&oldest.key()) == Some(&self.first) {
                index.remove(&oldest.key());
            }
            self.first += 1;
        }
        index.insert(item.key(), self.first + self.list.len() as u64);
        self.list.push_back(item);
    }

    /// The latest item of a key.
    pub(super) fn get_mut(&mut self, index: &Index, key: MessageKey) -> Option<&mut T> {
        let number = index.get(&key)?.checked_sub(self.first)?;
        self.list.get_mut(usize::try_from(number).ok()?)
    }
}
