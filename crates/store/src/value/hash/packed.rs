//! The small form of a hash: a listpack of field, value, field, value ... Once a field of it has been given an expiry, each
//! field has a third element, its expiry in milliseconds or 0 for none; then the fields stand in order of expiry, those
//! without one last. Redis calls the two `listpack` and `listpackex` and never goes back from the second to the first.

use std::collections::HashSet;

use super::Entry;
use crate::value::listpack::{Item, Listpack, Position};

/// The small form; see the top of the file. The mark of the listpack's room tells whether it has expiries.
#[derive(Clone)]
#[repr(transparent)]
pub(in crate::value) struct Packed(Listpack);

/// The marks of rooms without and with expiries.
const PLAIN: u8 = 0;
const TIMED: u8 = 1;

impl Packed {
    pub(super) fn new() -> Self {
        Self(Listpack::new())
    }

    /// Fields, no two of which have the same name, with their values.
    pub(super) fn of<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        Self(Listpack::of(pairs.flat_map(|(field, value)| [Item::Bytes(field), Item::Bytes(value)])))
    }

    /// Takes over a listpack from a dump. `None` if elements are missing or a field comes twice, and with `timed` if an expiry
    /// is no positive number or 0, or out of order.
    pub(super) fn from_listpack(listpack: Listpack, timed: bool) -> Option<Self> {
        let packed = Self::marked(listpack, timed);
        if !packed.listpack().len().is_multiple_of(packed.stride()) {
            return None;
        }
        let stride = packed.stride();
        let mut fields = HashSet::new();
        let mut least = 1;
        for (index, (_, item)) in packed.listpack().iter().enumerate() {
            match index % stride {
                0 if !fields.insert(item.to_vec()) => return None,
                2 => match item {
                    Item::Int(0) => least = i64::MAX,
                    Item::Int(expiry) if expiry >= least => least = expiry,
                    _ => return None,
                },
                _ => {}
            }
        }
        Some(packed)
    }

    pub(super) fn listpack(&self) -> &Listpack {
        &self.0
    }

    pub(super) fn is_timed(&self) -> bool {
        self.0.room().mark() == TIMED
    }

    pub(super) fn len(&self) -> usize {
        self.listpack().len() / self.stride()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut items = self.listpack().iter().map(|(_, item)| item);
        std::iter::from_fn(move || {
            let (field, value) = (items.next()?, items.next()?);
            let expiry = if self.is_timed() { expiry_of(items.next()?) } else { None };
            Some(Entry { field, value, expiry })
        })
    }

    pub(super) fn find(&self, field: &[u8]) -> Option<Entry<'_>> {
        self.position(field).map(|position| self.entry_at(position))
    }

    /// The field at `index`.
    pub(super) fn get(&self, index: usize) -> Option<Entry<'_>> {
        self.listpack().seek((index * self.stride()) as isize).map(|position| self.entry_at(position))
    }

    /// Sets a field; true if it is new. Its expiry goes, unless `keep_expiry`.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], keep_expiry: bool) -> bool {
        let Some(position) = self.position(field) else {
            self.push_back(field, value);
            return true;
        };
        if keep_expiry || !self.is_timed() || self.entry_at(position).expiry.is_none() {
            let at = self.after(position);
            self.listpack_mut().replace(at, value);
        } else {
            let stride = self.stride();
            self.listpack_mut().remove_entries(position, stride);
            self.push_back(field, value);
        }
        false
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some(position) = self.position(field) else { return false };
        let stride = self.stride();
        self.listpack_mut().remove_entries(position, stride);
        true
    }

    /// From now on every field has a place for its expiry.
    pub(super) fn make_timed(&mut self) {
        if self.is_timed() {
            return;
        }
        let mut timed = Listpack::with_capacity(self.listpack().bytes_len() + 2 * self.len());
        for entry in self.iter() {
            timed.push_back_item(entry.field);
            timed.push_back_item(entry.value);
            timed.push_back_int(0);
        }
        *self = Self::marked(timed, true);
    }

    /// Gives a field that is there an expiry, or takes it away, and moves the field to its place: before those that expire at
    /// the same time or later, or to the end. The form is timed.
    pub(super) fn set_expiry(&mut self, field: &[u8], expiry: Option<u64>) {
        let position = self.position(field).expect("the field is there");
        let value = self.entry_at(position).value.to_vec();
        let stride = self.stride();
        self.listpack_mut().remove_entries(position, stride);
        let (Some(at), Some(expiry)) = (expiry.and_then(|expiry| self.first_from(expiry)), expiry) else {
            self.listpack_mut().push_back(field);
            self.listpack_mut().push_back(&value);
            self.listpack_mut().push_back_int(expiry.map_or(0, stored));
            return;
        };
        let at = self.listpack_mut().insert_before(at, field);
        let at = self.listpack_mut().insert_after(at, &value);
        self.listpack_mut().insert_item_after(at, Item::Int(stored(expiry)));
    }

    /// The earliest expiry.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        if self.is_timed() { self.iter().next()?.expiry } else { None }
    }

    /// How many fields have expired; they are the first.
    pub(super) fn expired(&self, now_ms: u64) -> usize {
        if self.is_timed() { self.iter().take_while(|entry| entry.is_expired(now_ms)).count() } else { 0 }
    }

    /// Removes up to `limit` expired fields and returns their names.
    pub(super) fn remove_expired(&mut self, now_ms: u64, limit: usize) -> Vec<Vec<u8>> {
        let names: Vec<_> =
            self.iter().take(self.expired(now_ms).min(limit)).map(|entry| entry.field.to_vec()).collect();
        let stride = self.stride();
        self.listpack_mut().remove_range(0, names.len() * stride);
        names
    }

    fn listpack_mut(&mut self) -> &mut Listpack {
        &mut self.0
    }

    fn marked(mut listpack: Listpack, timed: bool) -> Self {
        listpack.set_mark(if timed { TIMED } else { PLAIN });
        Self(listpack)
    }

    fn stride(&self) -> usize {
        2 + usize::from(self.is_timed())
    }

    fn position(&self, field: &[u8]) -> Option<Position> {
        self.listpack().find(field, self.stride() - 1)
    }

    fn entry_at(&self, position: Position) -> Entry<'_> {
        let value = self.after(position);
        let expiry = if self.is_timed() { expiry_of(self.listpack().at(self.after(value))) } else { None };
        Entry { field: self.listpack().at(position), value: self.listpack().at(value), expiry }
    }

    fn after(&self, position: Position) -> Position {
        self.listpack().next(position).expect("a field has all its elements")
    }

    fn push_back(&mut self, field: &[u8], value: &[u8]) {
        let (field, value) = (Item::Bytes(field), Item::Bytes(value));
        if self.is_timed() {
            self.listpack_mut().push_back_items([field, value, Item::Int(0)]);
        } else {
            self.listpack_mut().push_back_items([field, value]);
        }
    }

    /// The first field that expires at `expiry` or later, or never.
    fn first_from(&self, expiry: u64) -> Option<Position> {
        let index = self.iter().take_while(|entry| entry.expiry.is_some_and(|other| other < expiry)).count();
        self.listpack().seek((index * self.stride()) as isize)
    }
}

fn expiry_of(item: Item<'_>) -> Option<u64> {
    item.as_int().and_then(|expiry| u64::try_from(expiry).ok()).filter(|expiry| *expiry > 0)
}

/// Expiries are at most [`super::EXPIRY_MAX`], so they fit.
fn stored(expiry: u64) -> i64 {
    i64::try_from(expiry).expect("an expiry is below 2^46")
}
