//! Rules for single files: size, opening comment, `unsafe`, no binaries, nothing of one machine.

use super::{Tracked, assert_none, tracked};

/// Lines that a source file may have.
const MAX_LINES: usize = 600;

/// Crates whose root may not `forbid(unsafe_code)`, each with the reason; they deny it and expect
/// it in one documented module.
const MAY_BE_UNSAFE: [(&str, &str); 3] = [
    ("feedpulse-taps", "maps the ring that the kernel fills with packets"),
    ("feedpulse-wire", "maps the ring's memory into both processes"),
    ("feedpulse-wasm", "loads compiled code that it has itself made"),
];

/// Files that programs write and nobody reads line by line.
fn is_generated(path: &str) -> bool {
    path.ends_with("Cargo.lock") || path == "LICENSE"
}

/// Captured or generated input of tests may be of any size and hold any byte.
fn is_test_data(path: &str) -> bool {
    path.starts_with("tests/data/") || path.contains("/tests/data/") || path.contains("/cases/")
}

#[test]
fn files_are_short() {
    let too_long = |file: &Tracked| {
        let lines = file.text()?.lines().count();
        let counted = !is_generated(&file.path) && !is_test_data(&file.path);
        (counted && lines > MAX_LINES)
            .then(|| format!("{}: {lines} lines, at most {MAX_LINES}: split it", file.path))
    };
    assert_none(&tracked().iter().filter_map(too_long).collect::<Vec<_>>());
}

#[test]
fn rust_files_say_what_they_are_for() {
    let silent = |file: &&Tracked| {
        file.has_extension("rs") && !file.text().is_some_and(|text| text.starts_with("//! "))
    };
    let problem = |file: &Tracked| format!("{}: open it with `//! what it is for`", file.path);
    assert_none(&tracked().iter().filter(silent).map(problem).collect::<Vec<_>>());
}

/// The crate whose root this file is: a library, a program, a build script or a test program.
fn root_of(path: &str) -> Option<&str> {
    let (owner, inside) = if let Some(rest) = path.strip_prefix("crates/") {
        rest.split_once('/')?
    } else if let Some(rest) = path.strip_prefix("plugins/") {
        rest.split_once('/')?
    } else {
        ("tests", path.strip_prefix("tests/")?)
    };
    let is_root = matches!(inside, "src/lib.rs" | "src/main.rs" | "build.rs" | "tests/it/main.rs")
        || matches!(inside.strip_prefix("src/bin/"), Some(rest) if !rest.contains('/'))
        || matches!(inside.strip_prefix("tests/"), Some(rest) if !rest.contains('/'));
    (is_root && path.ends_with(".rs")).then_some(owner)
}

#[test]
fn crate_roots_forbid_unsafe_code() {
    let problem = |file: &Tracked| {
        let owner = root_of(&file.path)?;
        let excused = MAY_BE_UNSAFE.iter().any(|(name, _)| *name == owner);
        let text = file.text()?;
        let good = text.lines().any(|line| line == "#![forbid(unsafe_code)]");
        // A plugin's export macro writes the unsafe glue of the component model.
        let excused = excused || file.path.starts_with("plugins/");
        (!good && !excused).then(|| format!("{}: add #![forbid(unsafe_code)]", file.path))
    };
    assert_none(&tracked().iter().filter_map(problem).collect::<Vec<_>>());
}

#[test]
fn excuses_for_unsafe_are_of_crates_that_are_there() {
    let gone =
        MAY_BE_UNSAFE.iter().filter(|(name, _)| !super::at_root("crates").join(name).is_dir());
    assert_none(&gone.map(|(name, _)| format!("{name} is excused but gone")).collect::<Vec<_>>());
}

#[test]
fn no_binaries_are_tracked() {
    let problem = |file: &Tracked| {
        let is_binary = file.has_extension("wasm") || file.content.contains(&0);
        (is_binary && !is_test_data(&file.path))
            .then(|| format!("{}: a binary; build or fetch it instead", file.path))
    };
    assert_none(&tracked().iter().filter_map(problem).collect::<Vec<_>>());
}

#[test]
fn nothing_of_one_machine_is_named() {
    // Put together here so that this file does not hold them itself.
    let folders = ["work", "root", "farm"].map(|name| format!("/{name}/"));
    let marks =
        ["FIX", "XX"].map(|start| format!("{start}{}", if start == "XX" { "X" } else { "ME" }));
    let mut problems = Vec::new();
    for file in tracked().iter().filter(|file| !is_test_data(&file.path)) {
        for (index, line) in file.text().unwrap_or_default().lines().enumerate() {
            let at = format!("{}:{}", file.path, index + 1);
            if let Some(folder) = folders.iter().find(|folder| is_absolute_in(line, folder)) {
                problems.push(format!("{at}: {folder} is a folder of one machine"));
            }
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                problems.push(format!("{at}: finish it or write an issue"));
            }
        }
    }
    assert_none(&problems);
}

/// True when the folder is there at the start of a path, not inside of a longer one.
fn is_absolute_in(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}$)*".contains(c))
    })
}

#[test]
fn absolute_paths_are_told_from_longer_ones() {
    assert!(is_absolute_in("see /srv/x", "/srv/"));
    assert!(is_absolute_in("\"/srv/\"", "/srv/"));
    assert!(!is_absolute_in("target/srv/x", "/srv/"));
    assert!(!is_absolute_in("../srv/x", "/srv/"));
    assert!(!is_absolute_in("${HOME}/srv/x", "/srv/"));
}

#[test]
fn crate_roots_are_recognised() {
    assert_eq!(root_of("crates/feedpulse-hl7/src/lib.rs"), Some("feedpulse-hl7"));
    assert_eq!(root_of("crates/feedpulse/build.rs"), Some("feedpulse"));
    assert_eq!(root_of("crates/feedpulse-hl7/tests/it.rs"), Some("feedpulse-hl7"));
    assert_eq!(root_of("tests/tests/it/main.rs"), Some("tests"));
    assert_eq!(root_of("tests/src/bin/bench.rs"), Some("tests"));
    assert_eq!(root_of("crates/feedpulse-hl7/src/mllp.rs"), None);
    assert_eq!(root_of("crates/feedpulse-hl7/src/bin/x/part.rs"), None);
}
