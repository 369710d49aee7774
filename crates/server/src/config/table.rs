//! Every directive of Redis 8.0's core, and ours: the one table.
//!
//! Bounds and defaults are those of Redis 8.0.2; a test asks a real one. Where a default differs, the row says why,
//! and `tests/reference.rs` repeats the list. The order is that of `conf/brindle.conf`, where each is explained.
//!
//! An effect that is still to come is met according to what a silent acceptance would cost. A setting that
//! protects data, opens or closes a door, or changes who is obeyed (`aclfile`, `tls-port`, `replicaof`,
//! `cluster-enabled`, `min-replicas-to-write` ...) is *refused*. One that only tunes a part that is itself missing
//! is *warned* of. Two are sharp and yet only warned of at the start, because Redis's own test suite starts servers
//! with them: `appendonly yes` and the points of `save`.

use super::number::Form;
use super::row::{Row, choice, integer, memory, number, optional, special, text, yes_no};
use super::value::{Kind, Value};

const INT: i64 = i32::MAX as i64;
const UINT: i64 = u32::MAX as i64;
const LONG: i64 = i64::MAX;
/// The upper bound 2^64-1 of an unsigned row.
const ULONG: i64 = -1;

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;

const ACL: &str = "access control lists are still to come";
const AFFINITY: &str = "pinning threads to cores is still to come";
const CLIENT_EVICTION: &str = "evicting clients is still to come";
const CLUSTER: &str = "cluster mode is still to come";
const LATENCY: &str = "the latency monitor is still to come";
const LOCALE: &str = "sorting by locale is still to come";
const MODULES: &str = "modules are not supported";
const APPEND_ONLY: &str = "the append-only file is still to come, snapshots are there";
const SCRIPTING: &str = "scripting is still to come";
const SLOWLOG: &str = "the slow log is still to come";
const SOCKET_MARKS: &str = "marking sockets is still to come";
const TLS: &str = "TLS is still to come";
const TRACKING: &str = "client-side caching is still to come";

const ALLOCATOR: &str = "the allocator is mimalloc, which has no such thread";
const CRASH_REPORT: &str = "a crash report contains no user data, and no test of the memory";
const DEFRAG: &str = "the allocator is mimalloc, which cannot be defragmented from outside";
const LOADS_ASIDE: &str = "clients are answered by other threads while one loads";
const LAZY: &str = "large values are always freed by a background thread";
const NO_CHILD: &str = "there is no child process";
const NO_REHASH: &str = "the keyspace grows one small stripe at a time, so no rehashing is left to do";
const TITLE: &str = "the process keeps the name it was started with";

