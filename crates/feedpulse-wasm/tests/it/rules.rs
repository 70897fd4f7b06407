//! Every example of `docs/rules.md`, read from that page: the rule, messages that break it, messages
//! that keep it. And what a wrong rule is told.

use crate::cases::judge;
use crate::support::{plugin, roomy, root};
use feedpulse_wasm::{Settings, StartError, Worker};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A worker with one list of rules.
fn worker(rules: &Value) -> Result<Worker, StartError> {
    let config = json!({ "rules": rules }).to_string();
    let settings = Settings { config, limits: roomy(), ..Settings::default() };
    plugin("rules").worker(settings)
}

/// YAML as JSON.
fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(n)) => json!(n),
        Yaml::Value(Scalar::Boolean(b)) => json!(b),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json_of).collect()),
        Yaml::Mapping(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.as_str().unwrap().to_owned(), json_of(value)))
                .collect(),
        ),
        other => panic!("{other:?}"),
    }
}

/// The fenced blocks of a page whose info string begins so, in order: its words and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            all.push((info.to_owned(), body.join("\n")));
        }
    }
    all
}

/// Messages of a block; one without MSH gets an ordinary one.
fn messages(block: &str) -> Vec<Vec<u8>> {
    let whole = |text: &str| match text.starts_with("MSH") {
        true => text.to_owned(),
        false => {
            format!("MSH|^~\\&|EHR|GENHOSP|PORTAL|GENHOSP|20260301||ADT^A01|1|P|2.5.1\n{text}")
        }
    };
    block.split("\n\n").map(|text| whole(text).into_bytes()).collect()
}

#[test]
fn every_example_of_the_page_does_what_it_says() {
    let page = std::fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let (mut examples, mut wrong) = (0, String::new());
    let mut rule = json!(null);
    for (info, text) in blocks(&page) {
        if info == "yaml" {
            rule = json_of(&Yaml::load_from_str(&text).unwrap()[0]);
            examples += 1;
        }
        let (Some(kind), true) = (info.strip_prefix("hl7 "), rule.is_array()) else { continue };
        let name = rule[0]["name"].as_str().unwrap();
        let mut worker = worker(&rule).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(worker.manifest().codes[name].title, rule[0]["title"].as_str().unwrap());
        let feed = rule[0]["feeds"][0].as_str().unwrap_or("case");
        let messages = messages(&text);
        let last = messages.len() as u64 - 1;
        let rows: Vec<Option<u64>> =
            judge(&mut worker, feed, messages).iter().map(|f| f.row).collect();
        let expected = if kind == "breaks" { vec![Some(last)] } else { Vec::new() };
        if rows != expected {
            writeln!(wrong, "{name}, {kind}: {rows:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(examples >= 20, "{examples}");
}

#[test]
fn a_wrong_rule_is_refused_with_its_name() {
    for (rule, said) in [
        (
            json!([{"name": "r", "title": "t", "path": "PID8", "is": "present"}]),
            "rules/0/path: `PID8` is no path; did you mean `PID-8`?",
        ),
        (json!([{"name": "R", "title": "t", "path": "PID-8", "is": "present"}]), "rules/0/name"),
        (json!([{"name": "r", "path": "PID-8", "is": "present"}]), "rules/0/title"),
        (
            json!([{"name": "r", "title": "t", "path": "PID-8", "equal": 1}]),
            "/rules/0: `equal` is no operator",
        ),
        (
            json!([{"name": "r", "title": "t", "path": "PID-8", "in": "sex"}]),
            "/rules/0/in: no table `sex`",
        ),
    ] {
        let error = worker(&rule).unwrap_err().to_string();
        assert!(error.contains(said), "{rule}: {error}");
    }
}
