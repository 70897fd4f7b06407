//! Versions with made-up cases: each is tried, and what fails says why.

use super::*;
use crate::check::bed::Bed;
use crate::check::named::Named;
use crate::section;

const TROUBLEMAKER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/troublemaker.wasm"));
const ACK: &str =
    r#"{"about": "ack", "hl7": ["MSH|^~\\&|P||||20231114||ACK^A01|2|P|2.5", "MSA|AE|1"]}"#;

/// What the version with these cases gives.
fn tried(cases: &str) -> Result<usize, String> {
    let wasm = section::replaced(TROUBLEMAKER, "feedpulse:cases", cases.as_bytes());
    let bed = Bed::named(Named::at_hand(wasm.clone())).map_err(|e| e.error.to_string())?;
    pass(&bed.plugin, &Settings::default(), &wasm)
}

#[test]
fn a_case_about_an_ack_resets_an_outcome_and_silence_is_played() {
    let reset = |after| {
        format!(
            r#"{{"about": "connection", "@event": "reset", "@by": "receiver", "after-ms": {after}}}"#
        )
    };
    let outcome =
        r#"{"about": "outcome", "@outcome": "no_ack", "@type": "ADT^A01", "after-ms": 5000}"#;
    let rows = [
        ACK.to_owned(),
        reset(1000),
        reset(2000),
        reset(61_500),
        reset(61_600),
        outcome.to_owned(),
    ];
    let expected = r#"[{"row": 4, "code": "resets-after-refusal", "attrs": {"count": "3"}},
        {"row": 5, "code": "seen", "attrs": {"outcome": "no_ack"}}, {"row": null, "code": "silent"}]"#;
    let case = |expected: &str| {
        let rows = rows.join(", ");
        format!(
            r#"[{{"name": "resets", "rows": [{rows}, {{"tick": 90000}}], "expected": {expected}}}]"#
        )
    };
    assert_eq!(tried(&case(expected)), Ok(1));
    let why = tried(&case("[]")).unwrap_err();
    assert!(
        why.contains("its case resets fails: finding 1 is resets-after-refusal about message 4"),
        "{why}"
    );
}

#[test]
fn a_case_has_the_grants_that_it_states() {
    let message = r#""messages": "MSH|^~\\&|A||||20231114||ADT^A01|READ1|P|2.5\rPID|||4711""#;
    let case = |grants: &str, expected: &str| {
        format!(
            r#"[{{"name": "reads", {message}, "grants": {grants}, "expected": [{{"row": 0, "code": "seen", "attrs": {{"count": "{expected}"}}}}]}}]"#
        )
    };
    assert_eq!(tried(&case("[\"get\"]", "4")), Ok(1));
    assert_eq!(tried(&case("[]", "0")), Ok(1));
    assert!(tried(&case("[\"root\"]", "0")).unwrap_err().contains("root"));
}

#[test]
fn a_case_of_refused_settings_is_tried_and_a_row_that_cannot_be_says_why() {
    let refused = r#"[{"name": "r", "settings": {"refuse": true}, "refuses": "asks me"}]"#;
    assert_eq!(tried(refused), Ok(1));
    assert!(
        tried(&refused.replace("true", "true, \"b\": 1").replace("asks me", "other words"))
            .is_err()
    );
    for (row, why) in [
        (r#"{"about": "connection"}"#, "say what happened"),
        (r#"{"about": "connection", "@event": "reset"}"#, "reset needs @by"),
        (r#"{"about": "connection", "@event": "rest"}"#, "@event is one of opened, closed"),
        (r#"{"about": "outcome", "@outcome": "lost"}"#, "@outcome is one of accepted"),
        (
            r#"{"about": "outcome", "@outcome": "expired", "of": 3}"#,
            "row 3 does not come before it",
        ),
        (
            r#"{"about": "outcome", "@outcome": "expired", "@tries": "many"}"#,
            "@tries is a whole number",
        ),
        (r#"{"about": "ack", "hl7": "MSH|^~\\&|A||||20231114||ADT^A01|1|P|2.5"}"#, "is no ACK"),
        (r#"{"about": "message", "hl7": "hello"}"#, "is no message"),
    ] {
        let said = tried(&format!(r#"[{{"name": "x", "rows": [{row}]}}]"#)).unwrap_err();
        assert!(said.contains(why) && said.contains("rows[0]"), "{row}: {said}");
    }
}
