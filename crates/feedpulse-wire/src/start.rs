//! One connection, from its accept to its end: who it is, its receiver, its bytes.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::ready;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::ListenerConfig;
use crate::dial::{DialError, dial, failed};
use crate::forward::{Open, plain, refused, reset};
use crate::luggage::Travelling;
use crate::proxy_header::{self, MAX_HEADER, Parsed};
use crate::record::{Event, RefusedBy, Side};
use crate::relay::{End, Link, is_gone, relay};
use crate::state::{Movable, Phase, Wire, count};
use crate::{secured, vitals};

/// How long a sender may take for its PROXY header: what the protocol's text recommends (§2).
const HEADER_TIME: Duration = Duration::from_secs(3);

/// A sender's connection before its receiver is reached.
pub(crate) struct Arrival {
    pub(crate) sender: TcpStream,
    /// Who it is: by its socket, or by its PROXY header.
    pub(crate) peer: SocketAddr,
    /// The address that it wanted.
    pub(crate) to: SocketAddr,
    /// What was read of its PROXY header; none when there is none, or no more of it.
    pub(crate) header: Option<Vec<u8>>,
}

/// Why a sender is not let in.
pub(crate) enum Failure {
    /// Its header is not one.
    Header(&'static str),
    /// It ended without a byte, as a balancer's probe does.
    Nothing,
}

impl Arrival {
    pub(crate) fn new(sender: TcpStream, peer: SocketAddr, config: &ListenerConfig) -> Self {
        let to = sender.local_addr().unwrap_or(config.listen);
        let header = config.accept_proxy.then(Vec::new);
        Self { sender, peer: plain(peer), to: plain(to), header }
    }
}

/// From the accept on.
pub(crate) async fn arrived(open: Open, mut arrival: Arrival, link: Link, movable: Movable) {
    let (wire, lane) = (&open.wire, &open.lane);
    prepare(&arrival.sender);
    if lane.config.speaks_tls() {
        drop(movable);
        return secured::connection(open, arrival, link).await;
    }
    let met = async {
        introduce(wire, &mut arrival).await?;
        Ok(reach(&lane.config, arrival.peer, arrival.to).await)
    };
    let met = tokio::select! {
        met = met => met,
        phase = wire.phase_of(|phase| matches!(phase, Phase::Moving | Phase::Cutting)) => {
            if phase == Phase::Moving {
                let travelling = Travelling { arrival, link, receiver: None };
                return wire.luggage.borrow_mut().connections.push(travelling);
            }
            reset(arrival.sender);
            return wire.offer(lane.index, link.id, Event::Reset { by: Side::Wire });
        }
    };
    let receiver = match met {
        Ok(Ok(receiver)) => receiver,
        Ok(Err(failure)) => {
            reset(arrival.sender);
            return failed(&open, link.id, arrival.peer, failure);
        }
        Err(failure) => return turned_away(&open, arrival, link.id, failure),
    };
    if lane.config.accept_proxy {
        let _ = lane.bad_start.over();
    }
    prepare(&receiver);
    opened(wire, arrival.peer, receiver.peer_addr(), &link);
    go_on(open, Travelling { arrival, link, receiver: Some(receiver) }, movable).await;
}

/// Tells that the receiver was reached.
pub(crate) fn opened(wire: &Wire, peer: SocketAddr, upstream: io::Result<SocketAddr>, link: &Link) {
    // The address was just connected to; without it the receiver is gone again already.
    let upstream = upstream.map_or(SocketAddr::from(([0; 4], 0)), plain);
    wire.offer(link.listener, link.id, Event::Opened { peer, upstream });
}

/// Resets a sender that did not say who it is, and tells of it.
pub(crate) fn turned_away(open: &Open, arrival: Arrival, id: u64, failure: Failure) {
    let Open { wire, lane, .. } = open;
    let Failure::Header(what) = failure else { return };
    reset(arrival.sender);
    let (name, from) = (&lane.config.name, arrival.peer.ip());
    lane.bad_start.happened(format_args!(
        "listener {name} wants a PROXY protocol header and got none from {from}: {what}; the \
         sender was reset, and so are others like it"
    ));
    count(&wire.counters.refused_start, 1);
    refused(wire, lane, id, arrival.peer, RefusedBy::Header);
}

/// Relays a connection that was taken over, or reaches its receiver first.
pub(crate) async fn taken_over(open: Open, travelling: Travelling, movable: Movable) {
    if travelling.receiver.is_some() {
        return go_on(open, travelling, movable).await;
    }
    arrived(open, travelling.arrival, travelling.link, movable).await;
}

/// Relays to the end, or until it goes on elsewhere.
async fn go_on(open: Open, mut travelling: Travelling, movable: Movable) {
    let wire = open.wire.clone();
    let Travelling { arrival, link, receiver: Some(receiver) } = &mut travelling else { return };
    let end = relay(&wire, link, &mut arrival.sender, receiver).await;
    let Travelling { arrival, link, receiver } = travelling;
    let event = match end {
        End::Moved => {
            let travelling = Travelling { arrival, link, receiver };
            wire.luggage.borrow_mut().connections.push(travelling);
            drop((open, movable));
            return;
        }
        End::Closed => {
            drop((arrival.sender, receiver));
            Event::Closed
        }
        End::Reset(by) => {
            let sockets = [Some(arrival.sender), receiver];
            // What was not read yet still says how it broke.
            let gone = sockets.iter().flatten().any(is_gone);
            sockets.into_iter().flatten().for_each(reset);
            if gone { Event::TimedOut { side: by } } else { Event::Reset { by } }
        }
        End::TimedOut(side) => {
            [Some(arrival.sender), receiver].into_iter().flatten().for_each(reset);
            Event::TimedOut { side }
        }
    };
    wire.offer(link.listener, link.id, event);
}

/// Learns who the sender is, where that is said.
pub(crate) async fn introduce(wire: &Wire, arrival: &mut Arrival) -> Result<(), Failure> {
    if arrival.header.is_none() {
        return Ok(());
    }
    let late = |_| Err(Failure::Header("it was not whole within 3 s"));
    timeout(HEADER_TIME, read_header(wire, arrival)).await.unwrap_or_else(late)
}

/// Connects to the receiver, and says there who the sender is, where that is wanted.
pub(crate) async fn reach(
    config: &ListenerConfig,
    peer: SocketAddr,
    to: SocketAddr,
) -> Result<TcpStream, DialError> {
    let mut receiver = dial(config).await?;
    if let Some(version) = config.send_proxy {
        receiver.write_all(&proxy_header::write(version, peer, to)).await?;
    }
    Ok(receiver)
}

/// Takes the header and not a byte more: what follows it is the stream.
async fn read_header(wire: &Wire, arrival: &mut Arrival) -> Result<(), Failure> {
    let Arrival { sender, header: Some(header), .. } = arrival else { return Ok(()) };
    let broke = |_: io::Error| Failure::Header("the connection broke");
    let addresses = loop {
        let parsed = poll_fn(|cx| {
            let mut scratch = wire.scratch.borrow_mut();
            let mut piece = ReadBuf::new(&mut scratch[..MAX_HEADER - header.len()]);
            let peeked = ready!(sender.poll_peek(cx, &mut piece)).map(|_| {
                header.extend_from_slice(piece.filled());
                piece.filled().len()
            });
            peeked.map(|count| take_header(sender, header, count, &mut scratch)).into()
        });
        match parsed.await.and_then(|taken| taken).map_err(broke)? {
            (Parsed::Whole { addresses, .. }, _) => break addresses,
            (Parsed::Wrong(what), _) => return Err(Failure::Header(what)),
            (Parsed::Part, 0) if header.is_empty() => return Err(Failure::Nothing),
            (Parsed::Part, 0) => return Err(Failure::Header("it ended before it was whole")),
            (Parsed::Part, _) => {}
        }
    };
    if let Some((peer, to)) = addresses {
        (arrival.peer, arrival.to) = (plain(peer), plain(to));
    }
    arrival.header = None;
    Ok(())
}

/// Takes from the socket as many of the bytes just looked at as belong to the header.
fn take_header(
    sender: &TcpStream,
    header: &mut Vec<u8>,
    peeked: usize,
    scratch: &mut [u8],
) -> io::Result<(Parsed, usize)> {
    let before = header.len() - peeked;
    let parsed = proxy_header::parse(header);
    if let Parsed::Whole { length, .. } = parsed {
        header.truncate(length);
    }
    let mut left = header.len() - before;
    while left > 0 {
        match sender.try_read(&mut scratch[..left])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left -= read,
        }
    }
    Ok((parsed, peeked))
}

/// No delay for small pieces, and a peer that vanished is noticed by the kernel in time. Neither
/// is needed to forward, so a failure is no reason to stop.
pub(crate) fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = vitals::probe(stream);
}
