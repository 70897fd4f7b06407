//! Frame to sightings: total, and without an allocation for a clean message once warm.

use crate::facility::FacilityPath;
use crate::index::{Index, Message, Notes, valued};
use crate::orders::Groups;
use crate::path::TypeMatch;
use crate::shape::Shaper;
use crate::text::unescape;
use crate::walk::{Unit, walk};
use crate::{ack, facts, keys, times, urgency};
use feedpulse_core::defect::{DefectCode, Verdict};
use feedpulse_core::frame::{Direction, Frame, TraceParent};
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::sighting::{
    AckCondition, AckMode, BatchSeen, MessageSeen, Seen, Sighting, UnreadableSeen,
};
use jiff::tz::TimeZone;

pub use crate::ack::{ReasonRules, RuleError};
pub use crate::keys::KeyRule;

/// How a waypoint's frames are decoded.
#[derive(Clone, Debug)]
pub struct DecodeConfig {
    /// The site's secret for keyed hashes.
    pub site_key: SiteKey,
    /// What identifies a message here.
    pub key_rule: KeyRule,
    /// Zone of times that state none. None = not known: such times give no event time.
    pub zone: Option<TimeZone>,
    /// Types that the site counts as critical, beyond the built-in rules.
    pub urgent_types: Vec<TypeMatch>,
    /// What the site adds to the dictionary of reasons.
    pub reasons: ReasonRules,
    /// Where a facility is told apart: MSH-4.1 unless the site names another field, for a central
    /// record system that sends for many. Empty there = MSH-4.1.
    pub facility: Option<FacilityPath>,
    /// Whether the shapes of messages are counted: now and then a sighting of its own behind a message.
    pub shapes: bool,
}

impl DecodeConfig {
    /// Control id rule, no zone, no types of its own, no shapes.
    #[must_use]
    pub fn new(site_key: SiteKey) -> Self {
        Self {
            site_key,
            key_rule: KeyRule::ControlId,
            zone: None,
            urgent_types: Vec::new(),
            reasons: ReasonRules::default(),
            facility: None,
            shapes: false,
        }
    }
}

/// What a frame held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Messages that are not ACKs.
    pub messages: u32,
    /// ACKs.
    pub acks: u32,
    /// Stretches that could not be read.
    pub unreadable: u32,
    /// Batch and file headers; the end of each batch is a sighting of its own.
    pub batches: u32,
}

impl core::ops::AddAssign for Decoded {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.acks += other.acks;
        self.unreadable += other.unreadable;
        self.batches += other.batches;
    }
}

/// Decodes frames; keeps its buffers.
#[derive(Debug)]
pub struct Decoder {
    config: DecodeConfig,
    index: Index,
    notes: Notes,
    scratch: Vec<u8>,
    shaper: Option<Shaper>,
}

impl Decoder {
    /// With a waypoint's configuration.
    #[must_use]
    pub fn new(config: DecodeConfig) -> Self {
        let shaper = config.shapes.then(Shaper::default);
        Self { config, index: Index::new(), notes: Notes::default(), scratch: Vec::new(), shaper }
    }

    /// Appends one sighting for each message, ACK and unreadable stretch of the frame, in order.
    pub fn decode(&mut self, frame: &Frame, out: &mut Vec<Sighting>) -> Decoded {
        self.decode_with(frame, out, &mut |_, _| {})
    }

