//! Counters of one worker. Only that worker adds, with plain loads and stores; anybody may read or reset.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use crate::histogram::Histogram;
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

    /// Raises it to `n` if it is below; only the owning thread may.
    #[inline]
    pub fn raise(&self, n: u64) {
        if n > self.0.load(Relaxed) {
            self.0.store(n, Relaxed);
        }
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
    /// How long calls took, if `latency-tracking` is on. It has no memory before the first call.
    pub latency: OnceLock<Box<Histogram>>,
}

impl CommandStats {
    /// Counts a call; only the owning thread may.
    #[inline]
    pub fn ran(&self, nanos: u64, tracked: bool) {
        self.calls.add(1);
        self.nanos.add(nanos);
        if tracked {
            self.latency.get_or_init(Box::default).record(nanos);
        }
    }

    fn reset(&self) {
        [&self.calls, &self.nanos, &self.rejected, &self.failed].into_iter().for_each(|tally| tally.set(0));
        if let Some(latency) = self.latency.get() {
            latency.reset();
        }
    }
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// See the file's head.
        #[allow(missing_docs)]
        pub struct Stats {
            /// By position in the command table.
            pub commands: Box<[CommandStats]>,
            /// Changes to keys; no statistics, so it is not reset.
            pub dirty: Tally,
            $($(#[$doc])* pub $name: Tally,)*
        }

        impl Default for Stats {
            fn default() -> Self {
                Self {
                    commands: (0..table::len()).map(|_| CommandStats::default()).collect(),
                    dirty: Tally::default(),
                    $($name: Tally::default(),)*
                }
            }
        }

        impl Stats {
            /// Sets everything back to 0 (CONFIG RESETSTAT). What the owner adds at the same moment may be lost.
            pub fn reset(&self) {
                self.commands.iter().for_each(CommandStats::reset);
                $(self.$name.set(0);)*
            }
        }
    };
}

stats! {
    processed,
    /// Nanoseconds in commands.
    command_nanos,
    hits,
    misses,
    expired,
    evicted,
    /// Fields of hashes: INFO's `expired_subkeys`.
    expired_fields,
    error_replies,
    net_in,
    net_out,
    reads,
    writes,
    /// Turns of the event loop, and what they took without the waiting.
    loop_cycles,
    loop_nanos,
    loop_nanos_max,
    /// Most commands in one turn.
    loop_commands_max,
    /// Nanoseconds in what is done several times a second.
    cron_nanos,
    /// Rounds of active expiry that ended because their time was over.
    expiry_caps,
    /// The share of keys and hashes that expire, but that active expiry found expired, in millionths, smoothed over rounds.
    expiry_stale_ppm,
    /// How often the room that a connection keeps for replies became smaller, and larger.
    room_shrinks,
    room_expands,
    /// Packed values that RESTORE has looked through.
    payloads_checked,
}
