//! Builds and tests the WASM checks in `plugins/`, a workspace of its own.

use crate::cmd::{self, cargo, run};
use crate::error::{Error, Result};
use crate::verbs::exists;
use std::fs;
use std::path::PathBuf;

/// The manifests in `plugins/`: its workspace, or each plugin that is a workspace of its own.
fn manifests() -> Result<Vec<PathBuf>> {
    if exists("plugins/Cargo.toml") {
        return Ok(vec![cmd::root().join("plugins/Cargo.toml")]);
    }
    let folder = cmd::root().join("plugins");
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::io("read", &folder, &e))?,
    };
    let mut found: Vec<_> = entries.flatten().map(|e| e.path().join("Cargo.toml")).collect();
    found.retain(|manifest| manifest.is_file());
    found.sort();
    Ok(found)
}

/// Runs the plugins' own unit tests, which need no WebAssembly.
///
/// # Errors
/// [`Error::Failed`] when a test fails.
pub fn test() -> Result<()> {
    for manifest in manifests()? {
        let mut test = cargo();
        test.args(["test", "--locked", "--target-dir"]).arg(cmd::root().join("target/plugins"));
        run(test.arg("--manifest-path").arg(manifest))?;
    }
    Ok(())
}

/// Builds every plugin as a component.
///
/// # Errors
/// [`Error::Failed`] when one does not build.
pub fn build() -> Result<()> {
    Err(Error::Missing("plugins/ holds no check yet".to_owned()))
}
