//! The log of effects: one ordered stream of bytes in memory, written by many threads and read by many, without a lock.
//!
//! # What it holds
//!
//! The stream's bytes are numbered; a byte's number is its *offset*, and the number of bytes so far is what Redis calls
//! `master_repl_offset`. The bytes lie in *segments* of 1 MiB, found by dividing an offset. The byte that Redis counts
//! as the k-th (the first is 1) has the offset k - 1 here, so that "up to" and "from" are the same number.
//!
//! # Appending: reserve, copy, publish
//!
//! The *tail* is one 64-bit word: the low 48 bits of the offset at which the stream ends, and the database that the last
//! record has left selected (see `ring/tail.rs`). A writer
//!
//! 1. loads the tail and stores its offset in its own padded *mark* (`ring/marks.rs`);
//! 2. moves the tail on by compare-exchange: the bytes between are its own now. If the database of the tail is not the
//!    one it needs, it reserves room for a SELECT in front: that is why the database is in the same word;
//! 3. copies its record, over as many segments as it needs; whoever comes first to a segment puts it there;
//! 4. clears its mark.
//!
//! A reader loads the tail, then all marks, and may read up to the smallest of them, the *published* offset. What is
//! below never changes, so it is lent out as a slice and goes to a socket without a copy.
//!
//! This is the reservation of Disruptor-like rings. They publish by a sequence that writers bring forward in order, each
//! waiting for the one before; here readers work out the minimum, so that a writer which the kernel has stopped in the
//! middle delays readers, and no writer.
//!
//! # Progress
//!
//! Appending is lock-free: a writer's exchange fails only if another's has succeeded, and nothing else in it repeats.
//! Reading and trimming are wait-free in the number of marks: they take one pass. Nobody spins on anybody's behalf.
//!
//! # Memory orderings
//!
//! - *A reader that sees a reservation sees the mark that belongs to it.* The mark is stored before the exchange, which
//!   releases; the reader's load of the tail acquires. All changes of the tail are exchanges, so the release of an earlier
//!   one holds through later ones (a release sequence). If the reader sees an older tail, it reads below the reservation
//!   anyhow: reservations are contiguous, and a tail is the beginning of the next.
//! - *A reader that finds no mark sees the bytes.* Clearing a mark releases, and so does storing it: a reader that meets
//!   the mark of the writer's next record has to see the bytes of the record before it. The load acquires.
//! - A mark may be older than needed: between loading the tail and storing the mark, others may go past. Then the published
//!   offset seems to go back. Bytes that were published stay so; a reader keeps the larger.
//! - *Nothing is freed under a reader.* A reader's *pin*, the offset it stands at, is a mark of a second list. It stores
//!   its pin, then looks whether the first kept offset has passed it; the trimmer stores the first kept offset, then looks
//!   at the pins. Between each pair stands a sequentially consistent fence, so at least one of them sees the other.
//!   Moving a pin releases and the trimmer acquires it: what the reader has read comes before the segment's next use.
//! - *Nothing is freed under a writer.* A writer touches only what it has reserved, and that begins at or above all that
//!   was ever published, while the trimmer stays below what it has seen published.
//!
//! # Segments in files
//!
//! What is kept for readers that lag may be moved from memory into files, a segment at a time (`ring/spill.rs`). Nobody
//! who reads sees the difference: the file takes the memory's place at the same address.
//!
//! # Invariants
//!
//! 1. freed <= first <= published <= tail, and freed <= every pin that `reader` has handed out.
//! 2. Every segment from `freed` up to the published offset is in the table. Others are null, or about to be written.
//! 3. The offsets alive at one time span less than the table (256 GiB), which is less than what the 48 bits can tell apart.
//!
//! The design speaks of reference-counted segments. Counting would need a second protection for the moment between finding
//! a segment and counting oneself in; pins by offset need only the one, cost a reader one store where it moves, and keep
//! whatever is above them, so that a running copy needs to hold one offset instead of the segments to come.
//!
//! `ring/model.rs` goes through the interleavings of small cases with loom; `ring/tests.rs` loads it from many threads,
//! also under the thread sanitizer; `benches/benches/ring.rs` measures.

mod append;
mod directory;
mod marks;
#[cfg(all(test, loom))]
mod model;
mod primitive;
mod reader;
mod segment;
mod spill;
mod tail;
#[cfg(all(test, not(loom)))]
mod tests;
mod trim;

use std::sync::Arc;

use crossbeam::utils::CachePadded;

pub use append::Appender;
pub use reader::Reader;
pub use tail::NO_DB;

use directory::Directory;
use marks::Marks;
use primitive::{AtomicBool, AtomicU64, Ordering::*};
use tail::Tail;

/// Bytes of a segment.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// Entries in the table of segments: a bound for the bytes between the oldest pin and the tail, 256 GiB. A stream that
/// outgrows it stops the process; the limits for replicas that lag lie far below.
const DIRECTORY_SLOTS: usize = 1 << 18;

/// The most bytes that are kept for replicas that come back, whatever is asked for: half of what the table can hold.
pub const KEEP_MAX: u64 = (SEGMENT_BYTES * DIRECTORY_SLOTS / 2) as u64;

/// How many bytes the segments of some rings take.
#[derive(Debug, Default)]
pub struct Footprint {
    memory: std::sync::atomic::AtomicU64,
    spilled: std::sync::atomic::AtomicU64,
}

impl Footprint {
    /// Bytes in memory.
    pub fn memory(&self) -> u64 {
        self.memory.load(Relaxed)
    }

