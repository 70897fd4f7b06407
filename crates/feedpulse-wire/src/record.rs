//! What the wire tells the analyser: one record for each piece of forwarded data and for each
//! thing that happened to a connection or a listener; and how a record looks in the ring.
//!
//! In the ring a record is four words of 64 bits and a payload, padded to whole words:
//! `length (u32) | kind (u8) | tag (u8) | listener (u16)`, connection, offset, wall time. The
//! length counts the four words and the payload without its padding. The payload of `Data` is the
//! bytes; every other kind carries whole words. Byte order is the machine's own: a ring never
//! leaves it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::Deref;

/// The most bytes of data that one record carries; longer pieces become several records.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// The four words before the payload, in bytes.
pub(crate) const HEAD: usize = 32;
/// The most words in a payload other than data (`Opened`: two addresses).
const MAX_FIELDS: usize = 6;

/// One thing that the wire saw, with the time and the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Index of the listener in the wire's configuration; 0 when the record is about the wire.
    pub listener: u16,
    /// Number of the connection, from 1, unique within one ring instance; 0 when the record is
    /// not about a connection.
    pub connection: u64,
    /// Wall time in microseconds since the epoch at which the record was made: for data, when the
    /// other side's kernel had taken the bytes.
    pub at_us: i64,
    /// What happened.
    pub event: Event<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A sender connected and the receiver was reached.
    Opened {
        /// The sender's address.
        peer: SocketAddr,
        /// The receiver's address that answered.
        upstream: SocketAddr,
    },
    /// Bytes were forwarded.
    Data {
        /// Which way they went.
        direction: Direction,
        /// How many bytes went this way on this connection before these.
        offset: u64,
        /// The bytes.
        bytes: Payload<'a>,
    },
    /// One side ended its direction (FIN), and this was passed on.
    HalfClosed {
        /// The direction that ended.
        direction: Direction,
        /// How many bytes went this way in all.
        offset: u64,
    },
    /// Both directions had ended in order, and the connection is over.
    Closed,
    /// The connection was reset, and the reset was passed on.
    Reset {
        /// Who reset it.
        by: Side,
    },
    /// A side answers no more, and says nothing: repeats of data, or probes, got no TCP answer. The
    /// connection is still open. Told again only when it had answered in between.
    HalfOpen {
        /// Whose side.
        side: Side,
        /// For how long nothing came from it, in microseconds.
        for_us: u64,
    },
    /// The kernel gave a side up that answered no more, and the other side was reset.
    TimedOut {
        /// Whose side.
        side: Side,
    },
    /// A sender was reset because nobody would take its connection.
    Refused {
        /// The sender's address.
        peer: SocketAddr,
        /// Who refused.
        by: RefusedBy,
    },
    /// A sender was reset because the receiver was not reached.
    Unreachable {
        /// The sender's address.
        peer: SocketAddr,
        /// Why.
        why: Unreachable,
    },
    /// No byte passed in either direction for a while. Told once for each connection; nothing is
    /// done to it.
    Idle {
        /// For how long, in microseconds.
        for_us: u64,
    },
    /// Records were shed because the ring was full: what happened in this interval is not known.
    Shed {
        /// Time of the first shed record, in microseconds since the epoch.
        from_us: i64,
        /// Time of the last shed record.
        to_us: i64,
        /// How many records were shed.
        records: u64,
        /// How many bytes of data were in them.
        bytes: u64,
    },
    /// Told each second: the wire lives.
    Alive {
        /// Connections open now, those being dialled included.
        open: u64,
        /// Bytes forwarded to receivers since the wire started.
        to_receiver: u64,
        /// Bytes forwarded to senders since the wire started.
        to_sender: u64,
    },
    /// A listener accepts connections.
    Listening {
        /// Where.
        on: SocketAddr,
    },
    /// A listener could not be opened again; it is tried again.
    ListenFailed {
        /// Where.
        on: SocketAddr,
        /// The operating system's error number; 0 when it gave none.
        errno: i32,
    },
    /// A listener was closed: its receiver is down (`close_listener`), or the wire is ending.
    ListenerClosed {
        /// Where.
        on: SocketAddr,
    },
}

