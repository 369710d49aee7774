//! Active expiry: a background thread visits the stripes that are due, a bounded time in each round.

use std::sync::atomic::Ordering::Relaxed;

use commands::env::Env;
use commands::pipeline;

use crate::clock;
use crate::server::Server;

/// Part of a period that a round may take, in percent, at effort 1; each step of effort adds two.
const SHARE_PERCENT: u64 = 25;
/// Entries removed under one hold of a stripe.
const REMOVED_AT_ONCE_MAX: usize = 256;
/// How much of the stale share of keys is what the last round found, in percent; the rest is what it was before.
const STALE_WEIGHT_PERCENT: u64 = 5;

/// Where the next round begins: database and stripe.
#[derive(Default)]
pub struct Expiry((u32, usize));

impl Expiry {
    /// One round, unless active expiry is off.
    pub fn round(&mut self, server: &Server, env: &mut Env) {
        // What is being loaded is not ours to change yet.
        if !server.active_expiry.load(Relaxed) || server.persistence.loading.is_on() {
            return;
        }
        if server.replication.is_replica() {
            // Its keys go when its primary says so, but for those that it alone has.
            server.replication.own_keys.expire(server, env);
        } else {
            self.0 = round(server, env, self.0);
        }
    }
}

/// One round from where the last one ended; returns where this one did.
fn round(server: &Server, env: &mut Env, from: (u32, usize)) -> (u32, usize) {
    let effort = server.live.active_expire_effort.load(Relaxed);
    let share = SHARE_PERCENT + 2 * (effort - 1);
    let budget_ns = server.live.period_ms() as u64 * 1_000_000 * share / 100;
    let began = clock::ticks_ns();
    let databases = server.keyspace.database_count();
    let (volatile, mut stale) = (volatile(server), 0);
    let (mut db, mut stripe) = from;
    'round: for _ in 0..=databases {
        loop {
            // Each stripe has a section of its own, so that whoever wants the gate for himself never waits for a round.
            let section = server.keyspace.gate().enter();
            env.begin_section(clock::now_ms());
            let Some(due) = server.keyspace.next_due(&section, db, stripe, env.now_ms) else { break };
            let removed = pipeline::expire_stripe(env, &section, db, due, REMOVED_AT_ONCE_MAX);
            drop(section);
            stale += removed as u64;
            stripe = if removed < REMOVED_AT_ONCE_MAX { due + 1 } else { due };
            if clock::ticks_ns() - began > budget_ns {
                env.stats.expiry_caps.add(1);
                break 'round;
            }
        }
        (db, stripe) = ((db + 1) % databases, 0);
    }
    let found_ppm = (stale * 1_000_000).checked_div(volatile).unwrap_or(0).min(1_000_000);
    let before_ppm = env.stats.expiry_stale_ppm.get();
    env.stats.expiry_stale_ppm.set(smoothed(before_ppm, found_ppm));
    (db, stripe)
}

/// Keys and hashes of all databases that expire.
fn volatile(server: &Server) -> u64 {
    let section = server.keyspace.gate().enter();
    let databases = (0..server.keyspace.database_count()).filter_map(|db| server.keyspace.database(&section, db));
    databases.map(|database| database.volatile_len() as u64 + database.timed_len() as u64).sum()
}

/// The stale share after a round.
fn smoothed(before_ppm: u64, found_ppm: u64) -> u64 {
    (found_ppm * STALE_WEIGHT_PERCENT + before_ppm * (100 - STALE_WEIGHT_PERCENT)) / 100
}

#[cfg(test)]
mod tests {
    use super::smoothed;

    #[test]
    fn the_stale_share_follows_slowly() {
        assert_eq!(smoothed(0, 1_000_000), 50_000);
        assert_eq!(smoothed(50_000, 0), 47_500);
    }
}
