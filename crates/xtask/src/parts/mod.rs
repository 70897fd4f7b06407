//! Fetches the real parts of [`crate::pins`] into the cache: each in a folder of its own, made in
//! a temporary folder and renamed into place when whole, so that an interrupted fetch leaves
//! nothing that looks finished.

mod kubernetes;
mod recipes;
mod schemas;

use crate::cmd;
use crate::error::{Error, Result};
use crate::pins::{self, PINS, Pin};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What became of one part.
#[derive(Debug)]
pub enum Outcome {
    /// It was there.
    Present,
    /// It was fetched now, in so many seconds.
    Fetched(f64),
    /// A tool is missing, or this user may not install it.
    Skipped,
    /// A recipe failed.
    Failed(Error),
}

/// A part and what became of it.
#[derive(Debug)]
pub struct Report {
    /// The part.
    pub pin: &'static Pin,
    /// What became of it.
    pub outcome: Outcome,
}

impl Report {
    /// The sentence for the end of a run; none for a part that is here.
    #[must_use]
    pub fn skip_line(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Present | Outcome::Fetched(_) => None,
            Outcome::Skipped => Some(pins::skip_line(self.pin)),
            Outcome::Failed(e) => Some(format!("{}\n  {e}", pins::skip_line(self.pin))),
        }
    }
}

/// The folder of all parts.
///
/// # Errors
/// [`Error::Missing`] when neither a variable nor a home folder says where.
pub fn dir() -> Result<PathBuf> {
    pins::parts_dir().ok_or_else(|| {
        Error::Missing("no cache folder is known: set FEEDPULSE_CACHE to a folder".to_owned())
    })
}

/// Fetches every part that is not here, with one line for each on the terminal.
///
/// # Errors
/// Only when the cache folder itself cannot be made; a part that fails is in the reports.
pub fn fetch_all() -> Result<Vec<Report>> {
    let dir = dir()?;
    std::fs::create_dir_all(&dir).map_err(|e| Error::io("make the folder", &dir, &e))?;
    eprintln!("real parts in {}", dir.display());
    Ok(PINS.iter().map(|pin| fetch_one(pin, &dir)).collect())
}

fn fetch_one(pin: &'static Pin, dir: &Path) -> Report {
    let start = Instant::now();
    let outcome = attempt(pin, dir, start);
    let (word, more) = match &outcome {
        Outcome::Present => ("present", String::new()),
        Outcome::Fetched(seconds) => ("fetched", format!("{seconds:.1} s")),
        Outcome::Skipped => ("skipped", pin.remedy.to_owned()),
        Outcome::Failed(e) => ("FAILED", e.to_string()),
    };
    eprintln!("  {:<19} {:<13} {word:<8} {more}", pin.name, pin.version);
    Report { pin, outcome }
}

fn attempt(pin: &'static Pin, dir: &Path, start: Instant) -> Outcome {
    if pins::locate(pin).is_some() {
        return Outcome::Present;
    }
    let has = |tools: &[&str]| tools.iter().all(|tool| pins::which(tool).is_some());
    // Where nothing is unpacked into the cache, only root can install.
    let may = pin.inside.is_some() || cmd::is_root();
    if !may || !has(pin.fetched_with) {
        return Outcome::Skipped;
    }
    match fetch(pin, dir) {
        Err(e) => Outcome::Failed(e),
        Ok(()) if pins::locate(pin).is_some() => Outcome::Fetched(start.elapsed().as_secs_f64()),
        Ok(()) => {
            Outcome::Failed(Error::Failed(format!("{} was fetched but is not here", pin.name)))
        }
    }
}

fn fetch(pin: &Pin, dir: &Path) -> Result<()> {
    let log = dir.join(format!("{}.log", pin.folder));
    let _ = std::fs::remove_file(&log);
    // Unique by process, and on the same file system as the target so that rename is atomic.
    let tmp = dir.join(format!(".tmp-{}-{}", pin.folder, std::process::id()));
    remove(&tmp)?;
    std::fs::create_dir_all(&tmp).map_err(|e| Error::io("make the folder", &tmp, &e))?;
    let done =
        recipes::make(pin, &tmp, &log).and_then(|()| publish(pin, &tmp, &dir.join(pin.folder)));
    let swept = remove(&tmp);
    done.and(swept)
}

fn publish(pin: &Pin, tmp: &Path, target: &Path) -> Result<()> {
    let Some(inside) = pin.inside else { return Ok(()) };
    let made = tmp.join("out");
    if !made.join(inside).exists() {
        return Err(Error::Failed(format!("the recipe of {} made no {inside}", pin.name)));
    }
    let stamp = made.join(pins::STAMP);
    let write = std::fs::write(&stamp, format!("{}\n", pins::RECIPES));
    write.map_err(|e| Error::io("write", &stamp, &e))?;
    if pins::is_complete(target) {
        return Ok(()); // Another run was faster.
    }
    remove(target)?;
    match std::fs::rename(&made, target) {
        Err(_) if pins::is_complete(target) => Ok(()), // The same, a moment later.
        done => done.map_err(|e| Error::io("put in place", target, &e)),
    }
}

/// Removes a folder if it is there. Go makes its module folders read-only; ours hold none.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder, &e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: Pin = Pin {
        name: "thing",
        version: "1",
        folder: "thing-1",
        inside: Some("program"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &[],
        used_by: "nothing",
        remedy: "none",
    };

    #[test]
    fn half_a_part_is_never_published() {
        let dir = tempfile::tempdir().unwrap();
        let (tmp, target) = (dir.path().join("tmp"), dir.path().join("thing-1"));
        std::fs::create_dir_all(tmp.join("out")).unwrap();
        let e = publish(&PIN, &tmp, &target).unwrap_err();
        assert!(e.to_string().contains("made no program"), "{e}");
        assert!(!target.exists());
    }

    #[test]
    fn a_whole_part_replaces_a_broken_folder_and_keeps_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let (tmp, target) = (dir.path().join("tmp"), dir.path().join("thing-1"));
        std::fs::create_dir_all(&target).unwrap();
        std::fs::write(target.join("debris"), "x").unwrap();
        let make = |text: &str| {
            std::fs::create_dir_all(tmp.join("out")).unwrap();
            std::fs::write(tmp.join("out/program"), text).unwrap();
        };
        make("first");
        publish(&PIN, &tmp, &target).unwrap();
        assert!(pins::is_complete(&target) && !target.join("debris").exists());
        make("second");
        publish(&PIN, &tmp, &target).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("program")).unwrap(), "first");
    }
}
