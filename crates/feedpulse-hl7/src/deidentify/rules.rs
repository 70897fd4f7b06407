//! Which parts of a message may stay as they are, and only if they look like what belongs there.
//! Everything that is not named here is replaced: fields of other segments, Z segments, components
//! beyond a list, lines that are no segment, and every text beside a code.
//!
//! Data types and field numbers: HL7 v2.5.1 chapters 2.A, 3, 4, 6, 7 and 9, which later versions
//! keep; where an older version puts something else, the stricter rule was taken.

use super::plausible;
use super::tables::{self as table, holds};
use crate::index::nth;

/// What is done with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Stays if it stands in this table.
    In(&'static str),
    /// Stays if it has this form, which has no room for an identifier.
    Form(Form),
    /// Stays if it is a code of the system beside it.
    Code,
    /// Stays if it is a count, or a number of a list.
    Count,
    /// Stays if it can be a measurement with the unit beside it.
    Measure,
    /// Stays if it can be a reference range with the unit beside it.
    Range,
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

/// Forms that HL7 gives, instead of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Charset,
    Duration,
    Event,
    Repeat,
    Segment,
    Structure,
    System,
    Time,
    Unit,
    Version,
}

use Act::{Code, Count, Date, Document, Drop, Form as As, In, Measure, Person, Range, Replace};

/// Acts by component; those beyond the list are replaced.
type Parts = &'static [Act];

/// Fields of one table: `ID` and `IS`.
macro_rules! ids {
    ($($name:ident $table:ident;)*) => { $(const $name: Parts = &[In(table::$table)];)* };
}

/// `CE` and `CWE`, whose first and fourth component are of one table.
macro_rules! coded {
    ($($name:ident $table:ident;)*) => {
        $(const $name: Parts = &[
            In(table::$table), Replace, As(Form::System), In(table::$table), Replace, As(Form::System),
        ];)*
    };
}

ids! {
    ACK ACK; ADMISSION ADMISSION; ADMIT_SOURCE ADMIT_SOURCE; ALTERNATE ALTERNATE; AMBULATORY AMBULATORY;
    CLASS CLASS; COMMENT_SOURCE COMMENT_SOURCE; COMPLETION COMPLETION; CONDITION CONDITION; COUNTRY COUNTRY;
    DIAGNOSIS DIAGNOSIS; DOCUMENT DOCUMENT; DOCUMENT_STATUS DOCUMENT_STATUS; ERROR_SEVERITY ERROR_SEVERITY;
    LIVING LIVING; MEDIA MEDIA; NATURE NATURE; ORDER_CONTROL ORDER_CONTROL; ORDER_RESULT ORDER_RESULT;
    ORDER_STATUS ORDER_STATUS; PRIORITY PRIORITY; PROCEDURE PROCEDURE; RELIABILITY RELIABILITY;
    RESPONSE RESPONSE; RESULT_STATUS RESULT_STATUS; SECTION SECTION; SEGMENT_ACTION SEGMENT_ACTION;
    SERVICE SERVICE; SEX SEX; SPECIMEN_ACTION SPECIMEN_ACTION; TRANSACTION TRANSACTION; TRANSPORT TRANSPORT;
    TWO_DIGITS TWO_DIGITS; VALUE_TYPE VALUE_TYPE; VISIT VISIT; YES_NO YES_NO;
}

coded! {
    C_ALLERGEN ALLERGEN; C_APPOINTMENT APPOINTMENT; C_CONTACT CONTACT; C_ERROR ERROR; C_ETHNIC ETHNIC;
    C_FILLER FILLER_STATUS; C_FLAGS FLAGS; C_LANGUAGE LANGUAGE; C_LIVING LIVING; C_MARITAL MARITAL;
    C_PRIORITY PRIORITY; C_RACE RACE; C_RELATIONSHIP RELATIONSHIP; C_ROUTE ROUTE; C_SEVERITY SEVERITY;
    C_SITE SITE; C_SPECIMEN SPECIMEN;
}

const DATES: Parts = &[Date; 9];
const COUNTS: Parts = &[Count; 2];
const MEASURES: Parts = &[Measure; 4];
const RANGE: Parts = &[Range];
const TIME: Parts = &[As(Form::Time)];
const CHARSET: Parts = &[As(Form::Charset)];
const EVENT: Parts = &[As(Form::Event)];
const UNIT: Parts = &[As(Form::Unit), As(Form::Unit), As(Form::System)];
const MESSAGE_TYPE: Parts = &[In(table::MESSAGE), As(Form::Event), As(Form::Structure)];
const PROCESSING: Parts = &[In(table::PROCESSING), In(table::MODE)];
const VERSION: Parts = &[As(Form::Version), In(table::COUNTRY)];
/// A code of whatever system: its texts are replaced.
const CODED: Parts = &[Code, Replace, As(Form::System), Code, Replace, As(Form::System)];
/// A quantity with its unit.
const QUANTITY: Parts = &[Measure, As(Form::Unit)];
const CX: Parts = &[Person, Drop, Drop, Replace, In(table::IDENTIFIER), Replace, Date, Date];
const XPN: Parts = &[
    Person,
    Person,
    Person,
    Person,
    Person,
    Person,
    In(table::NAME_TYPE),
    In("A|I|P"),
    Replace,
    Date,
];
const XAD: Parts =
    &[Person, Person, Person, Replace, Person, In(table::COUNTRY), In(table::ADDRESS), Person];
