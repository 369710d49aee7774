//! A counter that many threads add to without sharing a cache line.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crossbeam::utils::CachePadded;

/// Threads beyond this many share slots, which costs time and never a count.
pub(crate) const SLOTS: usize = 16;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: usize = THREADS.fetch_add(1, Relaxed) % SLOTS;
}

/// The calling thread's slot, below [`SLOTS`].
#[inline]
pub(crate) fn slot() -> usize {
    SLOT.with(|slot| *slot)
}

/// A sum of per-thread parts. It is exact whenever nobody is adding; the order against other memory is the caller's
/// business (the keyspace adds under a stripe's guard).
#[derive(Default)]
pub struct Counter([CachePadded<AtomicI64>; SLOTS]);

impl Counter {
    /// Adds to the calling thread's part.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0[slot()].fetch_add(n, Relaxed);
    }

    /// The sum of all parts.
    pub fn sum(&self) -> i64 {
        self.0.iter().map(|part| part.load(Relaxed)).sum()
    }

    /// Sets the sum to 0; what is added meanwhile may be lost, so this is for statistics only.
    pub fn reset(&self) {
        self.0.iter().for_each(|part| part.store(0, Relaxed));
    }
}
