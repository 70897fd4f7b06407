//! A TCP socket that notes every byte it writes and reads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::identity::StreamEnd;
use crate::truth::{Book, Hop, SharedEnd, lock};

/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// One end of a connection.
pub(crate) struct Socket {
    stream: TcpStream,
    end: SharedEnd,
    book: Arc<Book>,
}

impl Socket {
    /// Wraps an accepted connection.
    pub(crate) fn accepted(stream: TcpStream, hop: Hop, book: &Arc<Book>) -> io::Result<Self> {
        Self::wrap(stream, hop, false, book)
    }

    /// Dials `addr`.
    pub(crate) async fn dial(
        addr: std::net::SocketAddr,
        hop: Hop,
        book: &Arc<Book>,
    ) -> io::Result<Self> {
        let stream = timeout(DIAL_TIMEOUT, TcpStream::connect(addr)).await??;
        // On loopback a dial to a free ephemeral port can connect to itself.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Self::wrap(stream, hop, true, book)
    }

    fn wrap(stream: TcpStream, hop: Hop, dialled: bool, book: &Arc<Book>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, end: book.open_end(hop, dialled), book: Arc::clone(book) })
    }

    /// Reads some bytes; 0 at the end. Safe to cancel.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(buffer).await;
        let mut end = lock(&self.end);
        match &result {
            Ok(0) => end.ended = StreamEnd::Eof,
            Ok(n) => end.read.update(&buffer[..*n]),
            Err(_) => end.ended = StreamEnd::Failed,
        }
        result
    }

    /// Writes all bytes. When cancelled, what the kernel took is noted all the same.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = match self.stream.write(bytes).await {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                other => other,
            };
            let mut end = lock(&self.end);
            match taken {
                Ok(n) => {
                    end.written.update(&bytes[..n]);
                    bytes = &bytes[n..];
                }
                Err(error) => {
                    end.ended = StreamEnd::Failed;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Ends in order: shuts our side down, then reads to the other's end or until `within` has passed.
    pub(crate) async fn close(mut self, within: Duration) {
        if self.finish().await.is_err() {
            return;
        }
        let drain = async {
            let mut rest = [0; 4096];
            while self.read(&mut rest).await.is_ok_and(|n| n > 0) {}
        };
        // Past the time the connection is dropped, and noted as such.
        let _in_time = timeout(within, drain).await.is_ok();
    }

    /// Shuts our side down: the answer to the other's end.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        lock(&self.end).finished = true;
        Ok(())
    }

    /// Drops the connection with a reset.
    pub(crate) fn reset(self) {
        // Without the option the kernel may send an orderly end instead; nothing else depends on it.
        let _set = self.stream.set_zero_linger().is_ok();
    }
}

/// Accepts connections until `stop`, one task each; then lets them end for at most `grace`.
pub(crate) async fn serve<F, Fut>(
    listener: TcpListener,
    stop: CancellationToken,
    grace: Duration,
    handler: F,
) where
    F: Fn(TcpStream) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(handler(stream));
                }
                // Out of descriptors, mostly: wait for one to come free instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    settle(&mut connections, grace).await;
}

/// Waits for tasks to end, at most `grace`; then aborts the rest.
pub(crate) async fn settle(tasks: &mut JoinSet<()>, grace: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tasks.shutdown().await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut end = lock(&self.end);
        end.closed_us = Some(self.book.clock.now_us());
        if end.ended == StreamEnd::Open {
            end.ended = StreamEnd::Dropped;
        }
    }
}
