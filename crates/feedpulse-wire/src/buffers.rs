//! Bytes that were read from one side and not yet taken by the other: how far each direction is,
//! what it holds, and how much all may hold.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::state::SCRATCH;

/// How many bytes all directions of all connections together may hold.
pub(crate) struct Budget {
    limit: u64,
    used: Cell<u64>,
    most: Cell<u64>,
}

/// A part of the budget, until it is dropped.
struct Lease {
    of: Rc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Rc<Self> {
        Rc::new(Self { limit, used: Cell::new(0), most: Cell::new(0) })
    }

    /// Whether what one read brings may be held.
    pub(crate) fn has_room(&self) -> bool {
        self.used.get() + SCRATCH as u64 <= self.limit
    }

    /// Bytes held now, and the most that ever were.
    pub(crate) fn usage(&self) -> (u64, u64) {
        (self.used.get(), self.most.get())
    }

    fn lease(self: &Rc<Self>, bytes: u64) -> Lease {
        self.used.set(self.used.get() + bytes);
        self.most.set(self.most.get().max(self.used.get()));
        Lease { of: self.clone(), bytes }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.of.used.set(self.of.used.get() - self.bytes);
    }
}

/// One direction of a connection: all that a successor must know to go on with it.
#[derive(Default)]
pub(crate) struct Way {
    /// Bytes that went this way.
    pub(crate) offset: Cell<u64>,
    /// The source has ended in order, and that was passed on.
    pub(crate) ended: Cell<bool>,
    held: RefCell<Option<Held>>,
}

struct Held {
    bytes: Vec<u8>,
    sent: usize,
    _lease: Lease,
}

impl Way {
    /// Holds what the target did not take. Nothing is held before.
    pub(crate) fn hold(&self, budget: &Rc<Budget>, bytes: Vec<u8>) {
        let lease = budget.lease(bytes.len() as u64);
        *self.held.borrow_mut() = Some(Held { bytes, sent: 0, _lease: lease });
    }

    pub(crate) fn holds(&self) -> bool {
        self.held.borrow().is_some()
    }

    /// Shows what is held, and takes away as many bytes as were sent of it.
    pub(crate) fn send<E>(&self, send: impl FnOnce(&[u8]) -> Result<usize, E>) -> Result<(), E> {
        let mut slot = self.held.borrow_mut();
        if let Some(held) = slot.as_mut() {
            held.sent += send(&held.bytes[held.sent..])?;
            if held.sent >= held.bytes.len() {
                *slot = None;
            }
        }
        Ok(())
    }

    /// A copy of what is held.
    pub(crate) fn copy_held(&self) -> Vec<u8> {
        self.held.borrow().as_ref().map(|held| held.bytes[held.sent..].to_vec()).unwrap_or_default()
    }
}
