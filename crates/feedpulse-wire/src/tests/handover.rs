//! Handing the ring over: to a reader, to the next one, and to nobody else.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::{LIMIT, Rig, loopback, pair, receiver};
use crate::ring::{Batch, RingError, Wait};
use crate::{
    ConnectError, Direction, HandoverError, ListenerConfig, WireConfig, WireError, connect,
    run_until, stats,
};

#[test]
fn a_second_reader_takes_over_where_the_first_released() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut first = rig.reader();
    first.release = false;
    let (mut sender, mut taken) = pair(&rig, &listener);
    sender.write_all(b"one").unwrap();
    taken.read_exact(&mut [0; 3]).unwrap();
    first.until("Opened");
    while first.bytes(1, Direction::ToReceiver) != b"one" {
        first.step();
    }
    // The first one is stalled, not dead: it still holds everything open.
    let mut second = rig.reader();
    let mut batch = Batch::new();
    assert!(matches!(first.reader.read(&mut batch, 1), Err(RingError::TakenOver)));
    let cursor = first.reader.position().cursor;
    assert!(matches!(first.reader.release(cursor), Err(RingError::TakenOver)));
    sender.write_all(b"two").unwrap();
    taken.read_exact(&mut [0; 3]).unwrap();
    drop(sender);
    second.until("HalfClosed");
    assert_eq!(second.bytes(1, Direction::ToReceiver), b"onetwo", "all that was not released");
    assert_eq!(second.events.iter().filter(|event| event.contains("Opened")).count(), 1);
    drop(second);
    drop(taken);
    let mut third = rig.reader();
    third.until("1: Closed");
    assert!(third.bytes(1, Direction::ToReceiver).is_empty(), "released records come again");
    rig.join();
}

#[test]
fn the_reader_notices_that_the_wire_is_gone_after_the_last_record() {
    let (_listener, at) = receiver();
    let mut rig = Rig::new(at);
    let mut reader = rig.reader();
    reader.until("Listening");
    rig.stop();
    reader.until("ListenerClosed");
    loop {
        match reader.reader.wait(LIMIT).unwrap() {
            Wait::Gone => break,
            Wait::Ready => reader.step(),
            Wait::TimedOut => panic!("the end was not noticed"),
        }
    }
    assert!(matches!(connect(&rig.socket), Err(ConnectError::NotRunning { .. })));
    rig.join();
}

#[test]
fn statistics_count_connections_and_bytes() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| config.ring_bytes = 64 << 10);
    let (mut sender, mut taken) = pair(&rig, &listener);
    sender.write_all(&[1; 1000]).unwrap();
    taken.read_exact(&mut [0; 1000]).unwrap();
    taken.write_all(&[2; 10]).unwrap();
    sender.read_exact(&mut [0; 10]).unwrap();
    let line = stats(&rig.socket).unwrap();
    for part in [
        "connections_open=1 connections_total=1 refused=0 unreachable=0 ",
        " to_receiver_in=1000 to_receiver_out=1000 to_sender_in=10 to_sender_out=10 ",
        " shed_records=0 shed_bytes=0 ",
        " ring_capacity=65536 reader_attached=0 instance=",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(rig.stat("ring_used") > 1010);
    let reader = rig.reader();
    assert_eq!(rig.stat("reader_attached"), 1);
    drop(reader);
    drop((sender, taken));
    rig.join();
}

#[test]
fn nonsense_is_answered_with_an_error_and_changes_nothing() {
    let (_listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    for request in ["feedpulse-wire/9 attach\n".to_owned(), "x".repeat(5000)] {
        let mut stream = UnixStream::connect(&rig.socket).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // The wire may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = [0; 36];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"feedpulse-wire/1 error unknown reque");
    }
    reader.until("Listening");
    rig.join();
}

#[test]
fn only_a_stale_socket_is_replaced() {
    let (_listener, at) = receiver();
    let folder = tempfile::TempDir::new().unwrap();
    let own = folder.path().join("made/by/the/wire");
    let socket = own.join("socket");
    let start = || {
        let listener = ListenerConfig::new("adt", loopback(), &at.to_string());
        let mut config = WireConfig::new(socket.clone(), vec![listener]);
        config.ring_bytes = 64 << 10;
        config.drain = Duration::from_secs(1);
        let ready = |_: &[_]| {
            let mode = fs::metadata(&socket).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        };
        run_until(config, ready, std::future::ready(()))
    };
    start().unwrap();
    fs::write(&socket, "a file").unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, WireError::Handover(HandoverError::NotASocket(_))), "{error}");
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, WireError::Handover(HandoverError::InUse(_))), "{error}");
    drop(other);
    assert!(socket.exists(), "it is stale now");
    start().unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, WireError::Handover(HandoverError::Folder(_))), "{error}");
}
