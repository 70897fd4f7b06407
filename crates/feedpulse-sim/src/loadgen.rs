//! Closed-loop load for tests and benches: a client that measures and hashes, and a receiver that answers fast.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::generator::corpus;
use crate::hl7::{AckCode, make_ack, read_ack, read_header};
use crate::mllp::{Deframer, frame};
use crate::rng::Rng;
use crate::socket::serve;
use crate::stream_hash::StreamHash;
use crate::truth::lock;

/// Different message bodies that a blast sends in turn.
const BODIES: usize = 64;
/// The most connections of one blast.
const MAX_CONNECTIONS: usize = 1000;
/// How long the receiver may take to answer one message or to end a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a blast did. Hashes are the wrapping sum of the hashes of its connections, so they do not depend on
/// the order of connections and compare with an [`AckReport`] whatever stood between.
#[derive(Debug, Clone, PartialEq)]
pub struct BlastReport {
    /// Messages answered AA.
    pub messages: u64,
    /// Connections.
    pub connections: usize,
    /// Bytes written.
    pub sent_bytes: u64,
    /// Hash of the bytes written.
    pub sent_hash: u128,
    /// Bytes read.
    pub recv_bytes: u64,
    /// Hash of the bytes read.
    pub recv_hash: u128,
    /// Median time from the first written byte of a message to its whole ACK, nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile, nanoseconds.
    pub p99_ns: u64,
    /// Longest, nanoseconds.
    pub max_ns: u64,
    /// From the first dial to the last end, nanoseconds.
    pub elapsed_ns: u64,
}

