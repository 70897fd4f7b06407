//! Captures that are edited packet by packet and replayed onto a veth pair: doubled, out of order, lost,
//! wrapped around, picked up in the middle. Which messages can be known is known exactly, since packets
//! change places within a turn of the talk only.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::capture_hosts::{Asleep, Tap, message};
use feedpulse_core::frame::Direction::{ToReceiver, ToSender};
use feedpulse_sim::{AckCode, Rng, frame, make_ack, read_header};
use feedpulse_tests::namespace::in_namespace;
use feedpulse_tests::packets::{Line, Packet, REPLAYED, Tcp};
use feedpulse_tests::parts::wait_until;
use feedpulse_tests::product::{PATIENCE, Product, Setup};

const PORT: u16 = 6_661;
const MESSAGES: u64 = 12;

/// A message and its answer, and what of them is in the edited capture.
struct Turn {
    message: Vec<u8>,
    answer: Vec<u8>,
    /// Whole.
    has_message: bool,
    has_answer: bool,
}

/// A connection, edited.
struct Talk {
    packets: Vec<Packet>,
    turns: Vec<Turn>,
}

/// What is done to a connection.
#[derive(Clone, Copy)]
struct Edits {
    lossy: bool,
    /// Its opening is not in the capture.
    picked_up: bool,
}

/// Bytes as segments that are doubled, out of order and lost; false when a byte is in none of them.
fn edit(rng: &mut Rng, mut segments: Vec<Packet>, lossy: bool) -> (Vec<Packet>, bool) {
    let copies: Vec<Packet> = segments.iter().filter(|_| rng.chance(0.15)).cloned().collect();
    let mut kept: Vec<Packet> = Vec::new();
    let mut whole = true;
    for segment in segments.drain(..) {
        let lost = lossy && rng.chance(0.03);
        whole &= !lost || copies.contains(&segment);
        if !lost {
            kept.push(segment);
        }
    }
    for copy in copies {
        kept.insert(rng.index(kept.len() + 1), copy);
    }
    for at in (1..kept.len()).rev() {
        let back = usize::try_from(rng.below(4)).unwrap().min(at);
        kept.swap(at, at - back);
    }
    (kept, whole)
}

/// All of some bytes, in segments of any size.
fn segments(rng: &mut Rng, tcp: &mut Tcp, from: usize, bytes: &[u8]) -> Vec<Packet> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let most = if rng.chance(0.2) { 20 } else { 1_400 };
        let (now, later) = rest.split_at((1 + rng.index(most)).min(rest.len()));
        all.push(tcp.packet(from, "A", now));
        rest = later;
    }
    all
}

fn talk(number: u16, rng: &mut Rng, edits: Edits) -> Talk {
    // Sequence numbers wrap in every other one.
    let low = |rng: &mut Rng| u32::try_from(rng.below(9_000)).unwrap();
    let seq = if number.is_multiple_of(2) { [low(rng), low(rng)] } else { [!low(rng), !low(rng)] };
    let mut tcp = Tcp::new(number, PORT, seq);
    let mut packets = tcp.open();
    if edits.picked_up {
        packets.clear();
    }
    let mut turns = Vec::new();
    for count in 0..MESSAGES {
        let length = 1 + rng.below(6_000);
        let message = message(&format!("E{number}N{count}"), length, rng);
        let header = read_header(&message).unwrap();
        let answer = make_ack(&header, AckCode::Aa, &format!("K{number}N{count}"), 0);
        // What is captured first of a connection that is picked up is where it begins.
        let is_first = edits.picked_up && count == 0;
        let lossy = edits.lossy && !is_first;
        let all = segments(rng, &mut tcp, 0, &frame(&message));
        let (data, has_message) = if is_first { (all, true) } else { edit(rng, all, lossy) };
        packets.extend(data);
        packets.push(tcp.packet(1, "A", b""));
        let (data, has_answer) = {
            let all = segments(rng, &mut tcp, 1, &frame(&answer));
            edit(rng, all, lossy)
        };
        packets.extend(data);
        packets.push(tcp.packet(0, "A", b""));
        // A late copy of something.
        if rng.chance(0.2) {
            let old = packets[rng.index(packets.len())].clone();
            packets.push(old);
        }
        turns.push(Turn { message, answer, has_message, has_answer });
    }
    packets.extend(tcp.close());
    Talk { packets, turns }
}

/// Replays all of them at once, each in its order.
fn replay(line: &Line, talks: &[Talk], rng: &mut Rng) {
    let mut at = vec![0; talks.len()];
    let mut open: Vec<usize> = (0..talks.len()).collect();
    while !open.is_empty() {
        let place = rng.index(open.len());
        let talk = open[place];
        for packet in talks[talk].packets[at[talk]..].iter().take(1 + rng.index(5)) {
            line.send(packet).unwrap();
            at[talk] += 1;
        }
        if at[talk] == talks[talk].packets.len() {
            open.swap_remove(place);
        }
    }
}

