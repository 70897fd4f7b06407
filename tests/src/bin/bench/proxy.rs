//! Round trips through the wire against a direct connection, with a reader of its copies and
//! without.
//!
//! Sender and receiver are threads of this process with a runtime each; the wire is a process of
//! its own, as in the product.

use crate::Result;
use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness};
use crate::wire_process::WireProcess;
use feedpulse_sim::{AckServer, blast};
use feedpulse_wire::ring::{Batch, Reader};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Its name.
pub(crate) const GROUP: &str = "proxy";

const DIRECT: &str = "direct connection";
const QUIET: &str = "through the wire, no reader";
const READ: &str = "through the wire, live reader";
/// Messages of one sample for each connection.
const MESSAGES: u64 = 300;
/// Bytes that the reader takes at once.
const CHUNK: usize = 1 << 20;

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let receiver = Receiver::start()?;
    let folder = tempfile::tempdir()?;
    // The wire makes the folder of its socket itself, with the mode that it wants.
    let sockets = folder.path().join("sockets");
    let quiet = WireProcess::start(&sockets, "quiet", receiver.addr)?;
    let read = WireProcess::start(&sockets, "read", receiver.addr)?;
    let reader = LiveReader::start(&read.socket)?;
    let mut figures = Vec::new();
    for connections in [1, 8] {
        let runtime = &runtime;
        let trip = |addr| move || round_trip(runtime, addr, connections);
        let measured = harness.compare(vec![
            Contender::new(DIRECT, trip(receiver.addr)),
            Contender::new(QUIET, trip(quiet.addr)),
            Contender::new(READ, trip(read.addr)),
        ])?;
        for through in [QUIET, READ] {
            let name = format!("{through}, {connections} connections, p50 us");
            let most = Some(Target::RatioAtMost(2.0));
            figures.push(measured.figure(GROUP, &name, (through, DIRECT), most));
        }
    }
    let records = reader.stop()?;
    receiver.stop()?;
    if records == 0 {
        return Err("the live reader read nothing".into());
    }
    Ok(figures)
}

/// Median round trip of one blast, microseconds.
fn round_trip(runtime: &Runtime, addr: SocketAddr, connections: usize) -> Result<f64> {
    let messages = MESSAGES * connections as u64;
    let report = runtime.block_on(blast(addr, messages, connections, 6, false))?;
    if report.messages != messages {
        return Err(format!("{} of {messages} messages were answered", report.messages).into());
    }
    Ok(report.p50_ns as f64 / 1000.0)
}

/// A receiver that answers at once, on a thread of its own.
struct Receiver {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Receiver {
    fn start() -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            Builder::new_current_thread().enable_all().build()?.block_on(async {
                let server = AckServer::start().await?;
                // Nobody to tell means that the run is over; so does a dropped sender.
                let _ = tell.send(server.addr());
                let _ = stopped.await;
                server.stop().await;
                Ok(())
            })
        });
        let addr = told.recv().map_err(|_| "the receiver did not start")?;
        Ok(Self { addr, stop, thread })
    }

    fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        Ok(self.thread.join().map_err(|_| "the receiver panicked")??)
    }
}

/// Takes the wire's copies as the analysing process does, and does nothing with them.
struct LiveReader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::result::Result<u64, String>>,
}

impl LiveReader {
    fn start(socket: &Path) -> Result<Self> {
        let reader = feedpulse_wire::connect(socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || drain(reader, &stop).map_err(|error| error.to_string()))
        };
        Ok(Self { stop, thread })
    }

    /// How many records there were.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        Ok(self.thread.join().map_err(|_| "the reader panicked")??)
    }
}

fn drain(mut reader: Reader, stop: &AtomicBool) -> Result<u64> {
    let (mut batch, mut records) = (Batch::new(), 0);
    while !stop.load(Ordering::Acquire) {
        batch.clear();
        if reader.read(&mut batch, CHUNK)? == 0 {
            reader.wait(Duration::from_millis(100))?;
            continue;
        }
        records += batch.len() as u64;
        if let Some((cursor, _)) = batch.records().last() {
            reader.release(cursor)?;
        }
    }
    Ok(records)
}
