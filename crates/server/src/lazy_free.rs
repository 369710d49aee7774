//! One thread that frees what would take long: databases that were flushed, and values of many parts.
//!
//! The queue is unbounded in length but not in memory: what waits in it is memory that was in use before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use crossbeam::channel::{Sender, unbounded};
use store::database::Database;
use store::entry::Entry;

/// Values of at most this many parts are freed where they fall: Redis's threshold.
const PARTS_MAX: usize = 64;

// What is inside is held for its drop alone.
enum Garbage {
    Value { _large: Entry },
    Database { _detached: Arc<Database>, keys: u64 },
}

/// See the file's head.
pub struct LazyFree {
    queue: Sender<Garbage>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    pending: AtomicU64,
    freed: AtomicU64,
}

impl LazyFree {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let (queue, garbage) = unbounded::<Garbage>();
        let counts = Arc::new(Counts::default());
        let theirs = counts.clone();
        thread::Builder::new().name("lazyfree".into()).spawn(move || {
            for garbage in garbage {
                let objects = garbage.objects();
                drop(garbage);
                theirs.pending.fetch_sub(objects, Relaxed);
                theirs.freed.fetch_add(objects, Relaxed);
            }
        })?;
        Ok(Self { queue, counts })
    }

    /// Frees values, the large ones in the background.
    pub fn values(&self, values: Vec<Entry>) {
        for value in values {
            if value.parts() > PARTS_MAX {
                self.send(Garbage::Value { _large: value });
            }
        }
    }

    /// Frees a database that was taken out of the keyspace.
    pub fn database(&self, database: Arc<Database>) {
        let keys = database.len() as u64;
        self.send(Garbage::Database { _detached: database, keys });
    }

    /// `lazyfree_pending_objects`.
    pub fn pending(&self) -> u64 {
        self.counts.pending.load(Relaxed)
    }

    /// `lazyfreed_objects`.
    pub fn freed(&self) -> u64 {
        self.counts.freed.load(Relaxed)
    }

    /// Sets `lazyfreed_objects` to 0.
    pub fn reset(&self) {
        self.counts.freed.store(0, Relaxed);
    }

    fn send(&self, garbage: Garbage) {
        self.counts.pending.fetch_add(garbage.objects(), Relaxed);
        // The thread ends with the process only; were it gone, the garbage would be freed here.
        let _ = self.queue.send(garbage);
    }
}

impl Garbage {
    fn objects(&self) -> u64 {
        match self {
            Self::Value { .. } => 1,
            Self::Database { keys, .. } => *keys,
        }
    }
}
