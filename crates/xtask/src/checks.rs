//! Checks in other languages than Rust, and their kits in `plugins/sdk`: built by the product's own
//! builder, tested by each language's own runner. What a machine lacks is left out here; `test`
//! says so, and fails for it on a build server.

use crate::cmd::{self, run};
use crate::error::{Error, Result};
use crate::pins;
use crate::verbs::cargo_for_tests;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A language of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// JavaScript; its part is `check-js`.
    Js,
    /// Python; `check-python`.
    Python,
    /// Go; `go`.
    Go,
}

impl Language {
    /// The language of a check's folder.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let of = [
            ("src/check.js", Self::Js),
            ("src/check.ts", Self::Js),
            ("check.py", Self::Python),
            ("main.go", Self::Go),
        ];
        of.into_iter().find(|(source, _)| folder.join(source).is_file()).map(|(_, it)| it)
    }

    /// Its toolchain as a real part.
    #[must_use]
    pub const fn part(self) -> &'static str {
        match self {
            Self::Js => "check-js",
            Self::Python => "check-python",
            Self::Go => "go",
        }
    }

    /// Whether it can be built on this machine.
    #[must_use]
    pub fn is_here(self) -> bool {
        pins::find(self.part()).and_then(pins::locate).is_some()
    }

    /// A command that finds the toolchain in its part: programs on `PATH`, modules of Python.
    #[must_use]
    pub fn equip(self, mut command: Command) -> Command {
        let Some(part) = pins::find(self.part()).and_then(pins::locate) else { return command };
        let programs = match self {
            Self::Js => part.join(".bin"),
            Self::Python => {
                command.env("PYTHONPATH", &part).env("PYTHONDONTWRITEBYTECODE", "1");
                part.join("bin")
            }
            Self::Go => return command,
        };
        command.env("PATH", before_path(programs));
        command
    }
}

/// A folder in front of `PATH`.
fn before_path(folder: PathBuf) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path.clone())
}

/// The folders of `plugins/` with a check in one of these languages.
///
/// # Errors
/// When the folder cannot be read.
pub fn folders() -> Result<Vec<(PathBuf, Language)>> {
    let folder = cmd::root().join("plugins");
    let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, &e))?;
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|e| Language::of(&e.path()).map(|language| (e.path(), language)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Builds each check whose language is here as a component, `NAME.wasm` in the folder `out`.
///
/// # Errors
/// [`Error::Failed`] when one does not build, with the toolchain's words.
pub fn build(out: &Path) -> Result<()> {
    fs::create_dir_all(out).map_err(|e| Error::io("make the folder", out, &e))?;
    for (folder, language) in folders()? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !language.is_here() {
            eprintln!("{name}: not built, {} is not here", language.part());
            continue;
        }
        let mut feedpulse = language.equip(product());
        feedpulse.args(["check", "build"]).arg(&folder);
        feedpulse.arg("--out").arg(out.join(format!("{name}.wasm")));
        run(&mut feedpulse)?;
    }
    Ok(())
}

/// The product as a command: the binary that `FEEDPULSE_BIN` names, or one that cargo builds. An
/// interpreter is started and stored while a check is built, which takes minutes in a debug build.
fn product() -> Command {
    if let Some(binary) = std::env::var_os("FEEDPULSE_BIN").filter(|path| !path.is_empty()) {
        return Command::new(binary);
    }
    let mut cargo = cargo_for_tests();
    cargo.args(["run", "-q", "-p", "feedpulse", "--"]);
    cargo
}

/// Runs the tests of the kits and of the checks, each with its language's own runner.
///
/// # Errors
/// [`Error::Failed`] when a test fails.
pub fn test() -> Result<()> {
    let sdk = cmd::root().join("plugins/sdk");
    if Language::Js.is_here() {
        run(&mut in_folder(Language::Js, &sdk.join("js"), "node", &["--test", "test/"]))?;
    }
    if Language::Python.is_here() {
        let python = sdk.join("python");
        run(&mut in_folder(Language::Python, &python, "python3", &UNITTEST))?;
        run(&mut in_folder(
            Language::Python,
            &python,
            "python3",
            &[&MYPY[..], &["tests"]].concat(),
        ))?;
    }
    if Language::Go.is_here() {
        run(&mut in_folder(Language::Go, &sdk.join("go"), "go", &["test", "./..."]))?;
        run(&mut in_folder(Language::Go, &sdk.join("go"), "go", &["vet", "./..."]))?;
    }
    for (folder, language) in folders()?.iter().filter(|(_, language)| language.is_here()) {
        test_one(folder, *language)?;
    }
    Ok(())
}

const UNITTEST: [&str; 4] = ["-m", "unittest", "discover", "tests"];
const MYPY: [&str; 5] = ["-m", "mypy", "--strict", "--cache-dir=/dev/null", "feedpulse_check"];

/// Runs the unit tests of one check, if it has any.
fn test_one(folder: &Path, language: Language) -> Result<()> {
    match language {
        Language::Js if folder.join("test").is_dir() => {
            link_kit(folder)?;
            run(&mut in_folder(language, folder, "node", &["--test", "test/"]))
        }
        Language::Python if folder.join("tests").is_dir() => {
            run(&mut with_kit(in_folder(language, folder, "python3", &UNITTEST)))
        }
        Language::Go => run(&mut in_folder(language, folder, "go", &["vet", "./..."])),
        Language::Js | Language::Python => Ok(()),
    }
}

/// What `npm install` makes of the dependency `file:../sdk/js`.
fn link_kit(folder: &Path) -> Result<()> {
    let modules = folder.join("node_modules");
    let link = modules.join("feedpulse-check");
    if link.exists() {
        return Ok(());
    }
    fs::create_dir_all(&modules).map_err(|e| Error::io("make the folder", &modules, &e))?;
    std::os::unix::fs::symlink("../../sdk/js", &link).map_err(|e| Error::io("link", &link, &e))
}

/// A Python command that finds the kit.
fn with_kit(mut command: Command) -> Command {
    command.env("PYTHONPATH", cmd::root().join("plugins/sdk/python"));
    command
}

fn in_folder(language: Language, folder: &Path, program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).args(words);
    language.equip(command)
}
