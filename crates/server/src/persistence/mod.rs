//! Snapshots: when the data is saved and loaded, and what is known of that.
//!
//! A save is a cut under the exclusive gate ([`snapshot::cut`]) and a walk that writes the file. A background save hands
//! its walk to the thread `snapshot` and lets go of the gate at once; SAVE, DEBUG RELOAD and the end of the process walk
//! while they hold the gate, so that the file is all there is. One background save goes on at a time.
//!
//! `changes` are counted per thread and never reset; what a save has seen of them is noted when it succeeds, and the
//! difference is what INFO shows and the save points ask for.

pub mod info;
pub mod loading;
pub mod points;
pub mod snapshot;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use commands::standing::Standing;
use crossbeam::channel::Sender;
use parking_lot::Mutex;

use crate::clock;
use crate::config::keys;
use crate::server::Server;
use loading::Loading;
use snapshot::{Job, Progress};

/// See the file's head.
pub struct Persistence {
    /// Saves for the thread that writes them.
    jobs: Sender<Job>,
    /// The background save that was begun last, until it ends.
    running: Mutex<Option<Arc<Progress>>>,
    /// Temporary files that are being written, to be removed when the process ends early.
    temporaries: Mutex<Vec<PathBuf>>,
    /// Threads that the end of the process waits for.
    awaited: Mutex<Vec<JoinHandle<()>>>,
    /// Cuts are numbered; this one's file was put in place last. Held while a file is put in place, so that an older save
    /// that comes to its end later never takes the place of a newer one.
    placed: Mutex<u64>,
    cuts: AtomicU64,
    /// A background save is to begin as soon as may be.
    scheduled: AtomicBool,
    /// When a save succeeded, and when a background one was begun, in seconds since 1970.
    last_save_s: AtomicI64,
    last_try_s: AtomicI64,
    /// Whether the last background save failed, and none has succeeded since.
    has_failed: AtomicBool,
    /// How long the last background save took; -1 if there was none.
    last_took_s: AtomicI64,
    /// Saves since the start.
    saves: AtomicU64,
    /// Changes that have been saved.
    saved_changes: AtomicU64,
    /// What is being loaded, or was last.
    pub loading: Loading,
}

impl Persistence {
    /// Nothing saved yet; the start counts as a save, as in Redis. Jobs go to [`snapshot::start`].
    pub fn new(jobs: Sender<Job>) -> Self {
        Self {
            jobs,
            running: Mutex::default(),
            temporaries: Mutex::default(),
            awaited: Mutex::default(),
            placed: Mutex::new(0),
            cuts: AtomicU64::new(0),
            scheduled: AtomicBool::new(false),
            last_save_s: AtomicI64::new(clock::now_ms() / 1000),
            last_try_s: AtomicI64::new(0),
            has_failed: AtomicBool::new(false),
            last_took_s: AtomicI64::new(-1),
            saves: AtomicU64::new(0),
            saved_changes: AtomicU64::new(0),
            loading: Loading::default(),
        }
    }

    /// The number of a cut, above those of all before. Called under the exclusive gate.
    pub fn next_cut(&self) -> u64 {
        self.cuts.fetch_add(1, Relaxed) + 1
    }

    /// The background save that goes on.
    pub fn running(&self) -> Option<Arc<Progress>> {
        self.running.lock().clone()
    }

    /// When the data was last saved, in seconds since 1970.
    pub fn last_save_s(&self) -> i64 {
        self.last_save_s.load(Relaxed)
    }

    /// Has a background save begin as soon as may be.
    pub fn schedule(&self) {
        self.scheduled.store(true, Relaxed);
    }

    /// Ends the background save that goes on, as far as there is one: what it saves is not wanted any more.
    pub fn abort(&self) {
        if let Some(progress) = self.running.lock().take() {
            progress.abort();
        }
    }

    /// Has the end of the process wait for a thread that brings a file to its place.
    pub fn await_at_end(&self, thread: JoinHandle<()>) {
        let mut awaited = self.awaited.lock();
        awaited.retain(|thread| !thread.is_finished());
        awaited.push(thread);
    }

    /// Waits for those threads.
    pub fn await_files(&self) {
        for thread in self.awaited.lock().drain(..) {
            // One that has panicked has put nothing in place.
            let _ = thread.join();
        }
    }

    /// A temporary file is written from now on.
    pub fn temporary(&self, path: &Path) {
        self.temporaries.lock().push(path.to_owned());
    }

    /// It is not any more.
    pub fn no_temporary(&self, path: &Path) {
        self.temporaries.lock().retain(|other| other != path);
    }

    /// Removes what saves have written so far, since the process ends before they do.
    pub fn remove_temporaries(&self) {
        for path in self.temporaries.lock().drain(..) {
            // It may have got its final name a moment ago.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether nothing is ever written to disk here.
pub fn is_volatile(server: &Server) -> bool {
    server.config.get(keys::SAVE).is_empty() && !server.config.get(keys::APPENDONLY)
}

/// Changes since the last save.
pub fn unsaved_changes(server: &Server) -> u64 {
    changes(server).saturating_sub(server.persistence.saved_changes.load(Relaxed))
}

/// Changes since the start. Under the exclusive gate this is exact.
pub fn changes(server: &Server) -> u64 {
    server.all_stats().map(|stats| stats.dirty.get()).sum()
}

/// All databases are empty now. With save points that is saved at once, and counts as saved from now on: true. Nobody has
/// to wait with a save of his own for that to be over.
pub fn flushed_all(server: &Server, section: &store::gate::Section<'_>) -> bool {
    let persistence = &server.persistence;
    persistence.abort();
    if server.config.get(keys::SAVE).is_empty() {
        return false;
    }
    snapshot::begin_beside(server, section);
    true
}

/// Refuses writes from now on if the last save failed and somebody relies on saves; or takes them again. A command that
/// was admitted a moment before may still run, which does no harm: so this needs no gate.
pub fn stop_or_take_writes(server: &Server) {
    let relied_on = server.config.get(keys::STOP_WRITES_ON_BGSAVE_ERROR) && !server.config.get(keys::SAVE).is_empty();
    server.stand(Standing::SAVE_FAILED, relied_on && server.persistence.has_failed.load(Relaxed));
}
