//! Limits: of connections, and of what is held; and a peer that stops reading.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{Dice, Rig, accept, pair, read_all, receiver, reset};

/// Writes until nobody takes more; how many bytes that were.
fn fill(stream: &mut TcpStream, dice: &mut Dice) -> Vec<u8> {
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

/// Small and fixed buffers, so that what is taken can be compared.
fn small(stream: &TcpStream) {
    SockRef::from(stream).set_send_buffer_size(64 << 10).unwrap();
}

#[test]
fn without_room_to_hold_anything_no_byte_differs_and_nothing_is_held() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| config.buffer_bytes = 0);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    let (mut up, mut down) = (Dice(1), Dice(2));
    let sent = fill(&mut sender, &mut up);
    let back = fill(&mut taken, &mut down);
    assert_eq!((rig.stat("held"), rig.stat("held_most")), (0, 0));
    assert_eq!(rig.stat("to_receiver_in"), rig.stat("to_receiver_out"));
    let mut arrived = vec![0; sent.len()];
    taken.read_exact(&mut arrived).unwrap();
    assert!(arrived == sent);
    drop(taken.shutdown(std::net::Shutdown::Write));
    assert!(read_all(&mut sender) == (back, false));
    drop((sender, taken));
    reader.until("1: Closed");
    // And a reset overtakes what waits.
    let (mut sender, mut taken) = pair(&rig, &listener);
    let sent = fill(&mut sender, &mut up);
    reset(sender);
    reader.until("2: Reset { by: Sender }");
    let (bytes, was_reset) = read_all(&mut taken);
    assert!(was_reset && sent.starts_with(&bytes));
    rig.join();
}

#[test]
fn what_all_hold_together_never_passes_the_limit() {
    let (listener, at) = receiver();
    let limit = 160 << 10;
    let rig = Rig::with(at, |config| config.buffer_bytes = limit);
    let mut pairs: Vec<_> = (0..6).map(|_| pair(&rig, &listener)).collect();
    let mut dice = Dice(9);
    let sent: Vec<_> = pairs.iter_mut().map(|(sender, _)| fill(sender, &mut dice)).collect();
    let most = rig.stat("held_most");
    assert!(most > 0 && most <= limit, "{most} held");
    for ((sender, mut taken), sent) in pairs.into_iter().zip(sent) {
        drop(sender);
        assert!(read_all(&mut taken) == (sent, false));
    }
    assert_eq!(rig.stat("held"), 0);
    rig.join();
}

#[test]
fn a_receiver_that_stops_reading_stalls_the_sender_as_without_a_wire() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let stalled_after = |to: SocketAddr, listener: &TcpListener| {
        let mut sender = super::patient(TcpStream::connect(to).unwrap());
        small(&sender);
        let taken = accept(listener);
        let count = fill(&mut sender, &mut Dice(4)).len();
        drop((sender, taken));
        count
    };
    let direct = stalled_after(at, &listener);
    let through = stalled_after(rig.at, &listener);
    // Two more socket buffers on the way, and at most 64 KiB of ours: the same order.
    let sockets: usize = 12 << 20;
    assert!(through >= direct / 2, "{through} through the wire, {direct} without");
    assert!(through <= 4 * direct + sockets, "{through} through the wire, {direct} without");
    assert!(rig.stat("held_most") <= 64 << 10);
    rig.join();
}

#[test]
fn all_listeners_together_have_a_limit_too() {
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| config.max_connections = 2);
    let mut reader = rig.reader();
    let first = pair(&rig, &listener);
    let second = pair(&rig, &listener);
    for id in 3..=5 {
        let mut one_more = rig.sender();
        assert_eq!(read_all(&mut one_more), (Vec::new(), true));
        reader.until(&format!("{id}: Refused"));
    }
    assert!(reader.events.iter().filter(|e| e.contains("by: ConnectionLimit")).count() == 3);
    assert_eq!((rig.stat("refused_limit"), rig.stat("connections_open")), (3, 2));
    drop(first);
    reader.until("1: Closed");
    let (mut sender, mut taken) = pair(&rig, &listener);
    sender.write_all(b"in").unwrap();
    taken.read_exact(&mut [0; 2]).unwrap();
    drop(second);
    rig.join();
}
