//! A number or a word that a server tells over HTTP: the depth of a queue, errors, a channel's state.

use crate::config::{self, ConfigError, Expected, Source};
use crate::dns::Names;
use crate::http::Client;
use crate::probe::Look;
use crate::prom;
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::label::Label;
use feedpulse_core::probe::PARTS_MAX;
use feedpulse_http::status_class;
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Numeric {
    client: Client,
    source: Source,
    expected: Expected,
}

/// Parts by name, each with its value.
type Parts = Vec<(String, String)>;

impl Numeric {
    pub(crate) fn new(
        config: &config::Numeric,
        names: Names,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        if let Source::Json { each, part, pointer } = &config.source {
            for pointer in each.iter().chain(part).chain([pointer]) {
                is_pointer(pointer)?;
            }
        }
        Ok(Self {
            client: Client::new(&config.url, &config.access, names, timeout)?,
            source: config.source.clone(),
            expected: config.expected.clone(),
        })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        let answer = match self.client.get().await {
            Ok(answer) => answer,
            Err(class) => return look.fails(class),
        };
        look.note(format!("{}, {} bytes", answer.status, answer.body.len()));
        if !answer.status.is_success() {
            return look.fails(status_class(answer.status));
        }
        if answer.cut {
            return look.fails(Label::from("too long"));
        }
        let parts = match read(&self.source, &answer.body) {
            Ok(parts) if parts.is_empty() => return look.fails(Label::from("value missing")),
            Ok(parts) => parts,
            Err(class) => return look.fails(Label::from(class)),
        };
        let told =
            parts.iter().take(PARTS_MAX).filter(|(name, value)| self.tell(name, value, look));
        match told.count() {
            0 => look.fails(Label::from("no number")),
            _ => look.works(),
        }
    }

    fn tell(&self, name: &str, value: &str, look: &mut Look) -> bool {
        look.note(format!("{}{}{value}", name, if name.is_empty() { "" } else { ": " }));
        match &self.expected {
            Expected::Number => match value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => {
                    look.number(name, number);
                    true
                }
                _ => false,
            },
            Expected::OneOf(words) => {
                let right = words.iter().any(|word| word == value);
                // What an engine says of a channel is a word of its own, not of a patient.
                look.check(name, Code::PartStopped, (!right).then(|| Label::from(value)));
                true
            }
        }
    }
}

/// The values of an answer.
///
/// # Errors
/// What it is not.
fn read(source: &Source, body: &[u8]) -> Result<Parts, &'static str> {
    match source {
        Source::Metric { name, labels, part } => {
            let text = core::str::from_utf8(body).map_err(|_| "no text")?;
            Ok(prom::values(text, name, labels, part.as_deref())
                .into_iter()
                .map(|(part, value)| (part, value.to_string()))
                .collect())
        }
        Source::Json { each, part, pointer } => {
            let document: Value = serde_json::from_slice(body).map_err(|_| "no JSON")?;
            let Some(each) = each else {
                let value = document.pointer(pointer).filter(|v| !v.is_null());
                return Ok(value.map(|v| (String::new(), word(v))).into_iter().collect());
            };
            let parts: Vec<(String, &Value)> = match document.pointer(each) {
                Some(Value::Array(list)) => {
                    list.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect()
                }
                Some(Value::Object(map)) if part.is_none() => {
                    map.iter().map(|(key, v)| (key.clone(), v)).collect()
                }
                // One element that a converter from XML did not make a list of.
                Some(one @ Value::Object(_)) => vec![(String::new(), one)],
                _ => return Err("value missing"),
            };
            let named = |(place, value): (String, &Value)| {
                let name = part.as_ref().and_then(|p| value.pointer(p)).map_or(place, word);
                value.pointer(pointer).filter(|v| !v.is_null()).map(|v| (name, word(v)))
            };
            Ok(parts.into_iter().filter_map(named).collect())
        }
    }
}

/// A JSON value as a word.
pub(crate) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// RFC 6901 §3.
pub(crate) fn is_pointer(text: &str) -> Result<(), ConfigError> {
    let fits = text.is_empty() || text.starts_with('/');
    if fits { Ok(()) } else { Err(ConfigError::Pointer(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::config::Source;

    fn json(
        each: Option<&str>,
        part: Option<&str>,
        pointer: &str,
        body: &str,
    ) -> Vec<(String, String)> {
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        let source = Source::Json { each: own(each), part: own(part), pointer: pointer.to_owned() };
        read(&source, body.as_bytes()).unwrap_or_default()
    }

    #[test]
    fn values_of_json_are_found() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(json(None, None, "/queue/depth", r#"{"queue":{"depth":12}}"#), [pair("", "12")]);
        assert_eq!(json(None, None, "/queue/size", r#"{"queue":{"depth":12}}"#), []);
        let list = r#"{"list":[{"name":"adt","state":"STARTED"},{"name":"oru","state":"STOPPED"},{"name":"x"}]}"#;
        let read = json(Some("/list"), Some("/name"), "/state", list);
        assert_eq!(read, [pair("adt", "STARTED"), pair("oru", "STOPPED")]);
        let one = r#"{"list":{"name":"adt","state":"STARTED"}}"#;
        assert_eq!(json(Some("/list"), Some("/name"), "/state", one), [pair("adt", "STARTED")]);
        let map = r#"{"queues":{"a":{"n":1},"b":{"n":2.5}}}"#;
        assert_eq!(json(Some("/queues"), None, "/n", map), [pair("a", "1"), pair("b", "2.5")]);
        assert_eq!(json(None, None, "/a", "not json"), []);
    }
}
