//! What a value must look like to stay as a code or a number: so that a name, an identifier, a
//! telephone or a date in the wrong field does not.

use super::tables::{self, holds};
use crate::text::Charset;

/// The longest code of a system that has no check digit of its own.
const MAX_LOCAL: usize = 5;
/// Most digits of such a code, and of a count: too few for an identifier, a postcode or a telephone.
const MAX_LOCAL_DIGITS: usize = 3;
/// Most digits of a reference range, both ends together: a telephone has seven.
const MAX_RANGE_DIGITS: usize = 6;

/// A code of the system that is named beside it: by its check digit or its form where the system has
/// one (LOINC, SNOMED CT, ICD-10), else short, in capitals, with one to three digits.
pub(super) fn code(value: &[u8], system: &[u8]) -> bool {
    match system {
        b"LN" => loinc(value),
        b"SCT" | b"SNM" | b"SNOMEDCT" => snomed(value),
        b"I10" | b"I10C" | b"I10P" | b"ICD10" | b"ICD10CM" => icd10(value) || local(value),
        _ => local(value),
    }
}

/// A short code: capitals and one to three digits.
fn local(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    value.len() <= MAX_LOCAL
        && (1..=MAX_LOCAL_DIGITS).contains(&digits)
        && value.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

/// LOINC: digits, a hyphen and their check digit (Luhn).
fn loinc(value: &[u8]) -> bool {
    let [number @ .., b'-', check] = value else { return false };
    if !(1..=6).contains(&number.len()) || !number.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(n, b)| {
            let digit = u32::from(b - b'0');
            let doubled = if n % 2 == 0 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    check.is_ascii_digit() && u32::from(check - b'0') == (10 - sum % 10) % 10
}

/// A SNOMED CT identifier: 6 to 18 digits, its partition, its check digit (Verhoeff).
fn snomed(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit) && value.first() != Some(&b'0');
    let [.., kind, part, _] = value else { return false };
    digits
        && (6..=18).contains(&value.len())
        && matches!((kind, part), (b'0' | b'1', b'0' | b'1' | b'2'))
        && verhoeff(value)
}

/// Whether the last digit is the check digit of the others: the dihedral group of ten, worked out
/// instead of looked up.
fn verhoeff(digits: &[u8]) -> bool {
    const TURN: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let times = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - b) % 5,
        (false, false) => (5 + a - b) % 5,
    };
    let sum = digits.iter().rev().enumerate().fold(0, |sum, (place, b)| {
        let digit = b.wrapping_sub(b'0') % 10;
        let turned = (0..place % 8).fold(digit, |d, _| TURN[usize::from(d)]);
        times(sum, turned)
    });
    sum == 0
}

/// ICD-10: a letter, two more, and behind a full stop up to four; or four without it.
fn icd10(value: &[u8]) -> bool {
    let capital = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase();
    let [letter, digit, third, rest @ ..] = value else { return false };
    letter.is_ascii_uppercase()
        && digit.is_ascii_digit()
        && capital(third)
        && match rest {
            [] => true,
            [b'.', more @ ..] => (1..=4).contains(&more.len()) && more.iter().all(capital),
            [one] => one.is_ascii_digit(),
            _ => false,
        }
}

/// The name of a coding system (table 0396): one of the list, `HL7nnnn`, or `99` and three capitals.
pub(super) fn system(value: &[u8]) -> bool {
    match value {
        [b'9', b'9', rest @ ..] => {
            matches!(rest.len(), 0 | 3) && rest.iter().all(u8::is_ascii_uppercase)
        }
        [b'H', b'L', b'7', rest @ ..] => rest.len() == 4 && rest.iter().all(u8::is_ascii_digit),
        _ => holds(tables::SYSTEM, value),
    }
}

/// A unit of measurement: known ones, divided by known ones.
pub(super) fn unit(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let text = text.to_lowercase();
    let mut parts = text.split('/');
    let known = |part: &str| holds(tables::UNIT, part.as_bytes());
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    (known(first) || (first.is_empty() && !rest.is_empty()))
        && rest.len() <= 2
        && rest.iter().all(|part| known(part))
}

/// A number of a list, of repeats, of minutes: at most four digits; or two such parts of at most two
/// digits.
pub(super) fn count(value: &[u8]) -> bool {
    let digits =
        |part: &[u8], most| (1..=most).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    match value.iter().position(|b| *b == b'.') {
        None => digits(value, 4),
        Some(at) => digits(&value[..at], 2) && digits(&value[at + 1..], 2),
    }
}

