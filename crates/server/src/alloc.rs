//! mimalloc, with the memory in use counted by thread, so that `used_memory` costs no shared cache line.
//!
//! A thread takes a slot of its own at its first allocation, to which it adds plainly: a locked addition costs as much as the
//! allocation itself. The first threads of the process, and so its workers, have such a slot; those that come later share
//! the others. The sum of all slots is exact whenever nobody allocates, since memory freed by another thread than the one
//! that allocated it is counted down in the freeing thread's slot.
//!
//! Summing reads a cache line of every thread, which is too much to ask before each command of a server that is full. So
//! a slot whose count has moved by [`STEP_BYTES`] publishes what it has moved in one shared sum, which is thus behind by
//! less than that for each thread, and costs one load. (To sum up once a tick and to estimate in between, which was the
//! plan, is more behind: a tick of one worker may be many of another.) The periodic work publishes the rest.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crossbeam::utils::CachePadded;
use mimalloc::MiMalloc;
use store::counter::slot_of;

const SLOTS: usize = 64;
/// Slots below this belong to one thread each.
const OWN: usize = 48;
/// Where a thread counts that is ending and has no thread-local any more.
const LAST: usize = SLOTS - 1;
const NO_SLOT: usize = usize::MAX;
/// How far a slot may be from what it has published.
const STEP_BYTES: u64 = 4096;

static USED: [CachePadded<Slot>; SLOTS] = [const { CachePadded::new(Slot::new()) }; SLOTS];
static NEXT: AtomicUsize = AtomicUsize::new(0);
static PUBLISHED: CachePadded<AtomicI64> = CachePadded::new(AtomicI64::new(0));

struct Slot {
    bytes: AtomicI64,
    /// The part of `bytes` that is in [`PUBLISHED`] already.
    published: AtomicI64,
}

impl Slot {
    const fn new() -> Self {
        Self { bytes: AtomicI64::new(0), published: AtomicI64::new(0) }
    }

    /// Counts; nobody else counts in the slot if it is `owned`.
    #[inline]
    fn count(&self, change: i64, owned: bool) {
        let bytes = if owned {
            let bytes = self.bytes.load(Relaxed) + change;
            self.bytes.store(bytes, Relaxed);
            bytes
        } else {
            self.bytes.fetch_add(change, Relaxed) + change
        };
        let published = self.published.load(Relaxed);
        if bytes.abs_diff(published) >= STEP_BYTES {
            self.publish(published, bytes);
        }
    }

    /// Publishes that the count is now `bytes`. If another thread with the same slot does so first, it is not ours to do.
    #[cold]
    fn publish(&self, published: i64, bytes: i64) {
        if self.published.compare_exchange(published, bytes, Relaxed, Relaxed).is_ok() {
            PUBLISHED.fetch_add(bytes - published, Relaxed);
        }
    }
}

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(NO_SLOT) };
}

/// See the file's head.
pub struct Counting;

/// Bytes allocated at this moment.
pub fn used_memory() -> u64 {
    USED.iter().map(|slot| slot.bytes.load(Relaxed)).sum::<i64>().max(0) as u64
}

/// About as much, for one load (and one more of the calling thread's own slot, which is up to date).
#[inline]
pub fn used_memory_about() -> u64 {
    let slot = &USED[slot()];
    let own = slot.bytes.load(Relaxed) - slot.published.load(Relaxed);
    (PUBLISHED.load(Relaxed) + own).max(0) as u64
}

/// Brings [`used_memory_about`] up to date.
pub fn publish_all() {
    for slot in &USED {
        let (published, bytes) = (slot.published.load(Relaxed), slot.bytes.load(Relaxed));
        if published != bytes {
            slot.publish(published, bytes);
        }
    }
}

/// The allocator's counters, in its own words (JSON).
pub fn report() -> String {
    MiMalloc::stats_json().map_or_else(str::to_string, |report| report.to_string_lossy().into_owned())
}

/// `mi_option_purge_delay`, which the bindings do not name; and after how long pages that lie free go back to the machine. Ten
/// times as long is mimalloc's own choice: a table that has just grown is still paid for twice then. The environment's
/// `MIMALLOC_PURGE_DELAY` goes before.
const PURGE_DELAY_OPTION: libmimalloc_sys::mi_option_t = 15;
const PURGE_DELAY_MS: std::ffi::c_long = 100;

/// What must be said before the server's memory grows.
pub fn prepare() {
    // SAFETY: it stores a number.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY_OPTION, PURGE_DELAY_MS) };
}

/// Gives back, from whatever thread's arenas, what has lain free for the purge delay. mimalloc looks at it only when it is
/// called, so a server that has gone quiet would keep it for ever.
pub fn purge_aged() {
    // SAFETY: may be called from any thread at any time; it frees nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(false) };
}

