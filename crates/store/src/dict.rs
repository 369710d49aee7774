//! A hash table for the members of one large value, which never grows in one large step.
//!
//! Extendible hashing (Fagin and others, 1979): a directory, indexed by the highest bits of the hash, names leaves, each
//! a [`Table`] of at most [`LEAF_MAX`] items. A leaf that is full splits in two; the directory doubles when a leaf that
//! it names only once splits. So an insert moves at most one leaf, and a value of ten million members never stalls the
//! server. Good hashes fill all leaves alike, so with one limit for all they would also split all at once, under a single
//! command of a thousand members; therefore they are of several sizes. Leaves and buckets lie in hash order, hence a
//! scan's cursor is a position in hash order and growth between two steps neither hides nor has to repeat anything.
//!
//! Leaves are not merged again while members leave; an empty dictionary starts afresh.

use fastrand::Rng;

use crate::table::{SLOTS, Table, Word};

/// Buckets of a leaf that has come from a split, one of these sizes, which fill a block of the allocator; with as many items
/// as they hold it splits.
const LEAF_BUCKETS: [usize; 4] = [80, 96, 112, 128];
/// Items in a leaf at most: splitting stays in the tens of microseconds.
const LEAF_MAX: usize = LEAF_BUCKETS[3] * SLOTS;
/// The directory stops growing here; leaves then grow instead. 2^22 leaves hold four thousand million items.
const BITS_MAX: u8 = 22;
/// A scan step visits at most this many buckets for each item that was asked for, so that a sparse table cannot stall.
const SCAN_BUCKETS_PER_ITEM: usize = 10;

/// See the file's head.
pub struct Dict<T: Word> {
    leaves: Vec<Table<T>>,
    /// Names a leaf for each value of the highest `bits` hash bits; empty while there is one leaf.
    directory: Vec<u32>,
    bits: u8,
    len: usize,
}

impl<T: Word> Default for Dict<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Word> Dict<T> {
    /// An empty dictionary, which owns no memory.
    pub const fn new() -> Self {
        Self { leaves: Vec::new(), directory: Vec::new(), bits: 0, len: 0 }
    }

