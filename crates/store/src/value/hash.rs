//! The hash: fields with values, any of which may expire by itself.
//!
//! Small ones are a listpack, general ones a hash table with one allocation for each field (`hash/packed.rs` and
//! `hash/table.rs`). An expiry is an absolute time in milliseconds; a field lives through the millisecond of its expiry.
//!
//! Nothing here reads a clock. Reads that take `now_ms` hide expired fields, which stay until [`Hash::remove_expired`]; whoever
//! must see everything (a replica's applier, a loader, a dump) passes 0. Writes take fields as they stand: a command that
//! holds the hash exclusively first removes those of its fields that have expired, since their removal has to be propagated.

mod packed;
mod table;

use std::collections::HashSet;
use std::fmt;

use fastrand::Rng;

pub(super) use self::packed::Packed;
use self::table::Table;
use super::listpack::{Item, Listpack};
use super::room::{Compact, View};
use super::{Encoding, Limits};

/// The greatest expiry of a field, in milliseconds since 1970: Redis's bound, a quarter of what its 48 bits can tell.
pub const EXPIRY_MAX: u64 = (1 << 46) - 1;

/// How often a random field is drawn again when an expired or a known one came up, for each that is wanted, before all
/// fields are walked instead.
const REDRAWS_MAX: usize = 16;

/// A hash; see the top of the file.
#[derive(Clone)]
#[repr(transparent)]
pub struct Hash(Compact<Packed, Table>);

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name.
    pub field: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it expires, in milliseconds since 1970.
    pub expiry: Option<u64>,
}

impl Entry<'_> {
    /// Whether the field's time is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expiry.is_some_and(|expiry| expiry < now_ms)
    }
}

/// What becomes of the expiry of a field whose value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldExpiry {
    /// It goes, as with HSET.
    Clear,
    /// It stays, as with HINCRBY and KEEPTTL.
    Keep,
}

/// When [`Hash::set_expiry`] may set an expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiryCondition {
    /// Always.
    #[default]
    Always,
    /// NX: the field has none.
    Absent,
    /// XX: the field has one.
    Present,
    /// GT: the field has an earlier one; no expiry counts as the latest.
    Later,
    /// LT: the field has a later one or none.
    Earlier,
}

/// What [`Hash::set_expiry`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpirySet {
    /// There is no such field.
    NoField,
    /// The condition does not hold.
    Refused,
    /// The field has the new expiry.
    Set,
    /// The time is already past, so the field was removed.
    Removed,
}

/// The expiry of a field, if there is the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldExpiry {
    /// There is no such field.
    NoField,
    /// The field does not expire.
    Never,
    /// It expires at this time, in milliseconds since 1970.
    At(u64),
}

