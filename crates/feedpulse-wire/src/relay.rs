//! One established connection: bytes forwarded first and unchanged, both ways, and then offered.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::buffers::Way;
use crate::record::{Direction, Event, Side};
use crate::state::{Phase, SCRATCH, Wire, count};
use crate::vitals;

/// Between two looks at whether the peers still answer.
const LOOK: Duration = Duration::from_secs(5);

/// How a connection ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both directions in order.
    Closed,
    /// By a reset, which is to be passed on.
    Reset(Side),
    /// A side answered no more, and the kernel gave it up.
    TimedOut(Side),
    /// It goes on in the wire that takes over.
    Moved,
}

/// An established connection: all that is known of it beside its two sockets.
pub(crate) struct Link {
    pub(crate) listener: u16,
    pub(crate) id: u64,
    pub(crate) idle_after: Duration,
    /// To the receiver, to the sender.
    pub(crate) ways: [Way; 2],
    pub(crate) last_byte: Cell<Instant>,
    /// That no byte passes was told.
    pub(crate) idle_told: Cell<bool>,
    /// The side that no longer takes bytes, once that is known.
    pub(crate) broken: Cell<Option<Side>>,
}

impl Link {
    pub(crate) fn new(listener: u16, id: u64, idle_after: Duration) -> Self {
        Self {
            listener,
            id,
            idle_after,
            ways: [Way::default(), Way::default()],
            last_byte: Cell::new(Instant::now()),
            idle_told: Cell::new(false),
            broken: Cell::new(None),
        }
    }
}

/// A link while it is relayed here.
pub(crate) struct Connection<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) link: &'a Link,
    /// A side was not reset: it answered no more.
    gone: Cell<bool>,
}

/// Whether an error says that the peer is not there any more, without a word of its own.
pub(crate) fn says_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

/// Whether the error that waits on a socket says that its peer is gone.
pub(crate) fn is_gone(stream: &TcpStream) -> bool {
    let waits = SockRef::from(stream).take_error().ok().flatten();
    waits.is_some_and(|error| says_gone(&error))
}

/// What one read brought.
enum Piece {
    /// So many bytes were forwarded at once, and nothing is left of them.
    Forwarded(usize),
    /// The other side did not take all; the rest is held.
    Held,
    /// Nothing may be held, and the other side does not take more now.
    Stalled,
    /// The source has ended in order.
    End,
    /// The source was reset.
    SourceBroken,
    /// The other side was reset.
    TargetBroken,
}

impl Direction {
    pub(crate) fn source(self) -> Side {
        match self {
            Self::ToReceiver => Side::Sender,
            Self::ToSender => Side::Receiver,
        }
    }

    pub(crate) fn target(self) -> Side {
        match self {
            Self::ToReceiver => Side::Receiver,
            Self::ToSender => Side::Sender,
        }
    }
}

/// Forwards until the connection has ended, or is to go on elsewhere. The only limits of time are
/// the peers' own.
pub(crate) async fn relay(
    wire: &Wire,
    link: &Link,
    sender: &mut TcpStream,
    receiver: &mut TcpStream,
) -> End {
    let connection = Connection::new(wire, link);
    let sockets = [(Side::Sender, sender.as_raw_fd()), (Side::Receiver, receiver.as_raw_fd())];
    let (from_sender, to_sender) = sender.split();
    let (from_receiver, to_receiver) = receiver.split();
    // Not biased: a direction that never pauses must not starve the other one.
    let end = tokio::select! {
        end = pump(&connection, Direction::ToReceiver, from_sender, to_receiver) => end,
        end = pump(&connection, Direction::ToSender, from_receiver, to_sender) => end,
        end = watch(&connection, sockets) => end,
        phase = wire.phase_of(|phase| matches!(phase, Phase::Moving | Phase::Cutting)) => {
            if phase == Phase::Moving { End::Moved } else { End::Reset(Side::Wire) }
        }
    };
    match end {
        End::Reset(side) if connection.gone.get() => End::TimedOut(side),
        end => end,
    }
}

