//! What names a check on the command line: all that names one in the configuration, and the folder of
//! one that is being written, which is built first.

use super::registry::{self, Door};
use super::{build, cases, templates};
use crate::cli::{DATA, Failure, NO_INPUT, UNAVAILABLE};
use crate::config::document::Part;
use crate::version::{Refusal, content};
use anyhow::anyhow;
use clap::Args;
use feedpulse_oci::Reference;
use feedpulse_wasm::{Plugin, Runtime, Settings};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What can be given, for error texts.
const FORMS: &str = "give a .wasm file, a folder that holds one, the folder of a check that you write, \
                     builtin:NAME, or oci://REGISTRY/NAME:TAG";

/// A check that somebody named.
pub(crate) struct Named {
    /// As the configuration would name it: a file instead of the folder that was built, an artifact
    /// by its digest.
    pub(crate) plugin: String,
    /// The component.
    pub(crate) wasm: Vec<u8>,
    /// The file with settings beside the component, in a folder that has one.
    beside: Option<PathBuf>,
    /// The folder with its cases, where it lies on this machine.
    pub(crate) cases: Option<PathBuf>,
    /// Loaded already, where it was just built.
    pub(super) loaded: Option<(Runtime, Plugin)>,
}

/// The settings with which a check is tried.
#[derive(Args, Debug, Default)]
pub(crate) struct Tried {
    /// The check's settings, a YAML or JSON file: what `config` is in Feedpulse's configuration.
    /// Default: settings.yaml beside the component in its folder, if there is one.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// What the operator grants beyond the declared fields: get, raw, free-text.
    #[arg(long, value_name = "GRANT")]
    grant: Vec<String>,
}

/// The component that a name stands for.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn find(text: &str) -> Result<Named, Failure> {
    let path = Path::new(text);
    if path.is_dir() && templates::of_folder(path).is_some() {
        let built = build::build(path, None)?;
        let cases = Some(path.join("cases"));
        let plugin = built.file.display().to_string();
        let beside = content::beside(path);
        return Ok(Named { plugin, wasm: built.wasm, beside, cases, loaded: Some(built.loaded) });
    }
    let mut plugin = text.to_owned();
    let found = content::find(text, |reference| {
        let (wasm, pinned) = registry::pulled(reference, &Door::default())
            .map_err(|failure| Refusal::new("unreadable", format!("{:#}", failure.error)))?;
        plugin = pinned;
        Ok(wasm)
    });
    let remote = Reference::is_meant(text);
    let local = !remote && !text.starts_with("builtin:");
    let (wasm, beside) = found.map_err(|refusal| {
        let code = if remote { UNAVAILABLE } else { NO_INPUT };
        let hint = if local { format!("; {FORMS}") } else { String::new() };
        Failure::new(code, anyhow!("{refusal}{hint}"))
    })?;
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let cases = folder.filter(|_| local).map(|folder| folder.join("cases"));
    Ok(Named { plugin, wasm, beside, cases, loaded: None })
}

impl Named {
    /// A component at hand.
    #[cfg(test)]
    pub(crate) fn at_hand(wasm: Vec<u8>) -> Self {
        let plugin = "at-hand.wasm".to_owned();
        Self { plugin, wasm, beside: None, cases: None, loaded: None }
    }

    /// Settings and grants to try it with.
    ///
    /// # Errors
    /// A file that is none, or a grant that is none.
    pub(crate) fn tried(&self, tried: &Tried) -> Result<(Settings, Part), Failure> {
        let part = match tried.settings.as_deref().or(self.beside.as_deref()) {
            Some(file) => content::settings(file).map_err(|refusal| {
                let code = if refusal.class == "settings" { DATA } else { NO_INPUT };
                Failure::new(code, refusal)
            })?,
            None => Part::made(Value::Object(Map::new())),
        };
        let grants =
            cases::grants(&tried.grant).map_err(|e| Failure::new(64, anyhow!("--grant: {e}")))?;
        Ok((Settings { config: part.json(), grants, ..Settings::default() }, part))
    }
}
