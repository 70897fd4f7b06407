//! TLS that passes through a tap: what its handshake shows is told aside, since no message of it
//! can be read. Nothing of it is recorded.

use feedpulse_core::frame::WaypointId;
use feedpulse_core::time::Timestamp;
use feedpulse_wire::{Direction, TlsFacts, TlsLook};
use std::fmt;
use std::sync::Arc;

/// What is done with what was seen.
type Tell = dyn Fn(WaypointId, &TlsFacts) + Send + Sync;

/// Who is told; nobody by default.
#[derive(Clone, Default)]
pub(crate) struct TlsTold(Option<Arc<Tell>>);

impl TlsTold {
    pub(crate) fn to(told: impl Fn(WaypointId, &TlsFacts) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, waypoint: WaypointId, facts: &TlsFacts) {
        if let Some(told) = &self.0 {
            told(waypoint, facts);
        }
    }
}

impl fmt::Debug for TlsTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "TlsTold(somebody)" } else { "TlsTold(nobody)" })
    }
}

/// Looks at one more piece of a connection; tells once, when the handshake is over.
pub(crate) fn look(
    slot: &mut Option<Box<TlsLook>>,
    direction: Direction,
    (offset, bytes): (u64, &[u8]),
    at: Timestamp,
    tell: impl FnOnce(&TlsFacts),
) {
    if offset == 0 && direction == Direction::ToReceiver && TlsLook::is_tls(bytes) != Some(false) {
        *slot = Some(Box::default());
    }
    let Some(look) = slot else { return };
    look.feed(direction, offset, bytes, at.as_micros());
    if look.is_settled() {
        // Neither a version nor an alert: these were not the bytes of TLS after all.
        if look.facts().version.is_some() || look.facts().alert.is_some() {
            tell(look.facts());
        }
        *slot = None;
    }
}
