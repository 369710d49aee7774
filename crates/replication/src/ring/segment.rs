//! The bytes of one segment, written once by whoever has reserved them, and lent out when they are published.
//!
//! They are mapped apart from the allocator's memory, in small pages. A log is written and read from front to end, so huge
//! pages would save it nothing, and the kernel clears those 2 MiB at a time: where the machine is a virtual one that has
//! given its free memory back, that takes milliseconds, and a writer may be the one who waits.

// Disjoint parts are written and read by different threads at the same time; no safe type says that.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memmap2::{MmapMut, MmapRaw};

use super::primitive::{AtomicBool, Ordering::Relaxed};

/// The least that is mapped at once; where pages are larger, a write is in vain.
const PAGE_BYTES: usize = 4096;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Segment {
    /// Which it is: its first offset divided by its size. Only changed while one thread alone has the segment.
    pub(super) number: u64,
    memory: MmapRaw,
    /// Whether a file has taken the memory's place. Only looked at and changed by whoever trims.
    spilled: AtomicBool,
    /// A cell for each byte, which tells loom who writes and reads it.
    #[cfg(all(test, loom))]
    shadow: Box<[loom::cell::UnsafeCell<()>]>,
}

impl Segment {
    /// A segment whose bytes hold nothing yet.
    ///
    /// # Panics
    /// When the system has no memory for it.
    pub(super) fn new(number: u64, bytes: usize) -> Box<Self> {
        let memory = MmapMut::map_anon(bytes).expect("memory for a segment of the log");
        // Refused where the kernel knows no huge pages.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::NoHugePage);
        Box::new(Self {
            number,
            memory: memory.into(),
            spilled: AtomicBool::new(false),
            #[cfg(all(test, loom))]
            shadow: (0..bytes).map(|_| loom::cell::UnsafeCell::new(())).collect(),
        })
    }

    /// Has the kernel map its memory, which it otherwise does at the first write to each page.
    pub(super) fn map(&mut self) {
        for page in (0..self.memory.len()).step_by(PAGE_BYTES) {
            // SAFETY: it lies within the mapping, which this thread alone has.
            unsafe { self.memory.as_mut_ptr().add(page).write(0) };
        }
    }

    /// Fills a part.
    ///
    /// # Safety
    /// No other thread reads or writes this part at the same time.
    pub(super) unsafe fn write(&self, from: usize, source: &[u8]) {
        assert!(from + source.len() <= self.memory.len(), "beyond the segment");
        #[cfg(all(test, loom))]
        self.shadow[from..from + source.len()].iter().for_each(|cell| cell.with_mut(|_| ()));
        // SAFETY: the part lies within the mapping, and the caller sees to it that nobody else touches it.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), self.memory.as_mut_ptr().add(from), source.len()) };
    }

    /// Whether it lies in a file.
    pub(super) fn is_spilled(&self) -> bool {
        self.spilled.load(Relaxed)
    }

    /// Puts the bytes into an empty file, and that in the memory's place: at the same address, so that those who read
    /// meanwhile notice nothing. The kernel changes what stands there in one step, seen from any other thread: a page
    /// is found in the memory or in the file, and both hold the same. The file lasts as long as the segment.
    ///
    /// # Errors
    /// Those of the file; then everything is as it was.
    ///
    /// # Safety
    /// All of it has been written, that is visible to this thread, and nobody writes it again.
    pub(super) unsafe fn spill(&self, file: &File) -> io::Result<()> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.read(0..self.memory.len()) };
        file.write_all_at(bytes, 0)?;
        // SAFETY: the range is this mapping's own, and what stands in its place has the same bytes; to end the mapping
        // ends this one. Without the right to write, since nobody does.
        unsafe {
            use rustix::mm::{MapFlags, ProtFlags, mmap};
            let at = self.memory.as_mut_ptr().cast();
            mmap(at, bytes.len(), ProtFlags::READ, MapFlags::SHARED | MapFlags::FIXED, file, 0)?;
        }
        self.spilled.store(true, Relaxed);
        Ok(())
    }

    /// Lends out a part.
    ///
    /// # Safety
    /// The part has been written, that is visible to this thread, and nobody writes it while the slice lives.
    pub(super) unsafe fn read(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.memory.len(), "beyond the segment");
        #[cfg(all(test, loom))]
        self.shadow[range.clone()].iter().for_each(|cell| cell.with(|_| ()));
        // SAFETY: the part lies within the mapping; the caller sees to the rest.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(range.start), range.len()) }
    }
}

#[cfg(all(test, loom))]
impl Drop for Segment {
    /// Freeing is like writing: nobody may still be at it.
    fn drop(&mut self) {
        self.shadow.iter().for_each(|cell| cell.with_mut(|_| ()));
    }
}
