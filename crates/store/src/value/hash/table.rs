//! The general form of a hash. A field is one allocation (`thin.rs`): its name as the first string, its value as the second. The
//! mark says that the field has an expiry, whose eight bytes then stand before the value.
//!
//! Fields with an expiry stand in an ordered set of (expiry, hash of the name) too: 16 bytes and the set's overhead for each
//! of them, nothing for the others. The earliest is then known, and expired fields are found without a walk.

use std::collections::BTreeSet;

use super::Entry;
use crate::dict::Dict;
use crate::hash::hash_bytes;
use crate::value::listpack::Item;
use crate::value::thin::ThinPair;

/// The general form; see the top of the file.
#[derive(Default)]
pub(super) struct Table {
    fields: Dict<ThinPair>,
    /// (expiry, hash of the name) of each field that has an expiry. Should two fields share both, they share the element: they
    /// then expire together, or one of them only when it is next looked at.
    expiries: BTreeSet<(u64, u64)>,
}

/// A field's allocation, taken apart.
struct Parts<'a> {
    name: &'a [u8],
    value: &'a [u8],
    expiry: Option<u64>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.fields.iter().map(entry)
    }

    pub(super) fn find(&self, field: &[u8]) -> Option<Entry<'_>> {
        self.fields.find(hash_bytes(field), |item| item.first() == field).map(entry)
    }

    /// Adds a field that is not there yet.
    pub(super) fn insert_new(&mut self, entry: Entry<'_>) {
        let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
        let name = entry.field.bytes(&mut name);
        let hash = hash_bytes(name);
        self.fields.insert_unique(hash, item(name, entry.value.bytes(&mut value), entry.expiry), rehash);
        self.expiries.extend(entry.expiry.map(|expiry| (expiry, hash)));
    }

    /// Sets a field; true if it is new. Its expiry goes, unless `keep_expiry`.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], keep_expiry: bool) -> bool {
        let hash = hash_bytes(field);
        let Some(item) = self.fields.find_mut(hash, |item| item.first() == field) else {
            self.fields.insert_unique(hash, item(field, value, None), rehash);
            return true;
        };
        let before = parts(item);
        let (same_size, expiry) = (before.value.len() == value.len(), before.expiry);
        if same_size && (keep_expiry || expiry.is_none()) {
            let second = item.second_mut();
            let start = second.len() - value.len();
            second[start..].copy_from_slice(value);
            return false;
        }
        *item = self::item(field, value, if keep_expiry { expiry } else { None });
        if let Some(expiry) = expiry.filter(|_| !keep_expiry) {
            self.expiries.remove(&(expiry, hash));
        }
        false
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let hash = hash_bytes(field);
        let Some(item) = self.fields.remove(hash, |item| item.first() == field, rehash) else { return false };
        if let Some(expiry) = parts(&item).expiry {
            self.expiries.remove(&(expiry, hash));
        }
        true
    }

    /// Gives a field that is there an expiry, or takes it away.
    pub(super) fn set_expiry(&mut self, field: &[u8], expiry: Option<u64>) {
        let hash = hash_bytes(field);
        let item = self.fields.find_mut(hash, |item| item.first() == field).expect("the field is there");
        let before = parts(item);
        if let Some(old) = before.expiry {
            self.expiries.remove(&(old, hash));
        }
        self.expiries.extend(expiry.map(|expiry| (expiry, hash)));
        *item = self::item(before.name, before.value, expiry);
    }

    /// The earliest expiry.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(expiry, _)| *expiry)
    }

    /// How many fields have expired.
    pub(super) fn expired(&self, now_ms: u64) -> usize {
        self.expiries.range(..(now_ms, 0)).count()
    }

    /// Removes up to `limit` expired fields and returns their names.
    pub(super) fn remove_expired(&mut self, now_ms: u64, limit: usize) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        while names.len() < limit
            && let Some(&(expiry, hash)) = self.expiries.first()
            && expiry < now_ms
        {
            self.expiries.pop_first();
            // All fields that share the element, which is one field unless two names have the same hash.
            while let Some(item) = self.fields.remove(hash, |item| is_due(item, expiry, hash), rehash) {
                names.push(item.first().to_vec());
            }
        }
        names
    }

    /// Any field, expired ones included.
    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<Entry<'_>> {
        self.fields.random(rng).map(entry)
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        self.fields.scan(cursor, count, |item| visit(entry(item)))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let items: usize = self.fields.iter().map(ThinPair::memory_bytes).sum();
        // A B-tree node of the standard library is on average about three quarters full.
        size_of::<Self>() + self.fields.memory_bytes() + items + self.expiries.len() * size_of::<(u64, u64)>() * 4 / 3
    }
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let mut fields = Dict::new();
        for item in self.fields.iter() {
            fields.insert_unique(rehash(item), item.clone(), rehash);
        }
        Self { fields, expiries: self.expiries.clone() }
    }
}

fn item(name: &[u8], value: &[u8], expiry: Option<u64>) -> ThinPair {
    match expiry {
        None => ThinPair::new(name, &[value], false),
        Some(expiry) => ThinPair::new(name, &[&expiry.to_le_bytes(), value], true),
    }
}

fn parts(item: &ThinPair) -> Parts<'_> {
    let (name, second) = (item.first(), item.second());
    if !item.is_marked() {
        return Parts { name, value: second, expiry: None };
    }
    let (expiry, value) = second.split_first_chunk().expect("a marked field has an expiry");
    Parts { name, value, expiry: Some(u64::from_le_bytes(*expiry)) }
}

fn entry(item: &ThinPair) -> Entry<'_> {
    let Parts { name, value, expiry } = parts(item);
    Entry { field: Item::Bytes(name), value: Item::Bytes(value), expiry }
}

fn is_due(item: &ThinPair, expiry: u64, hash: u64) -> bool {
    parts(item).expiry == Some(expiry) && rehash(item) == hash
}

fn rehash(item: &ThinPair) -> u64 {
    hash_bytes(item.first())
}
