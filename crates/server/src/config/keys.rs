//! Typed handles on directives, so that code reads `config.get(keys::MAXCLIENTS)` and gets a number.
//!
//! A key that names no directive does not compile; a key of the wrong type fails the test below.

use std::marker::PhantomData;
use std::path::PathBuf;

use super::table::ROWS;
use super::value::{EventClasses, OutputLimit, SavePoint, Text, Value};

/// A directive whose value is a `T`.
#[derive(Debug)]
pub struct Key<T> {
    /// Where it stands in the table.
    at: usize,
    holds: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    const fn of(name: &str) -> Self {
        let mut at = 0;
        while !same(ROWS[at].name, name) {
            at += 1;
        }
        Self { at, holds: PhantomData }
    }

    /// The row's index in the table.
    pub const fn index(self) -> usize {
        self.at
    }
}

/// What a [`Value`] can be read as.
pub trait Held: Sized {
    /// Reads it; `None` if it is of another kind.
    fn read(value: &Value) -> Option<Self>;
}

/// What a signal asks SHUTDOWN to do: `shutdown-on-sigint` and `shutdown-on-sigterm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// Save even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Shut down even if something fails.
    pub force: bool,
}

macro_rules! held {
    ($($held:ty: $pattern:pat => $read:expr;)*) => {$(
        impl Held for $held {
            fn read(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $read,
                    _ => None,
                }
            }
        }
    )*};
}

held! {
    bool: Value::YesNo(yes) => Some(*yes);
    i64: Value::Number(number) => Some(*number);
    u64: Value::Number(number) => Some(*number as u64);
    usize: Value::Number(number) => usize::try_from(*number as u64).ok();
    u16: Value::Number(number) => u16::try_from(*number).ok();
    u32: Value::Number(number) => u32::try_from(*number).ok();
    Text: Value::Text(text) => Some(text.clone());
    Option<PathBuf>: Value::Text(text) => Some((!text.is_empty()).then(|| super::load::path_of(text).to_path_buf()));
    &'static str: Value::Choice(name) => Some(name);
    Option<Text>: Value::Text(text) => Some((!text.is_empty()).then(|| text.clone()));
    Option<(Text, u16)>: Value::ReplicaOf(primary) => Some(primary.clone());
    Vec<Text>: Value::Addresses(addresses) => Some(addresses.clone());
    Vec<SavePoint>: Value::SavePoints(points) => Some(points.clone());
    [OutputLimit; 3]: Value::OutputLimits(limits) => Some(*limits);
    EventClasses: Value::Events(classes) => Some(*classes);
    [i32; 3]: Value::OomScores(scores) => Some(*scores);
    Vec<f64>: Value::Percentiles(percentiles) => Some(percentiles.clone());
    ShutdownOptions: Value::Flags(bits) => {
        let bit = |at: u32| bits & (1 << at) != 0;
        Some(Self { save: bit(1), nosave: bit(2), now: bit(3), force: bit(4) })
    };
}

/// Compares two strings, also at compile time.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len()
}

macro_rules! keys {
    ($($held:ty: $($key:ident = $name:literal),+;)*) => {
        $($(
            #[doc = concat!("`", $name, "`.")]
            pub const $key: Key<$held> = Key::of($name);
        )+)*

        #[cfg(test)]
        fn each_key_fits_its_row() {
            $($(
                let row = &ROWS[$key.index()];
                assert!(<$held>::read(&row.default_value()).is_some(), "{} is of another type", row.name);
            )+)*
        }
    };
}

