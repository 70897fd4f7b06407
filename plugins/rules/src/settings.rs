//! Reads the rules, and says of a wrong one which it is, what is wrong and what to write.

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
/// The slot of a path, and whether it is of the segment of the test's own path.
type Slots<'a> = &'a dyn Fn(&str) -> Result<(usize, bool), String>;

/// Reads all rules.
pub(crate) fn read(settings: &str) -> Result<Vec<Rule>, String> {
    let Ok(Value::Object(settings)) = serde_json::from_str(settings) else {
        return Err(format!("a map with `rules` is expected, and perhaps `tables`; {EXAMPLE}"));
    };
    if let Some(key) = settings.keys().find(|key| !["rules", "tables"].contains(&key.as_str())) {
        return Err(format!("`{key}` is no setting; there are `rules` and `tables`"));
    }
    let Some(Value::Array(list)) =
        settings.get("rules").filter(|list| list != &&Value::Array(vec![]))
    else {
        return Err(format!("`rules` must be a list with at least one rule; {EXAMPLE}"));
    };
    let mut tables = Tables::new();
    for (name, values) in settings.get("tables").and_then(Value::as_object).into_iter().flatten() {
        let values = texts(values).filter(|v| !v.is_empty());
        let values =
            values.ok_or(format!("table `{name}` must be a list of values, such as [F, M]"))?;
        tables.insert(name.clone(), values);
    }
    let slots = slots(list);
    let mut rules: Vec<Rule> = Vec::with_capacity(list.len());
    for (number, value) in (1..).zip(list) {
        let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
        let called =
            if name.is_empty() { format!("rule {number}") } else { format!("rule `{name}`") };
        if rules.iter().any(|rule| rule.name == name) {
            return Err(format!("{called}: another rule has this name; give each its own"));
        }
        rules.push(rule(value, name, &tables, &slots).map_err(|why| format!("{called}: {why}"))?);
    }
    Ok(rules)
}

/// Shown where the whole is wrong.
const EXAMPLE: &str =
    "the shortest is rules: [{name: sex-known, title: Sex, path: PID-8, is: present}]";

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

fn rule(
    value: &Value,
    name: &str,
    tables: &Tables,
    slots: &BTreeMap<String, usize>,
) -> Result<Rule, String> {
    let object = value.as_object().ok_or("a map of keys is expected")?;
    if name.is_empty() {
        return Err("it needs a `name`, such as discharge-without-time".to_owned());
    }
    let mut tested = object.clone();
    tested.retain(|key, _| !KEYS.contains(&key.as_str()));
    let list = |key: &str| match object.get(key) {
        None => Ok(Vec::new()),
        Some(one @ Value::String(_)) => {
            Ok(texts(&Value::Array(vec![one.clone()])).unwrap_or_default())
        }
        Some(many) => texts(many).ok_or(format!("`{key}` must be a list of texts")),
    };
    let mut types = Vec::new();
    for text in list("types")? {
        let (code, trigger) = text.split_once('^').unwrap_or((&text, "*"));
        let plain = |t: &str, digits: bool| {
            let fits = |b: u8| b.is_ascii_uppercase() || digits && b.is_ascii_digit();
            t.len() == 3 && t.bytes().all(fits)
        };
        if !plain(code, false) || !(trigger == "*" || plain(trigger, true)) {
            return Err(format!("`{text}` is no message type; write ADT^A01 or ADT^*"));
        }
        types.push((code.to_owned(), trigger.to_owned()));
    }
    let mut when = Vec::new();
    match object.get("when") {
        None => {}
        Some(Value::Array(tests)) => {
            for (number, one) in (1..).zip(tests) {
                let one = one.as_object().ok_or(format!("`when` {number}: a map is expected"))?;
                let one =
                    test(one, tables, slots).map_err(|why| format!("`when` {number}: {why}"))?;
                if matches!(one.operator, Operator::Changed { .. }) {
                    return Err("`changed` can be no condition; make it the rule's own".to_owned());
                }
                when.push(one);
            }
        }
        Some(_) => {
            return Err("`when` must be a list, such as [{path: PV1-2, in: [I, E]}]".to_owned());
        }
    }
    let level = object.get("level").map_or(Ok(Level::Warning), |text| {
        let known = text.as_str().and_then(level);
        known.ok_or("`level` is one of info, warning, error, critical".to_owned())
    })?;
    let test = test(&tested, tables, slots)?;
    // once for each instance: the host's words go by a name that lives as long as the check
    let name = name.to_owned().leak();
    Ok(Rule { name, level, types, feeds: list("feeds")?, when, test })
}

