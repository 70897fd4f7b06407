//! The tap on a real wire in a thread of this process, over loopback.

use super::Kept;
use crate::mllp::{MllpTap, MllpTapConfig, MllpTapConfigError};
use feedpulse_core::frame::{Direction, WaypointId};
use feedpulse_core::sighting::{LinkEvent, Seen};
use feedpulse_core::tap::Tapped;
use feedpulse_wire::{ListenerConfig, WireConfig, WireError, run_until};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What no test reaches unless it fails.
const LIMIT: Duration = Duration::from_secs(60);

const RING: usize = 1 << 20;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Wire {
    at: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), WireError>>>,
}

impl Wire {
    fn start(socket: PathBuf, receiver: SocketAddr) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = ListenerConfig::new("adt", listen, &receiver.to_string());
        let mut config = WireConfig::new(socket, vec![listener]);
        config.ring_bytes = RING;
        config.drain = Duration::from_millis(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, at) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async { drop(stopped.await) };
            run_until(config, |addresses| ready.send(addresses[0]).unwrap(), stopped)
        });
        let at = at.recv_timeout(LIMIT).unwrap();
        Self { at, stop: Some(stop), thread: Some(thread) }
    }

    fn end(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

fn tap(socket: &std::path::Path, kept: &Kept) -> MllpTap {
    let config = MllpTapConfig::new("w", socket, vec![WaypointId(0)]).unwrap().ring_bytes(RING);
    MllpTap::new(config, &kept.positions())
}

/// Runs a tap until the body has ended.
async fn during(tap: MllpTap, kept: &Kept, body: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let body = async {
        tokio::time::timeout(LIMIT, body).await.unwrap();
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(tap.run(kept.clone(), stop.clone()), body);
    ended.unwrap();
}

async fn pair(wire: &Wire, receiver: &TcpListener) -> (TcpStream, TcpStream) {
    let sender = TcpStream::connect(wire.at).await.unwrap();
    (sender, receiver.accept().await.unwrap().0)
}

fn links(kept: &Kept) -> Vec<LinkEvent> {
    kept.pick(|item| match item {
        Tapped::Sighting(sighting) => match sighting.what {
            Seen::Link(event) => Some(event),
            _ => None,
        },
        _ => None,
    })
}

#[tokio::test]
async fn frames_and_link_events_arrive_in_order() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("wire").join("socket");
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::start(socket.clone(), receiver.local_addr().unwrap());
    let kept = Kept::durable();
    during(tap(&socket, &kept), &kept, async {
        let (mut sender, mut other) = pair(&wire, &receiver).await;
        sender.write_all(b"\x0bone\x1c\r\x0btwo\x1c\r").await.unwrap();
        other.read_exact(&mut [0; 12]).await.unwrap();
        other.write_all(b"\x0back\x1c\r").await.unwrap();
        sender.read_exact(&mut [0; 6]).await.unwrap();
        drop(sender);
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0);
        drop(other);
        kept.until(|kept| links(kept).len() == 3).await;
    })
    .await;
    assert_eq!(kept.frames(), ["one", "two", "ack"]);
    let closed = LinkEvent::Closed { bytes: 12 };
    assert_eq!(links(&kept), [LinkEvent::Opened, LinkEvent::Peer(LOCALHOST), closed]);
    let ways = kept.pick(|item| match item {
        Tapped::Frame(frame) => Some(frame.direction),
        _ => None,
    });
    assert_eq!(ways, [Direction::ToReceiver, Direction::ToReceiver, Direction::ToSender]);
    wire.end();
}

#[tokio::test]
async fn after_a_kill_nothing_is_counted_twice_and_nothing_forgotten() {
    for durable in [false, true] {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("wire").join("socket");
        let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Wire::start(socket.clone(), receiver.local_addr().unwrap());
        let kept = if durable { Kept::durable() } else { Kept::default() };
        let (mut sender, mut other) = pair(&wire, &receiver).await;
        let mut expected = Vec::new();
        for round in 0..4 {
            let tail = if round == 0 { String::new() } else { "f\x1c\r".to_owned() };
            let text = format!("{tail}\x0b{round}a\x1c\r\x0b{round}b\x1c\r\x0b{round}-hal");
            if round > 0 {
                expected.push(format!("{}-half", round - 1));
            }
            expected.extend([format!("{round}a"), format!("{round}b")]);
            // Each run of the tap is dropped with a frame open, as a kill would leave it.
            during(tap(&socket, &kept), &kept, async {
                sender.write_all(text.as_bytes()).await.unwrap();
                let mut taken = vec![0; text.len()];
                other.read_exact(&mut taken).await.unwrap();
                kept.until(|kept| kept.frames().len() >= expected.len()).await;
            })
            .await;
            assert_eq!(kept.frames(), expected, "durable {durable}, round {round}");
        }
        assert_eq!(links(&kept), [LinkEvent::Opened, LinkEvent::Peer(LOCALHOST)]);
        wire.end();
    }
}

