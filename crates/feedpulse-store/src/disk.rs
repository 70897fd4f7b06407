//! The few things that the store asks of a disk, as a trait, so that tests can crash, tear and fill
//! one at every call; and the real one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One folder on a disk. Names are relative to it (`log/0000000001.seg`).
///
/// What a call promises after a power cut: nothing, until [`Disk::sync`] of the file (its bytes) and
/// [`Disk::sync_dir`] of its folder (its name) have returned.
pub trait Disk: Clone + Send + 'static {
    /// An open file that is being written.
    type File: Send;
    /// Holds the exclusive lock while it lives.
    type Lock: Send;
    /// Storage of the embedded database.
    type Backend: redb::StorageBackend;

    /// Makes the folder itself, or a folder in it (`log`), readable by its owner only; none is left
    /// alone when it is there.
    ///
    /// # Errors
    /// What the system says.
    fn make_dir(&self, name: &str) -> io::Result<()>;

    /// Takes the exclusive lock `name`, without waiting.
    ///
    /// # Errors
    /// What the system says; being held by another is [`Locked::ByOther`].
    fn lock(&self, name: &str) -> io::Result<Locked<Self::Lock>>;

    /// Creates a file that must not exist, for appending.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Appends all of `bytes`; on an error any part of them may have been written.
    ///
    /// # Errors
    /// What the system says.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Waits until the file's bytes are on the disk (fdatasync). After an error nothing is known
    /// about what was written since the last success.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self, file: &mut Self::File) -> io::Result<()>;

    /// Cuts a file and waits until that is on the disk.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Renames within one folder, replacing what is there.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn unlink(&self, name: &str) -> io::Result<()>;

    /// Waits until a folder's names are on the disk; `""` is the folder itself.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, name: &str) -> io::Result<()>;

    /// Names and sizes of the files in a folder (`log`), in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &str) -> io::Result<Vec<(String, u64)>>;

    /// Reads at `offset` until `into` is full or the file ends; gives the count.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Storage for the embedded database in file `name`, made when missing.
    ///
    /// # Errors
    /// What the system says.
    fn backend(&self, name: &str) -> io::Result<Self::Backend>;
}

/// What came of taking a lock.
#[derive(Debug)]
pub enum Locked<L> {
    /// It is ours while this lives.
    Ours(L),
    /// Another process has it; its id where it can be read.
    ByOther(Option<u32>),
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: Arc<PathBuf>,
}

impl RealDisk {
    /// The folder `root`; nothing is touched yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: Arc::new(root.to_owned()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.as_ref().clone() } else { self.root.join(name) }
    }
}

/// Options of every file that the store writes: only its owner may read it.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

impl Disk for RealDisk {
    type File = File;
    type Lock = File;
    type Backend = redb::backends::FileBackend;

    fn make_dir(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        if path.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        // The folder's own name must survive a power cut as well as what is in it.
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    }

    fn lock(&self, name: &str) -> io::Result<Locked<File>> {
        let mut file =
            private().read(true).write(true).create(true).truncate(false).open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Only helps the message: a holder that could not write its id is still a holder.
                let read = (&mut file).take(32).read_to_string(&mut text);
                return Ok(Locked::ByOther(read.ok().and_then(|_| text.trim().parse().ok())));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // On a full disk the id may be missing; the lock itself needs no space.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Locked::Ours(file))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        private().append(true).create_new(true).open(self.path(name))
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(len)?;
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self, name: &str) -> io::Result<()> {
        File::open(self.path(name))?.sync_all()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.path(dir))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            // A name that is not UTF-8 is not one of ours.
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                files.push((name, meta.len()));
            }
        }
        Ok(files)
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = File::open(self.path(name))?;
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn backend(&self, name: &str) -> io::Result<Self::Backend> {
        let file =
            private().read(true).write(true).create(true).truncate(false).open(self.path(name))?;
        redb::backends::FileBackend::new(file).map_err(io::Error::other)
    }
}
