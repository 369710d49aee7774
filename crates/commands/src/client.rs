//! What all threads may know of a client. The connection itself, and its [`crate::session::Session`], belong to one
//! worker; CLIENT LIST and its like read this record, whose parts are atomics or sit behind short locks of their own.

mod line;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bitflags::bitflags;

use crate::blocking::Waiter;
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
        /// `C`: brings a replica its copy, while the stream goes over another connection.
        const RDB_CHANNEL = 1 << 13;
    }
}

impl ClientFlags {
    /// The letters, `N` if there is none.
    pub fn letters(self) -> String {
        const LETTERS: [(ClientFlags, char); 14] = [
            (ClientFlags::MONITOR, 'O'),
            (ClientFlags::REPLICA, 'S'),
            (ClientFlags::MASTER, 'M'),
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
            (ClientFlags::RDB_CHANNEL, 'C'),
        ];
        let letters: String =
            LETTERS.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, letter)| letter).collect();
        if letters.is_empty() { "N".into() } else { letters }
    }
}

/// The kinds of clients that CLIENT LIST, CLIENT KILL and `client-output-buffer-limit` tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ClientType {
    Normal,
    Replica,
    Pubsub,
    Master,
}

impl ClientType {
    /// The type of a name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(&str, ClientType); 5] = [
            ("normal", ClientType::Normal),
            ("slave", ClientType::Replica),
            ("replica", ClientType::Replica),
            ("pubsub", ClientType::Pubsub),
            ("master", ClientType::Master),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, kind)| *kind)
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
    /// Its place among that worker's connections.
    pub slot: usize,
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
    /// Bytes of the arguments of queued commands.
    pub queued_bytes: AtomicUsize,
    pub watched: AtomicU32,
    /// Bytes that have come and wait.
    pub query_buffer: AtomicUsize,
    pub query_buffer_free: AtomicUsize,
    /// Arguments of a command that was parsed and waits.
    pub argv_bytes: AtomicUsize,
    /// How much room for replies the connection keeps while nothing waits in it, and the most of it used lately.
    pub reply_buffer: AtomicUsize,
    pub reply_buffer_peak: AtomicUsize,
    /// Output that waits within that room.
    pub reply_pending: AtomicUsize,
    /// Output beyond it, which counts against `client-output-buffer-limit`: in pieces of 16 KiB, and in bytes.
    pub reply_list_len: AtomicUsize,
    pub reply_list_bytes: AtomicUsize,
    /// Where the log ended after its last write; WAIT waits for that.
    pub write_offset: AtomicU64,
    pub net_in: Tally,
    pub net_out: Tally,
    pub commands: Tally,
    /// Position in the command table of the last command that was executed; `u16::MAX` before the first. Its store releases, so
    /// whoever acquires it sees what the command has done.
    pub last_command: AtomicU16,
    pub authenticated: AtomicBool,
    /// Set by CLIENT KILL on any thread; honoured before the client's next command.
    pub killed: AtomicBool,
    pub names: Mutex<Names>,
    /// What it waits for in a blocking command, so that others can end the wait.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
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

    /// What kind of client it is.
    pub fn kind(&self) -> ClientType {
        let flags = self.flags();
        if flags.contains(ClientFlags::MASTER) {
            ClientType::Master
        } else if flags.contains(ClientFlags::REPLICA) && !flags.contains(ClientFlags::MONITOR) {
            ClientType::Replica
        } else if flags.contains(ClientFlags::PUBSUB) {
            ClientType::Pubsub
        } else {
            ClientType::Normal
        }
    }

    /// Names the client; empty is none. Only what [`crate::client_commands`] lets pass comes here, which is ASCII.
    pub(crate) fn set_name(&self, name: &[u8]) {
        self.names.lock().expect("never poisoned").name = String::from_utf8_lossy(name).into_owned();
    }

    /// A copy of the names.
    pub fn names(&self) -> Names {
        self.names.lock().expect("never poisoned").clone()
    }
}
