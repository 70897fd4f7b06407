//! A disk in memory that can crash, tear and fail at every call.
//!
//! Bytes that were not synced, in sectors of 512 bytes, and names whose folder was not synced are
//! pending: an image of a crash holds any part of them. After a failed sync what was pending is
//! never written, as on Linux.

use crate::disk::{Disk, Locked};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

const SECTOR: u64 = 512;
pub(super) const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;

/// SplitMix64.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Op {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                let at = usize::try_from(*at).unwrap();
                bytes.resize(bytes.len().max(at + data.len()), 0);
                bytes[at..at + data.len()].copy_from_slice(data);
            }
            Self::SetLen(len) => bytes.resize(usize::try_from(*len).unwrap(), 0),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Op>,
}

impl Node {
    /// Writes, split where sectors end.
    fn write(&mut self, mut at: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let room = usize::try_from(SECTOR - at % SECTOR).unwrap().min(data.len());
            let (now, rest) = data.split_at(room);
            self.op(Op::Write(at, now.to_vec()));
            (at, data) = (at + room as u64, rest);
        }
    }

    fn op(&mut self, op: Op) {
        op.apply(&mut self.current);
        self.pending.push(op);
    }

    fn sync(&mut self) {
        for op in self.pending.drain(..) {
            op.apply(&mut self.durable);
        }
    }
}

#[derive(Clone, Debug)]
enum NameOp {
    Link(String, u64),
    Unlink(String),
    Rename(String, String, u64),
}

impl NameOp {
    fn dir(&self) -> &str {
        match self {
            Self::Link(name, _) | Self::Unlink(name) | Self::Rename(name, ..) => dir_of(name),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

fn dir_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    /// First call that fails, from 1.
    pub(super) from: u64,
    /// First call behind it that works again.
    pub(super) to: u64,
    /// With which error number.
    pub(super) errno: i32,
    /// Only calls that need space fail.
    pub(super) writes_only: bool,
}

pub(super) const NO_FAULTS: Faults =
    Faults { from: u64::MAX, to: u64::MAX, errno: EIO, writes_only: false };

#[derive(Debug)]
struct Inner {
    nodes: BTreeMap<u64, Node>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_ops: Vec<NameOp>,
    next_node: u64,
    calls: u64,
    faults: Faults,
    lock: Weak<()>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct CrashDisk(Arc<Mutex<Inner>>);

impl CrashDisk {
    pub(super) fn new() -> Self {
        Self::with(BTreeMap::new(), BTreeMap::new())
    }

    fn with(nodes: BTreeMap<u64, Node>, names: BTreeMap<String, u64>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            next_node: nodes.keys().last().map_or(1, |last| last + 1),
            nodes,
            durable_names: names.clone(),
            names,
            name_ops: Vec::new(),
            calls: 0,
            faults: NO_FAULTS,
            lock: Weak::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(super) fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// Counts calls from 0 again.
    pub(super) fn set_faults(&self, faults: Faults) {
        let mut inner = self.inner();
        (inner.calls, inner.faults) = (0, faults);
    }

    /// What may be on the disk after a crash now. Seeds 0 and 1 modulo 4: nothing and all that is
    /// pending; 2: any part of it; 3: what was done first.
    pub(super) fn image(&self, seed: u64) -> Self {
        let inner = self.inner();
        let mut rng = Rng(seed);
        let mut names = inner.durable_names.clone();
        let mut pick = |len: usize| -> Vec<bool> {
            let cut = rng.below(len + 1);
            (0..len)
                .map(|index| match seed % 4 {
                    0 => false,
                    1 => true,
                    2 => rng.next() & 1 == 1,
                    _ => index < cut,
                })
                .collect()
        };
        let chosen = pick(inner.name_ops.len());
        for (op, _) in inner.name_ops.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
            op.apply(&mut names);
        }
        let mut nodes = BTreeMap::new();
        for (number, node) in &inner.nodes {
            let mut bytes = node.durable.clone();
            let chosen = pick(node.pending.len());
            for (op, _) in node.pending.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
                op.apply(&mut bytes);
            }
            let node = Node { durable: bytes.clone(), current: bytes, pending: Vec::new() };
            nodes.insert(*number, node);
        }
        Self::with(nodes, names)
    }

    /// A file's bytes, to look at or to damage.
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        let inner = self.inner();
        inner.nodes[&inner.names[name]].current.clone()
    }

    pub(super) fn set_bytes(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.inner();
        let number = inner.names[name];
        let node = Node { durable: bytes.to_vec(), current: bytes.to_vec(), pending: Vec::new() };
        inner.nodes.insert(number, node);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.inner().names.keys().cloned().collect()
    }

    /// As if the file had never been there.
    pub(super) fn vanish(&self, name: &str) {
        let mut inner = self.inner();
        inner.names.remove(name);
        inner.durable_names.remove(name);
    }

    /// Counts a call; an error when it is one that fails.
    fn call(&self, needs_space: bool) -> Result<MutexGuard<'_, Inner>, io::Error> {
        let mut inner = self.inner();
        inner.calls += 1;
        let Faults { from, to, errno, writes_only } = inner.faults;
        if (from..to).contains(&inner.calls) && (needs_space || !writes_only) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(inner)
    }

