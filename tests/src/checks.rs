//! Checks for tests: those that come with the binary, and versions of them.

use crate::product::command;
use crate::section;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Custom section with the manifest.
const MANIFEST: &str = "feedpulse:plugin";
/// Custom section with the cases.
const CASES: &str = "feedpulse:cases";

/// A check that comes with the binary, as its file.
///
/// # Panics
/// When the binary has no check of this name.
#[must_use]
pub fn component(name: &str) -> &'static [u8] {
    static KNOWN: OnceLock<Mutex<HashMap<String, &'static [u8]>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(name.to_owned()).or_insert_with(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("check.wasm");
        let name = format!("builtin:{name}");
        let words = ["check", "pull", &name, "--output", &file.display().to_string()];
        let done = command(&words);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Box::leak(std::fs::read(&file).expect("it was written").into_boxed_slice())
    })
}

/// A check with another manifest.
///
/// # Panics
/// When it carries none.
#[must_use]
pub fn with_manifest(wasm: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let json = section::found(wasm, MANIFEST).expect("a check carries its manifest");
    let mut manifest = serde_json::from_slice(json).expect("a manifest is JSON");
    change(&mut manifest);
    section::replaced(wasm, MANIFEST, manifest.to_string().as_bytes())
}

/// A check with other cases.
#[must_use]
pub fn with_cases(wasm: &[u8], json: &str) -> Vec<u8> {
    section::replaced(wasm, CASES, json.as_bytes())
}
