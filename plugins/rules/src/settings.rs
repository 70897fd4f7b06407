//! Reads the rules, and says of each wrong one its place, what is wrong and what to write.
//!
//! The host has held the settings against `settings.schema.json` and knows unknown keys, words and wrong
//! kinds of values better; what is said here is what no schema can say. A sentence stands behind its
//! place, a JSON pointer, one a line, so that the host can name the line of the file.

use crate::level;
use crate::operator::{NAMES, Operator, Range, Test};
use crate::value::Glob;
use feedpulse_check::Level;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Slot of `@type`, the first of the manifest's fields.
pub(crate) const TYPE: usize = 0;
/// Slot of `@shape`, the second.
pub(crate) const SHAPE: usize = 1;
/// The manifest's own fields; what the rules name comes behind them, sorted.
const OWN: [&str; 2] = ["@type", "@shape"];

/// Keys of a rule beside its test.
const KEYS: [&str; 8] =
    ["name", "title", "explanation", "remedy", "level", "types", "feeds", "when"];

/// One rule.
pub(crate) struct Rule {
    /// The host knows the words by it.
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// `ADT^A01` or `ADT^*`; none = all.
    types: Vec<(String, String)>,
    /// Names of feeds; none = all.
    feeds: Vec<String>,
    pub(crate) when: Vec<Test>,
    pub(crate) test: Test,
}

impl Rule {
    /// Whether it is about messages of this feed and MSH-9.
    pub(crate) fn concerns(&self, feed: &str, msh9: &str) -> bool {
        let mut parts = msh9.split('^');
        let (code, trigger) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let fits = |(c, t): &(String, String)| c == code && (t == "*" || t == trigger);
        (self.types.is_empty() || self.types.iter().any(fits))
            && (self.feeds.is_empty() || self.feeds.iter().any(|f| f == feed))
    }
}

type Object = Map<String, Value>;
type Tables = BTreeMap<String, Vec<String>>;

/// One wrong thing.
struct Wrong {
    /// A JSON pointer.
    at: String,
    /// What is wrong and what to write.
    what: String,
}

/// A result with all that is wrong.
type All<T> = Result<T, Vec<Wrong>>;

impl Wrong {
    fn new(at: &str, what: impl Into<String>) -> Self {
        Self { at: at.to_owned(), what: what.into() }
    }

    /// Of a value that the schema refuses.
    fn shape(at: &str) -> Self {
        Self::new(at, "it is not written as docs/rules.md says")
    }
}

