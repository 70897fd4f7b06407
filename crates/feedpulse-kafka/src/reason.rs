//! A dead letter's reason as a class. The text itself may hold patient data and never leaves.

use feedpulse_core::sighting::ReasonClass;
use rdkafka::message::Headers;

/// Bytes of one header that are looked at.
const MAX_TEXT: usize = 4096;
/// Headers of one record that are looked at.
const MAX_HEADERS: usize = 64;

/// First match wins; lower case. From the most telling to the least.
const WORDS: &[(&str, ReasonClass)] = &[
    ("duplicate", ReasonClass::DuplicateKey),
    ("already exists", ReasonClass::DuplicateKey),
    ("unique constraint", ReasonClass::DuplicateKey),
    ("not found", ReasonClass::UnknownKey),
    ("notfound", ReasonClass::UnknownKey),
    ("no such", ReasonClass::UnknownKey),
    ("does not exist", ReasonClass::UnknownKey),
    ("unknown patient", ReasonClass::UnknownKey),
    ("unknown visit", ReasonClass::UnknownKey),
    ("unknown order", ReasonClass::UnknownKey),
    ("unknown key", ReasonClass::UnknownKey),
    ("deadlock", ReasonClass::Locked),
    ("locked", ReasonClass::Locked),
    ("not supported", ReasonClass::Unsupported),
    ("unsupported", ReasonClass::Unsupported),
    ("timed out", ReasonClass::Unavailable),
    ("timeout", ReasonClass::Unavailable),
    ("refused", ReasonClass::Unavailable),
    ("unavailable", ReasonClass::Unavailable),
    ("unreachable", ReasonClass::Unavailable),
    ("connection reset", ReasonClass::Unavailable),
    ("java.net.", ReasonClass::Unavailable),
    ("unknownhost", ReasonClass::Unavailable),
    ("retriable", ReasonClass::Unavailable),
    ("serializ", ReasonClass::Structure),
    ("dataexception", ReasonClass::Structure),
    ("schema", ReasonClass::Structure),
    ("parse", ReasonClass::Structure),
    ("parsing", ReasonClass::Structure),
    ("malformed", ReasonClass::Structure),
    ("required", ReasonClass::Structure),
    ("missing", ReasonClass::Structure),
    ("invalid", ReasonClass::Structure),
    ("illegalargument", ReasonClass::Structure),
    ("sql", ReasonClass::Internal),
    ("database", ReasonClass::Internal),
    ("disk", ReasonClass::Internal),
    ("outofmemory", ReasonClass::Internal),
    ("nullpointer", ReasonClass::Internal),
    ("internal", ReasonClass::Internal),
];

/// The class of a text; None when it says nothing.
pub(crate) fn of_text(text: &[u8]) -> Option<ReasonClass> {
    let text = text.get(..MAX_TEXT).unwrap_or(text).trim_ascii();
    if text.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let found = WORDS.iter().find(|(word, _)| text.contains(word));
    Some(found.map_or(ReasonClass::Other, |(_, class)| *class))
}

/// Whether a header states a reason, and how much it counts: a message says more than a class.
fn weight(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "__connect.errors.exception.message" => Some(0),
        "__connect.errors.exception.class.name" => Some(2),
        // Where it failed, not why; the stack trace repeats the message.
        _ if name.starts_with("__connect.errors.") => None,
        _ if name.contains("stacktrace") => None,
        _ if name.contains("exception") && name.ends_with("message") => Some(0),
        _ if name.contains("error") && name.ends_with("message") => Some(0),
        _ if name.ends_with("exception") => Some(1),
        _ if name.contains("exception") => Some(2),
        "error" | "error.reason" | "error-reason" | "reason" => Some(1),
        _ => None,
    }
}

/// The class that a record's headers state. The most telling header wins that the dictionary knows.
pub(crate) fn of_headers(headers: Option<&impl Headers>) -> ReasonClass {
    let Some(headers) = headers else { return ReasonClass::None };
    let mut found: Vec<(u8, ReasonClass)> = headers
        .iter()
        .take(MAX_HEADERS)
        .filter_map(|header| Some((weight(header.key)?, of_text(header.value?)?)))
        .collect();
    found.sort_by_key(|(weight, _)| *weight);
    let known = found.iter().find(|(_, class)| *class != ReasonClass::Other);
    known.or(found.first()).map_or(ReasonClass::None, |(_, class)| *class)
}
