//! Messages without their patients: every value is replaced unless a list of fields lets it stay **and**
//! the value itself looks like what belongs there.
//!
//! Names, numbers, addresses, telephones, texts, notes and Z segments are replaced by made-up values of
//! the same length and kinds of characters; the same value gets the same replacement in all messages of
//! one [`Deidentifier`], so that what belongs together still does. Dates and times move by one constant
//! number of weeks: intervals and weekdays stay. Check digits are left out. What stays (`rules.rs` says
//! where, `tables.rs` and `plausible.rs` what): values of HL7's own tables in their fields, codes with
//! the check digit or form of their system, short codes with at most three digits, counts, numbers that
//! can be measurements with the unit beside them. So a message whose fields are shifted by one loses its
//! patient too. A code or number that is a word or number of a person elsewhere is replaced as well.
//!
//! What stays besides: structure (segments, delimiters, empty fields, the null `""`, lengths), escape
//! sequences that only format, line ends, damaged characters as damage. This is made for test cases on an
//! author's machine. It is no proof of anonymity: a rare diagnosis with exact intervals can still point
//! at one person, so look before you publish.

mod plausible;
mod rules;
mod swap;
mod tables;

use crate::delimiters::Delimiters;
use crate::index::{BHS, FHS, MSH, Name, Notes, name_of, nth};
use crate::mllp::{FS, VT};
use crate::text::Charset;
use jiff::ToSpan as _;
use jiff::civil::Date;
use rules::{Act, Place};
use std::collections::{HashMap, HashSet};
use swap::Coded;

/// Longest value whose replacement is remembered, bytes; longer ones follow from the key alone.
const MAX_REMEMBERED: usize = 256;
/// A word of a person that is looked for in what stays has at least so many letters …
const MIN_WORD: usize = 3;
/// … or, of digits alone, so many digits.
const MIN_DIGITS: usize = 4;
/// Dates move back by at least so many weeks, and fewer than [`MORE_WEEKS`] more.
const MIN_WEEKS: i64 = 53;
/// See [`MIN_WEEKS`].
const MORE_WEEKS: i64 = 400;
/// Years that a date can be of; other numbers are no dates.
const YEARS: std::ops::RangeInclusive<i16> = 1850..=2150;
/// What a PDF file in Base64 begins with.
const PDF: &[u8] = b"JVBERi0";

/// Replaces what tells of a person. One value for all files that belong together.
pub struct Deidentifier {
    key: [u8; 16],
    days: i64,
    /// Value to replacement.
    known: HashMap<String, String>,
    /// Replacements in use, so that two values do not become one.
    taken: HashSet<String>,
    /// Words of persons, in small letters.
    words: HashSet<String>,
}

/// Never shows a value.
impl std::fmt::Debug for Deidentifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deidentifier").field("values", &self.known.len()).finish_non_exhaustive()
    }
}