/// Sends `messages` HL7 messages to `addr` over `connections` connections, each with one message under way,
/// and ends every connection in order. Control ids are unique within a seed (`B`, connection, number). With
/// `random_cuts` each frame is written in up to 8 pieces cut at seeded random points, each flushed to the
/// socket (no delay is set) before the next.
///
/// # Errors
/// `InvalidInput` for 0 or more than 1,000 connections; else what the socket says, `TimedOut` after 30 s
/// without an answer, `UnexpectedEof` when the receiver ends first, and `InvalidData` for an answer that is not
/// AA to the message under way.
pub async fn blast(
    addr: SocketAddr,
    messages: u64,
    connections: usize,
    seed: u64,
    random_cuts: bool,
) -> io::Result<BlastReport> {
    if connections == 0 || connections > MAX_CONNECTIONS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "give 1 to 1,000 connections"));
    }
    let bodies = Arc::new(bodies(seed));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let share = messages / connections as u64
            + u64::from((number as u64) < messages % connections as u64);
        let cuts = random_cuts.then(|| Rng::fork(seed ^ number as u64, "cuts"));
        let caller = Caller { number, share, cuts, bodies: Arc::clone(&bodies) };
        tasks.spawn(caller.run(addr));
    }
    let mut all = Tally::default();
    while let Some(done) = tasks.join_next().await {
        // A task is cancelled only with this future; a panic in it is passed on.
        let one = done.map_err(io::Error::other)??;
        all.add(one);
    }
    let elapsed_ns = nanos(started.elapsed());
    all.times.sort_unstable();
    let at = |share: f64| {
        let rank = (all.times.len() as f64 * share).ceil() as usize;
        all.times.get(rank.max(1) - 1).copied().unwrap_or(0)
    };
    Ok(BlastReport {
        messages: all.times.len() as u64,
        connections,
        sent_bytes: all.sent_bytes,
        sent_hash: all.sent_hash,
        recv_bytes: all.recv_bytes,
        recv_hash: all.recv_hash,
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        max_ns: at(1.0),
        elapsed_ns,
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A frame and where its control id stands.
struct Body {
    frame: Vec<u8>,
    id: Range<usize>,
}

fn bodies(seed: u64) -> Vec<Body> {
    let messages = corpus(seed, BODIES).into_iter();
    messages
        .map(|message| {
            let id = message.control_id.as_bytes();
            let at = message.bytes.windows(id.len()).position(|w| w == id);
            let at = at.expect("a message holds its own control id") + 1;
            // Space for an id of fixed width, so that frames can be patched in place.
            let mut framed = frame(&message.bytes);
            framed.splice(at..at + id.len(), *b"B000000000000000");
            Body { frame: framed, id: at..at + 16 }
        })
        .collect()
}

#[derive(Default)]
struct Tally {
    times: Vec<u64>,
    sent_bytes: u64,
    sent_hash: u128,
    recv_bytes: u64,
    recv_hash: u128,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.sent_bytes += other.sent_bytes;
        self.sent_hash = self.sent_hash.wrapping_add(other.sent_hash);
        self.recv_bytes += other.recv_bytes;
        self.recv_hash = self.recv_hash.wrapping_add(other.recv_hash);
    }
}

struct Caller {
    number: usize,
    share: u64,
    cuts: Option<Rng>,
    bodies: Arc<Vec<Body>>,
}

impl Caller {
    async fn run(mut self, addr: SocketAddr) -> io::Result<Tally> {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (mut sent, mut received) = (StreamHash::new(), StreamHash::new());
        let mut deframer = Deframer::default();
        let mut tally = Tally::default();
        let mut message = Vec::new();
        for n in 0..self.share {
            let body = &self.bodies[(n as usize + self.number) % self.bodies.len()];
            let id = format!("B{:03}{n:012}", self.number);
            message.clear();
            message.extend_from_slice(&body.frame);
            message[body.id.clone()].copy_from_slice(id.as_bytes());
            let before = Instant::now();
            self.write(&mut stream, &message).await?;
            let ack =
                timeout(PATIENCE, answer(&mut stream, &mut deframer, &mut received)).await??;
            tally.times.push(nanos(before.elapsed()));
            // Hashing happens outside the measured time.
            sent.update(&message);
            let fits = read_ack(&ack)
                .is_some_and(|ack| ack.code == Some(AckCode::Aa) && ack.control_id == id);
            if !fits {
                let what = format!("connection {}, message {n}: not answered AA", self.number);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        loop {
            match timeout(PATIENCE, stream.read(&mut rest)).await?? {
                0 => break,
                n => received.update(&rest[..n]),
            }
        }
        tally.sent_bytes = sent.len();
        tally.sent_hash = sent.value();
        tally.recv_bytes = received.len();
        tally.recv_hash = received.value();
        Ok(tally)
    }

    async fn write(&mut self, stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
        let Some(rng) = &mut self.cuts else {
            return stream.write_all(message).await;
        };
        let mut points: Vec<usize> = (0..rng.below(8)).map(|_| rng.index(message.len())).collect();
        points.push(message.len());
        points.sort_unstable();
        let mut from = 0;
        for point in points {
            stream.write_all(&message[from..point]).await?;
            stream.flush().await?;
            from = point;
            // Lets the reader run between two pieces, so that cuts are seen as cuts.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

async fn answer(
    stream: &mut TcpStream,
    deframer: &mut Deframer,
    received: &mut StreamHash,
) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(content) = deframer.next_frame().map_err(io::Error::other)? {
            return Ok(content);
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                received.update(&buffer[..n]);
                deframer.push(&buffer[..n]);
            }
        }
    }
}

/// What an [`AckServer`] saw on connections that have ended. Hashes are sums as in [`BlastReport`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AckReport {
    /// Messages answered.
    pub messages: u64,
    /// Connections that ended in order.
    pub clean: u64,
    /// Connections that ended with an error or were cut at the stop.
    pub broken: u64,
    /// Bytes read.
    pub recv_bytes: u64,
    /// Hash of the bytes read.
    pub recv_hash: u128,
    /// Bytes written.
    pub sent_bytes: u64,
    /// Hash of the bytes written.
    pub sent_hash: u128,
}

#[derive(Debug, Default)]
struct Shared {
    report: Mutex<AckReport>,
    ids: AtomicU64,
    ended: watch::Sender<u64>,
}

/// An MLLP receiver on a loopback port that answers AA at once. Frames without an MSH are read and not
/// answered. Dropping it aborts its tasks.
#[derive(Debug)]
pub struct AckServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl AckServer {
    /// Starts it on a port that the system chooses.
    ///
    /// # Errors
    /// When no loopback port is to be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let handler = {
            let shared = Arc::clone(&shared);
            move |stream| Responder::new(Arc::clone(&shared)).run(stream)
        };
        tasks.spawn(serve(listener, stop.clone(), Duration::from_secs(1), handler));
        Ok(Self { addr, shared, stop, tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until `connections` connections have ended, then says what they brought. With a proxy between,
    /// ends arrive later than the client's return, so wait for the client's number of connections.
    pub async fn ended(&self, connections: u64) -> AckReport {
        let mut ended = self.shared.ended.subscribe();
        // The sender is in `self`, so the wait cannot fail.
        let _reached = ended.wait_for(|count| *count >= connections).await.is_ok();
        self.report()
    }

    /// What the connections brought that have ended so far.
    pub fn report(&self) -> AckReport {
        *lock(&self.shared.report)
    }

    /// Stops listening, gives connections one second to end, and reports.
    pub async fn stop(mut self) -> AckReport {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.report()
    }
}

/// One connection of an [`AckServer`]; its numbers are handed in when it is dropped, however it ended.
struct Responder {
    shared: Arc<Shared>,
    received: StreamHash,
    sent: StreamHash,
    messages: u64,
    clean: bool,
}

impl Responder {
    fn new(shared: Arc<Shared>) -> Self {
        let (received, sent) = (StreamHash::new(), StreamHash::new());
        Self { shared, received, sent, messages: 0, clean: false }
    }

    async fn run(mut self, mut stream: TcpStream) {
        // An error ends the connection; the report counts it as broken.
        self.clean = self.talk(&mut stream).await.is_ok();
    }

    async fn talk(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut deframer = Deframer::default();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return stream.shutdown().await;
            }
            deframer.push(&buffer[..read]);
            while let Some(content) = deframer.next_frame().map_err(io::Error::other)? {
                let Some(header) = read_header(&content) else { continue };
                let number = self.shared.ids.fetch_add(1, Ordering::Relaxed) + 1;
                let reply = frame(&make_ack(&header, AckCode::Aa, &format!("L{number:09}"), 0));
                stream.write_all(&reply).await?;
                self.sent.update(&reply);
                self.messages += 1;
            }
            // After the answer, so that hashing is not part of the round trip.
            self.received.update(&buffer[..read]);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let mut report = lock(&self.shared.report);
        report.messages += self.messages;
        *(if self.clean { &mut report.clean } else { &mut report.broken }) += 1;
        report.recv_bytes += self.received.len();
        report.recv_hash = report.recv_hash.wrapping_add(self.received.value());
        report.sent_bytes += self.sent.len();
        report.sent_hash = report.sent_hash.wrapping_add(self.sent.value());
        drop(report);
        self.shared.ended.send_modify(|ended| *ended += 1);
    }
}

#[cfg(test)]
mod tests;
