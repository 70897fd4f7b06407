//! Reading the tables of a folder, whether or not a process writes them: what was told, and when anybody
//! watched at all.
//!
//! The database's file is copied to memory and never written: what opening it wants to write stays there.
//! A commit that ends in the middle of the copying changes the file's head; then it is copied again.

use crate::error::{OpenError, StoreError};
use crate::tables::{self, Tables, TablesFault};
use crate::{INCIDENTS_MAX, Options};
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::time::Timestamp;
use redb::StorageBackend as _;
use redb::backends::InMemoryBackend;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

/// How often a reading that a commit ran through is begun anew.
const TRIES: usize = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of the head that every commit changes.
const HEAD: usize = 512;
/// Bytes copied at once, and at most.
const CHUNK: usize = 1 << 20;
const COPY_MAX: u64 = 2 << 30;

/// What the tables of a folder hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peek {
    /// The incidents that were opened last, newest first; at most [`INCIDENTS_MAX`].
    pub incidents: Vec<IncidentChange>,
    /// The minutes for which any of a few feeds has a roll-up, in order.
    pub minutes: Vec<Timestamp>,
}

/// Reads the tables of the store in `dir`; nothing is locked or written.
///
/// # Errors
/// There is no database, another release wrote it, or it cannot be read.
pub fn peek(dir: &Path, options: &Options) -> Result<Peek, OpenError> {
    let path = dir.join(tables::FILE);
    let io = |source| OpenError::Io { doing: "read", file: tables::FILE.to_owned(), source };
    for _ in 0..TRIES {
        let file = File::open(&path).map_err(io)?;
        let before = head(&file).map_err(io)?;
        let copied = copy(&file).map_err(io)?;
        if before == head(&file).map_err(io)? {
            return read(copied, options).map_err(io);
        }
        std::thread::sleep(PAUSE);
    }
    Err(io(io::Error::other("it is written all the time; try again")))
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    Ok(head)
}

/// The file's bytes in memory. It is opened only when it stands still: the database may panic over one
/// that was read in the middle of a commit.
fn copy(file: &File) -> io::Result<InMemoryBackend> {
    let len = file.metadata()?.len();
    if len > COPY_MAX {
        return Err(io::Error::other("the tables are larger than 2 GiB"));
    }
    let copy = InMemoryBackend::new();
    copy.set_len(len)?;
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    while offset < len {
        let part = usize::try_from(len - offset).unwrap_or(CHUNK).min(CHUNK);
        let part = chunk.get_mut(..part).unwrap_or_default();
        file.read_exact_at(part, offset)?;
        copy.write(offset, part)?;
        offset += part.len() as u64;
    }
    Ok(copy)
}

fn read(copy: InMemoryBackend, options: &Options) -> io::Result<Peek> {
    let tables = Tables::over(copy, options.names).map_err(|fault| match fault {
        TablesFault::Newer(version) => {
            io::Error::other(format!("a later release wrote its tables (version {version})"))
        }
        TablesFault::Failed(error) => io::Error::other(error),
    })?;
    let failed = |error: StoreError| io::Error::other(error);
    Ok(Peek {
        incidents: tables.incidents(INCIDENTS_MAX).map_err(failed)?,
        minutes: tables.minutes().map_err(failed)?,
    })
}
