//! The wire's records (live, or made from a capture) as tapped items: one pair of framers for each
//! connection. Pure: time comes with the records.

use crate::passing::{self, TlsTold};
use feedpulse_core::codes::Code;
use feedpulse_core::defect::{Defect, DefectCode};
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::{Blind, OwnState};
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{LinkEvent, Seen, Sighting, UnreadableSeen};
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::mllp::{FrameEvent, Framer, Looks};
use feedpulse_wire::{Direction as Way, Event, Record, RefusedBy, Side, TlsLook};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// All connections of one ring instance.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Waypoints by the wire's listener number.
    waypoints: Vec<WaypointId>,
    /// Names the tap in own-state items.
    part: Label,
    frame_open_after: Duration,
    /// Mixed into connection ids, since a new ring numbers from 1 again.
    instance: u64,
    connections: BTreeMap<u64, Connection>,
    /// Time of the last record.
    pub(crate) now: Timestamp,
    /// The wire refuses senders by its own limits.
    limited: bool,
    /// Who wants to know what is seen of TLS that passes through.
    pub(crate) tls_told: TlsTold,
}

#[derive(Debug)]
struct Connection {
    waypoint: WaypointId,
    /// Its beginning was seen.
    whole: bool,
    /// Not MLLP: told once, then its bytes are passed over.
    foreign: bool,
    to_receiver: Stream,
    to_sender: Stream,
    /// While its first bytes may be, or are, a TLS handshake.
    tls: Option<Box<TlsLook>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Stream {
    framer: Option<Framer>,
    /// Bytes that went this way so far, as far as seen.
    bytes: u64,
    open: Option<Open>,
    /// A frame was seen: whatever stands between two of them is odd.
    spoken: bool,
    junk_told: bool,
}

/// The frame that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Stream offset of its start block.
    start: u64,
    /// Cursor before the record that holds it.
    cursor: u64,
    since: Timestamp,
    told: bool,
}

/// Where items go; in a rebuild they were handed over before, so they are dropped.
pub(crate) struct Sink<'a> {
    pub(crate) items: &'a mut Vec<Tapped>,
    pub(crate) rebuild: bool,
}

impl Sink<'_> {
    pub(crate) fn push(&mut self, item: Tapped) {
        if !self.rebuild {
            self.items.push(item);
        }
    }
}

/// Where and when something was seen.
#[derive(Clone, Copy)]
struct Place {
    at: Timestamp,
    waypoint: WaypointId,
    connection: ConnectionId,
}

impl Place {
    fn sighting(self, what: Seen) -> Tapped {
        let Self { at, waypoint, connection } = self;
        Tapped::Sighting(Sighting { at, waypoint, connection, what })
    }

    fn unreadable(self, direction: Direction, size: u64, code: DefectCode) -> Tapped {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let defects = vec![Defect { code, offset: 0 }];
        self.sighting(Seen::Unreadable(UnreadableSeen { direction, size, defects }))
    }
}

impl Streams {
    pub(crate) fn new(
        waypoints: Vec<WaypointId>,
        part: Label,
        frame_open_after: Duration,
        instance: u128,
    ) -> Self {
        let instance = (instance ^ instance >> 64) as u64 & 0xFF_FFFF;
        Self {
            waypoints,
            part,
            frame_open_after,
            instance,
            connections: BTreeMap::new(),
            now: Timestamp::EPOCH,
            limited: false,
            tls_told: TlsTold::default(),
        }
    }

    /// The waypoint of a listener; those that a capture finds as it is read get its number.
    pub(crate) fn know(&mut self, listener: u16) -> WaypointId {
        for number in (0..=listener).skip(self.waypoints.len()) {
            self.waypoints.push(WaypointId(number));
        }
        self.waypoints.get(usize::from(listener)).copied().unwrap_or(WaypointId(listener))
    }

    /// Drops a connection that is followed no longer, without a word.
    pub(crate) fn forget(&mut self, number: u64) {
        self.connections.remove(&number);
    }

