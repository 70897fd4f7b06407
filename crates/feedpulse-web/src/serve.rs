//! Serves a router on a listener within limits, without spawning: all connections are polled by
//! the one future, so dropping it ends them and the supervisor sees one task per listener.

use axum::Router;
use feedpulse_core::label::Label;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Limits of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections at once; further ones wait in the kernel's queue. Default 256.
    pub connections: usize,
    /// For a request's whole head, and for the pause between two requests of one connection.
    /// Default 10 s.
    pub header: Duration,
    /// For reading a request's body and answering it; then 408. Default 30 s.
    pub request: Duration,
    /// A connection older than this is asked to end after its current answer, and is cut when that
    /// takes longer than `request` (a peer that does not read). Default 5 min.
    pub connection: Duration,
    /// After `stop`: how long running requests may take to finish. Default 5 s.
    pub grace: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            header: Duration::from_secs(10),
            request: Duration::from_secs(30),
            connection: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

/// Who asks: in the extensions of every request that [`serve`] hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other side's address.
    pub addr: SocketAddr,
    /// Number of the connection, from 1, unique for the life of the listener.
    pub connection: u64,
}

/// Who asks over the admin socket: in the extensions of every request that [`serve_local`] hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author(pub Label);

/// Where connections come in.
trait Door: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one, with the router that knows who it is; None = it is not let in.
    fn next(
        &mut self,
        router: &Router,
    ) -> impl Future<Output = std::io::Result<Option<(Self::Stream, Router)>>> + Send;
}

struct TcpDoor {
    listener: TcpListener,
    connections: u64,
}

impl Door for TcpDoor {
    type Stream = TcpStream;

    async fn next(&mut self, router: &Router) -> std::io::Result<Option<(TcpStream, Router)>> {
        let (stream, addr) = self.listener.accept().await?;
        self.connections += 1;
        // Answers are small and written at once: without this they may wait for a delayed ACK.
        let _ = stream.set_nodelay(true);
        let peer = Peer { addr, connection: self.connections };
        Ok(Some((stream, router.clone().layer(axum::Extension(peer)))))
    }
}

struct LocalDoor<W> {
    listener: UnixListener,
    who: W,
}

impl<W: Fn(u32) -> Option<Label> + Send + Sync> Door for LocalDoor<W> {
    type Stream = UnixStream;

    async fn next(&mut self, router: &Router) -> std::io::Result<Option<(UnixStream, Router)>> {
        let (stream, _) = self.listener.accept().await?;
        // A peer that cannot be told is not let in.
        let who = stream.peer_cred().ok().and_then(|peer| (self.who)(peer.uid()));
        Ok(who.map(|who| (stream, router.clone().layer(axum::Extension(Author(who))))))
    }
}

/// Answers requests until `stop`, then finishes what is running within the grace and returns. A
/// handler that panics ends its connection, not the listener.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    stop: CancellationToken,
) {
    run(TcpDoor { listener, connections: 0 }, router, limits, stop).await;
}

/// As [`serve`], on a unix socket. `who` gives the name of a user id, or None for one that may not
/// come in.
pub async fn serve_local(
    listener: UnixListener,
    router: Router,
    who: impl Fn(u32) -> Option<Label> + Send + Sync,
    limits: ServeLimits,
    stop: CancellationToken,
) {
    run(LocalDoor { listener, who }, router, limits, stop).await;
}

async fn run(mut door: impl Door, router: Router, limits: ServeLimits, stop: CancellationToken) {
    let router = router.layer(axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| async move {
            crate::http::within(limits.request, next.run(request)).await
        },
    ));
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = running.next() => {}
            accepted = door.next(&router), if running.len() < limits.connections.max(1) => {
                let Ok(accepted) = accepted else {
                    // Out of file descriptors, or a peer that left while it was queued: a short
                    // pause keeps the first from becoming a busy loop.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Some((stream, router)) = accepted else { continue };
                let one = connection(stream, router, limits, stop.clone());
                running.push(AssertUnwindSafe(one).catch_unwind().map(|_| ()));
            }
        }
    }
    drop(door);
    let finish = async { while running.next().await.is_some() {} };
    // What is still running when the grace is over is dropped with `running`.
    let _ = tokio::time::timeout(limits.grace, finish).await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: ServeLimits,
    stop: CancellationToken,
) {
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(64 * 1024);
    let mut running = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = running.as_mut() => return,
        () = tokio::time::sleep(limits.connection) => {}
        () = stop.cancelled() => {}
    }
    running.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.request + limits.header, running).await;
}
