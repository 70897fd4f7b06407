//! What a live capture counts, as metric families: made once a second, read by whoever shows them.

use super::{Capture, Counted};
use crate::capture::{Facts, Quality};
use feedpulse_core::metrics::{Family, Kind, Point, Value};
use std::sync::{Arc, Mutex, PoisonError};

/// The latest numbers; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Names of the waypoints, in order of the tap's endpoints.
    waypoints: Arc<[String]>,
    latest: Arc<Mutex<Option<Latest>>>,
}

#[derive(Clone, Debug)]
struct Latest {
    facts: Facts,
    counted: Counted,
    connections: usize,
    held: usize,
    quality: Vec<Quality>,
}

/// One way to look at each waypoint's counts of a side.
type OfSide = fn(&Quality, usize) -> Value;
/// A count of a waypoint.
type OfWaypoint = fn(&Quality) -> u64;
/// A count of the tap as a whole.
type OfTap = fn(&Latest) -> u64;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn number(count: u64) -> Value {
    Value::Number(count as f64)
}

/// Families by waypoint and side: name, help, unit, kind, value.
const BY_SIDE: [(&str, &str, &str, Kind, OfSide); 7] = [
    (
        "feedpulse_capture_data_segments_total",
        "TCP segments with bytes that a side sent.",
        "{segment}",
        Kind::Counter,
        |q, side| number(q.data[side]),
    ),
    (
        "feedpulse_capture_retransmits_total",
        "TCP segments with bytes that a side sent again, or that later ones overtook.",
        "{segment}",
        Kind::Counter,
        |q, side| number(q.again[side]),
    ),
    (
        "feedpulse_capture_zero_windows_total",
        "How often a side had no room left in its receive window.",
        "{event}",
        Kind::Counter,
        |q, side| number(q.zero_windows[side]),
    ),
    (
        "feedpulse_capture_zero_window_seconds_total",
        "How long a side had no room left, of those stretches that are over.",
        "s",
        Kind::Counter,
        #[expect(clippy::cast_precision_loss, reason = "shown as seconds")]
        |q, side| Value::Number(q.zero_window_us[side] as f64 / 1e6),
    ),
    (
        "feedpulse_capture_resets_total",
        "Connections that a side reset.",
        "{connection}",
        Kind::Counter,
        |q, side| number(q.resets[side]),
    ),
    (
        "feedpulse_capture_half_open_total",
        "Connections on which a side went away without a word.",
        "{connection}",
        Kind::Counter,
        |q, side| number(q.half_open[side]),
    ),
    (
        "feedpulse_capture_round_trip_seconds",
        "From bytes to their TCP ACK: from where packets are captured to a side and back, with its delay of ACKs.",
        "s",
        Kind::Brief,
        |q, side| Value::Times(Box::new(q.round_trips[side].clone())),
    ),
];

/// Families by waypoint: name, help, unit, count.
const BY_WAYPOINT: [(&str, &str, &str, OfWaypoint); 3] = [
    (
        "feedpulse_capture_connections_total",
        "Connections that were open at some time.",
        "{connection}",
        |q| q.connections,
    ),
    (
        "feedpulse_capture_refused_total",
        "Attempts to connect that were refused.",
        "{attempt}",
        |q| q.refused,
    ),
    (
        "feedpulse_capture_unanswered_total",
        "Attempts to connect that nobody answered.",
        "{attempt}",
        |q| q.unanswered,
    ),
];

