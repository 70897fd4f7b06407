//! Builds the checks that come with Feedpulse, so that a clean clone runs one without another step:
//! each becomes one file in `OUT_DIR`, for `include_bytes!`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

#[path = "../../plugins/packaging.rs"]
mod packaging;

/// Folder in `plugins/` and file in `OUT_DIR`.
const CHECKS: [(&str, &str); 3] = [
    ("nothing", "nothing.wasm"),
    ("result-status-regression", "result_status_regression.wasm"),
    ("troublemaker", "troublemaker.wasm"),
];
/// What every check is made of, from the root of the repository.
const SHARED: [&str; 4] = [
    "plugins/packaging.rs",
    "crates/feedpulse-check/Cargo.toml",
    "crates/feedpulse-check/src",
    "wit",
];
/// What a check itself is made of, from its folder.
const OWN: [&str; 4] = ["Cargo.toml", "Cargo.lock", "plugin.toml", "src"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?;
    let root = Path::new(&here).join("../..").canonicalize()?;
    println!("cargo::rerun-if-changed=build.rs");
    watch(&root, &SHARED)?;
    for (name, file) in CHECKS {
        let folder = root.join("plugins").join(name);
        watch(&folder, &OWN)?;
        // Not every check has them, and cargo would build each time when one that it watches is missing.
        if folder.join("cases").is_dir() {
            watch(&folder, &["cases"])?;
        }
        match packaging::component(&folder, &out.join("plugins")) {
            Ok(component) => fs::write(out.join(file), component)?,
            Err(e) => {
                // cargo shows what a failing build script says on standard error
                eprintln!("{e}");
                return Err(format!("the check {name} was not built").into());
            }
        }
    }
    Ok(())
}

/// Asks cargo to build again when one of these changes.
fn watch(folder: &Path, names: &[&str]) -> Result<(), Box<dyn Error>> {
    for name in names {
        let path = folder.join(name);
        // cargo would build each time when a path that it shall watch is not there
        if !path.exists() {
            return Err(format!("{} is missing: the checkout is not whole", path.display()).into());
        }
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}
