//! All databases, and the operations that reach beyond one command's keys: scanning, expiring, flushing, swapping.
//!
//! **Invariant.** A database's pointer changes only while the gate is held exclusively, but for one case: a first write
//! creates a missing database under a shared section, by one compare-exchange. Hence a reference to a database is good
//! for as long as the section that it was found under.
//!
//! **Lock order.** Gate, then stripes ascending by (database, stripe). The walks here hold one stripe at a time and
//! call back under it; a callback takes no further stripe.

#![allow(unsafe_code)]

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU16, Ordering};

use fastrand::Rng;

use crate::database::Database;
use crate::entry::Entry;
use crate::gate::{Gate, Section};
use crate::guard::{Guard, Held, Plan, Stripes};
use crate::hash::hash_bytes;
use crate::stripe::Mode;
use crate::value::hash::Hash;
use crate::walk::Registry;
use crate::walk::frozen::Frozen;

/// Stripes of every database but the first.
const STRIPES_OF_OTHERS: usize = 256;
/// A scan step looks into at most this many buckets for each entry that was asked for.
const SCAN_BUCKETS_PER_ENTRY: usize = 10;

/// See the file's head.
pub struct Keyspace {
    gate: Gate,
    databases: Box<[AtomicPtr<Database>]>,
    stripes: usize,
    epoch: AtomicU16,
    pub(crate) registry: Arc<Registry>,
    pub(crate) frozen: Arc<Frozen>,
}

/// Something that [`Keyspace::expire_stripe`] takes out.
pub enum Expired<'a> {
    /// A key.
    Key(&'a Entry),
    /// Fields of a hash.
    Fields {
        /// The hash's key.
        key: &'a [u8],
        /// The fields' names.
        fields: &'a [Vec<u8>],
        /// Whether they were the last, so that the key goes too.
        emptied: bool,
    },
}

impl Keyspace {
    /// An empty keyspace of so many databases; the first gets `stripes` stripes (a power of two).
    pub fn new(databases: usize, stripes: usize) -> Self {
        let databases: Box<[_]> = (0..databases).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        let keyspace = Self {
            gate: Gate::default(),
            databases,
            stripes,
            epoch: AtomicU16::new(0),
            registry: Arc::default(),
            frozen: Arc::default(),
        };
        let section = keyspace.gate.enter();
        keyspace.database_or_new(&section, 0);
        drop(section);
        keyspace
    }

    /// The gate before this keyspace.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How many databases may be selected.
    pub fn database_count(&self) -> u32 {
        self.databases.len() as u32
    }

