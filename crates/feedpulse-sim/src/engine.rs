//! The integration engine: stores what senders send, rewrites control ids, forwards in order, loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::{Link, Patience, Step, overdue};
use crate::hl7::{AckCode, Header, Restamp, make_ack, read_header, restamp};
use crate::mllp::{Deframer, frame};
use crate::socket::Socket;
use crate::truth::{Answer, Book, EngineRecord, Hop, RelayState, push};

/// Application ACKs waiting for one sender connection.
const REPLIES: usize = 1024;

/// What the engine answers to senders, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    /// Original mode: AA as soon as the message is stored. Senders leave MSH-15 and MSH-16 empty.
    #[default]
    Original,
    /// Enhanced mode: CA as soon as it is stored, and nothing more. MSH-15 AL, MSH-16 NE.
    Commit,
    /// Enhanced mode: CA when stored, and on the same connection AA or AE when the portal has answered.
    /// MSH-15 AL, MSH-16 AL.
    CommitThenApplication,
}

impl AckMode {
    /// MSH-15 and MSH-16 of the senders.
    pub(crate) fn ack_types(self) -> (String, String) {
        let (accept, application) = match self {
            Self::Original => ("", ""),
            Self::Commit => ("AL", "NE"),
            Self::CommitThenApplication => ("AL", "AL"),
        };
        (accept.to_owned(), application.to_owned())
    }
}

/// How the engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// One listening port for all senders instead of one each. Routes are told apart by MSH-3 either way.
    pub shared_port: bool,
    /// What it answers to senders.
    pub ack_mode: AckMode,
    /// How long it waits for the portal's ACK; then it reconnects and sends the same message again.
    pub ack_timeout: Duration,
    /// Before it dials again.
    pub reconnect_pause: Duration,
    /// Before it sends a message again that was answered AR or CR.
    pub reject_pause: Duration,
    /// Messages that one route stores; past that it answers AR.
    pub queue_limit: usize,
    /// MSH-3 and MSH-4 of forwarded messages; `None` keeps the sender's.
    pub source: Option<(String, String)>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            shared_port: false,
            ack_mode: AckMode::Original,
            ack_timeout: Duration::from_secs(5),
            reconnect_pause: Duration::from_secs(1),
            reject_pause: Duration::from_secs(1),
            queue_limit: 100_000,
            source: None,
        }
    }
}

/// A stored message.
pub(crate) struct Stored {
    record: Option<usize>,
    header: Header,
    bytes: Vec<u8>,
    /// Where the later application ACK goes.
    reply: Option<mpsc::Sender<Vec<u8>>>,
}

pub(crate) struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) book: Arc<Book>,
    /// By MSH-3: the route's name and its queue.
    pub(crate) routes: BTreeMap<String, (String, mpsc::Sender<Stored>)>,
    pub(crate) ids: AtomicU64,
}

