//! Files, check rows, JSON values.

use super::{ADT, config, frame, message};
use crate::decode::Decoder;
use crate::inspect::Inspector;
use crate::json::{Encoding, ReceiptFormat, ValueFormat};
use crate::keys::control_id_key;
use crate::rows::{About, FIELD, REPETITION, RowError, RowMeta, RowSpec, Told};
use crate::split::{Next, next_piece, split_file};
use feedpulse_core::class::{AckClass, AckClasses};
use feedpulse_core::defect::{DefectCode, Verdict};
use feedpulse_core::effect::JourneyEnd;
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{AckCode, LinkEvent, Outcome, ReasonClass, Seen};
use feedpulse_core::time::Timestamp;

fn pieces(text: &str) -> Vec<&str> {
    split_file(text.as_bytes())
        .map(|piece| text.get(piece.start..piece.end).expect("pieces end between characters"))
        .collect()
}

#[test]
fn files_are_split_however_they_were_written() {
    let (a, b) = ("MSH|^~\\&|A\rPID|1", "MSH|^~\\&|B\rPID|2");
    for text in [
        format!("{a}\r{b}\r"),
        format!("{a}\n{b}\n"),
        format!("{a}\r\n\r\n{b}\r\n"),
        format!("\x0b{a}\x1c\r\x0b{b}\x1c\r"),
        format!("\x0b{a}\x1c\r\n\x0b{b}\x1c\r\n"),
        format!("\n\n{a}\n\x0b{b}"),
        format!("\x0b{a}\x0b{b}\x1c"),
    ] {
        assert_eq!(pieces(&text), [a, b], "{text:?}");
    }
    let lf = (a.replace('\r', "\n"), b.replace('\r', "\n"));
    assert_eq!(pieces(&format!("{}\n\n{}", lf.0, lf.1)), [lf.0, lf.1]);
    assert_eq!(pieces(&format!("\u{feff}{a}\r{b}")), [format!("\u{feff}{a}").as_str(), b]);
    assert_eq!(pieces(&format!("# notes\n# more\n{a}\r{b}")), ["# notes\n# more", a, b]);
    let batch = format!("FHS|^~\\&|\rBHS|^~\\&|\r{a}\r{b}\rBTS|2\rFTS|1");
    assert_eq!(pieces(&format!("{batch}\r{batch}\r")), [batch.as_str(), batch.as_str()]);
    let batch = format!("BHS|^~\\&|\r{a}\r{b}\rBTS|2");
    assert_eq!(pieces(&format!("{batch}\r{a}")), [batch.as_str(), a]);
    assert_eq!(pieces("\r\n \n"), [""; 0]);
}

#[test]
fn a_piece_at_the_end_of_a_buffer_waits_for_more() {
    let text = b"MSH|^~\\&|A\rPID|1\rMSH|^~\\&|B\r";
    for len in 1..24 {
        assert_eq!(next_piece(&text[..len], false), Next::More, "{len}");
    }
    assert!(matches!(next_piece(text, false), Next::Piece(piece) if piece.next == 17));
    assert_eq!(next_piece(b"\x0bMSH|^~\\&|A\x1c", false), Next::More);
    assert_eq!(next_piece(b"\r\n", false), Next::Blank(2));
}

#[test]
fn inspection_shows_the_header_only() {
    let mut out = Vec::new();
    Inspector::new(config()).inspect(format!("{ADT}\rMSH|^~a").as_bytes(), &mut out);
    let [first, second] = &out[..] else { panic!("two entries: {out:?}") };
    assert_eq!((first.verdict, first.segments, first.terminator), (Verdict::Readable, 4, "CR"));
    assert_eq!((first.msh9.as_str(), first.charset), ("ADT^A01^ADT_A01", "UTF-8"));
    assert_eq!((first.offset, first.length), (0, ADT.len() as u64 + 1));
    assert_eq!((second.verdict, second.offset), (Verdict::Unreadable, ADT.len() as u64 + 1));
    let shown = format!("{out:?}");
    assert!(!shown.contains("Doe") && !shown.contains("4711"));
}

fn row(fields: &[&str], text: &str) -> String {
    let (mut spec, mut out) = (RowSpec::new(fields).unwrap(), String::new());
    assert!(spec.join_bytes(text.as_bytes(), &RowMeta::default(), &mut out));
    out
}

