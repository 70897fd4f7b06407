//! `feedpulse check new --from-message`: a check that begins with what went wrong.
//!
//! The messages lose their patients first ([`feedpulse_hl7::deidentify`]); they become the first case,
//! and what was found (`--finding`) says which fields the check declares and what the case expects.

use super::bed::{self, Clock, Message};
use crate::cli::{DATA, Failure};
use crate::files;
use anyhow::anyhow;
use feedpulse_core::codes::Code;
use feedpulse_core::defect::DefectCode;
use feedpulse_hl7::deidentify::Deidentifier;
use feedpulse_wasm::{Field, Manifest, Path as Place};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Most bytes of all messages together.
const MAX_BYTES: usize = 16 << 20;
/// Most findings that a check begins with.
const MAX_FINDINGS: usize = 16;
/// Fields that a finding of Feedpulse itself is about. Others are about the stream, not about a field:
/// the header says whose message it is.
const FIELDS: [(&str, &[&str]); 14] = [
    ("FP0103", &["MSH-3", "MSH-9", "MSH-11", "MSH-12"]),
    ("FP0113", &["MSH-3", "MSH-9", "MSH-11", "MSH-12"]),
    ("FP0117", &["MSH-7", "EVN-2", "@received-ms"]),
    ("FP0205", &["MSH-18", "PID-5"]),
    ("FP0206", &["MSH-11"]),
    ("FP0207", &["MSH-12"]),
    ("FP0411", &["MSH-10", "MSH-3", "MSH-7"]),
    ("FP0413", &["MSH-15", "MSH-16"]),
    ("FP0418", &["MSH-15", "MSH-16"]),
    ("FP0501", &["OBR-25", "OBR-3", "ORC-3", "OBX-11", "OBX-3.1"]),
    ("FP0502", &["MRG-1", "PID-3", "EVN-2"]),
    ("FP0503", &["PID-3", "MRG-1"]),
    ("FP0504", &["MSH-7", "@received-ms"]),
    ("FP0415", &["MSH-14"]),
];
/// Where nothing better is known.
const HEADER: &[&str] = &["MSH-9", "MSH-3", "MSH-10"];

/// What a check begins with.
pub(crate) struct Incident {
    /// The messages without their patients.
    pub(crate) messages: Vec<u8>,
    /// Their types, such as `ADT^A01`.
    pub(crate) types: Vec<String>,
    /// Declared fields, without brackets.
    pub(crate) fields: Vec<String>,
    /// Where the first finding is.
    pub(crate) at: String,
    /// The codes that the manifest declares, the first finding's first.
    pub(crate) codes: Vec<Words>,
    /// What the case expects.
    pub(crate) expected: Vec<Value>,
}

/// A code and its words.
pub(crate) struct Words {
    /// The check's own code.
    pub(crate) code: String,
    /// A short title.
    pub(crate) title: String,
    /// What it means.
    pub(crate) explanation: String,
    /// What to do.
    pub(crate) remedy: String,
}

#[cfg(test)]
impl Incident {
    /// Of nothing: for tests of the templates.
    pub(crate) fn empty() -> Self {
        let saw = unnamed();
        Self {
            messages: Vec::new(),
            types: Vec::new(),
            fields: saw.fields,
            at: String::new(),
            codes: vec![saw.words],
            expected: Vec::new(),
        }
    }
}

/// A finding that somebody saw.
struct Saw {
    /// Where, as an HL7 path; empty when it names no place.
    at: String,
    fields: Vec<String>,
    words: Words,
}

