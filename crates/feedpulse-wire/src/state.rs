//! What the tasks of the one thread share: the ring, the counters, the phase of life.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::event::EventfdFlags;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{Notify, watch};

use crate::buffers::Budget;
use crate::clock;
use crate::config::WireConfig;
use crate::follow::Follow;
use crate::log::Notice;
use crate::luggage::Luggage;
use crate::record::{Direction, Event, MAX_PAYLOAD, Payload, Record};
use crate::relay::Link;
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
    /// Listeners and connections give themselves up to the wire that takes over. When it does not,
    /// all go on serving.
    Moving,
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
    /// How many connections may be open in all.
    pub(crate) max_open: u64,
    /// How many of them the limit of open files allows.
    pub(crate) max_files: u64,
    /// What all connections together may hold.
    pub(crate) buffers: Rc<Budget>,
    /// That the limits above are reached.
    pub(crate) full: Notice,
    /// Told when the last connection has closed.
    pub(crate) all_closed: Notify,
    /// Listeners and connections that give themselves up when the phase is `Moving`.
    pub(crate) movable: Cell<usize>,
    /// Told when none of them is left.
    pub(crate) all_moved: Notify,
    /// What they gave.
    pub(crate) luggage: RefCell<Luggage>,
    /// Where records go once the ring is the next wire's.
    pub(crate) follow: RefCell<Option<Follow>>,
    /// How many wires before this one still send records.
    following: Cell<i32>,
    /// Told when the ring was given away.
    pub(crate) given: Notify,
    /// A wire that wants to take over, until it is attended to.
    pub(crate) successor: RefCell<Option<UnixStream>>,
    pub(crate) successor_came: Notify,
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
    /// Of these, by a limit of connections or of open files.
    pub(crate) refused_limit: Cell<u64>,
    /// And those whose PROXY header or TLS handshake was not right.
    pub(crate) refused_start: Cell<u64>,
    pub(crate) unreachable: Cell<u64>,
    /// Bytes read from the senders and from the receivers.
    pub(crate) read: [Cell<u64>; 2],
    /// Bytes written to the receivers and to the senders.
    pub(crate) written: [Cell<u64>; 2],
    pub(crate) reader_attached: Cell<bool>,
}

/// One task that gives itself up when the phase is `Moving`.
pub(crate) struct Movable(Rc<Wire>);

impl Drop for Movable {
    fn drop(&mut self) {
        self.0.movable.set(self.0.movable.get() - 1);
        if self.0.movable.get() == 0 {
            self.0.all_moved.notify_one();
        }
    }
}

/// Adds to a counter.
pub(crate) fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Counters {
    /// The totals, for the next wire to go on from.
    pub(crate) fn totals(&self) -> [&Cell<u64>; 9] {
        let [read, back] = &self.read;
        let [written, answered] = &self.written;
        [
            &self.opened,
            &self.refused,
            &self.unreachable,
            &self.refused_limit,
            &self.refused_start,
            read,
            back,
            written,
            answered,
        ]
    }

    /// Goes on from another wire's totals, in the same order.
    pub(crate) fn go_on_from(&self, totals: &[u64]) {
        for (total, before) in self.totals().into_iter().zip(totals) {
            count(total, *before);
        }
    }

    pub(crate) fn written(&self, direction: Direction) -> u64 {
        self.written[direction as usize].get()
    }
}