/// Reads all rules.
pub(crate) fn read(settings: &str) -> Result<Vec<Rule>, String> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    all(&settings).map_err(|wrong| {
        let lines = wrong.iter().map(|one| format!("{}: {}", one.at, one.what));
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn all(settings: &Value) -> All<Vec<Rule>> {
    let list = settings.get("rules").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| vec![Wrong::shape("/rules")])?;
    let mut wrong = Vec::new();
    let mut tables = Tables::new();
    for (name, values) in settings.get("tables").and_then(Value::as_object).into_iter().flatten() {
        match texts(values) {
            Some(values) => _ = tables.insert(name.clone(), values),
            None => wrong.push(Wrong::shape(&format!("/tables/{name}"))),
        }
    }
    let reader = Reader { tables, slots: slots(list) };
    let mut rules = Vec::with_capacity(list.len());
    for (number, value) in list.iter().enumerate() {
        match reader.rule(&format!("/rules/{number}"), value) {
            Ok(rule) => rules.push(rule),
            Err(more) => wrong.extend(more),
        }
    }
    if wrong.is_empty() { Ok(rules) } else { Err(wrong) }
}

/// Every path that the rules name, in the order in which the host hands the fields over.
fn slots(list: &[Value]) -> BTreeMap<String, usize> {
    let mut paths = BTreeSet::new();
    let mut add = |value: Option<&Value>| {
        if let Some(path) = value.and_then(Value::as_str).filter(|path| !OWN.contains(path)) {
            paths.insert(path.to_owned());
        }
    };
    for rule in list {
        let when = rule.get("when").and_then(Value::as_array).into_iter().flatten();
        for test in [rule].into_iter().chain(when) {
            for key in ["path", "before", "after", "same-as"] {
                add(test.get(key));
            }
        }
        add(rule.get("changed").and_then(|changed| changed.get("key")));
    }
    let own = OWN.map(str::to_owned);
    own.into_iter().chain(paths).zip(0..).collect()
}

/// What rules refer to.
struct Reader {
    tables: Tables,
    slots: BTreeMap<String, usize>,
}

impl Reader {
    fn rule(&self, at: &str, value: &Value) -> All<Rule> {
        let object = value.as_object().ok_or_else(|| vec![Wrong::shape(at)])?;
        let mut wrong = Vec::new();
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
        let list = |key: &str| object.get(key).map_or(Some(Vec::new()), one_or_more);
        let mut types = Vec::new();
        for text in list("types").unwrap_or_default() {
            match message_type(&text) {
                Some(kind) => types.push(kind),
                None => wrong.push(Wrong::new(
                    &format!("{at}/types"),
                    format!("`{text}` is no message type; write ADT^A01 or ADT^*"),
                )),
            }
        }
        let mut when = Vec::new();
        let conditions = object.get("when").and_then(Value::as_array).into_iter().flatten();
        for (number, one) in conditions.enumerate() {
            let at = format!("{at}/when/{number}");
            let tested = one.as_object().ok_or_else(|| Wrong::shape(&at));
            match tested.and_then(|object| self.test(&at, object)) {
                Ok(Test { operator: Operator::Changed { .. }, .. }) => {
                    let what = "`changed` can be no condition; make it the rule's own";
                    wrong.push(Wrong::new(&at, what));
                }
                Ok(test) => when.push(test),
                Err(one) => wrong.push(one),
            }
        }
        let level = object.get("level").map_or(Some(Level::Warning), |l| level(l.as_str()?));
        let feeds = list("feeds");
        let mut tested = object.clone();
        tested.retain(|key, _| !KEYS.contains(&key.as_str()));
        match (self.test(at, &tested), level, feeds) {
            (Ok(test), Some(level), Some(feeds)) if wrong.is_empty() && !name.is_empty() => {
                // once for each instance: the host's words go by a name that lives as long as the check
                Ok(Rule { name: name.to_owned().leak(), level, types, feeds, when, test })
            }
            (test, ..) => {
                wrong.extend(test.err());
                if wrong.is_empty() {
                    wrong.push(Wrong::shape(at));
                }
                Err(wrong)
            }
        }
    }

    /// A path or segment with one operator.
    fn test(&self, at: &str, object: &Object) -> Result<Test, Wrong> {
        let mut operators =
            object.iter().filter(|(key, _)| !["path", "segment"].contains(&key.as_str()));
        let known = |key: &str| NAMES.split(", ").any(|name| name == key);
        if let Some((other, _)) = operators.clone().find(|(key, _)| !known(key)) {
            return Err(Wrong::new(at, format!("`{other}` is no operator; there are {NAMES}")));
        }
        let Some((key, value)) = operators.next() else {
            return Err(Wrong::new(at, format!("it needs one operator of {NAMES}")));
        };
        if let Some((extra, _)) = operators.next() {
            let what = format!(
                "`{key}` and `{extra}` together; a rule has one operator, and what else must hold goes into a rule of its own"
            );
            return Err(Wrong::new(&format!("{at}/{extra}"), what));
        }
        let path = object.get("path").and_then(Value::as_str);
        let segment = object.get("segment").and_then(Value::as_str);
        let here = format!("{at}/{key}");
        if key == "count" {
            let segment = segment.filter(|_| path.is_none()).ok_or_else(|| {
                Wrong::new(&here, "`count` goes with `segment: OBX`, not with `path`")
            })?;
            let operator = Operator::Count(range(&here, value)?);
            let (segment, rest) = (segment.to_owned(), String::new());
            return Ok(Test { segment, rest, slot: SHAPE, operator });
        }
        let path = path.filter(|_| segment.is_none()).ok_or_else(|| {
            Wrong::new(at, "it needs a `path`, such as PID-3.1 (`segment` goes with `count` only)")
        })?;
        let (segment, rest) = match path.find('-') {
            Some(split) if !path.starts_with('@') => path.split_at(split),
            _ => ("", ""),
        };
        let operator = self.operator(&here, (key, value), segment)?;
        let slot = *self.slots.get(path).ok_or_else(|| Wrong::shape(&here))?;
        Ok(Test { segment: segment.to_owned(), rest: rest.to_owned(), slot, operator })
    }

    /// The slot of another path, and whether it is of the segment of the test's own.
    fn slot(&self, at: &str, path: Option<&Value>, segment: &str) -> Result<(usize, bool), Wrong> {
        let path = path.and_then(Value::as_str).ok_or_else(|| Wrong::shape(at))?;
        let slot = self.slots.get(path).ok_or_else(|| Wrong::shape(at))?;
        Ok((*slot, path.split('-').next() == Some(segment)))
    }

    fn operator(
        &self,
        at: &str,
        (key, value): (&str, &Value),
        segment: &str,
    ) -> Result<Operator, Wrong> {
        let text = || scalar(value).ok_or_else(|| Wrong::shape(at));
        let path = || self.slot(at, Some(value), segment);
        let list = || match value {
            Value::String(name) => self.tables.get(name).cloned().ok_or_else(|| {
                let known: Vec<_> = self.tables.keys().map(String::as_str).collect();
                let known = match known.is_empty() {
                    true => "`tables` declares none".to_owned(),
                    false => format!("there are {}", known.join(", ")),
                };
                let what = format!("no table `{name}`: {known}; one value is written [{name}]");
                Wrong::new(at, what)
            }),
            _ => texts(value).ok_or_else(|| Wrong::shape(at)),
        };
        Ok(match key {
            "is" => match value.as_str() {
                Some("present") => Operator::Present,
                Some("absent") => Operator::Absent,
                Some("number") => Operator::Number,
                Some("date") => Operator::Date,
                _ => return Err(Wrong::shape(at)),
            },
            "equals" => Operator::In(vec![text()?]),
            "not-equals" => Operator::NotIn(vec![text()?]),
            "in" => Operator::In(list()?),
            "not-in" => Operator::NotIn(list()?),
            "has" => Operator::Has(match value {
                Value::Array(_) => list()?,
                _ => vec![text()?],
            }),
            "matches" => Operator::Matches(Glob::read(&text()?)),
            "not-matches" => Operator::NotMatches(Glob::read(&text()?)),
            "length" => Operator::Length(range(at, value)?),
            "range" => {
                let bound = |end: &str, open: f64| value.get(end).map_or(Some(open), Value::as_f64);
                let (min, max) = (bound("min", f64::NEG_INFINITY), bound("max", f64::INFINITY));
                let (Some(min), Some(max)) = (min, max) else { return Err(Wrong::shape(at)) };
                ordered(at, min <= max)?;
                Operator::Between(min, max)
            }
            "before" => Operator::Before(path()?),
            "after" => Operator::After(path()?),
            "same-as" => Operator::SameAs(path()?),
            "changed" => {
                let list = |name: &str| value.get(name).map_or(Some(Vec::new()), texts);
                let (Some(from), Some(to)) = (list("from"), list("to")) else {
                    return Err(Wrong::shape(at));
                };
                if from.is_empty() != to.is_empty() {
                    let what = "`from` and `to` go together: {key: OBR-3.1, from: [F], to: [P]}, or \
                                {key: OBR-3.1} for any change";
                    return Err(Wrong::new(at, what));
                }
                let key = self.slot(&format!("{at}/key"), value.get("key"), segment)?;
                Operator::Changed { key, from, to }
            }
            _ => return Err(Wrong::shape(at)),
        })
    }
}

/// `ADT^A01`, `ADT^*` or `ADT`.
fn message_type(text: &str) -> Option<(String, String)> {
    let (code, trigger) = text.split_once('^').unwrap_or((text, "*"));
    let plain = |t: &str, digits: bool| {
        let fits = |b: u8| b.is_ascii_uppercase() || digits && b.is_ascii_digit();
        t.len() == 3 && t.bytes().all(fits)
    };
    let good = plain(code, false) && (trigger == "*" || plain(trigger, true));
    good.then(|| (code.to_owned(), trigger.to_owned()))
}

/// `{min: 1, max: 9}`, either may lack; or one number for both.
fn range(at: &str, value: &Value) -> Result<Range, Wrong> {
    let number = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
    if let Some(n) = number(value) {
        return Ok(Range { min: n, max: n });
    }
    let bound = |end: &str, open: usize| value.get(end).map_or(Some(open), number);
    let (min, max) = (bound("min", 0), bound("max", usize::MAX));
    let (Some(min), Some(max), true) = (min, max, value.is_object()) else {
        return Err(Wrong::shape(at));
    };
    ordered(at, min <= max)?;
    Ok(Range { min, max })
}

/// Refuses a range in which nothing is.
fn ordered(at: &str, ok: bool) -> Result<(), Wrong> {
    if ok { Ok(()) } else { Err(Wrong::new(at, "`min` is above `max`")) }
}

/// One text, or a list of them.
fn one_or_more(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        many => texts(many),
    }
}

/// A list of texts; numbers and true or false, which YAML makes of some, are taken as written.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(scalar).collect()
}

/// A text, number or truth value as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
