//! Puts made-up text in the place of a value: same length, same kinds of characters, readable.

use crate::text::Charset;
use encoding_rs::UTF_8;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// Most tries for a replacement that nothing else has.
const TRIES: u64 = 32;
/// Longer texts are not compared with what was made of them.
const MAX_COMPARED: usize = 4096;

const CONSONANTS: &[u8; 16] = b"bdfgklmnprstvwzh";
const VOWELS: &[u8; 5] = b"aeiou";
/// Letters beyond ASCII by their script: the first and last of the script, and what takes the place
/// of one of them; in every character set that has the script at all.
const SCRIPTS: [(char, char, &str); 9] = [
    ('À', 'Þ', "ÉËÄÖÜ"),
    ('ß', 'ɏ', "éëäöü"),
    ('Ͱ', 'Ͽ', "αεηιο"),
    ('Ѐ', 'ԯ', "абвгд"),
    ('א', 'ת', "אבגדה"),
    ('ء', 'ي', "ابتدر"),
    ('ぁ', 'ヿ', "アイウエオ"),
    ('一', '鿿', "山川田中木"),
    ('가', '힣', "가나다라마"),
];

/// What the second byte of a letter in UTF-8 becomes when it is read as Latin-1 and encoded again, and
/// those of five letters.
const TWICE: std::ops::RangeInclusive<char> = '\u{80}'..='\u{bf}';
const AGAIN: [char; 5] = ['©', '«', '¤', '¶', '¼'];

/// Numbers that only the key and the value decide.
struct Numbers(u64);

impl Numbers {
    fn of(key: &[u8; 16], value: &[u8], attempt: u64) -> Self {
        let mut hasher = SipHasher24::new_with_key(key);
        hasher.write(value);
        hasher.write_u64(attempt);
        Self(hasher.finish())
    }

    /// From 0 to `n` - 1, `n` at most 256: splitmix64.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::from((z ^ (z >> 31)).to_le_bytes()[7]) * n / 256
    }
}

/// A made-up value for `text`; `taken` says which ones must not be used again.
pub(super) fn text(key: &[u8; 16], text: &str, taken: impl Fn(&str) -> bool) -> String {
    // one name in capitals and in small letters stays one name
    let lower = text.to_lowercase();
    let mut out = String::new();
    for attempt in 0..TRIES {
        out.clear();
        let mut numbers = Numbers::of(key, lower.as_bytes(), attempt);
        let mut run = Run::default();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if matches!(c, 'Â' | 'Ã') && chars.next_if(|next| TWICE.contains(next)).is_some() {
                // a letter that was encoded twice stays one, for who looks for such damage
                run.letters += 1;
                out.push('Ã');
                out.push(AGAIN[numbers.below(AGAIN.len())]);
            } else {
                out.push(run.next(c, &mut numbers));
            }
        }
        if out != text && !taken(&out) && !shares(&out.to_lowercase(), &lower) {
            break;
        }
    }
    out
}

/// Whether two texts have a word or a number in common that could tell of somebody: by chance some
/// digits come back.
fn shares(made: &str, text: &str) -> bool {
    let words = |text| str::split(text, |c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3);
    text.len() <= MAX_COMPARED && words(made).any(|word| words(text).any(|other| word == other))
}

/// Where in a word or number we are.
#[derive(Default)]
struct Run {
    letters: usize,
    number: bool,
}

impl Run {
    /// The character that takes the place of `c`.
    fn next(&mut self, c: char, numbers: &mut Numbers) -> char {
        if let Some(digit) = c.to_digit(10) {
            self.letters = 0;
            // zeros in front stay: they are the form of the number, not the number
            if digit == 0 && !self.number {
                return '0';
            }
            let low = usize::from(!std::mem::replace(&mut self.number, true));
            return char::from(b'0' + low_byte(low + numbers.below(10 - low)));
        }
        self.number = false;
        if !c.is_alphanumeric() {
            self.letters = 0;
            return c;
        }
        self.letters += 1;
        if !c.is_ascii() {
            let script = SCRIPTS.iter().find(|(first, last, _)| (*first..=*last).contains(&c));
            return script
                .map_or('x', |(_, _, by)| by.chars().nth(numbers.below(5)).unwrap_or('x'));
        }
        let letter = if self.letters % 2 == 1 {
            CONSONANTS[numbers.below(CONSONANTS.len())]
        } else {
            VOWELS[numbers.below(VOWELS.len())]
        };
        let letter = char::from(letter);
        if c.is_ascii_uppercase() { letter.to_ascii_uppercase() } else { letter }
    }
}

fn low_byte(n: usize) -> u8 {
    n.to_le_bytes()[0]
}

/// A value as text, and how to write text in its place: in its own character set, damaged where it
/// was damaged.
pub(super) enum Coded {
    /// In UTF-8, or ASCII.
    Plain(String),
    /// In another set.
    In(&'static encoding_rs::Encoding, String),
    /// Not valid in the set that it is said to be in; each piece is a text or a run of bad bytes.
    Damaged(Vec<Result<String, usize>>),
}

impl Coded {
    /// Reads a value.
    pub(super) fn read(bytes: &[u8], charset: Charset) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes)
            && (bytes.is_ascii() || !matches!(charset, Charset::Known(set) if set != UTF_8))
        {
            return Self::Plain(text.to_owned());
        }
        match charset {
            Charset::Known(set) if set == UTF_8 => {
                let mut pieces = Vec::new();
                for chunk in bytes.utf8_chunks() {
                    pieces.push(Ok(chunk.valid().to_owned()));
                    if !chunk.invalid().is_empty() {
                        pieces.push(Err(chunk.invalid().len()));
                    }
                }
                Self::Damaged(pieces)
            }
            Charset::Known(set) => {
                let (text, _) = set.decode_without_bom_handling(bytes);
                Self::In(set, text.replace('\u{fffd}', "?"))
            }
            Charset::Undeclared | Charset::Ascii | Charset::Unknown => {
                let set = encoding_rs::WINDOWS_1252;
                Self::In(set, set.decode_without_bom_handling(bytes).0.into_owned())
            }
        }
    }

    /// Writes what `swap` makes of its texts.
    pub(super) fn write(&self, mut swap: impl FnMut(&str) -> String, out: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => out.extend(swap(text).as_bytes()),
            Self::In(set, text) => {
                let swapped = swap(text);
                let (bytes, _, unmapped) = set.encode(&swapped);
                if unmapped {
                    out.extend(swapped.chars().map(|c| match u8::try_from(c) {
                        Ok(byte) if byte.is_ascii() => byte,
                        Ok(_) | Err(_) => b'x',
                    }));
                } else {
                    out.extend(bytes.iter());
                }
            }
            Self::Damaged(pieces) => {
                for piece in pieces {
                    match piece {
                        Ok(text) => out.extend(swap(text).as_bytes()),
                        // never valid in UTF-8, and says nothing of the byte that was there
                        Err(bad) => out.extend(std::iter::repeat_n(0xff, *bad)),
                    }
                }
            }
        }
    }
}
