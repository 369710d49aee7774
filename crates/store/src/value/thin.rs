//! Byte items behind one thin pointer: the length stands in the allocation, not beside the pointer.
//!
//! A `Box<[u8]>` takes two words in every slot of a hash table and `Vec<u8>` three; a million members then pay 8 to 16 MB for
//! lengths that fit into a byte each. So the two items below are one word, and their bytes stand once, in one allocation:
//!
//! - `ThinBytes`: length (LEB128), bytes;
//! - `ScoredMember`: score (8 bytes, atomic), owners (1 byte, atomic), length (LEB128), bytes.
//!
//! `ThinBytes` is a box. `ScoredMember` has exactly two owners, the hash table and the ordered index of one sorted set, which
//! drop their halves in any order; the count of owners is an `Arc`'s, one byte wide. The alternative, an index that borrows
//! raw pointers from the table, saves that byte but lets a forgotten removal read freed memory; this cannot.
//! The score is an atomic because both owners may reach it; relaxed loads and stores cost what plain ones do.
//!
//! This file is the only one of the value types with `unsafe`. Everything it exports is safe to call.
//!
//! **Layout invariant** of both: the pointer comes from `alloc` with `layout(size)`, where `size` follows from the length that
//! stands in the allocation; the length is written once, at birth, and never changes; all bytes are initialised at birth.
#![allow(unsafe_code, reason = "one-word owned items need a hand-made allocation; the invariants stand above")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use crate::table::Word;

/// An owned byte string of one word; up to 127 bytes cost one byte of header, longer ones a byte for each 7 bits of length.
#[repr(transparent)]
pub struct ThinBytes(NonNull<u8>);

// SAFETY: a `ThinBytes` owns its allocation alone, like `Box<[u8]>`.
unsafe impl Send for ThinBytes {}
// SAFETY: shared access only reads.
unsafe impl Sync for ThinBytes {}

// SAFETY: `repr(transparent)` over a `NonNull`.
unsafe impl Word for ThinBytes {}

impl ThinBytes {
    /// Copies `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self::concat(&[bytes])
    }

    /// Copies `parts`, one after the other.
    pub fn concat(parts: &[&[u8]]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        let start = allocate(header_len(len) + len);
        // SAFETY: the allocation has room for the header and for the sum of the parts.
        unsafe { write_parts(start, len, parts) };
        Self(start)
    }

    /// The bytes, to change in place; their number stays.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the layout invariant; `&mut self` makes the access exclusive for the slice's lifetime.
        unsafe {
            let (header, len) = read_len(self.0);
            std::slice::from_raw_parts_mut(self.0.add(header).as_ptr(), len)
        }
    }

    /// Heap bytes, without the allocator's own overhead.
    pub fn memory_bytes(&self) -> usize {
        header_len(self.len()) + self.len()
    }
}

impl Deref for ThinBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the layout invariant; nothing changes the bytes while `self` is borrowed.
        unsafe {
            let (header, len) = read_len(self.0);
            std::slice::from_raw_parts(self.0.add(header).as_ptr(), len)
        }
    }
}

impl Clone for ThinBytes {
    fn clone(&self) -> Self {
        Self::new(self)
    }
}

impl fmt::Debug for ThinBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        let size = self.memory_bytes();
        // SAFETY: `size` is the size it was allocated with (layout invariant), and `self` is not used again.
        unsafe { release(self.0, size) };
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
            write_parts(start.add(LENGTH), member.len(), &[member]);
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
    // SAFETY: every item has at least one byte of header.
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

/// # Safety
/// `start` has room for the header of `len` and for `len` bytes, which is the sum of the lengths of `parts`.
unsafe fn write_parts(start: NonNull<u8>, len: usize, parts: &[&[u8]]) {
    let (mut at, mut rest) = (start, len);
    // SAFETY: the caller's promise; the loop writes `header_len(len)` bytes, the copies `len` more.
    unsafe {
        while rest > 0x7f {
            at.write(rest as u8 | 0x80);
            at = at.add(1);
            rest >>= 7;
        }
        at.write(rest as u8);
        at = at.add(1);
        for part in parts {
            at.copy_from_nonoverlapping(NonNull::from_ref(*part).cast(), part.len());
            at = at.add(part.len());
        }
    }
}

/// The length of the header at `start` and the length it tells.
///
/// # Safety
/// `start` points at a header that `write_parts` wrote.
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
    fn bytes_of_every_header_size_come_back() {
        without_leaks(|| {
            for len in [0, 1, 16, 126, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152] {
                let bytes: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
                let mut thin = ThinBytes::new(&bytes);
                assert_eq!(*thin, *bytes);
                assert_eq!(*thin.clone(), *bytes);
                assert_eq!(*ThinBytes::concat(&[&bytes[..len / 3], &bytes[len / 3..], b""]), *bytes);
                thin.as_mut_slice().fill(7);
                assert!(thin.len() == len && thin.iter().all(|byte| *byte == 7));
                let (one, two) = ScoredMember::pair(1.5, &bytes);
                drop(one);
                assert_eq!(two.member(), bytes);
            }
        });
        assert_eq!((ThinBytes::new(&[0; 127]).memory_bytes(), ThinBytes::new(&[0; 128]).memory_bytes()), (128, 130));
        assert_eq!(size_of::<Option<ThinBytes>>(), 8);
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
    fn owners_may_die_on_different_threads() {
        let (ones, twos): (Vec<_>, Vec<_>) = (0..2000).map(|i| ScoredMember::pair(f64::from(i), b"member")).unzip();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(ones));
            scope.spawn(|| drop(twos));
        });
    }
}
