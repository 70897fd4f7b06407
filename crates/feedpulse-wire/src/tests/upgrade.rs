//! One wire takes over from another: connections, listeners and the ring go on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Dice, LIMIT, Rig, accept, pair, patient, read_all, receiver};
use crate::Direction::{ToReceiver, ToSender};
use crate::{ListenerConfig, WireConfig, WireError, run_until};

impl Rig {
    /// Another wire takes this one's place, with the configuration changed as needed; this one ends.
    fn upgrade(&mut self, change: impl FnOnce(&mut WireConfig)) {
        self.upgrade_beside(change).join().unwrap().unwrap();
    }

    /// The same; the old one may take its time to end.
    pub(super) fn upgrade_beside(
        &mut self,
        change: impl FnOnce(&mut WireConfig),
    ) -> JoinHandle<Result<(), WireError>> {
        let (config, at) = self.successor(change);
        let (stop, stopped) = oneshot::channel();
        let (ready, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async {
                let _ = stopped.await;
            };
            run_until(config, |addresses| ready.send(addresses[0]).unwrap(), stopped)
        });
        assert_eq!(told.recv_timeout(LIMIT).unwrap(), at);
        // Not dropped, which would tell the old one to end.
        std::mem::forget(self.stop.replace(stop));
        assert!(self.socket.exists(), "the socket is the new one's");
        self.thread.replace(thread).unwrap()
    }

    fn successor(
        &self,
        change: impl FnOnce(&mut WireConfig),
    ) -> (WireConfig, std::net::SocketAddr) {
        let listener = ListenerConfig::new("adt", self.at, &self.forward.to_string());
        let mut config = WireConfig::new(self.socket.clone(), vec![listener]);
        config.drain = LIMIT;
        config.take_over = true;
        change(&mut config);
        (config, self.at)
    }
}

#[test]
fn open_connections_go_on_and_the_reader_sees_one_stream() {
    let (listener, at) = receiver();
    let mut rig = Rig::new(at);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    let (half, mut half_taken) = pair(&rig, &listener);
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(half_taken.read(&mut [0]).unwrap(), 0);
    for round in 0..5 {
        sender.write_all(b"\x0bMSH|before").unwrap();
        taken.read_exact(&mut [0; 11]).unwrap();
        rig.upgrade(|_| {});
        taken.write_all(b"\x0bMSA|after").unwrap();
        sender.read_exact(&mut [0; 10]).unwrap();
        let seen = (std::mem::take(&mut reader.data), std::mem::take(&mut reader.events));
        let instance = reader.reader.position().instance;
        drop(reader);
        reader = rig.reader();
        assert_eq!(reader.reader.position().instance, instance, "round {round}");
        (reader.data, reader.events) = seen;
    }
    half_taken.write_all(b"bye").unwrap();
    drop(half_taken);
    let mut half = half;
    assert_eq!(read_all(&mut half), (b"bye".to_vec(), false));
    reader.until("2: Closed");
    drop((sender, taken));
    reader.until("1: Closed");
    assert_eq!(reader.bytes(1, ToReceiver), b"\x0bMSH|before".repeat(5));
    assert_eq!(reader.bytes(1, ToSender), b"\x0bMSA|after".repeat(5));
    assert_eq!(reader.missing, 0);
    let cut = reader.events.iter().any(|event| event.contains("Reset"));
    assert!(!cut, "{:?}", reader.events);
    assert_eq!((rig.stat("connections_total"), rig.stat("connections_open")), (2, 0));
    rig.join();
}

#[test]
fn what_is_held_and_what_still_waits_is_not_lost() {
    let (listener, at) = receiver();
    let mut rig = Rig::new(at);
    let (mut sender, mut taken) = pair(&rig, &listener);
    sender.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let (mut dice, mut sent) = (Dice(11), Vec::new());
    loop {
        let piece = dice.bytes(65_536);
        let Ok(count) = sender.write(&piece) else { break };
        sent.extend_from_slice(&piece[..count]);
    }
    let held = rig.stat("held");
    assert!(held > 0, "nothing to move");
    rig.upgrade(|_| {});
    assert_eq!(rig.stat("held"), held);
    drop(sender);
    assert!(read_all(&mut taken) == (sent, false));
    drop(taken);
    rig.join();
}

