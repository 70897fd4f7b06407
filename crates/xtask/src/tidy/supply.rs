//! Rules for what we take from others: licences, sources, crates that must not come in at all.
//!
//! The list of licences is the one of `.deny.toml`; cargo-deny checks more, where it is installed.

use super::{assert_none, at_root, tracked};
use crate::cmd;
use serde_json::Value;

/// Crates that no dependency may bring: a second TLS beside rustls and librdkafka's own.
const NEVER: [&str; 2] = ["native-tls", "openssl"];

/// The strings of the array `allow` in the section `[licenses]`.
fn allowed() -> Vec<String> {
    let text = std::fs::read_to_string(at_root(".deny.toml")).expect(".deny.toml is tracked");
    let section = text.split_once("[licenses]").expect("it has [licenses]").1;
    let array = section.split_once("allow = [").expect("which has `allow`").1;
    let array = array.split_once(']').expect("which ends").0;
    array.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// True when an SPDX expression (v2.3 annex D) can be met with the allowed licences.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    // A slash is the older way to write OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while let ["OR", tail @ ..] = words {
        *words = tail;
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let ["AND", tail @ ..] = words {
        *words = tail;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    match words {
        ["(", tail @ ..] => {
            *words = tail;
            let met = either(words, allowed);
            if let [")", tail @ ..] = words {
                *words = tail;
            }
            met
        }
        [name, "WITH", exception, tail @ ..] => {
            let name = format!("{name} WITH {exception}");
            *words = tail;
            allowed.contains(&name)
        }
        [name, tail @ ..] => {
            let met = allowed.iter().any(|licence| licence == name);
            *words = tail;
            met
        }
        [] => false,
    }
}

#[test]
fn every_licence_is_allowed() {
    let mut metadata = cmd::cargo();
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    metadata.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &host]);
    let json = cmd::output(&mut metadata).expect("cargo reads the workspace");
    let json: Value = serde_json::from_str(&json).expect("cargo metadata prints JSON");
    let allowed = allowed();
    let problem = |package: &Value| {
        let licence = package["license"].as_str().unwrap_or("no licence");
        let name = &package["name"];
        (!is_met(licence, &allowed)).then(|| format!("{name}: {licence} is not in .deny.toml"))
    };
    let packages = json["packages"].as_array().expect("cargo metadata lists packages");
    assert_none(&packages.iter().filter_map(problem).collect::<Vec<_>>());
}

#[test]
fn there_is_one_source_and_no_second_tls() {
    let mut problems = Vec::new();
    let mut registries = Vec::new();
    for lock in tracked().iter().filter(|file| file.path.ends_with("Cargo.lock")) {
        for line in lock.text().expect("a lock file is text").lines() {
            if let Some(source) = line.strip_prefix("source = ") {
                if source.starts_with("\"git") {
                    problems.push(format!("{}: {source}; take a release instead", lock.path));
                } else if !registries.iter().any(|known| known == source) {
                    registries.push(source.to_owned());
                }
            }
            let name = line.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"'));
            if let Some(name) = name.filter(|name| NEVER.contains(name)) {
                problems.push(format!("{}: {name} must not come in", lock.path));
            }
        }
    }
    if registries.len() > 1 {
        problems.push(format!("more than one registry: {registries:?}"));
    }
    assert_none(&problems);
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    let met = |expression| is_met(expression, &allowed);
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-2.0 OR MIT) AND Apache-2.0"] {
        assert!(met(good), "{good}");
    }
    assert!(met("Apache-2.0 WITH LLVM-exception AND MIT"));
    for bad in ["GPL-3.0", "MIT AND GPL-2.0", "", "OR MIT", "(GPL-2.0 OR ISC) AND MIT", "MIT ISC"] {
        assert!(!met(bad), "{bad}");
    }
    assert!(!met("MIT WITH other-exception"));
}
