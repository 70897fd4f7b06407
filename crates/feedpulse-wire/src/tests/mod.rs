//! Tests of the whole wire over loopback, and of its parts. Every blocking call has a limit that
//! only a failure reaches.

mod config;
mod forwarding;
mod handover;
mod identity;
mod limits;
mod proxy;
mod refusing;
mod ring;
mod tls;
mod tls_look;
mod upgrade;
mod vanished;

use std::collections::HashMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::ring::{Batch, Reader, Wait};
use crate::{Direction, Event, ListenerConfig, Record, WireConfig, WireError, connect, run_until};

/// What no test reaches unless it fails.
const LIMIT: Duration = Duration::from_secs(60);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A wire in a thread of this process.
struct Rig {
    folder: TempDir,
    socket: PathBuf,
    at: SocketAddr,
    forward: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), WireError>>>,
}

impl Rig {
    fn new(receiver: SocketAddr) -> Self {
        Self::with(receiver, |_| {})
    }

    /// One listener that forwards to `receiver`, with the configuration changed as needed.
    fn with(receiver: SocketAddr, change: impl FnOnce(&mut WireConfig)) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("wire").join("socket");
        let listener = ListenerConfig::new("adt", loopback(), &receiver.to_string());
        let mut config = WireConfig::new(socket.clone(), vec![listener]);
        config.drain = LIMIT;
        change(&mut config);
        let (stop, stopped) = oneshot::channel();
        let (ready, at) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async {
                let _ = stopped.await;
            };
            run_until(config, |addresses| ready.send(addresses[0]).unwrap(), stopped)
        });
        let at = at.recv_timeout(LIMIT).unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Self { folder, socket, at, forward: receiver, stop, thread }
    }

    fn reader(&self) -> Watcher {
        Watcher::new(connect(&self.socket).unwrap())
    }

    fn sender(&self) -> TcpStream {
        patient(TcpStream::connect(self.at).unwrap())
    }

    /// One counter from the statistics.
    fn stat(&self, key: &str) -> u64 {
        let line = crate::stats(&self.socket).unwrap();
        let found = line.split(' ').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
        found.unwrap().parse().unwrap()
    }

    fn stop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }

    fn join(mut self) {
        self.stop();
        self.thread.take().unwrap().join().unwrap().unwrap();
        assert!(!self.socket.exists(), "the socket file is removed");
        assert!(self.folder.path().exists());
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn receiver() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(loopback()).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().unwrap().0)
}

/// A connection through the wire, and its two ends: sender and receiver.
fn pair(rig: &Rig, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let sender = rig.sender();
    (sender, accept(listener))
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads to the end: the bytes, and whether it ended by a reset.
fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => (bytes, false),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => (bytes, true),
        Err(error) => panic!("neither end nor reset: {error}"),
    }
}

/// A reader that keeps what it saw.
struct Watcher {
    reader: Reader,
    batch: Batch,
    /// What happened, without signs of life and data, as `connection: Event`.
    events: Vec<String>,
    data: HashMap<(u64, Direction), Vec<u8>>,
    shed_bytes: u64,
    /// Bytes that are missing by their offsets.
    missing: u64,
    release: bool,
}

impl Watcher {
    fn new(reader: Reader) -> Self {
        Self {
            reader,
            batch: Batch::new(),
            events: Vec::new(),
            data: HashMap::new(),
            shed_bytes: 0,
            missing: 0,
            release: true,
        }
    }

    /// Reads what is there now, and waits for more if it is nothing.
    fn step(&mut self) {
        let waited = self.reader.wait(LIMIT).unwrap();
        assert_eq!(waited, Wait::Ready, "after {:?}", self.events);
        self.batch.clear();
        self.reader.read(&mut self.batch, 1 << 20).unwrap();
        let batch = std::mem::take(&mut self.batch);
        for (cursor, record) in batch.records() {
            self.see(&record);
            if self.release {
                self.reader.release(cursor).unwrap();
            }
        }
        self.batch = batch;
    }

    fn see(&mut self, record: &Record<'_>) {
        match record.event {
            Event::Alive { .. } => {}
            Event::Data { direction, offset, bytes } => {
                let stream = self.data.entry((record.connection, direction)).or_default();
                let gap = usize::try_from(offset).unwrap().checked_sub(stream.len()).unwrap();
                self.missing += gap as u64;
                stream.resize(stream.len() + gap, 0);
                stream.extend_from_slice(&bytes);
            }
            event => {
                if let Event::Shed { bytes, .. } = event {
                    self.shed_bytes += bytes;
                }
                self.events.push(format!("{}: {event:?}", record.connection));
            }
        }
    }

    /// Reads until an event contains this text, and returns it.
    fn until(&mut self, text: &str) -> String {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            if let Some(event) = self.events[seen..].iter().find(|event| event.contains(text)) {
                return event.clone();
            }
            assert!(start.elapsed() < LIMIT, "no {text} in {:?}", self.events);
            seen = self.events.len();
            self.step();
        }
    }

    fn bytes(&self, connection: u64, direction: Direction) -> &[u8] {
        self.data.get(&(connection, direction)).map_or(&[], Vec::as_slice)
    }
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() >> 11) as usize % limit
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll() as u8).collect()
    }
}
