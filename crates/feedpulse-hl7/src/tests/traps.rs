//! Traps of real messages, each with the defect that names it.

use super::{ADT, ack, decode, defects, message};
use feedpulse_core::defect::DefectCode::{self, *};
use feedpulse_core::defect::Verdict;
use feedpulse_core::sighting::{AckCode, AckCondition, ReasonClass, Seen};

/// A small clean message with this text behind MSH.
fn with(rest: &str) -> String {
    format!("MSH|^~\\&|A|B|C|D|20240101||ADT^A08|X1|P|2.5\r{rest}")
}

#[test]
fn a_clean_message_has_no_defect() {
    let seen = message(ADT);
    assert_eq!((seen.verdict, &seen.defects[..]), (Verdict::Readable, &[][..]));
    assert_eq!(seen.code.as_str(), "ADT");
    assert_eq!(seen.trigger.as_str(), "A01");
    assert_eq!((seen.sender.as_str(), seen.sender_facility.as_str()), ("EHR", "NORTH"));
    assert_eq!((seen.receiver.as_str(), seen.receiver_facility.as_str()), ("PORTAL", "NORTH"));
    assert_eq!((seen.version.as_str(), seen.processing), ("2.5.1", b'P'));
    assert_eq!(seen.control_id.clear().as_str(), "ID1");
    assert_eq!(seen.ack_mode.accept, AckCondition::Always);
    assert_eq!(seen.ack_mode.application, AckCondition::Never);
    assert_eq!(seen.size as usize, ADT.len());
}

