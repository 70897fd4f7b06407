//! Records by hand: what becomes of them, and what a rebuild keeps and drops.

use crate::streams::{Sink, Streams};
use feedpulse_core::defect::DefectCode;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{LinkEvent, Seen};
use feedpulse_core::tap::Tapped;
use feedpulse_wire::{Direction, Event, Payload, Record, RefusedBy, Side};
use std::net::SocketAddr;
use std::time::Duration;

struct Rig {
    streams: Streams,
    items: Vec<Tapped>,
    cursor: u64,
    at_us: i64,
    rebuild: bool,
}

fn addr() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

const TO: Direction = Direction::ToReceiver;

impl Rig {
    fn new() -> Self {
        let waypoints = vec![WaypointId(3)];
        let streams = Streams::new(waypoints, Label::from("w"), Duration::from_secs(10), 7);
        Self { streams, items: Vec::new(), cursor: 0, at_us: 0, rebuild: false }
    }

    fn on(&mut self, connection: u64, event: Event<'_>) -> &mut Self {
        let record = Record { listener: 0, connection, at_us: self.at_us, event };
        let mut sink = Sink { items: &mut self.items, rebuild: self.rebuild };
        self.streams.apply(self.cursor, &record, &mut sink);
        self.cursor += 100;
        self
    }

    fn data(&mut self, connection: u64, offset: u64, bytes: &[u8]) -> &mut Self {
        self.on(connection, Event::Data { direction: TO, offset, bytes: Payload(bytes) })
    }

    fn open(&mut self, connection: u64) -> &mut Self {
        self.on(connection, Event::Opened { peer: addr(), upstream: addr() })
    }

    fn alive(&mut self, at_s: i64) -> &mut Self {
        self.at_us = at_s * 1_000_000;
        self.on(0, Event::Alive { open: 0, to_receiver: 0, to_sender: 0 })
    }

    /// What came out, as short texts.
    fn told(&mut self) -> Vec<String> {
        let short = |item: Tapped| match item {
            Tapped::Frame(frame) => {
                format!("frame {}", String::from_utf8_lossy(frame.bytes.expose()))
            }
            Tapped::Sighting(sighting) => match sighting.what {
                Seen::Link(event) => format!("{event:?}"),
                Seen::Unreadable(why) => format!("{:?} {}", why.defects[0].code, why.size),
                other => panic!("{other:?}"),
            },
            Tapped::Blind(blind) => format!("blind {} {}", blind.records, blind.bytes),
            Tapped::Alive(_) => "alive".to_owned(),
            Tapped::Own(own) => format!("own {} {}", own.failing, own.detail),
            Tapped::Probed(probed) => format!("probed {}", probed.probe),
        };
        self.items.drain(..).map(short).collect()
    }
}

#[test]
fn a_connection_from_its_start_to_its_end() {
    let mut rig = Rig::new();
    rig.open(1).data(1, 0, b"\x0bone\x1c\r\x0btw").data(1, 9, b"o\x1c\r");
    rig.on(1, Event::HalfClosed { direction: TO, offset: 12 }).on(1, Event::Closed);
    assert_eq!(
        rig.told(),
        ["Opened", "Peer(127.0.0.1)", "frame one", "frame two", "Closed { bytes: 12 }"]
    );
    // A load balancer's probe.
    rig.open(2).on(2, Event::HalfClosed { direction: TO, offset: 0 }).on(2, Event::Closed);
    assert_eq!(rig.told(), ["Opened", "Peer(127.0.0.1)", "Closed { bytes: 0 }"]);
    rig.open(3).data(3, 0, b"\x0bcut").on(3, Event::Reset { by: Side::Receiver });
    assert_eq!(
        rig.told(),
        ["Opened", "Peer(127.0.0.1)", "Truncated 3", "Reset { by_receiver: true }"]
    );
    rig.open(7).data(7, 0, b"\x0bcut").on(7, Event::HalfOpen { side: Side::Receiver, for_us: 9 });
    rig.on(7, Event::TimedOut { side: Side::Receiver });
    let gone = ["HalfOpen { receiver: true }", "Truncated 3", "TimedOut { receiver: true }"];
    assert_eq!(rig.told()[2..], gone);
    rig.on(4, Event::Refused { peer: addr(), by: RefusedBy::Receiver });
    assert_eq!(rig.told(), ["Refused"]);
    rig.on(5, Event::Refused { peer: addr(), by: RefusedBy::ConnectionLimit }).open(6);
    assert_eq!(
        rig.told(),
        ["own true connection-limit", "own false accepting", "Opened", "Peer(127.0.0.1)"]
    );
}

#[test]
fn an_open_frame_is_told_once_by_the_records_own_clock() {
    let mut rig = Rig::new();
    rig.data(1, 0, b"\x0bopen").alive(9).alive(10).alive(30);
    assert_eq!(rig.told(), ["alive", "alive", "FrameOpen", "alive"]);
    rig.data(1, 5, b"\x1c\r\x0bnext").alive(39).alive(40);
    assert_eq!(rig.told(), ["frame open", "alive", "alive", "FrameOpen"]);
}

