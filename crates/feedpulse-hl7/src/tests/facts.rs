//! What a message is found by, what it is to its orders and its patient, and what a batch says.

use super::{config, decode, message, message_as};
use crate::ack::{ReasonRules, RuleError};
use crate::facility::FacilityPath;
use crate::facts::find_key;
use crate::keys::KeyRule;
use feedpulse_core::key::MessageKey;
use feedpulse_core::order::{PatientEvent, ResultStatus};
use feedpulse_core::sighting::{BatchSeen, MessageSeen, ReasonClass, Seen, Urgency};

fn of(msh9: &str, rest: &str) -> MessageSeen {
    message(format!("MSH|^~\\&|A|B|C|D|20240101+0000||{msh9}|ID1|P|2.5\r{rest}"))
}

fn obr(placer: &str, filler: &str, test: &str, status: &str) -> String {
    format!("OBR|1|{placer}|{filler}|{test}{}{status}\r", "|".repeat(21))
}

#[test]
fn a_message_is_found_by_the_number_alone() {
    let site = config().site_key;
    let key = |id: &str| find_key(&site, id.as_bytes()).unwrap();
    let rest = format!(
        "PID|1||mr-47^^^NORTH\rPV1|1{}V99^^^N\r{}",
        "|".repeat(18),
        obr("P1^E", "F1^L", "GLU", "F")
    );
    let found = of("ORU^R01", &rest).find.0;
    assert_eq!(found, [key("F1"), key(" p1 "), key("V99"), key("MR-47")]);
    assert_eq!(of("ADT^A01", "PID|1||\"\"").find.0, [0; 4]);
    assert_eq!(find_key(&site, b" "), None);
}

#[test]
fn a_site_may_name_the_field_of_its_facilities() {
    let visit = "PV1|1|I|2W^401^1^SOUTH\rZFA|CLINIC\r";
    for (path, expected) in [
        ("PV1-3.4", "SOUTH"),
        ("PV1-3", "2W"),
        ("ZFA-1", "CLINIC"),
        ("PV1-39", "B"),
        ("EVN-7", "B"),
    ] {
        let mut config = config();
        config.facility = Some(path.parse().unwrap());
        let text = format!("MSH|^~\\&|A|B|C|D|20240101||ADT^A08|ID1|P|2.5\r{visit}");
        let seen = message_as(config, text.as_bytes());
        assert_eq!(seen.sender_facility.as_str(), expected, "{path}");
    }
    for refused in ["PID-3.1", "PV1-19", "NK1-2", "PV1", "x"] {
        assert!(refused.parse::<FacilityPath>().is_err(), "{refused}");
    }
}

#[test]
fn each_order_group_is_a_journey_where_the_rule_says_so() {
    let keys = |rule: KeyRule, rest: &str| -> Vec<MessageKey> {
        let mut config = config();
        config.key_rule = rule;
        let text = format!("MSH|^~\\&|A|B|C|D|20240101||ORU^R01|ID1|P|2.5\r{rest}");
        let seen = message_as(config, text.as_bytes());
        seen.journey_key.into_iter().chain(seen.also).collect()
    };
    let one = |n: u32| {
        format!("ORC|RE|P{n}|F{n}\r{}OBX|1\r", obr(&format!("P{n}"), &format!("F{n}"), "T", "F"))
    };
    let joined = keys(KeyRule::EachOrder, &format!("{}{}{}", one(1), one(2), one(3)));
    assert_eq!(joined.len(), 3);
    for (n, key) in (1..).zip(&joined) {
        assert_eq!(keys(KeyRule::EachOrder, &one(n)), [*key], "split or joined, it is one journey");
        assert_eq!(keys(KeyRule::Preset, &one(n)), [*key]);
    }
    assert_eq!(keys(KeyRule::Preset, &format!("{}{}", one(1), one(2))), [joined[0]]);
    let without_orc: String = (1..=40).map(|n| obr("", &format!("F{n}"), "T", "F")).collect();
    assert_eq!(keys(KeyRule::EachOrder, &without_orc).len(), 16, "the limit");
    assert_eq!(keys(KeyRule::EachOrder, "PID|1"), keys(KeyRule::ControlId, "PID|1"));
}

