//! Moving what lagging readers keep from memory into files: the oldest segment first, and only whole ones that are published.
//!
//! Spilling takes the same turn as trimming, so a segment is not freed while it is moved, and is moved once. To free one that
//! lies in a file means to give the file up, which can keep a thread waiting for the file system; so while there are any,
//! writers and others who trim on their way leave the freeing to [`Ring::trim_spilled`].

// Published segments change their place under those who read them.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use super::Ring;
use super::primitive::Ordering::*;
use super::trim::Turn;

impl Ring {
    /// Frees all that may go, and moves the oldest segment that is still needed and in memory into an empty file, which should have no name: it lasts as long as
    /// the segment. Returns whether there was one; there is none, too, while another thread trims.
    ///
    /// # Errors
    /// Those of the file. Then the segment stays in memory.
    pub fn spill(&self, file: impl FnOnce() -> io::Result<File>) -> io::Result<bool> {
        let Some(turn) = Turn::take(self) else { return Ok(false) };
        // What nobody needs is not to be moved.
        turn.trim(u64::MAX, true);
        let number = self.segments.number(self.freed.load(Relaxed)).max(self.spilled.load(Relaxed));
        if number >= self.segments.number(self.published()) {
            return Ok(false);
        }
        // SAFETY: below the published offset as a whole, and not freed yet; the turn is ours.
        unsafe { self.segments.spill(number, &file()?)? };
        self.spilled.store(number + 1, Relaxed);
        drop(turn);
        Ok(true)
    }

    /// Frees all that may go, in files too. Returns whether any segment is left in a file.
    pub fn trim_spilled(&self) -> bool {
        if let Some(turn) = Turn::take(self) {
            turn.trim(u64::MAX, true);
        }
        self.has_spilled()
    }

    /// Whether any segment lies in a file.
    pub(super) fn has_spilled(&self) -> bool {
        self.segments.number(self.freed.load(Relaxed)) < self.spilled.load(Relaxed)
    }
}
