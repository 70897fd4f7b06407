//! Seeded mutants: whatever the bytes, nothing panics and every sum agrees.

use super::{ADT, config, frame};
use crate::decode::{Decoder, KeyRule};
use crate::inspect::Inspector;
use crate::mllp::Framer;
use crate::rows::{RowMeta, RowSpec};
use crate::split::split_file;
use feedpulse_core::sighting::Seen;

/// SplitMix64 (public domain algorithm): the same mutants on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ z >> 31) % below as u64).unwrap()
    }
}

const SEEDS: [&str; 5] = [
    ADT,
    "MSH|^~\\&#|A|B|C|D|20240101120000.1-05:00||ORU^R01|9|P|2.8||||||8859/1~ASCII\rORC|RE|P^1|F\rOBR|1|P|F||S\rTQ1|1||||||||S\rOBX|1|NM|K||a\\S\\b\\X41\\~c|||H~HH|||C\r",
    "\x0bMSH|^~\\&|A|B|C|D|2024||ACK|2|P|2.5\rMSA|AE|1|x\rERR|PID^1^3^101&m|1|204^x|E|5\r\x1c\r",
    "FHS|^~\\&|A\rBHS|^~\\&|A\rMSH|^~\\&|A|B|C|D|2024||MDM^T02|2|P|2.5\rTXA|1|||||||||||D^1\rBTS|1\rFTS|1\r",
    "\u{feff}MSH|^~\\&|A|B|C|D|2024||SIU^S12|2|P|2.5\nSCH|1^A|2^B\nMSH|^~\\&|A|B|C|D|2024||ADT^A40|3|P|2.5\r\nMRG|1\n",
];
const TOKENS: [&[u8]; 16] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\x0b",
    b"\x1c\r",
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b"MSH|^~\\&|",
    b"BTS|9",
    b"\0",
    b"\xe9",
    "日".as_bytes(),
    b"\\X",
];

fn mutate(random: &mut Random) -> Vec<u8> {
    let mut bytes = SEEDS[random.next(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=random.next(4) {
        let at = random.next(bytes.len() + 1);
        match random.next(5) {
            0 => drop(bytes.drain(at..(at + random.next(40)).min(bytes.len()))),
            1 => {
                let token = TOKENS[random.next(TOKENS.len())];
                drop(bytes.splice(at..at, token.iter().copied()));
            }
            2 if at < bytes.len() => bytes[at] = u8::try_from(random.next(256)).unwrap(),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + random.next(60)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
    bytes
}

#[test]
fn mutants_break_nothing() {
    let mut preset = config();
    preset.key_rule = KeyRule::Preset;
    let (mut decoder, mut inspector) = (Decoder::new(preset), Inspector::new(config()));
    let fields = ["MSH-9", "MSH-2", "PID-3.1", "OBX-5[*]", "OBX-8[2].1.1", "@key", "PID-5"];
    let mut spec = RowSpec::new(&fields).unwrap();
    let mut random = Random(20_240_311);
    let (mut seen, mut entries, mut row) = (Vec::new(), Vec::new(), String::new());
    for number in 0..80_000 {
        let bytes = mutate(&mut random);
        seen.clear();
        entries.clear();
        let mut framer = Framer::new();
        let cut = random.next(bytes.len() + 1);
        framer.feed(0, &bytes[..cut], &mut |_| {});
        framer.feed(cut as u64, &bytes[cut..], &mut |_| {});
        assert_eq!(framer.next_offset(), bytes.len() as u64);
        let decoded = decoder.decode_with(&frame(&bytes), &mut seen, &mut |message, _| {
            row.clear();
            spec.join(message, &RowMeta::default(), &mut row);
            assert_eq!(row.matches('\u{1F}').count(), fields.len() - 1, "mutant {number}");
        });
        seen.retain(|sighting| !matches!(sighting.what, Seen::Batch(_)));
        let sum = decoded.messages + decoded.acks + decoded.unreadable;
        assert_eq!(sum as usize, seen.len(), "mutant {number}");
        assert!(sum + decoded.batches > 0, "mutant {number}");
        for sighting in &seen {
            if let Seen::Unreadable(why) = &sighting.what {
                let within = why.defects.iter().all(|d| d.offset as usize <= bytes.len());
                assert!(!why.defects.is_empty() && within, "mutant {number}");
            }
        }
        inspector.inspect(&bytes, &mut entries);
        assert_eq!(entries.len(), seen.len(), "mutant {number}");
        let mut at = 0;
        for piece in split_file(&bytes) {
            assert!(at <= piece.start && piece.start <= piece.end && piece.end <= piece.next);
            at = piece.next;
        }
    }
}
