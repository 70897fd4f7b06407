//! Times, escape sequences, paths, structure, urgency.

use super::{config, message, message_as};
use crate::dtm::{Dtm, DtmError};
use crate::index::Delimiters;
use crate::path::{Path, PathError, TypeMatch};
use crate::structure::{MAX_FIELD, StructureError, pick, structure};
use crate::text::{Charset, unescape};
use feedpulse_core::lag::Withheld;
use feedpulse_core::sighting::Urgency;
use feedpulse_core::time::Precision;
use jiff::tz::{Offset, TimeZone};

fn at(text: &str) -> (i64, Precision, bool) {
    let utc = TimeZone::fixed(Offset::UTC);
    let time = Dtm::read(text.as_bytes()).unwrap().event_time(None, Some(&utc)).unwrap();
    (time.at.as_micros(), time.precision, time.zone_stated)
}

#[test]
fn times_are_read_with_their_precision() {
    let second = 1_710_154_800_000_000; // 2024-03-11T11:00:00Z
    assert_eq!(at("2024"), (1_704_067_200_000_000, Precision::Day, false));
    assert_eq!(at("20240311"), (second - 11 * 3_600_000_000, Precision::Day, false));
    assert_eq!(at("2024031111"), (second, Precision::Minute, false));
    assert_eq!(at("202403111100"), (second, Precision::Minute, false));
    assert_eq!(at("20240311110000"), (second, Precision::Second, false));
    for stated in ["20240311120000+0100", "20240311060000-05:00", "20240311T110000Z"] {
        assert_eq!(at(stated), (second, Precision::Second, true), "{stated}");
    }
    assert_eq!(at("20240311110000.123456789+00"), (second + 123_456, Precision::Fraction, true));
    assert_eq!(at("202403111630+0530"), (second, Precision::Minute, true));
    assert_eq!(at("20240229"), (1_709_164_800_000_000, Precision::Day, false));
    assert_eq!(at("19691231235959"), (-1_000_000, Precision::Second, false));
}

#[test]
fn bad_times_say_why() {
    for (text, why) in [
        ("", DtmError::Digits),
        ("202", DtmError::Digits),
        ("2024031", DtmError::Digits),
        ("yesterday", DtmError::Digits),
        ("00000000", DtmError::Range("month")),
        ("00000101", DtmError::Range("year")),
        ("20241399", DtmError::Range("month")),
        ("20230229", DtmError::Range("day")),
        ("2024010124", DtmError::Range("hour")),
        ("202401012360", DtmError::Range("minute")),
        ("20240101235961", DtmError::Range("second")),
        ("20240101120000+2500", DtmError::Range("zone")),
        ("20240101120000+1", DtmError::Tail),
        ("20240101120000.", DtmError::Tail),
        ("202401011200.5", DtmError::Tail),
        ("20240101120000123", DtmError::Tail),
        ("20240101 1200", DtmError::Tail),
    ] {
        assert_eq!(Dtm::read(text.as_bytes()).unwrap_err(), why, "{text}");
    }
}

#[test]
fn a_site_zone_knows_its_folds() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let secs = |text: &str| {
        let dtm = Dtm::read(text.as_bytes()).unwrap();
        dtm.event_time(None, Some(&berlin)).unwrap().at.as_secs()
    };
    assert_eq!(secs("20240701120000"), 1_719_828_000);
    assert_eq!(secs("20240101120000"), 1_704_106_800);
    // 02:30 occurs twice on this day, and not at all on the other: nothing is guessed.
    for text in ["20241027023000", "20240331023000"] {
        let dtm = Dtm::read(text.as_bytes()).unwrap();
        assert_eq!(dtm.event_time(None, Some(&berlin)), None, "{text}");
    }
}