/// Reads messages and findings.
///
/// # Errors
/// A file that holds no message, or a finding that is none.
pub(crate) fn read(paths: &[PathBuf], findings: &[String]) -> Result<Incident, Failure> {
    let usage = |e: String| Failure::new(64, anyhow!("--finding {e}"));
    if findings.len() > MAX_FINDINGS {
        return Err(usage(format!("at most {MAX_FINDINGS} of them")));
    }
    let mut saw =
        findings.iter().map(|f| finding(f)).collect::<Result<Vec<_>, _>>().map_err(usage)?;
    if saw.is_empty() {
        saw.push(unnamed());
    }
    let messages = messages(paths)?;
    let mut types: Vec<String> = messages.iter().map(|m| m.kind.clone()).collect();
    types.sort();
    types.dedup();
    types.retain(|kind| {
        let three = |t: &str| t.len() == 3 && t.bytes().all(|b| b.is_ascii_alphanumeric());
        kind.split_once('^').is_some_and(|(code, trigger)| three(code) && three(trigger))
    });
    let mut fields: Vec<String> = Vec::new();
    for field in saw.iter().flat_map(|s| &s.fields) {
        if !fields.contains(field) {
            fields.push(field.clone());
        }
    }
    let last = messages.len() - 1;
    let expected = saw.iter().map(|s| {
        let at = s.at.as_str();
        if at.is_empty() {
            json!({"row": last, "code": s.words.code})
        } else {
            json!({"row": last, "code": s.words.code, "at": at})
        }
    });
    let expected = expected.collect();
    let joined = without_patients(&messages)?;
    let at = saw.first().map(|s| s.at.clone()).unwrap_or_default();
    let at = if at.is_empty() { fields.first().cloned().unwrap_or_default() } else { at };
    let mut codes: Vec<Words> = Vec::new();
    for one in saw {
        if !codes.iter().any(|known| known.code == one.words.code) {
            codes.push(one.words);
        }
    }
    Ok(Incident { messages: joined, types, fields, at, codes, expected })
}

/// The messages of the files.
fn messages(paths: &[PathBuf]) -> Result<Vec<Message>, Failure> {
    // a manifest that wants everything: what is read is the messages themselves
    let any = Manifest::parse(ANY.as_bytes()).map_err(|e| Failure::new(70, anyhow!("{e}")))?;
    let (mut all, mut size) = (Vec::new(), 0);
    for path in files::list(paths)? {
        let bytes = files::read(&path)?;
        size += bytes.len();
        if size > MAX_BYTES {
            let error = anyhow!(
                "{}: over 16 MiB of messages; cut the ones out that matter",
                path.display()
            );
            return Err(Failure::new(DATA, error));
        }
        let tray = bed::tray(&any, &bytes, Clock::At(bed::NOW_MS))?;
        if tray.messages.is_empty() {
            let why = tray.unreadable.first().map_or("it holds none", String::as_str);
            let error = anyhow!("{}: no HL7 v2 message can be read: {why}", path.display());
            return Err(Failure::new(DATA, error));
        }
        all.extend(tray.messages);
    }
    if all.is_empty() {
        return Err(Failure::new(DATA, anyhow!("--from-message names no file of messages")));
    }
    Ok(all)
}

/// See [`messages`].
const ANY: &str = r#"{"name": "any", "version": "0.1.0", "wit": "feedpulse:check@0.1.0", "fields": ["MSH-9"],
    "codes": {"any": {"title": "any", "explanation": "any", "remedy": "any", "level": "info"}}}"#;

/// One file of all messages.
fn without_patients(messages: &[Message]) -> Result<Vec<u8>, Failure> {
    // a key that nobody keeps
    let mut key = [0; 16];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Failure::new(70, anyhow!("the system has no random bytes: {e}")))?;
    let mut tool = Deidentifier::new(key);
    for message in messages {
        tool.learn(&message.bytes);
    }
    let mut out = Vec::new();
    for message in messages {
        let bytes = tool.rewrite(&message.bytes);
        // lines that an editor shows, unless the line ends say something themselves
        let plain = !bytes.contains(&b'\n');
        out.extend(bytes.iter().map(|b| if plain && *b == b'\r' { b'\n' } else { *b }));
        if !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    out.pop();
    Ok(out)
}

