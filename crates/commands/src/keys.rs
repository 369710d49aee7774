//! The keys of one command: its guard, the time, and notes of what happens to them.
//!
//! Expired keys are never seen by a handler. A write takes them out on the way; a read hides them and leaves a note, so
//! that the pipeline removes them once the read's guard is gone.

use smallvec::SmallVec;
use store::entry::{Boxed, Entry};
use store::gate::Section;
use store::guard::{DueFields, EntryMut, Guard, Key, Live, LiveHash, ValueMut};
use store::keyspace::Keyspace;
use store::stripe::Mode;
use store::value::Str;
use store::value::hash::Hash;

use crate::access::Access;
use crate::effect::{Change, Class};
use crate::error::{Result, WRONG_TYPE};

/// See [`Keys::let_nothing_expire`].
const NOTHING_EXPIRES: i64 = i64::MIN;

/// See the file's head.
pub struct Keys<'g> {
    guard: Guard<'g>,
    /// The selected database.
    pub db: u32,
    /// The time that this command runs at, in milliseconds since 1970.
    pub now_ms: i64,
    /// The time by which keys and fields are judged to have expired: the same, but for the applier of a primary's stream,
    /// to whom nothing has ([`NOTHING_EXPIRES`]), because its primary says when they go.
    judged_ms: i64,
    /// How uses are stamped into entries; eviction reads it.
    access: Access,
    /// Whether looks at entries count as uses, which a client may have asked them not to.
    touches: bool,
    /// Whether anybody wants to hear of changes by key; else they are only counted.
    pub(crate) observed: bool,
    /// A key whose hash is known.
    known: Option<Key<'g>>,
    pub(crate) notes: Notes,
}

/// What has happened to the keys so far. Most commands leave nothing but counts, so the rest is boxed.
#[derive(Default)]
pub(crate) struct Notes {
    /// Changes, for `rdb_changes_since_last_save`.
    pub(crate) dirty: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) rest: Option<Box<Rest>>,
}

/// The rarer part of [`Notes`].
#[derive(Default)]
pub(crate) struct Rest {
    pub(crate) changes: Vec<Change>,
    /// Keys that are as they were for those who watch them, but not for those who wait for them.
    pub(crate) ready: Vec<(u32, Box<[u8]>)>,
    /// Keys that a write found expired and took out.
    pub(crate) expired: SmallVec<[(u32, Box<[u8]>); 1]>,
    /// Keys that a read found expired and hid.
    pub(crate) hidden: SmallVec<[(u32, Box<[u8]>); 1]>,
    /// Fields that a write found expired and took out; their events stand in `changes`.
    pub(crate) expired_fields: Vec<ExpiredFields>,
    /// Fields that a read found expired and hid.
    pub(crate) hidden_fields: Vec<HiddenFields>,
    /// Values taken out, to be freed after the guard.
    pub(crate) garbage: SmallVec<[Entry; 1]>,
}

/// Expired fields of one hash that were taken out.
pub(crate) struct ExpiredFields {
    pub(crate) db: u32,
    pub(crate) key: Box<[u8]>,
    pub(crate) fields: Vec<Vec<u8>>,
}

/// Expired fields of one hash that were hidden; without names all of its fields that have expired.
pub(crate) struct HiddenFields {
    pub(crate) db: u32,
    pub(crate) key: Box<[u8]>,
    pub(crate) fields: Option<Vec<Box<[u8]>>>,
}

impl Notes {
    pub(crate) fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Counts a look as a hit or a miss, and notes the event of a miss.
    #[inline]
    fn looked(&mut self, found: Option<&Entry>, db: u32, key: &[u8], observed: bool) {
        if found.is_some() {
            self.hits += 1;
            return;
        }
        self.misses += 1;
        if observed {
            let (key, class) = (key.into(), Class::KEY_MISS);
            self.rest().changes.push(Change { db, key, class, event: "keymiss", modified: false });
        }
    }

    /// Notes expired fields that were taken out, and the key with them if they were the last.
    fn fields_expired(&mut self, db: u32, key: &[u8], fields: Vec<Vec<u8>>, emptied: bool, observed: bool) {
        let rest = self.rest();
        if observed {
            rest.changes.extend(field_expiry_events(db, key, emptied));
        }
        rest.expired_fields.push(ExpiredFields { db, key: key.into(), fields });
    }
}

