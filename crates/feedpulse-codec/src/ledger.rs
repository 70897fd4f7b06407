//! The layout of the ledger's blocks: what became of each message, with the names that it needs to
//! be read without a configuration.

use crate::layout::layout;
use feedpulse_core::effect::{Amendment, EffectId, JourneyRecord};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::time::Timestamp;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerRow {
    /// A journey ended.
    Journey(Box<JourneyRecord>),
    /// Something became known of one that had ended.
    Amend(Amendment),
    /// Rows were dropped because the store failed: what ended between is not in the ledger.
    Dropped {
        /// The first time.
        from: Timestamp,
        /// The last time.
        to: Timestamp,
        /// How many rows.
        rows: u64,
    },
}

/// A block of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerRows {
    /// Names of the waypoints, by number.
    pub waypoints: Vec<(WaypointId, String)>,
    /// The rows with the effects that they are, in order.
    pub rows: Vec<(EffectId, LedgerRow)>,
}

layout! {
    struct LedgerRows { waypoints, rows }
    enum LedgerRow { 0 = Journey(record), 1 = Amend(amendment), 2 = Dropped { from, to, rows } }
    struct Amendment { key, control_id, waypoint, at, ack, reason }
    struct JourneyRecord {
        key, feed, feed_name, code, trigger, sender, facility, control_id, find, urgency, event_time,
        source_age, first_at, sends, sends_total, end, missing, classes, ended_at, late, found, trace
    }
}