    /// Gives up open frames, the longest first, until all together hold at most so many bytes.
    pub(crate) fn bound_open(&mut self, most: usize, sink: &mut Sink<'_>) {
        let length = |s: &Stream| s.framer.as_ref().map_or(0, |framer| framer.open_len());
        let both = |c: &Connection| length(&c.to_receiver) + length(&c.to_sender);
        let mut all: usize = self.connections.values().map(both).sum();
        while all > most
            && let Some((number, connection)) =
                self.connections.iter_mut().max_by_key(|(_, c)| both(c))
        {
            all -= both(connection);
            let place = Place {
                at: self.now,
                waypoint: connection.waypoint,
                connection: ConnectionId(self.instance << 40 | number & 0xFF_FFFF_FFFF),
            };
            for way in [Direction::ToReceiver, Direction::ToSender] {
                let stream = match way {
                    Direction::ToReceiver => &mut connection.to_receiver,
                    Direction::ToSender => &mut connection.to_sender,
                };
                let size = length(stream) as u64;
                if size > 0 {
                    (stream.framer, stream.open) = (None, None);
                    sink.push(place.unreadable(way, size, DefectCode::GapInside));
                }
            }
        }
    }

    /// The cursor from which on records are needed to rebuild all open frames.
    pub(crate) fn needed_from(&self, cursor: u64) -> u64 {
        let streams = self.connections.values().flat_map(|c| [&c.to_receiver, &c.to_sender]);
        streams.filter_map(|stream| stream.open).map(|open| open.cursor).fold(cursor, u64::min)
    }

    /// Takes one record; `cursor` is the one before it.
    pub(crate) fn apply(&mut self, cursor: u64, record: &Record<'_>, sink: &mut Sink<'_>) {
        self.now = Timestamp::from_micros(record.at_us);
        match record.event {
            Event::Shed { from_us, to_us, records, bytes } => {
                self.blind(from_us, to_us, (records, bytes), sink);
                return;
            }
            Event::Alive { .. } => {
                self.alive(sink);
                return;
            }
            _ => {}
        }
        let Some(&waypoint) = self.waypoints.get(usize::from(record.listener)) else { return };
        let place = Place {
            at: self.now,
            waypoint,
            connection: ConnectionId(self.instance << 40 | record.connection & 0xFF_FFFF_FFFF),
        };
        match record.event {
            Event::Data { direction, offset, bytes } => {
                self.data(cursor, record.connection, place, direction, offset, &bytes, sink);
            }
            Event::HalfClosed { direction, offset } => {
                let connection = self.connection(record.connection, waypoint);
                let stream = connection.stream(direction);
                stream.bytes = stream.bytes.max(offset);
                stream.cut(place, way(direction), sink);
            }
            Event::Opened { peer, .. } => self.opened(record.connection, place, peer.ip(), sink),
            Event::Closed => {
                let mut ended = self.end(record.connection, place, sink);
                let bytes =
                    ended.as_mut().map_or(1, |c| c.to_receiver.bytes.max(u64::from(!c.whole)));
                sink.push(place.sighting(Seen::Link(LinkEvent::Closed { bytes })));
            }
            Event::Reset { by } => {
                self.end(record.connection, place, sink);
                let by_receiver = by == Side::Receiver;
                sink.push(place.sighting(Seen::Link(LinkEvent::Reset { by_receiver })));
            }
            Event::HalfOpen { side, .. } => {
                let receiver = side == Side::Receiver;
                sink.push(place.sighting(Seen::Link(LinkEvent::HalfOpen { receiver })));
            }
            Event::TimedOut { side } => {
                self.end(record.connection, place, sink);
                let receiver = side == Side::Receiver;
                sink.push(place.sighting(Seen::Link(LinkEvent::TimedOut { receiver })));
            }
            Event::Refused { by, .. } => self.refused(by, place, sink),
            Event::Unreachable { .. } => {
                sink.push(place.sighting(Seen::Link(LinkEvent::Unreachable)));
            }
            Event::Idle { .. } => sink.push(place.sighting(Seen::Link(LinkEvent::Idle))),
            Event::Listening { .. } => sink.push(self.own(false, "listening")),
            Event::ListenFailed { .. } => sink.push(self.own(true, "listen")),
            // Closed because the receiver is down, which the refusals say, or at the wire's end.
            Event::ListenerClosed { .. } | Event::Shed { .. } | Event::Alive { .. } => {}
        }
    }

