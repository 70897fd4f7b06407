//! Builds and tests the WASM checks in `plugins/`: each a folder that could be copied out.
//!
//! What turns a crate into a component is `plugins/packaging.rs`, shared with the build scripts
//! and tests of the product. It needs a dependency that takes a while to compile, so it is behind
//! the feature `plugins`, which `cargo xtask plugins` switches on by running itself once more.

use crate::checks;
use crate::cmd::{self, cargo, run};
use crate::error::{Error, Result};
use std::fs;
use std::path::PathBuf;

#[cfg(feature = "plugins")]
#[path = "../../../plugins/packaging.rs"]
pub mod packaging;

/// The folders of the plugins, in order of name.
fn folders() -> Result<Vec<PathBuf>> {
    let folder = cmd::root().join("plugins");
    let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, &e))?;
    let mut found: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    found.retain(|folder| folder.join("Cargo.toml").is_file());
    found.sort();
    Ok(found)
}

fn target() -> PathBuf {
    cmd::target().join("plugins")
}

/// Formatting and lints of the plugins, which the workspace's own do not reach.
///
/// # Errors
/// [`Error::Failed`] when one is not as it should be.
pub fn lints() -> Result<()> {
    for folder in folders()? {
        let manifest = folder.join("Cargo.toml");
        run(cargo().args(["fmt", "--check", "--manifest-path"]).arg(&manifest))?;
        let mut clippy = cargo();
        clippy.args(["clippy", "--locked", "--all-targets", "--target-dir"]).arg(target());
        run(clippy.arg("--manifest-path").arg(&manifest).args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Runs the plugins' own unit tests, which need no WebAssembly.
///
/// # Errors
/// [`Error::Failed`] when a test fails.
pub fn test() -> Result<()> {
    for folder in folders()? {
        let mut test = cargo();
        test.args(["test", "--locked", "--target-dir"]).arg(target());
        run(test.arg("--manifest-path").arg(folder.join("Cargo.toml")))?;
    }
    checks::test()
}

/// Builds every plugin as a component, `NAME.wasm` in the folder that it prints.
///
/// # Errors
/// [`Error::Failed`] when one does not build, with the compiler's words.
#[cfg(feature = "plugins")]
pub fn build() -> Result<()> {
    let (target, start) = (target(), std::time::Instant::now());
    for folder in folders()? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let built = packaging::component(&folder, &target);
        let component = built.map_err(|e| Error::Failed(e.to_string()))?;
        let file = target.join(format!("{name}.wasm"));
        fs::write(&file, &component).map_err(|e| Error::io("write", &file, &e))?;
        eprintln!("{} ({} KB)", file.display(), component.len() / 1000);
    }
    checks::build(&target)?;
    eprintln!("built in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Builds every plugin as a component, by a second xtask that has the feature.
///
/// # Errors
/// As that one's.
#[cfg(not(feature = "plugins"))]
pub fn build() -> Result<()> {
    run(cargo().args(["run", "-q", "-p", "xtask", "--features", "plugins", "--", "plugins"]))
}
