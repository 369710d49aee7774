//! The stripes that one command (or one MULTI/EXEC) needs, locked together; entries are reached through this alone.
//!
//! A [`Plan`] collects the stripes; [`crate::keyspace::Keyspace::lock`] takes them ascending by (database, stripe),
//! each once, which is what makes deadlock between guards impossible. Nothing is ever added to a guard.

#![allow(unsafe_code)]

use std::iter::Empty;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

use crate::database::Database;
use crate::entry::{Boxed, Entry};
use crate::hash::hash_bytes;
use crate::sizes::Bin;
use crate::stripe::{Inner, Mode, Stripe};
use crate::table::Sighting;
use crate::value::hash::Hash;

/// A key with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key's bytes.
    pub bytes: &'a [u8],
    /// Their [`hash_bytes`].
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// Hashes the bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, hash: hash_bytes(bytes) }
    }
}

/// Which stripes to lock; filled by key, in any order and with doubles.
#[derive(Default)]
pub struct Plan {
    pub(crate) wants: SmallVec<[Want; 10]>,
}

/// One wish of a plan; they are sorted by database and hash, which is the lock order.
#[derive(Clone, Copy)]
pub(crate) struct Want {
    pub(crate) db: u32,
    /// The whole hash: it sorts as its stripe does, and needs no database to look at.
    pub(crate) hash: u64,
    pub(crate) mode: Mode,
}

impl Plan {
    /// Adds a key's stripe.
    #[inline]
    pub fn add(&mut self, db: u32, hash: u64, mode: Mode) {
        self.wants.push(Want { db, hash, mode });
    }

    /// Whether the plan locks nothing.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// Forgets all wishes.
    pub fn clear(&mut self) {
        self.wants.clear();
    }
}

pub(crate) struct Held<'s> {
    pub(crate) db: u32,
    pub(crate) stripe: u32,
    pub(crate) mode: Mode,
    pub(crate) database: &'s Database,
}

impl<'s> Held<'s> {
    #[inline]
    pub(crate) fn stripe(&self) -> &'s Stripe {
        self.database.stripe(self.stripe as usize)
    }

    /// Where the stripe stands in the lock order.
    #[inline]
    fn place(&self) -> u64 {
        place(self.db, self.stripe)
    }
}

/// The lock order as a number, by which stripes are compared in one step.
#[inline]
fn place(db: u32, stripe: u32) -> u64 {
    u64::from(db) << 32 | u64::from(stripe)
}

