//! One thread that frees what would take long: databases that were flushed, and values of many parts.
//!
//! A client may wait in the same queue (FLUSHALL without ASYNC): it is answered when all before it is freed.
//!
//! The queue is unbounded in length but not in memory: what waits in it is memory that was in use before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use commands::blocking::{End, Waiter};
use commands::host::Host;
use crossbeam::channel::{Receiver, Sender, unbounded};
use store::database::Database;
use store::entry::Entry;

use crate::server::Server;

/// Values of at most this many parts are freed where they fall: Redis's threshold.
const PARTS_MAX: usize = 64;

// What is inside is held for its drop alone.
enum Garbage {
    Value { _large: Entry },
    Database { _detached: Arc<Database>, keys: u64 },
}

enum Job {
    Free(Garbage),
    Answer(Arc<Waiter>),
}

/// See the file's head.
pub struct LazyFree {
    jobs: Sender<Job>,
    waiting: Receiver<Job>,
    pending: AtomicU64,
    freed: AtomicU64,
}

/// Starts the thread.
///
/// # Errors
/// The system has no thread to give.
pub fn start(server: &Arc<Server>) -> std::io::Result<()> {
    let server = server.clone();
    thread::Builder::new().name("lazyfree".into()).spawn(move || {
        for job in &server.lazy_free.waiting {
            match job {
                Job::Free(garbage) => server.lazy_free.free(garbage),
                Job::Answer(waiter) => answer(&server, &waiter),
            }
        }
    })?;
    Ok(())
}

impl Default for LazyFree {
    fn default() -> Self {
        let (jobs, waiting) = unbounded();
        Self { jobs, waiting, pending: AtomicU64::new(0), freed: AtomicU64::new(0) }
    }
}

impl LazyFree {
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
        self.pending.load(Relaxed)
    }

    /// `lazyfreed_objects`.
    pub fn freed(&self) -> u64 {
        self.freed.load(Relaxed)
    }

    /// Sets `lazyfreed_objects` to 0.
    pub fn reset(&self) {
        self.freed.store(0, Relaxed);
    }

    /// Answers a client when all is freed that waits to be freed now.
    pub fn answer_behind(&self, waiter: Arc<Waiter>) {
        // The thread ends with the process only.
        let _ = self.jobs.send(Job::Answer(waiter));
    }

    fn send(&self, garbage: Garbage) {
        self.pending.fetch_add(garbage.objects(), Relaxed);
        // As above.
        let _ = self.jobs.send(Job::Free(garbage));
    }

    fn free(&self, garbage: Garbage) {
        let objects = garbage.objects();
        drop(garbage);
        self.pending.fetch_sub(objects, Relaxed);
        self.freed.fetch_add(objects, Relaxed);
    }
}

/// Gives a client its answer, unless its connection has ended.
fn answer(server: &Server, waiter: &Arc<Waiter>) {
    if server.waiters.end(waiter, End::Served) {
        let mut reply = waiter.reply();
        reply.ok();
        server.deliver(waiter, reply);
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
