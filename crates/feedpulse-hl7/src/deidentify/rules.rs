//! Which parts of a message may stay as they are. Everything that is not named here is replaced:
//! fields of other segments, Z segments, components beyond a list, lines that are no segment.
//!
//! Data types and field numbers: HL7 v2.5.1 chapters 2.A, 3, 4, 6, 7 and 9, which later versions
//! keep; where an older version puts something else, the stricter rule was taken.

/// What is done with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Stays: a code of a table, a type, a flag.
    Keep,
    /// Stays if it looks like a code: no blanks, at most [`MAX_CODE`] characters.
    Code,
    /// Stays if it is a number, a comparison or a range of numbers.
    Number,
    /// A date or time: moved by the constant number of days.
    Date,
    /// Left out: a check digit would tell the number that it was made for.
    Drop,
    /// A person's name, number, address or telephone: replaced, and looked for in what stays.
    Person,
    /// Anything else: replaced.
    Replace,
    /// Bytes of a document: replaced, but for the mark that says what kind of file it is.
    Document,
}

use Act::{Code, Date, Document, Drop, Keep, Number, Person, Replace};

/// The longest value that looks like a code.
const MAX_CODE: usize = 20;
/// The longest value that stays at all.
const MAX_KEPT: usize = 80;

/// Acts by component; those beyond the list are replaced.
type Parts = &'static [Act];

/// Every component stays.
const ALL: Parts = &[Keep; 9];
const DATES: Parts = &[Date; 9];
const NUMBER: Parts = &[Number; 9];
/// A coded value whose words a person may have typed.
const CODED: Parts = &[Code, Replace, Code, Code, Replace, Code];
const CX: Parts = &[Person, Drop, Drop, Replace, Keep, Replace, Date, Date];
const XPN: Parts = &[Person, Person, Person, Person, Person, Person, Keep, Keep, Replace, Date];
const XAD: Parts = &[Person, Person, Person, Replace, Person, Keep, Keep, Person];
const XTN: Parts = &[Person, Keep, Keep, Person, Person, Person, Person, Person];
const XCN: Parts = &[
    Person, Person, Person, Person, Person, Person, Replace, Replace, Replace, Keep, Drop, Drop,
    Keep,
];
const HD: Parts = &[Replace, Replace, Keep];
const EI: Parts = &[Person, Replace, Replace, Keep];
const TQ: Parts = &[Number, Keep, Keep, Date, Date, Keep];
const ED: Parts = &[Replace, Keep, Keep, Keep, Document];
const NOTHING: Parts = &[];
/// Unknown fields of segments that are about people.
const PEOPLE: Parts = &[Person; 24];

/// Fields of one segment.
struct Segment {
    name: &'static [u8; 3],
    fields: &'static [(u16, Parts)],
}

macro_rules! segments {
    ($($name:literal $($parts:ident: [$($n:literal)*])*;)*) => {
        &[$(Segment { name: $name, fields: &[$($(($n, $parts),)*)*] },)*]
    };
}

