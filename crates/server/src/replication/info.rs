//! INFO's section on replication, with Redis's names in Redis's order.

use std::sync::atomic::Ordering::Relaxed;

use commands::info_lines;

use super::replica::{LinkState, Primary};
use crate::config::keys;
use crate::server::Server;

/// Appends the section.
pub fn write(server: &Server, out: &mut String) {
    info_lines!(out; "# Replication";);
    match server.replication.following.primary() {
        None => info_lines!(out; "role:master";),
        Some(primary) => replica(server, &primary, out),
    }
    history(server, out);
}

fn replica(server: &Server, primary: &Primary, out: &mut String) {
    let (state, config) = (&server.replication, &server.config);
    let following = &state.following;
    let (link, offset) = (following.state(), state.offset());
    info_lines!(out;
        "role:slave";
        "master_host:{}", primary.host;
        "master_port:{}", primary.port;
        "master_link_status:{}", if link == LinkState::Connected { "up" } else { "down" };
        "master_last_io_seconds_ago:{}", if link == LinkState::Connected { following.quiet_secs() } else { -1 };
        "master_sync_in_progress:{}", u8::from(link == LinkState::Transfer);
        "slave_read_repl_offset:{}", following.read_offset(offset);
        "slave_repl_offset:{offset}";
        "replica_full_sync_buffer_size:{}", following.kept.size();
        "replica_full_sync_buffer_peak:{}", following.kept.peak();
    );
    if link == LinkState::Transfer {
        let total = following.transfer.total_bytes.load(Relaxed);
        let read = following.transfer.read_bytes.load(Relaxed);
        let percent = if total == 0 { 0.0 } else { read as f64 * 100.0 / total as f64 };
        info_lines!(out;
            "master_sync_total_bytes:{total}";
            "master_sync_read_bytes:{read}";
            "master_sync_left_bytes:{}", total - read;
            "master_sync_perc:{percent:.2}";
            "master_sync_last_io_seconds_ago:{}", following.quiet_secs();
        );
    }
    if link != LinkState::Connected {
        info_lines!(out; "master_link_down_since_seconds:{}", following.down_secs(););
    }
    info_lines!(out;
        "slave_priority:{}", config.get(keys::REPLICA_PRIORITY);
        "slave_read_only:{}", u8::from(config.get(keys::REPLICA_READ_ONLY));
        "replica_announced:{}", u8::from(config.get(keys::REPLICA_ANNOUNCED));
    );
}

fn history(server: &Server, out: &mut String) {
    let state = &server.replication;
    state.primary.info(server, out);
    let history = state.history();
    let (active, first, length) = match state.stream.ring() {
        Some(ring) => {
            ring.trim();
            let first = ring.first_offset();
            (1, first + 1, ring.tail() - first)
        }
        None => (0, 0, 0),
    };
    info_lines!(out;
        "master_failover_state:{}", state.failover.name();
        "master_replid:{}", history.id;
        "master_replid2:{}", history.second_id;
        "master_repl_offset:{}", state.offset();
        "second_repl_offset:{}", history.second_offset;
        "repl_backlog_active:{active}";
        "repl_backlog_size:{}", server.config.get(keys::REPL_BACKLOG_SIZE);
        "repl_backlog_first_byte_offset:{first}";
        "repl_backlog_histlen:{length}";
    );
}
