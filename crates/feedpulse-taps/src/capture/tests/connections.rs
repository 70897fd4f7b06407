//! Connections as the wire would tell them, whatever part of them was captured.

use super::{Rig, back, client, segment, server, syn};
use crate::capture::packet::Segment;
use std::net::SocketAddr;

const MESSAGE: &[u8] = b"\x0bMSH|^~\\&|EHR\rPID|1\r\x1c\r";
const ACK: &[u8] = b"\x0bMSH|^~\\&|ENGINE\rMSA|AA|1\r\x1c\r";

fn fin(seq: u32) -> Segment<'static> {
    Segment { fin: true, ..segment(seq, b"") }
}

#[test]
fn from_its_opening_to_its_end() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"ab"));
    rig.take(&fin(103)).take(&back(Segment { ack: Some(104), ..segment(9_001, b"c") }));
    rig.take(&back(Segment { ack: Some(104), ..fin(9_002) }));
    let expected = [
        "opened 10.0.0.9:50000 10.0.0.5:6661",
        "ToReceiver 0 ab",
        "end ToReceiver 2",
        "ToSender 0 c",
        "end ToSender 1",
        "Closed",
    ];
    assert_eq!(rig.told(), expected);
    // Echoes: the last ACK, a retransmitted FIN, a late reset.
    rig.take(&segment(104, b"")).take(&fin(103));
    rig.take(&Segment { rst: true, ..segment(104, b"") });
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.table.facts.connections, 1);
}

#[test]
fn a_fin_waits_for_what_stands_before_it() {
    let mut rig = Rig::new();
    rig.open(100).told();
    rig.take(&fin(103)).take(&segment(101, b"ab"));
    assert_eq!(rig.told(), ["ToReceiver 0 ab", "end ToReceiver 2"]);
}

#[test]
fn what_is_missing_at_a_reset_is_told_before_it() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"ab")).told();
    rig.take(&back(Segment { seq: 9_001, ack: Some(110), ..segment(0, b"") }));
    rig.take(&Segment { rst: true, ..segment(110, b"") });
    assert_eq!(rig.told(), ["lost 7", "Reset { by: Sender }"]);
}

#[test]
fn refused_unreachable_and_reset() {
    let mut rig = Rig::new();
    let reset = Segment { rst: true, ..segment(0, b"") };
    rig.take(&syn(100)).take(&back(reset)).take(&back(reset));
    assert_eq!(rig.told(), [format!("refused {}", client())]);
    // The same ports again: a new attempt, which nobody answers.
    rig.take(&syn(200)).take(&syn(200)).wait(2);
    assert_eq!(rig.told(), [""; 0], "a copy of a packet is no second attempt");
    rig.take(&syn(200)).wait(2).take(&syn(200)).wait(9);
    assert_eq!(rig.told(), [format!("unreachable {}", client())]);
    assert_eq!(rig.table.facts.refused[&server()], (1, 1));
    // Late, but there.
    rig.take(&back(Segment { syn: true, ack: Some(201), ..segment(9_000, b"") })).told();
    rig.take(&segment(201, b"x"));
    rig.take(&back(Segment { rst: true, ..segment(9_001, b"") }));
    assert_eq!(rig.told(), ["ToReceiver 0 x", "Reset { by: Receiver }"]);
    rig.open(300).told();
    rig.take(&Segment { rst: true, ..segment(301, b"") });
    assert_eq!(rig.told(), ["Reset { by: Sender }"]);
}

#[test]
fn an_attempt_that_was_made_once_and_a_capture_that_ends_are_no_failure() {
    let mut rig = Rig::new();
    rig.take(&syn(100)).flush().wait(30);
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn taken_ports_begin_a_new_connection() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"old")).told();
    rig.open(5_000).take(&segment(5_001, b"new"));
    let expected = ["Closed", "opened 10.0.0.9:50000 10.0.0.5:6661", "ToReceiver 0 new"];
    assert_eq!(rig.told(), expected);
}

#[test]
fn who_accepted_a_connection_shows_in_what_goes_over_it() {
    // Listening on the higher port, so that the ports would say the opposite.
    let (sender, receiver) = (client(), SocketAddr::from(([10, 0, 0, 5], 60_000)));
    let to = |payload| Segment { from: sender, to: receiver, ..segment(1_000, payload) };
    let from =
        |payload| Segment { from: receiver, to: sender, ack: None, ..segment(9_001, payload) };
    for (first, expected) in [(to(MESSAGE), "ToReceiver"), (from(ACK), "ToSender")] {
        let mut rig = Rig::new();
        rig.table.places.add(receiver).unwrap();
        rig.take(&first);
        let told = rig.told();
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        assert_eq!(rig.table.facts.picked_up, 1);
    }
    // Nothing tells: the lower port accepted.
    let mut rig = Rig::new();
    rig.take(&back(segment(1_000, b"\x0bhalf a frame"))).flush();
    assert_eq!(rig.told(), ["ToSender 1 \u{b}half a frame"]);
}

#[test]
fn a_known_receiver_is_known_again() {
    let mut rig = Rig::new();
    rig.open(100).told();
    let other = SocketAddr::from(([10, 0, 0, 8], 1_024));
    rig.take(&Segment { from: other, ..segment(1, b"tail of a message") });
    assert_eq!(rig.told(), ["ToReceiver 1 tail of a message"]);
}

#[test]
fn endpoints_are_learned_from_what_looks_like_mllp() {
    let mut rig = Rig::default();
    rig.table.places.learning = true;
    rig.open(100).take(&segment(101, b"GET / HTTP/1.1\r\n"));
    assert_eq!(rig.told(), [""; 0]);
    rig.take(&segment(117, MESSAGE));
    assert_eq!(rig.told().len(), 1);
    assert_eq!(rig.table.places.list[0].address, server());
    assert_eq!(rig.table.settled().not_mllp, 1, "no framer has called it a frame");
    rig.table.spoke(1);
    assert_eq!(rig.table.settled().not_mllp, 0);
}

#[test]
fn too_many_connections_drop_the_oldest() {
    let mut rig = Rig::new();
    rig.open(100);
    for number in 0..u32::try_from(super::super::CONNECTIONS_MAX).unwrap() {
        let ip = (0x0B00_0000 + number).to_be_bytes();
        rig.take(&Segment { from: SocketAddr::from((ip, 50_000)), ..syn(1) });
    }
    assert_eq!(rig.table.facts.shed, 1);
    assert!(rig.told().contains(&"forget 1".to_owned()));
}
