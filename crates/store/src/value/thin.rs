//! Byte items behind one word: the lengths stand in the word or in the allocation, not beside the pointer.
//!
//! A `Box<[u8]>` takes two words in every slot of a hash table and `Vec<u8>` three; a million members then pay 8 to 16 MB for
//! lengths that fit into a byte each. So the two items below are one word, and their bytes stand once, in one allocation:
//!
//! - `ThinPair`: two byte strings and a mark. User-space addresses on 64-bit systems have 48 bits (more are given only to who
//!   asks for them), so the 16 above hold the mark (1), the length of the first (7) and of the second string (8), and the
//!   allocation holds nothing but the bytes: 16 bytes cost 16 bytes. Longer strings have their lengths (LEB128) in front.
//! - `ScoredMember`: score (8 bytes, atomic), owners (1 byte, atomic), length (LEB128), bytes.
//!
//! `ThinPair` is a box. `ScoredMember` has exactly two owners, the hash table and the ordered index of one sorted set, which
//! drop their halves in any order; the count of owners is an `Arc`'s, one byte wide. The alternative, an index that borrows
//! raw pointers from the table, saves that byte but lets a forgotten removal read freed memory; this cannot.
//! The score is an atomic because both owners may reach it; relaxed loads and stores cost what plain ones do.
//!
//! Beside `room.rs` this file is the only one of the value types with `unsafe`. Everything it exports is safe to call.
//!
//! **Layout invariant** of both: the pointer comes from `alloc` with `layout(size)`, where `size` follows from the lengths, which
//! are written once, at birth, and never change; all bytes are initialised at birth.
#![allow(unsafe_code, reason = "one-word owned items need a hand-made allocation; the invariants stand above")]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the lengths of short strings stand in the upper 16 of an address's 64 bits");

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use crate::table::Word;

/// Two byte strings and a mark, owned by one word. The first takes up to 126 bytes and the second up to 255 before the pair has
/// a header.
#[repr(transparent)]
pub struct ThinPair(NonNull<u8>);

/// The upper 16 bits of the word: `MARK`, seven bits for the first length, eight for the second.
const TAG_SHIFT: u32 = 48;
const MARK: usize = 1 << 63;
/// The first length that stands for "in the allocation".
const LONG: usize = 0x7f;

// SAFETY: a `ThinPair` owns its allocation alone, like `Box<[u8]>`.
unsafe impl Send for ThinPair {}
// SAFETY: shared access only reads.
unsafe impl Sync for ThinPair {}
// SAFETY: `repr(transparent)` over a `NonNull`.
unsafe impl Word for ThinPair {}

/// Where the strings of a pair are.
struct Shape {
    /// Bytes of the header.
    header: usize,
    first: usize,
    second: usize,
}

impl ThinPair {
    /// Copies `first`, and as the second string `second`'s parts one after the other.
    pub fn new(first: &[u8], second: &[&[u8]], mark: bool) -> Self {
        let (first_len, second_len) = (first.len(), second.iter().map(|part| part.len()).sum::<usize>());
        let long = first_len >= LONG || second_len > 0xff;
        let header = if long { header_len(first_len) + header_len(second_len) } else { 0 };
        let start = allocate((header + first_len + second_len).max(1));
        // SAFETY: the allocation has room for the header and both strings.
        unsafe {
            let mut at = start;
            if long {
                at = write_len(write_len(at, first_len), second_len);
            }
            write_parts(write_parts(at, &[first]), second);
        }
        let lengths = if long { LONG << 8 } else { first_len << 8 | second_len };
        let tag = lengths << TAG_SHIFT | if mark { MARK } else { 0 };
        assert!(start.addr().get() >> TAG_SHIFT == 0, "addresses in user space have 48 bits");
        Self(start.map_addr(|address| address | tag))
    }