/// Bytes of a message. `Debug` shows their number only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a>(pub &'a [u8]);

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// Which way bytes go. The sender is who connected to the wire; the receiver is who was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the sender to the receiver.
    ToReceiver,
    /// From the receiver to the sender.
    ToSender,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who connected to the wire.
    Sender,
    /// Who was dialled.
    Receiver,
    /// The wire itself, at the end of its drain time.
    Wire,
}

/// Who refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedBy {
    /// The receiver's host answered the dial with a reset.
    Receiver,
    /// The limit of connections of the listener, or of all together, was reached.
    ConnectionLimit,
    /// The process or the system has no file descriptor left for it.
    FileLimit,
    /// It did not start with the PROXY protocol header that the listener wants.
    Header,
    /// TLS did not come about with it.
    SenderTls,
    /// TLS did not come about with the receiver.
    ReceiverTls,
}

impl RefusedBy {
    /// In the order of their numbers in a record.
    const ALL: [Self; 6] = [
        Self::Receiver,
        Self::ConnectionLimit,
        Self::FileLimit,
        Self::Header,
        Self::SenderTls,
        Self::ReceiverTls,
    ];
}

/// Why a receiver was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No answer within the connect timeout.
    Timeout,
    /// No route to the host or the network.
    NoRoute,
    /// Its name has no address.
    NoName,
    /// Another error, by the operating system's number; 0 when it gave none.
    Other(i32),
}

/// A record as it goes into the ring.
pub(crate) struct Encoded<'a> {
    pub(crate) head: [u64; 4],
    fields: [u64; MAX_FIELDS],
    field_count: usize,
    pub(crate) bytes: &'a [u8],
}

impl Encoded<'_> {
    /// The payload of every kind but data.
    pub(crate) fn fields(&self) -> &[u64] {
        &self.fields[..self.field_count]
    }

    /// The record's bytes, as they are in the ring without padding.
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        for word in self.head.iter().chain(self.fields()) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(self.bytes);
    }

    /// What the record takes in the ring, padding included.
    pub(crate) fn size(&self) -> u64 {
        padded(HEAD + 8 * self.field_count + self.bytes.len())
    }
}

/// A length rounded up to whole words.
pub(crate) fn padded(length: usize) -> u64 {
    length.next_multiple_of(8) as u64
}

mod kind {
    pub(super) const OPENED: u8 = 1;
    pub(super) const DATA: u8 = 2;
    pub(super) const HALF_CLOSED: u8 = 3;
    pub(super) const CLOSED: u8 = 4;
    pub(super) const RESET: u8 = 5;
    pub(super) const REFUSED: u8 = 6;
    pub(super) const UNREACHABLE: u8 = 7;
    pub(super) const IDLE: u8 = 8;
    pub(super) const SHED: u8 = 9;
    pub(super) const ALIVE: u8 = 10;
    pub(super) const LISTENING: u8 = 11;
    pub(super) const LISTEN_FAILED: u8 = 12;
    pub(super) const LISTENER_CLOSED: u8 = 13;
    pub(super) const HALF_OPEN: u8 = 14;
    pub(super) const TIMED_OUT: u8 = 15;
}

impl<'a> Record<'a> {
    /// The bytes of data in it; 0 for every other kind.
    pub(crate) fn data_len(&self) -> u64 {
        if let Event::Data { bytes, .. } = self.event { bytes.len() as u64 } else { 0 }
    }

