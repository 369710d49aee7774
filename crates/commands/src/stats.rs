//! Counters of one worker. Only that worker adds, with plain loads and stores; anybody may read or reset.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::table;

/// A number that one thread adds to.
#[derive(Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds; only the owning thread may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Sets it; what the owner adds at the same moment may be lost.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
}

/// What INFO's `commandstats` shows of one command.
#[derive(Default)]
#[allow(missing_docs)]
pub struct CommandStats {
    pub calls: Tally,
    pub nanos: Tally,
    pub rejected: Tally,
    pub failed: Tally,
}

/// See the file's head.
#[allow(missing_docs)]
pub struct Stats {
    /// By position in the command table.
    pub commands: Box<[CommandStats]>,
    pub processed: Tally,
    pub hits: Tally,
    pub misses: Tally,
    pub expired: Tally,
    /// Fields of hashes: INFO's `expired_subkeys`.
    pub expired_fields: Tally,
    pub dirty: Tally,
    pub error_replies: Tally,
    pub net_in: Tally,
    pub net_out: Tally,
    pub reads: Tally,
    pub writes: Tally,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commands: (0..table::len()).map(|_| CommandStats::default()).collect(),
            processed: Tally::default(),
            hits: Tally::default(),
            misses: Tally::default(),
            expired: Tally::default(),
            expired_fields: Tally::default(),
            dirty: Tally::default(),
            error_replies: Tally::default(),
            net_in: Tally::default(),
            net_out: Tally::default(),
            reads: Tally::default(),
            writes: Tally::default(),
        }
    }
}

impl Stats {
    /// CONFIG RESETSTAT: starts all counts anew, except the changes since the last save, which are no statistic.
    pub fn reset(&self) {
        let Self {
            commands,
            processed,
            hits,
            misses,
            expired,
            expired_fields,
            dirty: _,
            error_replies,
            net_in,
            net_out,
            reads,
            writes,
        } = self;
        for command in commands {
            let CommandStats { calls, nanos, rejected, failed } = command;
            [calls, nanos, rejected, failed].into_iter().for_each(|tally| tally.set(0));
        }
        let tallies = [processed, hits, misses, expired, expired_fields, error_replies, net_in, net_out, reads, writes];
        tallies.into_iter().for_each(|tally| tally.set(0));
    }
}
