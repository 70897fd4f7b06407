//! Listening, dialling and refusing: everything about a connection before and after its bytes.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::{ListenerConfig, OnUpstreamDown};
use crate::record::{Event, RefusedBy, Side, Unreachable};
use crate::relay::{self, End, relay};
use crate::state::{Phase, Wire, count};
use crate::vitals;

/// The first and the longest pause between two probes of a receiver that is down.
const PROBE_PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// The pause after an error of `accept` that is not about one connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listener with what its connections share.
struct Lane {
    config: ListenerConfig,
    index: u16,
    /// Connections open now, those being dialled included.
    open: Cell<usize>,
    /// Counts how often the listening socket was opened anew, so that a failure that belongs to
    /// an earlier one does not close it again.
    generation: Cell<u64>,
    upstream_down: Notify,
}

/// Starts a task on the process's one thread. This is the only place that does, and only for
/// connections, listeners and hand-overs, each of which bounds its own number.
pub(crate) fn start(task: impl Future<Output = ()> + 'static) {
    drop(tokio::task::spawn_local(task));
}

/// Accepts until the wire drains.
pub(crate) async fn listen(
    wire: Rc<Wire>,
    index: u16,
    config: ListenerConfig,
    mut listener: TcpListener,
    on: SocketAddr,
) {
    let lane = Rc::new(Lane {
        config,
        index,
        open: Cell::new(0),
        generation: Cell::new(0),
        upstream_down: Notify::new(),
    });
    wire.offer(index, 0, Event::Listening { on });
    let draining = wire.reached(Phase::Draining);
    tokio::pin!(draining);
    loop {
        tokio::select! {
            () = accept(&wire, &lane, &listener) => {}
            () = &mut draining => break,
            () = lane.upstream_down.notified() => {
                drop(listener);
                wire.offer(index, 0, Event::ListenerClosed { on });
                tokio::select! {
                    again = reopen(&wire, &lane, on) => listener = again,
                    () = &mut draining => return,
                }
                wire.offer(index, 0, Event::Listening { on });
            }
        }
    }
    drop(listener);
    wire.offer(index, 0, Event::ListenerClosed { on });
}

/// Accepts one connection and starts its task, or resets it at a limit.
async fn accept(wire: &Rc<Wire>, lane: &Rc<Lane>, listener: &TcpListener) {
    let full = |error: &io::Error| {
        [Errno::MFILE, Errno::NFILE].contains(&Errno::from_io_error(error).unwrap_or(Errno::IO))
    };
    match listener.accept().await {
        Ok((sender, peer)) if lane.open.get() >= lane.config.max_connections => {
            reset(sender);
            refused(wire, lane, wire.next_connection(), peer, RefusedBy::ConnectionLimit);
        }
        // Early enough that the analyser can still attach.
        Ok((sender, peer)) if wire.counters.open.get() >= wire.max_open => {
            reset(sender);
            refused(wire, lane, wire.next_connection(), peer, RefusedBy::FileLimit);
        }
        Ok((sender, peer)) => {
            let open = Open::new(wire, lane);
            start(connection(open, sender, peer));
        }
        Err(error) if full(&error) && wire.free_spare_file() => {
            // What waits is accepted with the descriptor kept back, so that the sender gets an
            // answer. Nothing may wait any more: the accept is tried once.
            if let Ok(Ok((sender, peer))) = timeout(Duration::ZERO, listener.accept()).await {
                reset(sender);
                refused(wire, lane, wire.next_connection(), peer, RefusedBy::FileLimit);
            }
            wire.restore_spare_file();
        }
        // The sender gave up before it was accepted.
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
        Err(_) => {
            sleep(ACCEPT_PAUSE).await;
            wire.restore_spare_file();
        }
    }
}

/// Waits until the receiver answers a dial, and listens again at the same address.
async fn reopen(wire: &Wire, lane: &Lane, on: SocketAddr) -> TcpListener {
    let [mut pause, longest] = PROBE_PAUSE;
    loop {
        sleep(pause).await;
        pause = longest.min(pause * 2);
        if dial(&lane.config).await.is_err() {
            continue;
        }
        match TcpListener::bind(on).await {
            Ok(listener) => {
                lane.generation.set(lane.generation.get() + 1);
                return listener;
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                wire.offer(lane.index, 0, Event::ListenFailed { on, errno });
            }
        }
    }
}

/// Counts a connection while it lives, however it ends.
struct Open {
    wire: Rc<Wire>,
    lane: Rc<Lane>,
    generation: u64,
}

