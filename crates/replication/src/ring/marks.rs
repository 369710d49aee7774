//! A list of padded words, one for each thread that takes part, which others take the minimum of.
//!
//! Nodes are pushed at the front (Treiber's stack, without removal) and live as long as the list; a node that is given back
//! is claimed again by the next who comes. So the list is as long as there ever were holders at one time.

// A raw pointer for each node: nodes are shared, and never move or go before the list does.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use crossbeam::utils::CachePadded;

use super::primitive::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};

/// A mark that says nothing.
const IDLE: u64 = u64::MAX;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Marks {
    head: AtomicPtr<CachePadded<Node>>,
}

#[derive(Debug)]
struct Node {
    value: AtomicU64,
    taken: AtomicBool,
    /// Set before the node is pushed, never changed after.
    next: *mut CachePadded<Node>,
}

/// The right to set one word of the list.
#[derive(Debug)]
pub(super) struct Mark {
    node: NonNull<CachePadded<Node>>,
}

// SAFETY: the node's fields are atomics, and `next` is constant while the node is shared.
unsafe impl Send for Mark {}
// SAFETY: as above.
unsafe impl Sync for Mark {}
// SAFETY: as above; nodes are reached through the list's pointers only.
unsafe impl Send for Marks {}
// SAFETY: as above.
unsafe impl Sync for Marks {}

impl Marks {
    pub(super) fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// A word of one's own, idle.
    ///
    /// # Safety
    /// The caller gives it back, or forgets it, before the list is dropped.
    pub(super) unsafe fn claim(&self) -> Mark {
        // Acquire pairs with the release in `give_back`.
        let free = self.nodes().find(|node| {
            !node.taken.load(Relaxed) && node.taken.compare_exchange(false, true, Acquire, Relaxed).is_ok()
        });
        match free {
            Some(node) => Mark { node: node.into() },
            None => Mark { node: self.push() },
        }
    }

    /// The smallest mark that says something, [`u64::MAX`] if none does.
    pub(super) fn min(&self) -> u64 {
        // Acquire pairs with the release of `set` and `clear`.
        self.nodes().map(|node| node.value.load(Acquire)).min().unwrap_or(IDLE)
    }

    fn nodes(&self) -> impl Iterator<Item = &CachePadded<Node>> {
        // Acquire pairs with the release of `push`: a node is complete when it is seen. Pushes are exchanges, so the
        // release of a node further down holds through those above.
        // SAFETY: a node in the list is never freed nor changed but by its atomics until the list is dropped.
        let mut next = unsafe { self.head.load(Acquire).as_ref() };
        std::iter::from_fn(move || {
            let node = next?;
            // SAFETY: as above.
            next = unsafe { node.next.as_ref() };
            Some(node)
        })
    }

    fn push(&self) -> NonNull<CachePadded<Node>> {
        let mut head = self.head.load(Relaxed);
        let mut node =
            Box::new(CachePadded::new(Node { value: AtomicU64::new(IDLE), taken: AtomicBool::new(true), next: head }));
        loop {
            let pointer = Box::into_raw(node);
            match self.head.compare_exchange_weak(head, pointer, AcqRel, Relaxed) {
                // SAFETY: a box is never null.
                Ok(_) => return unsafe { NonNull::new_unchecked(pointer) },
                Err(now) => head = now,
            }
            // SAFETY: it has just come from `Box::into_raw`, and the list did not take it.
            node = unsafe { Box::from_raw(pointer) };
            node.next = head;
        }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        let mut next = self.head.load(Relaxed);
        while !next.is_null() {
            // SAFETY: nodes come from `Box::leak`; each is in the list once; nobody else has the list any more.
            next = unsafe { Box::from_raw(next) }.next;
        }
    }
}

impl Mark {
    /// Releases what came before: whoever sees this value sees that too.
    pub(super) fn set(&self, value: u64) {
        self.node().value.store(value, Release);
    }

    /// Says nothing any more. Releases likewise.
    pub(super) fn clear(&self) {
        self.set(IDLE);
    }

    /// Lets another have the word.
    pub(super) fn give_back(&self) {
        self.clear();
        self.node().taken.store(false, Release);
    }

    fn node(&self) -> &Node {
        // SAFETY: nodes live as long as their list, which whoever has claimed the mark keeps (see `claim`).
        unsafe { self.node.as_ref() }
    }
}
