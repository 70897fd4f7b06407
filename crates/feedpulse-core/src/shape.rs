//! The shape of messages: which segments, valued fields, delimiters, character sets and table codes
//! they have. Patient-free by construction: a [`Part`] can hold a segment's name, a field's number, the
//! punctuation of MSH-1 and MSH-2, a row of table 0211, or a code of a field that HL7 binds to a table
//! ([`CODED`]), of at most eight capitals and digits; whatever else stands there is `other`.

use crate::label::Label;
use core::fmt;

mod collect;

pub use collect::{Collector, PARTS_MAX};

/// One thing that messages have, in one number; their order puts a segment before its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part(pub u64);

/// What a part is, in its highest byte.
const CLASS: u32 = 56;
const FIELD: u64 = 0;
const DELIMITERS: u64 = 1;
const CHARSET: u64 = 2;
const CODE: u64 = 3;
const KIND: u64 = 4;
/// Where a code's field stands below the class.
const AT: u32 = 48;
/// A code that is none of a table's form.
const OTHER: u64 = (1 << AT) - 1;
/// Fields beyond this number are not told apart.
pub const FIELD_MAX: u8 = 127;
/// Longest code.
pub const CODE_MAX: usize = 8;

/// A coded field: segment, field, component, and the HL7 table that its values come from.
#[derive(Clone, Copy, Debug)]
pub struct Coded {
    /// Its segment.
    pub segment: &'static str,
    /// Its number.
    pub field: u8,
    /// Its component; 0 = the first one, and the field is named without it.
    pub component: u8,
    /// The table (HL7 v2.5.1, chapter 2C of v2.8 for newer ones).
    pub table: &'static str,
}

const fn coded(segment: &'static str, field: u8, component: u8, table: &'static str) -> Coded {
    Coded { segment, field, component, table }
}

/// The fields whose codes are learned: none that says anything about a person. A field's place here is
/// part of the log's layout: new ones go behind the last.
pub const CODED: &[Coded] = &[
    coded("MSH", 9, 3, "0354"),
    coded("MSH", 15, 0, "0155"),
    coded("MSH", 16, 0, "0155"),
    coded("PV1", 2, 0, "0004"),
    coded("ORC", 1, 0, "0119"),
    coded("ORC", 5, 0, "0038"),
    coded("OBR", 11, 0, "0065"),
    coded("OBR", 24, 0, "0074"),
    coded("OBR", 25, 0, "0123"),
    coded("OBX", 2, 0, "0125"),
    coded("OBX", 11, 0, "0085"),
    coded("TXA", 2, 0, "0270"),
    coded("TXA", 17, 0, "0271"),
    coded("TXA", 19, 0, "0273"),
    coded("NTE", 2, 0, "0105"),
    coded("MFI", 6, 0, "0179"),
    coded("MFE", 1, 0, "0180"),
    coded("RXA", 20, 0, "0322"),
    coded("RXA", 21, 0, "0323"),
    coded("SCH", 25, 0, "0278"),
    coded("TQ1", 12, 0, "0472"),
];

/// Table 0211, as it is written in the field; the first = MSH-18 is empty, the last = none of these.
const CHARSETS: [&str; 24] = [
    "none declared",
    "ASCII",
    "8859/1",
    "8859/2",
    "8859/3",
    "8859/4",
    "8859/5",
    "8859/6",
    "8859/7",
    "8859/8",
    "8859/9",
    "8859/15",
    "ISO IR6",
    "ISO IR14",
    "ISO IR87",
    "ISO IR159",
    "GB 18030-2000",
    "KS X 1001",
    "CNS 11643-1992",
    "BIG-5",
    "UNICODE",
    "UNICODE UTF-8",
    "UTF-8",
    "other",
];