const SYSLOG_FACILITIES: &[(&str, u8)] = &[
    ("user", 8),
    ("local0", 128),
    ("local1", 136),
    ("local2", 144),
    ("local3", 152),
    ("local4", 160),
    ("local5", 168),
    ("local6", 176),
    ("local7", 184),
];
const SUPERVISED: &[(&str, u8)] = &[("upstart", 0), ("systemd", 1), ("auto", 2), ("no", 3)];
const LOG_LEVELS: &[(&str, u8)] = &[("debug", 0), ("verbose", 1), ("notice", 2), ("warning", 3), ("nothing", 4)];
const WHO_MAY: &[(&str, u8)] = &[("no", 0), ("yes", 1), ("local", 2)];
const EVICTION_POLICIES: &[(&str, u8)] = &[
    ("volatile-lru", 0),
    ("volatile-lfu", 1),
    ("volatile-random", 2),
    ("volatile-ttl", 3),
    ("allkeys-lru", 4),
    ("allkeys-lfu", 5),
    ("allkeys-random", 6),
    ("noeviction", 7),
];
const FSYNC: &[(&str, u8)] = &[("everysec", 0), ("always", 1), ("no", 2)];
const DISKLESS_LOAD: &[(&str, u8)] = &[("disabled", 0), ("on-empty-db", 1), ("swapdb", 2)];
const CHANNELS: &[(&str, u8)] = &[("allchannels", 0), ("resetchannels", 1)];
const SANITIZE: &[(&str, u8)] = &[("no", 0), ("yes", 1), ("clients", 2)];
const OOM_SCORES: &[(&str, u8)] = &[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];
const TLS_CLIENTS: &[(&str, u8)] = &[("no", 0), ("yes", 1), ("optional", 2)];
const ENDPOINTS: &[(&str, u8)] = &[("ip", 0), ("hostname", 1), ("unknown-endpoint", 2)];
const PROPAGATION_ERRORS: &[(&str, u8)] = &[("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];
const SHUTDOWN: &[&str] = &["default", "save", "nosave", "now", "force"];

/// The table. [`index_of`] finds rows by name.
pub const ROWS: &[Row] = &[
    // Network.
    special("bind", Kind::Bind),
    optional("bind-source-addr"),
    yes_no("protected-mode", true),
    choice("enable-protected-configs", WHO_MAY, "no").immutable(),
    choice("enable-debug-command", WHO_MAY, "no").immutable(),
    choice("enable-module-command", WHO_MAY, "no").immutable().no_effect(MODULES),
    integer("port", 0, 65535, 6379),
    integer("tcp-backlog", 0, INT, 511).immutable(),
    optional("unixsocket").immutable(),
    number("unixsocketperm", Form::Octal, 0, 0o777, 0).unsigned().immutable(),
    integer("timeout", 0, INT, 0),
    integer("tcp-keepalive", 0, INT, 300),
    integer("socket-mark-id", 0, UINT, 0).unsigned().immutable().refused(SOCKET_MARKS),
    integer("max-new-connections-per-cycle", 1, 1000, 10).unsigned(),
    integer("max-new-tls-connections-per-cycle", 1, 1000, 1).unsigned().warned(TLS),
    // TLS.
    integer("tls-port", 0, 65535, 0).refused(TLS),
    optional("tls-cert-file").warned(TLS),
    optional("tls-key-file").warned(TLS),
    optional("tls-key-file-pass").warned(TLS),
    optional("tls-client-cert-file").warned(TLS),
    optional("tls-client-key-file").warned(TLS),
    optional("tls-client-key-file-pass").warned(TLS),
    optional("tls-dh-params-file").warned(TLS),
    optional("tls-ca-cert-file").warned(TLS),
    optional("tls-ca-cert-dir").warned(TLS),
    choice("tls-auth-clients", TLS_CLIENTS, "yes").warned(TLS),
    yes_no("tls-replication", false).refused(TLS),
    yes_no("tls-cluster", false).refused(TLS),
    optional("tls-protocols").warned(TLS),
    optional("tls-ciphers").warned(TLS),
    optional("tls-ciphersuites").warned(TLS),
    yes_no("tls-prefer-server-ciphers", false).warned(TLS),
    yes_no("tls-session-caching", true).warned(TLS),
    integer("tls-session-cache-size", 0, INT, 20 * 1024).warned(TLS),
    integer("tls-session-cache-timeout", 0, INT, 300).warned(TLS),
    // General.
    yes_no("daemonize", false).immutable(),
    choice("supervised", SUPERVISED, "no").immutable(),
    optional("pidfile").immutable(),
    choice("loglevel", LOG_LEVELS, "notice"),
    text("logfile", "").immutable(),
    yes_no("syslog-enabled", false).immutable(),
    text("syslog-ident", "redis").immutable(),
    choice("syslog-facility", SYSLOG_FACILITIES, "local0").immutable(),
    yes_no("crash-log-enabled", true),
    yes_no("crash-memcheck-enabled", true).no_effect(CRASH_REPORT),
    yes_no("hide-user-data-from-log", false),
    integer("databases", 1, INT, 16).immutable(),
    yes_no("always-show-logo", false).immutable(),
    yes_no("set-proc-title", true).immutable().no_effect(TITLE),
    text("proc-title-template", "{title} {listen-addr} {server-mode}").check(title_template).no_effect(TITLE),
    text("locale-collate", "").warned(LOCALE),
    text("ignore-warnings", "").no_effect("the check it silences is not made"),
    special("dir", Kind::Dir).protected().denied_while_loading(),
    // Threads and the keyspace.
    integer("io-threads", 1, 128, 1).immutable().default_cores(),
    // Hidden, so that whoever sets again what CONFIG GET * lists meets only what Redis has.
    integer("keyspace-stripes", 1, MIB, 16384).immutable().hidden().check(power_of_two),
    optional("server-cpulist").alias("server_cpulist").immutable().warned(AFFINITY),
    optional("bio-cpulist").alias("bio_cpulist").immutable().warned(AFFINITY),
    optional("aof-rewrite-cpulist").alias("aof_rewrite_cpulist").immutable().no_effect(NO_CHILD),
    optional("bgsave-cpulist").alias("bgsave_cpulist").immutable().no_effect(NO_CHILD),
    integer("hz", 0, INT, 10).clamped(1, 500),
    yes_no("dynamic-hz", true),
    integer("active-expire-effort", 1, 10, 1),
    yes_no("activerehashing", true).no_effect(NO_REHASH),
    // Snapshots.
    special("save", Kind::Save),
    yes_no("stop-writes-on-bgsave-error", true),
    yes_no("rdbcompression", true),
    yes_no("rdbchecksum", true).immutable(),
    choice("sanitize-dump-payload", SANITIZE, "no").no_effect("every payload is checked in full, always"),
    text("dbfilename", "dump.rdb").protected().check(dump_file_name),
    yes_no("rdb-del-sync-files", false),
    yes_no("rdb-save-incremental-fsync", true),
    // The append-only file.
    yes_no("appendonly", false).warned_at_start(APPEND_ONLY),
    text("appendfilename", "appendonly.aof").immutable().check(log_file_name).warned(APPEND_ONLY),
    text("appenddirname", "appendonlydir").immutable().check(log_directory_name).warned(APPEND_ONLY),
    choice("appendfsync", FSYNC, "everysec").warned(APPEND_ONLY),
    yes_no("no-appendfsync-on-rewrite", false).warned(APPEND_ONLY),
    integer("auto-aof-rewrite-percentage", 0, INT, 100).warned(APPEND_ONLY),
    memory("auto-aof-rewrite-min-size", 0, LONG, 64 * MIB).warned(APPEND_ONLY),
    yes_no("aof-load-truncated", true).warned(APPEND_ONLY),
    yes_no("aof-use-rdb-preamble", true).warned(APPEND_ONLY),
    yes_no("aof-timestamp-enabled", false).warned(APPEND_ONLY),
    yes_no("aof-rewrite-incremental-fsync", true).warned(APPEND_ONLY),
    // Shutdown.
    integer("shutdown-timeout", 0, INT, 10),
    special("shutdown-on-sigint", Kind::Flags(SHUTDOWN)).check(save_or_not),
    special("shutdown-on-sigterm", Kind::Flags(SHUTDOWN)).check(save_or_not),
    // Replication.
    special("replicaof", Kind::ReplicaOf).alias("slaveof").immutable(),
    optional("masterauth"),
    optional("masteruser"),
    yes_no("replica-serve-stale-data", true).alias("slave-serve-stale-data"),
    yes_no("replica-read-only", true).alias("slave-read-only"),
    yes_no("repl-diskless-sync", true),
    integer("repl-diskless-sync-delay", 0, INT, 5),
    integer("repl-diskless-sync-max-replicas", 0, INT, 0),
    choice("repl-diskless-load", DISKLESS_LOAD, "disabled").denied_while_loading(),
    integer("repl-ping-replica-period", 1, INT, 10).alias("repl-ping-slave-period"),
    integer("repl-timeout", 1, INT, 60),
    integer("repl-pacing-timeout", -1, INT, -1).hidden(),
    yes_no("repl-disable-tcp-nodelay", false),
    memory("repl-backlog-size", 1, LONG, MIB),
    integer("repl-backlog-ttl", 0, LONG, 3600),
    memory("snapshot-buffer-limit", 0, LONG, 16 * MIB).hidden(),
    memory("replica-full-sync-buffer-limit", 0, LONG, 0),
    integer("replica-priority", 0, INT, 100).alias("slave-priority"),
    choice("propagation-error-behavior", PROPAGATION_ERRORS, "ignore"),
    yes_no("replica-ignore-disk-write-errors", false),
    yes_no("replica-announced", true),
    integer("min-replicas-to-write", 0, INT, 0).alias("min-slaves-to-write"),
    integer("min-replicas-max-lag", 0, INT, 10).alias("min-slaves-max-lag"),
    optional("replica-announce-ip").alias("slave-announce-ip"),
    integer("replica-announce-port", 0, 65535, 0).alias("slave-announce-port"),
    // Security.
    optional("requirepass"),
    integer("tracking-table-max-keys", 0, LONG, 1_000_000).unsigned().warned(TRACKING),
    text("aclfile", "").immutable().refused(ACL),
    integer("acllog-max-len", 0, LONG, 128).warned(ACL),
    choice("acl-pubsub-default", CHANNELS, "resetchannels").warned(ACL),
    // Clients.
    integer("maxclients", 1, UINT, 10000).unsigned(),
    number("maxmemory-clients", Form::MemoryOrPercent, -100, LONG, 0).warned(CLIENT_EVICTION),
    special("client-output-buffer-limit", Kind::OutputLimits),
    memory("client-query-buffer-limit", MIB, LONG, 1024 * MIB).unsigned(),
    memory("proto-max-bulk-len", MIB, LONG, 512 * MIB),
    // Memory.
    memory("maxmemory", 0, ULONG, 0).unsigned(),
    choice("maxmemory-policy", EVICTION_POLICIES, "noeviction"),
    integer("maxmemory-samples", 1, 64, 5),
    integer("maxmemory-eviction-tenacity", 0, 100, 10),
    yes_no("replica-ignore-maxmemory", true).alias("slave-ignore-maxmemory"),
    integer("lfu-log-factor", 0, INT, 10),
    integer("lfu-decay-time", 0, INT, 1),
    yes_no("lazyfree-lazy-eviction", false),
    yes_no("lazyfree-lazy-expire", false).no_effect(LAZY),
    yes_no("lazyfree-lazy-server-del", false).no_effect(LAZY),
    yes_no("lazyfree-lazy-user-del", false).no_effect(LAZY),
    yes_no("lazyfree-lazy-user-flush", false),
    yes_no("replica-lazy-flush", false).alias("slave-lazy-flush").no_effect(LAZY),
    choice("oom-score-adj", OOM_SCORES, "no"),
    special("oom-score-adj-values", Kind::OomScores),
    yes_no("disable-thp", true).immutable(),
    yes_no("activedefrag", false).warned_at_start(DEFRAG),
    memory("active-defrag-ignore-bytes", 1, LONG, 100 * MIB).unsigned().no_effect(DEFRAG),
    integer("active-defrag-threshold-lower", 0, 1000, 10).no_effect(DEFRAG),
    integer("active-defrag-threshold-upper", 0, 1000, 100).no_effect(DEFRAG),
    integer("active-defrag-cycle-min", 1, 99, 1).no_effect(DEFRAG),
    integer("active-defrag-cycle-max", 1, 99, 25).no_effect(DEFRAG),
    integer("active-defrag-max-scan-fields", 1, LONG, 1000).no_effect(DEFRAG),
    yes_no("jemalloc-bg-thread", true).no_effect(ALLOCATOR),
    // Scripts.
    integer("busy-reply-threshold", 0, LONG, 5000).alias("lua-time-limit").warned(SCRIPTING),
    // Cluster.
    yes_no("cluster-enabled", false).immutable().refused(CLUSTER),
    text("cluster-config-file", "nodes.conf").immutable().warned(CLUSTER),
    integer("cluster-node-timeout", 0, LONG, 15000).warned(CLUSTER),
    integer("cluster-port", 0, 65535, 0).immutable().warned(CLUSTER),
    integer("cluster-replica-validity-factor", 0, INT, 10).alias("cluster-slave-validity-factor").warned(CLUSTER),
    integer("cluster-migration-barrier", 0, INT, 1).warned(CLUSTER),
    yes_no("cluster-allow-replica-migration", true).warned(CLUSTER),
    yes_no("cluster-require-full-coverage", true).warned(CLUSTER),
    yes_no("cluster-replica-no-failover", false).alias("cluster-slave-no-failover").warned(CLUSTER),
    yes_no("cluster-allow-reads-when-down", false).warned(CLUSTER),
    yes_no("cluster-allow-pubsubshard-when-down", true).warned(CLUSTER),
    memory("cluster-link-sendbuf-limit", 0, ULONG, 0).unsigned().warned(CLUSTER),
    optional("cluster-announce-hostname").check(host_name).warned(CLUSTER),
    optional("cluster-announce-human-nodename").check(node_name).warned(CLUSTER),
    choice("cluster-preferred-endpoint-type", ENDPOINTS, "ip").warned(CLUSTER),
    integer("cluster-compatibility-sample-ratio", 0, 100, 0).warned(CLUSTER),
    optional("cluster-announce-ip").warned(CLUSTER),
    integer("cluster-announce-port", 0, 65535, 0).warned(CLUSTER),
    integer("cluster-announce-tls-port", 0, 65535, 0).warned(CLUSTER),
    integer("cluster-announce-bus-port", 0, 65535, 0).warned(CLUSTER),
    // Watching the server.
    integer("slowlog-log-slower-than", -1, LONG, 10000).warned(SLOWLOG),
    integer("slowlog-max-len", 0, LONG, 128).warned(SLOWLOG),
    integer("latency-monitor-threshold", 0, LONG, 0).warned(LATENCY),
    yes_no("latency-tracking", true),
    special("latency-tracking-info-percentiles", Kind::Percentiles),
    special("notify-keyspace-events", Kind::Events),
    // The forms of values.
    integer("hash-max-listpack-entries", 0, LONG, 512).alias("hash-max-ziplist-entries").unsigned(),
    memory("hash-max-listpack-value", 0, LONG, 64).alias("hash-max-ziplist-value").unsigned(),
    integer("list-max-listpack-size", i32::MIN as i64, INT, -2).alias("list-max-ziplist-size"),
    integer("list-compress-depth", 0, INT, 0).no_effect("the nodes of a list are not compressed"),
    integer("set-max-intset-entries", 0, LONG, 512).unsigned(),
    integer("set-max-listpack-entries", 0, LONG, 128).unsigned(),
    integer("set-max-listpack-value", 0, LONG, 64).unsigned(),
    integer("zset-max-listpack-entries", 0, LONG, 128).alias("zset-max-ziplist-entries").unsigned(),
    memory("zset-max-listpack-value", 0, LONG, 64).alias("zset-max-ziplist-value").unsigned(),
    memory("hll-sparse-max-bytes", 0, LONG, 3000).unsigned(),
    memory("stream-node-max-bytes", 0, LONG, 4096).unsigned(),
    integer("stream-node-max-entries", 0, LONG, 100),
    // Knobs for tests, which CONFIG GET hides.
    integer("rdb-key-save-delay", i32::MIN as i64, INT, 0).hidden(),
    integer("key-load-delay", i32::MIN as i64, INT, 0).hidden(),
    integer("loading-process-events-interval-bytes", KIB, INT, 512 * KIB).hidden().no_effect(LOADS_ASIDE),
    yes_no("aof-disable-auto-gc", false).hidden().warned(APPEND_ONLY),
    yes_no("repl-rdb-channel", true).hidden(),
    yes_no("use-exit-on-panic", false).hidden().no_effect("a broken invariant always ends the process"),
    integer("watchdog-period", 0, INT, 0).hidden().no_effect("no signal interrupts a command, so none is reported"),
    integer("cluster-ping-interval", 0, LONG, 0).hidden().warned(CLUSTER),
];

/// Directives that Redis once had and now skips without a word, each with one argument.
pub const RETIRED: &[&str] =
    &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands", "io-threads-do-reads"];

/// Where in [`ROWS`] the directive called `name` stands, by its name or alias, in any case; and the name that was
/// meant, in lower case.
pub fn index_of(name: &[u8]) -> Option<(usize, &'static str)> {
    let meant = |known: &&'static str| known.as_bytes().eq_ignore_ascii_case(name);
    ROWS.iter().enumerate().find_map(|(at, row)| {
        let found = [Some(row.name), row.alias].into_iter().flatten().find(meant)?;
        Some((at, found))
    })
}

fn text_of(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text,
        value => panic!("{value:?} is not a string"),
    }
}

fn power_of_two(value: &Value) -> Result<(), &'static str> {
    match value {
        Value::Number(number) if number.count_ones() == 1 => Ok(()),
        _ => Err("argument must be a power of two"),
    }
}

