//! Tests of the generator: determinism, truth, canaries, variations.

use super::*;
use crate::gen_vary::{Shape, Terminator};
use crate::hl7::read_header;

const NOW: i64 = 1_767_225_600_123_456;

fn generator(canaries: &[&str]) -> Generator {
    let canaries = canaries.iter().map(|c| (*c).to_owned()).collect();
    Generator::new(11, Profile { canaries, ..Profile::default() }).unwrap()
}

fn text(message: &Message) -> String {
    String::from_utf8(message.bytes.clone()).unwrap()
}

/// Field `n` of the first segment called `name`.
fn field(text: &str, name: &str, n: usize) -> String {
    let line = text.split('\r').find(|l| l.starts_with(name)).unwrap_or_default();
    let at = if name == "MSH" { n - 1 } else { n };
    line.split('|').nth(at).unwrap_or_default().to_owned()
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    assert_eq!(corpus(5, 200), corpus(5, 200));
    assert_ne!(corpus(5, 20), corpus(6, 20));
    assert_eq!(corpus_varied(5, 200), corpus_varied(5, 200));
    let ids: std::collections::BTreeSet<String> =
        corpus(5, 500).into_iter().map(|m| m.control_id).collect();
    assert_eq!(ids.len(), 500);
}

#[test]
fn header_and_times_say_what_was_asked() {
    let mut generator = generator(&[]);
    for kind in Kind::ALL {
        let message = generator.message(kind, NOW - 1_000_000, NOW, Variation::default());
        let text = text(&message);
        let header = read_header(&message.bytes).unwrap();
        assert_eq!(header.kind, kind.msh9());
        assert_eq!(header.control_id, message.control_id);
        assert_eq!(field(&text, "MSH", 7), "20260101000000.1234+0000");
        let event = "20251231235959.1234+0000";
        match kind {
            Kind::OruR01 => assert_eq!(field(&text, "OBR", 22), event),
            Kind::SiuS12 => assert!(field(&text, "SCH", 11).starts_with("^^30^2026")),
            Kind::MdmT02 => assert_eq!(field(&text, "TXA", 6), event),
            Kind::AdtA01 | Kind::AdtA03 | Kind::AdtA08 | Kind::AdtA40 => {
                assert_eq!(field(&text, "EVN", 2), event);
            }
        }
        assert_eq!(text.contains("\rMRG|"), kind == Kind::AdtA40);
        assert!(text.ends_with('\r'));
    }
}

#[test]
fn results_know_their_order_status_and_urgency() {
    let mut generator = generator(&[]);
    generator.profile.critical_share = 0.5;
    let mut critical = 0;
    for _ in 0..200 {
        let message = generator.message(Kind::OruR01, NOW, NOW, Variation::default());
        let text = text(&message);
        let filler = message.order_filler.clone().unwrap();
        assert_eq!(field(&text, "OBR", 3), format!("{filler}^EHR"));
        assert_eq!(field(&text, "OBR", 25), "F");
        assert_eq!(message.critical, text.contains("|HH|") || text.contains("|LL|"));
        critical += usize::from(message.critical);
    }
    assert!((60..140).contains(&critical), "{critical} of 200");
    let (first, second) = generator.regression(NOW);
    assert_eq!(first.order_filler, second.order_filler);
    assert_eq!((first.result_status, second.result_status), (Some('F'), Some('P')));
    assert_eq!(field(&text(&second), "OBR", 25), "P");
    assert_ne!(first.control_id, second.control_id);
}

#[test]
fn every_canary_reaches_every_place() {
    let canaries = ["CANARY-ONE", "CANARY-TWO", "CANARY-THREE"];
    let mut generator = generator(&canaries);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let text = text(&generator.message(Kind::OruR01, NOW, NOW, Variation::default()));
        let obx = text.split('\r').find(|l| l.contains("|TX|")).unwrap();
        let places = [
            field(&text, "PID", 3),
            field(&text, "PID", 5),
            field(&text, "PID", 11),
            field(&text, "PID", 13),
            obx.split('|').nth(5).unwrap().to_owned(),
            field(&text, "NTE", 3),
        ];
        for (at, place) in places.iter().enumerate() {
            let canary = canaries.iter().position(|c| place.contains(c)).expect("a canary");
            seen.insert((at, canary));
        }
        for kind in Kind::ALL {
            let message = generator.message(kind, NOW, NOW, Variation::default());
            assert!(self::text(&message).contains("CANARY-"), "{kind:?}");
            assert!(!format!("{message:?}").contains("CANARY-"));
        }
    }
    assert_eq!(seen.len(), 6 * canaries.len(), "{seen:?}");
}

