//! One wire takes over from another: the new process asks at the old one's socket, and is given the
//! listening sockets, the ring and the connections. Nobody is refused and nothing is cut: a socket
//! is a thing of the kernel, and both processes hold it for a moment.
//!
//! The old one stops forwarding between two pieces, sends all that it knows (`luggage`), and waits
//! for `ready`. Then it says `go` and ends; only then does the new one touch a socket. When the new
//! one fails, or takes too long, the old one says `abort` and goes on as before: what it had is still
//! there. When the old one dies in between without a word, the new one goes on. Its decision is the
//! only one, so never do both forward.
//!
//! The new one must have the listeners of the old one, by name and in their order (records are
//! numbered by it), and may have more behind them; everything else may differ. The ring goes on if
//! its size and version are the same; else the analyser is told of a new one.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::config::WireConfig;
use crate::follow::{Follow, pass_on};
use crate::forward::{Lane, Open, listen, start};
use crate::log::say;
use crate::luggage::{Frame, Frames, Luggage, MAX_FDS, Travelling, field, send_frame, text};
use crate::ring::{Left, RingError, Writer};
use crate::start::taken_over;
use crate::state::{Phase, Wire};

/// The request, as other requests at the socket.
pub(crate) const UPGRADE: &str = "feedpulse-wire/1 upgrade\n";
/// How long sending may take, and then the other side's word. Nothing is forwarded meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the sides say in the end.
const READY: &[u8] = b"ready\n";
const GO: &[u8] = b"go\n";
const ABORT: &[u8] = b"abort\n";

/// Why a wire cannot take over from another.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// There is none.
    #[error("no wire answers there to take over from: start without --take-over")]
    NoWire(#[source] std::io::Error),
    /// It broke off, or does not know how.
    #[error("the running wire did not hand over: {0}; it goes on as before")]
    Refused(String),
    /// Its listeners are not this one's.
    #[error(
        "the running wire has listener {theirs:?} where this one has {ours:?}; a take-over keeps \
         names and order, and adds only behind them. The running wire goes on as before"
    )]
    Listeners {
        /// What it has.
        theirs: String,
        /// What this one has in this place.
        ours: String,
    },
}

/// What the old wire gave, and the word with it.
pub(crate) struct Taken {
    stream: UnixStream,
    /// The socket for hand-over and statistics.
    pub(crate) socket: UnixListener,
    ring: Option<(OwnedFd, OwnedFd, Left)>,
    /// What the old wire still forwards is told by this.
    followed: UnixDatagram,
    last_connection: u64,
    totals: Vec<u64>,
    /// Where each of the old listeners listens; without a socket when it was closed meanwhile.
    listeners: VecDeque<(String, SocketAddr, Option<OwnedFd>)>,
    connections: Vec<Frame>,
}

/// The old side. True when everything is the new one's, and this process has only to end.
pub(crate) async fn give(
    wire: &Rc<Wire>,
    lanes: &[Rc<Lane>],
    phases: &watch::Sender<Phase>,
    socket: BorrowedFd<'_>,
    to: UnixStream,
) -> bool {
    phases.send_replace(Phase::Moving);
    let all_moved = async {
        while wire.movable.get() > 0 {
            wire.all_moved.notified().await;
        }
    };
    let stopped = timeout(PATIENCE, all_moved).await.is_ok();
    let luggage = wire.luggage.take();
    let given = if stopped {
        send(wire, lanes, &luggage, socket, &to)
    } else {
        Err(std::io::Error::from(ErrorKind::TimedOut))
    };
    match given {
        Ok(follow) => {
            let moved = luggage.connections.len();
            let stuck = wire.counters.open.get();
            *wire.follow.borrow_mut() = Some(Follow::new(follow, to));
            wire.given.notify_waiters();
            say(format_args!(
                "handed over to another wire: {moved} connections go on there; {stuck} with TLS \
                 of ours end here"
            ));
            true
        }
        Err(error) => {
            let _ = (&to).write_all(ABORT);
            say(format_args!("another wire wanted to take over and did not ({error}); going on"));
            phases.send_replace(Phase::Serving);
            resume(wire, lanes, luggage);
            false
        }
    }
}

