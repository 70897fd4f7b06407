//! Values: what counts as valued, dates, numbers and patterns.

use std::cmp::Ordering;

/// Longest value that a pattern is compared with, characters; a longer one matches none.
const MOST_PATTERN: usize = 1024;

/// Neither empty nor the explicit null (HL7 v2.5.1 §2.5.3).
pub(crate) fn valued(text: &str) -> bool {
    !text.is_empty() && text != "\"\""
}

/// Whether a value is a number as NM wants it (v2.5.1 §2.A.47): sign, digits, one point.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    let mut points = 0;
    let fits = digits.bytes().all(|b| {
        points += usize::from(b == b'.');
        b.is_ascii_digit() || b == b'.'
    });
    fits && points <= 1
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.len() + 1 >= text.trim().len()
}

/// A date or time (v2.5.1 §2.A.22): digits `YYYY[MM[DD[HH[MM[SS]]]]]`, and the zone in minutes.
pub(crate) struct Moment {
    digits: [u8; 14],
    len: usize,
    zone: Option<i32>,
}

impl Moment {
    /// None when it is no date: wrong length, a month 13, a 30 February.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (time, zone) = match text.find(['+', '-']) {
            Some(at) => (text.get(..at)?, Some(zone(text.get(at..)?)?)),
            None => (text, None),
        };
        let (whole, fraction) = time.split_once('.').map_or((time, ""), |(w, f)| (w, f));
        let shape = matches!(whole.len(), 4 | 6 | 8 | 10 | 12 | 14)
            && (fraction.is_empty() || whole.len() == 14)
            && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !shape {
            return None;
        }
        let mut digits = *b"00000101000000";
        digits.iter_mut().zip(whole.bytes()).for_each(|(to, from)| *to = from);
        let moment = Self { digits, len: whole.len(), zone };
        let [year, month, day, hour, minute, second] = moment.parts();
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let real = (1..=12).contains(&month) && (1..=days).contains(&day);
        (real && hour < 24 && minute < 60 && second < 61).then_some(moment)
    }

    /// Which is earlier, as far as both say. None when one has a zone and the other has none and
    /// both have a time: they may be up to a day apart.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        if let (Some(_), Some(_), 12.., 12..) = (self.zone, other.zone, self.len, other.len) {
            return Some(self.minutes().cmp(&other.minutes()));
        }
        let common = self.len.min(other.len);
        if common > 8 && self.zone.is_some() != other.zone.is_some() {
            return None;
        }
        Some(self.digits.get(..common)?.cmp(other.digits.get(..common)?))
    }

    /// Seconds in UTC, days counted from the civil calendar (Howard Hinnant's `days_from_civil`).
    fn minutes(&self) -> i64 {
        let [year, month, day, hour, minute, second] = self.parts();
        let year = if month <= 2 { year - 1 } else { year };
        let (era, month) = (year.div_euclid(400), (month + 9) % 12);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * month + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        ((days * 24 + hour) * 60 + minute - i64::from(self.zone.unwrap_or(0))) * 60 + second
    }

    fn parts(&self) -> [i64; 6] {
        let number = |from: usize, to: usize| {
            let digits = self.digits.get(from..to).unwrap_or_default();
            digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'))
        };
        [number(0, 4), number(4, 6), number(6, 8), number(8, 10), number(10, 12), number(12, 14)]
    }
}

/// `+HHMM` in minutes.
fn zone(text: &str) -> Option<i32> {
    let digits = text.get(1..)?;
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let minutes = number / 100 * 60 + number % 100;
    Some(if text.starts_with('-') { -minutes } else { minutes })
}

/// A pattern: `*` any run, `?` one character, `#` one digit, `\` takes the next as it is.
pub(crate) struct Glob(Vec<Piece>);

#[derive(Clone, Copy)]
enum Piece {
    Run,
    One,
    Digit,
    Char(char),
}

impl Glob {
    /// From its text.
    pub(crate) fn read(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::Run,
                '?' => Piece::One,
                '#' => Piece::Digit,
                '\\' => Piece::Char(chars.next().unwrap_or('\\')),
                c => Piece::Char(c),
            });
        }
        Self(pieces)
    }

    /// Whether the whole value is as the pattern says. Steps: at most pattern times value.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let text: Vec<char> = value.chars().take(MOST_PATTERN + 1).collect();
        if text.len() > MOST_PATTERN {
            return false;
        }
        let (mut t, mut p) = (0, 0);
        // where to go on when the last run has to take one character more
        let mut back: Option<(usize, usize)> = None;
        while t < text.len() {
            let fits = match self.0.get(p) {
                Some(Piece::Run) => {
                    back = Some((p, t));
                    p += 1;
                    continue;
                }
                Some(Piece::One) => true,
                Some(Piece::Digit) => text[t].is_ascii_digit(),
                Some(Piece::Char(c)) => text[t] == *c,
                None => false,
            };
            if fits {
                (t, p) = (t + 1, p + 1);
            } else if let Some((run, from)) = back {
                back = Some((run, from + 1));
                (t, p) = (from + 1, run + 1);
            } else {
                return false;
            }
        }
        self.0.iter().skip(p).all(|piece| matches!(piece, Piece::Run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, good, bad) in [
            ("####", "1234", "123"),
            ("*", "", "\0never"),
            ("A*Z", "AbZcZ", "AbZc"),
            ("MR-?##", "MR-x12", "MR-x1"),
            ("\\#*", "#1", "11"),
            ("*a*b*c", "xxaxxbxxc", "xxaxxcxxb"),
        ] {
            assert!(Glob::read(pattern).matches(good), "{pattern} {good}");
            assert!(pattern == "*" || !Glob::read(pattern).matches(bad), "{pattern} {bad}");
        }
        assert!(!Glob::read("*").matches(&"x".repeat(1025)));
    }

    #[test]
    fn dates() {
        for good in ["2026", "202602", "20240229", "2026010123", "20260101235959.123+0100"] {
            assert!(Moment::read(good).is_some(), "{good}");
        }
        for bad in
            ["", "26", "202613", "20250229", "2026010124", "202601012360", "2026-01-01", "2026.5"]
        {
            assert!(Moment::read(bad).is_none(), "{bad}");
        }
        let order = |a: &str, b: &str| Moment::read(a).unwrap().compare(&Moment::read(b).unwrap());
        assert_eq!(order("20260101", "20260102"), Some(Ordering::Less));
        assert_eq!(order("20260101", "202601011200"), Some(Ordering::Equal), "as far as both say");
        assert_eq!(order("202601011300+0100", "202601011200+0000"), Some(Ordering::Equal));
        assert_eq!(order("202601011200", "202601011200+0500"), None, "a zone on one side only");
        assert_eq!(
            order("20260101", "202601021200+0500"),
            Some(Ordering::Less),
            "days are compared"
        );
    }

    #[test]
    fn numbers() {
        for good in ["1", "-1.5", "+.5", "7."] {
            assert!(is_number(good), "{good}");
        }
        for bad in ["", "-", "1,5", "1.2.3", "--1", "1e3", "<5"] {
            assert!(!is_number(bad), "{bad}");
        }
    }
}