/// Gives the calling thread's free memory back to the machine, and that of threads that have ended. The heaps of other
/// threads are not touched: only they may.
pub fn purge() {
    // SAFETY: may be called from any thread at any time; it frees nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[inline]
fn count(bytes: i64) {
    let slot = slot();
    USED[slot].count(bytes, slot < OWN);
}

/// The calling thread's slot.
#[inline]
fn slot() -> usize {
    let slot = SLOT.try_with(|slot| {
        if slot.get() == NO_SLOT {
            slot.set(slot_of(NEXT.fetch_add(1, Relaxed), OWN, SLOTS));
        }
        slot.get()
    });
    slot.unwrap_or(LAST)
}

/// What every block of mimalloc is aligned to, if it is as large (`MI_MAX_ALIGN_SIZE`).
const ALIGNED_ANYWAY: usize = 16;

/// Whether a plain `mi_malloc` will do. The crate asks for the alignment of every block by `mi_malloc_aligned`, which makes a
/// block larger by the alignment less one before it aligns it, unless the size is a power of two: 48 bytes aligned to 8 then
/// take a block of 64, by the slow path, every time.
#[inline]
const fn is_aligned_anyway(layout: Layout) -> bool {
    layout.align() <= ALIGNED_ANYWAY && layout.align() <= layout.size()
}

// SAFETY: every call goes to mimalloc, with the layout unchanged or with an alignment that its blocks have anyway; counting
// touches no allocation.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        if is_aligned_anyway(layout) {
            // SAFETY: any size will do.
            return unsafe { libmimalloc_sys::mi_malloc(layout.size()) }.cast();
        }
        // SAFETY: passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        if is_aligned_anyway(layout) {
            // SAFETY: any size will do.
            return unsafe { libmimalloc_sys::mi_zalloc(layout.size()) }.cast();
        }
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
        if is_aligned_anyway(layout) && layout.align() <= new_size {
            // SAFETY: the block is mimalloc's; any size will do.
            return unsafe { libmimalloc_sys::mi_realloc(at.cast(), new_size) }.cast();
        }
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The number stands for the delay as long as it has mimalloc's own default before and ours after.
    #[test]
    fn the_purge_delay_is_the_option_that_is_set() {
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
            return;
        }
        // SAFETY: it loads a number.
        let value = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY_OPTION) };
        assert_eq!(value(), 10 * PURGE_DELAY_MS);
        prepare();
        assert_eq!(value(), PURGE_DELAY_MS);
    }

    /// Every size up to some, with every alignment that plain blocks are trusted to have; and that what is asked for is what
    /// is taken, which is the reason for asking plainly.
    #[test]
    fn small_blocks_are_aligned_and_no_larger_than_they_must_be() {
        for align in [1, 2, 4, 8, 16, 32, 64] {
            for size in (1..=1024).chain([4096, 10_000, 70_000, 1 << 20]) {
                let layout = Layout::from_size_align(size, align).expect("small");
                // SAFETY: the size is not 0, and each block is freed once, by its own layout.
                unsafe {
                    let zeroed = Counting.alloc_zeroed(layout);
                    assert!((0..size).all(|index| *zeroed.add(index) == 0));
                    let first = Counting.alloc(layout);
                    assert!(first.addr().is_multiple_of(align) && zeroed.addr().is_multiple_of(align), "{layout:?}");
                    if align <= ALIGNED_ANYWAY && align <= size {
                        let (taken, wanted) =
                            (libmimalloc_sys::mi_usable_size(first.cast()), libmimalloc_sys::mi_good_size(size));
                        assert_eq!(taken, wanted, "{layout:?}");
                    }
                    let moved = Counting.realloc(first, layout, size * 2);
                    assert!(moved.addr().is_multiple_of(align), "{layout:?}, after growing");
                    Counting.dealloc(moved, Layout::from_size_align(size * 2, align).expect("small"));
                    Counting.dealloc(zeroed, layout);
                }
            }
        }
    }

    /// Other tests allocate meanwhile, so only large numbers can be told apart.
    #[test]
    fn the_published_sum_follows_the_exact_one() {
        const LARGE: u64 = 256 << 20;
        let before = used_memory();
        let held = thread::spawn(|| vec![1_u8; LARGE as usize]).join().expect("no panic");
        assert!(used_memory().abs_diff(before + LARGE) < LARGE / 2);
        assert!(used_memory_about().abs_diff(used_memory()) < LARGE / 2);
        // Freed by another thread than the one that has allocated it.
        drop(held);
        assert!(used_memory_about().abs_diff(before) < LARGE / 2);
        publish_all();
        assert!(used_memory_about().abs_diff(before) < LARGE / 2);
    }

    #[test]
    fn the_first_threads_share_with_nobody() {
        let slots: Vec<usize> = (0..200).map(|n| slot_of(n, OWN, SLOTS)).collect();
        let used_by = |slot: usize| slots.iter().filter(|other| **other == slot).count();
        assert!((0..OWN).all(|slot| used_by(slot) == 1) && (OWN..SLOTS).all(|slot| used_by(slot) > 1));
        const { assert!(OWN <= LAST && LAST < SLOTS) };
    }

    #[test]
    fn a_slot_is_never_further_behind_than_its_step() {
        let slot = Slot::new();
        let behind = |slot: &Slot| slot.bytes.load(Relaxed).abs_diff(slot.published.load(Relaxed));
        let before = PUBLISHED.load(Relaxed);
        for (at, change) in [1000, 3000, 96, -50, -5000, 4095, 1, i64::from(i32::MAX)].into_iter().enumerate() {
            slot.count(change, at % 2 == 0);
            assert!(behind(&slot) < STEP_BYTES);
        }
        let bytes = slot.bytes.load(Relaxed);
        assert_eq!(bytes, 3142 + i64::from(i32::MAX));
        // What this test has put into the shared sum is taken out again.
        slot.count(-bytes, true);
        slot.publish(slot.published.load(Relaxed), 0);
        assert!(PUBLISHED.load(Relaxed).abs_diff(before) < u64::from(u32::MAX));
        assert_eq!(behind(&slot), 0);
    }
}