/// The stripes of a guard. Nearly every guard holds one, and is moved about a good deal before its command runs; so this
/// is four words, where room for a second stripe would double them.
pub(crate) enum Stripes<'s> {
    One(Held<'s>),
    /// None, or several: ascending.
    Several(Vec<Held<'s>>),
}

impl<'s> Stripes<'s> {
    #[inline]
    fn for_each(&self, visit: impl Fn(&Held<'s>)) {
        match self {
            Self::One(held) => visit(held),
            Self::Several(held) => held.iter().for_each(visit),
        }
    }
}

/// Locked stripes; see the file's head.
pub struct Guard<'s> {
    stripes: Stripes<'s>,
    /// The epoch that changes are stamped with.
    epoch: u16,
    /// A guard is released by the thread that took it.
    not_send: PhantomData<*mut ()>,
}

impl<'s> Guard<'s> {
    /// Locks the stripes, which are ascending; changes will be stamped with what `epoch` says when they are held.
    #[inline]
    pub(crate) fn lock(stripes: Stripes<'s>, epoch: impl FnOnce() -> u16) -> Self {
        stripes.for_each(|held| held.stripe().lock(held.mode));
        Self { stripes, epoch: epoch(), not_send: PhantomData }
    }
}

impl Guard<'_> {
    /// The entry of a key; expired ones are returned as well. The key's stripe must be held, in either mode.
    #[inline]
    pub fn get(&self, db: u32, key: Key<'_>) -> Option<&Entry> {
        let held = self.find(db, key.hash)?;
        // SAFETY: the stripe is held as long as the guard lives, and changes need `&mut self`.
        let inner = unsafe { held.stripe().inner() };
        inner.table.find(key.hash, |entry| entry.key() == key.bytes)
    }

    /// The same, and where it is.
    pub(crate) fn entry_in(&self, db: u32, key: Key<'_>) -> Option<(&Database, usize, &Entry)> {
        let held = self.find(db, key.hash)?;
        Some((held.database, held.stripe as usize, self.get(db, key)?))
    }

    /// The entry of a key, to be changed; its stripe must be held exclusively.
    #[inline]
    pub fn get_mut(&mut self, db: u32, key: Key<'_>) -> Option<EntryMut<'_>> {
        let epoch = self.epoch;
        let (database, stripe, inner) = self.exclusive(db, key.hash);
        let Inner { table, .. } = inner;
        let entry: *mut Entry = table.find_mut(key.hash, |entry| entry.key() == key.bytes)?;
        // SAFETY: the entry lies in the table and stays there while the `EntryMut` lives; of `inner`, that one touches
        // nothing but this entry and the counts of what expires.
        Some(unsafe { EntryMut::new(&mut *entry, database, stripe, inner, epoch) })
    }

    /// The entry of a key, to be changed, unless it has expired at `now_ms`: then it is taken out. The key's stripe must
    /// be held exclusively.
    #[inline]
    pub fn live_mut(&mut self, db: u32, key: Key<'_>, now_ms: i64) -> Live<'_> {
        // The borrow checker cannot see that the entry is let go of before the removal.
        let guard: *mut Self = self;
        // SAFETY: `guard` comes from `&mut self`; the two uses never live at the same time.
        unsafe {
            match (*guard).get_mut(db, key) {
                None => Live::Missing,
                Some(entry) if entry.is_expired(now_ms) => {
                    Live::Expired((*guard).remove(db, key).expect("found just now, under the same lock"))
                }
                Some(entry) => Live::Present(entry),
            }
        }
    }

    /// The hash of a key, to be changed, without those of `due` that have expired at `now_ms`, which are taken out. The key's
    /// stripe must be held exclusively.
    pub fn live_hash<'f>(
        &mut self,
        db: u32,
        key: Key<'_>,
        now_ms: i64,
        due: DueFields<impl Iterator<Item = &'f [u8]>>,
    ) -> LiveHash<'_> {
        // The borrow checker cannot see that the hash is let go of before the removal.
        let guard: *mut Self = self;
        // SAFETY: `guard` comes from `&mut self`; the two uses never live at the same time.
        unsafe {
            let entry = match (*guard).live_mut(db, key, now_ms) {
                Live::Missing => return LiveHash::Missing,
                Live::Expired(entry) => return LiveHash::Expired(entry),
                Live::Present(entry) => entry,
            };
            let Some(mut hash) = entry.into_value::<Hash>() else { return LiveHash::OtherType };
            let gone = hash.remove_due(now_ms, due);
            if hash.is_empty() && !gone.is_empty() {
                drop(hash);
                return LiveHash::Emptied((*guard).remove(db, key).expect("found just now, under the same lock"), gone);
            }
            LiveHash::Present(hash, gone)
        }
    }

    /// Brings near the entries that the sorted wishes of a plan lead to.
    pub(crate) fn prefetch_entries(&self, wants: &[Want]) {
        let Stripes::Several(held) = &self.stripes else { return };
        let mut held = held.iter().peekable();
        let mut further = SmallVec::<[_; 4]>::new();
        for want in wants {
            // Wishes and stripes are in the same order, so nothing is searched for.
            let leads_to = |held: &Held<'_>| place(want.db, held.database.stripe_of(want.hash) as u32);
            while held.next_if(|held| held.place() < leads_to(held)).is_some() {}
            if let Some(held) = held.peek().filter(|held| held.place() == leads_to(held)) {
                // SAFETY: the stripe is held as long as the guard lives, and changes need `&mut self`.
                let table = unsafe { &held.stripe().inner().table };
                if table.prefetch_candidate(want.hash, 0, 0) == Sighting::Further {
                    further.push((table, want.hash));
                }
            }
        }
        for (table, hash) in further {
            table.prefetch_candidate(hash, 1, 0);
        }
    }

    /// Inserts an entry whose key is known to be absent; its stripe must be held exclusively.
    pub fn insert(&mut self, db: u32, hash: u64, mut entry: Entry) {
        entry.set_epoch(self.epoch);
        let (database, stripe, inner) = self.exclusive(db, hash);
        database.entry_comes(stripe, inner, &mut entry);
        inner.table.insert_unique(hash, entry, |entry| hash_bytes(entry.key()));
    }

    /// Takes an entry out; its stripe must be held exclusively.
    pub fn remove(&mut self, db: u32, key: Key<'_>) -> Option<Entry> {
        let epoch = self.epoch;
        let (database, stripe, inner) = self.exclusive(db, key.hash);
        let rehash = |entry: &Entry| hash_bytes(entry.key());
        let entry = inner.table.remove(key.hash, |entry| entry.key() == key.bytes, rehash)?;
        // Before the stripe counts as empty: see `walk::part`.
        database.walks().leaves(stripe, &entry, epoch);
        database.entry_left(stripe, inner, &entry);
        Some(entry)
    }

    /// Whether the key's stripe is held at all. A database that does not exist yet has no stripes to hold.
    pub fn holds(&self, db: u32, hash: u64) -> bool {
        self.find(db, hash).is_some()
    }

    #[inline]
    fn find(&self, db: u32, hash: u64) -> Option<&Held<'_>> {
        match &self.stripes {
            Stripes::One(held) => {
                (held.db == db && held.stripe as usize == held.database.stripe_of(hash)).then_some(held)
            }
            Stripes::Several(held) => {
                // Nearly always all stripes are of one database.
                let database = held.iter().find(|held| held.db == db)?.database;
                let place = place(db, database.stripe_of(hash) as u32);
                let at = held.partition_point(|held| held.place() < place);
                held.get(at).filter(|held| held.place() == place)
            }
        }
    }

    /// # Panics
    /// When the stripe is not held exclusively: a handler has reached for a key that its plan does not name.
    #[inline]
    fn exclusive(&mut self, db: u32, hash: u64) -> (&Database, usize, &mut Inner) {
        let held = self.find(db, hash).expect("the key's stripe is in the plan");
        assert!(held.mode == Mode::Exclusive, "the key's stripe is planned for reading only");
        // SAFETY: held exclusively as long as the guard lives; `&mut self` keeps other references away.
        let inner = unsafe { held.stripe().inner_mut() };
        (held.database, held.stripe as usize, inner)
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard took these locks in these modes and gives out no references that outlive it.
        self.stripes.for_each(|held| unsafe { held.stripe().unlock(held.mode) });
    }
}

