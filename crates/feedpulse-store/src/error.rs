//! What can go wrong, where, and as which class an operator is told about it.

use feedpulse_codec::DecodeError;
use std::io;

/// A class of failure: the `detail` of the finding that nothing can be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// No space, or the quota is used up (ENOSPC, EDQUOT).
    Full,
    /// The file system is mounted read-only (EROFS).
    ReadOnly,
    /// The owner or mode of the folder forbids it (EACCES, EPERM).
    Denied,
    /// A file or the folder has gone (ENOENT).
    Gone,
    /// The data cannot be understood.
    Damaged,
    /// Anything else: the device failed (EIO) or the system refused.
    Io,
}

impl FailureClass {
    /// Its name in findings and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read-only",
            Self::Denied => "denied",
            Self::Gone => "gone",
            Self::Damaged => "damaged",
            Self::Io => "io",
        }
    }

    /// The class of a system error.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Io,
        }
    }

    /// The class of a database error.
    pub(crate) fn of_tables(error: &redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Self::of(error),
            redb::Error::Corrupted(_) => Self::Damaged,
            _ => Self::Io,
        }
    }
}

/// A part of the store that fails or works on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The segment log: without it nothing is durable.
    Log,
    /// Snapshots: without new ones a restart takes longer and segments are kept.
    Snapshots,
    /// The ledger of messages that ended: without it they are missing from gap reports.
    Ledger,
    /// The tables of incidents, roll-ups and positions.
    Tables,
}

impl Part {
    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Snapshots => "snapshots",
            Self::Ledger => "ledger",
            Self::Tables => "tables",
        }
    }
}

/// A part that has failed and is not written until [`Store::try_recover`](crate::Store::try_recover)
/// has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Which part.
    pub part: Part,
    /// Why.
    pub class: FailureClass,
}

/// Why the store's folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the store's folder is in use by {}; stop that process or give this one another folder",
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Held {
        /// The holder's process id, where it could be read.
        pid: Option<u32>,
    },
    /// A later release wrote it. Nothing was changed.
    #[error(
        "{file} has format version {found}, this release reads up to {known}: \
         use the release that wrote it, or another folder"
    )]
    Newer {
        /// Which file says so.
        file: String,
        /// Its version.
        found: u64,
        /// The newest version that this build reads.
        known: u64,
    },
    /// The folder's format file holds something else.
    #[error(
        "FORMAT does not say `feedpulse-store <version>`: \
         this is not a store's folder, or the file is damaged; give another folder or restore it"
    )]
    NotAStore,
    /// The system refused.
    #[error("cannot {doing} {file} in the store's folder: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Why something was not recorded or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The part has failed before; nothing was tried.
    #[error("the {} failed earlier ({}) and wait for recovery", part.name(), class.name())]
    Failing {
        /// Which part.
        part: Part,
        /// Why it failed.
        class: FailureClass,
    },
    /// The system refused; the part is failing from now on.
    #[error("cannot {doing} the {}: {source}", part.name())]
    Write {
        /// Which part.
        part: Part,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The embedded database refused; the tables are failing from now on when it was a write.
    #[error("cannot {doing} the tables: {source}")]
    Tables {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// A block that does not continue the log.
    #[error("block starts at input {got}, the log continues at {expected}")]
    Sequence {
        /// The lowest number that would do.
        expected: u64,
        /// The block's.
        got: u64,
    },
    /// A block or snapshot that is empty or over the limit.
    #[error("{what} of {bytes} bytes: must be 1 to {max}")]
    Size {
        /// `block` or `snapshot`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A row that cannot be decoded.
    #[error("a row of table {table} is damaged: {source}")]
    Row {
        /// Which table.
        table: &'static str,
        /// Where and why.
        source: DecodeError,
    },
}

impl StoreError {
    /// Its class, when it is a failure of the disk and not of the call.
    #[must_use]
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Failing { class, .. } => Some(*class),
            Self::Write { source, .. } => Some(FailureClass::of(source)),
            Self::Tables { source, .. } => Some(FailureClass::of_tables(source)),
            Self::Row { .. } => Some(FailureClass::Damaged),
            Self::Sequence { .. } | Self::Size { .. } => None,
        }
    }
}

/// Damage found in the folder: what is gone, so that the caller can record a blind interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which file, relative to the folder.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes of it.
    pub bytes: u64,
    /// What is wrong.
    pub kind: DamageKind,
    /// The first and the last input that are lost with it; None when no input is.
    pub lost: Option<(u64, u64)>,
}

/// What kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// A block's bytes differ from its checksum, or it has no readable head.
    Block,
    /// A segment's own header is damaged; its blocks were read all the same.
    Header,
    /// Inputs are missing between two blocks: a file is gone, or was not written while failing.
    Gap,
    /// A file could not be read (missing, or the device failed).
    Unreadable,
    /// A snapshot is damaged; the one before it is used.
    Snapshot,
    /// The database was damaged: it was set aside as `feedpulse.redb.damaged` and made anew.
    Tables,
    /// FORMAT was missing and was written again.
    Format,
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let what = match self.kind {
            DamageKind::Block => "damaged block",
            DamageKind::Header => "damaged segment header",
            DamageKind::Gap => "missing inputs",
            DamageKind::Unreadable => "unreadable file",
            DamageKind::Snapshot => "damaged snapshot",
            DamageKind::Tables => "damaged database",
            DamageKind::Format => "missing format file",
        };
        write!(f, "{what}: {} at byte {} ({} bytes)", self.file, self.offset, self.bytes)?;
        match self.lost {
            Some((first, last)) => write!(f, ", inputs {first} to {last} are lost"),
            None => Ok(()),
        }
    }
}
