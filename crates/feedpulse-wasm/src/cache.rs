//! Compiled checks, kept between starts: compiling takes 20 ms for a Rust check and seconds for a
//! Python one.
//!
//! Loading native code is only as safe as the place it comes from, so only files that this module
//! wrote are loaded: from a folder that belongs to the running user and to nobody else (mode 0700),
//! named by the hash of the component and of everything in the engine that shapes the code, and
//! with a hash of their content in front, so that a torn or rotten file is compiled anew. A file
//! given by an operator is never treated as compiled code.

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Most compiled checks that are kept; the oldest go.
const MAX_FILES: usize = 64;
/// Largest file that is read back, bytes.
const MAX_BYTES: u64 = 512 << 20;

/// What the cache did for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// There is no cache.
    Off,
    /// The compiled code was there.
    Hit,
    /// It was compiled and stored.
    Stored,
    /// It was compiled; storing failed for this reason. It runs all the same.
    NotStored(io::ErrorKind),
}

/// A private folder of compiled checks.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Uses a folder, made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or is not the running user's alone.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).recursive(true).create(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let meta = fs::symlink_metadata(folder)?;
        let private = meta.is_dir()
            && meta.uid() == rustix::process::geteuid().as_raw()
            && meta.mode() & 0o077 == 0;
        if !private {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "compiled checks are native code, so the folder must be a real folder that belongs \
                 to the running user with mode 0700",
            ));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The component's compiled form: from the folder, or compiled and stored there.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
    ) -> wasmtime::Result<(Component, CacheUse)> {
        let path = self.folder.join(name(engine, wasm));
        if let Some(component) = read(&path).and_then(|code| trusted(engine, &code)) {
            return Ok((component, CacheUse::Hit));
        }
        let component = Component::new(engine, wasm)?;
        let stored = component
            .serialize()
            .map_err(|_| io::ErrorKind::OutOfMemory)
            .and_then(|code| self.store(&path, &code).map_err(|e| e.kind()));
        Ok((component, stored.map_or_else(CacheUse::NotStored, |()| CacheUse::Stored)))
    }

    /// Writes a file whole or not at all.
    fn store(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let scratch = path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&scratch)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&scratch, path)
        };
        let written = write();
        if written.is_err() {
            // what is left would only take room; the first error is the one to tell
            let _ = fs::remove_file(&scratch);
        }
        self.prune();
        written
    }

    /// Removes the oldest files beyond the bound. Best effort: room, not safety.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut all: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| path.extension().is_some_and(|e| e == "cwasm" || e == "tmp"))
            .collect();
        all.sort();
        let excess = all.len().saturating_sub(MAX_FILES);
        for (_, path) in all.into_iter().take(excess) {
            let _ = fs::remove_file(path);
        }
    }
}

/// File name of a component under an engine.
fn name(engine: &Engine, wasm: &[u8]) -> String {
    let mut shape = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut shape);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    format!("{}-{}.cwasm", hex(&Sha256::digest(wasm)), hex(&shape.0.finalize()[..16]))
}

/// The code of a file that this module wrote; none when there is none, or when it is damaged.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut all).ok()?;
    let code = all.split_off_checked(32)?;
    (Sha256::digest(&code)[..] == all[..]).then_some(code)
}

/// `Vec::split_off` that knows its bound.
trait SplitOffChecked: Sized {
    /// What is after `at`; none when there is less.
    fn split_off_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitOffChecked for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Self> {
        (self.len() >= at).then(|| self.split_off(at))
    }
}

/// Makes code that came out of our own folder a component.
#[expect(unsafe_code, reason = "wasmtime cannot verify native code; see the module's text")]
fn trusted(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `deserialize` wants bytes that `Component::serialize` made. `read` gives only bytes
    // whose hash stands in front of them, in a file that `store` wrote into a folder which only the
    // running user can write to. A wasmtime of another version or engine setting is refused by
    // wasmtime itself, and has another file name anyway.
    unsafe { Component::deserialize(engine, code) }.ok()
}

/// A hasher that hands all it is given to SHA-256.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}
