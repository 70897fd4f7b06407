//! The ring alone: what goes in comes out, what does not is counted, and nothing is believed.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::Dice;
use crate::ring::{Batch, Handle, MIN_CAPACITY, Position, Reader, RingError, Seek, Wait, Writer};
use crate::{Direction, Event, MAX_PAYLOAD, Payload, Record, RefusedBy, Side, Unreachable};

const HEADER: u64 = 64 << 10;

fn data(connection: u64, bytes: &[u8]) -> Record<'_> {
    let event = Event::Data { direction: Direction::ToSender, offset: 5, bytes: Payload(bytes) };
    Record { listener: 3, connection, at_us: -connection.cast_signed(), event }
}

fn ring() -> (Writer, Reader) {
    let mut writer = Writer::new(MIN_CAPACITY).unwrap();
    let reader = Reader::open(writer.hand_over().unwrap()).unwrap();
    (writer, reader)
}

/// Reads all, and says which connections the records were about.
fn connections(reader: &mut Reader) -> Vec<u64> {
    let mut batch = Batch::new();
    reader.read(&mut batch, usize::MAX).unwrap();
    batch.records().map(|(_, record)| record.connection).collect()
}

#[test]
fn every_kind_comes_out_as_it_went_in() {
    let v4 = "192.0.2.7:2575".parse().unwrap();
    let v6 = "[fe80::1%7]:65535".parse().unwrap();
    let mut events = vec![
        Event::Opened { peer: v4, upstream: v6 },
        Event::Data { direction: Direction::ToReceiver, offset: u64::MAX, bytes: Payload(b"abc") },
        Event::Data { direction: Direction::ToSender, offset: 0, bytes: Payload(b"") },
        Event::HalfClosed { direction: Direction::ToSender, offset: 9 },
        Event::Closed,
        Event::Unreachable { peer: v6, why: Unreachable::Timeout },
        Event::Unreachable { peer: v4, why: Unreachable::NoRoute },
        Event::Unreachable { peer: v4, why: Unreachable::NoName },
        Event::Unreachable { peer: v4, why: Unreachable::Other(-13) },
        Event::Idle { for_us: 300_000_000 },
        Event::Shed { from_us: -4, to_us: i64::MAX, records: 3, bytes: 4 },
        Event::Alive { open: 1, to_receiver: 2, to_sender: 3 },
        Event::Listening { on: v6 },
        Event::ListenFailed { on: v4, errno: 98 },
        Event::ListenerClosed { on: v4 },
    ];
    events.extend([Side::Sender, Side::Receiver, Side::Wire].map(|by| Event::Reset { by }));
    events.extend([Side::Sender, Side::Receiver].map(|side| Event::TimedOut { side }));
    events.extend([Side::Sender, Side::Receiver].map(|side| Event::HalfOpen { side, for_us: 7 }));
    let by = [RefusedBy::Receiver, RefusedBy::ConnectionLimit, RefusedBy::FileLimit];
    events.extend(by.map(|by| Event::Refused { peer: v4, by }));
    let (mut writer, mut reader) = ring();
    let records: Vec<_> = (0..)
        .zip(events)
        .map(|(at_us, event)| Record { listener: u16::MAX, connection: u64::MAX, at_us, event })
        .collect();
    for record in &records {
        assert!(writer.offer(record));
    }
    let mut batch = Batch::new();
    assert_eq!(reader.read(&mut batch, usize::MAX).unwrap(), records.len());
    assert!(batch.records().map(|(_, record)| record).eq(records));
}

#[test]
fn message_bytes_are_not_shown() {
    let record = data(1, b"PID|1||MRN");
    let shown = format!("{record:?}");
    assert!(shown.contains("<10 bytes>") && !shown.contains("MRN") && !shown.contains("80, 73"));
    let (mut writer, mut reader) = ring();
    assert!(writer.offer(&record));
    let mut batch = Batch::new();
    reader.read(&mut batch, usize::MAX).unwrap();
    assert_eq!(format!("{batch:?}"), "Batch(1 records, 48 bytes)");
}