/// What [`Guard::live_mut`] found.
pub enum Live<'g> {
    /// No such key.
    Missing,
    /// The key had expired; it is gone from the table, and its effect is to be propagated.
    Expired(Entry),
    /// The entry.
    Present(EntryMut<'g>),
}

/// Which fields [`Guard::live_hash`] takes out if they have expired.
pub enum DueFields<I> {
    /// Any, but no more than so many.
    UpTo(usize),
    /// These.
    Named(I),
}

impl DueFields<Empty<&'static [u8]>> {
    /// [`Self::UpTo`], without the names that it has no use for.
    pub fn up_to(max: usize) -> Self {
        Self::UpTo(max)
    }
}

/// What [`Guard::live_hash`] found. Fields that it took out come with their names; their effect is to be propagated.
pub enum LiveHash<'g> {
    /// No such key.
    Missing,
    /// The key had expired, as in [`Live::Expired`].
    Expired(Entry),
    /// The key holds something else.
    OtherType,
    /// No field was left, so the key is gone from the table.
    Emptied(Entry, Vec<Vec<u8>>),
    /// The hash.
    Present(ValueMut<'g, Hash>, Vec<Vec<u8>>),
}

/// An entry that may be changed. What happens to its expiry and to its size is booked in its stripe and its database.
pub struct EntryMut<'g> {
    entry: &'g mut Entry,
    database: &'g Database,
    stripe: usize,
    inner: *mut Inner,
}

impl<'g> EntryMut<'g> {
    /// # Safety
    /// `inner` belongs to the stripe, which is held exclusively for `'g`; nobody else uses its counts of what expires
    /// meanwhile, nor the entry.
    unsafe fn new(entry: &'g mut Entry, database: &'g Database, stripe: usize, inner: *mut Inner, epoch: u16) -> Self {
        database.walks().stamp(stripe, entry, epoch);
        Self { entry, database, stripe, inner }
    }

