//! mimalloc, with the memory in use counted by thread, so that `used_memory` costs no shared cache line.
//!
//! A thread takes a slot of its own at its first allocation; when all are taken, threads share. The sum of all slots is
//! exact whenever nobody allocates, since memory freed by another thread than the one that allocated it is counted
//! down in the freeing thread's slot.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crossbeam::utils::CachePadded;
use mimalloc::MiMalloc;

const SLOTS: usize = 64;
const NO_SLOT: usize = usize::MAX;

static USED: [CachePadded<AtomicI64>; SLOTS] = [const { CachePadded::new(AtomicI64::new(0)) }; SLOTS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(NO_SLOT) };
}

/// See the file's head.
pub struct Counting;

/// Bytes allocated at this moment.
pub fn used_memory() -> u64 {
    USED.iter().map(|slot| slot.load(Relaxed)).sum::<i64>().max(0) as u64
}

/// The allocator's counters, in its own words (JSON).
pub fn report() -> String {
    MiMalloc::stats_json().map_or_else(str::to_string, |report| report.to_string_lossy().into_owned())
}

/// Gives the calling thread's free memory back to the machine, and that of threads that have ended. The heaps of other
/// threads are not touched: only they may.
pub fn purge() {
    // SAFETY: may be called from any thread at any time; it frees nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[inline]
fn count(bytes: i64) {
    // A thread that is ending has no thread-local any more; its last frees go to slot 0.
    let slot = SLOT.try_with(|slot| {
        if slot.get() == NO_SLOT {
            slot.set(NEXT.fetch_add(1, Relaxed) % SLOTS);
        }
        slot.get()
    });
    USED[slot.unwrap_or(0)].fetch_add(bytes, Relaxed);
}

// SAFETY: every call goes to mimalloc unchanged; counting touches no allocation.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: passed on.
        unsafe { MiMalloc.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - layout.size() as i64);
        // SAFETY: passed on.
        unsafe { MiMalloc.realloc(at, layout, new_size) }
    }
}

/// The allocator and its version.
pub fn name() -> String {
    // Two digits each for minor and patch.
    let version = MiMalloc.version();
    format!("mimalloc-{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}