#[test]
fn what_is_not_mllp_is_told_once_and_then_passed_over() {
    let mut rig = Rig::new();
    rig.data(1, 0, b"\x16\x03\x01\x00\x00").data(1, 5, b"\x0bnoise\x1c\r").alive(20);
    assert_eq!(rig.told(), ["NotMllp", "alive"]);
    assert_eq!(rig.streams.needed_from(rig.cursor), rig.cursor);
    rig.data(2, 0, b"\x0bone\x1c\rjunk").data(2, 10, b"more junk\x0btwo\x1c\r");
    assert_eq!(rig.told(), ["frame one", "JunkBetween 4", "frame two"]);
    rig.data(3, 0, b"\x0b\x06\x1c\r\x0b\x15\x1c\r");
    assert_eq!(rig.told(), ["TransportAck 1"]);
}

#[test]
fn shed_records_are_a_blind_interval_and_a_gap() {
    let mut rig = Rig::new();
    rig.data(1, 0, b"\x0bfirst");
    rig.on(0, Event::Shed { from_us: 1, to_us: 2, records: 4, bytes: 90 });
    rig.data(1, 96, b"end\x1c\r\x0bnext\x1c\r");
    assert_eq!(rig.told(), ["blind 4 90", "GapInside 5", "frame next"]);
    // The start was shed with everything before: its end is counted.
    rig.data(2, 500, b"rest\x1c\r\x0bnext\x1c\r");
    assert_eq!(rig.told(), ["GapInside 0", "frame next"]);
}

#[test]
fn a_rebuild_keeps_open_frames_and_tells_nothing() {
    let mut rig = Rig::new();
    rig.open(1).open(2).data(1, 0, b"\x0bone\x1c\r\x0bhal").data(2, 0, b"\x0btwo\x1c\r");
    rig.data(1, 10, b"f");
    assert_eq!(rig.streams.needed_from(rig.cursor), 200, "before the record with the start block");
    // The process dies; the next one reads from there.
    let mut next = Rig::new();
    (next.cursor, next.rebuild) = (200, true);
    next.data(1, 0, b"\x0bone\x1c\r\x0bhal").data(2, 0, b"\x0btwo\x1c\r").data(1, 10, b"f");
    assert_eq!(next.told(), [""; 0]);
    next.rebuild = false;
    next.data(1, 11, b"\x1c\r").data(2, 6, b"\x0bmore\x1c\r");
    assert_eq!(next.told(), ["frame half", "frame more"]);
    assert_eq!(next.streams.needed_from(next.cursor), next.cursor);
    next.on(1, Event::Closed);
    assert_eq!(next.told(), ["Closed { bytes: 13 }"]);
}

#[test]
fn a_wire_that_died_cut_all_its_connections() {
    let mut rig = Rig::new();
    rig.open(1).data(1, 0, b"\x0bcut").told();
    let mut items = Vec::new();
    rig.streams.all_cut(&mut Sink { items: &mut items, rebuild: false });
    let Tapped::Sighting(first) = &items[0] else { panic!("{items:?}") };
    let Seen::Unreadable(why) = &first.what else { panic!("{first:?}") };
    assert_eq!(why.defects[0].code, DefectCode::Truncated);
    let Tapped::Sighting(last) = &items[1] else { panic!("{items:?}") };
    assert_eq!(last.what, Seen::Link(LinkEvent::Reset { by_receiver: false }));
    assert_eq!((last.waypoint, last.connection), (first.waypoint, first.connection));
}

/// A TLS record with one handshake message in it.
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u8;
    let mut record = vec![22, 3, 1, 0, length + 4, kind, 0, 0, length];
    record.extend(body);
    record
}

#[test]
fn tls_that_passes_through_is_no_garbage_and_its_handshake_is_told_aside() {
    let mut rig = Rig::new();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = seen.clone();
    rig.streams.tls_told = crate::passing::TlsTold::to(move |waypoint, facts| {
        into.lock().unwrap().push((waypoint, facts.clone()));
    });
    // Version, random, no session, one cipher suite, no compression, no extensions.
    let client = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xC0, 0x2F, 1, 0, 0, 0]].concat();
    let server = [&[3, 3][..], &[9; 32], &[0, 0xC0, 0x2F, 0, 0, 0]].concat();
    let (client, server) = (handshake(1, &client), handshake(2, &server));
    rig.open(1).data(1, 0, &client[..3]).data(1, 3, &client[3..]);
    let back = |offset, bytes| Event::Data {
        direction: Direction::ToSender,
        offset,
        bytes: Payload(bytes),
    };
    rig.on(1, back(0, &server));
    rig.data(1, client.len() as u64, &[23, 3, 3, 0, 2, 1, 2]);
    rig.on(1, Event::Closed);
    let told = rig.told();
    assert_eq!(told.iter().filter(|item| item.contains("NotMllp")).count(), 1, "{told:?}");
    assert!(!told.iter().any(|item| item.contains("frame") || item.contains("nreadable")));
    let seen = seen.lock().unwrap();
    let [(waypoint, facts)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((*waypoint, facts.version_name()), (WaypointId(3), "TLS 1.2"));
    assert_eq!(facts.cipher_suite, Some(0xC02F));
}
