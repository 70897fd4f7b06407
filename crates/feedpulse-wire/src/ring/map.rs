//! Shared memory as a slice of atomic words: unsafe code, beside which the project's own has `vitals.rs`.
//!
//! Safety argument, once for all uses:
//! * *The memory stays.* A [`Map`] owns its mapping from `mmap` to `munmap`, at an address that
//!   the kernel chose, so it overlaps nothing that Rust knows. References to it borrow the `Map`.
//!   The file behind it cannot shrink (which would turn an access into SIGBUS), because
//!   [`Map::new`] refuses a file without the seal against that or with less than the asked range.
//! * *The other process is not trusted.* It may write any word at any time. Every access here is
//!   an atomic load or store of an aligned `u64`, for which any value is valid and a concurrent
//!   write is no data race. No `&[u8]` or other plain reference into the memory is ever made:
//!   what is read is copied out first and judged then.
//! * *Read-only is read-only.* Only a map made for writing hands out its words; a map for reading
//!   only does relaxed loads of one machine word, which are sound on read-only memory
//!   (`core::sync::atomic`, "Atomic accesses to read-only memory").

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::SealFlags;
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags};

/// A range of a sealed memory file, mapped and shared with another process; for reading and
/// writing when `WRITE`, else for reading only.
#[derive(Debug)]
pub(super) struct Map<const WRITE: bool> {
    base: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is used by atomics only.
unsafe impl<const WRITE: bool> Send for Map<WRITE> {}
// SAFETY: every access through `&self` is an atomic load or store; another process does as much.
unsafe impl<const WRITE: bool> Sync for Map<WRITE> {}

impl<const WRITE: bool> Map<WRITE> {
    /// Maps `bytes` (whole words) of the file, from `offset` (whole pages) on.
    ///
    /// # Errors
    /// `EINVAL` for a range that is empty, not aligned or beyond the file; `EPERM` for a file that
    /// could still shrink; else what `mmap` says.
    pub(super) fn new(file: BorrowedFd<'_>, offset: u64, bytes: usize) -> Result<Self> {
        if !rustix::fs::fcntl_get_seals(file)?.contains(SealFlags::SHRINK) {
            return Err(Errno::PERM);
        }
        let size = u64::try_from(rustix::fs::fstat(file)?.st_size).map_err(|_| Errno::INVAL)?;
        let end = offset.checked_add(bytes as u64).ok_or(Errno::INVAL)?;
        if bytes == 0 || !bytes.is_multiple_of(8) || end > size {
            return Err(Errno::INVAL);
        }
        let access = if WRITE { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        let hint = std::ptr::null_mut();
        // SAFETY: no fixed address, so nothing is mapped over; see the module's argument.
        let base =
            unsafe { rustix::mm::mmap(hint, bytes, access, MapFlags::SHARED, file, offset)? };
        let base = NonNull::new(base.cast()).ok_or(Errno::INVAL)?;
        Ok(Self { base, words: bytes / 8 })
    }

    fn atomics(&self) -> &[AtomicU64] {
        // SAFETY: `base` is page aligned and mapped for `words` words while `self` lives; any bit
        // pattern is a valid AtomicU64, and the memory is only ever used as such.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }

    /// One word, relaxed.
    pub(super) fn load(&self, index: usize) -> u64 {
        self.atomics()[index].load(Ordering::Relaxed)
    }

    /// Appends the bytes of a range of words.
    pub(super) fn copy_out(&self, range: Range<usize>, out: &mut Vec<u8>) {
        for word in &self.atomics()[range] {
            out.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
    }
}

impl Map<true> {
    /// The words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.atomics()
    }
}

impl<const WRITE: bool> Drop for Map<WRITE> {
    fn drop(&mut self) {
        // SAFETY: this is the range that `mmap` gave, and no borrow outlives `self`. The result
        // is not of use: the only error is a wrong range.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.words * 8) };
    }
}
