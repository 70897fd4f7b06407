//! The `capture` tap: reads what passes in its network namespace, without being in the way of it.
//!
//! A packet socket ([`ring`]) with a filter in the kernel ([`filter`]) fills a ring; its blocks go through
//! the same reassembly as a capture file. Needs CAP_NET_RAW and nothing else; no interface becomes
//! promiscuous.
//!
//! # What was not seen
//! * The ring is full, since this process gets no processor: the kernel counts what it drops, and the time
//!   between the last packet before and the first behind is a blind interval at every waypoint of the tap.
//!   No other queue sheds: while the engine is behind, the ring is not emptied.
//! * A stretch of one connection that its receiver acknowledged and nobody captured is a blind interval at
//!   its waypoint.
//! * While the process is not there: position `seen-us` holds up to when everything was seen, and the next
//!   run tells the interval since.
//!
//! Messages in such an interval are unknown, never lost.
//!
//! # Bounds
//! The ring (16 MiB unless said otherwise); the connections and the bytes out of order that [`Limits`]
//! says; 256 MiB in open frames, the longest is given up first.

mod block;
mod filter;
mod numbers;
#[expect(unsafe_code, reason = "maps the kernel's ring; the argument is in the module's text")]
mod ring;
#[cfg(test)]
mod tests;

pub use numbers::Numbers;

use super::facts::Endpoints;
use super::packet::{self, Datagram};
use super::table::Limits;
use super::{Capture, Told, apply};
use crate::streams::Sink;
use feedpulse_core::codes::Code;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::OwnState;
use feedpulse_core::label::Label;
use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use feedpulse_wire::{Event, Record};
use filter::{INTERFACES_MAX, PORTS_MAX};
use ring::{RETIRE_MS, Ring};
use rustix::net::netdevice::name_to_index;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

/// Bytes of the ring unless said otherwise.
pub const RING: usize = 16 << 20;
/// Bytes that all open frames may hold.
const OPEN_MAX: usize = 256 << 20;
/// Interfaces that are named are looked for this often: they may come, go and come back.
const LOOK_EVERY: i64 = 5_000_000;
/// One second in µs.
const SECOND: i64 = 1_000_000;
/// Time (µs) that what is in the ring may be behind, when nothing is handed over.
const BEHIND: i64 = 2_500 * RETIRE_MS as i64;
/// Lane of the position up to which everything was seen.
const SEEN: &str = "seen-us";

/// The clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the tap looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureTapConfig {
    /// Its name, of its positions and in its incidents.
    pub name: String,
    /// Interfaces by name; empty = all.
    pub interfaces: Vec<String>,
    /// Receiving ends, each with its waypoint; the first that fits counts. 1 to 512.
    pub endpoints: Vec<(Endpoints, WaypointId)>,
    /// Bytes of the kernel's ring: 512 KiB to 1 GiB.
    pub ring: usize,
    /// How much is followed at once.
    pub limits: Limits,
}

/// Why the tap cannot work.
#[derive(Debug, thiserror::Error)]
pub enum CaptureTapError {
    /// It may not open a packet socket.
    #[error(
        "passive capture needs CAP_NET_RAW and this process does not have it. In Kubernetes: add \
         NET_RAW to the container's capabilities, in a namespace whose Pod Security lets it (`baseline` \
         and `restricted` refuse), and run an image whose program has the file capability, or as uid 0. \
         On a host: `setcap cap_net_raw=ep` on the program, or AmbientCapabilities=CAP_NET_RAW in its \
         systemd unit. In a container without it, use the mllp proxy"
    )]
    NotPermitted,
    /// The kernel has no packet sockets, or not this kind.
    #[error("this kernel has no packet sockets with TPACKET_V3 (CONFIG_PACKET, Linux 3.2): {0}")]
    NotSupported(io::Error),
    /// The kernel gives no such ring.
    #[error(
        "the kernel gives no memory for a ring of {bytes} bytes: {source}; ask for a smaller one"
    )]
    NoMemory {
        /// How much was asked for.
        bytes: usize,
        /// What it said.
        source: io::Error,
    },
    /// Something else.
    #[error("the packet socket: {0}")]
    Socket(io::Error),
    /// It would look at nothing, or at too much.
    #[error("1 to {PORTS_MAX} endpoints and at most {INTERFACES_MAX} interfaces")]
    Extent,
}

impl CaptureTapError {
    fn of(error: io::Error, bytes: usize) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted,
            Some(libc::EAFNOSUPPORT | libc::ENOPROTOOPT | libc::EINVAL) => {
                Self::NotSupported(error)
            }
            Some(libc::ENOMEM) => Self::NoMemory { bytes, source: error },
            _ => Self::Socket(error),
        }
    }
}

