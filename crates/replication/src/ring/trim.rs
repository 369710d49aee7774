//! Letting go of what nobody needs: below every pin, and further back than is kept for those who return.

// The trimmer frees segments that it has proved to be out of use.
#![allow(unsafe_code)]

use super::Ring;
use super::primitive::{Ordering::*, fence};

/// Segments that a writer frees at once on its way. It fills one segment in the meantime, so it gains on what is due.
pub(super) const WRITER_FREES_MAX: u64 = 4;

impl Ring {
    /// Frees all that may go. Writers free on their way whenever they cross into a segment; this is for when nobody writes,
    /// or when much has become free at once.
    pub fn trim(&self) {
        self.trim_some(u64::MAX);
    }

    /// Frees up to some segments. Does nothing if another thread is at it.
    pub(super) fn trim_some(&self, segments_max: u64) {
        // Acquire and release: one trimmer's changes of `first` and `freed` come before the next one's.
        if self.trimming.swap(true, Acquire) {
            return;
        }
        let published = self.published();
        let first = self.first.load(Relaxed);
        let kept = published.saturating_sub(self.keep.load(Relaxed)).min(self.pins.min()).max(first);
        self.first.store(kept, Relaxed);
        // Between the announcement and the second look at the pins; pairs with the fence in `Reader::new`.
        fence(SeqCst);
        let needed = self.segments.number(kept.min(self.pins.min()));
        let from = self.segments.number(self.freed.load(Relaxed));
        let to = needed.min(from.saturating_add(segments_max));
        for number in from..to {
            // SAFETY: below `published`; below every pin, of which new ones are not below `kept`; `trimming` is ours.
            unsafe { self.segments.free(number) };
        }
        if to > from {
            self.freed.store(self.segments.begin(to), Relaxed);
        }
        self.trimming.store(false, Release);
    }
}
