//! Learning what is usual: profiles of feeds, of their types and their facilities; refusals, characters,
//! versions and processing ids of links.

use super::Engine;
use super::profile::{PartKey, Profile};
use crate::codes::Code;
use crate::effect::{Change, Effects};
use crate::label::Label;
use crate::plan::FeedId;
use crate::sighting::{MessageSeen, Sighting, Urgency};
use crate::time::Timestamp;
use hashbrown::HashMap;

/// Profiles of types and facilities; further ones are judged with their feed only.
pub(super) const PROFILES_MAX: usize = 2_000;

/// Where the profile of each key is.
pub(super) fn index(profiles: &[(PartKey, Profile)]) -> HashMap<PartKey, usize> {
    profiles.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect()
}

impl Engine {
    /// A message was seen for the first time on its feed.
    pub(super) fn learn(&mut self, feed: FeedId, at: &Sighting, message: &MessageSeen) {
        let (code, trigger) = (message.code, message.trigger);
        let facility = message.sender_facility;
        self.learn_parts(feed, at.at, PartKey { feed, code, trigger, facility });
    }

    /// A message of a feed, of a type and of a facility came.
    pub(super) fn learn_parts(&mut self, feed: FeedId, at: Timestamp, part: PartKey) {
        let calendar = &self.s.plan.calendar;
        if let Some(feed) = self.s.feeds.get_mut(feed.0 as usize) {
            feed.profile.saw(calendar, at);
        }
        let of_type = PartKey { feed, facility: Label::EMPTY, ..part };
        let of_facility = PartKey { feed, facility: part.facility, ..PartKey::default() };
        for key in [of_type, of_facility] {
            let place = match self.profiles.get(&key) {
                Some(place) => *place,
                None if self.s.profiles.len() >= PROFILES_MAX => continue,
                None => {
                    self.profiles.insert(key, self.s.profiles.len());
                    let fresh = Profile { is_part: true, ..Profile::default() };
                    self.s.profiles.push((key, fresh));
                    self.s.profiles.len() - 1
                }
            };
            if let Some((_, profile)) = self.s.profiles.get_mut(place) {
                profile.saw(calendar, at);
            }
        }
    }

    /// What a sending says about its link: urgent ones, repeats, characters, version, MSH-11.
    pub(super) fn note_usual(
        &mut self,
        at: &Sighting,
        message: &MessageSeen,
        (repeat, replay): (bool, bool),
        fx: &mut Effects,
    ) {
        let Some(here) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        if message.urgency > Urgency::Routine {
            here.urgent_at = Some(at.at);
        }
        here.refusing_since.get_or_insert(at.at);
        if let Some(minute) = here.usual.minute(at.at) {
            minute.sendings += 1;
            minute.repeats += u32::from(repeat);
            minute.replays += u32::from(replay);
        }
        let damaged = message.defects.iter().any(|defect| defect.code.is_of_characters());
        here.usual.characters(at.at, damaged);
        let wrong = here.usual.is_wrong_processing(message.processing);
        let of = (message.sender, message.code);
        let version = message.version;
        if here.usual.is_new_version(of, version) {
            self.changed(Change { at: at.at, kind: Label::from("version"), what: version });
            let subject = crate::finding::Subject::Waypoint(at.waypoint);
            self.happened(subject, Code::SchemaDrift, at.at, version, fx);
        }
        if wrong {
            self.note_once(at, message, Code::WrongProcessing, fx);
        }
    }
}
