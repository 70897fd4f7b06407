//! Peers that are gone and say nothing, for real: in a network namespace of the test's own, the receiver's
//! address is taken away under open connections.
//!
//! The test runs itself again in that namespace (`unshare`, and `ip` of iproute2). Where the machine makes
//! none it says so and tests nothing: what the wire makes of the kernel's counts is then not seen.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use super::{Rig, accept, pair, read_all};
use crate::vitals;

/// Set in the run inside.
const INSIDE: &str = "FEEDPULSE_TEST_NAMESPACE";
/// The receiver's host.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Of this namespace: data is repeated for 25 s, and keepalive gives up after 31 s, probing each second.
const SETTINGS: [(&str, &str); 4] = [
    ("tcp_retries2", "6"),
    ("tcp_keepalive_time", "1"),
    ("tcp_keepalive_intvl", "1"),
    ("tcp_keepalive_probes", "30"),
];

fn unshare() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net"]);
    unshare
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

/// Whether a namespace can be made here, with its own addresses and settings.
fn is_possible() -> bool {
    let script = "ip link set lo up && test -w /proc/sys/net/ipv4/tcp_retries2";
    unshare().args(["sh", "-c", script]).output().is_ok_and(|tried| tried.status.success())
}

#[test]
fn a_receiver_that_vanishes_is_told_and_then_given_up() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if !is_possible() {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing may be skipped: see `unshare`");
        eprintln!("skipped: no network namespace can be made here");
        return;
    }
    let name = "tests::vanished::a_receiver_that_vanishes_is_told_and_then_given_up";
    let mut again = unshare();
    again.arg(std::env::current_exe().unwrap()).args([name, "--exact", "--nocapture"]);
    let output = again.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
}

fn inside() {
    ip("link set lo up");
    ip(&format!("address add {HOST}/32 dev lo"));
    for (name, value) in SETTINGS {
        std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
    }
    let listener = TcpListener::bind(SocketAddr::from((HOST, 0))).unwrap();
    let rig = Rig::new(listener.local_addr().unwrap());
    let mut reader = rig.reader();
    // One has something to say, one is idle.
    let (mut speaks, mut heard) = pair(&rig, &listener);
    let (mut idle, _listens) = pair(&rig, &listener);
    speaks.write_all(b"first").unwrap();
    heard.read_exact(&mut [0; 5]).unwrap();
    ip(&format!("address delete {HOST}/32 dev lo"));
    speaks.write_all(b"lost").unwrap();
    reader.until("1: HalfOpen { side: Receiver");
    reader.until("2: HalfOpen { side: Receiver");
    assert!(!reader.events.iter().any(|event| event.contains("Sender")), "{:?}", reader.events);
    reader.until("1: TimedOut { side: Receiver }");
    reader.until("2: TimedOut { side: Receiver }");
    assert!(read_all(&mut speaks).1 && read_all(&mut idle).1, "passed on as a reset");
    for connection in ["1: HalfOpen", "2: HalfOpen", "1: TimedOut", "2: TimedOut"] {
        let told = reader.events.iter().filter(|event| event.starts_with(connection)).count();
        assert_eq!(told, 1, "{connection} in {:?}", reader.events);
    }
    rig.join();
}

#[test]
fn whoever_answers_is_not_gone() {
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The other side never reads: its kernel answers, and its window closes.
    let _hangs = accept(&listener);
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 65_536]).is_ok() {}
    assert_eq!(vitals::gone_for(stream.as_raw_fd()), None);
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(vitals::gone_for(file.as_raw_fd()), None, "no socket");
}

#[test]
fn probes_are_each_minute_and_give_up_when_the_kernel_would() {
    use rustix::net::sockopt;
    use std::time::Duration;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    for (idle, every, probes, first, then) in
        [(7_200, 75, 9, 60, 62), (300, 30, 4, 60, 30), (20, 5, 3, 20, 5), (1, 1, 1, 1, 1)]
    {
        sockopt::set_tcp_keepidle(&stream, Duration::from_secs(idle)).unwrap();
        sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(every)).unwrap();
        sockopt::set_tcp_keepcnt(&stream, probes).unwrap();
        vitals::probe(&stream).unwrap();
        let (is_first, is_then) =
            (sockopt::tcp_keepidle(&stream).unwrap(), sockopt::tcp_keepintvl(&stream).unwrap());
        assert_eq!((is_first.as_secs(), is_then.as_secs()), (first, then));
        let gives_up = is_first + is_then * sockopt::tcp_keepcnt(&stream).unwrap();
        let would = idle + every * u64::from(probes);
        assert!((would..would + then).contains(&gives_up.as_secs()), "{gives_up:?} for {would} s");
        assert!(sockopt::socket_keepalive(&stream).unwrap());
    }
}
