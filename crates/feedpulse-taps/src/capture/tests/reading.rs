//! Capture files of every form, whole, cut off and damaged.

use super::super::packet::{Passed, segment};
use super::super::read::{Captured, Reader};
use super::super::{Capture, CaptureError, first_time, is_capture};
use etherparse::PacketBuilder;
use feedpulse_core::tap::Tapped;

/// A number in the byte order of a file.
fn word(big: bool, value: u32) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn half_word(big: bool, value: u16) -> [u8; 2] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn pcap_head(big: bool, magic: u32, link: u32) -> Vec<u8> {
    let version = [half_word(big, 2), half_word(big, 4)].concat();
    let rest = [word(big, 0), word(big, 0), word(big, 65_535), word(big, link)].concat();
    [&word(big, magic)[..], &version, &rest].concat()
}

fn pcap_packet(big: bool, secs: u32, fraction: u32, bytes: &[u8]) -> Vec<u8> {
    let length = word(big, u32::try_from(bytes.len()).unwrap());
    [&word(big, secs), &word(big, fraction), &length, &length, bytes].concat()
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = [body, &vec![0; body.len().next_multiple_of(4) - body.len()]].concat();
    let length = word(big, u32::try_from(padded.len() + 12).unwrap());
    [&word(big, kind)[..], &length, &padded, &length].concat()
}

fn section(big: bool) -> Vec<u8> {
    let body = [&word(big, 0x1A2B_3C4D)[..], &[0; 4], &[0xFF; 8]].concat();
    block(big, 0x0A0D_0D0A, &body)
}

/// An interface with its clock: an exponent, and seconds to add.
fn interface(big: bool, link: u16, exponent: u8, offset: i64) -> Vec<u8> {
    let seconds = if big { offset.to_be_bytes() } else { offset.to_le_bytes() };
    let option = |code, value: &[u8]| {
        let length = half_word(big, u16::try_from(value.len()).unwrap());
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [&half_word(big, code), &length, value, &padding].concat()
    };
    let options = [option(9, &[exponent]), option(14, &seconds), option(0, &[])].concat();
    let head = [half_word(big, link), half_word(big, 0)].concat();
    block(big, 1, &[&head[..], &word(big, 0), &options].concat())
}

fn enhanced(big: bool, interface: u32, ticks: u64, bytes: &[u8]) -> Vec<u8> {
    let length = word(big, u32::try_from(bytes.len()).unwrap());
    let high = word(big, u32::try_from(ticks >> 32).unwrap());
    let low = word(big, u32::try_from(ticks & 0xFFFF_FFFF).unwrap());
    block(big, 6, &[&word(big, interface), &high, &low, &length, &length, bytes].concat())
}

/// Time in µs, link type, bytes.
type Packets = Vec<(i64, i32, Vec<u8>)>;

fn packets(file: &[u8]) -> (Packets, Option<CaptureError>) {
    let mut found = Vec::new();
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (found, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(Captured { at_us, link, bytes, .. })) => {
                found.push((at_us, link, bytes.to_vec()));
            }
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for big in [false, true] {
        for (magic, fraction) in [(0xA1B2_C3D4, 250_000), (0xA1B2_3C4D, 250_000_000)] {
            let head = pcap_head(big, magic, 1);
            assert!(is_capture(&head));
            let file = [
                head,
                pcap_packet(big, 1_000, fraction, b"one"),
                pcap_packet(big, 1_001, 0, b"two"),
            ];
            let (found, error) = packets(&file.concat());
            assert!(error.is_none(), "{error:?}");
            let expected =
                [(1_000_250_000, 1, b"one".to_vec()), (1_001_000_000, 1, b"two".to_vec())];
            assert_eq!(found, expected, "{big} {magic:x}");
        }
    }
}

