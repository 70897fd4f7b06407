//! What passes a waypoint: the engine's own sighting, and whose it is for the rules of today.

use feedpulse_core::sighting::Sighting;

/// One thing that passes.
#[derive(Clone, Debug)]
pub struct Event {
    /// The message's number; 0 where it is about none.
    pub number: u64,
    /// Index of its feed; None where it is about none or several.
    pub feed: Option<usize>,
    /// Its place on the feed's path, from 0.
    pub hop: usize,
    /// What the engine sees.
    pub sighting: Sighting,
}
