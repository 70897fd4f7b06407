//! Learning from files of messages: each message at its own time (MSH-7), an ACK at that of the
//! message before it in its file. Files are read twice: once for their times, once in order of time.

use super::player::Player;
use super::report::Facts;
use super::{Bounds, Taught};
use crate::cli::{DATA, Failure};
use crate::config::Config;
use crate::files;
use crate::noun::count;
use crate::replay::sources::Source;
use anyhow::anyhow;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::key::SiteKey;
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::time::{Precision, Timestamp};
use feedpulse_hl7::decode::Decoder;
use feedpulse_hl7::split::split_file;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Most bytes of files whose times overlap, which are held at once.
const HELD_MAX: usize = 4 << 30;

/// A stretch of a file with its time.
#[derive(Clone, Copy, Debug)]
struct Timed {
    at: Timestamp,
    start: usize,
    end: usize,
}

/// A file under way.
struct Open {
    bytes: Vec<u8>,
    pieces: std::vec::IntoIter<Timed>,
}

struct Clerk {
    decoder: Decoder,
    waypoint: WaypointId,
    bounds: Bounds,
    sightings: Vec<Sighting>,
    facts: Facts,
}

pub(super) fn learn(
    config: &Config,
    key: SiteKey,
    sources: &[Source],
    waypoint: WaypointId,
    bounds: Bounds,
) -> Result<Taught, Failure> {
    let decoder = Decoder::new(config.decoding(key, usize::from(waypoint.0)));
    let name = config.plan.waypoints.get(usize::from(waypoint.0)).map(|w| w.name.clone());
    let facts =
        Facts::new(format!("{} at {}", count(sources.len(), "file"), name.unwrap_or_default()));
    let mut clerk = Clerk { decoder, waypoint, bounds, sightings: Vec::new(), facts };
    let bar = files::progress(2 * sources.len(), "files");
    let mut order = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let bytes = source.bytes()?;
        if let Some(first) = clerk.pieces(&bytes).first() {
            order.push((first.at, number));
        }
        files::advance(&bar);
    }
    order.sort_unstable();
    // The second reading counts nothing again.
    let mut facts = clerk.facts.clone();
    let mut player = Player::of(config, key);
    let mut order = order.into_iter().peekable();
    let mut open: BinaryHeap<Reverse<(Timestamp, usize)>> = BinaryHeap::new();
    let mut held: std::collections::BTreeMap<usize, (Open, Timed)> =
        std::collections::BTreeMap::new();
    let mut bytes_held = 0;
    loop {
        let next = open.peek().map(|Reverse((at, _))| *at);
        if let Some((_, number)) = order.next_if(|(at, _)| next.is_none_or(|next| *at <= next)) {
            let bytes = sources[number].bytes()?.into_owned();
            bytes_held += bytes.len();
            if bytes_held > HELD_MAX {
                return Err(Failure::new(
                    DATA,
                    anyhow!("files whose times overlap hold more than 4 GiB: learn from fewer"),
                ));
            }
            let mut pieces = clerk.pieces(&bytes).into_iter();
            if let Some(first) = pieces.next() {
                open.push(Reverse((first.at, number)));
                held.insert(number, (Open { bytes, pieces }, first));
            }
            files::advance(&bar);
            continue;
        }
        let Some(Reverse((_, number))) = open.pop() else { break };
        let Some((mut file, piece)) = held.remove(&number) else { continue };
        let bytes = file.bytes.get(piece.start..piece.end).unwrap_or_default().to_vec();
        player.frame(piece.at, &frame(bytes, piece.at, waypoint, number));
        match file.pieces.next() {
            Some(next) => {
                open.push(Reverse((next.at, number)));
                held.insert(number, (file, next));
            }
            None => bytes_held -= file.bytes.len(),
        }
    }
    bar.finish_and_clear();
    facts.counts = player.counts;
    Ok(Taught { learned: player.learned(), facts })
}

fn frame(bytes: Vec<u8>, at: Timestamp, waypoint: WaypointId, number: usize) -> Frame {
    Frame {
        bytes: Phi::new(bytes),
        at,
        waypoint,
        connection: ConnectionId(number as u64 + 1),
        direction: Direction::ToReceiver,
        trace: None,
    }
}

impl Clerk {
    /// The stretches of a file that have a time which can be believed, in order of it.
    fn pieces(&mut self, bytes: &[u8]) -> Vec<Timed> {
        let (mut timed, mut before) = (Vec::new(), None);
        for piece in split_file(bytes) {
            let copy = bytes.get(piece.start..piece.end).unwrap_or_default().to_vec();
            self.sightings.clear();
            let frame = frame(copy, Timestamp::EPOCH, self.waypoint, 0);
            self.decoder.decode(&frame, &mut self.sightings);
            let message = self.sightings.iter().find_map(|sighting| match &sighting.what {
                Seen::Message(message) => Some(message),
                _ => None,
            });
            // A day is too coarse to say at which hour a message came.
            let made = message.map(|m| m.made.filter(|made| made.precision != Precision::Day));
            let at = match made {
                // An answer, or what nobody can read, comes when what stands before it does.
                None => before,
                Some(Some(made)) if self.bounds.hold(made.at) => Some(made.at),
                Some(Some(_)) => {
                    self.facts.out_of_range += 1;
                    None
                }
                Some(None) => {
                    self.facts.without_time += 1;
                    None
                }
            };
            before = at;
            if let Some(at) = at {
                timed.push(Timed { at, start: piece.start, end: piece.end });
            }
        }
        timed.sort_by_key(|piece| piece.at);
        timed
    }
}