/// A measured number with this unit beside it: at most three digits and four decimals; four with a
/// unit; more with a unit that counts per something, where it ends in two zeros. Or a sign alone, a
/// titre such as `1:128`.
pub(super) fn measure(value: &[u8], unit_beside: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value.is_empty() {
        return false;
    }
    let bare = value.iter().position(|b| !b"<>=".contains(b));
    let Some(bare) = bare.map(|at| value[at..].trim_ascii_start()) else {
        // a comparison alone, as in SN-1
        return value.len() <= 2;
    };
    if matches!(bare, [b'+' | b'-' | b'/' | b':' | b'.']) || value.len() - bare.len() > 3 {
        return value.len() == 1;
    }
    if let Some(titre) = bare.strip_prefix(b"1:") {
        return count(titre);
    }
    let number = bare.strip_prefix(b"-").or(bare.strip_prefix(b"+")).unwrap_or(bare);
    let (whole, decimals) = match number.iter().position(|b| *b == b'.') {
        None => (number, &[][..]),
        Some(at) => (&number[..at], &number[at + 1..]),
    };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if number.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 4 {
        return false;
    }
    // no measurement begins with a zero before another digit; identifiers do
    if whole.len() > 1 && whole[0] == b'0' {
        return false;
    }
    let known = unit(unit_beside);
    let counted = known && unit_beside.contains(&b'/') && whole.ends_with(b"00");
    let most = if counted { 7 } else { MAX_LOCAL_DIGITS + usize::from(known) };
    whole.len() + decimals.len() > 0 && whole.len() <= most
}

/// A reference range: one measured number with a comparison, or two, the lower first.
pub(super) fn range(value: &[u8], unit_beside: &[u8]) -> bool {
    let value = value.trim_ascii();
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > MAX_RANGE_DIGITS {
        return false;
    }
    let Some(at) = value.iter().skip(1).position(|b| *b == b'-').map(|at| at + 1) else {
        return measure(value, unit_beside);
    };
    let (low, high) = (value[..at].trim_ascii(), value[at + 1..].trim_ascii());
    let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse::<f64>().ok();
    measure(low, unit_beside)
        && measure(high, unit_beside)
        && matches!((number(low), number(high)), (Some(low), Some(high)) if low <= high)
}

/// `HH` or `HHMM`.
pub(super) fn time_of_day(value: &[u8]) -> bool {
    matches!(value.len(), 2 | 4) && clock(value)
}

/// What may stand behind the day of a time stamp: `[HH[MM[SS[.S[S[S[S]]]]]]][+ZZZZ]`.
pub(super) fn clock(value: &[u8]) -> bool {
    let (time, zone) = match value.iter().position(|b| matches!(b, b'+' | b'-')) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    };
    let (time, fraction) = match time.iter().position(|b| *b == b'.') {
        Some(at) => (&time[..at], Some(&time[at + 1..])),
        None => (time, None),
    };
    let two = |at: usize, below: u8| match time.get(at..at + 2) {
        None => true,
        Some([a @ b'0'..=b'9', b @ b'0'..=b'9']) => (a - b'0') * 10 + (b - b'0') < below,
        Some(_) => false,
    };
    let digits = |part: &[u8], range: std::ops::RangeInclusive<usize>| {
        range.contains(&part.len()) && part.iter().all(u8::is_ascii_digit)
    };
    matches!(time.len(), 0 | 2 | 4 | 6)
        && two(0, 24)
        && two(2, 60)
        && two(4, 61)
        && fraction.is_none_or(|part| time.len() == 6 && digits(part, 1..=4))
        && zone.is_none_or(|part| digits(part, 4..=4) && part <= &b"1400"[..])
}

