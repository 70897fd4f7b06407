//! Established connections: the same bytes, the same ends, whatever the analyser does.

use std::hash::{DefaultHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{Dice, Rig, accept, pair, read_all, receiver, reset};
use crate::Direction::{ToReceiver, ToSender};

/// Writes messages of random lengths in random cuts; the hash of all that was written.
fn write_cut(stream: &mut TcpStream, seed: u64, messages: usize) -> (u64, u64) {
    let mut dice = Dice(seed);
    let mut hash = DefaultHasher::new();
    let mut total = 0;
    for _ in 0..messages {
        let mut message = vec![0x0B];
        let size = dice.below(3000);
        message.extend(dice.bytes(size));
        message.extend([0x1C, 0x0D]);
        let mut rest = &message[..];
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(1 + dice.below(rest.len()));
            stream.write_all(piece).unwrap();
            rest = left;
        }
        hash.write(&message);
        total += message.len() as u64;
    }
    stream.shutdown(Shutdown::Write).unwrap();
    (hash.finish(), total)
}

/// Reads in random cuts to the end; the hash of all that was read.
fn read_cut(stream: &mut TcpStream, seed: u64) -> (u64, u64) {
    let mut dice = Dice(seed);
    let mut bytes = Vec::new();
    let mut buffer = [0; 5000];
    loop {
        let size = 1 + dice.below(buffer.len());
        match stream.read(&mut buffer[..size]).unwrap() {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    let mut hash = DefaultHasher::new();
    // Written in the same pieces as the sender hashed: DefaultHasher takes a stream of bytes.
    hash.write(&bytes);
    (hash.finish(), bytes.len() as u64)
}

/// Sends both ways at once over one connection, and compares; the bytes in all.
fn exchange(rig: &Rig, listener: &std::net::TcpListener, seed: u64, messages: usize) -> u64 {
    let (sender, taken) = pair(rig, listener);
    let halves = [(sender, seed), (taken, seed + 1)].map(|(stream, seed)| {
        let (mut reading, mut writing) = (stream.try_clone().unwrap(), stream);
        let written = std::thread::spawn(move || write_cut(&mut writing, seed, messages));
        let read = std::thread::spawn(move || read_cut(&mut reading, seed + 2));
        (written, read)
    });
    let [(up, back), (down, there)] = halves;
    let (up, down) = (up.join().unwrap(), down.join().unwrap());
    assert_eq!(there.join().unwrap(), up, "to the receiver, seed {seed}");
    assert_eq!(back.join().unwrap(), down, "to the sender, seed {seed}");
    up.1 + down.1
}

#[test]
fn bytes_are_the_same_without_a_reader() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| config.ring_bytes = 64 << 10);
    let sent: u64 = (0..4).map(|round| exchange(&rig, &listener, 100 + 10 * round, 500)).sum();
    assert_eq!(rig.stat("to_receiver_out") + rig.stat("to_sender_out"), sent);
    assert!(rig.stat("shed_bytes") > 0);
    rig.join();
}

#[test]
fn a_stalled_reader_changes_no_byte_and_what_it_missed_is_counted() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| config.ring_bytes = 64 << 10);
    let mut reader = rig.reader();
    reader.until("Listening");
    // From here on it reads nothing until all is over.
    let sent = exchange(&rig, &listener, 5, 500) + exchange(&rig, &listener, 6, 500);
    reader.until("2: Closed");
    // The next thing that goes in tells of the last gap.
    drop(pair(&rig, &listener));
    reader.until("3: Opened");
    reader.until("3: ");
    let read: u64 = reader.data.values().map(|bytes| bytes.len() as u64).sum();
    let unknown = rig.stat("shed_bytes");
    assert!(unknown > 0 && reader.shed_bytes == unknown, "{} told", reader.shed_bytes);
    assert_eq!(read - reader.missing + unknown, sent);
    assert_eq!(reader.reader.shed().1, unknown);
    rig.join();
}