const XTN: Parts =
    &[Person, In(table::PHONE_USE), In(table::EQUIPMENT), Person, Person, Person, Person, Person];
const XCN: Parts = &[
    Person,
    Person,
    Person,
    Person,
    Person,
    Person,
    Replace,
    Replace,
    Replace,
    In(table::NAME_TYPE),
    Drop,
    Drop,
    In(table::IDENTIFIER),
];
const HD: Parts = &[Replace, Replace, In(table::UNIVERSAL)];
const EI: Parts = &[Person, Replace, Replace, In(table::UNIVERSAL)];
const PROFILE: Parts = &[Replace, Replace, Replace, In(table::UNIVERSAL)];
const TQ: Parts = &[Count, As(Form::Repeat), As(Form::Duration), Date, Date, In(table::PRIORITY)];
const ED: Parts = &[Replace, In(table::MEDIA), In(table::SUBTYPE), In(table::ENCODING), Document];
/// Where an error is: of `ELD` and of `ERL`.
const ERROR_OLD: Parts =
    &[As(Form::Segment), Count, Count, In(table::ERROR), Replace, As(Form::System)];
const ERROR_AT: Parts = &[As(Form::Segment), Count, Count, Count, Count, Count];
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
    b"MSH" HD: [3 4 5 6] DATES: [7] MESSAGE_TYPE: [9] PROCESSING: [11] VERSION: [12] CONDITION: [15 16] COUNTRY: [17]
        CHARSET: [18] C_LANGUAGE: [19] ALTERNATE: [20] PROFILE: [21];
    b"BHS" HD: [3 4 5 6] DATES: [7];
    b"FHS" HD: [3 4 5 6] DATES: [7];
    b"BTS" COUNTS: [1];
    b"FTS" COUNTS: [1];
    b"MSA" ACK: [1] C_ERROR: [6];
    b"ERR" ERROR_OLD: [1] ERROR_AT: [2] C_ERROR: [3] ERROR_SEVERITY: [4] CODED: [5];
    b"EVN" EVENT: [1] TWO_DIGITS: [4] DATES: [2 3 6];
    b"PID" COUNTS: [1 25] CX: [2 3 4 18 20 21] XPN: [5 6 9] DATES: [7 29 33] SEX: [8] C_RACE: [10] C_LANGUAGE: [15]
        C_MARITAL: [16] C_ETHNIC: [22] YES_NO: [24 30 31] RELIABILITY: [32] XAD: [11] XTN: [13 14];
    b"PD1" XCN: [4] LIVING: [1 2 7] C_LIVING: [11] YES_NO: [12];
    b"NK1" COUNTS: [1] XPN: [2 30] C_RELATIONSHIP: [3] C_CONTACT: [7] C_MARITAL: [14] SEX: [15] XAD: [4 32]
        XTN: [5 6 31] DATES: [8 9 16] CX: [12 33];
    b"MRG" CX: [1 2 3 4 5 6] XPN: [7];
    b"PV1" COUNTS: [1] CLASS: [2] ADMISSION: [4] SERVICE: [10] ADMIT_SOURCE: [14] AMBULATORY: [15] CODED: [16 18 20]
        TWO_DIGITS: [36] VISIT: [51] XCN: [7 8 9 17 52] CX: [5 19 50] DATES: [44 45];
    b"PV2" CODED: [2 3 4] DATES: [8 9 33 46 47] YES_NO: [22] PRIORITY: [25];
    b"AL1" COUNTS: [1] C_ALLERGEN: [2] C_SEVERITY: [4] CODED: [3] DATES: [6];
    b"DG1" COUNTS: [1 15] DIAGNOSIS: [6] CODED: [3] DATES: [5 19] XCN: [16];
    b"PR1" COUNTS: [1] CODED: [3] DATES: [5] PROCEDURE: [6] XCN: [8 11 12];
    b"ORC" ORDER_CONTROL: [1] ORDER_STATUS: [5] RESPONSE: [6] EI: [2 3 4 8] TQ: [7] DATES: [9 15 27] XCN: [10 11 12 19]
        XTN: [14] CODED: [16];
    b"OBR" COUNTS: [1] QUANTITY: [9] EI: [2 3] CODED: [4 31 44 45] PRIORITY: [5] SPECIMEN_ACTION: [11] C_SPECIMEN: [15]
        SECTION: [24] ORDER_RESULT: [25] TRANSPORT: [30] DATES: [6 7 8 14 22 36] XCN: [10 16 28] XTN: [17] TQ: [27];
    b"OBX" COUNTS: [1 4] VALUE_TYPE: [2] CODED: [3 17] UNIT: [6] RANGE: [7] C_FLAGS: [8] MEASURES: [9] NATURE: [10]
        RESULT_STATUS: [11] DATES: [12 14 19] XCN: [16 25] XAD: [24];
    b"TQ1" COUNTS: [1] C_PRIORITY: [9] DATES: [7 8];
    b"SPM" COUNTS: [1] C_SPECIMEN: [4] DATES: [17 18];
    b"NTE" COUNTS: [1] COMMENT_SOURCE: [2];
    b"SCH" EI: [1 2] COUNTS: [3 9] C_APPOINTMENT: [7 8] UNIT: [10] TQ: [11] C_FILLER: [25] XCN: [12 16 20] XTN: [13 17];
    b"RGS" COUNTS: [1] SEGMENT_ACTION: [2];
    b"AIS" COUNTS: [1 5 7] SEGMENT_ACTION: [2] CODED: [3] DATES: [4] UNIT: [6 8] C_FILLER: [9 10];
    b"AIG" COUNTS: [1] SEGMENT_ACTION: [2] DATES: [8];
    b"AIL" COUNTS: [1] SEGMENT_ACTION: [2] DATES: [6];
    b"AIP" COUNTS: [1] SEGMENT_ACTION: [2] XCN: [3] DATES: [6];
    b"TXA" COUNTS: [1] DOCUMENT: [2] MEDIA: [3] DOCUMENT_STATUS: [17 18 19 20] DATES: [4 6 7 8] XCN: [5 9 10 11]
        EI: [12 13 14 15];
    b"FT1" COUNTS: [1] MEASURES: [10] DATES: [4 5] TRANSACTION: [6] CODED: [7 25] XCN: [20 21];
    b"RXA" COUNTS: [1 2] MEASURES: [6] DATES: [3 4 16 22] CODED: [5 9 18] UNIT: [7] COMPLETION: [20] SEGMENT_ACTION: [21]
        XCN: [10];
    b"RXR" C_ROUTE: [1] C_SITE: [2];
    b"IN1" COUNTS: [1] DATES: [12 13 18] XPN: [16] C_RELATIONSHIP: [17] XAD: [5 19] XTN: [7];
};

