//! A record becomes frames and sightings. Total: what cannot be read is counted and says so.

use crate::config::{TopicConfig, TopicFormat, TopicRole};
use crate::reason;
use feedpulse_core::defect::{Defect, DefectCode};
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, TraceParent, WaypointId};
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_core::sighting::{
    DeadLetterSeen, MessageSeen, ReasonClass, Seen, Sighting, UnreadableSeen, Urgency,
};
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::MAX_MESSAGE;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::json::ValueFormat;
use rdkafka::message::{Headers, Message};

/// Reads the records of one topic.
pub(crate) struct TopicReader {
    config: TopicConfig,
    site: SiteKey,
    decoder: Decoder,
    scratch: Vec<Sighting>,
    records: Counter,
    bytes: Counter,
    tombstones: Counter,
    empty: Counter,
    oversized: Counter,
    undecodable: Counter,
}

/// Where and when a record stands.
#[derive(Clone, Copy)]
struct Place {
    at: Timestamp,
    connection: ConnectionId,
    trace: Option<TraceParent>,
}

impl TopicReader {
    pub(crate) fn new(
        config: TopicConfig,
        site: SiteKey,
        decode: DecodeConfig,
        registry: &Registry,
    ) -> Self {
        let topic = config.topic.clone();
        let unread = |why| {
            registry.counter(
                "feedpulse_kafka_unreadable_records_total",
                "Records whose value holds nothing that can be read, by reason.",
                "{record}",
                &[("topic", &topic), ("why", why)],
            )
        };
        let counter = |name, help, unit| registry.counter(name, help, unit, &[("topic", &topic)]);
        Self {
            site,
            decoder: Decoder::new(decode),
            scratch: Vec::new(),
            records: counter("feedpulse_kafka_records_total", "Records read.", "{record}"),
            bytes: counter("feedpulse_kafka_value_bytes_total", "Bytes of values read.", "By"),
            tombstones: unread("tombstone"),
            empty: unread("empty"),
            oversized: unread("oversized"),
            undecodable: unread("undecodable"),
            config,
        }
    }

    pub(crate) const fn waypoint(&self) -> WaypointId {
        self.config.waypoint
    }

    /// Appends what the record is.
    pub(crate) fn read(&mut self, record: &impl Message, at: Timestamp, out: &mut Vec<Tapped>) {
        let place = Place {
            at,
            connection: connection(record.topic(), record.partition()),
            trace: record.headers().and_then(trace),
        };
        let value = record.payload().unwrap_or_default();
        self.records.add(1);
        self.bytes.add(value.len() as u64);
        let result = match (record.payload(), &self.config.format) {
            (None, _) => Err((DefectCode::Empty, &self.tombstones)),
            (Some([]), _) => Err((DefectCode::Empty, &self.empty)),
            (Some(value), TopicFormat::Value(ValueFormat::Hl7))
                if value.len() > MAX_MESSAGE + 3 =>
            {
                Err((DefectCode::TooLarge, &self.oversized))
            }
            _ => Ok(()),
        };
        let defect = match result {
            Err((code, counter)) => {
                counter.add(1);
                Some(Defect { code, offset: 0 })
            }
            Ok(()) => {
                let failed = self.value(value, place, record, out).err();
                if let Some(defect) = failed {
                    let large = defect.code == DefectCode::TooLarge;
                    if large { &self.oversized } else { &self.undecodable }.add(1);
                }
                failed
            }
        };
        if let Some(defect) = defect {
            self.unreadable(value.len(), defect, place, record, out);
        }
    }

