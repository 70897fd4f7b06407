//! Checks in other languages than Rust, through the product's own builder and under its own limits:
//! what `check new` writes builds, passes its cases and its unit tests, and the library's checks
//! pass theirs. A language whose toolchain is not here is said to be skipped.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::parts::require;
use feedpulse_tests::product::binary;
use feedpulse_wasm::{Batch, CheckFinding, Kind, Limits, Row, Runtime, Settings, pack};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xtask::checks::Language;
use xtask::cmd::root;

/// Whether the toolchain is here; if not, that is said, and in CI it is a failure.
fn here(language: Language) -> bool {
    require(language.part()).is_some()
}

/// Runs a program of the toolchain in a folder, and gives its exit code and all that it said.
fn run(language: Language, folder: &Path, program: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.current_dir(folder).args(words);
    let done = language.equip(command).output().unwrap();
    let text = [&done.stdout[..], &done.stderr[..]].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn works(language: Language, folder: &Path, program: &str, words: &[&str]) -> String {
    let (code, text) = run(language, folder, program, words);
    assert_eq!(code, Some(0), "{program} {words:?} in {}:\n{text}", folder.display());
    text
}

fn feedpulse() -> &'static str {
    binary().to_str().unwrap()
}

/// A new folder, with what the language's package client would put beside it.
fn new_check(language: Language, name: &str, home: &Path) -> PathBuf {
    works(language, home, feedpulse(), &["check", "new", "reason-check", "--lang", name]);
    let folder = home.join("reason-check");
    if language == Language::Js {
        symlink(require("check-js").unwrap(), home.join("node_modules")).unwrap();
        fs::create_dir(folder.join("node_modules")).unwrap();
        symlink("../sdk/js", folder.join("node_modules/feedpulse-check")).unwrap();
    }
    folder
}