#[test]
fn a_record_may_lie_across_the_end_at_every_word_of_it() {
    let payload = Dice(7).bytes(203);
    let words = (32 + payload.len()).div_ceil(8);
    for before_end in 0..=words {
        let (mut writer, mut reader) = ring();
        let mut left = MIN_CAPACITY - 8 * before_end;
        while left > 0 {
            // A filler never leaves less than the head of the next one.
            let size = if left > 4096 + 32 { 4096 } else { left };
            assert!(writer.offer(&data(1, &vec![0xEE; size - 32])));
            assert_eq!(connections(&mut reader), [1]);
            reader.release(reader.position().cursor).unwrap();
            left -= size;
        }
        assert!(writer.offer(&data(2, &payload)));
        assert!(writer.offer(&data(3, b"after")));
        let mut batch = Batch::new();
        reader.read(&mut batch, usize::MAX).unwrap();
        let records: Vec<_> = batch.records().map(|(_, record)| record).collect();
        assert_eq!(records, [data(2, &payload), data(3, b"after")], "{before_end} words before");
    }
}

#[test]
fn whatever_the_pace_each_record_is_read_or_counted_as_shed() {
    for seed in 1..=20 {
        let mut dice = Dice(seed);
        let (mut writer, mut reader) = ring();
        let (mut offered, mut read, mut shed, mut shed_bytes) = (0_u64, 0, 0, 0);
        let mut model = VecDeque::new();
        let mut check = |reader: &mut Reader, model: &mut VecDeque<_>, max| {
            let mut batch = Batch::new();
            reader.read(&mut batch, max).unwrap();
            for (cursor, record) in batch.records() {
                if let Event::Shed { records, bytes, from_us, to_us } = record.event {
                    shed += records;
                    shed_bytes += bytes;
                    assert!(from_us <= to_us && records > 0, "seed {seed}");
                } else {
                    let expected: (u64, Vec<u8>) = model.pop_front().unwrap();
                    assert_eq!(record, Record { at_us: 9, ..data(expected.0, &expected.1) });
                    read += 1;
                }
                reader.release(cursor).unwrap();
            }
        };
        for connection in 0..3000 {
            let longest = if dice.below(10) == 0 { MAX_PAYLOAD } else { 900 };
            let size = dice.below(longest + 1);
            let bytes = dice.bytes(size);
            offered += 1;
            if writer.offer(&Record { at_us: 9, ..data(connection, &bytes) }) {
                model.push_back((connection, bytes));
            }
            if dice.below(60) == 0 {
                check(&mut reader, &mut model, dice.below(2 * MIN_CAPACITY));
            }
        }
        check(&mut reader, &mut model, usize::MAX);
        // The last gap is told when the next record goes in.
        offered += 1;
        assert!(writer.offer(&Record { at_us: 9, ..data(7, b"end") }));
        model.push_back((7, b"end".to_vec()));
        check(&mut reader, &mut model, usize::MAX);
        assert!(shed > 0 && read > 0, "seed {seed} tests nothing");
        assert_eq!(read + shed, offered, "seed {seed}");
        assert_eq!(writer.shed(), (shed, shed_bytes), "seed {seed}");
        assert_eq!(reader.shed(), (shed, shed_bytes), "seed {seed}");
        assert!(model.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_full_ring_still_has_room_for_what_happens_to_connections() {
    let (mut writer, mut reader) = ring();
    let mut fitted = 0;
    while writer.offer(&data(1, &[0; 992])) {
        fitted += 1;
    }
    assert_eq!(fitted, (MIN_CAPACITY - MIN_CAPACITY / 16) / 1024);
    let closed = Record { event: Event::Closed, ..data(2, b"") };
    assert!(writer.offer(&closed));
    assert!(!writer.offer(&data(3, b"x")));
    let last = connections(&mut reader).split_off(fitted);
    assert_eq!(last, [0, 2], "the gap is told before what came after it");
    assert_eq!(writer.usage().0, fitted as u64 * 1024 + 64 + 32);
}

#[test]
fn what_was_not_released_comes_again_and_what_was_does_not() {
    let (mut writer, mut first) = ring();
    for connection in 1..=6 {
        assert!(writer.offer(&data(connection, b"bytes")));
    }
    let mut batch = Batch::new();
    first.read(&mut batch, usize::MAX).unwrap();
    let cursors: Vec<_> = batch.records().map(|(cursor, _)| cursor).collect();
    first.release(cursors[1]).unwrap();
    drop(first);
    let mut second = Reader::open(writer.hand_over().unwrap()).unwrap();
    assert_eq!(connections(&mut second), [3, 4, 5, 6]);
    // The log behind the position was durable, but its release was not published in time.
    let mut third = Reader::open(writer.hand_over().unwrap()).unwrap();
    let instance = writer.instance();
    let seek = third.seek(Position { instance, cursor: cursors[3] }).unwrap();
    assert_eq!(seek, Seek::Resumed { skipped: cursors[3] - cursors[1] });
    assert_eq!(connections(&mut third), [5, 6]);
    let other = Position { instance: instance ^ 1, cursor: cursors[3] };
    assert_eq!(third.seek(other).unwrap(), Seek::OtherInstance);
    assert_eq!(connections(&mut third), [3, 4, 5, 6]);
    for cursor in [cursors[0], cursors[5] + 8, cursors[3] + 1] {
        assert_eq!(third.seek(Position { instance, cursor }).unwrap(), Seek::OutOfRange);
    }
    assert!(matches!(third.release(cursors[5]), Err(RingError::NotRead(_))));
    assert!(matches!(second.release(cursors[5]), Err(RingError::TakenOver)));
    assert!(matches!(second.read(&mut batch, 1), Err(RingError::TakenOver)));
}

#[test]
fn the_writer_signals_only_who_waits() {
    let (mut writer, mut reader) = ring();
    assert_eq!(reader.wait(Duration::ZERO).unwrap(), Wait::TimedOut);
    assert!(writer.offer(&data(1, b"")));
    let handle = writer.hand_over().unwrap();
    let signal = |handle: &Handle| rustix::io::read(&handle.wake, &mut [0; 8]).is_ok();
    assert!(!signal(&handle), "nobody waits");
    reader = Reader::open(handle).unwrap();
    assert!(reader.arm().unwrap(), "there is something to read at once");
    assert_eq!(connections(&mut reader), [1]);
    assert!(!reader.arm().unwrap());
    for connection in 2..=4 {
        assert!(writer.offer(&data(connection, b"")));
    }
    let mut counter = [0; 8];
    rustix::io::read(&reader, &mut counter).unwrap();
    assert_eq!(u64::from_ne_bytes(counter), 1, "one signal for three records");
    assert_eq!(connections(&mut reader), [2, 3, 4]);
}

#[test]
fn a_waiting_reader_misses_nothing_over_many_waits() {
    const RECORDS: u64 = 20_000;
    let (mut writer, mut reader) = ring();
    let reading = std::thread::spawn(move || {
        let mut expected = 1;
        while expected <= RECORDS {
            assert_eq!(reader.wait(super::LIMIT).unwrap(), Wait::Ready);
            for connection in connections(&mut reader) {
                assert_eq!(connection, expected);
                expected += 1;
            }
            reader.release(reader.position().cursor).unwrap();
        }
    });
    for connection in 1..=RECORDS {
        // The ring holds more than a thousand of these; when it fills up, the reader gets time.
        while writer.usage().0 > 32 << 10 {
            assert!(!reading.is_finished(), "the reader gave up");
            std::thread::yield_now();
        }
        assert!(writer.offer(&data(connection, &[1; 5])));
    }
    reading.join().unwrap();
}

fn poke(memory: &OwnedFd, offset: u64, value: u64) {
    rustix::io::pwrite(memory, &value.to_ne_bytes(), offset).unwrap();
}

#[test]
fn a_corrupt_header_is_an_error() {
    let cases = [
        (0, 1, "magic"),
        (1, 99, "version"),
        (4, 12_345, "capacity"),
        (4, 1 << 40, "capacity"),
        (4, 1 << 30, "map the ring's data"),
        (8, 1 << 40, "further ahead"),
        (8, 4, "not at a word"),
        (16, 8, "behind"),
        (16, u64::MAX - 7, "behind"),
    ];
    for (word, value, text) in cases {
        let mut writer = Writer::new(MIN_CAPACITY).unwrap();
        let handle = writer.hand_over().unwrap();
        poke(&handle.memory, 8 * word, value);
        let error = Reader::open(handle).unwrap_err().to_string();
        assert!(error.contains(text), "word {word}: {error}");
    }
    let mut writer = Writer::new(MIN_CAPACITY).unwrap();
    let handle = writer.hand_over().unwrap();
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let memory = rustix::fs::memfd_create("unsealed", flags).unwrap();
    rustix::fs::ftruncate(&memory, 1 << 20).unwrap();
    assert!(Reader::open(Handle { memory, ..handle }).is_err(), "it could shrink while mapped");
}

#[test]
fn a_reader_that_writes_nonsense_cannot_mislead_the_writer() {
    let (mut writer, _reader) = ring();
    assert!(writer.offer(&data(1, &[0; 100])));
    let used = writer.usage();
    let handle = writer.hand_over().unwrap();
    for cursor in [u64::MAX, 1 << 40, 4] {
        poke(&handle.memory, 8 * 16, cursor);
        assert_eq!(writer.usage(), used);
    }
    while writer.offer(&data(2, &[0; 100])) {}
    let mut reader = Reader::open(writer.hand_over().unwrap()).unwrap();
    assert_eq!(connections(&mut reader)[..2], [1, 2]);
}

#[test]
fn corrupt_records_are_errors_and_never_more_than_that() {
    let mut faults = 0;
    for seed in 1..=3000 {
        let mut dice = Dice(seed);
        let (mut writer, reader) = ring();
        drop(reader);
        let peer = "[::1]:1".parse().unwrap();
        for event in [Event::Opened { peer, upstream: peer }, Event::Reset { by: Side::Wire }] {
            assert!(writer.offer(&Record { event, ..data(1, b"") }));
        }
        assert!(writer.offer(&data(2, &[0; 40])));
        let handle = writer.hand_over().unwrap();
        let at = HEADER + dice.below(writer.usage().0 as usize) as u64;
        rustix::io::pwrite(&handle.memory, &[dice.roll() as u8], at).unwrap();
        let mut reader = Reader::open(handle).unwrap();
        let mut batch = Batch::new();
        if let Err(error) = reader.read(&mut batch, usize::MAX) {
            faults += 1;
            assert!(matches!(error, RingError::Corrupt { .. }), "seed {seed}: {error}");
            let newest = reader.newest().unwrap();
            assert!(matches!(reader.seek(newest).unwrap(), Seek::Resumed { .. }));
            assert!(writer.offer(&data(9, b"after")));
            assert_eq!(connections(&mut reader), [9], "seed {seed}");
        }
        assert_eq!(batch.records().count(), batch.len());
    }
    assert!(faults > 300, "only {faults} of the changes mattered");
}

#[test]
fn impossible_capacities_are_refused() {
    for capacity in [0, 1000, 32 << 10, (64 << 10) + 8, 2 << 30] {
        assert!(matches!(Writer::new(capacity), Err(RingError::Capacity(_))), "{capacity}");
    }
}
