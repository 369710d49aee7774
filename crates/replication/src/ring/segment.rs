//! The bytes of one segment, written once by whoever has reserved them, and lent out when they are published.

// Disjoint parts are written and read by different threads at the same time; no safe type says that.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The least that is mapped at once; where pages are larger, a write is in vain.
const PAGE_BYTES: usize = 4096;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Segment {
    /// Which it is: its first offset divided by its size. Only changed while one thread alone has the segment.
    pub(super) number: u64,
    bytes: Box<[UnsafeCell<MaybeUninit<u8>>]>,
    /// A cell for each byte, which tells loom who writes and reads it.
    #[cfg(all(test, loom))]
    shadow: Box<[loom::cell::UnsafeCell<()>]>,
}

// SAFETY: `write` and `read` leave it to their callers that no byte is written while another thread touches it.
unsafe impl Sync for Segment {}
// SAFETY: plain bytes.
unsafe impl Send for Segment {}

impl Segment {
    /// A segment whose bytes hold nothing yet.
    pub(super) fn new(number: u64, bytes: usize) -> Box<Self> {
        let uninit = Box::new_uninit_slice(bytes);
        Box::new(Self {
            number,
            // SAFETY: the elements may be uninitialised, they say so.
            bytes: unsafe { uninit.assume_init() },
            #[cfg(all(test, loom))]
            shadow: (0..bytes).map(|_| loom::cell::UnsafeCell::new(())).collect(),
        })
    }

    /// Has the kernel map its memory, which it does at the first write to each page.
    pub(super) fn map(&mut self) {
        for page in self.bytes.chunks_mut(PAGE_BYTES) {
            page[0].get_mut().write(0);
        }
    }

    /// Fills a part.
    ///
    /// # Safety
    /// No other thread reads or writes this part at the same time.
    pub(super) unsafe fn write(&self, from: usize, source: &[u8]) {
        let target = &self.bytes[from..from + source.len()];
        #[cfg(all(test, loom))]
        self.shadow[from..from + source.len()].iter().for_each(|cell| cell.with_mut(|_| ()));
        // SAFETY: `target` is as long as `source`, the cells may be written through a shared reference, and the caller
        // sees to it that nobody else touches them.
        unsafe {
            std::ptr::copy_nonoverlapping(source.as_ptr(), UnsafeCell::raw_get(target.as_ptr()).cast(), source.len());
        }
    }

    /// Lends out a part.
    ///
    /// # Safety
    /// The part has been written, that is visible to this thread, and nobody writes it while the slice lives.
    pub(super) unsafe fn read(&self, range: Range<usize>) -> &[u8] {
        let part = &self.bytes[range.clone()];
        #[cfg(all(test, loom))]
        self.shadow[range].iter().for_each(|cell| cell.with(|_| ()));
        // SAFETY: `UnsafeCell` and `MaybeUninit` have the layout of what they hold; the caller sees to the rest.
        unsafe { std::slice::from_raw_parts(part.as_ptr().cast(), part.len()) }
    }
}

#[cfg(all(test, loom))]
impl Drop for Segment {
    /// Freeing is like writing: nobody may still be at it.
    fn drop(&mut self) {
        self.shadow.iter().for_each(|cell| cell.with_mut(|_| ()));
    }
}
