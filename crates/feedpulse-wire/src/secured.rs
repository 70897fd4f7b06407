//! A connection of which the wire speaks TLS on at least one side: ended here, and begun here anew.
//!
//! What is copied to the ring is the plain text. Such a connection has buffers of its own, and its
//! keys cannot be given away: when another wire takes over, it goes on here to its end, or to the
//! end of the drain time, and its copies go to the other wire's ring (`follow`).
//!
//! A side that ends without saying so in TLS (no `close_notify`, RFC 8446 §6.1) has its end passed on
//! in the same way, so that the other side can tell a stream that was cut from one that ended.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf, split,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::dial::failed;
use crate::forward::{Lane, Open, refused, reset};
use crate::record::{Direction, Event, RefusedBy, Side};
use crate::relay::{Connection, End, Link, is_gone, target_broke, watch};
use crate::start::{Arrival, introduce, opened, prepare, reach, turned_away};
use crate::state::{Phase, Wire, count};

/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// What one read takes: the plain text of the longest TLS record (RFC 8446 §5.1).
const PIECE: usize = 16 << 10;
/// What rustls may hold for a side that does not take it.
const UNSENT: usize = 32 << 10;

/// One side of the connection.
struct Stream {
    kind: Kind,
    /// Its writing side is to end without a word of TLS.
    abrupt: Rc<Cell<bool>>,
}

enum Kind {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// From the accept to the end.
pub(crate) async fn connection(open: Open, arrival: Arrival, link: Link) {
    let wire = &open.wire;
    let begun = tokio::select! {
        begun = begin(&open, arrival, &link) => begun,
        _ = wire.phase_of(|phase| phase == Phase::Cutting) => {
            return wire.offer(link.listener, link.id, Event::Reset { by: Side::Wire });
        }
    };
    if let Some((sender, receiver)) = begun {
        let event = relay(wire, &link, sender, receiver).await;
        wire.offer(link.listener, link.id, event);
    }
}

/// Both sides, when TLS has come about where it should; else why not was told.
async fn begin(open: &Open, mut arrival: Arrival, link: &Link) -> Option<(Stream, Stream)> {
    let Open { wire, lane, .. } = open;
    if let Err(failure) = introduce(wire, &mut arrival).await {
        turned_away(open, arrival, link.id, failure);
        return None;
    }
    let Arrival { sender, peer, to, .. } = arrival;
    let from = peer.ip();
    // The sender first: who is not let in causes no connection to the receiver.
    let sender = match lane.tls.acceptor() {
        None => Kind::Plain(sender),
        Some(acceptor) => match timeout(HANDSHAKE_TIME, acceptor.accept(sender)).await {
            Ok(Ok(stream)) => Kind::Tls(Box::new(stream.into())),
            failure => {
                let why = why(failure.map(|failure| failure.err()));
                bad_start(wire, lane, format_args!("with the sender {from}: {why}"));
                refused(wire, lane, link.id, peer, RefusedBy::SenderTls);
                return None;
            }
        },
    };
    let receiver = match reach(&lane.config, peer, to).await {
        Ok(receiver) => receiver,
        Err(failure) => {
            sender.reset();
            failed(open, link.id, peer, failure);
            return None;
        }
    };
    prepare(&receiver);
    let upstream = receiver.peer_addr();
    let receiver = match lane.tls.connector() {
        None => Kind::Plain(receiver),
        Some((connector, name)) => {
            match timeout(HANDSHAKE_TIME, connector.connect(name, receiver)).await {
                Ok(Ok(stream)) => Kind::Tls(Box::new(stream.into())),
                failure => {
                    sender.reset();
                    let why = why(failure.map(|failure| failure.err()));
                    bad_start(wire, lane, format_args!("with the receiver: {why}"));
                    refused(wire, lane, link.id, peer, RefusedBy::ReceiverTls);
                    return None;
                }
            }
        }
    };
    let _ = lane.bad_start.over();
    opened(wire, peer, upstream, link);
    Some((sender.stream(), receiver.stream()))
}

/// What a handshake failed by: rustls names the fault and shows no byte of the stream.
fn why(failure: Result<Option<io::Error>, tokio::time::error::Elapsed>) -> String {
    match failure {
        Ok(Some(error)) => error.to_string(),
        Ok(None) => "unknown".to_owned(),
        Err(_) => "not done within 5 s".to_owned(),
    }
}

fn bad_start(wire: &Wire, lane: &Lane, what: std::fmt::Arguments<'_>) {
    let name = &lane.config.name;
    lane.bad_start.happened(format_args!("listener {name}: no TLS {what}; the sender was reset"));
    count(&wire.counters.refused_start, 1);
}

/// Forwards until the connection has ended; what there is to tell of its end.
async fn relay(wire: &Wire, link: &Link, sender: Stream, receiver: Stream) -> Event<'static> {
    let connection = Connection::new(wire, link);
    let sockets = [
        (Side::Sender, sender.kind.socket().as_raw_fd()),
        (Side::Receiver, receiver.kind.socket().as_raw_fd()),
    ];
    let (end_sender, end_receiver) = (sender.abrupt.clone(), receiver.abrupt.clone());
    let (mut from_sender, mut to_sender) = split(sender);
    let (mut from_receiver, mut to_receiver) = split(receiver);
    let end = {
        let up = (&mut from_sender, &mut to_receiver, &*end_receiver);
        let down = (&mut from_receiver, &mut to_sender, &*end_sender);
        tokio::select! {
            end = pump(&connection, Direction::ToReceiver, up) => end,
            end = pump(&connection, Direction::ToSender, down) => end,
            end = watch(&connection, sockets) => end,
            _ = wire.phase_of(|phase| phase == Phase::Cutting) => End::Reset(Side::Wire),
        }
    };
    let kinds = [from_sender.unsplit(to_sender).kind, from_receiver.unsplit(to_receiver).kind];
    match end {
        End::Reset(by) => {
            let gone = connection.is_gone() || kinds.iter().any(|kind| is_gone(kind.socket()));
            kinds.into_iter().for_each(Kind::reset);
            if gone { Event::TimedOut { side: by } } else { Event::Reset { by } }
        }
        End::TimedOut(side) => {
            kinds.into_iter().for_each(Kind::reset);
            Event::TimedOut { side }
        }
        End::Closed | End::Moved => Event::Closed,
    }
}