    /// The first string.
    pub fn first(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the layout invariant; nothing changes the bytes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.start().add(shape.header).as_ptr(), shape.first) }
    }

    /// The second string.
    pub fn second(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: as in `first`.
        unsafe { std::slice::from_raw_parts(self.start().add(shape.header + shape.first).as_ptr(), shape.second) }
    }

    /// The second string, to change in place; its length stays.
    pub fn second_mut(&mut self) -> &mut [u8] {
        let shape = self.shape();
        // SAFETY: the layout invariant; `&mut self` makes the access exclusive for the slice's lifetime.
        unsafe { std::slice::from_raw_parts_mut(self.start().add(shape.header + shape.first).as_ptr(), shape.second) }
    }

    /// The mark it was made with.
    pub fn is_marked(&self) -> bool {
        self.0.addr().get() & MARK != 0
    }

    /// Heap bytes, without the allocator's own overhead.
    pub fn memory_bytes(&self) -> usize {
        let shape = self.shape();
        (shape.header + shape.first + shape.second).max(1)
    }

    /// The allocation.
    #[inline]
    fn start(&self) -> NonNull<u8> {
        self.0.map_addr(|address| {
            NonZero::new(address.get() & ((1 << TAG_SHIFT) - 1)).expect("the address was not 0 without its tag")
        })
    }

    #[inline]
    fn shape(&self) -> Shape {
        let tag = self.0.addr().get() >> TAG_SHIFT;
        let (first, second) = (tag >> 8 & 0x7f, tag & 0xff);
        if first < LONG {
            return Shape { header: 0, first, second };
        }
        // SAFETY: a pair with this tag begins with two lengths.
        unsafe {
            let (first_header, first) = read_len(self.start());
            let (second_header, second) = read_len(self.start().add(first_header));
            Shape { header: first_header + second_header, first, second }
        }
    }
}

impl Clone for ThinPair {
    fn clone(&self) -> Self {
        Self::new(self.first(), &[self.second()], self.is_marked())
    }
}

impl fmt::Debug for ThinPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(\"{}\", \"{}\")", self.first().escape_ascii(), self.second().escape_ascii())
    }
}

impl Drop for ThinPair {
    fn drop(&mut self) {
        let size = self.memory_bytes();
        // SAFETY: `size` is the size it was allocated with (layout invariant), and `self` is not used again.
        unsafe { release(self.start(), size) };
    }
}

/// One of the two owners of a sorted set's member and its score.
#[repr(transparent)]
pub struct ScoredMember(NonNull<u8>);

/// Offsets inside a `ScoredMember`'s allocation.
const OWNERS: usize = 8;
const LENGTH: usize = 9;

// SAFETY: both owners only read the bytes; score and count of owners are atomics; the last owner alone frees.
unsafe impl Send for ScoredMember {}
// SAFETY: as above.
unsafe impl Sync for ScoredMember {}

// SAFETY: `repr(transparent)` over a `NonNull`.
unsafe impl Word for ScoredMember {}

impl ScoredMember {
    /// Copies `member` into a new allocation and returns both its owners.
    pub fn pair(score: f64, member: &[u8]) -> (Self, Self) {
        let start = allocate(LENGTH + header_len(member.len()) + member.len());
        // SAFETY: the allocation has room for score, owners, header and member, and is aligned to 8 for the score.
        unsafe {
            start.cast::<AtomicU64>().write(AtomicU64::new(score.to_bits()));
            start.add(OWNERS).cast::<AtomicU8>().write(AtomicU8::new(2));
            write_parts(write_len(start.add(LENGTH), member.len()), &[member]);
        }
        (Self(start), Self(start))
    }

    /// The score; the same for both owners.
    pub fn score(&self) -> f64 {
        f64::from_bits(self.score_bits().load(Ordering::Relaxed))
    }

    /// Sets the score for both owners. Whoever holds the sorted set exclusively orders this against its readers, so relaxed
    /// is enough.
    pub fn set_score(&self, score: f64) {
        self.score_bits().store(score.to_bits(), Ordering::Relaxed);
    }

