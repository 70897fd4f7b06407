//! What differs from a JSON Schema, told with its place and with what to write instead: of the
//! configuration itself, and of the settings of checks that declare a schema.

use super::document::{Part, Problem};
use jsonschema::PatternOptions;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most parts of a check's schema, references followed.
const NODES_MAX: usize = 20_000;
/// Its deepest nesting, references followed.
const DEPTH_MAX: usize = 64;

/// All differences. A schema that somebody wrote for its errors says in each `description` what is
/// needed there; of one that was generated (`more` says where it can be read) they are not used.
/// Each problem comes with its path in the value.
///
/// # Errors
/// The schema itself is none.
pub(crate) fn differences(
    part: &Part,
    schema: &Value,
    more: Option<&str>,
) -> Result<Vec<(String, Problem)>, String> {
    if more.is_none() {
        valid(schema)?;
    }
    let validator = compiled(schema)?;
    let mut told = Told { part, schema, more, problems: Vec::new(), meant: BTreeSet::new() };
    let mut missing = Vec::new();
    for error in validator.iter_errors(part.value()) {
        if matches!(error.kind(), ValidationErrorKind::Required { .. }) {
            missing.push(error);
        } else {
            told.explain(&error);
        }
    }
    missing.iter().for_each(|error| told.explain(error));
    Ok(told.problems)
}

/// A schema, ready to be used.
///
/// # Errors
/// Why it is none.
fn compiled(schema: &Value) -> Result<jsonschema::Validator, String> {
    // A pattern of a stranger's schema takes linear time.
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|e| e.to_string())
}

/// Whether a check's schema is one, and one that takes bounded time: a stranger wrote it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn valid(schema: &Value) -> Result<(), String> {
    bounded(schema, schema, 0, &mut { NODES_MAX })?;
    compiled(schema).map(drop)
}

/// Counts the nodes of a schema with all references followed, so that none leads into itself and none
/// multiplies.
fn bounded(root: &Value, node: &Value, depth: usize, left: &mut usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("it is nested too deep, or refers to itself".to_owned());
    }
    let below: Vec<&Value> = match node {
        Value::Object(map) => map.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return Ok(()),
    };
    *left = left
        .checked_sub(1)
        .ok_or(format!("it has more than {NODES_MAX} parts with its references followed"))?;
    for key in ["$ref", "$dynamicRef", "$recursiveRef"] {
        let Some(reference) = node.get(key).and_then(Value::as_str) else { continue };
        let target = reference.strip_prefix('#').filter(|path| key == "$ref" && !path.is_empty());
        let target = target.and_then(|path| root.pointer(path));
        let target = target.ok_or("references are written {\"$ref\": \"#/$defs/NAME\"}")?;
        bounded(root, target, depth + 1, left)?;
    }
    below.into_iter().try_for_each(|inner| bounded(root, inner, depth + 1, left))
}

/// What was found so far.
struct Told<'a> {
    part: &'a Part,
    schema: &'a Value,
    more: Option<&'a str>,
    problems: Vec<(String, Problem)>,
    /// Where a key stands that is written wrong, and which one was meant: it is not missing as well.
    meant: BTreeSet<(String, String)>,
}

impl Told<'_> {
    fn say(&mut self, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.problems.push((path.to_owned(), self.part.problem(path, what, hint)));
    }

    /// What the schema says of the place where an error was found.
    fn described(&self, error: &jsonschema::ValidationError<'_>) -> Option<String> {
        let text = node(self.schema, error).filter(|_| self.more.is_none())?.get("description")?;
        text.as_str().map(str::to_owned)
    }

    fn explain(&mut self, error: &jsonschema::ValidationError<'_>) {
        let path = error.instance_path().as_str().trim_start_matches('/').to_owned();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = known_keys(self.schema, error);
                for name in unexpected {
                    let inner =
                        if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                    let what = format!("unknown key {name:?}");
                    let Some(near) = nearest(name, &known) else {
                        self.say(&inner, what, format!("known here: {}", known.join(", ")));
                        continue;
                    };
                    let problem =
                        self.part.problem(&inner, what, format!("did you mean {near:?}?"));
                    // What is said of the key that was meant follows from this.
                    let meant =
                        format!("{}{near}", inner.strip_suffix(name.as_str()).unwrap_or(""));
                    self.problems.push((meant, problem));
                    self.meant.insert((path.clone(), near.to_owned()));
                }
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                self.alternatives(error, &path, context);
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or("?");
                if self.meant.contains(&(path.clone(), name.to_owned())) {
                    return;
                }
                self.say(&path, format!("{name:?} is missing"), format!("add `{name}:` here"));
            }
            ValidationErrorKind::Enum { options } => {
                let all: Vec<String> =
                    options.as_array().into_iter().flatten().map(plain).collect();
                let hint = format!("one of {}", all.join(", "));
                self.say(&path, "not one of the known words", hint);
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
                let hint = self.described(error).unwrap_or_else(|| written(&kinds).to_owned());
                self.say(&path, format!("the wrong kind of value: {kinds} is needed"), hint);
            }
            other => {
                let what =
                    bound(other).unwrap_or_else(|| format!("{:?} is not met", other.keyword()));
                let hint = self
                    .described(error)
                    .unwrap_or_else(|| self.more.unwrap_or_default().to_owned());
                self.say(&path, what, hint);
            }
        }
    }

    /// What is wrong where one of several forms is needed.
    fn alternatives(
        &mut self,
        error: &jsonschema::ValidationError<'_>,
        path: &str,
        context: &[Vec<jsonschema::ValidationError<'static>>],
    ) {
        let words = words(context);
        if !words.is_empty() {
            let hint = format!("one of {}", words.join(", "));
            return self.say(path, "not one of the known words", hint);
        }
        // Where the schema says in words what is needed, that is clearer than one form's complaint.
        if let Some(hint) = self.described(error) {
            return self.say(path, "not written as it is needed here", hint);
        }
        // An optional part: the branch that is not `null` says what is wrong inside.
        let is_null = |branch: &&Vec<_>| branch.iter().any(|e| wants_null(e));
        let deepest = context.iter().filter(|b| !is_null(b)).max_by_key(|branch| {
            let of_type = |e: &jsonschema::ValidationError<'_>| {
                matches!(e.kind(), ValidationErrorKind::Type { .. })
            };
            branch.iter().map(|e| e.instance_path().as_str().len()).max().unwrap_or(0)
                + usize::from(!branch.iter().any(of_type))
        });
        for inner in deepest.into_iter().flatten() {
            self.explain(inner);
        }
    }
}

