//! What was seen, where and when. Holds no patient data, by type.

use crate::defect::{Defect, Verdict};
use crate::frame::{ConnectionId, Direction, TraceParent, WaypointId};
use crate::key::MessageKey;
use crate::label::{ControlId, Label};
use crate::lag::Withheld;
use crate::order::OrderMarks;
use crate::shape::ShapeSeen;
use crate::time::{EventTime, Timestamp};

/// One thing seen at a waypoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// When, by our clock (a Kafka record: its timestamp).
    pub at: Timestamp,
    /// Where.
    pub waypoint: WaypointId,
    /// On which connection.
    pub connection: ConnectionId,
    /// What.
    pub what: Seen,
}

/// The kinds of things that are seen.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a box would allocate for every message")]
pub enum Seen {
    /// An HL7 message that is not an ACK.
    Message(MessageSeen),
    /// Any message with an MSA segment (HL7 v2.5.1 §2.9.2), whatever its MSH-9.
    Ack(AckSeen),
    /// The end of a batch (HL7 v2.5.1 §2.10.3), after the messages and ACKs in it.
    Batch(BatchSeen),
    /// A frame from which nothing could be read.
    Unreadable(UnreadableSeen),
    /// Something happened to the connection.
    Link(LinkEvent),
    /// A statement by a portal or an engine about a message.
    Receipt(ReceiptSeen),
    /// A dead-letter record about a message.
    DeadLetter(DeadLetterSeen),
    /// What some messages of one sender and type had, behind the last of them.
    Shape(Box<ShapeSeen>),
}

/// A message as far as the engine needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageSeen {
    /// Which way it went.
    pub direction: Direction,
    /// MSH-9.1 (`ORU`).
    pub code: Label,
    /// MSH-9.2 (`R01`).
    pub trigger: Label,
    /// MSH-3.1.
    pub sender: Label,
    /// MSH-4.1, or the field that the site names.
    pub sender_facility: Label,
    /// MSH-5.1.
    pub receiver: Label,
    /// MSH-6.1.
    pub receiver_facility: Label,
    /// MSH-12.1.
    pub version: Label,
    /// MSH-11.1: `P`, `T`, `D`, or 0 when empty.
    pub processing: u8,
    /// MSH-10.
    pub control_id: ControlId,
    /// Keyed hash of MSH-10: what its ACK will name. None when MSH-10 is empty.
    pub ack_key: Option<MessageKey>,
    /// Keyed hash under the waypoint's key rule: what joins it to its other sightings.
    pub journey_key: Option<MessageKey>,
    /// Keys of its further order groups, where the key rule makes each a journey of its own (engines
    /// that split or join messages); at most [`ALSO_MAX`], empty otherwise.
    pub also: Vec<MessageKey>,
    /// What an analyst can look it up by.
    pub find: FindKeys,
    /// Keyed hash of BHS-11 of the batch that it came in.
    pub batch: Option<u64>,
    /// Special protocols that it takes part in.
    pub protocol: Protocol,
    /// What its place in an order or a patient's history is.
    pub order: OrderMarks,
    /// Fingerprint of the body behind MSH, to tell a resend from a reused id.
    pub body: u64,
    /// Bytes of the message.
    pub size: u32,
    /// Which ACKs the sender asked for.
    pub ack_mode: AckMode,
    /// The most trusted statement of when the event happened, by type (OBR-22, ORC-9, TXA-22, EVN-2,
    /// MSH-7).
    pub event_time: Option<EventTime>,
    /// Why `event_time` is absent; None when it is there.
    pub withheld: Option<Withheld>,
    /// MSH-7: when the sender made the message; for its clock's skew.
    pub made: Option<EventTime>,
    /// How urgent.
    pub urgency: Urgency,
    /// Readable or odd.
    pub verdict: Verdict,
    /// What is odd.
    pub defects: Vec<Defect>,
    /// Trace context found beside it.
    pub trace: Option<TraceParent>,
    /// SFT-3 and SFT-2, product and version, of the first SFT; most have none.
    pub software: Option<Box<Label>>,
}

/// Most keys in [`MessageSeen::also`].
pub const ALSO_MAX: usize = 15;

