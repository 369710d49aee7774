//! INFO's sections about the process, with Redis's names in Redis's order. What belongs to a part that this server does
//! not have (forks, defragmentation, modules ...) is 0, because there is nothing of it.

use std::sync::atomic::Ordering::Relaxed;

use commands::client::{Client, ClientFlags};
use commands::host::Host;
use commands::info::Section;
use commands::info_lines;
use commands::stats::{Stats, Tally};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::clock;
use crate::config::keys;
use crate::persistence;
use crate::replication;
use crate::server::Server;

/// Appends a section.
pub fn write(server: &Server, section: Section, out: &mut String) {
    match section {
        Section::SERVER => about(server, out),
        Section::CLIENTS => clients(server, out),
        Section::PERSISTENCE => persistence::info::write(server, out),
        Section::THREADS => threads(server, out),
        Section::STATS => stats(server, out),
        Section::REPLICATION => replication::info::write(server, out),
        Section::CPU => cpu(out),
        Section::MODULES => info_lines!(out; "# Modules";),
        Section::CLUSTER => info_lines!(out; "# Cluster"; "cluster_enabled:0";),
        Section::DEBUG => debug(server, out),
        _ => {}
    }
}

/// The sum of a counter over all threads.
fn sum(server: &Server, of: fn(&Stats) -> &Tally) -> u64 {
    server.all_stats().map(|stats| of(stats).get()).sum()
}

fn about(server: &Server, out: &mut String) {
    let uname = nix::sys::utsname::uname().ok();
    let os = uname.as_ref().map_or_else(String::new, |uname| {
        [uname.sysname(), uname.release(), uname.machine()].map(|part| part.to_string_lossy().into_owned()).join(" ")
    });
    let now_us = clock::unix_us();
    let uptime = (now_us / 1000 - server.started_ms).max(0) / 1000;
    let hz: u64 = server.config.get(keys::HZ);
    let path = |path: Option<std::path::PathBuf>| path.map_or_else(String::new, |path| path.display().to_string());
    info_lines!(out;
        "# Server";
        "redis_version:{}", commands::REDIS_VERSION;
        "server_name:brindle";
        "brindle_version:{}", env!("CARGO_PKG_VERSION");
        "redis_git_sha1:00000000";
        "redis_git_dirty:0";
        "redis_build_id:0000000000000000";
        "redis_mode:standalone";
        "os:{os}";
        "arch_bits:{}", usize::BITS;
        "monotonic_clock:quanta";
        "multiplexing_api:epoll";
        "atomicvar_api:rust";
        "gcc_version:0.0.0";
        "process_id:{}", std::process::id();
        "process_supervised:no";
        "run_id:{}", server.vitals.run_id;
        "tcp_port:{}", server.config.get(keys::PORT);
        "server_time_usec:{now_us}";
        "uptime_in_seconds:{uptime}";
        "uptime_in_days:{}", uptime / (24 * 3600);
        "hz:{}", 1000 / server.live.period_ms();
        "configured_hz:{hz}";
        "lru_clock:{}", (now_us / 1_000_000) & 0xff_ffff;
        "executable:{}", path(std::env::current_exe().ok());
        "config_file:{}", path(server.config.file().map(std::path::Path::to_path_buf));
        "io_threads_active:{}", u8::from(server.workers.len() > 1);
    );
    if let Some(left_ms) = server.ending.left_ms() {
        info_lines!(out; "shutdown_in_milliseconds:{left_ms}";);
    }
    listeners(server, out);
}

fn listeners(server: &Server, out: &mut String) {
    let port = server.config.get(keys::PORT);
    let mut index = 0;
    if port != 0 {
        let bind = server.config.get(keys::BIND);
        let bind: String = bind.iter().map(|bind| format!("bind={},", String::from_utf8_lossy(bind))).collect();
        info_lines!(out; "listener0:name=tcp,{bind}port={port}";);
        index += 1;
    }
    if let Some(path) = server.config.get(keys::UNIXSOCKET) {
        info_lines!(out; "listener{index}:name=unix,bind={}", path.display(););
    }
}

