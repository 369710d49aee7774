//! What brings directives into effect: at the start all of them, in CONFIG SET those that have changed.
//!
//! Each hook looks at the configuration as it now is and makes the process agree with it, so that it may run at any
//! time and any number of times; CONFIG SET calls it again with the old values when something fails. Directives
//! without a hook are read where they are needed: some only at the start, some whenever that is.
//! A test holds the table of directives to these three lists.

use std::sync::atomic::Ordering::Relaxed;

use commands::effect::Class;
use commands::eviction::Policy;
use commands::host::Host;

use crate::config::keys;
use crate::crash;
use crate::log::Level;
use crate::open_files;
use crate::persistence;
use crate::server::Server;

/// Makes the process agree with the configuration.
///
/// # Errors
/// The text for CONFIG SET.
type Hook = fn(&Server) -> Result<(), String>;

macro_rules! rows {
    ($($key:ident),+ $(,)?) => { &[$(keys::$key.index()),+] };
}

/// Directives, by their rows, and the hook that they share.
static HOOKS: &[(&[usize], Hook)] = &[
    (
        rows![
            HASH_MAX_LISTPACK_ENTRIES,
            HASH_MAX_LISTPACK_VALUE,
            LIST_COMPRESS_DEPTH,
            LIST_MAX_LISTPACK_SIZE,
            SET_MAX_INTSET_ENTRIES,
            SET_MAX_LISTPACK_ENTRIES,
            SET_MAX_LISTPACK_VALUE,
            ZSET_MAX_LISTPACK_ENTRIES,
            ZSET_MAX_LISTPACK_VALUE,
            STREAM_NODE_MAX_BYTES,
            STREAM_NODE_MAX_ENTRIES,
        ],
        limits,
    ),
    (rows![PROTO_MAX_BULK_LEN], proto_max_bulk_len),
    (rows![HLL_SPARSE_MAX_BYTES], hll_sparse_max_bytes),
    (rows![CLIENT_QUERY_BUFFER_LIMIT, CLIENT_OUTPUT_BUFFER_LIMIT], buffer_limits),
    (rows![MAXCLIENTS], maxclients),
    (rows![TIMEOUT, TCP_KEEPALIVE, PROTECTED_MODE, MAX_NEW_CONNECTIONS_PER_CYCLE], connections),
    (rows![REQUIREPASS], requirepass),
    (rows![HZ, DYNAMIC_HZ, ACTIVE_EXPIRE_EFFORT], periods),
    (rows![LOGLEVEL], loglevel),
    (rows![CRASH_LOG_ENABLED], crash_log),
    (rows![HIDE_USER_DATA_FROM_LOG], hidden_data),
    (rows![OOM_SCORE_ADJ, OOM_SCORE_ADJ_VALUES], oom_score),
    (rows![PORT], port),
    (rows![BIND], bind),
    (rows![NOTIFY_KEYSPACE_EVENTS], events),
    (rows![MAXMEMORY], maxmemory),
    (
        rows![
            MAXMEMORY_POLICY,
            MAXMEMORY_SAMPLES,
            MAXMEMORY_EVICTION_TENACITY,
            LFU_LOG_FACTOR,
            LFU_DECAY_TIME,
            LAZYFREE_LAZY_EVICTION,
            LAZYFREE_LAZY_USER_FLUSH,
        ],
        eviction,
    ),
    (rows![LATENCY_TRACKING, LATENCY_TRACKING_INFO_PERCENTILES], latency_tracking),
    (rows![SLOWLOG_LOG_SLOWER_THAN], slowlog),
    (rows![SAVE, STOP_WRITES_ON_BGSAVE_ERROR], saving),
    (rows![RDB_KEY_SAVE_DELAY, KEY_LOAD_DELAY], delays),
    (rows![REPL_BACKLOG_SIZE], backlog),
    (
        rows![
            REPLICA_IGNORE_MAXMEMORY,
            REPLICA_READ_ONLY,
            REPLICA_SERVE_STALE_DATA,
            MIN_REPLICAS_MAX_LAG,
            MIN_REPLICAS_TO_WRITE
        ],
        standing,
    ),
];

/// Brings all directives into effect. What must not fail at the start has been settled before; the rest (the score for
/// the kernel) is logged, and the server goes on without it.
pub fn all(server: &Server) {
    for reason in HOOKS.iter().filter_map(|(_, hook)| hook(server).err()) {
        server.log.warning(&reason);
    }
}

