//! Artifacts that were fetched, kept so that a start needs no registry.
//!
//! An artifact is two files named by the digest that pins it: the manifest, whose bytes have that
//! digest, and the component, whose digest the manifest holds. Both are verified each time they are
//! read, so a file that was changed is no artifact any more and is fetched again.

use crate::client::{Pulled, layer};
use crate::{MAX_COMPONENT, digest};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Most artifacts that are kept; those written longest ago go.
const MAX_KEPT: usize = 64;

/// A folder of artifacts.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// In this folder, made when the first artifact is kept.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The component of an artifact; none when it is not here, or not as its digest says.
    #[must_use]
    pub fn find(&self, pin: &str) -> Option<Vec<u8>> {
        let manifest = read(&self.path(pin, "json"))?;
        if digest(&manifest) != pin {
            return None;
        }
        let layer = layer(&manifest).ok()?;
        read(&self.path(pin, "wasm")).filter(|wasm| digest(wasm) == layer.digest)
    }

    /// Keeps an artifact.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep(&self, pulled: &Pulled) -> io::Result<()> {
        DirBuilder::new().mode(0o700).recursive(true).create(&self.0)?;
        // The manifest last: without it the component is not found.
        write(&self.path(&pulled.digest, "wasm"), &pulled.wasm)?;
        write(&self.path(&pulled.digest, "json"), &pulled.manifest)?;
        self.prune();
        Ok(())
    }

    fn path(&self, pin: &str, extension: &str) -> PathBuf {
        let name: String = pin.chars().filter(char::is_ascii_alphanumeric).collect();
        self.0.join(format!("{name}.{extension}"))
    }

    /// Removes the oldest beyond the bound. Best effort: room, not safety.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let mut all: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "json"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        all.sort();
        let excess = all.len().saturating_sub(MAX_KEPT);
        for (_, path) in all.into_iter().take(excess) {
            let _ = fs::remove_file(&path);
            let _ = fs::remove_file(path.with_extension("wasm"));
        }
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    File::open(path).ok()?.take(MAX_COMPONENT as u64 + 1).read_to_end(&mut all).ok()?;
    Some(all)
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let scratch = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&scratch)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&scratch);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_not_there_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("oci"));
        let wasm = b"\0asm".to_vec();
        let manifest = format!(
            r#"{{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.wasm.config.v0+json",
                "digest": "sha256:a", "size": 2}},
                "layers": [{{"mediaType": "application/wasm", "digest": "{}", "size": 4}}]}}"#,
            digest(&wasm)
        )
        .into_bytes();
        let pulled = Pulled { wasm: wasm.clone(), digest: digest(&manifest), manifest };
        assert_eq!(shelf.find(&pulled.digest), None);
        shelf.keep(&pulled).unwrap();
        assert_eq!(shelf.find(&pulled.digest), Some(wasm));
        let files: Vec<_> =
            fs::read_dir(folder.path().join("oci")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        for file in &files {
            let good = fs::read(file).unwrap();
            fs::write(file, [&good[..], b" "].concat()).unwrap();
            assert_eq!(shelf.find(&pulled.digest), None, "{}", file.display());
            fs::write(file, good).unwrap();
        }
        assert!(shelf.find(&pulled.digest).is_some());
        assert_eq!(shelf.find("sha256:../../etc/passwd"), None);
    }
}
