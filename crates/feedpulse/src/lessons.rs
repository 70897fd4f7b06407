//! Lessons on their way from `learn` to a running process: one file in the store's folder.
//!
//! `learned.bin`: the magic `FPLEARN` and a version byte, the CRC-32C of what follows (u32, little-endian),
//! and the lessons in the codec's layout. It is put there whole or not at all. The running process takes
//! it over once for each content, then calls it `learned.done`; one that cannot be read becomes `learned.bad`.

use crate::cli::{DATA, Failure, IO, NO_INPUT};
use anyhow::anyhow;
use feedpulse_codec as codec;
use feedpulse_core::engine::learned::Learned;
use feedpulse_core::finding::EVIDENCE_NAMES;
use feedpulse_core::key::SiteKey;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What `learn` writes.
pub(crate) const FILE: &str = "learned.bin";
/// What was taken over.
pub(crate) const DONE: &str = "learned.done";
/// What could not be read.
pub(crate) const BAD: &str = "learned.bad";
/// While it is being written.
const NEW: &str = "learned.new";

const MAGIC: &[u8; 8] = b"FPLEARN\x01";
/// Largest file: lessons are inputs, and those of one step share a block of the log. A profile takes a
/// KiB, so that is some 14,000 feeds, types and facilities.
const BYTES_MAX: usize = feedpulse_store::BLOCK_MAX - (1 << 20);

/// Gives each of the lessons its number: a fingerprint of what it says.
pub(crate) fn numbered(lessons: Vec<Learned>) -> Vec<Learned> {
    let key = SiteKey::new([0; 16]);
    let number = |learned: Learned| {
        let plain = Learned { id: 0, ..learned };
        Learned { id: key.fingerprint(&codec::encode(&plain)), ..plain }
    };
    lessons.into_iter().map(number).collect()
}

/// The bytes of the file.
pub(crate) fn encode(lessons: &[Learned]) -> Vec<u8> {
    let body = codec::encode(&lessons.to_vec());
    let mut bytes = MAGIC.to_vec();
    bytes.extend(crc32c::crc32c(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The lessons of a file.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Learned>, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it was not written by this version of `learn`")?;
    let (sum, body) = rest.split_first_chunk::<4>().ok_or("it is cut short")?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
        return Err("it differs from its checksum".to_owned());
    }
    codec::decode(body, EVIDENCE_NAMES).map_err(|e| e.to_string())
}

/// Reads a file of lessons.
///
/// # Errors
/// What the system says, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<Vec<Learned>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > BYTES_MAX {
        return Err("it is larger than 15 MiB".to_owned());
    }
    decode(&bytes)
}

/// Puts the lessons into a store's folder, whole or not at all. Gives the file's path.
///
/// # Errors
/// There is no such folder, or it cannot be written: with what to do.
pub(crate) fn deliver(folder: &Path, lessons: &[Learned]) -> Result<PathBuf, Failure> {
    is_ready(folder)?;
    let (new, path, bytes) = (folder.join(NEW), folder.join(FILE), encode(lessons));
    if bytes.len() > BYTES_MAX {
        let what = "the lessons take more than 15 MiB: learn from fewer feeds at a time";
        return Err(Failure::new(DATA, anyhow!(what)));
    }
    write(&new, &path, &bytes).map_err(|e| unwritable(folder, &e))?;
    Ok(path)
}

/// Whether lessons could be put there, before an hour is spent on learning them.
///
/// # Errors
/// There is no such folder, or it cannot be written.
pub(crate) fn is_ready(folder: &Path) -> Result<(), Failure> {
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => {
            return Err(Failure::new(NO_INPUT, anyhow!("{} is no folder", folder.display())));
        }
        Err(error) => {
            return Err(Failure::new(
                NO_INPUT,
                anyhow!(
                    "the store's folder {}: {error}; start `feedpulse run` once, or make the folder \
                     for the user who runs it (mode 0700), then learn again",
                    folder.display()
                ),
            ));
        }
    }
    let probe = folder.join(NEW);
    let made = options().truncate(true).open(&probe).and_then(|_| fs::remove_file(&probe));
    made.map_err(|e| unwritable(folder, &e))
}

fn unwritable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(
        IO,
        anyhow!(
            "the store's folder {} cannot be written: {error}; run `learn` as the user who runs \
             Feedpulse",
            folder.display()
        ),
    )
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn write(new: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = options().truncate(true).open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, decode, deliver, encode, numbered, read};
    use feedpulse_core::engine::learned::{Learned, LearnedFeed};
    use feedpulse_core::time::Timestamp;
    use std::os::unix::fs::PermissionsExt as _;

    fn lessons() -> Vec<Learned> {
        let feed = LearnedFeed { name: "results".into(), messages: 7, ..LearnedFeed::default() };
        let to = Timestamp::from_secs(1_800_000_000);
        numbered(vec![Learned { to, feeds: vec![feed], ..Learned::default() }])
    }

    #[test]
    fn lessons_come_back_whole_and_damage_is_named() {
        let bytes = encode(&lessons());
        assert_eq!(decode(&bytes), Ok(lessons()));
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            assert!(decode(&other).is_err(), "byte {place}");
            assert!(decode(&bytes[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn a_number_is_that_of_the_content() {
        let mut other = lessons();
        other[0].feeds[0].messages = 8;
        assert_ne!(numbered(other.clone())[0].id, lessons()[0].id);
        other[0].feeds[0].messages = 7;
        assert_eq!(numbered(other), lessons());
    }

    #[test]
    fn they_are_delivered_whole_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = deliver(folder.path(), &lessons()).unwrap();
        assert_eq!(path, folder.path().join(FILE));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path), Ok(lessons()));
        let missing = deliver(&folder.path().join("gone"), &lessons()).unwrap_err();
        assert!(missing.error.to_string().contains("start `feedpulse run` once"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
}
