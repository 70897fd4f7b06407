//! What can go wrong in a developer command, and the exit code that says so.

use std::fmt;
use std::path::Path;

/// The result of a developer command.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a command ended early; each kind has its own exit code.
#[derive(Debug)]
pub enum Error {
    /// The command line was wrong. Exit code 64 (`EX_USAGE` of sysexits.h).
    Usage(String),
    /// A step ran and failed: a lint, a test, a build. Exit code 1, as cargo has it.
    Failed(String),
    /// A tool or a real part is not on this machine. Exit code 69 (`EX_UNAVAILABLE`).
    Missing(String),
    /// Input that cannot be used, such as a binary that is not static. Exit code 65 (`EX_DATAERR`).
    Data(String),
    /// Reading or writing failed. Exit code 74 (`EX_IOERR`).
    Io(String),
}

impl Error {
    /// The exit code of the process.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 64,
            Self::Data(_) => 65,
            Self::Missing(_) => 69,
            Self::Io(_) => 74,
        }
    }

    /// An I/O error with what was being done, and to which path.
    #[must_use]
    pub fn io(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        Self::Io(format!("cannot {doing} {}: {source}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(s) | Self::Failed(s) | Self::Missing(s) | Self::Data(s) | Self::Io(s) => {
                f.write_str(s)
            }
        }
    }
}

impl std::error::Error for Error {}
