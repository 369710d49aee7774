//! The file that a copy goes through on its way into memory, and that takes the place of the server's own file afterwards.
//!
//! **The disk is not waited for.** A copy is loaded as soon as it is here, from memory as a rule, while another thread
//! brings the file to the disk and then gives it its name. A disk that others keep busy takes seconds for that, and for so
//! long a replica would stand there with its copy and serve nobody. Redis syncs first and loads then; all that differs is
//! for how long the older file is still the one that a restart finds. Until the newer one is safe that is the right one,
//! also when the disk fails, and when the copy turns out to be none. An orderly end of the process waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use persistence::snapshot_file::{self, FileError, Step};

use crate::config::error::system_text;
use crate::config::keys;
use crate::persistence::{is_volatile, snapshot};
use crate::server::Server;
use crate::{background, clock};

/// Names that are tried for the file.
const NAMES_MAX: u32 = 5;
/// The disk gets its work in portions of so many bytes, so that it does not stand still for others at the end.
const PORTION_BYTES: u64 = 4 << 20;

/// See the file's head. Unless it was told to stay, the file goes when this is dropped.
pub(super) struct TemporaryFile {
    server: Arc<Server>,
    path: PathBuf,
    file: Arc<File>,
    /// To the thread that brings it to the disk.
    orders: Sender<Order>,
    /// That thread; none once the file is to stay.
    thread: Option<JoinHandle<()>>,
    /// Bytes that it was not told of yet.
    untold: u64,
}

enum Order {
    /// Another portion is written.
    Sync,
    /// All is written and loaded: the file gets its name, unless that of a newer cut than this one is there already.
    Keep(u64),
}

impl TemporaryFile {
    pub(super) fn create(server: &Arc<Server>) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..NAMES_MAX {
            let name = format!("temp-{}.{}.rdb", clock::now_ms() / 1000 + i64::from(attempt), std::process::id());
            let path = snapshot::path(server).with_file_name(name);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Self::tended(server, path, file),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn tended(server: &Arc<Server>, path: PathBuf, file: File) -> io::Result<Self> {
        let (orders, received) = unbounded();
        let file = Arc::new(file);
        let thread = {
            let (server, path, file) = (server.clone(), path.clone(), file.clone());
            background::spawn("copy-to-disk", move || tend(&server, &path, &file, &received))?
        };
        server.persistence.temporary(&path);
        Ok(Self { server: server.clone(), path, file, orders, thread: Some(thread), untold: 0 })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)?;
        self.untold += bytes.len() as u64;
        if self.untold >= PORTION_BYTES {
            self.untold = 0;
            self.tell(Order::Sync);
        }
        Ok(())
    }

    /// How long it is. It is only shown.
    pub(super) fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |facts| facts.len())
    }

    /// All of it, to be read.
    pub(super) fn rewound(&self) -> io::Result<&File> {
        let mut file = &*self.file;
        file.rewind()?;
        Ok(file)
    }

    /// Has it take the place of the server's own file, whose data is that of this cut, unless there is to be no such file.
    pub(super) fn keep(mut self, number: u64) {
        if self.is_in_the_way() {
            return self
                .server
                .log
                .notice("Removing the RDB file obtained from the master. This replica has persistence disabled");
        }
        self.tell(Order::Keep(number));
        if let Some(thread) = self.thread.take() {
            self.server.persistence.await_at_end(thread);
        }
    }

    /// Whether it was only a way to get here (`rdb-del-sync-files`).
    fn is_in_the_way(&self) -> bool {
        self.server.config.get(keys::RDB_DEL_SYNC_FILES) && is_volatile(&self.server)
    }

    fn tell(&self, order: Order) {
        // The thread ends when it is told to keep the file, or this is dropped.
        let _ = self.orders.send(order);
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if self.thread.is_some() {
            snapshot_file::discard(&self.path);
            self.server.persistence.no_temporary(&self.path);
        }
    }
}

/// Brings a file to the disk while it is written, and in the end to its place if it is to be kept.
fn tend(server: &Server, path: &Path, file: &File, orders: &Receiver<Order>) {
    let mut synced = Ok(());
    for order in orders {
        match order {
            // The system tells an error once only.
            Order::Sync if synced.is_ok() => synced = file.sync_data(),
            Order::Sync => {}
            Order::Keep(number) => {
                let failed = |error| FileError { step: Step::Sync, path: path.to_owned(), error };
                let synced = synced.and_then(|()| file.sync_all()).map_err(failed);
                let placed = synced
                    .inspect_err(|_| snapshot_file::discard(path))
                    .and_then(|()| snapshot::place(server, number, path, &snapshot::path(server)));
                if let Err(error) = placed {
                    server.log.warning(&told(server, &error));
                }
                return server.persistence.no_temporary(path);
            }
        }
    }
}

/// What has gone wrong with the file, in the words of Redis.
fn told(server: &Server, FileError { step, error, .. }: &FileError) -> String {
    let what = match step {
        Step::Open | Step::Write | Step::Sync => {
            "Failed trying to sync the temp DB to disk in MASTER <-> REPLICA synchronization".to_owned()
        }
        Step::Rename => {
            let name = server.config.get(keys::DBFILENAME);
            let name = String::from_utf8_lossy(&name);
            format!("Failed trying to rename the temp DB into {name} in MASTER <-> REPLICA synchronization")
        }
        Step::SyncDirectory => {
            let folder = snapshot::folder(server);
            format!("Failed trying to sync DB directory {} in MASTER <-> REPLICA synchronization", folder.display())
        }
    };
    format!("{what}: {}", system_text(error))
}