impl Open {
    fn new(wire: &Rc<Wire>, lane: &Rc<Lane>) -> Self {
        lane.open.set(lane.open.get() + 1);
        count(&wire.counters.open, 1);
        count(&wire.counters.opened, 1);
        Self { wire: wire.clone(), lane: lane.clone(), generation: lane.generation.get() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = &self.wire.counters.open;
        open.set(open.get() - 1);
        self.lane.open.set(self.lane.open.get() - 1);
        if open.get() == 0 {
            self.wire.all_closed.notify_one();
        }
    }
}

/// One connection, from its accept to its end.
async fn connection(open: Open, mut sender: TcpStream, peer: SocketAddr) {
    let (wire, lane) = (&open.wire, &open.lane);
    let id = wire.next_connection();
    let dialled = async { (prepare(&sender), dial(&lane.config).await).1 };
    let mut receiver = tokio::select! {
        dialled = dialled => match dialled {
            Ok(receiver) => receiver,
            Err(failure) => {
                reset(sender);
                return failed(&open, id, peer, failure);
            }
        },
        () = wire.reached(Phase::Cutting) => {
            reset(sender);
            return wire.offer(lane.index, id, Event::Reset { by: Side::Wire });
        }
    };
    prepare(&receiver);
    // The address was just connected to; without it the receiver is gone again already.
    let upstream = receiver.peer_addr().unwrap_or(SocketAddr::from(([0; 4], 0)));
    wire.offer(lane.index, id, Event::Opened { peer, upstream });
    let place = (lane.index, id);
    let end = relay(wire, place, lane.config.idle_after, &mut sender, &mut receiver).await;
    let event = match end {
        End::Closed => {
            drop((sender, receiver));
            Event::Closed
        }
        End::Reset(by) => {
            // What was not read yet still says how it broke.
            let gone = [&sender, &receiver].into_iter().any(is_gone);
            reset(sender);
            reset(receiver);
            if gone { Event::TimedOut { side: by } } else { Event::Reset { by } }
        }
        End::TimedOut(side) => {
            reset(sender);
            reset(receiver);
            Event::TimedOut { side }
        }
    };
    wire.offer(lane.index, id, event);
}

/// Why a dial failed.
enum DialError {
    Refused,
    Unreachable(Unreachable),
    /// Says nothing about the receiver.
    FileLimit,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(Errno::MFILE | Errno::NFILE) => Self::FileLimit,
            Some(Errno::HOSTUNREACH | Errno::NETUNREACH) => Self::Unreachable(Unreachable::NoRoute),
            Some(Errno::TIMEDOUT) => Self::Unreachable(Unreachable::Timeout),
            errno => Self::Unreachable(Unreachable::Other(errno.map_or(0, Errno::raw_os_error))),
        }
    }
}

/// Looks the receiver up and connects to the first of its addresses that answers, all within the
/// connect timeout; each address gets an equal part of the time that is left.
async fn dial(config: &ListenerConfig) -> Result<TcpStream, DialError> {
    let deadline = Instant::now() + config.connect_timeout;
    let too_late = |_| DialError::Unreachable(Unreachable::Timeout);
    let found = timeout_at(deadline, tokio::net::lookup_host(&config.forward)).await;
    let addresses: Vec<_> = match found.map_err(too_late)? {
        Ok(addresses) => addresses.collect(),
        Err(error) if Errno::from_io_error(&error).is_some() => return Err(error.into()),
        Err(_) => Vec::new(),
    };
    let mut failure = DialError::Unreachable(Unreachable::NoName);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let part = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(part, TcpStream::connect(address)).await {
            Ok(Ok(receiver)) => return Ok(receiver),
            Ok(Err(error)) => failure = error.into(),
            Err(late) => failure = too_late(late),
        }
    }
    Err(failure)
}

/// Tells of a failed dial, and has the listener closed if that is wanted.
fn failed(open: &Open, id: u64, peer: SocketAddr, failure: DialError) {
    let Open { wire, lane, generation } = open;
    match failure {
        DialError::FileLimit => return refused(wire, lane, id, peer, RefusedBy::FileLimit),
        DialError::Refused => refused(wire, lane, id, peer, RefusedBy::Receiver),
        DialError::Unreachable(why) => {
            count(&wire.counters.unreachable, 1);
            wire.offer(lane.index, id, Event::Unreachable { peer, why });
        }
    }
    let wanted = lane.config.on_upstream_down == OnUpstreamDown::CloseListener;
    if wanted && lane.generation.get() == *generation {
        lane.generation.set(generation + 1);
        lane.upstream_down.notify_one();
    }
}

fn refused(wire: &Wire, lane: &Lane, id: u64, peer: SocketAddr, by: RefusedBy) {
    count(&wire.counters.refused, 1);
    wire.offer(lane.index, id, Event::Refused { peer, by });
}

/// No delay for small pieces, and a peer that vanished is noticed by the kernel in time. Neither
/// is needed to forward, so a failure is no reason to stop.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = vitals::probe(stream);
}

/// Whether the error that waits on a socket says that its peer is gone.
fn is_gone(stream: &TcpStream) -> bool {
    let waits = SockRef::from(stream).take_error().ok().flatten();
    waits.is_some_and(|error| relay::is_gone(&error))
}

/// Closes with a reset (RFC 9293 §3.10.4, ABORT) instead of an orderly end.
fn reset(stream: TcpStream) {
    // Fails only on what is not a socket.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}
