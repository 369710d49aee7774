//! A hash table of one-word items, laid out in hash order.
//!
//! **Layout.** A bucket is one cache line: seven words and eight tag bytes. An item's home bucket is
//! `position * buckets / 2^32`, where the position is a 32-bit window of its hash, so bucket order *is* hash order. A
//! full bucket gives up its last slot for a pointer to a further bucket; hence everything whose home is bucket `i` is
//! found in the chain of bucket `i` and nowhere else, and there are no tombstones.
//!
//! **Why not hashbrown.** Three things are wanted at once. A lookup should touch one line of the table, whose address
//! follows from the hash by arithmetic alone, so that it can be prefetched. A SCAN cursor should be a position in hash
//! order, which growth does not disturb. And the table should grow by half, not by doubling, since thousands of stripes
//! grow at the same time: at 4.7 to 7 items a bucket it costs about 13 bytes an item at every size.
//!
//! **Which sizes.** Those that fill a block of the allocator ([`grown`]): 12 buckets cost what 11 would.
//!
//! **Which tags.** A byte of the hash, by which nearly all other items of a bucket are told apart without a look at them. In
//! a large table it is the lowest one. In a small one ([`SMALL_MAX`]) it is the highest byte of the position, whose first
//! bits say which bucket the item belongs to once there are twice as many; so a small table doubles without hashing its
//! items anew, each of which would be a wait for memory. The price are one or two bits that all items of a bucket share.
//!
//! **Invariants.**
//! 1. `tags[i] == 0` means that slot `i` holds no item; a tag of an item is never 0.
//! 2. `tags[7] != 0` means that slot 6 holds a pointer to a further bucket, owned by this one; then `tags[6] == 0`.
//! 3. A chained bucket holds at least one item or a further chained bucket.
//! 4. `len` counts the items in all chains.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

use fastrand::Rng;

/// An owned item that is exactly one pointer wide.
///
/// # Safety
/// The type must be `repr(transparent)` over a `NonNull` pointer, so that a reference to the word is a reference to it. It may
/// keep marks in the pointer's upper 16 bits.
pub unsafe trait Word: Sized {}

/// Items in a bucket.
pub(crate) const SLOTS: usize = 7;
const CHAINED: usize = 7;
const ITEMS_MASK: u64 = 0x0080_8080_8080_8080;
/// Items a bucket holds on average before the table grows.
const LOAD_MAX: usize = SLOTS;
/// Buckets of a small table, at most; see the file's head.
const SMALL_MAX: u32 = 4;
/// See [`Table::prefetch_items`].
const BUCKETS_AHEAD: usize = 2;

#[repr(C, align(64))]
struct Bucket {
    tags: [u8; 8],
    slots: [*mut u8; SLOTS],
}

impl Bucket {
    const LAYOUT: Layout = Layout::new::<Self>();

    /// A mask with the high bit of byte `i` set where slot `i` carries the tag.
    #[inline]
    fn matches(&self, tag: u8) -> u64 {
        let x = u64::from_le_bytes(self.tags) ^ (u64::from(tag) * 0x0101_0101_0101_0101);
        zero_bytes(x) & ITEMS_MASK
    }

    fn free_slot(&self) -> Option<usize> {
        let mut free = zero_bytes(u64::from_le_bytes(self.tags)) & ITEMS_MASK;
        if self.is_chained() {
            free &= !(0x80 << (8 * (SLOTS - 1)));
        }
        (free != 0).then(|| free.trailing_zeros() as usize / 8)
    }

    #[inline]
    fn is_chained(&self) -> bool {
        self.tags[CHAINED] != 0
    }

    #[inline]
    fn next(&self) -> Option<NonNull<Self>> {
        if self.is_chained() { NonNull::new(self.slots[SLOTS - 1].cast()) } else { None }
    }

    fn items(&self) -> impl Iterator<Item = usize> + use<> {
        let tags = self.tags;
        (0..SLOTS).filter(move |&i| tags[i] != 0)
    }

