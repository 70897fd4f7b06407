//! Decides before anything is built whether a journey becomes a trace. Deterministic: the same
//! journeys in the same order give the same decisions.

use feedpulse_core::effect::JourneyRecord;
use feedpulse_core::sighting::Urgency;

/// Feeds with windows of their own; further ones share the last.
const FEEDS_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct Window {
    minute: i64,
    kept: u32,
}

/// Keeps every journey with trouble, the first few of each feed and minute, and a share of the rest.
#[derive(Debug)]
pub struct Sampler {
    per_minute: u32,
    /// Keys whose low 64 bits are below this are kept.
    threshold: u64,
    windows: Vec<Window>,
}

impl Sampler {
    /// `per_minute` successful journeys for each feed and minute, and `ratio` (0..=1, clamped) of
    /// the others.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 2^64; casts saturate"
    )]
    pub fn new(per_minute: u32, ratio: f64) -> Self {
        let threshold = (ratio.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        Self { per_minute, threshold, windows: Vec::new() }
    }

    /// Whether this journey becomes a trace. Allocates only for a feed that is seen first.
    pub fn keep(&mut self, journey: &JourneyRecord) -> bool {
        has_trouble(journey) || self.first_of_minute(journey) || {
            #[expect(clippy::cast_possible_truncation, reason = "the low half of the key")]
            let low = journey.key.as_u128() as u64;
            low < self.threshold
        }
    }

    fn first_of_minute(&mut self, journey: &JourneyRecord) -> bool {
        let index = (journey.feed.0 as usize).min(FEEDS_MAX - 1);
        if index >= self.windows.len() {
            self.windows.resize(index + 1, Window { minute: i64::MIN, kept: 0 });
        }
        let Some(window) = self.windows.get_mut(index) else { return false };
        let minute = journey.ended_at.as_secs().div_euclid(60);
        // A journey that ended a little earlier than the last one counts for the newer minute.
        if minute > window.minute {
            *window = Window { minute, kept: 0 };
        }
        let keep = window.kept < self.per_minute;
        window.kept += u32::from(keep);
        keep
    }
}

/// Whether anybody would look for this journey: its end or any sending is no success, it was late,
/// an ACK was slow, it was sent again, a check found something, or it is critical.
fn has_trouble(journey: &JourneyRecord) -> bool {
    let ended_well = journey.end.is_well();
    !ended_well
        || journey.late
        || journey.urgency == Urgency::Critical
        || !journey.found.is_empty()
        || journey.sends_total as usize > journey.sends.len()
        || journey.sends.iter().enumerate().any(|(i, sending)| {
            sending.slow
                || sending.outcome.is_some_and(|outcome| !outcome.is_success())
                || journey.sends.iter().take(i).any(|other| other.waypoint == sending.waypoint)
        })
}