/// Segments of HL7 v2.1 to v2.9, sorted, four bytes each; others than these and Z segments are `other`.
const SEGMENTS: &[u8] = b"ABS ACC ADD ADJ AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX BUI \
    CDM CDO CER CM0 CM1 CM2 CNS CON CSP CSR CSS CTD CTI CTR DB1 DEV DG1 DMI DON DPS DRG DSC DSP DST ECD \
    ECR EDU EQL EQP EQU ERQ ERR EVN FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM IAR IIM ILT IN1 IN2 IN3 INV IPC \
    IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL MCP MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU NSC NST NTE \
    OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6 OM7 OMC ORC ORG OVR PAC PCE PCR PD1 PDA PDC \
    PEO PES PID PKG PM1 PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF \
    QRI RCP RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD \
    SFT SGH SGT SHP SID SLT SPM SPR STF STZ TCC TCD TQ1 TQ2 TXA UAC UB1 UB2 URD URS VAR VND VTQ ";

/// The digits of names and codes.
const DIGITS: &[u8; 38] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_";

/// Up to `most` characters as digits from 1; None for others, for none, and for more.
fn pack(text: &[u8], most: usize) -> Option<u64> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    text.iter().try_fold(0, |packed, byte| {
        let digit = DIGITS.iter().position(|known| known == byte)? as u64 + 1;
        Some(packed << 6 | digit)
    })
}

/// The characters that [`pack`] took; what is no digit is left out.
fn unpack(packed: u64) -> String {
    let digit = |n: u32| usize::try_from(packed >> (6 * n) & 63).unwrap_or(0);
    let digits = (0..10).rev().map(digit).filter_map(|d| DIGITS.get(d.checked_sub(1)?));
    digits.map(|byte| char::from(*byte)).collect()
}

impl Part {
    /// A segment by its name.
    #[must_use]
    pub fn segment(name: &[u8]) -> Self {
        let known = || {
            let (all, _) = SEGMENTS.as_chunks::<4>();
            all.binary_search_by(|known| known[..3].cmp(name)).is_ok()
        };
        let of_site = matches!(name, [b'Z', b, c]
            if [b, c].iter().all(|x| x.is_ascii_uppercase() || x.is_ascii_digit()));
        let packed = if of_site || known() { pack(name, 3).unwrap_or(0) } else { 0 };
        Self(packed << 8)
    }

    /// A field of a segment, by its number from 1 to [`FIELD_MAX`].
    #[must_use]
    pub const fn field(self, number: u8) -> Self {
        let number = if number > FIELD_MAX { FIELD_MAX } else { number };
        Self(self.0 & !0xff | number as u64)
    }

    /// MSH-1 and MSH-2, at most six characters; whatever is no punctuation counts as a blank.
    #[must_use]
    pub fn delimiters(all: &[u8]) -> Self {
        let fold = |packed: u64, byte: &u8| {
            packed << 8 | u64::from(if byte.is_ascii_punctuation() { *byte } else { b' ' })
        };
        Self(DELIMITERS << CLASS | all.iter().take(6).fold(0, fold))
    }

    /// MSH-18, its first valued repetition.
    #[must_use]
    pub fn charset(name: &[u8]) -> Self {
        let name = if name.is_empty() { CHARSETS[0].as_bytes() } else { name };
        let row = CHARSETS.iter().position(|known| known.as_bytes() == name);
        Self(CHARSET << CLASS | row.unwrap_or(CHARSETS.len() - 1) as u64)
    }

    /// A code of the field at a place of [`CODED`].
    #[must_use]
    pub fn code(place: usize, value: &[u8]) -> Self {
        Self(CODE << CLASS | (place as u64 & 0xff) << AT | pack(value, CODE_MAX).unwrap_or(OTHER))
    }

    /// A message type.
    #[must_use]
    pub fn kind(code: &Label, trigger: &Label) -> Self {
        let packed = |label: &Label| pack(label.as_str().as_bytes(), 4).unwrap_or(0);
        Self(KIND << CLASS | packed(code) << 24 | packed(trigger))
    }