    fn is_empty(&self) -> bool {
        u64::from_le_bytes(self.tags) == 0
    }
}

/// The high bit of each byte that is zero; exact, with no borrow between the bytes.
#[inline]
const fn zero_bytes(x: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !(((x & LOW) + LOW) | x | LOW)
}

/// See the file's head.
pub struct Table<T: Word> {
    buckets: *mut Bucket,
    count: u32,
    len: u32,
    /// High bits of the hash that somebody else has used already (to choose this very table).
    shift: u8,
    owns: PhantomData<T>,
}

// SAFETY: the table owns its buckets and items; shared access only reads them.
unsafe impl<T: Word + Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Word + Sync> Sync for Table<T> {}

/// What [`Table::prefetch_candidate`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// There is no such item.
    Nothing,
    /// An item, which is on its way.
    Item,
    /// The chain goes on; its next bucket is on its way.
    Further,
}

/// Where an item was found; valid until the table changes.
type Place = (NonNull<Bucket>, usize);

impl<T: Word> Table<T> {
    /// An empty table, which owns no memory, for items whose hashes share their `shift` highest bits.
    pub const fn new(shift: u8) -> Self {
        Self { buckets: std::ptr::null_mut(), count: 0, len: 0, shift, owns: PhantomData }
    }

    /// Number of items.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no items.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The high bits of the hash that do not tell items of this table apart.
    pub const fn shift(&self) -> u8 {
        self.shift
    }

    /// Where the buckets lie, and how many there are; see [`bucket_address`].
    #[inline]
    pub const fn extent(&self) -> (*const u8, u32) {
        (self.buckets.cast_const().cast(), self.count)
    }