#[test]
fn rows_hold_the_declared_fields_only() {
    let text = "MSH|^~\\&|A|B|C|D|2024||ORU^R01|X|P|2.5\rPID|1||47^^^N&1~48^^^M||a\\T\\b\rOBX|1||||1\u{1F}2\rOBX|2||||x~y";
    for (fields, expected) in [
        (vec!["PID-3.1"], "47\u{1D}48"),
        (vec!["PID-3[2].1"], "48"),
        (vec!["PID-3[1].4.2"], "1"),
        (vec!["PID-3[1]"], "47^^^N&1"),
        (vec!["PID-5", "PID-5.1", "PID-5.2"], "a&b\u{1F}a&b\u{1F}"),
        (vec!["OBX-5"], "1\u{FFFD}2\u{1C}x\u{1D}y"),
        (vec!["MSH-2", "MSH-10", "ZZZ-1"], "^~\\&\u{1F}X\u{1F}"),
        (vec!["@type", "@received-ms", "@urgency", "@key"], "ORU^R01\u{1F}0\u{1F}routine\u{1F}"),
    ] {
        assert_eq!(row(&fields, text), expected, "{fields:?}");
    }
    // The header's own delimiters are no value with parts, whichever are declared.
    let narrow = "MSH|^~|A|B\rPID|1||4~5~~7";
    assert_eq!(row(&["MSH-1", "MSH-2"], narrow), "|\u{1F}^~");
    // In any order, and over two segments of a name: each field is found from where the last one stood.
    let order = ["PID-5", "PID-3", "PID-4", "PID-4", "PID-1", "PID-9", "PID-2"];
    let two = "MSH|^~\\&|A|B\rPID|1|2|3|4|5\rPID|6|7|8|9|0";
    assert_eq!(
        row(&order, two).replace('\u{1C}', "+"),
        "5+0\u{1F}3+8\u{1F}4+9\u{1F}4+9\u{1F}1+6\u{1F}+\u{1F}2+7"
    );
    // Fields that need no resolving are cut and joined by a short way.
    let plain = "MSH|^~\\&|A|B\rPID|1||4^a&b~5~~7";
    let by = ["PID-3", "PID-3[1]", "PID-3[2]", "PID-3[3]", "PID-3[4]", "PID-3[5]"];
    assert_eq!(row(&by, plain), "4^a&b\u{1D}5\u{1D}\u{1D}7\u{1F}4^a&b\u{1F}5\u{1F}\u{1F}7\u{1F}");
    assert_eq!(
        row(&["@shape"], "MSH|^~\\&|A||C\rPID|||47\rzz|9\rZX1||\"\""),
        "MSH\u{1D}2\u{1D}3\u{1D}5\u{1C}PID\u{1D}3\u{1C}???\u{1D}1\u{1C}ZX1\u{1D}2",
        "names and numbers, no value"
    );
    let other = "MSH#*~\\@#A#B#C#D#2024##ADT*A01#X#P#2.5\rPID#1##4*5@6";
    assert_eq!(row(&["PID-3", "@type"], other), "4^5&6\u{1F}ADT^A01");
    let long = format!("{}OBX|1||||{}", "MSH|^~\\&|A|B\r", "é".repeat(40_000));
    assert!(row(&["OBX-5"], &long).ends_with('…'));
    assert!(matches!(RowSpec::new(&["@now"]), Err(RowError::Pseudo(_))));
    assert!(matches!(RowSpec::new::<&str>(&[]), Err(RowError::Count(0))));
    assert!(matches!(RowSpec::new(&["PID"]), Err(RowError::Path(_))));
}

#[test]
fn a_sighting_makes_the_row_meta() {
    let (mut out, mut rows) = (Vec::new(), String::new());
    let mut spec = RowSpec::new(&["@key", "@received-ms"]).unwrap();
    Decoder::new(config()).decode_with(&frame(ADT.as_bytes()), &mut out, &mut |message, seen| {
        let Seen::Message(what) = &seen.what else { panic!("a message") };
        spec.join(message, &RowMeta::of(seen.at, what), &mut rows);
    });
    let key = message(ADT).journey_key.unwrap();
    assert_eq!(rows, format!("{key:?}\u{1F}1700000000000"));
}

#[test]
fn rows_about_acks_are_read_from_the_ack() {
    let text = "MSH|^~\\&|P|P|L|L|2024||ACK^A01|A1|P|2.5\rMSA|AE|X17|no such\rERR|||204^^HL70357|E";
    let mut spec = RowSpec::new(&[
        "@about",
        "MSA-2",
        "ERR-3.1",
        "@type",
        "@ack-code",
        "@reason",
        "@ack-ms",
        "@key",
        "@urgency",
        "@waypoint",
    ])
    .unwrap();
    let (mut out, mut rows) = (Vec::new(), String::new());
    Decoder::new(config()).decode_with(&frame(text.as_bytes()), &mut out, &mut |message, seen| {
        let Seen::Ack(ack) = &seen.what else { panic!("an ACK") };
        let meta = RowMeta::of_ack(seen.at, ack, None, Some(40));
        spec.join(message, &RowMeta { waypoint: "portal", ..meta }, &mut rows);
    });
    let fields: Vec<&str> = rows.split(FIELD).collect();
    assert_eq!(
        fields,
        ["ack", "X17", "204", "ACK^A01", "AE", "unknown_key", "40", "", "", "portal"]
    );
}

