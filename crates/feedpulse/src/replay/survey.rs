//! The first look at a capture: which endpoints speak HL7, and which way messages go from one to the
//! next. Routes come from journey keys that are seen at more than one endpoint.

use feedpulse_core::frame::{Direction, WaypointId};
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{AckCode, AckSeen, MessageSeen, Seen, Sighting};
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::Decoder;
use feedpulse_taps::capture::Step;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Most messages whose way is followed; the first ones decide.
const TRAILS_MAX: usize = 1_000_000;
/// Fewest messages of a kind from which a route is learned.
const ENOUGH: u64 = 5;
/// At the end of a capture so much time is not enough to have gone on.
const YOUNG: Duration = Duration::from_secs(60);

/// What messages are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind {
    /// MSH-3.1.
    pub(crate) sender: Label,
    /// MSH-9.1.
    pub(crate) code: Label,
    /// MSH-9.2.
    pub(crate) trigger: Label,
}

/// Where messages of a kind come in, and where they go on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) kind: Kind,
    pub(crate) from: WaypointId,
    /// In order of time; empty when nothing shows that they go on.
    pub(crate) then: Vec<WaypointId>,
}

/// One message at one waypoint.
struct Stop {
    waypoint: WaypointId,
    at: Timestamp,
    accepted: bool,
}

struct Trail {
    kind: Kind,
    /// The first of each waypoint.
    stops: Vec<Stop>,
}

#[derive(Default)]
struct Tally {
    counted: u64,
    /// How many went on to a waypoint, and their time to there in µs.
    reached: BTreeMap<WaypointId, (u64, i128)>,
}

/// A look under way.
pub(crate) struct Survey {
    decoder: Decoder,
    sightings: Vec<Sighting>,
    /// Messages and ACKs by waypoint.
    pub(crate) spoken: BTreeMap<WaypointId, u64>,
    trails: HashMap<MessageKey, Trail>,
    /// What an ACK at a waypoint names.
    sent: HashMap<(WaypointId, MessageKey), MessageKey>,
    last: Timestamp,
}

impl Survey {
    /// With a decoder whose key rule finds rewritten messages again.
    pub(crate) fn new(decoder: Decoder) -> Self {
        Self {
            decoder,
            sightings: Vec::new(),
            spoken: BTreeMap::new(),
            trails: HashMap::new(),
            sent: HashMap::new(),
            last: Timestamp::EPOCH,
        }
    }

    /// Takes what a packet came to.
    pub(crate) fn take(&mut self, step: &Step<'_>) {
        self.last = self.last.max(step.at);
        for item in step.items.iter() {
            let Tapped::Frame(frame) = item else { continue };
            let decoded = self.decoder.decode(frame, &mut self.sightings);
            let spoken = u64::from(decoded.messages + decoded.acks);
            *self.spoken.entry(frame.waypoint).or_default() += spoken;
            for sighting in std::mem::take(&mut self.sightings) {
                match &sighting.what {
                    Seen::Message(message) => self.message(&sighting, message),
                    Seen::Ack(ack) => self.ack(sighting.waypoint, ack),
                    _ => {}
                }
            }
        }
    }

    fn message(&mut self, at: &Sighting, message: &MessageSeen) {
        let Some(key) = message.journey_key else { return };
        let full = self.trails.len() >= TRAILS_MAX && !self.trails.contains_key(&key);
        if message.direction == Direction::ToSender || full {
            return;
        }
        let kind = Kind { sender: message.sender, code: message.code, trigger: message.trigger };
        let trail = self.trails.entry(key).or_insert_with(|| Trail { kind, stops: Vec::new() });
        if trail.stops.iter().all(|stop| stop.waypoint != at.waypoint) {
            trail.stops.push(Stop { waypoint: at.waypoint, at: at.at, accepted: false });
        }
        if let Some(named) = message.ack_key
            && self.sent.len() < 2 * TRAILS_MAX
        {
            self.sent.insert((at.waypoint, named), key);
        }
    }

    fn ack(&mut self, waypoint: WaypointId, ack: &AckSeen) {
        if !matches!(ack.code, AckCode::AA | AckCode::CA) {
            return;
        }
        let key = ack.ack_key.and_then(|named| self.sent.get(&(waypoint, named)));
        let trail = key.and_then(|key| self.trails.get_mut(key));
        let stop = trail.and_then(|t| t.stops.iter_mut().find(|stop| stop.waypoint == waypoint));
        if let Some(stop) = stop {
            stop.accepted = true;
        }
    }

    /// Where messages of each kind come in and go on to: a waypoint is on their way when at least 19
    /// of 20 get there, of at least five that were accepted and had the time.
    pub(crate) fn ways(&self) -> Vec<Way> {
        let mut tallies: BTreeMap<(Kind, WaypointId), Tally> = BTreeMap::new();
        for trail in self.trails.values() {
            let Some(first) = trail.stops.iter().min_by_key(|stop| stop.at) else { continue };
            let tally = tallies.entry((trail.kind, first.waypoint)).or_default();
            let young = self.last.since(first.at) < YOUNG;
            let went_on = trail.stops.len() > 1;
            tally.counted += u64::from(went_on || (first.accepted && !young));
            for stop in trail.stops.iter().filter(|stop| stop.waypoint != first.waypoint) {
                let (count, time) = tally.reached.entry(stop.waypoint).or_default();
                *count += 1;
                *time += i128::from(stop.at.micros_since(first.at));
            }
        }
        let way = |((kind, from), tally): ((Kind, WaypointId), Tally)| {
            let nearly_all =
                |count: u64| tally.counted >= ENOUGH && count * 20 >= tally.counted * 19;
            let mut then: Vec<(i128, WaypointId)> = tally
                .reached
                .iter()
                .filter(|(_, (count, _))| nearly_all(*count))
                .map(|(waypoint, (count, time))| (time / i128::from(*count), *waypoint))
                .collect();
            then.sort_unstable();
            Way { kind, from, then: then.into_iter().map(|(_, waypoint)| waypoint).collect() }
        };
        tallies.into_iter().map(way).collect()
    }
}
