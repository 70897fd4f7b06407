//! Finds the `feedpulse` binary that belongs to the running tests, and builds it when it is not
//! there or older than its sources: cargo builds no binary of another package for a test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names another binary to test, such as a release build.
const OVERRIDE: &str = "FEEDPULSE_BIN";

/// The path of the binary; it is looked for, and built, once in a test process.
///
/// # Panics
/// When it cannot be built, with what to do.
#[must_use]
pub fn binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os(OVERRIDE) {
        Some(path) => PathBuf::from(path),
        None => fresh(),
    })
}

fn fresh() -> PathBuf {
    // TARGET/PROFILE/deps/it-0123456789abcdef
    let this = std::env::current_exe().expect("a running program has a path");
    let profile = this.ancestors().nth(2).expect("a test is in a folder of its profile");
    let binary = profile.join("feedpulse");
    if !is_current(&binary) {
        build(profile);
    }
    assert!(binary.is_file(), "{} is not there after a build", binary.display());
    binary
}

/// Whether it is younger than every source that cargo noted for it (`feedpulse.d`, in make's form).
fn is_current(binary: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let Some(built) = changed(binary) else { return false };
    let Ok(rule) = std::fs::read_to_string(binary.with_extension("d")) else { return false };
    let sources = rule.split_once(": ").map_or("", |(_, sources)| sources);
    let is_older = |source: &str| changed(Path::new(source)).is_some_and(|at| at <= built);
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    changed(&lock).unwrap_or(SystemTime::UNIX_EPOCH) <= built
        && sources.split_ascii_whitespace().all(is_older)
}

fn build(profile: &Path) {
    let name = match profile.file_name().and_then(OsStr::to_str) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let target = profile.parent().expect("a profile is in the target folder");
    let done = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "feedpulse", "--profile", name])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    let built = done.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(built, "cargo build -p feedpulse: {done:?}; build it by hand to see why");
}
