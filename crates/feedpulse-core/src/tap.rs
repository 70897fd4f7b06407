//! What taps hand over, and the one trait through which they do.

use crate::frame::{Frame, WaypointId};
use crate::input::{Blind, OwnState};
use crate::probe::Probed;
use crate::sighting::Sighting;
use core::fmt;
use core::future::Future;

/// One item of a tap.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would allocate for every message")]
pub enum Tapped {
    /// Bytes to decode.
    Frame(Frame),
    /// A sighting that needs no decoding: a link event, a receipt, a dead letter.
    Sighting(Sighting),
    /// The tap did not see everything.
    Blind(Blind),
    /// The tap lives.
    Alive(WaypointId),
    /// The tap says how it is (brokers gone, wire gone).
    Own(OwnState),
    /// A job said that it ran.
    Probed(Probed),
}

/// Resumable progress of one lane of a tap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The tap's name.
    pub tap: String,
    /// Which sub-stream: `topic/partition`, a file's path, empty for the wire's ring.
    pub lane: String,
    /// Which incarnation of it (ring instance, file identity); a change starts anew.
    pub epoch: u128,
    /// Everything before this is done: ring cursor, next Kafka offset, byte of the file.
    pub offset: u64,
}

/// Called once, after everything of a batch is durable: release the ring, commit the offsets.
pub type Done = Box<dyn FnOnce() + Send>;

/// Some items in order, and the progress that they are.
#[derive(Default)]
pub struct TapBatch {
    /// In order of arrival.
    pub items: Vec<Tapped>,
    /// Where each touched lane stands after these items.
    pub positions: Vec<Position>,
    /// Called when durable. Never called when the process dies first.
    pub done: Option<Done>,
}

impl fmt::Debug for TapBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapBatch")
            .field("items", &self.items.len())
            .field("positions", &self.positions)
            .finish_non_exhaustive()
    }
}

/// The other side has gone: the process is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeClosed;

/// Where taps put their batches. Bounded: `put` waits while it is full. (Push sources shed before
/// this point: the wire in its ring, the HTTP tap by answering 503.)
pub trait Intake: Send {
    /// Hands over a batch, waiting for room.
    ///
    /// # Errors
    /// [`IntakeClosed`] when nobody will take it any more.
    fn put(&mut self, batch: TapBatch) -> impl Future<Output = Result<(), IntakeClosed>> + Send;
}
