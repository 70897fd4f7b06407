//! The portal: an MLLP receiver that answers, or misbehaves on request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::hl7::{AckCode, AckError, ack_with, read_header};
use crate::mllp::{Deframer, frame};
use crate::rng::Rng;
use crate::socket::{Socket, settle};
use crate::truth::{Answer, Book, Hop, PortalRecord, push};

/// Between two tries to take the port back.
const REOPEN_PAUSE: Duration = Duration::from_millis(20);
/// Read at once when a reset in mid-message is wanted: shorter than any MSH.
const MORSEL: usize = 32;

/// How the portal behaves; switchable at run time.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum PortalMode {
    /// AA after the service time.
    #[default]
    Normal,
    /// AA, this much later.
    Slow {
        /// Added to the service time.
        delay: Duration,
    },
    /// A share of the messages is not accepted.
    Nack {
        /// 0 to 1.
        share: f64,
        /// [`AckCode::Ae`] or [`AckCode::Ar`].
        code: AckCode,
        /// ERR-3.1, such as `207`.
        error: String,
        /// ERR-8.
        text: String,
    },
    /// Reads and never answers.
    Hang,
    /// The port is closed and existing connections are reset.
    Refuse,
    /// Resets a connection when the first bytes of a message have come.
    Reset,
}

impl PortalMode {
    /// A short name for records and stories.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Slow { .. } => "slow",
            Self::Nack { .. } => "nack",
            Self::Hang => "hang",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
        }
    }
}

/// How the portal works in normal times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalConfig {
    /// Shortest service time.
    pub service_min: Duration,
    /// Longest service time.
    pub service_max: Duration,
}

impl Default for PortalConfig {
    fn default() -> Self {
        Self { service_min: Duration::from_millis(5), service_max: Duration::from_millis(30) }
    }
}

pub(crate) struct Portal {
    pub(crate) config: PortalConfig,
    pub(crate) addr: SocketAddr,
    pub(crate) book: Arc<Book>,
    pub(crate) mode: watch::Receiver<PortalMode>,
    pub(crate) seed: u64,
    pub(crate) answers: AtomicU64,
    pub(crate) connections: AtomicU64,
}

/// The port of the portal, open or kept closed.
enum Port {
    Open(TcpListener),
    /// Bound and not listening: dials are refused, and nobody else can take the number.
    Held(TcpSocket),
}

impl Port {
    async fn accept(&self) -> std::io::Result<TcpStream> {
        match self {
            Self::Open(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Held(_) => std::future::pending().await,
        }
    }

    /// Opens or closes as wanted. A port that is for a moment not to be had is tried again.
    async fn follow(self, open: bool, addr: SocketAddr) -> Self {
        match (self, open) {
            (Self::Open(listener), false) => {
                drop(listener);
                Self::Held(bind(addr).await)
            }
            (Self::Held(mut socket), true) => loop {
                match socket.listen(1024) {
                    Ok(listener) => return Self::Open(listener),
                    Err(_) => socket = bind(addr).await,
                }
            },
            (as_wanted, _) => as_wanted,
        }
    }
}

async fn bind(addr: SocketAddr) -> TcpSocket {
    loop {
        let bound = TcpSocket::new_v4().and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            Ok(socket)
        });
        match bound {
            Ok(socket) => return socket,
            Err(_) => sleep(REOPEN_PAUSE).await,
        }
    }
}

impl Portal {
    /// Runs until `stop`; connections then have `grace` to end.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
        grace: Duration,
    ) {
        let mut mode = self.mode.clone();
        let mut port = Port::Open(listener);
        let mut connections = JoinSet::new();
        loop {
            let open = *mode.borrow_and_update() != PortalMode::Refuse;
            let followed = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                followed = port.follow(open, self.addr) => Some(followed),
            };
            let Some(followed) = followed else { break };
            port = followed;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = changed(&mut mode) => {}
                accepted = port.accept() => match accepted {
                    Ok(stream) => {
                        connections.spawn(Arc::clone(&self).converse(stream));
                    }
                    Err(_) => sleep(REOPEN_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        settle(&mut connections, grace).await;
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let Ok(mut socket) = Socket::accepted(stream, Hop::EngineToPortal, &self.book) else {
            return;
        };
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut rng = Rng::fork(self.seed ^ number, "portal");
        let mut mode = self.mode.clone();
        let mut deframer = Deframer::default();
        let mut buffer = [0; 8192];
        loop {
            let now = mode.borrow_and_update().clone();
            let size = match now {
                PortalMode::Refuse => return socket.reset(),
                PortalMode::Reset => MORSEL,
                _ => buffer.len(),
            };
            let read = tokio::select! {
                biased;
                () = changed(&mut mode) => continue,
                read = socket.read(&mut buffer[..size]) => read,
            };
            match read {
                Ok(n) if n > 0 && now == PortalMode::Reset => return socket.reset(),
                Ok(n) if n > 0 => deframer.push(&buffer[..n]),
                // The other side ended: so do we, in order when it did.
                Ok(_) => return drop(socket.finish().await),
                Err(_) => return,
            }
            while let Ok(Some(content)) = deframer.next_frame() {
                let Some(answered) = self.serve(&content, &mut mode, &mut rng).await else {
                    continue;
                };
                match answered {
                    Served::Refuse => return socket.reset(),
                    Served::Answer { record, code, ack } => {
                        if socket.write_all(&frame(&ack)).await.is_err() {
                            return;
                        }
                        let answer = Answer { code, at_us: self.book.clock.now_us() };
                        self.book.edit(|ledger| {
                            if let Some(at) = record {
                                ledger.portal[at].answer = Some(answer);
                            }
                        });
                    }
                }
            }
        }
    }

    /// Takes one message; `None` when it is not to be answered.
    async fn serve(
        &self,
        content: &[u8],
        mode: &mut watch::Receiver<PortalMode>,
        rng: &mut Rng,
    ) -> Option<Served> {
        let now = mode.borrow().clone();
        let header = read_header(content)?;
        let received_us = self.book.clock.now_us();
        let control_id = header.control_id.clone();
        let record = self.book.edit(|ledger| {
            let record = PortalRecord { control_id, received_us, mode: now.name(), answer: None };
            push(&mut ledger.portal, &mut ledger.dropped, record)
        });
        let mut pause = rng.between(self.config.service_min, self.config.service_max);
        let (code, error) = match &now {
            PortalMode::Hang => return None,
            PortalMode::Slow { delay } => {
                pause += *delay;
                (AckCode::Aa, None)
            }
            PortalMode::Nack { share, code, error, text } if rng.chance(*share) => {
                (*code, Some(AckError { code: error, text }))
            }
            _ => (AckCode::Aa, None),
        };
        tokio::select! {
            biased;
            () = until_refused(mode) => return Some(Served::Refuse),
            () = sleep(pause) => {}
        }
        let own_id = format!("W{:09}", self.answers.fetch_add(1, Ordering::Relaxed) + 1);
        let ack = ack_with(&header, code, &own_id, self.book.clock.now_us(), error);
        Some(Served::Answer { record, code, ack })
    }
}

enum Served {
    Answer { record: Option<usize>, code: AckCode, ack: Vec<u8> },
    Refuse,
}

/// Waits for the next change of behaviour; for ever when nobody can change it any more.
async fn changed(mode: &mut watch::Receiver<PortalMode>) {
    if mode.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn until_refused(mode: &mut watch::Receiver<PortalMode>) {
    if mode.wait_for(|mode| *mode == PortalMode::Refuse).await.is_err() {
        std::future::pending::<()>().await;
    }
}