    /// Bytes in files.
    pub fn spilled(&self) -> u64 {
        self.spilled.load(Relaxed)
    }
}

/// See the file's head. It lasts for one generation of the stream: a full copy from a primary begins another.
#[derive(Debug)]
pub struct Ring {
    /// Alone on its cache line: every writer changes it.
    tail: CachePadded<AtomicU64>,
    /// An offset not far from the tail, from which the tail's 48 bits are completed. Advisory: any value within 2^47 will do.
    base: AtomicU64,
    /// One mark for each writer: the tail it saw before it reserved.
    appending: Marks,
    /// One mark for each reader: where it stands.
    pins: Marks,
    segments: Directory,
    /// The first offset that a new reader may ask for.
    first: AtomicU64,
    /// The first offset whose segment is still there; at a segment's begin, except at the start. Only the trimmer writes it.
    freed: AtomicU64,
    /// Taken by the one who trims. Whoever finds it taken leaves; nobody waits for it.
    trimming: AtomicBool,
    /// Bytes to keep for replicas that come back.
    keep: AtomicU64,
    /// Segments below this number lie in files, if they are still there. Changed by whoever trims.
    spilled: AtomicU64,
}

/// The memory that a stream begins with. To make it takes milliseconds, so it is made before anybody waits for the stream.
#[derive(Debug)]
pub struct Room(Directory);

impl Room {
    /// Room for a stream whose segments are counted together with those of others.
    pub fn new(footprint: Arc<Footprint>) -> Self {
        let directory = Directory::new(SEGMENT_BYTES, DIRECTORY_SLOTS, footprint);
        directory.prepare();
        Self(directory)
    }
}

impl Ring {
    /// An empty stream that begins at an offset and keeps at least `keep` bytes for those who come back.
    pub fn new(at: u64, keep: u64) -> Arc<Self> {
        Self::within(at, keep, Room::new(Arc::default()))
    }

    /// The same, in a room that was made before.
    pub fn within(at: u64, keep: u64, Room(segments): Room) -> Arc<Self> {
        Self::with_directory(at, keep, segments)
    }

    /// With segments and a table of other sizes, both powers of two.
    #[cfg(test)]
    pub(crate) fn with_layout(at: u64, keep: u64, segment_bytes: usize, slots: usize) -> Arc<Self> {
        Self::with_directory(at, keep, Directory::new(segment_bytes, slots, Arc::default()))
    }

    fn with_directory(at: u64, keep: u64, segments: Directory) -> Arc<Self> {
        Arc::new(Self {
            tail: CachePadded::new(AtomicU64::new(Tail::new(at, NO_DB).0)),
            base: AtomicU64::new(at),
            appending: Marks::new(),
            pins: Marks::new(),
            segments,
            first: AtomicU64::new(at),
            freed: AtomicU64::new(at),
            trimming: AtomicBool::new(false),
            keep: AtomicU64::new(keep.min(KEEP_MAX)),
            spilled: AtomicU64::new(0),
        })
    }

    /// A handle for a thread that appends. Threads come and go; the mark of one that is gone is used again.
    pub fn appender(self: &Arc<Self>) -> Appender {
        Appender::new(self.clone())
    }

    /// A reader that begins at an offset, or nothing if the stream no longer has it, or does not have it yet.
    /// From now on nothing from there on is freed.
    pub fn reader(self: &Arc<Self>, at: u64) -> Option<Reader> {
        Reader::new(self.clone(), at)
    }

    /// Where the stream ends, records that are being copied included.
    pub fn tail(&self) -> u64 {
        // Acquire: see "memory orderings"; `published` needs it.
        Tail(self.tail.load(Acquire)).offset_near(self.base.load(Relaxed))
    }

    /// Up to where all bytes are there. Two calls may give a smaller one after a larger one; the larger one is true.
    pub fn published(&self) -> u64 {
        let tail = self.tail();
        tail.min(self.appending.min())
    }

    /// The first offset that [`Self::reader`] still gives.
    pub fn first_offset(&self) -> u64 {
        self.first.load(Relaxed)
    }

    /// Sees to it that the next writer who needs another segment finds one whose memory is mapped: to be called by those who
    /// read, now and then. A few loads if there is one.
    pub fn prepare(&self) {
        self.segments.prepare();
    }

    /// Forgets which database is selected, so that the next record carries a SELECT: whoever reads from here on may not know.
    pub fn forget_database(&self) {
        let mut seen = self.tail.load(Relaxed);
        while let Err(now) = self.tail.compare_exchange_weak(seen, Tail(seen).with_database(NO_DB).0, AcqRel, Relaxed) {
            seen = now;
        }
    }

    /// The database that is selected at the end of the stream, [`NO_DB`] if none.
    pub fn database(&self) -> u32 {
        Tail(self.tail.load(Relaxed)).database()
    }

    /// Sets how many bytes are kept for replicas that come back, [`KEEP_MAX`] at most.
    pub fn set_keep(&self, bytes: u64) {
        self.keep.store(bytes.min(KEEP_MAX), Relaxed);
    }

    /// How far the reader that is furthest behind is behind the end.
    pub fn lag_max(&self) -> u64 {
        let tail = self.tail();
        tail.saturating_sub(self.pins.min())
    }

    /// What the segments take, those of the rings included that it is counted with.
    pub fn footprint(&self) -> &Footprint {
        self.segments.footprint()
    }
}