    fn value(
        &mut self,
        value: &[u8],
        place: Place,
        record: &impl Message,
        out: &mut Vec<Tapped>,
    ) -> Result<(), Defect> {
        let Place { at, connection, trace } = place;
        let waypoint = self.config.waypoint;
        let direction = direction(self.config.role);
        let frame = |bytes: &[u8]| {
            let bytes = Phi::new(bytes.to_vec());
            Frame { bytes, at, waypoint, connection, direction, trace }
        };
        match &self.config.format {
            TopicFormat::Receipt(format) => {
                for receipt in format.read(&self.site, value)? {
                    let what = Seen::Receipt(receipt.seen);
                    out.push(Tapped::Sighting(Sighting { at, waypoint, connection, what }));
                }
            }
            TopicFormat::Value(format) if self.config.role == TopicRole::DeadLetter => {
                let (decoder, scratch) = (&mut self.decoder, &mut self.scratch);
                scratch.clear();
                format.frames(value, &mut |bytes| {
                    decoder.decode(&frame(bytes), scratch);
                })?;
                let reason = reason::of_headers(record.headers());
                let mut letters = 0;
                for sighting in scratch.drain(..) {
                    if let Seen::Message(message) = sighting.what {
                        letters += 1;
                        let what = Seen::DeadLetter(letter(reason, Some(&message)));
                        out.push(Tapped::Sighting(Sighting { at, waypoint, connection, what }));
                    }
                }
                if letters == 0 {
                    // A dead letter all the same, although nobody can say about which message.
                    self.undecodable.add(1);
                    let what = Seen::DeadLetter(letter(reason, None));
                    out.push(Tapped::Sighting(Sighting { at, waypoint, connection, what }));
                }
            }
            TopicFormat::Value(format) => {
                format.frames(value, &mut |bytes| out.push(Tapped::Frame(frame(bytes))))?;
            }
        }
        Ok(())
    }

    fn unreadable(
        &self,
        size: usize,
        defect: Defect,
        place: Place,
        record: &impl Message,
        out: &mut Vec<Tapped>,
    ) {
        let what = if self.config.role == TopicRole::DeadLetter {
            Seen::DeadLetter(letter(reason::of_headers(record.headers()), None))
        } else {
            Seen::Unreadable(UnreadableSeen {
                direction: direction(self.config.role),
                size: u32::try_from(size).unwrap_or(u32::MAX),
                defects: vec![defect],
            })
        };
        let Place { at, connection, .. } = place;
        let waypoint = self.config.waypoint;
        out.push(Tapped::Sighting(Sighting { at, waypoint, connection, what }));
    }
}

const fn direction(role: TopicRole) -> Direction {
    match role {
        TopicRole::Ack => Direction::ToSender,
        TopicRole::Message | TopicRole::DeadLetter | TopicRole::Retry | TopicRole::Receipt => {
            Direction::ToReceiver
        }
    }
}

fn letter(reason: ReasonClass, message: Option<&MessageSeen>) -> DeadLetterSeen {
    DeadLetterSeen {
        journey_key: message.and_then(|message| message.journey_key),
        reason,
        code: message.map_or(Label::EMPTY, |message| message.code),
        sender: message.map_or(Label::EMPTY, |message| message.sender),
        urgency: message.map_or(Urgency::Routine, |message| message.urgency),
    }
}

/// The record's own timestamp, by whichever clock it was made; `now` when it has none.
pub(crate) fn timestamp(record: &impl Message, now: Timestamp) -> Timestamp {
    let millis = record.timestamp().to_millis().filter(|millis| *millis >= 0);
    millis.and_then(|ms| ms.checked_mul(1000)).map_or(now, Timestamp::from_micros)
}

/// The same for a partition in every process and version (FNV-1a of 64 bits over `topic/partition`).
pub(crate) fn connection(topic: &str, partition: i32) -> ConnectionId {
    let text = format!("{topic}/{partition}");
    ConnectionId(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}

/// A valid `traceparent` header (W3C Trace Context §3.2); the last one counts.
fn trace(headers: &impl Headers) -> Option<TraceParent> {
    let mut found = None;
    for header in headers.iter() {
        if header.key.eq_ignore_ascii_case("traceparent") {
            found = header.value.and_then(trace_parent);
        }
    }
    found
}

pub(crate) fn trace_parent(value: &[u8]) -> Option<TraceParent> {
    let text = core::str::from_utf8(value).ok()?.trim_ascii();
    let lower = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut parts = text.split('-');
    let mut part = |len: usize| parts.next().filter(|part| part.len() == len && lower(part));
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    // Version 00 ends here; later ones may go on.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some(TraceParent { trace_id, span_id, sampled: flags & 1 == 1 })
}
