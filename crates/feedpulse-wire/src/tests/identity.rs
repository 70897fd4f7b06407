//! Byte identity over many messages with everything that happens to connections: random cuts, pauses,
//! half-closes, resets; short in each run, and as long as one likes on command:
//! `FEEDPULSE_MESSAGES=10000000 cargo test --release -p feedpulse-wire identity -- --ignored --nocapture`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Dice, Rig, patient, read_all, receiver, reset};

/// Connections at a time.
const SENDERS: u64 = 8;

/// How a connection ends; its number goes to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The sender ends its direction, and reads to the end of the other one.
    SenderFirst = 0,
    /// The receiver ends its direction at once, and reads on.
    ReceiverFirst = 1,
    /// The sender resets it, with bytes on their way.
    Reset = 2,
}

/// What a receiver read of one connection: hash, length, and whether it ended by a reset.
type Taken = (u64, u64, bool);

/// A message of a random length, mostly the usual one of some 700 bytes.
fn message(dice: &mut Dice, text: &mut Vec<u8>) {
    text.clear();
    text.push(0x0B);
    let size = match dice.below(50) {
        0 => dice.below(60_000),
        1 => 0,
        _ => 400 + dice.below(600),
    };
    while text.len() <= size {
        text.extend(dice.roll().to_le_bytes());
    }
    text.truncate(size + 1);
    text.extend([0x1C, 0x0D]);
}

/// Answers of 8 bytes each: a stream that both ends know.
fn answers(number: u64, count: u64) -> Vec<u8> {
    let mut dice = Dice(number | 1 << 40);
    (0..count).flat_map(|_| dice.roll().to_le_bytes()).collect()
}

/// The hash of the first bytes of a connection, made anew.
fn hash_of(number: u64, most: usize, length: u64) -> u64 {
    let (mut dice, mut hash, mut text, mut left) =
        (Dice(number | 1 << 60), DefaultHasher::new(), Vec::new(), length);
    for _ in 0..=dice.below(most) {
        message(&mut dice, &mut text);
        let part = left.min(text.len() as u64);
        hash.write(&text[..part as usize]);
        left -= part;
    }
    assert_eq!(left, 0, "connection {number}: more arrived than was sent");
    hash.finish()
}

/// Takes one connection: reads to its end in random cuts, and answers for each 4 KiB.
fn serve(mut stream: TcpStream) -> Option<(u64, Taken)> {
    let mut hello = [0; 9];
    stream.read_exact(&mut hello).ok()?;
    let number = u64::from_le_bytes(hello[..8].try_into().unwrap());
    let answering = hello[8] == Ending::SenderFirst as u8;
    if hello[8] == Ending::ReceiverFirst as u8 {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut dice = Dice(number | 1 << 50);
    let (mut hash, mut length, mut answered) = (DefaultHasher::new(), 0_u64, 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let size = 1 + dice.below(buffer.len());
        if dice.below(2000) == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        match stream.read(&mut buffer[..size]) {
            Ok(0) => break,
            Ok(count) => {
                hash.write(&buffer[..count]);
                length += count as u64;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "connection {number}");
                return Some((number, (hash.finish(), length, true)));
            }
        }
        let due = length / 4096;
        if due > answered && answering {
            stream.write_all(&answers(number, due)[answered as usize * 8..]).unwrap();
            answered = due;
        }
    }
    Some((number, (hash.finish(), length, false)))
}