fn is_base_name(path: &[u8]) -> bool {
    !path.contains(&b'/')
}

fn dump_file_name(value: &Value) -> Result<(), &'static str> {
    if is_base_name(text_of(value)) { Ok(()) } else { Err("dbfilename can't be a path, just a filename") }
}

fn log_file_name(value: &Value) -> Result<(), &'static str> {
    match text_of(value) {
        [] => Err("appendfilename can't be empty"),
        name if is_base_name(name) => Ok(()),
        _ => Err("appendfilename can't be a path, just a filename"),
    }
}

fn log_directory_name(value: &Value) -> Result<(), &'static str> {
    match text_of(value) {
        [] => Err("appenddirname can't be empty"),
        name if is_base_name(name) => Ok(()),
        _ => Err("appenddirname can't be a path, just a dirname"),
    }
}

fn save_or_not(value: &Value) -> Result<(), &'static str> {
    /// The bits of `save` and `nosave` in [`SHUTDOWN`].
    const BOTH: u32 = 0b110;
    match value {
        Value::Flags(bits) if bits & BOTH == BOTH => {
            Err("shutdown options SAVE and NOSAVE can't be used simultaneously")
        }
        _ => Ok(()),
    }
}

fn host_name(value: &Value) -> Result<(), &'static str> {
    /// The longest name of a host, with the NUL that Redis counts in.
    const HOST_NAME_MAX: usize = 256;
    let name = text_of(value);
    if name.len() >= HOST_NAME_MAX {
        return Err("Hostnames must be less than 256 characters");
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    if name.iter().all(legal) {
        Ok(())
    } else {
        Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
    }
}

