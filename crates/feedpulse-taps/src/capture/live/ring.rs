//! A packet socket and the ring that the kernel fills (packet(7), `TPACKET_V3`): the one unsafe module of
//! this crate.
//!
//! Why own code: `recvmmsg` without a ring loses packets as soon as this process waits a few
//! milliseconds for a processor, since without CAP_NET_ADMIN a socket's buffer holds some hundred
//! packets; the crates that map the ring are GPL (`af_packet`), link libpcap (`pcap`), or bring a whole
//! monitoring framework with them (`netring`).
//!
//! Safety argument, once for all uses:
//! * *Options.* `setsockopt` reads, and `getsockopt` writes, at most the length that it is given, from and
//!   into values of this module's own; these are integers, or structs of integers for which every bit
//!   pattern is valid.
//! * *The memory stays.* A [`Ring`] owns its mapping from `mmap` to `munmap`, at an address that the kernel
//!   chose. It is as long as the ring that the socket was told to have; the kernel keeps the pages as long
//!   as the mapping. References into it borrow the `Ring`.
//! * *A block has one owner.* It is the kernel's while its status word is 0, and ours from when the kernel
//!   stores 1 until we store 0 (Documentation/networking/packet_mmap.rst). [`Ring::next`] looks at the
//!   status by an atomic load (acquire), and only then makes a slice, of the bytes behind that word; the
//!   slice borrows the ring mutably, so there is one at a time, and [`Block::drop`] gives the block back by
//!   an atomic store (release) when nothing can refer to it any more. The kernel is trusted, as always.

use super::filter::Instruction;
use rustix::mm::{MapFlags, ProtFlags};
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of one block: holds the longest packet that segmentation offload makes, many times over.
pub(super) const BLOCK: usize = 256 << 10;
/// Offset of a block's status word (`struct tpacket_block_desc`).
const STATUS: usize = 8;
/// What stands before the bytes of a [`Block`]: version, offset to private data, status.
pub(super) const SKIPPED: usize = 12;
/// A block that is not full is handed over after so many ms.
pub(super) const RETIRE_MS: u32 = 20;

/// What the kernel counted since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Packets that the filter let through, those that found no room included.
    pub(super) packets: u32,
    /// Packets that found no room.
    pub(super) drops: u32,
}

/// The socket with its ring.
#[derive(Debug)]
pub(super) struct Ring {
    socket: Socket,
    base: NonNull<u8>,
    blocks: usize,
    /// The block that is handed over next.
    at: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached through `&mut self` only.
unsafe impl Send for Ring {}
// SAFETY: nothing is reached through `&self` but the socket.
unsafe impl Sync for Ring {}

impl Ring {
    /// Opens a socket that gets every packet of the network namespace that the filter lets through, without
    /// its link layer, and gives it a ring of so many bytes (whole blocks, at least two).
    ///
    /// # Errors
    /// What the system says: `EPERM` without CAP_NET_RAW, `ENOMEM` without memory for the ring.
    pub(super) fn open(filter: &[Instruction], bytes: usize) -> io::Result<Self> {
        let every = i32::from((libc::ETH_P_ALL as u16).to_be());
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(every.into()))?;
        let blocks = (bytes / BLOCK).max(2);
        attach(&socket, filter)?;
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
        let wide = |n: usize| u32::try_from(n).map_err(|_| io::ErrorKind::InvalidInput);
        // Setting up the ring drops what came in before the filter was there.
        let request = libc::tpacket_req3 {
            tp_block_size: wide(BLOCK)?,
            tp_block_nr: wide(blocks)?,
            tp_frame_size: wide(BLOCK)?,
            tp_frame_nr: wide(blocks)?,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let hint = std::ptr::null_mut();
        // SAFETY: no fixed address, so nothing is mapped over; see the module's argument.
        let base = unsafe {
            rustix::mm::mmap(hint, blocks * BLOCK, access, MapFlags::SHARED, &socket, 0)?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { socket, base, blocks, at: 0 })
    }

    /// Another filter from now on.
    pub(super) fn filter(&self, filter: &[Instruction]) -> io::Result<()> {
        attach(&self.socket, filter)
    }

    /// The next block that the kernel has handed over, in order.
    pub(super) fn next(&mut self) -> Option<Block<'_>> {
        // SAFETY: `at` is below `blocks`, so both the word and the slice lie in the mapping; the status word
        // is aligned and only used as an atomic. See the module's argument for the slice.
        let (status, bytes) = unsafe {
            let block = self.base.add(self.at * BLOCK);
            let status = AtomicU32::from_ptr(block.add(STATUS).cast().as_ptr());
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return None;
            }
            let behind = block.add(SKIPPED).as_ptr();
            (status, std::slice::from_raw_parts(behind, BLOCK - SKIPPED))
        };
        self.at = (self.at + 1) % self.blocks;
        let losing = status.load(Ordering::Relaxed) & libc::TP_STATUS_LOSING != 0;
        Some(Block { status, bytes, losing })
    }

    /// What the kernel counted since the last call.
    pub(super) fn counts(&self) -> Counts {
        let none = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut counts = none;
        let mut length = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
        let (fd, place) = (self.socket.as_raw_fd(), (&raw mut counts).cast());
        // SAFETY: `place` is valid for writes of `length` bytes, and `length` for reads and writes.
        let result = unsafe {
            let (level, name) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
            libc::getsockopt(fd, level, name, place, &raw mut length)
        };
        if result != 0 {
            counts = none;
        }
        Counts { packets: counts.tp_packets, drops: counts.tp_drops }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the range that `mmap` gave, and no borrow outlives `self`. The result is not of
        // use: the only error is a wrong range.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.blocks * BLOCK) };
    }
}

/// A block of packets; it goes back to the kernel when dropped.
#[derive(Debug)]
pub(super) struct Block<'a> {
    status: &'a AtomicU32,
    /// Behind the status word: [`SKIPPED`] bytes are missing.
    pub(super) bytes: &'a [u8],
    /// Packets found no room before the last one of these, since the counts were last asked for.
    pub(super) losing: bool,
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

fn attach(socket: &Socket, filter: &[Instruction]) -> io::Result<()> {
    let native = |i: &Instruction| SockFilter::new(i.code, i.yes, i.no, i.k);
    socket.attach_filter(&filter.iter().map(native).collect::<Vec<_>>())
}

/// Sets an option of packet sockets; `T` is what packet(7) says of it: an int or a struct of ints.
fn set<T: Copy>(socket: &Socket, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let place = (&raw const *value).cast();
    // SAFETY: `place` is valid for reads of `length` bytes.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, place, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
