//! Whether a check takes its settings, and if not everything that speaks against them, each with its
//! place in the file: what differs from the schema that the manifest carries, what the manifest
//! reads from them and cannot, and what the check itself says.

use super::Refusal;
use crate::config::document::{Part, Problem};
use crate::config::schema;
use feedpulse_wasm::{Manifest, Plugin, Settings, StartError, Worker};

/// Who starts a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A stream: what it says of messages stays inside.
    Stream,
    /// Its author, on messages of her own.
    Author,
}

/// Starts a check with settings; `settings.config` is what `part` holds.
///
/// # Errors
/// All that is wrong with the settings, or how it failed.
pub(crate) fn start(
    plugin: &Plugin,
    settings: Settings,
    part: &Part,
    whom: For,
) -> Result<Worker, Refusal> {
    let mut problems = declared(plugin.manifest(), part)?;
    let said = if problems.is_empty() {
        let started = match whom {
            For::Stream => plugin.worker(settings),
            For::Author => plugin.author_worker(settings),
        };
        match started {
            Ok(worker) => return Ok(worker),
            Err(StartError::Config { said, .. }) => said,
            Err(failed @ StartError::Failed { .. }) => return Err(Refusal::new("start", failed)),
        }
    } else {
        plugin.said_of(&settings).unwrap_or_default()
    };
    add(&mut problems, part, &said);
    Err(Refusal::new("settings", part.told(problems.into_iter().map(|(_, p)| p).collect())))
}

/// A problem and its path in the settings, slashes between keys.
type Placed = (String, Problem);

/// What can be seen without running the check.
fn declared(manifest: &Manifest, part: &Part) -> Result<Vec<Placed>, Refusal> {
    let mut problems: Vec<Placed> = Vec::new();
    if let Some(schema) = &manifest.settings {
        let found = schema::differences(part, schema, None).map_err(|e| {
            Refusal::new("invalid", format!("the schema of its settings is none: {e}"))
        })?;
        problems.extend(found);
    }
    if let Err(wrong) = manifest.with_settings(&part.json()) {
        for one in wrong.0 {
            let path = if one.key == "settings" { "" } else { one.key.as_str() };
            place(&mut problems, part, path, &one.expected);
        }
    }
    Ok(problems)
}

/// Adds what the check says: a sentence a line, which may begin with its place, a JSON pointer and a
/// colon. What it says of a place of which something is said already follows from that.
fn add(problems: &mut Vec<Placed>, part: &Part, said: &str) {
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let placed = line.strip_prefix('/').and_then(|rest| rest.split_once(": "));
        let (path, sentence) = placed.unwrap_or(("", line));
        place(problems, part, path, sentence);
    }
}

/// Adds a sentence about a place, unless something is said of that place, of one in it, or of one
/// around it.
fn place(problems: &mut Vec<Placed>, part: &Part, path: &str, sentence: &str) {
    let within = |inner: &str, outer: &str| {
        outer.is_empty()
            || inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    if problems.iter().any(|(known, _)| within(known, path) || within(path, known)) {
        return;
    }
    problems.push((path.to_owned(), part.problem(path, sentence, "")));
}
