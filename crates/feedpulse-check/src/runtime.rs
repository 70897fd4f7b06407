//! Between the component's functions and a [`Check`]. Used by the export macros only.

use crate::bindings::feedpulse::check::types;
use crate::row::ROW;
use crate::{Check, Finding, Findings, Row, Tick};
use std::cell::RefCell;

/// Holds the check of this instance once it is made.
#[derive(Debug)]
pub struct Slot<T>(RefCell<Option<T>>);

impl<T> Slot<T> {
    /// Nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default cannot be const")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }
}

/// Makes the check. A panic from here on is told to the host by its place only: its message may
/// quote a value of the message at hand.
///
/// # Errors
/// Those of [`Check::new`].
pub fn init<T: Check>(slot: &Slot<T>, settings: &str) -> Result<(), String> {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        if let Some(at) = panic.location() {
            let line = format!("panicked at {}:{}:{}", at.file(), at.line(), at.column());
            crate::host::log::write(crate::Level::Error, &line);
        }
    }));
    *slot.0.borrow_mut() = Some(T::new(settings)?);
    Ok(())
}

/// Runs the check over each row of a batch.
///
/// # Errors
/// Those of [`Check::check`], and a batch before `init`.
pub fn check<T: Check>(
    slot: &Slot<T>,
    batch: &types::Batch,
) -> Result<Vec<types::Finding>, String> {
    let found = rows(slot, &batch.feed, batch.now_ms, batch.rows.split(ROW))?;
    Ok(found.into_iter().map(types::Finding::from).collect())
}

/// Runs the check over rows that are split already.
///
/// # Errors
/// As [`check`].
pub(crate) fn rows<'a, T: Check>(
    slot: &Slot<T>,
    feed: &'a str,
    now_ms: u64,
    rows: impl Iterator<Item = &'a str>,
) -> Result<Vec<Finding>, String> {
    let mut slot = slot.0.borrow_mut();
    let check = slot.as_mut().ok_or("called before init")?;
    let mut out = Findings::default();
    for (index, fields) in (0..).zip(rows) {
        out.row = Some(index);
        check.check(&Row { feed, now_ms, index, fields }, &mut out)?;
    }
    Ok(out.all)
}

/// Runs the tick.
///
/// # Errors
/// Those of [`Tick::tick`], and a tick before `init`.
pub fn tick<T: Tick>(
    slot: &Slot<T>,
    feed: &str,
    now_ms: u64,
) -> Result<Vec<types::Finding>, String> {
    let mut slot = slot.0.borrow_mut();
    let check = slot.as_mut().ok_or("called before init")?;
    let mut out = Findings::default();
    check.tick(feed, now_ms, &mut out)?;
    Ok(out.all.into_iter().map(types::Finding::from).collect())
}

/// Joins values to a row, the way the host does it.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn join(fields: &[&str]) -> String {
    let mut row = String::new();
    for (n, field) in fields.iter().enumerate() {
        if n > 0 {
            row.push(crate::row::FIELD);
        }
        row.push_str(field);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    /// Finds each valued row, and refuses `bad`.
    struct Valued;

    impl Check for Valued {
        fn new(settings: &str) -> Result<Self, String> {
            if settings == "{}" { Ok(Self) } else { Err("no settings".to_owned()) }
        }

        fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
            match row.field(0).text() {
                "" => Ok(()),
                "bad" => Err("bad row".to_owned()),
                _ => {
                    out.push(Finding::new("valued", Level::Info).attr("n", row.now_ms()));
                    Ok(())
                }
            }
        }
    }

    fn batch(rows: &str) -> types::Batch {
        types::Batch { feed: "adt".to_owned(), now_ms: 7, count: 0, rows: rows.to_owned() }
    }

    #[test]
    fn each_row_is_checked_and_findings_name_it() {
        let slot = Slot::<Valued>::new();
        assert!(check(&slot, &batch("a")).is_err(), "before init");
        assert!(init(&slot, "[]").is_err());
        init(&slot, "{}").unwrap();
        let found = check(&slot, &batch("a\u{1e}\u{1e}b\u{1f}c")).unwrap();
        let told: Vec<_> = found.iter().map(|f| (f.row, f.attrs.clone())).collect();
        let seven = vec![("n".to_owned(), "7".to_owned())];
        assert_eq!(told, [(Some(0), seven.clone()), (Some(2), seven)]);
    }

    #[test]
    fn an_error_ends_the_batch() {
        let slot = Slot::<Valued>::new();
        init(&slot, "{}").unwrap();
        assert_eq!(check(&slot, &batch("a\u{1e}bad\u{1e}b")).unwrap_err(), "bad row");
    }
}
