//! Where the segments are: a table that is looked up by a segment's number modulo its length, and a few spare segments.
//!
//! Whoever first has bytes to put into a segment that is not there puts it there; if two do so at once, one exchange wins
//! and the other's segment becomes a spare. Segments that are freed become spares too, up to [`SPARES`]: their pages are
//! mapped already, which is most of what a new one costs. The kernel clears what it maps, with huge pages 2 MiB at once,
//! for which a virtual machine takes milliseconds; so readers see to it that a writer finds a spare
//! ([`Directory::prepare`]), and the table itself is mapped when it is made.

// The table holds raw pointers: no counting and no lock between a writer and its segment.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ptr;
use std::sync::Arc;

use super::Footprint;
use super::primitive::{AtomicPtr, Ordering::*};
use super::segment::Segment;

/// Segments kept for use again.
const SPARES: usize = 4;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Directory {
    /// A segment's size is two to the power of this.
    shift: u32,
    slots: Box<[AtomicPtr<Segment>]>,
    spares: [AtomicPtr<Segment>; SPARES],
    /// Counts the segments that exist, spares included, and whatever else is counted there. A segment is in it from
    /// before it is allocated until after it is freed, so it is never less than what the system has given.
    footprint: Arc<Footprint>,
}

impl Directory {
    pub(super) fn new(segment_bytes: usize, slots: usize, footprint: Arc<Footprint>) -> Self {
        assert!(segment_bytes.is_power_of_two() && slots.is_power_of_two());
        let slots = nulls(slots);
        // Two pages, or all of it where pages are huge.
        for slot in slots.first().into_iter().chain(slots.last()) {
            slot.store(ptr::null_mut(), Relaxed);
        }
        Self {
            shift: segment_bytes.trailing_zeros(),
            slots,
            spares: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            footprint,
        }
    }

    /// The number of the segment that an offset lies in.
    pub(super) fn number(&self, offset: u64) -> u64 {
        offset >> self.shift
    }

    /// The first offset of a segment.
    pub(super) fn begin(&self, number: u64) -> u64 {
        number << self.shift
    }