/// One connection from the sender's side: messages, bytes.
fn send(to: SocketAddr, number: u64, ending: Ending, most: usize) -> (u64, u64) {
    let mut stream = patient(TcpStream::connect(to).unwrap());
    stream.write_all(&[&number.to_le_bytes()[..], &[ending as u8]].concat()).unwrap();
    let mut reading = stream.try_clone().unwrap();
    let reads = std::thread::spawn(move || read_all(&mut reading));
    let (mut dice, mut cuts) = (Dice(number | 1 << 60), Dice(number | 1 << 55));
    let (mut length, mut text) = (0, Vec::new());
    let messages = 1 + dice.below(most);
    for _ in 0..messages {
        message(&mut dice, &mut text);
        length += text.len() as u64;
        let mut rest = &text[..];
        // Mostly whole, as senders write; else cut anywhere.
        while !rest.is_empty() {
            let cut = if cuts.below(4) > 0 { rest.len() } else { 1 + cuts.below(rest.len()) };
            let (piece, left) = rest.split_at(cut);
            stream.write_all(piece).unwrap();
            rest = left;
        }
        if cuts.below(5000) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if ending == Ending::Reset {
        stream.shutdown(Shutdown::Read).unwrap();
        reads.join().unwrap();
        reset(stream);
        return (messages as u64, length);
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let due = if ending == Ending::SenderFirst { length / 4096 } else { 0 };
    let back = reads.join().unwrap();
    assert!(back == (answers(number, due), false), "connection {number}: other answers");
    (messages as u64, length)
}

/// Sends so many messages over connections that end in all ways, and compares both ends of each.
fn run(rig: &Rig, listener: &TcpListener, wanted: u64, most: usize) -> String {
    let arrived = Mutex::new(HashMap::new());
    let sent = Mutex::new(HashMap::new());
    let (messages, next) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            std::thread::scope(|inner| {
                loop {
                    let stream = patient(listener.accept().unwrap().0);
                    // Who says nothing and ends is the sign that all is over.
                    if stream.peek(&mut [0]).is_ok_and(|count| count == 0) {
                        break;
                    }
                    inner.spawn(|| {
                        let read = serve(stream);
                        arrived.lock().unwrap().extend(read);
                    });
                }
            });
        });
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                scope.spawn(|| {
                    while messages.load(Ordering::Relaxed) < wanted {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let ending = match number % 8 {
                            3 => Ending::ReceiverFirst,
                            5 => Ending::Reset,
                            _ => Ending::SenderFirst,
                        };
                        let (count, length) = send(rig.at, number, ending, most);
                        messages.fetch_add(count, Ordering::Relaxed);
                        sent.lock().unwrap().insert(number, (length, ending));
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|one| one.join().unwrap());
        drop(rig.sender());
        receiving.join().unwrap();
    });
    let (arrived, sent) = (arrived.into_inner().unwrap(), sent.into_inner().unwrap());
    let (mut bytes, mut resets) = (0, 0);
    for (number, (length, ending)) in &sent {
        let Some((hash, count, was_reset)) = arrived.get(number).copied() else {
            // A reset may overtake even the first bytes.
            assert_eq!(*ending, Ending::Reset, "connection {number} did not arrive");
            continue;
        };
        assert_eq!(was_reset, *ending == Ending::Reset, "connection {number} ended otherwise");
        assert!(was_reset || count == *length, "connection {number}: {count} of {length} bytes");
        assert_eq!(hash, hash_of(*number, most, count), "connection {number}: other bytes");
        bytes += count;
        resets += u64::from(was_reset);
    }
    let messages = messages.into_inner();
    format!(
        "{messages} messages, {bytes} bytes, {} connections ({resets} reset): 0 bytes differ",
        sent.len()
    )
}

#[test]
fn whatever_happens_to_connections_no_byte_differs() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    run(&rig, &listener, 4000, 200);
    rig.join();
    // And the same when nothing may be held.
    let rig = Rig::with(at, |config| config.buffer_bytes = 0);
    run(&rig, &listener, 2000, 200);
    rig.join();
}

#[test]
#[ignore = "long: see the module's text"]
fn many_messages() {
    let wanted = std::env::var("FEEDPULSE_MESSAGES").map_or(10_000_000, |n| n.parse().unwrap());
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    println!("{}", run(&rig, &listener, wanted, 4000));
    println!("{}", crate::stats(&rig.socket).unwrap());
    rig.join();
}
