//! One established connection: bytes forwarded first and unchanged, both ways, and then offered.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::record::{Direction, Event, MAX_PAYLOAD, Payload, Side};
use crate::state::{Phase, SCRATCH, Wire, count};
use crate::vitals;

/// Between two looks at whether the peers still answer.
const LOOK: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both directions in order.
    Closed,
    /// By a reset, which is to be passed on.
    Reset(Side),
    /// A side answered no more, and the kernel gave it up.
    TimedOut(Side),
}

/// What the two directions of one connection share.
struct Connection<'a> {
    wire: &'a Wire,
    listener: u16,
    id: u64,
    last_byte: Cell<Instant>,
    /// How many directions have ended in order.
    ended: Cell<u8>,
    /// The side that no longer takes bytes, once that is known.
    broken: Cell<Option<Side>>,
    /// A side was not reset: it answered no more.
    gone: Cell<bool>,
}

/// Whether an error says that the peer is not there any more, without a word of its own.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

/// What one read brought.
enum Piece {
    /// All of it was forwarded at once.
    Forwarded(usize),
    /// The other side did not take all; this is the rest.
    Rest(Vec<u8>),
    /// The source has ended in order.
    End,
    /// The source was reset.
    SourceBroken,
    /// The other side was reset.
    TargetBroken,
}

impl Direction {
    fn source(self) -> Side {
        match self {
            Self::ToReceiver => Side::Sender,
            Self::ToSender => Side::Receiver,
        }
    }

    fn target(self) -> Side {
        match self {
            Self::ToReceiver => Side::Receiver,
            Self::ToSender => Side::Sender,
        }
    }
}

/// Forwards until the connection has ended. The only limits of time are the peers' own.
pub(crate) async fn relay(
    wire: &Wire,
    (listener, id): (u16, u64),
    idle_after: Duration,
    sender: &mut TcpStream,
    receiver: &mut TcpStream,
) -> End {
    let connection = Connection {
        wire,
        listener,
        id,
        last_byte: Cell::new(Instant::now()),
        ended: Cell::new(0),
        broken: Cell::new(None),
        gone: Cell::new(false),
    };
    let sockets = [(Side::Sender, sender.as_raw_fd()), (Side::Receiver, receiver.as_raw_fd())];
    let (from_sender, to_sender) = sender.split();
    let (from_receiver, to_receiver) = receiver.split();
    // Not biased: a direction that never pauses must not starve the other one.
    let end = tokio::select! {
        end = pump(&connection, Direction::ToReceiver, from_sender, to_receiver) => end,
        end = pump(&connection, Direction::ToSender, from_receiver, to_sender) => end,
        end = watch_idle(&connection, idle_after) => end,
        end = watch_peers(&connection, sockets) => end,
        () = wire.reached(Phase::Cutting) => return End::Reset(Side::Wire),
    };
    match end {
        End::Reset(side) if connection.gone.get() => End::TimedOut(side),
        end => end,
    }
}

/// One direction. Returns when the whole connection has ended.
async fn pump(
    connection: &Connection<'_>,
    direction: Direction,
    mut source: ReadHalf<'_>,
    mut target: WriteHalf<'_>,
) -> End {
    let mut offset = 0;
    loop {
        match next_piece(connection, direction, &mut offset, &mut source, &mut target).await {
            // More is waiting than one read holds: let the other connections have their turn.
            Piece::Forwarded(SCRATCH) => tokio::task::yield_now().await,
            Piece::Forwarded(_) => {}
            Piece::Rest(rest) => {
                let sent = forward_rest(connection, direction, &mut offset, &rest, &mut target);
                let all = tokio::select! {
                    // What the target can take now it gets, whatever became of the source.
                    biased;
                    all = sent => all,
                    // While the target takes nothing the source is not read, so its reset must be
                    // looked for. It overtakes the rest, as in one TCP connection.
                    _ = source.ready(Interest::ERROR) => return End::Reset(direction.source()),
                };
                if !all {
                    return target_broke(connection, direction).await;
                }
            }
            Piece::End => {
                if target.shutdown().await.is_err() {
                    return target_broke(connection, direction).await;
                }
                connection.offer(Event::HalfClosed { direction, offset });
                connection.ended.set(connection.ended.get() + 1);
                if let Some(side) = connection.broken.get() {
                    return End::Reset(side);
                }
                if connection.ended.get() == 2 {
                    return End::Closed;
                }
                // Nothing is read from the source any more, but it may still reset.
                let _ = source.ready(Interest::ERROR).await;
                return End::Reset(direction.source());
            }
            Piece::SourceBroken => {
                // When the other direction met the break first, it knows which side it was.
                let side = connection.broken.get().unwrap_or(direction.source());
                return End::Reset(side);
            }
            Piece::TargetBroken => return target_broke(connection, direction).await,
        }
    }
}

