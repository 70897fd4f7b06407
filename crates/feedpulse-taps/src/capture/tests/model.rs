//! Reassembly against a model that is too simple to be wrong: one flag for each byte of the stream.
//! Streams are cut anywhere, reordered, doubled, lost, cut by a snap length, acknowledged, given up, and
//! wrap around; a seed says how.

use super::super::half::{Half, Piece};
use super::order::Random;

/// One direction as the model has it.
struct Model {
    /// Which bytes were captured, beyond `next`.
    have: Vec<bool>,
    next: usize,
    acked: usize,
}

impl Model {
    fn drain(&mut self, out: &mut Vec<(usize, usize)>) {
        let start = self.next;
        while self.have.get(self.next) == Some(&true) {
            self.next += 1;
        }
        if self.next > start {
            out.push((start, self.next));
        }
    }

    /// The first captured byte behind what is missing.
    fn held(&self) -> Option<usize> {
        (self.next..self.have.len()).find(|at| self.have[*at])
    }

    fn take(&mut self, start: usize, kept: usize, length: usize, out: &mut Vec<(usize, usize)>) {
        let end = start + length;
        if end <= self.next {
            return;
        }
        let from = start.max(self.next);
        for at in from..start + kept {
            self.have[at] = true;
        }
        self.drain(out);
        // The rest of a packet that was cut will not come, if that is what is missing next.
        let reached = start.max(from) + (start + kept).saturating_sub(from);
        if kept < length && self.next == reached {
            self.next = self.held().map_or(end, |held| end.min(held));
            self.drain(out);
        }
    }

    fn give_up(&mut self, out: &mut Vec<(usize, usize)>) {
        match self.held() {
            Some(held) => self.next = held,
            // A single byte may be a FIN that nobody captured.
            None if self.acked > self.next + 1 => self.next = self.acked,
            None => {}
        }
        self.drain(out);
    }
}

/// Pieces that touch are one.
fn joined(pieces: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    for &(start, end) in pieces {
        match all.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => all.push((start, end)),
        }
    }
    all
}

/// What came out of a direction: pieces as places in the stream, and bytes told as lost.
#[derive(Default)]
struct Out {
    pieces: Vec<(usize, usize)>,
    lost: u64,
}

impl Out {
    fn note(&mut self, piece: &Piece<'_>, stream: &[u8], seed: u64) {
        match *piece {
            Piece::Bytes(offset, bytes) => {
                let start = usize::try_from(offset).unwrap();
                assert_eq!(bytes, &stream[start..start + bytes.len()], "seed {seed} at {start}");
                self.pieces.push((start, start + bytes.len()));
            }
            Piece::Lost(bytes) => self.lost += bytes,
        }
    }
}

/// Segments of a stream in the order in which they are captured: (start, bytes kept, length).
fn segments(random: &mut Random, length: usize) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::new();
    let (lossy, snap) = (random.below(3) == 0, random.below(4) == 0);
    let mut at = 0;
    while at < length {
        let most = if random.below(4) == 0 { 700 } else { 60 };
        let size = (1 + random.below(most)).min(length - at);
        let mut put = |random: &mut Random, start: usize| {
            let size = at + size - start;
            let kept = if snap && random.below(6) == 0 { random.below(size + 1) } else { size };
            all.push((start, kept, size));
        };
        if !lossy || random.below(8) > 0 {
            put(random, at);
        }
        // Sent again, often from further back.
        if random.below(5) == 0 {
            let back = random.below(90).min(at);
            put(random, at - back);
        }
        at += size;
    }
    // Near ones change places; now and then one is very late.
    for place in (1..all.len()).rev() {
        let back = if random.below(20) == 0 { place } else { random.below(4).min(place) };
        if random.below(3) == 0 {
            all.swap(place, place - back);
        }
    }
    all
}

fn play(seed: u64) {
    let mut random = Random(seed);
    let length = 1 + random.below(3_000);
    let stream: Vec<u8> = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    // A third of the streams wraps around at 2^32, one in the middle of its sign.
    let first = match seed % 3 {
        0 => u32::MAX - u32::try_from(random.below(length)).unwrap(),
        1 => 0x7FFF_FFFF - u32::try_from(random.below(length)).unwrap(),
        _ => 1,
    };
    let seq = |offset: usize| first.wrapping_add(u32::try_from(offset).unwrap());
    let mut half = Half::default();
    half.begin(first, 0);
    let mut model = Model { have: vec![false; length], next: 0, acked: 0 };
    let (mut out, mut expected) = (Out::default(), Vec::new());
    for (start, kept, size) in segments(&mut random, length) {
        let bytes = &stream[start..start + kept];
        half.take(seq(start), bytes, size, &mut |piece| out.note(&piece, &stream, seed));
        model.take(start, kept, size, &mut expected);
        if random.below(10) == 0 {
            let acked = (start + random.below(size + 1)).min(length);
            half.acknowledged(seq(acked), 0);
            model.acked = model.acked.max(acked);
        }
        if random.below(25) == 0 {
            half.give_up(&mut |piece| out.note(&piece, &stream, seed));
            model.give_up(&mut expected);
        }
        assert_eq!(half.next(), model.next as u64, "seed {seed}");
        let held = model.have[model.next..].iter().filter(|have| **have).count();
        assert_eq!(half.held_bytes(), held, "seed {seed}");
    }
    half.finish(&mut |piece| out.note(&piece, &stream, seed));
    while model.held().is_some() {
        model.give_up(&mut expected);
    }
    assert_eq!(joined(&out.pieces), joined(&expected), "seed {seed}");
    // What was handed out and what was told as lost is all that there is, up to where it stands.
    let handed: usize = out.pieces.iter().map(|(start, end)| end - start).sum();
    assert_eq!(handed as u64 + out.lost, half.next(), "seed {seed}");
}

#[test]
fn reassembly_does_what_the_model_does() {
    for seed in 0..3_000 {
        play(seed);
    }
}