    /// The item with this hash for which `eq` holds.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        let (bucket, slot) = self.locate(hash, eq)?;
        // SAFETY: `locate` returns places inside our buckets that hold an item.
        Some(unsafe { item(bucket, slot) })
    }

    /// The item with this hash for which `eq` holds, to be changed; its hash must stay the same.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let (bucket, slot) = self.locate(hash, eq)?;
        // SAFETY: as in `find`, and `self` is borrowed exclusively.
        Some(unsafe { &mut *(&raw mut (*bucket.as_ptr()).slots[slot]).cast::<T>() })
    }

    /// Brings near an item that carries the tag of `hash`: nearly always the one that has this hash, if there is one. Looks
    /// into the home chain's first bucket, and into so many `links` of the chain, which are near already. If the item must be
    /// further along the chain, its next bucket is brought near instead.
    #[inline]
    pub fn prefetch_candidate(&self, hash: u64, links: usize) -> Sighting {
        if self.count == 0 {
            return Sighting::Nothing;
        }
        let mut here = NonNull::new(self.bucket_at(self.home(hash)));
        for _ in 0..=links {
            let Some(bucket) = here else { break };
            // SAFETY: buckets of a chain live as long as the table.
            let bucket = unsafe { bucket.as_ref() };
            let mut found = bucket.matches(self.tag(hash));
            if found != 0 {
                while found != 0 {
                    let item = address(bucket.slots[found.trailing_zeros() as usize / 8]);
                    // What an item begins with lies in its first line, and all of it in two if it is small.
                    prefetch(item);
                    prefetch(item.wrapping_add(size_of::<Bucket>()));
                    found &= found - 1;
                }
                return Sighting::Item;
            }
            here = bucket.next();
        }
        let Some(next) = here else { return Sighting::Nothing };
        prefetch(next.as_ptr().cast());
        Sighting::Further
    }

    /// An item that carries the tag of `hash`, in its home chain's first bucket.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Option<&T> {
        if self.count == 0 {
            return None;
        }
        let home = NonNull::new(self.bucket_at(self.home(hash)))?;
        // SAFETY: buckets of a chain live as long as the table.
        let found = unsafe { home.as_ref() }.matches(self.tag(hash));
        // SAFETY: a matching tag is not 0, so the slot holds an item.
        (found != 0).then(|| unsafe { item(home, found.trailing_zeros() as usize / 8) })
    }

    /// Inserts an item that is known to be absent; `rehash` gives the hash of items that move because the table grows.
    pub fn insert_unique(&mut self, hash: u64, value: T, rehash: impl Fn(&T) -> u64) -> &mut T {
        self.make_room(0, rehash);
        self.len += 1;
        self.place(hash, into_word(value))
    }

    /// Grows if there is no room for one more item, or if the table is half full and has fewer than `usual` buckets. Returns
    /// how many buckets there were, if it has grown.
    #[inline]
    pub fn make_room(&mut self, usual: u32, rehash: impl Fn(&T) -> u64) -> Option<u32> {
        let (before, room) = (self.count, self.home_slots());
        let grows = self.len() >= room || before < usual && self.len() >= room / 2;
        grows.then(|| {
            self.resize(grown(before as usize), rehash);
            before
        })
    }

    /// Takes out the item with this hash for which `eq` holds.
    pub fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool, rehash: impl Fn(&T) -> u64) -> Option<T> {
        let (bucket, slot) = self.locate(hash, eq)?;
        // SAFETY: the place holds an item, and `self` is borrowed exclusively.
        let value = unsafe {
            let bucket = &mut *bucket.as_ptr();
            bucket.tags[slot] = 0;
            from_word(bucket.slots[slot])
        };
        self.len -= 1;
        if self.is_sparse() {
            self.resize(self.len() / (LOAD_MAX - 2) + 1, rehash);
        } else {
            self.drop_empty_links(hash);
        }
        Some(value)
    }

    /// Takes out all items that `take` names, handing each to `out`.
    pub fn extract_if(&mut self, mut take: impl FnMut(&mut T) -> bool, mut out: impl FnMut(T)) {
        (0..BUCKETS_AHEAD).for_each(|home| self.prefetch_items(home));
        for home in 0..self.count as usize {
            self.prefetch_items(home + BUCKETS_AHEAD);
            let mut next = NonNull::new(self.bucket_at(home));
            while let Some(mut bucket) = next {
                // SAFETY: the chain belongs to us, and `self` is borrowed exclusively.
                let bucket = unsafe { bucket.as_mut() };
                for slot in bucket.items() {
                    // SAFETY: the slot holds an item.
                    let item = unsafe { &mut *(&raw mut bucket.slots[slot]).cast::<T>() };
                    if take(item) {
                        bucket.tags[slot] = 0;
                        self.len -= 1;
                        // SAFETY: the tag is cleared, so nobody else will read this word.
                        out(unsafe { from_word(bucket.slots[slot]) });
                    }
                }
                next = bucket.next();
            }
            self.drop_empty_links_at(home);
        }
    }

    /// All items in hash order of their buckets.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { table: self, home: 0, bucket: NonNull::new(self.buckets), slot: 0 }
    }

    /// Visits all items whose home is the bucket of `position`, which is a hash shifted left by `shift`, and returns the
    /// position at which the next bucket begins; its lower half is 0. `None` after the last bucket.
    pub fn scan_bucket<'a>(&'a self, position: u64, mut visit: impl FnMut(&'a T)) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let count = u64::from(self.count);
        let home = ((position >> 32) * count) >> 32;
        self.visit_chain(home as usize, &mut visit);
        (home + 1 < count).then(|| ((home + 1) << 32).div_ceil(count) << 32)
    }

    /// An item chosen with equal chances (chains beyond two buckets are a little too rare to matter).
    pub fn random(&self, rng: &mut Rng) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        loop {
            let home = rng.usize(0..self.count as usize);
            let mut found = smallvec::SmallVec::<[&T; 16]>::new();
            self.visit_chain(home, &mut |item| found.push(item));
            // A bucket is kept with a chance that grows with its items, so that crowded ones do not make theirs rarer.
            let pick = rng.usize(0..found.len().max(2 * SLOTS));
            if let Some(item) = found.get(pick) {
                return Some(item);
            }
        }
    }

    /// Bytes of the table's own array, without overflowing buckets and without the items: known without a walk.
    pub const fn home_bytes(&self) -> usize {
        self.count as usize * size_of::<Bucket>()
    }

    /// Items that the table's own array has room for.
    pub const fn home_slots(&self) -> usize {
        self.count as usize * SLOTS
    }

    /// Bytes of the table itself, without the items.
    pub fn memory_bytes(&self) -> usize {
        let chained: usize = (0..self.count as usize).map(|home| self.chain_len(home) - 1).sum();
        (self.count as usize + chained) * size_of::<Bucket>()
    }

    /// Moves all items out, leaving an empty table behind.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.shift))
    }

    /// Splits into the items whose next hash bit is 0 and those where it is 1; both tables have `shift + 1`, and as many buckets
    /// as is said.
    pub fn split(mut self, buckets: [usize; 2], rehash: impl Fn(&T) -> u64) -> (Self, Self) {
        let bit = 1u64 << (63 - self.shift);
        let mut halves = (Self::new(self.shift + 1), Self::new(self.shift + 1));
        halves.0.reserve_buckets(buckets[0]);
        halves.1.reserve_buckets(buckets[1]);
        self.extract_if(
            |_| true,
            |value| {
                let hash = rehash(&value);
                let half = if hash & bit == 0 { &mut halves.0 } else { &mut halves.1 };
                half.insert_unique(hash, value, &rehash);
            },
        );
        halves
    }

    fn reserve_buckets(&mut self, count: usize) {
        debug_assert!(self.count == 0);
        self.buckets = new_buckets(count);
        self.count = count as u32;
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        home(hash, self.shift, self.count)
    }

    #[inline]
    fn tag(&self, hash: u64) -> u8 {
        let tag = if self.count <= SMALL_MAX { hash << self.shift >> 56 } else { hash } as u8;
        // 0 says that there is no item; 1 leads to the same buckets.
        if tag == 0 { 1 } else { tag }
    }

    /// Whether the tags tell where items belong.
    #[inline]
    const fn is_told_by_tags(&self) -> bool {
        self.count.is_power_of_two() && self.count <= SMALL_MAX
    }

    #[inline]
    fn bucket_at(&self, home: usize) -> *mut Bucket {
        debug_assert!(home < self.count as usize);
        // SAFETY: callers pass a home below `count`.
        unsafe { self.buckets.add(home) }
    }

    #[inline]
    fn locate(&self, hash: u64, mut eq: impl FnMut(&T) -> bool) -> Option<Place> {
        if self.count == 0 {
            return None;
        }
        let tag = self.tag(hash);
        let mut next = NonNull::new(self.bucket_at(self.home(hash)));
        while let Some(here) = next {
            // SAFETY: buckets of a chain live as long as the table.
            let bucket = unsafe { here.as_ref() };
            let mut found = bucket.matches(tag);
            while found != 0 {
                let slot = found.trailing_zeros() as usize / 8;
                // SAFETY: a matching tag is not 0, so the slot holds an item.
                if eq(unsafe { item(here, slot) }) {
                    return Some((here, slot));
                }
                found &= found - 1;
            }
            next = bucket.next();
        }
        None
    }

    #[inline]
    fn place(&mut self, hash: u64, word: *mut u8) -> &mut T {
        self.place_at(self.home(hash), self.tag(hash), word)
    }

    fn place_at(&mut self, home: usize, tag: u8, word: *mut u8) -> &mut T {
        let mut bucket = self.bucket_at(home);
        loop {
            // SAFETY: the chain belongs to us, and `self` is borrowed exclusively.
            let here = unsafe { &mut *bucket };
            if let Some(slot) = here.free_slot() {
                here.tags[slot] = tag;
                here.slots[slot] = word;
                // SAFETY: the slot was just filled with an item's word.
                return unsafe { &mut *(&raw mut here.slots[slot]).cast::<T>() };
            }
            if !here.is_chained() {
                let child = new_buckets(1);
                // SAFETY: the child is fresh and ours; the last slot's item moves into it.
                unsafe {
                    (*child).tags[0] = here.tags[SLOTS - 1];
                    (*child).slots[0] = here.slots[SLOTS - 1];
                }
                here.tags[SLOTS - 1] = 0;
                here.tags[CHAINED] = 1;
                here.slots[SLOTS - 1] = child.cast();
            }
            bucket = here.slots[SLOTS - 1].cast();
        }
    }

    fn is_sparse(&self) -> bool {
        self.count > 1 && self.len() * 4 < self.count as usize * LOAD_MAX
    }

    fn resize(&mut self, count: usize, rehash: impl Fn(&T) -> u64) {
        let old = std::mem::replace(self, Self::new(self.shift));
        self.reserve_buckets(count);
        self.len = old.len;
        if old.is_told_by_tags() && self.is_told_by_tags() {
            old.for_each_word(|tag, word| {
                let home = (usize::from(tag) * count) >> 8;
                self.place_at(home, tag, word);
            });
        } else {
            old.for_each_near_word(|word| {
                // SAFETY: the word stands for an item that `old` owned and gives up here.
                let value = unsafe { from_word::<T>(word) };
                let hash = rehash(&value);
                self.place(hash, into_word(value));
            });
        }
        old.free_buckets();
        std::mem::forget(old);
    }

    fn drop_empty_links(&mut self, hash: u64) {
        self.drop_empty_links_at(self.home(hash));
    }

    /// Unlinks chained buckets that have become empty (invariant 3).
    fn drop_empty_links_at(&mut self, home: usize) {
        let mut bucket = self.bucket_at(home);
        // SAFETY: the chain belongs to us, and `self` is borrowed exclusively; a child is freed after it is unlinked.
        unsafe {
            while let Some(child) = (*bucket).next() {
                if child.as_ref().is_empty() {
                    (*bucket).tags[CHAINED] = 0;
                    dealloc(child.as_ptr().cast(), Bucket::LAYOUT);
                    return;
                }
                // A child without items of its own but with a grandchild is replaced by the latter.
                if child.as_ref().items().next().is_none() {
                    (*bucket).slots[SLOTS - 1] = child.as_ref().slots[SLOTS - 1];
                    dealloc(child.as_ptr().cast(), Bucket::LAYOUT);
                    continue;
                }
                bucket = child.as_ptr();
            }
        }
    }

    fn visit_chain<'a>(&'a self, home: usize, visit: &mut impl FnMut(&'a T)) {
        let mut next = NonNull::new(self.bucket_at(home));
        while let Some(here) = next {
            // SAFETY: buckets of a chain live as long as the table.
            let bucket = unsafe { here.as_ref() };
            for slot in bucket.items() {
                // SAFETY: the slot holds an item.
                visit(unsafe { item(here, slot) });
            }
            next = bucket.next();
        }
    }

    fn chain_len(&self, home: usize) -> usize {
        let mut next = NonNull::new(self.bucket_at(home));
        let mut len = 0;
        while let Some(here) = next {
            len += 1;
            // SAFETY: buckets of a chain live as long as the table.
            next = unsafe { here.as_ref() }.next();
        }
        len
    }

    /// Brings near the items in a home bucket, if there is one, and the bucket behind it. Whoever looks at all items, to hash
    /// or to drop them, does so some buckets ahead: else he waits for memory at every single one.
    #[inline]
    fn prefetch_items(&self, home: usize) {
        if home >= self.count as usize {
            return;
        }
        // SAFETY: the home is below `count`.
        let bucket = unsafe { &*self.bucket_at(home) };
        bucket.items().for_each(|slot| prefetch(address(bucket.slots[slot])));
        if let Some(next) = bucket.next() {
            prefetch(next.as_ptr().cast());
        }
    }

    /// Visits all words with their tags.
    fn for_each_word(&self, mut visit: impl FnMut(u8, *mut u8)) {
        (0..self.count as usize).for_each(|home| self.for_each_word_of(home, &mut visit));
    }

    /// Visits all words of items that the visitor looks at.
    fn for_each_near_word(&self, mut visit: impl FnMut(*mut u8)) {
        (0..BUCKETS_AHEAD).for_each(|home| self.prefetch_items(home));
        for home in 0..self.count as usize {
            self.prefetch_items(home + BUCKETS_AHEAD);
            self.for_each_word_of(home, &mut |_, word| visit(word));
        }
    }

    #[inline]
    fn for_each_word_of(&self, home: usize, visit: &mut impl FnMut(u8, *mut u8)) {
        let mut next = NonNull::new(self.bucket_at(home));
        while let Some(here) = next {
            // SAFETY: buckets of a chain live as long as the table.
            let bucket = unsafe { here.as_ref() };
            bucket.items().for_each(|slot| visit(bucket.tags[slot], bucket.slots[slot]));
            next = bucket.next();
        }
    }

    fn free_buckets(&self) {
        for home in 0..self.count as usize {
            // SAFETY: each chained bucket is owned by the one before it and freed once.
            unsafe {
                let mut next = (*self.bucket_at(home)).next();
                while let Some(child) = next {
                    next = child.as_ref().next();
                    dealloc(child.as_ptr().cast(), Bucket::LAYOUT);
                }
            }
        }
        if self.count != 0 {
            // SAFETY: allocated by `new_buckets` with the same count.
            unsafe { dealloc(self.buckets.cast(), array_layout(self.count as usize)) };
        }
    }
}

