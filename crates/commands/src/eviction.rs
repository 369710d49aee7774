//! What goes when memory is full: the policies, and the pool of candidates.
//!
//! As in Redis nothing keeps all keys in order. A few are drawn at random, and the best of all that were drawn so far are
//! kept in a pool; so choices come close to the true order ("Random notes on improving the Redis LRU algorithm",
//! antirez, 2016). Two things differ. Each worker has a pool of its own, since a shared one would be one more lock
//! between workers. And a candidate is judged once more when it is taken out: if it was used since it was drawn, it goes
//! back to where it belongs now. So a candidate that has waited long in one of many pools is not lost to its past.

pub(crate) mod policy;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use store::entry::Entry;

use crate::access::Access;
use policy::Order;
pub use policy::Policy;

impl Policy {
    /// How good a candidate an entry is; more is better. Nothing for one that may not go.
    pub(crate) fn score(self, entry: &Entry, access: &Access) -> Option<u64> {
        let expiry = entry.expiry();
        if self.is_volatile() && expiry.is_none() {
            return None;
        }
        Some(match self.order() {
            Order::Idle => access.idle_s(entry.access()).into(),
            Order::Seldom => (u8::MAX - access.frequency(entry.access())?).into(),
            Order::Deadline => u64::MAX - expiry?.max(0) as u64,
            Order::None => 0,
        })
    }
}

/// Candidates that a pool keeps: Redis's number.
const POOL_MAX: usize = 16;

/// Capacity for a key that is kept from one candidate to the next.
const KEPT_KEY_BYTES_MAX: usize = 1024;

/// The best candidates so far, the best one last.
#[derive(Default)]
pub(crate) struct Pool {
    candidates: Vec<Candidate>,
    /// One whose memory is used again.
    spare: Candidate,
}

/// A key that may go.
#[derive(Default)]
pub(crate) struct Candidate {
    pub(crate) score: u64,
    pub(crate) db: u32,
    pub(crate) key: Vec<u8>,
}

impl Pool {
    /// Takes a candidate in, unless all that are there are better.
    pub(crate) fn offer(&mut self, score: u64, db: u32, key: &[u8]) {
        let at = self.candidates.partition_point(|candidate| candidate.score < score);
        let equals = self.candidates[at..].iter().take_while(|candidate| candidate.score == score);
        if equals.into_iter().any(|candidate| candidate.db == db && candidate.key == key) {
            return;
        }
        let is_full = self.candidates.len() == POOL_MAX;
        if is_full && at == 0 {
            return;
        }
        let mut candidate = if is_full { self.candidates.remove(0) } else { std::mem::take(&mut self.spare) };
        (candidate.score, candidate.db) = (score, db);
        candidate.key.clear();
        candidate.key.extend_from_slice(key);
        self.candidates.insert(at - usize::from(is_full), candidate);
    }

    /// Takes the best one out.
    pub(crate) fn best(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// Gives back what [`Self::best`] has returned, for its memory.
    pub(crate) fn recycle(&mut self, candidate: Candidate) {
        if candidate.key.capacity() <= KEPT_KEY_BYTES_MAX {
            self.spare = candidate;
        }
    }

    fn clear(&mut self) {
        self.candidates.clear();
    }
}

/// What one worker needs to evict.
#[derive(Default)]
pub(crate) struct Evictor {
    pub(crate) pool: Pool,
    /// The policy that the pool's scores belong to.
    policy: Policy,
    /// Databases that have something to evict, and how much.
    weights: Vec<(u32, u64)>,
    /// Draws until the weights are looked at again.
    draws_left: u32,
    /// When the current command began to make room, in [`crate::host::Host::ticks_ns`].
    pub(crate) began_ns: Option<u64>,
    /// Whether something large was left to the background.
    pub(crate) waits: bool,
}

/// Draws with the same weights of the databases. They change slowly, and to sum them costs some cache lines each.
const DRAWS_MAX: u32 = 256;

impl Evictor {
    /// Called before the pool is used: scores of another policy cannot be compared.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        if std::mem::replace(&mut self.policy, policy) != policy {
            self.pool.clear();
            self.draws_left = 0;
        }
    }

    /// A database, with a chance that grows with what it has to evict; nothing if no database has anything.
    /// `weights` tells how much each has.
    pub(crate) fn draw_database(
        &mut self,
        rng: &mut fastrand::Rng,
        weights: impl Iterator<Item = (u32, u64)>,
    ) -> Option<u32> {
        if self.draws_left == 0 {
            self.weights.clear();
            self.weights.extend(weights.filter(|(_, weight)| *weight > 0));
            self.draws_left = DRAWS_MAX;
        }
        self.draws_left -= 1;
        let total: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            self.draws_left = 0;
            return None;
        }
        let mut drawn = rng.u64(0..total);
        let found = self.weights.iter().find(|(_, weight)| {
            let is_it = drawn < *weight;
            drawn = drawn.wrapping_sub(*weight);
            is_it
        });
        found.map(|(db, _)| *db)
    }

    /// Whether the weights were looked at for the last draw; else they may be wrong by now, and are looked at for the
    /// next one.
    pub(crate) fn drew_afresh(&mut self) -> bool {
        let afresh = self.draws_left == DRAWS_MAX - 1;
        self.draws_left = 0;
        afresh
    }
}

/// How long the limit has been exceeded; shared by all workers.
#[derive(Default)]
pub struct Exceeded {
    /// When it began, in [`crate::host::Host::ticks_ns`]; 0 when the limit is kept.
    since_ns: AtomicU64,
    total_ns: AtomicU64,
}

impl Exceeded {
    /// Notes that the limit is exceeded now, or that it is kept.
    #[inline]
    pub fn note(&self, exceeded: bool, now_ns: impl FnOnce() -> u64) {
        if exceeded != (self.since_ns.load(Relaxed) != 0) {
            self.change(exceeded, now_ns().max(1));
        }
    }

    /// `total_eviction_exceeded_time`, in nanoseconds, the current time included.
    pub fn total_ns(&self, now_ns: u64) -> u64 {
        self.total_ns.load(Relaxed) + self.current_ns(now_ns)
    }

    /// `current_eviction_exceeded_time`, in nanoseconds.
    pub fn current_ns(&self, now_ns: u64) -> u64 {
        match self.since_ns.load(Relaxed) {
            0 => 0,
            since => now_ns.saturating_sub(since),
        }
    }

    /// Sets the total to 0.
    pub fn reset(&self) {
        self.total_ns.store(0, Relaxed);
    }

    #[cold]
    fn change(&self, exceeded: bool, now_ns: u64) {
        // Whoever comes first begins or ends the time; the counters stand for themselves, so they need no order.
        if exceeded {
            let _ = self.since_ns.compare_exchange(0, now_ns, Relaxed, Relaxed);
        } else {
            let since = self.since_ns.swap(0, Relaxed);
            if since != 0 {
                self.total_ns.fetch_add(now_ns.saturating_sub(since), Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
