//! The store: opens the folder, hands back what was there, and records.

use crate::disk::{Disk, Locked, RealDisk};
use crate::error::{Damage, DamageKind, Failing, FailureClass, OpenError, Part, StoreError};
use crate::frame::FORMAT_VERSION;
use crate::ledger::{self, LedgerBlock};
use crate::log::{self, Log, LogFound, Place, Torn};
use crate::snapshot::{self, Snapshot, Snapshots, SnapshotsFound};
use crate::tables::{self, Rows, Tables, TablesFault};
use crate::tail::Tail;
use crate::{Options, SNAPSHOT_MAX};
use core::fmt;
use feedpulse_codec::OutboxRow;
use feedpulse_core::effect::{IncidentChange, Rollup};
use feedpulse_core::tap::Position;
use feedpulse_core::time::Timestamp;
use std::io;
use std::path::Path;

const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";
const FORMAT_TMP: &str = "FORMAT.tmp";
const FORMAT_TEXT: &str = "feedpulse-store ";
/// Written and removed again to see whether a full disk has space again.
const PROBE: &str = "probe.tmp";
/// Space that must be there before recording resumes.
const PROBE_BYTES: usize = 256 * 1024;

/// What was in the folder.
#[derive(Debug)]
pub struct Recovered<D: Disk = RealDisk> {
    /// The newest sound snapshot.
    pub snapshot: Option<Snapshot>,
    /// The blocks behind it.
    pub tail: Tail<D>,
    /// The number of the next input.
    pub next_seq: u64,
    /// Positions in the tables. Those in the snapshot and in the tail are newer.
    pub positions: Vec<Position>,
    /// What a crash left half-written and was cut; nothing of it was acknowledged.
    pub torn: Option<Torn>,
    /// Damage that was found while opening; the tail reports what it meets itself.
    pub damage: Vec<Damage>,
}

/// Sizes, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segments.
    pub log_bytes: u64,
    /// Bytes of the ledger.
    pub ledger_bytes: u64,
    /// How many segments.
    pub segments: usize,
    /// How many snapshots.
    pub snapshots: usize,
}

/// The open folder.
pub struct Store<D: Disk = RealDisk> {
    disk: D,
    options: Options,
    log: Log<D>,
    rows: Log<D>,
    snapshots: Snapshots<D>,
    snapshots_failed: Option<FailureClass>,
    tables: Option<Tables>,
    tables_failed: Option<FailureClass>,
    _lock: D::Lock,
}

impl<D: Disk> fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store(next input {}, failing: {:?})", self.next_seq(), self.failing())
    }
}

impl Store<RealDisk> {
    /// Opens the folder `dir`, which is made (mode 0700) when it is missing.
    ///
    /// # Errors
    /// [`OpenError`] when another process has it, a later release wrote it, or the system refuses.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovered), OpenError> {
        Self::open_on(RealDisk::new(dir), options)
    }
}

fn io_error<'a>(doing: &'static str, file: &'a str) -> impl Fn(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { doing, file: file.to_owned(), source }
}