/// A path or segment with one operator.
fn test(object: &Object, tables: &Tables, slots: &BTreeMap<String, usize>) -> Result<Test, String> {
    let mut operators =
        object.iter().filter(|(key, _)| !["path", "segment"].contains(&key.as_str()));
    let Some((key, value)) = operators.next() else {
        return Err(format!("it needs one operator of {NAMES}"));
    };
    let path = object.get("path").and_then(Value::as_str);
    let segment = object.get("segment").and_then(Value::as_str);
    if key == "count" {
        let segment = segment.filter(|_| path.is_none());
        let segment = segment.ok_or("`count` goes with `segment: OBX`, not with `path`")?;
        let operator = Operator::Count(range(key, value)?);
        return Ok(Test {
            segment: segment.to_owned(),
            rest: String::new(),
            slot: SHAPE,
            operator,
        });
    }
    let path = path.filter(|_| segment.is_none());
    let path =
        path.ok_or("it needs a `path`, such as PID-3.1 (`segment` goes with `count` only)")?;
    let (segment, rest) = match path.find('-') {
        Some(at) if !path.starts_with('@') => path.split_at(at),
        _ => ("", ""),
    };
    let slot = |path: &str| {
        let same = path.split('-').next() == Some(segment);
        slots.get(path).map(|slot| (*slot, same)).ok_or(format!("`{path}` is no path"))
    };
    let operator = operator(key, value, tables, &slot)?;
    if let Some((extra, _)) = operators.next() {
        return Err(format!(
            "`{key}` and `{extra}` together; a rule has one operator, of {NAMES}. More go into rules of their own"
        ));
    }
    let (slot, _) = slot(path)?;
    Ok(Test { segment: segment.to_owned(), rest: rest.to_owned(), slot, operator })
}

fn operator(
    key: &str,
    value: &Value,
    tables: &Tables,
    slot: Slots<'_>,
) -> Result<Operator, String> {
    let text = || scalar(value).ok_or(format!("`{key}` wants one text"));
    let path = || slot(value.as_str().ok_or(format!("`{key}` wants a path, such as OBR-7"))?);
    let list = || match value {
        Value::String(name) => tables.get(name).cloned().ok_or(format!(
            "there is no table `{name}`; declare it under `tables` or write the values here: [F, M]"
        )),
        _ => texts(value)
            .filter(|list| !list.is_empty())
            .ok_or(format!("`{key}` wants values such as [F, M], or the name of a table")),
    };
    Ok(match key {
        "is" => match value.as_str() {
            Some("present") => Operator::Present,
            Some("absent") => Operator::Absent,
            Some("number") => Operator::Number,
            Some("date") => Operator::Date,
            _ => return Err("`is` wants one of present, absent, number, date".to_owned()),
        },
        "equals" => Operator::In(vec![text()?]),
        "not-equals" => Operator::NotIn(vec![text()?]),
        "in" => Operator::In(list()?),
        "not-in" => Operator::NotIn(list()?),
        "matches" => Operator::Matches(Glob::read(&text()?)),
        "not-matches" => Operator::NotMatches(Glob::read(&text()?)),
        "length" => Operator::Length(range(key, value)?),
        "range" => {
            let bound = |end: &str, open: f64| match value.get(end) {
                None => Ok(open),
                Some(n) => {
                    n.as_f64().ok_or("`range` wants numbers, as in {min: 0, max: 9}".to_owned())
                }
            };
            let (min, max) = (bound("min", f64::NEG_INFINITY)?, bound("max", f64::INFINITY)?);
            bounds(key, value, min <= max)?;
            Operator::Between(min, max)
        }
        "before" => Operator::Before(path()?),
        "after" => Operator::After(path()?),
        "same-as" => Operator::SameAs(path()?),
        "changed" => changed(value, slot)?,
        "count" => return Err("`count` goes with `segment: OBX`".to_owned()),
        other => return Err(format!("`{other}` is no operator; there are {NAMES}")),
    })
}

/// `{key: OBR-3.1, from: [F, C], to: [P, I]}`, or only the key for any change.
fn changed(value: &Value, slot: Slots<'_>) -> Result<Operator, String> {
    let shape =
        "`changed` wants {key: OBR-3.1} for any change, or {key: OBR-3.1, from: [F], to: [P]}";
    let object = value.as_object().ok_or(shape)?;
    if object.keys().any(|key| !["key", "from", "to"].contains(&key.as_str())) {
        return Err(shape.to_owned());
    }
    let list = |name: &str| object.get(name).map_or(Some(Vec::new()), texts).ok_or(shape);
    let (from, to) = (list("from")?, list("to")?);
    if from.is_empty() != to.is_empty() {
        return Err(shape.to_owned());
    }
    let key = slot(object.get("key").and_then(Value::as_str).ok_or(shape)?)?;
    Ok(Operator::Changed { key, from, to })
}

/// `{min: 1, max: 9}`, either may lack; or one number for both.
fn range(key: &str, value: &Value) -> Result<Range, String> {
    let number = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
    if let Some(n) = number(value) {
        return Ok(Range { min: n, max: n });
    }
    let bound = |end: &str, open: usize| value.get(end).map_or(Some(open), number);
    let (min, max) = (bound("min", 0), bound("max", usize::MAX));
    bounds(key, value, min.is_some() && max.is_some() && min <= max)?;
    Ok(Range { min: min.unwrap_or(0), max: max.unwrap_or(usize::MAX) })
}

/// Refuses a range that is none.
fn bounds(key: &str, value: &Value, ok: bool) -> Result<(), String> {
    let known = value.as_object().is_some_and(|object| {
        !object.is_empty() && object.keys().all(|k| ["min", "max"].contains(&k.as_str()))
    });
    if ok && known {
        Ok(())
    } else {
        Err(format!("`{key}` wants {{min: 1, max: 9}}; one of both may lack"))
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