/// One direction. Returns when the whole connection has ended. What it has done is in the link at
/// every await, so that it may be left there and gone on with.
async fn pump(
    connection: &Connection<'_>,
    direction: Direction,
    mut source: ReadHalf<'_>,
    mut target: WriteHalf<'_>,
) -> End {
    let way = &connection.link.ways[direction as usize];
    if connection.link.broken.get() == Some(direction.target()) {
        return after_break(connection, direction).await;
    }
    loop {
        if way.holds() {
            let all = tokio::select! {
                // What the target can take now it gets, whatever became of the source.
                biased;
                all = forward_held(connection, direction, &mut target) => all,
                // While the target takes nothing the source is not read, so its reset must be
                // looked for. It overtakes the rest, as in one TCP connection.
                _ = source.ready(Interest::ERROR) => return End::Reset(direction.source()),
            };
            if !all {
                return target_broke(connection, direction).await;
            }
        }
        if way.ended.get() {
            // Nothing is read from the source any more, but it may still reset.
            let _ = source.ready(Interest::ERROR).await;
            return End::Reset(direction.source());
        }
        match next_piece(connection, direction, &mut source, &mut target).await {
            // More is waiting than one read holds: let the other connections have their turn.
            Piece::Forwarded(SCRATCH) => tokio::task::yield_now().await,
            Piece::Forwarded(_) | Piece::Held => {}
            Piece::Stalled => tokio::select! {
                biased;
                _ = target.ready(Interest::WRITABLE) => {}
                _ = source.ready(Interest::ERROR) => return End::Reset(direction.source()),
            },
            Piece::End => {
                if target.shutdown().await.is_err() {
                    return target_broke(connection, direction).await;
                }
                connection.offer(Event::HalfClosed { direction, offset: way.offset.get() });
                way.ended.set(true);
                if let Some(side) = connection.link.broken.get() {
                    return End::Reset(side);
                }
                if connection.link.ways.iter().all(|way| way.ended.get()) {
                    return End::Closed;
                }
            }
            Piece::SourceBroken => {
                // When the other direction met the break first, it knows which side it was.
                let side = connection.link.broken.get().unwrap_or(direction.source());
                return End::Reset(side);
            }
            Piece::TargetBroken => return target_broke(connection, direction).await,
        }
    }
}

/// The target takes no more. What it had sent before may still be on its way to the source, so
/// the other direction goes on until it has read all of it, and ends the connection then.
pub(crate) async fn target_broke(connection: &Connection<'_>, direction: Direction) -> End {
    if let Some(side) = connection.link.broken.replace(Some(direction.target())) {
        // The other direction has met a break too, and waits for this one.
        return End::Reset(side);
    }
    after_break(connection, direction).await
}

pub(crate) async fn after_break(connection: &Connection<'_>, direction: Direction) -> End {
    if connection.link.ways.iter().any(|way| way.ended.get()) {
        return End::Reset(direction.target());
    }
    pending().await
}

/// Reads once, and forwards at once what was read if the target takes it. Between two pieces a
/// connection holds no buffer: all share one, and only a rest gets memory of its own.
async fn next_piece(
    connection: &Connection<'_>,
    direction: Direction,
    source: &mut ReadHalf<'_>,
    target: &mut WriteHalf<'_>,
) -> Piece {
    let wire = connection.wire;
    poll_fn(|cx| {
        if !wire.buffers.has_room() {
            return poll_peeked(connection, direction, source, target, cx);
        }
        let mut scratch = wire.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        if let Err(error) = ready!(Pin::new(&mut *source).poll_read(cx, &mut buffer)) {
            connection.broke(&error);
            return Poll::Ready(Piece::SourceBroken);
        }
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Piece::End);
        }
        count(&wire.counters.read[direction as usize], bytes.len() as u64);
        let taken = match Pin::new(&mut *target).poll_write(cx, bytes) {
            Poll::Ready(Ok(taken)) => taken,
            Poll::Ready(Err(error)) => {
                connection.broke(&error);
                return Poll::Ready(Piece::TargetBroken);
            }
            Poll::Pending => 0,
        };
        let (sent, rest) = bytes.split_at(taken);
        connection.forwarded(direction, sent);
        if rest.is_empty() {
            return Poll::Ready(Piece::Forwarded(taken));
        }
        connection.link.ways[direction as usize].hold(&wire.buffers, rest.to_vec());
        Poll::Ready(Piece::Held)
    })
    .await
}

