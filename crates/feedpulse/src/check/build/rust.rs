//! Rust: cargo for `wasm32-unknown-unknown`.

use super::{BuildError, Builder, Code, packaging};
use std::path::Path;

/// The builder of Rust checks.
pub(crate) struct Rust;

impl Builder for Rust {
    fn compile(&self, folder: &Path) -> Result<Code, BuildError> {
        // cargo's own variable, so that many checks can share what they have in common
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| folder.join("target"), Into::into);
        packaging::compile(folder, &target, true).map(Code::Module).map_err(|e| {
            let said = e.to_string();
            let missing = ["lacks", "cannot be run"].iter().any(|sign| said.contains(sign));
            if missing { BuildError::Toolchain(said) } else { BuildError::Source(said) }
        })
    }
}
