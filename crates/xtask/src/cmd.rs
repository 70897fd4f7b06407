//! Runs other programs: shown before they start, with their exit status turned into an [`Error`].

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the checkout that this program was built from.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The folder in which cargo builds.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs us, so that the pinned toolchain stays in force.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// True on a build server, where a skipped test is a failed one.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true" || v == "1")
}

/// True when this user may install system packages.
#[must_use]
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    let name = Path::new(words[0]).file_name().unwrap_or(words[0]).to_string_lossy().into_owned();
    let rest: Vec<_> = words.iter().skip(1).map(|w| quoted(w)).collect();
    format!("{name} {}", rest.join(" ")).trim_end().to_owned()
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{word}'")
    }
}

/// Shows a command and runs it on our own terminal.
///
/// # Errors
/// [`Error::Missing`] when the program cannot be started, [`Error::Failed`] when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let text = shown(command);
    eprintln!("$ {text}");
    let status = command.stdin(Stdio::null()).status().map_err(|e| not_started(&text, &e))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed(format!("`{text}` ended with {status}")))
    }
}

/// Runs a command with everything that it prints appended to a log file.
///
/// # Errors
/// As [`run`]; the error names the log.
pub fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let text = shown(command);
    let io = |e: std::io::Error| Error::io("write the log", log, &e);
    let mut out = OpenOptions::new().create(true).append(true).open(log).map_err(io)?;
    std::io::Write::write_all(&mut out, format!("$ {text}\n").as_bytes()).map_err(io)?;
    let err = out.try_clone().map_err(io)?;
    let status = command.stdin(Stdio::null()).stdout(out).stderr(err).status();
    let status = status.map_err(|e| not_started(&text, &e))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed(format!("`{text}` ended with {status}; its output is in {}", log.display())))
}

/// Runs a command and returns what it wrote to standard output; its errors go to our terminal.
///
/// # Errors
/// As [`run`]; also when the output is not UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let out = out.map_err(|e| not_started(&text, &e))?;
    if !out.status.success() {
        return Err(Error::Failed(format!("`{text}` ended with {}", out.status)));
    }
    String::from_utf8(out.stdout).map_err(|_| Error::Data(format!("`{text}` printed no UTF-8")))
}

fn not_started(text: &str, e: &std::io::Error) -> Error {
    Error::Missing(format!("cannot start `{text}`: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let e = run_logged(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), &log);
        let e = e.unwrap_err();
        assert_eq!(e.code(), 1);
        assert!(e.to_string().contains("exit status: 3"), "{e}");
        assert!(e.to_string().contains(&log.display().to_string()), "{e}");
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("\nout\nerr\n"), "{text}");
    }

    #[test]
    fn an_absent_program_is_missing() {
        let e = run(&mut Command::new("feedpulse-no-such-program")).unwrap_err();
        assert_eq!(e.code(), 69);
    }
}