fn clients(server: &Server, out: &mut String) {
    let clients = server.clients();
    let with = |flag| clients.iter().filter(|client| client.flags().contains(flag)).count();
    let largest = |of: fn(&Client) -> usize| clients.iter().map(|client| of(client)).max().unwrap_or(0);
    let watched_keys: usize =
        (0..server.keyspace.database_count()).map(|db| server.registry.watched_keys(db).len()).sum();
    info_lines!(out;
        "# Clients";
        "connected_clients:{}", clients.len() - with(ClientFlags::REPLICA);
        "cluster_connections:0";
        "maxclients:{}", server.settings.maxclients.load(Relaxed);
        "client_recent_max_input_buffer:{}", largest(input_bytes);
        "client_recent_max_output_buffer:{}", largest(output_bytes);
        "blocked_clients:{}", with(ClientFlags::BLOCKED);
        "tracking_clients:0";
        "pubsub_clients:{}", with(ClientFlags::PUBSUB);
        "watching_clients:{}", clients.iter().filter(|client| client.watched.load(Relaxed) > 0).count();
        "clients_in_timeout_table:{}", clients.iter().filter(|client| waits_for_so_long(client)).count();
        "total_watched_keys:{watched_keys}";
        "total_blocking_keys:{}", server.waiters().key_count();
        "total_blocking_keys_on_nokey:{}", server.waiters().on_no_key();
    );
}

/// Whether a client waits for keys, and not for ever.
fn waits_for_so_long(client: &Client) -> bool {
    let waiter = client.waiter.lock().expect("never poisoned");
    waiter.as_ref().is_some_and(|waiter| waiter.deadline_ms.is_some())
}

/// Bytes of a client's input buffer.
pub fn input_bytes(client: &Client) -> usize {
    client.query_buffer.load(Relaxed) + client.query_buffer_free.load(Relaxed)
}

/// Bytes of a client's output buffer.
pub fn output_bytes(client: &Client) -> usize {
    client.reply_buffer.load(Relaxed).max(client.reply_pending.load(Relaxed))
}

/// A worker is what Redis calls an I/O thread, but it executes as well.
fn threads(server: &Server, out: &mut String) {
    info_lines!(out; "# Threads";);
    for (index, worker) in server.workers.iter().enumerate() {
        info_lines!(out;
            "io_thread_{index}:clients={},reads={},writes={}",
                worker.connections.load(Relaxed), worker.stats.reads.get(), worker.stats.writes.get();
        );
    }
}

fn stats(server: &Server, out: &mut String) {
    let rates = server.vitals.sampler.rates();
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    let now_ns = server.ticks_ns();
    info_lines!(out;
        "# Stats";
        "total_connections_received:{}", server.connections_received.load(Relaxed);
        "total_commands_processed:{}", sum(server, |stats| &stats.processed);
        "instantaneous_ops_per_sec:{}", rates.commands;
        "total_net_input_bytes:{}", sum(server, |stats| &stats.net_in);
        "total_net_output_bytes:{}", sum(server, |stats| &stats.net_out);
        "total_net_repl_input_bytes:{}", server.replication.following.bytes_in.load(Relaxed);
        "total_net_repl_output_bytes:{}", server.replication.primary.bytes_out.load(Relaxed);
        "instantaneous_input_kbps:{:.2}", kib(rates.net_in);
        "instantaneous_output_kbps:{:.2}", kib(rates.net_out);
        "instantaneous_input_repl_kbps:0.00";
        "instantaneous_output_repl_kbps:0.00";
        "rejected_connections:{}", server.connections_rejected.load(Relaxed);
        "sync_full:{}", server.replication.primary.sync_full.load(Relaxed);
        "sync_partial_ok:{}", server.replication.primary.sync_partial_ok.load(Relaxed);
        "sync_partial_err:{}", server.replication.primary.sync_partial_err.load(Relaxed);
        "expired_subkeys:{}", sum(server, |stats| &stats.expired_fields);
        "expired_keys:{}", sum(server, |stats| &stats.expired);
        "expired_stale_perc:{:.2}", sum(server, |stats| &stats.expiry_stale_ppm) as f64 / 10_000.0;
        "expired_time_cap_reached_count:{}", sum(server, |stats| &stats.expiry_caps);
        "expire_cycle_cpu_milliseconds:{}", server.background_stats.cron_nanos.get() / 1_000_000;
        "evicted_keys:{}", sum(server, |stats| &stats.evicted);
        "evicted_clients:0";
        "evicted_scripts:0";
        "total_eviction_exceeded_time:{}", server.exceeded.total_ns(now_ns) / 1_000_000;
        "current_eviction_exceeded_time:{}", server.exceeded.current_ns(now_ns) / 1_000_000;
        "keyspace_hits:{}", sum(server, |stats| &stats.hits);
        "keyspace_misses:{}", sum(server, |stats| &stats.misses);
        "pubsub_channels:{}", server.channels.channel_count();
        "pubsub_patterns:{}", server.channels.pattern_count();
        "pubsubshard_channels:{}", server.channels.shard_channel_count();
        "latest_fork_usec:0";
        "total_forks:0";
        "migrate_cached_sockets:{}", server.migrator.sockets.len();
        "slave_expires_tracked_keys:{}", server.replication.own_keys.len();
        "active_defrag_hits:0";
        "active_defrag_misses:0";
        "active_defrag_key_hits:0";
        "active_defrag_key_misses:0";
        "total_active_defrag_time:0";
        "current_active_defrag_time:0";
        "tracking_total_keys:0";
        "tracking_total_items:0";
        "tracking_total_prefixes:0";
        "unexpected_error_replies:{}", server.replication.divergence.errors.load(Relaxed);
        "total_error_replies:{}", sum(server, |stats| &stats.error_replies);
        "dump_payload_sanitizations:{}", sum(server, |stats| &stats.payloads_checked);
        "total_reads_processed:{}", sum(server, |stats| &stats.reads);
        "total_writes_processed:{}", sum(server, |stats| &stats.writes);
        "io_threaded_reads_processed:{}", by_others(server, |stats| &stats.reads);
        "io_threaded_writes_processed:{}", by_others(server, |stats| &stats.writes);
        "client_query_buffer_limit_disconnections:{}", server.query_limit_disconnections.load(Relaxed);
        "client_output_buffer_limit_disconnections:{}", server.output_limit_disconnections.load(Relaxed);
        "reply_buffer_shrinks:{}", sum(server, |stats| &stats.room_shrinks);
        "reply_buffer_expands:{}", sum(server, |stats| &stats.room_expands);
        "eventloop_cycles:{}", sum(server, |stats| &stats.loop_cycles);
        "eventloop_duration_sum:{}", sum(server, |stats| &stats.loop_nanos) / 1000;
        "eventloop_duration_cmd_sum:{}", sum(server, |stats| &stats.command_nanos) / 1000;
        // Of one loop, so that the numbers mean what they mean with one thread.
        "instantaneous_eventloop_cycles_per_sec:{}", rates.cycles / server.workers.len().max(1) as u64;
        "instantaneous_eventloop_duration_usec:{}", rates.cycle_nanos / 1000;
        "acl_access_denied_auth:0";
        "acl_access_denied_cmd:0";
        "acl_access_denied_key:0";
        "acl_access_denied_channel:0";
    );
}