fn wants_null(error: &jsonschema::ValidationError<'_>) -> bool {
    let ValidationErrorKind::Type { kind: TypeKind::Single(one) } = error.kind() else {
        return false;
    };
    one.to_string() == "null"
}

/// A limit that is not kept, in words.
fn bound(kind: &ValidationErrorKind) -> Option<String> {
    Some(match kind {
        ValidationErrorKind::MinItems { limit } => format!("at least {limit} are needed"),
        ValidationErrorKind::MaxItems { limit } => format!("more than {limit}"),
        ValidationErrorKind::MinProperties { limit } => format!("at least {limit} keys are needed"),
        ValidationErrorKind::MaxProperties { limit } => format!("more than {limit} keys"),
        ValidationErrorKind::MinLength { limit: 1 } => "an empty text".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("shorter than {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("longer than {limit} characters"),
        ValidationErrorKind::Minimum { limit } => format!("less than {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("more than {limit}"),
        ValidationErrorKind::UniqueItems => "something is there twice".to_owned(),
        ValidationErrorKind::Pattern { .. } => "not written as it is needed here".to_owned(),
        _ => return None,
    })
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

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The part of the schema that an error is about.
fn node<'a>(schema: &'a Value, error: &jsonschema::ValidationError<'_>) -> Option<&'a Value> {
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
            Value::Array(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
            other => other.get(part),
        };
        match next {
            Some(next) => node = next,
            None => return None,
        }
    }
    Some(node)
}

/// The keys that the schema knows where an unknown one was found.
fn known_keys(schema: &Value, error: &jsonschema::ValidationError<'_>) -> Vec<String> {
    let properties = node(schema, error).and_then(|node| node.get("properties")?.as_object());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;
    use serde_json::json;

    fn said(schema: &Value, text: &str) -> Vec<String> {
        let part = Part::whole(Document::parse(text).unwrap());
        let found = differences(&part, schema, None).unwrap();
        found.into_iter().map(|(_, problem)| problem.to_string()).collect()
    }

    #[test]
    fn what_is_wrong_is_said_once_with_what_to_write() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["title", "rooms"],
            "properties": {
                "title": {"type": "string"},
                "rooms": {"$ref": "#/$defs/rooms"},
                "limit": {"type": "integer", "minimum": 1, "description": "a number of messages"},
                "name": {"type": "string", "pattern": "^[A-Z]+$", "description": "capital letters"},
                "mode": {"enum": ["fast", "safe"]},
                "size": {"description": "a number or {max: 3}", "anyOf": [{"type": "integer"}, {"type": "object"}]},
            },
            "$defs": {"rooms": {"type": "array", "minItems": 1}},
        });
        assert_eq!(said(&schema, "title: a\nrooms: [1]"), [""; 0]);
        let all = said(
            &schema,
            "titel: a\nrooms: []\nlimit: 0\nname: abc\nmode: slow\nsize: many\nother: 1\n",
        );
        for says in [
            "1:1: titel: unknown key \"titel\"\n    did you mean \"title\"?",
            "2:1: rooms: at least 1 are needed",
            "3:1: limit: less than 1\n    a number of messages",
            "4:1: name: not written as it is needed here\n    capital letters",
            "5:1: mode: not one of the known words\n    one of fast, safe",
            "6:1: size: not written as it is needed here\n    a number or {max: 3}",
            "7:1: other: unknown key \"other\"\n    known here: limit, mode, name, rooms, size, title",
        ] {
            assert!(all.contains(&says.to_owned()), "{says}: {all:#?}");
        }
        assert_eq!(all.len(), 7, "a key that is written wrong is not missing too: {all:#?}");
    }

    #[test]
    fn a_strangers_schema_takes_bounded_time() {
        let refused = |schema: Value| valid(&schema).unwrap_err();
        assert!(refused(json!({"$ref": "#"})).contains("#/$defs/NAME"));
        let own = json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}});
        assert!(refused(own).contains("refers to itself"));
        let mut defs = serde_json::Map::new();
        for n in 0..18 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs.insert(format!("d{n}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d18".to_owned(), json!({}));
        assert!(refused(json!({"$ref": "#/$defs/d0", "$defs": defs})).contains("more than 20000"));
        assert!(refused(json!({"$ref": "https://host.example/schema"})).contains("references"));
        assert!(refused(json!({"type": 7})).contains("7"));
        assert!(valid(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array"}}})).is_ok());
    }
}
