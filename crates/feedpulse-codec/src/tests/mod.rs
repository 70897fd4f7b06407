//! Round trips of random values, mutated bytes, limits, and the layout of version 1 as it stands.

mod any;
mod engine;

use crate::{
    Block, DecodeError, Fault, LAYOUT_VERSION, OTHER_NAME, Reader, Wire, decode, decode_block,
    encode, encode_block, put_varint,
};
use any::{Any, NAMES, Rng};
use core::fmt::Debug;
use feedpulse_core::codes::Code;
use feedpulse_core::defect::DefectCode;
use feedpulse_core::effect::{IncidentChange, Rollup};
use feedpulse_core::finding::Evidence;
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::hist::Histogram;
use feedpulse_core::input::Input;
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::sighting::{AckCode, AckSeen, LinkEvent, ReasonClass, Seen, Sighting};
use feedpulse_core::tap::Position;
use feedpulse_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Puts and takes random values of one type; the second bytes must equal the first.
fn round_trips<T: Any + Wire + PartialEq + Debug>(seed: u64, times: usize) {
    let mut rng = Rng(seed);
    for round in 0..times {
        let value: T = rng.any();
        let bytes = encode(&value);
        let back: T = decode(&bytes, NAMES).unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert_eq!(back, value, "seed {seed} round {round}");
        assert_eq!(encode(&back), bytes, "seed {seed} round {round}");
    }
}

#[test]
fn random_values_round_trip() {
    round_trips::<Input>(1, 4_000);
    round_trips::<IncidentChange>(2, 500);
    round_trips::<crate::LedgerRows>(9, 300);
    round_trips::<Rollup>(3, 500);
    round_trips::<Position>(4, 500);
    round_trips::<Histogram>(5, 200);
    round_trips::<Option<Vec<(u64, u128)>>>(6, 500);
    round_trips::<ControlId>(7, 500);
}

#[test]
fn collections_round_trip() {
    let map: BTreeMap<u32, String> = [(9, "nine".into()), (1, String::new())].into();
    let set: BTreeSet<(i64, u8)> = [(-5, 1), (i64::MAX, 0), (i64::MIN, 2)].into();
    let queue: VecDeque<Box<Option<i32>>> = [Box::new(None), Box::new(Some(-7))].into();
    let all = (map, set, queue, ([1_u64, 2, u64::MAX], 0.25, true));
    type All = (
        BTreeMap<u32, String>,
        BTreeSet<(i64, u8)>,
        VecDeque<Box<Option<i32>>>,
        ([u64; 3], f64, bool),
    );
    assert_eq!(decode::<All>(&encode(&all), NAMES), Ok(all));
}

fn random_block(seed: u64) -> Block {
    let mut rng = Rng(seed);
    Block {
        first_seq: rng.next() >> 8,
        inputs: (0..rng.below(6)).map(|_| rng.any()).collect(),
        positions: rng.any(),
    }
}

fn bytes_of(block: &Block) -> Vec<u8> {
    encode_block(block.first_seq, &block.inputs, &block.positions)
}

#[test]
fn blocks_round_trip() {
    for seed in 0..500 {
        let block = random_block(seed);
        assert_eq!(decode_block(&bytes_of(&block), NAMES), Ok(block), "seed {seed}");
    }
}

/// Any bytes decode or fail in order; what decodes is what its own encoding says.
#[test]
fn mutated_bytes_never_panic() {
    let mut accepted = 0;
    for seed in 0..20_000 {
        let mut rng = Rng(seed ^ 0xfeed);
        let mut bytes = bytes_of(&random_block(seed % 64));
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len());
            match rng.below(4) {
                0 => bytes[at] = rng.any(),
                1 => bytes[at] ^= 1 << rng.below(8),
                2 => bytes.insert(at, [0xff, 0x7f, 0x80, 0][rng.below(4)]),
                _ => bytes.truncate(at.max(3)),
            }
        }
        match decode_block(&bytes, NAMES) {
            // An unlisted evidence name is not in a block, so the encoding is the same bytes.
            Ok(block) => {
                accepted += 1;
                assert_eq!(bytes_of(&block), bytes, "seed {seed}");
            }
            Err(error) => {
                assert!(error.offset <= bytes.len(), "seed {seed}: {error}");
                assert!(!error.what.is_empty(), "seed {seed}: {error}");
            }
        }
    }
    assert!(accepted > 100, "some mutations change only a number: {accepted}");
}

#[test]
fn random_bytes_never_panic() {
    for seed in 0..20_000 {
        let mut rng = Rng(seed);
        let mut bytes = LAYOUT_VERSION.to_le_bytes().to_vec();
        bytes.extend((0..rng.below(200)).map(|_| u8::try_from(rng.below(10)).unwrap()));
        let _ = decode_block(&bytes, NAMES);
        let _ = decode::<IncidentChange>(&bytes, NAMES);
        let _ = decode::<Histogram>(&bytes, NAMES);
        let _ = decode::<Rollup>(&bytes, NAMES);
    }
}