    /// The segment that a field stands in; None for a segment and for what is no field.
    #[must_use]
    pub const fn of_segment(self) -> Option<Self> {
        let is_field = self.0 >> CLASS == FIELD && self.0 & 0xff != 0;
        if is_field { Some(Self(self.0 & !0xff)) } else { None }
    }

    /// Whether it is `other`, or stands in it: a field in its segment, a code in its field.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        let place = usize::try_from(self.0 >> AT & 0xff).unwrap_or(usize::MAX);
        let coded = CODED.get(place).filter(|_| self.0 >> CLASS == CODE);
        let field = coded.map(|c| Self::segment(c.segment.as_bytes()).field(c.field));
        let all = [Some(self), field, field.unwrap_or(self).of_segment()];
        all.contains(&Some(other))
    }

    /// Whether it says how all bytes of a message are read: delimiters or the character set.
    #[must_use]
    pub const fn is_reading(self) -> bool {
        matches!(self.0 >> CLASS, DELIMITERS | CHARSET)
    }

    /// Whether it is a message type.
    #[must_use]
    pub const fn is_kind(self) -> bool {
        self.0 >> CLASS == KIND
    }

    /// From what its `Display` says, such as `ZPD`, `PID-40` or `OBX-11 = X`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("charset ") {
            return Some(Self::charset(name.trim().as_bytes()));
        }
        if let Some(all) = text.strip_prefix("delimiters ") {
            return Some(Self::delimiters(all.as_bytes()));
        }
        if let Some(kind) = text.strip_prefix("type ") {
            let (code, trigger) = kind.split_once('^').unwrap_or((kind, ""));
            return Some(Self::kind(&Label::from(code), &Label::from(trigger)));
        }
        if let Some((field, value)) = text.split_once('=') {
            let place = CODED.iter().position(|coded| coded.to_string() == field.trim())?;
            return Some(Self::code(place, value.trim().as_bytes()));
        }
        let (name, number) = match text.split_once('-') {
            Some((name, number)) => (name, Some(number.parse::<u8>().ok()?)),
            None => (text.trim_end_matches(" segment"), None),
        };
        let segment = Self::segment(name.as_bytes());
        let known = segment.0 != 0 || name == OTHER_NAME;
        let fits = number.is_none_or(|n| (1..=FIELD_MAX).contains(&n));
        (known && fits).then(|| number.map_or(segment, |n| segment.field(n)))
    }
}

/// A segment that HL7 does not know.
const OTHER_NAME: &str = "other";

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.segment, self.field)?;
        if self.component > 0 { write!(f, ".{}", self.component) } else { Ok(()) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.0 & ((1 << CLASS) - 1);
        match self.0 >> CLASS {
            FIELD => {
                let name = unpack(rest >> 8);
                let name = if name.is_empty() { OTHER_NAME } else { name.as_str() };
                match rest & 0xff {
                    0 => write!(f, "{name} segment"),
                    n => write!(f, "{name}-{n}"),
                }
            }
            DELIMITERS => {
                let [_, _, text @ ..] = rest.to_be_bytes();
                let printable = text.into_iter().filter(|byte| (0x20..0x7f).contains(byte));
                write!(f, "delimiters {}", printable.map(char::from).collect::<String>())
            }
            CHARSET => {
                let row = usize::try_from(rest).unwrap_or(usize::MAX);
                write!(f, "charset {}", CHARSETS.get(row).unwrap_or(&OTHER_NAME))
            }
            CODE => {
                let field = usize::try_from(rest >> AT).ok().and_then(|place| CODED.get(place));
                match field {
                    Some(field) => write!(f, "{field} = ")?,
                    None => f.write_str("code = ")?,
                }
                match rest & OTHER {
                    OTHER => f.write_str(OTHER_NAME),
                    code => f.write_str(&unpack(code)),
                }
            }
            KIND => {
                let (code, trigger) = (unpack(rest >> 24), unpack(rest & 0xff_ffff));
                match (code.as_str(), trigger.as_str()) {
                    ("", _) => write!(f, "type {OTHER_NAME}"),
                    (code, "") => write!(f, "type {code}"),
                    (code, trigger) => write!(f, "type {code}^{trigger}"),
                }
            }
            _ => f.write_str(OTHER_NAME),
        }
    }
}

