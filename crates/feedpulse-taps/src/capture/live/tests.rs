//! The kernel's filter, run by a small machine of the same instructions, and how what it lets through
//! is read.

use super::filter::{Instruction, PORTS_MAX, program};
use super::{Counted, Numbers};
use crate::capture::packet::{Datagram, Passed, datagram as datagram_segment};
use crate::capture::{Capture, Endpoints, Limits};
use etherparse::PacketBuilder;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Point, Value};
use feedpulse_core::tap::Tapped;

/// A packet as the kernel's filter sees it.
struct Packet {
    bytes: Vec<u8>,
    protocol: u32,
    kind: u8,
    interface: u32,
}

const OUT: u8 = libc::PACKET_OUTGOING;
const IN: u8 = libc::PACKET_HOST;

/// Runs a program of classic BPF (bpf(4)); how many bytes it lets through.
fn run(program: &[Instruction], packet: &Packet) -> u32 {
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
    let half = |at: u32| {
        let at = usize::try_from(at).unwrap();
        packet.bytes.get(at..at + 2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]])))
    };
    loop {
        let Instruction { code, yes, no, k } = program[at];
        at += 1;
        // A load beyond the packet's end drops it.
        let loaded = match code {
            0x20 => Some(match k.wrapping_sub(libc::SKF_AD_OFF.cast_unsigned()) {
                0 => packet.protocol,
                4 => u32::from(packet.kind),
                8 => packet.interface,
                other => panic!("{other}"),
            }),
            0x28 => half(k),
            0x48 => half(x + k),
            0x30 => packet.bytes.get(usize::try_from(k).unwrap()).map(|b| u32::from(*b)),
            0xB1 => {
                let Some(byte) = packet.bytes.get(usize::try_from(k).unwrap()) else { return 0 };
                x = u32::from(byte & 0xF) * 4;
                continue;
            }
            0x01 => {
                x = k;
                continue;
            }
            0x07 => {
                x = a;
                continue;
            }
            0x87 => Some(x),
            0x04 => Some(a + k),
            0x54 => Some(a & k),
            0x05 => {
                at += usize::try_from(k).unwrap();
                continue;
            }
            0x15 | 0x45 => {
                let holds = if code == 0x15 { a == k } else { a & k != 0 };
                at += usize::from(if holds { yes } else { no });
                continue;
            }
            0x06 => return k,
            other => panic!("{other:#x}"),
        };
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
    }
}

fn ipv4(from: u16, to: u16) -> Packet {
    let builder = PacketBuilder::ipv4([10, 0, 0, 9], [10, 0, 0, 5], 64).tcp(from, to, 1, 1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"xy").unwrap();
    Packet { bytes, protocol: 0x0800, kind: IN, interface: 2 }
}

fn ipv6(from: u16, to: u16) -> Packet {
    let builder = PacketBuilder::ipv6([9; 16], [5; 16], 64).tcp(from, to, 1, 1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"xy").unwrap();
    Packet { bytes, protocol: 0x86DD, ..ipv4(0, 0) }
}

fn tagged(packet: Packet) -> Packet {
    let mut bytes = vec![0x40, 7];
    bytes.extend(u16::try_from(packet.protocol).unwrap().to_be_bytes());
    bytes.extend(packet.bytes);
    Packet { bytes, protocol: 0x8100, ..packet }
}

#[test]
fn tcp_of_the_ports_passes_whatever_stands_before_it() {
    let filter = program(&[6_661, 6_662], &[]);
    for make in [ipv4, ipv6] {
        for (from, to, passes) in
            [(50_000, 6_661, true), (6_662, 50_000, true), (50_000, 80, false), (80, 443, false)]
        {
            assert_eq!(run(&filter, &make(from, to)) > 0, passes, "{from} {to}");
            assert_eq!(run(&filter, &tagged(make(from, to))) > 0, passes, "tagged {from} {to}");
            // On the way out the tag is not seen, but its protocol is.
            let out = Packet { protocol: 0x88A8, kind: OUT, ..make(from, to) };
            assert_eq!(run(&filter, &out) > 0, passes, "out {from} {to}");
        }
    }
    // Options before the ports.
    let mut long = ipv4(50_000, 6_661);
    long.bytes[0] = 0x46;
    long.bytes.splice(20..20, [1, 1, 1, 0]);
    assert!(run(&filter, &long) > 0);
}

#[test]
fn what_is_not_tcp_is_dropped_and_what_has_no_ports_is_counted() {
    let filter = program(&[6_661], &[]);
    let mut udp = ipv4(50_000, 6_661);
    udp.bytes[9] = 17;
    assert_eq!(run(&filter, &udp), 0);
    let mut later = ipv4(1, 2);
    later.bytes[7] = 9;
    assert!(run(&filter, &later) > 0, "a later part of a datagram");
    later.bytes[9] = 17;
    assert_eq!(run(&filter, &later), 0);
    let mut hops = ipv6(1, 2);
    hops.bytes[6] = 0;
    assert!(run(&filter, &hops) > 0, "extension headers");
    let arp = Packet { protocol: 0x0806, ..ipv4(50_000, 6_661) };
    assert_eq!(run(&filter, &arp), 0);
    for cut in 0..23 {
        let mut short = ipv4(50_000, 6_661);
        short.bytes.truncate(cut);
        assert_eq!(run(&filter, &short), 0, "{cut} bytes");
    }
}