#[test]
fn every_cut_is_an_error() {
    let bytes = bytes_of(&random_block(5));
    assert!(bytes.len() > 100, "the sample holds something");
    for cut in 0..bytes.len() {
        let error = decode_block(&bytes[..cut], NAMES).unwrap_err();
        assert!(error.offset <= cut, "cut {cut}: {error}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let fault = decode_block(&longer, NAMES).unwrap_err();
    assert_eq!((fault.fault, fault.offset), (Fault::Trailing, bytes.len()));
}

fn take<T: Wire>(bytes: &[u8]) -> Result<T, Fault> {
    Reader::new(bytes, NAMES).field("T").map_err(|error: DecodeError| error.fault)
}

#[test]
fn hostile_lengths_and_values_are_refused() {
    let mut huge = Vec::new();
    put_varint(u64::MAX, &mut huge);
    assert_eq!(take::<Vec<u64>>(&huge).unwrap_err(), Fault::TooLong);
    assert_eq!(take::<String>(&huge).unwrap_err(), Fault::TooLong);
    assert_eq!(take::<BTreeMap<u8, u8>>(&huge).unwrap_err(), Fault::TooLong);
    assert_eq!(take::<Label>(&huge).unwrap_err(), Fault::TooLong);
    assert_eq!(take::<u64>(&huge).unwrap(), u64::MAX);
    assert_eq!(take::<u32>(&huge).unwrap_err(), Fault::Invalid);
    assert_eq!(take::<u64>(&[0xff; 11]).unwrap_err(), Fault::Invalid, "more than 64 bits");
    assert_eq!(take::<u64>(&[0x80, 0]).unwrap_err(), Fault::Invalid, "not the shortest form");
    assert_eq!(take::<bool>(&[2]).unwrap_err(), Fault::UnknownTag(2));
    assert_eq!(take::<String>(&[1, 0xff]).unwrap_err(), Fault::NotUtf8);
    assert_eq!(take::<Label>(&[1, b'\n']).unwrap_err(), Fault::Invalid, "a label is printable");
    let mut long = vec![32];
    long.extend([b'a'; 32]);
    assert_eq!(take::<Label>(&long).unwrap_err(), Fault::Invalid, "a label is short");
    assert_eq!(take::<BTreeSet<u8>>(&[2, 5, 5]).unwrap_err(), Fault::Invalid, "twice the same");
    let nanos = [0, 0x80, 0x94, 0xeb, 0xdc, 0x03];
    assert_eq!(take::<core::time::Duration>(&nanos).unwrap_err(), Fault::Invalid, "10^9 ns");
    assert_eq!(take::<Code>(&[0]).unwrap_err(), Fault::UnknownTag(0));
    assert_eq!(take::<Histogram>(&[1, 3, 0, 0, 0]).unwrap_err(), Fault::Invalid, "a zero bucket");
}

#[test]
fn errors_say_what_and_where() {
    let input = Input::Alive(WaypointId(300));
    let version = LAYOUT_VERSION.to_le_bytes();
    let mut bytes = encode(&input);
    bytes[2] = 99;
    let error = decode::<Input>(&bytes, NAMES).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode Input at byte 2: unknown tag 99");
    let error = decode::<Sighting>(&[version[0], version[1], 1, 2], NAMES).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode Sighting.at at byte 2: the bytes end too early");
    let error = decode::<Input>(&[1, 0, 0], NAMES).unwrap_err();
    assert_eq!(error.fault, Fault::Version(1));
    assert!(error.to_string().contains("use the release that wrote it"), "{error}");
}

#[test]
fn unlisted_evidence_names_become_other() {
    let bytes = encode(&Evidence { name: "of_a_later_release", value: 1.5 });
    let evidence: Evidence = decode(&bytes, NAMES).unwrap();
    assert_eq!((evidence.name, evidence.value), (OTHER_NAME, 1.5));
}

/// Codes are stored by number: two with one number would read back as the first.
#[test]
fn code_numbers_are_unique() {
    for code in Code::ALL {
        assert_eq!(decode::<Code>(&encode(code), NAMES), Ok(*code));
    }
    for code in DefectCode::ALL {
        assert_eq!(decode::<DefectCode>(&encode(code), NAMES), Ok(*code));
    }
}

/// The bytes of version 10. When this fails the layout has changed: raise `LAYOUT_VERSION`.
#[test]
fn version_10_is_these_bytes() {
    let ack = Input::Seen(Sighting {
        at: Timestamp::from_micros(1_700_000_000_123_456),
        waypoint: WaypointId(1),
        connection: ConnectionId(300),
        what: Seen::Ack(AckSeen {
            direction: Direction::ToSender,
            code: AckCode::AE,
            ack_key: Some(MessageKey::from_u128(0xabcd)),
            acked: ControlId::from_bytes(b"M7"),
            reason: ReasonClass::UnknownKey,
            error_code: Label::from("204"),
            defects: Vec::new(),
            software: None,
        }),
    });
    let link = Input::Seen(Sighting {
        at: Timestamp::EPOCH,
        waypoint: WaypointId(0),
        connection: ConnectionId(1),
        what: Seen::Link(LinkEvent::Closed { bytes: 128 }),
    });
    let at = Timestamp::from_micros(-1);
    let position = Position { tap: "k".into(), lane: "t/0".into(), epoch: 1, offset: 5 };
    let bytes = encode_block(7, &[(at, ack), (at, link), (at, Input::Tick)], &[position]);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "0a000703",                                                 // version 10, seq 7, 3 inputs
        "ffffffffffffffff01",                                       // at -1 µs: Seen
        "40222018240a060001ac02", // at, waypoint 1, connection 300
        "01010101cdab0000000000000000000000000000024d370303323034", // the ACK
        "0000",                   // no defects, no software
        "ffffffffffffffff01",     // at -1 µs: Seen
        "0000000000000000000103048001", // the link event
        "ffffffffffffffff06",     // at -1 µs: Tick
        "01016b03742f300100000000000000000000000000000005", // one position
    ];
    assert_eq!(hex, expected.concat());
}