/// Why a field could not be incremented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncrError {
    /// The value is no 64-bit integer.
    NotAnInteger,
    /// The result would not be a 64-bit integer.
    Overflow,
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    /// An empty hash in its small form.
    pub fn new() -> Self {
        Self(Compact::small(Packed::new()))
    }

    /// A hash of these fields and values, as [`Hash::prepare`] and [`Hash::set`] would make it of an empty one.
    pub fn of<'a, I>(pairs: I, limits: &Limits) -> Self
    where
        I: ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        let longest = pairs.clone().map(|(field, value)| field.len().max(value.len())).max().unwrap_or(0);
        let is_small = !exceeds(pairs.len(), longest, limits);
        let fits = || longest.saturating_mul(2 * pairs.len()) <= Listpack::BYTES_MAX;
        if is_small && fits() && are_distinct(pairs.clone().map(|(field, _)| field)) {
            return Self(Compact::small(Packed::of(pairs)));
        }
        let mut hash = if is_small { Self::new() } else { Self(Compact::large(Table::default())) };
        pairs.for_each(|(field, value)| _ = hash.set(field, value, OldExpiry::Clear, limits));
        hash
    }

    /// Takes over a small form from a dump: field, value; with `timed` field, value, expiry. `None` if it is not one: elements
    /// missing, a field twice, an expiry that is no number or out of order.
    pub fn from_listpack(listpack: Listpack, timed: bool) -> Option<Self> {
        Packed::from_listpack(listpack, timed).map(|packed| Self(Compact::small(packed)))
    }

    /// The small form, as it is dumped; [`Hash::encoding`] tells whether its fields have expiries.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let View::Small(packed) = self.0.view() { Some(packed.listpack()) } else { None }
    }

    /// How many fields there are, expired ones included, as HLEN counts them.
    pub fn len(&self) -> usize {
        match self.0.view() {
            View::Small(packed) => packed.len(),
            View::Large(table) => table.len(),
        }
    }

    /// Whether there is no field, not even an expired one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fields have not expired. Takes time in proportion to those that have.
    pub fn live_len(&self, now_ms: u64) -> usize {
        self.len()
            - match self.0.view() {
                View::Small(packed) => packed.expired(now_ms),
                View::Large(table) => table.expired(now_ms),
            }
    }

    /// The name of the present form.
    pub fn encoding(&self) -> Encoding {
        match self.0.view() {
            View::Small(packed) if packed.is_timed() => Encoding::ListpackEx,
            View::Small(_) => Encoding::Listpack,
            View::Large(_) => Encoding::Hashtable,
        }
    }

    /// Heap bytes, fields included, without the allocator's own overhead. Walks all fields of the general form.
    pub fn memory_bytes(&self) -> usize {
        match self.0.view() {
            View::Small(packed) => packed.listpack().memory_bytes(),
            View::Large(table) => table.memory_bytes(),
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8], now_ms: u64) -> Option<Item<'_>> {
        self.find(field, now_ms).map(|entry| entry.value)
    }

    /// Whether there is this field, but expired, so that reads hide it.
    pub fn has_expired(&self, field: &[u8], now_ms: u64) -> bool {
        // The first look costs nothing where nothing has expired.
        self.next_expiry().is_some_and(|next| next < now_ms)
            && self.find(field, 0).is_some_and(|entry| entry.is_expired(now_ms))
    }

    /// Whether there is this field.
    pub fn contains(&self, field: &[u8], now_ms: u64) -> bool {
        self.find(field, now_ms).is_some()
    }

    /// Turns to the general form if fields that a command is about to set are too many for the small one, or the longest of
    /// their names and values is too long. Called once before a command's [`Hash::set`]s, as in Redis.
    pub fn prepare(&mut self, fields: usize, longest: usize, limits: &Limits) {
        if exceeds(fields, longest, limits) {
            self.unpack();
        }
    }

    /// Sets a field; true if it is new. Converts to the general form where the limits ask for it.
    pub fn set(&mut self, field: &[u8], value: &[u8], old: OldExpiry, limits: &Limits) -> bool {
        if let View::Small(packed) = self.0.view()
            && (field.len().max(value.len()) > limits.hash_max_listpack_value
                || !packed.listpack().fits(field.len() + value.len()))
        {
            self.unpack();
        }
        let keep = old == OldExpiry::Keep;
        match self.0.view_mut() {
            View::Large(table) => table.set(field, value, keep),
            View::Small(packed) => {
                let new = packed.set(field, value, keep);
                if packed.len() > limits.hash_max_listpack_entries {
                    self.unpack();
                }
                new
            }
        }
    }

    /// Removes a field; false if it was not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.0.view_mut() {
            View::Small(packed) => packed.remove(field),
            View::Large(table) => table.remove(field),
        }
    }

    /// Adds `delta` to the integer in a field, 0 if there is none or it has expired; an expiry that is not over stays. Returns
    /// the new value.
    pub fn increment(&mut self, field: &[u8], delta: i64, now_ms: u64, limits: &Limits) -> Result<i64, IncrError> {
        let (current, old) = match self.get(field, now_ms) {
            Some(value) => (value.as_int().ok_or(IncrError::NotAnInteger)?, OldExpiry::Keep),
            None => (0, OldExpiry::Clear),
        };
        let sum = current.checked_add(delta).ok_or(IncrError::Overflow)?;
        self.set(field, itoa::Buffer::new().format(sum).as_bytes(), old, limits);
        Ok(sum)
    }

    /// All fields that have not expired: small forms in their order, general ones in none.
    pub fn iter(&self, now_ms: u64) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(move |entry| !entry.is_expired(now_ms))
    }

    /// One step of HSCAN: visits about `count` fields, all at once in the small form; returns the next cursor, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, now_ms: u64, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        match self.0.view() {
            View::Small(_) => {
                self.iter(now_ms).for_each(visit);
                0
            }
            View::Large(table) => table.scan(cursor, count, |entry| {
                if !entry.is_expired(now_ms) {
                    visit(entry);
                }
            }),
        }
    }

    /// A field picked about evenly among those that have not expired.
    pub fn random(&self, now_ms: u64, rng: &mut Rng) -> Option<Entry<'_>> {
        match self.0.view() {
            View::Small(packed) => {
                let expired = packed.expired(now_ms);
                if expired == packed.len() { None } else { packed.get(rng.usize(expired..packed.len())) }
            }
            View::Large(table) => {
                let drawn = (0..REDRAWS_MAX).find_map(|_| table.random(rng).filter(|entry| !entry.is_expired(now_ms)));
                drawn.or_else(|| {
                    let live = self.live_len(now_ms);
                    if live == 0 { None } else { self.iter(now_ms).nth(rng.usize(..live)) }
                })
            }
        }
    }

    /// `count` different fields picked about evenly among those that have not expired, or all if there are no more, in no
    /// particular order.
    pub fn random_distinct(&self, count: usize, now_ms: u64, rng: &mut Rng) -> Vec<Entry<'_>> {
        let live = self.live_len(now_ms);
        if count >= live {
            return self.iter(now_ms).collect();
        }
        if let View::Large(table) = self.0.view()
            && count <= self.len() / 4
        {
            let mut picked: HashSet<Vec<u8>> = HashSet::with_capacity(count);
            let mut entries = Vec::with_capacity(count);
            for _ in 0..count.saturating_mul(REDRAWS_MAX) {
                if entries.len() == count {
                    return entries;
                }
                let drawn = table.random(rng).filter(|entry| !entry.is_expired(now_ms));
                entries.extend(drawn.filter(|entry| picked.insert(entry.field.to_vec())));
            }
        }
        // Selection sampling (Knuth, TAOCP 3.4.2, algorithm S): one walk, each field with the chance that is left.
        let mut wanted = count;
        (self.iter(now_ms).enumerate())
            .filter(|(seen, _)| {
                let take = rng.usize(..live - seen) < wanted;
                wanted -= usize::from(take);
                take
            })
            .map(|(_, entry)| entry)
            .collect()
    }

    /// When a field expires.
    pub fn expiry(&self, field: &[u8], now_ms: u64) -> FieldExpiry {
        match self.find(field, now_ms) {
            None => FieldExpiry::NoField,
            Some(entry) => entry.expiry.map_or(FieldExpiry::Never, FieldExpiry::At),
        }
    }

    /// Gives a field an expiry, at most [`EXPIRY_MAX`], if `condition` holds; one that is not after `now_ms` removes the field.
    /// A small form gets room for expiries even if the field is missing or the condition fails, as in Redis.
    pub fn set_expiry(&mut self, field: &[u8], at_ms: u64, condition: ExpiryCondition, now_ms: u64) -> ExpirySet {
        self.make_room_for_expiries();
        let Some(entry) = self.find(field, now_ms) else { return ExpirySet::NoField };
        let allowed = match (condition, entry.expiry) {
            (ExpiryCondition::Always, _)
            | (ExpiryCondition::Absent | ExpiryCondition::Earlier, None)
            | (ExpiryCondition::Present, Some(_)) => true,
            (ExpiryCondition::Later, Some(current)) => at_ms > current,
            (ExpiryCondition::Earlier, Some(current)) => at_ms < current,
            (ExpiryCondition::Absent, Some(_)) | (ExpiryCondition::Present | ExpiryCondition::Later, None) => false,
        };
        if !allowed {
            return ExpirySet::Refused;
        }
        if at_ms <= now_ms {
            self.remove(field);
            return ExpirySet::Removed;
        }
        // 0 means "none" in the small form; as a time it is past for everyone but a loader.
        self.change_expiry(field, Some(at_ms.clamp(1, EXPIRY_MAX)));
        ExpirySet::Set
    }

    /// Gives a small form room for expiries, which [`Hash::set_expiry`] does too.
    pub fn make_room_for_expiries(&mut self) {
        if let View::Small(packed) = self.0.view_mut() {
            packed.make_timed();
        }
    }

    /// Takes a field's expiry away; the result is what it was.
    pub fn persist(&mut self, field: &[u8], now_ms: u64) -> FieldExpiry {
        let before = self.expiry(field, now_ms);
        if let FieldExpiry::At(_) = before {
            self.change_expiry(field, None);
        }
        before
    }

    /// The earliest expiry of a field.
    pub fn next_expiry(&self) -> Option<u64> {
        match self.0.view() {
            View::Small(packed) => packed.next_expiry(),
            View::Large(table) => table.next_expiry(),
        }
    }

    /// Removes up to `limit` expired fields, the earliest first, and returns their names.
    pub fn remove_expired(&mut self, now_ms: u64, limit: usize) -> Vec<Vec<u8>> {
        match self.0.view_mut() {
            View::Small(packed) => packed.remove_expired(now_ms, limit),
            View::Large(table) => table.remove_expired(now_ms, limit),
        }
    }

    /// One more owner of the same fields; whoever changes his hash first makes it his own.
    pub(crate) fn share(&self) -> Self {
        Self(self.0.share())
    }

    fn find(&self, field: &[u8], now_ms: u64) -> Option<Entry<'_>> {
        let entry = match self.0.view() {
            View::Small(packed) => packed.find(field),
            View::Large(table) => table.find(field),
        };
        entry.filter(|entry| !entry.is_expired(now_ms))
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let (packed, table) = match self.0.view() {
            View::Small(packed) => (Some(packed), None),
            View::Large(table) => (None, Some(table)),
        };
        let table = table.into_iter().flat_map(Table::iter);
        packed.into_iter().flat_map(Packed::iter).chain(table)
    }

    fn change_expiry(&mut self, field: &[u8], expiry: Option<u64>) {
        match self.0.view_mut() {
            View::Small(packed) => packed.set_expiry(field, expiry),
            View::Large(table) => table.set_expiry(field, expiry),
        }
    }

    fn unpack(&mut self) {
        if let View::Small(packed) = self.0.view() {
            let mut table = Table::default();
            for entry in packed.iter() {
                table.insert_new(entry);
            }
            self.0 = Compact::large(table);
        }
    }
}

/// Whether no name comes twice. They are few enough for a small form, which compares them one by one as well.
fn are_distinct<'a>(mut names: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
    std::iter::from_fn(|| Some((names.next()?, names.clone())))
        .all(|(name, mut later)| later.all(|other| other != name))
}

/// Whether so many fields, the longest element of which has so many bytes, are too much for the small form.
fn exceeds(fields: usize, longest: usize, limits: &Limits) -> bool {
    fields > limits.hash_max_listpack_entries || longest > limits.hash_max_listpack_value
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries()).finish()
    }
}

#[cfg(test)]
mod tests;