impl Engine {
    fn own_id(&self) -> String {
        format!("N{:09}", self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// One connection of a sender.
    pub(crate) async fn receive(self: Arc<Self>, stream: TcpStream) {
        let Ok(mut socket) = Socket::accepted(stream, Hop::SenderToEngine, &self.book) else {
            return;
        };
        let (reply, mut replies) = mpsc::channel::<Vec<u8>>(REPLIES);
        let mut deframer = Deframer::default();
        let mut buffer = [0; 8192];
        loop {
            let read = tokio::select! {
                biased;
                read = socket.read(&mut buffer) => read,
                Some(ack) = replies.recv() => {
                    if socket.write_all(&frame(&ack)).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            match read {
                Ok(n) if n > 0 => deframer.push(&buffer[..n]),
                Ok(_) => return drop(socket.finish().await),
                Err(_) => return,
            }
            while let Ok(Some(content)) = deframer.next_frame() {
                let Some((record, code, ack)) = self.store(content, &reply) else { continue };
                if socket.write_all(&frame(&ack)).await.is_err() {
                    return;
                }
                let answer = Answer { code, at_us: self.book.clock.now_us() };
                self.book.edit(|ledger| {
                    if let Some(at) = record {
                        ledger.engine[at].answer = Some(answer);
                    }
                });
            }
        }
    }

    /// Stores a message in the queue of its route. `None` when it has no header: then there is nothing to
    /// answer to.
    fn store(
        &self,
        bytes: Vec<u8>,
        reply: &mpsc::Sender<Vec<u8>>,
    ) -> Option<(Option<usize>, AckCode, Vec<u8>)> {
        let header = read_header(&bytes);
        let route = header.as_ref().and_then(|header| self.routes.get(&header.app));
        // The place is reserved first: the record must be there before the route can take the message.
        let place = route.and_then(|(_, queue)| queue.try_reserve().ok());
        let state = if place.is_some() { RelayState::Queued } else { RelayState::NotStored };
        let received_us = self.book.clock.now_us();
        let record = self.book.edit(|ledger| {
            let record = EngineRecord {
                route: route.map(|(name, _)| name.clone()).unwrap_or_default(),
                received_id: header.as_ref().map(|h| h.control_id.clone()).unwrap_or_default(),
                received_us,
                answer: None,
                forwarded_id: String::new(),
                first_forwarded_us: None,
                attempts: 0,
                portal_answer: None,
                state,
            };
            push(&mut ledger.engine, &mut ledger.dropped, record)
        });
        let header = header?;
        let mode = self.config.ack_mode;
        let code = match (state, mode) {
            (RelayState::NotStored, AckMode::Original) => AckCode::Ar,
            (RelayState::NotStored, _) => AckCode::Cr,
            (_, AckMode::Original) => AckCode::Aa,
            (_, _) => AckCode::Ca,
        };
        let ack = make_ack(&header, code, &self.own_id(), received_us);
        if let Some(place) = place {
            let reply = (mode == AckMode::CommitThenApplication).then(|| reply.clone());
            place.send(Stored { record, header, bytes, reply });
        }
        Some((record, code, ack))
    }

    /// One route: forwards its queue in order until `stop`; a message under way then has `grace` to be
    /// settled.
    pub(crate) async fn forward(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<Stored>,
        mut link: Link,
        stop: CancellationToken,
        grace: Duration,
    ) {
        loop {
            let stray = |step: Step| {
                if matches!(step, Step::Other(_)) {
                    self.book.edit(|ledger| ledger.stray_answers += 1);
                }
            };
            let stored = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(stored) = queue.recv() => stored,
                never = link.idle(stray) => never,
            };
            tokio::select! {
                biased;
                () = self.pass_on(stored, &mut link) => {}
                () = overdue(&stop, grace) => break,
            }
        }
        link.close(grace).await;
    }

    async fn pass_on(&self, stored: Stored, link: &mut Link) {
        let own_id = self.own_id();
        let at_us = self.book.clock.now_us();
        let source = self.config.source.as_ref().map(|(app, facility)| (&**app, &**facility));
        let change = Restamp { control_id: &own_id, at_us, source };
        let message =
            restamp(&stored.bytes, change).expect("only messages with a header are stored");
        let note = |change: &dyn Fn(&mut EngineRecord)| {
            self.book.edit(|ledger| {
                if let Some(at) = stored.record {
                    change(&mut ledger.engine[at]);
                }
            });
        };
        note(&|record| record.forwarded_id.clone_from(&own_id));
        let code = link
            .deliver(&frame(&message), &own_id, |step| {
                let now = self.book.clock.now_us();
                match step {
                    Step::Attempt => note(&|record| {
                        record.attempts += 1;
                        record.first_forwarded_us.get_or_insert(now);
                    }),
                    Step::Answered(code) => note(&|record| {
                        record.portal_answer = Some(Answer { code, at_us: now });
                    }),
                    Step::Other(_) => self.book.edit(|ledger| ledger.stray_answers += 1),
                }
            })
            .await;
        let accepted = code.is_accept();
        let state = if accepted { RelayState::Accepted } else { RelayState::Errored };
        note(&|record| record.state = state);
        if let Some(reply) = stored.reply {
            let code = if accepted { AckCode::Aa } else { AckCode::Ae };
            let now = self.book.clock.now_us();
            let ack = make_ack(&stored.header, code, &self.own_id(), now);
            if reply.try_send(ack).is_err() {
                self.book.edit(|ledger| ledger.application_acks_undelivered += 1);
            }
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        let EngineConfig { ack_timeout, reconnect_pause, reject_pause, .. } = self.config;
        Patience {
            ack: ack_timeout,
            redial: reconnect_pause,
            redial_max: reconnect_pause,
            reject: reject_pause,
        }
    }
}
