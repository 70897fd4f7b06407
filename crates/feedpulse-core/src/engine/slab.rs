//! Numbered slots with generations: stable references without pointers, reused without allocating.

use super::room::Room as _;
use core::num::NonZeroU32;

/// One slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot<T> {
    /// From 1, one more each time that the slot is freed; a reference with another one is stale.
    pub generation: NonZeroU32,
    /// What it holds.
    pub value: Option<T>,
}

/// A reference into a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref {
    /// Slot number.
    pub slot: u32,
    /// Generation of the slot when the reference was made. Never 0: no reference costs no flag.
    pub generation: NonZeroU32,
}

/// The slots and those that are free.
#[derive(Clone, Debug, PartialEq)]
pub struct Slab<T> {
    /// All slots.
    pub slots: Vec<Slot<T>>,
    /// Numbers of empty slots; the last one is used next.
    pub free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one.
    pub fn insert(&mut self, value: T) -> Ref {
        if let Some(number) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(number as usize)
        {
            slot.value = Some(value);
            return Ref { slot: number, generation: slot.generation };
        }
        let generation = NonZeroU32::MIN;
        self.slots.make_room();
        self.slots.push(Slot { generation, value: Some(value) });
        let slot = u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 slots");
        Ref { slot, generation }
    }

    /// Reads one, if the reference is not stale.
    #[must_use]
    pub fn get(&self, at: Ref) -> Option<&T> {
        self.slots.get(at.slot as usize).filter(|s| s.generation == at.generation)?.value.as_ref()
    }

    /// Changes one, if the reference is not stale.
    pub fn get_mut(&mut self, at: Ref) -> Option<&mut T> {
        self.slots
            .get_mut(at.slot as usize)
            .filter(|s| s.generation == at.generation)?
            .value
            .as_mut()
    }

    /// Takes one out.
    pub fn remove(&mut self, at: Ref) -> Option<T> {
        let slot =
            self.slots.get_mut(at.slot as usize).filter(|s| s.generation == at.generation)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.free.make_room();
        self.free.push(at.slot);
        Some(value)
    }

    /// All that are held, with their references.
    pub fn iter(&self) -> impl Iterator<Item = (Ref, &T)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| {
            slot.value.as_ref().map(|v| (Ref { slot: number, generation: slot.generation }, v))
        })
    }
}