    /// Number of items.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no items.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item with this hash for which `eq` holds.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.leaves.get(self.leaf_of(hash))?.find(hash, eq)
    }

    /// The item with this hash for which `eq` holds, to be changed; its hash must stay the same.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let leaf = self.leaf_of(hash);
        self.leaves.get_mut(leaf)?.find_mut(hash, eq)
    }

    /// Inserts an item that is known to be absent; `rehash` gives the hash of items that move.
    pub fn insert_unique(&mut self, hash: u64, value: T, rehash: impl Fn(&T) -> u64) -> &mut T {
        if self.leaves.is_empty() {
            self.leaves.push(Table::new(0));
        }
        let mut leaf = self.leaf_of(hash);
        // Colliding hashes may fall into one half again; the directory's bound ends the loop.
        while self.is_to_split(leaf, hash) {
            self.split(leaf, hash, &rehash);
            leaf = self.leaf_of(hash);
        }
        self.len += 1;
        self.leaves[leaf].insert_unique(hash, value, rehash)
    }

    /// Takes out the item with this hash for which `eq` holds.
    pub fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool, rehash: impl Fn(&T) -> u64) -> Option<T> {
        let leaf = self.leaf_of(hash);
        let value = self.leaves.get_mut(leaf)?.remove(hash, eq, rehash)?;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        }
        Some(value)
    }

    /// Takes out all items that `take` names, handing each to `out`.
    pub fn extract_if(&mut self, mut take: impl FnMut(&mut T) -> bool, mut out: impl FnMut(T)) {
        for leaf in &mut self.leaves {
            leaf.extract_if(&mut take, &mut out);
        }
        self.len = self.leaves.iter().map(Table::len).sum();
        if self.len == 0 {
            *self = Self::new();
        }
    }

    /// All items, in no order that a caller may rely on.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.leaves.iter().flat_map(Table::iter)
    }

    /// Visits about `count` items from `cursor` on and returns the cursor for the next call, 0 when all were visited.
    /// An item that is present from the first call to the last is visited at least once (Redis's guarantee for SCAN).
    /// Cursors stay below 2^63.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(&T)) -> u64 {
        // Every bucket begins at an even position, so half of it tells as much and stays below 2^63.
        let mut position = cursor << 1;
        let (mut seen, mut buckets) = (0, 0);
        while seen < count && buckets < count.saturating_mul(SCAN_BUCKETS_PER_ITEM) {
            let Some(leaf) = self.leaves.get(self.leaf_of(position)) else { return 0 };
            let within = leaf.scan_bucket(position << leaf.shift(), |item| {
                seen += 1;
                visit(item);
            });
            buckets += 1;
            position = match within {
                Some(within) => leaf_start(position, leaf.shift()) | within >> leaf.shift(),
                None => match next_leaf(position, leaf.shift()) {
                    Some(position) => position,
                    None => return 0,
                },
            };
        }
        position >> 1
    }

    /// An item chosen with about equal chances.
    pub fn random(&self, rng: &mut Rng) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        // Draw a leaf, keep it with a chance that follows its size; after many misses (the leaves are nearly all empty)
        // walk them by weight.
        for _ in 0..64 {
            let leaf = &self.leaves[rng.usize(0..self.leaves.len())];
            if rng.usize(0..LEAF_MAX.max(leaf.len())) < leaf.len() || (self.leaves.len() == 1) {
                return leaf.random(rng);
            }
        }
        let mut rest = rng.usize(0..self.len);
        for leaf in &self.leaves {
            if rest < leaf.len() {
                return leaf.random(rng);
            }
            rest -= leaf.len();
        }
        None
    }

    /// Bytes of the dictionary itself, without the items.
    pub fn memory_bytes(&self) -> usize {
        self.leaves.iter().map(Table::memory_bytes).sum::<usize>()
            + self.leaves.capacity() * size_of::<Table<T>>()
            + self.directory.capacity() * size_of::<u32>()
    }

    #[inline]
    fn leaf_of(&self, hash: u64) -> usize {
        if self.bits == 0 { 0 } else { self.directory[(hash >> (64 - self.bits)) as usize] as usize }
    }

    /// Whether a leaf, where a hash belongs, is full. Most have room by the smallest limit already.
    #[inline]
    fn is_to_split(&self, leaf: usize, hash: u64) -> bool {
        let leaf = &self.leaves[leaf];
        let is_full = || leaf.len() >= leaf_buckets(hash, leaf.shift()) * SLOTS;
        leaf.len() >= LEAF_BUCKETS[0] * SLOTS && is_full() && leaf.shift() < BITS_MAX
    }

    fn split(&mut self, leaf: usize, hash: u64, rehash: &impl Fn(&T) -> u64) {
        let shift = self.leaves[leaf].shift();
        let low_start = leaf_start(hash, shift);
        let buckets = [low_start, low_start | 1 << (63 - shift)].map(|start| leaf_buckets(start, shift + 1));
        if shift == self.bits {
            self.double_directory();
        }
        let (low, high) = std::mem::replace(&mut self.leaves[leaf], Table::new(shift)).split(buckets, rehash);
        let high_index = self.leaves.len() as u32;
        self.leaves[leaf] = low;
        self.leaves.push(high);
        // The leaf's entries are one aligned run of the directory; its upper half names the new leaf.
        let run = 1usize << (self.bits - shift);
        let first = (low_start >> (64 - self.bits)) as usize;
        self.directory[first + run / 2..first + run].fill(high_index);
    }

    fn double_directory(&mut self) {
        self.directory = match self.bits {
            0 => vec![0, 0],
            _ => self.directory.iter().flat_map(|&leaf| [leaf, leaf]).collect(),
        };
        self.bits += 1;
    }
}

