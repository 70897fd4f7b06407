//! Rules as an analyst writes and tries them, who knows `docs/rules.md` and the commands: everything that
//! is wrong at once and with its line, findings in files by every name of the check, and a replay that
//! says which message each finding is about.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::product::binary;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Exit code, and standard output with standard error behind it.
#[track_caller]
fn run(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let done = Command::new(binary()).current_dir(folder).args(arguments).output().unwrap();
    let text = [&done.stdout[..], &done.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// Each thing that can be wrong, where it is told, and what is said.
const WRONG: &str = r#"tables:
  sex: [F, M]
rules:
  - name: typo
    titel: An unknown code for the sex
    path: PID-8
    in: sex
  - {name: path, title: A path without hyphen, path: PID8, is: present}
  - {name: brackets, title: An occurrence, path: "OBX[2]-5", is: present}
  - name: table
    title: A table that is not there
    path: PID-8
    in: gender
  - name: two
    title: Two operators
    path: PID-8
    equals: F
    is: present
  - {name: level, title: A level, level: high, path: PID-8, is: present}
  - {name: types, title: A type, types: [A01], path: PID-8, is: present}
  - {name: range, title: A range, path: OBX-5, range: {min: 9, max: 1}}
  - {name: Upper, title: A name, path: PID-8, is: present}
  - {name: condition, title: A condition, path: PID-8, is: present, when: [{path: PV1-2, equal: I}]}
  - {name: word, title: A word, path: PID-8, is: there}
"#;
const SAID: [(usize, usize, &str, &str); 11] = [
    (5, 5, "rules #1/titel", "unknown key \"titel\"\n    did you mean \"title\"?"),
    (8, 48, "rules #2/path", "`PID8` is no path; did you mean `PID-8`?"),
    (9, 44, "rules #3/path", "`OBX[2]-5` is no path; did you mean `OBX-5`?"),
    (13, 5, "rules #4/in", "no table `gender`: there are sex"),
    (18, 5, "rules #5/is", "`equals` and `is` together; a rule has one operator"),
    (19, 35, "rules #6/level", "one of info, warning, error, critical"),
    (20, 34, "rules #7/types", "`A01` is no message type; write ADT^A01 or ADT^*"),
    (21, 48, "rules #8/range", "`min` is above `max`"),
    (22, 6, "rules #9/name", "a name of lower-case letters, digits and single hyphens"),
    (23, 90, "rules #10/when #1/equal", "did you mean \"equals\"?"),
    (24, 46, "rules #11/is", "one of present, absent, number, date"),
];

#[test]
fn all_that_is_wrong_with_rules_is_said_at_once_with_its_line() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join("rules.yaml"), WRONG).unwrap();
    fs::write(home.join("a.hl7"), "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\r").unwrap();
    let config = |check: &str| {
        let text = format!(
            "waypoints: [{{name: portal-in}}]\nhttp: {{listen: \"127.0.0.1:0\", waypoints: [portal-in]}}\n\
             checks:\n  - name: site\n    plugin: builtin:rules\n    {check}\n"
        );
        fs::write(home.join("feedpulse.yaml"), text).unwrap();
    };
    // In a file of their own, by whatever command reads it.
    config("config_file: rules.yaml");
    for (code, arguments) in [
        (78, &["validate", "feedpulse.yaml"][..]),
        (65, &["check", "run", "builtin:rules", "a.hl7", "--settings", "rules.yaml"]),
        (65, &["check", "bench", "builtin:rules", "--settings", "rules.yaml"]),
    ] {
        let text = run(home, code, arguments);
        for (line, column, path, what) in SAID {
            let told = format!("rules.yaml:{line}:{column}: {path}: ");
            let rest =
                text.split_once(&told).unwrap_or_else(|| panic!("{told} is not in\n{text}")).1;
            let own = rest.split("\nrules.yaml:").next().unwrap();
            assert!(own.contains(what), "{told}{what}\n{text}");
        }
        assert_eq!(text.matches("rules.yaml:").count(), SAID.len(), "and nothing twice\n{text}");
    }
    // Within the configuration the line is the configuration's.
    let inside = WRONG.lines().map(|line| format!("      {line}\n")).collect::<String>();
    config(&format!("config:\n{inside}"));
    let text = run(home, 78, &["validate", "feedpulse.yaml"]);
    for (line, column, path, _) in SAID {
        let told = format!("feedpulse.yaml:{}:{}: checks #1/config/{path}: ", line + 6, column + 6);
        assert!(text.contains(&told), "{told}\n{text}");
    }
}

/// Three messages in two files; the second and third break the rule.
fn messages(home: &Path) {
    let text = |id: &str, sex: &str| {
        format!(
            "MSH|^~\\&|EHR|H|P|H|20260301||ADT^A01|{id}|P|2.5.1\rPID|1||7||CANARY^JANE||1980|{sex}\r"
        )
    };
    fs::create_dir(home.join("night")).unwrap();
    fs::write(home.join("night/a.hl7"), text("4711", "F") + &text("4712", "Q")).unwrap();
    let framed = format!("\x0b{}\x1c\r", text("4713", "K"));
    fs::write(home.join("night/b.mllp"), framed).unwrap();
}

const RULES: &str = "tables: {sex: [F, M]}\nrules:\n  - name: sex-known\n    title: An unknown code for the sex\n    \
                     remedy: Ask registration.\n    level: error\n    path: PID-8\n    in: sex\n";

