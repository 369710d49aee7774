//! The reading end: a cursor that keeps what lies before it.

// Published bytes are lent out from shared memory.
#![allow(unsafe_code)]

use std::sync::Arc;

use super::Ring;
use super::marks::Mark;
use super::primitive::{Ordering::*, fence};

/// A cursor in the stream. Nothing at or above its position is freed while it lives.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    /// Holds `at`.
    pin: Mark,
    /// The offset of the next byte.
    at: u64,
    /// The largest published offset seen so far, `at` at least.
    published: u64,
}

impl Reader {
    pub(super) fn new(ring: Arc<Ring>, at: u64) -> Option<Self> {
        // SAFETY: given back when the cursor is dropped, which keeps the ring until then.
        let pin = unsafe { ring.pins.claim() };
        pin.set(at);
        let reader = Self { ring, pin, at, published: at };
        // Between the pin and the look at `first`; pairs with the fence in `trim_some`.
        fence(SeqCst);
        (reader.ring.first.load(Relaxed) <= at && at <= reader.ring.tail()).then_some(reader)
    }

    /// The stream that it reads.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// The offset of the next byte.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The bytes from here on that are there already, up to the end of their segment; none at the published end.
    pub fn chunk(&mut self) -> &[u8] {
        self.published = self.published.max(self.ring.published());
        // SAFETY: published, and the pin keeps it: the slice borrows the cursor, so it cannot move on meanwhile.
        unsafe { self.ring.segments.read(self.at, self.published) }
    }

    /// Goes on by some bytes of the last chunk.
    ///
    /// # Panics
    /// If that many were not there.
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes as u64;
        assert!(self.at <= self.published, "a reader of the log went past what is published");
        // Releases: what was read comes before the trimmer's reuse of it.
        self.pin.set(self.at);
    }

    /// Bytes between here and the end of the stream.
    pub fn lag(&self) -> u64 {
        self.ring.tail().saturating_sub(self.at)
    }
}

impl Clone for Reader {
    /// Another cursor at the same place.
    fn clone(&self) -> Self {
        // SAFETY: as in `new`.
        let pin = unsafe { self.ring.pins.claim() };
        // No look at `first` is needed. A trimmer that goes past this place has read a later pin of this cursor in its
        // first pass, and that pin's release shows it the new one in its second.
        pin.set(self.at);
        Self { ring: self.ring.clone(), pin, at: self.at, published: self.published }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pin.give_back();
    }
}
