//! The stream while a full copy comes over another connection (`repl-rdb-channel`): a thread reads it into memory, and it is
//! applied behind the copy.
//!
//! What is kept so is bounded by `replica-full-sync-buffer-limit`, or by what a replica's output may be if that is 0. Then
//! the thread reads no more until the copy is loaded, and the rest waits at the primary.
//!
//! **When the stream breaks.** The other connection is closed as well, but for what is under way on it: a copy of which
//! something is still to be sent fails, for by the time it were here, the primary would hardly have the rest of the stream any
//! more. One that was sent as a whole is loaded, and what was kept is applied, so that the next attempt can go on behind that.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::replica::Term;
use super::wire::{Filled, Wire};
use crate::config::error::system_text;
use crate::config::keys;
use crate::server::Server;

/// Memory is taken in pieces of so many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// How long a read waits, and a full buffer, until it is looked whether to go on.
const LOOK: Duration = Duration::from_millis(20);

/// How much is kept, for INFO.
#[derive(Default)]
pub struct Kept {
    /// Bytes of memory, and the most that there were.
    size: AtomicU64,
    peak: AtomicU64,
}

impl Kept {
    /// Bytes of memory that hold what waits for a copy.
    pub fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// The most that there were since the start.
    pub fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    fn add(&self, bytes: usize) -> u64 {
        let size = self.size.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        self.peak.fetch_max(size, Relaxed);
        size
    }

    fn remove(&self, bytes: usize) {
        self.size.fetch_sub(bytes as u64, Relaxed);
    }
}

/// See the file's head.
pub(super) struct Beside<'t> {
    term: &'t Term,
    blocks: Mutex<VecDeque<Vec<u8>>>,
    stop: AtomicBool,
    broken: AtomicBool,
}

impl<'t> Beside<'t> {
    pub(super) fn new(term: &'t Term) -> Self {
        Self { term, blocks: Mutex::default(), stop: AtomicBool::new(false), broken: AtomicBool::new(false) }
    }

    /// Reads until it is [stopped](Self::stop), or the connection breaks, at which the primary is told to close `channel` too.
    pub(super) fn read(&self, wire: &mut Wire, channel: Option<&TcpStream>) {
        let server = &self.term.server;
        let limit = limit(server);
        let mut is_full = false;
        while !self.stop.load(Relaxed) {
            is_full |= !self.keep(wire, limit);
            if is_full {
                thread::sleep(LOOK);
                continue;
            }
            let reason = match wire.fill(LOOK) {
                Ok(Filled::Bytes(len)) => {
                    self.term.heard(len);
                    continue;
                }
                // While the other connection brings something the primary lives, and that is looked after there.
                Ok(Filled::Nothing) => continue,
                Ok(Filled::Closed) => "connection lost".to_owned(),
                Err(error) => system_text(&error),
            };
            self.broken.store(true, Relaxed);
            if self.term.is_current() {
                server.log.warning(&format!("Main channel error while reading from master: {reason}"));
                if server.persistence.loading.is_on() {
                    server.log.notice("Aborting rdb channel sync while loading the RDB.");
                    server.log.notice("After loading RDB, replica will try psync with master.");
                } else {
                    server.log.notice("Aborting rdb channel sync");
                }
            }
            if let Some(channel) = channel {
                // Only our direction: the kernel answers what arrives after a whole end with a reset, and the last bytes of the
                // copy may be under way. It may be closed already.
                let _ = channel.shutdown(Shutdown::Write);
            }
            return;
        }
    }

    /// Has [`Self::read`] return soon.
    pub(super) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether the connection has broken.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.blocks.lock().iter().map(Vec::len).sum()
    }

    /// Takes the oldest bytes.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let block = self.blocks.lock().pop_front()?;
        self.kept().remove(block.capacity());
        Some(block)
    }

    /// Keeps what the wire has; false if there is no more room, and some of it is left there.
    fn keep(&self, wire: &mut Wire, limit: Option<u64>) -> bool {
        let mut blocks = self.blocks.lock();
        while !wire.bytes().is_empty() {
            let room = blocks.back().map_or(0, |block| block.capacity() - block.len());
            if room == 0 {
                if limit.is_some_and(|limit| self.kept().size() > limit) {
                    self.term.server.log.notice(&format!(
                        "Replication buffer limit has been reached ({} bytes), stopped buffering replication stream. \
                         Further accumulation may occur on master side.",
                        limit.unwrap_or(0)
                    ));
                    return false;
                }
                let block = Vec::with_capacity(BLOCK_BYTES);
                self.kept().add(block.capacity());
                blocks.push_back(block);
                continue;
            }
            let bytes = wire.bytes();
            let (taken, rest) = (room.min(bytes.len()), bytes.len().saturating_sub(room));
            if let Some(block) = blocks.back_mut() {
                block.extend_from_slice(&bytes[..taken]);
            }
            wire.keep(rest);
        }
        true
    }

    fn kept(&self) -> &'t Kept {
        &self.term.server.replication.following.kept
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

/// How many bytes may be kept; nothing if there is no limit.
fn limit(server: &Server) -> Option<u64> {
    let own = server.config.get(keys::REPLICA_FULL_SYNC_BUFFER_LIMIT);
    let limit = if own > 0 { own } else { server.settings.output_limits[1].hard_bytes.load(Relaxed) };
    (limit > 0).then_some(limit)
}
