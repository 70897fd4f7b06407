//! The language, natively; `cases/` runs the examples of `docs/rules.md` as a component.

use super::*;
use feedpulse_check::testing::run;
use serde_json::{Value, json};

/// Row, code and place.
type Told = (u32, &'static str, String);

/// Runs rules over rows: `@type`, `@shape`, then the named fields in the order of their text.
fn judge(rules: &Value, rows: &[&[&str]]) -> Result<Vec<Told>, String> {
    let found = run::<Rules>(
        &json!({ "tables": {"sex": ["F", "M"]}, "rules": rules }).to_string(),
        "adt",
        rows,
    )?;
    Ok(found.into_iter().map(|f| (f.row.unwrap_or(0), f.code, f.at)).collect())
}

/// Whether one rule holds for one value of PID-8.
fn holds(operator: &Value, value: &str) -> bool {
    let mut rule = json!({"name": "r", "title": "t", "path": "PID-8"});
    for (key, value) in operator.as_object().unwrap() {
        rule[key] = value.clone();
    }
    judge(&json!([rule]), &[&["ADT^A01", "MSH\u{1c}PID", value]]).unwrap().is_empty()
}

#[test]
fn each_operator_on_a_value() {
    for (operator, good, bad) in [
        (json!({"is": "present"}), "F", "\"\""),
        (json!({"is": "absent"}), "\"\"", "F"),
        (json!({"is": "number"}), "12.5", "12,5"),
        (json!({"is": "date"}), "20260101", "20261301"),
        (json!({"equals": 1}), "1", "2"),
        (json!({"not-equals": "F"}), "M", "F"),
        (json!({"in": "sex"}), "F", "X"),
        (json!({"in": ["A"]}), "A", "B"),
        (json!({"not-in": "sex"}), "X", "F"),
        (json!({"has": "MR"}), "PI\u{1d}MR", "PI\u{1d}VN"),
        (json!({"has": ["MR", "VN"]}), "PI\u{1d}VN", "PI"),
        (json!({"matches": "##-*"}), "12-x", "1-x"),
        (json!({"not-matches": "TEST*"}), "DOE", "TESTER"),
        (json!({"length": {"max": 2}}), "äö", "abc"),
        (json!({"length": 3}), "abc", "ab"),
        (json!({"range": {"min": 0, "max": 120}}), "119.5", "-1"),
    ] {
        assert!(holds(&operator, good), "{operator} {good}");
        assert!(!holds(&operator, bad), "{operator} {bad}");
        let empty = holds(&operator, "");
        assert_eq!(empty, operator["is"] != "present", "{operator}: only present minds what lacks");
    }
}

#[test]
fn every_repetition_and_occurrence_counts_and_the_first_wrong_one_is_the_place() {
    let rules = json!([{"name": "r", "title": "t", "path": "OBX-8", "in": ["H", "L"]}]);
    let found = judge(&rules, &[&["ORU^R01", "", "H\u{1c}L\u{1d}Q\u{1c}X\u{1c}"]]).unwrap();
    assert_eq!(found, [(0, "r", "OBX[2]-8".to_owned())]);
}

#[test]
fn a_condition_of_the_same_segment_is_of_the_same_occurrence() {
    let rules = json!([{"name": "r", "title": "t", "path": "OBX-5", "is": "number",
                        "when": [{"path": "OBX-2", "equals": "NM"}]}]);
    let row = |types: &'static str, values: &'static str| ["ORU^R01", "", types, values];
    let found =
        judge(&rules, &[&row("ST\u{1c}NM", "x\u{1c}1"), &row("NM\u{1c}ST", "x\u{1c}1")]).unwrap();
    assert_eq!(found, [(1, "r", "OBX-5".to_owned())]);
    let rules = json!([{"name": "r", "title": "t", "path": "OBX-5", "is": "present",
                        "when": [{"path": "PV1-2", "equals": "I"}]}]);
    let found = judge(&rules, &[&["ORU^R01", "", "", "I"], &["ORU^R01", "", "", "O"]]).unwrap();
    assert_eq!(found, [(0, "r", "OBX-5".to_owned())], "of another segment anywhere");
}

#[test]
fn types_feeds_and_counts_narrow_a_rule() {
    let rules = json!([
        {"name": "a", "title": "t", "types": ["ADT^A01", "SIU"], "segment": "PV1", "count": 1},
        {"name": "b", "title": "t", "feeds": ["lab"], "path": "PID-8", "is": "present"},
        {"name": "c", "title": "t", "path": "PID-8", "is": "present", "when": [{"segment": "AL1", "count": {"min": 1}}]},
    ]);
    let found = judge(
        &rules,
        &[
            &["ADT^A01^ADT_A01", "MSH\u{1d}9\u{1c}PV1\u{1d}2\u{1c}PV1", "F"],
            &["ADT^A08", "MSH\u{1c}AL1", ""],
            &["SIU^S12", "MSH\u{1c}PV1\u{1d}2", ""],
        ],
    );
    assert_eq!(found.unwrap(), [(0, "a", "PV1".to_owned()), (1, "c", "PID-8".to_owned())]);
}

#[test]
fn other_paths_are_compared() {
    let rules = json!([{"name": "r", "title": "t", "path": "PV1-45", "after": "PV1-44"},
                       {"name": "s", "title": "t", "path": "PV1-44", "same-as": "EVN-2"}]);
    let found = judge(
        &rules,
        &[
            &["ADT^A03", "", "20260102", "20260102", "20260101"],
            &["ADT^A03", "", "20260103", "20260102", "202601021200"],
            &["ADT^A03", "", "", "20260102", ""],
        ],
    );
    assert_eq!(found.unwrap(), [(0, "r", "PV1-45".to_owned()), (1, "s", "PV1-44".to_owned())]);
}

#[test]
fn changes_are_seen_by_key() {
    let rules = json!([{"name": "back", "title": "t", "path": "OBR-25",
                        "changed": {"key": "OBR-3.1", "from": ["F", "C"], "to": ["P"]}},
                       {"name": "sex", "title": "t", "path": "PID-8", "changed": {"key": "PID-3.1"}}]);
    // OBR-25, OBR-3.1, PID-3.1, PID-8
    let found = judge(
        &rules,
        &[
            &["ORU^R01", "", "F\u{1c}P", "1\u{1c}2", "77", "F"],
            &["ORU^R01", "", "P\u{1c}F", "1\u{1c}2", "78", "M"],
            &["ORU^R01", "", "X\u{1c}P", "1\u{1c}2", "77", "M"],
            &["ORU^R01", "", "P", "1", "77", "M"],
        ],
    );
    let expected = [(1, "back", "OBR-25"), (2, "back", "OBR[2]-25"), (2, "sex", "PID-8")];
    let expected = expected.map(|(row, code, at)| (row, code, at.to_owned()));
    assert_eq!(found.unwrap(), expected, "X ends it, a first value is no change");
}

#[test]
fn a_wrong_rule_is_named_with_what_to_write() {
    let refused = |rules: Value| judge(&rules, &[]).unwrap_err();
    let rule = |extra: &Value| {
        let mut rule = json!({"name": "r", "title": "t"});
        extra.as_object().unwrap().iter().for_each(|(k, v)| rule[k] = v.clone());
        rule
    };
    let wrong = [
        (json!({"path": "PID-8"}), "", "it needs one operator of is"),
        (json!({"is": "present"}), "", "it needs a `path`"),
        (json!({"path": "PID-8", "in": "gender"}), "/in", "no table `gender`: there are sex"),
        (
            json!({"path": "PID-8", "is": "present", "length": 1}),
            "/length",
            "a rule has one operator",
        ),
        (json!({"path": "PID-8", "is": "present", "types": ["A01"]}), "/types", "ADT^*"),
        (json!({"path": "PID-8", "length": {"min": 3, "max": 1}}), "/length", "above `max`"),
        (json!({"path": "PID-8", "range": {"min": 3, "max": 1}}), "/range", "above `max`"),
        (
            json!({"path": "PID-8", "is": "present", "when": [{"path": "PV1-2"}]}),
            "/when/0",
            "it needs one operator",
        ),
        (json!({"path": "PID-8", "changed": {"key": "PID-3", "from": ["F"]}}), "/changed", "`to`"),
        (json!({"path": "OBX-1", "count": 1}), "/count", "`segment: OBX`"),
        // What the host's schema refuses is refused here too, in fewer words.
        (json!({"path": "PID-8", "equal": "F"}), "", "`equal` is no operator"),
        (json!({"path": "PID-8", "is": "there"}), "/is", "docs/rules.md"),
        (json!({"path": "PID-8", "is": "present", "level": "bad"}), "", "docs/rules.md"),
        (json!({"path": "PID-8", "changed": {}}), "/changed/key", "docs/rules.md"),
    ];
    for (extra, at, said) in &wrong {
        let error = refused(json!([rule(extra)]));
        assert!(
            error.starts_with(&format!("/rules/0{at}: ")) && error.contains(said),
            "{extra}: {error}"
        );
        assert!(error.len() < 300, "{error}");
    }
    let all = refused(wrong.iter().map(|(extra, ..)| rule(extra)).collect());
    assert_eq!(all.lines().count(), wrong.len(), "each at once: {all}");
    for settings in ["{}", "[]", "", "{\"rules\": []}", "{\"rules\": [7]}"] {
        assert!(
            run::<Rules>(settings, "adt", &[]).unwrap_err().starts_with("/rules"),
            "{settings}"
        );
    }
}