impl<T: Word> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: each word stands for one owned item, and the table is never used again.
        self.for_each_near_word(|word| drop(unsafe { from_word::<T>(word) }));
        self.free_buckets();
    }
}

/// See [`Table::iter`].
pub struct Iter<'a, T: Word> {
    table: &'a Table<T>,
    home: usize,
    bucket: Option<NonNull<Bucket>>,
    slot: usize,
}

impl<'a, T: Word> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            let here = self.bucket?;
            // SAFETY: buckets live as long as the table, which is borrowed.
            let bucket = unsafe { here.as_ref() };
            while self.slot < SLOTS {
                let slot = self.slot;
                self.slot += 1;
                if bucket.tags[slot] != 0 {
                    // SAFETY: the slot holds an item.
                    return Some(unsafe { item(here, slot) });
                }
            }
            self.slot = 0;
            self.bucket = bucket.next().or_else(|| {
                self.home += 1;
                (self.home < self.table.count as usize).then(|| NonNull::new(self.table.bucket_at(self.home)))?
            });
        }
    }
}

/// The size that a table of `count` buckets grows to: by half and a bit more, to what fills a block of the allocator, of which
/// there are four sizes for each doubling.
pub const fn grown(count: usize) -> usize {
    let least = count + count / 2 + 1;
    let step = least.next_power_of_two() / 8;
    if step == 0 { least } else { least.next_multiple_of(step) }
}