/// How many buckets a leaf has whose hashes begin with the highest `shift` bits of `position`.
fn leaf_buckets(position: u64, shift: u8) -> usize {
    // The leaves' numbers stay distinct under an odd factor, and neighbours differ in its highest bits (Fibonacci hashing).
    let drawn = leaf_start(position, shift).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62;
    LEAF_BUCKETS[drawn as usize]
}

/// The lowest position in the leaf that holds `position` and is chosen by `shift` bits.
const fn leaf_start(position: u64, shift: u8) -> u64 {
    if shift == 0 { 0 } else { position & (u64::MAX << (64 - shift)) }
}

const fn next_leaf(position: u64, shift: u8) -> Option<u64> {
    if shift == 0 { None } else { leaf_start(position, shift).checked_add(1 << (64 - shift)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ptr::NonNull;

    /// A number that is its own pointer: never dereferenced, so it may be any value but 0.
    #[repr(transparent)]
    #[derive(Clone, Copy)]
    struct Number(NonNull<u8>);
    #[allow(unsafe_code)]
    // SAFETY: transparent over a NonNull.
    unsafe impl Word for Number {}

    fn number(n: usize) -> Number {
        Number(NonNull::new(std::ptr::without_provenance_mut(n + 1)).unwrap())
    }
    fn value(item: &Number) -> usize {
        item.0.as_ptr().addr() - 1
    }
    fn hash(n: usize) -> u64 {
        crate::hash::hash_bytes(&n.to_le_bytes())
    }
    fn rehash(item: &Number) -> u64 {
        hash(value(item))
    }

    fn filled(items: usize) -> Dict<Number> {
        let mut dict = Dict::new();
        for n in 0..items {
            dict.insert_unique(hash(n), number(n), rehash);
        }
        dict
    }

    #[test]
    fn holds_many_items_in_bounded_leaves() {
        let mut dict = filled(100_000);
        assert_eq!(dict.len(), 100_000);
        assert!(dict.leaves.iter().all(|leaf| leaf.len() <= LEAF_MAX));
        for n in 0..100_000 {
            assert!(dict.find(hash(n), |item| value(item) == n).is_some());
        }
        for n in 0..100_000 {
            assert_eq!(dict.remove(hash(n), |item| value(item) == n, rehash).map(|item| value(&item)), Some(n));
        }
        assert!(dict.is_empty() && dict.leaves.is_empty());
    }

    /// However large it is, a thousand members more move some thousands.
    #[test]
    fn leaves_do_not_split_all_at_once() {
        let moved = std::cell::Cell::new(0);
        let (mut dict, mut most) = (Dict::new(), 0);
        for n in 0..300_000 {
            if n % 1000 == 0 {
                most = most.max(moved.take());
            }
            dict.insert_unique(hash(n), number(n), |item| {
                moved.set(moved.get() + 1);
                rehash(item)
            });
        }
        assert!(most < 10_000, "{most} for a thousand");
    }

    #[test]
    fn a_scan_survives_growth() {
        for (start, count) in [(0, 10), (3, 1), (900, 7), (5_000, 10), (40_000, 100)] {
            let mut dict = filled(start);
            let (mut cursor, mut seen, mut extra) = (0, BTreeSet::new(), 1_000_000);
            loop {
                cursor = dict.scan(cursor, count, |item| {
                    seen.insert(value(item));
                });
                assert!(cursor < 1 << 63);
                if cursor == 0 {
                    break;
                }
                for _ in 0..50 {
                    dict.insert_unique(hash(extra), number(extra), rehash);
                    extra += 1;
                }
            }
            assert!((0..start).all(|n| seen.contains(&n)));
        }
    }

    #[test]
    fn random_reaches_everything() {
        let dict = filled(5_000);
        let mut rng = Rng::with_seed(5);
        let seen: BTreeSet<usize> = (0..100_000).map(|_| value(dict.random(&mut rng).unwrap())).collect();
        assert!(seen.len() > 4_990, "{}", seen.len());
    }
}
