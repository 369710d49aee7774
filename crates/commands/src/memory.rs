//! MEMORY: where the memory goes.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{NOT_INTEGER, Result, SYNTAX};
use crate::number;
use crate::spec::flag::*;
use crate::spec::{Arg, Group, KeySpec, Spec};

/// What the process knows of its memory; sizes are in bytes.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Allocated at this moment.
    pub used: u64,
    /// The most that was ever allocated, as far as was seen.
    pub peak: u64,
    /// Allocated once the server had started.
    pub startup: u64,
    /// Resident in the machine's memory.
    pub rss: u64,
    /// The machine's memory.
    pub system: u64,
    /// Buffers and records of all clients.
    pub clients: u64,
    /// What the log of replication takes.
    pub log: u64,
    /// How much of that is kept for readers only, and so does not count against `maxmemory`.
    pub log_beyond_backlog: u64,
    /// What the log has in files besides.
    pub log_spilled: u64,
    /// The stream that a replica keeps while it loads a full copy.
    pub full_sync_buffer: u64,
    /// The same while there are replicas to keep it for; without any it is the backlog's, until it is freed.
    pub log_for_replicas: u64,
    /// Number of clients.
    pub client_count: u64,
    /// Values that wait to be freed in the background.
    pub lazyfree_pending: u64,
    /// Values that were freed there.
    pub lazyfreed: u64,
    /// `maxmemory-policy`.
    pub policy: &'static str,
    /// The allocator's name and version.
    pub allocator: String,
}

/// What is known of the memory, and what it is used for besides data.
pub(crate) struct Overhead {
    pub(crate) memory: Memory,
    /// For each database that exists, the bytes of its tables.
    tables: Vec<(u32, u64)>,
    keys: u64,
}

impl Overhead {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        let keyspace = &call.env.keyspace;
        let (mut tables, mut keys) = (Vec::new(), 0);
        for db in 0..keyspace.database_count() {
            let Some(database) = keyspace.database(call.section, db) else { continue };
            let (bytes, _) = keyspace.table_size(call.section, db);
            keys += database.len() as u64;
            if bytes > 0 {
                tables.push((db, bytes as u64));
            }
        }
        Self { memory: call.env.host.memory(), tables, keys }
    }

    fn tables_bytes(&self) -> u64 {
        self.tables.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Everything that is not data.
    pub(crate) fn total(&self) -> u64 {
        self.memory.startup + self.memory.clients + self.memory.log + self.tables_bytes()
    }

    /// What the log takes for replicas that come back.
    pub(crate) fn backlog(&self) -> u64 {
        self.memory.log.saturating_sub(self.memory.log_for_replicas)
    }

    /// What is left for data.
    pub(crate) fn dataset(&self) -> u64 {
        self.memory.used.saturating_sub(self.total())
    }

    /// The data's part of what was allocated since the start.
    pub(crate) fn dataset_percent(&self) -> f64 {
        self.dataset() as f64 * 100.0 / self.since_startup() as f64
    }

    pub(crate) fn peak_percent(&self) -> f64 {
        self.memory.used as f64 * 100.0 / self.memory.peak.max(1) as f64
    }

    /// How many times as much is resident as was asked for.
    pub(crate) fn fragmentation(&self) -> f64 {
        self.memory.rss as f64 / self.memory.used.max(1) as f64
    }

    pub(crate) fn fragmentation_bytes(&self) -> i64 {
        self.memory.rss as i64 - self.memory.used as i64
    }

    fn since_startup(&self) -> u64 {
        self.memory.used.saturating_sub(self.memory.startup).max(1)
    }
}

/// Both the entry and its place in the table count. The size is exact, so SAMPLES changes nothing.
fn usage(call: &mut Call<'_>) -> Result<Effect> {
    const SLOT_BYTES: usize = size_of::<usize>();
    let mut at = 3;
    while at < call.args.len() {
        if !call.args.is(at, "samples") || at + 1 == call.args.len() {
            return Err(SYNTAX);
        }
        if number::parse_i64(call.arg(at + 1)).ok_or(NOT_INTEGER)? < 0 {
            return Err(SYNTAX);
        }
        at += 2;
    }
    match call.keys.raw(call.arg(2)) {
        Some(entry) => call.out.len(entry.memory_bytes() + SLOT_BYTES),
        None => call.out.null(),
    }
    Ok(Effect::None)
}

