//! Eviction: room is made before a command, by the worker that runs it, before any guard is taken.
//!
//! **Who evicts.** Every worker that finds the limit exceeded, for as long as it is. The plan was one worker at a time,
//! under a token. But one worker evicts some hundred thousand keys a second, while the others write several times as
//! many: they would have to wait for it, or memory would grow without bound. The count of used memory is shared and
//! follows each removal, so workers that evict at the same time stop at the same limit, and take too much by no more than
//! what the count is behind (a few KiB for each).
//!
//! **How long.** `maxmemory-eviction-tenacity` bounds what one command waits for, as in Redis; what is left goes on in the
//! background and with the next commands. If more than [`SLACK`] of the limit is exceeded all the same (few large values
//! come, and many small ones have to go for each), commands that need memory are postponed until the background has
//! caught up. So nobody else waits for them, and the limit is never exceeded by more.
//!
//! **What it leaves behind** is what a DEL leaves: the record in the log, those told who watch, and those served who wait
//! for a stream to go.

use std::sync::atomic::Ordering::Relaxed;

use store::entry::Entry;
use store::gate::Section;
use store::guard::Key;
use store::stripe::Mode;

use super::{Done, Ran, Source, finish, tell};
use crate::access::Access;
use crate::args::{Args, OwnedArgs};
use crate::effect::{Class, Effect};
use crate::env::Env;
use crate::eviction::{Candidate, Policy};
use crate::keys::Keys;

/// The part of `maxmemory` by which it may be exceeded before writers have to wait: 1 in so many.
const SLACK: u64 = 200;
/// Nanoseconds in one section: somebody may want the gate for himself.
const SECTION_NS_MAX: u64 = 1_000_000;
/// Parts of values that are freed between two looks at the clock: Redis's number of keys.
const PARTS_UNTIMED: usize = 16;
/// Values of up to so many parts are freed at once if `lazyfree-lazy-eviction` is off; more would hold up everybody.
const PARTS_AT_ONCE_MAX: usize = 16 * 1024;
/// Values of up to so many parts are freed at once though it is on, as in LazyFree: Redis's number.
const PARTS_LAZY_MIN: usize = 64;
/// Draws for one key in which candidates are judged anew; afterwards the best is taken as it is.
const JUDGED_DRAWS: usize = 8;
/// Draws for one key.
const DRAWS_MAX: usize = 16;

/// How it stands with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The limit is kept, or nobody is to keep it now.
    Enough,
    /// The time is over before the limit is kept.
    NotYet,
    /// As much as there may be in one section is done; go on in the next.
    Again,
    /// There is nothing that may go.
    Never,
}

/// Whether more memory is in use than `maxmemory`.
#[inline]
pub(super) fn is_full(env: &Env) -> bool {
    let max_bytes = env.settings.maxmemory.load(Relaxed);
    max_bytes != 0 && {
        let full = env.host.counted_memory() > max_bytes;
        env.host.exceeded().note(full, || env.host.ticks_ns());
        full
    }
}

/// Whether so much is in use that whoever needs more has to wait.
pub(super) fn is_overfull(env: &Env) -> bool {
    let max_bytes = env.settings.maxmemory.load(Relaxed);
    max_bytes != 0 && env.host.counted_memory() > max_bytes.saturating_add(max_bytes / SLACK)
}

/// Evicts until the limit is kept, for no longer than one command may be held up. Called without a guard.
pub fn make_room(env: &mut Env, section: &Section<'_>) -> Room {
    let room = if is_full(env) && env.host.may_evict() { evict(env, section) } else { Room::Enough };
    if room != Room::Again {
        env.evictor.began_ns = None;
    }
    room
}

fn evict(env: &mut Env, section: &Section<'_>) -> Room {
    let policy = env.settings.policy();
    if policy == Policy::NoEviction {
        return Room::Never;
    }
    if env.evictor.waits && env.host.frees_in_background() {
        return Room::NotYet;
    }
    env.evictor.waits = false;
    env.evictor.set_policy(policy);
    let limit_ns = env.settings.eviction_limit_ns.load(Relaxed);
    let entered_ns = env.host.ticks_ns();
    let began_ns = *env.evictor.began_ns.get_or_insert(entered_ns);
    let mut parts = 0;
    while is_full(env) {
        let Some(entry) = take_one(env, section, policy) else { return Room::Never };
        parts += entry.parts();
        free(env, entry);
        if env.evictor.waits {
            return Room::NotYet;
        }
        if parts >= PARTS_UNTIMED {
            parts = 0;
            let now_ns = env.host.ticks_ns();
            if now_ns.saturating_sub(began_ns) >= limit_ns {
                return Room::NotYet;
            }
            if now_ns.saturating_sub(entered_ns) >= SECTION_NS_MAX {
                return Room::Again;
            }
        }
    }
    Room::Enough
}

