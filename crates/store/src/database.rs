//! One numbered database: its stripes, and the facts about them that are read without a lock.
//!
//! `occupied` has one bit for each stripe. A bit changes only under its stripe's exclusive lock, so it is exact for
//! whoever holds the stripe, and a walk that finds a 0 may skip it: the stripe was empty at that moment. One level is
//! enough (16384 stripes are 256 words); a summary above it would have to be cleared by threads that hold different
//! stripes, which is a race with nothing to win.
//!
//! `due` holds for each stripe a lower bound of the time at which something in it expires: a key, or a field of a hash.
//! It is written under the stripe's exclusive lock only, and these hold whenever that lock is free:
//! 1. `Inner::volatile` counts the entries that have an expiry; `Inner::timed` counts those with the mark
//!    [`Entry::is_timed`], which are exactly the hashes that have a field with an expiry.
//! 2. Both counts are 0 if and only if `due` is [`NEVER`] ...
//! 3. ... and else `due` is not above any entry's [`Entry::due`].
//!
//! The bound is lowered when an expiry comes, and left as it is when one goes: whoever visits the stripe too early
//! computes it anew ([`crate::keyspace::Keyspace::expire_stripe`]). A value changes behind the entry's back, so whoever
//! was given one to change ([`crate::guard::ValueMut`]) books it when he is done.
//!
//! **Growing together.** Stripes have about the same number of keys, so their tables grow at about the same time, and the
//! arrays that they leave behind lie page by page beside each other. But the last few percent of the stripes come late, and
//! a page in which one old array is left cannot be given back: a million keys then had 6 MiB of such pages. So stripes
//! that are behind grow with the others, at the next key that comes to them ([`Growth`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::counter::Counter;
use crate::entry::Entry;
use crate::hash::hash_bytes;
use crate::sizes::Sizes;
use crate::stripe::{Inner, Stripe};
use crate::table::{self, Sighting, prefetch};
use crate::walk::Walks;
use crate::walk::frozen::Frozen;

/// "No key here expires."
const NEVER: i64 = i64::MAX;

/// See the file's head.
pub struct Database {
    stripes: Box<[Stripe]>,
    /// log2 of the number of stripes.
    bits: u8,
    occupied: Box<[AtomicU64]>,
    /// For each stripe a lower bound of the next expiry in it, in milliseconds since 1970.
    due: Box<[AtomicI64]>,
    keys: Counter,
    volatile: Counter,
    timed: Counter,
    sizes: Sizes,
    walks: Walks,
    growth: Growth,
}

/// How large the tables of most stripes are. Threads that count at the same moment may lose a step, which does not matter:
/// it is a hint that lets a table grow early.
#[derive(Default)]
struct Growth {
    /// Buckets that [`MOST`] of the stripes have at least.
    usual: AtomicU32,
    /// Stripes that have grown beyond this since.
    beyond: AtomicU32,
}

/// Three of four.
const MOST: (usize, usize) = (3, 4);

impl Growth {
    #[inline]
    fn usual(&self) -> u32 {
        self.usual.load(Relaxed)
    }

    /// One of so many stripes has grown, and had `before` buckets.
    #[cold]
    fn grew(&self, before: u32, stripes: usize) {
        let usual = self.usual();
        if before < usual {
            return;
        }
        let beyond = self.beyond.fetch_add(1, Relaxed) as usize + 1;
        if beyond * MOST.1 >= stripes * MOST.0 {
            self.usual.store(table::grown(usual as usize) as u32, Relaxed);
            self.beyond.store(0, Relaxed);
        }
    }
}

impl Database {
    pub(crate) fn new(stripes: usize, frozen: Arc<Frozen>) -> Self {
        assert!(stripes.is_power_of_two(), "the number of stripes is a power of two");
        let bits = stripes.trailing_zeros() as u8;
        Self {
            stripes: (0..stripes).map(|_| Stripe::new(bits)).collect(),
            bits,
            occupied: (0..stripes.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            due: (0..stripes).map(|_| AtomicI64::new(NEVER)).collect(),
            keys: Counter::default(),
            volatile: Counter::default(),
            timed: Counter::default(),
            sizes: Sizes::default(),
            walks: Walks::new(frozen),
            growth: Growth::default(),
        }
    }

    /// Whether nothing ever was in it: no stripe has a table.
    pub(crate) fn is_untouched(&self) -> bool {
        self.is_empty() && self.stripes.iter().all(|stripe| stripe.read(|inner| inner.table.home_bytes()) == 0)
    }

    /// Number of keys, expired ones that nobody has met yet included.
    pub fn len(&self) -> usize {
        self.keys.sum().max(0) as usize
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with an expiry.
    pub fn volatile_len(&self) -> usize {
        self.volatile.sum().max(0) as usize
    }

    /// Number of hashes with fields that expire.
    pub fn timed_len(&self) -> usize {
        self.timed.sum().max(0) as usize
    }

    /// How large the values are.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Number of stripes.
    pub fn stripe_count(&self) -> usize {
        self.stripes.len()
    }

    /// The stripe that holds keys of this hash.
    #[inline]
    pub fn stripe_of(&self, hash: u64) -> usize {
        // The highest bits; in two steps, since there may be none.
        (hash >> 1 >> (63 - self.bits)) as usize
    }

    /// Brings the head of the hash's stripe near.
    #[inline]
    pub fn prefetch_stripe(&self, hash: u64) {
        prefetch((&raw const self.stripes[self.stripe_of(hash)]).cast());
    }

    /// Brings the bucket of the hash near.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.stripes[self.stripe_of(hash)].prefetch_bucket(hash, self.bits);
    }

    /// Brings the entry of the hash near, if its stripe can be looked at without waiting and its bucket is found within so
    /// many `links` of a chain; see [`crate::table::Table::prefetch_candidate`].
    #[inline]
    pub fn prefetch_entry(&self, hash: u64, links: usize) -> Sighting {
        self.glance(hash, |inner| inner.table.prefetch_candidate(hash, links)).unwrap_or(Sighting::Nothing)
    }

    /// Brings near what the entry of the hash leads to, if its stripe can be looked at without waiting; the entry itself is
    /// near already.
    #[inline]
    pub fn prefetch_value(&self, hash: u64) {
        self.glance(hash, |inner| inner.table.candidate(hash).map(Entry::prefetch_value));
    }

    #[inline]
    #[allow(unsafe_code)]
    fn glance<R>(&self, hash: u64, look: impl FnOnce(&Inner) -> R) -> Option<R> {
        let stripe = &self.stripes[self.stripe_of(hash)];
        stripe.try_lock_shared().then(|| {
            // SAFETY: the lock is held shared; `look` cannot keep the reference.
            unsafe {
                let seen = look(stripe.inner());
                stripe.unlock(crate::stripe::Mode::Shared);
                seen
            }
        })
    }

    #[inline]
    pub(crate) fn stripe(&self, index: usize) -> &Stripe {
        &self.stripes[index]
    }

    /// The walks that go over it.
    #[inline]
    pub(crate) fn walks(&self) -> &Walks {
        &self.walks
    }

    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    /// The first occupied stripe at or after `from`.
    pub(crate) fn next_occupied(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = self.occupied.get(word)?.load(Relaxed) & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = self.occupied.get(word)?.load(Relaxed);
        }
    }