impl<D: Disk> Store<D> {
    /// Like [`Store::open`], on any disk.
    ///
    /// # Errors
    /// [`OpenError`] when another process has it, a later release wrote it, or the system refuses.
    pub fn open_on(disk: D, options: Options) -> Result<(Self, Recovered<D>), OpenError> {
        let options = options.clamped();
        disk.make_dir("").map_err(io_error("make", "the folder"))?;
        // Before the lock is touched, so that a later release's folder is not written at all.
        read_format(&disk)?;
        let lock = match disk.lock(LOCK).map_err(io_error("lock", LOCK))? {
            Locked::Ours(lock) => lock,
            Locked::ByOther(pid) => return Err(OpenError::Held { pid }),
        };
        let mut damage = Vec::new();
        for dir in [log::DIR, ledger::DIR, snapshot::DIR] {
            disk.make_dir(dir).map_err(io_error("make", dir))?;
        }
        ensure_format(&disk, &mut damage)?;
        let SnapshotsFound { snapshots, newest, damage: more } =
            Snapshots::open(disk.clone(), options.snapshots_kept)?;
        damage.extend(more);
        let LogFound { mut log, torn, damage: more } =
            Log::open(disk.clone(), Place::inputs(&options), options.segment_bytes)?;
        damage.extend(more);
        let place = ledger::place(&options);
        let LogFound { log: rows, damage: more, .. } =
            Log::open(disk.clone(), place, ledger::segment_bytes(&options))?;
        damage.extend(more);
        let covered = newest.as_ref().map_or(0, |snapshot| snapshot.seq);
        log.skip_to(covered);
        let tail = Tail::new(disk.clone(), log::DIR, log.segments(), covered, log.next_seq());
        let (tables, tables_failed) = open_tables(&disk, &options, &mut damage)?;
        let positions = tables.as_ref().and_then(|tables| tables.positions(None).ok());
        let recovered = Recovered {
            snapshot: newest,
            tail,
            next_seq: log.next_seq(),
            positions: positions.unwrap_or_default(),
            torn,
            damage,
        };
        let snapshots_failed = None;
        let store = Self {
            disk,
            options,
            log,
            rows,
            snapshots,
            snapshots_failed,
            tables,
            tables_failed,
            _lock: lock,
        };
        Ok((store, recovered))
    }

    /// Appends a block of `count` inputs of which the first is `first_seq`. It is durable after the
    /// next [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError`]; then no input behind [`Store::durable_seq`] is recorded.
    pub fn append(&mut self, first_seq: u64, count: u32, block: &[u8]) -> Result<(), StoreError> {
        self.log.append(first_seq, count, block)
    }

    /// Waits until all blocks are on the disk; gives the last input that is. Now its taps may
    /// commit their positions.
    ///
    /// # Errors
    /// [`StoreError`]; then no input behind [`Store::durable_seq`] is recorded. A failed sync is
    /// never tried again on the same segment, since the system may have dropped what it held.
    pub fn sync(&mut self) -> Result<u64, StoreError> {
        let durable = self.log.sync()?;
        self.rows.sync()?;
        Ok(durable)
    }

    /// Appends a block of the ledger: rows of messages that ended with the inputs from `first_seq`
    /// to before `first_seq + count`, the earliest and the latest time in it first. It is durable
    /// after the next [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError`]; then no row behind [`Store::ledger_seq`] is recorded.
    pub fn append_rows(&mut self, block: &LedgerBlock<'_>) -> Result<(), StoreError> {
        self.rows.append(block.first_seq, block.count, &block.encode())
    }

    /// The last input whose rows are in the ledger; 0 = none. Rows of later ones come again when
    /// the log is replayed.
    #[must_use]
    pub const fn ledger_seq(&self) -> u64 {
        self.rows.next_seq().saturating_sub(1)
    }

