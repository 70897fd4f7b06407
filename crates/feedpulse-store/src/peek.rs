//! Reading the tables of a folder, whether or not a process writes them: what was told, and when anybody
//! watched at all.
//!
//! The database's file is read as it is and never written: what opening it wants to write stays in memory.
//! A commit that ends in the middle of the reading changes the file's head; then all is read again.

use crate::error::{OpenError, StoreError};
use crate::tables::{self, Tables, TablesFault};
use crate::{INCIDENTS_MAX, Options};
use feedpulse_core::effect::IncidentChange;
use feedpulse_core::time::Timestamp;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a reading that a commit ran through is begun anew.
const TRIES: usize = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of the head that every commit changes.
const HEAD: usize = 512;
const PAGE: u64 = 4_096;
/// Most bytes that opening may want to write.
const WRITTEN_MAX: usize = 256 << 20;

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
    let mut last = None;
    for _ in 0..TRIES {
        let file = File::open(&path).map_err(io)?;
        let before = head(&file).map_err(io)?;
        let found = read(file, options);
        let after = File::open(&path).and_then(|file| head(&file)).map_err(io)?;
        match found {
            Ok(found) if before == after => return Ok(found),
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
        std::thread::sleep(PAUSE);
    }
    let source = last.unwrap_or_else(|| io::Error::other("it is written all the time"));
    Err(io(source))
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    Ok(head)
}

fn read(file: File, options: &Options) -> io::Result<Peek> {
    let backend = Overlay::new(file)?;
    let tables = Tables::over(backend, options.names).map_err(|fault| match fault {
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

/// A file as it is, with what was written since over it, in memory.
#[derive(Debug)]
struct Overlay {
    file: File,
    held: u64,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    len: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    fn new(file: File) -> io::Result<Self> {
        let held = file.metadata()?.len();
        Ok(Self { file, held, over: Mutex::new(Over { len: held, pages: BTreeMap::new() }) })
    }

    /// A page as it is now; zeros behind the file's end.
    fn page(&self, over: &Over, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = over.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE as usize];
        let start = number * PAGE;
        if start < self.held {
            let len = usize::try_from((self.held - start).min(PAGE)).unwrap_or(0);
            if let Some(part) = page.get_mut(..len) {
                self.file.read_exact_at(part, start)?;
            }
        }
        Ok(page)
    }

    /// The pages of a stretch: number, place in the page, place in the stretch, length.
    fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let within = usize::try_from(at % PAGE).unwrap_or(0);
            let part = (PAGE as usize - within).min(len - done);
            (part > 0).then(|| {
                let place = done;
                done += part;
                (at / PAGE, within, place, part)
            })
        })
    }
}

impl redb::StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.over.lock().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if offset.saturating_add(out.len() as u64) > over.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, place, len) in Self::parts(offset, out.len()) {
            let page = self.page(&over, number)?;
            if let (Some(to), Some(from)) =
                (out.get_mut(place..place + len), page.get(within..within + len))
            {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, within, place, len) in Self::parts(offset, data.len()) {
            let mut page = self.page(&over, number)?;
            if let (Some(to), Some(from)) =
                (page.get_mut(within..within + len), data.get(place..place + len))
            {
                to.copy_from_slice(from);
            }
            over.pages.insert(number, page);
            if over.pages.len() * PAGE as usize > WRITTEN_MAX {
                return Err(io::Error::other("opening it would write too much"));
            }
        }
        over.len = over.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }
}