#[test]
fn pcapng_with_several_interfaces_and_clocks() {
    for big in [false, true] {
        let simple = [&word(big, 5)[..], b"fifth"].concat();
        let file = [
            section(big),
            interface(big, 1, 9, 0),
            interface(big, 113, 0x80 | 10, 100),
            enhanced(big, 0, 1_000_250_000_000, b"one"),
            enhanced(big, 1, 1_024 * 900 + 512, b"second"),
            // A name resolution block, and one that nobody knows.
            block(big, 4, &[0; 4]),
            block(big, 0x0BAD, b"anything"),
            block(big, 3, &simple),
            // A new section forgets the interfaces.
            section(big),
            interface(big, 276, 6, 0),
            enhanced(big, 0, 1_001_000_000, b"last"),
        ];
        let (found, error) = packets(&file.concat());
        assert!(error.is_none(), "{error:?}");
        let expected = [
            (1_000_250_000, 1, b"one".to_vec()),
            (1_000_500_000, 113, b"second".to_vec()),
            (1_000_500_000, 1, b"fifth".to_vec()),
            (1_001_000_000, 276, b"last".to_vec()),
        ];
        assert_eq!(found, expected, "{big}");
        assert_eq!(first_time(&file.concat()[..]), Some(1_000_250_000));
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let good = [pcap_head(false, 0xA1B2_C3D4, 1), pcap_packet(false, 1, 0, b"first")].concat();
    let next = pcap_packet(false, 2, 0, b"second");
    let cut = |bytes: usize| [&good[..], &next[..bytes]].concat();
    let with = |behind: &[u8]| [&good[..], behind].concat();
    let ng = [section(false), interface(false, 1, 6, 0)].concat();
    let cases: [(Vec<u8>, usize, &str); 10] = [
        (Vec::new(), 0, "empty"),
        (b"MSH|^~".to_vec(), 0, "neither a pcap"),
        (good[..20].to_vec(), 0, "file header begins at byte 0 and 4 bytes"),
        (cut(18), 1, "packet begins at byte 45 and 4 bytes"),
        (cut(7), 1, "packet begins at byte 45 and 9 bytes"),
        (with(&[0xFF; 40]), 1, "damaged at byte 45: a packet of over 16 MiB"),
        ([&ng[..], b"garbage garbage"].concat(), 0, "damaged at byte 72"),
        ([&ng[..], &enhanced(false, 7, 0, b"x")].concat(), 0, "does not describe"),
        ([&ng[..], &enhanced(false, 0, 0, b"cut off")[..20]].concat(), 0, "pcapng block begins at"),
        (section(false)[..8].to_vec(), 0, "pcapng block begins at byte 0"),
    ];
    for (file, before, says) in cases {
        let (found, error) = packets(&file);
        let error = error.unwrap().to_string();
        assert!(error.contains(says), "{error:?} does not say {says:?}");
        assert_eq!(found.len(), before, "{error}");
    }
}

#[test]
fn no_bytes_make_it_panic_or_run_for_ever() {
    let good = [
        section(true),
        interface(true, 1, 6, 0),
        enhanced(true, 0, 1, b"first"),
        enhanced(true, 0, 2, b"second"),
    ]
    .concat();
    for at in 0..good.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = packets(&bad);
            let _ = packets(&good[..at]);
            let mut capture = Capture::learning();
            let _ = capture.read(&bad[..], &mut |_| {});
            capture.end(&mut |_| {});
        }
    }
}

