//! Keys that clients have written to a replica (`replica-read-only no`). The primary knows nothing of them, so nobody but the
//! replica itself can see to it that they expire.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use commands::effect::Change;
use commands::env::Env;
use commands::pipeline;
use parking_lot::Mutex;

use crate::clock;
use crate::server::Server;

/// Keys that are looked at in one section of the gate.
const SECTION_KEYS_MAX: usize = 128;
/// Keys that are looked at in one round.
const ROUND_KEYS_MAX: usize = 4096;

thread_local! {
    /// Whether this thread applies a primary's stream.
    static APPLIES: Cell<bool> = const { Cell::new(false) };
}

/// See the file's head.
#[derive(Default)]
pub struct OwnKeys {
    /// Whether clients may write.
    on: AtomicBool,
    /// What they have written since, as far as it may expire.
    keys: Mutex<HashSet<(u32, Box<[u8]>)>>,
}

impl OwnKeys {
    /// What this thread changes is the primary's.
    pub(super) fn leave_out_this_thread() {
        APPLIES.set(true);
    }

    /// Clients may write, or may not any more.
    pub(super) fn set_on(&self, on: bool) {
        self.on.store(on, Relaxed);
        if !on {
            self.keys.lock().clear();
        }
    }

    /// Whether changes are to be [noted](Self::note).
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Notes a change that this thread has made. Called under the key's guard.
    pub fn note(&self, change: &Change) {
        if self.is_on() && change.modified && !APPLIES.get() {
            self.keys.lock().insert((change.db, change.key.clone()));
        }
    }

    /// How many keys are looked after.
    pub fn len(&self) -> usize {
        self.keys.lock().len()
    }

    /// Removes those that have expired, and forgets those that never will.
    pub fn expire(&self, server: &Server, env: &mut Env) {
        if !self.is_on() {
            return;
        }
        let some: Vec<_> = self.keys.lock().iter().take(ROUND_KEYS_MAX).cloned().collect();
        for some in some.chunks(SECTION_KEYS_MAX) {
            let section = server.keyspace.gate().enter();
            env.begin_section(clock::now_ms());
            for (db, key) in some {
                if !pipeline::expire_key(env, &section, *db, key) {
                    self.keys.lock().remove(&(*db, key.clone()));
                }
            }
        }
    }
}
