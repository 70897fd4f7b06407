//! Rules between crates: the arrows, and who alone may use which heavy dependency.

use super::assert_none;
use crate::cmd;
use serde_json::Value;

/// The crates of ours that each crate may use. Arrows never turn; siblings are strangers.
/// `*` stands for all of them.
const ARROWS: [(&str, &[&str]); 20] = [
    ("feedpulse", &["*"]),
    ("feedpulse-check", &[]),
    ("feedpulse-codec", &["feedpulse-core"]),
    ("feedpulse-core", &[]),
    ("feedpulse-hl7", &["feedpulse-core"]),
    ("feedpulse-http", &["feedpulse-core"]),
    ("feedpulse-kafka", &["feedpulse-core", "feedpulse-hl7"]),
    ("feedpulse-oci", &["feedpulse-http"]),
    ("feedpulse-probes", &["feedpulse-core", "feedpulse-http"]),
    ("feedpulse-sim", &[]),
    ("feedpulse-sinks", &["feedpulse-core", "feedpulse-codec", "feedpulse-http"]),
    ("feedpulse-store", &["feedpulse-core", "feedpulse-codec"]),
    ("feedpulse-taps", &["feedpulse-core", "feedpulse-hl7", "feedpulse-wire"]),
    ("feedpulse-tests", &["*"]),
    ("feedpulse-tests-eval", &["feedpulse-core"]),
    ("feedpulse-tests-sim", &["feedpulse-core", "feedpulse-codec", "feedpulse-hl7"]),
    ("feedpulse-wasm", &["feedpulse-core"]),
    ("feedpulse-web", &["feedpulse-core"]),
    ("feedpulse-wire", &[]),
    ("xtask", &[]),
];

/// Heavy dependencies and the crates that alone may use them. The integration tests are peers of
/// the product, not part of it, and may use any.
const QUARANTINE: [(&str, &[&str]); 26] = [
    ("anyhow", &["feedpulse"]),
    ("axum", &["feedpulse-web"]),
    ("clap", &["feedpulse"]),
    ("croner", &["feedpulse"]),
    ("etherparse", &["feedpulse-taps"]),
    ("hickory-resolver", &["feedpulse-probes"]),
    ("hl7-parser", &["feedpulse-hl7"]),
    ("hyper", &["feedpulse-sinks", "feedpulse-web"]),
    ("lettre", &["feedpulse-sinks"]),
    ("native-tls", &[]),
    ("oci-client", &["feedpulse-oci"]),
    ("openssl", &[]),
    ("opentelemetry", &[]),
    ("opentelemetry-proto", &["feedpulse-sinks"]),
    ("opentelemetry_sdk", &[]),
    ("pcap-parser", &["feedpulse-taps"]),
    ("rdkafka", &["feedpulse-kafka"]),
    ("redb", &["feedpulse-store"]),
    ("reqwest", &["feedpulse-http"]),
    // Beside the client: the look at certificates, the servers of the sinks' own tests, and the
    // wire where it ends and begins TLS.
    ("rustls", &["feedpulse-http", "feedpulse-probes", "feedpulse-sinks", "feedpulse-wire"]),
    ("rustls-native-certs", &["feedpulse-http"]),
    ("tokio-rustls", &["feedpulse-http", "feedpulse-probes", "feedpulse-sinks", "feedpulse-wire"]),
    ("tonic", &["feedpulse-sinks"]),
    ("wasmtime", &["feedpulse-wasm"]),
    ("wit-component", &["feedpulse", "feedpulse-wasm", "xtask"]),
    ("x509-parser", &["feedpulse-probes"]),
];

/// What the pure crates may never use, however light: time, tasks, sockets and files come from
/// outside. Decoding may use jiff, to turn a sender's local time into an instant.
const IMPURE: [(&str, &[&str]); 3] = [
    ("feedpulse-core", &["jiff", "notify", "rustix", "socket2", "tokio", "tracing"]),
    ("feedpulse-codec", &["jiff", "notify", "rustix", "socket2", "tokio", "tracing"]),
    ("feedpulse-hl7", &["notify", "rustix", "socket2", "tokio", "tracing"]),
];

/// A dependency as a manifest declares it.
struct Edge {
    from: String,
    to: String,
    is_dev: bool,
}

fn metadata() -> Value {
    let mut metadata = cmd::cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let json = cmd::output(&mut metadata).expect("cargo reads the workspace");
    serde_json::from_str(&json).expect("cargo metadata prints JSON")
}

fn packages(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    packages.iter().filter_map(|p| p["name"].as_str().map(str::to_owned)).collect()
}

fn edges(metadata: &Value) -> Vec<Edge> {
    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().expect("cargo metadata lists packages") {
        let from = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default().to_owned();
            let is_dev = dependency["kind"] == "dev";
            edges.push(Edge { from: from.to_owned(), to, is_dev });
        }
    }
    edges
}

#[test]
fn arrows_never_turn() {
    let metadata = metadata();
    let ours = packages(&metadata);
    let mut problems = Vec::new();
    for name in &ours {
        if !ARROWS.iter().any(|(from, _)| from == name) {
            problems.push(format!("{name} is not in the table of arrows"));
        }
    }
    for (name, _) in ARROWS {
        if !ours.iter().any(|n| n == name) {
            problems.push(format!("{name} is in the table of arrows but gone"));
        }
    }
    for edge in edges(&metadata).iter().filter(|edge| ours.contains(&edge.to)) {
        let allowed =
            ARROWS.iter().find(|(from, _)| *from == edge.from).map_or(&[][..], |(_, to)| to);
        let good = allowed.iter().any(|to| *to == "*" || *to == edge.to);
        // The simulator may feed any crate's own tests: it knows none of them.
        let good = good || (edge.is_dev && edge.to == "feedpulse-sim");
        // Cases of checks are messages: tests join their rows as the product does.
        let rows = ("feedpulse-wasm", "feedpulse-hl7");
        let good = good || (edge.is_dev && (edge.from.as_str(), edge.to.as_str()) == rows);
        if !good {
            problems.push(format!("{} may not use {}", edge.from, edge.to));
        }
    }
    assert_none(&problems);
}

#[test]
fn heavy_dependencies_stay_in_their_crates() {
    let mut problems = Vec::new();
    for edge in edges(&metadata()) {
        if edge.from == "feedpulse-tests" {
            continue;
        }
        if let Some((_, alone)) = QUARANTINE.iter().find(|(name, _)| *name == edge.to)
            && !alone.contains(&edge.from.as_str())
        {
            problems.push(format!("{} may not use {}, only {alone:?} may", edge.from, edge.to));
        }
        let banned = IMPURE.iter().find(|(name, _)| *name == edge.from).map_or(&[][..], |(_, b)| b);
        if !edge.is_dev && banned.contains(&edge.to.as_str()) {
            problems.push(format!("{} is pure and may not use {}", edge.from, edge.to));
        }
    }
    assert_none(&problems);
}

#[test]
fn lints_and_versions_come_from_the_workspace() {
    let metadata = metadata();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let text = std::fs::read_to_string(manifest).expect("cargo names manifests that are there");
        for line in ["[lints]\nworkspace = true", "version.workspace = true"] {
            if !text.contains(line) {
                problems.push(format!("{manifest}: it lacks {line:?}"));
            }
        }
        if package["publish"].as_array().is_none_or(|registries| !registries.is_empty()) {
            problems.push(format!("{manifest}: it lacks publish.workspace = true"));
        }
    }
    assert_none(&problems);
}
