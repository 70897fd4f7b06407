//! The interface as its readers rely on it: within a version functions may be added and nothing else
//! may change. (That a released folder never changes at all is held by its hash.)

use crate::support::root;
use wit_component::semver_check;
use wit_parser::{PackageId, Resolve, WorldId};

/// The worlds that a check can be built for.
const WORLDS: [&str; 2] = ["check", "check-and-tick"];

/// A version's numbers and its folder.
type Released = ([u32; 3], String);

/// The versions in `wit/`, oldest first.
fn released() -> Vec<Released> {
    let entries = std::fs::read_dir(root().join("wit")).unwrap();
    let mut all: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let numbers: Vec<u32> =
                name.strip_prefix("check@")?.split('.').map(|n| n.parse().unwrap()).collect();
            Some((numbers.try_into().unwrap(), name))
        })
        .collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

fn world(resolve: &Resolve, package: PackageId, name: &str) -> WorldId {
    resolve.select_world(&[package], Some(name)).unwrap()
}

#[test]
fn each_version_keeps_what_the_one_before_it_promised() {
    for pair in released().windows(2) {
        let [(old, before), (new, after)] = pair else { unreachable!() };
        // below 1.0 the second number is the one that breaks
        if old[..2] != new[..2] {
            continue;
        }
        for name in WORLDS {
            let mut resolve = Resolve::default();
            let (prev, _) = resolve.push_dir(root().join("wit").join(before)).unwrap();
            let (next, _) = resolve.push_dir(root().join("wit").join(after)).unwrap();
            let (prev, next) = (world(&resolve, prev, name), world(&resolve, next, name));
            let kept = semver_check(resolve, prev, next);
            assert!(
                kept.is_ok(),
                "{after} breaks the world {name} of {before}: {:#}",
                kept.unwrap_err()
            );
        }
    }
}

/// What the check says of the newest version with a change made to its text.
fn changed(from: &str, to: &str) -> Result<(), String> {
    let (_, newest) = released().pop().unwrap();
    let text = std::fs::read_to_string(root().join("wit").join(newest).join("check.wit")).unwrap();
    assert!(text.contains(from), "{from}");
    let package = text.lines().find(|line| line.starts_with("package ")).unwrap();
    let next = text.replace(package, "package feedpulse:check@0.1.999;").replacen(from, to, 1);
    let mut resolve = Resolve::default();
    let prev = resolve.push_str("prev.wit", &text).unwrap();
    let next = resolve.push_str("next.wit", &next).unwrap();
    let (prev, next) = (world(&resolve, prev, "check"), world(&resolve, next, "check"));
    semver_check(resolve, prev, next).map_err(|e| format!("{e:#}"))
}

#[test]
fn a_changed_record_a_new_case_and_a_lost_function_are_noticed() {
    assert_eq!(changed("package", "package"), Ok(()));
    let added = "  remove: func(key: string);\n  clear: func();";
    assert_eq!(changed("  remove: func(key: string);", added), Ok(()), "functions may be added");
    for (from, to) in [
        ("    now-ms: u64,", "    now-ms: u64,\n    about: string,"),
        ("    count: u32,", "    count: u64,"),
        ("warning, error, critical", "warning, error, critical, disaster"),
        ("  remove: func(key: string);", ""),
        ("raw: func(row: u32)", "raw: func(row: u32, part: u32)"),
    ] {
        assert!(changed(from, to).is_err(), "{from}");
    }
}
