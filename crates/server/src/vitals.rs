//! What the server knows of itself beyond its counters: who it is, how much memory it has used, how fast it goes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use fastrand::Rng;

use crate::alloc;
use crate::errors::ErrorCounts;
use crate::rates::Sampler;

/// Digits of a run id and of a replication id.
const ID_DIGITS: usize = 40;

/// See the file's head.
pub struct Vitals {
    /// Names this run of the server.
    pub run_id: String,
    /// Error replies.
    pub errors: ErrorCounts,
    /// Rates.
    pub sampler: Sampler,
    memory_peak: AtomicU64,
    memory_startup: AtomicU64,
}

impl Default for Vitals {
    fn default() -> Self {
        Self {
            run_id: random_id(),
            errors: ErrorCounts::default(),
            sampler: Sampler::default(),
            memory_peak: AtomicU64::new(0),
            memory_startup: AtomicU64::new(0),
        }
    }
}

impl Vitals {
    /// Notes that the server has started: what is allocated now is not data.
    pub fn started(&self) {
        self.memory_startup.store(alloc::used_memory(), Relaxed);
    }

    /// Bytes that were allocated when the server had started.
    pub fn memory_startup(&self) -> u64 {
        self.memory_startup.load(Relaxed)
    }

    /// The most bytes that were seen in use, those of now included.
    pub fn memory_peak(&self, used: u64) -> u64 {
        self.memory_peak.fetch_max(used, Relaxed).max(used)
    }
}

/// Random hexadecimal digits.
pub fn random_id() -> String {
    let mut rng = Rng::new();
    (0..ID_DIGITS).map(|_| rng.digit(16)).collect()
}
