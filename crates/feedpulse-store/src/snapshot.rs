//! Snapshots: whole states of the engine, each in a file that is complete or not there.

use crate::SNAPSHOT_MAX;
use crate::disk::Disk;
use crate::error::{Damage, DamageKind, OpenError};
use crate::frame::{SNAPSHOT_HEADER_LEN, is_snapshot, snapshot_header};
use core::fmt;
use std::io;

pub(crate) const DIR: &str = "snapshots";

/// A whole state of the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last input that it covers.
    pub seq: u64,
    /// As it was written.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot(after input {}, {} bytes)", self.seq, self.bytes.len())
    }
}

fn name_of(seq: u64) -> String {
    format!("{DIR}/{seq:020}.snap")
}

fn seq_of(name: &str) -> Option<u64> {
    name.strip_suffix(".snap")?.parse().ok()
}

/// The snapshots of a folder.
pub(crate) struct Snapshots<D> {
    disk: D,
    keep: usize,
    /// Those that are kept, oldest first.
    kept: Vec<u64>,
}

/// What opening the snapshots found.
pub(crate) struct SnapshotsFound<D> {
    pub(crate) snapshots: Snapshots<D>,
    pub(crate) newest: Option<Snapshot>,
    pub(crate) damage: Vec<Damage>,
}

impl<D: Disk> Snapshots<D> {
    /// Reads the newest sound snapshot.
    pub(crate) fn open(disk: D, keep: usize) -> Result<SnapshotsFound<D>, OpenError> {
        let at = |doing, file: &str| {
            let file = file.to_owned();
            move |source| OpenError::Io { doing, file, source }
        };
        let files = disk.list(DIR).map_err(at("list", DIR))?;
        for (name, _) in files.iter().filter(|(name, _)| name.ends_with(".tmp")) {
            let file = format!("{DIR}/{name}");
            disk.unlink(&file).map_err(at("remove", &file))?;
        }
        let mut seqs: Vec<(u64, u64)> =
            files.iter().filter_map(|(name, size)| Some((seq_of(name)?, *size))).collect();
        seqs.sort_unstable();
        let (mut newest, mut damage) = (None, Vec::new());
        while let Some((seq, size)) = seqs.last().copied() {
            let file = name_of(seq);
            let bytes = read(&disk, seq, size).map_err(|fault| match fault {
                ReadFault::Io(source) => at("read", &file)(source),
                ReadFault::Newer(error) => error,
            })?;
            newest = bytes.map(|bytes| Snapshot { seq, bytes });
            if newest.is_some() {
                break;
            }
            let kind = DamageKind::Snapshot;
            damage.push(Damage { file, offset: 0, bytes: size, kind, lost: None });
            seqs.pop();
        }
        let kept = seqs.into_iter().map(|(seq, _)| seq).collect();
        Ok(SnapshotsFound { snapshots: Self { disk, keep, kept }, newest, damage })
    }

    /// The oldest that is kept, once there are as many as should be.
    pub(crate) fn oldest_kept(&self) -> Option<u64> {
        self.kept.first().copied().filter(|_| self.kept.len() >= self.keep)
    }

    pub(crate) fn count(&self) -> usize {
        self.kept.len()
    }

    /// Writes one and removes those that are no longer kept.
    pub(crate) fn write(&mut self, seq: u64, bytes: &[u8]) -> io::Result<()> {
        let (tmp, name) = (format!("{DIR}/{seq:020}.tmp"), name_of(seq));
        let written = self.disk.create(&tmp).and_then(|mut file| {
            self.disk.append(&mut file, &snapshot_header(seq, bytes))?;
            self.disk.append(&mut file, bytes)?;
            self.disk.sync(&mut file)?;
            self.disk.rename(&tmp, &name)?;
            self.disk.sync_dir(DIR)
        });
        if let Err(error) = written {
            // Gives the space back; what stays is removed when the store is opened.
            let _ = self.disk.unlink(&tmp);
            return Err(error);
        }
        self.kept.retain(|kept| *kept < seq);
        self.kept.push(seq);
        self.prune()
    }

    /// Removes all but the newest sound ones, damaged ones included.
    fn prune(&mut self) -> io::Result<()> {
        let surplus = self.kept.len().saturating_sub(self.keep);
        let kept: Vec<u64> = self.kept.iter().skip(surplus).copied().collect();
        let mut removed = false;
        for (name, _) in self.disk.list(DIR)? {
            if seq_of(&name).is_some_and(|seq| !kept.contains(&seq)) {
                self.disk.unlink(&format!("{DIR}/{name}"))?;
                removed = true;
            }
        }
        if removed {
            self.disk.sync_dir(DIR)?;
        }
        self.kept = kept;
        Ok(())
    }
}

enum ReadFault {
    Io(io::Error),
    Newer(OpenError),
}

/// The bytes of a snapshot; None when it is damaged.
fn read<D: Disk>(disk: &D, seq: u64, size: u64) -> Result<Option<Vec<u8>>, ReadFault> {
    let name = name_of(seq);
    let Some(size) = usize::try_from(size)
        .ok()
        .filter(|size| (SNAPSHOT_HEADER_LEN..=SNAPSHOT_HEADER_LEN + SNAPSHOT_MAX).contains(size))
    else {
        return Ok(None);
    };
    let mut header = [0; SNAPSHOT_HEADER_LEN];
    let got = disk.read_at(&name, 0, &mut header).map_err(ReadFault::Io)?;
    let mut bytes = vec![0; size - SNAPSHOT_HEADER_LEN];
    let more =
        disk.read_at(&name, SNAPSHOT_HEADER_LEN as u64, &mut bytes).map_err(ReadFault::Io)?;
    if got + more != size {
        return Ok(None);
    }
    let sound = is_snapshot(&header, seq, &bytes, &name).map_err(ReadFault::Newer)?;
    Ok(sound.then_some(bytes))
}