#[test]
fn a_reader_that_keeps_up_sees_every_byte_once() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut first = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    let mut dice = Dice(77);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for round in 0..300 {
        let size = 1 + dice.below(40_000);
        let message = dice.bytes(size);
        let (from, to, all) = if round % 2 == 0 {
            (&mut sender, &mut taken, &mut up)
        } else {
            (&mut taken, &mut sender, &mut down)
        };
        let mut arrived = vec![0; message.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| from.write_all(&message).unwrap());
            to.read_exact(&mut arrived).unwrap();
        });
        assert!(arrived == message, "round {round}");
        all.extend(message);
        if round % 50 == 49 {
            // Dies without a word; what it saw and released stays seen.
            let seen = (std::mem::take(&mut first.data), std::mem::take(&mut first.events));
            drop(first);
            first = rig.reader();
            (first.data, first.events) = seen;
        }
        if round % 7 == 0 {
            first.step();
        }
    }
    drop(sender);
    drop(taken);
    first.until("1: Closed");
    assert!(first.bytes(1, ToReceiver) == up && first.bytes(1, ToSender) == down);
    assert_eq!((first.missing, rig.stat("shed_records")), (0, 0));
    rig.join();
}

#[test]
fn either_side_may_end_first_and_the_other_goes_on() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    for sender_first in [true, false] {
        let (sender, taken) = pair(&rig, &listener);
        let (mut one, mut two) = if sender_first { (sender, taken) } else { (taken, sender) };
        one.write_all(b"last").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut two), (b"last".to_vec(), false));
        two.write_all(b"still here").unwrap();
        two.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut one), (b"still here".to_vec(), false));
    }
    reader.until("2: Closed");
    let expected = [
        "1: HalfClosed { direction: ToReceiver, offset: 4 }",
        "1: HalfClosed { direction: ToSender, offset: 10 }",
        "1: Closed",
        "2: HalfClosed { direction: ToSender, offset: 4 }",
        "2: HalfClosed { direction: ToReceiver, offset: 10 }",
        "2: Closed",
    ];
    reader.events.retain(|event| !event.contains("Listening") && !event.contains("Opened"));
    // The end of connection 1 and the start of connection 2 may meet; each has its own order.
    reader.events.sort_by_key(|event| event.starts_with('2'));
    assert_eq!(reader.events, expected);
    rig.join();
}

#[test]
fn a_reset_in_the_middle_is_passed_on_after_the_bytes_before_it() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    for (id, sender_resets) in [(1, true), (2, false)] {
        let (sender, taken) = pair(&rig, &listener);
        let (mut one, mut two) = if sender_resets { (sender, taken) } else { (taken, sender) };
        one.write_all(b"\x0bMSH|^~").unwrap();
        let mut start = [0; 7];
        two.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"\x0bMSH|^~");
        reset(one);
        assert_eq!(read_all(&mut two), (Vec::new(), true), "connection {id}");
        let side = if sender_resets { "Sender" } else { "Receiver" };
        reader.until(&format!("{id}: Reset {{ by: {side} }}"));
    }
    rig.join();
}

#[test]
fn a_reset_after_a_half_close_is_passed_on() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    let (sender, mut taken) = pair(&rig, &listener);
    sender.shutdown(Shutdown::Write).unwrap();
    assert_eq!(taken.read(&mut [0; 1]).unwrap(), 0);
    reset(sender);
    reader.until("1: Reset { by: Sender }");
    // The end had been passed on before, so the reset shows when the receiver uses the socket.
    let write = loop {
        if let Err(error) = taken.write_all(&[0; 1024]) {
            break error.kind();
        }
    };
    assert!(matches!(write, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{write}");
    rig.join();
}

/// Writes until neither the receiver nor anything on the way takes more.
fn fill(stream: &mut TcpStream) -> Vec<u8> {
    let mut dice = Dice(3);
    let mut sent = Vec::new();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    loop {
        let piece = dice.bytes(65_536);
        match stream.write(&piece) {
            Ok(count) => sent.extend_from_slice(&piece[..count]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return sent;
            }
        }
    }
}

#[test]
fn a_receiver_that_does_not_read_holds_up_the_sender_and_loses_nothing() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let (mut sender, mut taken) = pair(&rig, &listener);
    let sent = fill(&mut sender);
    let held = rig.stat("to_receiver_in") - rig.stat("to_receiver_out");
    assert!(held <= 64 << 10, "the wire holds {held} bytes");
    drop(sender);
    assert!(read_all(&mut taken) == (sent, false));
    drop(taken);
    rig.join();
}

#[test]
fn a_reset_is_passed_on_to_a_receiver_that_does_not_read() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    let sent = fill(&mut sender);
    reset(sender);
    reader.until("1: Reset { by: Sender }");
    let (bytes, was_reset) = read_all(&mut taken);
    assert!(was_reset && sent.starts_with(&bytes));
    rig.join();
}

