//! The framer: any cut, any junk, any gap.

use crate::MAX_MESSAGE;
use crate::mllp::{Ending, FrameEvent, Framer, Looks};

/// Events as text that can be compared; frames with their bytes.
fn note(event: FrameEvent<'_>, into: &mut Vec<String>) {
    into.push(match event {
        FrameEvent::Frame { bytes, start, ending: Ending::Proper } => {
            format!("{start}:{}", String::from_utf8_lossy(bytes))
        }
        FrameEvent::Frame { bytes, start, ending } => {
            format!("{start}:{}:{ending:?}", String::from_utf8_lossy(bytes))
        }
        other => format!("{other:?}"),
    });
}

fn run(pieces: &[(u64, &[u8])]) -> (Vec<String>, Framer) {
    let (mut framer, mut events) = (Framer::new(), Vec::new());
    for (offset, bytes) in pieces {
        framer.feed(*offset, bytes, &mut |event| note(event, &mut events));
    }
    (events, framer)
}

const STREAM: &[u8] =
    b"\x0bone\x1c\r\0\r\n\x0btwo\x1c\x0bthree\x0bfour\x1c\r\x0b\x06\x1c\rjunk\x0b\x0bfi\x1cve\x1c\r\x0bsix\x1c\n";

fn expected() -> Vec<String> {
    [
        "0:one",
        "9:two\u{1c}:NoReturn",
        "14:three\u{b}:Overlap",
        "20:four",
        "TransportAck(06 at 27)",
        "Junk(4 bytes at 31)",
        "Junk(1 bytes at 35)",
        "36:fi\u{1c}ve",
        "44:six\u{1c}:NoReturn",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn awkward_stream_whole() {
    let (events, framer) = run(&[(0, STREAM)]);
    assert_eq!(events, expected());
    assert_eq!(framer.open_since(), None);
    assert_eq!(framer.done(), STREAM.len() as u64);
}

#[test]
fn any_cut_gives_the_same_frames() {
    // Junk is told per feed, so a cut inside it gives two pieces: compare without it.
    let frames = |events: Vec<String>| -> Vec<String> {
        events.into_iter().filter(|event| !event.starts_with("Junk(")).collect()
    };
    for cut in 0..=STREAM.len() {
        let (head, tail) = STREAM.split_at(cut);
        let (events, _) = run(&[(0, head), (cut as u64, tail)]);
        assert_eq!(frames(events), frames(expected()), "cut at {cut}");
    }
    let bytes: Vec<(u64, &[u8])> =
        STREAM.chunks(1).enumerate().map(|(at, byte)| (at as u64, byte)).collect();
    assert_eq!(frames(run(&bytes).0), frames(expected()));
}

#[test]
fn bytes_seen_before_are_passed_over() {
    let (events, framer) = run(&[(0, b"\x0bab"), (1, b"abc\x1c\r"), (2, b"b")]);
    assert_eq!(events, ["0:abc"]);
    assert_eq!(framer.next_offset(), 6);
}

#[test]
fn a_gap_ends_the_open_frame_and_reading_goes_on() {
    let (events, framer) = run(&[(0, b"\x0babc"), (10, b"def\x1c\r\x0bnew\x1c\r\x0bo")]);
    assert_eq!(events, ["Gap(6 bytes at 4, Some((0, 3)))", "15:new"]);
    assert_eq!(framer.open_since(), Some(21));
    assert_eq!(framer.done(), 21);
    let (events, _) = run(&[(0, b"\x0ba\x1c\r"), (9, b"x\x0bb\x1c\r")]);
    assert_eq!(events, ["0:a", "Gap(5 bytes at 4, None)", "10:b"]);
    let (events, _) = run(&[(9, b"rest\x1c"), (14, b"\r\x0bb\x1c\r")]);
    assert_eq!(events, ["Gap(9 bytes at 0, None)", "Tail(to 15)", "15:b"]);
}

#[test]
fn resumes_in_the_middle() {
    let mut events = Vec::new();
    let mut framer = Framer::resume(100, true);
    framer.feed(90, b"0123456789\x0bok\x1c\r", &mut |event| note(event, &mut events));
    let mut framer = Framer::resume(100, false);
    framer.feed(100, b"rest\x1c\r\x0bok\x1c\r", &mut |event| note(event, &mut events));
    assert_eq!(events, ["100:ok", "Tail(to 106)", "106:ok"]);
}

#[test]
fn a_frame_over_the_limit_is_named_once_and_skipped() {
    let chunk = vec![b'x'; 1 << 20];
    let (mut framer, mut events) = (Framer::new(), Vec::new());
    framer.feed(0, b"\x0b", &mut |event| note(event, &mut events));
    let mut at = 1;
    while at < MAX_MESSAGE as u64 + (3 << 20) {
        framer.feed(at, &chunk, &mut |event| note(event, &mut events));
        at += chunk.len() as u64;
    }
    assert_eq!(framer.open_since(), Some(0));
    framer.feed(at, b"\x1c\r\x0bok\x1c\r", &mut |event| note(event, &mut events));
    assert_eq!(events, ["TooLarge(at 0)".to_owned(), format!("{}:ok", at + 2)]);
    assert_eq!(framer.open_len(), 0);
}

#[test]
fn tells_what_is_not_mllp() {
    for (bytes, looks) in [
        (&b"\x0bMSH"[..], Looks::Mllp),
        (b"\r\n\0\x0bMSH", Looks::Mllp),
        (b"\x16\x03\x01\x02\x00\x01", Looks::Tls),
        (b"GET / HTTP/1.1\r\n", Looks::Http),
        (b"MSH|^~\\&|", Looks::Unframed),
        (b"SSH-2.0-something", Looks::Other),
        (b"\r\n", Looks::Unknown),
        (b"x", Looks::Unknown),
    ] {
        assert_eq!(run(&[(0, bytes)]).1.looks_like_mllp(), looks, "{bytes:?}");
        let single: Vec<(u64, &[u8])> =
            bytes.chunks(1).enumerate().map(|(at, byte)| (at as u64, byte)).collect();
        assert_eq!(run(&single).1.looks_like_mllp(), looks, "{bytes:?} byte by byte");
    }
}

#[test]
fn shows_no_bytes() {
    let (_, framer) = run(&[(0, b"\x0bSECRET")]);
    assert_eq!(format!("{framer:?}"), "Framer(next 7, 6 bytes held)");
    let event = FrameEvent::Frame { bytes: b"SECRET", start: 0, ending: Ending::Proper };
    assert!(!format!("{event:?}").contains("SECRET"));
}