/// Frees what was evicted. What goes to the background is still counted for a moment, so more must not go meanwhile.
fn free(env: &mut Env, entry: Entry) {
    let lazy = env.settings.lazyfree_lazy_eviction.load(Relaxed);
    if entry.parts() > if lazy { PARTS_LAZY_MIN } else { PARTS_AT_ONCE_MAX } {
        env.host.free(vec![entry]);
        env.evictor.waits = true;
    }
}

/// Takes out the key that is to go first, as far as the policy and chance can tell.
fn take_one(env: &mut Env, section: &Section<'_>, policy: Policy) -> Option<Entry> {
    let access = env.access();
    for draw in 0..DRAWS_MAX {
        if !draw_candidates(env, section, policy, &access) {
            return None;
        }
        while let Some(candidate) = env.evictor.pool.best() {
            let judged = take(env, section, policy, &access, &candidate, draw < JUDGED_DRAWS);
            if let Judged::Used(score) = judged {
                env.evictor.pool.offer(score, candidate.db, &candidate.key);
            }
            env.evictor.pool.recycle(candidate);
            if let Judged::Taken(entry) = judged {
                return Some(entry);
            }
        }
    }
    None
}

/// Draws some keys into the pool; false if there are none that may go.
fn draw_candidates(env: &mut Env, section: &Section<'_>, policy: Policy, access: &Access) -> bool {
    let Env { evictor, keyspace, rng, settings, .. } = env;
    let keyspace = *keyspace;
    let volatile = policy.is_volatile();
    let samples = if policy.is_random() { 1 } else { settings.maxmemory_samples.load(Relaxed) };
    loop {
        let weights = (0..keyspace.database_count()).filter_map(|db| {
            let database = keyspace.database(section, db)?;
            let keys = if volatile { database.volatile_len() } else { database.len() };
            Some((db, keys as u64))
        });
        let Some(db) = evictor.draw_database(rng, weights) else { return false };
        let found = keyspace.sample(section, db, rng, samples, volatile, |entry| {
            if let Some(score) = policy.score(entry, access) {
                evictor.pool.offer(score, db, entry.key());
            }
        });
        // Others may have emptied the database since it was weighed.
        if found > 0 || evictor.drew_afresh() {
            return found > 0;
        }
    }
}

enum Judged {
    /// It is gone from the keyspace.
    Taken(Entry),
    /// It was used since it was drawn; this is its score now.
    Used(u64),
    /// It is not there any more, or may not go.
    Spared,
}

/// Takes a candidate out of the keyspace, unless it was used since it was drawn and `anew` asks to look.
fn take(
    env: &mut Env,
    section: &Section<'_>,
    policy: Policy,
    access: &Access,
    candidate: &Candidate,
    anew: bool,
) -> Judged {
    let (db, keyspace) = (candidate.db, env.keyspace);
    if keyspace.database(section, db).is_none() {
        return Judged::Spared;
    }
    let key = Key::new(&candidate.key);
    let guard = keyspace.lock_one(section, db, key.hash, Mode::Exclusive);
    let Some(score) = guard.get(db, key).and_then(|entry| policy.score(entry, access)) else { return Judged::Spared };
    if anew && score < candidate.score {
        return Judged::Used(score);
    }
    let observed = env.host.hears_of_keys();
    let mut keys = Keys::new(guard, db, env.now_ms, *access, false, observed);
    // A key that has expired goes too: it takes memory like any other.
    keys.let_nothing_expire();
    let Some(entry) = keys.take(key.bytes) else { return Judged::Spared };
    keys.changed_too(db, key.bytes, Class::EVICTED, "evicted");
    env.stats.evicted.add(1);
    let notes = std::mem::take(&mut keys.notes);
    tell(env, &notes);
    let verb: &[u8] = if env.settings.lazyfree_lazy_eviction.load(Relaxed) { b"UNLINK" } else { b"DEL" };
    let effect = if env.host.log_is_on() { Effect::rewritten([verb, key.bytes]) } else { Effect::None };
    let none = OwnedArgs::default();
    let args: Args<'_> = none.args();
    finish(env, section, keys, [Ran { db, args, done: Done { effect, notes } }], Source::Eviction);
    Judged::Taken(entry)
}

#[cfg(test)]
mod tests;