fn node_name(value: &Value) -> Result<(), &'static str> {
    let legal = |byte: &u8| !b"!#$%&()*+:;<>?@[]^{|}~".contains(byte);
    if text_of(value).iter().all(legal) { Ok(()) } else { Err("Announced human node name contained invalid character") }
}

/// A template is good when its braces close, each variable is known, and something is left when those that may
/// expand to nothing do.
fn title_template(value: &Value) -> Result<(), &'static str> {
    const FILLED: [&[u8]; 5] = [b"listen-addr", b"server-mode", b"port", b"tls-port", b"config-file"];
    const MAYBE_EMPTY: [&[u8]; 2] = [b"title", b"unixsocket"];
    const WRONG: &str = "template format is invalid or contains unknown variables";
    let mut rest = text_of(value);
    let mut anything = false;
    loop {
        rest = match rest {
            [] => break,
            [b'{', b'{', rest @ ..] => {
                anything = true;
                rest
            }
            [b'{', rest @ ..] => {
                let end = rest.iter().position(|&byte| byte == b'}').ok_or(WRONG)?;
                let (variable, after) = (&rest[..end], &rest[end + 1..]);
                anything |= FILLED.contains(&variable);
                if !FILLED.contains(&variable) && !MAYBE_EMPTY.contains(&variable) {
                    return Err(WRONG);
                }
                after
            }
            [byte, rest @ ..] => {
                anything |= !byte.is_ascii_whitespace();
                rest
            }
        }
    }
    if anything { Ok(()) } else { Err(WRONG) }
}
