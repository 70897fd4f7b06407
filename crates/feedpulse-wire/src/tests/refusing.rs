//! When nobody takes a connection: what the sender sees, and what the analyser is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{LIMIT, Rig, accept, loopback, pair, patient, read_all, receiver};
use crate::OnUpstreamDown;

/// An address at which nobody listens, and nobody else can: it is taken by a socket that does not
/// listen yet.
fn nobody() -> (Socket, SocketAddr) {
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&loopback().into()).unwrap();
    let at = silent.local_addr().unwrap().as_socket().unwrap();
    (silent, at)
}

#[test]
fn a_sender_is_reset_when_the_receiver_refuses() {
    let (_silent, at) = nobody();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    for id in 1..=3 {
        let mut sender = rig.sender();
        assert_eq!(read_all(&mut sender), (Vec::new(), true));
        let told = reader.until(&format!("{id}: Refused"));
        let peer = sender.local_addr().unwrap();
        assert_eq!(told, format!("{id}: Refused {{ peer: {peer}, by: Receiver }}"));
    }
    assert_eq!((rig.stat("refused"), rig.stat("connections_open")), (3, 0));
    rig.join();
}

#[test]
fn a_sender_is_reset_when_the_receiver_does_not_answer() {
    // A full accept queue drops what comes next, as a host that is gone does.
    let (deaf, at) = nobody();
    deaf.listen(0).unwrap();
    let filler = TcpStream::connect_timeout(&at, LIMIT).unwrap();
    let rig = Rig::with(at, |config| {
        config.listeners[0].connect_timeout = Duration::from_millis(100);
    });
    let mut reader = rig.reader();
    let mut sender = rig.sender();
    assert_eq!(read_all(&mut sender), (Vec::new(), true));
    let told = reader.until("1: Unreachable");
    assert!(told.ends_with("why: Timeout }"), "{told}");
    assert_eq!(rig.stat("unreachable"), 1);
    drop(filler);
    rig.join();
}

#[test]
fn a_name_without_an_address_is_unreachable() {
    let rig = Rig::with(loopback(), |config| {
        // RFC 6761 §6.4: never has an address. A resolver may take its time to say so.
        config.listeners[0].forward = "receiver.invalid:2575".to_owned();
    });
    let mut reader = rig.reader();
    let mut sender = rig.sender();
    assert_eq!(read_all(&mut sender), (Vec::new(), true));
    let told = reader.until("1: Unreachable");
    assert!(told.contains("why: NoName") || told.contains("why: Timeout"), "{told}");
    rig.join();
}

/// Tries until a connection gives what is wanted.
fn try_until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(wanted) = attempt() {
            return wanted;
        }
        assert!(start.elapsed() < LIMIT, "did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn close_listener_refuses_until_the_receiver_is_back() {
    let (silent, down) = nobody();
    let rig = Rig::with(down, |config| {
        config.listeners[0].on_upstream_down = OnUpstreamDown::CloseListener;
    });
    let mut reader = rig.reader();
    assert_eq!(read_all(&mut rig.sender()), (Vec::new(), true));
    reader.until("1: Refused");
    reader.until("ListenerClosed");
    let refused = TcpStream::connect(rig.at).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    silent.listen(16).unwrap();
    let listener = TcpListener::from(silent);
    // The probe is a connection without a byte.
    assert_eq!(accept(&listener).read(&mut [0; 1]).unwrap(), 0);
    let mut sender = try_until(|| TcpStream::connect(rig.at).ok().map(patient));
    let mut taken = accept(&listener);
    sender.write_all(b"back").unwrap();
    taken.read_exact(&mut [0; 4]).unwrap();
    drop((sender, taken));
    reader.until("2: Closed");
    let about: Vec<_> = reader.events.iter().filter(|event| event.starts_with("0: ")).collect();
    let kinds: Vec<_> = about.iter().map(|event| event.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["Listening", "ListenerClosed", "Listening"]);
    rig.join();
}

#[test]
fn more_connections_than_the_limit_are_reset_and_those_within_it_go_on() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| config.listeners[0].max_connections = 2);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    let second = pair(&rig, &listener);
    assert_eq!(read_all(&mut rig.sender()), (Vec::new(), true));
    assert!(reader.until("Refused").ends_with("by: ConnectionLimit }"));
    sender.write_all(b"going on").unwrap();
    taken.read_exact(&mut [0; 8]).unwrap();
    drop(second);
    reader.until("2: Closed");
    let (mut third, mut at_last) = pair(&rig, &listener);
    third.write_all(b"room again").unwrap();
    at_last.read_exact(&mut [0; 10]).unwrap();
    drop((sender, taken, third, at_last));
    rig.join();
}
