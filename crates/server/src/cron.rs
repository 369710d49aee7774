//! What the main thread does `hz` times a second until the server ends. Eviction may call for its turn earlier.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use commands::env::Env;

use crate::expiry::Expiry;
use crate::persistence::points;
use crate::server::Server;
use crate::{alloc, clock, eviction};

/// Runs until the end.
pub fn run(server: &Arc<Server>, env: &mut Env) {
    let mut expiry = Expiry::default();
    let (mut evicting, mut wait_ms) = (false, 0);
    let mut next_ns = clock::ticks_ns();
    while !server.ending.within(if evicting { 0 } else { wait_ms }) {
        alloc::publish_all();
        evicting = eviction::round(server, env);
        let began_ns = clock::ticks_ns();
        if began_ns < next_ns {
            wait_ms = (next_ns - began_ns).div_ceil(1_000_000);
            continue;
        }
        wait_ms = server.live.period_ms() as u64;
        next_ns = began_ns + wait_ms * 1_000_000;
        if server.settings.cron_is_paused.load(Relaxed) {
            continue;
        }
        server.ending.honour(server);
        server.live.fit_period(server.registry.len());
        server.take_samples(began_ns);
        expiry.round(server, env);
        server.replication.tick(server);
        points::look(server);
        server.migrator.sockets.close_idle(clock::now_ms());
        alloc::purge_aged();
        env.stats.cron_nanos.add(clock::ticks_ns() - began_ns);
    }
}