    /// The lowest number that the next block may start with.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.log.next_seq()
    }

    /// The last input that is on the disk; 0 = none.
    #[must_use]
    pub const fn durable_seq(&self) -> u64 {
        self.log.durable_seq()
    }

    /// Writes a snapshot of the state after input `seq`, after syncing the log, and removes older
    /// snapshots and segments that nothing needs any more.
    ///
    /// # Errors
    /// [`StoreError`]. The log goes on when only the snapshot failed.
    pub fn write_snapshot(&mut self, seq: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() || bytes.len() > SNAPSHOT_MAX {
            let (what, max) = ("snapshot", SNAPSHOT_MAX);
            return Err(StoreError::Size { what, bytes: bytes.len(), max });
        }
        if let Some(class) = self.snapshots_failed {
            return Err(StoreError::Failing { part: Part::Snapshots, class });
        }
        self.sync()?;
        if let Err(source) = self.snapshots.write(seq, bytes) {
            self.snapshots_failed = Some(FailureClass::of(&source));
            return Err(StoreError::Write { part: Part::Snapshots, doing: "write", source });
        }
        self.log.skip_to(seq);
        match self.snapshots.oldest_kept() {
            Some(oldest) => self.log.retire(oldest),
            None => Ok(()),
        }
    }

    /// Writes rows in one transaction, durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them is written.
    pub fn commit(&mut self, rows: &Rows<'_>) -> Result<(), StoreError> {
        let done = self.tables()?.commit(rows);
        self.tables_done("write", done)
    }

    /// Removes roll-ups and resolved incidents that are too old at `now`; gives their count.
    /// Meant for once an hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prune(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        ledger::prune(&mut self.rows, &self.disk, now, self.options.ledger_days)?;
        let done = self.tables()?.prune(now, &self.options);
        self.tables_done("prune", done)
    }

    /// The incidents that were opened last, newest first; at most
    /// [`INCIDENTS_MAX`](crate::INCIDENTS_MAX).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn incidents(&self, newest: usize) -> Result<Vec<IncidentChange>, StoreError> {
        self.tables()?.incidents(newest)
    }

    /// What notifiers were told of incidents, and what is owed to them still; at most
    /// [`OUTBOX_MAX`](crate::OUTBOX_MAX) rows. A row that cannot be read is left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        self.tables()?.outbox()
    }

    /// The roll-ups of a feed with `from` <= minute < `to`, oldest first; at most
    /// [`ROLLUPS_MAX`](crate::ROLLUPS_MAX).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rollups(
        &self,
        feed: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Rollup>, StoreError> {
        self.tables()?.rollups(feed, from, to)
    }

    /// Where each lane of a tap stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn positions(&self, tap: &str) -> Result<Vec<Position>, StoreError> {
        self.tables()?.positions(Some(tap))
    }

    /// The part that has failed and waits for [`Store::try_recover`]; the log first.
    #[must_use]
    pub fn failing(&self) -> Option<Failing> {
        let part = |part, class: Option<FailureClass>| class.map(|class| Failing { part, class });
        self.log
            .failing()
            .or_else(|| self.rows.failing())
            .or_else(|| part(Part::Snapshots, self.snapshots_failed))
            .or_else(|| part(Part::Tables, self.tables_failed))
    }

    /// Tries to record again: makes sure that there is space, begins a new segment, opens the
    /// database anew. Does nothing when nothing fails.
    ///
    /// # Errors
    /// [`StoreError`] when a part still fails.
    pub fn try_recover(&mut self) -> Result<(), StoreError> {
        let Some(failing) = self.failing() else { return Ok(()) };
        if let Err(source) = self.probe() {
            return Err(StoreError::Write { part: failing.part, doing: "probe", source });
        }
        self.log.recover()?;
        self.rows.recover()?;
        self.snapshots_failed = None;
        if self.tables_failed.is_some() {
            // The old handle refuses everything after an error; it must go before a new one comes.
            self.tables = None;
            match Tables::open(&self.disk, self.options.names) {
                Ok(tables) => (self.tables, self.tables_failed) = (Some(tables), None),
                Err(fault) => {
                    let class = fault.class();
                    self.tables_failed = Some(class);
                    return Err(StoreError::Failing { part: Part::Tables, class });
                }
            }
        }
        Ok(())
    }

    /// Sizes, for metrics.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            log_bytes: self.log.bytes(),
            ledger_bytes: self.rows.bytes(),
            segments: self.log.segment_count(),
            snapshots: self.snapshots.count(),
        }
    }

    fn tables(&self) -> Result<&Tables, StoreError> {
        let class = self.tables_failed.unwrap_or(FailureClass::Io);
        let failing = StoreError::Failing { part: Part::Tables, class };
        self.tables.as_ref().filter(|_| self.tables_failed.is_none()).ok_or(failing)
    }

    fn tables_done<T>(
        &mut self,
        doing: &'static str,
        done: Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        done.map_err(|error| {
            self.tables_failed = Some(FailureClass::of_tables(&error));
            StoreError::Tables { doing, source: Box::new(error) }
        })
    }

    fn probe(&self) -> io::Result<()> {
        remove_if_there(&self.disk, PROBE)?;
        let mut file = self.disk.create(PROBE)?;
        let written = self
            .disk
            .append(&mut file, &vec![0; PROBE_BYTES])
            .and_then(|()| self.disk.sync(&mut file));
        drop(file);
        // Whether it was written or not, the space is given back.
        let removed = remove_if_there(&self.disk, PROBE);
        written.and(removed)
    }
}

