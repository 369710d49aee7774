//! The process's own end of the log: the ring while there is one, and how threads append to it.
//!
//! The log is switched on by the first replica that asks for it, or by the first copy taken over from a primary, and off
//! when nobody has asked for long enough. Both, and the beginning of a new generation, happen under the exclusive gate,
//! while nobody appends. So a thread's handle for appending is right for as long as its section lasts, and one
//! comparison of generations at its next record tells whether it still is.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use commands::record::Record;
use parking_lot::RwLock;
use replication::ring::{Appender, Footprint, NO_DB, Ring, Room};

/// Numbers generations, over all streams of a process (a test may have several).
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// This thread's handle, and the generation that it is for.
    static APPENDER: RefCell<Option<(u64, Appender)>> = const { RefCell::new(None) };
    /// Whether this thread tells readers by itself, once for many records.
    static TELLS_LATER: Cell<bool> = const { Cell::new(false) };
    /// Whether it has something to tell.
    static HAS_NEWS: Cell<bool> = const { Cell::new(false) };
}

/// Records from so many bytes on count as large: see [`Stream::excused`].
const LARGE_BYTES: u64 = 16 << 20;

/// See the file's head.
pub struct Stream {
    on: AtomicBool,
    generation: AtomicU64,
    ring: RwLock<Option<Arc<Ring>>>,
    /// Where the stream is while there is no ring.
    offset: AtomicU64,
    /// Where the last request for acknowledgements ends.
    asked_at: AtomicU64,
    /// Where the newest large record begins and ends. Two loads may see parts of two of them, which excuses too little.
    large: [AtomicU64; 2],
    /// What the log takes: this ring, and older ones that somebody still reads.
    footprint: Arc<Footprint>,
    /// How much of it is kept for replicas that come back.
    keep: AtomicU64,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            ring: RwLock::new(None),
            offset: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
            large: Default::default(),
            footprint: Arc::default(),
            keep: AtomicU64::new(0),
        }
    }
}

impl Stream {
    /// Whether there is a ring. Changes under the exclusive gate.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// The ring, if there is one.
    pub fn ring(&self) -> Option<Arc<Ring>> {
        self.ring.read().clone()
    }

    /// Bytes of the stream so far.
    pub fn offset(&self) -> u64 {
        match &*self.ring.read() {
            Some(ring) => ring.tail(),
            None => self.offset.load(Relaxed),
        }
    }

    /// Says where the stream is, while there is no ring.
    pub fn set_offset(&self, offset: u64) {
        self.offset.store(offset, Relaxed);
    }

    /// Makes the room for a ring. That takes milliseconds, so whoever can does it before he enters the gate.
    pub fn room(&self) -> Room {
        Room::new(self.footprint.clone())
    }

    /// Begins a new ring at an offset; what readers of an old one have is theirs until they let go of it. Called under
    /// the exclusive gate.
    pub fn begin(&self, room: Room, offset: u64, keep: u64) {
        self.large.iter().for_each(|at| at.store(0, Relaxed));
        self.keep.store(keep, Relaxed);
        *self.ring.write() = Some(Ring::within(offset, keep, room));
        self.generation.store(GENERATIONS.fetch_add(1, Relaxed), Relaxed);
        self.on.store(true, Relaxed);
    }

    /// Ends the ring. Called under the exclusive gate.
    pub fn end(&self) {
        let offset = self.offset();
        self.offset.store(offset, Relaxed);
        self.on.store(false, Relaxed);
        *self.ring.write() = None;
    }

    /// Appends a record, if the log is on, and returns where it ends.
    pub fn append(&self, record: &Record) -> u64 {
        let [opening, rest @ ..] = record.parts();
        self.note_length((opening.len() + rest.iter().map(|part| part.len()).sum::<usize>()) as u64);
        self.with_appender(|appender| appender.append_opened(record.first_db(), record.last_db(), opening, &rest))
            .unwrap_or(0)
    }

    /// Appends what belongs to no database and is for the other ends of links only.
    pub fn append_notice(&self, bytes: &[u8]) -> u64 {
        self.with_appender(|appender| appender.append(NO_DB, NO_DB, &[bytes])).unwrap_or(0)
    }

    /// Appends bytes of a primary's stream; `db` is selected behind them.
    pub fn append_raw(&self, raw: &[u8], db: u32) {
        self.note_length(raw.len() as u64);
        if self.with_appender(|appender| appender.append_raw(&[raw], db)).is_none() {
            self.offset.fetch_add(raw.len() as u64, Relaxed);
        }
    }

    /// How many bytes of the newest large record are still before a reader. They came at once, so they say nothing of how
    /// fast the reader is; holding them against it would end its link over one `SET`, and only have them copied again.
    pub fn excused(&self, at: u64) -> u64 {
        let [begin, end] = [0, 1].map(|side: usize| self.large[side].load(Relaxed));
        end.saturating_sub(begin.max(at))
    }

    /// Notes a large record before it is appended, so that nobody sees it without knowing that it is large. Where it will
    /// lie is known but for what others append in between.
    fn note_length(&self, bytes: u64) {
        if bytes >= LARGE_BYTES {
            let begin = self.offset();
            self.large[0].store(begin, Relaxed);
            self.large[1].store(begin + bytes, Relaxed);
        }
    }

    /// Sets how many bytes are kept for replicas that come back, and lets go of the rest.
    pub fn trim(&self, keep: u64) {
        self.keep.store(keep, Relaxed);
        if let Some(ring) = self.ring() {
            ring.set_keep(keep);
            ring.trim();
        }
    }

    /// How much memory the log takes for its backlog, which counts against `maxmemory`.
    pub fn backlog_bytes(&self) -> u64 {
        self.memory_bytes().min(self.keep.load(Relaxed))
    }

    /// How much it takes beyond that: it is kept for readers, and goes when they have read it, so it does not count.
    pub fn beyond_backlog_bytes(&self) -> u64 {
        self.memory_bytes().saturating_sub(self.keep.load(Relaxed))
    }

    /// Bytes of memory that the log takes.
    pub fn memory_bytes(&self) -> u64 {
        self.footprint.memory()
    }

    /// Bytes that it has in files.
    pub fn spilled_bytes(&self) -> u64 {
        self.footprint.spilled()
    }

    /// Asks all replicas how far they are, unless nothing was appended since they were asked last.
    pub fn ask(&self) {
        const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
        let asked = self.asked_at.load(Relaxed);
        if asked == 0 || self.offset() != asked {
            self.asked_at.store(self.append_notice(GETACK), Relaxed);
        }
    }

    fn with_appender(&self, append: impl FnOnce(&mut Appender) -> u64) -> Option<u64> {
        if !self.is_on() {
            return None;
        }
        APPENDER.with_borrow_mut(|slot| {
            let generation = self.generation.load(Relaxed);
            if slot.as_ref().is_none_or(|(of, _)| *of != generation) {
                *slot = self.ring().map(|ring| (generation, ring.appender()));
            }
            let (_, appender) = slot.as_mut()?;
            let end = append(appender);
            HAS_NEWS.set(true);
            Some(end)
        })
    }
}

/// This thread is going to tell readers by itself of what it has appended: see [`take_news`].
pub fn tell_later() {
    TELLS_LATER.set(true);
}

/// Whether readers must be told now of what this thread has just appended.
pub fn must_tell_now() -> bool {
    !TELLS_LATER.get() && HAS_NEWS.take()
}

/// Whether this thread has appended anything since it was asked last.
pub fn take_news() -> bool {
    HAS_NEWS.take()
}
