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
    rig.table.spoke(1, true);
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

fn quality(rig: &Rig) -> &crate::capture::Quality {
    &rig.table.places.list[0].quality
}

#[test]
fn what_is_sent_again_or_overtaken_is_counted_and_copies_are_not() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"abcd")).take(&segment(101, b"abcd"));
    // Lost before it was captured; what comes behind is first.
    rig.take(&segment(109, b"ijkl")).take(&segment(105, b"efgh"));
    rig.take(&back(segment(9_001, b"answer")));
    assert_eq!((quality(&rig).data, quality(&rig).again), ([4, 1], [2, 0]));
    // The same packet on a second interface.
    rig.at_us -= 990;
    rig.take(&back(segment(9_001, b"answer")));
    // A keep-alive.
    rig.take(&segment(112, b"l"));
    assert_eq!((quality(&rig).data, quality(&rig).again), ([4, 1], [2, 0]));
    assert_eq!(rig.bytes[0], b"abcdefghijkl");
}

#[test]
fn round_trips_are_timed_from_data_to_its_ack_and_never_of_what_was_sent_again() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"abcd"));
    rig.at_us += 4_000;
    rig.take(&back(Segment { ack: Some(105), ..segment(9_001, b"") }));
    let trips = &quality(&rig).round_trips;
    assert_eq!((trips[1].count(), trips[1].max(), trips[0].count()), (1, Some(5_000), 0));
    rig.take(&segment(105, b"efgh")).take(&segment(105, b"efgh"));
    rig.take(&back(Segment { ack: Some(109), ..segment(9_001, b"") }));
    assert_eq!(quality(&rig).round_trips[1].count(), 1);
    rig.take(&back(Segment { ack: Some(109), ..segment(9_001, b"x") }));
    rig.take(&Segment { ack: Some(9_002), ..segment(109, b"") });
    assert_eq!(quality(&rig).round_trips[0].count(), 1);
}

#[test]
fn a_side_that_has_no_room_is_counted_once_and_timed() {
    let mut rig = Rig::new();
    rig.open(100);
    let full = Segment { window: 0, ..segment(9_001, b"") };
    rig.take(&back(full)).take(&back(full));
    assert_eq!((quality(&rig).zero_windows, quality(&rig).zero_window_us), ([0, 1], [0, 0]));
    rig.at_us += 998_000;
    rig.take(&back(segment(9_001, b"")));
    assert_eq!(
        (quality(&rig).zero_windows, quality(&rig).zero_window_us),
        ([0, 1], [0, 1_000_000])
    );
}

#[test]
fn a_side_that_says_nothing_is_gone_and_then_given_up() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"abcd"));
    rig.take(&back(Segment { ack: Some(105), ..segment(9_001, b"") })).told();
    rig.take(&segment(105, b"lost"));
    for _ in 0..2 {
        rig.wait(4).take(&segment(105, b"lost"));
    }
    assert_eq!(rig.told(), ["ToReceiver 4 lost"], "not long enough, nor often enough");
    rig.wait(4).take(&segment(105, b"lost")).take(&segment(105, b"lost"));
    let told = rig.told();
    assert!(told.len() == 1 && told[0].starts_with("HalfOpen { side: Receiver"), "{told:?}");
    assert_eq!(quality(&rig).half_open, [0, 1]);
    rig.take(&Segment { rst: true, ..segment(109, b"") });
    assert_eq!(rig.told(), ["TimedOut { side: Receiver }"]);
    // One that answers, however late, is there.
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"abcd"));
    for _ in 0..9 {
        rig.wait(4).take(&segment(101, b"abcd")).take(&back(segment(9_001, b"")));
    }
    rig.take(&Segment { rst: true, ..segment(105, b"") });
    assert_eq!(rig.told()[3..], ["Reset { by: Sender }"]);
}

#[test]
fn endpoints_may_be_told_by_port_and_block_alone() {
    use crate::capture::Endpoints;
    use feedpulse_core::plan::PeerNet;
    let mut rig = Rig::default();
    let nets = vec![PeerNet::parse("10.9.0.0/16").unwrap()];
    rig.table.places.add_all(Endpoints { port: 6_661, nets }).unwrap();
    rig.open(100).take(&segment(101, b"elsewhere"));
    assert_eq!(rig.told(), [""; 0]);
    rig.table.places.add_all(Endpoints { port: 6_661, nets: Vec::new() }).unwrap();
    // Picked up in the middle: the port says who listens, before any content does.
    let other = SocketAddr::from(([10, 0, 0, 8], 1_024));
    rig.take(&Segment { from: server(), to: other, ..segment(1, b"tail") });
    assert_eq!(rig.told(), ["ToSender 1 tail"]);
    assert_eq!(rig.table.places.list[1].address, server());
}

#[test]
fn live_an_answer_ends_the_wait_for_what_it_answers() {
    let ack = |ack, payload| back(Segment { ack: Some(ack), ..segment(9_001, payload) });
    for in_order in [false, true] {
        let mut rig = Rig::new();
        rig.table.in_order = in_order;
        rig.open(100).take(&segment(101, b"one")).told();
        // What came between is not captured.
        rig.take(&segment(107, b"three")).take(&ack(112, b""));
        assert_eq!(rig.told(), [""; 0], "it may still come");
        rig.take(&ack(112, b"answer"));
        let held = ["lost 3", "ToReceiver 6 three", "ToSender 0 answer"];
        let expected = if in_order { &held[..] } else { &held[2..] };
        assert_eq!(rig.told(), expected);
    }
}