#[test]
fn event_time_by_order_of_trust() {
    let secs = |msh9: &str, rest: &str| {
        let head = format!("MSH|^~\\&|A|B|C|D|20240101100000+0000||{msh9}|X|P|2.5\r");
        message(format!("{head}{rest}")).event_time.unwrap().at.as_secs() - 1_704_103_200
    };
    let obr22 = format!("OBR|1{}|20240101090000", "|".repeat(20));
    let orc = |control: &str| format!("ORC|{control}||||||||20240101093000\r");
    let signed = format!("TXA|1{}|D^Dr{}20240101095500", "|".repeat(20), "^".repeat(13));
    for (msh9, rest, expected) in [
        ("ORU^R01", format!("{}{obr22}", orc("RE")), -3600),
        ("ORU^R01", format!("{}OBR|1", orc("RE")), -1800),
        // Behind any other ORC-1, ORC-9 is about the order, not the result.
        ("ORU^R01", format!("{}OBR|1", orc("SC")), 0),
        ("ORM^O01", format!("{}OBR|1", orc("NW")), -1800),
        ("ORU^R01", "EVN||20240101095900".to_owned(), 0),
        ("ADT^A01", "EVN||20240101095900".to_owned(), -60),
        ("ADT^A01", "EVN||\"\"".to_owned(), 0),
        ("ADT^A01", "EVN||20249999".to_owned(), 0),
        ("MDM^T02", format!("EVN||20240101095900\r{signed}"), -300),
        ("MDM^T02", "EVN||20240101095900\rTXA|1".to_owned(), -60),
        ("SIU^S12", "EVN||20240101095900".to_owned(), 0),
        ("VXU^V04", orc("RE"), 0),
    ] {
        assert_eq!(secs(msh9, &rest), expected, "{msh9} {rest}");
    }
}

#[test]
fn a_missing_event_time_has_its_reason() {
    let seen = |msh7: &str, rest: &str| {
        let seen = message(format!("MSH|^~\\&|A|B|C|D|{msh7}||ADT^A01|X|P|2.5\r{rest}"));
        (seen.event_time.is_some(), seen.withheld, seen.made.is_some(), seen.defects.len())
    };
    assert_eq!(seen("20240101100000+0000", ""), (true, None, true, 0));
    assert_eq!(seen("20240101100000", ""), (false, Some(Withheld::NoZone), false, 0));
    assert_eq!(seen("", ""), (false, Some(Withheld::NoTime), false, 0));
    assert_eq!(seen("yesterday", ""), (false, Some(Withheld::Unreadable), false, 1));
    assert_eq!(seen("", "EVN||20240101100000+0100"), (true, None, false, 0));
}

