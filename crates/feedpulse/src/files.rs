//! Recorded messages on disk: files and folders, in a stable order, with a bar on a terminal.

use crate::cli::{Failure, NO_INPUT};
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
pub(crate) const FILE_MAX: u64 = 1 << 30;

/// Names of files in folders that are looked at; others are passed over.
const EXTENSIONS: [&str; 7] = ["hl7", "mllp", "txt", "dat", "pcap", "pcapng", "cap"];

/// All files under the paths, folders walked in order of name. `-` stays as it is.
pub(crate) fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(path.clone());
            continue;
        }
        let meta = std::fs::metadata(path).map_err(|e| missing(path, &e))?;
        if meta.is_dir() {
            walk(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| missing(folder, &e))?;
    let mut entries: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|e| EXTENSIONS.iter().any(|k| e.eq_ignore_ascii_case(k)))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn missing(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(NO_INPUT, anyhow::anyhow!("{}: {error}", path.display()))
}

/// The first bytes of a file, at most 16: what kind it is.
pub(crate) fn head(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut bytes))
        .map_err(|e| missing(path, &e))?;
    Ok(bytes)
}

/// A file to be read as a stream, whatever its size.
pub(crate) fn open(path: &Path) -> Result<std::fs::File, Failure> {
    std::fs::File::open(path).map_err(|e| missing(path, &e))
}

/// The bytes of one file (or of standard input for `-`).
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(FILE_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes))
    };
    done.map_err(|e| missing(path, &e))?;
    if bytes.len() as u64 == FILE_MAX {
        return Err(Failure::new(
            NO_INPUT,
            anyhow::anyhow!("{}: over 1 GiB; split it", path.display()),
        ));
    }
    Ok(bytes)
}

/// A progress bar on standard error, shown after two seconds and on a terminal only.
#[must_use]
pub(crate) fn progress(total: usize, noun: &'static str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::with_draw_target(
        Some(total as u64),
        indicatif::ProgressDrawTarget::hidden(),
    );
    let style = indicatif::ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {eta}");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    bar.set_message(noun);
    bar
}

/// Advances a bar; draws it once two seconds have passed.
pub(crate) fn advance(bar: &indicatif::ProgressBar) {
    bar.inc(1);
    if bar.is_hidden() && std::io::stderr().is_terminal() && bar.elapsed().as_secs() >= 2 {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
}
