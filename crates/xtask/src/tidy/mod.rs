//! The rules of the house that no compiler or linter holds, as tests over what git tracks.
//!
//! `cargo xtask check` runs them; so does every `cargo test --workspace`. Each failure names the
//! file and says what the rule wants.

mod codes;
mod crates;
mod files;
mod supply;
mod wit;

use crate::cmd;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A tracked file that is in the work tree.
struct Tracked {
    /// Its path from the root, with slashes.
    path: String,
    content: Vec<u8>,
}

impl Tracked {
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.content).ok()
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, e)| e == extension)
    }
}

/// Every tracked file; one that was deleted and not yet committed is left out.
fn tracked() -> Vec<Tracked> {
    let list = cmd::output(Command::new("git").args(["ls-files", "-z"]).current_dir(cmd::root()));
    let list = list.expect("the tidy tests need git and a checkout");
    let read = |path: &str| {
        let content = fs::read(cmd::root().join(path)).ok()?;
        Some(Tracked { path: path.to_owned(), content })
    };
    list.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect()
}

/// A path from the root.
fn at_root(path: &str) -> PathBuf {
    cmd::root().join(path)
}

/// Fails with every problem at once, so that one run shows them all.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
