//! A value in one word: a run of bytes where it is small, anything else where it is large; its owners are counted.
//!
//! Most values are small, and then it is the blocks around their bytes that cost. A count of owners, a vector's pointer,
//! length and capacity, and what tells the forms apart took a block of 32 bytes beside the bytes; here all of that is
//! eight bytes in front of them, in the same block:
//!
//! ```text
//! owners u32 | room and mark u32 | bytes ...      a `Room`
//! owners u32 | LARGE u32         | T              the large form
//! ```
//!
//! How many bytes of a room mean something is for their owner to know: a listpack and a set of integers tell their own
//! length, so it does not stand here once more. A room is as large as a block of the allocator is anyway, so what it has
//! beyond its content is memory that no one else could use.
//!
//! Owners are the entry of a key and the walks that it has been shared with ([`crate::entry::Entry::share`]). A small value
//! is copied by whoever changes it while others own it; a large one too, but [`crate::walk`] sees to it that this is rare.
//!
//! **Invariants.**
//! 1. The second half of the head tells the layout that the block was allocated with, and which of the two it is.
//! 2. All bytes of a room are initialised.
//! 3. `owners` counts the [`Compact`]s of a block. A [`Room`] that is not behind a shared reference is the only owner.
//! 4. Whoever has a `&mut` into a block has found one owner while he had a `&mut` to that owner. It takes a reference to an
//!    owner to make another one, and he has the only one; so there is one owner as long as he borrows it.
#![allow(unsafe_code, reason = "counted blocks of bytes behind one word; the invariants stand above")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::hash::Packed;
use super::intset::Intset;
use super::listpack::Listpack;

/// Bytes behind one word, owned alone: a `Box<[u8]>` that can be made to fit.
#[repr(transparent)]
pub struct Room(NonNull<Head>);

/// One owner of a small form `S`, which is kept in a room, or of a large form `L`.
#[repr(transparent)]
pub struct Compact<S: InRoom, L>(NonNull<Head>, PhantomData<(S, L)>);

/// What a [`Compact`] holds.
pub enum View<S, L> {
    /// The small form.
    Small(S),
    /// The large form.
    Large(L),
}

/// What is kept in a [`Room`] and is nothing beside it.
///
/// # Safety
/// The type is `repr(transparent)` over a `Room`, or is one.
pub unsafe trait InRoom: Clone {}
// SAFETY: it is one.
unsafe impl InRoom for Room {}
// SAFETY: it is transparent.
unsafe impl InRoom for Listpack {}
// SAFETY: as above.
unsafe impl InRoom for Intset {}
// SAFETY: as above, with the listpack between.
unsafe impl InRoom for Packed {}

#[repr(C, align(8))]
struct Head {
    owners: AtomicU32,
    /// Bytes of the room, a multiple of eight, and the mark in the bits below; or [`LARGE`].
    form: u32,
}

#[repr(C)]
struct Large<L> {
    head: Head,
    value: L,
}

const HEAD: usize = size_of::<Head>();
const ALIGN: usize = align_of::<Head>();
/// The bits of the mark. No room is so large that it had all of them.
const MARK: u32 = 7;
const LARGE: u32 = u32::MAX;
/// The largest room; a listpack ends at a quarter of it.
const ROOM_MAX: usize = ((u32::MAX / 2) & !MARK) as usize;

// SAFETY: a room owns its bytes alone.
unsafe impl Send for Room {}
// SAFETY: shared access only reads.
unsafe impl Sync for Room {}
// SAFETY: the owners of a block are counted by an atomic, share its content for reading, and the last of them, on whatever
// thread, drops it: as with an `Arc`.
unsafe impl<S: InRoom + Send + Sync, L: Send + Sync> Send for Compact<S, L> {}
// SAFETY: as above.
unsafe impl<S: InRoom + Send + Sync, L: Send + Sync> Sync for Compact<S, L> {}

