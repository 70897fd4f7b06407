//! The one place of this process that reads the wall clock.

use feedpulse_core::time::Timestamp;

/// Now, in µs since the epoch.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock that the others are given")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_micros(since.ok().and_then(|d| i64::try_from(d.as_micros()).ok()).unwrap_or(0))
}

/// `2026-11-22T22:05:14Z` for people; UTC, whole seconds.
#[must_use]
pub(crate) fn show(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_secs()).map(|t| t.to_string()).unwrap_or_default()
}