    pub(crate) fn encode(&self) -> Encoded<'a> {
        let (kind, tag, offset) = self.event.class();
        let mut encoded = Encoded {
            head: [0, self.connection, offset, self.at_us.cast_unsigned()],
            fields: [0; MAX_FIELDS],
            field_count: 0,
            bytes: &[],
        };
        let mut put = |words: &[u64]| {
            let from = encoded.field_count;
            encoded.field_count += words.len();
            encoded.fields[from..encoded.field_count].copy_from_slice(words);
        };
        match self.event {
            Event::Opened { peer, upstream } => {
                put(&address_words(peer));
                put(&address_words(upstream));
            }
            Event::Data { bytes, .. } => encoded.bytes = bytes.0,
            Event::HalfClosed { .. }
            | Event::Closed
            | Event::Reset { .. }
            | Event::TimedOut { .. } => {}
            Event::Refused { peer: addr, .. }
            | Event::Listening { on: addr }
            | Event::ListenerClosed { on: addr } => put(&address_words(addr)),
            Event::Unreachable { peer, why } => {
                put(&address_words(peer));
                put(&[errno_word(if let Unreachable::Other(errno) = why { errno } else { 0 })]);
            }
            Event::Idle { for_us } | Event::HalfOpen { for_us, .. } => put(&[for_us]),
            Event::Shed { from_us, to_us, records, bytes } => {
                put(&[from_us.cast_unsigned(), to_us.cast_unsigned(), records, bytes]);
            }
            Event::Alive { open, to_receiver, to_sender } => put(&[open, to_receiver, to_sender]),
            Event::ListenFailed { on, errno } => {
                put(&address_words(on));
                put(&[errno_word(errno)]);
            }
        }
        let length = (HEAD + 8 * encoded.field_count + encoded.bytes.len()) as u64;
        encoded.head[0] =
            length | u64::from(kind) << 32 | u64::from(tag) << 40 | u64::from(self.listener) << 48;
        encoded
    }

    /// Reads one record from bytes that are exactly as long as its length says. The bytes are not
    /// trusted; the error names what is wrong with them.
    pub(crate) fn decode(record: &'a [u8]) -> Result<Self, &'static str> {
        let (head, payload) = record.split_at_checked(HEAD).ok_or("a record without a head")?;
        let first = word(head, 0).ok_or("a record without a head")?;
        let at = |index| word(head, index).ok_or("a record without a head");
        let [_, _, _, _, kind, tag, ..] = first.to_le_bytes();
        Ok(Self {
            listener: (first >> 48) as u16,
            connection: at(1)?,
            at_us: at(3)?.cast_signed(),
            event: Event::decode(kind, tag, at(2)?, payload)?,
        })
    }
}

impl<'a> Event<'a> {
    /// Kind, tag and offset as they stand in the head.
    fn class(&self) -> (u8, u8, u64) {
        match *self {
            Event::Opened { .. } => (kind::OPENED, 0, 0),
            Event::Data { direction, offset, .. } => (kind::DATA, direction as u8, offset),
            Event::HalfClosed { direction, offset } => (kind::HALF_CLOSED, direction as u8, offset),
            Event::Closed => (kind::CLOSED, 0, 0),
            Event::Reset { by } => (kind::RESET, by as u8, 0),
            Event::HalfOpen { side, .. } => (kind::HALF_OPEN, side as u8, 0),
            Event::TimedOut { side } => (kind::TIMED_OUT, side as u8, 0),
            Event::Refused { by, .. } => (kind::REFUSED, by as u8, 0),
            Event::Unreachable { why, .. } => {
                let tag = match why {
                    Unreachable::Timeout => 0,
                    Unreachable::NoRoute => 1,
                    Unreachable::NoName => 2,
                    Unreachable::Other(_) => 3,
                };
                (kind::UNREACHABLE, tag, 0)
            }
            Event::Idle { .. } => (kind::IDLE, 0, 0),
            Event::Shed { .. } => (kind::SHED, 0, 0),
            Event::Alive { .. } => (kind::ALIVE, 0, 0),
            Event::Listening { .. } => (kind::LISTENING, 0, 0),
            Event::ListenFailed { .. } => (kind::LISTEN_FAILED, 0, 0),
            Event::ListenerClosed { .. } => (kind::LISTENER_CLOSED, 0, 0),
        }
    }