/// Keyed 64-bit hashes of identifiers in a message (filler and placer order number, visit, patient),
/// so that it can be found by one of them; 0 = absent. The identifiers themselves are never kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FindKeys(pub [u64; 4]);

/// Special protocols (HL7 v2.5.1 §2.10): recognised and named, not tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// MSH-13 is valued: the sequence number protocol.
    pub sequence: bool,
    /// MSH-14 or DSC-1 is valued: a fragment of a longer message.
    pub continuation: bool,
}

/// The end of a batch or file: what its trailer claims and what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSeen {
    /// Which way it went.
    pub direction: Direction,
    /// Keyed hash of BHS-11 (FHS-11 for a file without batches).
    pub id: Option<u64>,
    /// Keyed hash of BHS-12: the batch that it answers or sends again.
    pub answers: Option<u64>,
    /// Messages in it that are not ACKs.
    pub messages: u32,
    /// ACKs in it. A batch without any that answers another accepts it whole (§2.10.3.3).
    pub acks: u32,
    /// BTS-1 (FTS-1), where it is a number.
    pub declared: Option<u32>,
}

/// An ACK as far as the engine needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct AckSeen {
    /// Which way it went.
    pub direction: Direction,
    /// MSA-1.
    pub code: AckCode,
    /// Keyed hash of MSA-2; None when MSA-2 is empty.
    pub ack_key: Option<MessageKey>,
    /// MSA-2.
    pub acked: ControlId,
    /// Why, reduced to a class that holds no patient data.
    pub reason: ReasonClass,
    /// ERR-3.1 or ERR-5.1, where it looks like a table code.
    pub error_code: Label,
    /// What is odd.
    pub defects: Vec<Defect>,
    /// As [`MessageSeen::software`], of who answers.
    pub software: Option<Box<Label>>,
}

/// A frame that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct UnreadableSeen {
    /// Which way it went.
    pub direction: Direction,
    /// Its size in bytes.
    pub size: u32,
    /// Why; never empty.
    pub defects: Vec<Defect>,
}

/// MSA-1 as sent (HL7 table 0008).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AckCode {
    /// Application accept.
    AA,
    /// Application error.
    AE,
    /// Application reject.
    AR,
    /// Commit accept.
    CA,
    /// Commit error.
    CE,
    /// Commit reject.
    CR,
    /// Something else or empty.
    Other,
}

impl AckCode {
    /// As sent; `other` for what the table does not hold, since that may be anything.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AA => "AA",
            Self::AE => "AE",
            Self::AR => "AR",
            Self::CA => "CA",
            Self::CE => "CE",
            Self::CR => "CR",
            Self::Other => "other",
        }
    }
}

/// A condition of HL7 table 0155.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckCondition {
    /// Not valued.
    #[default]
    Empty,
    /// `AL`: always.
    Always,
    /// `NE`: never.
    Never,
    /// `ER`: on error or reject only.
    OnError,
    /// `SU`: on success only.
    OnSuccess,
}

/// What the sender asked for in MSH-15 and MSH-16 (HL7 v2.5.1 §2.9.2: both empty = original mode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AckMode {
    /// MSH-15.
    pub accept: AckCondition,
    /// MSH-16.
    pub application: AckCondition,
}

impl AckMode {
    /// Original mode: both empty.
    #[must_use]
    pub fn is_original(self) -> bool {
        self == Self::default()
    }

    /// One field is valued and the other is not: a fault of the sender.
    #[must_use]
    pub fn is_half(self) -> bool {
        (self.accept == AckCondition::Empty) != (self.application == AckCondition::Empty)
    }
}

/// How urgent a message is for a patient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// Everything else.
    #[default]
    Routine,
    /// A correction, merge or cancel: late means wrong charts.
    Correction,
    /// A critical result (OBX-8 HH, LL, AA) or a STAT order.
    Critical,
}

impl Urgency {
    /// Its name in spans, JSON and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Correction => "correction",
            Self::Critical => "critical",
        }
    }
}

