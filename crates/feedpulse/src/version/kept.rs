//! The last version of each check that ran, kept in the store's folder: after a restart a version that
//! is refused finds this one instead of nothing.

use super::content::Content;
use crate::config::document::Part;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A folder with one file for each check: a line with the length of the settings and the SHA-256 of
/// what follows, then settings and component.
#[derive(Clone, Debug)]
pub(crate) struct Kept(PathBuf);

impl Kept {
    /// In this folder, made when it is needed.
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The last version of a check, if there was one and its file is whole.
    pub(crate) fn find(&self, check: &str) -> Option<Content> {
        let all = fs::read(self.path(check)).ok()?;
        let end = all.iter().position(|b| *b == b'\n')?;
        let (head, rest) = (str::from_utf8(&all[..end]).ok()?, &all[end + 1..]);
        let (length, sum) = head.split_once(' ')?;
        if hex(rest) != sum {
            return None;
        }
        let (settings, wasm) = rest.split_at_checked(length.parse().ok()?)?;
        let settings = Part::made(serde_json::from_slice(settings).ok()?);
        Some(Content { wasm: wasm.to_vec(), settings })
    }

    /// Keeps a version that runs, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn keep(&self, check: &str, content: &Content) -> io::Result<()> {
        DirBuilder::new().mode(0o700).recursive(true).create(&self.0)?;
        let path = self.path(check);
        let settings = content.settings.json();
        let body = [settings.as_bytes(), &content.wasm].concat();
        let scratch = path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || {
            // Settings may hold what is not for everybody.
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
            writeln!(file, "{} {}", settings.len(), hex(&body))?;
            file.write_all(&body)?;
            file.sync_all()?;
            fs::rename(&scratch, &path)
        };
        let written = write();
        if written.is_err() {
            let _ = fs::remove_file(&scratch);
        }
        written
    }

    /// Names of checks may be anything.
    fn path(&self, check: &str) -> PathBuf {
        Path::new(&self.0).join(format!("{}.last", hex(check.as_bytes())))
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_version_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().join("checks"));
        assert_eq!(kept.find("a/../b"), None);
        let content = Content {
            wasm: b"\0asm\n1".to_vec(),
            settings: Part::made(serde_json::json!({"a": 1})),
        };
        kept.keep("a/../b", &content).unwrap();
        assert_eq!(kept.find("a/../b"), Some(content.clone()));
        assert_eq!(kept.find("b"), None);
        let file = kept.path("a/../b");
        let mut bytes = fs::read(&file).unwrap();
        bytes.pop();
        fs::write(&file, bytes).unwrap();
        assert_eq!(kept.find("a/../b"), None);
        kept.keep("a/../b", &content).unwrap();
        assert!(kept.find("a/../b").is_some());
    }
}