fn stats(call: &mut Call<'_>) -> Result<Effect> {
    let overhead = Overhead::of(call);
    let memory = &overhead.memory;
    let out = &mut *call.out;
    let keys = overhead.keys;
    let before: [(&str, u64); 12] = [
        ("peak.allocated", memory.peak),
        ("total.allocated", memory.used),
        ("startup.allocated", memory.startup),
        ("replication.backlog", overhead.backlog()),
        ("replica.fullsync.buffer", 0),
        ("clients.slaves", memory.log_for_replicas),
        ("clients.normal", memory.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("script.VMs", 0),
    ];
    let after: [(&str, Value); 21] = [
        ("overhead.db.hashtable.lut", Value::Int(overhead.tables_bytes() as i64)),
        ("overhead.db.hashtable.rehashing", Value::Int(0)),
        ("overhead.total", Value::Int(overhead.total() as i64)),
        ("db.dict.rehashing.count", Value::Int(0)),
        ("keys.count", Value::Int(keys as i64)),
        ("keys.bytes-per-key", Value::Int(overhead.since_startup().checked_div(keys).unwrap_or(0) as i64)),
        ("dataset.bytes", Value::Int(overhead.dataset() as i64)),
        ("dataset.percentage", Value::Double(overhead.dataset_percent())),
        ("peak.percentage", Value::Double(overhead.peak_percent())),
        ("allocator.allocated", Value::Int(memory.used as i64)),
        ("allocator.active", Value::Int(memory.rss as i64)),
        ("allocator.resident", Value::Int(memory.rss as i64)),
        ("allocator.muzzy", Value::Int(0)),
        ("allocator-fragmentation.ratio", Value::Double(1.0)),
        ("allocator-fragmentation.bytes", Value::Int(0)),
        ("allocator-rss.ratio", Value::Double(1.0)),
        ("allocator-rss.bytes", Value::Int(0)),
        ("rss-overhead.ratio", Value::Double(1.0)),
        ("rss-overhead.bytes", Value::Int(0)),
        ("fragmentation", Value::Double(overhead.fragmentation())),
        ("fragmentation.bytes", Value::Int(overhead.fragmentation_bytes())),
    ];
    out.map(before.len() + overhead.tables.len() + after.len());
    for (name, bytes) in before {
        out.bulk(name.as_bytes());
        out.int(bytes as i64);
    }
    for (db, bytes) in &overhead.tables {
        out.bulk(format!("db.{db}").as_bytes());
        out.map(2);
        out.bulk(b"overhead.hashtable.main");
        out.int(*bytes as i64);
        // An expiry stands in its entry, so there is no second table.
        out.bulk(b"overhead.hashtable.expires");
        out.int(0);
    }
    for (name, value) in after {
        out.bulk(name.as_bytes());
        match value {
            Value::Int(int) => out.int(int),
            // Redis computes these in single precision, and prints what that is as a double.
            Value::Double(double) => out.double((double as f32).into()),
        }
    }
    Ok(Effect::None)
}

/// A value of MEMORY STATS.
enum Value {
    Int(i64),
    Double(f64),
}

fn doctor(call: &mut Call<'_>) -> Result<Effect> {
    /// Below this, ratios say nothing.
    const LITTLE_BYTES: u64 = 5 << 20;
    const CLIENT_BYTES: u64 = 200 << 10;
    const WASTE_BYTES: i64 = 10 << 20;
    let overhead = Overhead::of(call);
    let memory = &overhead.memory;
    let mut found = Vec::new();
    if memory.used < LITTLE_BYTES {
        found.push("There is next to no data in memory, so nothing can be said of how it is used.");
    } else {
        if memory.peak as f64 / memory.used as f64 > 1.5 {
            found.push(
                "Peak: at some time more than one and a half times as much memory was in use as now. What is free again \
                 may still be resident; it will be used for new data. MEMORY PURGE gives back what it can.",
            );
        }
        if overhead.fragmentation() > 1.4 && overhead.fragmentation_bytes() > WASTE_BYTES {
            found.push(
                "Fragmentation: more than 1.4 times as much memory is resident as is in use. After a peak this is \
                 harmless; else many values of changing sizes may be the reason.",
            );
        }
        if memory.clients / memory.client_count.max(1) > CLIENT_BYTES {
            found.push(
                "Clients: their buffers hold more than 200 KiB each on average. Some may read their replies too slowly, \
                 or ask for very much at once; CLIENT LIST tells which.",
            );
        }
    }
    let report = match found.as_slice() {
        [] => "Nothing is wrong with this server's memory, as far as can be seen from here.\n".into(),
        found => found.iter().map(|finding| format!(" * {finding}\n")).collect::<String>(),
    };
    call.out.verbatim("txt", report.as_bytes());
    Ok(Effect::None)
}

fn malloc_stats(call: &mut Call<'_>) -> Result<Effect> {
    call.out.verbatim("txt", call.env.host.allocator_report().as_bytes());
    Ok(Effect::None)
}

fn purge(call: &mut Call<'_>) -> Result<Effect> {
    call.env.host.purge_memory();
    call.out.ok();
    Ok(Effect::None)
}

/// Only reached without a subcommand, which the arity forbids.
fn container(call: &mut Call<'_>) -> Result<Effect> {
    Err(call.wrong_arity())
}

fn help(call: &mut Call<'_>) -> Result<Effect> {
    crate::help::answer(
        call,
        &[
            "DOCTOR",
            "    What is wrong with the memory, in words.",
            "MALLOC-STATS",
            "    The allocator's own report.",
            "PURGE",
            "    Give free memory back to the machine.",
            "STATS",
            "    Where the memory goes, in numbers.",
            "USAGE <key> [SAMPLES <count>]",
            "    Bytes that a key and its value take.",
        ],
    );
    Ok(Effect::None)
}

const NONDETERMINISTIC: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// The family's rows.
pub(crate) static COMMANDS: &[Spec] = &[Spec::new("memory", -2, NONE, Group::Server, container)
    .docs("Leads to the commands about memory.", "4.0.0", "Depends on subcommand.")
    .subcommands(&[
        Spec::new("doctor", 2, SPANNING, Group::Server, doctor)
            .full_name("memory|doctor")
            .docs("Says what is wrong with the memory.", "4.0.0", "O(1)")
            .tips(NONDETERMINISTIC),
        Spec::new("help", 2, LOADING | STALE, Group::Server, help).full_name("memory|help").docs(
            "Explains the subcommands.",
            "4.0.0",
            "O(1)",
        ),
        Spec::new("malloc-stats", 2, NONE, Group::Server, malloc_stats)
            .full_name("memory|malloc-stats")
            .docs("Shows the allocator's report.", "4.0.0", "Depends on how much memory is allocated, could be slow")
            .tips(NONDETERMINISTIC),
        Spec::new("purge", 2, NONE, Group::Server, purge)
            .full_name("memory|purge")
            .docs("Gives free memory back.", "4.0.0", "Depends on how much memory is allocated, could be slow")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        Spec::new("stats", 2, SPANNING, Group::Server, stats)
            .full_name("memory|stats")
            .docs("Tells where the memory goes.", "4.0.0", "O(1)")
            .tips(NONDETERMINISTIC),
        Spec::new("usage", -3, READONLY, Group::Server, usage)
            .full_name("memory|usage")
            .docs("Tells how much memory a key takes.", "4.0.0", "O(N) where N is the number of samples.")
            .keys(&[KeySpec::one(2, &["RO"])])
            .args(&[Arg::key("key"), Arg::integer("count").token("SAMPLES").optional()]),
    ])];
