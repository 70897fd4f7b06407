//! The layout of the outbox: for each notifier and incident what was told, and what is owed still.

use crate::layout::layout;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::time::Timestamp;

/// What one notifier was told of one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// The notifier's name.
    pub place: String,
    /// When this was written down.
    pub kept_at: Timestamp,
    /// When the incident began, as the first notice had it: part of every key.
    pub began: Timestamp,
    /// The code that it opened with: it names the thread of mails.
    pub first: Code,
    /// Loudest severity that a notice was made for; None = none yet.
    pub said: Option<Severity>,
    /// When the latest notice was made.
    pub told_at: Timestamp,
    /// How many updates were made.
    pub updates: u32,
    /// Whether it was told that somebody took it.
    pub claimed: bool,
    /// The incident as it was then.
    pub change: IncidentChange,
    /// What is owed, oldest first.
    pub waiting: Vec<OwedNotice>,
}

/// A notice that was not taken yet.
#[derive(Clone, Debug, PartialEq)]
pub struct OwedNotice {
    /// Why it is sent.
    pub why: Why,
    /// When it was made.
    pub made_at: Timestamp,
    /// The incident as it is to be told.
    pub change: IncidentChange,
}

/// Why a notice is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It opened.
    Open,
    /// Nobody took it for so long that others are told: their first notice.
    Escalated,
    /// Its severity rose.
    Rose,
    /// Somebody took it.
    Claimed,
    /// It is still open; the number of the update, from 1.
    Still(u32),
    /// It is over.
    Over,
}

layout! {
    struct OutboxRow {
        place, kept_at, began, first, said, told_at, updates, claimed, change, waiting
    }
    struct OwedNotice { why, made_at, change }
    enum Why { 0 = Open, 1 = Escalated, 2 = Rose, 3 = Claimed, 4 = Still(number), 5 = Over }
}
