//! Configuration: one YAML file, every error at once with its line, column and a hint.

mod access;
mod calendar;
mod capture;
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
mod raw_capture;
mod raw_kubernetes;
mod raw_mllp;
mod raw_probes;
mod raw_sinks;
mod raw_times;
pub(crate) mod resolve;
mod schedule;
pub(crate) mod schema;
mod shadow;
mod sinks;
#[cfg(test)]
mod tests;

use document::{Document, Part, Problem};
use raw::Raw;
pub(crate) use resolve::Config;
pub(crate) use schema::nearest;
use std::sync::Arc;

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
    load_file(text, "")
}

/// Reads the text of a file, which errors that are found later can name.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_file(text: &str, file: impl std::fmt::Display) -> Result<Config, Vec<Problem>> {
    let document = Arc::new(Document::of_file(text, file)?);
    let whole = Part::of(&document, "");
    let differences =
        schema::differences(&whole, &schema(), Some("see `feedpulse validate --schema`"))
            .expect("the generated schema is valid");
    let mut problems: Vec<Problem> = differences.into_iter().map(|(_, problem)| problem).collect();
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
