//! The sending side of MLLP: one message at a time, its ACK matched by MSA-2, and resent until it is settled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::hl7::{Ack, AckCode, read_ack};
use crate::mllp::Deframer;
use crate::socket::Socket;
use crate::truth::{Book, Hop};

/// How an actor waits and tries again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For an ACK; then the connection is dropped.
    pub(crate) ack: Duration,
    /// Before the first new dial; doubled with each failure in a row.
    pub(crate) redial: Duration,
    /// The longest pause before a dial.
    pub(crate) redial_max: Duration,
    /// Before a rejected message is sent again.
    pub(crate) reject: Duration,
}

/// What happens to a message on its way, for the truth.
pub(crate) enum Step {
    /// It is about to be written.
    Attempt,
    /// It was answered.
    Answered(AckCode),
    /// An ACK that answers another message.
    Other(Ack),
}

/// A connection to a receiver.
struct Client {
    socket: Socket,
    deframer: Deframer,
}

impl Client {
    /// The next ACK; `None` when the connection is gone or no longer speaks MLLP. Frames that are no ACK are
    /// passed over. Safe to cancel: nothing is taken from the socket without being kept.
    async fn next_ack(&mut self) -> Option<Ack> {
        let mut buffer = [0; 4096];
        loop {
            while let Some(content) = self.deframer.next_frame().ok()? {
                if let Some(ack) = read_ack(&content) {
                    return Some(ack);
                }
            }
            match self.socket.read(&mut buffer).await {
                Ok(n) if n > 0 => self.deframer.push(&buffer[..n]),
                _ => return None,
            }
        }
    }
}

/// A persistent connection to an address that may be given, and change, later.
pub(crate) struct Link {
    hop: Hop,
    book: Arc<Book>,
    target: watch::Receiver<Option<SocketAddr>>,
    patience: Patience,
    client: Option<Client>,
    /// Dials and connections that failed since the last answer.
    failures: u32,
}

impl Link {
    pub(crate) fn new(
        hop: Hop,
        book: Arc<Book>,
        target: watch::Receiver<Option<SocketAddr>>,
        patience: Patience,
    ) -> Self {
        Self { hop, book, target, patience, client: None, failures: 0 }
    }

    /// Waits until there is a connection. Safe to cancel.
    async fn connected(&mut self) -> &mut Client {
        while self.client.is_none() {
            if self.failures > 0 {
                let factor = 1 << (self.failures - 1).min(16);
                sleep((self.patience.redial * factor).min(self.patience.redial_max)).await;
            }
            // The hospital holds the other side for as long as we run; without it there is nothing to dial.
            let Ok(Some(addr)) = self.target.wait_for(Option::is_some).await.map(|a| *a) else {
                std::future::pending::<()>().await;
                continue;
            };
            match Socket::dial(addr, self.hop, &self.book).await {
                Ok(socket) => {
                    self.client = Some(Client { socket, deframer: Deframer::default() });
                }
                Err(_) => self.failures += 1,
            }
        }
        self.client.as_mut().expect("the loop above ends with a client")
    }

    fn drop_client(&mut self) {
        self.client = None;
        self.failures += 1;
    }

    /// Keeps the connection up while there is nothing to send; never returns. Safe to cancel.
    pub(crate) async fn idle(&mut self, mut step: impl FnMut(Step)) -> ! {
        loop {
            let client = self.connected().await;
            while let Some(ack) = client.next_ack().await {
                step(Step::Other(ack));
            }
            self.drop_client();
        }
    }

    /// Sends `frame` until it is accepted (AA, CA) or errored (AE, CE): again on a new connection after a
    /// time-out or a loss, again after a pause when rejected (AR, CR).
    pub(crate) async fn deliver(
        &mut self,
        frame: &[u8],
        id: &str,
        mut step: impl FnMut(Step),
    ) -> AckCode {
        loop {
            let within = self.patience.ack;
            let client = self.connected().await;
            step(Step::Attempt);
            let talk = async {
                client.socket.write_all(frame).await.ok()?;
                loop {
                    match client.next_ack().await? {
                        Ack { code: Some(code), control_id } if control_id == id => {
                            return Some(code);
                        }
                        other => step(Step::Other(other)),
                    }
                }
            };
            match timeout(within, talk).await {
                Ok(Some(code)) => {
                    self.failures = 0;
                    step(Step::Answered(code));
                    if !code.is_reject() {
                        return code;
                    }
                    sleep(self.patience.reject).await;
                }
                Ok(None) | Err(_) => self.drop_client(),
            }
        }
    }

    /// Ends in order, waiting for the other end at most `within`.
    pub(crate) async fn close(self, within: Duration) {
        if let Some(client) = self.client {
            client.socket.close(within).await;
        }
    }
}

/// Ends `grace` after `stop` was asked for: what is under way may finish until then.
pub(crate) async fn overdue(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    sleep(grace).await;
}