#[test]
fn under_load_nobody_is_refused_and_no_byte_differs() {
    let (listener, at) = receiver();
    let mut rig = Rig::new(at);
    let over = Arc::new(AtomicBool::new(false));
    let echo = {
        let over = over.clone();
        std::thread::spawn(move || {
            let mut served = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if over.load(Ordering::Acquire) {
                    break;
                }
                served.push(std::thread::spawn(move || echo(patient(stream))));
            }
            served.into_iter().for_each(|one| one.join().unwrap());
        })
    };
    let to = rig.at;
    let senders: Vec<_> = (1..=4)
        .map(|seed| {
            let over = over.clone();
            std::thread::spawn(move || {
                let (mut dice, mut exchanged) = (Dice(seed), 0);
                while !over.load(Ordering::Acquire) {
                    // A new connection each few messages: refused ones would show.
                    let mut stream = patient(TcpStream::connect(to).unwrap());
                    for _ in 0..20 {
                        let size = 1 + dice.below(9000);
                        let message = dice.bytes(size);
                        stream.write_all(&message).unwrap();
                        let mut answer = vec![0; size];
                        stream.read_exact(&mut answer).unwrap();
                        assert!(answer == message);
                        exchanged += 1;
                    }
                    stream.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(read_all(&mut stream), (Vec::new(), false));
                }
                exchanged
            })
        })
        .collect();
    for _ in 0..20 {
        let before = rig.stat("to_sender_out");
        rig.upgrade(|_| {});
        while rig.stat("to_sender_out") < before + 50_000 {
            std::thread::yield_now();
        }
    }
    over.store(true, Ordering::Release);
    let exchanged: u64 = senders.into_iter().map(|one| one.join().unwrap()).sum();
    assert!(exchanged > 100);
    drop(TcpStream::connect(at));
    echo.join().unwrap();
    assert_eq!((rig.stat("refused"), rig.stat("unreachable")), (0, 0));
    rig.join();
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return,
            count => stream.write_all(&buffer[..count]).unwrap(),
        }
    }
}

#[test]
fn a_successor_that_fails_leaves_everything_as_it_was() {
    let (listener, at) = receiver();
    let rig = Rig::new(at);
    let mut reader = rig.reader();
    let (mut sender, mut taken) = pair(&rig, &listener);
    reader.until("1: Opened");
    // Another name in its place; and a client that asks, and hangs up in the middle.
    let (config, _) = rig.successor(|config| config.listeners[0].name = "oru".to_owned());
    let error = run_until(config, |_| {}, std::future::pending()).unwrap_err().to_string();
    assert!(error.contains("\"adt\" where this one has \"oru\""), "{error}");
    let mut broken = UnixStream::connect(&rig.socket).unwrap();
    broken.write_all(crate::upgrade::UPGRADE.as_bytes()).unwrap();
    broken.read_exact(&mut [0; 5]).unwrap();
    drop(broken);
    // An address that is taken: it must not be lost by those who have it.
    let (config, _) = rig.successor(|config| {
        config.listeners.push(ListenerConfig::new("more", at, "127.0.0.1:1"));
    });
    assert!(run_until(config, |_| {}, std::future::pending()).is_err());
    sender.write_all(b"still").unwrap();
    taken.read_exact(&mut [0; 5]).unwrap();
    let (other, other_taken) = pair(&rig, &listener);
    drop((other, other_taken, sender, taken));
    reader.until("1: Closed");
    reader.until("2: Closed");
    assert!(!reader.events.iter().any(|event| event.contains("Reset")), "{:?}", reader.events);
    rig.join();
}

#[test]
fn limits_and_receivers_may_differ_and_listeners_be_added() {
    let (listener, at) = receiver();
    let (new_listener, new_at) = receiver();
    let mut rig = Rig::new(at);
    let (mut old, mut old_taken) = pair(&rig, &listener);
    rig.upgrade(|config| {
        config.listeners[0].forward = new_at.to_string();
        config.ring_bytes = 1 << 20;
        let more = ListenerConfig::new("oru", super::loopback(), &new_at.to_string());
        config.listeners.push(more);
    });
    // Connections stay with their receiver; new ones go to the new one.
    old.write_all(b"old").unwrap();
    old_taken.read_exact(&mut [0; 3]).unwrap();
    let mut new = rig.sender();
    let mut new_taken = accept(&new_listener);
    new.write_all(b"new").unwrap();
    new_taken.read_exact(&mut [0; 3]).unwrap();
    // The ring has another size, so it is another one, and numbers go on.
    let mut reader = rig.reader();
    drop((new, new_taken, old, old_taken));
    reader.until("2: Closed");
    reader.until("1: Closed");
    assert_eq!(rig.stat("ring_capacity"), 1 << 20);
    rig.join();
}
