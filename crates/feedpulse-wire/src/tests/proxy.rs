//! The PROXY protocol: headers read, refused and written, alone and on the way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Dice, Rig, accept, read_all, receiver};
use crate::ProxyVersion;
use crate::proxy_header::{MAX_HEADER, Parsed, parse, write};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a header says when it is whole, with anything behind it.
fn said(header: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let mut with_stream = header.to_vec();
    with_stream.extend(b"\x0bMSH|");
    let Parsed::Whole { length, addresses } = parse(&with_stream) else {
        panic!("not whole: {:?}", parse(&with_stream));
    };
    assert_eq!(length, header.len());
    addresses
}

#[test]
fn what_is_written_is_read_at_every_cut() {
    let pairs = [
        ("192.0.2.1:56324", "198.51.100.7:2575"),
        ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
        ("192.0.2.1:56324", "[2001:db8::2]:2575"),
    ];
    for (source, destination) in pairs {
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let header = write(version, at(source), at(destination));
            let (from, to) = said(&header).unwrap();
            assert_eq!(from.ip().to_canonical(), at(source).ip());
            assert_eq!((from.port(), to), (at(source).port(), at(destination)));
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Parsed::Part, "{version:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn what_others_write_is_read() {
    // The examples of the protocol's text, §2.1 and §2.2.
    let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
    assert_eq!(said(line), Some((at("192.168.0.1:56324"), at("192.168.0.11:443"))));
    assert_eq!(said(b"PROXY UNKNOWN\r\n"), None);
    assert_eq!(said(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), None);
    let v2 = |command: u8, family: u8, block: &[u8]| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([command, family, (block.len() >> 8) as u8, block.len() as u8]);
        header.extend(block);
        header
    };
    assert_eq!(said(&v2(0x20, 0, &[])), None, "LOCAL");
    assert_eq!(said(&v2(0x21, 0x31, &[0; 216])), None, "a Unix socket");
    // With extensions behind the addresses.
    let block = [&[192, 0, 2, 1, 198, 51, 100, 1, 0, 80, 1, 0][..], &[4, 0, 3, 1, 2, 3]].concat();
    assert_eq!(said(&v2(0x21, 0x11, &block)), Some((at("192.0.2.1:80"), at("198.51.100.1:256"))));
}

#[test]
fn what_is_no_header_is_wrong_and_never_more_than_that() {
    let mut long = b"PROXY UNKNOWN ".to_vec();
    long.resize(107, b'x');
    let wrong: [&[u8]; 11] = [
        b"\x0bMSH|^~\\&|",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x01\x02\x03\x04",
        &long,
    ];
    for bytes in wrong {
        assert!(matches!(parse(bytes), Parsed::Wrong(_)), "{bytes:?}: {:?}", parse(bytes));
    }
    let too_long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &[0x10, 0]].concat();
    assert!(matches!(parse(&too_long), Parsed::Wrong(_)));
    let mut dice = Dice(5);
    let whole = write(ProxyVersion::V2, at("192.0.2.1:1"), at("192.0.2.2:2"));
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        let size = dice.below(40);
        bytes.extend(dice.bytes(size));
        let place = dice.below(bytes.len());
        bytes[place] = dice.roll() as u8;
        if let Parsed::Whole { length, .. } = parse(&bytes) {
            assert!(length <= bytes.len() && length <= MAX_HEADER);
        }
    }
}

#[test]
fn a_header_names_the_peer_and_is_no_part_of_the_stream() {
    let (listener, to) = receiver();
    let rig = Rig::with(to, |config| config.listeners[0].accept_proxy = true);
    let mut reader = rig.reader();
    for (id, version) in [(1, ProxyVersion::V1), (2, ProxyVersion::V2)] {
        let header = write(version, at("192.0.2.9:4444"), at("198.51.100.7:2575"));
        for cut in [0, 1, 11, header.len() - 1, header.len()] {
            // Once in the middle of the header, and the stream behind it at once.
            if cut > 0 && (id == 1) != (cut == 11) {
                continue;
            }
            let mut sender = rig.sender();
            sender.write_all(&header[..cut]).unwrap();
            std::thread::yield_now();
            sender.write_all(&[&header[cut..], b"\x0bMSH|first"].concat()).unwrap();
            let mut taken = accept(&listener);
            let mut start = [0; 10];
            taken.read_exact(&mut start).unwrap();
            assert_eq!(&start, b"\x0bMSH|first");
            drop((sender, taken));
        }
    }
    reader.until("4: Closed");
    let opened: Vec<_> = reader.events.iter().filter(|event| event.contains("Opened")).collect();
    assert!(opened.iter().all(|event| event.contains("peer: 192.0.2.9:4444")), "{opened:?}");
    assert_eq!(reader.bytes(1, crate::Direction::ToReceiver), b"\x0bMSH|first");
    rig.join();
}

#[test]
fn a_sender_without_the_header_is_reset_and_told() {
    let (listener, to) = receiver();
    let rig = Rig::with(to, |config| config.listeners[0].accept_proxy = true);
    let mut reader = rig.reader();
    for bytes in [&b"\x0bMSH|^~\\&|A"[..], b"PROXY TCP4 a b 1 2\r\n"] {
        let mut sender = rig.sender();
        sender.write_all(bytes).unwrap();
        assert_eq!(read_all(&mut sender), (Vec::new(), true));
    }
    reader.until("2: Refused");
    assert!(reader.events.iter().filter(|event| event.contains("by: Header")).count() == 2);
    // A balancer's probe is no fault, and no connection for the receiver.
    let probe = rig.sender();
    drop(probe);
    let mut sender = rig.sender();
    sender.write_all(b"PROXY UNKNOWN\r\nx").unwrap();
    let mut taken = accept(&listener);
    taken.read_exact(&mut [0]).unwrap();
    drop((sender, taken));
    reader.until("4: Closed");
    assert_eq!((rig.stat("refused_start"), rig.stat("refused")), (2, 2));
    rig.join();
}

#[test]
fn a_receiver_is_told_who_the_sender_is_before_anything_else() {
    let (listener, to) = receiver();
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let rig = Rig::with(to, |config| config.listeners[0].send_proxy = Some(version));
        let mut reader = rig.reader();
        let mut sender: TcpStream = rig.sender();
        let expected = write(version, sender.local_addr().unwrap(), rig.at);
        sender.write_all(b"\x0bMSH").unwrap();
        let mut taken = accept(&listener);
        let mut bytes = vec![0; expected.len() + 4];
        taken.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [&expected[..], b"\x0bMSH"].concat());
        drop((sender, taken));
        reader.until("1: Closed");
        assert_eq!(reader.bytes(1, crate::Direction::ToReceiver), b"\x0bMSH");
        rig.join();
    }
}