/// A finding as somebody has it: a code of Feedpulse, a code of a defect, an HL7 path, or the JSON of
/// `check run --json`.
fn finding(text: &str) -> Result<Saw, String> {
    if let Some(code) = Code::from_code(text) {
        let text = code.text();
        let listed = FIELDS.iter().find(|(known, _)| *known == text.code).map(|(_, f)| *f);
        let fields: Vec<String> =
            listed.unwrap_or(HEADER).iter().map(|f| (*f).to_owned()).collect();
        let at = listed.map_or(String::new(), |f| f[0].to_owned());
        let words = Words {
            code: kebab(text.title),
            title: text.title.to_owned(),
            explanation: text.means.to_owned(),
            remedy: text.remedy.to_owned(),
        };
        return Ok(Saw { at, fields, words });
    }
    if let Some(defect) = DefectCode::ALL.iter().find(|d| d.code().eq_ignore_ascii_case(text)) {
        let title = format!("{}: {}", defect.code(), defect.text());
        return Ok(unnamed().called(defect.code().to_lowercase(), title));
    }
    if let Ok(object @ Value::Object(_)) = serde_json::from_str::<Value>(text) {
        let part = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = part("code").rsplit('/').next().unwrap_or_default();
        let at = part("at");
        if code.is_empty() {
            return Err(format!("{text}: the JSON of a finding has a \"code\" and an \"at\""));
        }
        let place = if at.is_empty() { unnamed() } else { placed(at)? };
        let title = place.words.title.clone();
        return Ok(place.called(kebab(code), title));
    }
    placed(text)
}

/// A finding that is only a place.
fn placed(text: &str) -> Result<Saw, String> {
    let path = Place::parse(text).map_err(|e| {
        format!(
            "{text}: no code of Feedpulse (`feedpulse explain` lists them) and no HL7 path ({e})"
        )
    })?;
    if path.field.is_none() {
        return Err(format!(
            "{text}: no code of Feedpulse (`feedpulse explain` lists them); as a place it lacks the \
             field, as in PID-3"
        ));
    }
    let field = Field::Path(Place { occurrence: None, repetition: None, ..path }).to_string();
    let title = format!("{field} is wrong");
    let code = kebab(&format!("{field} wrong"));
    let saw = unnamed().called(code, title);
    Ok(Saw { at: text.to_owned(), fields: vec![field], ..saw })
}

/// Nothing is known but that a message was wrong.
fn unnamed() -> Saw {
    Saw {
        at: String::new(),
        fields: HEADER.iter().map(|f| (*f).to_owned()).collect(),
        words: Words {
            code: "message-wrong".to_owned(),
            title: "A message is wrong".to_owned(),
            explanation: "To do: say what was seen and why it matters to patients.".to_owned(),
            remedy: "To do: say what whoever is on call shall do first.".to_owned(),
        },
    }
}

impl Saw {
    /// With another code and title.
    fn called(self, code: String, title: String) -> Self {
        Self { words: Words { code, title, ..self.words }, ..self }
    }
}

/// Words as a name: at most six of them, letters and digits.
fn kebab(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let name = words.take(6).collect::<Vec<_>>().join("-");
    let name: String = name.chars().take(64).collect();
    match name.chars().next() {
        Some(c) if c.is_ascii_lowercase() => name,
        _ => format!("code-{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_taken_as_people_have_them() {
        let saw = finding("fp0501").unwrap();
        assert_eq!((saw.at.as_str(), saw.words.code.as_str()), ("OBR-25", "a-result-went-back"));
        let saw = finding("OBX[2]-11").unwrap();
        assert_eq!((saw.at.as_str(), saw.fields), ("OBX[2]-11", vec!["OBX-11".to_owned()]));
        let saw = finding("{\"code\": \"x/status-wrong\", \"at\": \"PID-3[2].4\"}").unwrap();
        assert_eq!(
            (saw.words.code.as_str(), saw.fields),
            ("status-wrong", vec!["PID-3.4".to_owned()])
        );
        for bad in ["FP9999", "OBX", "{}", "DOE^JANE"] {
            assert!(finding(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_listed_code_is_there_and_its_fields_are_fields() {
        for (code, fields) in FIELDS {
            assert!(Code::from_code(code).is_some(), "{code}");
            assert!(fields.iter().all(|f| Field::parse(f).is_ok()), "{code}");
        }
        let names = Code::ALL.iter().map(|c| kebab(c.text().title));
        assert!(
            names.clone().all(|n| n.len() <= 64 && !n.ends_with('-')),
            "{:?}",
            names.collect::<Vec<_>>()
        );
    }
}
