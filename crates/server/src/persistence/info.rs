//! INFO's section about saving and loading. What belongs to forks and to the append-only file is 0.

use std::sync::atomic::Ordering::Relaxed;

use commands::host::Host;
use commands::info_lines;
use commands::standing::Standing;

use super::unsaved_changes;
use crate::clock;
use crate::server::Server;

/// Appends the section.
pub fn write(server: &Server, out: &mut String) {
    let persistence = &server.persistence;
    let running = persistence.running();
    let (done, keys) = running.as_ref().map_or((0, 0), |running| (running.done.load(Relaxed), running.keys));
    let took_s = running.as_ref().map_or(-1, |running| (clock::now_ms() - running.began_ms).max(0) / 1000);
    // In Redis the copy for a replica is a save too.
    let is_saving = running.is_some() || server.replication.primary.copies.is_making();
    let beside = server.standing().contains(Standing::ASYNC_LOADING);
    let percent = if keys == 0 { 0.0 } else { 100.0 * done as f64 / keys as f64 };
    info_lines!(out;
        "# Persistence";
        "loading:{}", u8::from(persistence.loading.is_on() && !beside);
        "async_loading:{}", u8::from(beside);
        "current_cow_peak:0";
        "current_cow_size:0";
        "current_cow_size_age:0";
        "current_fork_perc:{percent:.2}";
        "current_save_keys_processed:{done}";
        "current_save_keys_total:{keys}";
        "rdb_changes_since_last_save:{}", unsaved_changes(server);
        "rdb_bgsave_in_progress:{}", u8::from(is_saving);
        "rdb_last_save_time:{}", persistence.last_save_s();
        "rdb_last_bgsave_status:{}", if persistence.has_failed.load(Relaxed) { "err" } else { "ok" };
        "rdb_last_bgsave_time_sec:{}", persistence.last_took_s.load(Relaxed);
        "rdb_current_bgsave_time_sec:{took_s}";
        "rdb_saves:{}", persistence.saves.load(Relaxed);
        "rdb_last_cow_size:0";
        "rdb_last_load_keys_expired:{}", persistence.loading.keys_expired.load(Relaxed);
        "rdb_last_load_keys_loaded:{}", persistence.loading.keys_loaded.load(Relaxed);
        "aof_enabled:0";
        "aof_rewrite_in_progress:0";
        "aof_rewrite_scheduled:0";
        "aof_last_rewrite_time_sec:-1";
        "aof_current_rewrite_time_sec:-1";
        "aof_last_bgrewrite_status:ok";
        "aof_rewrites:0";
        "aof_rewrites_consecutive_failures:0";
        "aof_last_write_status:ok";
        "aof_last_cow_size:0";
        "module_fork_in_progress:0";
        "module_fork_last_cow_size:0";
    );
    if persistence.loading.is_on() {
        loading(server, out);
    }
}

fn loading(server: &Server, out: &mut String) {
    let loading = &server.persistence.loading;
    let (total, read) = (loading.total_bytes.load(Relaxed), loading.read_bytes.load(Relaxed));
    let began_s = loading.began_s.load(Relaxed);
    let elapsed_s = (clock::now_ms() / 1000 - began_s).max(0);
    let percent = if total == 0 { 0.0 } else { 100.0 * read as f64 / total as f64 };
    // At the pace so far; 1 as long as there is none, as in Redis.
    let eta_s =
        if read == 0 || elapsed_s == 0 { 1 } else { elapsed_s * total.saturating_sub(read) as i64 / read as i64 };
    info_lines!(out;
        "loading_start_time:{began_s}";
        "loading_total_bytes:{total}";
        "loading_rdb_used_mem:{}", loading.used_memory.load(Relaxed);
        "loading_loaded_bytes:{read}";
        "loading_loaded_perc:{percent:.2}";
        "loading_eta_seconds:{eta_s}";
    );
}
