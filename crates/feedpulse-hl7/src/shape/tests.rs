//! Shapes of hand-written messages: what is seen of them, and that nothing else is.

use crate::decode::{DecodeConfig, Decoder};
use crate::tests::{ADT, config, frame};
use feedpulse_core::shape::{CODED, Part, ShapeSeen};
use feedpulse_core::sighting::Seen;

fn shape_of(text: &str) -> ShapeSeen {
    let mut out = Vec::new();
    Decoder::new(DecodeConfig { shapes: true, ..config() })
        .decode(&frame(text.as_bytes()), &mut out);
    assert_eq!(out.len(), 2, "the message, then its shape");
    match out.remove(1).what {
        Seen::Shape(shape) => *shape,
        other => panic!("no shape: {other:?}"),
    }
}

fn words(text: &str) -> Vec<String> {
    shape_of(text).parts.iter().map(|(part, _)| part.to_string()).collect()
}

fn has(text: &str, part: &str) -> bool {
    let part = Part::parse(part).expect(part);
    shape_of(text).parts.iter().any(|(known, _)| *known == part)
}

#[test]
fn segments_fields_delimiters_charset_and_codes_are_seen() {
    let shape = shape_of(ADT);
    let key = (shape.key.sender, shape.key.code, shape.key.trigger);
    assert_eq!(key, ("EHR".into(), "ADT".into(), "A01".into()));
    assert!(shape.parts.is_sorted(), "ascending, and once each");
    let expected = [
        "EVN segment",
        "EVN-1",
        "EVN-2",
        "MSH segment",
        "MSH-3",
        "MSH-4",
        "MSH-5",
        "MSH-6",
        "MSH-7",
        "MSH-9",
        "MSH-10",
        "MSH-11",
        "MSH-12",
        "MSH-15",
        "MSH-16",
        "MSH-18",
        "PID segment",
        "PID-1",
        "PID-3",
        "PID-5",
        "PV1 segment",
        "PV1-1",
        "PV1-2",
        "PV1-19",
        "delimiters |^~\\&",
        "charset UNICODE UTF-8",
        "MSH-9.3 = ADT_A01",
        "MSH-15 = AL",
        "MSH-16 = NE",
        "PV1-2 = I",
    ];
    assert_eq!(words(ADT), expected);
}

#[test]
fn a_field_of_delimiters_or_null_is_empty_and_one_of_several_segments_is_enough() {
    let text = ADT.replace("4711^^^NORTH^MR", "^^^& ") + "|\r";
    assert!(!has(&text, "PID-3") && has(&text, "PID-5"));
    assert!(!has(&ADT.replace("4711^^^NORTH^MR", "\"\""), "PID-3"));
    let text = format!("{ADT}\rOBX|1|NM|GLU||5||||||F\rOBX|2|ST|GLU||high|||H|||X");
    for part in ["OBX-8", "OBX-2 = NM", "OBX-2 = ST"] {
        assert!(has(&text, part), "{part} of {:?}", words(&text));
    }
    let other = ADT.replace('|', "#").replace("UNICODE UTF-8", "~8859/1");
    assert!(has(&other, "delimiters #^~\\&") && has(&other, "charset 8859/1"));
    assert!(has(&other, "PID-3"));
}

/// Canaries stand in every field of every segment that has codes, and in many others.
#[test]
fn no_value_but_a_code_gets_into_a_shape() {
    let canary = "CANARYJANE^Doe Canary&x~19610615";
    let mut text = ADT.to_owned();
    let mut names: Vec<&str> = CODED.iter().map(|coded| coded.segment).collect();
    names.retain(|name| *name != "MSH");
    for name in names.into_iter().chain(["PID", "NK1", "ZCN", "QQQ", "OBX"]) {
        text += &format!("\r{name}{}", format!("|{canary}").repeat(26));
    }
    let text = text.replace("ADT_A01", "CanaryJane").replace("UNICODE UTF-8", "Canary");
    let shape = shape_of(&text);
    let said = format!("{shape:?} {:?}", words(&text)).to_lowercase();
    for leak in ["canary", "jane", "doe", "1961"] {
        assert!(!said.contains(leak), "{leak}");
    }
    for n in 0..=text.len() - 8 {
        // Nor as the bytes of a number: eight in a row of the text are nowhere in the parts.
        let word = u64::from_be_bytes(text.as_bytes()[n..n + 8].try_into().expect("eight"));
        assert!(shape.parts.iter().all(|(part, _)| part.0 != word));
    }
    for code in ["OBX-11 = other", "MSH-9.3 = other", "charset other", "other segment"] {
        assert!(words(&text).contains(&code.to_owned()), "{code}");
    }
}

#[test]
fn a_message_with_lines_that_are_no_segments_is_not_looked_at() {
    let text = format!("{ADT}\rNTE|1||Seen with\rMrs. Doe today\rZOE|x");
    let mut out = Vec::new();
    Decoder::new(DecodeConfig { shapes: true, ..config() })
        .decode(&frame(text.as_bytes()), &mut out);
    assert_eq!(out.len(), 1, "{out:?}");
}
