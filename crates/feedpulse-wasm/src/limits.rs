//! What a check may use, and how an operator sets it up.

use crate::manifest::Grant;
use std::time::Duration;

/// Budgets of one worker. Every one can be changed; [`Limits::default`] is the documented set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processor time for a call, before rows count.
    pub time_base: Duration,
    /// Processor time added for each row.
    pub time_per_row: Duration,
    /// Processor time to instantiate and to read the settings.
    pub time_init: Duration,
    /// Linear memory of the instance, bytes, over all its memories.
    pub memory: usize,
    /// Table elements of the instance.
    pub table_elements: usize,
    /// Bytes that one call of or from the guest may hand to the host.
    pub transfer: usize,
    /// Rows per call; longer batches are split.
    pub rows_per_call: usize,
    /// Bytes of joined rows per call; longer batches are split.
    pub bytes_per_call: usize,
    /// Bytes of one row; a longer one is not checked.
    pub row_bytes: usize,
    /// Findings per batch; the rest is dropped and counted.
    pub findings: usize,
    /// Attributes per finding.
    pub attrs: usize,
    /// Characters of a finding's free text, a log line or an error of the settings; the rest is cut.
    pub text_chars: usize,
    /// Bytes of state per feed, keys and values.
    pub state_bytes: usize,
    /// Keys of state per feed.
    pub state_keys: usize,
    /// Bytes of one state key.
    pub state_key_bytes: usize,
    /// Bytes of one state value.
    pub state_value_bytes: usize,
    /// Feeds with state; beyond, the feed used longest ago is forgotten.
    pub state_feeds: usize,
    /// Log bytes per second, and at most this many at once.
    pub log_bytes_per_second: usize,
    /// Faults within [`Limits::fault_window`] that set the check aside.
    pub faults: usize,
    /// The window for [`Limits::faults`]; as long without a fault ends the probation.
    pub fault_window: Duration,
    /// First pause; each further one doubles.
    pub pause_first: Duration,
    /// Longest pause.
    pub pause_longest: Duration,
    /// Pauses in a row, with no calm [`Limits::fault_window`] between them, after which the check is
    /// quarantined in place of the next one: it runs no more until it is loaded again.
    pub pauses: u32,
    /// Calls after which an instance is replaced by a fresh one, give or take a quarter of them, so
    /// that the instances of several checks are not all replaced at once.
    pub recycle_calls: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_base: Duration::from_millis(5),
            time_per_row: Duration::from_micros(200),
            time_init: Duration::from_secs(1),
            memory: 32 << 20,
            table_elements: 10_000,
            transfer: 4 << 20,
            rows_per_call: 256,
            bytes_per_call: 1 << 20,
            row_bytes: 4 << 20,
            findings: 256,
            attrs: 16,
            text_chars: 200,
            state_bytes: 64 << 10,
            state_keys: 1024,
            state_key_bytes: 128,
            state_value_bytes: 4096,
            state_feeds: 256,
            log_bytes_per_second: 8 << 10,
            faults: 5,
            fault_window: Duration::from_secs(60),
            pause_first: Duration::from_secs(1),
            pause_longest: Duration::from_secs(300),
            pauses: 12,
            recycle_calls: 1_000_000,
        }
    }
}

/// How an operator runs a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// JSON text that is handed to the check as it is.
    pub config: String,
    /// Grants the operator gives. One that the manifest does not ask for has no effect.
    pub grants: Vec<Grant>,
    /// Budgets.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { config: "{}".to_owned(), grants: Vec::new(), limits: Limits::default() }
    }
}
