//! Listeners: accepting, refusing at a limit, closing while the receiver is down.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::config::ListenerConfig;
use crate::dial::dial;
use crate::log::{Notice, say};
use crate::record::{Event, RefusedBy};
use crate::relay::Link;
use crate::start::{Arrival, arrived};
use crate::state::{Movable, Phase, Wire, count};
use crate::tls::Tls;

/// The first and the longest pause between two probes of a receiver that is down.
const PROBE_PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// The pause after an error of `accept` that is not about one connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that the kernel holds until they are accepted; it takes `net.core.somaxconn` at most.
const BACKLOG: i32 = 4096;

/// One listener with what its connections share.
pub(crate) struct Lane {
    pub(crate) config: ListenerConfig,
    pub(crate) index: u16,
    pub(crate) tls: Tls,
    /// Connections open now, those being dialled included.
    open: Cell<usize>,
    /// That its limit is reached.
    full: Notice,
    /// That connections start with what is no PROXY header, or with a failed TLS handshake.
    pub(crate) bad_start: Notice,
    /// Counts how often the listening socket was opened anew, so that a failure that belongs to
    /// an earlier one does not close it again.
    pub(crate) generation: Cell<u64>,
    pub(crate) upstream_down: Notify,
}

impl Lane {
    pub(crate) fn new(index: u16, config: ListenerConfig, tls: Tls) -> Rc<Self> {
        Rc::new(Self {
            config,
            index,
            tls,
            open: Cell::new(0),
            full: Notice::default(),
            bad_start: Notice::default(),
            generation: Cell::new(0),
            upstream_down: Notify::new(),
        })
    }
}

/// Starts a task on the process's one thread. This is the only place that does, and only for
/// connections, listeners and hand-overs, each of which bounds its own number.
pub(crate) fn start(task: impl Future<Output = ()> + 'static) {
    drop(tokio::task::spawn_local(task));
}

/// Opens a listening socket; one at `[::]` takes IPv4 too, whatever the system's default.
pub(crate) fn bind(on: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(on), Type::STREAM, Some(Protocol::TCP))?;
    if on.is_ipv6() {
        socket.set_only_v6(!on.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&on.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the wire drains or moves. Without a listener it waits for the receiver first.
pub(crate) async fn listen(
    wire: Rc<Wire>,
    lane: Rc<Lane>,
    mut listener: Option<TcpListener>,
    on: SocketAddr,
    _movable: Movable,
) {
    let index = lane.index;
    let over = wire.phase_of(|phase| phase != Phase::Serving);
    tokio::pin!(over);
    let phase = loop {
        let Some(socket) = &listener else {
            tokio::select! {
                again = reopen(&wire, &lane, on) => listener = Some(again),
                phase = &mut over => break phase,
            }
            wire.offer(index, 0, Event::Listening { on });
            continue;
        };
        tokio::select! {
            () = accept(&wire, &lane, socket) => {}
            phase = &mut over => break phase,
            () = lane.upstream_down.notified() => {
                listener = None;
                wire.offer(index, 0, Event::ListenerClosed { on });
            }
        }
    };
    if phase == Phase::Moving {
        wire.luggage.borrow_mut().listeners.push((index, on, listener));
    } else if listener.take().is_some() {
        wire.offer(index, 0, Event::ListenerClosed { on });
    }
}

/// Accepts one connection and starts its task, or resets it at a limit.
async fn accept(wire: &Rc<Wire>, lane: &Rc<Lane>, listener: &TcpListener) {
    let full = |error: &io::Error| {
        [Errno::MFILE, Errno::NFILE].contains(&Errno::from_io_error(error).unwrap_or(Errno::IO))
    };
    match listener.accept().await {
        Ok((sender, peer)) => match limit_reached(wire, lane) {
            Some(by) => refuse_at_limit(wire, lane, sender, peer, by),
            None => {
                let open = Open::new(wire, lane);
                count(&wire.counters.opened, 1);
                let link = Link::new(lane.index, wire.next_connection(), lane.config.idle_after);
                let arrival = Arrival::new(sender, peer, &lane.config);
                start(arrived(open, arrival, link, wire.movable()));
            }
        },
        Err(error) if full(&error) && wire.free_spare_file() => {
            // What waits is accepted with the descriptor kept back, so that the sender gets an
            // answer. Nothing may wait any more: the accept is tried once.
            if let Ok(Ok((sender, peer))) = timeout(Duration::ZERO, listener.accept()).await {
                wire.full.happened(format_args!(
                    "no open file is left for one connection more: further senders are reset"
                ));
                refuse_at_limit(wire, lane, sender, peer, RefusedBy::FileLimit);
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

/// Whether one connection more is too many; says it, and says when it is over.
fn limit_reached(wire: &Wire, lane: &Lane) -> Option<RefusedBy> {
    let (name, most) = (&lane.config.name, lane.config.max_connections);
    let open = wire.counters.open.get();
    if lane.open.get() >= most {
        lane.full.happened(format_args!(
            "listener {name} is at its limit of {most} connections: further senders are reset \
             until one ends"
        ));
        return Some(RefusedBy::ConnectionLimit);
    }
    if let Some(times) = lane.full.over() {
        say(format_args!("listener {name} accepts again; {times} senders were reset"));
    }
    if open >= wire.max_open {
        wire.full.happened(format_args!(
            "all listeners together are at the limit of {} connections: further senders are \
             reset until one ends",
            wire.max_open
        ));
        return Some(RefusedBy::ConnectionLimit);
    }
    // Early enough that the analyser can still attach.
    if open >= wire.max_files {
        wire.full.happened(format_args!(
            "the limit of open files allows {} connections: further senders are reset until one \
             ends",
            wire.max_files
        ));
        return Some(RefusedBy::FileLimit);
    }
    if let Some(times) = wire.full.over() {
        say(format_args!("all listeners accept again; {times} senders were reset"));
    }
    None
}

fn refuse_at_limit(wire: &Wire, lane: &Lane, sender: TcpStream, peer: SocketAddr, by: RefusedBy) {
    reset(sender);
    count(&wire.counters.refused_limit, 1);
    refused(wire, lane, wire.next_connection(), plain(peer), by);
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
        match bind(on) {
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
pub(crate) struct Open {
    pub(crate) wire: Rc<Wire>,
    pub(crate) lane: Rc<Lane>,
    pub(crate) generation: u64,
}

impl Open {
    pub(crate) fn new(wire: &Rc<Wire>, lane: &Rc<Lane>) -> Self {
        lane.open.set(lane.open.get() + 1);
        count(&wire.counters.open, 1);
        Self { wire: wire.clone(), lane: lane.clone(), generation: lane.generation.get() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = &self.wire.counters.open;
        open.set(open.get() - 1);
        self.lane.open.set(self.lane.open.get() - 1);
        if self.wire.is_over() {
            self.wire.all_closed.notify_one();
        }
    }
}

pub(crate) fn refused(wire: &Wire, lane: &Lane, id: u64, peer: SocketAddr, by: RefusedBy) {
    count(&wire.counters.refused, 1);
    wire.offer(lane.index, id, Event::Refused { peer, by });
}

/// An IPv4 address that came in at an IPv6 socket, as what it is.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        four if four.is_ipv4() => SocketAddr::new(four, address.port()),
        _ => address,
    }
}

/// Closes with a reset (RFC 9293 §3.10.4, ABORT) instead of an orderly end.
pub(crate) fn reset(stream: TcpStream) {
    // Fails only on what is not a socket.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}
