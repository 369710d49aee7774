//! A counter that many threads add to without sharing a cache line.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use crossbeam::utils::CachePadded;

/// Threads that have a slot of their own: the first ones of the process, and so its workers.
const OWN: usize = 16;
/// The threads that come later share the other slots, which costs time and never a count.
pub(crate) const SLOTS: usize = 2 * OWN;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: usize = slot_of(THREADS.fetch_add(1, Relaxed), OWN, SLOTS);
}

/// The slot of the thread that has come as the `n`th: the first `own` have one each, and later ones share the rest of all
/// `slots`.
pub const fn slot_of(n: usize, own: usize, slots: usize) -> usize {
    if n < own { n } else { own + n % (slots - own) }
}

/// The calling thread's slot, below [`SLOTS`].
#[inline]
pub(crate) fn slot() -> usize {
    SLOT.with(|slot| *slot)
}

/// Adds to what the calling thread counts in its slot. A locked addition costs as much as all the rest of a small command's
/// counting, and nobody but its owner writes to an owned slot.
#[inline]
pub(crate) fn add(part: &AtomicI64, slot: usize, n: i64) {
    if slot < OWN {
        part.store(part.load(Relaxed).wrapping_add(n), Relaxed);
    } else {
        part.fetch_add(n, Relaxed);
    }
}

/// A sum of per-thread parts. It is exact whenever nobody is adding; the order against other memory is the caller's
/// business (the keyspace adds under a stripe's guard).
#[derive(Default)]
pub struct Counter([CachePadded<AtomicI64>; SLOTS]);

impl Counter {
    /// Adds to the calling thread's part.
    #[inline]
    pub fn add(&self, n: i64) {
        let slot = slot();
        add(&self.0[slot], slot, n);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn no_thread_loses_a_count() {
        let counter = Counter::default();
        // More than have slots of their own, all at the same time.
        thread::scope(|scope| {
            for _ in 0..3 * SLOTS {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.sum(), 3000 * SLOTS as i64);
    }

    #[test]
    fn the_first_threads_share_with_nobody() {
        let slots: Vec<usize> = (0..200).map(|n| slot_of(n, OWN, SLOTS)).collect();
        let owned = |slot: usize| slots.iter().filter(|other| **other == slot).count();
        assert!((0..OWN).all(|slot| owned(slot) == 1) && (OWN..SLOTS).all(|slot| owned(slot) > 1));
    }
}
