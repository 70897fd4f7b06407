//! Captures as tapped items, from files (pcap, pcapng) and live ([`live`]): packets become TCP
//! connections, connections become the wire's records, and those go through the same [`Streams`] as
//! the wire's own. Pure and synchronous but for [`live`]: no sockets, no clock; time is the packets'.
//!
//! Limits: one packet or block 16 MiB; 65,536 connections; 1 MiB out of order in each direction and
//! 64 MiB in all; 64 KiB until it is known who accepted a connection; 4,096 endpoints; and what an
//! open frame takes (16 MiB in each direction at most).

mod connection;
mod facts;
mod half;
pub mod live;
mod packet;
mod quality;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod undecided;

pub use facts::{ENDPOINTS_MAX, Endpoint, Endpoints, Facts};
pub use quality::Quality;
pub use read::{BLOCK_MAX, CaptureError, is_capture};
pub use table::{CONNECTIONS_MAX, HELD_ALL_MAX, Limits};

use crate::streams::{Sink, Streams};
use connection::Told;
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::input::Blind;
use feedpulse_core::label::Label;
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_wire::{Event, Record};
use packet::{Passed, Segment};
use read::{Captured, Reader};
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;
use table::Table;

/// A frame that stays open so long is told.
const FRAME_OPEN_AFTER: Duration = Duration::from_secs(10);
/// Of a stretch without packets so many seconds pass one by one, at its start and at its end; the
/// rest is skipped. Deadlines are judged by their own time, so nothing is lost by it.
const IDLE_SECONDS: i64 = 3_600;
/// One second in µs.
const SECOND: i64 = 1_000_000;

/// The time of a capture's first packet in µs since the epoch; none when it has none that can be read.
pub fn first_time(source: impl Read) -> Option<i64> {
    let mut reader = Reader::new(source).ok()?;
    reader.next().ok()?.map(|captured| captured.at_us)
}

/// What one packet, or the end of a second, came to.
#[derive(Debug)]
pub struct Step<'a> {
    /// The capture's time.
    pub at: Timestamp,
    /// Where the packet stands in its file.
    pub offset: u64,
    /// In order; what is left in it is dropped.
    pub items: &'a mut Vec<Tapped>,
    /// A second is over: the items are signs of life, and time passes.
    pub tick: bool,
    /// What is known of connections.
    pub parties: Parties<'a>,
}

/// Knows connections by their number, as long as they are followed.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a>(&'a Table);

impl Parties<'_> {
    /// The receiving address, and the one that connected to it.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> Option<(SocketAddr, SocketAddr)> {
        self.0.parties(number(connection))
    }

    /// Whether it was open before the capture began (or its SYN is not in it).
    #[must_use]
    pub fn was_picked_up(&self, connection: ConnectionId) -> bool {
        self.0.was_picked_up(number(connection))
    }
}

/// One capture, in one file or in several that follow each other.
#[derive(Debug)]
pub struct Capture {
    table: Table,
    streams: Streams,
    items: Vec<Tapped>,
    now_us: Option<i64>,
    /// Answers to messages that nobody saw are left out, since they would seem to be stray.
    only_seen: bool,
    /// So many items were looked at for that.
    settled: usize,
}

/// The number of a connection in the table: its id without the ring's, or the tap's, instance.
const fn number(connection: ConnectionId) -> u64 {
    connection.0 & 0xFF_FFFF_FFFF
}

impl Capture {
    /// Looks for endpoints: every one to which something like MLLP goes becomes a waypoint, numbered
    /// as in [`Capture::endpoints`].
    #[must_use]
    pub fn learning() -> Self {
        let mut this = Self::at(&[]);
        this.table.places.learning = true;
        this
    }

    /// Looks at these endpoints only, at most [`ENDPOINTS_MAX`]; several may be one waypoint.
    #[must_use]
    pub fn at(endpoints: &[(SocketAddr, WaypointId)]) -> Self {
        let mut table = Table::default();
        let mut waypoints = Vec::new();
        for (address, waypoint) in endpoints {
            if table.places.add(*address).is_some() {
                waypoints.push(*waypoint);
            }
        }
        let streams = Streams::new(waypoints, Label::from("capture"), FRAME_OPEN_AFTER, 0);
        Self { table, streams, items: Vec::new(), now_us: None, only_seen: false, settled: 0 }
    }

    /// Of what is happening now, at these endpoints only. `instance` tells this run from others.
    fn now_at(
        endpoints: &[(Endpoints, WaypointId)],
        limits: Limits,
        part: Label,
        instance: u128,
    ) -> Self {
        let mut table = Table::default();
        (table.limits, table.in_order) = (limits, true);
        let mut waypoints = Vec::new();
        for (endpoint, waypoint) in endpoints {
            if table.places.add_all(endpoint.clone()).is_some() {
                waypoints.push(*waypoint);
            }
        }
        let streams = Streams::new(waypoints, part, FRAME_OPEN_AFTER, instance);
        Self { table, streams, items: Vec::new(), now_us: None, only_seen: true, settled: 0 }
    }