/// An Ethernet frame with a TCP segment.
fn ethernet(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4([10, 0, 0, 9], [10, 0, 0, 5], 64)
        .tcp(50_000, 6_661, 7, 1_000)
        .ack(8);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

fn decoded(link: i32, bytes: &[u8]) -> Result<(String, Vec<u8>, usize), Passed> {
    let captured = Captured { at_us: 0, link, bytes, original: bytes.len(), offset: 0 };
    segment(&captured).map(|s| (format!("{} {}", s.from, s.to), s.payload.to_vec(), s.length))
}

#[test]
fn link_layers_and_ip_versions() {
    let frame = ethernet(b"hello");
    let ip = &frame[14..];
    let v4 = "10.0.0.9:50000 10.0.0.5:6661";
    let expected = Ok((v4.to_owned(), b"hello".to_vec(), 5));
    let behind = |head: &[u8]| [head, ip].concat();
    let sll = [&[0; 14][..], &[8, 0]].concat();
    let sll2 = [&[8, 0][..], &[0; 18]].concat();
    let tagged = [&frame[..12], &[0x88, 0xA8, 0, 1, 0x81, 0, 0, 2], &frame[12..]].concat();
    for (link, bytes) in [
        (1, frame.clone()),
        (1, tagged),
        // A short frame is padded; the padding is no payload.
        (1, [&frame[..], &[0; 20]].concat()),
        (101, ip.to_vec()),
        (228, ip.to_vec()),
        (0, behind(&[2, 0, 0, 0])),
        (108, behind(&[0, 0, 0, 2])),
        (113, behind(&sll)),
        (276, behind(&sll2)),
    ] {
        assert_eq!(decoded(link, &bytes), expected, "link {link}");
    }
    let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(1, 2, 3, 4);
    let mut v6 = Vec::new();
    builder.write(&mut v6, b"six").unwrap();
    let (_, payload, length) = decoded(229, &v6).unwrap();
    assert_eq!((&payload[..], length), (&b"six"[..], 3));
    // Cut by a snap length: the header says how long it was.
    assert_eq!(decoded(1, &frame[..frame.len() - 2]).unwrap().1.len(), 3);
    assert_eq!(decoded(1, &frame[..frame.len() - 2]).unwrap().2, 5);
    assert_eq!(decoded(229, &v6[..v6.len() - 1]).unwrap().2, 3);
}

#[test]
fn what_is_not_a_segment_is_named() {
    let frame = ethernet(b"hello");
    let mut fragment = frame.clone();
    fragment[20] = 0x20;
    assert_eq!(decoded(1, &fragment), Err(Passed::Fragment));
    assert_eq!(decoded(1, &frame[..40]), Err(Passed::Undecodable));
    assert_eq!(decoded(1, &frame[..5]), Err(Passed::Undecodable));
    assert_eq!(decoded(147, &frame), Err(Passed::Link));
    let mut udp = Vec::new();
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([1; 4], [2; 4], 9).udp(1, 2);
    builder.write(&mut udp, b"x").unwrap();
    assert_eq!(decoded(1, &udp), Err(Passed::NotTcp));
}

#[test]
fn a_message_in_a_file_becomes_a_frame_at_its_time() {
    let message = b"\x0bMSH|^~\\&|EHR|A|||||ADT^A01|1|P|2.5\r\x1c\r";
    let file = [
        pcap_head(false, 0xA1B2_C3D4, 1),
        pcap_packet(false, 100, 500_000, &ethernet(message)),
        pcap_packet(false, 102, 0, b"rubbish"),
    ];
    let (mut seen, mut ticks) = (Vec::new(), Vec::new());
    let mut capture = Capture::learning();
    let read = capture.read(&file.concat()[..], &mut |step| {
        if step.tick {
            ticks.push(step.at.as_micros());
        }
        for item in step.items.drain(..) {
            if let Tapped::Frame(frame) = item {
                let parties = step.parties.of(frame.connection).unwrap();
                seen.push((frame.at.as_micros(), step.offset, parties.0.to_string()));
            }
        }
    });
    assert!(read.is_ok());
    assert_eq!(seen, [(100_500_000, 24, "10.0.0.5:6661".to_owned())]);
    assert_eq!(ticks, [101_000_000, 102_000_000]);
    let facts = capture.facts();
    assert_eq!((facts.packets, facts.segments, facts.undecodable), (2, 1, 1));
    assert_eq!(facts.times, Some((100_500_000, 102_000_000)));
    assert_eq!(capture.endpoints().len(), 1);
}