impl Wire {
    pub(crate) fn new(config: &WireConfig, ring: Writer, phase: watch::Receiver<Phase>) -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let this = Self {
            ring: RefCell::new(ring),
            counters: Counters::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            max_open: config.max_connections as u64,
            // Each connection takes two.
            max_files: files.saturating_sub(OTHER_FILES + config.listeners.len() as u64) / 2,
            buffers: Budget::new(config.buffer_bytes),
            full: Notice::default(),
            all_closed: Notify::new(),
            movable: Cell::new(0),
            all_moved: Notify::new(),
            luggage: RefCell::default(),
            follow: RefCell::default(),
            following: Cell::new(0),
            given: Notify::new(),
            successor: RefCell::new(None),
            successor_came: Notify::new(),
            phase,
            last_connection: Cell::new(0),
            spare_file: RefCell::new(None),
        };
        this.restore_spare_file();
        this
    }

    /// Offers a copy to the ring; never waits.
    pub(crate) fn offer(&self, listener: u16, connection: u64, event: Event<'_>) {
        self.offer_record(&Record { listener, connection, at_us: clock::now_us(), event });
    }

    /// Offers a record that was made before.
    pub(crate) fn offer_record(&self, record: &Record<'_>) {
        if let Some(follow) = &*self.follow.borrow() {
            follow.offer(record);
        } else {
            // Whether it went in is the ring's to count.
            let _ = self.ring.borrow_mut().offer(record);
        }
    }

    /// One more, or one less, wire before this one whose records are passed on.
    pub(crate) fn followed(&self, more: i32) {
        self.following.set(self.following.get() + more);
        if self.is_over() {
            self.all_closed.notify_one();
        }
    }

    /// Whether nothing is left to forward, and no record to pass on.
    pub(crate) fn is_over(&self) -> bool {
        self.counters.open.get() == 0 && self.following.get() == 0
    }

    /// Counts bytes of a connection that were forwarded, and offers a copy of them.
    pub(crate) fn copy(&self, link: &Link, direction: Direction, bytes: &[u8]) {
        count(&self.counters.written[direction as usize], bytes.len() as u64);
        let offset = &link.ways[direction as usize].offset;
        for piece in bytes.chunks(MAX_PAYLOAD) {
            let event = Event::Data { direction, offset: offset.get(), bytes: Payload(piece) };
            self.offer(link.listener, link.id, event);
            count(offset, piece.len() as u64);
        }
    }

    /// A number for a new connection.
    pub(crate) fn next_connection(&self) -> u64 {
        count(&self.last_connection, 1);
        self.last_connection.get()
    }

    /// Goes on with a number that was given before.
    pub(crate) fn connections_so_far(&self, last: u64) {
        self.last_connection.set(last);
    }

    /// The last number that was given.
    pub(crate) fn last_connection(&self) -> u64 {
        self.last_connection.get()
    }

    /// Waits for a phase of life as wanted.
    pub(crate) async fn phase_of(&self, wanted: impl Fn(Phase) -> bool) -> Phase {
        let mut phases = self.phase.clone();
        if let Ok(phase) = phases.wait_for(|now| wanted(*now)).await {
            return *phase;
        }
        // Who sets the phases is gone, and with it everybody who could wait for one.
        std::future::pending().await
    }

    /// Counts one more task that can move, until what is returned is dropped.
    pub(crate) fn movable(self: &Rc<Self>) -> Movable {
        self.movable.set(self.movable.get() + 1);
        Movable(self.clone())
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

    /// The sign of life of each second; once the ring is the next wire's, that one tells its own.
    pub(crate) fn tell_alive(&self) {
        if self.follow.borrow().is_some() {
            return;
        }
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
        let (held, held_most) = self.buffers.usage();
        format!(
            "connections_open={} connections_total={} refused={} unreachable={} \
             refused_limit={} refused_start={} held={held} held_most={held_most} \
             to_receiver_in={} to_receiver_out={} to_sender_in={} to_sender_out={} \
             shed_records={shed_records} shed_bytes={shed_bytes} \
             ring_used={used} ring_capacity={capacity} reader_attached={} instance={:032x}",
            counters.open.get(),
            counters.opened.get(),
            counters.refused.get(),
            counters.unreachable.get(),
            counters.refused_limit.get(),
            counters.refused_start.get(),
            counters.read[0].get(),
            counters.written[0].get(),
            counters.read[1].get(),
            counters.written[1].get(),
            u8::from(counters.reader_attached.get()),
            ring.instance(),
        )
    }
}
