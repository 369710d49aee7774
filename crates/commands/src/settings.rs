//! The directives that commands read while they run, as cheap shared values. CONFIG SET writes them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, RwLock};

use store::value::Limits;

use crate::eviction::policy::Policy;

/// See the file's head. Each field is named after its directive.
pub struct Settings {
    /// Largest string, in bytes.
    pub proto_max_bulk_len: AtomicU64,
    /// Classes of events that are published; see [`crate::effect::Class`].
    pub notify_keyspace_events: AtomicU32,
    /// Memory limit in bytes; 0 is none.
    pub maxmemory: AtomicU64,
    /// Whether the default user needs a password.
    pub password_needed: AtomicBool,
    maxmemory_policy: AtomicU8,
    /// Keys that eviction looks at to find one.
    pub maxmemory_samples: AtomicUsize,
    /// What `maxmemory-eviction-tenacity` comes to: nanoseconds that one command may be held up by eviction.
    pub eviction_limit_ns: AtomicU64,
    /// Whether large values that are evicted are freed in the background.
    pub lazyfree_lazy_eviction: AtomicBool,
    /// `lazyfree-lazy-user-flush`: FLUSHALL and FLUSHDB mean ASYNC where they do not say SYNC.
    pub lazyfree_lazy_user_flush: AtomicBool,
    /// How slowly counters of use grow.
    pub lfu_log_factor: AtomicU32,
    /// Minutes after which such a counter falls by one; 0 is never.
    pub lfu_decay_time: AtomicU32,
    /// Most bytes of a sparse HyperLogLog, its header included.
    pub hll_sparse_max_bytes: AtomicUsize,
    /// Most clients.
    pub maxclients: AtomicUsize,
    /// Seconds after which an idle client is closed; 0 is never.
    pub timeout: AtomicU64,
    /// Microseconds from which a command is slow; below 0 none is.
    pub slowlog_log_slower_than: AtomicI64,
    /// Whether arguments of unknown commands and the like are kept out of logs.
    pub hide_user_data_from_log: AtomicBool,
    /// Whether each command's durations are counted.
    pub latency_tracking: AtomicBool,
    percentiles: RwLock<Vec<f64>>,
    /// Most bytes that wait to be executed, of one client.
    pub client_query_buffer_limit: AtomicUsize,
    /// Most bytes that wait to be sent, by [`crate::client::ClientType`]: normal, replica, pubsub.
    pub output_limits: [OutputLimit; 3],
    /// DEBUG REPLYBUFFER PEAK-RESET-TIME: milliseconds after which the room kept for replies may shrink; below 0 never.
    pub reply_buffer_peak_reset_ms: AtomicI64,
    /// DEBUG REPLYBUFFER RESIZING.
    pub reply_buffer_resizing: AtomicBool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: payloads and files are taken whatever their checksum.
    pub skip_checksum_validation: AtomicBool,
    /// DEBUG REPL-PAUSE: the steps of replication at which the process stops itself, as bits of [`Stop`].
    pub repl_pause: AtomicU8,
    /// DEBUG PAUSE-CRON: connections are not looked after.
    pub cron_is_paused: AtomicBool,
    password: RwLock<Vec<u8>>,
    limits: RwLock<Arc<Limits>>,
    /// Grows with each change of what is behind a lock.
    generation: AtomicU64,
}

/// What [`Settings::reply_buffer_peak_reset_ms`] is unless somebody debugs.
pub const REPLY_BUFFER_PEAK_RESET_MS: i64 = 5000;

/// One class of `client-output-buffer-limit`; 0 is no limit.
#[derive(Debug, Default)]
pub struct OutputLimit {
    /// Bytes at which a client is closed.
    pub hard_bytes: AtomicU64,
    /// Bytes at which a client is closed if they wait for `soft_secs`.
    pub soft_bytes: AtomicU64,
    /// See above.
    pub soft_secs: AtomicU64,
}

