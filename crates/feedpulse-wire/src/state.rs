//! What the tasks of the one thread share: the ring, the counters, the phase of life.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::record::{Direction, Event, Record};
use crate::ring::Writer;

/// The longest read, and the size of the one buffer that all connections read into.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// Descriptors that connections leave to the rest of the process: the runtime, the ring, standard
/// streams, and clients of the hand-over socket.
const OTHER_FILES: u64 = 48;

/// How the wire's life goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections are accepted.
    Serving,
    /// No connection is accepted; those that are open go on.
    Draining,
    /// What is still open is reset.
    Cutting,
}

/// Shared by all tasks. Single-threaded; no borrow of a cell is held over an await.
pub(crate) struct Wire {
    pub(crate) ring: RefCell<Writer>,
    pub(crate) counters: Counters,
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// How many connections the limit of open files allows in all.
    pub(crate) max_open: u64,
    /// Told when the last connection has closed.
    pub(crate) all_closed: Notify,
    phase: watch::Receiver<Phase>,
    last_connection: Cell<u64>,
    spare_file: RefCell<Option<OwnedFd>>,
}

/// Totals since the wire started.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) open: Cell<u64>,
    pub(crate) opened: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) unreachable: Cell<u64>,
    /// Bytes read from the senders and from the receivers.
    pub(crate) read: [Cell<u64>; 2],
    /// Bytes written to the receivers and to the senders.
    pub(crate) written: [Cell<u64>; 2],
    pub(crate) reader_attached: Cell<bool>,
}

/// Adds to a counter.
pub(crate) fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Counters {
    pub(crate) fn written(&self, direction: Direction) -> u64 {
        self.written[direction as usize].get()
    }
}

impl Wire {
    pub(crate) fn new(ring: Writer, listeners: usize, phase: watch::Receiver<Phase>) -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let this = Self {
            ring: RefCell::new(ring),
            counters: Counters::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            // Each connection takes two.
            max_open: files.saturating_sub(OTHER_FILES + listeners as u64) / 2,
            all_closed: Notify::new(),
            phase,
            last_connection: Cell::new(0),
            spare_file: RefCell::new(None),
        };
        this.restore_spare_file();
        this
    }

    /// Offers a copy to the ring; never waits.
    pub(crate) fn offer(&self, listener: u16, connection: u64, event: Event<'_>) {
        let record = Record { listener, connection, at_us: clock::now_us(), event };
        // Whether it went in is the ring's to count.
        let _ = self.ring.borrow_mut().offer(&record);
    }

    /// A number for a new connection.
    pub(crate) fn next_connection(&self) -> u64 {
        count(&self.last_connection, 1);
        self.last_connection.get()
    }

    /// Waits for a phase of life, or a later one.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.clone();
        if phases.wait_for(|now| *now >= phase).await.is_err() {
            // Who sets the phases is gone, and with it everybody who could wait for one.
            std::future::pending::<()>().await;
        }
    }

    /// Gives up the descriptor that was kept back, so that one connection can be accepted and
    /// reset when there is no other; false when it is in use.
    pub(crate) fn free_spare_file(&self) -> bool {
        self.spare_file.borrow_mut().take().is_some()
    }

    /// Keeps a descriptor back again.
    pub(crate) fn restore_spare_file(&self) {
        let spare = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).ok();
        *self.spare_file.borrow_mut() = spare;
    }

    /// The sign of life of each second.
    pub(crate) fn tell_alive(&self) {
        let counters = &self.counters;
        let event = Event::Alive {
            open: counters.open.get(),
            to_receiver: counters.written(Direction::ToReceiver),
            to_sender: counters.written(Direction::ToSender),
        };
        self.offer(0, 0, event);
    }

    /// The counters as one line of `key=value`, without its end.
    pub(crate) fn stats(&self) -> String {
        let counters = &self.counters;
        let mut ring = self.ring.borrow_mut();
        let (used, capacity) = ring.usage();
        let (shed_records, shed_bytes) = ring.shed();
        format!(
            "connections_open={} connections_total={} refused={} unreachable={} \
             to_receiver_in={} to_receiver_out={} to_sender_in={} to_sender_out={} \
             shed_records={shed_records} shed_bytes={shed_bytes} \
             ring_used={used} ring_capacity={capacity} reader_attached={} instance={:032x}",
            counters.open.get(),
            counters.opened.get(),
            counters.refused.get(),
            counters.unreachable.get(),
            counters.read[0].get(),
            counters.written[0].get(),
            counters.read[1].get(),
            counters.written[1].get(),
            u8::from(counters.reader_attached.get()),
            ring.instance(),
        )
    }
}
