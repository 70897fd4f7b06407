//! Notices when files change, by the system's own notices and, where those fail (network file
//! systems, a volume that is mounted over the old one), by a regular look.
//!
//! Folders are watched, not files: a ConfigMap's volume swaps the link `..data` and never writes the
//! files that were there.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// A change is acted on when it was quiet for so long: a copy may still be under way.
const QUIET: Duration = Duration::from_millis(300);
/// And at the latest after so long.
const LONGEST: Duration = Duration::from_secs(5);
/// How often a stop is looked for.
const BEAT: Duration = Duration::from_millis(250);

/// A watch over some folders.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    notices: Receiver<()>,
    /// What is watched: the folder's device and inode, since a watch stays with those.
    folders: BTreeMap<PathBuf, (u64, u64)>,
}

impl Watch {
    /// Over nothing yet.
    pub(super) fn new() -> Self {
        let (send, notices) = sync_channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading gives notices too.
            let reads = |event: notify::Event| matches!(event.kind, EventKind::Access(_));
            if !event.is_ok_and(reads) {
                // One that waits already says the same.
                let _ = send.try_send(());
            }
        });
        Self { watcher: watcher.ok(), notices, folders: BTreeMap::new() }
    }

    /// Watches these folders from now on; those that are other folders by now are watched anew.
    pub(super) fn over(&mut self, folders: impl Iterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let identity =
            |folder: &PathBuf| fs::metadata(folder).ok().map(|meta| (meta.dev(), meta.ino()));
        let wanted: BTreeMap<PathBuf, Option<(u64, u64)>> =
            folders.map(|folder| (folder.clone(), identity(&folder))).collect();
        self.folders.retain(|folder, known| {
            let same = wanted.get(folder).copied().flatten() == Some(*known);
            if !same {
                // It may be gone already.
                let _ = watcher.unwatch(folder);
            }
            same
        });
        for (folder, identity) in wanted {
            if let Some(identity) = identity
                && !self.folders.contains_key(&folder)
                && watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok()
            {
                self.folders.insert(folder, identity);
            }
        }
    }

    /// Waits for a change and for quiet after it, at most for `longest`; false when `stop` came.
    pub(super) fn wait(&self, longest: Duration, stop: &AtomicBool) -> bool {
        let end = Instant::now() + longest;
        loop {
            if stop.load(Ordering::Acquire) {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            match self.notices.recv_timeout(left.min(BEAT)) {
                Ok(()) => break,
                Err(RecvTimeoutError::Timeout) => {}
                // Without a watcher there is only the regular look.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(left.min(BEAT)),
            }
        }
        let end = Instant::now() + LONGEST;
        while Instant::now() < end && self.notices.recv_timeout(QUIET).is_ok() {}
        !stop.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Whether a change is noticed well before the regular look.
    fn notices(watch: &Watch, change: impl FnOnce()) -> bool {
        while watch.notices.try_recv().is_ok() {}
        change();
        let before = Instant::now();
        watch.wait(LONG, &AtomicBool::new(false)) && before.elapsed() < LONG
    }

    #[test]
    fn a_swapped_link_and_a_swapped_folder_are_noticed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("checks");
        fs::create_dir_all(folder.join("..1")).unwrap();
        std::os::unix::fs::symlink("..1", folder.join("..data")).unwrap();
        let mut watch = Watch::new();
        watch.over([folder.clone()].into_iter());
        // As the kubelet does it.
        assert!(notices(&watch, || {
            fs::create_dir(folder.join("..2")).unwrap();
            std::os::unix::fs::symlink("..2", folder.join("..new")).unwrap();
            fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
        }));
        fs::rename(&folder, root.path().join("old")).unwrap();
        fs::create_dir(&folder).unwrap();
        watch.over([folder.clone()].into_iter());
        assert!(notices(&watch, || fs::write(folder.join("a.wasm"), "a").unwrap()));
    }

    #[test]
    fn a_stop_ends_the_wait_and_reading_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::new();
        watch.over([folder.path().to_owned()].into_iter());
        assert!(!watch.wait(LONG, &AtomicBool::new(true)));
        while watch.notices.recv_timeout(QUIET).is_ok() {}
        fs::read(&file).unwrap();
        assert!(watch.notices.recv_timeout(QUIET).is_err());
    }
}