impl<'g> Keys<'g> {
    /// `touches` says whether reads count as accesses.
    #[inline]
    pub(crate) fn new(guard: Guard<'g>, db: u32, now_ms: i64, access: Access, touches: bool, observed: bool) -> Self {
        Self { guard, db, now_ms, judged_ms: now_ms, access, touches, observed, known: None, notes: Notes::default() }
    }

    /// Takes over the hash of a key that was computed before.
    #[inline]
    pub(crate) fn know(&mut self, key: Option<Key<'g>>) {
        self.known = key;
    }

    /// A key with its hash. It is not computed for the one that is known, which is told by where it lies.
    #[inline]
    fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        match self.known {
            Some(known) if known.bytes.as_ptr() == bytes.as_ptr() && known.bytes.len() == bytes.len() => {
                Key { bytes, hash: known.hash }
            }
            _ => Key::new(bytes),
        }
    }

    /// Gives the guard back, where nothing was noted but counts: to look for more would be a call.
    #[inline(always)]
    pub(crate) fn release(self) {
        let Self { guard, notes: Notes { rest, .. }, .. } = self;
        debug_assert!(rest.is_none());
        drop(guard);
        std::mem::forget(rest);
    }

    /// Sees nothing as expired from now on.
    pub(crate) fn let_nothing_expire(&mut self) {
        self.judged_ms = NOTHING_EXPIRES;
    }

    /// Takes a later time.
    pub(crate) fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.judged_ms = now_ms;
    }

    /// The time by which keys are judged to have expired. A command that sets a deadline which is not beyond it deletes
    /// instead.
    pub fn judged_ms(&self) -> i64 {
        self.judged_ms
    }

    /// Says whether reads count as accesses from now on, and returns whether they did.
    pub(crate) fn set_touches(&mut self, touches: bool) -> bool {
        std::mem::replace(&mut self.touches, touches)
    }

    /// A key's entry for reading; counts as an access.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<&Entry> {
        let entry = live(&self.guard, self.db, self.key(key), self.judged_ms, &mut self.notes);
        self.notes.looked(entry, self.db, key, self.observed);
        if let Some(entry) = entry.filter(|_| self.touches) {
            entry.set_access(self.access.used(entry.access()));
        }
        entry
    }

    /// A key's entry for a look that counts as a hit or a miss but not as an access: TYPE, TTL, EXISTS.
    #[inline]
    pub fn look(&mut self, key: &[u8]) -> Option<&Entry> {
        let entry = live(&self.guard, self.db, self.key(key), self.judged_ms, &mut self.notes);
        self.notes.looked(entry, self.db, key, self.observed);
        entry
    }

    /// The same without an event for a miss: OBJECT.
    pub fn inspect(&mut self, key: &[u8]) -> Option<&Entry> {
        let entry = live(&self.guard, self.db, self.key(key), self.judged_ms, &mut self.notes);
        self.notes.looked(entry, self.db, key, false);
        entry
    }

    /// Notes an expired key that a walk of the keyspace has met outside of this guard: it was not shown to the client,
    /// and the pipeline removes it once no guard is held.
    pub fn hide(&mut self, key: &[u8]) {
        self.notes.rest().hidden.push((self.db, key.into()));
    }

    /// A key's entry for a look that leaves no trace.
    #[inline]
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        live(&self.guard, self.db, self.key(key), self.judged_ms, &mut self.notes)
    }

    /// The same in another database.
    pub fn peek_in(&mut self, db: u32, key: &[u8]) -> Option<&Entry> {
        live(&self.guard, db, self.key(key), self.judged_ms, &mut self.notes)
    }

    /// Whatever the key holds, even if it has expired: for DEBUG and MEMORY, which look at what is in memory.
    pub fn raw(&self, key: &[u8]) -> Option<&Entry> {
        self.guard.get(self.db, self.key(key))
    }

    /// Whether there is no such key that has not expired; false for one that is not held.
    pub(crate) fn is_missing(&self, key: &[u8]) -> bool {
        let found = self.guard.get(self.db, self.key(key));
        found.is_none_or(|entry| entry.is_expired(self.judged_ms))
    }

    /// Whether a key of the selected database is held.
    pub(crate) fn holds(&self, key: &[u8]) -> bool {
        self.guard.holds(self.db, Key::new(key).hash)
    }

    /// Entries for reading, all at hand together; `None` where a key is missing. `fits` judges their types, one key after the
    /// other. A command that is a write takes expired ones out; another one hides them.
    pub fn entries<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        write: bool,
        fits: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Option<&Entry>>> {
        for key in keys.clone() {
            if write {
                self.write(key);
            }
            if !self.read(key).is_none_or(&fits) {
                return Err(WRONG_TYPE);
            }
        }
        let (guard, db, judged_ms) = (&self.guard, self.db, self.judged_ms);
        Ok(keys.map(|key| guard.get(db, Key::new(key)).filter(|entry| !entry.is_expired(judged_ms))).collect())
    }

    /// Whether a key is there but has expired.
    pub fn is_expired(&self, key: &[u8]) -> bool {
        Self::has_expired(&self.guard, self.db, key, self.judged_ms)
    }

    pub(crate) fn has_expired(guard: &Guard<'_>, db: u32, key: &[u8], now_ms: i64) -> bool {
        guard.get(db, Key::new(key)).is_some_and(|entry| entry.is_expired(now_ms))
    }

    /// Shows a key of the selected database that the plan does not name, because only data names it; counts as an access.
    /// Its guard is taken for this look alone. That is no danger to the lock order while the section is exclusive: others
    /// that hold a stripe then (walkers) hold one at a time and wait for none.
    ///
    /// # Panics
    /// When the section is not exclusive.
    pub fn read_unplanned<R>(
        &mut self,
        keyspace: &Keyspace,
        section: &Section<'_>,
        key: &[u8],
        show: impl FnOnce(Option<&Entry>) -> R,
    ) -> R {
        assert!(section.is_exclusive(), "keys beyond the plan are looked at under the exclusive gate only");
        let hash = Key::new(key).hash;
        if self.guard.holds(self.db, hash) {
            return show(self.read(key));
        }
        let guard = keyspace.lock_one(section, self.db, hash, Mode::Shared);
        let entry = live(&guard, self.db, Key { bytes: key, hash }, self.judged_ms, &mut self.notes);
        self.notes.looked(entry, self.db, key, self.observed);
        if let Some(entry) = entry.filter(|_| self.touches) {
            entry.set_access(self.access.used(entry.access()));
        }
        show(entry)
    }

    /// A string for reading.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Str<'_>>> {
        match self.read(key) {
            None => Ok(None),
            Some(entry) => entry.as_str().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// A value of one of the boxed types for reading.
    #[inline]
    pub fn value<T: Boxed>(&mut self, key: &[u8]) -> Result<Option<&T>> {
        match self.read(key) {
            None => Ok(None),
            Some(entry) => entry.get::<T>().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// A key's entry for changing; whoever changes it calls [`Self::changed`].
    #[inline]
    pub fn write(&mut self, key: &[u8]) -> Option<EntryMut<'_>> {
        self.write_in(self.db, key)
    }

    /// The same in another database.
    #[inline]
    pub fn write_in(&mut self, db: u32, key: &[u8]) -> Option<EntryMut<'_>> {
        let looked_up = self.key(key);
        match self.guard.live_mut(db, looked_up, self.judged_ms) {
            Live::Present(entry) => {
                if self.touches {
                    entry.set_access(self.access.used(entry.access()));
                }
                Some(entry)
            }
            Live::Missing => None,
            Live::Expired(entry) => {
                self.notes.rest().expired.push((db, key.into()));
                self.notes.rest().garbage.push(entry);
                None
            }
        }
    }

    /// The same for a command that shows what it finds as well (GETEX, SET with GET): a hit or a miss.
    pub fn read_to_write(&mut self, key: &[u8]) -> Option<EntryMut<'_>> {
        let found = self.guard.get(self.db, self.key(key)).filter(|entry| !entry.is_expired(self.judged_ms));
        self.notes.looked(found, self.db, key, self.observed);
        self.write(key)
    }

    /// Values of one of the boxed types for reading, all at hand together; `None` where a key is missing. Expired keys are
    /// taken out if the command is a write, and hidden if it is not.
    pub fn values<'k, T: Boxed>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        write: bool,
    ) -> Result<Vec<Option<&T>>> {
        for key in keys.clone() {
            let wrong = if write {
                self.read_to_write(key).is_some_and(|entry| entry.get::<T>().is_none())
            } else {
                self.read(key).is_some_and(|entry| entry.get::<T>().is_none())
            };
            if wrong {
                return Err(WRONG_TYPE);
            }
        }
        let (guard, db, judged_ms) = (&self.guard, self.db, self.judged_ms);
        let value = |key| guard.get(db, Key::new(key)).filter(|entry| !entry.is_expired(judged_ms))?.get::<T>();
        Ok(keys.map(value).collect())
    }

    /// The time as hashes take it.
    pub fn now_for_fields(&self) -> u64 {
        self.judged_ms.max(0) as u64
    }

    /// A hash for reading, with the fields that have expired; every look at one is given the time.
    #[inline]
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<&Hash>> {
        self.value(key)
    }

    /// Notes that a read has met expired fields of a hash and hidden them, or (without names) any of its fields: the
    /// pipeline removes them together, which is one event, once no guard is held.
    pub fn hide_fields(&mut self, key: &[u8], fields: Option<Vec<Box<[u8]>>>) {
        let (db, key) = (self.db, key.into());
        self.notes.rest().hidden_fields.push(HiddenFields { db, key, fields });
    }

    /// A hash for changing, in which none of `fields` has expired: whoever changes a field finds it live or missing. Others that
    /// have expired stay, as in Redis.
    pub fn hash_mut<'f>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'f [u8]>,
    ) -> Result<Option<ValueMut<'_, Hash>>> {
        let looked_up = self.key(key);
        let (db, notes, observed) = (self.db, &mut self.notes, self.observed);
        match self.guard.live_hash(db, looked_up, self.judged_ms, DueFields::Named(fields)) {
            LiveHash::Missing => Ok(None),
            LiveHash::OtherType => Err(WRONG_TYPE),
            LiveHash::Expired(entry) => {
                notes.rest().expired.push((db, key.into()));
                notes.rest().garbage.push(entry);
                Ok(None)
            }
            LiveHash::Emptied(entry, fields) => {
                notes.fields_expired(db, key, fields, true, observed);
                notes.rest().garbage.push(entry);
                Ok(None)
            }
            LiveHash::Present(hash, fields) => {
                if self.touches {
                    hash.set_access(self.access.used(hash.access()));
                }
                if !fields.is_empty() {
                    notes.fields_expired(db, key, fields, false, observed);
                }
                Ok(Some(hash))
            }
        }
    }

    /// A value of one of the boxed types for changing.
    #[inline]
    pub fn value_mut<T: Boxed>(&mut self, key: &[u8]) -> Result<Option<ValueMut<'_, T>>> {
        match self.write(key) {
            None => Ok(None),
            Some(entry) => entry.into_value::<T>().map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// A value of one of the boxed types for changing, created empty if the key is missing.
    pub fn value_or_new<T: Boxed + Default>(&mut self, key: &[u8]) -> Result<ValueMut<'_, T>> {
        if self.write(key).is_none() {
            self.insert(key, Entry::boxed(key, T::default(), None));
        }
        Ok(self.value_mut(key)?.expect("inserted just now"))
    }

    /// Notes an expired entry that was taken out outside of this guard; it goes into the log as if a write of this
    /// command had met it.
    pub(crate) fn expired(&mut self, db: u32, key: &[u8], entry: Entry) {
        self.notes.rest().expired.push((db, key.into()));
        self.notes.rest().garbage.push(entry);
    }

    /// Puts an entry in the place of whatever the key held.
    pub fn put(&mut self, key: &[u8], entry: Entry) {
        self.put_in(self.db, key, entry);
    }

    /// The same in another database.
    pub fn put_in(&mut self, db: u32, key: &[u8], entry: Entry) {
        if let Some(mut old) = self.write_in(db, key) {
            let old = old.replace_with(entry);
            self.notes.rest().garbage.push(old);
            return;
        }
        self.insert_in(db, key, entry);
    }

    /// Inserts an entry whose key is known to be absent.
    pub fn insert(&mut self, key: &[u8], entry: Entry) {
        self.insert_in(self.db, key, entry);
    }

    /// The same in another database.
    pub fn insert_in(&mut self, db: u32, key: &[u8], entry: Entry) {
        // A new entry begins its life now, even if its client's accesses do not count.
        entry.set_access(self.access.fresh());
        self.settle_in(db, key, entry);
    }

    /// Inserts an entry under a key that is known to be absent, with the access clock that it has: RESTORE was told one.
    pub fn settle_in(&mut self, db: u32, key: &[u8], entry: Entry) {
        debug_assert_eq!(entry.key(), key);
        if self.observed {
            self.notes.rest().changes.push(Change {
                db,
                key: key.into(),
                class: Class::NEW,
                event: "new",
                modified: false,
            });
        }
        let hash = self.key(key).hash;
        self.guard.insert(db, hash, entry);
    }

    /// Takes a key out; whoever does so calls [`Self::changed`]. The entry is freed after the guard unless it is kept.
    pub fn take(&mut self, key: &[u8]) -> Option<Entry> {
        self.take_in(self.db, key)
    }

    /// The same in another database.
    pub fn take_in(&mut self, db: u32, key: &[u8]) -> Option<Entry> {
        self.write_in(db, key)?;
        let key = self.key(key);
        self.guard.remove(db, key)
    }

    /// Removes a key; whoever does so calls [`Self::changed`].
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.delete_in(self.db, key)
    }

    /// The same in another database.
    pub fn delete_in(&mut self, db: u32, key: &[u8]) -> bool {
        let entry = self.take_in(db, key);
        let found = entry.is_some();
        self.notes.rest().garbage.extend(entry);
        found
    }

    /// Notes that a key of the selected database has changed, and the event for it.
    #[inline]
    pub fn changed(&mut self, key: &[u8], class: Class, event: &'static str) {
        self.changed_in(self.db, key, class, event);
    }

    /// The same in another database.
    #[inline]
    pub fn changed_in(&mut self, db: u32, key: &[u8], class: Class, event: &'static str) {
        self.notes.dirty += 1;
        self.note(db, key, class, event, true);
    }

    /// Notes that a key has changed by a change that is counted already: the other key of a RENAME, say. The event may be
    /// empty, which is none.
    pub fn changed_too(&mut self, db: u32, key: &[u8], class: Class, event: &'static str) {
        self.note(db, key, class, event, true);
    }

    /// Notes an event, without counting a change.
    #[inline]
    pub fn event(&mut self, key: &[u8], class: Class, event: &'static str) {
        self.note(self.db, key, class, event, false);
    }

    /// Has those looked at who wait for a key of the selected database, though the key itself has not changed.
    pub fn ready(&mut self, key: &[u8]) {
        if self.observed {
            self.notes.rest().ready.push((self.db, key.into()));
        }
    }

    /// Counts further changes to keys that are noted already.
    pub fn add_dirty(&mut self, changes: u64) {
        self.notes.dirty += changes;
    }

    #[inline]
    fn note(&mut self, db: u32, key: &[u8], class: Class, event: &'static str, modified: bool) {
        if self.observed {
            self.notes.rest().changes.push(Change { db, key: key.into(), class, event, modified });
        }
    }
}

/// The events of a hash that has lost expired fields.
pub(crate) fn field_expiry_events(db: u32, key: &[u8], emptied: bool) -> impl Iterator<Item = Change> {
    let event = |class, event| Change { db, key: key.into(), class, event, modified: true };
    std::iter::once(event(Class::HASH, "hexpired")).chain(emptied.then(|| event(Class::GENERIC, "del")))
}

#[inline]
fn live<'a>(guard: &'a Guard<'_>, db: u32, key: Key<'_>, now_ms: i64, notes: &mut Notes) -> Option<&'a Entry> {
    let entry = guard.get(db, key)?;
    if entry.is_expired(now_ms) {
        notes.rest().hidden.push((db, key.bytes.into()));
        return None;
    }
    Some(entry)
}
