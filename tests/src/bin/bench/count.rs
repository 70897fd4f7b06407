//! The allocator of the product, with counters that are switched on for what is being counted.
//!
//! The one module of this program with `unsafe`: an allocator cannot be written without. It only
//! passes on to mimalloc what it was asked. While nothing is counted it costs one relaxed load, so
//! that a peer that allocates much is not slowed down by being compared.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; each call is passed on unchanged")]

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

/// See the module.
pub(crate) struct Counting;

fn note(allocations: u64, more: usize, less: usize) {
    if ON.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Ordering::Relaxed);
        // A layout is never larger than isize::MAX.
        BYTES.fetch_add(more as i64 - less as i64, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to mimalloc with the arguments it came with, so mimalloc's promises hold.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size(), 0);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, 0, layout.size());
        // SAFETY: `at` came from `alloc` above with this layout, so from mimalloc.
        unsafe { MiMalloc.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size(), 0);
        // SAFETY: as in `alloc`.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size, layout.size());
        // SAFETY: as in `dealloc`, and the caller's promises about `size` are passed on.
        unsafe { MiMalloc.realloc(at, layout, size) }
    }
}

/// What was asked of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Allocations, and reallocations of what was there.
    pub(crate) allocations: u64,
    /// Bytes asked for and not given back.
    pub(crate) bytes: i64,
}

/// Counts what all threads ask of the allocator while `work` runs; one call at a time.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (Counted, T) {
    ALLOCATIONS.store(0, Ordering::SeqCst);
    BYTES.store(0, Ordering::SeqCst);
    ON.store(true, Ordering::SeqCst);
    let made = work();
    ON.store(false, Ordering::SeqCst);
    let allocations = ALLOCATIONS.load(Ordering::SeqCst);
    (Counted { allocations, bytes: BYTES.load(Ordering::SeqCst) }, made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted() {
        // Other tests may allocate beside this one, but none as much.
        let (counted, kept) = during(|| vec![0_u8; 64 << 20]);
        assert!(counted.allocations >= 1);
        assert!(counted.bytes >= 60 << 20, "{counted:?}");
        drop(kept);
        let (counted, ()) = during(|| drop(std::hint::black_box(vec![0_u8; 64 << 20])));
        assert!(counted.bytes < 32 << 20, "{counted:?}");
    }
}
