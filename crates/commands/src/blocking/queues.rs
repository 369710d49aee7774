//! Who waits for which key, in the order they came.
//!
//! **Lock order.** A shard's lock is a leaf below the stripes; nothing is locked while it is held.
//! **Invariants.**
//! 1. A waiter is put into the queue of a key while the thread that does so holds that key: exclusively, or shared for a
//!    command that only reads. Either keeps those away who would change the key.
//! 2. `waiting` is counted up before a waiter is put into its queues and down after it is taken out; so while it reads 0
//!    under a key's guard, nobody waits for that key.
//! 3. A queue that is empty does not exist.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use store::hash::hash_bytes;

use super::{End, Waiter};

const SHARDS: usize = 64;

type Queue = BTreeMap<u64, Arc<Waiter>>;
type Shard = HashMap<(u32, Box<[u8]>), Queue>;

/// See the file's head.
pub struct WaitQueues {
    shards: [Mutex<Shard>; SHARDS],
    tickets: AtomicU64,
    waiting: AtomicUsize,
    on_no_key: AtomicUsize,
}

impl Default for WaitQueues {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            tickets: AtomicU64::new(1),
            waiting: AtomicUsize::new(0),
            on_no_key: AtomicUsize::new(0),
        }
    }
}

impl WaitQueues {
    /// A ticket above all that were drawn before.
    pub fn next_ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// How many clients wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether nobody waits. Read under the guard of the keys that it is asked for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait who must be told when their key goes away.
    pub fn on_no_key(&self) -> usize {
        self.on_no_key.load(Ordering::Acquire)
    }

    /// How many keys are waited for.
    pub fn key_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().expect("never poisoned").len()).sum()
    }

    /// Puts a waiter into the queues of its keys, whose guard is held. One that waits for no key is in none.
    pub fn add(&self, waiter: &Arc<Waiter>) {
        if waiter.keys.is_empty() {
            return;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.on_no_key.fetch_add(usize::from(waiter.blocking().on_no_key), Ordering::AcqRel);
        for key in &waiter.keys {
            let mut shard = self.shard(waiter.db, key);
            shard.entry((waiter.db, key.clone())).or_default().insert(waiter.ticket, waiter.clone());
        }
    }

    /// Takes a claimed waiter out of its queues.
    pub fn remove(&self, waiter: &Waiter) {
        if waiter.keys.is_empty() {
            return;
        }
        for key in &waiter.keys {
            let mut shard = self.shard(waiter.db, key);
            let name = (waiter.db, key.clone());
            if let Some(queue) = shard.get_mut(&name) {
                queue.remove(&waiter.ticket);
                if queue.is_empty() {
                    shard.remove(&name);
                }
            }
        }
        self.on_no_key.fetch_sub(usize::from(waiter.blocking().on_no_key), Ordering::AcqRel);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Ends a wait from outside, and takes the waiter out of its queues; false if it has ended already.
    pub fn end(&self, waiter: &Waiter, end: End) -> bool {
        let claimed = waiter.claim(end);
        if claimed {
            self.remove(waiter);
        }
        claimed
    }

    /// The first who waits for a key with a ticket above `after`.
    pub fn next(&self, db: u32, key: &[u8], after: u64) -> Option<Arc<Waiter>> {
        let shard = self.shard(db, key);
        let queue = shard.get(&(db, key.into()))?;
        queue.range(after + 1..).next().map(|(_, waiter)| waiter.clone())
    }

    /// The further keys of all who wait for a key.
    pub(crate) fn further_keys(&self, db: u32, key: &[u8]) -> Vec<Box<[u8]>> {
        let shard = self.shard(db, key);
        let waiters = shard.get(&(db, key.into())).into_iter().flat_map(Queue::values);
        waiters.filter_map(|waiter| waiter.further().map(Box::from)).collect()
    }

    /// The keys of a database that anybody waits for.
    pub fn keys(&self, db: u32) -> Vec<Box<[u8]>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().expect("never poisoned");
            found.extend(shard.keys().filter(|(of, _)| *of == db).map(|(_, key)| key.clone()));
        }
        found
    }

    fn shard(&self, db: u32, key: &[u8]) -> MutexGuard<'_, Shard> {
        let index = (hash_bytes(key) as usize).wrapping_add(db as usize) % SHARDS;
        self.shards[index].lock().expect("never poisoned")
    }
}
