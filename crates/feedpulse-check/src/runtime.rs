//! Between the component's functions and a [`Check`]. Used by the export macros only.

use crate::bindings::feedpulse::check::types;
use crate::path::Declared;
use crate::row::Rows;
use crate::{Check, Finding, Findings, Row, Tick};
use std::cell::RefCell;

/// Holds the check of this instance once it is made, and what its manifest declares.
#[derive(Debug)]
pub struct Slot<T>(RefCell<Option<(T, Declared)>>);

impl<T> Slot<T> {
    /// Nothing yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default cannot be const")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }
}

/// Makes the check. A panic from here on is told to the host by its place; its message may quote a
/// value of the message at hand, so it goes in a line of its own, which the host passes on to the
/// check's author only. `manifest` is the text of `plugin.toml`.
///
/// # Errors
/// Those of [`Check::new`].
pub fn init<T: Check>(slot: &Slot<T>, settings: &str, manifest: &str) -> Result<(), String> {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        use crate::host::log::write;
        if let Some(at) = panic.location() {
            let line = format!("panicked at {}:{}:{}", at.file(), at.line(), at.column());
            write(crate::Level::Error, &line);
        }
        let payload = panic.payload();
        let said = payload.downcast_ref::<&str>().copied();
        if let Some(said) = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str)) {
            write(crate::Level::Error, &["panic message: ", said].concat());
        }
    }));
    *slot.0.borrow_mut() = Some((T::new(settings)?, Declared::of(manifest)));
    Ok(())
}

/// Refuses settings, for a check that has none.
///
/// # Errors
/// A sentence for the operator.
pub fn no_settings(settings: &str) -> Result<(), String> {
    match settings.split_whitespace().collect::<String>().as_str() {
        "" | "{}" | "null" => Ok(()),
        _ => Err("this check has no settings; leave `config` out".to_owned()),
    }
}

/// Runs the check over each row of a batch.
///
/// # Errors
/// Those of [`Check::check`], and a batch before `init`.
pub fn check<T: Check>(
    slot: &Slot<T>,
    batch: &types::Batch,
) -> Result<Vec<types::Finding>, String> {
    let mut slot = slot.0.borrow_mut();
    let (check, declared) = slot.as_mut().ok_or("called before init")?;
    let rows = Rows::of(&batch.rows);
    let found = each_row(check, declared, &batch.feed, batch.now_ms, rows)?;
    Ok(found.into_iter().map(types::Finding::from).collect())
}

/// Runs a check over rows that are split already.
///
/// # Errors
/// Those of [`Check::check`].
pub(crate) fn each_row<'a, T: Check>(
    check: &mut T,
    declared: &'a Declared,
    feed: &'a str,
    now_ms: u64,
    rows: impl Iterator<Item = &'a str>,
) -> Result<Vec<Finding>, String> {
    let mut out = Findings::default();
    for (index, fields) in (0..).zip(rows) {
        out.row = Some(index);
        check.check(&Row { feed, now_ms, index, fields, declared }, &mut out)?;
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
    let (check, _) = slot.as_mut().ok_or("called before init")?;
    let mut out = Findings::default();
    check.tick(feed, now_ms, &mut out)?;
    Ok(out.all.into_iter().map(types::Finding::from).collect())
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
        assert!(init(&slot, "[]", "").is_err());
        init(&slot, "{}", "").unwrap();
        let found = check(&slot, &batch("a\u{1e}\u{1e}b\u{1f}c")).unwrap();
        let told: Vec<_> = found.iter().map(|f| (f.row, f.attrs.clone())).collect();
        let seven = vec![("n".to_owned(), "7".to_owned())];
        assert_eq!(told, [(Some(0), seven.clone()), (Some(2), seven)]);
    }

    #[test]
    fn an_error_ends_the_batch() {
        let slot = Slot::<Valued>::new();
        init(&slot, "{}", "").unwrap();
        assert_eq!(check(&slot, &batch("a\u{1e}bad\u{1e}b")).unwrap_err(), "bad row");
    }
}