/// Why a message was refused, as a class without patient data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonClass {
    /// Nothing was said.
    #[default]
    None,
    /// Structure: segment sequence, required field (table 0357: 100–103).
    Structure,
    /// Type, event, processing id or version not supported (200–203).
    Unsupported,
    /// An unknown key: patient, visit or order not found (204).
    UnknownKey,
    /// A duplicate key (205).
    DuplicateKey,
    /// A record is locked (206).
    Locked,
    /// Internal error, database, disk, time-out (207).
    Internal,
    /// The receiver says that it is not available.
    Unavailable,
    /// A reason was given that no rule knows.
    Other,
}

impl ReasonClass {
    /// Every class, in order.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Structure,
        Self::Unsupported,
        Self::UnknownKey,
        Self::DuplicateKey,
        Self::Locked,
        Self::Internal,
        Self::Unavailable,
        Self::Other,
    ];

    /// Its name, where something was said.
    #[must_use]
    pub const fn said(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            said => Some(said.name()),
        }
    }

    /// Its name in JSON, reports, spans and evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Structure => "structure",
            Self::Unsupported => "unsupported",
            Self::UnknownKey => "unknown_key",
            Self::DuplicateKey => "duplicate_key",
            Self::Locked => "locked",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Other => "other",
        }
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Sender connected and the receiver answered.
    Opened,
    /// The receiver's host answered and refused.
    Refused,
    /// The receiver could not be reached (time-out, no route, no name).
    Unreachable,
    /// Ended by a reset; which side sent it.
    Reset {
        /// True when the receiver's side reset it.
        by_receiver: bool,
    },
    /// Ended in order.
    Closed {
        /// Bytes that went to the receiver: 0 is the mark of a load balancer's probe.
        bytes: u64,
    },
    /// Nothing in either direction for a while.
    Idle,
    /// Bytes arrived but no frame was closed for a while (a missing end block looks like silence).
    FrameOpen,
    /// What flows is not MLLP (TLS, HTTP or other bytes).
    NotMllp,
    /// Who has connected: the sender's address, without its port. Behind [`LinkEvent::Opened`].
    Peer(core::net::IpAddr),
    /// One side no longer takes what it is sent, and says nothing: its host or the way to it is gone, or
    /// something between has forgotten the connection. It is still open on this side.
    HalfOpen {
        /// The receiver's side; false: the sender's.
        receiver: bool,
    },
    /// Such a connection was given up by the system that held it.
    TimedOut {
        /// As in [`LinkEvent::HalfOpen`].
        receiver: bool,
    },
}

/// A receipt: `{waypoint, key, outcome, at}`. Only a receipt may say *filed*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptSeen {
    /// Key under the waypoint's key rule.
    pub journey_key: MessageKey,
    /// What it says.
    pub outcome: Outcome,
    /// When, as the receipt states it (the sender's clock).
    pub stated_at: Option<Timestamp>,
}

/// A record of a dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterSeen {
    /// Key of the message inside, when it could be read.
    pub journey_key: Option<MessageKey>,
    /// Why.
    pub reason: ReasonClass,
    /// Message type, when it could be read.
    pub code: Label,
    /// MSH-3 of the message inside.
    pub sender: Label,
    /// Urgency of the message inside.
    pub urgency: Urgency,
}

/// How one sending of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Outcome {
    /// AA, or the silence that the sender asked to mean success.
    Accepted,
    /// CA, and no application ACK followed or was asked for; or stored by a broker.
    Committed,
    /// A receipt says that the user can see it.
    Filed,
    /// AE or CE, or a dead-letter record.
    Errored,
    /// AR or CR.
    Rejected,
    /// No ACK in time.
    NoAck,
    /// The connection ended before the ACK.
    ConnectionLost,
    /// The receiver could not be reached with it.
    Refused,
    /// It fell into a blind interval: nobody can say.
    Unknown,
}

impl Outcome {
    /// Every outcome, in order.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Committed,
        Self::Filed,
        Self::Errored,
        Self::Rejected,
        Self::NoAck,
        Self::ConnectionLost,
        Self::Refused,
        Self::Unknown,
    ];

    /// Its name in metrics, JSON and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Committed => "committed",
            Self::Filed => "filed",
            Self::Errored => "errored",
            Self::Rejected => "rejected",
            Self::NoAck => "no_ack",
            Self::ConnectionLost => "connection_lost",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether the message arrived as far as anybody can say.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Accepted | Self::Committed | Self::Filed)
    }
}
