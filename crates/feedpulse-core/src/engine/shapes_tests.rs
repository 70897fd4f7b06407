//! What is new, what is gone, and what is neither.

use super::{KNOWN_MAX, LEAST, STRETCH, Said, Vocabulary};
use crate::codes::Severity;
use crate::shape::{Part, ShapeKey, ShapeSeen};
use crate::time::Timestamp;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

fn part(text: &str) -> Part {
    Part::parse(text).expect(text)
}

/// A stream of messages a minute apart.
struct Stream {
    of: Vocabulary,
    second: i64,
    sent: u64,
}

impl Stream {
    fn new() -> Self {
        Self { of: Vocabulary::default(), second: 1_772_000_000, sent: 0 }
    }

    /// One message; each part for itself, so that it is found at once.
    fn send(&mut self, parts: &[&str]) -> Vec<Said> {
        let mut parts: Vec<Part> = parts.iter().map(|text| part(text)).collect();
        parts.sort_unstable();
        let parts = parts.into_iter().map(|part| (part, 1)).collect();
        let seen = ShapeSeen { key: ShapeKey::default(), messages: 1, parts };
        self.second += MINUTE;
        self.sent += 1;
        self.of.take(Timestamp::from_secs(self.second), &seen)
    }

    /// Learns for so many days; nothing is said.
    fn learn(&mut self, days: i64, parts: impl Fn(u64) -> Vec<&'static str>) {
        for _ in 0..days * DAY / MINUTE {
            let said = self.send(&parts(self.sent));
            assert_eq!(said, [], "message {}", self.sent);
        }
    }
}

fn usual(_: u64) -> Vec<&'static str> {
    vec!["MSH", "PID", "PID-3", "OBX", "OBX-11 = F", "charset ASCII"]
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut parts = usual(0);
    parts.extend(more);
    parts
}

#[test]
fn what_an_upgrade_brings_is_told_once_and_a_segment_without_its_fields() {
    let mut stream = Stream::new();
    stream.learn(8, usual);
    let mut said = Vec::new();
    for n in 0..600 {
        let news = stream.send(&with(&["ZPD", "ZPD-1", "ZPD-2", "PID-40"]));
        assert!(n >= i64::from(LEAST) - 1 || news.is_empty(), "{n} messages are too few");
        said.extend(news.into_iter().map(|news| (n, news)));
    }
    let told: Vec<Part> = said
        .iter()
        .map(|(at, said)| match said {
            Said::New(part, _, Severity::Ticket) if *at <= 12 => *part,
            other => panic!("{at}: {other:?}"),
        })
        .collect();
    assert_eq!(told, [part("PID-40"), part("ZPD")]);
}

#[test]
fn before_a_week_nothing_is_told_but_how_messages_are_read() {
    let mut stream = Stream::new();
    stream.learn(5, usual);
    for _ in 0..2_000 {
        assert_eq!(stream.send(&with(&["ZPD"])), []);
    }
    let mut other = usual(0);
    other.retain(|part| !part.starts_with("charset"));
    other.push("charset UNICODE UTF-8");
    let said: Vec<Vec<Said>> = (0..4).map(|_| stream.send(&other)).collect();
    assert_eq!(said.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1, 0], "the third says it");
}

#[test]
fn an_optional_segment_is_a_note_at_most() {
    // One in five hundred from the first day is no news at all; one that comes later is a note.
    let rare = |n: u64| if n.is_multiple_of(500) { with(&["ZPD"]) } else { usual(n) };
    Stream::new().learn(30, rare);
    for every in [500, 20] {
        let mut stream = Stream::new();
        stream.learn(8, usual);
        let mut said = Vec::new();
        for n in 0..20_000 {
            said.extend(stream.send(&with(if n % every == 0 { &["ZPD"] } else { &[] })));
        }
        let note = |said: &Said| matches!(said, Said::New(_, _, Severity::Note));
        assert_eq!((said.len(), said.iter().all(note)), (1, true), "1 in {every}");
    }
    // Ten messages about one patient, within minutes.
    let mut stream = Stream::new();
    stream.learn(8, usual);
    let mut said: Vec<Said> = (0..8).flat_map(|_| stream.send(&with(&["ZPD"]))).collect();
    (0..5_000).for_each(|_| said.extend(stream.send(&usual(0))));
    assert_eq!(said, []);
}

#[test]
fn what_nearly_all_had_and_few_have_is_gone_until_it_is_back() {
    let mut stream = Stream::new();
    stream.learn(8, usual);
    let without = ["MSH", "PID", "OBX", "OBX-11 = F", "charset ASCII"];
    let mut said: Vec<Said> = (0..80).flat_map(|_| stream.send(&without)).collect();
    assert!(matches!(said[..], [Said::Gone(gone, _)] if gone == part("PID-3")), "{said:?}");
    said = (0..80).flat_map(|_| stream.send(&usual(0))).collect();
    assert_eq!(said, [Said::Back(part("PID-3"))]);
    // A segment takes its fields along, and its codes are told apart.
    said = (0..80).flat_map(|_| stream.send(&["MSH", "OBX", "charset ASCII"])).collect();
    let gone: Vec<Part> = said
        .iter()
        .map(|said| match said {
            Said::Gone(part, _) => *part,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(gone, [part("PID"), part("OBX-11 = F")]);
}

#[test]
fn it_is_gone_wherever_in_a_stretch_it_went_and_not_after_one_odd_stretch() {
    let without = ["MSH", "PID", "OBX", "OBX-11 = F", "charset ASCII"];
    for shift in 0..40 {
        let mut stream = Stream::new();
        stream.learn(8, usual);
        (0..shift).for_each(|_| assert_eq!(stream.send(&usual(0)), []));
        let said: Vec<Said> = (0..80).flat_map(|_| stream.send(&without)).collect();
        assert!(matches!(said[..], [Said::Gone(..)]), "{shift}: {said:?}");
    }
    let mut stream = Stream::new();
    stream.learn(8, |n| if n % 64 < 10 { without.to_vec() } else { usual(n) });
    let said: Vec<Said> = (0..80).flat_map(|_| stream.send(&without)).collect();
    assert_eq!(said, [], "a third of some stretches never had it");
}

#[test]
fn what_nights_lack_is_not_gone_at_night() {
    let night = |n: u64| n % 1_440 >= 1_200;
    let by_hour = |n: u64| if night(n) { vec!["MSH", "PID"] } else { usual(n) };
    let mut stream = Stream::new();
    stream.learn(30, by_hour);
}

#[test]
fn a_vocabulary_is_bounded_and_keeps_what_is_in_most_messages() {
    let mut stream = Stream::new();
    let names: Vec<String> = (0..=255_u32)
        .flat_map(|n| {
            let (a, b) = (b'A' + (n / 26) as u8, b'A' + (n % 26) as u8);
            (a <= b'Z').then(|| format!("Z{}{}", char::from(a), char::from(b)))
        })
        .collect();
    for n in 0..3_000 {
        let optional = names[n % names.len()].as_str();
        stream.send(&with(&[optional]));
        let of = &stream.of;
        assert!(of.known.len() <= KNOWN_MAX && of.fresh.len() <= super::FRESH_MAX);
    }
    assert!(stream.of.stretches > 3_000 / STRETCH.0 / 2);
    for text in usual(0) {
        assert!(stream.of.known.iter().any(|known| known.part() == part(text)), "{text}");
    }
}