    /// As [`Decoder::decode`]; `each` sees every readable message (ACKs too) while its bytes are at
    /// hand, for check rows, with its sighting. Messages only: an unreadable stretch has no fields.
    pub fn decode_with(
        &mut self,
        frame: &Frame,
        out: &mut Vec<Sighting>,
        each: &mut impl FnMut(&Message<'_>, &Sighting),
    ) -> Decoded {
        let Self { config, index, notes, scratch, shaper } = self;
        let mut decoded = Decoded::default();
        let (at, waypoint, connection) = (frame.at, frame.waypoint, frame.connection);
        // What was counted before the batch that is open.
        let (mut messages, mut acks) = (0, 0);
        walk(frame.bytes.expose(), index, notes, &mut |unit| {
            let what = match unit {
                Unit::Batch => {
                    decoded.batches += 1;
                    (messages, acks) = (decoded.messages, decoded.acks);
                    return;
                }
                Unit::BatchEnd(end) => Seen::Batch(BatchSeen {
                    direction: frame.direction,
                    id: hash_of(&config.site_key, end.id),
                    answers: hash_of(&config.site_key, end.answers),
                    messages: decoded.messages - messages,
                    acks: decoded.acks - acks,
                    declared: end.declared,
                }),
                Unit::Unreadable { start, end, notes } => {
                    decoded.unreadable += 1;
                    Seen::Unreadable(UnreadableSeen {
                        direction: frame.direction,
                        size: crate::index::narrow(end - start),
                        defects: notes.list().to_vec(),
                    })
                }
                Unit::Message(message, notes, batch) => {
                    let batch = hash_of(&config.site_key, batch);
                    let context = (frame.direction, frame.trace, batch);
                    let what = read(&message, context, config, notes, scratch);
                    let ack = matches!(what, Seen::Ack(_));
                    decoded.acks += u32::from(ack);
                    decoded.messages += u32::from(!ack);
                    let shape = match (&what, &mut *shaper) {
                        (Seen::Message(seen), Some(shaper)) => shaper.take(at, &message, seen),
                        _ => None,
                    };
                    let sighting = Sighting { at, waypoint, connection, what };
                    each(&message, &sighting);
                    out.push(sighting);
                    out.extend(shape.map(|shape| {
                        let what = Seen::Shape(Box::new(shape));
                        Sighting { at, waypoint, connection, what }
                    }));
                    return;
                }
            };
            out.push(Sighting { at, waypoint, connection, what });
        });
        decoded
    }
}

/// Keyed hash of a batch's control id; None when it has none.
fn hash_of(site: &SiteKey, id: &[u8]) -> Option<u64> {
    let id = id.trim_ascii();
    valued(id).then(|| site.short(facts::BATCH, &[id]))
}

/// Reads one indexed message.
pub(crate) fn read(
    message: &Message<'_>,
    (direction, trace, batch): (Direction, Option<TraceParent>, Option<u64>),
    config: &DecodeConfig,
    notes: &mut Notes,
    scratch: &mut Vec<u8>,
) -> Seen {
    check_header(message, notes);
    let is_ack = message.named(ack::MSA).next().is_some();
    if is_ack || message.first(message.header(9)) == b"ACK" {
        return Seen::Ack(ack::read(message, direction, config, notes, scratch));
    }
    let times = times::of(message, config.zone.as_ref(), notes);
    let groups = Groups::of(message);
    let site = &config.site_key;
    let msh9 = message.header(9);
    let raw_id = message.header(10).trim_ascii();
    let control_id =
        if valued(raw_id) { unescape(raw_id, message.delimiters(), scratch) } else { &[] };
    let ack_key = config.site_key.ack_key(control_id);
    let control_id = ControlId::from_bytes(control_id);
    let label = |n| Label::from_bytes(message.first(message.header(n)));
    let (bytes, msh) = (message.bytes(), message.segments().first());
    let body = msh.map_or(0, |msh| (msh.span.end - message.index.span.start) as usize);
    // A file and a wire differ in the last terminator; a resend must not.
    let body = bytes.get(body..).unwrap_or_default().trim_ascii_end();
    let mut also = Vec::new();
    let journey_key =
        keys::journey_key(message, &groups, &config.key_rule, site, scratch, &mut also);
    let defects = notes.list();
    Seen::Message(MessageSeen {
        direction,
        code: Label::from_bytes(message.first(msh9)),
        trigger: Label::from_bytes(keys::trigger(message)),
        sender: label(3),
        sender_facility: config
            .facility
            .and_then(|path| path.read(message))
            .unwrap_or_else(|| label(4)),
        receiver: label(5),
        receiver_facility: label(6),
        version: label(12),
        processing: processing(message),
        control_id,
        ack_key,
        journey_key,
        also,
        find: facts::find(message, &groups, site, scratch),
        batch,
        protocol: facts::protocol(message),
        order: facts::order(message, &groups, times.recorded, site),
        body: config.site_key.fingerprint(body),
        size: crate::index::narrow(bytes.len()),
        ack_mode: AckMode {
            accept: condition(message.header(15)),
            application: condition(message.header(16)),
        },
        event_time: times.event,
        withheld: times.withheld,
        made: times.made,
        urgency: urgency::of(message, &config.urgent_types),
        verdict: if defects.is_empty() { Verdict::Readable } else { Verdict::Odd },
        defects: defects.to_vec(),
        trace,
        software: facts::software(message),
    })
}

fn check_header(message: &Message<'_>, notes: &mut Notes) {
    let mut need = |n, code| {
        if !valued(message.header(n)) {
            notes.add(code, message.header_at(n));
        }
    };
    need(9, DefectCode::NoType);
    need(10, DefectCode::NoControlId);
    let version = message.first(message.header(12)).trim_ascii();
    if !is_version(version) {
        notes.add(DefectCode::NoVersion, message.header_at(12));
    }
    if valued(message.header(15)) != valued(message.header(16)) {
        notes.add(DefectCode::AckModeHalf, message.header_at(15));
    }
}

/// Table 0104.
fn is_version(version: &[u8]) -> bool {
    matches!(
        version,
        b"2.0"
            | b"2.0D"
            | b"2.1"
            | b"2.2"
            | b"2.3"
            | b"2.3.1"
            | b"2.3.2"
            | b"2.4"
            | b"2.5"
            | b"2.5.1"
            | b"2.6"
            | b"2.7"
            | b"2.7.1"
            | b"2.8"
            | b"2.8.1"
            | b"2.8.2"
            | b"2.9"
            | b"2.9.1"
    )
}

fn processing(message: &Message<'_>) -> u8 {
    match message.first(message.header(11)) {
        [one @ (b'P' | b'T' | b'D'), ..] => *one,
        _ => 0,
    }
}

fn condition(field: &[u8]) -> AckCondition {
    match field {
        b"AL" => AckCondition::Always,
        b"NE" => AckCondition::Never,
        b"ER" => AckCondition::OnError,
        b"SU" => AckCondition::OnSuccess,
        _ => AckCondition::Empty,
    }
}