/// Sends all, and waits for the other side's word.
fn send(
    wire: &Wire,
    lanes: &[Rc<Lane>],
    luggage: &Luggage,
    socket: BorrowedFd<'_>,
    mut to: &UnixStream,
) -> std::io::Result<UnixDatagram> {
    let begun = Instant::now();
    to.set_nonblocking(false)?;
    to.set_read_timeout(Some(PATIENCE))?;
    to.set_write_timeout(Some(PATIENCE))?;
    let ring = wire.ring.borrow();
    let (memory, wake, left) = ring.parts();
    let totals = wire.counters.totals().map(|total| total.get().to_string()).join(",");
    let line = format!(
        "wire last_connection={} listeners={} connections={} totals={totals} left={left}",
        wire.last_connection(),
        luggage.listeners.len(),
        luggage.connections.len(),
    );
    let (follow, followed) = UnixDatagram::pair()?;
    send_frame(to, &line, &[], &[socket, memory, wake, followed.as_fd()])?;
    let mut listeners: Vec<_> = luggage.listeners.iter().collect();
    listeners.sort_by_key(|(index, ..)| *index);
    for ((_, on, listener), lane) in listeners.into_iter().zip(lanes) {
        let fd = listener.as_ref().map(AsFd::as_fd);
        let line = format!("listener name={} on={on}", lane.config.name);
        send_frame(to, &line, &[], fd.as_slice())?;
    }
    for travelling in &luggage.connections {
        if begun.elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
        let (line, bytes) = travelling.write();
        send_frame(to, &line, &bytes, &travelling.fds())?;
    }
    let mut word = [0; READY.len()];
    to.read_exact(&mut word)?;
    if word != READY {
        return Err(ErrorKind::InvalidData.into());
    }
    follow.set_nonblocking(true)?;
    to.write_all(GO)?;
    Ok(follow)
}

/// Goes on with what was not taken.
fn resume(wire: &Rc<Wire>, lanes: &[Rc<Lane>], luggage: Luggage) {
    for (index, on, listener) in luggage.listeners {
        if let Some(lane) = lanes.get(usize::from(index)) {
            start(listen(wire.clone(), lane.clone(), listener, on, wire.movable()));
        }
    }
    for travelling in luggage.connections {
        if let Some(lane) = lanes.get(usize::from(travelling.link.listener)) {
            start(taken_over(Open::new(wire, lane), travelling, wire.movable()));
        }
    }
}

/// The new side: asks for everything, and takes it without touching it.
pub(crate) fn ask(config: &WireConfig) -> Result<Taken, TakeOverError> {
    let refused = |error: std::io::Error| TakeOverError::Refused(error.to_string());
    let mut stream = UnixStream::connect(&config.socket).map_err(TakeOverError::NoWire)?;
    // The old one may be busy for as long as it waits itself.
    let patience = Some(2 * PATIENCE);
    stream.set_read_timeout(patience).and(stream.set_write_timeout(patience)).map_err(refused)?;
    stream.write_all(UPGRADE.as_bytes()).map_err(refused)?;
    let wrong = || TakeOverError::Refused("it is of another version".to_owned());
    let mut frames = Frames::new(&stream);
    let Frame { line, mut fds, .. } = frames.next().map_err(refused)?;
    let (listeners, connections) = field::<usize>(&line, "listeners")
        .zip(field::<usize>(&line, "connections"))
        .filter(|_| line.starts_with("wire ") && fds.len() == MAX_FDS)
        .ok_or_else(wrong)?;
    let totals = text(&line, "totals").unwrap_or_default();
    let totals = totals.split(',').map_while(|total| total.parse().ok()).collect();
    let last_connection = field(&line, "last_connection").ok_or_else(wrong)?;
    let socket = UnixListener::from(fds.pop_front().ok_or_else(wrong)?);
    let mut ring = [fds.pop_front(), fds.pop_front()].into_iter().flatten();
    let ring = ring.next().zip(ring.next());
    let followed = UnixDatagram::from(fds.pop_front().ok_or_else(wrong)?);
    let ring = ring.zip(field::<Left>(&line, "left"));
    let ring = ring.map(|((memory, wake), left)| (memory, wake, left));
    let mut given = VecDeque::new();
    for _ in 0..listeners {
        let Frame { line, mut fds, .. } = frames.next().map_err(refused)?;
        let name = text(&line, "name").ok_or_else(wrong)?.to_owned();
        given.push_back((name, field(&line, "on").ok_or_else(wrong)?, fds.pop_front()));
    }
    let mut moved = Vec::new();
    for _ in 0..connections {
        moved.push(frames.next().map_err(refused)?);
    }
    let ours = config.listeners.iter().map(|listener| listener.name.clone());
    let ours = ours.chain(std::iter::repeat("none".to_owned()));
    for ((theirs, ..), ours) in given.iter().zip(ours) {
        if *theirs != ours {
            return Err(TakeOverError::Listeners { theirs: theirs.clone(), ours });
        }
    }
    Ok(Taken {
        stream,
        socket,
        ring,
        followed,
        last_connection,
        totals,
        listeners: given,
        connections: moved,
    })
}

