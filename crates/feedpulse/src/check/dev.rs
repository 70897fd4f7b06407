//! `feedpulse check dev`: build and test again whenever a file of the check changes.

use super::test::{self, TestArgs};
use crate::cli::Failure;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Between two looks at the files. Looking costs less than a watch that misses an editor's way of
/// saving, or a folder on a network.
const LOOK: Duration = Duration::from_millis(300);
/// Most files that are looked at.
const MAX_FILES: usize = 10_000;
/// Folders that a build writes.
const NOT_OURS: [&str; 4] = ["target", "node_modules", ".git", "__pycache__"];

/// What is watched.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// The check's folder.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Show values of messages as they are.
    #[arg(long)]
    show_values: bool,
}

/// Runs the command until it is interrupted.
pub(crate) fn main(args: &DevArgs) -> Result<(), Failure> {
    let mut before = BTreeMap::new();
    loop {
        let now = look(&args.dir);
        if now == before {
            std::thread::sleep(LOOK);
            continue;
        }
        before = now;
        let test = TestArgs::of(&args.dir, args.show_values);
        match test::main(&test) {
            Ok(()) => println!("passed; waiting for a change (Ctrl-C ends)"),
            Err(failure) => eprintln!("{:#}\nwaiting for a change (Ctrl-C ends)", failure.error),
        }
    }
}

/// When each file of the check was written.
fn look(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if NOT_OURS.iter().any(|other| name == *other) || found.len() >= MAX_FILES {
                continue;
            }
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|e| e != "wasm" && e != "lock")
                && let Ok(at) = meta.modified()
            {
                found.insert(path, at);
            }
        }
    }
    found
}