#[test]
fn a_result_has_its_status() {
    let status = |msh9: &str, rest: &str| of(msh9, rest).order.results[0].map(|mark| mark.status);
    let obx = |s: &str| format!("OBX|1{}{s}\r", "|".repeat(10));
    for (stated, expected) in [
        ("P", ResultStatus::Preliminary),
        ("F", ResultStatus::Final),
        ("C", ResultStatus::Corrected),
        ("X", ResultStatus::Corrected),
    ] {
        assert_eq!(status("ORU^R01", &obr("", "F1", "T", stated)), Some(expected));
        let by_obx = format!("{}{}{}", obr("", "F1", "T", ""), obx("P"), obx(stated));
        assert_eq!(status("ORU^R01", &by_obx), Some(expected), "the furthest of the group");
    }
    assert_eq!(status("ORU^R01", &obr("", "", "T", "F")), None);
    assert_eq!(status("ORM^O01", &obr("P1", "", "T", "F")), None);
    let test = |rest: &str| of("ORU^R01", rest).order.results[0].unwrap().test;
    assert_eq!(test(&obr("P1", "F1", "T", "P")), test(&obr("P2", "F1", "T", "F")));
    assert_ne!(test(&obr("P1", "F1", "T", "P")), test(&obr("P1", "F1", "U", "P")));
}

#[test]
fn a_merge_names_who_is_gone() {
    let patient = |msh9: &str, rest: &str| of(msh9, rest).order.patient;
    let a = patient("ADT^A08", "PID|1||A^^^N").unwrap().patient;
    let b = patient("ORU^R01", "PID|1||B^^^N").unwrap();
    assert_eq!(b.event, PatientEvent::Other);
    let merge = patient("ADT^A40", "EVN||20240101120000+0000\rPID|1||B^^^N\rMRG|A^^^N").unwrap();
    assert_eq!((merge.patient, merge.event), (b.patient, PatientEvent::Merge { gone: a }));
    assert!(merge.at.is_some());
    assert_eq!(patient("ADT^A08", "EVN||20240101\rPID|1||A^^^N").unwrap().at, None, "day only");
    let back = patient("ADT^A37", "PID|1||B^^^N\rPID|2\rMRG|A^^^N").unwrap();
    assert_eq!(back.event, PatientEvent::Unmerge { back: a });
    assert_eq!(patient("ADT^A31", "PID|1||A^^^N").unwrap().event, PatientEvent::Update);
    assert_eq!(patient("ADT^A31", "PID|1"), None);
}

#[test]
fn a_batch_says_what_it_holds_and_answers() {
    let msh = "MSH|^~\\&|A|B|C|D|20240101||ADT^A01|X1|P|2.5\r";
    let ack = "MSH|^~\\&|A|B|C|D|20240101||ACK|X2|P|2.5\rMSA|AE|X1\r";
    let bhs = |id: &str, answers: &str| format!("BHS|^~\\&|A|||||||c|{id}|{answers}\r");
    let batches = |text: &str| -> Vec<BatchSeen> {
        let seen = decode(text).1.into_iter();
        seen.filter_map(|s| if let Seen::Batch(b) = s.what { Some(b) } else { None }).collect()
    };
    let text = format!("{}{msh}{msh}BTS|2\r", bhs("B1", ""));
    let sent = batches(&text);
    assert_eq!((sent.len(), sent[0].messages, sent[0].declared), (1, 2, Some(2)));
    let (_, seen) = decode(&text);
    let Seen::Message(first) = &seen[0].what else { panic!("a message") };
    assert!(first.batch.is_some() && first.batch == sent[0].id);
    let answered = batches(&format!("{}{ack}BTS|1\r", bhs("B2", "B1")));
    assert_eq!((answered[0].acks, answered[0].messages), (1, 0));
    assert_eq!(answered[0].answers, sent[0].id);
    let all = batches(&format!("{}BTS|0\r", bhs("B3", "B1")));
    assert_eq!((all.len(), all[0].acks, all[0].answers), (1, 0, sent[0].id));
    let file =
        format!("FHS|^~\\&\r{}{msh}BTS|9\r{}{msh}BTS|1\rFTS|2\r", bhs("1", ""), bhs("2", ""));
    let file = batches(&file);
    assert_eq!(
        file.iter().map(|b| (b.messages, b.declared)).collect::<Vec<_>>(),
        [(1, Some(9)), (1, Some(1))]
    );
    assert_eq!(batches(&format!("FHS|^~\\&\r{msh}FTS|1\r")).len(), 1, "a file without batches");
    assert_eq!(batches(&format!("{}{msh}", bhs("1", "")))[0].declared, None, "left open");
}

#[test]
fn special_protocols_are_named() {
    let plain = of("ADT^A01", "PID|1").protocol;
    assert!(!plain.sequence && !plain.continuation);
    let head = |msh13: &str, msh14: &str, rest: &str| {
        message(format!("MSH|^~\\&|A|B|C|D|2024||ADT^A01|I|P|2.5|{msh13}|{msh14}\r{rest}")).protocol
    };
    assert!(head("7", "", "").sequence);
    assert!(head("", "abc", "").continuation);
    assert!(head("", "", "DSC|abc|F").continuation);
}