/// The tap.
#[derive(Debug)]
pub struct CaptureTap {
    config: CaptureTapConfig,
    ring: Ring,
    capture: Capture,
    clock: Clocked,
    numbers: Numbers,
    /// Numbers of the interfaces that the filter lets through; empty = all.
    interfaces: Vec<u32>,
    /// A named one is not there.
    missing: bool,
    /// Everything up to here was seen, µs.
    seen_us: i64,
    /// When the last second was over, when the interfaces were looked for, when numbers were shown; µs.
    second_us: i64,
    looked_us: i64,
    shown_us: i64,
    counted: Counted,
}

/// What the kernel counted in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Packets that the filter let through.
    pub(crate) packets: u64,
    /// Of these, those that found no room in the ring.
    pub(crate) dropped: u64,
}

struct Clocked(Clock);

impl std::fmt::Debug for Clocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock(…)")
    }
}

/// No interface has this number: nothing passes.
const NO_INTERFACE: u32 = u32::MAX;

impl CaptureTap {
    /// Opens the socket: from here on packets are kept for [`CaptureTap::run`]. Positions that were stored
    /// for it say since when nobody looked (others are ignored).
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub fn open(
        config: CaptureTapConfig,
        positions: &[Position],
        clock: Clock,
        numbers: Numbers,
    ) -> Result<Self, CaptureTapError> {
        let ends = config.endpoints.len();
        if ends == 0 || ends > PORTS_MAX || config.interfaces.len() > INTERFACES_MAX {
            return Err(CaptureTapError::Extent);
        }
        let filter = filter::program(&ports(&config), &[NO_INTERFACE]);
        let ring =
            Ring::open(&filter, config.ring).map_err(|e| CaptureTapError::of(e, config.ring))?;
        let now = clock().as_micros();
        let part = Label::from(config.name.as_str());
        let instance = u128::from(now.unsigned_abs());
        let capture = Capture::now_at(&config.endpoints, config.limits, part, instance);
        let mut this = Self {
            config,
            ring,
            capture,
            clock: Clocked(clock),
            numbers,
            interfaces: vec![NO_INTERFACE],
            missing: false,
            seen_us: now,
            second_us: now,
            looked_us: now,
            shown_us: now,
            counted: Counted::default(),
        };
        this.capture.tell(false, "capturing");
        let of_this = |p: &&Position| p.tap == this.config.name && p.lane == SEEN;
        let seen = positions.iter().find(of_this).map(|p| p.offset.cast_signed());
        if let Some(seen) = seen.filter(|seen| *seen < now) {
            this.capture.blind_before(seen, now, 0);
        }
        this.look_for_interfaces().map_err(CaptureTapError::Socket)?;
        Ok(this)
    }

    /// Runs until `stop`, or until nobody takes its batches.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub async fn run(
        mut self,
        mut intake: impl Intake,
        stop: CancellationToken,
    ) -> Result<(), CaptureTapError> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may close or change their descriptor; \
                      an OwnedFd does neither"
        )]
        let watch = |fd: OwnedFd| AsyncFd::with_interest(fd, Interest::READABLE);
        let readable = self.ring.as_fd().try_clone_to_owned().and_then(watch);
        let readable = readable.map_err(CaptureTapError::Socket)?;
        while !stop.is_cancelled() {
            while self.take_block() {
                if self.hand_over(&mut intake).await.is_err() || stop.is_cancelled() {
                    return Ok(());
                }
                self.show();
            }
            self.pass_time();
            if self.hand_over(&mut intake).await.is_err() {
                return Ok(());
            }
            let rest = (self.second_us + SECOND + BEHIND - self.now()).clamp(1_000, SECOND);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                ready = readable.readable() => if let Ok(mut ready) = ready {
                    // Before the ring is looked at: what comes then wakes us again.
                    ready.clear_ready();
                },
                () = tokio::time::sleep(Duration::from_micros(rest.unsigned_abs())) => {}
            }
        }
        Ok(())
    }

    fn now(&self) -> i64 {
        (self.clock.0)().as_micros()
    }

    /// Takes the next block of packets; false when there is none.
    fn take_block(&mut self) -> bool {
        let Some(block) = self.ring.next() else { return false };
        let (losing, from) = (block.losing, self.seen_us);
        for (at_us, datagram) in block::packets(block.bytes) {
            // When packets come without a pause, their time is what time there is.
            if !(0..SECOND).contains(&(at_us - self.second_us)) {
                self.second_us = at_us;
                self.capture.look_after(at_us, OPEN_MAX);
            }
            self.capture.arrive(at_us, &datagram);
            self.seen_us = at_us;
        }
        drop(block);
        if losing {
            let dropped = self.count();
            self.capture.blind_before(from, self.seen_us, dropped);
        }
        true
    }

    /// Everything that came was taken: up to a moment ago, nothing else has passed.
    fn pass_time(&mut self) {
        let at_us = self.now() - BEHIND;
        if (0..SECOND).contains(&(at_us - self.second_us)) {
            return;
        }
        self.second_us = at_us;
        let dropped = self.count();
        if dropped > 0 {
            // Those that were there for a moment may still be in a block that is not handed over.
            self.capture.blind_before(self.seen_us, at_us + BEHIND, dropped);
        }
        self.seen_us = at_us.max(self.seen_us.min(at_us + BEHIND));
        self.capture.look_after(at_us, OPEN_MAX);
        self.capture.alive(at_us);
        if !(0..LOOK_EVERY).contains(&(at_us - self.looked_us)) {
            self.looked_us = at_us;
            if self.look_for_interfaces().is_err() {
                self.capture.tell(true, "filter");
            }
        }
        self.show();
    }

    /// Asks the kernel how many packets it let through and how many it dropped; gives the latter.
    fn count(&mut self) -> u64 {
        let counts = self.ring.counts();
        self.counted.packets += u64::from(counts.packets);
        self.counted.dropped += u64::from(counts.drops);
        u64::from(counts.drops)
    }

    /// Shows the numbers, once a second at most.
    fn show(&mut self) {
        if !(0..SECOND).contains(&(self.seen_us - self.shown_us)) {
            self.shown_us = self.seen_us;
            self.numbers.set(&self.capture, self.counted);
        }
    }

    /// Lets the named interfaces through that are there now.
    fn look_for_interfaces(&mut self) -> io::Result<()> {
        let named = &self.config.interfaces;
        let number = |name: &String| name_to_index(&self.ring, name).ok();
        let mut found: Vec<u32> = named.iter().filter_map(number).collect();
        let missing = found.len() < named.len();
        if found.is_empty() && missing {
            found.push(NO_INTERFACE);
        }
        if found != self.interfaces {
            self.ring.filter(&filter::program(&ports(&self.config), &found))?;
            self.interfaces = found;
        }
        if missing != self.missing {
            self.missing = missing;
            self.capture.tell(missing, if missing { "no-interface" } else { "capturing" });
        }
        Ok(())
    }

    async fn hand_over(&mut self, intake: &mut impl Intake) -> Result<(), IntakeClosed> {
        let items = self.capture.taken();
        if items.is_empty() {
            return Ok(());
        }
        let seen = Position {
            tap: self.config.name.clone(),
            lane: SEEN.to_owned(),
            epoch: 0,
            offset: self.seen_us.cast_unsigned(),
        };
        intake.put(TapBatch { items, positions: vec![seen], done: None }).await
    }
}

