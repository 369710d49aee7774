//! What is known of the memory: from the allocator's counters, from the machine, and from the clients' records.

use std::sync::LazyLock;

use commands::client::{Client, ClientFlags};
use commands::memory::Memory;
use nix::unistd::{SysconfVar, sysconf};

use crate::config::keys;
use crate::server::Server;
use crate::{alloc, info};

/// Asks everybody.
pub fn memory(server: &Server) -> Memory {
    let clients = server.registry.clients();
    let of_client = |client: &Client| size_of::<Client>() + info::input_bytes(client) + info::output_bytes(client);
    let is_replica = |client: &Client| client.flags().contains(ClientFlags::REPLICA);
    let stream = &server.replication.stream;
    let (used, log_beyond_backlog) = (used(server), stream.beyond_backlog_bytes());
    Memory {
        used,
        peak: server.vitals.memory_peak(used),
        startup: server.vitals.memory_startup(),
        rss: resident(),
        system: *PAGE_BYTES * pages(SysconfVar::_PHYS_PAGES),
        // What waits for replicas lies in the log, once for all.
        clients: clients.iter().filter(|client| !is_replica(client)).map(|client| of_client(client) as u64).sum(),
        log: stream.memory_bytes(),
        log_beyond_backlog,
        log_spilled: stream.spilled_bytes(),
        log_for_replicas: if server.replication.primary.replicas().is_empty() { 0 } else { log_beyond_backlog },
        full_sync_buffer: server.replication.following.kept.size(),
        client_count: clients.len() as u64,
        lazyfree_pending: server.lazy_free.pending(),
        lazyfreed: server.lazy_free.freed(),
        policy: server.config.get(keys::MAXMEMORY_POLICY),
        allocator: alloc::name(),
    }
}

/// Bytes in use: what is allocated, and the log, whose memory is not the allocator's.
pub fn used(server: &Server) -> u64 {
    alloc::used_memory() + server.replication.stream.memory_bytes()
}

/// About how much of it counts against `maxmemory`.
pub fn counted(server: &Server) -> u64 {
    alloc::used_memory_about() + server.replication.stream.backlog_bytes()
}

/// Resident bytes; 0 where the machine does not tell.
fn resident() -> u64 {
    // The second number is the resident pages.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * *PAGE_BYTES
}

static PAGE_BYTES: LazyLock<u64> = LazyLock::new(|| pages(SysconfVar::PAGE_SIZE));

fn pages(of: SysconfVar) -> u64 {
    sysconf(of).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}
