//! `# Memory`.
//!
//! mimalloc does not tell how much of what it holds is fragmented, so what Redis prints of its allocator is printed as
//! Redis does with an allocator that keeps silent: everything resident counts as active.

use std::sync::atomic::Ordering::Relaxed;

use crate::call::Call;
use crate::info_lines;
use crate::memory::Overhead;

pub(super) fn write(call: &Call<'_>, out: &mut String) {
    let overhead = Overhead::of(call);
    let memory = &overhead.memory;
    let maxmemory = call.env.settings.maxmemory.load(Relaxed);
    info_lines!(out;
        "# Memory";
        "used_memory:{}", memory.used;
        "used_memory_human:{}", human(memory.used);
        "used_memory_rss:{}", memory.rss;
        "used_memory_rss_human:{}", human(memory.rss);
        "used_memory_peak:{}", memory.peak;
        "used_memory_peak_human:{}", human(memory.peak);
        "used_memory_peak_perc:{:.2}%", overhead.peak_percent();
        "used_memory_overhead:{}", overhead.total();
        "used_memory_startup:{}", memory.startup;
        "used_memory_dataset:{}", overhead.dataset();
        "used_memory_dataset_perc:{:.2}%", overhead.dataset_percent();
        "allocator_allocated:{}", memory.used;
        "allocator_active:{}", memory.rss;
        "allocator_resident:{}", memory.rss;
        "allocator_muzzy:0";
        "total_system_memory:{}", memory.system;
        "total_system_memory_human:{}", human(memory.system);
        "used_memory_lua:0";
        "used_memory_vm_eval:0";
        "used_memory_lua_human:0B";
        "used_memory_scripts_eval:0";
        "number_of_cached_scripts:0";
        "number_of_functions:0";
        "number_of_libraries:0";
        "used_memory_vm_functions:0";
        "used_memory_vm_total:0";
        "used_memory_vm_total_human:0B";
        "used_memory_functions:0";
        "used_memory_scripts:0";
        "used_memory_scripts_human:0B";
        "maxmemory:{maxmemory}";
        "maxmemory_human:{}", human(maxmemory);
        "maxmemory_policy:{}", memory.policy;
        "allocator_frag_ratio:1.00";
        "allocator_frag_bytes:0";
        "allocator_rss_ratio:1.00";
        "allocator_rss_bytes:0";
        "rss_overhead_ratio:1.00";
        "rss_overhead_bytes:0";
        "mem_fragmentation_ratio:{:.2}", overhead.fragmentation();
        "mem_fragmentation_bytes:{}", overhead.fragmentation_bytes();
        "mem_not_counted_for_evict:{}", memory.log_beyond_backlog;
        "mem_replication_backlog:{}", overhead.backlog();
        "mem_total_replication_buffers:{}", memory.log + memory.full_sync_buffer;
        "mem_replica_full_sync_buffer:{}", memory.full_sync_buffer;
        "repl_spilled_bytes:{}", memory.log_spilled;
        "mem_clients_slaves:{}", memory.log_for_replicas;
        "mem_clients_normal:{}", memory.clients;
        "mem_cluster_links:0";
        "mem_aof_buffer:0";
        "mem_allocator:{}", memory.allocator;
        "mem_overhead_db_hashtable_rehashing:0";
        "active_defrag_running:0";
        "lazyfree_pending_objects:{}", memory.lazyfree_pending;
        "lazyfreed_objects:{}", memory.lazyfreed;
    );
}

/// Bytes for people: two digits after the point, and a letter for the power of 1024.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    format!("{:.2}{}", bytes as f64 / (1_u64 << (10 * power)) as f64, UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1536, "1.50K"), (1 << 20, "1.00M")] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(human((1 << 30) - 1), "1024.00M");
        assert_eq!(human(23 << 30), "23.00G");
        assert_eq!(human(5 << 50), "5.00P");
    }
}