/// Brings the directive of a row into effect.
///
/// # Errors
/// It cannot be; the text is for CONFIG SET.
pub fn one(server: &Server, row: usize) -> Result<(), String> {
    HOOKS.iter().filter(|(rows, _)| rows.contains(&row)).try_for_each(|(_, hook)| hook(server))
}

fn limits(server: &Server) -> Result<(), String> {
    let config = &server.config;
    server.settings.set_limits(|limits| {
        limits.hash_max_listpack_entries = config.get(keys::HASH_MAX_LISTPACK_ENTRIES);
        limits.hash_max_listpack_value = config.get(keys::HASH_MAX_LISTPACK_VALUE);
        // Nothing is compressed, but DEBUG OBJECT says what was asked for.
        limits.list_compress_depth = config.get(keys::LIST_COMPRESS_DEPTH);
        limits.list_max_listpack_size = config.get(keys::LIST_MAX_LISTPACK_SIZE);
        limits.set_max_intset_entries = config.get(keys::SET_MAX_INTSET_ENTRIES);
        limits.set_max_listpack_entries = config.get(keys::SET_MAX_LISTPACK_ENTRIES);
        limits.set_max_listpack_value = config.get(keys::SET_MAX_LISTPACK_VALUE);
        limits.zset_max_listpack_entries = config.get(keys::ZSET_MAX_LISTPACK_ENTRIES);
        limits.zset_max_listpack_value = config.get(keys::ZSET_MAX_LISTPACK_VALUE);
        limits.stream_node_max_bytes = config.get(keys::STREAM_NODE_MAX_BYTES);
        limits.stream_node_max_entries = config.get(keys::STREAM_NODE_MAX_ENTRIES);
    });
    Ok(())
}

fn proto_max_bulk_len(server: &Server) -> Result<(), String> {
    server.settings.proto_max_bulk_len.store(server.config.get(keys::PROTO_MAX_BULK_LEN) as u64, Relaxed);
    Ok(())
}

fn hll_sparse_max_bytes(server: &Server) -> Result<(), String> {
    server.settings.hll_sparse_max_bytes.store(server.config.get(keys::HLL_SPARSE_MAX_BYTES), Relaxed);
    Ok(())
}

fn buffer_limits(server: &Server) -> Result<(), String> {
    let Server { config, settings, .. } = server;
    settings.client_query_buffer_limit.store(config.get(keys::CLIENT_QUERY_BUFFER_LIMIT), Relaxed);
    for (setting, limit) in settings.output_limits.iter().zip(config.get(keys::CLIENT_OUTPUT_BUFFER_LIMIT)) {
        setting.hard_bytes.store(limit.hard_bytes, Relaxed);
        setting.soft_bytes.store(limit.soft_bytes, Relaxed);
        setting.soft_secs.store(u64::from(limit.soft_seconds.unsigned_abs()), Relaxed);
    }
    Ok(())
}

fn latency_tracking(server: &Server) -> Result<(), String> {
    server.settings.latency_tracking.store(server.config.get(keys::LATENCY_TRACKING), Relaxed);
    server.settings.set_percentiles(server.config.get(keys::LATENCY_TRACKING_INFO_PERCENTILES));
    Ok(())
}

fn hidden_data(server: &Server) -> Result<(), String> {
    server.settings.hide_user_data_from_log.store(server.config.get(keys::HIDE_USER_DATA_FROM_LOG), Relaxed);
    Ok(())
}

fn maxclients(server: &Server) -> Result<(), String> {
    let wanted = server.config.get(keys::MAXCLIENTS);
    let possible = open_files::make_room(wanted as u64, server.workers.len());
    if possible < wanted as u64 {
        return Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {possible}"
        ));
    }
    server.settings.maxclients.store(wanted, Relaxed);
    Ok(())
}

fn connections(server: &Server) -> Result<(), String> {
    let Server { config, live, settings, .. } = server;
    settings.timeout.store(config.get(keys::TIMEOUT), Relaxed);
    live.tcp_keepalive.store(config.get(keys::TCP_KEEPALIVE), Relaxed);
    live.protected_mode.store(config.get(keys::PROTECTED_MODE), Relaxed);
    let max_new = config.get(keys::MAX_NEW_CONNECTIONS_PER_CYCLE) as usize;
    live.max_new_connections_per_cycle.store(max_new, Relaxed);
    Ok(())
}

/// Sessions that are authenticated stay so; those that needed no password count as authenticated.
fn requirepass(server: &Server) -> Result<(), String> {
    server.settings.set_password(&server.config.get(keys::REQUIREPASS));
    Ok(())
}