    /// The ring is gone for good: whatever was connected through that wire was cut.
    pub(crate) fn all_cut(&mut self, sink: &mut Sink<'_>) {
        for (number, mut connection) in core::mem::take(&mut self.connections) {
            let place = Place {
                at: self.now,
                waypoint: connection.waypoint,
                connection: ConnectionId(self.instance << 40 | number & 0xFF_FFFF_FFFF),
            };
            connection.to_receiver.cut(place, Direction::ToReceiver, sink);
            connection.to_sender.cut(place, Direction::ToSender, sink);
            let what = Seen::Link(LinkEvent::Reset { by_receiver: false });
            sink.push(place.sighting(what));
        }
    }

    /// A stretch that nobody saw, at every waypoint of the tap; what was shed counts once.
    pub(crate) fn blind(
        &self,
        from_us: i64,
        to_us: i64,
        (records, bytes): (u64, u64),
        sink: &mut Sink<'_>,
    ) {
        for (number, waypoint) in self.waypoints.iter().enumerate() {
            let first = u64::from(number == 0);
            sink.push(Tapped::Blind(Blind {
                waypoint: Some(*waypoint),
                from: Timestamp::from_micros(from_us),
                to: Timestamp::from_micros(to_us),
                records: records * first,
                bytes: bytes * first,
            }));
        }
    }

    pub(crate) fn own(&self, failing: bool, detail: &str) -> Tapped {
        Tapped::Own(OwnState {
            part: self.part,
            code: Code::TapDown,
            failing,
            detail: Label::from(detail),
            dropped: 0,
        })
    }

    fn alive(&mut self, sink: &mut Sink<'_>) {
        for waypoint in &self.waypoints {
            sink.push(Tapped::Alive(*waypoint));
        }
        for (number, connection) in &mut self.connections {
            let place = Place {
                at: self.now,
                waypoint: connection.waypoint,
                connection: ConnectionId(self.instance << 40 | number & 0xFF_FFFF_FFFF),
            };
            for stream in [&mut connection.to_receiver, &mut connection.to_sender] {
                if let Some(open) = &mut stream.open
                    && !open.told
                    && self.now.since(open.since) >= self.frame_open_after
                {
                    open.told = true;
                    sink.push(place.sighting(Seen::Link(LinkEvent::FrameOpen)));
                }
            }
        }
    }

    fn refused(&mut self, by: RefusedBy, place: Place, sink: &mut Sink<'_>) {
        let detail = match by {
            RefusedBy::Receiver => {
                sink.push(place.sighting(Seen::Link(LinkEvent::Refused)));
                return;
            }
            RefusedBy::ConnectionLimit => "connection-limit",
            RefusedBy::FileLimit => "file-limit",
            RefusedBy::Header => "proxy-header",
            RefusedBy::SenderTls => "sender-tls",
            RefusedBy::ReceiverTls => "receiver-tls",
        };
        self.limited = true;
        sink.push(self.own(true, detail));
    }

    fn opened(&mut self, number: u64, place: Place, peer: IpAddr, sink: &mut Sink<'_>) {
        if core::mem::take(&mut self.limited) {
            sink.push(self.own(false, "accepting"));
        }
        self.connection(number, place.waypoint).whole = true;
        sink.push(place.sighting(Seen::Link(LinkEvent::Opened)));
        sink.push(place.sighting(Seen::Link(LinkEvent::Peer(peer))));
    }

    fn connection(&mut self, number: u64, waypoint: WaypointId) -> &mut Connection {
        self.connections.entry(number).or_insert_with(|| Connection {
            waypoint,
            whole: false,
            foreign: false,
            to_receiver: Stream::default(),
            to_sender: Stream::default(),
            tls: None,
        })
    }

