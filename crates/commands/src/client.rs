//! What all threads may know of a client. The connection itself, and its [`crate::session::Session`], belong to one
//! worker; CLIENT LIST and its like read this record, whose parts are atomics or sit behind short locks of their own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicUsize, Ordering::Relaxed};

use bitflags::bitflags;

use crate::stats::Tally;

bitflags! {
    /// What CLIENT LIST shows as letters.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ClientFlags: u32 {
        /// `b`: waits in a blocking command.
        const BLOCKED = 1 << 0;
        /// `x`: inside MULTI.
        const MULTI = 1 << 1;
        /// `d`: a watched key has changed.
        const DIRTY_CAS = 1 << 2;
        /// `P`: subscribed.
        const PUBSUB = 1 << 3;
        /// `M`: a primary.
        const MASTER = 1 << 4;
        /// `S`: a replica.
        const REPLICA = 1 << 5;
        /// `O`: MONITOR.
        const MONITOR = 1 << 6;
        /// `U`: connected through a Unix socket.
        const UNIX_SOCKET = 1 << 7;
        /// `e`: its keys are not evicted for it.
        const NO_EVICT = 1 << 8;
        /// `T`: its reads do not count as accesses.
        const NO_TOUCH = 1 << 9;
        /// `c`: is closed after its reply.
        const CLOSE_AFTER_REPLY = 1 << 10;
        /// `A`: is closed as soon as possible.
        const CLOSE_ASAP = 1 << 11;
        /// `r`: read-only mode of a cluster node.
        const READONLY = 1 << 12;
    }
}

impl ClientFlags {
    /// The letters, `N` if there is none.
    pub fn letters(self) -> String {
        const LETTERS: [(ClientFlags, char); 13] = [
            (ClientFlags::REPLICA, 'S'),
            (ClientFlags::MASTER, 'M'),
            (ClientFlags::MONITOR, 'O'),
            (ClientFlags::PUBSUB, 'P'),
            (ClientFlags::MULTI, 'x'),
            (ClientFlags::BLOCKED, 'b'),
            (ClientFlags::DIRTY_CAS, 'd'),
            (ClientFlags::CLOSE_AFTER_REPLY, 'c'),
            (ClientFlags::CLOSE_ASAP, 'A'),
            (ClientFlags::UNIX_SOCKET, 'U'),
            (ClientFlags::READONLY, 'r'),
            (ClientFlags::NO_EVICT, 'e'),
            (ClientFlags::NO_TOUCH, 'T'),
        ];
        let letters: String =
            LETTERS.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, letter)| letter).collect();
        if letters.is_empty() { "N".into() } else { letters }
    }
}

/// See the file's head. Sizes are in bytes.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Client {
    pub id: u64,
    pub addr: String,
    pub laddr: String,
    pub fd: i32,
    /// The worker that serves it.
    pub worker: usize,
    pub created_ms: i64,
    pub last_ms: AtomicI64,
    pub flags: AtomicU32,
    pub db: AtomicU32,
    pub resp: AtomicU32,
    pub subscriptions: AtomicU32,
    pub patterns: AtomicU32,
    pub shard_subscriptions: AtomicU32,
    /// Commands queued by MULTI; -1 outside of it.
    pub queued: AtomicI64,
    pub queued_bytes: AtomicUsize,
    pub watched: AtomicU32,
    pub query_buffer: AtomicUsize,
    pub query_buffer_free: AtomicUsize,
    pub argv_bytes: AtomicUsize,
    pub reply_buffer: AtomicUsize,
    pub reply_buffer_peak: AtomicUsize,
    pub reply_pending: AtomicUsize,
    pub reply_list_len: AtomicUsize,
    pub reply_list_bytes: AtomicUsize,
    pub net_in: Tally,
    pub net_out: Tally,
    pub commands: Tally,
    /// Position in the command table of the last command; `u16::MAX` before the first.
    pub last_command: AtomicU16,
    pub authenticated: AtomicBool,
    /// Set by CLIENT KILL on any thread; honoured before the client's next command.
    pub killed: AtomicBool,
    pub names: Mutex<Names>,
}

/// What a client says of itself.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Names {
    pub name: String,
    pub lib_name: String,
    pub lib_ver: String,
}

impl Client {
    /// The flags at this moment.
    pub fn flags(&self) -> ClientFlags {
        ClientFlags::from_bits_truncate(self.flags.load(Relaxed))
    }

    /// Sets or clears flags.
    pub fn set_flags(&self, flags: ClientFlags, on: bool) {
        if on {
            self.flags.fetch_or(flags.bits(), Relaxed);
        } else {
            self.flags.fetch_and(!flags.bits(), Relaxed);
        }
    }

    /// A copy of the names.
    pub fn names(&self) -> Names {
        self.names.lock().expect("never poisoned").clone()
    }
}