impl Deidentifier {
    /// With a secret key: take random bytes and forget them, and nobody can try names against the result.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        let [a, b, ..] = key;
        let weeks = MIN_WEEKS + i64::from(u16::from_le_bytes([a, b])) % MORE_WEEKS;
        Self {
            key,
            days: -7 * weeks,
            known: HashMap::new(),
            taken: HashSet::new(),
            words: HashSet::new(),
        }
    }

    /// Learns the words of persons. Give it every file before the first is rewritten.
    pub fn learn(&mut self, bytes: &[u8]) {
        let words = &mut self.words;
        visit(bytes, &mut |part| {
            if let Part::Value(value) = part
                && value.place.act() == Act::Person
            {
                words.extend(value.words());
            }
        });
    }

    /// The same messages without their patients. Total: what is no HL7 is replaced like a text.
    #[must_use]
    pub fn rewrite(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        visit(bytes, &mut |part| match part {
            Part::Frame(bytes) => out.extend_from_slice(bytes),
            Part::Value(value) => self.value(&value, &mut out),
        });
        out
    }

    fn value(&mut self, value: &Value<'_>, out: &mut Vec<u8>) {
        let act = value.place.act();
        let bytes = value.bytes;
        if bytes.is_empty() || bytes == b"\"\"" {
            out.extend_from_slice(bytes);
            return;
        }
        match act {
            Act::Drop => {}
            Act::Date => match shifted(bytes, self.days) {
                Some(date) => out.extend(date),
                None => self.replaced(value, bytes, out),
            },
            Act::Document if bytes.starts_with(PDF) => {
                out.extend_from_slice(PDF);
                let rest = bytes.get(PDF.len()..).unwrap_or_default();
                let (body, end) = rest.split_at(rest.len() - pdf_end(rest));
                self.replaced(value, body, out);
                out.extend_from_slice(end);
            }
            _ if value.place.keeps(bytes)
                && !(act.is_open() && value.words().any(|w| self.words.contains(&w))) =>
            {
                out.extend_from_slice(bytes);
            }
            _ => self.replaced(value, bytes, out),
        }
    }

    /// Writes made-up text, leaving the escape sequences that only format.
    fn replaced(&mut self, value: &Value<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(escape) = value.escape
            && let Some(start) = memchr::memchr(escape, rest)
        {
            let (before, from) = rest.split_at(start);
            self.text(before, value.charset, out);
            let after = from.get(1..).unwrap_or_default();
            let Some(length) = memchr::memchr(escape, after) else {
                out.push(escape);
                rest = after;
                continue;
            };
            let (sequence, tail) = after.split_at(length);
            out.push(escape);
            match sequence {
                b"F" | b"S" | b"T" | b"R" | b"E" | b"P" | b"H" | b"N" | b".br" | b".sp"
                | b".fi" | b".nf" | b".ce" => out.extend_from_slice(sequence),
                [b'X', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => {
                    // each byte becomes a full stop
                    out.push(b'X');
                    out.extend(digits.chunks(2).flat_map(|_| *b"2E"));
                }
                other => self.text(other, value.charset, out),
            }
            out.push(escape);
            rest = tail.get(1..).unwrap_or_default();
        }
        self.text(rest, value.charset, out);
    }

    fn text(&mut self, bytes: &[u8], charset: Charset, out: &mut Vec<u8>) {
        let Self { key, known, taken, words, .. } = self;
        Coded::read(bytes, charset).write(
            |text| {
                if let Some(found) = known.get(text) {
                    return found.clone();
                }
                let short = text.len() <= MAX_REMEMBERED;
                let used = |made: &str| {
                    short && (taken.contains(made) || words.contains(&made.to_lowercase()))
                };
                let made = swap::text(key, text, used);
                if short {
                    known.insert(text.to_owned(), made.clone());
                    taken.insert(made.clone());
                }
                made
            },
            out,
        );
    }
}

/// Which bytes of a segment would not stay: for showing a message without its patient. `segment` goes
/// from its name to its last field, `by` parts it.
#[must_use]
pub fn hidden(text: &[u8], by: &Delimiters) -> Vec<bool> {
    let mut all = Vec::with_capacity(text.len());
    segment(text, name_of(text, by.field), by, Charset::Undeclared, &mut |part| match part {
        Part::Frame(bytes) => all.extend(bytes.iter().map(|_| false)),
        Part::Value(Value { place, bytes, .. }) => {
            let hides = bytes != b"\"\"" && !place.keeps(bytes);
            all.extend(bytes.iter().map(|_| hides));
        }
    });
    all
}

/// How many bytes at the end of Base64 hold the mark that ends a PDF file, and nothing else of it but
/// the two bytes at most that share its first group: a file that is whole stays whole.
fn pdf_end(text: &[u8]) -> usize {
    const MARK: &[u8] = b"%%EOF";
    let sextet = |b: &u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    // 5 bytes, up to 2 before and up to 4 behind them
    (8..=16)
        .step_by(4)
        .filter(|size| *size <= text.len())
        .find_map(|size| {
            let tail = &text[text.len() - size..];
            let padding = tail.iter().rev().take_while(|b| **b == b'=').count().min(2);
            let sextets = tail[..size - padding].iter().map(sextet).collect::<Option<Vec<_>>>()?;
            let (mut bits, mut have, mut bytes) = (0_u32, 0, Vec::new());
            for sextet in sextets {
                bits = bits << 6 | u32::from(sextet);
                have += 6;
                if have >= 8 {
                    have -= 8;
                    bytes.push((bits >> have & 0xff).to_le_bytes()[0]);
                }
            }
            let at = bytes.windows(MARK.len()).position(|w| w == MARK)?;
            let behind = bytes.get(at + MARK.len()..)?;
            (at <= 2 && behind.iter().all(u8::is_ascii_whitespace)).then_some(size)
        })
        .unwrap_or(0)
}

/// `YYYY[MM[DD[…]]]` moved by some days; none when it is no date.
fn shifted(value: &[u8], days: i64) -> Option<Vec<u8>> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        std::str::from_utf8(value.get(range)?).ok()?.parse().ok()
    };
    let small = |range| number(range).and_then(|n| i8::try_from(n).ok());
    let kept = match (digits, value.len()) {
        (4, 4) => 4,
        (6, 6) => 6,
        (8.., ..=26) => 8,
        _ => return None,
    };
    let month = if kept >= 6 { small(4..6)? } else { 7 };
    let day = if kept >= 8 { small(6..8)? } else { 15 };
    let year = number(0..4).filter(|year| YEARS.contains(year))?;
    let date = Date::new(year, month, day).ok()?.checked_add(days.days()).ok()?;
    let rest = value.get(kept..).unwrap_or_default();
    if !plausible::clock(rest) {
        return None;
    }
    let text = format!("{:04}{:02}{:02}", date.year(), date.month(), date.day());
    let mut out = text.into_bytes();
    out.truncate(kept);
    out.extend_from_slice(rest);
    Some(out)
}