    fn decode(kind: u8, tag: u8, offset: u64, payload: &'a [u8]) -> Result<Self, &'static str> {
        let field = |index| word(payload, index).ok_or("a record shorter than its kind");
        let direction = || match tag {
            0 => Ok(Direction::ToReceiver),
            1 => Ok(Direction::ToSender),
            _ => Err("a record with an unknown direction"),
        };
        let side = || {
            let sides = [Side::Sender, Side::Receiver, Side::Wire];
            sides.get(usize::from(tag)).copied().ok_or("a record about an unknown side")
        };
        Ok(match kind {
            kind::OPENED => {
                Event::Opened { peer: address(payload, 0)?, upstream: address(payload, 3)? }
            }
            kind::DATA => Event::Data { direction: direction()?, offset, bytes: Payload(payload) },
            kind::HALF_CLOSED => Event::HalfClosed { direction: direction()?, offset },
            kind::CLOSED => Event::Closed,
            kind::RESET => Event::Reset { by: side()? },
            kind::HALF_OPEN => Event::HalfOpen { side: side()?, for_us: field(0)? },
            kind::TIMED_OUT => Event::TimedOut { side: side()? },
            kind::REFUSED => Event::Refused {
                peer: address(payload, 0)?,
                by: *RefusedBy::ALL
                    .get(usize::from(tag))
                    .ok_or("a refusal for an unknown reason")?,
            },
            kind::UNREACHABLE => Event::Unreachable {
                peer: address(payload, 0)?,
                why: match tag {
                    0 => Unreachable::Timeout,
                    1 => Unreachable::NoRoute,
                    2 => Unreachable::NoName,
                    3 => Unreachable::Other(field(3)?.cast_signed() as i32),
                    _ => return Err("an unreachable receiver for an unknown reason"),
                },
            },
            kind::IDLE => Event::Idle { for_us: field(0)? },
            kind::SHED => Event::Shed {
                from_us: field(0)?.cast_signed(),
                to_us: field(1)?.cast_signed(),
                records: field(2)?,
                bytes: field(3)?,
            },
            kind::ALIVE => {
                Event::Alive { open: field(0)?, to_receiver: field(1)?, to_sender: field(2)? }
            }
            kind::LISTENING => Event::Listening { on: address(payload, 0)? },
            kind::LISTEN_FAILED => Event::ListenFailed {
                on: address(payload, 0)?,
                errno: field(3)?.cast_signed() as i32,
            },
            kind::LISTENER_CLOSED => Event::ListenerClosed { on: address(payload, 0)? },
            _ => return Err("a record of an unknown kind"),
        })
    }
}

/// The length that the first word of a head states.
pub(crate) fn length_in(first: u64) -> u64 {
    first & u64::from(u32::MAX)
}

/// The length that a copy of a record states.
pub(crate) fn record_length(record: &[u8]) -> Option<u64> {
    word(record, 0).map(length_in)
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let bytes = bytes.get(8 * index..8 * index + 8)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

fn errno_word(errno: i32) -> u64 {
    i64::from(errno).cast_unsigned()
}

/// `family (4 or 6) | port << 8 | scope << 32`, and the 128 bits of the address.
fn address_words(address: SocketAddr) -> [u64; 3] {
    let (family, bits, scope) = match address {
        SocketAddr::V4(v4) => (4, u128::from(v4.ip().to_bits()), 0),
        SocketAddr::V6(v6) => (6, v6.ip().to_bits(), v6.scope_id()),
    };
    let first = family | u64::from(address.port()) << 8 | u64::from(scope) << 32;
    [first, (bits >> 64) as u64, bits as u64]
}

fn address(payload: &[u8], from: usize) -> Result<SocketAddr, &'static str> {
    let field = |index| word(payload, from + index).ok_or("a record shorter than its kind");
    let (first, high, low) = (field(0)?, field(1)?, field(2)?);
    let port = (first >> 8) as u16;
    match first & 0xff {
        4 => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(low as u32)), port)),
        6 => {
            let ip = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
            Ok(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, (first >> 32) as u32)))
        }
        _ => Err("an address of an unknown family"),
    }
}
