//! Which offsets may be committed: told from any thread when a batch is durable, taken by the loop.
//! Bounded: one entry for each partition.

use crate::lanes::LaneKey;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Everything of a partition before `next` is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) key: LaneKey,
    /// Which assignment of the partition it was read under; a later one has its own marks.
    pub(crate) assignment: u64,
    pub(crate) next: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Commits(Mutex<BTreeMap<LaneKey, (u64, i64)>>);

impl Commits {
    pub(crate) fn done(&self, marks: &[Mark]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Mark { key, assignment, next } in marks {
            let mark = (*assignment, *next);
            let entry = waiting.entry(*key).or_insert(mark);
            *entry = (*entry).max(mark);
        }
    }

    pub(crate) fn take(&self) -> Vec<Mark> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        core::mem::take(&mut *waiting)
            .into_iter()
            .map(|(key, (assignment, next))| Mark { key, assignment, next })
            .collect()
    }
}