    fn end(&mut self, number: u64, place: Place, sink: &mut Sink<'_>) -> Option<Connection> {
        let mut connection = self.connections.remove(&number)?;
        connection.to_receiver.cut(place, Direction::ToReceiver, sink);
        connection.to_sender.cut(place, Direction::ToSender, sink);
        Some(connection)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one record, borrowed apart")]
    fn data(
        &mut self,
        cursor: u64,
        number: u64,
        place: Place,
        direction: Way,
        offset: u64,
        bytes: &[u8],
        sink: &mut Sink<'_>,
    ) {
        let told = self.tls_told.clone();
        let connection = self.connection(number, place.waypoint);
        passing::look(&mut connection.tls, direction, (offset, bytes), place.at, |facts| {
            if !sink.rebuild {
                told.tell(place.waypoint, facts);
            }
        });
        let foreign = connection.foreign;
        let stream = connection.stream(direction);
        stream.bytes = stream.bytes.max(offset + bytes.len() as u64);
        if foreign {
            return;
        }
        stream.feed(cursor, place, way(direction), (offset, bytes), sink);
        let looks = stream.framer.as_ref().map_or(Looks::Unknown, Framer::looks_like_mllp);
        if !matches!(looks, Looks::Unknown | Looks::Mllp) {
            connection.foreign = true;
            connection.to_receiver.open = None;
            connection.to_sender.open = None;
            connection.to_receiver.framer = None;
            connection.to_sender.framer = None;
            sink.push(place.sighting(Seen::Link(LinkEvent::NotMllp)));
        }
    }
}

const fn way(direction: Way) -> Direction {
    match direction {
        Way::ToReceiver => Direction::ToReceiver,
        Way::ToSender => Direction::ToSender,
    }
}

impl Connection {
    const fn stream(&mut self, direction: Way) -> &mut Stream {
        match direction {
            Way::ToReceiver => &mut self.to_receiver,
            Way::ToSender => &mut self.to_sender,
        }
    }
}

impl Stream {
    fn feed(
        &mut self,
        cursor: u64,
        place: Place,
        direction: Direction,
        (offset, bytes): (u64, &[u8]),
        sink: &mut Sink<'_>,
    ) {
        // The first bytes that are seen are not the stream's first: a frame may be under way.
        let framer = self.framer.get_or_insert_with(|| Framer::resume(offset, offset == 0));
        framer.feed(offset, bytes, &mut |event| match event {
            FrameEvent::Frame { bytes, .. } => {
                (self.spoken, self.junk_told) = (true, false);
                sink.push(Tapped::Frame(Frame {
                    bytes: Phi::new(if sink.rebuild { Vec::new() } else { bytes.to_vec() }),
                    at: place.at,
                    waypoint: place.waypoint,
                    connection: place.connection,
                    direction,
                    trace: None,
                }));
            }
            // A commit ACK belongs to the transport; a commit NAK is a refusal somebody must see.
            FrameEvent::TransportAck { code: 0x15, .. } => {
                sink.push(place.unreadable(direction, 1, DefectCode::TransportAck));
            }
            FrameEvent::TransportAck { .. } => {}
            // Told once until the next frame, and only where frames are spoken at all.
            FrameEvent::Junk { len, .. } => {
                if self.spoken && !core::mem::replace(&mut self.junk_told, true) {
                    sink.push(place.unreadable(direction, len, DefectCode::JunkBetween));
                }
            }
            FrameEvent::TooLarge { .. } => {
                let size = feedpulse_hl7::MAX_MESSAGE as u64;
                sink.push(place.unreadable(direction, size, DefectCode::TooLarge));
            }
            FrameEvent::Gap { open: Some((_, size)), .. } => {
                sink.push(place.unreadable(direction, size, DefectCode::GapInside));
            }
            // Nothing was open: what fell into the gap is in a blind interval.
            FrameEvent::Gap { open: None, .. } => {}
            FrameEvent::Tail { .. } => {
                sink.push(place.unreadable(direction, 0, DefectCode::GapInside));
            }
        });
        self.open = framer.open_since().map(|start| match self.open {
            Some(open) if open.start == start => open,
            _ => Open { start, cursor, since: place.at, told: false },
        });
    }

    /// The direction ended: an open frame will never be closed.
    fn cut(&mut self, place: Place, direction: Direction, sink: &mut Sink<'_>) {
        if let (Some(_), Some(framer)) = (self.open.take(), self.framer.take()) {
            let size = framer.open_len() as u64;
            sink.push(place.unreadable(direction, size, DefectCode::Truncated));
        }
    }
}
