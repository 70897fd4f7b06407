//! What is replayed: files of messages, and captures, told apart by their first bytes.

use crate::cli::{DATA, Failure};
use crate::files;
use anyhow::anyhow;
use feedpulse_taps::capture::is_capture;
use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::path::PathBuf;

/// One file, or standard input.
pub(crate) struct Source {
    /// As the user named it.
    pub(crate) name: String,
    path: PathBuf,
    /// Standard input can be read once only.
    kept: Option<Vec<u8>>,
}

impl Source {
    /// All of it, at most 1 GiB.
    pub(crate) fn bytes(&self) -> Result<Cow<'_, [u8]>, Failure> {
        match &self.kept {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => files::read(&self.path).map(Cow::Owned),
        }
    }

    /// A reader of it, of whatever size.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + '_>, Failure> {
        match &self.kept {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes))),
            None => Ok(Box::new(files::open(&self.path)?)),
        }
    }
}

/// All of them, in the order of the command line, folders by name.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) messages: Vec<Source>,
    pub(crate) captures: Vec<Source>,
}

impl Sources {
    /// # Errors
    /// A file is not there, or is called a capture and is none.
    pub(crate) fn of(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for path in files::list(paths)? {
            let stdin = path.as_os_str() == "-";
            let kept = stdin.then(|| files::read(&path)).transpose()?;
            let head = match &kept {
                Some(bytes) => bytes.get(..16).unwrap_or(bytes).to_vec(),
                None => files::head(&path)?,
            };
            let name = path.display().to_string();
            let called = path.extension().is_some_and(|e| {
                ["pcap", "pcapng", "cap"].iter().any(|known| e.eq_ignore_ascii_case(known))
            });
            let source = Source { name, path, kept };
            if is_capture(&head) {
                sources.captures.push(source);
            } else if called {
                let why =
                    if head.is_empty() { "the file is empty" } else { "its magic is another" };
                let hint = "write it with tcpdump -w or Wireshark; unpack it first if it is packed";
                return Err(Failure::new(
                    DATA,
                    anyhow!("{}: neither pcap nor pcapng: {why}; {hint}", source.name),
                ));
            } else {
                sources.messages.push(source);
            }
        }
        Ok(sources)
    }
}
