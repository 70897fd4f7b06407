//! What the templates show of the operators' side: notes, feeds in shadow, would-be notices.

use crate::desk::{PrecisionWire, ShadowWire};
use crate::rows::{Badge, IncidentRow, Moment, severity};
use crate::text;
use feedpulse_core::desk::WouldBe;
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;

/// What an operator wrote.
pub(crate) struct NoteRow {
    pub(crate) at: Moment,
    pub(crate) by: String,
    pub(crate) text: String,
}

impl NoteRow {
    /// All notes on an incident, oldest first.
    pub(crate) fn all(view: &View, incident: u64, now: Timestamp) -> Vec<Self> {
        let notes = view.remarks.get(&incident).into_iter().flatten();
        let row = |note: &feedpulse_core::desk::Remark| Self {
            at: Moment::new(note.at, now),
            by: note.by.to_string(),
            text: note.text.shown().to_owned(),
        };
        notes.map(row).collect()
    }
}

/// Would-be notices, and how many were right.
pub(crate) struct PrecisionRow {
    pub(crate) pages: String,
    pub(crate) tickets: String,
    pub(crate) confirmed: String,
    pub(crate) dismissed: String,
    pub(crate) open: String,
    /// `80 %`, or why it is not known.
    pub(crate) precision: String,
}

impl PrecisionRow {
    pub(crate) fn new(counts: &PrecisionWire) -> Self {
        Self {
            pages: text::count(counts.pages),
            tickets: text::count(counts.tickets),
            confirmed: text::count(counts.confirmed),
            dismissed: text::count(counts.dismissed),
            open: text::count(counts.open),
            precision: match (counts.precision, counts.no_precision_because) {
                (Some(share), _) => format!("{:.0} %", share * 100.0),
                (None, Some(reason)) => reason.to_owned(),
                (None, None) => "unknown".to_owned(),
            },
        }
    }
}

/// A feed's time in shadow.
pub(crate) struct ShadowRow {
    pub(crate) id: u32,
    pub(crate) feed: String,
    pub(crate) shadow: bool,
    pub(crate) since: Option<Moment>,
    /// `2026-12-10 08:00:00 UTC`; empty when it is not known, or does not end.
    pub(crate) until: String,
    pub(crate) counts: PrecisionRow,
}

impl ShadowRow {
    /// In the order of the JSON.
    pub(crate) fn all(wire: &ShadowWire, view: &View, now: Timestamp) -> Vec<Self> {
        let row = |feed: &crate::desk::ShadowFeedWire| {
            let times = view.feeds.iter().find(|f| f.id.0 == feed.id).map(|f| f.shadow);
            let times = times.unwrap_or_default();
            Self {
                id: feed.id,
                feed: feed.feed.clone(),
                shadow: feed.shadow,
                since: times.since.map(|at| Moment::new(at, now)),
                until: times.until.map(text::full).unwrap_or_default(),
                counts: PrecisionRow::new(&feed.counts),
            }
        };
        wire.feeds.iter().map(row).collect()
    }
}

/// A would-be notice.
pub(crate) struct WouldBeRow {
    pub(crate) badge: Badge,
    pub(crate) at: Moment,
    /// `worth it` or `not worth it`; empty while nobody has said.
    pub(crate) verdict: &'static str,
    pub(crate) incident: IncidentRow,
}

impl WouldBeRow {
    pub(crate) fn new(notice: &WouldBe, incident: &IncidentChange, now: Timestamp) -> Self {
        Self {
            badge: severity(notice.severity),
            at: Moment::new(notice.at, now),
            verdict: match notice.right {
                Some(true) => "worth it",
                Some(false) => "not worth it",
                None => "",
            },
            incident: IncidentRow::new(incident, now),
        }
    }
}
