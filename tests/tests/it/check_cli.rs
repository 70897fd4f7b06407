//! `feedpulse check …` as an author types it: from nothing to a check that runs, and what is said when
//! something is wrong. Built checks share one target folder, so that only the first takes a while.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::{Generator, Kind, Profile, Variation};
use feedpulse_tests::product::binary;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The command line in a folder.
fn check(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checks");
    command.current_dir(folder).arg("check").args(arguments).env("CARGO_TARGET_DIR", target);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    said(&check(folder, arguments).output().unwrap())
}

/// Exit code, and standard output with standard error behind it.
fn said(done: &Output) -> (Option<i32>, String) {
    let text = [&done.stdout[..], &done.stderr[..]].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn fails(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let (got, text) = run(folder, arguments);
    assert_eq!(got, Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?} does not say {word:?}:\n{text}");
    }
}

#[track_caller]
fn works(folder: &Path, arguments: &[&str]) -> String {
    let (code, text) = run(folder, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

/// Changes a file.
fn edit(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{} does not hold {from}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_new_check_builds_passes_its_own_test_and_finds() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    works(home, &["new", "reason-check"]);
    let folder = home.join("reason-check");
    let built = works(&folder, &["build"]);
    for part in ["reason-check.wasm", "PV1-2, PV2-3", "none", "reason-missing", "sha256:"] {
        assert!(built.contains(part), "{part}: {built}");
    }
    let wasm = folder.join("reason-check.wasm");
    let tested = works(&folder, &["test", "reason-check.wasm"]);
    assert!(tested.contains("2 cases") && tested.matches("  ok ").count() == 2, "{tested}");

    // what it finds in files, framed or not, without showing a patient
    let framed = [b"\x0b", &fs::read(folder.join("cases/emergency.hl7")).unwrap()[..], b"\x1c\r"];
    fs::write(home.join("framed.mllp"), framed.concat()).unwrap();
    let wasm_path = wasm.to_str().unwrap();
    let text = works(home, &["run", wasm_path, "framed.mllp"]);
    assert!(
        text.contains("message 2 ADT^A01: warning: An emergency patient has no reason"),
        "{text}"
    );
    assert!(text.contains("(the message has no PV2)") && text.contains("1 finding,"), "{text}");
    let json = works(home, &["run", wasm_path, "--json", "reason-check/cases"]);
    let lines: Vec<Value> = json.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(
        (lines.len(), &lines[0]["code"], &lines[0]["message"]),
        (1, &"reason-missing".into(), &2.into())
    );

    let seen = works(home, &["inspect", wasm_path]);
    for part in [
        "reason-check 0.1.0",
        "feedpulse:check/checker@0.1.0",
        "Ask the registration desk",
        "loads it",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    let seen: Value =
        serde_json::from_str(&works(home, &["inspect", wasm_path, "--json"])).unwrap();
    assert_eq!(seen["host"]["loads"], true);
    assert_eq!(seen["manifest"]["fields"], serde_json::json!(["PV1-2", "PV2-3"]));

    let (code, text) = run(&folder, &["bench", "reason-check.wasm", "--for", "50ms"]);
    assert!(code == Some(0) || code == Some(1), "a slow machine may exceed the budget: {text}");
    for part in ["nothing at all, 64 at a time", "reason-check, 1 at a time", "memory", "budget:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    a_case_that_fails_says_where(&folder);
    a_case_can_be_accepted(&folder);
}

fn a_case_that_fails_says_where(folder: &Path) {
    let expected = "[{\"row\": 0, \"code\": \"reason-missing\", \"at\": \"PV1-2\"}, {\"row\": 1, \"code\": \"reason-missing\", \"level\": \"error\"}]";
    fs::write(folder.join("cases/emergency.expected.json"), expected).unwrap();
    let words = [
        "FAIL  emergency",
        "missing     reason-missing (row 0) PV1-2",
        "PV1|1|E|",
        "      ^ PV1-2",
        "level: expected error, found warning",
        "1 of 2 cases failed",
    ];
    fails(folder, &["test", "reason-check.wasm"], 1, &words);
}

fn a_case_can_be_accepted(folder: &Path) {
    works(folder, &["test", "reason-check.wasm", "--accept"]);
    let written = fs::read(folder.join("cases/emergency.expected.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written[0]["at"], "PV2-3");
    works(folder, &["test", "reason-check.wasm"]);
}

#[test]
fn wrong_words_on_the_command_line_are_answered_with_the_right_ones() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fails(home, &["new", "ReasonMissing"], 64, &["is no name", "reason-missing would do"]);
    fails(home, &["new", "x", "--lang", "cobol"], 64, &["there are rust"]);
    fails(home, &["new", "x", "--finding", "FP0501"], 64, &["--from-message"]);
    fs::create_dir(home.join("taken")).unwrap();
    fs::write(home.join("taken/file"), "").unwrap();
    fails(home, &["new", "taken"], 64, &["is there already", "--dir"]);
    fails(home, &["build", "nowhere"], 66, &["no such folder", "check new"]);
    fails(home, &["build", "taken"], 66, &["no check is here", "src/lib.rs (rust)"]);
    fails(home, &["run", "nothing.wasm", "taken/file"], 66, &["nothing.wasm", "folder of a check"]);
    fs::write(home.join("odd.wasm"), "MSH|").unwrap();
    fails(home, &["run", "odd.wasm", "taken/file"], 65, &["not a WebAssembly component"]);
    fails(home, &["inspect", "odd.wasm"], 1, &["does not load it", "not a WebAssembly component"]);
    fs::write(home.join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fails(home, &["inspect", "core.wasm"], 1, &["core WebAssembly module", "check build"]);
    fails(home, &["new", "x", "--from-message", "odd.wasm"], 65, &["no HL7 v2 message"]);
    let message = "MSH|^~\\&|A|B|C|D|20260301||ADT^A01|1|P|2.5\r";
    fs::write(home.join("m.hl7"), message).unwrap();
    let finding = ["new", "x", "--from-message", "m.hl7", "--finding", "FP9"];
    fails(home, &finding, 64, &["no code of Feedpulse", "feedpulse explain"]);
}

#[test]
fn a_wrong_manifest_is_told_before_anything_is_compiled() {
    let home = tempfile::tempdir().unwrap();
    works(home.path(), &["new", "wrong"]);
    let folder = home.path().join("wrong");
    let manifest = folder.join("plugin.toml");
    let good = fs::read_to_string(&manifest).unwrap();
    let many: Vec<String> = (1..=65).map(|n| format!("\"PID-{n}\"")).collect();
    let many = many.join(", ");
    for (from, to, words) in [
        ("name = \"wrong\"", "name = \"wrong", &["plugin.toml", "line 1"][..]),
        ("\"PV1-2\"", "\"PV12\"", &["fields", "`PV12`"]),
        ("\"PV1-2\"", "\"PV1[2]-3\"", &["leave the brackets out"]),
        ("\"PV1-2\", \"PV2-3\"", &many, &["1 to 64 fields"]),
        ("check@0.1.0", "check@0.9.0", &["wit", "feedpulse:check@0.1.0"]),
        ("name = \"wrong\"", "name = \"Wrong One\"", &["name", "lower-case"]),
        ("grants = []", "grants = [\"root\"]", &["unknown variant `root`", "free-text"]),
        ("fields =", "fileds =", &["fileds"]),
        ("level = \"warning\"", "level = \"bad\"", &["unknown variant `bad`", "critical"]),
        ("[codes.reason-missing]", "[codes.ReasonMissing]", &["codes.ReasonMissing"]),
        ("[budget]", "[attrs.kind]\nvalues = []\n[budget]", &["attrs.kind.values"]),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&manifest, good.replace(from, to)).unwrap();
        fails(&folder, &["build"], 65, words);
    }
    fs::remove_file(&manifest).unwrap();
    fails(&folder, &["build"], 65, &["plugin.toml", "every check has a manifest"]);
    fs::write(&manifest, &good).unwrap();

    // no network, and nothing kept from before
    let mut offline = check(&folder, &["build"]);
    offline.env("CARGO_NET_OFFLINE", "true").env("CARGO_HOME", home.path().join("empty"));
    let (code, text) = said(&offline.output().unwrap());
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("cargo cannot reach its registry"), "{text}");

    // no toolchain at all: neither cargo nor rustc nor rustup is found
    let done = check(&folder, &["build"]).env("PATH", "").env_remove("CARGO").output().unwrap();
    let (code, text) = said(&done);
    assert_eq!(code, Some(69), "{text}");
    assert!(text.contains("rustup target add wasm32-unknown-unknown"), "{text}");
}

/// A check that does what MSH-10 says.
const TROUBLE: &str = r#"//! Makes the mistakes that authors make.
use feedpulse_check::{Finding, Findings, Level, Row};

fn check(row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    let wish = row.at("MSH-10")?.text();
    let found = || Finding::new("seen", Level::Warning);
    match wish {
        "UNDECLARED-FIELD" => drop(row.at("PID-5")?),
        "UNDECLARED-CODE" => out.push(Finding::new("unseen", Level::Info)),
        "UNDECLARED-ATTR" => out.push(found().attr("age", 3)),
        "WRONG-PLACE" => out.push(found().at("PID-5")),
        "PANIC" => panic!("no room for {}", row.at("MSH-3")?.text()),
        "LOOP" => loop { std::hint::black_box(0); },
        "BOMB" => drop(std::hint::black_box(Vec::<u8>::with_capacity(64 << 20))),
        _ => out.push(found()),
    }
    Ok(())
}

feedpulse_check::export!(fn check);
"#;

#[test]
fn mistakes_of_a_check_are_told_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    works(home.path(), &["new", "trouble"]);
    let folder = home.path().join("trouble");
    edit(folder.join("plugin.toml"), "[codes.reason-missing]", "[codes.seen]");
    edit(folder.join("plugin.toml"), "\"PV1-2\", \"PV2-3\"", "\"MSH-3\", \"MSH-10\"");
    let source = folder.join("src/lib.rs");
    fs::write(&source, "//! Does not compile.\nfn check() -> u8 { \"a\" }\n").unwrap();
    fails(&folder, &["build"], 65, &["mismatched types", "src/lib.rs:2", "does not compile"]);
    fs::write(&source, "//! Exports nothing.\n").unwrap();
    fails(
        &folder,
        &["build"],
        65,
        &["no exported instance", "ends with `feedpulse_check::export!"],
    );
    fs::write(&source, TROUBLE).unwrap();
    works(&folder, &["build"]);

    let cases = folder.join("cases");
    fs::remove_dir_all(&cases).unwrap();
    fails(&folder, &["test", "trouble.wasm"], 66, &["cases"]);
    fs::create_dir(&cases).unwrap();
    fails(&folder, &["test", "trouble.wasm"], 66, &["no case is here", "NAME.hl7"]);
    let case = |name: &str, wish: &str, expected: &str| {
        let message = format!("MSH|^~\\&|CANARY|B|C|D|20260301||ADT^A01|{wish}|P|2.5\r");
        fs::write(cases.join(name).with_extension("hl7"), message).unwrap();
        fs::write(cases.join(format!("{name}.expected.json")), expected).unwrap();
    };
    for (wish, words) in [
        ("UNDECLARED-FIELD", &["plugin_error", "`PID-5` is not declared: add \"PID-5\""][..]),
        ("UNDECLARED-CODE", &["bad_finding", "a code that the manifest does not declare"]),
        ("UNDECLARED-ATTR", &["bad_finding", "an attribute that the manifest does not declare"]),
        ("WRONG-PLACE", &["bad_finding", "place is not in a field"]),
        (
            "PANIC",
            &["trapped", "panicked at src/lib.rs:", "no room for CANARY", "on row 0 (ADT^A01)"],
        ),
        ("LOOP", &["timed_out", "more time than its budget", "a loop that does not end"]),
        ("BOMB", &["out_of_memory", "32 MiB"]),
        ("FOUND", &["unexpected  seen (row 0)"]),
    ] {
        case("mistake", wish, "[]");
        fails(&folder, &["test", "trouble.wasm"], 1, words);
    }
    case("mistake", "FOUND", "[{\"row\": 4, \"code\": \"seen\"}]");
    fails(&folder, &["test", "trouble.wasm"], 1, &["missing     seen (row 4)", "rows 0 to 0"]);
    case("mistake", "FOUND", "[{\"row\": 0}]");
    fails(
        &folder,
        &["test", "trouble.wasm"],
        65,
        &["mistake.expected.json", "missing field `code`"],
    );
    case("mistake", "FOUND", "{\"settings\": {\"a\": 1}, \"refuses\": \"no settings\"}");
    works(&folder, &["test", "trouble.wasm"]);
    let twice = "MSH|^~\\&|A|B|C|D|20260301||ADT^A01|FOUND|P|2.5\r".repeat(2);
    case("mistake", "x", "[{\"row\": 1, \"code\": \"seen\"}, {\"row\": 0, \"code\": \"seen\"}]");
    fs::write(cases.join("mistake.hl7"), twice).unwrap();
    works(&folder, &["test", "trouble.wasm"]);
    fs::write(cases.join("mistake.hl7"), "this is no HL7").unwrap();
    fails(&folder, &["test", "trouble.wasm"], 65, &["mistake.hl7", "no HL7 message"]);
}

#[test]
fn an_incident_becomes_a_case_without_its_patient() {
    let canaries = ["KANARIE7Q1", "QXCANARY7Q2"];
    let profile = Profile { canaries: canaries.map(str::to_owned).to_vec(), ..Profile::default() };
    let mut generator = Generator::new(5, profile).unwrap();
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let mut bytes = Vec::new();
    for n in 0..40 {
        let kind = Kind::ALL[n % Kind::ALL.len()];
        bytes.extend(generator.message(kind, 0, 0, Variation::default()).bytes);
        bytes.push(b'\n');
    }
    fs::write(home.join("night.hl7"), &bytes).unwrap();
    let told = works(
        home,
        &[
            "new",
            "went-back",
            "--from-message",
            "night.hl7",
            "--finding",
            "OBX[2]-11",
            "--finding",
            "FP0501",
        ],
    );
    assert!(told.contains("OBX-11, OBR-25"), "{told}");
    let case = fs::read(home.join("went-back/cases/incident.hl7")).unwrap();
    let upper = String::from_utf8_lossy(&case).to_uppercase();
    for canary in canaries {
        assert!(String::from_utf8_lossy(&bytes).contains(canary), "the generator puts it in plain");
        assert!(!upper.contains(canary), "{canary}");
    }
    let folder = home.join("went-back");
    works(&folder, &["build"]);
    let words = ["FAIL  incident", "to do: src/lib.rs", "missing     obx-11-wrong"];
    fails(&folder, &["test", "went-back.wasm"], 1, &words);
}