    /// A database, if anything was ever written to it.
    #[inline]
    pub fn database<'s>(&'s self, _section: &'s Section<'_>, db: u32) -> Option<&'s Database> {
        // SAFETY: the section keeps the pointer's target alive. Acquire pairs with the release of whoever stored it.
        unsafe { self.databases[db as usize].load(Ordering::Acquire).as_ref() }
    }

    /// A database to keep beyond the section, for a walk.
    pub fn database_arc(&self, _section: &Section<'_>, db: u32) -> Option<Arc<Database>> {
        let database = self.databases[db as usize].load(Ordering::Acquire);
        (!database.is_null()).then(|| {
            // SAFETY: the pointer came from `Arc::into_raw`, and the section keeps its count above 0.
            unsafe {
                Arc::increment_strong_count(database);
                Arc::from_raw(database)
            }
        })
    }

    /// The present epoch: the number of cuts so far, as a serial number. It changes under the exclusive gate only, so the
    /// gate orders all accesses.
    #[inline]
    pub(crate) fn epoch(&self) -> u16 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn set_epoch(&self, epoch: u16) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// Locks what the plan names, ascending and each stripe once; exclusive where any wish for it is. The plan is left
    /// empty. A wish for a database that there cannot be (a number that a client has made up) is passed over.
    pub fn lock<'s>(&'s self, section: &'s Section<'_>, plan: &mut Plan) -> Guard<'s> {
        for want in plan.wants.iter().filter(|want| want.db < self.database_count()) {
            if let Some(database) = self.database(section, want.db) {
                database.prefetch_stripe(want.hash);
            }
        }
        let mut several = Vec::<Held<'s>>::with_capacity(plan.wants.len());
        // Sorted by hash the wishes are sorted by stripe, but for the mode: a stripe's strongest wish is found below.
        plan.wants.sort_unstable_by_key(|want| (want.db, want.hash));
        for want in &plan.wants {
            if want.db >= self.database_count() {
                continue;
            }
            let database = match want.mode {
                Mode::Exclusive => Some(self.database_or_new(section, want.db)),
                Mode::Shared => self.database(section, want.db),
            };
            let Some(database) = database else { continue };
            database.prefetch_bucket(want.hash);
            let stripe = database.stripe_of(want.hash) as u32;
            match several.last_mut() {
                Some(last) if last.db == want.db && last.stripe == stripe => last.mode = last.mode.max(want.mode),
                _ => several.push(Held { db: want.db, stripe, mode: want.mode, database }),
            }
        }
        let guard = self.guard(Stripes::Several(several));
        guard.prefetch_entries(&plan.wants);
        plan.clear();
        guard
    }

    /// Locks one key's stripe: the common case, without a plan.
    #[inline]
    pub fn lock_one<'s>(&'s self, section: &'s Section<'_>, db: u32, hash: u64, mode: Mode) -> Guard<'s> {
        let database = match mode {
            Mode::Exclusive => Some(self.database_or_new(section, db)),
            Mode::Shared => self.database(section, db),
        };
        match database {
            Some(database) => {
                self.guard(Stripes::One(Held { db, stripe: database.stripe_of(hash) as u32, mode, database }))
            }
            None => self.lock_none(),
        }
    }

    /// A guard that holds nothing.
    pub fn lock_none(&self) -> Guard<'_> {
        self.guard(Stripes::Several(Vec::new()))
    }

    #[inline]
    fn guard<'s>(&self, stripes: Stripes<'s>) -> Guard<'s> {
        Guard::lock(stripes, || self.epoch())
    }

    /// Visits about `count` entries of a database from `cursor` on, and returns the next cursor, 0 when all were
    /// visited. Entries present from the first call to the last are visited at least once (the guarantee of Redis's
    /// SCAN). A cursor is a position in hash order, below 2^63; it stays good when stripes grow.
    pub fn scan(
        &self,
        section: &Section<'_>,
        db: u32,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&Entry),
    ) -> u64 {
        let Some(database) = self.database(section, db) else { return 0 };
        let bits = database.bits();
        // Bucket boundaries are even positions, so half of one tells as much.
        let mut position = cursor << 1;
        let (mut seen, mut buckets, buckets_max) = (0, 0, count.saturating_mul(SCAN_BUCKETS_PER_ENTRY));
        loop {
            let Some(stripe) = database.next_occupied(database.stripe_of(position)) else { return 0 };
            let start = stripe_start(stripe, bits);
            position = position.max(start);
            let within = database.stripe(stripe).read(|inner| {
                let mut within = Some(position << bits);
                while let Some(here) = within
                    && seen < count
                    && buckets < buckets_max
                {
                    within = inner.table.scan_bucket(here, |entry| {
                        seen += 1;
                        visit(entry);
                    });
                    buckets += 1;
                }
                within
            });
            match within {
                Some(within) => return (start | within >> bits) >> 1,
                None if stripe + 1 == database.stripe_count() => return 0,
                None => position = stripe_start(stripe + 1, bits),
            }
            if seen >= count || buckets >= buckets_max {
                return position >> 1;
            }
        }
    }

    /// Visits every entry of a database, one stripe at a time; `visit` returns whether to go on.
    pub fn walk(&self, section: &Section<'_>, db: u32, mut visit: impl FnMut(&Entry) -> bool) {
        let Some(database) = self.database(section, db) else { return };
        let mut next = database.next_occupied(0);
        while let Some(stripe) = next {
            if !database.stripe(stripe).read(|inner| inner.table.iter().all(&mut visit)) {
                return;
            }
            next = database.next_occupied(stripe + 1);
        }
    }

    /// Bytes of a database's tables, and entries they have room for, without what overflowed. Looks at every occupied
    /// stripe, but walks none.
    pub fn table_size(&self, section: &Section<'_>, db: u32) -> (usize, usize) {
        let Some(database) = self.database(section, db) else { return (0, 0) };
        let (mut bytes, mut slots) = (0, 0);
        let mut next = database.next_occupied(0);
        while let Some(stripe) = next {
            database.stripe(stripe).read(|inner| {
                bytes += inner.table.home_bytes();
                slots += inner.table.home_slots();
            });
            next = database.next_occupied(stripe + 1);
        }
        (bytes, slots)
    }

    /// Calls `use_it` with an entry chosen with about equal chances, and passes on what it returns.
    pub fn random<R>(
        &self,
        section: &Section<'_>,
        db: u32,
        rng: &mut Rng,
        mut use_it: impl FnMut(&Entry) -> R,
    ) -> Option<R> {
        let database = self.database(section, db)?;
        // A stripe is kept with a chance that grows with its size, measured against a fairly full one.
        let full = database.len() / database.stripe_count() * 2 + 4;
        for attempt in 0.. {
            let drawn = rng.usize(0..database.stripe_count());
            let stripe = database.next_occupied(drawn).or_else(|| database.next_occupied(0))?;
            // Few stripes are occupied when there are few keys: going on to the next one is then fair enough, and the
            // only way to end.
            let lenient = attempt > 64;
            if stripe != drawn && !lenient && database.len() > database.stripe_count() {
                continue;
            }
            let result = database.stripe(stripe).read(|inner| {
                let keep = lenient || rng.usize(0..full) < inner.table.len();
                if keep { inner.table.random(rng).map(&mut use_it) } else { None }
            });
            if result.is_some() {
                return result;
            }
        }
        None
    }

    /// The next stripe of a database, from `from` on, that may hold expired keys or fields.
    pub fn next_due(&self, section: &Section<'_>, db: u32, from: usize, now_ms: i64) -> Option<usize> {
        self.database(section, db)?.next_due(from, now_ms)
    }

    /// Removes what has expired in a stripe, entries and fields of hashes, at most `max` of them together. Each goes to
    /// `removed` while the stripe is still held, so that its effect is logged in order. Returns how many there were, and
    /// the entries, to be dropped by the caller.
    pub fn expire_stripe(
        &self,
        section: &Section<'_>,
        db: u32,
        stripe: usize,
        now_ms: i64,
        max: usize,
        mut removed: impl FnMut(Expired<'_>),
    ) -> (usize, Vec<Entry>) {
        let Some(database) = self.database(section, db) else { return (0, Vec::new()) };
        let epoch = self.epoch();
        let (mut taken, mut gone) = (0, Vec::new());
        database.stripe(stripe).write(|inner| {
            let (mut next, mut timed_no_more) = (None::<i64>, 0);
            let take = |entry: &mut Entry| {
                if taken < max && entry.is_expired(now_ms) {
                    taken += 1;
                    database.walks().leaves(stripe, entry, epoch);
                    removed(Expired::Key(entry));
                    return true;
                }
                let fields_due = entry.is_timed() && entry.fields_due().is_some_and(|due| due <= now_ms);
                // A large hash that a walk needs is left for a later round, since changing it would copy it.
                if taken < max && fields_due && !self.must_wait_for(database, stripe, entry) {
                    database.walks().stamp(stripe, entry, epoch);
                    let size = entry.size_bin();
                    let hash = entry.get_mut::<Hash>().expect("only hashes are marked");
                    let fields = hash.remove_expired(now_ms.max(0) as u64, max - taken);
                    let emptied = hash.is_empty();
                    database.sizes().moved(size, entry.size_bin());
                    taken += fields.len();
                    if !fields.is_empty() {
                        removed(Expired::Fields { key: entry.key(), fields: &fields, emptied });
                    }
                    if emptied {
                        return true;
                    }
                    if entry.fields_due().is_none() {
                        entry.set_timed(false);
                        timed_no_more += 1;
                    }
                }
                if let Some(due) = entry.due() {
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
                false
            };
            inner.table.extract_if(take, |entry| gone.push(entry));
            for entry in &gone {
                database.entry_left(stripe, inner, entry);
            }
            (0..timed_no_more).for_each(|_| database.fields_left(inner));
            database.set_due(stripe, next);
        });
        (taken, gone)
    }

    /// Takes a whole database out, leaving none behind; the caller frees it when no guard is held.
    ///
    /// # Panics
    /// When the section is not exclusive.
    pub fn detach(&self, section: &Section<'_>, db: u32) -> Option<Arc<Database>> {
        assert!(section.is_exclusive(), "a database is detached under the exclusive gate only");
        let old = self.databases[db as usize].swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: the pointer came from `Arc::into_raw`, and this slot's count goes over to the caller.
        (!old.is_null()).then(|| unsafe { Arc::from_raw(old) })
    }

    /// The same, but with an empty database in its place, if there was one: it is likely to be filled again, and what it takes
    /// itself is then not added with its first key. One in which nothing ever was stays where it is.
    ///
    /// # Panics
    /// When the section is not exclusive.
    pub fn renew(&self, section: &Section<'_>, db: u32) -> Option<Arc<Database>> {
        if self.database(section, db).is_some_and(Database::is_untouched) {
            return None;
        }
        let old = self.detach(section, db);
        if old.is_some() {
            self.new_database(section, db);
        }
        old
    }

    /// Sees to it that a database is there, for whoever is about to use it.
    #[inline]
    pub fn provide(&self, section: &Section<'_>, db: u32) {
        self.database_or_new(section, db);
    }

    /// An empty keyspace like this one, to be filled and [installed](Self::install).
    pub fn sibling(&self) -> Self {
        let sibling = Self::new(self.databases.len(), self.stripes);
        sibling.epoch.store(self.epoch.load(Ordering::Relaxed), Ordering::Relaxed);
        sibling
    }

    /// Puts all databases of a [`sibling`](Self::sibling) in the place of these, which are returned; the caller frees them
    /// when no guard is held.
    ///
    /// # Panics
    /// When the section is not exclusive, or the other keyspace has another shape.
    pub fn install(&self, section: &Section<'_>, sibling: &Self) -> Vec<Arc<Database>> {
        assert!(section.is_exclusive(), "databases are installed under the exclusive gate only");
        assert_eq!((self.databases.len(), self.stripes), (sibling.databases.len(), sibling.stripes));
        for (ours, theirs) in self.databases.iter().zip(&sibling.databases) {
            let old = ours.swap(theirs.load(Ordering::Acquire), Ordering::AcqRel);
            theirs.store(old, Ordering::Release);
        }
        let alone = sibling.gate.enter_alone();
        (0..sibling.database_count()).filter_map(|db| sibling.detach(&alone, db)).collect()
    }

    /// Exchanges two databases.
    ///
    /// # Panics
    /// When the section is not exclusive.
    pub fn swap(&self, section: &Section<'_>, a: u32, b: u32) {
        assert!(section.is_exclusive(), "databases are swapped under the exclusive gate only");
        let (a, b) = (&self.databases[a as usize], &self.databases[b as usize]);
        let old = a.swap(b.load(Ordering::Acquire), Ordering::AcqRel);
        b.store(old, Ordering::Release);
    }

    #[inline]
    fn database_or_new<'s>(&'s self, section: &'s Section<'_>, db: u32) -> &'s Database {
        match self.database(section, db) {
            Some(database) => database,
            None => self.new_database(section, db),
        }
    }

    #[cold]
    fn new_database<'s>(&'s self, section: &'s Section<'_>, db: u32) -> &'s Database {
        let stripes = if db == 0 { self.stripes } else { STRIPES_OF_OTHERS };
        let fresh = Arc::into_raw(Arc::new(Database::new(stripes, self.frozen.clone()))).cast_mut();
        let slot = &self.databases[db as usize];
        if slot.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: nobody else has seen the fresh one.
            drop(unsafe { Arc::from_raw(fresh) });
        }
        self.database(section, db).expect("a database is removed under the exclusive gate only")
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        for slot in &mut self.databases {
            let database = *slot.get_mut();
            if !database.is_null() {
                // SAFETY: the slot's count is given back.
                drop(unsafe { Arc::from_raw(database) });
            }
        }
    }
}

/// Lowest hash position of a stripe.
const fn stripe_start(stripe: usize, bits: u8) -> u64 {
    if bits == 0 { 0 } else { (stripe as u64) << (64 - bits) }
}

/// The hash of an entry's key.
pub fn entry_hash(entry: &Entry) -> u64 {
    hash_bytes(entry.key())
}

#[cfg(test)]
mod tests;
