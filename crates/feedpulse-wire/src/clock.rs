//! The one place where the wire reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time in microseconds since 1970-01-01T00:00:00Z; negative before it.
#[expect(
    clippy::disallowed_methods,
    reason = "the wire stamps what it forwards; this is its clock"
)]
pub(crate) fn now_us() -> i64 {
    let now = SystemTime::now();
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    match now.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}