#[test]
fn interfaces_are_told_apart_and_loopback_is_seen_once() {
    let on = |interface, kind| Packet { interface, kind, ..ipv4(50_000, 6_661) };
    let all = program(&[6_661], &[]);
    assert!(run(&all, &on(2, OUT)) > 0 && run(&all, &on(7, IN)) > 0);
    assert_eq!(run(&all, &on(1, OUT)), 0);
    assert!(run(&all, &on(1, IN)) > 0);
    let some = program(&[6_661], &[1, 3]);
    assert!(run(&some, &on(3, OUT)) > 0 && run(&some, &on(1, IN)) > 0);
    assert_eq!((run(&some, &on(2, IN)), run(&some, &on(1, OUT))), (0, 0));
}

#[test]
fn the_longest_program_is_one_that_the_kernel_takes() {
    let ports: Vec<u16> = (1..=u16::try_from(PORTS_MAX).unwrap()).collect();
    let interfaces: Vec<u32> = (1..=64).collect();
    let filter = program(&ports, &interfaces);
    // BPF_MAXINSNS.
    assert!(filter.len() <= 4_096, "{}", filter.len());
    let last = Packet { interface: 64, ..ipv4(50_000, 512) };
    assert!(run(&filter, &last) > 0);
}

fn read(packet: &Packet, unchecked: bool) -> Result<(String, u16, usize), Passed> {
    let datagram = Datagram {
        ether_type: u16::try_from(packet.protocol).unwrap(),
        outgoing: packet.kind == OUT,
        bytes: &packet.bytes,
        original: packet.bytes.len(),
        unchecked,
    };
    let segment = datagram_segment(&datagram)?;
    let text = String::from_utf8_lossy(segment.payload).into_owned();
    Ok((text, segment.to.port(), segment.length))
}

#[test]
fn what_passed_the_filter_is_read_whatever_stands_before_it() {
    for make in [ipv4, ipv6] {
        for packet in [
            make(50_000, 6_661),
            tagged(make(50_000, 6_661)),
            Packet { protocol: 0x8100, kind: OUT, ..make(50_000, 6_661) },
        ] {
            assert_eq!(read(&packet, true), Ok(("xy".to_owned(), 6_661, 2)));
        }
    }
}

#[test]
fn a_wrong_checksum_counts_only_where_somebody_must_look() {
    for make in [ipv4, ipv6] {
        let mut packet = make(50_000, 6_661);
        *packet.bytes.last_mut().unwrap() ^= 1;
        assert_eq!(read(&packet, true), Err(Passed::Checksum));
        assert!(read(&packet, false).is_ok(), "the network card will add it");
        // Without its end it cannot be checked.
        packet.bytes.pop();
        let datagram = Datagram {
            ether_type: u16::try_from(packet.protocol).unwrap(),
            outgoing: false,
            bytes: &packet.bytes,
            original: packet.bytes.len() + 1,
            unchecked: true,
        };
        let segment = datagram_segment(&datagram).map(|s| (s.payload.len(), s.length));
        assert_eq!(segment, Ok((1, 2)));
    }
}

#[test]
fn endpoints_of_one_waypoint_are_shown_together() {
    let ends = |port| Endpoints { port, nets: Vec::new() };
    let endpoints = [(ends(6_661), WaypointId(0)), (ends(6_662), WaypointId(0))];
    let part = Label::from("capture");
    let mut capture = Capture::now_at(&endpoints, Limits::default(), part, 7);
    let numbers = Numbers::new(vec!["in".to_owned(), "in".to_owned()]);
    assert!(numbers.families().is_empty(), "nothing is known yet");
    for port in [6_661, 6_662] {
        let packet = ipv4(50_000, port);
        let segment = Datagram {
            ether_type: 0x0800,
            outgoing: false,
            bytes: &packet.bytes,
            original: packet.bytes.len(),
            unchecked: true,
        };
        capture.arrive(1_000_000, &segment);
        capture.arrive(1_001_000, &segment);
    }
    numbers.set(&capture, Counted { packets: 4, dropped: 1 });
    let families = numbers.families();
    let shown = |name: &str| -> Vec<(String, f64)> {
        let family = families.iter().find(|family| family.name == name).unwrap();
        let point = |point: &Point| {
            let labels: Vec<&str> = point.labels.iter().map(|(_, value)| value.as_str()).collect();
            let Value::Number(number) = point.value else { panic!("{point:?}") };
            (labels.join(" "), number)
        };
        family.points.iter().map(point).collect()
    };
    assert_eq!(shown("feedpulse_capture_dropped_packets_total"), [(String::new(), 1.0)]);
    assert_eq!(shown("feedpulse_capture_connections"), [(String::new(), 2.0)]);
    assert_eq!(shown("feedpulse_capture_connections_total"), [("in".to_owned(), 2.0)]);
    // The first byte of a connection that was picked up shows whose it is; the next one is counted.
    let again = shown("feedpulse_capture_retransmits_total");
    assert_eq!(again, [("in sender".to_owned(), 2.0), ("in receiver".to_owned(), 0.0)]);
    let trips = families.iter().find(|f| f.name == "feedpulse_capture_round_trip_seconds");
    assert!(trips.unwrap().points.is_empty(), "what was not seen is absent");
}

#[test]
fn an_interval_that_nobody_saw_comes_before_what_came_behind_it() {
    let ends = Endpoints { port: 6_661, nets: Vec::new() };
    let part = Label::from("capture");
    let mut capture = Capture::now_at(&[(ends, WaypointId(3))], Limits::default(), part, 7);
    capture.alive(5_000_000);
    capture.blind_before(1_000_000, 4_000_000, 9);
    let items = capture.taken();
    let Tapped::Blind(blind) = &items[0] else { panic!("{items:?}") };
    assert_eq!((blind.waypoint, blind.records), (Some(WaypointId(3)), 9));
    assert_eq!((blind.from.as_micros(), blind.to.as_micros()), (1_000_000, 4_000_000));
    assert!(matches!(items[1..], [Tapped::Alive(WaypointId(3))]), "{items:?}");
    assert!(capture.taken().is_empty());
}
