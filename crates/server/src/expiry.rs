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

/// Where the next round begins: database and stripe.
#[derive(Default)]
pub struct Expiry((u32, usize));

impl Expiry {
    /// One round, unless active expiry is off.
    pub fn round(&mut self, server: &Server, env: &mut Env) {
        // What is being loaded is not ours to change yet.
        if server.active_expiry.load(Relaxed) && !server.persistence.loading.is_on() {
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