#[test]
fn a_patient_keeps_number_name_and_visit() {
    let mut generator = generator(&["CANARY-A", "CANARY-B"]);
    let mut patients = std::collections::BTreeMap::new();
    let mut again = 0;
    for _ in 0..2000 {
        let text = text(&generator.message(Kind::AdtA08, NOW, NOW, Variation::default()));
        let who = [5, 7, 11, 13, 18].map(|n| field(&text, "PID", n));
        let visit = field(&text, "PV1", 19);
        match patients.insert(field(&text, "PID", 3), (who.clone(), visit.clone())) {
            Some(before) => {
                assert_eq!(before, (who, visit));
                again += 1;
            }
            None => assert!(field(&text, "PID", 7).as_str() < "2020"),
        }
    }
    assert!(again > 1000 && patients.len() > 300, "{again} of {}", patients.len());
}

#[test]
fn bad_canaries_and_names_are_refused_without_being_shown() {
    for bad in ["", "two words", "a|b", "é"] {
        let profile =
            Profile { canaries: vec!["OK".to_owned(), bad.to_owned()], ..Profile::default() };
        let error = Generator::new(1, profile).unwrap_err().to_string();
        assert!(error.contains("canary 1") && !error.contains("two words"), "{error}");
    }
    let profile = Profile { app: "A|B".to_owned(), ..Profile::default() };
    assert!(Generator::new(1, profile).unwrap_err().to_string().contains("app"));
}

#[test]
fn terminators_delimiters_and_charsets_are_as_asked() {
    let mut generator = generator(&[]);
    for (terminator, end, other) in [
        (Terminator::Lf, "\n", "\r"),
        (Terminator::Cr, "\r", "\n"),
        (Terminator::CrLf, "\r\n", "\0"),
    ] {
        let variation = Variation { terminator, truncation_char: true, ..Variation::default() };
        let text = text(&generator.message(Kind::AdtA01, NOW, NOW, variation));
        assert!(text.starts_with("MSH|^~\\&#|EHR") && text.contains("|2.7"), "{text}");
        assert!(text.ends_with(end) && !text.contains(other));
        assert_eq!(text.matches(end).count(), 5);
    }
    let mut accents = 0;
    for _ in 0..20 {
        let utf8 = Variation { charset: Charset::Utf8, ..Variation::default() };
        let message = generator.message(Kind::AdtA08, NOW, NOW, utf8);
        assert!(text(&message).contains("UNICODE UTF-8"));
        let latin = Variation { charset: Charset::Latin1, ..Variation::default() };
        let message = generator.message(Kind::AdtA08, NOW, NOW, latin);
        accents += usize::from(std::str::from_utf8(&message.bytes).is_err());
        let ascii = generator.message(Kind::AdtA08, NOW, NOW, Variation::default());
        assert!(ascii.bytes.is_ascii() && !text(&ascii).contains('?'));
    }
    assert!(accents > 10, "{accents} of 20 have accents");
    let escaped = Variation { escapes: true, ..Variation::default() };
    assert!(text(&generator.message(Kind::MdmT02, NOW, NOW, escaped)).contains("\\X41\\"));
}

#[test]
fn shapes_are_as_asked_and_any_variation_keeps_its_truth() {
    let mut generator = generator(&["CANARY"]);
    let mut rng = Rng::new(4);
    for _ in 0..400 {
        let variation = Variation::any(&mut rng);
        let kind = *rng.pick(&Kind::ALL);
        let message = generator.message(kind, NOW, NOW, variation);
        let headers = message.bytes.windows(4).filter(|w| *w == b"MSH|").count();
        assert_eq!(headers, message.control_ids.len());
        assert_eq!(variation.shape == Shape::NotHl7, read_header(&message.bytes).is_none());
        match variation.shape {
            Shape::NotHl7 => assert!(message.control_id.is_empty() && !message.critical),
            Shape::Batch(n) => {
                assert_eq!(headers, usize::from(n));
                assert!(message.bytes.starts_with(b"FHS|"));
                let trailer = format!("BTS|{n}").into_bytes();
                assert!(message.bytes.windows(trailer.len()).any(|w| w == trailer));
            }
            Shape::Several(n) => assert_eq!(headers, usize::from(n)),
            Shape::Truncated => {
                assert!(!message.bytes.ends_with(b"\r") && !message.bytes.ends_with(b"\n"));
            }
            Shape::Single => assert!(message.bytes.ends_with(variation_end(variation))),
        }
    }
}

fn variation_end(variation: Variation) -> &'static [u8] {
    match variation.terminator {
        Terminator::Cr => b"\r",
        Terminator::Lf => b"\n",
        Terminator::CrLf => b"\r\n",
    }
}
