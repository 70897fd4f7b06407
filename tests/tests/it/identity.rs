//! The proxied bytes are the same at both ends, whatever becomes of the process that analyses them;
//! and that process counts each message once, or says what it could not see.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::{AckReport, AckServer, BlastReport, blast};
use feedpulse_tests::product::{Product, Setup, Waypoint};
use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Connections of a blast.
const CONNECTIONS: usize = 8;
/// Holds everything that these streams are while nobody reads: nothing is shed.
const ROOMY_KIB: u64 = 256 << 10;

/// A receiver, and a product in front of it.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    server: AckServer,
    pub(crate) product: Product,
}

impl Stage {
    fn new(ring_kib: u64) -> Self {
        Self::with(|setup| setup.ring_kib = ring_kib)
    }

    /// A product that watches the receiver at its first waypoint `engine-in`, and more.
    pub(crate) fn with(more: impl FnOnce(&mut Setup)) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(AckServer::start()).unwrap();
        let mut setup = Setup::new(vec![Waypoint::new("engine-in", server.addr())]);
        setup.ring_kib = ROOMY_KIB;
        more(&mut setup);
        let product = Product::start(&setup);
        Self { runtime, server, product }
    }

    fn address(&self) -> SocketAddr {
        self.product.listener(0)
    }

    /// Starts a stream with cuts at random places.
    pub(crate) fn stream(&self, messages: u64, seed: u64) -> JoinHandle<BlastReport> {
        let address = self.address();
        self.runtime
            .spawn(async move { blast(address, messages, CONNECTIONS, seed, true).await.unwrap() })
    }

    pub(crate) fn end(&self, stream: JoinHandle<BlastReport>) -> BlastReport {
        self.runtime.block_on(stream).unwrap()
    }

    /// What the receiver saw, once all connections have ended.
    pub(crate) fn arrived(&self, streams: usize) -> AckReport {
        self.runtime.block_on(self.server.ended((streams * CONNECTIONS) as u64))
    }
}

/// What was sent is what arrived, in both directions, to the last byte.
pub(crate) fn assert_identical(sent: &[BlastReport], arrived: &AckReport) {
    let sum = |of: fn(&BlastReport) -> u128| sent.iter().map(of).fold(0, u128::wrapping_add);
    assert_eq!(arrived.broken, 0, "{arrived:?}");
    assert_eq!(sum(|s| s.messages.into()), arrived.messages.into());
    assert_eq!(sum(|s| s.sent_bytes.into()), arrived.recv_bytes.into());
    assert_eq!(sum(|s| s.sent_hash), arrived.recv_hash, "bytes to the receiver");
    assert_eq!(sum(|s| s.recv_bytes.into()), arrived.sent_bytes.into());
    assert_eq!(sum(|s| s.recv_hash), arrived.sent_hash, "bytes to the sender");
}

pub(crate) fn total(status: &Value, name: &str) -> u64 {
    let totals = &status["totals"];
    let number = if totals[name].is_null() { &totals["outcomes"][name] } else { &totals[name] };
    number.as_u64().unwrap()
}

/// Waits until everything is seen and answered; then every message has been counted once.
pub(crate) fn assert_each_counted_once(product: &mut Product, sent: u64) {
    product.wait("all messages seen and answered", |product| {
        let status = product.status()?;
        (total(&status, "seen") >= sent && total(&status, "open") == 0).then_some(())
    });
    let status = product.status().unwrap();
    for name in ["seen", "accounted", "accepted"] {
        assert_eq!(total(&status, name), sent, "{name}: {status:#}");
    }
    assert_eq!((status["stray_acks"].as_u64(), status["late_acks"].as_u64()), (Some(0), Some(0)));
    assert_eq!(status["blind"], false, "{status:#}");
    assert_eq!(product.wire("shed_records"), Some(0));
}

#[test]
fn a_stream_is_forwarded_unchanged_and_each_message_counted_once() {
    let mut stage = Stage::new(ROOMY_KIB);
    let sent = stage.end(stage.stream(40_000, 1));
    assert_identical(&[sent], &stage.arrived(1));
    assert_each_counted_once(&mut stage.product, 40_000);
    assert!(stage.product.stop().success(), "{}", stage.product.said());
}

#[test]
fn a_stalled_analysis_stalls_no_message_and_catches_up() {
    let mut stage = Stage::new(ROOMY_KIB);
    let around = stage.stream(20_000, 2);
    stage.product.wait("the stream has begun", |p| p.seen().filter(|seen| *seen > 1_000));
    stage.product.signal(Signal::STOP);
    // All of this passes, and is answered, while the analysis stands still.
    let within = stage.end(stage.stream(10_000, 3));
    stage.product.signal(Signal::CONT);
    let around = stage.end(around);
    assert_identical(&[around, within], &stage.arrived(2));
    assert_each_counted_once(&mut stage.product, 30_000);
}

#[test]
fn a_killed_analysis_goes_on_where_it_was() {
    // As often as one likes on command, such as 100 times.
    let rounds = std::env::var("FEEDPULSE_KILLS").map_or(6, |n| n.parse().unwrap());
    let mut stage = Stage::new(ROOMY_KIB);
    let mut sent = Vec::new();
    for round in 0..rounds {
        let stream = stage.stream(4_500, 1_000 + round);
        let mark = stage.product.wire("to_receiver_out").unwrap();
        // Its numbers come once a second; the wire's are of the moment, so that it dies in the middle.
        stage.product.wait("the stream has begun", |p| {
            p.wire("to_receiver_out").filter(|out| *out > mark + 500_000)
        });
        stage.product.kill9();
        // All of this passes, and is answered, while nobody is there to see it.
        sent.push(stage.end(stage.stream(500, 9_000 + round)));
        stage.product.start_run();
        sent.push(stage.end(stream));
    }
    assert_identical(&sent, &stage.arrived(sent.len()));
    assert_each_counted_once(&mut stage.product, rounds * 5_000);
}

#[test]
fn what_no_ring_can_hold_is_told_as_blind_and_never_as_lost() {
    const SENT: u64 = 5_000;
    let mut stage = Stage::new(512);
    stage.product.signal(Signal::STOP);
    let sent = stage.end(stage.stream(SENT, 5));
    let shed = stage.product.wire("shed_records").unwrap();
    assert!(shed > 0, "the ring is too small for this stream");
    stage.product.signal(Signal::CONT);
    assert_identical(&[sent], &stage.arrived(1));
    let incident = stage.product.wait("FP0901", |p| p.incident("FP0901"));
    let finding = incident["findings"].as_array().unwrap().iter().find(|f| f["code"] == "FP0901");
    assert!(finding.unwrap()["evidence"]["copies_shed_total"].as_f64().unwrap() > 0.0);
    // One message more shows that what follows is seen.
    stage.product.wait("all that is left in the ring is read", |p| {
        (p.wire("ring_used")? == 0).then_some(())
    });
    let before = stage.product.seen().unwrap();
    assert!(before < SENT, "{before} were seen though copies were shed");
    stage.end(stage.stream(100, 6));
    stage.product.wait("the new messages", |p| p.seen().filter(|seen| *seen == before + 100));
    let status = stage.product.status().unwrap();
    assert_eq!(total(&status, "seen"), total(&status, "accounted"));
    assert_eq!(
        total(&status, "accepted") + total(&status, "unknown") + total(&status, "open"),
        before + 100
    );
    // Each message is at least one record, and its ACK one more: the shed ones explain the gap.
    assert!(SENT - before <= shed, "{SENT} sent, {before} seen, {shed} records shed");
}