impl Room {
    /// Room for at least `bytes` bytes, all of them 0. The mark is below 7.
    pub fn new(bytes: usize, mark: u8) -> Self {
        let size = block_for(bytes);
        let layout = layout(size);
        // SAFETY: the layout has the head's size at least, and its alignment.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            block.add(HEAD).write_bytes(0, size - HEAD);
            let block = block.cast::<Head>();
            block.write(Head { owners: AtomicU32::new(1), form: form(size, mark) });
            Self(block)
        }
    }

    /// All of its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the block has so many bytes behind its head, all initialised; nobody changes them while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.start(), self.size()) }
    }

    /// All of its bytes, to be changed.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and by invariant 3 nobody else reads them.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.size()) }
    }

    /// How many bytes there are.
    #[inline]
    pub fn size(&self) -> usize {
        (self.form() & !MARK) as usize
    }

    /// Bytes of the block, head included.
    pub fn memory_bytes(&self) -> usize {
        HEAD + self.size()
    }

    /// What tells forms that are kept in rooms apart; it stays when the room is made to fit.
    #[inline]
    pub fn mark(&self) -> u8 {
        (self.form() & MARK) as u8
    }

    /// Sets the mark, which is below 7.
    pub fn set_mark(&mut self, mark: u8) {
        let size = self.memory_bytes();
        // SAFETY: by invariant 3 nobody else reads it.
        unsafe { self.0.as_mut() }.form = form(size, mark);
    }

    /// Makes room for `bytes` bytes, and for no more than a block for them has. The first ones stay, others are 0.
    pub fn fit(&mut self, bytes: usize) {
        let (before, after) = (self.memory_bytes(), block_for(bytes));
        if before == after {
            return;
        }
        let form = form(after, self.mark());
        // SAFETY: the block was allocated with this layout, and by invariant 3 nobody else knows where it is; what it grows by
        // is written before anybody reads it.
        unsafe {
            let Some(block) = NonNull::new(realloc(self.0.as_ptr().cast(), layout(before), after)) else {
                handle_alloc_error(layout(after))
            };
            if after > before {
                block.add(before).write_bytes(0, after - before);
            }
            self.0 = block.cast();
            self.0.as_mut().form = form;
        }
    }

    /// The room of what is kept in one.
    pub fn of<F: InRoom>(form: F) -> Self {
        let form = std::mem::ManuallyDrop::new(form);
        // SAFETY: `InRoom` promises a transparent wrapper; the form is not used again.
        unsafe { std::mem::transmute_copy(&form) }
    }

    /// What is kept in it, in the hand of somebody who knows what that is.
    #[inline]
    pub fn holds<F: InRoom>(&self) -> &F {
        // SAFETY: `InRoom` promises a transparent wrapper.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }

    /// The same, to be changed.
    #[inline]
    pub fn holds_mut<F: InRoom>(&mut self) -> &mut F {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { &mut *std::ptr::from_mut(self).cast() }
    }

    #[inline]
    fn form(&self) -> u32 {
        // SAFETY: the block lives as long as its owner.
        unsafe { self.0.as_ref() }.form
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        // SAFETY: the block is larger than its head.
        unsafe { self.0.as_ptr().cast::<u8>().add(HEAD) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the only owner goes.
        unsafe { dealloc(self.0.as_ptr().cast(), layout(self.memory_bytes())) };
    }
}

impl<S: InRoom, L> Compact<S, L> {
    /// The small form.
    pub fn small(form: S) -> Self {
        Self(std::mem::ManuallyDrop::new(Room::of(form)).0, PhantomData)
    }

    /// The large form.
    pub fn large(value: L) -> Self {
        let head = Head { owners: AtomicU32::new(1), form: LARGE };
        Self(NonNull::from(Box::leak(Box::new(Large { head, value }))).cast(), PhantomData)
    }

    /// What it holds.
    #[inline]
    pub fn view(&self) -> View<&S, &L> {
        if self.is_large() {
            // SAFETY: the form says what the block is.
            View::Large(unsafe { &self.0.cast::<Large<L>>().as_ref().value })
        } else {
            // SAFETY: all of `Compact`, `Room` and `S` are one word that points to the block of a room.
            View::Small(unsafe { &*std::ptr::from_ref(self).cast() })
        }
    }

    /// One more owner of the same.
    pub fn share(&self) -> Self {
        // Relaxed: whoever gets the new owner gets it from this thread, which orders what he reads.
        let before = self.head().owners.fetch_add(1, Ordering::Relaxed);
        if before > u32::MAX / 2 {
            // Only a leak in a loop comes here. Before the count wraps round, rather nothing goes on at all.
            std::process::abort();
        }
        Self(self.0, PhantomData)
    }

    /// Bytes of its block, without what the large form has allocated besides.
    pub fn block_bytes(&self) -> usize {
        match self.head().form {
            LARGE => size_of::<Large<L>>(),
            form => HEAD + (form & !MARK) as usize,
        }
    }

    #[inline]
    fn head(&self) -> &Head {
        // SAFETY: the block lives as long as it has an owner.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn is_large(&self) -> bool {
        self.head().form == LARGE
    }

    /// Whether this is the only owner; it stays so as long as it is borrowed exclusively.
    #[inline]
    fn is_only(&self) -> bool {
        // Acquire, against the release of an owner that has gone: what he read he has read before somebody changes it.
        self.head().owners.load(Ordering::Acquire) == 1
    }
}

impl<S: InRoom, L: Clone> Compact<S, L> {
    /// What it holds, to be changed. Copied first if there are other owners, so that they keep what they were given.
    #[inline]
    pub fn view_mut(&mut self) -> View<&mut S, &mut L> {
        if !self.is_only() {
            *self = self.clone();
        }
        if self.is_large() {
            // SAFETY: the form says what the block is, and this is its only owner.
            View::Large(unsafe { &mut self.0.cast::<Large<L>>().as_mut().value })
        } else {
            // SAFETY: as in `view`, and this is the block's only owner.
            View::Small(unsafe { &mut *std::ptr::from_mut(self).cast() })
        }
    }
}

/// A copy with an owner of its own.
impl<S: InRoom, L: Clone> Clone for Compact<S, L> {
    #[cold]
    fn clone(&self) -> Self {
        match self.view() {
            View::Small(form) => Self::small(form.clone()),
            View::Large(value) => Self::large(value.clone()),
        }
    }
}

impl<S: InRoom, L> Drop for Compact<S, L> {
    fn drop(&mut self) {
        // The only owner need not count. Release: what this owner has read he has read before another one frees it or changes
        // it; pairs with the fence, and with the load of `is_only`.
        if !self.is_only() {
            if self.head().owners.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
        }
        if self.is_large() {
            // SAFETY: made by `Box::leak`, and no owner is left.
            drop(unsafe { Box::from_raw(self.0.cast::<Large<L>>().as_ptr()) });
        } else {
            drop(Room(self.0));
        }
    }
}

impl Clone for Room {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.size(), self.mark());
        copy.bytes_mut()[..self.size()].copy_from_slice(self.bytes());
        copy
    }
}

/// The block for a room of so many bytes, head included, as allocators have them: multiples of 16, then four sizes for each
/// doubling.
const fn block_for(bytes: usize) -> usize {
    let size = HEAD + bytes;
    let step = size.next_power_of_two() / 8;
    size.next_multiple_of(if step < 16 { 16 } else { step })
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, ALIGN).expect("a block is smaller than the address space")
}

fn form(size: usize, mark: u8) -> u32 {
    let room = size - HEAD;
    assert!(room <= ROOM_MAX && u32::from(mark) < MARK, "callers keep their content far below 2 GiB");
    room as u32 | u32::from(mark)
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