#[test]
fn every_trap_is_named() {
    let lf = |text: &str| text.replace('\r', "\n");
    let cases: Vec<(Vec<u8>, Vec<DefectCode>)> = vec![
        (b"".to_vec(), vec![Empty]),
        (b"\r\n ".to_vec(), vec![LeadingBytes, Empty]),
        (b"PID|1||X".to_vec(), vec![NoHeader]),
        (b"hello".to_vec(), vec![NoHeader]),
        (b"BTS|9".to_vec(), vec![NoHeader]),
        (b"MSH".to_vec(), vec![HeaderShort]),
        (b"MSH|".to_vec(), vec![HeaderShort]),
        (b"MSH||A".to_vec(), vec![HeaderShort]),
        (b"MSHABCDE".to_vec(), vec![NoHeader]),
        (b"MSH|^~a&|A".to_vec(), vec![BadDelimiters]),
        (b"MSH|^^\\&|A".to_vec(), vec![BadDelimiters]),
        (b"MSH|^~\xff&|A".to_vec(), vec![BadDelimiters]),
        (b"\xff\xfeM\0S\0H\0".to_vec(), vec![Encoding16]),
        (b"M\0S\0H\0|\0".to_vec(), vec![Encoding16]),
        (b"\0M\0S\0H\0|".to_vec(), vec![Encoding16]),
        (b"<?xml version='1.0'?><ADT_A01/>".to_vec(), vec![XmlEncoded]),
        ([b"\xef\xbb\xbf".as_slice(), with("PID|1").as_bytes()].concat(), vec![ByteOrderMark]),
        (format!("\r\n {}", with("PID|1")).into_bytes(), vec![LeadingBytes]),
        (format!("\x0b{}\x1c\r", with("PID|1")).into_bytes(), vec![FramingInside]),
        (format!("{}\x0b", with("PID|1")).into_bytes(), vec![FrameOverlap]),
        (lf(&with("PID|1")).into_bytes(), vec![LineFeeds]),
        (with("PID|1").replace('\r', "\r\n").into_bytes(), vec![CarriageReturnLineFeeds]),
        (with("NTE|1||a\nb\rPID|1").into_bytes(), vec![ControlBytes]),
        (with("NTE|1||a\nPID|1||x\rPV1|1").into_bytes(), vec![MixedTerminators, ControlBytes]),
        (with("PID|1\r\nPV1|1").into_bytes(), vec![MixedTerminators]),
        (with("PID|1\r\rPV1|1").into_bytes(), vec![BlankSegment]),
        (with("PID|1\r\r\r").into_bytes(), vec![]),
        (with(" PID|1").into_bytes(), vec![LeadingBlank]),
        (with("Z_1|1\rPID|1").into_bytes(), vec![BadSegmentName]),
        (with("ZABC|1\rPID|1").into_bytes(), vec![BadSegmentName]),
        (with("EVN\rPID|1").into_bytes(), vec![]),
        (with("PID|1\rOB").into_bytes(), vec![BadSegmentName, Truncated]),
        (b"MSH|^~\\&|A|B|C".to_vec(), vec![Truncated, NoType, NoControlId, NoVersion]),
        (with("PID|1\x07").into_bytes(), vec![ControlBytes]),
        (with("PID|1\x1cx").into_bytes(), vec![FramingInside]),
        ([with("PID|").as_bytes(), b"\xe9"].concat(), vec![UndeclaredCharset]),
        (with("PID|1").replace("ADT^A08", "").into_bytes(), vec![NoType]),
        (with("PID|1").replace("X1", "\"\"").into_bytes(), vec![NoControlId]),
        (with("PID|1").replace("2.5", "3.0").into_bytes(), vec![NoVersion]),
        (with("PID|1").replace("20240101", "20241399").into_bytes(), vec![BadTime]),
        (with("PID|1").replace("|2.5", "|2.5|||AL").into_bytes(), vec![AckModeHalf]),
        (with("").replace("|2.5", "|2.5||||||KLINGON").into_bytes(), vec![UnknownCharset]),
        (b"MSH|^~|A|B|C|D|20240101||ADT^A08|X1|P|2.5\rPID|1".to_vec(), vec![Msh2Length]),
        (b"MSH|^~\\\\&|A|B|C|D|20240101||ADT^A08|X1|P|2.5".to_vec(), vec![RepeatedDelimiter]),
        (b"MSH|^~\\&#|A|B|C|D|20240101||ADT^A08|X1|P|2.7".to_vec(), vec![]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(defects(&bytes), expected, "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn declared_character_sets_are_believed() {
    let declared = |name: &str, value: &[u8]| {
        let head = with("").replace("|2.5", &format!("|2.5||||||{name}"));
        defects([head.as_bytes(), b"PID|1||", value].concat())
    };
    assert_eq!(declared("UNICODE UTF-8", "é".as_bytes()), []);
    assert_eq!(declared("UNICODE UTF-8", b"\xe9"), [NotUtf8]);
    assert_eq!(declared("8859/1", b"\xe9"), []);
    assert_eq!(declared("8859/1~UNICODE UTF-8", b"\xe9"), []);
    assert_eq!(declared("ASCII", b"\xe9"), [UndeclaredCharset]);
    assert_eq!(declared("ISO IR87", b"\x1b$B%F\x1b(B"), []);
    assert_eq!(declared("UTF-16", b"x"), [UnknownCharset]);
}

#[test]
fn five_encoding_characters_shift_nothing() {
    let seen = message("MSH|^~\\&#|A^1.2|B|C|D|20240101120000||ORU^R01|ID9|T|2.8");
    assert_eq!(seen.control_id.clear().as_str(), "ID9");
    assert_eq!((seen.sender.as_str(), seen.processing), ("A", b'T'));
}

#[test]
fn odd_delimiters_are_used() {
    let seen = message("MSH^~|\\&^SENDING^F^R^F^20120918173931-0500^^ADT~A24^2003^T^2.4\rEVN^A24");
    assert_eq!((seen.code.as_str(), seen.trigger.as_str()), ("ADT", "A24"));
    assert_eq!(seen.control_id.clear().as_str(), "2003");
    assert_eq!(seen.verdict, Verdict::Readable);
}

#[test]
fn every_header_in_a_frame_is_accounted_for() {
    let second = with("PID|2").replace("X1", "X2");
    for between in ["\r", "\r\r", "\n", "\r\n"] {
        let (decoded, seen) = decode(format!("{}{between}{second}", with("PID|1")));
        assert_eq!((decoded.messages, seen.len()), (2, 2), "{between:?}");
        let Seen::Message(second) = &seen[1].what else { panic!("a message") };
        assert_eq!(second.control_id.clear().as_str(), "X2");
        assert!(second.defects.iter().any(|defect| defect.code == ManyMessages));
    }
    let (decoded, _) = decode(format!("{}\rMSH|^^|\r{second}", with("PID|1")));
    assert_eq!((decoded.messages, decoded.unreadable), (2, 1));
    let (decoded, _) = decode(format!("garbage\r{second}"));
    assert_eq!((decoded.messages, decoded.unreadable), (1, 1));
}

#[test]
fn batches() {
    let one = with("PID|1");
    let batch = |trailer: &str| format!("FHS|^~\\&|A\rBHS|^~\\&|A\r{one}\r{one}\r{trailer}");
    let (decoded, seen) = decode(batch("BTS|2\rFTS|1\r"));
    assert_eq!((decoded.messages, decoded.batches, seen.len()), (2, 2, 3), "and the batch's end");
    assert_eq!(defects(batch("BTS|2\rFTS|1\r")), []);
    assert_eq!(defects(batch("BTS|3\rFTS|1\r")), [BatchCount]);
    assert_eq!(defects(batch("")), [BatchOpen]);
    assert_eq!(defects(batch("").replace('\r', "\n")), [LineFeeds, LineFeeds, BatchOpen]);
    // An empty batch is a legal heartbeat, or accepts the one that it answers.
    let (decoded, seen) = decode("BHS|^~\\&|A\rBTS|0");
    assert_eq!((decoded.batches, seen.len()), (1, 1));
    assert_eq!(defects("BHS|^~\\&|A\rBTS|4"), [BatchCount]);
    assert_eq!(defects("BHS|^~\\&|A\r"), [BatchOpen]);
}

#[test]
fn acks_are_told_by_msa() {
    let head = "MSH|^~\\&|P|N|E|N|20240101||ORL^O22|A1|P|2.5\r";
    let read = ack(&format!("{head}MSA|AE|ID1|nope\rERR|||204^Unknown key^HL70357|E||||x"));
    assert_eq!((read.code, read.reason), (AckCode::AE, ReasonClass::UnknownKey));
    assert_eq!((read.acked.clear().as_str(), read.error_code.as_str()), ("ID1", "204"));
    assert_eq!(read.ack_key, message(ADT).ack_key);
    assert!(read.defects.is_empty());
    for (text, reason) in [
        ("MSA|AR|1|Database connection lost", ReasonClass::Internal),
        ("MSA|AR|1|system UNAVAILABLE", ReasonClass::Unavailable),
        ("MSA|AE|1|Patient Doe^Jane not found", ReasonClass::UnknownKey),
        ("MSA|AE|1\rERR|PID^1^3^101&Required field missing&HL70357", ReasonClass::Structure),
        ("MSA|AE|1\rERR|||207^x|E|||timeout", ReasonClass::Internal),
        ("MSA|AE|1\rERR|||207^x|E|||record locked", ReasonClass::Locked),
        ("MSA|AE|1|something", ReasonClass::Other),
        ("MSA|AE|1", ReasonClass::None),
        ("MSA|AA|1|all fine, nothing missing", ReasonClass::None),
    ] {
        assert_eq!(ack(&format!("{head}{text}")).reason, reason, "{text}");
    }
    let odd = ack(&format!("{head}MSA|OK|"));
    assert_eq!(odd.ack_key, None);
    let codes: Vec<_> = odd.defects.iter().map(|defect| defect.code).collect();
    assert_eq!(codes, [AckCodeUnknown, AckWithoutId]);
    let bare = ack("MSH|^~\\&|P|N|E|N|20240101||ACK|A1|P|2.5\r");
    assert_eq!((bare.code, bare.ack_key), (AckCode::Other, None));
    let doubtful = ack(&format!("{head}MSA|AE|1\rERR|||Doe Jane 1970"));
    assert!(doubtful.error_code.is_empty(), "only what looks like a code leaves");
}

#[test]
fn too_many_segments_are_cut_and_named() {
    let mut text = with("");
    text.push_str(&"NTE|1\r".repeat(70_000));
    assert_eq!(defects(&text), [TooManySegments]);
    let (decoded, _) = decode(format!("{text}{}", with("")));
    assert_eq!(decoded.messages, 2);
}