fn remove_if_there<D: Disk>(disk: &D, name: &str) -> io::Result<()> {
    match disk.unlink(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether FORMAT is there and says a version that this build reads.
fn read_format<D: Disk>(disk: &D) -> Result<bool, OpenError> {
    let mut text = [0; 64];
    let read = match disk.read_at(FORMAT, 0, &mut text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(io_error("read", FORMAT))?,
    };
    let text = text.get(..read).and_then(|text| core::str::from_utf8(text).ok());
    let version = text.and_then(|text| text.strip_prefix(FORMAT_TEXT)?.trim_end().parse().ok());
    match version {
        Some(found) if found > u64::from(FORMAT_VERSION) => {
            Err(OpenError::Newer { file: FORMAT.to_owned(), found, known: FORMAT_VERSION.into() })
        }
        Some(1..) => Ok(true),
        _ => Err(OpenError::NotAStore),
    }
}

/// Writes FORMAT when it is missing, which is damage when there are segments.
fn ensure_format<D: Disk>(disk: &D, damage: &mut Vec<Damage>) -> Result<(), OpenError> {
    if read_format(disk)? {
        return Ok(());
    }
    if !disk.list(log::DIR).map_err(io_error("list", log::DIR))?.is_empty() {
        let (file, kind) = (FORMAT.to_owned(), DamageKind::Format);
        damage.push(Damage { file, offset: 0, bytes: 0, kind, lost: None });
    }
    let write = || {
        remove_if_there(disk, FORMAT_TMP)?;
        let mut file = disk.create(FORMAT_TMP)?;
        disk.append(&mut file, format!("{FORMAT_TEXT}{FORMAT_VERSION}\n").as_bytes())?;
        disk.sync(&mut file)?;
        disk.rename(FORMAT_TMP, FORMAT)?;
        disk.sync_dir("")
    };
    write().map_err(io_error("write", FORMAT))
}

type OpenedTables = (Option<Tables>, Option<FailureClass>);

/// Opens the database. One that is damaged is set aside and made anew; one that cannot be opened
/// now leaves the tables failing, and the log works.
fn open_tables<D: Disk>(
    disk: &D,
    options: &Options,
    damage: &mut Vec<Damage>,
) -> Result<OpenedTables, OpenError> {
    let fault = match Tables::open(disk, options.names) {
        Ok(tables) => return Ok((Some(tables), None)),
        Err(TablesFault::Newer(found)) => {
            let (file, known) = (tables::FILE.to_owned(), tables::VERSION_KNOWN);
            return Err(OpenError::Newer { file, found, known });
        }
        Err(fault) => fault,
    };
    if fault.class() != FailureClass::Damaged {
        return Ok((None, Some(fault.class())));
    }
    let (file, kind) = (tables::FILE.to_owned(), DamageKind::Tables);
    damage.push(Damage { file, offset: 0, bytes: 0, kind, lost: None });
    if let Err(error) = disk.rename(tables::FILE, tables::DAMAGED) {
        return Ok((None, Some(FailureClass::of(&error))));
    }
    match Tables::open(disk, options.names) {
        Ok(tables) => Ok((Some(tables), None)),
        Err(fault) => Ok((None, Some(fault.class()))),
    }
}