/// Messages of one sender and type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeKey {
    /// MSH-3.1.
    pub sender: Label,
    /// MSH-9.1.
    pub code: Label,
    /// MSH-9.2.
    pub trigger: Label,
}

/// What some messages of one sender and type had, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeSeen {
    /// Of whom and what.
    pub key: ShapeKey,
    /// How many messages were looked at, at least one.
    pub messages: u32,
    /// What they had, ascending, and how many of them each: from 1 to `messages`.
    pub parts: Vec<(Part, u32)>,
}

#[cfg(test)]
mod tests {
    use super::{CODED, Part};

    #[test]
    fn a_part_is_what_it_says() {
        for text in [
            "ZPD segment",
            "PID-40",
            "OBX-11 = X",
            "MSH-9.3 = ORU_R01",
            "charset UNICODE UTF-8",
            "charset none declared",
            "delimiters |^~\\&#",
            "type ADT^A60",
            "type MFN",
            "other segment",
            "SCH-25 = COMPLETE",
        ] {
            let part = Part::parse(text).expect(text);
            assert_eq!(part.to_string(), text);
        }
        assert_eq!(Part::parse("ZPD"), Part::parse("ZPD segment"));
        for bad in ["", "PID-0", "PID-200", "PID-x", "DOE", "PID-5 = DOE"] {
            assert_eq!(Part::parse(bad), None, "{bad}");
        }
        assert!(Part::segment(b"PID") < Part::segment(b"PID").field(3));
        assert_eq!(Part::segment(b"PID").field(3).of_segment(), Some(Part::segment(b"PID")));
        assert_eq!(Part::segment(b"PID").of_segment(), None);
        let part = |text| Part::parse(text).expect(text);
        for (one, other, within) in [
            ("OBX-11 = X", "OBX-11", true),
            ("OBX-11 = X", "OBX", true),
            ("OBX-11 = X", "OBX-2", false),
            ("ZPD-3", "ZPD", true),
            ("ZPD", "ZPD", true),
            ("ZPD", "ZPD-3", false),
            ("charset ASCII", "OBX", false),
        ] {
            assert_eq!(part(one).is_within(part(other)), within, "{one} in {other}");
        }
    }

    #[test]
    fn what_no_table_has_the_form_of_is_other() {
        for value in ["jane", "DOE^JANE", "SMITH-JONES", "TOOLONGNAME", "19800101T", "É"] {
            for (place, field) in CODED.iter().enumerate() {
                let part = Part::code(place, value.as_bytes());
                assert_eq!(part.to_string(), format!("{field} = other"), "{value}");
            }
        }
        assert_eq!(Part::segment(b"DOE").to_string(), "other segment");
        assert_eq!(Part::charset(b"Jane Doe").to_string(), "charset other");
        assert_eq!(Part::delimiters(b"ab|").to_string(), "delimiters   |");
    }

    #[test]
    fn every_segment_of_the_standard_is_known() {
        let (all, rest) = super::SEGMENTS.as_chunks::<4>();
        assert!(all.is_sorted() && rest.is_empty() && all.len() > 150);
        for name in all {
            let text = String::from_utf8_lossy(&name[..3]).into_owned();
            assert_eq!(name[3], b' ', "{text}");
            assert_eq!(Part::segment(&name[..3]).to_string(), format!("{text} segment"));
        }
    }

    #[test]
    fn any_number_can_be_said() {
        for n in (0..64).map(|shift| u64::MAX >> shift).chain((0..6).map(|class| class << 56)) {
            assert!(!Part(n).to_string().is_empty(), "{n:x}");
        }
    }
}
