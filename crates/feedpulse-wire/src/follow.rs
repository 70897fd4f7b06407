//! Copies of what a wire still forwards after another one took over: connections that cannot move.
//!
//! The ring is the other wire's then. So each record goes there as one datagram (a socket pair that
//! is handed over with the ring), and the other wire offers it to the ring. As with the ring nobody
//! waits: what does not fit is shed and told.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::rc::Rc;

use tokio::io::AsyncReadExt;

use crate::record::{Event, HEAD, MAX_PAYLOAD, Record, Side};
use crate::state::Wire;

/// The wire that still forwards.
pub(crate) struct Follow {
    to: UnixDatagram,
    /// Its end tells the other wire that nothing more comes.
    _alive: UnixStream,
    bytes: RefCell<Vec<u8>>,
    shed: RefCell<Shed>,
}

/// What was shed since the last record that went out.
#[derive(Clone, Copy, Default)]
struct Shed {
    from_us: i64,
    to_us: i64,
    records: u64,
    bytes: u64,
}

impl Follow {
    /// Sends by `to`, which does not block, for as long as this lives, and `alive` with it.
    pub(crate) fn new(to: UnixDatagram, alive: UnixStream) -> Self {
        Self { to, _alive: alive, bytes: RefCell::default(), shed: RefCell::default() }
    }

    /// Offers a record; never waits.
    pub(crate) fn offer(&self, record: &Record<'_>) {
        let mut shed = self.shed.borrow_mut();
        let at_us = record.at_us;
        if shed.records > 0 {
            let Shed { from_us, to_us, records, bytes } = *shed;
            let event = Event::Shed { from_us, to_us, records, bytes };
            if self.send(&Record { listener: 0, connection: 0, at_us, event }).is_ok() {
                *shed = Shed::default();
            }
        }
        if shed.records > 0 || self.send(record).is_err() {
            if shed.records == 0 {
                shed.from_us = at_us;
            }
            shed.to_us = at_us;
            shed.records += 1;
            shed.bytes += record.data_len();
        }
    }

    fn send(&self, record: &Record<'_>) -> io::Result<()> {
        let mut bytes = self.bytes.borrow_mut();
        record.encode().write_to(&mut bytes);
        self.to.send(&bytes).map(drop)
    }
}

/// The wire that took over: passes records on to its ring until the other process ends.
pub(crate) async fn pass_on(wire: Rc<Wire>, from: UnixDatagram, other: UnixStream) {
    wire.followed(1);
    // What is left open in the analyser's books when the other process dies without a word.
    let mut open = BTreeSet::new();
    if let Err(error) = copy(&wire, from, other, &mut open).await {
        crate::log::say(format_args!("copies of the wire before are lost: {error}"));
    }
    for (listener, connection) in open {
        wire.offer(listener, connection, Event::Reset { by: Side::Wire });
    }
    wire.followed(-1);
}

async fn copy(
    wire: &Wire,
    from: UnixDatagram,
    other: UnixStream,
    open: &mut BTreeSet<(u16, u64)>,
) -> io::Result<()> {
    from.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    let from = tokio::net::UnixDatagram::from_std(from)?;
    let mut other = tokio::net::UnixStream::from_std(other)?;
    let mut bytes = vec![0; HEAD + MAX_PAYLOAD];
    loop {
        let count = tokio::select! {
            biased;
            count = from.recv(&mut bytes) => count?,
            // It says nothing more: this is its end, behind all that it has sent.
            _ = other.read_u8() => return Ok(()),
        };
        let Ok(record) = Record::decode(&bytes[..count]) else { continue };
        let place = (record.listener, record.connection);
        match record.event {
            Event::Data { .. } | Event::HalfClosed { .. } => drop(open.insert(place)),
            Event::Closed | Event::Reset { .. } | Event::TimedOut { .. } => {
                open.remove(&place);
            }
            _ => {}
        }
        wire.offer_record(&record);
    }
}
