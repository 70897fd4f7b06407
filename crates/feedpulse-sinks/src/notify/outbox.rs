//! The way to the outbox: what a notifier was told and owes is handed to whoever keeps it, and comes
//! back as durable or not. The keeper is given by the binary; without one nothing is kept.

use core::fmt;
use feedpulse_codec::OutboxRow;
use std::sync::Arc;

/// What is to be kept.
#[derive(Debug)]
pub struct Keep {
    /// The change of the outbox.
    pub what: Kept,
    /// To be called with whether it is durable. Dropped = it is not.
    pub done: Done,
}

/// A change of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// The row of a notifier and an incident, instead of what was there.
    Row(Box<OutboxRow>),
    /// Nothing is owed any more.
    Gone {
        /// The notifier's name.
        place: String,
        /// The incident's number.
        incident: u64,
    },
}

impl Keep {
    pub(crate) fn put(row: OutboxRow, done: Done) -> Self {
        Self { what: Kept::Row(Box::new(row)), done }
    }

    pub(crate) fn remove(place: &str, incident: u64, done: Done) -> Self {
        Self { what: Kept::Gone { place: place.to_owned(), incident }, done }
    }
}

/// Tells whether something is durable, once; dropped without a word it tells that it is not.
pub struct Done(Option<Box<dyn FnOnce(bool) + Send>>);

impl Done {
    pub(crate) fn new(tell: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// It is on the disk.
    pub fn durable(mut self) {
        if let Some(tell) = self.0.take() {
            tell(true);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(false);
        }
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done(…)")
    }
}

/// Takes what is to be kept. Must not block.
pub type Keeper = Arc<dyn Fn(Keep) + Send + Sync>;

/// The keeper of the notifiers' boards, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Outbox {
    keeper: Option<Keeper>,
}

impl Outbox {
    pub(crate) const fn new(keeper: Option<Keeper>) -> Self {
        Self { keeper }
    }

    pub(crate) fn keep(&self, keep: Keep) {
        match &self.keeper {
            Some(keeper) => keeper(keep),
            // Nothing is kept on purpose: there is nothing to wait for.
            None => keep.done.durable(),
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({})", self.keeper.is_some())
    }
}
