//! Segments in any order give the same bytes; what never comes is a gap.

use super::super::half::{HELD_MAX, Half, Piece};
use super::{Rig, back, segment};
use crate::capture::packet::Segment;

/// SplitMix64: what a seed makes is the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

fn stream(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

#[test]
fn a_stream_cut_shuffled_and_doubled_is_the_same_stream() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let length = 1 + random.below(4_000);
        let bytes = stream(&mut random, length);
        // Every tenth stream wraps around at 2^32.
        let isn = if seed % 10 == 0 { u32::MAX - 700 } else { 77 };
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < length {
            let end = (at + 1 + random.below(300)).min(length);
            pieces.push((at, end));
            // Retransmissions are cut elsewhere.
            if random.below(3) == 0 {
                pieces.push((at.saturating_sub(random.below(200)), end));
            }
            at = end;
        }
        for place in (1..pieces.len()).rev() {
            pieces.swap(place, random.below(place + 1));
        }
        let mut rig = Rig::new();
        rig.open(isn);
        for (from, to) in pieces {
            let seq = isn.wrapping_add(1).wrapping_add(u32::try_from(from).unwrap());
            rig.take(&segment(seq, &bytes[from..to]));
        }
        assert_eq!(rig.bytes[0], bytes, "seed {seed}");
        assert_eq!(rig.table.facts.gaps, 0, "seed {seed}");
    }
}

#[test]
fn first_bytes_win_where_segments_overlap() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(105, b"EEEE")).take(&segment(101, b"aaaaaaaaaaaa"));
    assert_eq!(rig.bytes[0], b"aaaaEEEEaaaa");
    rig.take(&segment(103, b"zzzzzzzzzzzz"));
    assert_eq!(rig.bytes[0], b"aaaaEEEEaaaazz");
}

#[test]
fn keep_alives_and_old_segments_change_nothing() {
    let mut rig = Rig::new();
    rig.open(100);
    rig.take(&segment(100, b"\0")).take(&segment(100, b"")).take(&segment(101, b"abc"));
    rig.take(&segment(103, b"x")).take(&segment(101, b"abc"));
    assert_eq!(rig.bytes[0], b"abc");
    assert_eq!(rig.table.facts.repeated, 3);
}

#[test]
fn what_the_other_side_has_and_nobody_captured_is_a_gap() {
    let mut rig = Rig::new();
    rig.open(100).take(&segment(101, b"abc")).take(&segment(109, b"xyz"));
    rig.wait(60);
    assert_eq!(rig.bytes[0], b"abc", "it may still come: nobody acknowledged it");
    rig.take(&back(Segment { seq: 9_001, ack: Some(112), ..segment(0, b"") }));
    assert_eq!(rig.bytes[0], b"abc", "packets of two interfaces may be out of order");
    rig.told();
    rig.wait(2);
    assert_eq!(rig.told(), ["lost 5", "ToReceiver 8 xyz"]);
    // The end of a stretch may be all that is missing.
    rig.take(&back(Segment { seq: 9_001, ack: Some(130), ..segment(0, b"") })).wait(2);
    assert_eq!(rig.told(), ["lost 18"]);
    rig.take(&segment(130, b"on"));
    assert_eq!(rig.told(), ["ToReceiver 29 on"]);
    assert_eq!((rig.table.facts.gaps, rig.table.facts.gap_bytes), (2, 23));
}

#[test]
fn a_packet_cut_by_the_snap_length_is_a_gap() {
    let mut rig = Rig::new();
    rig.open(100).told();
    rig.take(&Segment { length: 500, ..segment(101, b"head") }).take(&segment(601, b"next"));
    assert_eq!(rig.told(), ["ToReceiver 0 head", "lost 496", "ToReceiver 500 next"]);
    assert_eq!(rig.table.facts.cut_packets, 1);
}

#[test]
fn what_is_held_is_bounded() {
    let mut half = Half::default();
    half.begin(1, 0);
    let (piece, mut lost) = (vec![b'x'; 64 << 10], 0);
    // The first byte never comes.
    for number in 0..64_u32 {
        let seq = 2 + number * u32::try_from(piece.len()).unwrap();
        half.take(seq, &piece, piece.len(), &mut |out| {
            if let Piece::Lost(bytes) = out {
                lost += bytes;
            }
        });
        assert!(half.held_bytes() <= HELD_MAX);
    }
    assert_eq!(lost, 1);
}