/// Segments about people: what is not known of them is a person's too.
const ABOUT_PEOPLE: [&[u8; 3]; 8] =
    [b"PID", b"PD1", b"NK1", b"MRG", b"GT1", b"IN1", b"IN2", b"ROL"];

/// Where a value stands, and what stands beside it. Numbers from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Segment name; three zeros for a line that has none.
    pub(super) segment: [u8; 3],
    /// 0 = the name of the segment.
    pub(super) field: u16,
    pub(super) component: u16,
    /// The repetition that it is in, and what parts its components.
    pub(super) repetition: (&'a [u8], u8),
    /// OBX-2 of the same segment, which says what OBX-5 is.
    pub(super) value_type: &'a [u8],
    /// OBX-6.1 of the same segment.
    pub(super) unit: &'a [u8],
}

impl Place<'_> {
    /// What is done with the value here.
    pub(super) fn act(&self) -> Act {
        if self.field == 0 {
            return if self.component == 1 { As(Form::Segment) } else { Replace };
        }
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
        parts.get(usize::from(self.component.max(1)) - 1).copied().unwrap_or(Replace)
    }

    /// Whether a value looks like what belongs here and may stay.
    pub(super) fn keeps(&self, value: &[u8]) -> bool {
        match self.act() {
            In(table) => holds(table, value),
            As(form) => form.fits(value),
            Code => plausible::code(value, self.system()),
            Count => plausible::count(value),
            Measure => plausible::measure(value, self.unit),
            Range => plausible::range(value, self.unit),
            Date | Drop | Person | Replace | Document => false,
        }
    }

    /// The coding system of a code: the third component of the first three, the sixth of the next.
    fn system(&self) -> &[u8] {
        let (repetition, by) = self.repetition;
        nth(repetition, by, if self.component <= 3 { 3 } else { 6 })
    }
}

impl Act {
    /// Whether what stays under it could be a person's all the same, if the same word or number stands
    /// as a person's elsewhere. What a table of HL7 lists could not.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Code | Count | Measure | Range | As(Form::Segment))
    }
}

impl Form {
    fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::Charset => plausible::charset(value),
            Self::Duration => plausible::duration(value),
            Self::Event => plausible::event(value),
            Self::Repeat => plausible::repeat(value),
            Self::Segment => plausible::segment(value),
            Self::Structure => plausible::structure(value),
            Self::System => plausible::system(value),
            Self::Time => plausible::time_of_day(value),
            Self::Unit => plausible::unit(value),
            Self::Version => plausible::version(value),
        }
    }
}

/// OBX-5 by its type (HL7 table 0125).
fn observation(value_type: &[u8]) -> Parts {
    match value_type {
        b"NM" | b"SN" => MEASURES,
        b"TM" => TIME,
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