    fn write(&self, number: u64, at: Option<u64>, data: &[u8]) -> io::Result<()> {
        let (mut inner, data, result) = match self.call(true) {
            Ok(inner) => (inner, data, Ok(())),
            // Half of it got there.
            Err(error) => (self.inner(), &data[..data.len() / 2], Err(error)),
        };
        let node = inner.nodes.get_mut(&number).unwrap();
        node.write(at.unwrap_or(node.current.len() as u64), data);
        result
    }

    fn sync_node(&self, number: u64) -> io::Result<()> {
        match self.call(false) {
            Ok(mut inner) => {
                inner.nodes.get_mut(&number).unwrap().sync();
                Ok(())
            }
            Err(error) => {
                let mut inner = self.inner();
                // A crash (every later call fails) leaves it pending; a failing device drops it.
                if inner.faults.to != u64::MAX {
                    inner.nodes.get_mut(&number).unwrap().pending.clear();
                }
                Err(error)
            }
        }
    }
}

impl Inner {
    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name_op(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.name_ops.push(op);
    }

    fn make(&mut self, name: &str) -> u64 {
        let number = self.next_node;
        self.next_node += 1;
        self.nodes.insert(number, Node::default());
        self.name_op(NameOp::Link(name.to_owned(), number));
        number
    }
}

impl Disk for CrashDisk {
    type File = u64;
    type Lock = Arc<()>;
    type Backend = CrashBackend;

    fn make_dir(&self, _name: &str) -> io::Result<()> {
        self.call(true).map(drop)
    }

    fn lock(&self, _name: &str) -> io::Result<Locked<Arc<()>>> {
        let mut inner = self.call(false)?;
        if inner.lock.upgrade().is_some() {
            return Ok(Locked::ByOther(None));
        }
        let lock = Arc::new(());
        inner.lock = Arc::downgrade(&lock);
        Ok(Locked::Ours(lock))
    }

    fn create(&self, name: &str) -> io::Result<u64> {
        let mut inner = self.call(true)?;
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(inner.make(name))
    }

    fn append(&self, file: &mut u64, bytes: &[u8]) -> io::Result<()> {
        self.write(*file, None, bytes)
    }

    fn sync(&self, file: &mut u64) -> io::Result<()> {
        self.sync_node(*file)
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let number = {
            let mut inner = self.call(false)?;
            let number = inner.find(name)?;
            inner.nodes.get_mut(&number).unwrap().op(Op::SetLen(len));
            number
        };
        self.sync_node(number)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.call(true)?;
        let number = inner.find(from)?;
        inner.name_op(NameOp::Rename(from.to_owned(), to.to_owned(), number));
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let mut inner = self.call(false)?;
        inner.find(name)?;
        inner.name_op(NameOp::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, name: &str) -> io::Result<()> {
        let mut inner = self.call(false)?;
        let ops = std::mem::take(&mut inner.name_ops);
        for op in ops {
            if op.dir() == name {
                op.apply(&mut inner.durable_names);
            } else {
                inner.name_ops.push(op);
            }
        }
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, u64)>> {
        let inner = self.call(false)?;
        let here = inner.names.iter().filter(|(name, _)| dir_of(name) == dir);
        let short = |name: &str| name.rsplit('/').next().unwrap().to_owned();
        Ok(here.map(|(name, n)| (short(name), inner.nodes[n].current.len() as u64)).collect())
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let inner = self.call(false)?;
        let bytes = &inner.nodes[&inner.find(name)?].current;
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let read = into.len().min(bytes.len() - from);
        into[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn backend(&self, name: &str) -> io::Result<CrashBackend> {
        let mut inner = self.call(true)?;
        let node = inner.find(name).unwrap_or_else(|_| inner.make(name));
        drop(inner);
        Ok(CrashBackend { disk: self.clone(), node })
    }
}

/// The database's file on a [`CrashDisk`].
#[derive(Debug)]
pub(super) struct CrashBackend {
    disk: CrashDisk,
    node: u64,
}

impl redb::StorageBackend for CrashBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.call(false)?.nodes[&self.node].current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.disk.call(false)?;
        let from = usize::try_from(offset).unwrap();
        let bytes = inner.nodes[&self.node].current.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.call(true)?;
        inner.nodes.get_mut(&self.node).unwrap().op(Op::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync_node(self.node)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(self.node, Some(offset), data)
    }
}
