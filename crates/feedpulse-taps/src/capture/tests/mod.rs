//! Captures by hand: packet lists and files, and what becomes of them.

mod connections;
mod model;
mod order;
mod reading;

use super::connection::Told;
use super::packet::Segment;
use super::table::Table;
use feedpulse_wire::{Direction, Event};
use std::net::SocketAddr;

/// Where the sender and the receiver of most tests are.
fn client() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 9], 50_000))
}

fn server() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 5], 6_661))
}

/// A segment from the client; [`back`] turns it.
fn segment(seq: u32, payload: &[u8]) -> Segment<'_> {
    Segment {
        from: client(),
        to: server(),
        seq,
        ack: Some(9_001),
        syn: false,
        fin: false,
        rst: false,
        window: 64_000,
        payload,
        length: payload.len(),
    }
}

fn back(segment: Segment<'_>) -> Segment<'_> {
    Segment { from: segment.to, to: segment.from, ..segment }
}

fn syn(seq: u32) -> Segment<'static> {
    Segment { syn: true, ack: None, ..segment(seq, b"") }
}

/// A table, and what it told.
#[derive(Default)]
struct Rig {
    table: Table,
    at_us: i64,
    told: Vec<String>,
    /// Bytes to the receiver and to the sender.
    bytes: [Vec<u8>; 2],
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self::default();
        rig.table.places.add(server()).unwrap();
        rig
    }

    /// A connection whose client's first byte has sequence number `isn + 1`, the server's 9,001.
    fn open(&mut self, isn: u32) -> &mut Self {
        self.take(&syn(isn));
        let answer = Segment { syn: true, ack: Some(isn.wrapping_add(1)), ..segment(9_000, b"") };
        self.take(&back(answer));
        self.take(&segment(isn.wrapping_add(1), b""))
    }

    fn take(&mut self, segment: &Segment<'_>) -> &mut Self {
        self.at_us += 1_000;
        let Self { table, at_us, told, bytes } = self;
        table.take(*at_us, segment, &mut |event| note(&event, told, bytes));
        self
    }

    /// Lets whole seconds pass.
    fn wait(&mut self, seconds: i64) -> &mut Self {
        for _ in 0..seconds {
            self.at_us += 1_000_000;
            let Self { table, at_us, told, bytes } = self;
            table.second(*at_us, &mut |event| note(&event, told, bytes));
        }
        self
    }

    fn flush(&mut self) -> &mut Self {
        let Self { table, at_us, told, bytes } = self;
        table.flush(*at_us, &mut |event| note(&event, told, bytes));
        self
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn note(told: &Told<'_>, texts: &mut Vec<String>, bytes: &mut [Vec<u8>; 2]) {
    let text = match told {
        Told::Record(record) => match &record.event {
            Event::Data { direction, offset, bytes: data } => {
                let side = usize::from(*direction == Direction::ToSender);
                bytes[side].extend_from_slice(data);
                format!("{direction:?} {offset} {}", String::from_utf8_lossy(data))
            }
            Event::Opened { peer, upstream } => format!("opened {peer} {upstream}"),
            Event::HalfClosed { direction, offset } => format!("end {direction:?} {offset}"),
            Event::Refused { peer, .. } => format!("refused {peer}"),
            Event::Unreachable { peer, .. } => format!("unreachable {peer}"),
            other => format!("{other:?}"),
        },
        Told::Lost { bytes, .. } => format!("lost {bytes}"),
        Told::Forget { connection } => format!("forget {connection}"),
    };
    texts.push(text);
}