/// As a piece is read when nothing may be held: what waits is looked at, offered to the target, and
/// only what it took is taken from the source. The rest stays in the source's own socket.
fn poll_peeked(
    connection: &Connection<'_>,
    direction: Direction,
    source: &mut ReadHalf<'_>,
    target: &mut WriteHalf<'_>,
    cx: &mut Context<'_>,
) -> Poll<Piece> {
    let wire = connection.wire;
    let mut scratch = wire.scratch.borrow_mut();
    let mut buffer = ReadBuf::new(&mut scratch);
    let broke = |error: &io::Error, piece| {
        connection.broke(error);
        Poll::Ready(piece)
    };
    match ready!(source.poll_peek(cx, &mut buffer)) {
        Ok(0) => return Poll::Ready(Piece::End),
        Ok(_) => {}
        Err(error) => return broke(&error, Piece::SourceBroken),
    }
    let taken = match Pin::new(&mut *target).poll_write(cx, buffer.filled()) {
        Poll::Ready(Ok(taken)) => taken,
        Poll::Ready(Err(error)) => return broke(&error, Piece::TargetBroken),
        Poll::Pending => return Poll::Ready(Piece::Stalled),
    };
    count(&wire.counters.read[direction as usize], taken as u64);
    connection.forwarded(direction, &buffer.filled()[..taken]);
    // They were there a moment ago, and nobody else reads them: only a reset takes them away.
    let mut left = taken;
    while left > 0 {
        match source.try_read(&mut scratch[..left]) {
            Ok(read @ 1..) => left -= read,
            Ok(0) => return Poll::Ready(Piece::SourceBroken),
            Err(error) => return broke(&error, Piece::SourceBroken),
        }
    }
    Poll::Ready(Piece::Forwarded(taken))
}

/// Writes what the target did not take at once; false when it was reset.
async fn forward_held(
    connection: &Connection<'_>,
    direction: Direction,
    target: &mut WriteHalf<'_>,
) -> bool {
    let way = &connection.link.ways[direction as usize];
    poll_fn(|cx| {
        let mut is_pending = false;
        let sent = way.send(|rest| match Pin::new(&mut *target).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(taken)) => {
                connection.forwarded(direction, &rest[..taken]);
                Ok(taken)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => {
                is_pending = true;
                Ok(0)
            }
        });
        match sent {
            Err(error) => {
                connection.broke(&error);
                Poll::Ready(false)
            }
            Ok(()) if !way.holds() => Poll::Ready(true),
            Ok(()) => {
                if !is_pending {
                    // It may take more, but others come first.
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    })
    .await
}

/// Looks after a connection beside its bytes, and never ends it.
pub(crate) async fn watch(connection: &Connection<'_>, sockets: [(Side, RawFd); 2]) -> End {
    tokio::select! {
        end = watch_idle(connection) => end,
        end = watch_peers(connection, sockets) => end,
    }
}

/// Tells once that no byte has passed for that long.
async fn watch_idle(connection: &Connection<'_>) -> End {
    let link = connection.link;
    while !link.idle_told.get() {
        let last = link.last_byte.get();
        tokio::time::sleep_until(last + link.idle_after).await;
        if link.last_byte.get() == last {
            let for_us = u64::try_from(last.elapsed().as_micros()).unwrap_or(u64::MAX);
            connection.offer(Event::Idle { for_us });
            link.idle_told.set(true);
        }
    }
    pending().await
}

/// Tells when a side answers no more, although it is still connected as far as anybody said.
async fn watch_peers(connection: &Connection<'_>, sockets: [(Side, RawFd); 2]) -> End {
    let mut told = [false; 2];
    loop {
        tokio::time::sleep(LOOK).await;
        for ((side, socket), told) in sockets.into_iter().zip(&mut told) {
            let gone = vitals::gone_for(socket);
            if let Some(since) = gone.filter(|_| !*told) {
                let for_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
                connection.offer(Event::HalfOpen { side, for_us });
            }
            *told = gone.is_some();
        }
    }
}

impl<'a> Connection<'a> {
    pub(crate) fn new(wire: &'a Wire, link: &'a Link) -> Self {
        Self { wire, link, gone: Cell::new(false) }
    }

    /// A side answered no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Notes how a side broke.
    pub(crate) fn broke(&self, error: &io::Error) {
        self.gone.set(self.gone.get() || says_gone(error));
    }

    fn offer(&self, event: Event<'_>) {
        self.wire.offer(self.link.listener, self.link.id, event);
    }

    /// Counts bytes that the target has taken, and offers a copy of them.
    pub(crate) fn forwarded(&self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.link.last_byte.set(Instant::now());
        self.wire.copy(self.link, direction, bytes);
    }
}
