//! HL7 text as the senders, the engine and the portals write it.

use std::fmt::Write as _;

/// The run begins at 2026-03-01T00:00:00Z.
pub const EPOCH_SECS: i64 = 1_772_323_200;

/// `YYYYMMDDHHMMSS+0000` of a moment of the run (µs since its start).
#[must_use]
pub fn dtm(micros: i64) -> String {
    let secs = EPOCH_SECS + micros.div_euclid(1_000_000);
    let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    // Civil date from days since the epoch (proleptic Gregorian calendar).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}{h:02}{m:02}{s:02}+0000")
}

/// What kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A result, to all portals.
    Result,
    /// An update of a patient, to the first portal.
    Update,
    /// An appointment, which the engine does not send on.
    Appointment,
}

/// A message as some application writes it.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// MSH-3.
    pub from: &'a str,
    /// MSH-10.
    pub id: &'a str,
    /// What.
    pub kind: Kind,
    /// Its number in the whole run: the business identifiers come from it.
    pub number: usize,
    /// MSH-7.
    pub made: i64,
    /// OBR-22 or EVN-2.
    pub event: i64,
    /// MSH-15 and MSH-16 with their separators, or nothing.
    pub mode: &'static str,
    /// A critical result.
    pub critical: bool,
}

/// Its bytes.
#[must_use]
pub fn message(letter: &Letter<'_>) -> Vec<u8> {
    let Letter { from, id, kind, number, made, event, mode, critical } = letter;
    let (msh9, made, event) = (msh9(*kind), dtm(*made), dtm(*event));
    let mut text = format!("MSH|^~\\&|{from}|NORTH|PORTAL|WEB|{made}||{msh9}|{id}|P|2.5.1{mode}\r");
    let patient = 1_000 + number % 97;
    let written = match kind {
        Kind::Result => {
            let flag = if *critical { "HH" } else { "N" };
            write!(
                text,
                "PID|1||{patient}^^^NORTH\rORC|RE|P{number}|F{number}\r\
                 OBR|1|P{number}|F{number}|GLU|||{event}|||||||||||||||{event}|||F\r\
                 OBX|1|NM|GLU||9.1|mmol/L|4-6|{flag}|||F\r"
            )
        }
        Kind::Update => {
            write!(
                text,
                "EVN|A08|{event}\rPID|1||{patient}^^^NORTH\rPV1|1|I|W{number}|||||||||||||||||V{number}\r"
            )
        }
        Kind::Appointment => write!(text, "SCH|A{number}|B{number}\rPID|1||{patient}^^^NORTH\r"),
    };
    written.expect("writing to a string cannot fail");
    text.into_bytes()
}

const fn msh9(kind: Kind) -> &'static str {
    match kind {
        Kind::Result => "ORU^R01",
        Kind::Update => "ADT^A08",
        Kind::Appointment => "SIU^S12",
    }
}

/// A batch of messages (BHS-11 its id), or the answer to one (BHS-12 the id of that).
#[must_use]
pub fn batch(id: &str, answers: &str, at: i64, parts: &[Vec<u8>]) -> Vec<u8> {
    let at = dtm(at);
    let mut bytes =
        format!("BHS|^~\\&|ENGINE|NORTH|PORTAL|WEB|{at}||||{id}|{answers}\r").into_bytes();
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(format!("BTS|{}\r", parts.len()).as_bytes());
    bytes
}

/// An ACK.
#[must_use]
pub fn ack(code: &str, msa2: &str, number: u64, at: i64) -> Vec<u8> {
    let at = dtm(at);
    format!("MSH|^~\\&|PORTAL|WEB|ENGINE|NORTH|{at}||ACK|K{number}|P|2.5.1\rMSA|{code}|{msa2}\r")
        .into_bytes()
}
