//! One stripe: a lock and the table of the entries that hash to it.
//!
//! **The lock** is `parking_lot`'s raw reader-writer lock. It is fair by task: a reader waits while a writer is waiting,
//! so readers of a hot key cannot starve its writer. DashMap's lock, the first choice, lets readers pass a waiting
//! writer; `benches/benches/stripe_lock.rs` shows both. Where readers crowd at it, they pass it by: see [`crate::bias`].
//!
//! **The hint** repeats where the table's buckets lie, so that the bucket of a hash can be prefetched by arithmetic alone,
//! without the lock. It is written whenever the lock is given back after a change; a reader may find its two halves from
//! different tables, or of one that is freed already, which a prefetch does not mind.
//!
//! **Invariant.** `inner` is read while the lock is held shared or exclusively, and changed while it is held
//! exclusively. Only [`crate::guard::Guard`] and the walks of [`crate::keyspace`] lock stripes, in ascending order of
//! (database, stripe); a walk holds one at a time.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

use lock_api::RawRwLock as _;
use parking_lot::RawRwLock;

use crate::bias::{Bias, seats};
use crate::entry::Entry;
use crate::table::{self, Table, prefetch};

/// How a stripe is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// For reading, with others.
    Shared,
    /// For changing, alone.
    Exclusive,
}

/// See the file's head.
#[repr(align(64))]
pub(crate) struct Stripe {
    lock: RawRwLock,
    bias: Bias,
    hint_buckets: AtomicPtr<u8>,
    hint_count: AtomicU32,
    inner: UnsafeCell<Inner>,
}

/// What the lock of a stripe protects.
pub(crate) struct Inner {
    pub(crate) table: Table<Entry>,
    /// How many entries have an expiry.
    pub(crate) volatile: u32,
    /// How many entries are hashes with fields that expire.
    pub(crate) timed: u32,
}

// SAFETY: the lock orders all access to `inner`, and entries may be used and dropped by any thread.
unsafe impl Sync for Stripe {}

impl Stripe {
    pub(crate) fn new(shift: u8) -> Self {
        Self {
            lock: RawRwLock::INIT,
            bias: Bias::new(),
            hint_buckets: AtomicPtr::new(std::ptr::null_mut()),
            hint_count: AtomicU32::new(0),
            inner: UnsafeCell::new(Inner { table: Table::new(shift), volatile: 0, timed: 0 }),
        }
    }

    #[inline]
    pub(crate) fn lock(&self, mode: Mode) {
        match mode {
            Mode::Shared => {
                if self.bias.is_biased() && self.sit() {
                    return;
                }
                if self.lock.is_locked() {
                    self.lock_beside_others();
                } else {
                    self.lock.lock_shared();
                }
            }
            Mode::Exclusive => {
                if self.bias.is_biased() {
                    self.bias.announce_end();
                }
                self.lock.lock_exclusive();
                if self.bias.may_be_sat() {
                    self.bias.end(seats::all());
                }
            }
        }
    }

    /// For hints. What many look at is near already, so they pass by a biased stripe.
    #[inline]
    pub(crate) fn try_lock_shared(&self) -> bool {
        !self.bias.is_biased() && self.lock.try_lock_shared()
    }

    /// Takes the lock shared, and counts for the bias if others have it so.
    #[cold]
    fn lock_beside_others(&self) {
        let crowded = !self.lock.is_locked_exclusive();
        self.lock.lock_shared();
        if crowded {
            self.bias.crowded(seats::meets_again(&self.bias));
        }
    }

    #[cold]
    fn sit(&self) -> bool {
        seats::own().is_some_and(|seat| self.bias.sit(seat))
    }

    /// Whether a holder may hold it by a seat.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_sat(&self) -> bool {
        self.bias.may_be_sat()
    }

    /// Gives a seat back, if it is by its seat that the calling thread holds the lock.
    #[cold]
    fn rise(&self) -> bool {
        seats::own().is_some_and(|seat| self.bias.rise(seat))
    }

    /// # Safety
    /// The calling thread holds this lock in this mode, and uses no reference to `inner` afterwards.
    #[inline]
    pub(crate) unsafe fn unlock(&self, mode: Mode) {
        match mode {
            Mode::Shared => {
                if !(self.bias.may_be_sat() && self.rise()) {
                    // SAFETY: held by the caller's promise, and not by the seat.
                    unsafe { self.lock.unlock_shared() };
                }
            }
            Mode::Exclusive => {
                self.give_hint();
                // SAFETY: by the caller's promise.
                unsafe { self.lock.unlock_exclusive() };
            }
        }
    }

    /// Called with the lock held exclusively.
    #[inline]
    fn give_hint(&self) {
        // SAFETY: the lock is held, and whoever holds it is done with its references.
        let (buckets, count) = unsafe { self.inner() }.table.extent();
        if self.hint_count.load(Relaxed) != count || self.hint_buckets.load(Relaxed).cast_const() != buckets {
            self.hint_buckets.store(buckets.cast_mut(), Relaxed);
            self.hint_count.store(count, Relaxed);
        }
    }

    /// Brings the bucket of a hash near.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, hash: u64, shift: u8) {
        let (buckets, count) = (self.hint_buckets.load(Relaxed), self.hint_count.load(Relaxed));
        prefetch(table::bucket_address(buckets, count, hash, shift));
    }

    /// # Safety
    /// The calling thread holds the lock in either mode for as long as the reference lives.
    #[inline]
    pub(crate) unsafe fn inner(&self) -> &Inner {
        // SAFETY: by the caller's promise nobody changes it meanwhile.
        unsafe { &*self.inner.get() }
    }

    /// # Safety
    /// The calling thread holds the lock exclusively, and has no other reference to `inner`, for as long as this lives.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn inner_mut(&self) -> &mut Inner {
        // SAFETY: by the caller's promise nobody else reads or changes it meanwhile.
        unsafe { &mut *self.inner.get() }
    }

    /// Runs `f` with the stripe held shared.
    pub(crate) fn read<R>(&self, f: impl FnOnce(&Inner) -> R) -> R {
        self.lock(Mode::Shared);
        // SAFETY: the lock is held; `f` cannot keep the reference.
        let result = f(unsafe { self.inner() });
        // SAFETY: locked above.
        unsafe { self.unlock(Mode::Shared) };
        result
    }

    /// Runs `f` with the stripe held exclusively.
    pub(crate) fn write<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        self.lock(Mode::Exclusive);
        // SAFETY: the lock is held exclusively; `f` cannot keep the reference.
        let result = f(unsafe { self.inner_mut() });
        // SAFETY: locked above.
        unsafe { self.unlock(Mode::Exclusive) };
        result
    }
}