/// The target takes no more. What it had sent before may still be on its way to the source, so
/// the other direction goes on until it has read all of it, and ends the connection then.
async fn target_broke(connection: &Connection<'_>, direction: Direction) -> End {
    if let Some(side) = connection.broken.replace(Some(direction.target())) {
        // The other direction has met a break too, and waits for this one.
        return End::Reset(side);
    }
    if connection.ended.get() > 0 {
        return End::Reset(direction.target());
    }
    pending().await
}

/// Reads once, and forwards at once what was read if the target takes it. Between two pieces a
/// connection holds no buffer: all share one, and only a rest gets memory of its own.
async fn next_piece(
    connection: &Connection<'_>,
    direction: Direction,
    offset: &mut u64,
    source: &mut ReadHalf<'_>,
    target: &mut WriteHalf<'_>,
) -> Piece {
    poll_fn(|cx| {
        let mut scratch = connection.wire.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        if let Err(error) = ready!(Pin::new(&mut *source).poll_read(cx, &mut buffer)) {
            connection.broke(&error);
            return Poll::Ready(Piece::SourceBroken);
        }
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Piece::End);
        }
        count(&connection.wire.counters.read[direction as usize], bytes.len() as u64);
        let taken = match Pin::new(&mut *target).poll_write(cx, bytes) {
            Poll::Ready(Ok(taken)) => taken,
            Poll::Ready(Err(error)) => {
                connection.broke(&error);
                return Poll::Ready(Piece::TargetBroken);
            }
            Poll::Pending => 0,
        };
        let (sent, rest) = bytes.split_at(taken);
        connection.forwarded(direction, offset, sent);
        Poll::Ready(if rest.is_empty() {
            Piece::Forwarded(taken)
        } else {
            Piece::Rest(rest.to_vec())
        })
    })
    .await
}

/// Writes what the target did not take at once; false when it was reset.
async fn forward_rest(
    connection: &Connection<'_>,
    direction: Direction,
    offset: &mut u64,
    mut rest: &[u8],
    target: &mut WriteHalf<'_>,
) -> bool {
    while !rest.is_empty() {
        let taken = match target.write(rest).await {
            Ok(taken @ 1..) => taken,
            Ok(0) => return false,
            Err(error) => {
                connection.broke(&error);
                return false;
            }
        };
        let (sent, left) = rest.split_at(taken);
        connection.forwarded(direction, offset, sent);
        rest = left;
    }
    true
}

/// Tells once that no byte has passed for that long.
async fn watch_idle(connection: &Connection<'_>, idle_after: Duration) -> End {
    loop {
        let last = connection.last_byte.get();
        tokio::time::sleep_until(last + idle_after).await;
        if connection.last_byte.get() == last {
            let for_us = u64::try_from(last.elapsed().as_micros()).unwrap_or(u64::MAX);
            connection.offer(Event::Idle { for_us });
            return pending().await;
        }
    }
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

impl Connection<'_> {
    /// Notes how a side broke.
    fn broke(&self, error: &io::Error) {
        self.gone.set(self.gone.get() || is_gone(error));
    }

    fn offer(&self, event: Event<'_>) {
        self.wire.offer(self.listener, self.id, event);
    }

    /// Counts bytes that the target has taken, and offers a copy of them.
    fn forwarded(&self, direction: Direction, offset: &mut u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.last_byte.set(Instant::now());
        count(&self.wire.counters.written[direction as usize], bytes.len() as u64);
        for piece in bytes.chunks(MAX_PAYLOAD) {
            self.offer(Event::Data { direction, offset: *offset, bytes: Payload(piece) });
            *offset += piece.len() as u64;
        }
    }
}