    /// The first stripe at or after `from` that holds a key with an expiry, or a hash with such a field.
    pub(crate) fn next_volatile(&self, from: usize) -> Option<usize> {
        self.due.get(from..)?.iter().position(|due| due.load(Relaxed) != NEVER).map(|at| from + at)
    }

    /// The first stripe at or after `from` in which a key or a field may have expired at `now_ms`.
    pub(crate) fn next_due(&self, from: usize, now_ms: i64) -> Option<usize> {
        self.due.get(from..)?.iter().position(|due| due.load(Relaxed) <= now_ms).map(|at| from + at)
    }

    /// Books an entry that is about to come into the stripe, which the caller holds exclusively, and makes room for it.
    pub(crate) fn entry_comes(&self, stripe: usize, inner: &mut Inner, entry: &mut Entry) {
        self.keys.add(1);
        self.sizes.moved(None, entry.size_bin());
        if inner.table.is_empty() {
            self.occupied[stripe / 64].fetch_or(1 << (stripe % 64), Relaxed);
        }
        if let Some(before) = inner.table.make_room(self.growth.usual(), |entry| hash_bytes(entry.key())) {
            self.growth.grew(before, self.stripes.len());
        }
        // What the mark says is of the place that the entry comes from.
        entry.set_timed(false);
        self.rebook(stripe, inner, None, entry);
    }

    /// Books an entry that has left the stripe, which the caller holds exclusively.
    pub(crate) fn entry_left(&self, stripe: usize, inner: &mut Inner, entry: &Entry) {
        self.keys.add(-1);
        self.sizes.moved(entry.size_bin(), None);
        if inner.table.is_empty() {
            self.occupied[stripe / 64].fetch_and(!(1 << (stripe % 64)), Relaxed);
        }
        if entry.expiry().is_some() {
            inner.volatile -= 1;
            self.volatile.add(-1);
        }
        if entry.is_timed() {
            self.fields_left(inner);
        }
        self.forget_due(stripe, inner);
    }

    /// Books a changed entry: its expiry was `before`, and its mark still says what is counted.
    #[inline]
    pub(crate) fn rebook(&self, stripe: usize, inner: &mut Inner, before: Option<i64>, entry: &mut Entry) {
        let (after, fields_due) = (entry.expiry(), entry.fields_due());
        if before == after && fields_due.is_none() && !entry.is_timed() {
            return;
        }
        let change = i32::from(after.is_some()) - i32::from(before.is_some());
        if change != 0 {
            inner.volatile = inner.volatile.wrapping_add_signed(change);
            self.volatile.add(i64::from(change));
        }
        match (entry.is_timed(), fields_due.is_some()) {
            (false, true) => {
                inner.timed += 1;
                self.timed.add(1);
            }
            (true, false) => self.fields_left(inner),
            (false, false) | (true, true) => {}
        }
        entry.set_timed(fields_due.is_some());
        // A plain minimum is enough: the bound is written under the stripe's exclusive lock only.
        if let Some(due) = [after, fields_due].into_iter().flatten().min()
            && due < self.due[stripe].load(Relaxed)
        {
            self.due[stripe].store(due, Relaxed);
        }
        self.forget_due(stripe, inner);
    }

    /// Books that a hash whose mark is set has no field left that expires; the caller sees to the mark and the bound.
    pub(crate) fn fields_left(&self, inner: &mut Inner) {
        inner.timed -= 1;
        self.timed.add(-1);
    }

    pub(crate) fn set_due(&self, stripe: usize, due: Option<i64>) {
        self.due[stripe].store(due.unwrap_or(NEVER), Relaxed);
    }

    fn forget_due(&self, stripe: usize, inner: &Inner) {
        if inner.volatile == 0 && inner.timed == 0 {
            self.due[stripe].store(NEVER, Relaxed);
        }
    }
}