#[test]
fn what_a_receiver_said_before_it_broke_reaches_the_sender() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    // Closing with unread bytes makes the kernel reset instead of ending in order.
    sender.write_all(b"unread").unwrap();
    taken.set_nonblocking(false).unwrap();
    let mut peeked = [0; 6];
    while taken.peek(&mut peeked).unwrap() < 6 {}
    taken.write_all(b"last words").unwrap();
    let mut words = [0; 10];
    sender.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"last words");
    drop(taken);
    assert_eq!(read_all(&mut sender), (Vec::new(), true));
    reader.until("1: Reset { by: Receiver }");
    rig.join();
}

#[test]
fn last_words_arrive_even_when_the_break_is_noticed_by_a_write() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    for round in 0..300 {
        let (mut sender, mut taken) = pair(&rig, &listener);
        sender.write_all(b"unread").unwrap();
        while taken.peek(&mut [0; 6]).unwrap() < 6 {}
        let mut writing = sender.try_clone().unwrap();
        let pressing = std::thread::spawn(move || while writing.write_all(b"more").is_ok() {});
        taken.write_all(b"last words").unwrap();
        drop(taken);
        // Whether the read or the write is told of the reset is the kernel's to choose.
        assert_eq!(read_all(&mut sender).0, b"last words", "round {round}");
        pressing.join().unwrap();
    }
    rig.join();
}

#[test]
fn the_receiver_may_speak_first_and_ipv6_works() {
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let rig = Rig::with(listener.local_addr().unwrap(), |config| {
        config.listeners[0].listen = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    });
    let mut reader = rig.reader();
    assert!(rig.at.is_ipv6());
    let mut sender = rig.sender();
    let mut taken = accept(&listener);
    taken.write_all(b"220 not even HL7\r\n\0").unwrap();
    let mut greeting = [0; 19];
    sender.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 not even HL7\r\n\0");
    drop((sender, taken));
    reader.until("1: Closed");
    assert_eq!(reader.bytes(1, ToSender), greeting);
    let opened = reader.until("1: Opened");
    assert!(opened.contains(&listener.local_addr().unwrap().to_string()), "{opened}");
    rig.join();
}

#[test]
fn one_listener_takes_both_families_and_every_address_of_a_name_is_tried() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| {
        config.listeners[0].listen = SocketAddr::from(([0; 16], 0));
        // Both ::1 and 127.0.0.1 on most systems; only the latter listens.
        config.listeners[0].forward = format!("localhost:{}", at.port());
    });
    let mut reader = rig.reader();
    for (id, ip) in [(1, "127.0.0.1"), (2, "::1")] {
        let to = SocketAddr::new(ip.parse().unwrap(), rig.at.port());
        let mut sender = super::patient(TcpStream::connect(to).unwrap());
        let mut taken = accept(&listener);
        sender.write_all(b"x").unwrap();
        taken.read_exact(&mut [0]).unwrap();
        let opened = reader.until(&format!("{id}: Opened"));
        let peer = format!("peer: {}, upstream: {at}", sender.local_addr().unwrap());
        assert!(opened.contains(&peer), "{opened}");
    }
    rig.join();
}

#[test]
fn an_idle_connection_is_told_once_and_left_alone() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| {
        config.listeners[0].idle_after = Duration::from_millis(20);
    });
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    reader.until("1: Idle { for_us: ");
    sender.write_all(b"after a while").unwrap();
    taken.read_exact(&mut [0; 13]).unwrap();
    drop((sender, taken));
    // A second connection proves that idle times pass meanwhile.
    let second = pair(&rig, &listener);
    reader.until("2: Idle");
    drop(second);
    reader.until("2: Closed");
    assert_eq!(reader.events.iter().filter(|event| event.starts_with("1: Idle")).count(), 1);
    rig.join();
}

#[test]
fn at_the_end_open_connections_go_on_until_the_drain_time_is_over() {
    let (listener, at) = receiver();
    let mut rig = Rig::new(at);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    reader.until("1: Opened");
    rig.stop();
    reader.until("ListenerClosed");
    let refused = TcpStream::connect(rig.at).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    sender.write_all(b"in flight").unwrap();
    taken.read_exact(&mut [0; 9]).unwrap();
    drop((sender, taken));
    reader.until("1: Closed");
    rig.join();

    let mut rig = Rig::with(at, |config| config.drain = Duration::from_millis(1));
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    reader.until("1: Opened");
    rig.stop();
    reader.until("1: Reset { by: Wire }");
    assert!(read_all(&mut sender).1 && read_all(&mut taken).1);
    rig.join();
}