#[test]
fn a_site_adds_reasons() {
    let rule = |text: &str, class| (text.to_owned(), class);
    let rules = ReasonRules::new(
        vec![rule("Z99", ReasonClass::UnknownKey)],
        vec![rule("not enrolled", ReasonClass::UnknownKey)],
    );
    let mut own = config();
    own.reasons = rules.unwrap();
    let reason = |config, err: &str| {
        let text = format!("MSH|^~\\&|A|B|C|D|2024||ACK|I|P|2.5\rMSA|AE|X\r{err}");
        match super::decode_as(config, text.as_bytes()).1.remove(0).what {
            Seen::Ack(ack) => ack.reason,
            other => panic!("{other:?}"),
        }
    };
    for err in ["ERR||||E|Z99", "ERR|||207|E||||Patient NOT ENROLLED yet"] {
        assert_eq!(reason(own.clone(), err), ReasonClass::UnknownKey, "{err}");
        assert_ne!(reason(config(), err), ReasonClass::UnknownKey, "{err}");
    }
    let warned = "ERR|||0|W||||minor\rERR|||206|E||||x";
    assert_eq!(
        reason(config(), warned),
        ReasonClass::Locked,
        "the error, not the warning before it"
    );
    let long = vec![rule(&"x".repeat(65), ReasonClass::Other)];
    assert!(matches!(ReasonRules::new(long, vec![]), Err(RuleError::Length(_))));
    let many = vec![rule("x", ReasonClass::Other); 257];
    assert_eq!(ReasonRules::new(many, vec![]), Err(RuleError::TooMany));
}

#[test]
fn urgency_by_flag_priority_and_type() {
    let obx8 = |flag: &str| format!("OBX|1|NM|x||9||1-2|{flag}\r");
    for (msh9, rest, expected) in [
        ("ORU^R01", obx8("HH"), Urgency::Critical),
        ("ORU^R01", obx8("H~LL"), Urgency::Critical),
        ("ORU^R01", obx8("AA^Very abnormal^L"), Urgency::Critical),
        ("ORU^R01", obx8("H"), Urgency::Routine),
        ("ORM^O01", "TQ1|1||||||||S^Stat\r".to_owned(), Urgency::Critical),
        ("ORM^O01", "ORC|NW||||||^^^^^S\r".to_owned(), Urgency::Critical),
        ("ORM^O01", format!("OBR|1{}^^^^^S\r", "|".repeat(26)), Urgency::Critical),
        ("ORM^O01", "OBR|1||||S\r".to_owned(), Urgency::Critical),
        ("ORM^O01", "OBR|1||||R\r".to_owned(), Urgency::Routine),
        ("ORU^R01", obr("", "F", "T", "C"), Urgency::Correction),
        ("ORU^R01", format!("OBX|1{}W\r", "|".repeat(10)), Urgency::Correction),
        ("ADT^A40", "PID|1".to_owned(), Urgency::Correction),
        ("ADT^A47", "PID|1".to_owned(), Urgency::Correction),
        ("ADT^A13", "PID|1".to_owned(), Urgency::Correction),
        ("ADT^A08", "PID|1".to_owned(), Urgency::Routine),
    ] {
        assert_eq!(of(msh9, &rest).urgency, expected, "{msh9} {rest}");
    }
}

#[test]
fn software_is_read_from_the_first_sft_only() {
    let software = |rest: &str| {
        let seen = message(format!("MSH|^~\\&|A|B|C|D|2024||ADT^A01|I|P|2.5\r{rest}"));
        seen.software.map(|label| label.as_str().to_owned())
    };
    let sft = "SFT|Vendor Inc^L|2026.2|EHR^x|b7\rSFT|Other|1|Engine\rPID|1\r";
    assert_eq!(software(sft).as_deref(), Some("EHR 2026.2"));
    assert_eq!(software("SFT|V||EHR\r").as_deref(), Some("EHR"));
    assert_eq!(software("SFT|V|4\u{7}2\r").as_deref(), Some("4?2"));
    let long = format!("SFT|V|1|{}\r", "x".repeat(60));
    assert_eq!(software(&long).map(|s| s.len()), Some(31));
    for none in ["PID|1\rSFT|V|2|EHR\r", "SFT|V||\r", "SFT\r", "SFT|V|\"\"|\"\"\r", ""] {
        assert_eq!(software(none), None, "{none:?}");
    }
}