/// `A01`: an event.
pub(super) fn event(value: &[u8]) -> bool {
    matches!(value, [b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9'])
}

/// `ADT_A01`: the structure of a message.
pub(super) fn structure(value: &[u8]) -> bool {
    match value {
        [kind @ .., b'_', a, b, c] => holds(tables::MESSAGE, kind) && event(&[*a, *b, *c]),
        _ => holds(tables::MESSAGE, value),
    }
}

/// `2.5.1`: a version of HL7.
pub(super) fn version(value: &[u8]) -> bool {
    match value {
        [b'2'] => true,
        [b'2', b'.', rest @ ..] => {
            matches!(rest, [b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9'])
        }
        _ => false,
    }
}

/// A character set that is known.
pub(super) fn charset(value: &[u8]) -> bool {
    matches!(Charset::named(value), Charset::Known(_) | Charset::Ascii)
}

/// `Q6H`, `BID`: how often.
pub(super) fn repeat(value: &[u8]) -> bool {
    match value {
        [b'Q', number @ .., unit] if !number.is_empty() => {
            b"SMHDWL".contains(unit) && number.len() <= 3 && number.iter().all(u8::is_ascii_digit)
        }
        _ => holds(tables::REPEAT, value),
    }
}

/// `D10`: how long.
pub(super) fn duration(value: &[u8]) -> bool {
    match value {
        [unit, number @ ..] => {
            b"SMHDWLX".contains(unit)
                && (1..=3).contains(&number.len())
                && number.iter().all(u8::is_ascii_digit)
        }
        [] => false,
    }
}

/// The name of a segment that HL7 has, or of a site's own.
pub(super) fn segment(value: &[u8]) -> bool {
    let own = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    match value {
        [b'Z', rest @ ..] => rest.len() == 2 && rest.iter().all(own),
        _ => holds(tables::SEGMENT, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_by_their_check_digit_or_are_short() {
        for (value, system) in [
            ("2345-7", "LN"),
            ("24323-8", "LN"),
            ("112283007", "SCT"),
            ("73211009", "SCT"),
            ("E11.9", "I10"),
            ("S72.001A", "I10"),
            ("A1C", "L"),
            ("W3", ""),
        ] {
            assert!(code(value.as_bytes(), system.as_bytes()), "{value} of {system}");
        }
        for (value, system) in [
            ("2345-8", "LN"),
            ("123-45-6789", "LN"),
            ("0047110815", "SCT"),
            ("5551234567", "SCT"),
            ("112283008", "SCT"),
            ("DOE", "L"),
            ("4711", "L"),
            ("62701", "C4"),
            ("E1234567", "I10"),
            ("doe1", ""),
        ] {
            assert!(!code(value.as_bytes(), system.as_bytes()), "{value} of {system}");
        }
    }

    #[test]
    fn numbers_are_known_by_their_length_and_unit() {
        for (value, unit) in [
            ("95.5", "mg/dL"),
            ("<0.01", ""),
            (">= 7", ""),
            ("-3.2", "mmol/L"),
            ("7.4", ""),
            ("1200", "mg/dL"),
            ("250000", "/uL"),
            ("1:128", ""),
            ("<", ""),
            ("-", ""),
        ] {
            assert!(measure(value.as_bytes(), unit.as_bytes()), "{value} {unit}");
        }
        for (value, unit) in [
            ("5551234567", "mg/dL"),
            ("555-1234", "mg/dL"),
            ("123456789", "/uL"),
            ("471108", "/uL"),
            ("0047", "mg"),
            ("4711", ""),
            ("19700228", ""),
            ("02/28/1970", ""),
            ("28.2.70", ""),
            ("7 mg for Doe", "mg"),
            ("", ""),
        ] {
            assert!(!measure(value.as_bytes(), unit.as_bytes()), "{value} {unit}");
        }
        for (value, is) in [
            ("70-99", true),
            ("0.5 - 1.2", true),
            ("<5.0", true),
            ("555-1234", false),
            ("123-45-6789", false),
            ("2024-03", false),
            ("negative", false),
            ("-", false),
        ] {
            assert_eq!(range(value.as_bytes(), b"mg/dL"), is, "{value}");
        }
    }

    #[test]
    fn times_units_and_the_like() {
        for value in ["", "12", "1200", "120059.1234+0100", "-0500"] {
            assert!(clock(value.as_bytes()), "{value}");
        }
        for value in ["1", "2500", "1270", "120000.", "+9900", "1200x", "12.5"] {
            assert!(!clock(value.as_bytes()), "{value}");
        }
        for value in ["mg/dL", "10*3/uL", "/min", "mL/min/1.73m2", "%", "mm[Hg]", "µmol/L"] {
            assert!(unit(value.as_bytes()), "{value}");
        }
        for value in ["Doe", "mg for Doe", "Elm/Street", "", "/", "5551234"] {
            assert!(!unit(value.as_bytes()), "{value}");
        }
        assert!(system(b"HL70078") && system(b"99LAB") && !system(b"99SMITH") && !system(b"DOE"));
        assert!(structure(b"ORU_R01") && structure(b"ACK") && !structure(b"DOE_A01"));
        assert!(version(b"2.5.1") && !version(b"2.25.1") && !version(b"2.5.1970"));
        assert!(repeat(b"Q6H") && repeat(b"BID") && !repeat(b"QUINN"));
        assert!(segment(b"PID") && segment(b"ZPV") && !segment(b"DOE") && !segment(b"Zoe"));
    }
}
