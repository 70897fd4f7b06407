//! Configuration: one YAML file, every error at once with its line, column and a hint.

mod access;
mod calendar;
mod checks;
mod decoding;
pub(crate) mod document;
mod kubernetes;
mod mllp;
mod parts;
mod plan;
mod probes;
pub(crate) mod raw;
mod raw_access;
mod raw_kubernetes;
mod raw_mllp;
mod raw_probes;
mod raw_sinks;
mod raw_times;
pub(crate) mod resolve;
mod schedule;
mod shadow;
mod sinks;
#[cfg(test)]
mod tests;

use document::{Document, Problem};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use raw::Raw;
pub(crate) use resolve::Config;

/// The JSON Schema of the file, generated from [`Raw`].
#[must_use]
pub(crate) fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Raw)).expect("a generated schema is JSON")
}

/// Reads a configuration file's text.
///
/// # Errors
/// Everything that is wrong with it, in order of line.
pub(crate) fn load(text: &str) -> Result<Config, Vec<Problem>> {
    let document = Document::parse(text)?;
    let mut problems = shape(&document);
    if problems.is_empty() {
        match serde_json::from_value::<Raw>(document.value.clone()) {
            Ok(raw) => match resolve::resolve(&raw, &document) {
                Ok(mut config) => {
                    let key = feedpulse_core::key::SiteKey::new([0; 16]);
                    config.hash = format!("{:016x}", key.fingerprint(text.as_bytes()));
                    config.plan.config = config.hash.as_str().into();
                    return Ok(config);
                }
                Err(found) => problems = found,
            },
            Err(error) => problems.push(document.problem("", error.to_string(), "")),
        }
    }
    problems.sort();
    problems.dedup();
    Err(problems)
}

/// The store's folder that a configuration's text names, whatever else is in it: commands that only
/// look for a running process need none of its secrets.
///
/// # Errors
/// It is no YAML.
pub(crate) fn folder(text: &str) -> Result<std::path::PathBuf, Vec<Problem>> {
    let document = Document::parse(text)?;
    let folder = document.value["store"]["folder"].as_str();
    Ok(folder.unwrap_or(resolve::FOLDER).into())
}

/// What differs from the schema.
fn shape(document: &Document) -> Vec<Problem> {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).expect("the generated schema is valid");
    let mut problems = Vec::new();
    for error in validator.iter_errors(&document.value) {
        explain(&error, document, &schema, &mut problems);
    }
    problems
}

fn wants_null(error: &jsonschema::ValidationError<'_>) -> bool {
    let ValidationErrorKind::Type { kind: TypeKind::Single(one) } = error.kind() else {
        return false;
    };
    one.to_string() == "null"
}

fn explain(
    error: &jsonschema::ValidationError<'_>,
    document: &Document,
    schema: &serde_json::Value,
    problems: &mut Vec<Problem>,
) {
    let path = error.instance_path().as_str().trim_start_matches('/').to_owned();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                let hint = nearest(name, &known_keys(schema, error))
                    .map(|near| format!("did you mean {near:?}?"))
                    .unwrap_or_else(|| {
                        format!("known here: {}", known_keys(schema, error).join(", "))
                    });
                problems.push(document.problem(&inner, format!("unknown key {name:?}"), hint));
            }
        }
        // An optional part: the branch that is not `null` says what is wrong inside.
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let words = words(context);
            if !words.is_empty() {
                let hint = format!("one of {}", words.join(", "));
                problems.push(document.problem(&path, "not one of the known words", hint));
                return;
            }
            let is_null = |branch: &&Vec<_>| branch.iter().any(|e| wants_null(e));
            let deepest = context.iter().filter(|b| !is_null(b)).max_by_key(|branch| {
                branch.iter().map(|e| e.instance_path().as_str().len()).max().unwrap_or(0)
                    + usize::from(
                        !branch
                            .iter()
                            .any(|e| matches!(e.kind(), ValidationErrorKind::Type { .. })),
                    )
            });
            for inner in deepest.into_iter().flatten() {
                explain(inner, document, schema, problems);
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or("?");
            problems.push(document.problem(
                &path,
                format!("{name:?} is missing"),
                format!("add `{name}:` here"),
            ));
        }
        ValidationErrorKind::Enum { options } => {
            problems.push(document.problem(
                &path,
                "not one of the known words",
                format!("one of {options}"),
            ));
        }
        // The text of a value is not repeated: it could be a secret in the wrong place.
        ValidationErrorKind::Type { kind } => {
            let kinds = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(set) => {
                    let named = set.iter().map(|t| t.to_string()).filter(|t| t != "null");
                    named.collect::<Vec<_>>().join(" or ")
                }
            };
            problems.push(document.problem(
                &path,
                format!("the wrong kind of value: {kinds} is needed"),
                written(&kinds),
            ));
        }
        other => problems.push(document.problem(
            &path,
            format!("{:?} is not met", other.keyword()),
            "see `feedpulse validate --schema`",
        )),
    }
}

/// How a value of a kind is written.
fn written(kind: &str) -> &'static str {
    match kind {
        "array" => "write a list, such as [a, b]",
        "object" => "write keys and values, such as {name: x}",
        "integer" | "number" => "write a number, without quotes and unit",
        "boolean" => "write true or false",
        _ => "put text between quotes",
    }
}

/// The words of a list of alternatives, if that is what it is.
fn words(context: &[Vec<jsonschema::ValidationError<'static>>]) -> Vec<String> {
    let mut words = Vec::new();
    for error in context.iter().flatten() {
        match error.kind() {
            ValidationErrorKind::Constant { expected_value } => words.push(plain(expected_value)),
            ValidationErrorKind::Enum { options } => {
                words.extend(options.as_array().into_iter().flatten().map(plain));
            }
            // An optional word, or alternatives of alternatives.
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                words.extend(self::words(context));
            }
            _ => {}
        }
    }
    words
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The keys that the schema knows where an unknown one was found.
fn known_keys(schema: &serde_json::Value, error: &jsonschema::ValidationError<'_>) -> Vec<String> {
    let at = error.schema_path().as_str();
    let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
    // The path may pass through `$ref`: follow it from the root.
    let mut node = schema;
    for part in parent.split('/').filter(|p| !p.is_empty()) {
        if part == "$ref" {
            if let Some(target) = node.get("$ref").and_then(|r| r.as_str()) {
                node = schema.pointer(target.trim_start_matches('#')).unwrap_or(node);
            }
            continue;
        }
        let next = match node {
            serde_json::Value::Array(items) => {
                part.parse::<usize>().ok().and_then(|n| items.get(n))
            }
            other => other.get(part),
        };
        match next {
            Some(next) => node = next,
            None => return Vec::new(),
        }
    }
    let properties = node.get("properties").and_then(|p| p.as_object());
    properties.map(|p| p.keys().cloned().collect()).unwrap_or_default()
}

/// The known key that is most like a wrong one, if any is like it at all.
#[must_use]
pub(crate) fn nearest<'a>(wrong: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|key| (distance(wrong, key), key))
        .filter(|(d, key)| *d <= 1 + key.len() / 4)
        .min()
        .map(|(_, key)| key.as_str())
}

/// Edits (insert, delete, change) from one word to another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(from != *to));
            diagonal = above;
        }
    }
    row[b.len()]
}