/// Families of the tap as a whole: name, help, unit, count.
const WHOLE: [(&str, &str, &str, OfTap); 8] = [
    (
        "feedpulse_capture_packets_total",
        "Packets that the kernel's filter let through.",
        "{packet}",
        |l| l.counted.packets,
    ),
    (
        "feedpulse_capture_dropped_packets_total",
        "Packets that the kernel dropped since the ring was full: what was in them is unknown.",
        "{packet}",
        |l| l.counted.dropped,
    ),
    (
        "feedpulse_capture_gaps_total",
        "Stretches of a connection that were not captured: what was in them is unknown.",
        "{gap}",
        |l| l.facts.gaps,
    ),
    (
        "feedpulse_capture_gap_bytes_total",
        "Bytes of a connection that were not captured.",
        "By",
        |l| l.facts.gap_bytes,
    ),
    (
        "feedpulse_capture_bad_checksums_total",
        "Packets with a wrong TCP checksum, which no receiver takes.",
        "{packet}",
        |l| l.facts.bad_checksums,
    ),
    (
        "feedpulse_capture_unread_packets_total",
        "IP fragments and packets whose headers cannot be read: what was in them is a gap.",
        "{packet}",
        |l| l.facts.fragments + l.facts.undecodable,
    ),
    (
        "feedpulse_capture_connections_shed_total",
        "Connections that are followed no longer, since there were too many.",
        "{connection}",
        |l| l.facts.shed,
    ),
    (
        "feedpulse_capture_answers_to_unseen_total",
        "Answers to messages that began before the capture or fell into a gap; they are left out.",
        "{message}",
        |l| l.facts.to_unseen,
    ),
];

impl Numbers {
    /// Of a tap whose endpoints belong to these waypoints, in order.
    #[must_use]
    pub fn new(waypoints: Vec<String>) -> Self {
        Self { waypoints: waypoints.into(), latest: Arc::default() }
    }

    pub(super) fn set(&self, capture: &Capture, counted: Counted) {
        let (connections, held) = capture.table.load();
        let quality = capture.endpoints().iter().map(|end| end.quality.clone()).collect();
        let facts = capture.table.facts.clone();
        let latest = Latest { facts, counted, connections, held, quality };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
    }

    /// The families; none before the first second.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(latest) = latest else { return Vec::new() };
        let alone = |value| vec![Point { labels: Vec::new(), value }];
        let counter =
            |name, help, unit, points| Family { name, help, unit, kind: Kind::Counter, points };
        let mut families: Vec<Family> = Vec::new();
        for (name, help, unit, of) in WHOLE {
            families.push(counter(name, help, unit, alone(number(of(&latest)))));
        }
        for (name, help, unit, now) in [
            (
                "feedpulse_capture_connections",
                "Connections that are followed.",
                "{connection}",
                latest.connections,
            ),
            (
                "feedpulse_capture_held_bytes",
                "Bytes that wait for earlier ones of their connection.",
                "By",
                latest.held,
            ),
        ] {
            let points = alone(number(now as u64));
            families.push(Family { name, help, unit, kind: Kind::Gauge, points });
        }
        let merged = self.by_waypoint(&latest);
        let label = |name: &str| ("waypoint", name.to_owned());
        for (name, help, unit, of) in BY_WAYPOINT {
            let point =
                |(w, q): &(&str, Quality)| Point { labels: vec![label(w)], value: number(of(q)) };
            families.push(counter(name, help, unit, merged.iter().map(point).collect()));
        }
        for (name, help, unit, kind, of) in BY_SIDE {
            let points = merged.iter().flat_map(|(waypoint, quality)| {
                ["sender", "receiver"].into_iter().enumerate().map(move |(side, text)| Point {
                    labels: vec![label(waypoint), ("side", text.to_owned())],
                    value: of(quality, side),
                })
            });
            let seen = |point: &Point| !matches!(&point.value, Value::Times(t) if t.count() == 0);
            let points = points.filter(seen).collect();
            families.push(Family { name, help, unit, kind, points });
        }
        families
    }

    /// Several endpoints may be one waypoint.
    fn by_waypoint(&self, latest: &Latest) -> Vec<(&str, Quality)> {
        let mut merged: Vec<(&str, Quality)> = Vec::new();
        for (waypoint, quality) in self.waypoints.iter().zip(&latest.quality) {
            match merged.iter_mut().find(|(name, _)| name == waypoint) {
                Some((_, known)) => known.add(quality),
                None => merged.push((waypoint, quality.clone())),
            }
        }
        merged
    }
}
