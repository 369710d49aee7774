//! What memory should not hold goes into files: the part of the log that only lagging replicas need, beyond
//! `snapshot-buffer-limit`.
//!
//! A feeder notices that there is too much, whichever replica it is kept for, and starts a thread that moves the log's oldest
//! segments into files without names in `dir` ([`replication::ring::Ring::spill`]). The thread stays until nothing is left in
//! files, for it is the one that gives them up: on some file systems that takes a while, which nobody else is to wait for.
//! When the disk refuses, the log stays in memory, as it would without all this.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use replication::ring::Ring;

use crate::config::keys;
use crate::persistence::snapshot;
use crate::server::Server;
use crate::{background, clock};

/// From one look at the log to the next, while anything is in files.
const STEP: Duration = Duration::from_millis(10);
/// Segments that are being written or kept to be used again.
const NOT_WORTH_IT_BYTES: u64 = 8 << 20;
/// Each segment in a file is a mapping of its own, of which a process may have 65,530 (vm.max_map_count).
const FILES_BYTES_MAX: u64 = 32 << 30;
/// How long a disk that has refused is left alone.
const REFUSED_MS: i64 = 10_000;

/// See the file's head.
#[derive(Default)]
pub struct Spill {
    /// Whether the thread is there.
    on: AtomicBool,
    /// The disk is not tried again before, in milliseconds since 1970.
    not_before_ms: AtomicI64,
}

impl Spill {
    /// Has what is too much moved into files.
    pub fn look(&self, server: &Arc<Server>) {
        if !self.is_due(server) || self.on.swap(true, Relaxed) {
            return;
        }
        let theirs = server.clone();
        let spill = move || {
            theirs.replication.spill.run(&theirs);
            theirs.replication.spill.on.store(false, Relaxed);
        };
        if let Err(error) = background::spawn("repl-spill", spill) {
            self.refused(server, &error);
            self.on.store(false, Relaxed);
        }
    }

    fn is_due(&self, server: &Server) -> bool {
        let limit = server.config.get(keys::SNAPSHOT_BUFFER_LIMIT);
        let stream = &server.replication.stream;
        limit > 0
            && stream.beyond_backlog_bytes() > limit.max(NOT_WORTH_IT_BYTES)
            && stream.spilled_bytes() < FILES_BYTES_MAX
            && clock::now_ms() >= self.not_before_ms.load(Relaxed)
    }

    fn run(&self, server: &Server) {
        // Those of which something is in files. A ring that nobody needs any more ends here, files and all.
        let mut rings: Vec<Arc<Ring>> = Vec::new();
        loop {
            if self.is_due(server)
                && let Some(ring) = server.replication.stream.ring()
            {
                if !rings.iter().any(|known| Arc::ptr_eq(known, &ring)) {
                    rings.push(ring.clone());
                }
                self.move_out(server, &ring);
            }
            rings.retain(|ring| ring.trim_spilled() && Arc::strong_count(ring) > 1);
            if (rings.is_empty() && !self.is_due(server)) || server.ending.has_begun() {
                return;
            }
            thread::sleep(STEP);
        }
    }

    fn move_out(&self, server: &Server, ring: &Ring) {
        let folder = snapshot::folder(server);
        while self.is_due(server) {
            match ring.spill(|| nameless_file(&folder)) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.refused(server, &error),
            }
        }
    }

    fn refused(&self, server: &Server, error: &io::Error) {
        server
            .log
            .warning(&format!("What lagging replicas need cannot be moved to a file and stays in memory: {error}"));
        self.not_before_ms.store(clock::now_ms() + REFUSED_MS, Relaxed);
    }
}

/// A file in a folder that nobody can find, and that is gone with its last user.
///
/// # Errors
/// Those of opening it.
pub fn nameless_file(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let unnamed = options.clone().custom_flags(libc::O_TMPFILE).mode(0o600).open(folder);
    // Some file systems know no files without names.
    unnamed.or_else(|_| {
        let path = folder.join(format!("temp-repl-{}.{:x}.rdb", std::process::id(), fastrand::u64(..)));
        let file = options.create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    })
}
