//! A YAML document with the place of everything in it, as JSON for the schema.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One thing wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Path of keys for people, who count from 1: `feeds #1/route`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.bare())
    }
}

impl Problem {
    /// Without line and column, where it stands in no text.
    fn bare(&self) -> String {
        let mut text = String::new();
        if !self.path.is_empty() {
            text = format!("{}: ", self.path);
        }
        text.push_str(&self.what);
        if !self.hint.is_empty() {
            text.push_str("\n    ");
            text.push_str(&self.hint);
        }
        text
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
    /// The file that it was read from, as errors name it; may be empty.
    pub file: String,
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
        let mut document = Self {
            value: Value::Object(serde_json::Map::new()),
            file: String::new(),
            places: BTreeMap::new(),
        };
        let mut problems = Vec::new();
        match nodes.as_slice() {
            [] => {}
            [one] => {
                let lines: Vec<&str> = text.lines().collect();
                let mut reading = Reading { lines, problems: Vec::new() };
                document.value = document.take(one, String::new(), 0, &mut reading);
                problems = reading.problems;
            }
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
        for problem in &mut problems {
            problem.path = document.shown(&problem.path);
        }
        if problems.is_empty() { Ok(document) } else { Err(problems) }
    }

    /// Parses a file's text, so that errors can name it.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub(crate) fn of_file(text: &str, file: impl fmt::Display) -> Result<Self, Vec<Problem>> {
        Ok(Self { file: file.to_string(), ..Self::parse(text)? })
    }

    /// A path for people: places in lists count from 1.
    fn shown(&self, path: &str) -> String {
        let (mut shown, mut at) = (String::new(), Some(&self.value));
        for part in path.split('/') {
            match (at, part.parse::<usize>()) {
                (Some(Value::Array(items)), Ok(n)) => {
                    shown.push_str(&format!(" #{}", n + 1));
                    at = items.get(n);
                }
                _ => {
                    if !shown.is_empty() {
                        shown.push('/');
                    }
                    shown.push_str(part);
                    at = at.and_then(|value| value.get(part));
                }
            }
        }
        shown
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
        Problem { line, column, path: self.shown(path), what: what.into(), hint: hint.into() }
    }

    fn take(
        &mut self,
        node: &MarkedYaml<'_>,
        path: String,
        depth: usize,
        reading: &mut Reading<'_>,
    ) -> Value {
        let at = node.span.start;
        let place = (at.line(), at.col() + 1);
        // A key's own place, noted by the mapping, says more than its value's.
        self.places.entry(path.clone()).or_insert(place);
        let code = matches!(&node.data, YamlData::Value(Scalar::Integer(_)))
            .then(|| reading.code(place))
            .flatten();
        let mut wrong = |what: &str, hint: &str| {
            let (line, column) = place;
            reading.problems.push(Problem {
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
            YamlData::Value(scalar) => {
                code.map_or_else(|| scalar_value(scalar), |code| Value::String(code.to_owned()))
            }
            YamlData::Sequence(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(n, item)| {
                        self.take(item, join(&path, &n.to_string()), depth + 1, reading)
                    })
                    .collect(),
            ),
            YamlData::Mapping(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    let YamlData::Value(name) = &key.data else {
                        reading.problems.push(Problem {
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
                    let value = self.take(value, inner, depth + 1, reading);
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

/// A value within a document, which still knows its places: the settings of a check.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    document: Arc<Document>,
    /// Where it is; empty = the whole document.
    path: String,
}

impl Part {
    /// The value at a path.
    pub(crate) fn of(document: &Arc<Document>, path: &str) -> Self {
        Self { document: Arc::clone(document), path: path.to_owned() }
    }

    /// All of a document.
    pub(crate) fn whole(document: Document) -> Self {
        Self { document: Arc::new(document), path: String::new() }
    }

    /// Of a value that stands in no file.
    pub(crate) fn made(value: Value) -> Self {
        Self::whole(Document { value, file: String::new(), places: BTreeMap::new() })
    }

    /// What is there.
    pub(crate) fn value(&self) -> &Value {
        let pointer = if self.path.is_empty() { String::new() } else { format!("/{}", self.path) };
        self.document.value.pointer(&pointer).unwrap_or(&Value::Null)
    }

    /// As JSON text.
    pub(crate) fn json(&self) -> String {
        self.value().to_string()
    }

    /// A problem at a path below it.
    pub(crate) fn problem(
        &self,
        path: &str,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        let whole = match (self.path.as_str(), path) {
            (own, "") => own.to_owned(),
            ("", below) => below.to_owned(),
            (own, below) => format!("{own}/{below}"),
        };
        self.document.problem(&whole, what, hint)
    }

    /// Problems as lines, in order of their places, with the file where there is one.
    pub(crate) fn told(&self, mut problems: Vec<Problem>) -> String {
        problems.sort();
        problems.dedup();
        let file = &self.document.file;
        let line = |p: &Problem| match (file.is_empty(), self.document.places.is_empty()) {
            (false, _) => format!("{file}:{p}"),
            (true, false) => format!("line {p}"),
            (true, true) => p.bare(),
        };
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for Part {}

/// A text that is read.
struct Reading<'a> {
    lines: Vec<&'a str>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    /// The digits at a place, if they begin with zeros that say something: 01 is a code of a table and
    /// not the number 1.
    fn code(&self, (line, column): (usize, usize)) -> Option<&'a str> {
        let line = self.lines.get(line.checked_sub(1)?)?;
        let (start, _) = line.char_indices().nth(column.checked_sub(1)?)?;
        let rest = line.get(start..)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end).filter(|digits| digits.len() > 1 && digits.starts_with('0'))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn codes_keep_their_zeros() {
        let read = |text: &str| Document::parse(text).unwrap().value;
        assert_eq!(
            read("ü: [01, 1, 010, 0, 0x1F, 10]\nb: 007"),
            json!({"ü": ["01", 1, "010", 0, 31, 10], "b": "007"})
        );
    }

    #[test]
    fn people_count_from_one_in_lists_and_not_in_maps() {
        let document = Document::parse("rules: [{a: 1}, {a: 2}]\ncodes: {207: x}").unwrap();
        assert_eq!(document.problem("rules/1/a", "", "").path, "rules #2/a");
        assert_eq!(document.problem("codes/207", "", "").path, "codes/207");
        assert_eq!(document.problem("rules/7", "", "").path, "rules #8");
    }

    #[test]
    fn a_part_tells_places_of_the_whole() {
        let document =
            Document::of_file("checks:\n  - config:\n      b: 1\n      a: 2\n", "f.yaml").unwrap();
        let part = Part::of(&Arc::new(document), "checks/0/config");
        assert_eq!(part.json(), r#"{"a":2,"b":1}"#);
        let problems = vec![part.problem("a", "late", ""), part.problem("b", "early", "do")];
        assert_eq!(
            part.told(problems),
            "f.yaml:3:7: checks #1/config/b: early\n    do\nf.yaml:4:7: checks #1/config/a: late"
        );
        let made = Part::made(json!({"a": [1]}));
        assert_eq!(made.told(vec![made.problem("a/0", "wrong", "")]), "a #1: wrong");
        assert_eq!(made, Part::whole(Document::parse("a: [1]").unwrap()));
    }
}