    /// Reads a file to its end. Several calls are one capture: files must be in order of time.
    ///
    /// # Errors
    /// What is wrong with the file, and at which byte. What came before it was handed over.
    pub fn read(
        &mut self,
        source: impl Read,
        each: &mut impl FnMut(Step<'_>),
    ) -> Result<(), CaptureError> {
        let mut reader = Reader::new(source)?;
        while let Some(captured) = reader.next()? {
            self.pass_time(captured.at_us, each);
            self.packet(&captured);
            self.hand_over(captured.offset, false, each);
        }
        Ok(())
    }

    /// The capture has ended: hands over what is held. Its time does not go on.
    pub fn end(&mut self, each: &mut impl FnMut(Step<'_>)) {
        let Some(now) = self.now_us else { return };
        let Self { table, streams, items, .. } = self;
        table.flush(now, &mut |told| apply(told, streams, items));
        self.hand_over(0, false, each);
        self.tick(now, each);
    }

    /// The endpoints, in order of their waypoints' numbers when [`Capture::learning`].
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.table.places.list
    }

    /// The counts so far.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.table.settled()
    }

    /// Lets the seconds up to a packet pass.
    fn pass_time(&mut self, at_us: i64, each: &mut impl FnMut(Step<'_>)) {
        let facts = &mut self.table.facts;
        let (first, last) = facts.times.unwrap_or((at_us, at_us));
        facts.times = Some((first.min(at_us), last.max(at_us)));
        let Some(now) = self.now_us else {
            self.now_us = Some(at_us);
            return;
        };
        facts.time_went_back += u64::from(at_us < now);
        let (mut second, until) = (now.div_euclid(SECOND) + 1, at_us.div_euclid(SECOND));
        while second <= until {
            let gone = second - now.div_euclid(SECOND);
            if gone > IDLE_SECONDS && until - second > IDLE_SECONDS {
                second = until - IDLE_SECONDS;
            }
            self.tick(second * SECOND, each);
            second += 1;
        }
        self.now_us = Some(now.max(at_us));
    }

    fn tick(&mut self, at_us: i64, each: &mut impl FnMut(Step<'_>)) {
        self.now_us = Some(at_us);
        let Self { table, streams, items, .. } = self;
        table.second(at_us, &mut |told| apply(told, streams, items));
        let event = Event::Alive { open: 0, to_receiver: 0, to_sender: 0 };
        let alive = Record { listener: 0, connection: 0, at_us, event };
        apply(Told::Record(alive), streams, items);
        self.hand_over(0, true, each);
    }

    fn packet(&mut self, captured: &Captured<'_>) {
        let at_us = self.now_us.unwrap_or(captured.at_us);
        self.segment(at_us, packet::segment(captured), captured.link);
    }

    fn segment(&mut self, at_us: i64, segment: Result<Segment<'_>, Passed>, link: i32) {
        let facts = &mut self.table.facts;
        facts.packets += 1;
        let segment = match segment {
            Ok(segment) => segment,
            Err(passed) => {
                match passed {
                    Passed::NotTcp => facts.not_tcp += 1,
                    Passed::Fragment => facts.fragments += 1,
                    Passed::Undecodable => facts.undecodable += 1,
                    Passed::Checksum => facts.bad_checksums += 1,
                    Passed::Link => *facts.unknown_links.entry(link).or_default() += 1,
                }
                return;
            }
        };
        facts.segments += 1;
        let Self { table, streams, items, .. } = self;
        table.take(at_us, &segment, &mut |told| {
            apply(told, streams, items);
        });
    }

    fn hand_over(&mut self, offset: u64, tick: bool, each: &mut impl FnMut(Step<'_>)) {
        self.settle();
        if !self.items.is_empty() || tick {
            let at = Timestamp::from_micros(self.now_us.unwrap_or_default());
            let (items, parties) = (&mut self.items, Parties(&self.table));
            each(Step { at, offset, items, tick, parties });
            self.items.clear();
            self.settled = 0;
        }
    }

    /// Notes which connections speak MLLP.
    fn settle(&mut self) {
        let Self { table, items, only_seen, settled, .. } = self;
        while let Some(item) = items.get(*settled) {
            *settled += 1;
            let Tapped::Frame(frame) = item else { continue };
            let to_receiver = frame.direction == Direction::ToReceiver;
            let to_unseen = table.spoke(number(frame.connection), to_receiver);
            if *only_seen && to_unseen {
                table.facts.to_unseen += 1;
                *settled -= 1;
                items.remove(*settled);
            }
        }
    }
}

/// What a connection tells goes where the wire's records go.
fn apply(told: Told<'_>, streams: &mut Streams, items: &mut Vec<Tapped>) {
    let mut sink = Sink { items, rebuild: false };
    match told {
        Told::Record(record) => {
            if record.connection > 0 {
                streams.know(record.listener);
            }
            streams.apply(0, &record, &mut sink);
        }
        // Whatever went there in this time may have been a message, or an ACK.
        Told::Lost { listener, from_us, to_us, bytes } => sink.push(Tapped::Blind(Blind {
            waypoint: Some(streams.know(listener)),
            from: Timestamp::from_micros(from_us),
            to: Timestamp::from_micros(to_us),
            records: 0,
            bytes,
        })),
        Told::Forget { connection } => streams.forget(connection),
    }
}
