//! Runs a check natively, with state kept in this thread, so that `cargo test` needs no WebAssembly.
//!
//! Limits and grants are the host's and are not imitated: the project's own tests run the
//! component.

use crate::runtime::{self, Slot};
use crate::{Check, Finding};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Hour zero of the tests: 2023-11-14T22:13:20Z in milliseconds since 1970.
pub const NOW_MS: u64 = 1_700_000_000_000;

thread_local! {
    static STATE: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes the check and hands it one batch; each row is the list of its fields. State is empty at
/// the start; message `n` is checked at [`NOW_MS`].
///
/// # Errors
/// What the check returned, from `new` or from a row.
pub fn run<T: Check>(settings: &str, feed: &str, rows: &[&[&str]]) -> Result<Vec<Finding>, String> {
    STATE.with_borrow_mut(BTreeMap::clear);
    let slot = Slot::new();
    runtime::init::<T>(&slot, settings)?;
    let rows: Vec<String> = rows.iter().map(|fields| runtime::join(fields)).collect();
    runtime::rows(&slot, feed, NOW_MS, rows.iter().map(String::as_str))
}

/// Stand-in for the host's state.
pub(crate) fn state_get(key: &str) -> Option<String> {
    STATE.with_borrow(|state| state.get(key).cloned())
}

/// Stand-in for the host's state.
pub(crate) fn state_set(key: &str, value: &str) {
    STATE.with_borrow_mut(|state| state.insert(key.to_owned(), value.to_owned()));
}

/// Stand-in for the host's state.
pub(crate) fn state_remove(key: &str) {
    STATE.with_borrow_mut(|state| state.remove(key));
}
