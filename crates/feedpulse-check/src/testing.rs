//! Runs a check natively, with state kept in this thread, so that `cargo test` needs no WebAssembly.
//!
//! Limits and grants are the host's and are not imitated: `feedpulse check test` runs the component
//! under them.

mod message;

use crate::path::Declared;
use crate::runtime;
use crate::{Check, Finding, Findings, Row};
use std::cell::RefCell;
use std::collections::BTreeMap;

pub use message::Message;

/// Hour zero of the tests: 2023-11-14T22:13:20Z in milliseconds since 1970.
pub const NOW_MS: u64 = 1_700_000_000_000;

thread_local! {
    static STATE: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes the check and hands it one batch; each row is the list of its fields, in the order of the
/// manifest. State is empty at the start; message `n` is checked at [`NOW_MS`].
///
/// ```
/// use feedpulse_check::{Check, Finding, Findings, Level, Row, testing};
///
/// struct Valued;
/// impl Check for Valued {
///     fn new(_settings: &str) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
///         if !row.field(0).is_empty() {
///             out.push(Finding::new("valued", Level::Info));
///         }
///         Ok(())
///     }
/// }
/// let found = testing::run::<Valued>("{}", "adt", &[&[""], &["x"]]).unwrap();
/// assert_eq!(found[0].row, Some(1));
/// ```
///
/// # Errors
/// What the check returned, from `new` or from a row.
pub fn run<T: Check>(settings: &str, feed: &str, rows: &[&[&str]]) -> Result<Vec<Finding>, String> {
    let rows: Vec<String> = rows.iter().map(|fields| fields.join("\u{1f}")).collect();
    play::<T>(settings, feed, &manifest(), &rows)
}

/// As [`run`], with whole messages: the fields that `plugin.toml` declares are taken out of them.
///
/// # Errors
/// What the check returned, from `new` or from a row.
pub fn run_messages<T: Check>(
    settings: &str,
    feed: &str,
    messages: &[Message],
) -> Result<Vec<Finding>, String> {
    let declared = manifest();
    let rows: Vec<String> = messages.iter().map(|m| m.row(declared.names())).collect();
    play::<T>(settings, feed, &declared, &rows)
}

/// Runs a check that is one function over whole messages. `fields` is what it declares; empty = what
/// `plugin.toml` of the crate under test declares.
///
/// # Errors
/// What the function returned.
pub fn run_fn(
    check: fn(&Row<'_>, &mut Findings) -> Result<(), String>,
    fields: &[&str],
    messages: &[Message],
) -> Result<Vec<Finding>, String> {
    STATE.with_borrow_mut(BTreeMap::clear);
    let declared = if fields.is_empty() { manifest() } else { declare(fields) };
    let rows: Vec<String> = messages.iter().map(|m| m.row(declared.names())).collect();
    let mut out = Findings::default();
    for (index, fields) in (0..).zip(&rows) {
        out.row = Some(index);
        let declared = &declared;
        check(&Row { feed: "test", now_ms: NOW_MS, index, fields, declared }, &mut out)?;
    }
    Ok(out.all)
}

/// Shows one message as a row of these fields to a function.
///
/// ```
/// use feedpulse_check::testing::{Message, row};
///
/// let message = Message::new("ADT^A01").set("PID-5", "DOE^JANE");
/// row(&message, &["PID-5.1"], |row| assert_eq!(row.at("PID-5.1").unwrap().text(), "DOE"));
/// ```
pub fn row<R>(message: &Message, fields: &[&str], look: impl FnOnce(&Row<'_>) -> R) -> R {
    let declared = declare(fields);
    let fields = message.row(declared.names());
    look(&Row { feed: "test", now_ms: NOW_MS, index: 0, fields: &fields, declared: &declared })
}

/// Makes the check and runs it.
fn play<T: Check>(
    settings: &str,
    feed: &str,
    declared: &Declared,
    rows: &[String],
) -> Result<Vec<Finding>, String> {
    STATE.with_borrow_mut(BTreeMap::clear);
    let mut check = T::new(settings)?;
    let rows = rows.iter().map(String::as_str);
    runtime::each_row(&mut check, declared, feed, NOW_MS, rows)
}

/// These fields.
fn declare(fields: &[&str]) -> Declared {
    Declared::of(&format!("fields = [\"{}\"]", fields.join("\",\"")))
}

/// What `plugin.toml` of the crate under test declares; cargo says where it is.
fn manifest() -> Declared {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let path = std::path::Path::new(&folder).join("plugin.toml");
    Declared::of(&std::fs::read_to_string(path).unwrap_or_default())
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
