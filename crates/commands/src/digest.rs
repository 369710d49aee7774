//! DEBUG DIGEST: a fingerprint of the data that does not depend on the order in which it is met.
//!
//! The numbers are Redis's, so that two servers can be compared whatever they are: SHA-1 over each part, joined by
//! exclusive or where the order does not count ([`Digest::add`]), hashed once more where it does ([`Digest::mix`]).

use sha1::{Digest as _, Sha1};
use store::entry::Entry;
use store::value::hash::Hash;
use store::value::list::List;
use store::value::listpack::Item;
use store::value::set::Set;
use store::value::stream::{Stream, StreamId};
use store::value::zset::SortedSet;
use store::value::{Str, ValueType};

/// See the file's head.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest([u8; 20]);

impl Digest {
    /// Adds a part, in no order.
    pub(crate) fn add(&mut self, part: &[u8]) {
        let hash = Sha1::digest(part);
        self.0.iter_mut().zip(hash).for_each(|(byte, hash)| *byte ^= hash);
    }

    /// Adds a part after what is there already.
    pub(crate) fn mix(&mut self, part: &[u8]) {
        self.add(part);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Adds another digest, in no order.
    pub(crate) fn add_digest(&mut self, other: Self) {
        self.add(&other.0);
    }

    /// Mixes an entry's value and whether it expires, but not its key.
    pub(crate) fn mix_value(&mut self, entry: &Entry) {
        self.mix(&type_number(entry.value_type()).to_be_bytes());
        if let Some(string) = entry.as_str() {
            self.string(string);
        } else if let Some(list) = entry.get::<List>() {
            list.iter().for_each(|item| self.mix_item(item));
        } else if let Some(set) = entry.get::<Set>() {
            set.iter().for_each(|item| self.add(item.bytes(&mut itoa::Buffer::new())));
        } else if let Some(zset) = entry.get::<SortedSet>() {
            self.sorted_set(zset);
        } else if let Some(hash) = entry.get::<Hash>() {
            self.hash(hash);
        } else if let Some(stream) = entry.get::<Stream>() {
            self.stream(stream);
        }
        if entry.expiry().is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// Forty digits.
    pub(crate) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn string(&mut self, string: Str<'_>) {
        self.mix(&string.bytes());
    }

    fn sorted_set(&mut self, zset: &SortedSet) {
        let mut text = Vec::new();
        for (member, score) in zset.iter() {
            let mut element = Self::default();
            element.mix_item(member);
            text.clear();
            store::number::write_shortest(score, &mut text);
            element.mix(&text);
            self.add_digest(element);
        }
    }

    fn hash(&mut self, hash: &Hash) {
        // At time 0 no field has expired: expired ones count for as long as they are there.
        for field in hash.iter(0) {
            let mut element = Self::default();
            element.mix_item(field.field);
            element.mix_item(field.value);
            if field.expiry.is_some() {
                element.add(b"!!hexpire!!");
            }
            self.add_digest(element);
        }
    }

    fn stream(&mut self, stream: &Stream) {
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            self.mix(format!("{}.{}", entry.id().ms, entry.id().seq).as_bytes());
            for (field, value) in entry.fields() {
                self.mix_item(field);
                self.mix_item(value);
            }
        }
    }

    fn mix_item(&mut self, item: Item<'_>) {
        self.mix(item.bytes(&mut itoa::Buffer::new()));
    }
}

/// Redis's number of a type.
const fn type_number(of: ValueType) -> u32 {
    match of {
        ValueType::String => 0,
        ValueType::List => 1,
        ValueType::Set => 2,
        ValueType::SortedSet => 3,
        ValueType::Hash => 4,
        ValueType::Stream => 6,
    }
}

#[cfg(test)]
mod tests;
