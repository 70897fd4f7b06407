//! A YAML document with the place of everything in it, as JSON for the schema.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// One thing wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Path of keys, such as `feeds/0/route`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        if !self.hint.is_empty() {
            write!(f, "\n    {}", self.hint)?;
        }
        Ok(())
    }
}

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 32;
/// Largest file that is read, in bytes.
pub(crate) const SIZE_MAX: usize = 4 << 20;

/// A parsed document.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its content.
    pub value: Value,
    places: BTreeMap<String, (usize, usize)>,
}

impl Document {
    /// Parses one YAML document.
    ///
    /// # Errors
    /// The problems, each with its place.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let nowhere = |line, column, what: String, hint: &str| {
            vec![Problem { line, column, path: String::new(), what, hint: hint.to_owned() }]
        };
        if text.len() > SIZE_MAX {
            return Err(nowhere(
                1,
                1,
                "the file is over 4 MiB".into(),
                "split feeds over several files of several instances",
            ));
        }
        let nodes = MarkedYaml::load_from_str(text).map_err(|error| {
            let at = error.marker();
            nowhere(
                at.line(),
                at.col() + 1,
                error.info().to_owned(),
                "the file is not valid YAML 1.2 here",
            )
        })?;
        let mut document =
            Self { value: Value::Object(serde_json::Map::new()), places: BTreeMap::new() };
        let mut problems = Vec::new();
        match nodes.as_slice() {
            [] => {}
            [one] => document.value = document.take(one, String::new(), 0, &mut problems),
            [_, second, ..] => {
                let at = second.span.start;
                return Err(nowhere(
                    at.line(),
                    at.col() + 1,
                    "a second YAML document".into(),
                    "one file holds one document",
                ));
            }
        }
        if document.value.is_null() {
            document.value = Value::Object(serde_json::Map::new());
        }
        if problems.is_empty() { Ok(document) } else { Err(problems) }
    }

    /// Line and column of a path, or of its nearest parent.
    #[must_use]
    pub(crate) fn place(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rsplit_once('/') {
                Some((parent, _)) => path = parent,
                None => return self.places.get("").copied().unwrap_or((1, 1)),
            }
        }
    }

    /// A problem at a path.
    #[must_use]
    pub(crate) fn problem(
        &self,
        path: &str,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        let (line, column) = self.place(path);
        Problem { line, column, path: path.to_owned(), what: what.into(), hint: hint.into() }
    }

    fn take(
        &mut self,
        node: &MarkedYaml<'_>,
        path: String,
        depth: usize,
        problems: &mut Vec<Problem>,
    ) -> Value {
        let at = node.span.start;
        let place = (at.line(), at.col() + 1);
        // A key's own place, noted by the mapping, says more than its value's.
        self.places.entry(path.clone()).or_insert(place);
        let mut wrong = |what: &str, hint: &str| {
            let (line, column) = place;
            problems.push(Problem {
                line,
                column,
                path: path.clone(),
                what: what.into(),
                hint: hint.into(),
            });
            Value::Null
        };
        if depth > DEPTH_MAX {
            return wrong("nested too deep", "at most 32 levels");
        }
        match &node.data {
            YamlData::Value(scalar) => scalar_value(scalar),
            YamlData::Sequence(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(n, item)| {
                        self.take(item, join(&path, &n.to_string()), depth + 1, problems)
                    })
                    .collect(),
            ),
            YamlData::Mapping(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    let YamlData::Value(name) = &key.data else {
                        problems.push(Problem {
                            line: key.span.start.line(),
                            column: key.span.start.col() + 1,
                            path: path.clone(),
                            what: "a key that is not a word".into(),
                            hint: "keys are plain words".into(),
                        });
                        continue;
                    };
                    let name = match scalar_value(name) {
                        Value::String(name) => name,
                        other => other.to_string(),
                    };
                    let inner = join(&path, &name);
                    let at = key.span.start;
                    self.places.insert(inner.clone(), (at.line(), at.col() + 1));
                    let value = self.take(value, inner, depth + 1, problems);
                    map.insert(name, value);
                }
                Value::Object(map)
            }
            YamlData::Tagged(..) => wrong("a YAML tag", "tags such as !include are not used here"),
            YamlData::Alias(_) => wrong("an alias to nothing", "define the anchor before it"),
            YamlData::Representation(text, ..) => Value::String(text.to_string()),
            YamlData::BadValue => wrong("a value that cannot be read", "quote it"),
        }
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(b) => Value::Bool(*b),
        Scalar::Integer(i) => Value::from(*i),
        Scalar::FloatingPoint(f) => Value::from(f.into_inner()),
        Scalar::String(s) => Value::String(s.to_string()),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") }
}