/// A piece of a file.
enum Part<'a> {
    /// Segment names, delimiters, line ends, framing.
    Frame(&'a [u8]),
    /// What stands between delimiters.
    Value(Value<'a>),
}

/// A component or subcomponent.
struct Value<'a> {
    place: Place<'a>,
    bytes: &'a [u8],
    charset: Charset,
    escape: Option<u8>,
}

impl Value<'_> {
    /// Its words that are long enough to tell of somebody, in small letters.
    fn words(&self) -> impl Iterator<Item = String> + use<> {
        let text = self.charset.decode(self.bytes).to_lowercase();
        let long = |word: &&str| {
            let digits = word.bytes().all(|b| b.is_ascii_digit());
            word.len() >= if digits { MIN_DIGITS } else { MIN_WORD }
        };
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(long);
        words.map(str::to_owned).collect::<Vec<_>>().into_iter()
    }
}

/// Hands over every byte of a file, in order: by lines, whatever ends them.
fn visit(bytes: &[u8], each: &mut dyn FnMut(Part<'_>)) {
    let mut by = Delimiters::default();
    let mut charset = Charset::Undeclared;
    for line in bytes.split_inclusive(|b| matches!(*b, b'\r' | b'\n' | VT | FS)) {
        let ended = line.last().is_some_and(|b| matches!(*b, b'\r' | b'\n' | VT | FS));
        let (line, end) = line.split_at(line.len() - usize::from(ended));
        let text = line.strip_prefix(&[0xef, 0xbb, 0xbf][..]).unwrap_or(line);
        each(Part::Frame(line.get(..line.len() - text.len()).unwrap_or_default()));
        let name = name_of(text, by.field);
        let header = matches!(name, MSH | BHS | FHS);
        if header && let Ok(read) = Delimiters::read(text, 0, &mut Notes::default()) {
            by = read;
            if name == MSH {
                let first = by
                    .repetition
                    .map_or(nth(text, by.field, 18), |r| nth(nth(text, by.field, 18), r, 1));
                charset = Charset::named(first);
            }
        }
        segment(text, name, &by, charset, each);
        each(Part::Frame(end));
    }
}

/// Hands over one segment.
fn segment(
    text: &[u8],
    name: Name,
    by: &Delimiters,
    charset: Charset,
    each: &mut dyn FnMut(Part<'_>),
) {
    let header = matches!(name, MSH | BHS | FHS);
    let observation = name == Name::new(*b"OBX");
    let value_type = if observation { nth(text, by.field, 3) } else { &[] };
    let unit = if observation { nth(nth(text, by.field, 7), by.component, 1) } else { &[] };
    for (n, field) in text.split(|b| *b == by.field).enumerate() {
        if n > 0 {
            each(Part::Frame(&[by.field]));
        }
        // MSH-2, which was read as delimiters
        if header && n == 1 && !field.iter().any(u8::is_ascii_alphanumeric) {
            each(Part::Frame(field));
            continue;
        }
        let number = u16::try_from(n + usize::from(header && n > 0)).unwrap_or(u16::MAX);
        for (r, repetition) in pieces(field, by.repetition).enumerate() {
            if let Some(by) = by.repetition.filter(|_| r > 0) {
                each(Part::Frame(&[by]));
            }
            for (c, component) in repetition.split(|b| *b == by.component).enumerate() {
                if c > 0 {
                    each(Part::Frame(&[by.component]));
                }
                let place = Place {
                    segment: name.bytes(),
                    // a line without a name has no field that could be known
                    field: if name == Name::NONE { u16::MAX } else { number },
                    component: u16::try_from(c + 1).unwrap_or(u16::MAX),
                    repetition: (repetition, by.component),
                    value_type,
                    unit,
                };
                for (s, bytes) in pieces(component, by.subcomponent).enumerate() {
                    if let Some(by) = by.subcomponent.filter(|_| s > 0) {
                        each(Part::Frame(&[by]));
                    }
                    each(Part::Value(Value { place, bytes, charset, escape: by.escape }));
                }
            }
        }
    }
}

/// The parts of a text, or the text where nothing parts it.
fn pieces(text: &[u8], by: Option<u8>) -> impl Iterator<Item = &[u8]> {
    text.split(move |b| Some(*b) == by)
}