fn ports(config: &CaptureTapConfig) -> Vec<u16> {
    let mut ports: Vec<u16> = config.endpoints.iter().map(|(ends, _)| ends.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What to hand over where the tap cannot work and others go on: its incident.
#[must_use]
pub fn down(name: &str, error: &CaptureTapError) -> TapBatch {
    let detail = match error {
        CaptureTapError::NotPermitted => "no-cap-net-raw",
        CaptureTapError::NotSupported(_) => "not-supported",
        CaptureTapError::NoMemory { .. } => "no-memory",
        CaptureTapError::Socket(_) | CaptureTapError::Extent => "socket",
    };
    let part = Label::from(name);
    let code = Code::TapDown;
    let own = OwnState { part, code, failing: true, detail: Label::from(detail), dropped: 0 };
    TapBatch { items: vec![Tapped::Own(own)], ..TapBatch::default() }
}

/// What a live capture does beyond one that is read from a file.
impl Capture {
    /// A packet that has just passed.
    fn arrive(&mut self, at_us: i64, datagram: &Datagram<'_>) {
        self.segment(at_us, packet::datagram(datagram), 0);
        // At once: a gap behind this packet says nothing of what is in it.
        self.settle();
    }

    /// Once a second: what is missing for too long, attempts that nobody answers, too many open frames.
    fn look_after(&mut self, at_us: i64, open_max: usize) {
        let Self { table, streams, items, .. } = self;
        table.second(at_us, &mut |told| apply(told, streams, items));
        streams.bound_open(open_max, &mut Sink { items, rebuild: false });
    }

    /// A sign of life of each waypoint.
    fn alive(&mut self, at_us: i64) {
        let event = Event::Alive { open: 0, to_receiver: 0, to_sender: 0 };
        let record = Record { listener: 0, connection: 0, at_us, event };
        apply(Told::Record(record), &mut self.streams, &mut self.items);
    }

    /// Nobody saw what passed in this time: told before what has come since.
    fn blind_before(&mut self, from_us: i64, to_us: i64, records: u64) {
        let mut items = Vec::new();
        let mut sink = Sink { items: &mut items, rebuild: false };
        self.streams.blind(from_us, to_us, (records, 0), &mut sink);
        self.settled += items.len();
        items.append(&mut self.items);
        self.items = items;
    }

    fn tell(&mut self, failing: bool, detail: &str) {
        let own = self.streams.own(failing, detail);
        self.items.push(own);
    }

    /// What there is to hand over.
    fn taken(&mut self) -> Vec<Tapped> {
        self.settle();
        self.settled = 0;
        core::mem::take(&mut self.items)
    }
}
