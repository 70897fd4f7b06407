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
pub(super) type Index = index::Index<Number>;

/// The low half of an item's number: memories hold far fewer than 2^32, so it says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u32);

impl Number {
    pub(super) const fn new(number: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let low = number as u32;
        Self(low)
    }

    /// Its place in a list whose oldest item has the number `first`.
    pub(super) const fn after(self, first: u64) -> usize {
        self.0.wrapping_sub(Self::new(first).0) as usize
    }
}

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
            self.note(&mut index, item.key(), Number::new(number));
        }
        index
    }

    /// Adds an item; the oldest goes when there are more than `max`.
    pub(super) fn push(&mut self, index: &mut Index, item: T, max: usize) {
        if self.list.len() >= max
            && let Some(oldest) = self.list.pop_front()
        {
            // A younger item may have taken its key over; then nothing is there.
            index.remove(oldest.key(), Number::new(self.first));
            self.first += 1;
        }
        let (key, number) = (item.key(), Number::new(self.first + self.list.len() as u64));
        self.list.make_room();
        self.list.push_back(item);
        self.note(index, key, number);
    }

    fn note(&self, index: &mut Index, key: MessageKey, number: Number) {
        let before = index.get(key, |n| self.key_at(n));
        if !before.is_some_and(|before| index.replace(key, before, number)) {
            index.insert(key, number, |n| self.key_at(n));
        }
    }

    fn key_at(&self, number: Number) -> Option<MessageKey> {
        self.list.get(number.after(self.first)).map(T::key)
    }

    /// The latest item of a key.
    pub(super) fn get(&self, index: &Index, key: MessageKey) -> Option<&T> {
        let number = index.get(key, |n| self.key_at(n))?;
        self.list.get(number.after(self.first))
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, index: &Index, key: MessageKey) -> Option<&mut T> {
        let number = index.get(key, |n| self.key_at(n))?;
        self.list.get_mut(number.after(self.first))
    }
}