#[test]
fn a_check_has_one_name_for_every_command() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    messages(home);
    fs::write(home.join("rules.yaml"), RULES).unwrap();
    fs::create_dir_all(home.join("site/cases")).unwrap();
    run(home, 0, &["check", "pull", "builtin:rules", "--output", "site/check.wasm"]);
    fs::write(home.join("site/settings.yaml"), RULES).unwrap();
    let settings = ["--settings", "rules.yaml"];
    for (check, more) in
        [("builtin:rules", &settings[..]), ("site/check.wasm", &settings), ("site", &[])]
    {
        let text = run(home, 0, &[&["check", "run", check, "night"], more].concat());
        assert!(
            text.contains(
                "a.hl7: message 2 ADT^A01: error: An unknown code for the sex (rules/sex-known)"
            ),
            "{check}: {text}"
        );
        assert!(
            text.contains("3 messages, 3 handed over, 2 findings, 0 faults"),
            "{check}: {text}"
        );
        assert!(!text.contains("CANARY"), "{text}");
        let text = run(home, 0, &["check", "inspect", check]);
        assert!(text.contains("rules 0.1.0") && text.contains("schema"), "{text}");
        let text = run(home, 0, &["check", "approve", check]);
        assert!(text.contains("name: rules") && text.contains("- \"@shape\""), "{text}");
        let bench = ["check", "bench", check, "--messages", "night", "--for", "10ms"];
        let text = run(home, 0, &[&bench[..], more].concat());
        assert!(text.contains("rules, 64 at a time"), "{text}");
    }
    // Cases of the site's own, without settings in each of them.
    fs::copy(home.join("night/a.hl7"), home.join("site/cases/night.hl7")).unwrap();
    let expected = r#"[{"row": 1, "code": "sex-known", "level": "error", "at": "PID-8"}]"#;
    fs::write(home.join("site/cases/night.expected.json"), expected).unwrap();
    let text = run(home, 0, &["check", "test", "site"]);
    assert!(text.contains("ok    night"), "{text}");
    let apart = ["check", "test", "builtin:rules", "--cases", "site/cases"];
    let text = run(home, 0, &[&apart[..], &settings].concat());
    assert!(text.contains("ok    night"), "{text}");
    // Wrong settings of a case have a place too.
    fs::copy(home.join("night/a.hl7"), home.join("site/cases/wrong.hl7")).unwrap();
    let wrong = r#"{"settings": {"rules": [{"name": "x", "titel": "X", "path": "PID8", "is": "present"}]}}"#;
    fs::write(home.join("site/cases/wrong.expected.json"), wrong).unwrap();
    let text = run(home, 1, &["check", "test", "site"]);
    for told in [
        "site/cases/wrong.expected.json:1:39: settings/rules #1/titel: unknown key",
        "site/cases/wrong.expected.json:1:53: settings/rules #1/path: `PID8` is no path",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    // Those that it carries.
    let text = run(home, 0, &["check", "test", "builtin:rules"]);
    assert!(text.contains("ok    ordinary"), "{text}");
    for (name, code, says) in [
        ("builtin:rule", 66, "no built-in check is called"),
        ("nowhere", 66, "give a .wasm file, a folder"),
        ("night", 66, "no .wasm in it"),
        ("oci://registry", 69, "registry is missing"),
    ] {
        let text = run(home, code, &["check", "inspect", name]);
        assert!(text.contains(says), "{name}: {text}");
    }
}

#[test]
fn a_replay_of_files_says_which_message_each_finding_is_about() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    messages(home);
    fs::write(home.join("rules.yaml"), RULES).unwrap();
    let config = "waypoints: [{name: engine-in}, {name: portal-in}]\n\
                  http: {listen: \"127.0.0.1:0\", waypoints: [engine-in, portal-in]}\n\
                  checks:\n  - {name: site, plugin: \"builtin:rules\", config_file: rules.yaml, waypoints: [portal-in]}\n";
    fs::write(home.join("feedpulse.yaml"), config).unwrap();
    let replay = ["replay", "night", "--config", "feedpulse.yaml"];
    let text = run(home, 0, &replay);
    assert!(text.contains("check site does not watch engine-in"), "{text}");
    let at = [&replay[..], &["--at", "portal-in"]].concat();
    let text = run(home, 0, &at);
    for line in [
        "check site/sex-known, 2 times",
        "night/a.hl7: message 2 ADT^A01 (4712): error: An unknown code for the sex (site/sex-known) at PID-8",
        "night/b.mllp: message 1 ADT^A01 (4713): error: An unknown code for the sex (site/sex-known) at PID-8",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let json = run(home, 0, &[&at[..], &["--json"]].concat());
    let whole: Value = serde_json::from_str(&json).unwrap();
    let found = whole["check_findings"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{json}");
    for (key, value) in [
        ("file", "night/a.hl7"),
        ("control_id", "4712"),
        ("check", "site"),
        ("code", "sex-known"),
        ("level", "error"),
        ("place", "PID-8"),
    ] {
        assert_eq!(found[0][key], value, "{key}: {json}");
    }
    assert_eq!((&found[0]["message"], &whole["checks"]["site/sex-known"]), (&2.into(), &2.into()));
    assert!(!text.contains("CANARY") && !json.contains("CANARY"), "no value of a message: {json}");
    let text = run(home, 78, &[&replay[..], &["--at", "lab"]].concat());
    assert!(text.contains("there are engine-in, portal-in"), "{text}");
}