keys! {
    bool: ALWAYS_SHOW_LOGO = "always-show-logo", CRASH_LOG_ENABLED = "crash-log-enabled",
        DAEMONIZE = "daemonize", DISABLE_THP = "disable-thp", DYNAMIC_HZ = "dynamic-hz",
        HIDE_USER_DATA_FROM_LOG = "hide-user-data-from-log",
        LATENCY_TRACKING = "latency-tracking", LAZYFREE_LAZY_EVICTION = "lazyfree-lazy-eviction",
        LAZYFREE_LAZY_USER_FLUSH = "lazyfree-lazy-user-flush",
        PROTECTED_MODE = "protected-mode",
        APPENDONLY = "appendonly", RDBCHECKSUM = "rdbchecksum", RDBCOMPRESSION = "rdbcompression",
        RDB_DEL_SYNC_FILES = "rdb-del-sync-files", RDB_SAVE_INCREMENTAL_FSYNC = "rdb-save-incremental-fsync",
        REPLICA_ANNOUNCED = "replica-announced", REPLICA_IGNORE_DISK_WRITE_ERRORS = "replica-ignore-disk-write-errors",
        REPLICA_IGNORE_MAXMEMORY = "replica-ignore-maxmemory", REPLICA_READ_ONLY = "replica-read-only",
        REPLICA_SERVE_STALE_DATA = "replica-serve-stale-data", REPL_DISABLE_TCP_NODELAY = "repl-disable-tcp-nodelay",
        REPL_DISKLESS_SYNC = "repl-diskless-sync", REPL_RDB_CHANNEL = "repl-rdb-channel", STOP_WRITES_ON_BGSAVE_ERROR = "stop-writes-on-bgsave-error",
        SYSLOG_ENABLED = "syslog-enabled";
    u16: PORT = "port", REPLICA_ANNOUNCE_PORT = "replica-announce-port";
    u32: LFU_DECAY_TIME = "lfu-decay-time", LFU_LOG_FACTOR = "lfu-log-factor",
        LIST_COMPRESS_DEPTH = "list-compress-depth",
        MAXMEMORY_EVICTION_TENACITY = "maxmemory-eviction-tenacity",
        MAX_NEW_CONNECTIONS_PER_CYCLE = "max-new-connections-per-cycle", UNIXSOCKETPERM = "unixsocketperm";
    usize: CLIENT_QUERY_BUFFER_LIMIT = "client-query-buffer-limit", DATABASES = "databases",
        HASH_MAX_LISTPACK_ENTRIES = "hash-max-listpack-entries", HASH_MAX_LISTPACK_VALUE = "hash-max-listpack-value",
        HLL_SPARSE_MAX_BYTES = "hll-sparse-max-bytes", IO_THREADS = "io-threads",
        KEYSPACE_STRIPES = "keyspace-stripes", MAXCLIENTS = "maxclients",
        MIN_REPLICAS_TO_WRITE = "min-replicas-to-write", REPL_DISKLESS_SYNC_MAX_REPLICAS = "repl-diskless-sync-max-replicas",
        MAXMEMORY_SAMPLES = "maxmemory-samples",
        PROTO_MAX_BULK_LEN = "proto-max-bulk-len", SET_MAX_INTSET_ENTRIES = "set-max-intset-entries",
        SET_MAX_LISTPACK_ENTRIES = "set-max-listpack-entries", SET_MAX_LISTPACK_VALUE = "set-max-listpack-value",
        STREAM_NODE_MAX_BYTES = "stream-node-max-bytes", STREAM_NODE_MAX_ENTRIES = "stream-node-max-entries",
        ZSET_MAX_LISTPACK_ENTRIES = "zset-max-listpack-entries", ZSET_MAX_LISTPACK_VALUE = "zset-max-listpack-value";
    u64: ACTIVE_EXPIRE_EFFORT = "active-expire-effort", HZ = "hz",
        MAXMEMORY = "maxmemory", REPLICA_FULL_SYNC_BUFFER_LIMIT = "replica-full-sync-buffer-limit",
        REPLICA_PRIORITY = "replica-priority", REPL_BACKLOG_SIZE = "repl-backlog-size",
        SNAPSHOT_BUFFER_LIMIT = "snapshot-buffer-limit",
        REPL_TIMEOUT = "repl-timeout", MIN_REPLICAS_MAX_LAG = "min-replicas-max-lag", REPL_BACKLOG_TTL = "repl-backlog-ttl", SHUTDOWN_TIMEOUT = "shutdown-timeout",
        REPL_DISKLESS_SYNC_DELAY = "repl-diskless-sync-delay", REPL_PING_REPLICA_PERIOD = "repl-ping-replica-period",
        TCP_BACKLOG = "tcp-backlog", TCP_KEEPALIVE = "tcp-keepalive", TIMEOUT = "timeout";
    i64: REPL_PACING_TIMEOUT = "repl-pacing-timeout", KEY_LOAD_DELAY = "key-load-delay", LIST_MAX_LISTPACK_SIZE = "list-max-listpack-size",
        RDB_KEY_SAVE_DELAY = "rdb-key-save-delay",
        SLOWLOG_LOG_SLOWER_THAN = "slowlog-log-slower-than";
    Text: DBFILENAME = "dbfilename", DIR = "dir", REQUIREPASS = "requirepass", SYSLOG_IDENT = "syslog-ident";
    Option<PathBuf>: LOGFILE = "logfile", PIDFILE = "pidfile", UNIXSOCKET = "unixsocket";
    &'static str: ENABLE_DEBUG_COMMAND = "enable-debug-command", LOGLEVEL = "loglevel",
        ENABLE_PROTECTED_CONFIGS = "enable-protected-configs", MAXMEMORY_POLICY = "maxmemory-policy",
        OOM_SCORE_ADJ = "oom-score-adj", PROPAGATION_ERROR_BEHAVIOR = "propagation-error-behavior", REPL_DISKLESS_LOAD = "repl-diskless-load", SUPERVISED = "supervised", SYSLOG_FACILITY = "syslog-facility";
    Option<Text>: BIND_SOURCE_ADDR = "bind-source-addr", MASTERAUTH = "masterauth", MASTERUSER = "masteruser",
        REPLICA_ANNOUNCE_IP = "replica-announce-ip";
    Option<(Text, u16)>: REPLICAOF = "replicaof";
    Vec<Text>: BIND = "bind";
    Vec<SavePoint>: SAVE = "save";
    [OutputLimit; 3]: CLIENT_OUTPUT_BUFFER_LIMIT = "client-output-buffer-limit";
    EventClasses: NOTIFY_KEYSPACE_EVENTS = "notify-keyspace-events";
    [i32; 3]: OOM_SCORE_ADJ_VALUES = "oom-score-adj-values";
    Vec<f64>: LATENCY_TRACKING_INFO_PERCENTILES = "latency-tracking-info-percentiles";
    ShutdownOptions: SHUTDOWN_ON_SIGINT = "shutdown-on-sigint", SHUTDOWN_ON_SIGTERM = "shutdown-on-sigterm";
}

#[test]
fn keys_have_the_types_of_their_rows() {
    each_key_fits_its_row();
}