#[tokio::test]
async fn a_wire_that_ends_is_told_and_found_again() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("wire").join("socket");
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = receiver.local_addr().unwrap();
    let own = |kept: &Kept| {
        kept.pick(|item| match item {
            Tapped::Own(own) => Some((own.failing, own.detail.as_str().to_owned())),
            _ => None,
        })
    };
    let down = |kept: &Kept| own(kept).iter().filter(|(failing, _)| *failing).count();
    let up = |kept: &Kept| own(kept).iter().any(|(_, detail)| detail == "connected");
    let kept = Kept::durable();
    during(tap(&socket, &kept), &kept, async {
        kept.until(|kept| down(kept) == 1).await;
        let wire = Wire::start(socket.clone(), to);
        kept.until(up).await;
        let (mut sender, _other) = pair(&wire, &receiver).await;
        sender.write_all(b"\x0bone\x1c\r\x0bcut").await.unwrap();
        kept.until(|kept| kept.frames().len() == 1).await;
        let wire = tokio::task::spawn_blocking(move || wire.end());
        kept.until(|kept| down(kept) == 2).await;
        wire.await.unwrap();
        let wire = Wire::start(socket.clone(), to);
        let (mut sender, _other) = pair(&wire, &receiver).await;
        sender.write_all(b"\x0btwo\x1c\r").await.unwrap();
        kept.until(|kept| kept.frames().len() == 2).await;
        wire.end();
    })
    .await;
    assert_eq!(kept.frames(), ["one", "two"]);
    assert_eq!(kept.pick(|item| matches!(item, Tapped::Blind(_)).then_some(())).len(), 1);
    assert_eq!(own(&kept)[0], (true, "no-wire".to_owned()));
}

#[tokio::test]
async fn a_frame_longer_than_what_is_held_back_does_not_fill_the_ring() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("wire").join("socket");
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::start(socket.clone(), receiver.local_addr().unwrap());
    let kept = Kept::durable();
    let size = 3 * RING;
    during(tap(&socket, &kept), &kept, async {
        let (mut sender, mut other) = pair(&wire, &receiver).await;
        sender.write_all(b"\x0b").await.unwrap();
        let piece = vec![b'x'; 64 << 10];
        let mut taken = vec![0; piece.len()];
        other.read_exact(&mut [0]).await.unwrap();
        for _ in 0..size / piece.len() {
            sender.write_all(&piece).await.unwrap();
            other.read_exact(&mut taken).await.unwrap();
            // A batch per piece, as on a network; else the test itself would overrun the ring.
            let before = kept.batches();
            kept.until(|kept| kept.batches() > before).await;
        }
        sender.write_all(b"\x1c\r\x0bsmall\x1c\r").await.unwrap();
        kept.until(|kept| kept.frames().last().is_some_and(|last| last == "small")).await;
    })
    .await;
    let lengths: Vec<usize> = kept.frames().iter().map(String::len).collect();
    assert_eq!(lengths, [size, 5]);
    assert!(kept.pick(|item| matches!(item, Tapped::Blind(_)).then_some(())).is_empty());
    wire.end();
}

#[test]
fn configurations_are_checked() {
    let new = |name: &str, waypoints| MllpTapConfig::new(name, "/s", waypoints);
    assert_eq!(new("", vec![WaypointId(0)]).unwrap_err(), MllpTapConfigError::NoName);
    assert!(matches!(new("a", vec![]).unwrap_err(), MllpTapConfigError::NoWaypoint(_)));
    let config = new("a", vec![WaypointId(0)]).unwrap();
    let short = config.frame_open_after(Duration::ZERO);
    assert!(matches!(short.unwrap_err(), MllpTapConfigError::FrameOpenAfter(_)));
}