/// What every template must do; gives the folder for more.
fn template(language: Language, name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    if !here(language) {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = new_check(language, name, home.path());
    let built = works(language, &folder, feedpulse(), &["check", "build"]);
    assert!(built.contains("reason-check.wasm") && built.contains("PV1-2, PV2-3"), "{built}");
    let tested = works(language, &folder, feedpulse(), &["check", "test", "reason-check.wasm"]);
    assert_eq!(tested.matches("  ok ").count(), 2, "{tested}");
    Some((home, folder))
}

#[test]
fn a_new_check_in_javascript_builds_and_passes_its_tests() {
    let Some((_home, folder)) = template(Language::Js, "js") else { return };
    works(Language::Js, &folder, "npm", &["test"]);
}

#[test]
fn a_new_check_in_typescript_builds_and_passes_its_tests() {
    let Some((_home, folder)) = template(Language::Js, "ts") else { return };
    let said = works(Language::Js, &folder, "npm", &["test"]);
    assert!(said.contains("# pass 1"), "{said}");
    let source = folder.join("src/check.ts");
    let wrong = fs::read_to_string(&source).unwrap().replace("row.value(", "row.worth(");
    fs::write(&source, wrong).unwrap();
    let (code, said) = run(Language::Js, &folder, "npm", &["run", "types"]);
    assert!(code != Some(0) && said.contains("worth"), "types are held against the kit: {said}");
}

#[test]
fn a_new_check_in_python_builds_and_passes_its_tests() {
    let Some((_home, folder)) = template(Language::Python, "python") else { return };
    let mut unittest = Command::new("python3");
    unittest.current_dir(&folder).args(["-m", "unittest", "discover", "tests"]);
    let done = unittest.env("PYTHONPATH", "sdk/python").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_new_check_in_go_builds_and_passes_its_tests() {
    let Some((_home, folder)) = template(Language::Go, "go") else { return };
    works(Language::Go, &folder, "go", &["test", "./..."]);
}

#[test]
fn a_missing_toolchain_is_named_with_the_command_that_brings_it() {
    let home = tempfile::tempdir().unwrap();
    for (name, wanted) in
        [("js", "install"), ("ts", "install"), ("python", "requirements.txt"), ("go", "Go 1.24")]
    {
        let folder = home.path().join(name);
        let made = Command::new(binary())
            .args(["check", "new", "reason-check", "--lang", name, "--dir"])
            .arg(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{name}");
        let mut build = Command::new(binary());
        build.args(["check", "build"]).arg(&folder).env("PATH", home.path());
        let done = build.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(69), "{name}: {said}");
        assert!(said.contains(wanted), "{name}: {said}");
    }
}

/// Builds a check of `plugins/` and runs its cases; gives the component.
fn library(language: Language, name: &str) -> Option<Vec<u8>> {
    if !here(language) {
        return None;
    }
    let folder = root().join("plugins").join(name);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join(format!("{name}.wasm"));
    let path = file.to_str().unwrap();
    works(language, &folder, feedpulse(), &["check", "build", "--out", path]);
    let cases = folder.join("cases");
    let cases = cases.to_str().unwrap();
    let tested = works(language, &folder, feedpulse(), &["check", "test", path, "--cases", cases]);
    assert!(tested.matches("  ok ").count() >= 2, "{tested}");
    Some(fs::read(&file).unwrap())
}

#[test]
fn timestamp_sanity_passes_its_cases_packed_or_not() {
    let Some(wasm) = library(Language::Js, "timestamp-sanity") else { return };
    let packed = pack(&wasm);
    assert!(packed.len() < 1 << 20, "a ConfigMap holds it: {} bytes", packed.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("timestamp-sanity.wasm.gz");
    fs::write(&file, packed).unwrap();
    let cases = root().join("plugins/timestamp-sanity/cases");
    let words = ["check", "test", file.to_str().unwrap(), "--cases", cases.to_str().unwrap()];
    works(Language::Js, folder.path(), feedpulse(), &words);
}

#[test]
fn portal_account_linkage_passes_its_cases() {
    library(Language::Python, "portal-account-linkage");
}

/// A check that does what the first field of a row says.
fn misbehaving(language: Language, name: &str, source: (&str, &str)) -> Option<Vec<u8>> {
    if !here(language) {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = new_check(language, name, home.path());
    fs::write(folder.join(source.0), source.1).unwrap();
    works(language, &folder, feedpulse(), &["check", "build"]);
    Some(fs::read(folder.join("reason-check.wasm")).unwrap())
}

/// Hands it one row for each deed, alone; gives the kinds and causes of the faults.
fn deeds(wasm: &[u8], deeds: &[&str]) -> Vec<(Kind, String)> {
    let runtime = Runtime::new(None).unwrap();
    let (ticker, stop) = (runtime.ticker(), Arc::new(AtomicBool::new(false)));
    let heart = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || ticker.run(&stop))
    };
    let limits = Limits { faults: 100, memory: 24 << 20, ..Limits::default() };
    let plugin = runtime.load(wasm).unwrap();
    assert!(plugin.ticks(), "a function `tick` is exported");
    let mut worker = plugin.worker(Settings { limits, ..Settings::default() }).unwrap();
    let mut faults = Vec::new();
    for deed in deeds {
        let rows = [Row { id: 7, fields: format!("{deed}\u{1f}CANARY") }];
        let batch = Batch { feed: "adt", now_ms: 1, monotonic_ms: 0, rows: &rows, access: None };
        let found = worker.check(&batch);
        assert!(!format!("{found:?}").contains("CANARY"), "{deed}");
        for one in found {
            match one {
                CheckFinding::Faulty(fault) => faults.push((fault.kind, fault.cause.into())),
                CheckFinding::Found(found) => {
                    assert_eq!(&*found.code, "reason-check/reason-missing");
                }
            }
        }
    }
    assert_eq!(worker.tick("adt", 1, 0).len(), 1);
    let instances = worker.status().instances;
    let traps = faults.iter().filter(|(kind, _)| *kind != Kind::PluginError).count();
    assert_eq!(instances, 1 + traps as u64, "an exception is no trap");
    stop.store(true, Ordering::Release);
    heart.join().unwrap();
    faults
}

#[test]
fn an_exception_in_javascript_is_an_error_and_not_a_trap() {
    let source = r#"
        import { Finding, Level, state } from "feedpulse-check";
        export function check(row, out) {
          const deed = row.value("PV1-2");
          if (deed === "throw") throw new Error(row.value("PV2-3"));
          if (deed === "clock") Date.now();
          if (deed === "date") new Date();
          if (deed === "random") Math.random();
          if (deed === "path") row.at("PID-5");
          if (deed === "state") state.set("k".repeat(200), "");
          if (deed === "loop") for (;;);
          state.set("n", "1");
          out.push(new Finding("reason-missing", Level.INFO));
        }
        export function tick(feed, nowMs, out) {
          if (state.get("n") === "1") out.push(new Finding("reason-missing", Level.INFO));
        }
    "#;
    let Some(wasm) = misbehaving(Language::Js, "js", ("src/check.js", source)) else { return };
    let told = ["throw", "clock", "date", "random", "path", "state", "well", "loop", "well"];
    let faults = deeds(&wasm, &told);
    assert_eq!(faults.len(), 7, "{faults:?}");
    assert!(faults[..6].iter().all(|(kind, _)| *kind == Kind::PluginError), "{faults:?}");
    assert_eq!(faults[6].0, Kind::TimedOut, "{faults:?}");
}

#[test]
fn an_exception_in_python_is_an_error_and_not_a_trap() {
    let source = r#"
import time
from feedpulse_check import Finding, Findings, Level, Row, state


def check(row: Row, out: Findings) -> None:
    deed = row.value("PV1-2")
    if deed == "raise":
        raise RuntimeError(row.value("PV2-3"))
    if deed == "clock":
        time.time()
    if deed == "path":
        row.at("PID-5")
    if deed == "state":
        state.set("k" * 200, "")
    if deed == "deep":
        check(row, out)
    state.set("n", "1")
    out.push(Finding("reason-missing", Level.INFO))


def tick(feed: str, now_ms: int, out: Findings) -> None:
    if state.get("n") == "1":
        out.push(Finding("reason-missing", Level.INFO))
"#;
    let Some(wasm) = misbehaving(Language::Python, "py", ("check.py", source)) else { return };
    let faults = deeds(&wasm, &["raise", "clock", "path", "state", "well", "deep", "well"]);
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults[..4].iter().all(|(kind, _)| *kind == Kind::PluginError), "{faults:?}");
}

#[test]
fn a_panic_in_go_is_an_error_and_not_a_trap() {
    let source = r#"
package main

import (
	"strings"
	"time"

	"feedpulse/check"
	"feedpulse/check/tick"
)

type finder struct{}

func (finder) Check(row *check.Row, out *check.Findings) error {
	switch row.Value("PV1-2") {
	case "panic":
		panic(row.Value("PV2-3"))
	case "index":
		_ = row.Texts()[len(row.Value("PV2-3"))]
	case "path":
		row.At("PID-5")
	case "clock":
		time.Sleep(time.Hour)
	case "state":
		if err := check.State.Set(strings.Repeat("k", 200), ""); err != nil {
			return err
		}
	}
	if err := check.State.Set("n", "1"); err != nil {
		return err
	}
	out.Push(check.NewFinding("reason-missing", check.Info))
	return nil
}

func (finder) Tick(_ string, _ uint64, out *check.Findings) error {
	if n, ok := check.State.Get("n"); ok && n == "1" {
		out.Push(check.NewFinding("reason-missing", check.Info))
	}
	return nil
}

func init() {
	tick.Export(func(settings string) (check.Ticker, error) { return finder{}, check.NoSettings(settings) })
}

func main() {}
"#;
    let Some(wasm) = misbehaving(Language::Go, "go", ("main.go", source)) else { return };
    let faults = deeds(&wasm, &["panic", "index", "path", "state", "well", "clock", "well"]);
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults[..4].iter().all(|(kind, _)| *kind == Kind::PluginError), "{faults:?}");
    assert_eq!(faults[4].0, Kind::TimedOut, "a check cannot sleep: {faults:?}");
}

#[test]
fn an_exception_in_typescript_names_a_line_of_its_source() {
    if !here(Language::Js) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = new_check(Language::Js, "ts", home.path());
    let source = "import { Findings, Row } from \"feedpulse-check\";\n\
        \n\
        interface Unused { what: string }\n\
        \n\
        export function check(row: Row, out: Findings): void {\n\
        \x20 look(row);\n\
        }\n\
        \n\
        function look(row: Row): void {\n\
        \x20 row.at(\"PID-5\");\n\
        }\n";
    fs::write(folder.join("src/check.ts"), source).unwrap();
    let (code, said) = run(Language::Js, &folder, feedpulse(), &["check", "test"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("(look src/check.ts:10:") && said.contains("check src/check.ts:6:"),
        "{said}"
    );
    assert!(!said.contains("bundle.js") && !said.contains("sdk/js"), "{said}");
    assert!(
        said.contains("            MSH|") && !said.contains('^'.to_string().repeat(2).as_str()),
        "{said}"
    );
    // the file alone knows too
    let words = ["check", "run", "reason-check.wasm", "cases"];
    let (_, said) = run(Language::Js, &folder, feedpulse(), &words);
    assert!(said.contains("src/check.ts:10:"), "{said}");
}
