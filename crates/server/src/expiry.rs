//! Active expiry: a background thread visits the stripes that are due, a bounded time in each round.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use commands::env::Env;
use commands::pipeline;

use crate::clock;
use crate::server::Server;

/// Part of a period that a round may take, in percent, at effort 1; each step of effort adds two.
const SHARE_PERCENT: u64 = 25;
/// Entries removed under one hold of a stripe.
const REMOVED_AT_ONCE_MAX: usize = 256;

/// Runs until the server stops.
pub fn run(server: &Arc<Server>, env: &mut Env) {
    let mut from = (0, 0);
    while !server.stopped_within(server.cron_period_ms() as u64) {
        if server.settings.cron_is_paused.load(Relaxed) {
            continue;
        }
        let began = clock::ticks_ns();
        server.take_samples(began);
        if server.active_expiry.load(Relaxed) {
            from = round(server, env, from);
        }
        env.stats.cron_nanos.add(clock::ticks_ns() - began);
    }
}

/// One round from where the last one ended; returns where this one did.
fn round(server: &Server, env: &mut Env, from: (u32, usize)) -> (u32, usize) {
    let effort = server.config.get(crate::config::keys::ACTIVE_EXPIRE_EFFORT);
    let share = SHARE_PERCENT + 2 * (effort - 1);
    let budget_ns = server.cron_period_ms() as u64 * 1_000_000 * share / 100;
    let began = clock::ticks_ns();
    let databases = server.keyspace.database_count();
    let (mut db, mut stripe) = from;
    for _ in 0..=databases {
        loop {
            // Each stripe has a section of its own, so that whoever wants the gate for himself never waits for a round.
            let section = server.keyspace.gate().enter();
            env.begin_section(clock::now_ms());
            let Some(due) = server.keyspace.next_due(&section, db, stripe, env.now_ms) else { break };
            let removed = pipeline::expire_stripe(env, &section, db, due, REMOVED_AT_ONCE_MAX);
            drop(section);
            stripe = if removed < REMOVED_AT_ONCE_MAX { due + 1 } else { due };
            if clock::ticks_ns() - began > budget_ns {
                return (db, stripe);
            }
        }
        (db, stripe) = ((db + 1) % databases, 0);
    }
    (db, stripe)
}