    /// See [`Entry::set_expiry`].
    pub fn set_expiry(&mut self, expiry: Option<i64>) {
        let before = self.entry.expiry();
        self.entry.set_expiry(expiry);
        self.book_expiry(before);
    }

    /// See [`Entry::set_string`].
    pub fn set_string(&mut self, value: &[u8], expiry: Option<i64>) {
        let before = self.entry.expiry();
        if self.entry.overwrite(value, expiry) {
            // Its length is the same, and either both have an expiry or neither has.
            if before.is_none() {
                return;
            }
        } else {
            let size = self.entry.size_bin();
            self.entry.set_string(value, expiry);
            self.book_size(size);
        }
        self.book_expiry(before);
    }

    /// See [`Entry::set_int`].
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        match self.entry.int_mut() {
            Some(int) if Bin::is_shared(*int, value) => *int = value,
            _ => self.set_int_and_book(value),
        }
    }

    #[inline(never)]
    fn set_int_and_book(&mut self, value: i64) {
        let size = self.entry.size_bin();
        self.entry.set_int(value);
        self.book_size(size);
    }

    /// See [`Entry::string_mut`].
    pub fn string_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        let (database, size) = (self.database, self.entry.size_bin());
        let bytes = self.entry.string_mut(len)?;
        database.sizes().moved(size, Some(Bin::of_string(bytes.len())));
        Some(bytes)
    }

    /// The value, if it is of this type.
    #[inline]
    pub fn into_value<T: Boxed>(self) -> Option<ValueMut<'g, T>> {
        let size = self.entry.size_bin();
        (self.kind() == T::KIND).then_some(ValueMut { entry: self, size, of: PhantomData })
    }

    /// See [`Entry::replace_with`].
    pub fn replace_with(&mut self, new: Entry) -> Entry {
        let (before, size) = (self.entry.expiry(), self.entry.size_bin());
        let old = self.entry.replace_with(new);
        self.book_expiry(before);
        self.book_size(size);
        old
    }

    /// Books what has become of the entry, whose expiry was `before`.
    #[inline]
    fn book_expiry(&mut self, before: Option<i64>) {
        // SAFETY: promised to `new`.
        let inner = unsafe { &mut *self.inner };
        self.database.rebook(self.stripe, inner, before, self.entry);
    }

    /// Books how large the value is now, whose bin was `before`.
    #[inline]
    fn book_size(&self, before: Option<Bin>) {
        self.database.sizes().moved(before, self.entry.size_bin());
    }
}

impl Deref for EntryMut<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.entry
    }
}

/// A value that may be changed. Its new size, and what happens to the expiries of a hash's fields, are booked when this
/// goes; so it goes before its key is looked at again.
pub struct ValueMut<'g, T: Boxed> {
    /// Its value is a `T`.
    entry: EntryMut<'g>,
    /// The bin that the value is booked in.
    size: Option<Bin>,
    of: PhantomData<&'g mut T>,
}

impl<T: Boxed> ValueMut<'_, T> {
    /// See [`Entry::access`].
    pub fn access(&self) -> u32 {
        self.entry.access()
    }

    /// See [`Entry::set_access`].
    pub fn set_access(&self, clock: u32) {
        self.entry.set_access(clock);
    }
}

impl ValueMut<'_, Hash> {
    /// Removes those of `due` that have expired and returns their names.
    fn remove_due<'f>(&mut self, now_ms: i64, due: DueFields<impl Iterator<Item = &'f [u8]>>) -> Vec<Vec<u8>> {
        let now_ms = now_ms.max(0) as u64;
        if self.next_expiry().is_none_or(|next| next >= now_ms) {
            return Vec::new();
        }
        match due {
            DueFields::UpTo(max) => self.remove_expired(now_ms, max),
            DueFields::Named(fields) => fields
                .filter(|field| self.has_expired(field, now_ms) && self.remove(field))
                .map(<[u8]>::to_vec)
                .collect(),
        }
    }
}

impl<T: Boxed> Deref for ValueMut<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.entry.get().expect("the entry holds a value of this type")
    }
}

impl<T: Boxed> DerefMut for ValueMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.entry.entry.get_mut().expect("the entry holds a value of this type")
    }
}

impl<T: Boxed> Drop for ValueMut<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let expiry = self.entry.expiry();
        self.entry.book_expiry(expiry);
        self.entry.book_size(self.size);
    }
}