    /// The member's bytes.
    pub fn member(&self) -> &[u8] {
        // SAFETY: the layout invariant; nothing ever changes the member's bytes.
        unsafe {
            let (header, len) = read_len(self.0.add(LENGTH));
            std::slice::from_raw_parts(self.0.add(LENGTH + header).as_ptr(), len)
        }
    }

    /// Whether both are owners of one allocation.
    pub fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Heap bytes, shared by both owners, without the allocator's own overhead.
    pub fn memory_bytes(&self) -> usize {
        let len = self.member().len();
        LENGTH + header_len(len) + len
    }

    fn score_bits(&self) -> &AtomicU64 {
        // SAFETY: an initialised `AtomicU64` stands at the start, aligned to 8, as long as an owner lives.
        unsafe { self.0.cast().as_ref() }
    }
}

impl fmt::Debug for ScoredMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\": {:?}", self.member().escape_ascii(), self.score())
    }
}

impl Drop for ScoredMember {
    fn drop(&mut self) {
        // Read before giving up this owner's share; afterwards the other may free at any time.
        let size = self.memory_bytes();
        // SAFETY: an initialised `AtomicU8` stands there as long as an owner lives.
        let owners: &AtomicU8 = unsafe { self.0.add(OWNERS).cast().as_ref() };
        // Release: this owner's reads end before the other frees. Pairs with the fence below.
        if owners.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: `size` is the size it was allocated with, and no owner is left.
            unsafe { release(self.0, size) };
        }
    }
}

/// Aligned to 8, so that the low three bits of the pointer are zero and a score may stand in front.
fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("an item is smaller than the address space")
}

fn allocate(size: usize) -> NonNull<u8> {
    let layout = layout(size);
    // SAFETY: callers ask for one byte at least.
    let start = unsafe { alloc(layout) };
    #[cfg(test)]
    tests::LIVE.set(tests::LIVE.get() + 1);
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}

/// # Safety
/// `start` comes from `allocate(size)` and is not used afterwards.
unsafe fn release(start: NonNull<u8>, size: usize) {
    #[cfg(test)]
    tests::LIVE.set(tests::LIVE.get() - 1);
    // SAFETY: the caller's promise.
    unsafe { dealloc(start.as_ptr(), layout(size)) };
}

/// How many bytes the LEB128 form of `len` takes.
fn header_len(len: usize) -> usize {
    (len | 1).ilog2() as usize / 7 + 1
}

/// Writes `len` as LEB128; returns what follows.
///
/// # Safety
/// `at` has room for `header_len(len)` bytes.
unsafe fn write_len(at: NonNull<u8>, len: usize) -> NonNull<u8> {
    let (mut at, mut rest) = (at, len);
    // SAFETY: the caller's promise; the loop writes one byte for each seven bits.
    unsafe {
        while rest > 0x7f {
            at.write(rest as u8 | 0x80);
            at = at.add(1);
            rest >>= 7;
        }
        at.write(rest as u8);
        at.add(1)
    }
}

/// Writes `parts` one after the other; returns what follows.
///
/// # Safety
/// `at` has room for the sum of their lengths.
unsafe fn write_parts(at: NonNull<u8>, parts: &[&[u8]]) -> NonNull<u8> {
    parts.iter().fold(at, |at, part| {
        // SAFETY: the caller's promise; the parts lie elsewhere, since the allocation is new.
        unsafe {
            at.copy_from_nonoverlapping(NonNull::from_ref(*part).cast(), part.len());
            at.add(part.len())
        }
    })
}

