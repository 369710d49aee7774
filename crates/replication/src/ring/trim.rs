//! Letting go of what nobody needs: below every pin, and further back than is kept for those who return.

// The trimmer frees segments that it has proved to be out of use.
#![allow(unsafe_code)]

use super::Ring;
use super::primitive::{Ordering::*, fence};

/// Segments that a writer frees at once on its way. It fills one segment in the meantime, so it gains on what is due.
pub(super) const WRITER_FREES_MAX: u64 = 4;

/// The right to free segments, which one thread has at a time. Whoever finds it taken leaves; nobody waits for it.
pub(super) struct Turn<'a>(&'a Ring);

impl Ring {
    /// Frees all that may go. Writers free on their way whenever they cross into a segment; this is for when nobody writes,
    /// or when much has become free at once.
    pub fn trim(&self) {
        self.trim_some(u64::MAX);
    }

    /// Frees up to some segments. Does nothing if another thread is at it.
    pub(super) fn trim_some(&self, segments_max: u64) {
        if let Some(turn) = Turn::take(self) {
            turn.trim(segments_max, false);
        }
    }
}

impl<'a> Turn<'a> {
    pub(super) fn take(ring: &'a Ring) -> Option<Self> {
        // Acquire and release: one trimmer's changes of `first`, `freed` and `spilled` come before the next one's.
        // Not a swap: whoever comes in vain writes nothing (nor would loom have such a write come before the turn's end).
        // Not `then_some`: a turn that is made ends, and with it the one of whoever has it.
        ring.trimming.compare_exchange(false, true, Acquire, Relaxed).is_ok().then(|| Self(ring))
    }

    /// Frees up to some segments; `spilled` ones only if the caller may wait for the file system.
    pub(super) fn trim(&self, segments_max: u64, spilled: bool) {
        let ring = self.0;
        let published = ring.published();
        let first = ring.first.load(Relaxed);
        let kept = published.saturating_sub(ring.keep.load(Relaxed)).min(ring.pins.min()).max(first);
        ring.first.store(kept, Relaxed);
        if ring.has_spilled() && !spilled {
            return;
        }
        // Between the announcement and the second look at the pins; pairs with the fence in `Reader::new`.
        fence(SeqCst);
        let needed = ring.segments.number(kept.min(ring.pins.min()));
        let from = ring.segments.number(ring.freed.load(Relaxed));
        let to = needed.min(from.saturating_add(segments_max));
        for number in from..to {
            // SAFETY: below `published`; below every pin, of which new ones are not below `kept`; the turn is ours.
            unsafe { ring.segments.free(number) };
        }
        if to > from {
            ring.freed.store(ring.segments.begin(to), Relaxed);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.trimming.store(false, Release);
    }
}
