//! Key rules: what joins and what must not.

use super::{config, message, message_as};
use crate::keys::{KeyRule, control_id_key};
use feedpulse_core::key::MessageKey;

fn key(rule: &KeyRule, text: &str) -> Option<MessageKey> {
    let mut config = config();
    config.key_rule = rule.clone();
    message_as(config, text.as_bytes()).journey_key
}

fn head(msh9: &str, id: &str) -> String {
    format!("MSH|^~\\&|A|B|C|D|20240101||{msh9}|{id}|P|2.5\r")
}

#[test]
fn control_id_rule() {
    let site = config().site_key;
    let seen = message(head("ADT^A01", " ID1 "));
    assert_eq!(seen.journey_key, control_id_key(&site, b"ID1"));
    assert_eq!(seen.ack_key, site.ack_key(b"ID1"));
    assert_ne!(seen.journey_key, seen.ack_key);
    assert_eq!(message(head("ADT^A01", "")).journey_key, None);
    assert_eq!(control_id_key(&site, b" "), None);
    let escaped = message(head("ADT^A01", r"A\T\B"));
    assert_eq!(escaped.journey_key, control_id_key(&site, b"A&B"));
}

#[test]
fn a_field_rule_of_one_joins_the_original_id() {
    let fields =
        |list: &[&str]| KeyRule::Fields(list.iter().map(|text| text.parse().unwrap()).collect());
    let rewritten = format!("{}ZID|1|ID1", head("ADT^A01", "NEW"));
    let original = key(&KeyRule::ControlId, &head("ADT^A01", "ID1"));
    assert_eq!(key(&fields(&["ZID-2"]), &rewritten), original);
    assert_eq!(key(&fields(&["MSH-10"]), &head("ADT^A01", "ID1")), original);
    let two = fields(&["PID-3.1", "PID-3.4.1"]);
    let a = key(&two, &format!("{}PID|1||47^^^N&1.2", head("ADT^A01", "1")));
    let b = key(&two, &format!("{}PID|1||47^^^N~48^^^M", head("ADT^A08", "2")));
    assert!(a.is_some() && a == b);
    assert_eq!(key(&two, &head("ADT^A01", "1")), None);
}

#[test]
fn preset_survives_a_rewriting_engine() {
    let result = |id: &str, orc: &str, status: &str| {
        let obr = format!("OBR|1|P1^EHR|F1^LAB{}|20240101|||\u{0}", "|".repeat(18));
        let obr = obr.replace("\u{0}", status);
        key(&KeyRule::Preset, &format!("{}{orc}\r{obr}", head("ORU^R01", id)))
    };
    let first = result("1", "PV1|1", "F");
    assert!(first.is_some());
    assert_eq!(first, result("2", "ORC|RE|P1|F1^LAB", "F"));
    assert_ne!(first, result("1", "PV1|1", "C"));
    assert_ne!(first, result("1", "ORC|RE|P1|F1^OTHER", "F"));
    let order =
        |control: &str| key(&KeyRule::Preset, &format!("{}ORC|{control}|P1", head("ORM^O01", "1")));
    assert_ne!(order("NW"), order("CA"));
}

#[test]
fn preset_by_type() {
    let of = |msh9: &str, rest: &str| key(&KeyRule::Preset, &format!("{}{rest}", head(msh9, "1")));
    let id = key(&KeyRule::ControlId, &head("ADT^A01", "1"));
    assert_ne!(of("MDM^T02", "TXA|1|||||||||||D1"), of("MDM^T11", "TXA|1|||||||||||D1"));
    assert_ne!(of("MDM^T02", "TXA|1|||||||||||D1"), id);
    assert_eq!(of("MDM^T02", "PID|1"), id);
    assert_ne!(of("SIU^S12", "SCH|A1||||||||||202401011200"), of("SIU^S12", "SCH|A1"));
    assert_eq!(of("VXU^V04", "PID|1||4"), id);
    let merge = |old: &str| of("ADT^A40", &format!("EVN||2024\rPID|1||47^^^N\rMRG|{old}^^^N"));
    assert_ne!(merge("1"), merge("2"));
    let visit = |text: &str| of("ADT^A01", &format!("EVN||20240101\r{text}"));
    assert_eq!(visit("PID|1||47^^^N&1.2&ISO^MR"), visit("PID|1|x|47^^^N"));
    assert_ne!(visit("PID|1||47^^^N"), visit("PID|1||47^^^M"));
    assert_eq!(visit("PV1|1"), id);
}

#[test]
fn the_body_tells_a_resend_from_a_reused_id() {
    let body = |id: &str, rest: &str| message(format!("{}{rest}", head("ADT^A01", id))).body;
    assert_eq!(body("1", "PID|1"), body("2", "PID|1\r"));
    assert_ne!(body("1", "PID|1"), body("1", "PID|2"));
}