#[test]
fn escape_sequences() {
    let by = Delimiters { truncation: Some(b'#'), ..Delimiters::default() };
    for (raw, plain) in [
        ("plain", "plain"),
        (r"a\F\b\S\c\T\d\R\e\E\f\P\", r"a|b^c&d~e\f#"),
        (r"日本\T\語", "日本&語"),
        (r"é\F\x", "é|x"),
        (r"\X0D0A\x\X4a\", "\r\nxJ"),
        (r"\H\bold\N\", "bold"),
        (r"one\.br\two", "one\ntwo"),
        (r"C:\temp\new", r"C:\temp\new"),
        (r"open\", r"open\"),
        (r"\X0\", r"\X0\"),
        (r"\XZZ\", r"\XZZ\"),
        (r"\Z01\x\F\", r"\Z01\x|"),
        (r"\\\\", r"\\\\"),
    ] {
        let mut scratch = Vec::new();
        let read = unescape(raw.as_bytes(), &by, &mut scratch);
        assert_eq!(String::from_utf8_lossy(read), plain, "{raw}");
    }
}

#[test]
fn character_sets_by_name() {
    assert_eq!(Charset::named(b"8859/1").decode(b"\xe9"), "é");
    assert_eq!(Charset::named(b"UNICODE UTF-8").decode("é".as_bytes()), "é");
    assert_eq!(Charset::named(b"WINDOWS-1252").decode(b"\x80"), "€");
    assert_eq!(Charset::named(b"").decode(b"\xe9"), "é");
    assert_eq!(Charset::named(b"UNICODE UTF-16"), Charset::Unknown);
    assert_eq!(Charset::named(b"ISO IR87").decode(b"\x1b$B%F\x1b(B"), "テ");
}

#[test]
fn paths() {
    for text in ["OBR-25", "PID-3.1", "OBX-5[*]", "PID-3[2].4.1", "ZA1-999"] {
        assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
    }
    let number = |text: &str, what| PathError::Number { text: text.to_owned(), what };
    for (text, error) in [
        ("", PathError::Segment(String::new())),
        ("pid-3", PathError::Segment("pid-3".to_owned())),
        ("PID", PathError::Field("PID".to_owned())),
        ("PID.3", PathError::Field("PID.3".to_owned())),
        ("PID-0", number("PID-0", "field")),
        ("PID-99999999999", number("PID-99999999999", "field")),
        ("PID-3[0]", number("PID-3[0]", "repetition")),
        ("PID-3[1", number("PID-3[1", "repetition")),
        ("PID-3.", number("PID-3.", "component")),
        ("PID-3.1.1.1", PathError::Tail("PID-3.1.1.1".to_owned())),
    ] {
        assert_eq!(text.parse::<Path>().unwrap_err(), error);
    }
    let any: TypeMatch = "ORU".parse().unwrap();
    let one: TypeMatch = "ORU^R01".parse().unwrap();
    assert!(any.matches(b"ORU", b"R30") && one.matches(b"ORU", b"R01"));
    assert!(!one.matches(b"ORU", b"R30") && !any.matches(b"ORM", b"O01"));
    assert!("ORU^".parse::<TypeMatch>().is_err());
}

#[test]
fn structure_consumes_all_or_says_no() {
    let by = Delimiters::default();
    let field = structure("a^b&c~d", &by).unwrap();
    assert_eq!(pick(&field, 1, Some(2), Some(2)), "c");
    assert_eq!(pick(&field, 2, Some(1), None), "d");
    assert_eq!(pick(&field, 3, None, None), "");
    assert_eq!(structure("a|b", &by).unwrap_err(), StructureError::NotConsumed);
    let long = "x".repeat(MAX_FIELD + 1);
    assert_eq!(structure(&long, &by).unwrap_err(), StructureError::TooLong);
    let bare = Delimiters { repetition: None, subcomponent: None, escape: None, ..by };
    assert_eq!(pick(&structure("a~b^c", &bare).unwrap(), 1, Some(1), None), "a~b");
}

#[test]
fn urgency() {
    let of = |msh9: &str, rest: &str| {
        message(format!("MSH|^~\\&|A|B|C|D|20240101||{msh9}|X|P|2.5\r{rest}")).urgency
    };
    for (msh9, rest, urgency) in [
        ("ORU^R01", "OBX|1|NM|K||7.1|||HH|||F", Urgency::Critical),
        ("ORU^R01", "OBX|1|NM|K||7.1|||H~LL^low|||F", Urgency::Critical),
        ("ORU^R01", "OBX|1|NM|K||7.1|||H|||F", Urgency::Routine),
        ("ORU^R01", "OBX|1|NM|K||7.1|||N|||C", Urgency::Correction),
        ("ORU^R01", "OBR|1||||||||||||||||||||||||C", Urgency::Correction),
        ("ORU^R01", "OBR|1||||||||||||||||||||||||C\rOBX|1|NM|K||7|||AA|||C", Urgency::Critical),
        ("ORM^O01", "OBR|1||||S", Urgency::Critical),
        ("ORM^O01", "ORC|NW||||||^^^^^S", Urgency::Critical),
        ("OML^O21", "TQ1|1||||||||S^Stat", Urgency::Critical),
        ("OML^O21", "TQ1|1||||||||R", Urgency::Routine),
        ("ADT^A40", "PID|1", Urgency::Correction),
        ("ADT^A11", "PID|1", Urgency::Correction),
        ("ADT^A01", "OBX|1|NM|K||7.1|||HH", Urgency::Routine),
        ("MDM^T11", "TXA|1", Urgency::Correction),
        ("MDM^T09", "TXA|1", Urgency::Correction),
        ("MDM^T07", "TXA|1", Urgency::Correction),
        ("MDM^T06", "TXA|1", Urgency::Routine),
        ("ADT^A45", "MRG|1", Urgency::Correction),
        ("ADT^A24", "PID|1", Urgency::Routine),
    ] {
        assert_eq!(of(msh9, rest), urgency, "{msh9} {rest}");
    }
    let mut site = config();
    site.urgent_types = vec!["ADT^A03".parse().unwrap()];
    let seen = message_as(site, b"MSH|^~\\&|A|B|C|D|20240101||ADT^A03|X|P|2.5\r");
    assert_eq!(seen.urgency, Urgency::Critical);
}