fn periods(server: &Server) -> Result<(), String> {
    let Server { config, live, registry, .. } = server;
    live.hz.store(config.get(keys::HZ), Relaxed);
    live.dynamic_hz.store(config.get(keys::DYNAMIC_HZ), Relaxed);
    live.active_expire_effort.store(config.get(keys::ACTIVE_EXPIRE_EFFORT), Relaxed);
    live.fit_period(registry.len());
    Ok(())
}

fn loglevel(server: &Server) -> Result<(), String> {
    server.log.set_level(Level::named(server.config.get(keys::LOGLEVEL)));
    Ok(())
}

fn crash_log(server: &Server) -> Result<(), String> {
    crash::enable(server.config.get(keys::CRASH_LOG_ENABLED));
    Ok(())
}

fn oom_score(server: &Server) -> Result<(), String> {
    server.oom_score.set(&server.config, &server.log)
}

fn port(server: &Server) -> Result<(), String> {
    listen(server).map_err(|_| "Unable to listen on this port. Check server logs.".into())
}

fn bind(server: &Server) -> Result<(), String> {
    listen(server).map_err(|_| "Failed to bind to specified addresses.".into())
}

fn listen(server: &Server) -> std::io::Result<()> {
    server.listening.change(&server.config, &server.log, &server.workers[0].inbox)
}

fn maxmemory(server: &Server) -> Result<(), String> {
    let max_bytes = server.config.get(keys::MAXMEMORY);
    server.settings.maxmemory.store(max_bytes, Relaxed);
    let used = server.counted_memory();
    if max_bytes != 0 && max_bytes < used {
        server.log.warning(&format!(
            "WARNING: the new maxmemory value set via CONFIG SET ({max_bytes}) is smaller than the current memory usage \
             ({used}). This will result in key eviction and/or the inability to accept new write commands depending on \
             the maxmemory-policy."
        ));
        server.evict_in_background();
    }
    Ok(())
}

fn backlog(server: &Server) -> Result<(), String> {
    server.replication.stream.trim(server.config.get(keys::REPL_BACKLOG_SIZE));
    Ok(())
}

fn standing(server: &Server) -> Result<(), String> {
    server.replication.refresh_standing(server);
    Ok(())
}

fn eviction(server: &Server) -> Result<(), String> {
    let Server { config, settings, .. } = server;
    settings.set_policy(Policy::named(config.get(keys::MAXMEMORY_POLICY)).expect("the table knows the same names"));
    settings.maxmemory_samples.store(config.get(keys::MAXMEMORY_SAMPLES), Relaxed);
    settings.eviction_limit_ns.store(eviction_limit_ns(config.get(keys::MAXMEMORY_EVICTION_TENACITY)), Relaxed);
    settings.lfu_log_factor.store(config.get(keys::LFU_LOG_FACTOR), Relaxed);
    settings.lfu_decay_time.store(config.get(keys::LFU_DECAY_TIME), Relaxed);
    settings.lazyfree_lazy_eviction.store(config.get(keys::LAZYFREE_LAZY_EVICTION), Relaxed);
    settings.lazyfree_lazy_user_flush.store(config.get(keys::LAZYFREE_LAZY_USER_FLUSH), Relaxed);
    Ok(())
}