#[test]
fn what_can_be_known_is_known_and_the_rest_is_unknown() {
    const TEST: &str = "capture_edited::what_can_be_known_is_known_and_the_rest_is_unknown";
    in_namespace(TEST, &[], || {
        let line = Line::open().unwrap();
        let tap = Tap::on(&[REPLAYED], &[PORT]);
        let mut setup = Setup::new(Vec::new());
        setup.others.push("{name: engine-in, no_ack_after: 10s}".to_owned());
        setup.more = format!(
            "capture: {{interfaces: [{REPLAYED}], endpoints: [{{waypoint: engine-in, port: {PORT}}}]}}\n"
        );
        let mut product = Product::start(&setup);
        let mut rng = Rng::new(8);
        let talks: Vec<Talk> = (0..60)
            .map(|number| {
                let edits = Edits { lossy: number % 3 > 0, picked_up: number % 5 == 4 };
                talk(number, &mut rng, edits)
            })
            .collect();
        replay(&line, &talks, &mut rng);
        let turns: Vec<&Turn> = talks.iter().flat_map(|talk| &talk.turns).collect();
        let whole: Vec<&&Turn> = turns.iter().filter(|turn| turn.has_message).collect();
        let both = whole.iter().filter(|turn| turn.has_answer).count();
        assert!(turns.len() > whole.len() + 20 && whole.len() > both + 10, "there are losses");
        tap.wait(whole.len());
        let mut expected: Vec<Vec<u8>> = whole.iter().map(|turn| turn.message.clone()).collect();
        expected.sort();
        assert!(tap.frames(ToReceiver) == expected, "not the messages that are whole");
        // An answer to a message that was not seen is left out.
        let answered = whole.iter().filter(|turn| turn.has_answer);
        let mut expected: Vec<Vec<u8>> = answered.map(|turn| turn.answer.clone()).collect();
        expected.sort();
        assert!(tap.frames(ToSender) == expected, "not the answers that are whole");
        assert!(tap.number("feedpulse_capture_retransmits_total") > 100.0);
        let seen = whole.len();
        product.wait("all messages have ended", |product| {
            let totals = &product.status()?["totals"];
            (totals["seen"] == seen && totals["open"] == 0).then_some(())
        });
        let status = product.status().unwrap();
        let outcomes = &status["totals"]["outcomes"];
        assert_eq!(
            (&outcomes["accepted"], &outcomes["unknown"]),
            (&both.into(), &(seen - both).into())
        );
        assert_eq!(
            (&status["stray_acks"], &outcomes["no_ack"]),
            (&0.into(), &0.into()),
            "{status:#}"
        );
    });
}

/// More comes than the ring holds while the tap has no processor.
#[test]
fn what_the_kernel_drops_is_an_interval_that_nobody_saw() {
    const TEST: &str = "capture_edited::what_the_kernel_drops_is_an_interval_that_nobody_saw";
    in_namespace(TEST, &[], || {
        let line = Line::open().unwrap();
        let asleep = Asleep::open(&[REPLAYED], &[PORT], 512 << 10);
        let mut rng = Rng::new(9);
        let edits = Edits { lossy: false, picked_up: false };
        let mut talks: Vec<Talk> = (0..46).map(|number| talk(number, &mut rng, edits)).collect();
        let last = talks.split_off(45);
        replay(&line, &talks, &mut rng);
        let tap = asleep.wake();
        let dropped = || tap.number_or_none("feedpulse_capture_dropped_packets_total");
        let _ = wait_until(PATIENCE, || dropped().filter(|dropped| *dropped > 0.0));
        assert!(dropped() > Some(100.0), "{:?}", dropped());
        let before = tap.frames(ToReceiver);
        // What comes when it is awake, and fits into the ring, is seen whole.
        replay(&line, &last, &mut rng);
        let of = |talks: &[Talk]| -> Vec<Vec<u8>> {
            talks.iter().flat_map(|talk| &talk.turns).map(|turn| turn.message.clone()).collect()
        };
        let (sent, late) = (of(&talks), of(&last));
        tap.wait(before.len() + late.len());
        let seen = tap.frames(ToReceiver);
        assert!(late.iter().all(|message| seen.binary_search(message).is_ok()));
        assert!(seen.iter().all(|frame| sent.contains(frame) || late.contains(frame)));
        assert!(seen.len() < sent.len() + late.len(), "the ring was too small");
        assert!(tap.count("blind") > 0, "that is said");
    });
}
