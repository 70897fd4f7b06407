//! What a capture itself has to tell, as JSON and as text.

use crate::clock;
use feedpulse_core::time::Timestamp;
use feedpulse_taps::capture::Facts;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The capture's own numbers.
#[derive(Serialize)]
pub(super) struct Numbers {
    packets: u64,
    first: Option<String>,
    last: Option<String>,
    tcp_segments: u64,
    not_tcp: u64,
    connections: u64,
    connections_picked_up: u64,
    connections_not_mllp: u64,
    connections_shed: u64,
    capture_gaps: u64,
    capture_gap_bytes: u64,
    repeated_segments: u64,
    cut_packets: u64,
    fragments: u64,
    undecodable: u64,
    unknown_links: BTreeMap<i32, u64>,
    time_went_back: u64,
    refused: Vec<Refusals>,
}

/// An endpoint that was not reached.
#[derive(Serialize)]
struct Refusals {
    endpoint: String,
    refused: u64,
    never_answered: u64,
}

impl From<&Facts> for Numbers {
    fn from(facts: &Facts) -> Self {
        let show = |at_us| clock::show(Timestamp::from_micros(at_us));
        let refusals =
            |(endpoint, (refused, never_answered)): (&std::net::SocketAddr, &(u64, u64))| {
                Refusals {
                    endpoint: endpoint.to_string(),
                    refused: *refused,
                    never_answered: *never_answered,
                }
            };
        Self {
            packets: facts.packets,
            first: facts.times.map(|(first, _)| show(first)),
            last: facts.times.map(|(_, last)| show(last)),
            tcp_segments: facts.segments,
            not_tcp: facts.not_tcp,
            connections: facts.connections,
            connections_picked_up: facts.picked_up,
            connections_not_mllp: facts.not_mllp,
            connections_shed: facts.shed,
            capture_gaps: facts.gaps,
            capture_gap_bytes: facts.gap_bytes,
            repeated_segments: facts.repeated,
            cut_packets: facts.cut_packets,
            fragments: facts.fragments,
            undecodable: facts.undecodable,
            unknown_links: facts.unknown_links.clone(),
            time_went_back: facts.time_went_back,
            refused: facts.refused.iter().map(refusals).collect(),
        }
    }
}

impl Numbers {
    /// For people: what is odd only when it happened.
    pub(super) fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let (first, last) = (self.first.as_deref(), self.last.as_deref());
        if let (Some(first), Some(last)) = (first, last) {
            writeln!(out, "captured from {first} to {last}")?;
        }
        writeln!(
            out,
            "{} packets, {} connections ({} began before the capture, {} do not speak MLLP)",
            self.packets, self.connections, self.connections_picked_up, self.connections_not_mllp
        )?;
        let odd = [
            (
                self.capture_gaps,
                "stretches of connections that were not captured; what was in them is unknown",
            ),
            (self.cut_packets, "packets cut by a snap length: capture with `tcpdump -s 0`"),
            (self.fragments, "IP fragments, which are not joined"),
            (self.undecodable, "packets whose headers cannot be read"),
            (self.unknown_links.values().sum(), "packets of an unknown link layer"),
            (self.connections_shed, "connections dropped: too many at once"),
            (
                self.time_went_back,
                "packets out of order of time: merge files with `mergecap` first",
            ),
        ];
        for (count, what) in odd.iter().filter(|(count, _)| *count > 0) {
            writeln!(out, "  {count:>8}  {what}")?;
        }
        for Refusals { endpoint, refused, never_answered } in &self.refused {
            writeln!(
                out,
                "  {endpoint}: {refused} connections refused, {never_answered} attempts never answered"
            )?;
        }
        Ok(())
    }
}