#[inline]
fn home(hash: u64, shift: u8, count: u32) -> usize {
    let position = (hash << shift) >> 32;
    ((position * u64::from(count)) >> 32) as usize
}

/// Where the line lies that a lookup of a hash reads first, in a table of this [`Table::extent`]; good for a prefetch, and
/// for nothing else if the table may have changed since.
#[inline]
pub fn bucket_address(buckets: *const u8, count: u32, hash: u64, shift: u8) -> *const u8 {
    buckets.wrapping_add(home(hash, shift, count) * size_of::<Bucket>())
}

/// Brings the cache line at an address near; the address is never read and may be stale.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint and faults on no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Where the item of a word lies, for a hint: without the marks that the word may carry.
#[inline]
fn address(word: *mut u8) -> *const u8 {
    word.map_addr(|address| address & (u64::MAX >> 16) as usize).cast_const()
}

/// # Safety
/// The slot must hold an item of type `T` that lives for `'a`.
#[inline]
unsafe fn item<'a, T: Word>(bucket: NonNull<Bucket>, slot: usize) -> &'a T {
    // SAFETY: by the caller's promise; `Word` makes the word's place a place of `T`.
    unsafe { &*(&raw const (*bucket.as_ptr()).slots[slot]).cast::<T>() }
}

fn into_word<T: Word>(value: T) -> *mut u8 {
    const { assert!(size_of::<T>() == size_of::<*mut u8>()) };
    let value = std::mem::ManuallyDrop::new(value);
    // SAFETY: `Word` promises one pointer in a transparent wrapper.
    unsafe { std::mem::transmute_copy(&value) }
}