/// A step of replication at which DEBUG REPL-PAUSE can stop the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stop {
    /// A full copy has been cut; Redis forks there.
    AfterCut = 1,
    /// A replica is about to ask for its copy over a channel of its own.
    BeforeRdbChannel = 2,
    /// A replica applies what it has kept while its copy came.
    OnStreaming = 4,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            proto_max_bulk_len: AtomicU64::new(512 << 20),
            notify_keyspace_events: AtomicU32::new(0),
            maxmemory: AtomicU64::new(0),
            password_needed: AtomicBool::new(false),
            maxmemory_policy: AtomicU8::new(Policy::default() as u8),
            maxmemory_samples: AtomicUsize::new(5),
            eviction_limit_ns: AtomicU64::new(500_000),
            lazyfree_lazy_eviction: AtomicBool::new(false),
            lazyfree_lazy_user_flush: AtomicBool::new(false),
            lfu_log_factor: AtomicU32::new(10),
            lfu_decay_time: AtomicU32::new(1),
            hll_sparse_max_bytes: AtomicUsize::new(3000),
            maxclients: AtomicUsize::new(10_000),
            timeout: AtomicU64::new(0),
            slowlog_log_slower_than: AtomicI64::new(10_000),
            hide_user_data_from_log: AtomicBool::new(false),
            latency_tracking: AtomicBool::new(true),
            percentiles: RwLock::new(vec![50.0, 99.0, 99.9]),
            client_query_buffer_limit: AtomicUsize::new(1 << 30),
            output_limits: Default::default(),
            reply_buffer_peak_reset_ms: AtomicI64::new(REPLY_BUFFER_PEAK_RESET_MS),
            reply_buffer_resizing: AtomicBool::new(true),
            skip_checksum_validation: AtomicBool::new(false),
            repl_pause: AtomicU8::new(0),
            cron_is_paused: AtomicBool::new(false),
            password: RwLock::default(),
            limits: RwLock::default(),
            generation: AtomicU64::new(0),
        }
    }
}

impl Settings {
    /// Sets `requirepass`; empty is none.
    pub fn set_password(&self, password: &[u8]) {
        *self.password.write().expect("never poisoned") = password.to_vec();
        self.password_needed.store(!password.is_empty(), Relaxed);
    }

    /// Whether a password is the right one; the time this takes does not tell how much of it was right.
    pub fn password_is(&self, given: &[u8]) -> bool {
        let password = self.password.read().expect("never poisoned");
        let differ = password.iter().zip(given).fold(0, |differ, (a, b)| differ | (a ^ b));
        differ == 0 && password.len() == given.len()
    }

    /// Sets `maxmemory-policy`.
    pub fn set_policy(&self, policy: Policy) {
        self.maxmemory_policy.store(policy as u8, Relaxed);
    }

    /// `maxmemory-policy`.
    #[inline]
    pub fn policy(&self) -> Policy {
        Policy::from_u8(self.maxmemory_policy.load(Relaxed))
    }

    /// Sets `latency-tracking-info-percentiles`.
    pub fn set_percentiles(&self, percentiles: Vec<f64>) {
        *self.percentiles.write().expect("never poisoned") = percentiles;
    }

    /// `latency-tracking-info-percentiles`.
    pub fn percentiles(&self) -> Vec<f64> {
        self.percentiles.read().expect("never poisoned").clone()
    }

    /// Changes the conversion limits of the value types.
    pub fn set_limits(&self, change: impl FnOnce(&mut Limits)) {
        let mut limits = self.limits.write().expect("never poisoned");
        change(Arc::make_mut(&mut limits));
        self.generation.fetch_add(1, Relaxed);
    }

    /// The conversion limits.
    pub fn limits(&self) -> Arc<Limits> {
        self.limits.read().expect("never poisoned").clone()
    }

    /// Differs after each [`Self::set_limits`].
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }
}