    pub(super) fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Puts bytes at an offset, over as many segments as they take.
    ///
    /// # Safety
    /// The caller alone has reserved these offsets, and they are not published yet (so they are not freed either).
    pub(super) unsafe fn write(&self, mut at: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let number = self.number(at);
            let from = (at - self.begin(number)) as usize;
            let (here, later) = bytes.split_at(bytes.len().min((1 << self.shift) - from));
            // SAFETY: the caller's promise; a segment that holds unpublished offsets is not freed.
            unsafe { self.segment(number).write(from, here) };
            at += here.len() as u64;
            bytes = later;
        }
    }

    /// Lends out the bytes from one offset to another, or to the end of the first one's segment.
    ///
    /// # Safety
    /// They are published, and pinned while the slice lives.
    pub(super) unsafe fn read(&self, from: u64, to: u64) -> &[u8] {
        if from == to {
            return &[];
        }
        let number = self.number(from);
        let begin = self.begin(number);
        let end = to.min(begin + (1 << self.shift));
        // SAFETY: what is published has been written and is not written again, and its segment stays while it is pinned.
        unsafe { self.segment(number).read((from - begin) as usize..(end - begin) as usize) }
    }

    /// Takes a segment out.
    ///
    /// # Safety
    /// All its offsets are published and none of them is pinned, nor will be; nobody else takes it out at the same time.
    pub(super) unsafe fn free(&self, number: u64) {
        let segment = self.slot(number).swap(ptr::null_mut(), Acquire);
        if !segment.is_null() {
            // SAFETY: it came from `Box::into_raw`, is out of the table now, and by the caller's promise out of use.
            let segment = unsafe { Box::from_raw(segment) };
            match segment.is_spilled() {
                true => self.drop_segment(segment),
                false => self.keep_spare(segment),
            }
        }
    }

    /// Moves a segment from memory into an empty file.
    ///
    /// # Errors
    /// Those of the file; then the segment is still in memory.
    ///
    /// # Safety
    /// All its offsets are published, and nobody takes it out or spills it at the same time.
    pub(super) unsafe fn spill(&self, number: u64, file: &File) -> io::Result<()> {
        // SAFETY: what is published has been written and is not written again; the caller sees to it that it stays.
        unsafe { self.segment(number).spill(file)? };
        self.footprint.spilled.fetch_add(1 << self.shift, Relaxed);
        self.footprint.memory.fetch_sub(1 << self.shift, Relaxed);
        Ok(())
    }

    /// Puts a segment aside whose memory is mapped, unless there is one. Two who do so at once put two aside.
    pub(super) fn prepare(&self) {
        // Relaxed: only whether there is one matters.
        if self.spares.iter().all(|spare| spare.load(Relaxed).is_null()) {
            let mut segment = self.new_segment();
            segment.map();
            self.keep_spare(segment);
        }
    }

    fn slot(&self, number: u64) -> &AtomicPtr<Segment> {
        &self.slots[number as usize & (self.slots.len() - 1)]
    }

    /// The segment of a number, put there if need be.
    ///
    /// # Safety
    /// It is not freed while the reference lives.
    unsafe fn segment(&self, number: u64) -> &Segment {
        let slot = self.slot(number);
        // Acquire pairs with the release of the exchange in `install`: the segment is complete.
        let mut segment = slot.load(Acquire);
        if segment.is_null() {
            segment = self.install(slot, number);
        }
        // SAFETY: pointers in the table come from `Box::into_raw`; the caller sees to it that it stays.
        let segment = unsafe { &*segment };
        assert_eq!(segment.number, number, "the log has outgrown its table of segments");
        segment
    }

    #[cold]
    fn install(&self, slot: &AtomicPtr<Segment>, number: u64) -> *mut Segment {
        let mut segment = self.take_spare();
        segment.number = number;
        let segment = Box::into_raw(segment);
        match slot.compare_exchange(ptr::null_mut(), segment, AcqRel, Acquire) {
            Ok(_) => segment,
            Err(theirs) => {
                // SAFETY: it has just come from `Box::into_raw` and nobody else has seen it.
                self.keep_spare(unsafe { Box::from_raw(segment) });
                theirs
            }
        }
    }

    fn take_spare(&self) -> Box<Segment> {
        for spare in &self.spares {
            // Acquire pairs with the release of `keep_spare`: who had it last is done with it.
            let segment = spare.swap(ptr::null_mut(), Acquire);
            if !segment.is_null() {
                // SAFETY: it came from `Box::into_raw`, and the exchange made it ours alone.
                return unsafe { Box::from_raw(segment) };
            }
        }
        self.new_segment()
    }

    fn new_segment(&self) -> Box<Segment> {
        self.footprint.memory.fetch_add(1 << self.shift, Relaxed);
        Segment::new(0, 1 << self.shift)
    }

    fn keep_spare(&self, segment: Box<Segment>) {
        let segment = Box::into_raw(segment);
        for spare in &self.spares {
            if spare.compare_exchange(ptr::null_mut(), segment, Release, Relaxed).is_ok() {
                return;
            }
        }
        // SAFETY: it has just come from `Box::into_raw`, and no spare place took it.
        self.drop_segment(unsafe { Box::from_raw(segment) });
    }

    fn drop_segment(&self, segment: Box<Segment>) {
        let counted = if segment.is_spilled() { &self.footprint.spilled } else { &self.footprint.memory };
        drop(segment);
        counted.fetch_sub(1 << self.shift, Relaxed);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A table is much longer than the segments in it are many; pages of it that were never written stay unmapped.
        for slot in self.slots.iter().chain(&self.spares) {
            let segment = slot.load(Acquire);
            if !segment.is_null() {
                // SAFETY: it came from `Box::into_raw`; nobody else has the table any more.
                self.drop_segment(unsafe { Box::from_raw(segment) });
            }
        }
    }
}

/// A table of nulls that costs no memory until it is written.
#[cfg(not(all(test, loom)))]
fn nulls(slots: usize) -> Box<[AtomicPtr<Segment>]> {
    // SAFETY: a null pointer is all zeroes.
    unsafe { Box::new_zeroed_slice(slots).assume_init() }
}

#[cfg(all(test, loom))]
fn nulls(slots: usize) -> Box<[AtomicPtr<Segment>]> {
    (0..slots).map(|_| AtomicPtr::new(ptr::null_mut())).collect()
}