/// The size of the LEB128 at `start` and the length it tells.
///
/// # Safety
/// `start` points at a length that `write_len` wrote.
#[inline]
unsafe fn read_len(start: NonNull<u8>) -> (usize, usize) {
    // SAFETY: the header ends with a byte below 0x80, and no byte after that one is read.
    unsafe {
        let first = start.read();
        if first < 0x80 {
            return (1, usize::from(first));
        }
        let (mut len, mut header) = (usize::from(first & 0x7f), 1);
        loop {
            let byte = start.add(header).read();
            len |= usize::from(byte & 0x7f) << (7 * header);
            header += 1;
            if byte < 0x80 {
                return (header, len);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// Items of this thread that are allocated and not yet freed.
        pub(in crate::value) static LIVE: Cell<isize> = const { Cell::new(0) };
    }

    /// Runs `body` and checks that it freed exactly what it allocated.
    pub(in crate::value) fn without_leaks(body: impl FnOnce()) {
        let before = LIVE.get();
        body();
        assert_eq!(LIVE.get(), before, "items leaked, or were freed twice");
    }

    #[test]
    fn pairs_of_every_size_come_back() {
        let lengths = [0, 1, 16, 126, 127, 128, 254, 255, 256, 16_383, 16_384, 2_097_152];
        without_leaks(|| {
            for (first, second) in lengths.iter().flat_map(|a| lengths.map(|b| (*a, b))) {
                let name: Vec<u8> = (0..first).map(|i| (i * 31) as u8).collect();
                let value: Vec<u8> = (0..second).map(|i| (i * 7) as u8).collect();
                let mark = first % 2 == 0;
                let mut pair = ThinPair::new(&name, &[&value[..second / 3], b"", &value[second / 3..]], mark);
                for pair in [&pair, &pair.clone()] {
                    assert_eq!((pair.first(), pair.second(), pair.is_marked()), (&*name, &*value, mark));
                }
                pair.second_mut().fill(9);
                assert_eq!((pair.first(), pair.second()), (&*name, &*vec![9; second]));
                let (one, two) = ScoredMember::pair(1.5, &name);
                drop(one);
                assert_eq!(two.member(), name);
            }
        });
    }

    #[test]
    fn short_pairs_cost_their_bytes_only() {
        let size =
            |first: usize, second: usize| ThinPair::new(&vec![1; first], &[&vec![2; second]], true).memory_bytes();
        assert_eq!((size(0, 0), size(16, 0), size(126, 255)), (1, 16, 381));
        assert_eq!((size(127, 0), size(0, 256), size(200, 300)), (129, 259, 504));
        assert_eq!(size_of::<Option<ThinPair>>(), 8);
    }

    #[test]
    fn both_owners_see_one_score_and_free_once() {
        without_leaks(|| {
            let mut rng = fastrand::Rng::with_seed(3);
            let mut live: Vec<(ScoredMember, f64, String)> = Vec::new();
            for step in 0..20_000 {
                if live.len() < 100 || rng.bool() {
                    let member = format!("m{step}").repeat(rng.usize(..40));
                    let (one, two) = ScoredMember::pair(f64::from(step), member.as_bytes());
                    assert!(one.same(&two));
                    one.set_score(-f64::from(step));
                    assert_eq!(two.score(), -f64::from(step));
                    for owner in [one, two] {
                        let at = rng.usize(..=live.len());
                        live.insert(at, (owner, -f64::from(step), member.clone()));
                    }
                } else {
                    let (owner, score, member) = live.swap_remove(rng.usize(..live.len()));
                    assert_eq!((owner.score(), owner.member()), (score, member.as_bytes()));
                }
            }
        });
    }

    #[test]
    fn values_may_move_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<crate::value::set::Set>();
        check::<crate::value::zset::SortedSet>();
        check::<crate::value::hash::Hash>();
    }

    #[test]
    fn owners_may_die_on_different_threads() {
        let (ones, twos): (Vec<_>, Vec<_>) = (0..2000).map(|i| ScoredMember::pair(f64::from(i), b"member")).unzip();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(ones));
            scope.spawn(|| drop(twos));
        });
    }
}