#[test]
fn rows_about_outcomes_and_connections_hold_words_and_numbers() {
    let mut spec = RowSpec::new(&[
        "@about",
        "PID-3",
        "@type",
        "@outcome",
        "@ack-classes",
        "@tries",
        "@elapsed-ms",
        "@ack-code",
        "@reason",
        "@event",
        "@by",
        "@bytes",
        "@received-ms",
    ])
    .unwrap();
    let mut classes = AckClasses::default();
    classes.add(AckClass::Late);
    classes.add(AckClass::Retry);
    let told = Told {
        kind: (Label::from("ORU"), Label::from("R01")),
        end: JourneyEnd::Failed(Outcome::Errored),
        ack: Some(AckCode::AE),
        ack_ms: Some(12),
        reason: ReasonClass::Locked,
        classes,
        tries: 3,
        elapsed_ms: 4_500,
    };
    let mut row = |about| {
        let mut out = String::new();
        spec.join_told(&RowMeta::at(Timestamp::from_micros(5_000), about), &mut out);
        out.replace(FIELD, "|").replace(REPETITION, "~")
    };
    let outcome = row(About::Outcome(told));
    assert_eq!(outcome, "outcome||ORU^R01|errored|late_ack~retry|3|4500|AE|locked||||5");
    let reset = row(About::Connection(LinkEvent::Reset { by_receiver: true }));
    assert_eq!(reset, "connection|||||||||reset|receiver||5");
    let closed = row(About::Connection(LinkEvent::Closed { bytes: 9 }));
    assert_eq!(closed, "connection|||||||||closed||9|5");
}

fn frames(format: &ValueFormat, value: &[u8]) -> Result<Vec<String>, DefectCode> {
    let mut out = Vec::new();
    format
        .frames(value, &mut |bytes| out.push(String::from_utf8_lossy(bytes).into_owned()))
        .map_err(|defect| defect.code)?;
    Ok(out)
}

#[test]
fn values_hold_raw_framed_or_enveloped_messages() {
    let raw = ValueFormat::Hl7;
    assert_eq!(frames(&raw, b"MSH|").unwrap(), ["MSH|"]);
    assert_eq!(frames(&raw, b"\x0bone\x1c\r\x0btwo\x1c\r").unwrap(), ["one", "two"]);
    assert_eq!(frames(&raw, b"\x0bone\x1c\r\x0btwo").unwrap(), ["one", "\u{b}two"]);
    let pointer = "/payload/hl7".parse().unwrap();
    let text = ValueFormat::Envelope { pointer, encoding: Encoding::Text };
    assert_eq!(frames(&text, br#"{"payload":{"hl7":"MSH|\r"}}"#).unwrap(), ["MSH|\r"]);
    assert_eq!(frames(&text, br#"{"payload":{}}"#).unwrap_err(), DefectCode::JsonUnreadable);
    let base64 =
        ValueFormat::Envelope { pointer: "/a".parse().unwrap(), encoding: Encoding::Base64 };
    for coded in ["TVNIfA==", "TVNIfA", "TVNI\\nfA=="] {
        assert_eq!(frames(&base64, format!(r#"{{"a":"{coded}"}}"#).as_bytes()).unwrap(), ["MSH|"]);
    }
    assert_eq!(frames(&base64, br#"{"a":"%"}"#).unwrap_err(), DefectCode::JsonUnreadable);
    let broken = base64.frames(b"{\n\"a\":\n}", &mut |_| {}).unwrap_err();
    assert_eq!((broken.code, broken.offset), (DefectCode::JsonUnreadable, 7));
    assert!("a/b".parse::<crate::json::Pointer>().is_err());
}

#[test]
fn receipts_join_with_the_control_id_rule() {
    let format = ReceiptFormat {
        key: "/id".parse().unwrap(),
        outcome: "/state".parse().unwrap(),
        outcomes: vec![("in-chart".to_owned(), Outcome::Filed)],
        at: Some("/at".parse().unwrap()),
        kind: None,
    };
    let site = config().site_key;
    let read = |text: &str| format.read(&site, text.as_bytes());
    let one = read(r#"{"id":"ID1","state":"In-Chart","at":"2024-03-11T11:00:00Z"}"#).unwrap();
    assert_eq!(one[0].seen.journey_key, control_id_key(&site, b"ID1").unwrap());
    assert_eq!(one[0].seen.outcome, Outcome::Filed);
    assert_eq!(one[0].seen.stated_at, Some(Timestamp::from_secs(1_710_154_800)));
    let two = read(
        r#"[{"id":7,"state":"rejected","at":1710154800},{"id":8,"state":"filed","at":1710154800123}]"#,
    );
    let two = two.unwrap();
    assert_eq!(two[0].seen.stated_at, Some(Timestamp::from_secs(1_710_154_800)));
    assert_eq!(two[1].seen.stated_at, Some(Timestamp::from_micros(1_710_154_800_123_000)));
    for bad in
        [r#"{"state":"filed"}"#, r#"{"id":"1","state":"??"}"#, "[", r#"{"id":"","state":"filed"}"#]
    {
        assert_eq!(read(bad).unwrap_err().code, DefectCode::JsonUnreadable, "{bad}");
    }
}