/// Nanoseconds that one command may be held up by eviction: 50 microseconds for each step of tenacity up to 10, from there
/// on 15 % more with each, about two minutes at 99, and without end at 100. These are Redis's numbers.
fn eviction_limit_ns(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => u64::from(tenacity) * 50_000,
        11..=99 => (500_000.0 * 1.15_f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

fn slowlog(server: &Server) -> Result<(), String> {
    server.settings.slowlog_log_slower_than.store(server.config.get(keys::SLOWLOG_LOG_SLOWER_THAN), Relaxed);
    Ok(())
}

fn saving(server: &Server) -> Result<(), String> {
    persistence::stop_or_take_writes(server);
    Ok(())
}

fn delays(server: &Server) -> Result<(), String> {
    let Server { config, live, .. } = server;
    live.rdb_key_save_delay.store(config.get(keys::RDB_KEY_SAVE_DELAY), Relaxed);
    live.key_load_delay.store(config.get(keys::KEY_LOAD_DELAY), Relaxed);
    Ok(())
}

fn events(server: &Server) -> Result<(), String> {
    const CLASSES: [(u8, Class); 14] = [
        (b'K', Class::KEYSPACE),
        (b'E', Class::KEYEVENT),
        (b'g', Class::GENERIC),
        (b'$', Class::STRING),
        (b'l', Class::LIST),
        (b's', Class::SET),
        (b'h', Class::HASH),
        (b'z', Class::ZSET),
        (b'x', Class::EXPIRED),
        (b'e', Class::EVICTED),
        (b't', Class::STREAM),
        (b'm', Class::KEY_MISS),
        (b'd', Class::MODULE),
        (b'n', Class::NEW),
    ];
    let events = server.config.get(keys::NOTIFY_KEYSPACE_EVENTS);
    let on = CLASSES.into_iter().filter(|(letter, _)| events.has(*letter)).map(|(_, class)| class);
    server.settings.notify_keyspace_events.store(on.fold(Class::empty(), Class::union).bits(), Relaxed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ROWS;
    use crate::config::row::Effect;
    use crate::config::value::Kind;

    /// Read once, before the workers start.
    static AT_THE_START: &[usize] = rows![
        ALWAYS_SHOW_LOGO,
        DAEMONIZE,
        DISABLE_THP,
        DATABASES,
        IO_THREADS,
        KEYSPACE_STRIPES,
        LOGFILE,
        PIDFILE,
        RDBCHECKSUM,
        REPLICAOF,
        SUPERVISED,
        SYSLOG_ENABLED,
        SYSLOG_FACILITY,
        SYSLOG_IDENT,
        TCP_BACKLOG,
        UNIXSOCKET,
        UNIXSOCKETPERM,
    ];

    /// Read whenever they are needed, which is rare. `dir` takes effect in the configuration itself.
    static AT_USE: &[usize] = rows![
        BIND_SOURCE_ADDR,
        DBFILENAME,
        DIR,
        ENABLE_DEBUG_COMMAND,
        ENABLE_PROTECTED_CONFIGS,
        MASTERAUTH,
        MASTERUSER,
        PROPAGATION_ERROR_BEHAVIOR,
        REPLICA_ANNOUNCED,
        REPLICA_ANNOUNCE_IP,
        REPLICA_ANNOUNCE_PORT,
        REPLICA_FULL_SYNC_BUFFER_LIMIT,
        REPLICA_IGNORE_DISK_WRITE_ERRORS,
        REPLICA_PRIORITY,
        RDBCOMPRESSION,
        RDB_DEL_SYNC_FILES,
        RDB_SAVE_INCREMENTAL_FSYNC,
        REPL_BACKLOG_TTL,
        REPL_DISABLE_TCP_NODELAY,
        REPL_DISKLESS_SYNC,
        REPL_DISKLESS_SYNC_DELAY,
        REPL_DISKLESS_SYNC_MAX_REPLICAS,
        REPL_PING_REPLICA_PERIOD,
        REPL_DISKLESS_LOAD,
        REPL_PACING_TIMEOUT,
        REPL_RDB_CHANNEL,
        REPL_TIMEOUT,
        SHUTDOWN_ON_SIGINT,
        SHUTDOWN_ON_SIGTERM,
        SHUTDOWN_TIMEOUT,
        SNAPSHOT_BUFFER_LIMIT,
    ];

    #[test]
    fn tenacity_is_time() {
        let micros = [0, 1, 10, 11, 20, 99].map(|tenacity| eviction_limit_ns(tenacity) / 1000);
        assert_eq!(micros, [0, 50, 500, 575, 2022, 126_205_358]);
        assert_eq!(eviction_limit_ns(100), u64::MAX);
    }

    #[test]
    fn every_policy_of_the_table_is_known() {
        let row = ROWS.iter().find(|row| row.name == "maxmemory-policy").unwrap();
        let Kind::Choice(names, _) = row.kind else { panic!("a choice") };
        assert_eq!(names.len(), 8);
        assert!(names.iter().all(|(name, _)| Policy::named(name).is_some()));
    }

    /// An incident this prevents: a directive was marked effective in the table while nobody read it.
    #[test]
    fn every_effective_directive_is_read_somewhere_and_only_once() {
        for (at, row) in ROWS.iter().enumerate() {
            let hooks = HOOKS.iter().filter(|(rows, _)| rows.contains(&at)).count();
            let elsewhere = [AT_THE_START, AT_USE].iter().filter(|rows| rows.contains(&at)).count();
            if row.effect == Effect::Effective {
                assert_eq!(hooks + elsewhere, 1, "{}", row.name);
                assert!(hooks == 1 || row.immutable || AT_USE.contains(&at), "{} changes without a hook", row.name);
            } else {
                assert_eq!(elsewhere, 0, "{}", row.name);
            }
        }
    }
}
