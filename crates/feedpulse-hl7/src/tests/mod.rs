//! Tests over hand-written synthetic messages: each trap of real feeds, seen to be named.

mod canary;
mod deidentify;
mod facts;
mod files;
mod fuzz;
mod keys;
mod mllp;
mod samples;
mod traps;
mod values;

use crate::decode::{DecodeConfig, Decoded, Decoder};
use feedpulse_core::defect::DefectCode;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::key::SiteKey;
use feedpulse_core::sighting::{AckSeen, MessageSeen, Seen, Sighting};
use feedpulse_core::time::Timestamp;

pub(super) const ADT: &str = "MSH|^~\\&|EHR|NORTH|PORTAL|NORTH|20240311120000+0100||ADT^A01^ADT_A01|ID1|P|2.5.1|||AL|NE||UNICODE UTF-8\rEVN|A01|20240311115958\rPID|1||4711^^^NORTH^MR||Doe^Jane\rPV1|1|I|||||||||||||||||V99^^^NORTH";

pub(super) fn frame(bytes: &[u8]) -> Frame {
    Frame {
        bytes: Phi::new(bytes.to_vec()),
        at: Timestamp::from_secs(1_700_000_000),
        waypoint: WaypointId(0),
        connection: ConnectionId(1),
        direction: Direction::ToReceiver,
        trace: None,
    }
}

pub(super) fn config() -> DecodeConfig {
    DecodeConfig::new(SiteKey::new([7; 16]))
}

pub(super) fn decode_as(config: DecodeConfig, bytes: &[u8]) -> (Decoded, Vec<Sighting>) {
    let mut out = Vec::new();
    let decoded = Decoder::new(config).decode(&frame(bytes), &mut out);
    (decoded, out)
}

pub(super) fn decode(text: impl AsRef<[u8]>) -> (Decoded, Vec<Sighting>) {
    decode_as(config(), text.as_ref())
}

pub(super) fn message(text: impl AsRef<[u8]>) -> MessageSeen {
    message_as(config(), text.as_ref())
}

pub(super) fn message_as(config: DecodeConfig, bytes: &[u8]) -> MessageSeen {
    let (_, mut seen) = decode_as(config, bytes);
    assert_eq!(seen.len(), 1, "one sighting");
    match seen.remove(0).what {
        Seen::Message(message) => message,
        other => panic!("no message: {other:?}"),
    }
}

pub(super) fn ack(text: &str) -> AckSeen {
    match decode(text).1.remove(0).what {
        Seen::Ack(ack) => ack,
        other => panic!("no ACK: {other:?}"),
    }
}

/// All defects of a frame, in order.
pub(super) fn defects(text: impl AsRef<[u8]>) -> Vec<DefectCode> {
    let mut all = Vec::new();
    for sighting in decode(text).1 {
        let list = match sighting.what {
            Seen::Message(message) => message.defects,
            Seen::Ack(ack) => ack.defects,
            Seen::Unreadable(unreadable) => {
                assert!(!unreadable.defects.is_empty(), "an unreadable stretch says why");
                unreadable.defects
            }
            Seen::Batch(_) => continue,
            other => panic!("decoding gave {other:?}"),
        };
        all.extend(list.iter().map(|defect| defect.code));
    }
    all
}