/// One direction: where from, where to, and how that one is told to end without a word.
type Path<'a> = (&'a mut ReadHalf<Stream>, &'a mut WriteHalf<Stream>, &'a Cell<bool>);

/// Forwards one direction. Returns when the whole connection has ended.
async fn pump(
    connection: &Connection<'_>,
    direction: Direction,
    (source, target, abrupt): Path<'_>,
) -> End {
    let (wire, link) = (connection.wire, connection.link);
    let way = &link.ways[direction as usize];
    let mut buffer = vec![0; PIECE];
    loop {
        let bytes = match source.read(&mut buffer).await {
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                abrupt.set(true);
                &[]
            }
            Err(error) => {
                connection.broke(&error);
                return End::Reset(link.broken.get().unwrap_or(direction.source()));
            }
        };
        if bytes.is_empty() {
            break;
        }
        count(&wire.counters.read[direction as usize], bytes.len() as u64);
        let sent = async {
            target.write_all(bytes).await?;
            target.flush().await
        };
        if let Err(error) = sent.await {
            connection.broke(&error);
            return target_broke(connection, direction).await;
        }
        connection.forwarded(direction, bytes);
    }
    if target.shutdown().await.is_err() {
        return target_broke(connection, direction).await;
    }
    wire.offer(link.listener, link.id, Event::HalfClosed { direction, offset: way.offset.get() });
    way.ended.set(true);
    match link.broken.get() {
        Some(side) => End::Reset(side),
        None if link.ways.iter().all(|way| way.ended.get()) => End::Closed,
        None => std::future::pending().await,
    }
}

impl Kind {
    fn stream(mut self) -> Stream {
        if let Self::Tls(stream) = &mut self {
            match &mut **stream {
                TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(UNSENT)),
                TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(UNSENT)),
            }
        }
        Stream { kind: self, abrupt: Rc::default() }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    fn reset(self) {
        match self {
            Self::Plain(stream) => reset(stream),
            Self::Tls(stream) => reset(match *stream {
                TlsStream::Server(stream) => stream.into_inner().0,
                TlsStream::Client(stream) => stream.into_inner().0,
            }),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(stream) if this.abrupt.get() => {
                let socket = match &mut **stream {
                    TlsStream::Server(stream) => stream.get_mut().0,
                    TlsStream::Client(stream) => stream.get_mut().0,
                };
                Pin::new(socket).poll_shutdown(cx)
            }
            Kind::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
