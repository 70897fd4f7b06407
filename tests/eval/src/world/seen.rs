//! What a tap would show of it: the engine's sightings, made without HL7 bytes.

use super::{Msg, Reply, World};
use crate::event::Event;
use crate::history::{FaultKind, History};
use crate::rng::mix;
use feedpulse_core::defect::{Defect, DefectCode, Verdict};
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::order::OrderMarks;
use feedpulse_core::sighting::{
    AckMode, AckSeen, FindKeys, LinkEvent, MessageSeen, Protocol, ReasonClass, Seen, Sighting,
    UnreadableSeen,
};
use feedpulse_core::time::{EventTime, Precision, Timestamp};
use std::io::Write as _;

/// Labels of each feed, made once.
#[derive(Debug)]
pub(super) struct Labels(Vec<Names>);

#[derive(Debug)]
struct Names {
    sender: Label,
    kinds: Vec<(Label, Label)>,
    facilities: Vec<Label>,
}

impl Labels {
    pub(super) fn new(history: &History) -> Self {
        let names = |feed: &crate::history::Feed| Names {
            sender: feed.sender.as_str().into(),
            kinds: feed.types.iter().map(|(c, t)| (c.as_str().into(), t.as_str().into())).collect(),
            facilities: feed.facilities.iter().map(|f| f.as_str().into()).collect(),
        };
        Self(history.feeds.iter().map(names).collect())
    }
}

/// What stands for a keyed hash.
#[must_use]
pub(crate) fn key(number: u64, space: u64) -> MessageKey {
    let (low, high) = (mix(number.wrapping_mul(31).wrapping_add(space)), mix(number ^ mix(space)));
    MessageKey::from_u128((u128::from(high) << 64) | u128::from(low))
}

/// The key space of journeys; acks use their link's number.
pub(crate) const JOURNEYS: u64 = u64::MAX;

fn control_id(link: usize, number: u64) -> ControlId {
    let mut text = [0_u8; 24];
    let mut rest = &mut text[..];
    let whole = rest.len();
    // 20 digits, a letter and a digit fit.
    let _ = write!(rest, "L{link}N{number}");
    let used = whole - rest.len();
    ControlId::from_bytes(&text[..used])
}

fn stated(micros: i64) -> Option<EventTime> {
    let at = Timestamp::from_secs(micros.div_euclid(crate::civil::SECOND));
    Some(EventTime { at, precision: Precision::Second, zone_stated: true })
}

fn waypoint(link: usize) -> WaypointId {
    WaypointId(u16::try_from(link).unwrap_or(u16::MAX))
}

impl World<'_> {
    pub(super) fn link_event(&mut self, now: i64, lane: usize, connection: u64, event: LinkEvent) {
        let here = &self.lanes[lane];
        let (link, feed) = (here.link, here.feed);
        let path = feed.map(|feed| &self.history.feeds[feed].path);
        let hop = path.and_then(|path| path.iter().position(|l| *l == link)).unwrap_or(0);
        self.pass(now, link, connection, (0, feed, hop), Seen::Link(event));
    }

    fn pass(
        &mut self,
        now: i64,
        link: usize,
        connection: u64,
        (number, feed, hop): (u64, Option<usize>, usize),
        what: Seen,
    ) {
        let (at, connection) = (Timestamp::from_micros(now), ConnectionId(connection));
        let sighting = Sighting { at, waypoint: waypoint(link), connection, what };
        self.out.push_back(Event { number, feed, hop, sighting });
    }

    /// Shows a message; false: nobody can read it.
    pub(super) fn show(&mut self, now: i64, lane: usize, connection: u64, msg: &Msg) -> bool {
        let link = self.lanes[lane].link;
        let named = (msg.number, Some(msg.feed), msg.hop);
        let encoding = self.sender_fault(FaultKind::Encoding, now, msg);
        let (odd, lost) = encoding.map_or((0.0, 0.0), |f| (f.share, f.unreadable));
        if self.rng.chance(lost) {
            let defects = vec![Defect { code: DefectCode::NoHeader, offset: 0 }];
            let what = UnreadableSeen { direction: Direction::ToReceiver, size: 400, defects };
            self.pass(now, link, connection, named, Seen::Unreadable(what));
            return false;
        }
        let odd = self.rng.chance(odd);
        let message = self.message(now, link, msg, odd);
        let shape = self.shape(now, link, msg, &message);
        self.pass(now, link, connection, named, Seen::Message(message));
        if let Some(shape) = shape {
            self.pass(now, link, connection, named, Seen::Shape(Box::new(shape)));
        }
        true
    }

    fn message(&mut self, now: i64, link: usize, msg: &Msg, odd: bool) -> MessageSeen {
        let ahead = self.clock_of(now, link, msg);
        let drift = self.sender_fault(FaultKind::Drift, now, msg);
        let drift = drift.map(|fault| Label::from(fault.version.as_str()));
        let rogue = self.sender_fault(FaultKind::Application, now, msg);
        let rogue = rogue.map(|fault| Label::from(fault.name.as_str()));
        let drift = drift.filter(|version| !version.is_empty());
        let names = &self.labels.0[msg.feed];
        let (code, trigger) = names.kinds[msg.kind];
        let facility = names.facilities[msg.facility];
        let ack_key = Some(key(msg.number, link as u64));
        let mut order = OrderMarks::default();
        order.results[0] = msg.mark;
        MessageSeen {
            direction: Direction::ToReceiver,
            code,
            trigger: drift.map_or(trigger, |_| Label::from("Z99")),
            sender: match msg.hop {
                0 => rogue.unwrap_or(names.sender),
                _ => Label::from("ENGINE"),
            },
            sender_facility: facility,
            receiver: Label::from(if msg.hop == 0 { "ENGINE" } else { "PORTAL" }),
            receiver_facility: Label::EMPTY,
            version: drift.unwrap_or_else(|| Label::from("2.3")),
            processing: b'P',
            control_id: control_id(link, msg.number),
            ack_key,
            journey_key: Some(key(msg.number, JOURNEYS)),
            also: Vec::new(),
            find: FindKeys::default(),
            batch: None,
            protocol: Protocol::default(),
            order,
            body: mix(msg.number),
            size: 600,
            ack_mode: AckMode::default(),
            event_time: stated(msg.event + ahead),
            withheld: None,
            made: stated(msg.made + ahead),
            urgency: msg.urgency,
            verdict: if odd { Verdict::Odd } else { Verdict::Readable },
            defects: if odd {
                vec![Defect { code: DefectCode::NotUtf8, offset: 200 }]
            } else {
                Vec::new()
            },
            trace: None,
            software: None,
        }
    }

    pub(super) fn show_ack(&mut self, now: i64, link: usize, feed: Option<usize>, reply: &Reply) {
        let error = if reply.reason == ReasonClass::None { "" } else { "207" };
        let what = AckSeen {
            direction: Direction::ToSender,
            code: reply.code,
            ack_key: Some(key(reply.named, link as u64)),
            acked: control_id(link, reply.named),
            reason: reply.reason,
            error_code: Label::from(error),
            defects: Vec::new(),
            software: None,
        };
        let path = feed.map(|feed| &self.history.feeds[feed].path);
        let hop = path.and_then(|path| path.iter().position(|l| *l == link)).unwrap_or(0);
        self.pass(now, link, reply.connection, (reply.named, feed, hop), Seen::Ack(what));
    }
}
