//! One line about each message, for people and for scripts: header fields only, nothing of the
//! patient.

use crate::decode::{DecodeConfig, read};
use crate::index::{Index, Notes};
use crate::text::Charset;
use crate::walk::{Unit, walk};
use feedpulse_core::defect::{Defect, Verdict};
use feedpulse_core::frame::Direction;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::sighting::{AckCode, Seen, Urgency};
use feedpulse_core::time::EventTime;

/// What one message, ACK or unreadable stretch is.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Offset within the bytes that were inspected.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// How much of it can be used.
    pub verdict: Verdict,
    /// MSH-9 as it stands.
    pub msh9: Label,
    /// MSH-10.
    pub msh10: ControlId,
    /// MSH-12.1.
    pub msh12: Label,
    /// MSH-3.1.
    pub sender: Label,
    /// MSH-5.1.
    pub receiver: Label,
    /// The most trusted time of the event.
    pub event_time: Option<EventTime>,
    /// Segments.
    pub segments: u32,
    /// Canonical name of the declared character set; empty when none is declared.
    pub charset: &'static str,
    /// `CR`, `CRLF` or `LF`; empty when unreadable.
    pub terminator: &'static str,
    /// MSA-1, for ACKs.
    pub msa1: Option<AckCode>,
    /// MSA-2, for ACKs.
    pub msa2: Option<ControlId>,
    /// How urgent.
    pub urgency: Urgency,
    /// What is odd; offsets count from the start of the inspected bytes.
    pub defects: Vec<Defect>,
}

/// Inspects frames; keeps its buffers.
#[derive(Debug)]
pub struct Inspector {
    config: DecodeConfig,
    index: Index,
    notes: Notes,
    scratch: Vec<u8>,
}

impl Inspector {
    /// With the rules of a waypoint (zone and site's urgent types matter here).
    #[must_use]
    pub fn new(config: DecodeConfig) -> Self {
        Self { config, index: Index::new(), notes: Notes::default(), scratch: Vec::new() }
    }

    /// Appends one entry for each message and each unreadable stretch of a frame.
    pub fn inspect(&mut self, frame: &[u8], out: &mut Vec<Inspection>) {
        let Self { config, index, notes, scratch } = self;
        walk(frame, index, notes, &mut |unit| match unit {
            Unit::Batch | Unit::BatchEnd(_) => {}
            Unit::Unreadable { start, end, notes } => out.push(unreadable(start, end, notes)),
            Unit::Message(message, notes, _) => {
                let seen =
                    read(&message, (Direction::ToReceiver, None, None), config, notes, scratch);
                let component = |n| Label::from_bytes(message.first(message.header(n)));
                let mut entry = Inspection {
                    msh9: Label::from_bytes(message.header(9)),
                    msh10: ControlId::from_bytes(message.header(10)),
                    msh12: component(12),
                    sender: component(3),
                    receiver: component(5),
                    segments: crate::index::narrow(message.segments().len()),
                    charset: Charset::of(&message).name(),
                    terminator: message.terminator().name(),
                    ..unreadable(
                        message.index.span.start as usize,
                        message.index.span.end as usize,
                        notes,
                    )
                };
                entry.verdict =
                    if entry.defects.is_empty() { Verdict::Readable } else { Verdict::Odd };
                if let Seen::Message(seen) = &seen {
                    entry.event_time = seen.event_time;
                    entry.urgency = seen.urgency;
                }
                if let Seen::Ack(ack) = &seen {
                    entry.msa1 = Some(ack.code);
                    entry.msa2 = Some(ack.acked);
                }
                out.push(entry);
            }
        });
    }
}

fn unreadable(start: usize, end: usize, notes: &Notes) -> Inspection {
    Inspection {
        offset: start as u64,
        length: (end - start) as u64,
        verdict: Verdict::Unreadable,
        msh9: Label::EMPTY,
        msh10: ControlId::default(),
        msh12: Label::EMPTY,
        sender: Label::EMPTY,
        receiver: Label::EMPTY,
        event_time: None,
        segments: 0,
        charset: "",
        terminator: "",
        msa1: None,
        msa2: None,
        urgency: Urgency::Routine,
        defects: notes.list().to_vec(),
    }
}