/// The sum of a counter over all workers but the first.
fn by_others(server: &Server, of: fn(&Stats) -> &Tally) -> u64 {
    server.workers.iter().skip(1).map(|worker| of(&worker.stats).get()).sum()
}

fn cpu(out: &mut String) {
    // These fail for unknown arguments only.
    let used = |who| getrusage(who).ok();
    let (own, children, thread) =
        (used(UsageWho::RUSAGE_SELF), used(UsageWho::RUSAGE_CHILDREN), used(UsageWho::RUSAGE_THREAD));
    let system = |usage: &Option<Usage>| usage.map(|usage| usage.system_time()).map_or_else(String::new, seconds);
    let user = |usage: &Option<Usage>| usage.map(|usage| usage.user_time()).map_or_else(String::new, seconds);
    info_lines!(out;
        "# CPU";
        "used_cpu_sys:{}", system(&own);
        "used_cpu_user:{}", user(&own);
        "used_cpu_sys_children:{}", system(&children);
        "used_cpu_user_children:{}", user(&children);
        // No thread is the main one; this is the worker that answers.
        "used_cpu_sys_main_thread:{}", system(&thread);
        "used_cpu_user_main_thread:{}", user(&thread);
    );
}

fn seconds(time: TimeVal) -> String {
    format!("{}.{:06}", time.tv_sec(), time.tv_usec())
}

fn debug(server: &Server, out: &mut String) {
    let most = |of: fn(&Stats) -> &Tally| server.all_stats().map(|stats| of(stats).get()).max().unwrap_or(0);
    info_lines!(out;
        "# Debug";
        "eventloop_duration_aof_sum:0";
        "eventloop_duration_cron_sum:{}", sum(server, |stats| &stats.cron_nanos) / 1000;
        "eventloop_duration_max:{}", most(|stats| &stats.loop_nanos_max) / 1000;
        "eventloop_cmd_per_cycle_max:{}", most(|stats| &stats.loop_commands_max);
        "allocator_allocated_lua:0";
        "allocator_active_lua:0";
        "allocator_resident_lua:0";
        "allocator_frag_bytes_lua:0";
    );
}