/// # Safety
/// The word must come from `into_word::<T>` and be used once.
unsafe fn from_word<T: Word>(word: *mut u8) -> T {
    // SAFETY: by the caller's promise.
    unsafe { std::mem::transmute_copy(&word) }
}

fn array_layout(count: usize) -> Layout {
    Layout::array::<Bucket>(count).expect("a bucket array is far below the address space")
}

fn new_buckets(count: usize) -> *mut Bucket {
    let layout = array_layout(count);
    // SAFETY: the layout's size is not 0; zeroes are an empty bucket.
    let buckets = unsafe { alloc_zeroed(layout) };
    if buckets.is_null() {
        handle_alloc_error(layout);
    }
    buckets.cast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[repr(transparent)]
    struct Number(NonNull<u64>);
    // SAFETY: transparent over a NonNull.
    unsafe impl Word for Number {}
    impl Number {
        fn new(n: u64) -> Self {
            Self(NonNull::from(Box::leak(Box::new(n))))
        }
        fn value(&self) -> u64 {
            // SAFETY: owned and alive.
            unsafe { *self.0.as_ref() }
        }
    }
    impl Drop for Number {
        fn drop(&mut self) {
            // SAFETY: made by Box::leak, dropped once.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }

    fn hash(n: u64) -> u64 {
        crate::hash::hash_bytes(&n.to_le_bytes())
    }

    /// Few distinct homes and tags, so that chains grow long.
    fn poor_hash(n: u64) -> u64 {
        (n % 3) << 62 | (n % 5)
    }

    fn against_model(hash: fn(u64) -> u64, keys: u64, steps: usize) {
        let mut rng = Rng::with_seed(7);
        let mut table = Table::<Number>::new(0);
        let mut model = BTreeSet::new();
        let rehash = |item: &Number| hash(item.value());
        for _ in 0..steps {
            let key = rng.u64(0..keys);
            let present = table.find(hash(key), |item| item.value() == key).is_some();
            assert_eq!(present, model.contains(&key));
            if rng.bool() {
                if !present {
                    table.insert_unique(hash(key), Number::new(key), rehash);
                    model.insert(key);
                }
            } else {
                let removed = table.remove(hash(key), |item| item.value() == key, rehash);
                assert_eq!(removed.is_some(), model.remove(&key));
            }
            assert_eq!(table.len(), model.len());
        }
        let seen: BTreeSet<u64> = table.iter().map(Number::value).collect();
        assert_eq!(seen, model);
        let (low, high) = table.split([1, 7], rehash);
        assert_eq!(low.len() + high.len(), model.len());
        assert!(low.iter().all(|item| hash(item.value()) >> 63 == 0));
        assert!(high.iter().all(|item| hash(item.value()) >> 63 == 1));
    }

    #[test]
    fn equals_a_set() {
        against_model(hash, 2_000, 60_000);
        against_model(hash, 8, 2_000);
    }

    #[test]
    fn survives_colliding_hashes() {
        against_model(poor_hash, 300, 20_000);
    }

    #[test]
    fn a_look_ahead_sees_what_is_there() {
        let mut table = Table::<Number>::new(0);
        let rehash = |item: &Number| hash(item.value());
        let mut further = 0;
        for n in 0..500 {
            table.insert_unique(hash(n), Number::new(n), rehash);
            // Nearer than the item may be another one with the same tag.
            assert_eq!(table.prefetch_candidate(hash(n), usize::MAX - 1), Sighting::Item);
            further += usize::from(table.prefetch_candidate(hash(n), 0) == Sighting::Further);
        }
        assert!(further > 0);
        let nothing = (500..600).filter(|&n| table.prefetch_candidate(hash(n), 99) == Sighting::Nothing);
        assert!(nothing.count() > 50);
    }

    #[test]
    fn a_table_that_is_behind_grows_when_it_is_half_full() {
        let sizes = [0, 1, 2, 4, 7, 12, 20].map(grown);
        assert_eq!(sizes, [1, 2, 4, 7, 12, 20, 32]);
        let mut table = Table::<Number>::new(0);
        let rehash = |item: &Number| hash(item.value());
        let mut grew = Vec::new();
        for n in 0..100 {
            if let Some(before) = table.make_room(4, rehash) {
                grew.push((n, before));
            }
            table.insert_unique(hash(n), Number::new(n), rehash);
        }
        // With 1 and 2 buckets it is behind; from 4 on it fills up first.
        assert_eq!(grew, [(0, 0), (3, 1), (7, 2), (28, 4), (49, 7), (84, 12)]);
        assert!((0..100).all(|n| table.find(hash(n), |item| item.value() == n).is_some()));
    }

    #[test]
    fn a_small_table_doubles_without_a_look_at_its_items() {
        for shift in [0, 14] {
            let mut table = Table::<Number>::new(shift);
            let grows_blindly = |_: &Number| -> u64 { panic!("an item was hashed anew") };
            let count = SMALL_MAX as usize * SLOTS;
            for n in 0..count as u64 {
                table.insert_unique(hash(n), Number::new(n), grows_blindly);
                assert!((0..=n).all(|n| table.find(hash(n), |item| item.value() == n).is_some()));
            }
            assert_eq!(table.home_slots(), count);
            // What is beyond is found where the hash says, too.
            table.insert_unique(hash(1000), Number::new(1000), |item| hash(item.value()));
            assert!(table.home_slots() > count);
            assert!((0..count as u64).all(|n| table.find(hash(n), |item| item.value() == n).is_some()));
        }
    }

    #[test]
    fn a_scan_survives_growth_and_shrinking() {
        let mut rng = Rng::with_seed(11);
        for shift in [0, 14] {
            let mut table = Table::<Number>::new(shift);
            let rehash = |item: &Number| hash(item.value());
            let insert = |table: &mut Table<Number>, n: u64| {
                table.insert_unique(hash(n), Number::new(n), rehash);
            };
            (0..500).for_each(|n| insert(&mut table, n));
            let (mut position, mut seen, mut extra) = (0, BTreeSet::new(), 1000);
            loop {
                let next = table.scan_bucket(position, |item| {
                    seen.insert(item.value());
                });
                for _ in 0..rng.u64(0..40) {
                    insert(&mut table, extra);
                    extra += 1;
                }
                if rng.u8(..) < 20 {
                    table.extract_if(|item| item.value() >= 1000, drop);
                    let n = extra;
                    insert(&mut table, n);
                    table.remove(hash(n), |item| item.value() == n, rehash);
                }
                match next {
                    Some(next) => {
                        assert!(next > position);
                        position = next;
                    }
                    None => break,
                }
            }
            assert!((0..500).all(|n| seen.contains(&n)), "an item present throughout was not returned");
        }
    }

    #[test]
    fn random_is_about_fair() {
        let mut table = Table::<Number>::new(0);
        for n in 0..100 {
            table.insert_unique(hash(n), Number::new(n), |item| hash(item.value()));
        }
        let (mut rng, mut counts) = (Rng::with_seed(3), [0u32; 100]);
        for _ in 0..100_000 {
            counts[table.random(&mut rng).unwrap().value() as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (700..1400).contains(&count)), "{counts:?}");
    }
}
