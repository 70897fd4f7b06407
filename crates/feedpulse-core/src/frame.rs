//! What a tap hands over: the bytes of one transport unit. The only place where patient data is.

use crate::time::Timestamp;
use core::fmt;

/// Bytes that may hold patient data. Never printed, never serialised; reading them is
/// [`Phi::expose`], which lints keep to the decoder, the check rows and the taps.
#[derive(Clone, PartialEq, Eq)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Allowed only where frames are read.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phi(…)")
    }
}

/// Which way a frame went on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the side that connected (the sender of messages) to the side that listens.
    ToReceiver,
    /// Back: where ACKs are expected.
    ToSender,
}

/// A named place on a route where a tap looks: index into [`crate::plan::Plan::waypoints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaypointId(pub u16);

/// A connection (or another ordered sub-stream such as a Kafka partition) within a waypoint.
/// Unique per waypoint for the life of the tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A W3C trace context found beside the message (a Kafka header), kept, never rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Trace id, non-zero.
    pub trace_id: u128,
    /// Parent span id, non-zero.
    pub span_id: u64,
    /// The sampled flag.
    pub sampled: bool,
}

/// One transport unit: an MLLP block, a Kafka record's HL7 text, a file's message, an HTTP body.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bytes without the transport's own framing.
    pub bytes: Phi<Vec<u8>>,
    /// When its last byte was seen, by our clock (for Kafka: the record's timestamp).
    pub at: Timestamp,
    /// Where.
    pub waypoint: WaypointId,
    /// On which connection.
    pub connection: ConnectionId,
    /// Which way.
    pub direction: Direction,
    /// Trace context found beside it.
    pub trace: Option<TraceParent>,
}
