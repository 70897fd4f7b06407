//! Which software speaks on a link, as SFT says it: a product or version never seen there before is a
//! change around the stream, and stands in the timeline of what comes.

use super::Engine;
use crate::effect::Change;
use crate::frame::WaypointId;
use crate::label::Label;
use crate::sighting::Sighting;
use std::collections::BTreeMap;

/// The kind of such a change.
const KIND: &str = "software";
/// Speakers that are followed; further ones are not.
const SPEAKERS_MAX: usize = 256;
/// Products and versions remembered of each: nodes of a cluster may differ for a while.
const KNOWN_MAX: usize = 8;
/// The same software on another link within this, in µs, is the same change.
const SAME_MICROS: i64 = 3_600_000_000;

/// What each speaker was heard to be, oldest first: by where, and by MSH-3; empty = who answers there.
pub type Heard = BTreeMap<(WaypointId, Label), Vec<Label>>;

impl Engine {
    /// Follows SFT of a message of `sender`, or of an ACK (`sender` empty). Most have none.
    pub(super) fn hear(&mut self, at: &Sighting, sender: Label, software: Option<&Label>) {
        let Some(software) = software else { return };
        let speaker = (at.waypoint, sender);
        if !self.s.heard.contains_key(&speaker) && self.s.heard.len() >= SPEAKERS_MAX {
            return;
        }
        let known = self.s.heard.entry(speaker).or_default();
        if known.contains(software) {
            return;
        }
        let first = known.is_empty();
        if known.len() == KNOWN_MAX {
            known.remove(0);
        }
        known.push(*software);
        let change = Change { at: at.at, kind: Label::from(KIND), what: *software };
        let same = |c: &Change| {
            (c.kind, c.what) == (change.kind, change.what) && at.at.micros_since(c.at) < SAME_MICROS
        };
        if !first && !self.s.changes.iter().any(same) {
            self.changed(change);
        }
    }
}