/// The whole list.
const KEPT: &[Segment] = segments! {
    b"MSH" HD: [3 4 5 6] DATES: [7] ALL: [9 11 12 15 16 17 18 19 20 21];
    b"BHS" HD: [3 4 5 6] DATES: [7];
    b"FHS" HD: [3 4 5 6] DATES: [7];
    b"BTS" NUMBER: [1];
    b"FTS" NUMBER: [1];
    b"MSA" ALL: [1 6];
    b"ERR" ALL: [1 2 3 4] CODED: [5];
    b"EVN" ALL: [1 4] DATES: [2 3 6];
    b"PID" NUMBER: [1 25] CX: [2 3 4 18 20 21] XPN: [5 6 9] DATES: [7 29 33] ALL: [8 10 15 16 17 22 24 27 30 31 32]
        XAD: [11] XTN: [13 14];
    b"PD1" XCN: [4] ALL: [1 2 7 11 12];
    b"NK1" NUMBER: [1] XPN: [2 30] ALL: [3 7 14 15] XAD: [4 32] XTN: [5 6 31] DATES: [8 9 16] CX: [12 33];
    b"MRG" CX: [1 2 3 4 5 6] XPN: [7];
    b"PV1" NUMBER: [1] ALL: [2 4 10 14 15 16 18 20 36 41 51] XCN: [7 8 9 17 52] CX: [5 19 50] DATES: [44 45];
    b"PV2" CODED: [2 3 4] DATES: [8 9 33 46 47] ALL: [7 18 22 25 40];
    b"AL1" NUMBER: [1] ALL: [2 4] CODED: [3] DATES: [6];
    b"DG1" NUMBER: [1 15] ALL: [2 6] CODED: [3] DATES: [5 19] XCN: [16];
    b"PR1" NUMBER: [1] CODED: [3] DATES: [5] ALL: [2 6] XCN: [8 11 12];
    b"ORC" ALL: [1 5 6] EI: [2 3 4 8] TQ: [7] DATES: [9 15 27] XCN: [10 11 12 19] XTN: [14] CODED: [16];
    b"OBR" NUMBER: [1 9] EI: [2 3] ALL: [4 5 11 24 25 30 44 45 49 50] DATES: [6 7 8 14 22 36] XCN: [10 16 28] XTN: [17]
        TQ: [27] CODED: [15 31];
    b"OBX" NUMBER: [1 7 9] ALL: [2 3 6 8 10 11 17] CODED: [4] DATES: [12 14 19] XCN: [16 25] XAD: [24];
    b"TQ1" NUMBER: [1] ALL: [9] DATES: [7 8];
    b"SPM" NUMBER: [1] ALL: [4] DATES: [17 18];
    b"NTE" NUMBER: [1] ALL: [2 4];
    b"SCH" EI: [1 2] CODED: [6 7 8] NUMBER: [3 9] ALL: [10 25] TQ: [11] XCN: [12 16 20] XTN: [13 17];
    b"RGS" NUMBER: [1] ALL: [2];
    b"AIS" NUMBER: [1 5 7] ALL: [2 3 6 8 9 10] DATES: [4];
    b"AIG" NUMBER: [1] ALL: [2] DATES: [8];
    b"AIL" NUMBER: [1] ALL: [2] DATES: [6];
    b"AIP" NUMBER: [1] ALL: [2] XCN: [3] DATES: [6];
    b"TXA" NUMBER: [1] ALL: [2 3 17 18 19 20] DATES: [4 6 7 8] XCN: [5 9 10 11] EI: [12 13 14 15];
    b"FT1" NUMBER: [1 10] DATES: [4 5] ALL: [6 7 25] XCN: [20 21];
    b"RXA" NUMBER: [1 2 6] DATES: [3 4 16 22] ALL: [5 7 9 17 18 20 21] XCN: [10];
    b"RXR" ALL: [1 2];
    b"IN1" NUMBER: [1] DATES: [12 13 18] XPN: [16] ALL: [17] XAD: [5 19] XTN: [7];
};

/// Segments about people: what is not known of them is a person's too.
const ABOUT_PEOPLE: [&[u8; 3]; 8] =
    [b"PID", b"PD1", b"NK1", b"MRG", b"GT1", b"IN1", b"IN2", b"ROL"];

/// Where a value stands. Numbers from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Segment name; three zeros for a line that has none.
    pub(super) segment: [u8; 3],
    pub(super) field: u16,
    pub(super) component: u16,
    /// OBX-2 of the same segment, which says what OBX-5 is.
    pub(super) value_type: &'a [u8],
}

impl Place<'_> {
    /// What is done with the value here.
    pub(super) fn act(self) -> Act {
        let parts = if (&self.segment, self.field) == (b"OBX", 5) {
            observation(self.value_type)
        } else {
            let known = KEPT.iter().find(|s| *s.name == self.segment);
            let listed = known.and_then(|s| s.fields.iter().find(|(n, _)| *n == self.field));
            match listed {
                Some((_, parts)) => parts,
                None if ABOUT_PEOPLE.contains(&&self.segment) => PEOPLE,
                None => NOTHING,
            }
        };
        parts.get(usize::from(self.component) - 1).copied().unwrap_or(Replace)
    }
}

/// OBX-5 by its type (HL7 table 0125).
fn observation(value_type: &[u8]) -> Parts {
    match value_type {
        b"NM" | b"SN" | b"TM" => NUMBER,
        b"CE" | b"CWE" | b"CNE" | b"CF" | b"ID" | b"IS" => CODED,
        b"DT" | b"TS" | b"DTM" | b"DR" => DATES,
        b"ED" => ED,
        b"CX" => CX,
        b"XCN" => XCN,
        b"XPN" => XPN,
        b"XAD" => XAD,
        b"XTN" => XTN,
        _ => NOTHING,
    }
}

/// Whether a value may stay under an act that lets some stay.
pub(super) fn stays(act: Act, value: &[u8]) -> bool {
    let code = |b: &u8| b.is_ascii_alphanumeric() || b".-_:/+*#%".contains(b);
    let number = |b: &u8| b.is_ascii_digit() || b".,+-<>=:/ %".contains(b);
    match act {
        Keep => value.len() <= MAX_KEPT,
        Code => value.len() <= MAX_CODE && value.iter().all(code),
        Number => value.len() <= MAX_CODE && value.iter().all(number),
        Date | Drop | Person | Replace | Document => false,
    }
}