impl Taken {
    /// The ring of the old wire if it can go on, else a new one.
    pub(crate) fn ring(&mut self, capacity: usize) -> Result<Writer, RingError> {
        let old = self.ring.take();
        let old = old.and_then(|(memory, wake, left)| Writer::adopt(memory, wake, left).ok());
        match old {
            Some(ring) if ring.capacity() == capacity as u64 => Ok(ring),
            _ => Writer::new(capacity),
        }
    }

    /// The next listener's socket if the address is still the same one: `None` when there is none;
    /// with it, where it listens, and the socket unless it was closed meanwhile.
    pub(crate) fn listener(
        &mut self,
        wanted: SocketAddr,
    ) -> Option<(SocketAddr, Option<TcpListener>)> {
        let (_, on, fd) = self.listeners.pop_front()?;
        let port_fits = wanted.port() == 0 || wanted.port() == on.port();
        if !port_fits || wanted.ip() != on.ip() {
            return None;
        }
        let socket = fd.map(std::net::TcpListener::from);
        let socket = socket.and_then(|socket| TcpListener::from_std(socket).ok());
        Some((on, socket))
    }

    /// Asks for the old wire's word, and goes on with its connections.
    pub(crate) fn take(self, wire: &Rc<Wire>, lanes: &[Rc<Lane>]) -> Result<(), TakeOverError> {
        let refused = |error: std::io::Error| TakeOverError::Refused(error.to_string());
        let mut stream = &self.stream;
        let idle_after = |index: u16| Some(lanes.get(usize::from(index))?.config.idle_after);
        let read = |frame| Travelling::read(frame, idle_after, &wire.buffers);
        let connections: Option<Vec<_>> = self.connections.into_iter().map(read).collect();
        let connections = connections
            .ok_or_else(|| TakeOverError::Refused("a connection cannot be read".to_owned()))?;
        stream.write_all(READY).map_err(refused)?;
        let mut word = Vec::new();
        let mut byte = [0];
        loop {
            match stream.read(&mut byte) {
                Ok(1) => word.push(byte[0]),
                // It died without a word: nobody else goes on with them.
                Ok(_) if word.is_empty() => break,
                Ok(_) => return Err(refused(ErrorKind::UnexpectedEof.into())),
                Err(error) => return Err(refused(error)),
            }
            match &*word {
                GO => break,
                ABORT => return Err(TakeOverError::Refused("it took too long".to_owned())),
                _ if word.len() < ABORT.len() => {}
                _ => return Err(refused(ErrorKind::InvalidData.into())),
            }
        }
        wire.connections_so_far(self.last_connection);
        wire.counters.go_on_from(&self.totals);
        say(format_args!("took over from another wire with {} connections", connections.len()));
        for travelling in connections {
            if let Some(lane) = lanes.get(usize::from(travelling.link.listener)) {
                start(taken_over(Open::new(wire, lane), travelling, wire.movable()));
            }
        }
        start(pass_on(wire.clone(), self.followed, self.stream));
        Ok(())
    }
}
