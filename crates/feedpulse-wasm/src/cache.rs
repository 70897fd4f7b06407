//! Compiled checks, kept between starts: compiling takes 20 ms for a Rust check and seconds for a
//! Python one.
//!
//! Loading native code is only as safe as the place it comes from, so only files that this module
//! wrote are loaded: from a folder that belongs to the running user and to nobody else (mode 0700),
//! named by the hash of the component and of everything in the engine that shapes the code, and
//! sealed: in front stands an HMAC-SHA256 (RFC 2104) of name and code, under a random key that lies
//! beside the folder, not in it. A file that is torn, rotten, changed, renamed, or brought along
//! from another machine has no seal of ours and is compiled anew. Whoever can read the key runs
//! as this user already. A file given by an operator is never treated as compiled code.

use hmac::{Hmac, Mac};
use rustix::fs::OFlags;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
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
/// Length of a seal and of its key, bytes.
const SEAL: usize = 32;

/// What the cache did for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// There is no cache.
    Off,
    /// The compiled code was there.
    Hit,
    /// It was compiled and stored.
    Stored,
    /// A file was there without our seal: damaged, tampered with, or written elsewhere. It was not
    /// loaded; the check was compiled and stored anew.
    Replaced,
    /// It was compiled; storing failed for this reason. It runs all the same.
    NotStored(io::ErrorKind),
}

/// A private folder of compiled checks.
#[derive(Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; SEAL],
}

/// Never shows the key.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cache {
    /// Uses a folder, made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or it or its key (`FOLDER.key`) is not the running user's alone.
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
        Ok(Self { folder: folder.to_owned(), key: key(&folder.with_extension("key"))? })
    }

    /// The component's compiled form: from the folder, or compiled and stored there.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
    ) -> wasmtime::Result<(Component, CacheUse)> {
        let path = self.folder.join(name(engine, wasm));
        let found = self.read(&path);
        if let Found::Sealed(code) = &found
            && let Some(component) = trusted(engine, code)
        {
            return Ok((component, CacheUse::Hit));
        }
        let component = Component::new(engine, wasm)?;
        let stored = component
            .serialize()
            .map_err(|_| io::ErrorKind::OutOfMemory)
            .and_then(|code| self.store(&path, &code).map_err(|e| e.kind()));
        let used = match (stored, found) {
            (Err(why), _) => CacheUse::NotStored(why),
            (Ok(()), Found::Nothing) => CacheUse::Stored,
            (Ok(()), Found::Unsealed | Found::Sealed(_)) => CacheUse::Replaced,
        };
        Ok((component, used))
    }

    /// The code of a file with our seal.
    fn read(&self, path: &Path) -> Found {
        let mut all = Vec::new();
        // a link would lead out of the folder that we trust
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let read = file.and_then(|file| file.take(MAX_BYTES).read_to_end(&mut all));
        match read {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(_) => Found::Unsealed,
            Ok(_) => {
                let Some((seal, code)) = all.split_at_checked(SEAL) else { return Found::Unsealed };
                if self.mac(path, code).verify_slice(seal).is_err() {
                    return Found::Unsealed;
                }
                all.drain(..SEAL);
                Found::Sealed(all)
            }
        }
    }

    /// What seals a file: its name, so that files cannot trade places, and its code.
    fn mac(&self, path: &Path, code: &[u8]) -> Hmac<Sha256> {
        // a name of this module has no zero byte, so name and code cannot be parted differently
        // HMAC pads a short key to a block with zeros, RFC 2104 §2
        let mut block = [0; 64];
        block[..SEAL].copy_from_slice(&self.key);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        mac.update(&[0]);
        mac.update(code);
        mac
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
            file.write_all(&self.mac(path, code).finalize().into_bytes())?;
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

/// What lies where the compiled code should.
enum Found {
    Nothing,
    /// A file that this module did not write, or not like that.
    Unsealed,
    /// Code that this module wrote.
    Sealed(Vec<u8>),
}

/// The key of a folder, made if it is missing.
fn key(path: &Path) -> io::Result<[u8; SEAL]> {
    let open = || {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    let mut file = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            new_key(path)?;
            open()?
        }
        other => other?,
    };
    let meta = file.metadata()?;
    let private = meta.is_file()
        && meta.uid() == rustix::process::geteuid().as_raw()
        && meta.mode() & 0o077 == 0;
    let mut key = [0; SEAL];
    if !private || meta.len() != SEAL as u64 {
        let what = format!(
            "the key {} must be a file of 32 bytes that belongs to the running user with mode 0600; \
             remove it and the folder, both are made anew",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    file.read_exact(&mut key)?;
    Ok(key)
}

/// Writes a fresh random key, whole or not at all. Another process may have been faster: its key
/// stays.
fn new_key(path: &Path) -> io::Result<()> {
    let mut key = [0; SEAL];
    let got = getrandom(&mut key, GetRandomFlags::empty())?;
    debug_assert_eq!(got, SEAL, "up to 256 bytes come whole (getrandom(2))");
    let scratch = path.with_extension(format!("key.{}.tmp", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&scratch)?;
        file.write_all(&key)?;
        file.sync_all()?;
        match fs::hard_link(&scratch, path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    };
    let written = write();
    let _ = fs::remove_file(&scratch);
    written
}

/// Makes code that came out of our own folder a component.
#[expect(unsafe_code, reason = "wasmtime cannot verify native code; see the module's text")]
fn trusted(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `deserialize` wants bytes that `Component::serialize` made. `read` gives only bytes
    // that `store` sealed with a key which only the running user can read, in a folder which only
    // that user can write to. A wasmtime of another version or engine setting is refused by
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
