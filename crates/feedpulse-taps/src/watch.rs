//! Which files of a watched folder are ready: those whose size has not changed for a while, and
//! those that were moved in. Pure but for [`look`], which reads the folder, and [`Notices`].

use notify::event::{ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// The most files of one folder that are looked at; more are told as a failure of the tap.
pub(crate) const MAX_FILES: usize = 100_000;
/// Notices that may wait; what does not fit is found by the next look.
const MAX_NOTICES: usize = 1024;

/// What a file is and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Device and inode.
    pub(crate) identity: u128,
    pub(crate) size: u64,
    modified_ns: i128,
}

impl Stamp {
    pub(crate) fn of(meta: &fs::Metadata) -> Self {
        Self {
            identity: u128::from(meta.dev()) << 64 | u128::from(meta.ino()),
            size: meta.size(),
            modified_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        }
    }
}

/// Files seen and done.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    files: BTreeMap<PathBuf, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    stable_for: Duration,
    /// Bytes done, of this identity.
    done: u64,
}

impl Ledger {
    /// What an earlier run had done.
    pub(crate) fn restore(&mut self, path: PathBuf, identity: u128, done: u64) {
        let stamp = Stamp { identity, size: done, modified_ns: 0 };
        self.files.insert(path, Known { stamp, stable_for: Duration::ZERO, done });
    }

    /// Notes how a file looks now, `since` the last look. Gives the offset to read from when it is
    /// ready: `settle` without a change, or at once when it was moved in whole.
    pub(crate) fn see(
        &mut self,
        path: &Path,
        stamp: Stamp,
        since: Duration,
        settle: Duration,
        moved_in: bool,
    ) -> Option<u64> {
        let fresh = Known { stamp, stable_for: Duration::ZERO, done: 0 };
        let Some(known) = self.files.get_mut(path) else {
            self.files.insert(path.to_owned(), fresh);
            return (moved_in && stamp.size > 0).then_some(0);
        };
        if known.stamp.identity != stamp.identity || stamp.size < known.done {
            // Another file under the same name, or one that was written anew.
            *known = fresh;
        } else if known.stamp == stamp {
            known.stable_for += since;
        } else {
            *known = Known { stamp, stable_for: Duration::ZERO, done: known.done };
        }
        let ready = stamp.size > known.done && (moved_in || known.stable_for >= settle);
        ready.then_some(known.done)
    }

    /// Notes progress.
    pub(crate) fn done(&mut self, path: &Path, offset: u64) {
        if let Some(known) = self.files.get_mut(path) {
            known.done = offset;
        }
    }

    /// Forgets files that are not there any more.
    pub(crate) fn retain(&mut self, there: &[(PathBuf, Stamp)]) {
        let paths: std::collections::BTreeSet<&Path> =
            there.iter().map(|(path, _)| path.as_path()).collect();
        self.files.retain(|path, _| paths.contains(path.as_path()));
    }

    /// Whether some file may become ready soon.
    pub(crate) fn unsettled(&self) -> bool {
        self.files.values().any(|known| known.stamp.size > known.done)
    }
}

/// Whether a name is that of a file under way: hidden, or with a common temporary ending.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let endings = [".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~"];
    name.starts_with('.') || endings.iter().any(|ending| name.ends_with(ending))
}

/// The regular files of a folder, sorted by name; of folders within it only when `deep`.
pub(crate) fn look(folder: &Path, deep: bool) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if is_temporary(&path) {
                continue;
            }
            // A file may vanish between the two calls: it is no failure.
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_file() {
                found.push((path, Stamp::of(&meta)));
            } else if meta.is_dir() && deep && !entry_is_link(&path) {
                folders.push(path);
            }
            if found.len() > MAX_FILES {
                return Err(io::Error::other("more than 100,000 files"));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Links to folders are not followed: they may lead in circles.
fn entry_is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
}

/// Something happened to a file.
#[derive(Debug)]
pub(crate) struct Notice {
    /// Only when it was moved in whole.
    pub(crate) moved_in: Option<PathBuf>,
}

/// The operating system's notices about a folder. Without them (network file systems) the regular
/// look finds everything, only later.
#[derive(Debug)]
pub(crate) struct Notices {
    receive: mpsc::Receiver<Notice>,
    _watcher: Option<RecommendedWatcher>,
    /// Keeps the channel open when there is no watcher.
    _send: mpsc::Sender<Notice>,
}

impl Notices {
    pub(crate) fn of(folder: &Path) -> Self {
        let (send, receive) = mpsc::channel(MAX_NOTICES);
        let sender = send.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let moved = matches!(
                event.kind,
                EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
            );
            if !moved && !event.kind.is_create() && !event.kind.is_modify() {
                return;
            }
            let moved_in = if moved { event.paths.last().cloned() } else { None };
            // A full channel loses nothing: the next look sees the file.
            let _ = sender.try_send(Notice { moved_in });
        });
        let watcher = watcher.ok().and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive).ok().map(|()| watcher)
        });
        Self { receive, _watcher: watcher, _send: send }
    }

    /// The next notice.
    pub(crate) async fn next(&mut self) -> Option<Notice> {
        self.receive.recv().await
    }

    /// Those that wait already.
    pub(crate) fn waiting(&mut self) -> Vec<PathBuf> {
        let mut moved = Vec::new();
        while let Ok(notice) = self.receive.try_recv() {
            moved.extend(notice.moved_in);
        }
        moved
    }
}
